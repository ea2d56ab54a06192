"""Command line: ``python -m numopt demo | warm | info``."""

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
    command = parser.parse_args(argv).command

    if command == "demo":
        from numopt.demo import run_demo

        return run_demo()
    if command == "warm":
        from numopt.core.warm import warm_cache

        print(f"{warm_cache(verbose=1)} kernels compiled")
        return 0
    from numopt.core.config import show_config

    show_config()
    return 0


if __name__ == "__main__":
    sys.exit(main())
