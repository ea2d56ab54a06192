"""Command line: ``python -m numopt demo | solve FILE | warm | info``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; 0 if all went well."""
    parser = argparse.ArgumentParser(
        prog="python -m numopt", description="Numerical optimisation with certificates."
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    commands.add_parser("demo", help="solve one real problem per class, with certificates")
    commands.add_parser("warm", help="compile the common combinations into the cache")
    commands.add_parser("info", help="versions, machine and cache")
    solve = commands.add_parser("solve", help="solve a .mps, .qps or .npz file")
    solve.add_argument(
        "file", help="MPS, QPS, or arrays of a LinearProgram or QuadraticProgram by field name"
    )
    solve.add_argument("--out", help="write the result to this .npz or .json file")
    solve.add_argument("--tol", type=float, default=1e-8)
    given = parser.parse_args(argv)
    command = given.command

    if command == "demo":
        from numopt.demo import run_demo

        return run_demo()
    if command == "solve":
        from numopt.io import solve_file

        try:
            return solve_file(given.file, given.out, given.tol)
        except (ValueError, TypeError, OSError, ImportError) as error:
            solve.error(str(error))
    if command == "warm":
        from numopt.core.warm import warm_cache

        print(f"{warm_cache(verbose=1)} kernels compiled")
        return 0
    from numopt.core.config import show_config

    show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())
