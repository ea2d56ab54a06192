"""Restarted reflected Halpern PDHG for matrix games."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core.engine import NEED_EVAL, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate
from numopt.core.validate import require_greater
from numopt.linalg.projections import simplex_into
from numopt.operators import _kernels  # noqa: F401 - what products with sparse matrices call
from numopt.operators.matrices import as_linear
from numopt.solvers._parts.game_simplex import as_payoffs, on_supports
from numopt.solvers._parts.restarts import is_due

# Rows of State.primal (y) and State.dual (x): the iterate z, T(z), the anchor, their products with
# R' and R, the best strategy so far and its product, and space for the point to be projected.
Z, PLUS, ANCHOR, G, G_PLUS, G_ANCHOR, BEST, G_BEST, SPACE = range(9)
# Places in State.scalars.
ETA, WEIGHT, K, TOTAL, FIRST, LAST, INTEGRAL, GAP, PHASE, POLISHED = range(10)
# Iterations between polishing, and choices up to which it is tried.
POLISH, LARGEST = 128, 2000


class State(NamedTuple):
    """What an iteration needs, for payoffs R to the row player; see the names above."""

    R: Any  # block of a dense or sparse matrix; None for operators
    dual: np.ndarray  # x and its company, nine vectors of length m; products are R y
    primal: np.ndarray  # y and its company, nine vectors of length n; products are R'x
    scalars: np.ndarray
    sign: float  # 1 if A is what the row player receives, -1 if it pays


@dataclass(frozen=True, kw_only=True)
class GamePDHG(Solver):
    r"""Restarted reflected Halpern iteration on primal-dual steps, for matrix games.

    For :math:`\min_y \max_x x^T R y` over two simplices, with :math:`\tau \sigma \|R\|^2 < 1`,

    .. math::
       y^+ = P(y - \tau R^T x), \quad x^+ = P(x + \sigma R (2 y^+ - y)), \quad
       z \leftarrow \tfrac{k+1}{k+2} (2 z^+ - z) + \tfrac{1}{k+2} z_0

    where z = (x, y) and the anchor z_0 moves to z^+ at restarts. Of R only the part counts that
    shifts of whole rows and columns leave: the norm is that of R centred in both directions, often
    much smaller. Products with iterates follow from those with z^+ by linearity, so that every
    z^+ has its bounds of the value at no cost; the best one is returned.

    Parameters
    ----------
    polish : bool, default True
        Every `POLISH` iterations, where both players play equally many choices of an explicit A,
        solve the linear equations by which these are indifferent: from the supports of the
        equilibrium on this is exact.
    clamp : float, default 10.0
        The ratio of dual and primal steps, balanced at restarts, stays within [1/clamp, clamp]:
        where a player comes to rest at a pure strategy it would drift away.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration is one product with A and one with its adjoint, and two projections. The residual
    falls as 1/k, and, as games are sharp, linearly with restarts. Iterations stop where the gap
    is at most `tol` relative to half the range of the entries of A, which asks for more than the
    certificate.

    References
    ----------
    H. Lu, J. Yang, "Restarted Halpern PDHG for linear programming", 2024, arXiv:2407.16144.
    H. Lu, Z. Peng, J. Yang, "cuPDLPx: a further enhanced GPU-based first-order solver for linear
    programming", 2025, arXiv:2507.14051.

    Examples
    --------
    >>> from numopt.problems import MatrixGame
    >>> from numopt.solvers import GamePDHG
    >>> result = GamePDHG().solve(MatrixGame([[2.0, 0.0], [0.0, 1.0]]))
    >>> result.x.round(6).tolist(), round(result.value, 6)
    ([0.333333, 0.666667], 0.666667)
    """

    name: ClassVar[str] = "game-pdhg"
    accepts: ClassVar[tuple[str, ...]] = ("MatrixGame",)
    patience: ClassVar[int] = 2000

    polish: bool = True
    clamp: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not isinstance(self.polish, bool):
            raise TypeError(f"polish must be True or False, got {self.polish!r}")
        require_greater(self.clamp, 1.0, "clamp")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        x, y = start(problem, x0, warm)
        dual, primal = np.zeros((9, x.size)), np.zeros((9, y.size))
        sign = 1.0 if problem.payoff == "row" else -1.0
        R = None
        if problem.explicit:
            R = problem.cached("linear", (problem.A,), lambda: as_linear(problem.A)).spec()
        for side, z, product in (
            (dual, x, sign * problem.times(y)),
            (primal, y, sign * problem.adjoint(x)),
        ):
            side[[Z, ANCHOR, BEST]] = z
            side[[G, G_ANCHOR, G_BEST]] = product
        scalars = np.zeros(10)
        scalars[ETA] = 0.998 / problem.coupling
        scalars[WEIGHT] = 1.0
        scalars[GAP] = np.inf  # the start may lie outside the simplices
        return State(R, dual, primal, scalars, sign)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        R, dual, primal, scalars, sign = state
        if R is not None:
            done = 0
            while done < n:
                k = min(n - done, POLISH - int(scalars[TOTAL]) % POLISH)
                _iterate(R, dual, primal, scalars, sign, self.clamp, k)
                done += k
                if self.polish and scalars[TOTAL] % POLISH == 0:
                    _polish(problem, state)
            return n, RUNNING
        if not scalars[PHASE]:
            return 0, NEED_EVAL if n else RUNNING
        scalars[PHASE] = 0
        return 1, NEED_EVAL if n > 1 else RUNNING

    def evaluate(self, problem: Any, state: State) -> None:
        _, dual, primal, scalars, sign = state
        _move_primal(primal, scalars)
        dual[G_PLUS] = sign * problem.times(primal[PLUS])
        _move_dual(dual, scalars)
        primal[G_PLUS] = sign * problem.adjoint(dual[PLUS])
        _conclude(dual, primal, scalars, self.clamp)
        scalars[PHASE] = 1

    def measure(self, problem: Any, state: State) -> Certificate:
        dual, primal, sign = state.dual, state.primal, state.sign
        return problem.strict(dual[BEST], primal[BEST], sign * dual[G_BEST], sign * primal[G_BEST])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        return point(state.dual[BEST], state.primal[BEST])

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        return problem.summary(state.dual[BEST], state.primal[BEST])

    def work(self, problem: Any) -> float:
        return 2.0 * problem.entries + 30.0 * sum(problem.shape)


def _polish(problem: Any, state: State) -> None:
    """Replace the best strategies by those of the linear equations on their supports, if better."""
    _, dual, primal, scalars, sign = state
    rows, columns = np.flatnonzero(dual[BEST]), np.flatnonzero(primal[BEST])
    mark = float(rows.sum() + 1.0 / (2 + columns.sum()))  # of these supports
    if rows.size != columns.size or rows.size > LARGEST or mark == scalars[POLISHED]:
        return
    scalars[POLISHED] = mark
    found = on_supports(as_payoffs(problem.A[np.ix_(rows, columns)], sign))
    if found is None:
        return
    x, y = np.zeros(dual.shape[1]), np.zeros(primal.shape[1])
    x[rows], y[columns] = found
    Ry, Rx = sign * problem.times(y), sign * problem.adjoint(x)
    gap = float(Ry.max() - Rx.min())
    if gap < scalars[GAP]:
        scalars[GAP] = gap
        dual[BEST], dual[G_BEST], primal[BEST], primal[G_BEST] = x, Ry, y, Rx


def start(problem: Any, x0: Any, warm: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Strategies to begin with: given ones, or all choices alike."""
    m, n = problem.shape
    x = warm.get("x", x0)
    y = warm.get("y")
    x = np.full(m, 1.0 / m) if x is None else x
    y = np.full(n, 1.0 / n) if y is None else y
    x, y = problem.strategies(x, y)
    for name, v in (("x", x), ("y", y)):
        if abs(v.sum() - 1) > 1e-6 or v.min() < -1e-6:
            raise ValueError(
                f"the start {name} must be a distribution, entries >= 0 with sum 1; its sum is "
                f"{v.sum():g} and its least entry {v.min():g}"
            )
    return x.copy(), y.copy()


