"""Second-order cones {(t, v) : |v|_2 <= t}: projection, and products of cones in one vector.

A product of cones takes the entries of a vector in order: first those that are 0, then those that
are nonnegative, then one second-order cone after the other, whose first entry is its t.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_vector


class Product(NamedTuple):
    """Where the cones of a product lie."""

    zero: int  # entries before this one are 0
    nonneg: int  # ... and from there to this one nonnegative
    starts: np.ndarray  # first entry of each second-order cone, and one more for the end


def project_second_order(v: Any) -> np.ndarray:
    r"""Nearest point of the second-order cone :math:`\{(t, u) : |u|_2 \le t\}`.

    Parameters
    ----------
    v : array of shape (n,), n >= 1
        t comes first.

    Examples
    --------
    >>> project_second_order([0.0, 3.0, 4.0]).tolist()
    [2.5, 1.5, 2.0]
    """
    v = as_vector(v, "v", np.float64)
    if not v.size:
        raise ValueError("v is empty; a second-order cone has at least one entry")
    out = np.empty(v.size)
    project_into(Product(0, 0, np.array([0, v.size])), v, False, out)
    return out


@inner(contract=True)
def tail_norm(v, start, stop):
    """Euclidean length of v[start + 1 : stop], without overflow."""
    top = 0.0
    for k in range(start + 1, stop):
        if not abs(v[k]) <= top:
            top = abs(v[k])
    if not (top > 0 and top < np.inf):
        return top
    total = 0.0
    if top > 1e-100 and top < 1e100:
        for k in range(start + 1, stop):
            total += v[k] * v[k]
        return np.sqrt(total)
    for k in range(start + 1, stop):
        total += (v[k] / top) * (v[k] / top)
    return top * np.sqrt(total)


@kernel
def project_into(cones, v, dual, out):
    """The nearest point of the product, or of its dual cone; v and out may be the same array."""
    for k in range(cones.zero):
        out[k] = v[k] if dual else 0.0
    for k in range(cones.zero, cones.nonneg):
        out[k] = 0.0 if v[k] < 0 else v[k]
    for c in range(cones.starts.size - 1):
        start, stop = cones.starts[c], cones.starts[c + 1]
        t, length = v[start], tail_norm(v, start, stop)
        if length <= -t:
            for k in range(start, stop):
                out[k] = 0.0
        elif length <= t:
            for k in range(start, stop):
                out[k] = v[k]
        else:
            middle = 0.5 * (t + length)
            out[start] = middle
            for k in range(start + 1, stop):
                out[k] = middle * (v[k] / length)
