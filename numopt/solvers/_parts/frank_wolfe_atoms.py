"""The vertices whose convex combination an iterate is: what `FrankWolfe` remembers."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

# Vertices with at most this share of nonzero entries are kept by those.
SPARSE = 0.25
FIRST = 16  # places to begin with


class Atoms:
    """Vertices v_i with weights: x = sum_i w_i v_i.

    Vertices with few nonzero entries are kept as rows of indices and values, padded to one
    length; a dense one among them (a start inside the set) is kept apart. `images`, if any, holds
    A v_i, and `gram` v_i'H v_j for a constant H.
    """

    def __init__(self, size: int, dtype: Any, image_size: int = 0, with_gram: bool = False):
        self.size, self.dtype, self.count = size, dtype, 0
        self.weights = np.zeros(FIRST)
        self.images = np.zeros((FIRST, image_size), dtype)
        self.gram = np.zeros((FIRST, FIRST) if with_gram else (0, 0))
        self.dense: np.ndarray | None = None  # rows, where vertices are not sparse
        self.indices = np.zeros((FIRST, 1), np.intp)
        self.values = np.zeros((FIRST, 1), dtype)
        self.apart: dict[int, np.ndarray] = {}  # dense vertices among sparse ones
        self.places: dict[bytes, int] = {}
        self.keys: list[bytes] = []

    def find(self, vertex: np.ndarray) -> int:
        """Place of a vertex, -1 if it is new."""
        return self.places.get(_key(vertex), -1)

    def add(self, vertex: np.ndarray, image: Any = None, row: Any = None) -> int:
        """Put a new vertex, with weight 0, at the end; `row` holds its products with all."""
        k = self.count
        if k == self.weights.size:
            self._enlarge()
        self.count = k + 1
        self.weights[k] = 0.0
        if image is not None:
            self.images[k] = image
        self._store(k, vertex)
        key = _key(vertex)
        self.places[key] = k
        self.keys.append(key)
        if self.gram.size:
            self.gram[k, : k + 1] = self.gram[: k + 1, k] = row
        return k

    def keep(self, held: np.ndarray) -> None:
        """Forget the atoms that are not `held`; the last ones take their places."""
        k = int(held.sum())
        free = np.flatnonzero(~held[:k])
        moved = k + np.flatnonzero(held[k:])
        for name in ("weights", "images", "indices", "values", "dense"):
            array = getattr(self, name)
            if array is not None:
                array[free] = array[moved]
        if self.gram.size:
            self.gram[free] = self.gram[moved]
            self.gram[:, free] = self.gram[:, moved]
        for i in np.flatnonzero(~held).tolist():
            self.places.pop(self.keys[i])
            self.apart.pop(i, None)
        for i, j in zip(free.tolist(), moved.tolist(), strict=True):
            self.keys[i] = self.keys[j]
            self.places[self.keys[i]] = i
            if j in self.apart:
                self.apart[i] = self.apart.pop(j)
        del self.keys[k:]
        self.count = k

    def slopes(self, g: np.ndarray) -> np.ndarray:
        """g'v_i for all i."""
        k = self.count
        if self.dense is not None:
            return np.asarray(self.dense[:k] @ g, np.float64)
        out = np.einsum("ij,ij->i", self.values[:k], g[self.indices[:k]]).astype(np.float64)
        for i, vertex in self.apart.items():
            out[i] = vertex @ g
        return out

    def products(self, W: np.ndarray) -> np.ndarray:
        """Products with the rows of W, k x rows."""
        return np.stack([self.slopes(w) for w in W], axis=1)

    def combine(self, w: np.ndarray) -> np.ndarray:
        """Sum of w_i v_i."""
        chosen = np.flatnonzero(w)
        if self.dense is not None:
            rows = self.dense[: self.count] if 2 * chosen.size > w.size else self.dense[chosen]
            part = w if rows.shape[0] == w.size else w[chosen]
            return np.asarray(part.astype(self.dtype) @ rows)
        shares = self.values[chosen] * w[chosen, None]
        out = np.bincount(self.indices[chosen].ravel(), shares.ravel(), self.size)
        for i, vertex in self.apart.items():
            out += w[i] * vertex
        return out.astype(self.dtype, copy=False)

    def combine_images(self, w: np.ndarray) -> np.ndarray:
        """Sum of w_i A v_i."""
        chosen = np.flatnonzero(w)
        if 2 * chosen.size > w.size:
            return np.asarray(w.astype(self.dtype) @ self.images[: self.count])
        return np.asarray(w[chosen].astype(self.dtype) @ self.images[chosen])

    def vertex(self, i: int) -> np.ndarray:
        """Vertex i, dense."""
        if self.dense is not None:
            return self.dense[i].copy()
        if i in self.apart:
            return self.apart[i].copy()
        out = np.zeros(self.size, self.dtype)
        np.add.at(out, self.indices[i], self.values[i])
        return out

    def matrix(self) -> Any:
        """All vertices as columns: an array, or a CSC array where they are sparse."""
        if self.dense is not None:
            return self.dense[: self.count].T.copy()
        k = self.count
        column, place = np.nonzero(self.values[:k])
        row, value = self.indices[column, place], self.values[column, place]
        for i, vertex in self.apart.items():
            chosen = np.flatnonzero(vertex)
            row, value = np.append(row, chosen), np.append(value, vertex[chosen])
            column = np.append(column, np.full(chosen.size, i))
        return sp.csc_array((value, (row, column)), shape=(self.size, k))

    def _store(self, k: int, vertex: np.ndarray) -> None:
        if self.dense is not None:
            self.dense[k] = vertex
            return
        chosen = np.flatnonzero(vertex)
        if chosen.size > SPARSE * self.size and self.size > 8:
            if len(self.apart) == 1 and self.count > 1:  # a second one: they are all like that
                rows = [self.vertex(i) for i in range(k)]
                self.dense = np.zeros((self.weights.size, self.size), self.dtype)
                self.dense[:k] = rows
                self.dense[k] = vertex
                return
            self.apart[k] = vertex.copy()
            self.values[k] = 0
            return
        width = self.indices.shape[1]
        if chosen.size > width:
            extra = ((0, 0), (0, chosen.size - width))
            self.indices, self.values = np.pad(self.indices, extra), np.pad(self.values, extra)
        self.values[k] = 0
        self.indices[k] = 0
        self.indices[k, : chosen.size] = chosen
        self.values[k, : chosen.size] = vertex[chosen]

    def _enlarge(self) -> None:
        more = self.weights.size
        for name in ("weights", "images", "indices", "values", "dense"):
            array = getattr(self, name)
            if array is not None:
                room = np.zeros((more, *array.shape[1:]), array.dtype)
                setattr(self, name, np.concatenate([array, room]))
        if self.gram.size:
            self.gram = np.pad(self.gram, ((0, more), (0, more)))


def _key(vertex: np.ndarray) -> bytes:
    """The same for equal vertices only."""
    chosen = np.flatnonzero(vertex)
    if chosen.size > SPARSE * vertex.size:
        return vertex.tobytes()
    return chosen.tobytes() + vertex[chosen].tobytes()
