"""Sets of matrices, by their singular values and eigenvalues; x is the matrix row by row."""

from __future__ import annotations

from typing import Any, ClassVar

import numpy as np
import scipy.linalg

from numopt.core.block import block
from numopt.core.validate import require_count, require_positive
from numopt.sets._base import HostSet

# Up to here LAPACK finds a pair sooner than Krylov steps do, and bounds come of a decomposition.
SMALL = 150
EXACT = 400
# Residual of the pair found, relative to its value, which is then good to the square of that.
NEAR = 1e-6


class MatrixSet(HostSet):
    """Base: takes and gives matrices of `dims`, or vectors that hold them row by row."""

    dear: ClassVar[bool] = True

    @property
    def dims(self) -> tuple[int, int]:
        """Rows and columns."""
        raise NotImplementedError

    def _size(self) -> int:
        return self.dims[0] * self.dims[1]

    def _vector(self, x: Any, name: str) -> np.ndarray:
        return super()._vector(np.ravel(x) if np.shape(x) == self.dims else x, name)

    def _matrix(self, x: Any, name: str = "x") -> np.ndarray:
        return self._vector(x, name).reshape(self.dims)


def like(X: np.ndarray, given: Any, dtype: Any) -> np.ndarray:
    """X in the shape and precision of what was given."""
    return np.ascontiguousarray(X, dtype).reshape(np.shape(given))


def top_pair(C: np.ndarray) -> tuple[np.ndarray, float, np.ndarray]:
    """The largest singular value with its vectors."""
    if min(C.shape) <= SMALL:
        if C.shape[0] < C.shape[1]:
            v, s, u = top_pair(C.T)
            return u, s, v
        last = C.shape[1] - 1
        unit = C / np.abs(C).max()
        v = scipy.linalg.eigh(unit.T @ unit, subset_by_index=(last, last))[1][:, 0]
        u = C @ v
        s = float(np.linalg.norm(u))
        return u / s, s, v
    from numopt.linalg import golub_kahan

    found = golub_kahan(C, 1, tol=NEAR)
    return found.U[:, 0], float(found.values[0]), found.V[:, 0]


def norm_bound(C: np.ndarray) -> float:
    """The spectral norm, of large matrices a bound from above within 1e-9 of it.

    What Krylov steps find is proven by a Cholesky factorisation: s^2 I - C'C is definite.
    """
    if min(C.shape) > EXACT and C.any():
        from numopt.linalg import golub_kahan

        found = golub_kahan(C, 1)
        bound = float(found.values[0] + found.errors[0]) * (1 + 1e-10)
        gram = C @ C.T if C.shape[0] < C.shape[1] else C.T @ C
        if definite(-gram, bound**2):
            return bound
    return float(np.linalg.norm(C, 2))


def lowest_bound(C: np.ndarray) -> float:
    """The least eigenvalue of a symmetric matrix, of large ones a bound from below likewise."""
    if len(C) > EXACT:
        from numopt.linalg import lanczos

        found = lanczos(C, which="smallest")
        margin = float(found.errors[0]) + 1e-10 * float(np.abs(found.values[0]))
        bound = float(found.values[0]) - margin
        if definite(C, -bound):
            return bound
    return float(np.linalg.eigvalsh(C)[0])


def definite(S: np.ndarray, shift: float) -> bool:
    """Whether S + shift I is positive definite."""
    try:
        np.linalg.cholesky(S + shift * np.eye(len(S)))
    except np.linalg.LinAlgError:
        return False
    return True


def symmetric(C: np.ndarray) -> np.ndarray:
    """The symmetric part, which is what counts on symmetric matrices."""
    return (C + C.T) / 2


class _NuclearForms(MatrixSet):
    radius: float
    shape: tuple[int, int]

    @property
    def dims(self) -> tuple[int, int]:
        """The shape."""
        return self.shape

    def lmo(self, c: Any) -> np.ndarray:
        """-r u v' with the leading singular vectors of c; 0 for c = 0."""
        C = self._matrix(c, "c")
        if not C.any():
            return np.zeros_like(c, C.dtype)
        u, _, v = top_pair(C)
        return like(np.outer(-self.radius * u, v), c, C.dtype)

    def least(self, c: Any) -> float:
        """-r times the spectral norm of c."""
        return -self.radius * norm_bound(self._matrix(c, "c").astype(np.float64, copy=False))

    def project(self, x: Any) -> np.ndarray:
        """Project the singular values on a ball of the L1 norm; one decomposition."""
        from numopt.linalg import project_l1_ball

        X = self._matrix(x)
        U, s, Vt = np.linalg.svd(X, full_matrices=False)
        if s.sum() <= self.radius:
            return like(X, x, X.dtype)
        return like((U * project_l1_ball(s, self.radius)) @ Vt, x, X.dtype)

    @property
    def diameter(self) -> float:
        """2 r."""
        return 2.0 * self.radius


