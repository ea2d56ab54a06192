"""Products with sparse matrices, fused with what iterations do next.

One layout serves all: `CSR`, a matrix by rows. A matrix by columns is the CSR of its transpose,
so `multiply` of the columns of A is A'y by gathering and `multiply_transposed` of them is A x by
scattering. Every row's sum has a fixed order, whatever the number of threads.

Sums over entries may fuse multiply and add but are never vectorised by reordering: that would
turn the loads of x into gather instructions, several times slower on many CPUs. `gather_dot` adds
up long rows in a vector of partial sums instead, and prefetches what comes next.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.gather import AHEAD, AHEAD_INDEX, gather_dot, prefetch
from numopt.core.jit import inner, kernel
from numopt.core.validate import require_count, require_finite, require_length

DATA_AHEAD, INDEX_AHEAD = np.uint64(AHEAD), np.uint64(AHEAD_INDEX)
ONE, TWO, THREE, FOUR, FIVE, SIX, SEVEN, EIGHT = (np.uint64(k) for k in range(1, 9))
# Entries from which a matrix does not fit into the caches next to a core: prefetching pays.
LARGE = 1 << 18
# Stored entries per block of rows: what threads share out.
BLOCK = 1 << 16
# A'y by rows: with so many times as many rows as columns, and sums of at most so many parts, each
# of so many entries per column.
TALL, PARTS, PART = 2, 8, 64


class CSR(NamedTuple):
    """A sparse matrix by rows, as kernels see it."""

    data: np.ndarray  # entries, row after row
    indices: np.ndarray  # column of each entry
    indptr: np.ndarray  # where each row starts, one more for the end


# ---- one row -------------------------------------------------------------------------------------


@inner(contract=True, merged=True)
def row_dot(M, i, x):
    """m_i' x, summed in a fixed order."""
    # Unsigned positions: Numba then spares the test for negative ones, half of the time here.
    i = np.uint64(i)
    start, stop = np.uint64(M.indptr[i]), np.uint64(M.indptr[i + ONE])
    if M.data.size > LARGE:
        prefetch(M.data, start + DATA_AHEAD)
        prefetch(M.indices, start + INDEX_AHEAD)
    return gather_dot(M.data, M.indices, start, stop, x, M.data.size >= 8 * M.indptr.size)


@inner(contract=True, merged=True)
def row_axpy(M, i, a, out):
    """out += a m_i."""
    i = np.uint64(i)
    k, stop = np.uint64(M.indptr[i]), np.uint64(M.indptr[i + ONE])
    prefetch(M.data, k + DATA_AHEAD)
    prefetch(M.indices, k + INDEX_AHEAD)
    if stop - k >= EIGHT:
        last = stop - THREE
        while k < last:
            prefetch(M.data, k + DATA_AHEAD)
            prefetch(M.indices, k + INDEX_AHEAD)
            out[np.uint64(M.indices[k])] += a * M.data[k]
            out[np.uint64(M.indices[k + ONE])] += a * M.data[k + ONE]
            out[np.uint64(M.indices[k + TWO])] += a * M.data[k + TWO]
            out[np.uint64(M.indices[k + THREE])] += a * M.data[k + THREE]
            k += FOUR
    for rest in range(k, stop):
        out[np.uint64(M.indices[rest])] += a * M.data[rest]


# ---- products ------------------------------------------------------------------------------------


@kernel(contract=True)
def multiply(M, x, out, first, last):
    """out = M x in rows first:last."""
    for i in range(np.uint64(first), np.uint64(last)):
        out[i] = row_dot(M, i, x)


