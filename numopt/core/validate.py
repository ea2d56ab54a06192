"""Input checks: every message names the argument, what was found, where, and the remedy."""

from __future__ import annotations

import math
import numbers
from typing import Any

import numpy as np
import scipy.sparse as sp

# Up to here a temporary costs less than switching floating-point warnings off.
SMALL = 4096


def as_array(value: Any, name: str, ndim: int, dtype: Any = None) -> np.ndarray:
    """Real array of `ndim` dimensions; integers become float64, float32 stays, NaN is refused."""
    if type(value) is not np.ndarray:
        if sp.issparse(value):
            raise TypeError(f"{name} must be a dense array, got a sparse {value.shape} matrix")
        if isinstance(value, np.ma.MaskedArray) and value.mask.any():
            raise ValueError(f"{name} has masked entries; fill or drop them first")
        try:
            value = np.asarray(value)
        except ValueError as error:  # ragged nesting
            raise ValueError(f"{name} is not a regular array: {error}") from None
    if value.ndim != ndim:
        kind = {1: "1-D", 2: "2-D"}[ndim]
        raise ValueError(f"{name} must be {kind}, got shape {value.shape}")
    value = _real(value, name, dtype)
    require_finite(value, name)
    return value


def as_vector(value: Any, name: str, dtype: Any = None) -> np.ndarray:
    """Finite contiguous 1-D array of float64 or float32."""
    return np.ascontiguousarray(as_array(value, name, 1, dtype))


def as_matrix(value: Any, name: str) -> Any:
    """Finite 2-D array of float64 or float32, or a canonical `scipy.sparse.csc_array`."""
    if not sp.issparse(value):
        return as_array(value, name, 2)
    if value.ndim != 2:
        raise ValueError(f"{name} must be 2-D, got shape {value.shape}")
    dtype = value.dtype if value.dtype in (np.float32, np.float64) else None
    if dtype is None and value.dtype.kind not in "biuf":
        raise TypeError(f"{name} must hold real numbers, got dtype {value.dtype}")
    # The very object if it will do: what was computed from it is found again by identity.
    kept = dtype is not None and isinstance(value, sp.csc_array)
    columns = value if kept else sp.csc_array(value, dtype=dtype or np.float64)
    if not columns.has_canonical_format:
        # The caller's duplicates are the caller's; a cast copies the data, not the indices.
        columns = columns.copy()
        columns.sum_duplicates()
    require_finite(columns.data, f"{name}.data")
    return columns


def as_symmetric(P: Any, name: str) -> Any:
    """A symmetric matrix: asymmetry of rounding size is averaged away, more is refused."""
    P = as_matrix(P, name)
    if P.shape[0] != P.shape[1]:
        raise ValueError(f"{name} must be square, got shape {P.shape}")
    difference = abs(P - P.T)
    worst = float(difference.max()) if P.shape[0] else 0.0
    if worst == 0:
        return P
    if not worst <= 1e-10 * float(abs(P).max()):
        full = difference.toarray() if sp.issparse(difference) else difference
        i, j = sorted(int(k) for k in np.unravel_index(int(np.argmax(full)), P.shape))
        raise ValueError(
            f"{name} is not symmetric: [{i}, {j}] and [{j}, {i}] differ by {worst:.3g}"
        )
    return (P + P.T) / 2


def _real(value: np.ndarray, name: str, dtype: Any) -> np.ndarray:
    if value.dtype.kind == "f":
        wide = np.float64 if value.dtype not in (np.float32, np.float64) else value.dtype
    elif value.dtype.kind in "biu":
        wide = np.float64
    else:
        what = "complex numbers" if value.dtype.kind == "c" else f"dtype {value.dtype}"
        if value.dtype.kind == "O":
            what += "; convert it with .astype(float)"
        raise TypeError(f"{name} must hold real numbers, got {what}")
    return value.astype(dtype or wide, copy=False)


def require_finite(value: np.ndarray, name: str) -> None:
    """Refuse NaN and infinities, naming the first."""
    if value.dtype.kind != "f" or value.size == 0:
        return
    if value.size > SMALL:
        # One pass without a temporary: a sum is finite unless an entry is not (or it overflows).
        with np.errstate(over="ignore", invalid="ignore"):
            if math.isfinite(value.sum()):
                return
    bad = ~np.isfinite(value)
    if bad.any():
        where = tuple(int(i) for i in np.argwhere(bad)[0])
        index = where[0] if len(where) == 1 else where
        raise ValueError(
            f"{name} has {value[where]} at index {index} ({int(bad.sum())} such entries); "
            "drop or impute them"
        )


def require_length(value: np.ndarray, length: int, name: str) -> np.ndarray:
    """Refuse a vector of another length."""
    if value.size != length:
        raise ValueError(f"{name} has {value.size} entries, expected {length}")
    return value


def require_number(value: Any, name: str) -> None:
    """Refuse what is not a real number."""
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise TypeError(f"{name} must be a number, got {value!r}")


def require_positive(value: Any, name: str) -> None:
    """Refuse what is not a finite number > 0."""
    require_number(value, name)
    if not (value > 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number > 0, got {value!r}")


def require_nonnegative(value: Any, name: str) -> None:
    """Refuse what is not a finite number >= 0."""
    require_number(value, name)
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(f"{name} must be a finite number >= 0, got {value!r}")


def require_greater(value: Any, bound: float, name: str) -> None:
    """Refuse what is not > bound; infinity passes."""
    require_number(value, name)
    if not value > bound:
        raise ValueError(f"{name} must be > {bound:g}, got {value!r}")


def require_in(value: Any, low: float, high: float, name: str) -> None:
    """Refuse what is not in [low, high]."""
    require_number(value, name)
    if not low <= value <= high:
        raise ValueError(f"{name} must lie in [{low:g}, {high:g}], got {value!r}")


def require_between(value: Any, low: float, high: float, name: str) -> None:
    """Refuse numbers that are not strictly between the limits."""
    require_number(value, name)
    if not low < value < high:
        raise ValueError(f"{name} must lie in ({low:g}, {high:g}), got {value!r}")


def require_count(value: Any, name: str, least: int = 0) -> None:
    """Refuse what is not an integer >= least."""
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise TypeError(f"{name} must be an integer, got {value!r}")
    if value < least:
        raise ValueError(f"{name} must be >= {least}, got {value!r}")


def require_choice(value: Any, choices: tuple[str, ...], name: str) -> None:
    """Refuse what is not one of the named choices."""
    if value not in choices:
        shown = ", ".join(repr(choice) for choice in choices)
        raise ValueError(f"{name} must be one of {shown}; got {value!r}")
