"""L D L' by fronts (multifrontal): dense blocks for factors that fill in.

The columns of a supernode form a dense *panel* (own rows first, then the rows below). Once it is
factored, what it subtracts from later columns is a dense *update* matrix, which its parent in the
elimination tree adds to its own panel and update. Updates live in one workspace whose layout the
analysis fixes: supernodes of even and odd depth use two stacks, so that children are read while
the parent is written. A childless single column makes no update matrix: its parent subtracts the
outer product.

References
----------
I. Duff, J. Reid, "The multifrontal solution of indefinite sparse symmetric linear equations", ACM
TOMS 9 (1983), doi:10.1145/356044.356047. J. Liu, "The multifrontal method for sparse matrix
solution", SIAM Review 34 (1992), doi:10.1137/1034004.
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
from numopt.linalg.ldl_kernels.dense import (
    WIDTH,
    row_maxima,
    settle,
    subtract_four,
    subtract_one,
    subtract_product,
)
from numopt.linalg.ldl_kernels.refine import refined
from numopt.linalg.ldl_kernels.symbolic import NONE, span

WIDE = 6  # mean number of columns from which right-hand sides are solved for one by one


@kernel
def layout(start, row_indptr, rows, above, a_indptr, a_rows):
    """Where everything goes: panels, updates, entries of A (lower triangle) in panels.

    Returns panel offsets, update offsets (-1: none), place of each row in the parent's front,
    place of each entry of A in its panel, first child, next sibling, (size of the update
    workspace, largest front).
    """
    n_super = start.size - 1
    panel = np.zeros(n_super + 1, np.int64)
    update = np.full(n_super, NONE, np.int64)
    child = np.full(n_super, NONE, np.int32)
    sibling = np.full(n_super, NONE, np.int32)
    odd = np.zeros(n_super, np.uint8)
    for s in range(n_super - 1, -1, -1):
        up = above[s]
        if up != NONE:
            odd[s] = 1 - odd[up]
            sibling[s] = child[up]
            child[up] = s
    relative = np.empty(row_indptr[n_super], np.uint32)
    place = np.empty(a_indptr[a_indptr.size - 1], np.uint32)
    where = np.empty(start[n_super], np.uint32)
    top = np.zeros(2, np.int64)
    peak = np.zeros(2, np.int64)
    largest = 0
    for s in range(n_super):
        columns = start[s + 1] - start[s]
        below = row_indptr[s + 1] - row_indptr[s]
        front = columns + below
        largest = max(largest, front)
        panel[s + 1] = panel[s] + columns * front
        for j in range(columns):
            where[start[s] + j] = j
        for p in range(row_indptr[s], row_indptr[s + 1]):
            where[rows[p]] = columns + p - row_indptr[s]
        for j in range(columns):
            for p in range(a_indptr[start[s] + j], a_indptr[start[s] + j + 1]):
                place[p] = j * front + where[a_rows[p]]
        parity = odd[s]
        if columns > 1 or child[s] != NONE:
            update[s] = top[parity]
            top[parity] += below * below
            peak[parity] = max(peak[parity], top[parity])
        lowest = np.int64(NONE)
        c = child[s]
        while c != NONE:
            for p in range(row_indptr[c], row_indptr[c + 1]):
                relative[p] = where[rows[p]]
            if lowest == NONE:
                lowest = update[c]
            c = sibling[c]
        if lowest != NONE:
            top[1 - parity] = lowest
    for s in range(n_super):
        if odd[s] and update[s] != NONE:
            update[s] += peak[0]
    return panel, update, relative, place, child, sibling, (peak[0] + peak[1], largest)


@inner
def assemble(A, a, m, relative, r, columns, front, P, p, U, u, below):
    """Add a child's update matrix to the panel P and the update U of its parent."""
    for j in range(m):
        column = np.int64(relative[r + j])
        at = np.uintp(a + j * m)
        if column < columns:
            to = np.uintp(p + column * front)
            for i in span(j, m):
                P[to + np.uintp(relative[np.uintp(r) + i])] += A[at + i]
        else:
            # U begins `columns` rows further down than the front.
            to = np.uintp(u + (column - columns) * below)
            for i in span(j, m):
                row = np.uintp(relative[np.uintp(r) + i]) - np.uintp(columns)
                U[to + row] += A[at + i]


