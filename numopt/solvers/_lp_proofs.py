"""Proofs that a linear program has no solution, from candidates that come close to one."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.problems.quadratic_program import PROOF_TOL, QuadraticProgram
from numopt.solvers._qp_proofs import polished_farkas, polished_ray

# Up to here, in the certificate's units, candidates are worth polishing.
NEARLY = 1e-2


def prove_infeasible(
    problem: QuadraticProgram, y: np.ndarray, z_lb: Any = None, z_ub: Any = None
) -> tuple[np.ndarray, ...] | None:
    """A Farkas vector that the data confirm, from multipliers of rows (and bounds); or None."""
    if not np.isfinite(y).all():
        return None
    proof, certificate = problem.repaired_farkas(y, z_lb, z_ub)
    for cut in (1e-12, 1e-9, 1e-6):
        if certificate.met(PROOF_TOL) or not certificate["residual"] < NEARLY:
            break
        y = np.where(np.abs(proof[0]) > cut, proof[0], 0.0)
        y = polished_farkas(problem, y)
        better = problem.repaired_farkas(y)
        if better[1]["residual"] < certificate["residual"]:
            proof, certificate = better
    return proof if certificate.met(PROOF_TOL) else None


def prove_unbounded(problem: QuadraticProgram, d: np.ndarray) -> np.ndarray | None:
    """A ray that the data confirm, from a direction; or None."""
    if not np.isfinite(d).all():
        return None
    ray, certificate = problem.repaired_ray(d)
    if not certificate.met(PROOF_TOL) and certificate["residual"] < NEARLY:
        ray, certificate = problem.repaired_ray(polished_ray(problem, ray))
    return ray if certificate.met(PROOF_TOL) else None
