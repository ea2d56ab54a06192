"""Linear maps with structure that factorisations can use."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.fft
import scipy.sparse as sp

from numopt.core.validate import require_count
from numopt.linalg.operators import as_operator


class Repeat:
    """N copies of a vector, x -> (x, ..., x): M'M = N I.

    Parameters
    ----------
    n, copies : int
        Length of x, number of copies.

    Examples
    --------
    >>> from numopt.linalg.maps import Repeat
    >>> Repeat(2, 3).matvec([1.0, 2.0]).tolist()
    [1.0, 2.0, 1.0, 2.0, 1.0, 2.0]
    """

    def __init__(self, n: int, copies: int):
        require_count(n, "n")
        require_count(copies, "copies", 1)
        self.n, self.copies = int(n), int(copies)
        self.shape = self.n * self.copies, self.n
        self.tight = float(copies)

    def matvec(self, x: Any) -> np.ndarray:
        """The copies."""
        return np.tile(x, self.copies)

    def rmatvec(self, y: Any) -> np.ndarray:
        """Their sum."""
        return np.asarray(y).reshape(self.copies, self.n).sum(0)


class Differences:
    """Forward differences of an image, down its columns and then along its rows.

    ``M'M`` is the Laplacian with reflecting borders, which the discrete cosine transform
    diagonalises.

    Parameters
    ----------
    shape : tuple of int
        Shape of the image, which is passed as a vector, row by row.

    Examples
    --------
    >>> from numopt.linalg.maps import Differences
    >>> Differences((2, 2)).matvec([1.0, 2.0, 4.0, 8.0]).tolist()
    [3.0, 6.0, 0.0, 0.0, 1.0, 0.0, 4.0, 0.0]

    Both differences have an entry for every pixel, 0 at the last row and the last column, so that
    entries k and k + n belong to pixel k.
    """

    def __init__(self, shape: Any):
        rows, columns = shape
        require_count(rows, "shape[0]", 1)
        require_count(columns, "shape[1]", 1)
        self.image = int(rows), int(columns)
        n = self.image[0] * self.image[1]
        self.shape = 2 * n, n

    def matvec(self, x: Any) -> np.ndarray:
        """Both differences, each with an entry per pixel."""
        X = np.asarray(x).reshape(self.image)
        out = np.zeros((2, *self.image), X.dtype)
        np.subtract(X[1:], X[:-1], out=out[0, :-1])
        np.subtract(X[:, 1:], X[:, :-1], out=out[1, :, :-1])
        return out.reshape(-1)

    def rmatvec(self, y: Any) -> np.ndarray:
        """The adjoint, minus the divergence."""
        down, along = np.asarray(y).reshape(2, *self.image)
        out = np.zeros(self.image, down.dtype)
        out[:-1] -= down[:-1]
        out[1:] += down[:-1]
        out[:, :-1] -= along[:, :-1]
        out[:, 1:] += along[:, :-1]
        return out.reshape(-1)

    def spectrum(self) -> np.ndarray:
        """Eigenvalues of M'M in the order of `transform`."""
        down, along = (2 - 2 * np.cos(np.pi * np.arange(k) / k) for k in self.image)
        return np.add.outer(down, along).reshape(-1)

    def transform(self, x: np.ndarray, inverse: bool = False) -> np.ndarray:
        """Orthogonal cosine transform of an image."""
        apply = scipy.fft.idctn if inverse else scipy.fft.dctn
        return apply(x.reshape(self.image), norm="ortho").reshape(-1)


class Map:
    """A linear map of either block of a splitting: products, and what its Gram matrix is.

    Attributes
    ----------
    shape : tuple of int
        Rows and columns.
    given : object
        What it was made of.
    scale : float or None
        s, if the map is s times the identity.
    tight : float or None
        beta, if M'M = beta I.
    """

    def __init__(self, given: Any, name: str, n: int | None = None):
        self.given, self.scale, self.tight = given, None, None
        if np.ndim(given) == 0 and isinstance(given, (int, float, np.number)):
            if not (np.isfinite(given) and given != 0):
                raise ValueError(f"{name} as a number must be finite and not 0, got {given!r}")
            assert n is not None
            self.scale, self.shape = float(given), (n, n)
            self.tight = self.scale**2
            return
        operator = as_operator(given, name)
        self.shape, self.dtype = operator.shape, operator.dtype
        self._operator = operator
        self.tight = getattr(given, "tight", None)

    def __getstate__(self) -> dict[str, Any]:
        # Products are functions made on the spot, which do not pickle.
        return {key: value for key, value in self.__dict__.items() if key != "_operator"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self.scale is None:
            self._operator = as_operator(self.given)

    @property
    def explicit(self) -> Any:
        """The matrix, or None for operators."""
        return self.given if isinstance(self.given, np.ndarray) or sp.issparse(self.given) else None

    def times(self, x: np.ndarray) -> np.ndarray:
        """M x."""
        if self.scale is not None:
            return x if self.scale == 1 else self.scale * x
        return self._operator.matvec(x)

    def adjoint(self, y: np.ndarray) -> np.ndarray:
        """M' y."""
        if self.scale is not None:
            return y if self.scale == 1 else self.scale * y
        return self._operator.rmatvec(y)
