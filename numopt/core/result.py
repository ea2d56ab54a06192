"""What a solve returns: the point, what is proven about it, and how it was found."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from enum import IntEnum
from typing import Any

import numpy as np
from scipy.optimize import OptimizeResult


class Status(IntEnum):
    """Why a solve ended; SciPy's `linprog` numbers first, the same in every solver."""

    sentence: str

    def __new__(cls, code: int, sentence: str) -> Status:
        member = int.__new__(cls, code)
        member._value_ = code
        member.sentence = sentence
        return member

    OPTIMAL = 0, "The certificate meets the tolerance."
    ITERATION_LIMIT = 1, "The iteration limit was reached."
    INFEASIBLE = 2, "The problem is infeasible; a checked certificate is attached."
    UNBOUNDED = 3, "The problem is unbounded; a checked ray is attached."
    NUMERICAL_TROUBLE = 4, "The computation broke down numerically."
    TIME_LIMIT = 5, "The time limit was reached."
    NON_CONVEX = 6, "The data are not convex or monotone, which this method needs."
    STALLED = 7, "No further progress is possible in this precision."
    LOCALLY_INFEASIBLE = 8, "The constraint violation is locally minimal but not zero."
    INTERRUPTED = 9, "Interrupted from the keyboard."
    DIVERGED = 10, "The iterates diverged."
    UNDECIDED = 11, "Neither a solution nor a proof that there is none was found."
    CALLBACK_STOP = 99, "Stopped by the callback."


#: What a met certificate proves, by its kind.
CLAIMS = {
    "global": "globally optimal",
    "stationary": "stationary",
    "local": "locally optimal under the moves stated",
    "feasible": "feasible",
    "heuristic": "the best point found",
}


class Entry(float):
    """One number of a certificate: a float that knows its formula, tolerance and role.

    Attributes
    ----------
    formula : str
        How the number is computed from the problem's data.
    gate : bool
        Whether success needs it to meet the tolerance.
    tol : float or None
        The tolerance it was held against.
    """

    __slots__ = ("formula", "gate", "tol")

    formula: str
    gate: bool
    tol: float | None

    def __new__(
        cls, value: float, formula: str = "", gate: bool = True, tol: float | None = None
    ) -> Entry:
        entry = float.__new__(cls, value)
        entry.formula, entry.gate, entry.tol = formula, gate, tol
        return entry

    @property
    def value(self) -> float:
        """The bare number."""
        return float(self)

    @property
    def met(self) -> bool:
        """Whether the number is within its tolerance of 0; NaN never is."""
        return self.tol is not None and bool(abs(self) <= self.tol)

    def __getnewargs__(self) -> tuple[float, str, bool, float | None]:  # type: ignore[override]
        return float(self), self.formula, self.gate, self.tol


