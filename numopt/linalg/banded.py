"""Banded and block-tridiagonal symmetric systems."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_array, require_finite
from numopt.linalg.ldl import LDL, as_signs
from numopt.linalg.ldl_kernels.dense import settle, subtract_one
from numopt.linalg.patterns import SymmetricPattern

# Half-bandwidth from which LAPACK's blocked Cholesky beats the loops here.
WIDE = 48


def half_bandwidth(A: Any) -> int:
    """Largest ``|i - j|`` over the stored entries of a sparse matrix.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> from numopt.linalg.banded import half_bandwidth
    >>> half_bandwidth(sp.diags_array([1.0, 2.0, 1.0], offsets=[-2, 0, 2], shape=(5, 5)))
    2
    """
    A = A.tocoo()
    return int(np.abs(A.row.astype(np.int64) - A.col).max(initial=0))


@kernel(contract=True)
def _factor(L, signs, scale, epsilon, regularize, pivots):
    """Overwrite the bands, stored by columns, by L; return (row that failed or -1, counts)."""
    n, columns = L.shape
    flat = L.ravel()
    mass = np.zeros(n, L.dtype)
    perturbed = 0
    wrong = 0
    for j in range(n):
        at = j * columns
        mass[j] += abs(flat[at])
        d, verdict = settle(flat[at], mass[j], signs[j], scale[j], epsilon, regularize)
        pivots[j] = d
        if verdict == 3:
            return j, perturbed, wrong
        perturbed += verdict > 0
        wrong += verdict == 2
        inverse = 1 / d
        reach = min(columns, n - j)
        for p in range(1, reach):
            l = flat[at + p] * inverse  # noqa: E741
            mass[j + p] += abs(l * flat[at + p])
            subtract_one(flat, at + p * columns, flat, at + p, l, reach - p)
        for p in range(1, reach):
            flat[at + p] *= inverse
    return -1, perturbed, wrong


@inner
def _row_maxima(L, scale):
    n, columns = L.shape
    for j in range(n):
        for p in range(min(columns, n - j)):
            a = abs(L[j, p])
            scale[j] = max(scale[j], a)
            scale[j + p] = max(scale[j + p], a)


@kernel
def _scales(L):
    scale = np.zeros(L.shape[0], L.dtype)
    _row_maxima(L, scale)
    return scale


@kernel(contract=True)
def _solve(L, pivots, x):
    """Overwrite each row of x by its solution."""
    n, columns = L.shape
    for c in range(x.shape[0]):
        for j in range(n):
            for p in range(1, min(columns, n - j)):
                x[c, j + p] -= L[j, p] * x[c, j]
        for j in range(n - 1, -1, -1):
            t = x[c, j] / pivots[j]
            for p in range(1, min(columns, n - j)):
                t -= L[j, p] * x[c, j + p]
            x[c, j] = t


class BandedLDL:
    """Factor a symmetric banded matrix as L D L' and solve with it, in its own order.

    Parameters
    ----------
    bands : array (w + 1, n)
        Lower bands as SciPy keeps them: ``bands[i - j, j] = A[i, j]`` for j <= i <= j + w. What
        lies below the matrix (``bands[p, n - p:]``) is ignored.
    signs : +1, -1 or array of +1 and -1 (n), default 1
        Signs of D, as for `LDL`: a number for definite matrices, which are checked; an array for
        quasi-definite ones, whose bad pivots are replaced and counted.

    Attributes
    ----------
    ok, bad_row, perturbed, wrong_signs, factorizations, solves
        As for `LDL`.

    Notes
    -----
    O(n w^2) to factor, O(n w) to solve. Wide positive definite bands go to LAPACK (pbtrf).

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.linalg.banded import BandedLDL
    >>> bands = np.array([[2.0, 2.0, 2.0], [-1.0, -1.0, 0.0]])
    >>> np.round(BandedLDL(bands).solve([1.0, 0.0, 1.0]), 12)
    array([1., 1., 1.])
    """

    def __init__(self, bands: Any, signs: Any = 1):
        bands = as_array(bands, "bands", 2)
        if bands.shape[0] == 0:
            raise ValueError("bands has no rows; the first one is the diagonal")
        self.shape, self.dtype = bands.shape, bands.dtype
        self.n = bands.shape[1]
        signs_array = as_signs(signs, self.n)
        assert signs_array is not None
        self.signs = signs_array.astype(self.dtype)
        self.regularize = np.ndim(signs) == 1
        definite = not self.regularize and np.all(self.signs > 0)
        self._lapack = definite and bands.shape[0] > WIDE and self.n > 0
        self.factorizations = self.solves = 0
        self.update(bands)

    @classmethod
    def of(cls, A: Any, signs: Any = 1, triangle: str = "full") -> BandedLDL:
        """Factor a sparse matrix whose entries lie in a narrow band."""
        pattern = SymmetricPattern(A, triangle)
        values = np.empty(pattern.indices.size)
        pattern.load(pattern.values_of(A), values)
        columns = np.repeat(np.arange(pattern.n), np.diff(pattern.indptr))
        offsets = columns - pattern.indices
        bands = np.zeros((int(offsets.max(initial=0)) + 1, pattern.n))
        bands[offsets, pattern.indices] = values
        return cls(bands, signs)

    def update(self, bands: Any) -> bool:
        """Factor other bands of the same shape; return `ok`."""
        bands = as_array(bands, "bands", 2, self.dtype)
        if bands.shape != self.shape:
            raise ValueError(f"bands has shape {bands.shape}, expected {self.shape}")
        self.factorizations += 1
        self.perturbed = self.wrong_signs = 0
        self.bad_row: int | None = None
        if self._lapack:
            self._L = bands.copy()
            for p in range(1, min(self.shape)):
                self._L[p, self.n - p :] = 0
            pbtrf = scipy.linalg.get_lapack_funcs("pbtrf", (self._L,))
            self._L, failed = pbtrf(self._L, lower=1)
            failed -= 1
        else:
            self._L = np.ascontiguousarray(bands.T)
            self._pivots = np.empty(self.n, self.dtype)
            failed, self.perturbed, self.wrong_signs = _factor(
                self._L, self.signs, _scales(self._L), np.finfo(self.dtype.type).eps,
                self.regularize, self._pivots,
            )  # fmt: skip
        self.ok = failed < 0
        if not self.ok:
            self.bad_row = int(failed)
        return self.ok

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Positive, negative and zero entries of D."""
        self._require_factor()
        negative = 0 if self._lapack else int((self._pivots < 0).sum())
        return self.n - negative, negative, 0

    def _require_factor(self) -> None:
        if not self.ok:
            raise np.linalg.LinAlgError(
                f"the banded matrix does not have the signs given: the pivot of row {self.bad_row} "
                "is wrong; pass an array of signs or shift the diagonal"
            )

    def solve(self, b: Any) -> np.ndarray:
        """Solve A x = b for b of shape (n,) or (n, k)."""
        self._require_factor()
        b = np.asarray(b)
        if b.ndim not in (1, 2) or b.shape[0] != self.n:
            raise ValueError(f"b has shape {b.shape}, expected ({self.n},) or ({self.n}, k)")
        x = np.array(b.T if b.ndim == 2 else b[None], dtype=self.dtype, order="C")
        require_finite(x, "b")
        self.solves += x.shape[0]
        if self._lapack:
            pbtrs = scipy.linalg.get_lapack_funcs("pbtrs", (self._L,))
            x = pbtrs(self._L, x.T, lower=1)[0].T
        else:
            _solve(self._L, self._pivots, x)
        return x.T if b.ndim == 2 else x[0]


