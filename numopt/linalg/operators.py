"""One form for whatever multiplies: matrices, sparse matrices, operators, functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import as_array
from numopt.linalg.sparse import SparseOperator, multiply_transposed

Product = Callable[[np.ndarray], np.ndarray]


class Operator(NamedTuple):
    """A linear map of R^n into R^m by its products."""

    shape: tuple[int, int]  # (m, n)
    dtype: Any  # working precision, float64 or float32
    matvec: Product  # x -> A x
    rmatvec: Product  # y -> A'y


def as_operator(A: Any, name: str = "A", *, square: bool = False) -> Operator:
    """What multiplies with `A`.

    Parameters
    ----------
    A : array, scipy.sparse matrix, LinearOperator or other object with shape and matvec
        Objects need ``rmatvec`` where the adjoint is asked for.
    square : bool, default False
        Refuse other shapes.
    """
    if isinstance(A, Operator):
        operator = A
    elif sp.issparse(A):
        operator = _sparse(SparseOperator(A))
    elif hasattr(A, "matvec"):
        operator = _of(A, name)
    elif callable(A):
        raise TypeError(
            f"{name} is a function, whose shape is unknown; wrap it in "
            "scipy.sparse.linalg.LinearOperator(shape, matvec=...)"
        )
    else:
        dense = as_array(A, name, 2)
        operator = Operator(dense.shape, dense.dtype, lambda x: dense @ x, lambda y: dense.T @ y)
    if square and operator.shape[0] != operator.shape[1]:
        raise ValueError(f"{name} must be square, got shape {operator.shape}")
    return operator


def _sparse(A: SparseOperator) -> Operator:
    """Products by rows alone: a few with A' do not repay the matrix by columns."""

    def rmatvec(y: np.ndarray) -> np.ndarray:
        out = np.empty(A.shape[1], A.dtype)
        multiply_transposed(A.rows, y, out)
        return out

    return Operator(A.shape, A.dtype, A.matvec, rmatvec)


def _of(A: Any, name: str = "A") -> Operator:
    """The products of an object, with their results checked."""
    shape = getattr(A, "shape", None)
    if shape is None or len(shape) != 2:
        raise TypeError(f"{name} must have a shape of two numbers, got {shape!r}")
    if isinstance(A, SparseOperator):
        return Operator(A.shape, A.dtype, A.matvec, A.rmatvec)
    kind = getattr(A, "dtype", None)
    if kind is not None and np.dtype(kind).kind not in "biuf":
        raise TypeError(f"{name} must be real, got an operator of dtype {kind}")
    dtype = np.dtype(np.float32 if kind == np.float32 else np.float64)
    rows, columns = int(shape[0]), int(shape[1])

    def product(method: str, length: int) -> Product:
        def multiply(x: np.ndarray) -> np.ndarray:
            apply = getattr(A, method, None)
            if apply is None:
                raise TypeError(f"{name} has no {method}, which this method needs")
            x = x.view()
            x.flags.writeable = False  # a user's function cannot spoil the iterate
            y = np.asarray(apply(x))
            if y.size != length:
                raise ValueError(f"{name}.{method} must return {length} numbers, got {y.shape}")
            return np.array(y.reshape(-1), dtype)  # a copy: it may be x, or a buffer of theirs

        return multiply

    return Operator((rows, columns), dtype, product("matvec", rows), product("rmatvec", columns))
