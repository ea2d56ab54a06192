"""Linear programs that decide whether a quadratic program has a point, and an end.

Both have a solution whatever the data are, so that any solver can be sent on them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.krylov import lsqr
from numopt.linalg.scaling import row_norms
from numopt.problems.quadratic_program import QuadraticProgram


def elastic(problem: QuadraticProgram) -> QuadraticProgram:
    r"""Least total violation of the rows, in units of their largest entry.

    .. math:: \min_{x, s, t \ge 0} w^T (s + t), \quad l \le A x + s - t \le u, \; lb \le x \le ub

    Its multipliers y, z are a Farkas vector of the problem if the optimal value is positive.
    """
    n, m = problem.size, problem.n_rows
    w = _largest(problem.A)
    w[w == 0] = 1.0
    shift = sp.diags_array(w)
    zeros, free = np.zeros(2 * m), np.full(2 * m, np.inf)
    return QuadraticProgram(
        None,
        np.concatenate((np.zeros(n), np.ones(2 * m))),
        sp.hstack((problem.A, shift, -shift), format="csc"),
        problem.l, problem.u,
        np.concatenate((problem.lb, zeros)), np.concatenate((problem.ub, free)),
    )  # fmt: skip


def recession(problem: QuadraticProgram) -> QuadraticProgram:
    r"""Steepest direction in which nothing stops the problem.

    .. math:: \min_d q^T d, \quad P d = 0, \; A d, d \text{ within the cone of the sides}, \;
        |d|_\infty \le 1

    Its solution is a ray of the problem if the optimal value is negative.
    """
    n = problem.size
    lb = np.where(problem.lb > -np.inf, 0.0, -1.0)
    ub = np.where(problem.ub < np.inf, 0.0, 1.0)
    low = np.where(problem.l > -np.inf, 0.0, -np.inf)
    high = np.where(problem.u < np.inf, 0.0, np.inf)
    return QuadraticProgram(
        None,
        problem.q / (np.abs(problem.q).max(initial=0.0) or 1.0),
        sp.vstack((problem.P, problem.A), format="csc"),
        np.concatenate((np.zeros(n), low)), np.concatenate((np.zeros(n), high)),
        lb, ub,
    )  # fmt: skip


def polished_ray(problem: QuadraticProgram, d: np.ndarray) -> np.ndarray:
    """The nearest direction that nearly active conditions hold for to the last digits."""
    d = d / (np.abs(d).max(initial=0.0) or 1.0)
    Ad = problem.A @ d
    row = _largest(problem.A)
    held = ((problem.l > -np.inf) & (Ad < 1e-5 * row)) | ((problem.u < np.inf) & (Ad > -1e-5 * row))
    conditions = sp.vstack((problem.P, problem.A.tocsr()[held]), format="csr")
    free = np.flatnonzero(((problem.lb == -np.inf) & (problem.ub == np.inf)) | (np.abs(d) > 1e-7))
    return _corrected(conditions, d, free)


def polished_farkas(problem: QuadraticProgram, y: np.ndarray) -> np.ndarray:
    """The nearest multipliers of rows that need none of bounds that are not there."""
    y = y / (np.abs(y).max(initial=0.0) or 1.0)
    # A'y has to vanish where no bound can make up for it.
    Ay = problem.A.T @ y
    open_end = ((Ay > 0) & (problem.lb == -np.inf)) | ((Ay < 0) & (problem.ub == np.inf))
    conditions = sp.csr_array(problem.A.T)[open_end | ((Ay == 0) & np.isinf(problem.lb))]
    return _corrected(conditions, y, np.flatnonzero(np.abs(y) > 1e-7))


def _corrected(conditions: Any, v: np.ndarray, free: np.ndarray) -> np.ndarray:
    """Least change of the free entries of v that makes conditions @ v vanish."""
    scale = _largest(conditions)
    conditions = sp.csr_array(sp.diags_array(1 / np.where(scale > 0, scale, 1.0)) @ conditions)
    v = v.copy()
    for _ in range(2):
        residual = conditions @ v
        if free.size and residual.any():
            v[free] -= lsqr(sp.csr_array(conditions[:, free]), residual, rtol=1e-14).x
    return v


def _largest(M: Any) -> np.ndarray:
    """Largest magnitude of each row."""
    return row_norms(M, np.inf) if M.shape[0] else np.zeros(0)
