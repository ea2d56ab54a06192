"""The nuclear norm of a matrix."""

from __future__ import annotations

import threading
from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_count, require_nonnegative
from numopt.penalties._base import Norm

# From here on a few singular triplets are cheaper than all.
LARGE = 200
# Most triplets that are looked for, of the smaller dimension.
SHARE = 0.15


class _Known(threading.local):
    """What one thread found last."""

    V: np.ndarray | None = None  # right vectors
    rest = 0  # calls that go to LAPACK at once


class _PartialProx(Norm):
    """The prox from Python, which may look for the large singular values alone."""

    shape: tuple[int, int]

    def prox(self, v: Any, step: float = 1.0) -> np.ndarray:
        """Singular values less step * alpha, at least 0."""
        v = self._vector(v, "v")
        if min(self.shape) < LARGE or not (step > 0 and np.isfinite(step)):
            return super().prox(v, step)
        known = self.__dict__.setdefault("_known", _Known())
        if known.rest > 0:  # it did not pay lately
            known.rest -= 1
            return super().prox(v, step)
        found = shrink(v.reshape(self.shape), step * self.alpha, known.V)
        if found is None:
            known.V, known.rest = None, 10
            return super().prox(v, step)
        known.V = found[1]
        return found[0].ravel()


@block
class Nuclear(_PartialProx):
    r"""Nuclear norm, :math:`\alpha \|X\|_*`, the sum of singular values.

    The variable x is the matrix X, row by row. The prox subtracts :math:`s \alpha` from the
    singular values and drops those below, so that solutions have low rank.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    shape : tuple of two int
        Rows and columns of X.

    Notes
    -----
    ``prox`` of a matrix with at least 200 rows and columns looks for the singular values above
    :math:`s \alpha` alone, by Golub-Kahan bidiagonalisation that starts from the vectors and the
    number of them found last time; that what is left has norm at most :math:`s \alpha` is checked.
    Where there are many of them, or they do not converge, and in solvers that run as one kernel, it
    is one decomposition by LAPACK, O(m n min(m, n)).

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

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_known"}

    def value_of(self, x):
        total = 0.0
        for s in np.linalg.svd(self._matrix(x), False)[1]:
            total += s
        return self.alpha * total

    def prox_into(self, v, step, out):
        if step * self.alpha == 0:
            for j in range(v.size):
                out[j] = v[j]
            return
        U, s, Vt = np.linalg.svd(self._matrix(v), False)
        rank = 0
        for k in range(s.size):
            excess = s[k] - step * self.alpha
            if excess > 0:
                rank += 1
                for j in range(self.shape[1]):
                    Vt[k, j] *= excess
        left = np.empty((self.shape[0], rank), v.dtype)
        right = np.empty((rank, Vt.shape[1]), v.dtype)
        for k in range(rank):
            for i in range(self.shape[0]):
                left[i, k] = U[i, k]
            for j in range(self.shape[1]):
                right[k, j] = Vt[k, j]
        np.dot(left, right, out.reshape((self.shape[0], self.shape[1])))

    def _matrix(self, x):
        X = np.empty((self.shape[0], self.shape[1]), x.dtype)
        for i in range(self.shape[0]):
            for j in range(self.shape[1]):
                X[i, j] = x[i * self.shape[1] + j]
        return X


def shrink(
    X: np.ndarray, threshold: float, V: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray] | None:
    """X with its singular values less `threshold`, and the right vectors of those above it.

    `V` holds vectors near those. None where a full decomposition is the better way.
    """
    from numopt.linalg.spectra import golub_kahan

    m, n = X.shape
    most = int(SHARE * min(m, n))
    eps = float(np.finfo(X.dtype).eps)
    U, s = np.zeros((m, 0), X.dtype), np.zeros(0, X.dtype)
    k = 0 if V is None else V.shape[1]
    while k <= most:
        if k > 0:
            found = golub_kahan(X, k, start=V, tol=50 * eps, max_restarts=10)
            if not found.converged:
                return None
            U, s, V = found.U, found.values, found.V
            if s[-1] <= threshold:
                break
        # All above: is there another?
        W, Z = U * s, np.zeros((n, 0), X.dtype) if V is None or k == 0 else V
        top = golub_kahan(_rest(X, W, Z), 1, tol=1e-2, max_restarts=10)
        if top.values[0] + top.errors[0] <= threshold:
            break
        V = np.column_stack([Z, top.V])
        k += max(4, k // 2) if top.values[0] > threshold else 1
    else:
        return None
    keep = int((s > threshold).sum())
    right = np.zeros((n, 0), X.dtype) if V is None else V[:, :keep]
    shrunk = (U[:, :keep] * (s[:keep] - threshold).astype(X.dtype)) @ right.T
    return np.ascontiguousarray(shrunk, X.dtype), right


def _rest(X: np.ndarray, W: np.ndarray, Z: np.ndarray) -> Any:
    """X - W Z' by its products."""
    from numopt.linalg.operators import Operator

    return Operator(
        X.shape, X.dtype, lambda x: X @ x - W @ (Z.T @ x), lambda y: X.T @ y - Z @ (W.T @ y)
    )
