"""Refinement of solutions in the original matrix, with any factor as preconditioner."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.symbolic import span


@kernel
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


@kernel
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


def refine(
    solve: Callable[[np.ndarray], np.ndarray],
    matrix: tuple[Any, ...],
    b: np.ndarray,
    x: np.ndarray,
    steps: int,
    goal: float,
) -> tuple[np.ndarray, int, float]:
    """Improve x until its error is at most `goal`; return (solution, steps taken, error).

    One plain correction as a rule. Where that does not suffice, the factor has lost digits, and
    further corrections are combined so that the residual, measured row by row against the terms
    that make it up, is least (generalised conjugate residuals with the factor as preconditioner).

    Parameters
    ----------
    solve : callable
        The approximate inverse, in the dtype of x.
    matrix : tuple
        indptr, indices, values of the upper triangle.
    """
    r, size = np.empty((2, x.size))
    error = residual(x, b, *matrix, r, size)
    directions = images = weights = r
    done = 0
    while done < steps and not error <= goal:
        p = solve(r if x.dtype == r.dtype else r.astype(x.dtype))
        better = x.copy()
        if done == 0:
            better += p
        else:
            if done == 1:
                directions, images = np.empty((2, steps - 1, x.size))
                weights = size.copy()
            directions[done - 1] = p
            if not combine(done - 1, better, r, weights, directions, images, *matrix):
                break
        done += 1
        after = residual(better, b, *matrix, r, size)
        if after < error:
            x, error = better, after
        elif done == 1:
            residual(x, b, *matrix, r, size)
        else:
            break
    return x, done, error
