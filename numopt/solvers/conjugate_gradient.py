"""Conjugate gradients with a diagonal preconditioner."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import BREAKDOWN, DONE, INDEFINITE, NEED_EVAL, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_choice, require_length
from numopt.linalg.spmv import lower_rows, multiply_dot
from numopt.linalg.vector import dot

# Places in State.scalars.
RZ, RR, XX, PP, CURVATURE, TARGET, CLAIMED, EPS, NORM, PROBED, ANSWERED = range(11)

# Asymmetry in a random probe that rounding cannot explain.
ASYMMETRY = {np.dtype(np.float64): 1e-10, np.dtype(np.float32): 1e-5}


class State(NamedTuple):
    """What an iteration needs; x, r and p are in units of 2^k, near |b|: see `unit`."""

    A: Any  # C-ordered array or CSR; an empty array for operators
    d: np.ndarray  # inverse of the preconditioner, D
    x: np.ndarray  # x_k
    r: np.ndarray  # r_k, by recursion
    p: np.ndarray  # p_k, the direction
    q: np.ndarray  # A p_k
    unit: float  # power of two nearest to |b|: squares of tiny or huge b stay in range
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class ConjugateGradient(Solver):
    r"""Preconditioned conjugate gradients for symmetric positive definite :math:`A x = b`.

    .. math::
       \alpha_k = \frac{r_k^T D r_k}{p_k^T A p_k}, \quad x_{k+1} = x_k + \alpha_k p_k, \quad
       r_{k+1} = r_k - \alpha_k A p_k, \quad
       p_{k+1} = D r_{k+1} + \frac{r_{k+1}^T D r_{k+1}}{r_k^T D r_k} p_k

    where :math:`D` is the inverse diagonal of A, 1 where that is not positive. The residual of
    the recursion drifts from b - A x: a claim to be done is checked by the certificate, and if
    it does not hold, the method starts again from the true residual.

    A random probe tells whether A is symmetric; if not, and when a direction of curvature
    :math:`p^T A p < 0` turns up, the status is 6. Singular but consistent systems converge; the
    null component of the start stays.

    Parameters
    ----------
    preconditioner : {"jacobi", "none"}
        "jacobi" divides by the diagonal; operators have none to read and go without.
    **limits
        See `Solver`.

    Notes
    -----
    The error in the norm of A falls by :math:`2 ((\sqrt\kappa - 1)/(\sqrt\kappa + 1))^k`, with
    :math:`\kappa` the condition number of :math:`D^{1/2} A D^{1/2}`; with k distinct eigenvalues
    k steps are enough. An iteration is one product and two passes over five vectors.

    References
    ----------
    M. R. Hestenes, E. Stiefel, "Methods of conjugate gradients for solving linear systems",
    J. Res. Natl. Bur. Stand. 49, 1952, doi 10.6028/jres.049.044.
    A. Greenbaum, "Estimating the attainable accuracy of recursively computed residual methods",
    SIAM J. Matrix Anal. Appl. 18, 1997, doi 10.1137/S0895479895284944.

    Examples
    --------
    >>> from numopt.problems import LinearSystem
    >>> from numopt.solvers import ConjugateGradient
    >>> result = ConjugateGradient().solve(LinearSystem([[2.0, 1.0], [1.0, 2.0]], [3.0, 3.0]))
    >>> result.x.round(8).tolist(), result.nit
    ([1.0, 1.0], 1)
    """

    name: ClassVar[str] = "cg"
    accepts: ClassVar[tuple[str, ...]] = ("LinearSystem",)
    # The residual's norm may rise for long before it falls; the error's never does.
    patience: ClassVar[int] = 1000

    preconditioner: str = "jacobi"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.preconditioner, ("jacobi", "none"), "preconditioner")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        n, dtype = problem.size, problem.dtype
        x, r, p, q, d = np.zeros((5, n), dtype)
        unit = 2.0 ** float(np.round(np.log2(problem.scale)))
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        if x0 is not None:
            start = require_length(as_vector(x0, name, np.float64), n, name)
            if problem.b.any():  # else x = 0 is exact
                x[:] = start / unit
        d[:] = 1
        A = np.zeros((0, 0), dtype)
        if problem.explicit:
            A = problem.cached("rows", (problem.A,), lambda: lower_rows(problem.A, dtype))
            if self.preconditioner == "jacobi":
                diagonal = problem.A.diagonal()
                np.divide(1.0, diagonal, out=d, where=diagonal > 0)
        state = State(A, d, x, r, p, q, unit, np.zeros(11))
        s = state.scalars
        s[EPS] = np.finfo(dtype).eps
        s[TARGET] = (self._tol(problem) * problem.scale / unit) ** 2
        self._restart(problem, state)
        s[CLAIMED] = s[RR]
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if not s[PROBED]:
            asymmetry, s[NORM] = problem.probe()
            if asymmetry > ASYMMETRY[problem.dtype]:
                return 0, INDEFINITE
            s[PROBED] = 1
        if problem.explicit:
            done, code = _iterate(state, n)
        elif s[ANSWERED]:
            s[ANSWERED] = 0
            done, code = 1, _iterate_once(state)
            if code == RUNNING and n > 1:
                code = NEED_EVAL
        else:
            done, code = 0, NEED_EVAL if n else RUNNING
        return done, BREAKDOWN if code == INDEFINITE and _is_singular(state) else code

    def evaluate(self, problem: Any, state: State) -> None:
        state.q[:] = problem.product(state.p)
        state.scalars[ANSWERED] = 1

    def measure(self, problem: Any, state: State) -> Certificate:
        s = state.scalars
        residual = np.sqrt(s[RR]) * state.unit / problem.scale
        if not residual > 1.01 * self._tol(problem) or s[RR] <= _drift(s):
            return super().measure(problem, state)  # what is claimed, or NaN, is looked at
        return Certificate("global", {"residual": Entry(residual, "|r|_2 / |b|_2")}, residual)

    def tighten(self, problem: Any, state: State) -> bool:
        # Restart from the true residual, as long as that pays.
        before = state.scalars[CLAIMED]
        self._restart(problem, state)
        state.scalars[CLAIMED] = state.scalars[RR]
        return bool(state.scalars[RR] <= 0.25 * before)

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        with np.errstate(over="ignore"):
            x = (state.x * np.float64(state.unit)).astype(problem.dtype)
        return {"x": x, "warm_start": {"x": x}}

    def explain(self, problem: Any, state: State) -> str:
        s = state.scalars
        if not s[PROBED]:
            where = problem.asymmetric_entry()
            if where is None:
                return "A is not symmetric."
            i, j = where
            A = problem.A
            return f"A is not symmetric: A[{i}, {j}] = {A[i, j]:g} but A[{j}, {i}] = {A[j, i]:g}."
        if not np.isfinite(s[CURVATURE]):
            return "A product with A is not finite."
        if s[CURVATURE] > 0 or _is_singular(state):
            return "A is singular along a direction in which b has a part."
        if problem.explicit and problem.A.diagonal().min() < 0:
            i = int(problem.A.diagonal().argmin())
            return f"A is not positive definite: A[{i}, {i}] = {problem.A[i, i]:g}."
        return "A is not positive definite: a direction p has p'A p <= 0."

    def work(self, problem: Any) -> float:
        return problem.nnz + 10.0 * problem.size

    def _tol(self, problem: Any) -> float:
        return self.tol if self.tol is not None else problem.default_tol

    def _restart(self, problem: Any, state: State) -> None:
        """Residual from the data and the direction of steepest descent."""
        r = problem.b
        if state.x.any():
            r = problem.residual(state.x * np.float64(state.unit))
        state.r[:] = r / state.unit
        state.p[:] = state.d * state.r
        s = state.scalars
        with np.errstate(over="ignore"):
            s[RZ], s[RR] = np.dot(state.r, state.p), np.dot(state.r, state.r)
            s[PP], s[XX] = np.dot(state.p, state.p), np.dot(state.x, state.x)


def _is_singular(state: State) -> bool:
    """Whether A p is nothing but rounding for the direction at hand."""
    s = state.scalars
    return bool(np.linalg.norm(state.q) <= np.sqrt(s[EPS] * s[PP]) * s[NORM])


@kernel
def _iterate(state, n):
    for k in range(n):
        code = _step(state, multiply_dot(state.A, state.p, state.q))
        if code != RUNNING:
            return k + (code == DONE), code
    return n, RUNNING


@kernel
def _iterate_once(state):
    """One iteration from a product q = A p made elsewhere."""
    return _step(state, dot(state.p, state.q))


@inner
def _step(state, curvature):
    """One iteration from q = A p and p'A p; a code."""
    s = state.scalars
    s[CURVATURE] = curvature
    if not curvature > 0:
        return INDEFINITE if curvature <= 0 else BREAKDOWN
    before = s[RZ]
    step = before / curvature
    alpha = state.x.dtype.type(step)
    # A leap out of scale that does not help: p is in the null space but for rounding.
    if s[EPS] * step * step * s[PP] > max(s[XX], s[RR] / (s[NORM] * s[NORM])):
        if not _square_after(state, alpha) <= 0.25 * s[RR]:
            return BREAKDOWN
    s[RZ], s[RR], s[XX] = _move(state, alpha)
    s[PP] = _turn(state, state.x.dtype.type(s[RZ] / before))
    return DONE if s[RR] <= max(s[TARGET], _drift(s)) else RUNNING


