"""Proofs that a linear program has no solution, from candidates that come close to one."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.krylov import lsqr
from numopt.linalg.scaling import row_norms
from numopt.problems.linear_program import LinearProgram
from numopt.problems.quadratic_program import PROOF_TOL, QuadraticProgram
from numopt.solvers._parts.qp_proofs import elastic, recession

# Up to here, in the certificate's units, candidates are worth polishing; what is below one of these
# shares of the largest entry is then taken for noise.
NEARLY = 0.5
NOISE = (1e-12, 1e-9, 1e-6, 1e-4, 1e-3, 1e-2)
ROUNDS, STEPS = 10, 500


def prove_infeasible(
    problem: QuadraticProgram, y: np.ndarray, z_lb: Any = None, z_ub: Any = None
) -> tuple[np.ndarray, ...] | None:
    """A Farkas vector that the data confirm, from multipliers of rows (and bounds); or None."""
    if not np.isfinite(y).all():
        return None
    proof, certificate = problem.repaired_farkas(y, z_lb, z_ub)
    if certificate.met(PROOF_TOL):
        return proof
    if not certificate["residual"] < NEARLY:
        return None
    columns = sp.csr_array(problem.A.T)
    for share in NOISE:
        better, certificate = problem.repaired_farkas(_without_gaps(problem, columns, proof, share))
        if certificate.met(PROOF_TOL):
            return better
    return None


def prove_unbounded(problem: QuadraticProgram, d: np.ndarray) -> np.ndarray | None:
    """A ray that the data confirm, from a direction; or None."""
    if not np.isfinite(d).all():
        return None
    ray, certificate = problem.repaired_ray(d)
    if certificate.met(PROOF_TOL):
        return ray
    if not certificate["residual"] < NEARLY:
        return None
    rows = sp.csr_array(problem.A)
    for share in NOISE:
        better, certificate = problem.repaired_ray(_along_sides(problem, rows, ray, share))
        if certificate.met(PROOF_TOL):
            return better
    return None


def least_violation(problem: QuadraticProgram) -> LinearProgram:
    """A program that has a solution: its multipliers prove infeasibility if its value is not 0."""
    return _linear(elastic(problem))


def steepest_ray(problem: QuadraticProgram) -> LinearProgram:
    """A program that has a solution, which is a ray if its value is not 0."""
    return _linear(recession(problem))


def _linear(program: QuadraticProgram) -> LinearProgram:
    sides = program.l, program.u
    return LinearProgram(program.q, program.A, *sides, lb=program.lb, ub=program.ub)


def _without_gaps(
    problem: QuadraticProgram, columns: Any, proof: tuple[np.ndarray, ...], share: float
) -> np.ndarray:
    """Multipliers of rows near these that ask nothing of bounds that are not there."""
    y = np.where(np.abs(proof[0]) > share, proof[0], 0.0)
    movable, held = y != 0, np.zeros(problem.size, bool)
    for _ in range(ROUNDS):
        Ay = columns @ y
        gaps = ((Ay > 0) & (problem.lb == -np.inf)) | ((Ay < 0) & (problem.ub == np.inf))
        gaps &= np.abs(Ay) > 1e-15
        if not (gaps & ~held).any():
            break
        held |= gaps
        y = _corrected(columns[held], y, movable)
        y[((y > 0) & (problem.u == np.inf)) | ((y < 0) & (problem.l == -np.inf))] = 0.0
    return y


def _along_sides(problem: QuadraticProgram, rows: Any, ray: np.ndarray, share: float) -> np.ndarray:
    """A direction near this one that leaves no side."""
    d = np.where(np.abs(ray) > share, ray, 0.0)
    movable, held = d != 0, np.zeros(problem.n_rows, bool)
    for _ in range(ROUNDS):
        Ad = rows @ d
        leaving = ((Ad < 0) & (problem.l > -np.inf)) | ((Ad > 0) & (problem.u < np.inf))
        leaving &= np.abs(Ad) > 1e-15
        if not (leaving & ~held).any():
            break
        held |= leaving
        d = _corrected(rows[held], d, movable)
        d[((d < 0) & (problem.lb > -np.inf)) | ((d > 0) & (problem.ub < np.inf))] = 0.0
    return d


def _corrected(conditions: Any, v: np.ndarray, movable: np.ndarray) -> np.ndarray:
    """Least change of the movable entries of v that makes conditions @ v vanish."""
    scale = row_norms(conditions, np.inf)
    conditions = sp.csr_array(sp.diags_array(1 / np.where(scale > 0, scale, 1.0)) @ conditions)
    places = np.flatnonzero(movable)
    part, v = sp.csr_array(conditions[:, places]), v.copy()
    for _ in range(2):
        residual = conditions @ v
        if places.size and residual.any():
            v[places] -= lsqr(part, residual, rtol=1e-14, max_iter=STEPS).x
    return v
