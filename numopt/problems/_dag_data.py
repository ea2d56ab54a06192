"""Second moments of the columns: from an array, a DataFrame, chunks of rows, or given."""

from __future__ import annotations

import warnings
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import as_array, require_count, require_finite

# Entries of the rows multiplied at a time.
PIECE = 131_072
# Variance, relative to the mean square, that is rounding of a constant.
CONSTANT = 1e-14
# Standard deviations from its inverse to this have products whose squares are finite.
LARGEST = 1e60


class Moments(NamedTuple):
    """What least-squares and BIC scores know of the data."""

    grams: np.ndarray  # (classes, d, d): second moments, about the mean if centred
    counts: np.ndarray  # rows behind each of them; 0 if not known
    gram_of: np.ndarray  # class of each node
    constant: tuple[int, ...]  # columns without variance, given variance 1 and no correlation


def column_names(X: Any, gram: Any) -> list[Any] | None:
    """Names of a DataFrame's columns."""
    table = X if X is not None else gram
    columns = getattr(table, "columns", None)
    return None if columns is None else list(columns)


def as_rows(X: Any) -> np.ndarray:
    """The data as a finite 2-D float64 array; what is not numbers is refused by column."""
    if sp.issparse(X):
        raise TypeError(f"X must be a dense array, got a sparse {X.shape} matrix; use X.toarray()")
    columns = getattr(X, "dtypes", None)
    if columns is not None and hasattr(X, "columns"):
        for name, dtype in zip(X.columns, columns, strict=True):
            if getattr(dtype, "kind", "O") not in "biuf":
                raise TypeError(
                    f"X has column {name!r} of dtype {dtype}; encode categories as numbers or "
                    "leave the column out"
                )
    X = as_array(X, "X", 2, np.float64)
    if X.shape[0] < 1 or X.shape[1] < 1:
        raise ValueError(f"X must have rows and columns, got shape {X.shape}")
    return X


def moments_of_rows(X: np.ndarray, centred: bool) -> tuple[np.ndarray, np.ndarray]:
    """X'X / n, about the column means if `centred`, and the mean square of each column."""
    sums = Sums(X.shape[1], centred)
    sums.add(X)
    G = sums.S / sums.n
    with np.errstate(over="ignore"):
        return G, G.diagonal() + sums.mean**2  # the mean is 0 if nothing is centred


def moments_of_chunks(chunks: Iterable[Any], centred: bool) -> tuple[np.ndarray, int]:
    """The same in one pass over chunks of rows, and the number of rows."""
    sums = None
    for number, chunk in enumerate(_blocks(chunks)):
        rows = chunk.compute() if hasattr(chunk, "compute") else chunk
        plain = type(rows) is np.ndarray and rows.ndim == 2 and rows.dtype == np.float64
        if not plain or 0 in rows.shape:
            rows = as_rows(rows)
        if sums is None:
            sums = Sums(rows.shape[1], centred)
        elif rows.shape[1] != sums.mean.size:
            raise ValueError(
                f"chunk {number} has {rows.shape[1]} columns, those before it {sums.mean.size}"
            )
        sums.add(rows, f"chunk {number}")
    if sums is None:
        raise ValueError("chunks holds no rows")
    return sums.S / sums.n, sums.n


def _blocks(chunks: Any) -> Iterable[Any]:
    """Blocks of rows of a Dask array or DataFrame; other things as they are."""
    if not hasattr(chunks, "to_delayed"):
        return chunks  # type: ignore[no-any-return]
    if hasattr(chunks, "rechunk"):
        chunks = chunks.rechunk({1: -1})
    blocks = chunks.to_delayed()
    return blocks.ravel() if hasattr(blocks, "ravel") else blocks  # type: ignore[no-any-return]


