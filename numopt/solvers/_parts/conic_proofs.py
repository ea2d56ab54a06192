"""Proofs that a conic program has no solution, from multipliers and points that nearly are one."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.cones import project_into
from numopt.linalg.krylov import lsqr
from numopt.linalg.scaling import row_norms

POLISHES = 3


def farkas_of(problem: Any, model: Any, z: np.ndarray) -> tuple[np.ndarray, bool]:
    """The Farkas vector that scaled multipliers stand for, or are next to; whether it is one."""
    conditions = sp.csr_array(model.A, shape=(problem.size, z.size))
    proof, certificate = problem.repaired_farkas(model.E * z)
    for _ in range(POLISHES):
        if certificate.met(certificate.tol):
            break
        z = _polished(conditions, z)
        project_into(model.cones, z, True, z)
        proof, certificate = problem.repaired_farkas(model.E * z)
    return proof, certificate.met(certificate.tol)


def recession(problem: Any, unit: np.ndarray) -> Any:
    r"""Steepest direction in which nothing stops the problem.

    .. math:: \min_d q^T d, \quad P d = 0, \; -A d \in K, \; |d_j| \le unit_j

    Its solution is a ray of the problem if the optimal value is negative.
    """
    n, (zero, nonneg, soc) = problem.size, problem.cones
    A, box = sp.csr_array(problem.A), sp.diags_array(1 / unit)
    top = np.abs(problem.q * unit).max(initial=0.0) or 1.0
    rows = (problem.P, A[:zero], A[zero : zero + nonneg], box, -box, A[zero + nonneg :])
    b = np.zeros(3 * n + problem.n_rows)
    b[n + zero + nonneg :][: 2 * n] = 1.0
    cones = {"zero": n + zero, "nonneg": nonneg + 2 * n, "soc": soc}
    return type(problem)(None, problem.q / top, sp.vstack(rows, format="csc"), b, cones)


def polished_ray(problem: Any, unit: np.ndarray, d: np.ndarray) -> np.ndarray:
    """The nearest direction that equations, and inequalities next to them, hold for exactly."""
    zero, nonneg, _ = problem.cones
    v = d / unit
    A = sp.csr_array(problem.A)[: zero + nonneg] @ sp.diags_array(unit)
    size = row_norms(A, np.inf) * np.abs(v).max(initial=0.0)
    held = np.arange(zero + nonneg) < zero
    held |= np.abs(A @ v) <= 1e-6 * size
    conditions = sp.vstack((problem.P @ sp.diags_array(unit), A[held]), format="csr")
    scale = row_norms(conditions, np.inf)
    conditions = sp.csr_array(sp.diags_array(1 / np.where(scale > 0, scale, 1.0)) @ conditions)
    return unit * _polished(conditions, v)


def _polished(conditions: Any, z: np.ndarray) -> np.ndarray:
    """The nearest z with conditions @ z = 0 among those with the same entries next to 0."""
    z = z / (np.abs(z).max(initial=0.0) or 1.0)
    free = np.flatnonzero(np.abs(z) > 1e-7)
    for _ in range(2):
        residual = conditions @ z
        if free.size and residual.any():
            z[free] -= lsqr(sp.csr_array(conditions[:, free]), residual, rtol=1e-14).x
    return z


def curved(problem: Any) -> str:
    """Why P is not convex, in words."""
    row, _ = problem.negative_curvature()
    return f"P is not positive semidefinite, as row {row} of it shows."