class BlockTridiagonalLDL:
    r"""Factor a symmetric block-tridiagonal matrix, as optimal control problems have it.

    .. math:: A = \begin{pmatrix} A_0 & B_0' \\ B_0 & A_1 & B_1' \\ & B_1 & A_2 & \ddots
              \end{pmatrix}

    Blocks may differ in size. The elimination runs from block to block with dense kernels, which
    is `LDL` with the natural order; refinement, inertia and regularisation are its own.

    Parameters
    ----------
    diagonal : sequence of N arrays (k_i, k_i)
        Symmetric.
    below : sequence of N - 1 arrays (k_{i+1}, k_i)
    signs : as for `LDL`, default 1
        +1 or -1, an array over all rows, or None for an indefinite matrix.

    Attributes
    ----------
    factor : LDL
        The factor itself, with `ok`, `inertia` and counts.

    Notes
    -----
    O(sum k_i^3) to factor, O(sum k_i^2) to solve.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.linalg.banded import BlockTridiagonalLDL
    >>> A, B = 4 * np.eye(2), np.ones((2, 2))
    >>> chain = BlockTridiagonalLDL([A, A, A], [B, B])
    >>> np.round(chain.solve(np.array([6.0, 6, 8, 8, 6, 6])), 12)
    array([1., 1., 1., 1., 1., 1.])
    """

    def __init__(self, diagonal: Any, below: Any, signs: Any = 1):
        data, rows, columns, self._shapes = _blocks(diagonal, below)
        n = sum(shape[0] for shape in self._shapes[0])
        A = sp.coo_array((data, (rows, columns)), shape=(n, n))
        self.factor = LDL(A, signs, triangle="lower", ordering="natural", method="supernodal")

    def update(self, diagonal: Any, below: Any) -> bool:
        """Factor other blocks of the same shapes; return `ok` of the factor."""
        data, _, _, shapes = _blocks(diagonal, below)
        if shapes != self._shapes:
            raise ValueError(f"blocks have shapes {shapes}, analysed were {self._shapes}")
        return self.factor.update(data)

    def solve(self, b: Any, *, refine: int = 8) -> np.ndarray:
        """Solve A x = b for b of shape (n,) or (n, k); see `LDL.solve`."""
        return self.factor.solve(b, refine=refine)