@inner(contract=True)
def assemble_column(L, a, d, m, relative, r, columns, front, P, p, U, u, below):
    """The same for a child of one column: subtract d l l'."""
    for j in range(m):
        column = np.int64(relative[r + j])
        scaled = L[a + j] * d
        if column < columns:
            to = np.uintp(p + column * front)
            for i in span(j, m):
                P[to + np.uintp(relative[np.uintp(r) + i])] -= scaled * L[np.uintp(a) + i]
        else:
            to = np.uintp(u + (column - columns) * below)
            for i in span(j, m):
                row = np.uintp(relative[np.uintp(r) + i]) - np.uintp(columns)
                U[to + row] -= scaled * L[np.uintp(a) + i]


@inner(contract=True)
def factor_columns(
    P, p, front, first, stop, at, signs, mass, scale, epsilon, regularize, pivots, inverses
):
    """Factor columns [first, stop) of a panel; return (column that failed or -1, counts)."""
    perturbed = 0
    wrong = 0
    for j in range(first, stop):
        t = p + j * (front + 1)
        m = front - j
        q = first
        while q + 4 <= j:
            a = p + q * front + j
            s0 = P[a] * pivots[at + q]
            s1 = P[a + front] * pivots[at + q + 1]
            s2 = P[a + 2 * front] * pivots[at + q + 2]
            s3 = P[a + 3 * front] * pivots[at + q + 3]
            mass[at + j] += abs(P[a] * s0) + abs(P[a + front] * s1)
            mass[at + j] += abs(P[a + 2 * front] * s2) + abs(P[a + 3 * front] * s3)
            subtract_four(P, t, P, a, front, s0, s1, s2, s3, m)
            q += 4
        while q < j:
            a = p + q * front + j
            s0 = P[a] * pivots[at + q]
            mass[at + j] += abs(P[a] * s0)
            subtract_one(P, t, P, a, s0, m)
            q += 1
        d, verdict = settle(P[t], mass[at + j], signs[at + j], scale[at + j], epsilon, regularize)
        pivots[at + j] = d
        if verdict:
            if verdict == 3:
                return at + j, perturbed, wrong
            perturbed += 1
            wrong += verdict == 2
        inverse = 1 / d
        inverses[at + j] = inverse
        for i in range(1, m):
            P[np.uintp(t + i)] *= inverse
    return -1, perturbed, wrong


@kernel
def factor(
    values, source, a_indptr, a_rows, place, signs, shift, epsilon, regularize,
    start, row_indptr, rows, relative, child, sibling, panel, update,
    P, U, pivots, inverses, largest,
):  # fmt: skip
    """Fill panels P, pivots and inverses; return (column that failed or -1, perturbed, wrong)."""
    n_super = start.size - 1
    perturbed = 0
    wrong = 0
    mass = np.zeros(pivots.size, P.dtype)
    scale = np.zeros(pivots.size, P.dtype)
    row_maxima(values, source, a_indptr, a_rows, scale)
    W = np.empty(largest * WIDTH, P.dtype)
    packed = np.empty(largest * WIDTH, P.dtype)
    product = np.empty(largest * WIDTH, P.dtype)
    for s in range(n_super):
        at = start[s]
        columns = start[s + 1] - at
        below = row_indptr[s + 1] - row_indptr[s]
        front = columns + below
        p = panel[s]
        u = update[s]
        leaf = u == NONE
        for q in span(p, p + columns * front):
            P[q] = 0
        if not leaf:
            for j in range(below):
                for q in span(u + j * below + j, u + (j + 1) * below):
                    U[q] = 0
        for q in range(a_indptr[at], a_indptr[at + columns]):
            P[np.uintp(p) + place[q]] += values[source[q]]
        for j in range(columns):
            P[p + j * (front + 1)] += shift[at + j]
            mass[at + j] += abs(P[p + j * (front + 1)])
        c = child[s]
        while c != NONE:
            r = row_indptr[c]
            m = row_indptr[c + 1] - r
            if update[c] == NONE:
                assemble_column(
                    P, panel[c] + 1, pivots[start[c]], m, relative, r,
                    columns, front, P, p, U, u, below,
                )  # fmt: skip
            else:
                assemble(U, update[c], m, relative, r, columns, front, P, p, U, u, below)
            c = sibling[c]

        for first in range(0, columns, WIDTH):
            stop = min(columns, first + WIDTH)
            k = stop - first
            failed, more, more_wrong = factor_columns(
                P, p, front, first, stop, at, signs, mass, scale, epsilon, regularize,
                pivots, inverses,
            )  # fmt: skip
            perturbed += more
            wrong += more_wrong
            if failed >= 0:
                return failed, perturbed, wrong
            # W = L D for the rows below, and their share of the later pivots' masses.
            a = p + first * front + stop
            for i in range(front - stop):
                own = stop + i < columns
                row = at + stop + i if own else np.int64(rows[row_indptr[s] + stop + i - columns])
                total = mass[row]
                for q in range(k):
                    entry = P[np.uintp(a + q * front + i)]
                    scaled = entry * pivots[at + first + q]
                    W[np.uintp(i * k + q)] = scaled
                    total += abs(entry * scaled)
                mass[row] = total
            if leaf:
                continue
            if stop < columns:
                subtract_product(
                    P, p + stop * (front + 1), front, P, a, front, W, 0,
                    front - stop, columns - stop, k, packed, product,
                )  # fmt: skip
            subtract_product(
                U, u, below, P, p + first * front + columns, front, W, (columns - stop) * k,
                below, below, k, packed, product,
            )  # fmt: skip
    return -1, perturbed, wrong


