"""Linear programs that decide whether a quadratic program has a point, and an end.

Both have a solution whatever the data are, so that any solver can be sent on them.
"""

from __future__ import annotations

import numpy as np
import scipy.sparse as sp

from numopt.problems.quadratic_program import QuadraticProgram


def elastic(problem: QuadraticProgram) -> QuadraticProgram:
    r"""Least total violation of the rows, in units of their largest entry.

    .. math:: \min_{x, s, t \ge 0} w^T (s + t), \quad l \le A x + s - t \le u, \; lb \le x \le ub

    Its multipliers y, z are a Farkas vector of the problem if the optimal value is positive.
    """
    n, m = problem.size, problem.n_rows
    w = np.asarray(abs(problem.A).max(axis=1).todense()).ravel() if problem.A.nnz else np.zeros(m)
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
