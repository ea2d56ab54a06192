"""Averaged iterations for fixed points of nonexpansive maps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from numopt.core.jit import kernel
from numopt.core.validate import require_in
from numopt.operators._base import apply_into
from numopt.solvers._parts.maps import (
    ANCHOR,
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


@dataclass(frozen=True, kw_only=True)
class KrasnoselskiiMann(MapSolver):
    r"""Krasnosel'skii-Mann iteration, :math:`z_{k+1} = (1 - \lambda) z_k + \lambda T(z_k)`.

    Parameters
    ----------
    relaxation : float, optional
        The lambda in (0, 1]. By default 1, the plain (Picard) iteration, for maps that are known
        to be averaged or to contract, else 1/2.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration is one evaluation of T. The residual never rises; it falls as
    :math:`1/\sqrt{k}` in general, linearly for contractions and, in time, where the distance to
    the fixed points is bounded by a multiple of it. `Halpern` has the better rate, this the
    simpler iterates. ``displacement`` and ``consistent`` of the result are as for `Halpern`.

    References
    ----------
    H. H. Bauschke, P. L. Combettes, "Convex analysis and monotone operator theory in Hilbert
    spaces", Springer, 2017, doi:10.1007/978-3-319-48311-5.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import FixedPoint
    >>> from numopt.solvers import KrasnoselskiiMann
    >>> KrasnoselskiiMann().solve(FixedPoint(np.cos, [0.0])).x.round(6).tolist()
    [0.739085]
    """

    name: ClassVar[str] = "km"

    relaxation: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.relaxation is not None:
            require_in(self.relaxation, 1e-6, 1.0, "relaxation")

    def move(self, state: State) -> None:
        _move(state.vectors, state.scalars, self._weight(state))

    def sweep(self, state: State, n: int) -> int:
        return _sweep(state.T, state.vectors, state.scalars, state.averaged, self._weight(state), n)

    def _weight(self, state: State) -> float:
        if self.relaxation is not None:
            return float(self.relaxation)
        return 1.0 if min(state.averaged, state.contraction) < 1 else 0.5

    def drift(self, state: State) -> np.ndarray:
        away = state.vectors[ANCHOR] - state.vectors[Z]
        return away / (self._weight(state) * state.scalars[K])


@kernel
def _sweep(T, vectors, scalars, averaged, weight, n):
    for k in range(n):
        _move(vectors, scalars, weight)
        apply_into(T, vectors[Z], vectors[TZ])
        note(vectors, scalars, averaged)
        if scalars[RES] <= scalars[TARGET]:
            return k + 1
    return n


@kernel
def _move(vectors, scalars, weight):
    z, image = vectors[Z], vectors[TZ]
    remember(vectors)
    scalars[TOTAL] += 1
    scalars[K] += 1
    for i in range(z.size):
        z[i] += weight * (image[i] - z[i])