@kernel(contract=True)
def multiply_block(M, X, out, first, last):
    """out = M X in rows first:last, X and out by rows; eight or four columns at a time, or all."""
    columns = X.shape[1]
    wide = columns >= 16 and M.data.size >= 8 * M.indptr.size
    eights, whole = columns - columns % 8, columns - columns % 4
    zero = M.data.dtype.type(0)
    for i in range(np.uint64(first), np.uint64(last)):
        start, stop = np.uint64(M.indptr[i]), np.uint64(M.indptr[i + ONE])
        if wide:
            for c in range(columns):
                out[i, c] = zero
            for k in range(start, stop):
                j, a = np.uint64(M.indices[k]), M.data[k]
                for c in range(columns):
                    out[i, c] += a * X[j, c]
            continue
        for c in range(np.uint64(0), np.uint64(eights), EIGHT):
            p, q, r, s, t, u, v, w = zero, zero, zero, zero, zero, zero, zero, zero
            for k in range(start, stop):
                j, a = np.uint64(M.indices[k]), M.data[k]
                p += a * X[j, c]
                q += a * X[j, c + ONE]
                r += a * X[j, c + TWO]
                s += a * X[j, c + THREE]
                t += a * X[j, c + FOUR]
                u += a * X[j, c + FIVE]
                v += a * X[j, c + SIX]
                w += a * X[j, c + SEVEN]
            out[i, c], out[i, c + ONE], out[i, c + TWO], out[i, c + THREE] = p, q, r, s
            out[i, c + FOUR], out[i, c + FIVE], out[i, c + SIX], out[i, c + SEVEN] = t, u, v, w
        for c in range(np.uint64(eights), np.uint64(whole), FOUR):
            s, t, u, v = zero, zero, zero, zero
            for k in range(start, stop):
                j, a = np.uint64(M.indices[k]), M.data[k]
                s += a * X[j, c]
                t += a * X[j, c + ONE]
                u += a * X[j, c + TWO]
                v += a * X[j, c + THREE]
            out[i, c], out[i, c + ONE], out[i, c + TWO], out[i, c + THREE] = s, t, u, v
        for c in range(np.uint64(whole), np.uint64(columns)):
            s = zero
            for k in range(start, stop):
                s += M.data[k] * X[np.uint64(M.indices[k]), c]
            out[i, c] = s


@kernel(contract=True)
def multiply_dot(M, x, out):
    """out = M x and, in float64, x'M x of a square M."""
    total = 0.0
    for i in range(np.uint64(0), np.uint64(out.size)):
        out[i] = row_dot(M, i, x)
        total += np.float64(x[i]) * out[i]
    return total


@kernel(contract=True)
def multiply_transposed(M, y, out):
    """out = M'y by scattering rows; those where y is 0 are not read."""
    scatter(M, y, out, 0, y.size)


@kernel(contract=True)
def scatter(M, y, out, first, last):
    """What rows first:last contribute to M'y."""
    for j in range(out.size):
        out[j] = 0
    for i in range(first, last):
        if y[i] != 0:
            row_axpy(M, i, y[i], out)


@kernel(contract=True)
def residual(M, x, b, out, first, last):
    """out = b - M x in rows first:last, and the sum of squares there in float64."""
    total = 0.0
    for i in range(np.uint64(first), np.uint64(last)):
        r = b[i] - row_dot(M, i, x)
        out[i] = r
        total += np.float64(r) * r
    return total


# ---- primal-dual passes --------------------------------------------------------------------------
# For min c'x s.t. row_lower <= A x <= row_upper, lower <= x <= upper, with multipliers y > 0 at
# upper sides: x+ = clip(x - tau (c + A'y)), y+ = v - sigma clip(v / sigma, rows), where
# v = y + sigma A (2 x+ - x).


@inner(merged=True)
def _clip(v, low, high):
    """Projection on [low, high] without branches, which are mispredicted; NaN stays."""
    v = low if v < low else v
    return high if v > high else v


