"""Run cases, in this process or in workers under a watchdog."""

from __future__ import annotations

import multiprocessing
import traceback
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np

import numopt
from tests.fuzz.generators import FAMILIES, make

# What became of a case.
SOLVED, UNSOLVED, OPEN, WRONG, CRASHED, HUNG = "solved unsolved open wrong crashed hung".split()

Outcome = tuple[str, int, str, str, str]  # family, seed, kind, outcome, details


def run_case(name: str, seed: int, families: dict[str, Any] = FAMILIES) -> Outcome:
    """Solve a case and judge the result; an exception or a NaN point is a crash."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        kind = "?"
        try:
            with np.errstate(all="ignore"):
                case = make(name, seed, families)
            kind = case.family
            result = case.solve()
            with np.errstate(all="ignore"):
                fault = case.wrong(result) if result.success else ""
        except Exception:
            return name, seed, kind, CRASHED, traceback.format_exc(limit=-3)
    details = f"{', '.join(case.traits)}: {result.status.name}, {result.nit} iterations, "
    details += repr(result.certificate)
    if result.success:
        outcome = WRONG if fault else SOLVED
        return name, seed, kind, outcome, f"{details}; {fault}"
    if not np.isfinite(result.x).all():
        return name, seed, kind, CRASHED, f"{details}: x is not finite"
    return name, seed, kind, UNSOLVED if case.solvable else OPEN, details


def _work(cases: list[tuple[str, int]], pipe: Any) -> None:
    for name, seed in cases:
        pipe.send(run_case(name, seed))
    pipe.close()


def watched(cases: Iterable[tuple[str, int]], seconds: float = 60.0) -> Iterator[Outcome]:
    """Outcomes of the cases from a worker process, which may crash or hang without harm."""
    left = list(cases)
    context = multiprocessing.get_context("spawn")
    while left:
        pipe, end = context.Pipe(duplex=False)
        worker = context.Process(target=_work, args=(left, end))
        worker.start()
        end.close()
        # The first case also pays for imports and compilation.
        patience = 5 * seconds
        try:
            while left:
                if not pipe.poll(patience):
                    worker.kill()
                    yield *left[0], "?", HUNG, f"no answer in {patience:g} s"
                    del left[0]
                    break
                yield pipe.recv()
                del left[0]
                patience = seconds
        except EOFError:  # the process is gone
            yield *left[0], "?", CRASHED, "the process died"
            del left[0]
        worker.join()
