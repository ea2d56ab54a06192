r"""Random matrices S with few rows that keep the geometry of a column space.

For S with s rows and A of rank r, :math:`(1 - \delta) |Ax| \le |SAx| \le (1 + \delta) |Ax|` for
all x with high probability, with :math:`\delta \approx \sqrt{r / s}` for Gaussian S and for
randomised Hadamard transforms. Sparse sign matrices do about as well with a few entries a column;
with a single one they need s of the order of :math:`r^2 / \delta^2` in the worst case. Sampled
rows do if the chances follow the leverage scores.

References
----------
D. P. Woodruff, "Sketching as a tool for numerical linear algebra", Found. Trends Theor. Comput.
Sci. 10 (2014), doi:10.1561/0400000060.
J. A. Tropp, "Improved analysis of the subsampled randomized Hadamard transform", Adv. Adapt. Data
Anal. 3 (2011), doi:10.1142/S1793536911000787.
J. Nelson, H. L. Nguyen, "OSNAP: faster numerical linear algebra algorithms via sparser subspace
embeddings", FOCS 2013, doi:10.1109/FOCS.2013.21.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.jit import inner, kernel
from numopt.core.validate import require_choice, require_count
from numopt.linalg.sparse import as_csr

KINDS = ("gaussian", "count", "hadamard", "uniform", "row-norms", "leverage")
# Numbers a Gaussian sketch draws at a time.
DRAWN = 1 << 21
# Rows of a transform that are done while they are in cache, and columns done together.
ROWS_IN_CACHE, PANEL = 1 << 11, 8


class Sketch:
    """An s x m random matrix, the same at every use.

    Attributes
    ----------
    shape : (s, m)
    """

    def __init__(self, size: int, length: int):
        require_count(size, "size", 1)
        require_count(length, "length")
        self.shape = (int(size), int(length))

    def apply(self, A: Any) -> np.ndarray:
        """S A as a dense array, for a vector, an array or a sparse matrix of m rows."""
        A, dtype = _input(A, self.shape[1])
        if A.ndim == 1:
            return self._apply(A[:, None], dtype)[:, 0]
        return self._apply(A, dtype)

    def __matmul__(self, A: Any) -> np.ndarray:
        return self.apply(A)

    def toarray(self) -> np.ndarray:
        """S itself."""
        return self.apply(np.eye(self.shape[1]))

    def _apply(self, A: Any, dtype: Any) -> np.ndarray:
        raise NotImplementedError


class GaussianSketch(Sketch):
    """Independent normal entries of variance 1/s; drawn a block of columns at a time, never kept.

    Cost: s m n multiplications (for sparse A: s per entry) and s m random numbers.
    """

    def __init__(self, size: int, length: int, random_state: Any = 0):
        super().__init__(size, length)
        self._seed = int(np.random.default_rng(random_state).integers(2**63))

    def _apply(self, A: Any, dtype: Any) -> np.ndarray:
        s, m = self.shape
        rng, step = np.random.default_rng(self._seed), max(1, DRAWN // s)
        out = np.zeros((s, A.shape[1]), dtype)
        A = A.tocsr() if sp.issparse(A) else A
        for first in range(0, m, step):
            rows = A[first : first + step]
            block = rng.standard_normal((rows.shape[0], s)).astype(dtype, copy=False)
            out += np.asarray((rows.T @ block).T)
        return out / np.sqrt(s).astype(dtype)


class CountSketch(Sketch):
    """Sparse signs: every column of S has `n_nonzero` entries of +-1 / sqrt(n_nonzero).

    Each falls into a stripe of rows of its own. With one it is the count-sketch, which only adds
    and subtracts rows of A. Cost: n_nonzero times the entries of A.
    """

    def __init__(self, size: int, length: int, n_nonzero: int = 8, random_state: Any = 0):
        super().__init__(size, length)
        require_count(n_nonzero, "n_nonzero", 1)
        count = min(n_nonzero, size)
        rng = np.random.default_rng(random_state)
        edges = np.linspace(0, size, count + 1).astype(np.int64)
        self._rows = rng.integers(edges[:-1], edges[1:], (length, count)).astype(np.int32)
        self._signs = (2 * rng.integers(0, 2, (length, count), np.int8) - 1).astype(np.int8)

    def _apply(self, A: Any, dtype: Any) -> np.ndarray:
        scale = 1 / np.sqrt(self._rows.shape[1]).astype(dtype)
        if sp.issparse(A):
            out = np.zeros((self.shape[0], A.shape[1]), dtype)
            _count_sparse(as_csr(A, dtype=dtype), self._rows, self._signs, out)
        elif A.flags.f_contiguous and not A.flags.c_contiguous:
            out = np.zeros((A.shape[1], self.shape[0]), dtype)
            _count_columns(np.require(A.T, dtype, ["C", "A", "W"]), self._rows, self._signs, out)
            out = out.T
        else:
            out = np.zeros((self.shape[0], A.shape[1]), dtype)
            _count_rows(np.require(A, dtype, ["C", "A", "W"]), self._rows, self._signs, out)
        out *= scale
        return out


class HadamardSketch(Sketch):
    """s sampled rows of the Walsh-Hadamard transform of randomly signed rows, padded with zeros.

    Cost: N log2(N) additions a column, N the next power of two; N x 8 numbers of memory.
    """

    def __init__(self, size: int, length: int, random_state: Any = 0):
        super().__init__(size, length)
        self._padded = 1 << max(0, int(length) - 1).bit_length()
        if size > self._padded:
            raise ValueError(
                f"size is {size}, but a transform of {length} rows has only {self._padded}; "
                "take another kind"
            )
        rng = np.random.default_rng(random_state)
        self._signs = 2.0 * rng.integers(0, 2, length) - 1
        self._sample = np.sort(rng.choice(self._padded, size, replace=False))

    def _apply(self, A: Any, dtype: Any) -> np.ndarray:
        s, m = self.shape
        signs, n = self._signs.astype(dtype)[:, None], A.shape[1]
        out = np.empty((s, n), dtype)
        A = A.tocsc() if sp.issparse(A) else A
        for first in range(0, n, PANEL):
            panel = A[:, first : first + PANEL]
            panel = panel.toarray() if sp.issparse(panel) else panel
            buffer = np.zeros((self._padded, panel.shape[1]), dtype)
            np.multiply(panel, signs, out=buffer[:m])
            hadamard_transform(buffer)
            out[:, first : first + PANEL] = buffer[self._sample]
        return out / np.sqrt(s).astype(dtype)


class RowSample(Sketch):
    r"""s rows drawn with replacement, row i with chance p_i, divided by :math:`\sqrt{s p_i}`.

    Without probabilities, s different rows times :math:`\sqrt{m / s}`.
    """

    def __init__(self, size: int, length: int, probabilities: Any = None, random_state: Any = 0):
        super().__init__(size, length)
        rng = np.random.default_rng(random_state)
        if probabilities is None:
            if size > length:
                raise ValueError(f"size is {size}, but there are only {length} rows to sample")
            self.rows = np.sort(rng.choice(length, size, replace=False))
            self._weights = np.full(size, np.sqrt(length / size))
            return
        p = np.asarray(probabilities, np.float64)
        if p.shape != (length,) or not (np.isfinite(p).all() and (p >= 0).all() and p.any()):
            raise ValueError(f"probabilities must be {length} numbers >= 0, not all of them 0")
        p = p / p.sum()
        self.rows = np.sort(rng.choice(length, size, p=p))
        self._weights = 1 / np.sqrt(size * p[self.rows])

    def _apply(self, A: Any, dtype: Any) -> np.ndarray:
        rows = A.tocsr()[self.rows].toarray() if sp.issparse(A) else A[self.rows]
        return np.asarray(rows * self._weights.astype(dtype)[:, None], dtype)


def draw_sketch(
    A: Any, size: int, kind: str = "count", *, n_nonzero: int = 8, random_state: Any = 0
) -> Sketch:
    """A sketch for the rows of A.

    Parameters
    ----------
    A : array or scipy.sparse matrix of shape (m, n)
        Only kinds that sample by A look at more than its shape.
    size : int
        Rows of the sketch.
    kind : {"count", "gaussian", "hadamard", "uniform", "row-norms", "leverage"}
        Sparse signs, normal entries, randomised Hadamard transform; rows sampled uniformly, by
        squared length, or by (approximate) leverage score.
    n_nonzero : int, default 8
        Entries per column of a "count" sketch.
    random_state : int or numpy.random.Generator, default 0

    Examples
    --------
    >>> import numpy as np
    >>> A = np.ones((1000, 2))
    >>> draw_sketch(A, 20).apply(A).shape
    (20, 2)
    """
    require_choice(kind, KINDS, "kind")
    length = int(np.shape(A)[0])
    rng = np.random.default_rng(random_state)
    if kind == "gaussian":
        return GaussianSketch(size, length, rng)
    if kind == "count":
        return CountSketch(size, length, n_nonzero, rng)
    if kind == "hadamard":
        return HadamardSketch(size, length, rng)
    if kind == "uniform":
        return RowSample(size, length, None, rng)
    if kind == "row-norms":
        from numopt.linalg.scaling import row_norms

        norms = row_norms(A)
        return RowSample(size, length, np.square(norms / (norms.max(initial=0) or 1.0)), rng)
    from numopt.linalg.sketched_least_squares import leverage_scores

    return RowSample(size, length, leverage_scores(A, random_state=rng), rng)


def _input(A: Any, length: int) -> tuple[Any, Any]:
    if not sp.issparse(A):
        A = np.asarray(A)
    if A.ndim not in (1, 2) or A.shape[0] != length:
        raise ValueError(f"A must have {length} rows, got shape {A.shape}")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"A must hold real numbers, got dtype {A.dtype}")
    return A, np.dtype(np.float32 if A.dtype == np.float32 else np.float64)


# ---- kernels -------------------------------------------------------------------------------------


def hadamard_transform(X: np.ndarray) -> np.ndarray:
    """Unnormalised Walsh-Hadamard transform of every column, in place: twice is N times X.

    Parameters
    ----------
    X : array of shape (N,) or (N, w)
        float64 or float32, C-contiguous; N a power of two.

    Examples
    --------
    >>> import numpy as np
    >>> hadamard_transform(np.array([1.0, 2.0, 3.0, 4.0])).tolist()
    [10.0, -2.0, -4.0, 0.0]
    """
    N = X.shape[0]
    if N & (N - 1) or not X.flags.carray or X.dtype not in (np.float32, np.float64):
        raise ValueError(
            f"X must be C-contiguous in float32 or float64 with 2^k rows, got {X.dtype}, {X.shape}"
        )
    if X.size:
        _transform(X.reshape(N, -1))
    return X


@kernel
def _transform(X):
    N = X.shape[0]
    block = min(N, ROWS_IN_CACHE)
    # The levels commute: the short ones run block by block in cache, the long ones two at a time.
    for first in range(0, N, block):
        h = 1
        while 2 * h < block:
            _two_levels(X, first, first + block, h)
            h *= 4
        if h < block:
            _one_level(X, first, first + block, h)
    h = block
    while 2 * h < N:
        _two_levels(X, 0, N, h)
        h *= 4
    if h < N:
        _one_level(X, 0, N, h)


@inner
def _one_level(X, first, last, h):
    for start in range(first, last, 2 * h):
        for i in range(start, start + h):
            for j in range(X.shape[1]):
                a, b = X[i, j], X[i + h, j]
                X[i, j] = a + b
                X[i + h, j] = a - b


@inner
def _two_levels(X, first, last, h):
    for start in range(first, last, 4 * h):
        for i in range(start, start + h):
            for j in range(X.shape[1]):
                a, b, c, d = X[i, j], X[i + h, j], X[i + 2 * h, j], X[i + 3 * h, j]
                s, t, u, v = a + b, a - b, c + d, c - d
                X[i, j] = s + u
                X[i + h, j] = t + v
                X[i + 2 * h, j] = s - u
                X[i + 3 * h, j] = t - v


@kernel
def _count_rows(A, rows, signs, out):
    """Rows of A added to rows of out."""
    for i in range(A.shape[0]):
        for t in range(rows.shape[1]):
            r = rows[i, t]
            if signs[i, t] > 0:
                for j in range(A.shape[1]):
                    out[r, j] += A[i, j]
            else:
                for j in range(A.shape[1]):
                    out[r, j] -= A[i, j]


@kernel
def _count_columns(At, rows, signs, out):
    """The same for A by columns; out is the transposed sketch."""
    for j in range(At.shape[0]):
        for i in range(At.shape[1]):
            a = At[j, i]
            for t in range(rows.shape[1]):
                out[j, rows[i, t]] += a if signs[i, t] > 0 else -a


@kernel
def _count_sparse(M, rows, signs, out):
    for i in range(M.indptr.size - 1):
        for t in range(rows.shape[1]):
            r, positive = rows[i, t], signs[i, t] > 0
            for k in range(M.indptr[i], M.indptr[i + 1]):
                a = M.data[k]
                out[r, M.indices[k]] += a if positive else -a
