"""Rows of eight numbers, one for each of eight right-hand sides, held in registers.

Written out, because a loop over two rows of one array is not turned into vector instructions: for
all the compiler knows the rows overlap.
"""

from __future__ import annotations

from numopt.core.jit import inner

BLOCK = 8  # right-hand sides solved for at once


@inner
def load(B, order, W):
    """Row k of W = entries order[k] of the rows of B, zero where there are less than BLOCK."""
    for k in range(order.size):
        for j in range(BLOCK):
            W[k, j] = B[j, order[k]] if j < B.shape[0] else 0


@inner
def unload(W, order, X):
    """Put the rows of W back."""
    for k in range(order.size):
        for j in range(X.shape[0]):
            X[j, order[k]] = W[k, j]


@inner(merged=True)
def row(W, i):
    """Row i of W."""
    return W[i, 0], W[i, 1], W[i, 2], W[i, 3], W[i, 4], W[i, 5], W[i, 6], W[i, 7]


@inner(merged=True)
def store(W, i, z):
    """Row i of W = z."""
    W[i, 0], W[i, 1], W[i, 2], W[i, 3], W[i, 4], W[i, 5], W[i, 6], W[i, 7] = z


@inner(merged=True)
def times(z, a):
    """A z."""
    return (z[0] * a, z[1] * a, z[2] * a, z[3] * a, z[4] * a, z[5] * a, z[6] * a, z[7] * a)


@inner(contract=True, merged=True)
def minus_row(z, a, W, i):
    """Z - a times row i of W."""
    return (
        z[0] - a * W[i, 0],
        z[1] - a * W[i, 1],
        z[2] - a * W[i, 2],
        z[3] - a * W[i, 3],
        z[4] - a * W[i, 4],
        z[5] - a * W[i, 5],
        z[6] - a * W[i, 6],
        z[7] - a * W[i, 7],
    )


@inner(contract=True, merged=True)
def subtract_from_row(W, i, a, z):
    """Row i of W -= a z."""
    W[i, 0] -= a * z[0]
    W[i, 1] -= a * z[1]
    W[i, 2] -= a * z[2]
    W[i, 3] -= a * z[3]
    W[i, 4] -= a * z[4]
    W[i, 5] -= a * z[5]
    W[i, 6] -= a * z[6]
    W[i, 7] -= a * z[7]