@block
class NuclearBall(_NuclearForms):
    r"""Ball of the nuclear norm, :math:`\{X : \sum_i \sigma_i(X) \le r\}`, hull of rank one.

    Parameters
    ----------
    radius : float
        The radius r, > 0.
    shape : tuple of two int
        Rows and columns of X; x is X row by row, and may be given as a matrix.

    Notes
    -----
    The oracle finds one pair of singular vectors by Golub-Kahan bidiagonalisation. `least`, which
    certificates use, is exact for matrices with up to 400 rows or columns, and for larger ones a
    bound within 1e-9, proven by a Cholesky factorisation of the smaller order.

    References
    ----------
    M. Jaggi, M. Sulovsky, "A simple algorithm for nuclear norm regularized problems", ICML 2010.

    Examples
    --------
    >>> from numopt.sets import NuclearBall
    >>> (NuclearBall(2.0, (2, 2)).lmo([[3.0, 0.0], [0.0, -1.0]]).round(12) + 0).tolist()
    [[-2.0, 0.0], [0.0, 0.0]]
    """

    radius: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        require_positive(self.radius, "NuclearBall: radius")
        object.__setattr__(self, "shape", _shape(self.shape, "NuclearBall"))


class _SpectralForms(MatrixSet):
    radius: float
    shape: tuple[int, int]

    @property
    def dims(self) -> tuple[int, int]:
        """The shape."""
        return self.shape

    def lmo(self, c: Any) -> np.ndarray:
        """-r U V', the polar factor of c."""
        C = self._matrix(c, "c")
        U, s, Vt = np.linalg.svd(C, full_matrices=False)
        kept = s > np.finfo(C.dtype).eps * max(C.shape) * s[0]
        return like(-self.radius * (U * kept) @ Vt, c, C.dtype)

    def project(self, x: Any) -> np.ndarray:
        """Clip the singular values; one decomposition."""
        X = self._matrix(x)
        U, s, Vt = np.linalg.svd(X, full_matrices=False)
        if s[0] <= self.radius:
            return like(X, x, X.dtype)
        return like((U * np.minimum(s, self.radius)) @ Vt, x, X.dtype)

    @property
    def diameter(self) -> float:
        """2 r sqrt(min(rows, columns))."""
        return float(2.0 * self.radius * np.sqrt(min(self.shape)))


@block
class SpectralBall(_SpectralForms):
    r"""Ball of the spectral norm, :math:`\{X : \sigma_1(X) \le r\}`, hull of r times orthogonal X.

    Parameters
    ----------
    radius : float
        The radius r, > 0.
    shape : tuple of two int
        Rows and columns of X; x is X row by row, and may be given as a matrix.

    Examples
    --------
    >>> from numopt.sets import SpectralBall
    >>> (SpectralBall(2.0, (2, 2)).lmo([[3.0, 0.0], [0.0, -1.0]]).round(12) + 0).tolist()
    [[-2.0, 0.0], [0.0, 2.0]]
    """

    radius: float
    shape: tuple[int, int]

    def __post_init__(self) -> None:
        require_positive(self.radius, "SpectralBall: radius")
        object.__setattr__(self, "shape", _shape(self.shape, "SpectralBall"))


