"""What all losses share: the weighted mean over samples, offsets, public vector forms."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import Block
from numopt.core.validate import as_array, as_vector, require_length


class Loss(Block):
    r"""Function of a prediction, :math:`f(z) = \sum_i s_i \ell(z_i + o_i; y_i) / \sum_i s_i`.

    Subclasses are blocks with a field `y` and the scalar forms ``value_1d``, ``gradient_1d``,
    ``hessian_1d`` and, where known, ``conjugate_1d`` of one sample; weights :math:`s`
    (`sample_weight`) and offsets :math:`o` are applied here.
    """

    needed_fields: ClassVar[tuple[str, ...]] = ("y",)
    separable: ClassVar[bool] = True
    smooth: ClassVar[bool] = True
    #: Upper bound of the second derivative of one sample's loss; None where there is none.
    smoothness: ClassVar[float | None] = None
    #: Whether the second derivative is 1 everywhere.
    quadratic: ClassVar[bool] = False

    y: np.ndarray

    @property
    def n_samples(self) -> int:
        """Number of samples n."""
        return int(self.y.shape[0])

    @property
    def outputs(self) -> int:
        """Numbers predicted for each sample; where that is not 1, z is an n x outputs matrix."""
        return 1

    @property
    def has_conjugate(self) -> bool:
        """Whether `conjugate` can be called by certificates."""
        return self.offers("conjugate_1d") or self.offers("total_conjugate")

    def __post_init__(self) -> None:
        _set(self, "y", as_vector(self.y, "y"))
        weight = getattr(self, "sample_weight", None)
        if weight is not None:
            weight = require_length(
                as_vector(weight, "sample_weight"), self.y.size, "sample_weight"
            )
            if (weight < 0).any():
                i = int(np.argmax(weight < 0))
                raise ValueError(
                    f"sample_weight[{i}] = {weight[i]:g} is negative; weights count samples"
                )
            if not weight.sum() > 0:
                raise ValueError("sample_weight sums to 0; give at least one sample weight")
            _set(self, "sample_weight", weight)
        offset = getattr(self, "offset", None)
        if offset is not None:
            _set(self, "offset", self._flat(offset, "offset"))

    def scale(self, dtype: Any = np.float64) -> np.ndarray:
        """Weight of each sample in the mean: sample_weight / sum(sample_weight)."""
        return self.kept(("scale", dtype), lambda: self._scale(dtype))

    def _scale(self, dtype: Any) -> np.ndarray:
        weight = getattr(self, "sample_weight", None)
        if weight is None:
            return np.full(self.y.size, 1.0 / max(self.y.size, 1), dtype)
        return np.asarray(weight / weight.sum(), dtype)

    def shift(self, dtype: Any = np.float64) -> np.ndarray:
        """The offsets, zeros if none were given."""
        return self.kept(("shift", dtype), lambda: self._shift(dtype))

    def _shift(self, dtype: Any) -> np.ndarray:
        offset = getattr(self, "offset", None)
        size = self.n_samples * self.outputs
        return np.zeros(size, dtype) if offset is None else np.asarray(offset, dtype)

    def value(self, z: Any) -> np.float64:
        """f(z)."""
        from numopt.core.generic import loss_value

        self.require("value_1d", "total")
        return loss_value(*self._at(z))

    def gradient(self, z: Any) -> np.ndarray:
        """Gradient of f at z."""
        return self.value_and_gradient(z)[1]

    def value_and_gradient(self, z: Any) -> tuple[float, np.ndarray]:
        """f(z) and its gradient, in one pass."""
        from numopt.core.generic import loss_gradient

        self.require("value_1d", "total_gradient")
        self.require("gradient_1d", "total_gradient")
        spec, scale, shifted = self._at(z)
        out = np.empty_like(shifted)
        value = loss_gradient(spec, scale, shifted, out)
        return float(value), out.reshape(np.shape(z))

    def hessian_diag(self, z: Any) -> np.ndarray:
        """Diagonal of the Hessian of f at z."""
        from numopt.core.generic import loss_hessian

        self.require("hessian_1d")
        return loss_hessian(*self._at(z))

    def hessian_times(self, z: Any, D: np.ndarray) -> np.ndarray:
        """Hessian at z, or a bound on it, times the columns of D."""
        if self.offers("hessian_1d"):
            return self.hessian_diag(z)[:, None] * D
        return (self.scale() * (self.smoothness or 1.0))[:, None] * D

    def prox(self, v: Any, step: float = 1.0) -> np.ndarray:
        """argmin_z |z - v|^2 / 2 + step * f(z)."""
        from numopt.core.generic import loss_prox

        if not self.offers("total_prox"):
            self.require("prox_1d", "hessian_1d")
        if not (step >= 0 and np.isfinite(step)):
            raise ValueError(f"step must be a finite number >= 0, got {step!r}")
        spec, scale, shifted = self._at(v, "v")
        found = loss_prox(spec, scale, shifted, shifted.dtype.type(step))
        # What did not move is returned as it came, not with the rounding of its offset.
        moved = np.where(found == shifted, self._flat(v, "v"), found - self.shift(found.dtype))
        return moved.reshape(np.shape(v))

    def conjugate(self, u: Any) -> float:
        """Convex conjugate f*(u)."""
        from numopt.core.generic import loss_conjugate

        self.require("conjugate_1d", "total_conjugate")
        u = self._flat(u, "u")
        value = loss_conjugate(self.spec(u.dtype), self.scale(u.dtype), u)
        return float(value - u @ self.shift(u.dtype))

    def centred(self, r: np.ndarray) -> np.ndarray | None:
        """A dual point near the gradient r that fits an intercept; None if r is one-sided.

        It has to sum to 0: the heavier side shrinks, which keeps it feasible.
        """
        up, down = r[r > 0].sum(), -r[r < 0].sum()
        if up <= 0 or down <= 0:
            return None
        return np.where(r > 0, r * min(1.0, down / up), r * min(1.0, up / down))

    def best_constant(self) -> np.ndarray | None:
        """The best intercepts of a model without coefficients, where there is a formula."""
        return None

    def _flat(self, z: Any, name: str) -> np.ndarray:
        """Numbers of all samples, one row after the other."""
        if self.outputs > 1 and np.ndim(z) == 2:
            z, wanted = as_array(z, name, 2), (self.n_samples, self.outputs)
            if z.shape != wanted:
                raise ValueError(f"{name} has shape {z.shape}, expected {wanted}")
            z = z.ravel()
        return require_length(as_vector(z, name), self.n_samples * self.outputs, name)

    def _at(self, z: Any, name: str = "z") -> tuple[Any, np.ndarray, np.ndarray]:
        z = self._flat(z, name)
        return self.spec(z.dtype), self.scale(z.dtype), z + self.shift(z.dtype)


class NonsmoothLoss(Loss):
    """Losses with corners: value, prox, conjugate and subgradients, but no gradient."""

    smooth: ClassVar[bool] = False
    #: What solvers that follow gradients can take instead.
    stand_in: ClassVar[str]

    @property
    def remedy(self) -> str:
        """What to do where a solver wants a gradient."""
        return f"the loss is not smooth: take {self.stand_in} instead, or numopt.problems.Splitting"

    def _residuals(self, z: np.ndarray) -> np.ndarray:
        """z - y, 0 where that is rounding of the offset."""
        r = z - self.y
        noise = 2 * np.finfo(z.dtype).eps * (np.abs(z) + np.abs(self.shift(z.dtype)))
        return np.where(np.any(self.shift(z.dtype)) & (np.abs(r) <= noise), 0, r)

    def value_and_gradient(self, z: Any) -> tuple[float, np.ndarray]:
        """Refused: see `subgradient`."""
        raise TypeError(
            f"{type(self).__name__} has no gradient, only a subgradient(z); {self.stand_in} is a "
            "smooth stand-in"
        )


def set_signs(loss: Any) -> None:
    """Turn the labels y of a loss of two classes into -1 and 1."""
    labels = np.unique(loss.y)
    if not (np.isin(labels, (-1, 1)).all() or np.isin(labels, (0, 1)).all()):
        shown = ", ".join(f"{label:g}" for label in labels[:4])
        raise ValueError(
            f"{type(loss).__name__}: y must hold -1 and 1, or 0 and 1; found {shown}"
            f"{', ...' if labels.size > 4 else ''}; encode the two classes first"
        )
    _set(loss, "y", np.where(loss.y > 0, 1.0, -1.0).astype(loss.y.dtype))


def _set(block: Any, name: str, value: Any) -> None:
    object.__setattr__(block, name, value)
