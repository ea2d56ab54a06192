"""Threshold pivoting inside one front: the search for stable 1 x 1 and 2 x 2 pivots.

The lower triangle of a front of f rows is stored by columns in a flat buffer: entry (i, j) is
``F[i + j * f]``. Its first `summed` columns are complete and may be eliminated.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.ldl_kernels.dense import WIDTH, subtract_one, subtract_product
from numopt.linalg.ldl_kernels.symbolic import NONE


@inner
def swap(F, f, names, p, q):
    """Exchange rows and columns p < q of a front of which the lower triangle is stored."""
    names[p], names[q] = names[q], names[p]
    for j in range(p):
        a, b = p + j * f, q + j * f
        F[a], F[b] = F[b], F[a]
    a, b = p * (f + 1), q * (f + 1)
    F[a], F[b] = F[b], F[a]
    for i in range(p + 1, q):
        a, b = i + p * f, q + i * f
        F[a], F[b] = F[b], F[a]
    for i in range(q + 1, f):
        a, b = i + p * f, i + q * f
        F[a], F[b] = F[b], F[a]


@inner
def column_maximum(F, f, k, c, window, skip):
    """Scan |a_ic| over i >= k but c and `skip`: (outside, inside, its row, next after inside).

    `inside` is the largest in the window [k, window), `outside` the largest below it.
    """
    inside = 0.0
    second = 0.0
    row = NONE
    for j in range(k, window):
        if j == c or j == skip:
            continue
        a = abs(F[c + j * f] if j < c else F[j + c * f])
        if not a <= inside:
            inside, second, row = a, inside, j
        else:
            second = max(second, a)
    outside = 0.0
    for i in range(window, f):
        a = abs(F[np.uintp(i + c * f)])
        if not a <= outside:
            outside = a
    return outside, inside, row, second


@inner
def choose(F, f, k, c, window, u, epsilon, growth):
    """Try column c for the next pivot: (kind, p, q) with kind 0 no, 1, 2, or 3 for a zero column.

    growth[0] follows the largest term seen so far: what is below `epsilon` times it is rounding.
    """
    d = abs(F[c * (f + 1)])
    outside, inside, r, second = column_maximum(F, f, k, c, window, NONE)
    reach = max(outside, inside)
    growth[0] = max(growth[0], max(d, reach))
    zero = epsilon * growth[0]
    if max(d, reach) <= zero:
        return 3, c, c
    if d > zero and d >= u * reach:
        growth[0] = max(growth[0], reach * (reach / d))
        return 1, c, c
    if r == NONE:
        return 0, c, c
    e = abs(F[r * (f + 1)])
    outside_r, inside_r, _, _ = column_maximum(F, f, k, r, window, c)
    reach_r = max(outside_r, inside_r)
    both = max(reach_r, inside)
    if e > zero and e >= u * both:
        growth[0] = max(growth[0], both * (both / e))
        return 1, r, r
    det = abs(F[c * (f + 1)] * F[r * (f + 1)] - inside * inside)
    reach = max(outside, second)
    first, second = e * reach + inside * reach_r, inside * reach + d * reach_r
    if inside > zero and u * max(first, second) <= det:
        growth[0] = max(growth[0], max(first / det * reach, second / det * reach_r))
        return 2, min(c, r), max(c, r)
    return 0, c, c


@inner
def flush(F, f, first, last, window, d, e, at, W, packed, product):
    """Subtract what pivots [first, last) contribute to columns [window, f)."""
    k = last - first
    for i in range(window, f):
        row = (i - window) * k
        q = 0
        while q < k:
            t = at + first + q
            x = F[i + (first + q) * f]
            if e[t] != 0:
                y = F[i + (first + q + 1) * f]
                W[row + q] = x * d[t] + y * e[t]
                W[row + q + 1] = x * e[t] + y * d[t + 1]
                q += 2
            else:
                W[row + q] = x * d[t]
                q += 1
    m = f - window
    subtract_product(
        F, window * (f + 1), f, F, window + first * f, f, W, 0, m, m, k, packed, product
    )


@inner
def take_pair(F, f, k, window, d, e, t):
    """Eliminate columns k and k + 1 with a 2 x 2 pivot, which becomes D[t], D[t + 1]."""
    first, second = k * f, (k + 1) * f
    a, b, g = F[k + first], F[k + 1 + first], F[k + 1 + second]
    d[t], d[t + 1] = a, g
    e[t], e[t + 1] = b, 0
    # Divide by b: a g may overflow or vanish where (a / b) (g / b) - 1 does not.
    a, g = a / b, g / b
    inverse = 1 / (b * (a * g - 1))
    F[k + 1 + first] = 0
    for j in range(k + 2, window):
        x, y = F[j + first], F[j + second]
        subtract_one(F, j * (f + 1), F, j + first, (g * x - y) * inverse, f - j)
        subtract_one(F, j * (f + 1), F, j + second, (a * y - x) * inverse, f - j)
    for i in range(k + 2, f):
        x, y = F[np.uintp(i + first)], F[np.uintp(i + second)]
        F[np.uintp(i + first)] = (g * x - y) * inverse
        F[np.uintp(i + second)] = (a * y - x) * inverse


@inner
def eliminate(F, f, names, summed, root, u, epsilon, growth, d, e, at, W, packed, product):
    """Pivot as long as the front allows; return (pivots taken, zero pivots, forced ones).

    Columns of L replace the front's; d[at:], e[at:] receive D, where e != 0 begins a pair. Pivots
    come from a window of columns that is kept up to date one pivot at a time; the others follow
    in blocks. The window grows when nothing in it is acceptable.
    """
    k = 0
    flushed = 0
    zeros = 0
    forced = 0
    window = min(summed, WIDTH)
    candidate = 0
    refused = 0  # candidates since the last pivot
    while True:
        stuck = refused >= window - k
        if stuck or k - flushed >= WIDTH:
            flush(F, f, flushed, k, window, d, e, at, W, packed, product)
            flushed = k
        if stuck and window < summed:
            candidate = window
            window = min(summed, window + WIDTH)
            refused = 0
        elif stuck and (k == summed or not root):
            break
        if candidate < k or candidate >= window:
            candidate = k
        kind, c, r = choose(F, f, k, candidate, window, u, epsilon, growth)
        candidate += 1
        if kind == 0:
            refused += 1
            if not stuck:
                continue
            kind, forced = 1, forced + 1  # a root refuses nothing but NaN and overflow
        refused = 0
        for p in range(1 + (kind == 2)):
            from_column = c if p == 0 else r
            if from_column != k + p:
                swap(F, f, names, k + p, from_column)
        if kind == 2:
            take_pair(F, f, k, window, d, e, at + k)
            k += 2
            continue
        pivot = F[k * (f + 1)]
        if kind == 3:
            pivot = pivot * 0
            zeros += 1
        d[at + k], e[at + k] = pivot, 0
        inverse = 1 / pivot if pivot != 0 else pivot
        for j in range(k + 1, window):
            subtract_one(F, j * (f + 1), F, j + k * f, F[j + k * f] * inverse, f - j)
        for i in range(k + 1, f):
            F[np.uintp(i + k * f)] *= inverse
        k += 1
    return k, zeros, forced
