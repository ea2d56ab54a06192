"""What a run tells its user: progress while it goes, a sentence and a warning when it ends."""

from __future__ import annotations

import logging
import sys
import warnings
from typing import Any

import numpy as np

from numopt.core.result import CLAIMS, Certificate, Status

logger = logging.getLogger("numopt")


class ConvergenceWarning(UserWarning):
    """A solver returned without meeting its tolerance."""


def message(status: Status, certificate: Certificate, reason: str) -> str:
    """Why a run ended and, where it succeeded, what is proven."""
    if status is Status.OPTIMAL:
        return f"{status.sentence} The point is {CLAIMS[certificate.kind]}."
    return f"{status.sentence} {reason}".rstrip()


_REMEDY = {
    Status.ITERATION_LIMIT: "raise max_iter or start from x0",
    Status.TIME_LIMIT: "raise time_limit",
    Status.STALLED: "loosen tol or rescale the data",
    Status.DIVERGED: "check that the problem is bounded below",
    Status.NUMERICAL_TROUBLE: "rescale the data or check the function for NaN",
    Status.NON_CONVEX: "check that the matrix has no negative eigenvalue",
}


def warn_unmet(
    solver: Any, nit: int, tol: float, status: Status, certificate: Certificate, reason: str
) -> None:
    """Warn that a run ended without meeting its tolerance: residual, iterations and a remedy."""
    failed = [item for item in certificate.gates.items() if not item[1].met]
    name, entry = max(failed, key=_badness, default=("residual", np.nan))
    remedy = reason or _REMEDY.get(status, "see result.status")
    formula = getattr(entry, "formula", "")
    warnings.warn(
        f"{type(solver).__name__}: {status.sentence[:-1].lower()} after {nit} "
        f"iterations with {name} = {float(entry):.2e} > tol = {tol:.0e} ({formula}); {remedy}",
        _warning_class(),
        stacklevel=_user_frame(),
    )


def _badness(item: tuple[str, Any]) -> float:
    return np.inf if np.isnan(item[1]) else abs(item[1])


def _warning_class() -> type[Warning]:
    """Ours; and scikit-learn's at once where that is loaded, so that its filters apply."""
    exceptions = sys.modules.get("sklearn.exceptions")
    if exceptions is None:
        return ConvergenceWarning
    if not issubclass(_both.get("class", ConvergenceWarning), exceptions.ConvergenceWarning):
        _both["class"] = type(
            "ConvergenceWarning", (ConvergenceWarning, exceptions.ConvergenceWarning), {}
        )
    return _both["class"]


_both: dict[str, type[Warning]] = {}


def _user_frame() -> int:
    """Depth of the first caller outside numopt."""
    depth, frame = 1, sys._getframe(1)
    while frame.f_back is not None and frame.f_globals.get("__name__", "").startswith("numopt."):
        depth, frame = depth + 1, frame.f_back
    return depth


class Progress:
    """Bar or lines: the same columns for all solvers."""

    def __init__(self, solver: Any, tol: float):
        self.lines = solver.verbose >= 2
        self.title = type(solver).__name__
        self.tol = tol
        self.shown_header = False
        self.bar: Any = None
        if not self.lines:
            from tqdm.auto import tqdm

            self.bar = tqdm(total=None, unit="it", desc=self.title)

    def show(self, nit: int, seconds: float, certificate: Certificate) -> None:
        """One check."""
        gates = certificate.gates
        if self.bar is not None:
            self.bar.update(nit - self.bar.n)
            self.bar.set_postfix_str(
                ", ".join(f"{name} {float(value):.1e}" for name, value in gates.items())
                + f" -> {self.tol:.0e}"
            )
            return
        if not self.shown_header:
            header = f"{'nit':>8} {'seconds':>9} {'objective':>16} "
            print(self.title, header + " ".join(f"{name:>12}" for name in gates), sep="\n")
            self.shown_header = True
        line = f"{nit:8d} {seconds:9.3f} {certificate.fun:16.9e} "
        line += " ".join(f"{float(value):12.3e}" for value in gates.values())
        print(line)
        logger.info("%s %s", self.title, line)

    def close(self) -> None:
        """End the bar."""
        if self.bar is not None:
            self.bar.close()