@kernel(contract=True)
def primal_pass(columns, c, lower, upper, y, tau, x, x_new, x_bar):
    """x_new and x_bar = 2 x_new - x in one pass over A by columns; |x_new - x|_2^2."""
    moved = 0.0
    for j in range(x.size):
        v = _clip(x[j] - tau * (c[j] + row_dot(columns, j, y)), lower[j], upper[j])
        step = v - x[j]
        x_new[j] = v
        x_bar[j] = v + step
        moved += np.float64(step) * step
    return moved


@kernel(contract=True)
def dual_pass(rows, lower, upper, x_bar, sigma, y, y_new):
    """y_new in one pass over A by rows; |y_new - y|_2^2. May overwrite y."""
    moved = 0.0
    for i in range(y.size):
        v = y[i] + sigma * row_dot(rows, i, x_bar)
        v -= _clip(v, sigma * lower[i], sigma * upper[i])
        step = v - y[i]
        y_new[i] = v
        moved += np.float64(step) * step
    return moved


@kernel(contract=True)
def single_sweep(
    columns, c, lower, upper, row_lower, row_upper, tau, sigma, x, y, x_new, y_new, product
):
    """Both passes with one reading of A: each column is scattered while it is in cache.

    Halves the traffic of `primal_pass` and `dual_pass`, and loses to them where columns scatter
    widely: try both. `product` holds zeros on entry and on return. Returns |x_new - x|_2^2 and
    |y_new - y|_2^2.
    """
    moved_x, moved_y = 0.0, 0.0
    for j in range(x.size):
        v = _clip(x[j] - tau * (c[j] + row_dot(columns, j, y)), lower[j], upper[j])
        step = v - x[j]
        x_new[j] = v
        moved_x += np.float64(step) * step
        if v + step != 0:  # many coordinates settle at 0
            row_axpy(columns, j, v + step, product)
    for i in range(y.size):
        v = y[i] + sigma * product[i]
        product[i] = 0
        v -= _clip(v, sigma * row_lower[i], sigma * row_upper[i])
        step = v - y[i]
        y_new[i] = v
        moved_y += np.float64(step) * step
    return moved_x, moved_y


# ---- from Python ---------------------------------------------------------------------------------


def as_csr(A: Any, name: str = "A", dtype: Any = None) -> CSR:
    """A dense or sparse matrix in canonical form: sorted, without duplicates, checked.

    Shares memory with A where that is possible; never changes A. Explicit zeros stay: they
    belong to the pattern. Indices are int32 while fewer than 2^31 entries are stored.

    Raises
    ------
    ValueError
        Indices out of range, NaN or infinities (with the first position), not 2-D.
    TypeError
        Complex or non-numeric entries.
    """
    if not sp.issparse(A):
        A = np.asarray(A)
    if A.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
    if dtype is None:
        dtype = A.dtype if A.dtype in (np.float32, np.float64) else np.float64
    rows = sp.csr_array(A)
    try:
        rows.check_format(full_check=True)
    except ValueError as error:
        raise ValueError(f"{name} is not a valid sparse matrix: {error}") from None
    if not rows.has_canonical_format:
        rows = rows.copy()  # the caller's duplicates are the caller's
        rows.sum_duplicates()
    require_finite(rows.data, f"{name}.data")
    index = np.int32 if max(rows.nnz, *rows.shape) < 2**31 else np.int64
    return CSR(
        np.require(rows.data, dtype, ["C", "A", "W"]),
        np.require(rows.indices, index, ["C", "A", "W"]),
        np.require(rows.indptr, index, ["C", "A", "W"]),
    )


def transposed(M: CSR, n_columns: int) -> CSR:
    """The CSR of the transpose; equivalently, M by columns."""
    shape = (M.indptr.size - 1, n_columns)
    columns = sp.csr_array((M.data, M.indices, M.indptr), shape=shape).tocsc()
    index = M.indices.dtype
    return CSR(columns.data, columns.indices.astype(index), columns.indptr.astype(index))