@inner(reduction=True)
def _move(state, alpha):
    """x += alpha p and r -= alpha q; returns r'D r, r'r and x'x."""
    x, r, p, q, d = state.x, state.r, state.p, state.q, state.d
    rz, rr, xx = 0.0, 0.0, 0.0
    for i in range(x.size):
        x[i] += alpha * p[i]
        xx += x[i] * x[i]
        t = r[i] - alpha * q[i]
        r[i] = t
        rz += t * d[i] * t
        rr += t * t
    return rz, rr, xx


@inner(reduction=True)
def _turn(state, beta):
    """p = D r + beta p; returns p'p."""
    r, p, d = state.r, state.p, state.d
    pp = 0.0
    for i in range(p.size):
        p[i] = d[i] * r[i] + beta * p[i]
        pp += p[i] * p[i]
    return pp


@inner(reduction=True)
def _square_after(state, alpha):
    """|r - alpha q|^2."""
    rr = 0.0
    for i in range(state.r.size):
        t = state.r[i] - alpha * state.q[i]
        rr += t * t
    return rr


@kernel
def _drift(s):
    """Square of a residual so small, next to A x, that the recursion for it means nothing."""
    drift = 0.01 * s[EPS] * s[NORM] * np.sqrt(s[XX])
    return drift * drift if drift < np.inf else 0.0