@inner(reduction=True)
def dot_range(a, i, b, j, m):
    """Sum of a[i + q] b[j + q] over q < m."""
    total = 0.0
    for q in range(m):
        total += a[np.uintp(i + q)] * b[np.uintp(j + q)]
    return total


@inner(contract=True)
def _substitute(w, factor):
    """Overwrite w by (L D L')^{-1} w."""
    start, row_indptr, rows, panel, P, inverses = factor
    n_super = start.size - 1
    t = np.empty(w.size, w.dtype)
    for s in range(n_super):
        at = start[s]
        columns = start[s + 1] - at
        r = row_indptr[s]
        below = row_indptr[s + 1] - r
        a = panel[s]
        if columns == 1:
            for i in range(below):
                w[rows[np.uintp(r + i)]] -= P[np.uintp(a + 1 + i)] * w[at]
            continue
        for i in range(below):
            t[i] = 0
        for j in range(columns):
            z = w[at + j]
            for i in range(1, columns - j):
                w[np.uintp(at + j + i)] -= P[np.uintp(a + i)] * z
            a += columns - j
            for i in range(below):
                t[i] += P[np.uintp(a + i)] * z
            a += below + j + 1
        for i in range(below):
            w[rows[np.uintp(r + i)]] -= t[i]
    for s in range(n_super - 1, -1, -1):
        at = start[s]
        columns = start[s + 1] - at
        r = row_indptr[s]
        below = row_indptr[s + 1] - r
        for i in range(below):
            t[i] = w[rows[np.uintp(r + i)]]
        for j in range(columns - 1, -1, -1):
            a = panel[s] + j * (columns + below + 1) + 1
            z = w[at + j] * inverses[at + j]
            z -= dot_range(P, a, w, at + j + 1, columns - j - 1)
            z -= dot_range(P, a + columns - j - 1, t, 0, below)
            w[at + j] = z


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
    start, row_indptr, rows, panel, P, inverses = factor
    n_super = start.size - 1
    for s in range(n_super):
        at = start[s]
        columns = start[s + 1] - at
        r = row_indptr[s]
        below = row_indptr[s + 1] - r
        for q in range(columns):
            a = panel[s] + q * (columns + below)
            z = row(W, np.uintp(at + q))
            for i in range(q + 1, columns):
                subtract_from_row(W, np.uintp(at + i), P[np.uintp(a + i)], z)
            a += columns
            for i in range(below):
                subtract_from_row(W, rows[np.uintp(r + i)], P[np.uintp(a + i)], z)
    for s in range(n_super - 1, -1, -1):
        at = start[s]
        columns = start[s + 1] - at
        r = row_indptr[s]
        below = row_indptr[s + 1] - r
        for q in range(columns - 1, -1, -1):
            a = panel[s] + q * (columns + below)
            z = times(row(W, np.uintp(at + q)), inverses[at + q])
            for i in range(q + 1, columns):
                z = minus_row(z, P[np.uintp(a + i)], W, np.uintp(at + i))
            a += columns
            for i in range(below):
                z = minus_row(z, P[np.uintp(a + i)], W, rows[np.uintp(r + i)])
            store(W, np.uintp(at + q), z)


@inner
def _solve_block(B, X, order, factor):
    """Solve for each row of B, of which there are BLOCK or less."""
    start = factor[0]
    if order.size > WIDE * (start.size - 1):  # one by one: loops over such panels are vectorised
        for j in range(B.shape[0]):
            solve(B[j], X[j], order, factor)
        return
    W = np.empty((order.size, BLOCK), X.dtype)
    load(B, order, W)
    _substitute_block(W, factor)
    unload(W, order, X)


solve_refined, solve_rows = refined(solve, _solve_block)
