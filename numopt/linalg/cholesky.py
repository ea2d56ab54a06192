"""Solves with a Cholesky factor, as helpers of compiled iterations."""

from __future__ import annotations

from numopt.core.jit import inner, kernel

# Columns per sweep step: the factor is read once either way, the vector a fourth as often.
WIDTH = 4


@kernel
def cholesky_solve_into(L, b):
    """Overwrite b with the solution of L L' x = b.

    Both sweeps run down the columns of L, so that a Fortran-ordered factor, as LAPACK returns
    it, is read contiguously. Entries above the diagonal are never read, nor rows and columns
    beyond the length of b. As fast as LAPACK's ``potrs``, without leaving the kernel.
    """
    forward_solve_into(L, b)
    backward_solve_into(L, b)


@kernel
def forward_solve_into(L, b):
    """Overwrite b with the solution of L x = b, see `cholesky_solve_into`."""
    n = b.size
    full = n - n % WIDTH
    for j in range(0, full, WIDTH):
        _forward(L, b, j, j + WIDTH)
        _subtract_columns(L, j, b)
    _forward(L, b, full, n)


@kernel
def backward_solve_into(L, b):
    """Overwrite b with the solution of L' x = b, see `cholesky_solve_into`."""
    n = b.size
    full = n - n % WIDTH
    _backward(L, b, full, n)
    for j in range(full - WIDTH, -1, -WIDTH):
        d0, d1, d2, d3 = _dots_below(L, j, b)
        b[j] -= d0
        b[j + 1] -= d1
        b[j + 2] -= d2
        b[j + 3] -= d3
        _backward(L, b, j, j + WIDTH)


@inner
def _forward(L, b, start, stop):
    """Solve with the diagonal block of rows and columns start:stop of L."""
    for k in range(start, stop):
        t = b[k]
        for i in range(start, k):
            t -= L[k, i] * b[i]
        b[k] = t / L[k, k]


@inner
def _backward(L, b, start, stop):
    """Solve with the transpose of that block."""
    for k in range(stop - 1, start - 1, -1):
        t = b[k]
        for i in range(k + 1, stop):
            t -= L[i, k] * b[i]
        b[k] = t / L[k, k]


@inner
def _subtract_columns(L, j, b):
    """Take WIDTH columns of L times their solutions off the rest of b."""
    b0, b1, b2, b3 = b[j], b[j + 1], b[j + 2], b[j + 3]
    for i in range(j + WIDTH, b.size):
        b[i] -= b0 * L[i, j] + b1 * L[i, j + 1] + b2 * L[i, j + 2] + b3 * L[i, j + 3]


@inner(reduction=True)
def _dots_below(L, j, b):
    """Inner products of WIDTH columns of L, below their block, with b."""
    d0 = d1 = d2 = d3 = b.dtype.type(0)
    for i in range(j + WIDTH, b.size):
        t = b[i]
        d0 += L[i, j] * t
        d1 += L[i, j + 1] * t
        d2 += L[i, j + 2] * t
        d3 += L[i, j + 3] * t
    return d0, d1, d2, d3
