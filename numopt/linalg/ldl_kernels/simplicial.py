"""L D L' row by row ("up-looking"): the fastest way where the factor stays very sparse.

Row k of L solves a triangular system with the columns before it, whose pattern (row k of L) is
known from the analysis: refactoring walks no tree and moves no index.

References
----------
T. Davis, "Algorithm 849: a concise sparse Cholesky factorization package", ACM TOMS 31 (2005),
doi:10.1145/1114268.1114277.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.block import (
    BLOCK,
    load,
    minus_row,
    row,
    store,
    subtract_from_row,
    times,
    unload,
)
from numopt.linalg.ldl_kernels.dense import NOISE, TINY, maximum, row_maxima, settle
from numopt.linalg.ldl_kernels.refine import refined
from numopt.linalg.ldl_kernels.symbolic import span


@inner
def _rescue(d, mass, sign, k, values, source, indptr, rows, scale, epsilon, regularize):
    if scale[k] == 0:
        row_maxima(values, source, indptr, rows, scale)
    return settle(d, mass, sign, scale[k], epsilon, regularize)


@kernel(contract=True)
def factor(values, pointers, entries, structure, known, epsilon, regularize, L, D):
    """Fill L and D; return (column that failed or -1, perturbed, wrong signs).

    Arrays that belong together come as rows of one, because a call costs time by the argument:

    - `pointers`: of A's upper triangle by columns, of L by columns, of L by rows;
    - `entries`: rows of A's entries and their places in `values`;
    - `structure`: rows of L by columns, columns of L by rows (ascending);
    - `known`: signs of the pivots, static shift;
    - `D`: pivots and their inverses.
    """
    a_indptr, indptr, row_indptr = pointers[0], pointers[1], pointers[2]
    a_rows, source = entries[0], entries[1]
    rows, row_columns = structure[0], structure[1]
    signs, shift = known[0], known[1]
    pivots, inverses = D[0], D[1]
    n = pivots.size
    y = np.zeros(n, L.dtype)
    end = indptr[:-1].copy()
    scale = np.zeros(n, L.dtype)  # of rows of A, filled when a small pivot shows up
    least = TINY * epsilon * maximum(values) if regularize else 0.0
    noise = 0.0 if regularize else NOISE * epsilon
    perturbed = 0
    wrong = 0
    for k in range(n):
        for p in span(a_indptr[k], a_indptr[k + 1]):
            y[a_rows[p]] = values[source[p]]
        d = y[k] + shift[k]
        y[k] = 0
        mass = abs(d)
        for q in span(row_indptr[k], row_indptr[k + 1]):
            i = row_columns[q]
            z = y[i]
            y[i] = 0
            stop = np.uintp(end[i])
            for p in range(np.uintp(indptr[i]), stop):
                y[rows[p]] -= L[p] * z
            entry = z * inverses[i]
            L[stop] = entry
            end[i] += 1
            d -= z * entry
            mass += abs(z * entry)
        if not signs[k] * d > max(noise * mass, least):
            d, verdict = _rescue(
                d, mass, signs[k], k, values, source, a_indptr, a_rows, scale, epsilon, regularize
            )
            if verdict == 3:
                pivots[k] = d
                return k, perturbed, wrong
            perturbed += verdict > 0
            wrong += verdict == 2
        pivots[k] = d
        inverses[k] = 1 / d
    return -1, perturbed, wrong


@inner(contract=True)
def _substitute(w, factor):
    """Overwrite w by (L D L')^{-1} w."""
    indptr, rows, L, inverses = factor
    n = w.size
    for k in range(n):
        t = w[k]
        for p in span(indptr[k], indptr[k + 1]):
            w[rows[p]] -= L[p] * t
    for k in range(n - 1, -1, -1):
        t = w[k] * inverses[k]
        for p in span(indptr[k], indptr[k + 1]):
            t -= L[p] * w[rows[p]]
        w[k] = t


@kernel
def solve(b, x, order, factor):
    """Write the solution for b into x; return whether it is finite."""
    w = np.empty(b.size, x.dtype)
    for k in range(b.size):
        w[k] = b[order[k]]
    _substitute(w, factor)
    total = 0.0
    for k in range(b.size):
        x[order[k]] = w[k]
        total += w[k]
    return abs(total) < np.inf


@inner(contract=True)
def _substitute_block(W, factor):
    """Overwrite the columns of W, BLOCK of them, by their solutions."""
    indptr, rows, L, inverses = factor
    n = inverses.size
    for k in range(n):
        z = row(W, k)
        for p in span(indptr[k], indptr[k + 1]):
            subtract_from_row(W, rows[p], L[p], z)
    for k in range(n - 1, -1, -1):
        z = times(row(W, k), inverses[k])
        for p in span(indptr[k], indptr[k + 1]):
            z = minus_row(z, L[p], W, rows[p])
        store(W, k, z)


@inner
def _solve_block(B, X, order, factor):
    """Solve for each row of B, of which there are BLOCK or less."""
    W = np.empty((order.size, BLOCK), X.dtype)
    load(B, order, W)
    _substitute_block(W, factor)
    unload(W, order, X)


solve_refined, solve_rows = refined(solve, _solve_block)
