"""Reading sparse matrices: pattern once, values often, with checks that name entries."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import require_choice, require_finite

TRIANGLES = ("full", "upper", "lower")


class NotSymmetricError(ValueError):
    """Entries [i, j] and [j, i] differ by more than rounding."""


class Pattern:
    """The stored entries of a square matrix; how to tell that another one has the same.

    Attributes
    ----------
    n : int
        Order.
    length : int
        Entries of `A.data`.
    """

    def __init__(self, A: Any, name: str):
        self.name = name
        self.n = A.shape[0]
        self.format = A.format
        self._stored = tuple(part.copy() for part in _structure(A))
        self.length = self._stored[1].size if A.format == "coo" else int(A.indptr[-1])

    def values_of(self, A: Any) -> np.ndarray:
        """`data` of a matrix that must have this pattern, or a vector as it is."""
        if not sp.issparse(A) and np.ndim(A) == 1:
            values = np.asarray(A)
        else:
            A = as_sparse(A, self.name, self.format)
            if A.shape != (self.n, self.n):
                raise ValueError(
                    f"{self.name} has shape {A.shape}, analysed was {(self.n, self.n)}; "
                    "analyse it anew"
                )
            self._require_same(A)
            values = A.data[: self.length]
        if values.size != self.length:
            raise ValueError(
                f"values has {values.size} entries, the analysed pattern has {self.length}; "
                "analyse the new pattern"
            )
        if values.dtype.kind not in "biuf":
            raise TypeError(f"values must hold real numbers, got dtype {values.dtype}")
        return values

    def matrix_of(self, values: np.ndarray) -> Any:
        """The matrix with these values, in the format that was analysed."""
        shape = (self.n, self.n)
        if self.format == "coo":
            return sp.coo_array((values, self._stored), shape=shape)
        make = sp.csc_array if self.format == "csc" else sp.csr_array
        indptr, indices = self._stored
        return make((values, indices[: self.length], indptr), shape=shape)

    def _require_same(self, A: Any) -> None:
        for mine, theirs in zip(self._stored, _structure(A), strict=True):
            if mine.size != theirs.size or not (mine == theirs).all():
                raise ValueError(
                    f"{self.name} has {A.data.size} stored entries in a pattern other than the "
                    f"analysed one, which has {self.length}; analyse the new pattern"
                )

    def require_finite(self, values: np.ndarray) -> None:
        """Refuse NaN and infinities, naming the first."""
        require_finite(np.asarray(values, dtype=float), f"{self.name}.data")


class SymmetricPattern(Pattern):
    """Upper triangle of a symmetric pattern, and the way from a matrix's `data` to it.

    Parameters
    ----------
    A : sparse matrix or 2-D array
        In COO, CSC or CSR format values later come in the order of `A.data`; other formats are
        converted to CSC first. Duplicates are summed.
    triangle : {"full", "upper", "lower"}
        Which entries A holds.

    Attributes
    ----------
    indptr, indices : int64 (n + 1) and uint32 arrays
        The upper triangle by columns, rows ascending. The whole diagonal belongs to
        it, zero where A stores nothing.
    diagonal : int64 (n)
        Place of each diagonal entry.
    """

    def __init__(self, A: Any, triangle: str = "full", name: str = "A"):
        require_choice(triangle, TRIANGLES, "triangle")
        A = as_sparse(A, name)
        super().__init__(A, name)
        self.triangle, n = triangle, self.n
        rows, columns = _coordinates(A)

        wrong = {"full": None, "upper": rows > columns, "lower": rows < columns}[triangle]
        if wrong is not None and wrong.any():
            first = np.flatnonzero(wrong)[0]
            i, j = int(rows[first]), int(columns[first])
            raise ValueError(
                f"{name}[{i}, {j}] is stored outside the {triangle} triangle; "
                "pass triangle='full' or drop it"
            )
        low, high = np.minimum(rows, columns), np.maximum(rows, columns)
        key = high * np.int64(n) + low
        here = np.flatnonzero(rows <= columns) if triangle == "full" else np.arange(key.size)
        self._upper = _Gather(key[here], here)
        every = np.arange(n, dtype=np.int64) * (n + 1)
        places = np.union1d(self._upper.keys, every)
        # Where what A stores goes, if some diagonal entries are missing.
        self._present = None
        if places.size > self._upper.keys.size:
            self._present = np.searchsorted(places, self._upper.keys)
        self.indices = (places % max(n, 1)).astype(np.uint32)
        self.indptr = np.zeros(n + 1, np.int64)
        np.cumsum(np.bincount(places // max(n, 1), minlength=n), out=self.indptr[1:])
        self.diagonal = self.indptr[1:] - 1

        self._lower = None
        if triangle == "full":
            there = np.flatnonzero(rows > columns)
            self._lower = _Gather(key[there], there)
            stored = self._upper.keys
            self._off = np.flatnonzero(stored // max(n, 1) != stored % max(n, 1))
            self._require_partners(stored[self._off], self._lower.keys)

        # Is `data` the upper triangle as it stands?
        self.whole = self._lower is None and self._present is None and self._upper.whole

    def rows(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """The whole matrix by rows: indptr, indices, and places of its values in the triangle."""
        columns = np.repeat(np.arange(self.n, dtype=np.int64), np.diff(self.indptr))
        places = np.arange(columns.size)
        off = self.indices != columns
        i = np.concatenate((self.indices.astype(np.int64), columns[off]))
        j = np.concatenate((columns, self.indices[off].astype(np.int64)))
        order = np.lexsort((j, i))
        indptr = np.zeros(self.n + 1, _index_type(order.size))
        np.cumsum(np.bincount(i, minlength=self.n), out=indptr[1:])
        source = np.concatenate((places, places[off]))[order]
        return indptr, j[order].astype(indptr.dtype), source

    def _require_partners(self, upper: np.ndarray, lower: np.ndarray) -> None:
        if upper.size == lower.size and (upper == lower).all():
            return
        lonely = np.setxor1d(upper, lower)[0]
        i, j = int(lonely % self.n), int(lonely // self.n)
        i, j = (i, j) if lonely in upper else (j, i)
        raise ValueError(
            f"{self.name} is not symmetric: it stores [{i}, {j}] but not [{j}, {i}]; "
            "pass a symmetric matrix, or one triangle and say which"
        )

    def load(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the upper triangle into `out`; refuse what is not symmetric."""
        stored = out
        if self._present is not None:
            stored = np.empty(self._upper.keys.size, out.dtype)
        self._upper.take(values, stored)
        if self._present is not None:
            out.fill(0)
            out[self._present] = stored
        if self._lower is None:
            return
        upper, lower = stored[self._off], np.empty(self._off.size, out.dtype)
        self._lower.take(values, lower)
        if (upper == lower).all():
            return
        # Products such as X'X are symmetric up to rounding only.
        epsilon = float(np.finfo(out.dtype).eps)
        gap = np.abs(upper - lower)
        allowed = 1e6 * epsilon * (np.abs(upper) + np.abs(lower))
        allowed += 1e3 * epsilon * np.abs(upper).max(initial=0.0)
        bad = np.flatnonzero(~(gap <= allowed))
        if bad.size and np.isfinite(values).all():
            place = self._upper.keys[self._off[bad[0]]]
            i, j = int(place % self.n), int(place // self.n)
            raise NotSymmetricError(
                f"{self.name} is not symmetric: [{i}, {j}] is {float(upper[bad[0]])!r} but "
                f"[{j}, {i}] is {float(lower[bad[0]])!r} ({bad.size} such pairs); "
                "pass (A + A.T) / 2 or one triangle"
            )


class UpperPattern:
    """An upper triangle by columns as it stands, for callers that made it and need no checks.

    Rows ascend, and the whole diagonal is stored; `values_of` takes `data` in that order.
    """

    triangle, whole = "upper", True

    def __init__(self, indptr: np.ndarray, indices: np.ndarray, name: str = "A"):
        self.indptr, self.indices, self.name = indptr, indices, name
        self.n = indptr.size - 1
        self.length = int(indptr[-1])
        self.diagonal = indptr[1:] - 1

    def values_of(self, values: np.ndarray) -> np.ndarray:
        """The values as they are."""
        return values

    def require_finite(self, values: np.ndarray) -> None:
        """Refuse NaN and infinities, naming the first."""
        require_finite(values, f"{self.name}.data")


class GeneralPattern(Pattern):
    """Rows of any square pattern, and the way from a matrix's `data` to them.

    Attributes
    ----------
    indptr, indices : arrays
        The matrix by rows, columns ascending.
    """

    def __init__(self, A: Any, name: str = "A"):
        A = as_sparse(A, name)
        super().__init__(A, name)
        rows, columns = _coordinates(A)
        n = max(self.n, 1)
        self._all = _Gather(rows * np.int64(n) + columns, np.arange(rows.size))
        places = self._all.keys
        self.indptr = np.zeros(self.n + 1, _index_type(places.size))
        np.cumsum(np.bincount(places // n, minlength=self.n), out=self.indptr[1:])
        self.indices = (places % n).astype(self.indptr.dtype)

    def rows(self) -> tuple[np.ndarray, np.ndarray, slice]:
        """indptr, indices, and places of the values: all in order."""
        return self.indptr, self.indices, slice(None)

    def load(self, values: np.ndarray, out: np.ndarray) -> None:
        """Write the values by rows into `out`."""
        self._all.take(values, out)


class _Gather:
    """Sums of a vector's entries with equal keys, in the order of the keys."""

    def __init__(self, key: np.ndarray, source: np.ndarray):
        order = None
        if not (key[1:] > key[:-1]).all():
            order = np.argsort(key, kind="stable")
            key, source = key[order], source[order]
        first = np.flatnonzero(np.concatenate((key[:1] == key[:1], key[1:] != key[:-1])))
        self.keys = key[first]
        self._first = first if first.size < key.size else None
        straight = source.size == 0 or (source[0] == 0 and (np.diff(source) == 1).all())
        self._source = slice(source.size) if straight else source
        self.whole = straight and self._first is None

    def take(self, values: np.ndarray, out: np.ndarray) -> None:
        picked = values[self._source]
        if self._first is not None:
            picked = np.add.reduceat(picked, self._first)
        out[:] = picked


def as_sparse(A: Any, name: str, layout: str | None = None) -> Any:
    """Square COO, CSC or CSR matrix with real values; dense arrays become CSC."""
    if not sp.issparse(A):
        A = np.asarray(A)
        if A.ndim != 2:
            raise ValueError(f"{name} must be 2-D, got shape {A.shape}")
        if A.dtype.kind not in "biuf":
            raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
        A = sp.csc_array(A)
    if A.ndim != 2 or A.shape[0] != A.shape[1]:
        raise ValueError(f"{name} must be square, got shape {A.shape}")
    if A.shape[0] >= 2**31:
        raise ValueError(f"{name} has {A.shape[0]} rows; at most 2**31 - 1 are supported")
    if A.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {A.dtype}")
    if layout is not None:
        return A.asformat(layout)
    return A if A.format in ("coo", "csc", "csr") else A.tocsc()


def _structure(A: Any) -> tuple[np.ndarray, np.ndarray]:
    return (A.row, A.col) if A.format == "coo" else (A.indptr, A.indices)


def _coordinates(A: Any) -> tuple[np.ndarray, np.ndarray]:
    """Row and column of every entry, int64, in the order of `A.data`."""
    if A.format == "coo":
        return A.row.astype(np.int64), A.col.astype(np.int64)
    major = np.repeat(np.arange(A.shape[0], dtype=np.int64), np.diff(A.indptr))
    minor = A.indices[: major.size].astype(np.int64)
    return (minor, major) if A.format == "csc" else (major, minor)


def _index_type(entries: int) -> type[np.signedinteger[Any]]:
    return np.int32 if entries < 2**31 else np.int64
