"""Dense blocks inside fronts: settled pivots, and T -= A W' on lower triangles.

Blocks live by columns inside flat buffers: entry (i, j) of a block at offset `a` with leading
dimension `lda` is ``A[a + i + j * lda]``.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner
from numopt.linalg.ldl_kernels.symbolic import span

# Columns of a panel factored before the rest is updated by matrix products.
WIDTH = 48
# Below this many multiplications, loops over columns beat packing and BLAS.
SMALL_PRODUCT = 60_000


# Of a pivot below NOISE * eps times the sum of the absolute values of its terms, not even the sign
# is sure; one below TINY * eps times the largest entry of its row of A lets the factor grow.
NOISE = 4.0
TINY = 64.0


@inner
def settle(pivot, mass, sign, scale, epsilon, regularize):
    """Pivot to use, and a verdict: 0 fine, 1 tiny or noise, 2 of the wrong sign, 3 failed.

    A wrong sign is turned round, which is within rounding if the pivot was lost in it; a pivot
    that is tiny beside its row of A goes to sqrt(eps) times that row's scale.
    """
    right = sign * pivot
    noise = NOISE * epsilon * mass
    if not regularize:
        return pivot, 0 if right > noise else 3
    tiny = TINY * epsilon * scale
    if right > 0 and right > tiny:
        return pivot, 0
    if not abs(pivot) < np.inf:
        return pivot, 3
    size = max(abs(pivot), epsilon * mass)
    if abs(pivot) <= tiny:
        size = max(size, np.sqrt(epsilon) * scale)
    if size == 0:  # a row of zeros
        size = 1.0
    return sign * size, 2 if right < -max(noise, tiny) else 1


@inner
def row_maxima(values, source, indptr, indices, largest):
    """Largest absolute entry of each row of a symmetric matrix given by one triangle."""
    for j in range(indptr.size - 1):
        for p in span(indptr[j], indptr[j + 1]):
            i = indices[p]
            a = abs(values[source[p]])
            largest[i] = max(largest[i], a)
            largest[j] = max(largest[j], a)


@inner
def maximum(values):
    """Largest absolute entry of a vector, NaN aside."""
    a = b = c = d = 0.0  # four chains of comparisons run at once
    for i in range(0, values.size - 3, 4):
        a = max(a, abs(values[i]))
        b = max(b, abs(values[i + 1]))
        c = max(c, abs(values[i + 2]))
        d = max(d, abs(values[i + 3]))
    for i in range(values.size - values.size % 4, values.size):
        a = max(a, abs(values[i]))
    return max(max(a, b), max(c, d))


@inner(contract=True, merged=True)
def subtract_one(T, t, A, a, s, m):
    """T[t:] -= s A[a:] over m entries."""
    for i in range(m):
        T[np.uintp(t + i)] -= s * A[np.uintp(a + i)]


@inner(contract=True, merged=True)
def subtract_four(T, t, A, a, lda, s0, s1, s2, s3, m):
    """Four columns at once: T is read and written once."""
    b, c, d = a + lda, a + 2 * lda, a + 3 * lda
    for i in range(m):
        T[np.uintp(t + i)] -= (
            s0 * A[np.uintp(a + i)]
            + s1 * A[np.uintp(b + i)]
            + s2 * A[np.uintp(c + i)]
            + s3 * A[np.uintp(d + i)]
        )


@inner
def subtract_product(T, t, ldt, A, a, lda, W, w, m, columns, k, packed, product):
    """T[i, j] -= sum_q A[i, q] W[j, q] for j < columns, j <= i < m; W by rows of k entries."""
    if m * columns * k < SMALL_PRODUCT or k < 8:
        for j in range(columns):
            q = 0
            while q + 4 <= k:
                at = w + j * k + q
                subtract_four(
                    T, t + j * (ldt + 1), A, a + q * lda + j, lda,
                    W[at], W[at + 1], W[at + 2], W[at + 3], m - j,
                )  # fmt: skip
                q += 4
            while q < k:
                subtract_one(T, t + j * (ldt + 1), A, a + q * lda + j, W[w + j * k + q], m - j)
                q += 1
        return
    rows = packed[: m * k].reshape((m, k))
    for q in range(k):
        for i in range(m):
            rows[i, q] = A[np.uintp(a + q * lda + i)]
    scaled = W[w : w + columns * k].reshape((columns, k))
    for j0 in range(0, columns, WIDTH):
        j1 = min(columns, j0 + WIDTH)
        block = product[: (j1 - j0) * (m - j0)].reshape((j1 - j0, m - j0))
        np.dot(scaled[j0:j1], rows[j0:].T, block)
        for j in range(j1 - j0):
            at = t + (j0 + j) * ldt + j0
            for i in range(j, m - j0):
                T[np.uintp(at + i)] -= block[j, i]