def _blocks(diagonal: Any, below: Any) -> tuple[np.ndarray, np.ndarray, np.ndarray, Any]:
    """Entries of the lower triangle, block after block."""
    diagonal = [as_array(block, f"diagonal[{i}]", 2) for i, block in enumerate(diagonal)]
    below = [as_array(block, f"below[{i}]", 2) for i, block in enumerate(below)]
    if len(below) != max(len(diagonal) - 1, 0):
        raise ValueError(f"{len(diagonal)} blocks need {len(diagonal) - 1} below, got {len(below)}")
    for i, block in enumerate(diagonal):
        if block.shape[0] != block.shape[1]:
            raise ValueError(f"diagonal[{i}] must be square, got shape {block.shape}")
    start, parts = 0, []
    for i, block in enumerate(diagonal):
        size = block.shape[0]
        gap = np.abs(block - block.T)
        allowed = 1e6 * np.finfo(block.dtype).eps * np.abs(block).max(initial=0.0)
        if not gap.max(initial=0.0) <= allowed:
            j, k = (int(v) for v in np.unravel_index(gap.argmax(), gap.shape))
            raise ValueError(f"diagonal[{i}] is not symmetric: [{j}, {k}] differs from [{k}, {j}]")
        r, c = np.tril_indices(size)
        parts.append((block[r, c], r + start, c + start))
        if i < len(below):
            wanted = (diagonal[i + 1].shape[0], size)
            if below[i].shape != wanted:
                raise ValueError(f"below[{i}] has shape {below[i].shape}, expected {wanted}")
            r, c = np.indices(wanted).reshape(2, -1)
            parts.append((below[i].ravel(), r + start + size, c + start))
        start += size
    shapes = [block.shape for block in diagonal], [block.shape for block in below]
    if not parts:
        return np.empty(0), np.empty(0, int), np.empty(0, int), shapes
    data, rows, columns = (np.concatenate(p) for p in zip(*parts, strict=True))
    return data, rows, columns, shapes