def row_blocks(indptr: np.ndarray) -> list[tuple[int, int]]:
    """Blocks first:last of rows with about BLOCK entries each, fixed by the matrix alone."""
    targets = np.arange(BLOCK, int(indptr[-1]) - BLOCK // 2, BLOCK)
    cuts = np.unique([0, *np.searchsorted(indptr, targets), indptr.size - 1]).tolist()
    return list(pairwise(cuts))


class SparseOperator:
    """A sparse matrix for repeated products, by rows and, once asked for, by columns.

    Parameters
    ----------
    A : scipy.sparse matrix or array of shape (m, n)
        Duplicates are summed on a copy; float32 stays float32.
    n_threads : int, default 1
        Threads that share the rows of one product. They pay from about a million entries. The
        result is the same to the last bit for any number of them: rows are independent, and
        norms are added up over blocks that the matrix alone determines.

    Notes
    -----
    A product reads 12 bytes per entry in float64. ``rmatvec`` scatters the rows of matrices with
    at least twice as many rows as columns, whose A'y fits into nearer caches than y does. For
    others it builds the matrix by columns at its first call, which doubles the memory. The object
    also serves where SciPy takes a ``LinearOperator``, through
    ``scipy.sparse.linalg.aslinearoperator``.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> A = SparseOperator(sp.csr_array([[1.0, 2.0], [0.0, 3.0]]))
    >>> A.matvec(np.ones(2)).tolist(), A.rmatvec(np.ones(2)).tolist()
    ([3.0, 3.0], [1.0, 5.0])
    """

    def __init__(self, A: Any, *, n_threads: int = 1):
        require_count(n_threads, "n_threads", 1)
        self.rows = as_csr(A)
        self.shape: tuple[int, int] = np.shape(A)
        self.dtype = self.rows.data.dtype
        self.n_threads = n_threads
        self._columns: CSR | None = None
        self._blocks = {"rows": row_blocks(self.rows.indptr)}
        self._pool: ThreadPoolExecutor | None = None

    @property
    def nnz(self) -> int:
        """Stored entries."""
        return int(self.rows.data.size)

    @property
    def columns(self) -> CSR:
        """The matrix by columns: the CSR of its transpose."""
        if self._columns is None:
            self._columns = transposed(self.rows, self.shape[1])
            self._blocks["columns"] = row_blocks(self._columns.indptr)
        return self._columns

    def matvec(self, x: Any, out: np.ndarray | None = None) -> np.ndarray:
        """A x, into `out` if given."""
        x, out = self._input(x, "x", 1), self._output(out, 0)
        return self._multiply("rows", self.rows, x, out)

    def rmatvec(self, y: Any, out: np.ndarray | None = None) -> np.ndarray:
        """A'y, into `out` if given."""
        y, out = self._input(y, "y", 0), self._output(out, 1)
        if self.shape[0] >= TALL * self.shape[1]:
            return self._scatter(y, out)
        return self._multiply("columns", self.columns, y, out)

    def matmat(self, X: Any) -> np.ndarray:
        """A X for X of shape (n, k): A is read once for four columns."""
        return self._multiply_many("rows", self.rows, self._inputs(X, "X", 1))

    def rmatmat(self, Y: Any) -> np.ndarray:
        """A'Y for Y of shape (m, k)."""
        columns = self.columns
        return self._multiply_many("columns", columns, self._inputs(Y, "Y", 0))

    def _scatter(self, y: np.ndarray, out: np.ndarray) -> np.ndarray:
        """A'y as a sum of parts, as many as the matrix alone determines."""
        count = min(PARTS, self.nnz // max(PART * out.size, 1), len(self._blocks["rows"]))
        if count <= 1:
            multiply_transposed(self.rows, y, out)
            return out
        runs = self._shares("rows", count)
        parts = np.empty((len(runs), out.size), self.dtype)
        jobs = [
            (self.rows, y, part, run[0][0], run[-1][1])
            for part, run in zip(parts, runs, strict=True)
        ]
        if self.n_threads == 1:
            for job in jobs:
                scatter(*job)
        else:
            list(self._threads().map(lambda job: scatter(*job), jobs))
        return np.sum(parts, axis=0, out=out)

    def residual(self, x: Any, b: Any, out: np.ndarray | None = None) -> tuple[np.ndarray, float]:
        """Return b - A x, into `out` if given, and its 2-norm, in one pass."""
        x, b, out = self._input(x, "x", 1), self._input(b, "b", 0), self._output(out, 0)

        def squares(blocks: list[tuple[int, int]]) -> list[float]:
            return [residual(self.rows, x, b, out, first, last) for first, last in blocks]

        if self.n_threads == 1:
            parts = squares(self._blocks["rows"])
        else:  # block by block as well: the sum must not depend on who computed what
            parts = [
                s
                for run in self._threads().map(squares, self._shares("rows", self.n_threads))
                for s in run
            ]
        return out, float(np.sqrt(sum(parts)))

    def __matmul__(self, x: Any) -> np.ndarray:
        return self.matmat(x) if np.ndim(x) == 2 else self.matvec(x)

    def _input(self, x: Any, name: str, axis: int) -> np.ndarray:
        length = self.shape[axis]
        if type(x) is np.ndarray and x.dtype == self.dtype and x.shape == (length,):
            return x if x.flags.carray else np.require(x, None, ["C", "A", "W"])
        x = np.asarray(x)
        if x.ndim != 1 or x.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be a real vector, got shape {x.shape} of {x.dtype}")
        require_length(x, length, name)
        return np.require(x, self.dtype, ["C", "A", "W"])

    def _inputs(self, X: Any, name: str, axis: int) -> np.ndarray:
        X = np.asarray(X)
        if X.ndim != 2 or X.dtype.kind not in "biuf":
            raise ValueError(f"{name} must be a real matrix, got shape {X.shape} of {X.dtype}")
        if X.shape[0] != self.shape[axis]:
            raise ValueError(f"{name} has {X.shape[0]} rows, expected {self.shape[axis]}")
        return np.require(X, self.dtype, ["C", "A", "W"])

    def _output(self, out: Any, axis: int) -> np.ndarray:
        length = self.shape[axis]
        if out is None:
            return np.empty(length, self.dtype)
        if out.dtype != self.dtype or out.shape != (length,) or not out.flags.carray:
            raise ValueError(
                f"out must be a contiguous {self.dtype} vector of {length} entries, "
                f"got {out.dtype} of shape {out.shape}"
            )
        return out

    def _multiply(self, form: str, M: CSR, x: np.ndarray, out: np.ndarray) -> np.ndarray:
        if self.n_threads == 1:
            multiply(M, x, out, 0, out.size)
        else:
            # Each thread takes a run of blocks in one call: rows do not depend on each other.
            runs = [(run[0][0], run[-1][1]) for run in self._shares(form, self.n_threads)]
            list(self._threads().map(lambda run: multiply(M, x, out, *run), runs))
        return out

    def _multiply_many(self, form: str, M: CSR, X: np.ndarray) -> np.ndarray:
        out = np.empty((M.indptr.size - 1, X.shape[1]), self.dtype)
        if self.n_threads == 1:
            multiply_block(M, X, out, 0, out.shape[0])
        else:
            runs = [(run[0][0], run[-1][1]) for run in self._shares(form, self.n_threads)]
            list(self._threads().map(lambda run: multiply_block(M, X, out, *run), runs))
        return out

    def _shares(self, form: str, count: int) -> list[list[tuple[int, int]]]:
        """Blocks of rows in so many runs, or less."""
        blocks = self._blocks[form]
        size = max(1, -(-len(blocks) // count))
        return [blocks[k : k + size] for k in range(0, len(blocks), size)]

    def _threads(self) -> ThreadPoolExecutor:
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="numopt")
        return self._pool

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}