def point(x: np.ndarray, y: np.ndarray) -> dict[str, Any]:
    """Two strategies as results hold them."""
    return {"x": x, "y": y, "warm_start": {"x": x, "y": y}}


@kernel
def _iterate(R, dual, primal, scalars, sign, clamp, n):
    for _ in range(n):
        _move_primal(primal, scalars)
        R.times_into(primal[PLUS], dual[G_PLUS])
        _turn(dual[G_PLUS], sign)
        _move_dual(dual, scalars)
        R.adjoint_into(dual[PLUS], primal[G_PLUS])
        _turn(primal[G_PLUS], sign)
        _conclude(dual, primal, scalars, clamp)


@inner
def _turn(v, sign):
    if sign < 0:
        for i in range(v.size):
            v[i] = -v[i]


@kernel
def _move_primal(primal, scalars):
    """y+ = P(y - tau R'x)."""
    tau = scalars[ETA] / scalars[WEIGHT]
    y, g, space = primal[Z], primal[G], primal[SPACE]
    for j in range(y.size):
        space[j] = y[j] - tau * g[j]
    simplex_into(space, 1.0, 1.0, primal[PLUS])


@kernel
def _move_dual(dual, scalars):
    """x+ = P(x + sigma R (2 y+ - y))."""
    sigma = scalars[ETA] * scalars[WEIGHT]
    x, g, g_plus, space = dual[Z], dual[G], dual[G_PLUS], dual[SPACE]
    for i in range(x.size):
        space[i] = x[i] + sigma * (2.0 * g_plus[i] - g[i])
    simplex_into(space, 1.0, 1.0, dual[PLUS])


