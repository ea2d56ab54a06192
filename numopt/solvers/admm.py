"""Alternating direction method of multipliers with a cached factorisation."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.engine import BREAKDOWN, DONE, GROW, RUNNING, Solver
from numopt.core.generic import correlate, predict, prox_into
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate
from numopt.core.validate import require_positive
from numopt.linalg.cholesky import cholesky_solve_into
from numopt.linalg.vector import dot
from numopt.losses import LeastSquares
from numopt.solvers._composite import start_point

# Places in State.scalars.
(
    RHO, RHO_NEXT, CHANGES, MOST_CHANGES, LOW, HIGH, COUNT, CURVATURE, ERROR, TARGET, MEASURED,
) = range(11)  # fmt: skip

# rho is looked at every so many iterations, changed so often and by such a factor at most.
EVERY, CHANGES_LIMIT, LARGEST_FACTOR = 10, 50, 100.0
# Largest Gram matrix that is made dense from sparse data.
DENSE_LIMIT = 5000


class Quadratic(NamedTuple):
    """Least squares |B x - t|^2 / 2 as its prox needs it, B = S^(1/2) (A - 1 a')."""

    gram: np.ndarray  # B'B if A is tall, else B B'
    linear: np.ndarray  # B't if A is tall, else t
    root: np.ndarray  # n, square roots of the sample weights s
    mean: np.ndarray  # p, weighted column means a of A; zeros without an intercept
    level: float  # weighted mean of the targets; 0 without an intercept


class ProxQuadratic(NamedTuple):
    """The x-step, compiled form."""

    X: Any  # A, lowered
    L: np.ndarray  # Cholesky factor of gram + rho I
    linear: np.ndarray
    root: np.ndarray
    mean: np.ndarray
    e: np.ndarray  # n, scratch
    tall: bool  # whether A has at least as many rows as columns


class State(NamedTuple):
    """What an iteration needs."""

    f: ProxQuadratic  # prox of the loss
    penalty: Any  # Spec of the penalty
    x: np.ndarray  # minimiser of loss and coupling
    z: np.ndarray  # ... of penalty and coupling: the point returned
    z_old: np.ndarray  # z of the iteration before
    u: np.ndarray  # scaled multiplier, rho u in the subdifferential of the penalty at z
    v: np.ndarray  # argument of the prox at hand
    scalars: np.ndarray  # see the names above


@dataclass(frozen=True, kw_only=True)
class ADMM(Solver):
    r"""Alternating direction method of multipliers for least squares with a penalty.

    Splits :math:`f(x) + \phi(z)`, x = z, with the scaled multiplier u and over-relaxation a:

    .. math::
       x_{k+1} &= \mathrm{prox}_{f / \rho}(z_k - u_k) \\
       z_{k+1} &= \mathrm{prox}_{\phi / \rho}(h + u_k), \qquad h = a x_{k+1} + (1 - a) z_k \\
       u_{k+1} &= u_k + h - z_{k+1}

    The first step solves with a Cholesky factor of :math:`A^T S A + \rho I`, or of
    :math:`A A^T + \rho I` if A has more columns than rows, made once for each :math:`\rho` and
    kept with the problem. An intercept is eliminated by weighted centring. Every 10 iterations
    :math:`\rho` is moved by the ratio of the relative primal and dual residuals if that is off by
    more than 10, at most 50 times. The point returned is z: it satisfies the penalty's
    constraints and has exact zeros.

    Parameters
    ----------
    rho : float, optional
        First penalty parameter; the mean squared column norm of :math:`S^{1/2} A` if not given.
    relaxation : float, default 1.6
        Over-relaxation a, in (0, 2).
    adaptive : bool, default True
        Whether to adapt rho; it stays fixed for nonconvex penalties, which would make it cycle.
    **limits
        See `Solver`.

    Notes
    -----
    The loss has to be `LeastSquares`. Converges for convex penalties and any rho, the rate being
    linear once the active set of a polyhedral penalty is found; for nonconvex penalties a small
    rho can fail to converge. With m = min(n, p), a factor costs :math:`m^3 / 3` multiplications
    and an iteration :math:`2 m^2`, with two products with A more if p > n.

    References
    ----------
    S. Boyd, N. Parikh, E. Chu, B. Peleato, J. Eckstein, "Distributed optimization and statistical
    learning via the alternating direction method of multipliers", Found. Trends Mach. Learn. 3,
    2011, doi 10.1561/2200000016.
    B. Wohlberg, "ADMM penalty parameter selection by residual balancing", 2017, arXiv 1704.06209.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Composite
    >>> from numopt.solvers import ADMM
    >>> result = ADMM().solve(Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5)))
    >>> result.x.round(6).tolist()
    [0.0, 1.0]
    """

    name: ClassVar[str] = "admm"
    accepts: ClassVar[tuple[str, ...]] = ("Composite",)
    needs: ClassVar[dict[str, tuple[str, ...]]] = {
        "penalty": ("prox_1d|prox_into|prox|project",),
    }

    rho: float | None = None
    relaxation: float = 1.6
    adaptive: bool = True

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.rho is not None:
            require_positive(self.rho, "rho")
        require_positive(self.relaxation, "relaxation")
        if not self.relaxation < 2:
            raise ValueError(f"relaxation must lie in (0, 2), got {self.relaxation!r}")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if not isinstance(problem.loss, LeastSquares):
            raise TypeError(
                f"ADMM takes the loss LeastSquares, got {type(problem.loss).__name__}; "
                "use ProximalGradient"
            )
        n, p = problem.A.shape
        dtype = problem.dtype
        quadratic = _quadratic(problem)
        # Mean eigenvalue of B'B; a rho far from it drowns one term in the rounding of the other.
        size = float(np.trace(quadratic.gram)) / max(p, 1) or 1.0
        span = float(np.finfo(dtype).eps) ** 0.5
        scalars = np.zeros(11)
        scalars[LOW], scalars[HIGH] = span * size, size / span
        scalars[RHO] = warm.get("rho", self.rho or size)
        scalars[CURVATURE] = float(np.linalg.norm(quadratic.gram))
        # The error bound that iterations go by is often a hundred times too large.
        scalars[TARGET] = 100 * self._tol(problem) * problem.scales()[0]
        # For nonconvex penalties a falling rho makes the iterates cycle.
        scalars[MOST_CHANGES] = CHANGES_LIMIT if self.adaptive and problem.penalty.convex else 0
        L = self._factor(problem, scalars)
        f = ProxQuadratic(problem.lowered().X, L, *quadratic[1:4], np.zeros(n, dtype), p <= n)
        x, z, z_old, u, v = np.zeros((5, p), dtype)
        state = State(f, problem.penalty.spec(dtype), x, z, z_old, u, v, scalars)
        z[:] = start_point(problem, x0, warm)[:p]
        # The multiplier with which a solution is a fixed point.
        prediction = problem.predict(z, self._intercept(problem, state))
        u[:] = problem.A.T @ problem.loss.gradient(prediction).astype(dtype) / -scalars[RHO]
        return state

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        return _iterate(state, n, state.x.dtype.type(self.relaxation))

    def grow(self, problem: Any, state: State) -> State:
        s = state.scalars
        before, s[RHO] = s[RHO], s[RHO_NEXT]
        s[CHANGES] += 1
        L = self._factor(problem, s)
        state.u[:] *= before / s[RHO]
        return state._replace(f=state.f._replace(L=L))

    def measure(self, problem: Any, state: State) -> Certificate:
        certificate = super().measure(problem, state)
        state.scalars[MEASURED] = certificate.worst(self._tol(problem))
        return certificate

    def tighten(self, problem: Any, state: State) -> bool:
        # Ask for the bound that goes with the tolerance, by what was measured at this one.
        s = state.scalars
        s[TARGET] = s[ERROR] * min(max(0.9 / s[MEASURED], 1e-3), 0.5)
        return bool(s[TARGET] > 1e-3 * np.finfo(problem.dtype).eps * problem.scales()[0])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        rho = float(state.scalars[RHO])
        warm = {"x": state.z, "rho": rho}
        point = {"x": state.z, "rho": rho, "rho_changes": int(state.scalars[CHANGES])}
        if problem.fit_intercept:
            point["intercept"] = warm["intercept"] = self._intercept(problem, state)
        return {**point, "warm_start": warm}

    def work(self, problem: Any) -> float:
        n, p = problem.A.shape
        return p * (p + 10.0) if p <= n else n * (n + 10.0) + 2.0 * problem.nnz + 10.0 * p

    def _tol(self, problem: Any) -> float:
        return self.tol if self.tol is not None else problem.default_tol

    def _intercept(self, problem: Any, state: State) -> float:
        quadratic = _quadratic(problem)
        return quadratic.level - float(quadratic.mean.astype(np.float64) @ state.z)

    def _factor(self, problem: Any, scalars: np.ndarray) -> np.ndarray:
        """Cholesky factor of gram + rho I; rho is raised if that is singular to rounding."""
        gram = _quadratic(problem).gram
        known = problem.cached("admm factor", _data(problem), dict)
        L = known.get(scalars[RHO])
        while L is None:
            shifted = gram.copy(order="F")
            shifted[np.diag_indices_from(shifted)] += scalars[RHO]
            try:
                L = scipy.linalg.cholesky(shifted, lower=True, overwrite_a=True, check_finite=False)
            except scipy.linalg.LinAlgError:
                scalars[RHO] = max(10 * scalars[RHO], scalars[LOW])
            else:
                known.clear()  # one factor at a time
                known[scalars[RHO]] = L
        return L


def _data(problem: Any) -> tuple[Any, ...]:
    return problem.loss, problem.A, problem.fit_intercept


def _quadratic(problem: Any) -> Quadratic:
    return problem.cached("quadratic", _data(problem), lambda: _build(problem))


def _build(problem: Any) -> Quadratic:
    A, loss, dtype = problem.A, problem.loss, problem.dtype
    n, p = A.shape
    if sp.issparse(A) and min(n, p) > DENSE_LIMIT:
        raise ValueError(
            f"A is sparse with shape {A.shape}: ADMM would factor a dense matrix of order "
            f"{min(n, p)} > {DENSE_LIMIT}; use ProximalGradient"
        )
    weight = loss.scale()
    root = np.sqrt(weight)
    target = loss.y - loss.shift()
    mean, level = np.zeros(p), 0.0
    if problem.fit_intercept:
        mean, level = A.T @ weight, float(weight @ target)
    target = root * (target - level)
    if sp.issparse(A):
        B = sp.diags_array(root) @ A
        linear = B.T @ target
        # Centring by rank-one terms keeps A sparse.
        if p <= n:
            gram = (B.T @ B).toarray() - np.outer(mean, mean)
        else:
            cross = np.outer(root, root * (A @ mean))
            gram = (B @ B.T).toarray() - cross - cross.T + np.outer(root, root) * (mean @ mean)
    else:
        B = A - mean.astype(dtype)
        B *= root.astype(dtype)[:, None]
        linear = B.T @ target
        gram = B.T @ B if p <= n else B @ B.T
    linear = linear if p <= n else target
    gram, linear, root, mean = (np.asarray(v, dtype) for v in (gram, linear, root, mean))
    return Quadratic(gram, linear, root, mean, level)


@inner
def _prox_quadratic(f, v, rho, x):
    """x = argmin |B x - t|^2 / 2 + rho |x - v|^2 / 2."""
    if f.tall:
        for j in range(x.size):
            x[j] = f.linear[j] + rho * v[j]
        cholesky_solve_into(f.L, x)
        return
    # x = v + B' (B B' + rho I)^-1 (t - B v)
    e = f.e
    predict(f.X, v, e)
    shift = dot(f.mean, v)
    for i in range(e.size):
        e[i] = f.linear[i] - f.root[i] * (e[i] - shift)
    cholesky_solve_into(f.L, e)
    total = 0.0
    for i in range(e.size):
        e[i] *= f.root[i]
        total += e[i]
    correlate(f.X, e, x)
    for j in range(x.size):
        x[j] += v[j] - total * f.mean[j]


@kernel
def _iterate(state, n, relaxation):
    s = state.scalars
    x, z, u, v = state.x, state.z, state.u, state.v
    rho, step = x.dtype.type(s[RHO]), x.dtype.type(1 / s[RHO])
    for k in range(n):
        for j in range(x.size):
            v[j] = z[j] - u[j]
            state.z_old[j] = z[j]
        _prox_quadratic(state.f, v, rho, x)
        for j in range(x.size):
            v[j] = z[j] + relaxation * (x[j] - z[j]) + u[j]
        prox_into(state.penalty, v, step, z)
        imbalance = _update(state, relaxation)
        s[COUNT] += 1
        if not s[ERROR] < np.inf:
            return k + 1, BREAKDOWN
        if s[ERROR] <= s[TARGET]:
            return k + 1, DONE
        if s[COUNT] % EVERY == 0 and s[CHANGES] < s[MOST_CHANGES]:
            if imbalance > 10 or imbalance < 0.1:  # NaN, as at x = z = 0, is neither
                factor = min(max(np.sqrt(imbalance), 1 / LARGEST_FACTOR), LARGEST_FACTOR)
                s[RHO_NEXT] = min(max(s[RHO] * factor, s[LOW]), s[HIGH])
                if s[RHO_NEXT] != s[RHO]:
                    return k + 1, GROW
    return n, RUNNING


@inner
def _update(state, relaxation):
    """Multiplier and error bound; returns the relative primal residual over the dual one.

    rho u is a subgradient of the penalty at z, so that the distance of the loss' gradient there
    from -rho u bounds the stationarity of z: the dual residual, and at most |B'B|_F |x - z|.
    """
    s = state.scalars
    primal, dual, size_x, size_z, size_u, worst = 0.0, 0.0, 0.0, 0.0, 0.0, 0.0
    for j in range(state.x.size):
        x, z, z_old = state.x[j], state.z[j], state.z_old[j]
        state.u[j] = state.v[j] - z
        primal += (x - z) ** 2
        dual += (z - z_old) ** 2
        size_x += x * x
        size_z += z * z
        size_u += state.u[j] * state.u[j]
        distance = abs((relaxation - 1) * (x - z_old) - (z - z_old))
        if not distance <= worst:
            worst = distance
    s[ERROR] = s[RHO] * worst + s[CURVATURE] * np.sqrt(primal)
    size = max(size_x, size_z)
    return np.sqrt(primal * size_u) / np.sqrt(dual * size)
