"""The map whose fixed points solve a monotone inclusion."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.stubs import prox_into as resolve_into
from numopt.operators._base import Operator
from numopt.operators._base import apply_into as operate_into


@block(base=Operator)
class ForwardBackward(Operator):
    r"""Forward-backward map, :math:`T(z) = J_{e G}(z - e F(z))`.

    Its fixed points solve 0 in F(z) + G(z). Nonexpansive for cocoercive F with constant 1/L and
    steps e <= 2/L, and then averaged with constant 2 / (4 - e L).

    Parameters
    ----------
    F : operator
        Single-valued part.
    G : penalty or set
        Its prox is the resolvent.
    step : float
        The step e, > 0.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.operators import Affine, ForwardBackward
    >>> from numopt.sets import Box
    >>> T = ForwardBackward(Affine(np.eye(2), [-3.0, 0.5]), Box(0.0, 1.0), 1.0)
    >>> T([0.0, 0.0]).tolist()
    [1.0, 0.0]
    """

    F: Any
    G: Any
    step: float

    @property
    def size(self) -> int | None:
        """Length of z."""
        size: int | None = self.F.size
        return size

    @property
    def nnz(self) -> int:
        """Those of F."""
        return int(self.F.nnz)

    def __call__(self, z: Any) -> np.ndarray:
        """J(z - step F(z))."""
        return np.asarray(self.G.prox(z - self.step * self.F(z), self.step))

    def _spec(self, dtype: Any) -> Any:
        from numopt.core import generic  # noqa: F401 - what apply_into calls
        from numopt.operators import _kernels  # noqa: F401

        return super()._spec(dtype)

    def apply_into(self, z, out):
        operate_into(self.F, z, out)
        for j in range(out.size):
            out[j] = z[j] - self.step * out[j]
        resolve_into(self.G, out, self.step, out)