class Certificate(Mapping[str, Entry]):
    """What was recomputed from the problem's data at a point: name -> `Entry`.

    Entries can be read as ``certificate["kkt"]`` or ``certificate.kkt``. Those with ``gate`` set
    decide success; the others inform.

    Parameters
    ----------
    kind : str
        What it proves when met: "global", "stationary", "local", "feasible" or "heuristic".
    entries : dict of str to Entry
        The numbers.
    fun : float
        Objective at the point.
    """

    __slots__ = ("_entries", "fun", "kind", "tol")

    def __init__(
        self, kind: str, entries: dict[str, Entry], fun: float = np.nan, tol: float | None = None
    ):
        self.kind, self._entries, self.fun, self.tol = kind, entries, fun, tol

    def __getitem__(self, name: str) -> Entry:
        return self._entries[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Any:  # the inherited views look every entry up
        return self._entries.items()

    def values(self) -> Any:
        return self._entries.values()

    def __getattr__(self, name: str) -> Entry:
        if name.startswith("_"):
            raise AttributeError(name)
        try:
            return self._entries[name]
        except KeyError:
            raise AttributeError(
                f"certificate has no entry {name!r}; it has {list(self._entries)}"
            ) from None

    def __reduce__(self) -> Any:
        return Certificate, (self.kind, self._entries, self.fun, self.tol)

    @property
    def gates(self) -> dict[str, Entry]:
        """The entries that decide success."""
        return {name: entry for name, entry in self._entries.items() if entry.gate}

    def worst(self, tol: float | None = None) -> float:
        """Largest gate entry over its tolerance: at most 1 if all are met, inf if one is NaN."""
        worst = 0.0
        for entry in self._entries.values():
            if entry.gate:
                limit = entry.tol if tol is None else tol
                ratio = abs(entry) / limit if limit else abs(entry) and np.inf
                if not ratio <= worst:
                    worst = ratio if ratio == ratio else np.inf
        return worst

    def met(self, tol: float) -> bool:
        """Whether there are gate entries and all are within `tol` of 0; NaN never is."""
        some = False
        for entry in self._entries.values():
            if entry.gate:
                some = True
                if not abs(entry) <= tol:
                    return False
        return some

    def at(self, tol: float) -> Certificate:
        """The same numbers, held against `tol`."""
        entries = {
            name: Entry(entry, entry.formula, entry.gate, tol if entry.gate else None)
            for name, entry in self._entries.items()
        }
        return Certificate(self.kind, entries, self.fun, tol)

    def __repr__(self) -> str:
        shown = []
        for name, entry in self._entries.items():
            sign = "<=" if entry.met else ">"
            tail = "" if entry.tol is None else f" {sign} {entry.tol:.0e}"
            shown.append(f"{name}={float(entry):.2e}{tail}")
        return f"Certificate({self.kind}: {', '.join(shown)})"


class Result(OptimizeResult):
    """Outcome of a solve, with SciPy's fields and a certificate.

    Attributes
    ----------
    x : array
        The best point found.
    fun : float
        Objective there.
    success : bool
        True only if every gate entry of the certificate meets the tolerance.
    status : Status
        Why the solve ended.
    message : str
        The same as a sentence, with the kind of claim that is proven.
    certificate : Certificate
        Residuals recomputed in float64 from the problem's data at `x`.
    nit, nfev, njev, nhev : int
        Iterations; evaluations of the user's function, gradient and Hessian.
    history : dict of str to array
        Columns ``nit``, ``time``, ``fun`` and each certificate entry, a row per check.
    time, setup_time : float
        Seconds in all, and those before the first iteration.
    solver : str
        Text that makes the solver again.
    warm_start : dict
        Start for a related problem: ``solve(problem, warm_start=result)``.
    """

    def verify(self, problem: Any) -> Certificate:
        """Recompute the certificate at `x` from the data of `problem`."""
        if not hasattr(problem, "parts_of"):
            raise TypeError(f"problem must be one of numopt.problems, got {type(problem).__name__}")
        certificate = problem.certificate(self.x, **problem.parts_of(self))
        return certificate.at(self.certificate.tol or problem.default_tol)

    def plot(self, ax: Any = None) -> Any:
        """Draw every residual of the history over time and return the axes (needs matplotlib)."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots()[1]
        columns = {k: v for k, v in self.history.items() if k not in ("nit", "time", "fun")}
        for name, values in columns.items():
            ax.semilogy(self.history["time"], np.maximum(values, 1e-300), marker=".", label=name)
        if self.certificate.tol is not None:
            ax.axhline(self.certificate.tol, color="0.6", linestyle="--", label="tolerance")
        ax.set(xlabel="seconds", ylabel="residual", title=str(self.solver).partition("(")[0])
        if columns:
            ax.legend()
        return ax

    def to_dict(self) -> dict[str, Any]:
        """Plain numbers, lists and strings, ready for JSON."""
        out: dict[str, Any] = {}
        for key, value in self.items():
            if key == "warm_start":
                continue
            out[key] = _plain(value)
        return out

    def __repr__(self) -> str:
        lines = [str(self.get("message", ""))]
        for key in ("x", "intercept", "fun", "nit", "time", "solver"):
            if key in self:
                lines.append(f"{key:>12}: {_short(self[key])}")
        if "certificate" in self:
            lines.append(f"{'certificate':>12}: {self.certificate!r}")
        rest = [key for key in self if key not in _SHOWN]
        if rest:
            lines.append(f"{'also':>12}: {', '.join(rest)}")
        return "\n".join(lines)

    def _repr_html_(self) -> str:
        rows = []
        for name, entry in self.certificate.items():
            verdict = "" if entry.tol is None else ("&#10003;" if entry.met else "&#10007;")
            tol = "" if entry.tol is None else f"{entry.tol:.0e}"
            cells = (name, f"{float(entry):.3e}", tol, verdict, html.escape(entry.formula))
            rows.append("<tr>" + "".join(f"<td>{cell}</td>" for cell in cells) + "</tr>")
        head = "".join(f"<th>{h}</th>" for h in ("certificate", "value", "tol", "met", "formula"))
        return (
            f"<p><b>{html.escape(self.message)}</b><br>objective {self.fun:.8g}, "
            f"{self.get('nit', '?')} iterations, {self.time:.3g} s, "
            f"<code>{html.escape(str(self.solver))}</code></p>"
            f"<table><tr>{head}</tr>{''.join(rows)}</table>"
        )


_SHOWN = {
    "x", "intercept", "fun", "nit", "time", "solver", "certificate", "message", "success",
    "status", "history", "setup_time", "warm_start",
}  # fmt: skip


def _short(value: Any) -> str:
    if isinstance(value, np.ndarray):
        return np.array2string(value, threshold=8, edgeitems=3, precision=6)
    return f"{value:.8g}" if isinstance(value, float) else str(value)


def _plain(value: Any) -> Any:
    if isinstance(value, Certificate):
        return {
            "kind": value.kind,
            **{
                name: {"value": float(e), "tol": e.tol, "gate": e.gate, "formula": e.formula}
                for name, e in value.items()
            },
        }
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, IntEnum):
        return int(value)
    if isinstance(value, dict):
        return {key: _plain(member) for key, member in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(member) for member in value]
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    return repr(value)
