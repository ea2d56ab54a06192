"""Quasi-definite KKT matrices of the quadratic programs in tests/data."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import scipy.sparse as sp

DATA = Path(__file__).parents[1] / "data"


def kkt(name: str, primal: float = 1e-6, dual: float = 1e-6):
    """[[P + primal I, A'], [A, -dual I]] in full, and the signs of its pivots."""
    with np.load(DATA / f"{name}.npz") as d:
        n, m = d["q"].size, d["l"].size
        upper = sp.csc_array((d["Pd"], d["Pi"], d["Pp"]), shape=(n, n))
        A = sp.csc_array((d["Ad"], d["Ai"], d["Ap"]), shape=(m, n))
    P = upper + sp.triu(upper, 1).T
    K = sp.block_array(
        [[P + primal * sp.eye_array(n), A.T], [A, -dual * sp.eye_array(m)]], format="csc"
    )
    return K, np.r_[np.ones(n), -np.ones(m)]
