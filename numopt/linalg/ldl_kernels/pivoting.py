"""L D L' of symmetric indefinite matrices: fronts with 1 x 1 and 2 x 2 threshold pivots.

A pivot is taken from the fully summed columns of a front only if the multipliers it makes are at
most 1/u: a diagonal entry if |a_kk| >= u max_i |a_ik|, a pair (k, r) if

    |inverse of [a_kk a_kr; a_kr a_rr]| (max_i |a_ik|, max_i |a_ir|)' <= 1/u  in both entries.

Columns without an acceptable pivot are *delayed*: they join the fully summed columns of the
parent. At a root nothing can be delayed and nothing needs to be: for u <= 1/2 the column of the
largest entry always has an acceptable pivot, so roots take a larger u. The inertia of D is that of
A up to rounding (Sylvester). Columns in which nothing above rounding is left count as zero pivots;
solves then set their components to zero, which solves consistent systems.

References
----------
J. Bunch, L. Kaufman, "Some stable methods for calculating inertia and solving symmetric linear
systems", Math. Comp. 31 (1977), doi:10.1090/S0025-5718-1977-0428694-0. I. Duff, "MA57: a code for
the solution of sparse symmetric definite and indefinite systems", ACM TOMS 30 (2004),
doi:10.1145/992200.992202.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.dense import WIDTH
from numopt.linalg.ldl_kernels.refine import refined
from numopt.linalg.ldl_kernels.symbolic import NONE, span
from numopt.linalg.ldl_kernels.threshold import eliminate

ROOT = 0.25  # u at roots


@kernel
def equilibrate(values, indptr, indices, rounds):
    """Powers of two s for which the columns of diag(s) A diag(s) have largest entries near 1."""
    n = indptr.size - 1
    scale = np.ones(n, values.dtype)
    largest = np.empty(n, values.dtype)
    for _ in range(rounds):
        for j in range(n):
            largest[j] = 0
        for j in range(n):
            for p in span(indptr[j], indptr[j + 1]):
                i = indices[p]
                a = abs(values[p]) * scale[i] * scale[j]
                largest[i] = max(largest[i], a)
                largest[j] = max(largest[j], a)
        for j in range(n):
            if largest[j] > 0 and largest[j] < np.inf:
                scale[j] *= 2.0 ** (-np.round(0.5 * np.log2(largest[j])))
    return scale


@inner
def roomier(buffer, used, needed):
    """The buffer, or a copy at least twice as large if `needed` more entries do not fit."""
    if used + needed <= buffer.size:
        return buffer
    larger = np.empty(max(2 * buffer.size, used + needed), buffer.dtype)
    for p in range(used):
        larger[p] = buffer[p]
    return larger


@kernel
def factor(
    values, source, a_indptr, a_rows, shift, scale, u, epsilon,
    start, row_indptr, rows, child, sibling, above, L, names,
):  # fmt: skip
    """Factor diag(scale) (A + diag(shift)) diag(scale), given by its lower triangle.

    Returns, by fronts: offsets into `names` and `L`, pivots taken; then the (perhaps regrown)
    buffers, D as (d, e), and (zero pivots, forced pivots, delayed columns).
    """
    n = shift.size
    n_super = start.size - 1
    d = np.zeros(n, L.dtype)
    e = np.zeros(n, L.dtype)
    name_start = np.zeros(n_super + 1, np.int64)
    block_start = np.zeros(n_super + 1, np.int64)
    taken = np.zeros(n_super, np.int64)
    F = np.empty(0, L.dtype)
    W = np.empty(0, L.dtype)
    packed = np.empty(0, L.dtype)
    product = np.empty(0, L.dtype)
    stack = np.empty(0, L.dtype)  # updates that wait for their parents
    listed = np.empty(0, np.uint32)  # and the names of their rows
    stack_at = np.zeros(n_super + 1, np.int64)
    listed_at = np.zeros(n_super + 1, np.int64)
    waiting = np.zeros(n_super, np.int64)  # rows of each update
    late = np.zeros(n_super, np.int64)  # how many of them are delayed columns
    where = np.empty(n, np.uint32)
    growth = np.ones(1, L.dtype)
    grown = np.ones(n_super, L.dtype)  # largest terms of each subtree
    top = np.int64(0)
    listed_top = np.int64(0)
    at = 0
    zeros = 0
    forced = 0
    delayed = 0
    for s in range(n_super):
        summed = start[s + 1] - start[s]
        c = child[s]
        while c != NONE:
            summed += late[c]
            c = sibling[c]
        f = summed + row_indptr[s + 1] - row_indptr[s]
        if F.size < f * f:
            F = np.empty(max(f * f, 2 * F.size), L.dtype)
        for j in range(f):
            for i in span(j * (f + 1), (j + 1) * f):
                F[i] = 0
        # Names of the front's rows: delayed columns, own columns, rows below.
        names = roomier(names, name_start[s], f)
        name = names[name_start[s] : name_start[s] + f]
        k = 0
        c = child[s]
        while c != NONE:
            for i in range(late[c]):
                name[k] = listed[listed_at[c] + i]
                k += 1
            c = sibling[c]
        for j in range(start[s], start[s + 1]):
            name[k] = j
            k += 1
        for p in range(row_indptr[s], row_indptr[s + 1]):
            name[k] = rows[p]
            k += 1
        for i in range(f):
            where[name[i]] = i
        for j in range(start[s], start[s + 1]):
            column = np.int64(where[j]) * f
            F[column + where[j]] += shift[j] * scale[j] * scale[j]
            for p in range(a_indptr[j], a_indptr[j + 1]):
                i = a_rows[p]
                F[column + where[i]] += values[source[p]] * scale[i] * scale[j]
        c = child[s]
        while c != NONE:
            m = waiting[c]
            for j in range(m):
                column = np.uintp(where[listed[listed_at[c] + j]]) * np.uintp(f)
                from_column = np.uintp(stack_at[c] + j * m)
                for i in span(j, m):
                    row = where[listed[np.uintp(listed_at[c]) + i]]
                    F[column + row] += stack[from_column + i]
            c = sibling[c]
        if child[s] != NONE:
            top = stack_at[child[s]]
            listed_top = listed_at[child[s]]

        if W.size < f * (WIDTH + 1):
            W = np.empty(2 * f * (WIDTH + 1), L.dtype)
            packed = np.empty(W.size, L.dtype)
            product = np.empty(W.size, L.dtype)
        growth[0] = 1
        c = child[s]
        while c != NONE:
            growth[0] = max(growth[0], grown[c])
            c = sibling[c]
        root = above[s] == NONE
        stable = max(u, ROOT) if root else u
        k, more, more_forced = eliminate(
            F, f, name, summed, root, stable, epsilon, growth, d, e, at, W, packed, product
        )
        grown[s] = growth[0]
        zeros += more
        forced += more_forced
        delayed += summed - k
        m = f - k
        L = roomier(L, block_start[s], f * k)
        for p in range(f * k):
            L[np.uintp(block_start[s] + p)] = F[np.uintp(p)]
        taken[s] = k
        name_start[s + 1] = name_start[s] + f
        block_start[s + 1] = block_start[s] + f * k
        at += k
        # What is left goes on the stack.
        stack = roomier(stack, top, m * m)
        listed = roomier(listed, listed_top, m)
        stack_at[s] = top
        listed_at[s] = listed_top
        waiting[s] = m
        late[s] = summed - k
        for j in range(m):
            listed[listed_top + j] = name[k + j]
            for i in range(j, m):
                stack[np.uintp(top + j * m + i)] = F[np.uintp((k + j) * f + k + i)]
        top += m * m
        listed_top += m
    return name_start, block_start, taken, L, names, d, e, (zeros, forced, delayed)


@inner
def _substitute(w, factor):
    """Overwrite w by (S^{-1} L D L' S^{-1})^{-1} w, S the scaling."""
    name_start, block_start, taken, L, names, d, e, scale = factor
    n_super = taken.size
    for i in range(w.size):
        w[i] *= scale[i]
    at = 0
    for s in range(n_super):
        k = taken[s]
        first = np.uintp(name_start[s])
        f = name_start[s + 1] - name_start[s]
        for j in range(k):
            z = w[names[first + np.uintp(j)]]
            a = np.uintp(block_start[s] + j * f)
            for i in span(j + 1, f):
                w[names[first + i]] -= L[a + i] * z
        q = 0
        while q < k:
            i = names[first + np.uintp(q)]
            b = e[at + q]
            if b != 0:
                j = names[first + np.uintp(q + 1)]
                a, g = d[at + q] / b, d[at + q + 1] / b
                x, y = w[i] / b, w[j] / b
                w[i] = (g * x - y) / (a * g - 1)
                w[j] = (a * y - x) / (a * g - 1)
                q += 2
            else:
                w[i] = w[i] / d[at + q] if d[at + q] != 0 else w[i] * 0
                q += 1
        at += k
    for s in range(n_super - 1, -1, -1):
        first = np.uintp(name_start[s])
        f = name_start[s + 1] - name_start[s]
        for j in range(taken[s] - 1, -1, -1):
            z = w[names[first + np.uintp(j)]]
            a = np.uintp(block_start[s] + j * f)
            for i in span(j + 1, f):
                z -= L[a + i] * w[names[first + i]]
            w[names[first + np.uintp(j)]] = z
    for i in range(w.size):
        w[i] *= scale[i]


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


@inner
def _solve_block(B, X, order, factor):
    """Solve for each row of B."""
    for j in range(B.shape[0]):
        solve(B[j], X[j], order, factor)


solve_refined, solve_rows = refined(solve, _solve_block)
