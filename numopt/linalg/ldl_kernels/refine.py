"""Refinement of solutions in the original matrix, with any factor as preconditioner."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.block import BLOCK
from numopt.linalg.ldl_kernels.symbolic import span


@inner
def residual(x, b, indptr, indices, values, r, size):
    """r = b - A x from the upper triangle of A; return max_i |r_i| / (|A| |x| + |b|)_i.

    The quotient is the least componentwise relative change of A and b that makes x exact.
    Accumulates in float64.
    """
    n = r.size
    for j in range(n):
        r[j] = b[j]
        size[j] = abs(r[j])
    for j in range(n):
        xj = np.float64(x[j])
        total = 0.0
        terms = 0.0
        for p in span(indptr[j], indptr[j + 1]):
            i = indices[p]
            a = np.float64(values[p])
            term = a * x[i]
            total += term
            terms += abs(term)
            if i != np.uintp(j):
                term = a * xj
                r[i] -= term
                size[i] += abs(term)
        r[j] -= total
        size[j] += terms
    worst = 0.0
    for j in range(n):
        quotient = abs(r[j]) / size[j] if size[j] > 0 else 0.0
        if not quotient <= worst:
            worst = quotient
    return worst


@inner
def _product(x, indptr, indices, values, out):
    """Out = A x from the upper triangle of A, in float64."""
    n = x.size
    for j in range(n):
        out[j] = 0
    for j in range(n):
        xj = np.float64(x[j])
        total = 0.0
        for p in span(indptr[j], indptr[j + 1]):
            i = indices[p]
            a = np.float64(values[p])
            total += a * x[i]
            if i != np.uintp(j):
                out[i] += a * xj
        out[j] += total


@inner(reduction=True)
def _weighted(x, y, size):
    """Sum of x_i y_i / size_i^2."""
    total = 0.0
    for i in range(x.size):
        if size[i] > 0:
            total += x[i] * y[i] / (size[i] * size[i])
    return total


@inner
def combine(k, x, r, size, directions, images, indptr, indices, values):
    """Step from x along direction k, made conjugate to earlier ones, to the least residual.

    Residuals are weighted by 1 / `size`. False if A maps the direction to nothing.
    """
    n = x.size
    p, q = directions[k], images[k]
    _product(p, indptr, indices, values, q)
    for j in range(k):
        overlap = _weighted(q, images[j], size)
        for i in range(n):
            p[i] -= overlap * directions[j, i]
            q[i] -= overlap * images[j, i]
    length = np.sqrt(_weighted(q, q, size))
    if not (length > 0 and length < np.inf):
        return False
    step = _weighted(r, q, size) / length
    for i in range(n):
        p[i] /= length
        q[i] /= length
        x[i] += step * p[i]
    return True


def refined(solve: Any, solve_block: Any) -> Any:
    """Kernels that solve with `solve`, or `solve_block` for several, and improve the solution."""

    @inner
    def improve(b, x, order, factor, matrix, steps, goal):
        """Improve x until its error is at most `goal`; (steps taken, error).

        One plain correction as a rule. Where that does not suffice, the factor has lost digits,
        and further corrections are combined so that the residual, measured row by row against
        the terms that make it up, is least (generalised conjugate residuals with the factor as
        preconditioner).

        `matrix` is the upper triangle: indptr, indices, values. What is solved for and with is in
        the dtype of x, residuals are in float64.
        """
        indptr, indices, values = matrix
        n = x.size
        r, size = np.empty(n), np.empty(n)
        error = residual(x, b, indptr, indices, values, r, size)
        if steps == 0 or error <= goal:
            return 0, error
        better, right, correction = np.empty_like(x), np.empty_like(x), np.empty_like(x)
        directions = images = np.empty((0, n))
        weights = r
        done = 0
        while done < steps and not error <= goal:
            for i in range(n):
                right[i] = r[i]
                better[i] = x[i]
            solve(right, correction, order, factor)
            if done == 0:
                for i in range(n):
                    better[i] += correction[i]
            else:
                if done == 1:
                    directions, images = np.empty((steps - 1, n)), np.empty((steps - 1, n))
                    weights = size.copy()
                for i in range(n):
                    directions[done - 1, i] = correction[i]
                if not combine(
                    done - 1, better, r, weights, directions, images, indptr, indices, values
                ):
                    break
            done += 1
            after = residual(better, b, indptr, indices, values, r, size)
            if after < error:
                error = after
                for i in range(n):
                    x[i] = better[i]
            elif done == 1:
                residual(x, b, indptr, indices, values, r, size)
            else:
                break
        return done, error

    @kernel
    def solve_refined(b, x, order, factor, matrix, steps, goal):
        """Write into x a solution for b of error at most `goal`; (finite, steps taken, error)."""
        if not solve(b, x, order, factor):
            return False, 0, np.inf
        done, error = improve(b, x, order, factor, matrix, steps, goal)
        return True, done, error

    @kernel
    def solve_rows(B, X, order, factor, matrix, steps, goal):
        """The same for each row of B; the errors are the largest, the steps the sum."""
        done = 0
        worst = 0.0
        for first in range(0, X.shape[0], BLOCK):
            last = min(first + BLOCK, X.shape[0])
            solve_block(B[first:last], X[first:last], order, factor)
            for j in range(first, last):
                total = 0.0
                for k in range(X.shape[1]):
                    total += X[j, k]
                if not abs(total) < np.inf:
                    return False, done, np.inf
                if steps > 0:
                    more, error = improve(B[j], X[j], order, factor, matrix, steps, goal)
                    done += more
                    worst = max(worst, error)
        return True, done, worst

    return solve_refined, solve_rows