@kernel
def _conclude(dual, primal, scalars, clamp):
    """Keep z+ if it is the best, and go on from it by a reflected step or a restart."""
    gap = dual[G_PLUS].max() - primal[G_PLUS].min()
    if gap < scalars[GAP]:
        scalars[GAP] = gap
        for side in (dual, primal):
            _copy(side[PLUS], side[BEST])
            _copy(side[G_PLUS], side[G_BEST])
    w, k = scalars[WEIGHT], scalars[K]
    scalars[TOTAL] += 1
    moved_x, coupled = _moved(dual[PLUS], dual[Z], dual[G_PLUS], dual[G])
    moved_y, _ = _moved(primal[PLUS], primal[Z], primal[G_PLUS], primal[G])
    residual = w * moved_y + moved_x / w - 2.0 * scalars[ETA] * coupled
    residual = np.sqrt(max(residual, 0.0))
    if k == 0:
        scalars[FIRST] = residual
    first, last = scalars[FIRST], scalars[LAST]
    scalars[LAST] = residual
    if k > 0 and is_due(residual, first, last, k, scalars[TOTAL]):
        _balance(dual, primal, scalars, clamp)
        for side in (dual, primal):
            _copy(side[PLUS], side[Z])
            _copy(side[PLUS], side[ANCHOR])
            _copy(side[G_PLUS], side[G])
            _copy(side[G_PLUS], side[G_ANCHOR])
        scalars[K] = 0
        return
    b = 1.0 / (k + 2.0)
    for side in (dual, primal):
        _anchored(side[Z], side[PLUS], side[ANCHOR], b)
        _anchored(side[G], side[G_PLUS], side[G_ANCHOR], b)
    scalars[K] = k + 1


@inner
def _balance(dual, primal, scalars, clamp):
    """Bring the ratio of the steps towards that of the movements since the last restart."""
    moved_x = _distance(dual[PLUS], dual[ANCHOR])
    moved_y = _distance(primal[PLUS], primal[ANCHOR])
    if not (moved_x > 1e-16 and moved_y > 1e-16):
        return
    error = np.log(moved_x / moved_y) - np.log(scalars[WEIGHT])
    scalars[INTEGRAL] = 0.3 * scalars[INTEGRAL] + error
    w = scalars[WEIGHT] * np.exp(0.5 * error + 0.01 * scalars[INTEGRAL])
    scalars[WEIGHT] = min(max(w, 1.0 / clamp), clamp)


@inner
def _copy(v, out):
    for i in range(v.size):
        out[i] = v[i]


@inner
def _anchored(z, plus, anchor, b):
    """z = (1 - b) (2 z+ - z) + b z_0."""
    for i in range(z.size):
        z[i] = (1.0 - b) * (2.0 * plus[i] - z[i]) + b * anchor[i]


@inner(reduction=True)
def _moved(plus, z, g_plus, g):
    """|z+ - z|^2 and (z+ - z)'(g+ - g)."""
    square = product = 0.0
    for i in range(z.size):
        d = plus[i] - z[i]
        square += d * d
        product += d * (g_plus[i] - g[i])
    return square, product


@inner(reduction=True)
def _distance(a, b):
    total = 0.0
    for i in range(a.size):
        total += (a[i] - b[i]) ** 2
    return np.sqrt(total)
