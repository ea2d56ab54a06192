"""The norm of the residuals."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.losses._base import Loss, NonsmoothLoss


@block
class SquareRoot(NonsmoothLoss, Loss):
    r"""Root mean square, :math:`f(z) = \|y - z\|_2 / \sqrt n`, the loss of the square-root lasso.

    With an L1 penalty the right :math:`\alpha` does not depend on the level of the noise. With
    `sample_weight` s it is :math:`(\sum_i s_i (y_i - z_i)^2 / \sum_i s_i)^{1/2}`. It has a corner
    where all residuals are 0: solvers that follow gradients refuse it.

    Parameters
    ----------
    y : array of shape (n,)
        Targets.
    sample_weight, offset : array of shape (n,), optional
        As in `LeastSquares`.

    Notes
    -----
    With residuals r of v the prox is y where :math:`\sum_i r_i^2 / s_i \le t^2`; else each residual
    is divided by :math:`1 + t s_i / c`, where c, the value at the result, is the root of a function
    that decreases. Weights being equal, :math:`c = \|r\|_2 / \sqrt n - t / n`.

    References
    ----------
    A. Belloni, V. Chernozhukov, L. Wang, "Square-root lasso: pivotal recovery of sparse signals via
    conic programming", Biometrika 98, 2011, arXiv 1009.5689.

    Examples
    --------
    >>> from numopt.losses import SquareRoot
    >>> loss = SquareRoot([0.0, 0.0])
    >>> round(float(loss.value([3.0, 4.0])), 4)
    3.5355
    >>> loss.prox([3.0, 4.0], step=2**0.5).round(4).tolist()
    [2.4, 3.2]
    """

    convex: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    stand_in: ClassVar[str] = "LeastSquares"

    y: np.ndarray
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def total(self, scale, z):
        largest = 0.0
        for i in range(z.size):
            largest = max(largest, abs(z[i] - self.y[i]) * 1.0)
        if largest == 0 or not np.isfinite(largest):
            return largest
        total = 0.0
        for i in range(z.size):
            total += scale[i] * ((z[i] - self.y[i]) / largest) ** 2
        return largest * np.sqrt(total)

    def total_conjugate(self, scale, u):
        total, square = 0.0, 0.0
        for i in range(u.size):
            total += u[i] * self.y[i]
            if scale[i] > 0:
                square += u[i] * u[i] / scale[i]
            elif u[i] != 0:
                return np.inf
        return total if square <= 1 + 1e-12 else np.inf

    def total_prox(self, scale, v, step, out):
        # Weight of 0: untouched. Others at y as long as the dual ball holds (v - y) / step.
        t, square, least = step * 1.0, 0.0, np.inf
        for i in range(v.size):
            r = (v[i] - self.y[i]) * 1.0
            if scale[i] > 0:
                square += r * r / scale[i]
                least = min(least, scale[i] * 1.0)
        inside = square <= t * t
        c = 0.0
        if not inside and t > 0:
            c = self._size_after(scale, v, t, np.sqrt(square), least)
        for i in range(v.size):
            if scale[i] == 0 or t == 0:
                out[i] = v[i]
            elif inside:
                out[i] = self.y[i]
            else:
                out[i] = self.y[i] + (v[i] - self.y[i]) * (c / (c + t * scale[i]))

    def _size_after(self, scale, v, t, norm, least):
        """The root c > 0 of sum_i scale_i r_i^2 / (c + t scale_i)^2 = 1."""
        # Newton on 1 / sqrt(sum) - 1, concave in c and increasing, from where it is negative:
        # with the least weight in place of all, the root is least * (norm - t).
        c = least * (norm - t)
        for _ in range(100):
            total, slope = 0.0, 0.0
            for i in range(v.size):
                if scale[i] > 0:
                    part = (v[i] - self.y[i]) / (c + t * scale[i])
                    total += scale[i] * part * part
                    slope += scale[i] * part * part / (c + t * scale[i])
            move = (np.sqrt(total) - 1) * total / slope
            c += move
            if not abs(move) > 1e-15 * c:
                break
        return c

    def subgradient(self, z: Any) -> np.ndarray:
        """The gradient; 0 where all residuals are 0."""
        z, value = self._at(z)[2], float(self.value(z))
        return np.asarray(self.scale() * (z - self.y) / (value or 1.0), z.dtype)

    def subdiff_distance(self, z: Any, grad: Any) -> float:
        """Distance of -grad to the subdifferential at z; at y in the norm of the dual ball."""
        shifted, grad = self._at(z)[2], self._flat(grad, "grad")
        if np.any(self._residuals(shifted)):
            return float(np.linalg.norm(grad + self.subgradient(z)))
        scale = self.scale()
        if np.any(grad[scale == 0]):
            return float(np.inf)
        inside = scale > 0
        return max(float(np.linalg.norm(grad[inside] / np.sqrt(scale[inside]))) - 1.0, 0.0)
