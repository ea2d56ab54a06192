"""Whether the matrix of a quadratic program is positive semidefinite, with a witness if not."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.sparse import CSR
from numopt.problems import _qp_kernels as kernels
from numopt.problems._presolve import compress

# P counts as convex if adding this much of its diagonal makes it definite.
ROUNDING = 1e-10
# Variables up to which a dense factorisation is there at once; that, if P is dense.
SMALL, LARGE = 64, 1000


def curvature(P: Any) -> tuple[int, np.ndarray | None] | None:
    """See `QuadraticProgram.negative_curvature`."""
    row, dominant = kernels.gershgorin(P.data, P.indices, P.indptr)
    if row >= 0:
        # A diagonal entry below 0, or 0 with others beside it.
        d = np.zeros(P.shape[0])
        d[row] = 1.0
        Pd = P @ d
        if not Pd[row] < 0:
            k = int(np.argmax(np.abs(Pd)))
            d[k] = -np.sign(Pd[k]) * min(1.0, abs(Pd[k]) / max(P[k, k], 1e-300))
        return row, d
    if dominant:
        return None
    coupled = np.diff(P.indptr) > 1
    if not coupled.all():  # the others stand alone, and are not negative
        rows = np.flatnonzero(coupled)
        parts = compress(CSR(P.data, P.indices, P.indptr), coupled, coupled)
        found = curvature(sp.csc_array(tuple(parts), shape=(rows.size, rows.size)))
        if found is None or found[1] is None:
            return found and (int(rows[found[0]]), None)
        d = np.zeros(P.shape[0])
        d[rows] = found[1]
        return int(rows[found[0]]), d
    n = P.shape[0]
    dense = n <= SMALL or (n <= LARGE and 4 * P.nnz >= n * n)
    if dense and _surely_definite(P):
        return None
    factor = _definite(P)
    return None if factor.ok else (int(factor.bad_row or 0), _descent(P, factor))


def _surely_definite(P: Any) -> bool:
    """Whether a dense factorisation succeeds, which for a small P is there at once."""
    dense = P.toarray()
    diagonal = np.einsum("ii->i", dense)
    diagonal += np.where(diagonal > 0, ROUNDING * diagonal, 1.0)
    try:
        np.linalg.cholesky(dense)
    except np.linalg.LinAlgError:
        return False
    return True


def _definite(P: Any) -> Any:
    """The attempt to factor P, with as much on its diagonal as rounding may take away."""
    from numopt.linalg.ldl import LDL
    from numopt.linalg.ldl_kernels.analysis import Analysis
    from numopt.linalg.patterns import UpperPattern

    indptr, indices, values = kernels.upper_triangle(P.data, P.indices, P.indptr)
    diagonal = values[indptr[1:] - 1]
    shift = np.where(diagonal > 0, ROUNDING * diagonal, 1.0)
    pattern: Any = UpperPattern(indptr, indices, "P")
    return LDL(values, signs=1, shift=shift, analysis=Analysis(pattern))


def _descent(P: Any, factor: Any) -> np.ndarray | None:
    """The direction d with d'Pd < 0 at which a factorisation of P failed."""
    order = factor.analysis.order.astype(np.int64)
    k = int(np.flatnonzero(order == factor.bad_row)[0])
    before, row = order[:k], order[k]
    d = np.zeros(P.shape[0])
    d[row] = 1.0
    lead = _definite(sp.csc_array(P[before][:, before]))
    if lead.ok and k:
        d[before] = -lead.solve(P[before][:, [row]].toarray().ravel(), refine=0)
    d /= np.abs(d).max()
    return d if d @ (P @ d) < 0 else None