class _SpectraplexForms(MatrixSet):
    n: int
    radius: float

    @property
    def dims(self) -> tuple[int, int]:
        """n rows and columns."""
        return self.n, self.n

    def lmo(self, c: Any) -> np.ndarray:
        """R q q' with q the eigenvector of the least eigenvalue of c's symmetric part."""
        given = self._matrix(c, "c")
        C = symmetric(given)
        if self.n <= SMALL:
            q = scipy.linalg.eigh(C, subset_by_index=(0, 0))[1][:, 0]
        else:
            from numopt.linalg import lanczos

            q = lanczos(C, which="smallest", tol=NEAR).vectors[:, 0]
        return like(self.radius * np.outer(q, q), c, given.dtype)

    def least(self, c: Any) -> float:
        """R times the least eigenvalue of c's symmetric part."""
        C = symmetric(self._matrix(c, "c").astype(np.float64, copy=False))
        return self.radius * lowest_bound(C)

    def project(self, x: Any) -> np.ndarray:
        """Project the eigenvalues of x's symmetric part on the simplex."""
        from numopt.linalg import project_simplex

        X = self._matrix(x)
        values, Q = np.linalg.eigh(symmetric(X))
        return like((Q * project_simplex(values, self.radius)) @ Q.T, x, X.dtype)

    @property
    def diameter(self) -> float:
        """R sqrt(2), between orthogonal vertices."""
        return float(self.radius * np.sqrt(2.0)) if self.n > 1 else 0.0


@block
class Spectraplex(_SpectraplexForms):
    r"""Density matrices, :math:`\{X \succeq 0 : \mathrm{tr}\, X = r\}`, hull of :math:`r q q^T`.

    Parameters
    ----------
    n : int
        Rows and columns of X; x is X row by row, and may be given as a matrix.
    radius : float, default 1.0
        The trace r, > 0.

    Examples
    --------
    >>> from numopt.sets import Spectraplex
    >>> (Spectraplex(2).lmo([[3.0, 0.0], [0.0, -1.0]]).round(12) + 0).tolist()
    [[0.0, 0.0], [0.0, 1.0]]
    """

    n: int
    radius: float = 1.0

    def __post_init__(self) -> None:
        require_count(self.n, "Spectraplex: n", least=1)
        require_positive(self.radius, "Spectraplex: radius")


class _FantopeForms(MatrixSet):
    n: int
    k: int

    @property
    def dims(self) -> tuple[int, int]:
        """n rows and columns."""
        return self.n, self.n

    def lmo(self, c: Any) -> np.ndarray:
        """Projector on the eigenvectors of the k least eigenvalues of c's symmetric part."""
        given = self._matrix(c, "c")
        Q = np.linalg.eigh(symmetric(given))[1][:, : self.k]
        return like(Q @ Q.T, c, given.dtype)

    def project(self, x: Any) -> np.ndarray:
        """Project the eigenvalues of x's symmetric part on {0 <= t <= 1, sum t = k}."""
        from numopt.linalg import project_knapsack

        X = self._matrix(x)
        values, Q = np.linalg.eigh(symmetric(X))
        return like((Q * project_knapsack(values, float(self.k))) @ Q.T, x, X.dtype)

    @property
    def diameter(self) -> float:
        """Between projectors on subspaces as far from each other as n allows."""
        return float(np.sqrt(2.0 * min(self.k, self.n - self.k)))


@block
class Fantope(_FantopeForms):
    r"""Hull of projectors, :math:`\{X : 0 \preceq X \preceq I,\ \mathrm{tr}\, X = k\}`.

    Parameters
    ----------
    n : int
        Rows and columns of X; x is X row by row, and may be given as a matrix.
    k : int
        Rank of the projectors, from 1 to n.

    References
    ----------
    V. Vu, J. Cho, J. Lei, K. Rohe, "Fantope projection and selection", NeurIPS 2013.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.sets import Fantope
    >>> Fantope(3, 2).lmo(np.diag([3.0, -1.0, 2.0])).diagonal().round(12).tolist()
    [0.0, 1.0, 1.0]
    """

    n: int
    k: int

    def __post_init__(self) -> None:
        require_count(self.n, "Fantope: n", least=1)
        require_count(self.k, "Fantope: k", least=1)
        if self.k > self.n:
            raise ValueError(f"Fantope: k must be at most n = {self.n}, got {self.k}")


def _shape(shape: Any, owner: str) -> tuple[int, int]:
    try:
        rows, columns = shape
    except (TypeError, ValueError):
        raise ValueError(f"{owner}: shape must be (rows, columns), got {shape!r}") from None
    require_count(rows, f"{owner}: shape[0]", 1)
    require_count(columns, f"{owner}: shape[1]", 1)
    return int(rows), int(columns)
