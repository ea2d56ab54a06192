"""Halpern iterations for fixed points of nonexpansive maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import require_choice
from numopt.linalg.vector import copy_into
from numopt.operators._base import apply_into
from numopt.solvers._parts.maps import (
    ANCHOR,
    FIRST,
    FREE,
    LAST,
    PHI,
    RATE,
    RATE_FREE,
    RES,
    TARGET,
    TOTAL,
    TZ,
    K,
    MapSolver,
    State,
    Z,
    note,
    remember,
)
from numopt.solvers._parts.restarts import choose, is_due, rate_of

# Weights beyond this leave nothing of the anchor.
LARGEST = 1e300


@dataclass(frozen=True, kw_only=True)
class Halpern(MapSolver):
    r"""Halpern iteration, anchored at a point, for z = T(z) with nonexpansive T.

    .. math::
       z_{k+1} = \frac{1}{\varphi_{k+1}} z_0 + \Bigl(1 - \frac{1}{\varphi_{k+1}}\Bigr) N(z_k),
       \qquad \varphi_{k+1} = 1 + \varphi_k / c^2, \quad \varphi_0 = 1

    with N = T, or the map that T averages (`FixedPoint` with ``averaged``), and c the contraction
    constant: for c = 1 the weights are 1/(k+2), for c < 1 this is the optimal method (OC-Halpern).
    A monotone inclusion with cocoercive F (`MonotoneInclusion` with ``cocoercive=True``) is solved
    by its forward-backward map with step 1/L; an L that is not known is estimated, and doubled
    whenever the map turns out to expand.

    Parameters
    ----------
    anchoring : {"plain", "adaptive"}
        "adaptive": :math:`\varphi_{k+1} = 2 \langle z_k - N z_k, z_0 - z_k \rangle / \|z_k - N
        z_k\|^2 + 2` where that is at least k + 2, as it is for nonexpansive maps; it adapts to
        maps that contract.
    restart : {"adaptive", "none"}
        "adaptive" moves the anchor to T(z_k) where the residual has fallen to a fifth, or to
        half and rises, and after long phases: linear convergence where the distance to the fixed
        points is bounded by a multiple of the residual. From one restart to the next the anchor is
        left out where averaged iterations have been faster. Contractions (c < 1) need none.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration is one evaluation of T. Without restarts :math:`\|z_k - T z_k\| \le
    2 \|z_0 - z_*\| / (k + 1)` for every fixed point z_*, which no method can improve; for c < 1
    :math:`(1 + c) \|z_0 - z_*\| / \sum_{i \le k} c^{-i}`.

    The result also has ``displacement``, z - T(z), and ``consistent``. If T has no fixed point,
    the former tends to the shortest vector in the closure of the range of I - T, and so does
    :math:`2 (z_0 - z_k) / (k + 1)`; where both have come to rest and agree, ``consistent`` is
    False. That is what iterations show, no proof; True where the residual met the tolerance, else
    None.

    References
    ----------
    F. Lieder, "On the convergence rate of the Halpern-iteration", Optim. Lett. 15, 2021,
    doi:10.1007/s11590-020-01617-9.
    J. Park, E. K. Ryu, "Exact optimal accelerated complexity for fixed-point iterations", ICML
    2022, arXiv:2201.11413.
    J. Park, E. K. Ryu, "Accelerated infeasibility detection of constrained optimization and
    fixed-point iterations", ICML 2023, arXiv:2303.15876.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import FixedPoint
    >>> from numopt.solvers import Halpern
    >>> turn = np.array([[0.0, -1.0], [1.0, 0.0]])
    >>> result = Halpern().solve(FixedPoint(lambda z: turn @ z + [2.0, 0.0], [5.0, 0.0]))
    >>> result.x.round(6).tolist(), result.consistent
    ([1.0, 1.0], True)
    """

    name: ClassVar[str] = "halpern"

    anchoring: str = "plain"
    restart: str = "adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.anchoring, ("plain", "adaptive"), "anchoring")
        require_choice(self.restart, ("adaptive", "none"), "restart")

    def move(self, state: State) -> None:
        _move(state.vectors, state.scalars, state.averaged, state.contraction, *self._how(state))

    def sweep(self, state: State, n: int) -> int:
        return _sweep(
            state.T, state.vectors, state.scalars, state.averaged, state.contraction,
            *self._how(state), n,
        )  # fmt: skip

    def _how(self, state: State) -> tuple[bool, bool]:
        return self.anchoring == "adaptive", self.restart == "adaptive" and state.contraction == 1

    def drift(self, state: State) -> np.ndarray:
        away, k = state.vectors[ANCHOR] - state.vectors[Z], state.scalars[K]
        if state.scalars[FREE]:
            return away / (k * (1.0 if state.averaged < 1 else 0.5))
        return 2.0 * state.averaged / (k + 1.0) * away


@kernel
def _sweep(T, vectors, scalars, averaged, contraction, adaptive, restarts, n):
    for k in range(n):
        _move(vectors, scalars, averaged, contraction, adaptive, restarts)
        apply_into(T, vectors[Z], vectors[TZ])
        note(vectors, scalars, averaged)
        if scalars[RES] <= scalars[TARGET]:
            return k + 1
    return n


@kernel
def _move(vectors, scalars, averaged, contraction, adaptive, restarts):
    """One iteration, up to the evaluation of T."""
    z, image, anchor = vectors[Z], vectors[TZ], vectors[ANCHOR]
    k = scalars[K]
    remember(vectors)
    scalars[TOTAL] += 1
    if (
        restarts
        and k > 0
        and is_due(scalars[RES], scalars[FIRST], scalars[LAST], k, scalars[TOTAL])
    ):
        mine, other = (RATE_FREE, RATE) if scalars[FREE] else (RATE, RATE_FREE)
        scalars[mine] = rate_of(scalars[FIRST], scalars[RES], k)
        change, scalars[other] = choose(scalars[mine], scalars[other])
        scalars[FREE] = 1.0 - scalars[FREE] if change else scalars[FREE]
        copy_into(image, z)
        copy_into(image, anchor)
        scalars[K], scalars[PHI] = 0, 1.0
        return
    if scalars[FREE]:
        weight = 1.0 if averaged < 1.0 else 0.5
        for i in range(z.size):
            z[i] += weight * (image[i] - z[i])
        scalars[K] = k + 1
        return
    phi = 1.0 + scalars[PHI] / (contraction * contraction)
    if adaptive:
        inner_product, square = _products(z, image, anchor, averaged)
        if square > 0 and 2.0 * inner_product / square + 2.0 >= phi:
            phi = 2.0 * inner_product / square + 2.0
    phi = min(phi, LARGEST)
    scalars[PHI] = scalars[PHI] / (contraction * contraction) + 1.0 if adaptive else phi
    scalars[PHI] = min(scalars[PHI], LARGEST)
    b = 1.0 / phi
    for i in range(z.size):
        z[i] = b * anchor[i] + (1.0 - b) * (z[i] + (image[i] - z[i]) / averaged)
    scalars[K] = k + 1


@inner(reduction=True)
def _products(z, image, anchor, averaged):
    """(z - N z)'(anchor - z) and |z - N z|^2."""
    product = square = 0.0
    for i in range(z.size):
        d = (z[i] - image[i]) / averaged
        product += d * (anchor[i] - z[i])
        square += d * d
    return product, square
