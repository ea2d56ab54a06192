"""The nuclear norm of a matrix."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_count, require_nonnegative
from numopt.penalties._base import Norm


@block
class Nuclear(Norm):
    r"""Nuclear norm, :math:`\alpha \|X\|_*`, the sum of singular values.

    The variable x is the matrix X, row by row. The prox subtracts :math:`s \alpha` from the
    singular values and drops those below, so that solutions have low rank; it takes one
    decomposition by LAPACK, O(m n min(m, n)).

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    shape : tuple of two int
        Rows and columns of X.

    References
    ----------
    J.-F. Cai, E. J. Candes, Z. Shen, "A singular value thresholding algorithm for matrix
    completion", SIAM J. Optim. 20, 2010, arXiv 0810.3286.

    Examples
    --------
    >>> from numopt.penalties import Nuclear
    >>> Nuclear(1.0, shape=(2, 2)).prox([3.0, 0.0, 0.0, 0.5]).round(4).tolist()
    [2.0, 0.0, 0.0, 0.0]
    """

    convex: ClassVar[bool] = True

    alpha: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        require_nonnegative(self.alpha, "Nuclear: alpha")
        shape = tuple(self.shape)
        if len(shape) != 2:
            raise ValueError(f"Nuclear: shape must be (rows, columns), got {self.shape!r}")
        for k in range(2):
            require_count(shape[k], f"Nuclear: shape[{k}]", 1)
        object.__setattr__(self, "shape", (int(shape[0]), int(shape[1])))

    def _size(self) -> int:
        return self.shape[0] * self.shape[1]

    def alpha_max(self, grad0: Any) -> float:
        """The dual norm, the largest singular value."""
        return float(np.linalg.norm(self._vector(grad0, "grad0").reshape(self.shape), 2))

    def rank(self, x: Any) -> int:
        """Rank of X up to rounding."""
        return int(np.linalg.matrix_rank(self._vector(x, "x").reshape(self.shape)))

    def value_of(self, x):
        total = 0.0
        for s in np.linalg.svd(self._matrix(x), False)[1]:
            total += s
        return self.alpha * total

    def prox_into(self, v, step, out):
        U, s, Vt = np.linalg.svd(self._matrix(v), False)
        rank = 0
        for k in range(s.size):
            s[k] -= step * self.alpha
            rank += s[k] > 0
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                total = 0.0
                for k in range(rank):
                    total += U[i, k] * s[k] * Vt[k, j]
                out[i * self.shape[1] + j] = total

    def _matrix(self, x):
        X = np.empty((self.shape[0], self.shape[1]), x.dtype)
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                X[i, j] = x[i * self.shape[1] + j]
        return X
