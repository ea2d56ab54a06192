"""What all operators share."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import Block
from numopt.core.validate import as_vector, require_length


class Operator(Block):
    """Map of R^n into itself; kernels call ``apply_into(z, out)`` on it.

    One that is a mean of components offers ``add_change(i, z, w, scale, out)``, which adds
    ``scale * (F_i(z) - F_i(w))`` to `out`, and tells `n_components`.
    """

    #: Number of components F_i, of which the operator is the mean; 0 if it is not split.
    n_components: ClassVar[int] = 0

    @property
    def size(self) -> int | None:
        """Length of z, None if any length will do."""
        return None

    @property
    def nnz(self) -> int:
        """Numbers that an evaluation reads: those of its matrices."""
        return 0

    @property
    def lipschitz(self) -> float | None:
        """Lipschitz constant, None if it is not known."""
        return None

    @property
    def average_lipschitz(self) -> float | None:
        """L of the mean over i of |F_i(z) - F_i(w)|^2 <= L^2 |z - w|^2, None if not known."""
        return None

    @property
    def monotone(self) -> bool | None:
        """Whether the operator is monotone, None if it is not known."""
        return None

    def __call__(self, z: Any) -> np.ndarray:
        """F(z), a new array."""
        from numopt.operators._kernels import apply_operator

        z = as_vector(z, "z", np.float64)
        if self.size is not None:
            require_length(z, self.size, "z")
        out = np.empty_like(z)
        apply_operator(self.spec(), z, out)
        return out


def apply_into(operator, z, out):
    """Write F(z) into out."""
    operator.apply_into(z, out)


def add_change(operator, i, z, w, scale, out):
    """Add scale * (F_i(z) - F_i(w)) to out."""
    operator.add_change(i, z, w, scale, out)


def multiply_rows(data, indices, indptr, x, out):
    """Product of a sparse matrix by rows with x."""
    for i in range(out.size):
        total = x[:1].sum() * 0
        for k in range(indptr[i], indptr[i + 1]):
            total += data[k] * x[indices[k]]
        out[i] = total
