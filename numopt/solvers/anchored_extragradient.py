"""Extragradient methods for monotone inclusions, anchored and plain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core import generic  # noqa: F401 - what compiled resolvents call
from numopt.core.engine import DONE, INDEFINITE, NEED_EVAL, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate
from numopt.core.stubs import prox_into
from numopt.core.validate import require_choice, require_positive
from numopt.linalg.vector import copy_into
from numopt.operators import _kernels  # noqa: F401 - what compiled operators call
from numopt.operators._base import apply_into
from numopt.penalties.quadratic import Zero
from numopt.solvers._parts.maps import slope
from numopt.solvers._parts.restarts import choose, is_due, rate_of

# Rows of State.vectors: z_k and F(z_k), the half step and F there, u_k, the anchor, the point that
# goes into the resolvent, the last z and F(z).
Z, FZ, HALF, F_HALF, U, ANCHOR, POINT, OLD, F_OLD = range(9)
# Places in State.scalars: iterations since the anchor was set and in all, L, the present step, the
# norm of an element of (F + G)(z) now, before and right after the anchor was set, whether an
# iteration was done in Python; whether the anchor is left out at present, and how fast, in logs
# per iteration, the residual fell with and without it; the residual that meets the certificate; the
# steepest slope of F since the anchor was set.
(
    K, TOTAL, LIPSCHITZ, STEP, RES, LAST, FIRST, PHASE, FREE, RATE, RATE_FREE, TARGET, STEEPEST
) = range(13)  # fmt: skip
SCHEMES = ("auto", "feg", "eag", "eag-c", "eag-v", "eg", "forb")
FEG, EAG, EAG_C, EAG_V, EG, FORB = range(1, 7)
# Steps times L.
STEPS = {FEG: 1.0, EAG: 0.5, EAG_C: 0.125, EAG_V: 0.618, EG: 0.7, FORB: 0.45}
# An estimated L is multiplied by the first at most where it turns out too small; at restarts it
# falls to this share at most, and to this multiple of the steepest slope seen. What exceeds it by
# the last makes a step void.
RAISE, FALL, ABOVE, VOID = 4.0, 0.25, 1.1, 2.0


class State(NamedTuple):
    """What an iteration needs."""

    F: Any  # compiled operator, None for one in Python
    G: Any  # compiled penalty or set
    vectors: np.ndarray  # see the names above
    scalars: np.ndarray
    scheme: int
    estimated: bool  # whether L is not known
    restarts: bool
    compares: bool  # whether phases without anchor are tried
    free: bool  # whether G = 0


@dataclass(frozen=True, kw_only=True)
class AnchoredExtragradient(Solver):
    r"""Extragradient methods for 0 in F(z) + G(z) with monotone, L-Lipschitz F.

    With the resolvent J of G, weights :math:`\beta_k = 1/(k+1)` and the anchor z_0,

    .. math::
       u_k = \beta_k z_0 + (1 - \beta_k) z_k, \quad
       z_{k + 1/2} = J_e(u_k - e' F(z_k)), \quad
       z_{k+1} = J_e(u_k - e F(z_{k + 1/2}))

    Parameters
    ----------
    scheme : {"auto", "feg", "eag", "eag-c", "eag-v", "eg", "forb"}
        "feg", the fast extragradient method: e = 1/L, e' = :math:`(1 - \beta_k) e`, for G = 0;
        "eag": e = e' = 1/(2L), with projections in both halves; "eag-c" and "eag-v": the steps
        1/(8L) and 0.618/L falling, weights 1/(k+2), whose bounds are proven for G = 0. Without
        anchor: "eg", extragradient with 0.7/L, and "forb", forward-reflected-backward,
        :math:`z_{k+1} = J_e(z_k - e (2 F(z_k) - F(z_{k-1})))` with 0.45/L, which evaluates F
        once. "auto" is "feg" for G = 0, else "eag", and from one restart to the next "eg" where
        that has been faster, as it is on strongly monotone problems.
    step : float, optional
        The step e. By default it follows from the `lipschitz` of the problem; where that is not
        given, from an estimate along the iterates, often far below the global constant.
    restart : {"adaptive", "none"}
        "adaptive" moves the anchor to z_k where the residual has fallen to a fifth, or to half and
        rises, and after long phases: linear convergence on sharp problems, as bilinear ones.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration is two evaluations of F ("forb": one), and up to two resolvents. An estimated L is
    raised where it proves too small, and the anchor set anew. Without restarts
    :math:`\|F(z_k)\|^2` is at most :math:`4 L^2 D^2 / k^2` for "feg",
    :math:`260 L^2 D^2 / (k+1)^2` for "eag-c" and :math:`27 L^2 D^2 / ((k+1)(k+2))` for "eag-v",
    D being the distance of the start to a solution: optimal but for the factor. "eg" and
    "forb" reach :math:`O(1/\sqrt k)`.

    References
    ----------
    T. Yoon, E. K. Ryu, "Accelerated algorithms for smooth convex-concave minimax problems with
    O(1/k^2) rate on squared gradient norm", ICML 2021, arXiv:2102.07922.
    S. Lee, D. Kim, "Fast extra gradient methods for smooth structured nonconvex-nonconcave minimax
    problems", NeurIPS 2021, arXiv:2106.02326.
    Y. Cai, A. Oikonomou, W. Zheng, "Accelerated algorithms for constrained nonconvex-nonconcave
    min-max optimization and comonotone inclusion", 2022, arXiv:2206.05248.
    Y. Malitsky, M. K. Tam, "A forward-backward splitting method for monotone inclusions without
    cocoercivity", SIAM J. Optim. 30, 2020, doi:10.1137/18M1207260.

    Examples
    --------
    >>> from numopt.operators import Saddle
    >>> from numopt.problems import MonotoneInclusion
    >>> from numopt.solvers import AnchoredExtragradient
    >>> F = Saddle([[1.0]], c=[-1.0], b=[2.0])  # min_x max_y x y - x - 2 y
    >>> result = AnchoredExtragradient().solve(MonotoneInclusion(F, [0.0, 0.0]))
    >>> result.x.round(6).tolist()
    [2.0, 1.0]
    """

    name: ClassVar[str] = "anchored-extragradient"
    accepts: ClassVar[tuple[str, ...]] = ("MonotoneInclusion",)
    patience: ClassVar[int] = 20_000

    scheme: str = "auto"
    step: float | None = None
    restart: str = "adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.scheme, SCHEMES, "scheme")
        require_choice(self.restart, ("adaptive", "none"), "restart")
        if self.step is not None:
            require_positive(self.step, "step")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        z = problem.z0 if x0 is None else problem.point(x0, name)
        scheme = SCHEMES.index(self.scheme)
        if self.scheme == "auto":
            scheme = EAG if problem.constrained else FEG
        if scheme in (FEG, EAG_C, EAG_V) and problem.constrained:
            raise ValueError(
                f"scheme {self.scheme!r} is for problems without constraints and penalties; take "
                "'eag', 'eg' or 'forb'"
            )
        vectors, scalars = np.zeros((9, z.size)), np.zeros(13)
        vectors[[Z, ANCHOR, OLD]] = z
        vectors[FZ] = vectors[F_OLD] = problem.apply(z)
        known = problem.lipschitz if self.step is None else STEPS[scheme] / self.step
        scalars[LIPSCHITZ] = slope(problem, z) if known is None else known
        scalars[STEP] = STEPS[scheme] / scalars[LIPSCHITZ]
        scalars[[RES, FIRST, RATE, RATE_FREE]] = np.inf
        # That of an element of (F + G)(z) is no less than the natural residual.
        scalars[TARGET] = problem.scale * (problem.default_tol if self.tol is None else self.tol)
        F = G = None
        if problem.compiled:
            F, G = problem.F.spec(), (Zero() if problem.G is None else problem.G).spec()
        restarts = self.restart == "adaptive" and scheme not in (EG, FORB)
        compares = restarts and self.scheme == "auto"
        how = known is None, restarts, compares, not problem.constrained
        return State(F, G, vectors, scalars, scheme, *how)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if problem.monotone is False:
            return 0, INDEFINITE
        if state.F is not None:
            F, G, vectors, scalars, *how = state
            done = _sweep(F, G, vectors, scalars, *how, n)
            problem.count(done * (1 if state.scheme == FORB else 2))
            return done, RUNNING if done == n else DONE
        if not s[PHASE]:
            return 0, NEED_EVAL if n else RUNNING
        s[PHASE] = 0
        if s[RES] <= s[TARGET]:
            return 1, DONE
        return 1, NEED_EVAL if n > 1 else RUNNING

    def evaluate(self, problem: Any, state: State) -> None:
        _, _, vectors, scalars, scheme, estimated, restarts, compares, _ = state
        _begin(vectors, scalars, scheme, estimated, restarts, compares)
        if scheme != FORB:
            vectors[HALF] = problem.resolve(vectors[POINT].copy(), scalars[STEP])
            vectors[F_HALF] = problem.apply(vectors[HALF])
            _continue(vectors, scalars)
        vectors[Z] = problem.resolve(vectors[POINT].copy(), scalars[STEP])
        if scheme == FORB or _accept(vectors, scalars, estimated):
            vectors[FZ] = problem.apply(vectors[Z])
            _conclude(vectors, scalars, scheme, estimated, state.free)
        scalars[PHASE] = 1

    def tighten(self, problem: Any, state: State) -> bool:
        return True  # the target was met but for rounding: go on

    def measure(self, problem: Any, state: State) -> Certificate:
        z = state.vectors[Z]
        w = problem.resolve(z - state.vectors[FZ], 1.0)
        return problem.certified(float(np.linalg.norm(z - w)))

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        z = state.vectors[Z]
        return {"x": z, "lipschitz": float(state.scalars[LIPSCHITZ]), "warm_start": {"x": z}}

    def explain(self, problem: Any, state: State) -> str:
        return "F is not monotone: its matrix has a negative symmetric part."

    def work(self, problem: Any) -> float:
        return 2.0 * getattr(problem.F, "nnz", 0) + 30.0 * problem.size


@kernel
def _sweep(F, G, vectors, scalars, scheme, estimated, restarts, compares, free, n):
    for k in range(n):
        _begin(vectors, scalars, scheme, estimated, restarts, compares)
        if scheme != FORB:
            prox_into(G, vectors[POINT], scalars[STEP], vectors[HALF])
            apply_into(F, vectors[HALF], vectors[F_HALF])
            _continue(vectors, scalars)
        prox_into(G, vectors[POINT], scalars[STEP], vectors[Z])
        if scheme != FORB and not _accept(vectors, scalars, estimated):
            continue
        apply_into(F, vectors[Z], vectors[FZ])
        _conclude(vectors, scalars, scheme, estimated, free)
        if scalars[RES] <= scalars[TARGET]:
            return k + 1
    return n


@kernel
def _begin(vectors, scalars, scheme, estimated, restarts, compares):
    """Up to the first resolvent: u_k and the point that goes into it."""
    z, fz = vectors[Z], vectors[FZ]
    u, anchor, point = vectors[U], vectors[ANCHOR], vectors[POINT]
    if (
        restarts
        and scalars[K] > 0
        and is_due(scalars[RES], scalars[FIRST], scalars[LAST], scalars[K], scalars[TOTAL])
    ):
        if compares:
            mine, other = (RATE_FREE, RATE) if scalars[FREE] else (RATE, RATE_FREE)
            scalars[mine] = rate_of(scalars[FIRST], scalars[RES], scalars[K])
            change, scalars[other] = choose(scalars[mine], scalars[other])
            scalars[FREE] = 1.0 - scalars[FREE] if change else scalars[FREE]
        copy_into(z, anchor)
        scalars[K] = 0
        if estimated:
            seen = ABOVE * scalars[STEEPEST]
            scalars[LIPSCHITZ] *= max(FALL, min(seen / scalars[LIPSCHITZ], 1.0))
            scalars[STEEPEST] = 0.0
    if scalars[FREE]:
        scheme = EG
    k, L = scalars[K], scalars[LIPSCHITZ]
    beta = 0.0
    if scheme == FEG or scheme == EAG:
        beta = 1.0 / (k + 1.0)
    elif scheme == EAG_C or scheme == EAG_V:
        beta = 1.0 / (k + 2.0)
    _set_step(scalars, scheme, k, L)
    step = scalars[STEP]
    first = (1.0 - beta) * step if scheme == FEG else step
    if scheme == FORB:
        old = vectors[F_OLD]
        for i in range(z.size):
            point[i] = z[i] - step * (2.0 * fz[i] - old[i])
    else:
        for i in range(z.size):
            u[i] = z[i] + beta * (anchor[i] - z[i])
            point[i] = u[i] - first * fz[i]
    copy_into(z, vectors[OLD])
    copy_into(fz, vectors[F_OLD])


@inner
def _set_step(scalars, scheme, k, L):
    """The step of iteration k."""
    if scheme == EAG_V:
        if k == 0:
            scalars[STEP] = 0.618 / L
        else:  # from that of iteration k - 1
            square = (scalars[STEP] * L) ** 2
            scalars[STEP] *= 1.0 - square / (k * (k + 2.0) * (1.0 - square))
        return
    if scheme == FEG:
        scalars[STEP] = 1.0 / L
    elif scheme == EAG:
        scalars[STEP] = 0.5 / L
    elif scheme == EAG_C:
        scalars[STEP] = 0.125 / L
    elif scheme == EG:
        scalars[STEP] = 0.7 / L
    else:
        scalars[STEP] = 0.45 / L


@kernel
def _continue(vectors, scalars):
    """From F at the half step to the point that goes into the second resolvent."""
    u, point, f_half, step = vectors[U], vectors[POINT], vectors[F_HALF], scalars[STEP]
    for i in range(u.size):
        point[i] = u[i] - step * f_half[i]


@kernel
def _accept(vectors, scalars, estimated):
    """Whether the step was not too long; else iteration k starts again, from a new anchor.

    What counts is how F changes along z_{k+1} - z_{k+1/2}: a change that the constraints take back,
    as that of a constant on a simplex, does not.
    """
    if not estimated:
        return True
    z, old, half = vectors[Z], vectors[OLD], vectors[HALF]
    f_old, f_half = vectors[F_OLD], vectors[F_HALF]
    change, first, second = 0.0, 0.0, 0.0
    for i in range(z.size):
        d = half[i] - z[i]
        change += (f_half[i] - f_old[i]) * d
        first += (half[i] - old[i]) ** 2
        second += d * d
    size = np.sqrt(first) * np.sqrt(second)
    if _learn(change / size if size > 0 else 0.0, scalars) > 1:
        _give_up(vectors, scalars)
        return False
    return True


@inner
def _give_up(vectors, scalars):
    """Back to z_k, which is the anchor from now on."""
    copy_into(vectors[OLD], vectors[Z])
    copy_into(vectors[F_OLD], vectors[FZ])
    copy_into(vectors[OLD], vectors[ANCHOR])
    scalars[TOTAL] += 1
    scalars[K] = 0


@kernel
def _conclude(vectors, scalars, scheme, estimated, free):
    """Take in z_{k+1} and F there: the residual, and whether L was right."""
    z, fz = vectors[Z], vectors[FZ]
    excess = 0.0
    if estimated and (free or scheme == FORB):
        other, f_other = (OLD, F_OLD) if scheme == FORB else (HALF, F_HALF)
        excess = _learn(_slope(z, fz, vectors[other], vectors[f_other]), scalars)
        if excess > VOID:
            _give_up(vectors, scalars)
            return
    scalars[TOTAL] += 1
    # (point - z) / step is an element of G(z).
    scalars[LAST] = scalars[RES]
    scalars[RES] = _element(z, fz, vectors[POINT], scalars[STEP])
    scalars[K] += 1
    if scalars[K] == 1:
        scalars[FIRST] = scalars[RES]
    if excess > 1:
        copy_into(z, vectors[ANCHOR])
        scalars[K] = 0


@inner
def _learn(slope, scalars):
    """Raise L where a slope of F exceeds it; by what factor it does, 0 if it does not."""
    excess = slope / scalars[LIPSCHITZ]
    if not excess <= 1.0 + 1e-10:  # also what is not finite
        scalars[LIPSCHITZ] *= min(RAISE, 1.2 * excess) if excess < np.inf else RAISE
        return excess if excess == excess else np.inf
    scalars[STEEPEST] = max(scalars[STEEPEST], slope)
    return 0.0


@inner(reduction=True)
def _slope(a, fa, b, fb):
    """|F(a) - F(b)| / |a - b|."""
    change, distance = 0.0, 0.0
    for i in range(a.size):
        change += (fa[i] - fb[i]) ** 2
        distance += (a[i] - b[i]) ** 2
    return np.sqrt(change / distance) if distance > 0 else 0.0


@inner(reduction=True)
def _element(z, fz, point, step):
    """|F(z) + (point - z) / step|."""
    total = 0.0
    for i in range(z.size):
        total += (fz[i] + (point[i] - z[i]) / step) ** 2
    return np.sqrt(total)