class Sums:
    """Sums of products about the common mean, of rows that come one piece after the other."""

    def __init__(self, d: int, centred: bool):
        self.n, self.mean, self.S, self.centred = 0, np.zeros(d), np.zeros((d, d)), centred
        # Pieces stay in the cache while they are checked, centred and multiplied.
        self.piece = max(PIECE // d, 4 * d)

    def add(self, X: np.ndarray, name: str = "X") -> None:
        """Take in more rows."""
        with np.errstate(over="ignore", invalid="ignore"):  # `repaired` refuses what is infinite
            if len(X) <= self.piece:
                self._add(X, X, name)
                return
            room = np.empty((self.piece, X.shape[1]))
            for start in range(0, len(X), self.piece):
                self._add(X[start : start + self.piece], X, name, room)

    def _add(
        self, rows: np.ndarray, X: np.ndarray, name: str, room: np.ndarray | None = None
    ) -> None:
        m = len(rows)
        centre = np.full(m, 1.0 / m) @ rows
        if not np.isfinite(centre).all():  # a mean is finite if all entries are, or it overflows
            require_finite(X, name)
        if not self.centred:
            self.S += rows.T @ rows
            self.n += m
            return
        rows = np.subtract(rows, centre, out=None if room is None else room[:m])
        # No cancellation however far the data are from 0.
        shift = centre - self.mean
        self.S += rows.T @ rows
        if self.n:
            self.S += np.outer(shift, shift) * (self.n * m / (self.n + m))
        self.mean += shift * (m / (self.n + m))
        self.n += m


def as_gram(gram: Any) -> np.ndarray:
    """Given second moments: finite, symmetric, no negative variance."""
    G = as_array(gram, "gram", 2, np.float64)
    d = G.shape[0]
    if d < 1 or G.shape[1] != d:
        raise ValueError(f"gram must be a square matrix, got shape {G.shape}")
    size = np.sqrt(np.abs(np.diag(G)))
    scale = np.outer(size, size) + 1e-300
    uneven = np.abs(G - G.T) > 1e-8 * scale
    if uneven.any():
        i, j = map(int, np.argwhere(uneven)[0])
        raise ValueError(
            f"gram must be symmetric, got {G[i, j]:g} at ({i}, {j}) and {G[j, i]:g} at ({j}, {i})"
        )
    G = (G + G.T) / 2
    if np.diag(G).min() < 0:
        j = int(np.diag(G).argmin())
        raise ValueError(f"gram has the negative variance {G[j, j]:g} at ({j}, {j})")
    scaled = G / (scale + (scale <= 1e-300))
    least = float(np.linalg.eigvalsh(scaled)[0])
    if least < -1e-8:
        raise ValueError(
            f"gram must be positive semidefinite, but has the eigenvalue {least:.1e} when scaled "
            "to unit variances; use a matrix X'X / n of complete rows"
        )
    return G


def by_regime(X: np.ndarray, targets: Any, centred: bool) -> tuple[Moments, np.ndarray]:
    """One Gram matrix for each set of rows in which some nodes were not intervened on."""
    d = X.shape[1]
    mask = np.asarray(targets)
    if mask.dtype != bool or mask.shape != X.shape:
        raise ValueError(
            f"targets must be a boolean array of shape {X.shape} that marks intervened entries, "
            f"got dtype {mask.dtype} and shape {mask.shape}"
        )
    grams: list[np.ndarray] = []
    counts: list[int] = []
    known: dict[bytes, int] = {}
    gram_of = np.zeros(d, np.int64)
    for j in range(d):
        key = mask[:, j].tobytes()
        if key not in known:
            rows = X[~mask[:, j]]
            if len(rows) < 2:
                raise ValueError(f"targets marks all rows but {len(rows)} of column {j}")
            known[key] = len(grams)
            grams.append(moments_of_rows(rows, centred)[0])
            counts.append(len(rows))
        gram_of[j] = known[key]
    squares = moments_of_rows(X, centred)[1]
    return Moments(np.stack(grams), np.array(counts), gram_of, ()), squares


def repaired(moments: Moments, mean_square: np.ndarray, names: list[Any], ridge: float) -> Moments:
    """Constant columns set apart and collinear ones kept apart by a tiny ridge, with a warning."""
    grams = moments.grams.copy()
    least = grams.diagonal(axis1=1, axis2=2).min(0)
    constant = np.flatnonzero((least <= CONSTANT * mean_square) & (mean_square < np.inf))
    if constant.size:
        shown = ", ".join(str(names[j]) for j in constant[:5])
        warnings.warn(
            f"columns {shown} are constant: they become isolated nodes", stacklevel=_depth()
        )
    sizes = np.sqrt(grams.diagonal(axis1=1, axis2=2))
    sizes[:, constant] = 1.0
    bad = ~((sizes > 1 / LARGEST) & (sizes < LARGEST))
    if bad.any():
        k, j = map(int, np.argwhere(bad)[0])
        raise ValueError(
            f"column {names[j]} has the standard deviation {sizes[k, j]:.1e}, and squares of that "
            f"overflow; rescale it to between {1 / LARGEST:g} and {LARGEST:g}"
        )
    for G in grams:
        if constant.size:
            G[constant, :] = 0.0
            G[:, constant] = 0.0
            G[constant, constant] = 1.0
        G.flat[:: len(G) + 1] *= 1.0 + ridge
    if ridge == 0:
        kept_apart(grams, names)
    return moments._replace(grams=grams, constant=tuple(map(int, constant)))


def kept_apart(grams: np.ndarray, names: list[Any], what: str = "linear combinations") -> None:
    """A ridge of 1e-9 in place, with a warning, where columns depend on others; q rows a name."""
    q = grams.shape[1] // max(len(names), 1)
    dependent = sorted({j // q for G in grams for j in _dependent(G)})
    if dependent:
        for G in grams:
            G.flat[:: len(G) + 1] *= 1.0 + 1e-9
        shown = ", ".join(str(names[j]) for j in dependent[:5])
        warnings.warn(
            f"columns {shown} are {what} of others to 10 digits: their edges are not determined; "
            "a ridge of 1e-9 is used",
            stacklevel=_depth(),
        )


def _dependent(G: np.ndarray) -> list[int]:
    """Columns whose pivot vanishes in a Cholesky factorisation with pivoting."""
    import scipy.linalg

    scale = np.sqrt(np.diag(G))
    (pstrf,) = scipy.linalg.get_lapack_funcs(("pstrf",), (G,))
    _, pivots, rank, _ = pstrf(G / np.outer(scale, scale), tol=1e-10)
    return sorted(int(j) - 1 for j in pivots[rank:])


def _depth() -> int:
    from numopt.core.report import _user_frame

    return _user_frame() - 1


def check_rows(n: int | None, known: int | None) -> int:
    """Number of rows behind the moments, 0 if nobody said."""
    if n is None:
        return known or 0
    require_count(n, "n_samples", 1)
    if known is not None and n != known:
        raise ValueError(f"n_samples is {n}, but X has {known} rows; leave it out with X")
    return int(n)
