"""Sparse L D L' beside qdldl and SuperLU, and tree solves by size.

    OPENBLAS_NUM_THREADS=1 python -m benchmarks.bench_ldl [FOLDER]

prints a table over the KKT matrices [[P + 1e-6 I, A'], [A, -1e-6 I]] of all .npz programs in
FOLDER (default: those of the tests) and the geometric means. Times are least CPU times of several
runs, one BLAS thread, calls from Python included. "to goal" is a solve refined to a componentwise
backward error of 1e-12, "refined" one to working precision, whose error |b - K x| / (|K| |x| +
|b|) in the largest entries is in the last column. qdldl is left out if it is not installed.
"""

from __future__ import annotations

import sys
from pathlib import Path
from time import process_time

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt.linalg.forest import ForestLDL
from numopt.linalg.ldl import LDL

try:
    import qdldl
except ImportError:
    qdldl = None

PROGRAMS = Path(__file__).parents[1] / "tests" / "data"
REGULARISATION = 1e-6
GOAL = 1e-12


def least(job, budget=0.2, runs=300):
    """Least CPU time of several calls, a batch of calls at a time where they are short."""
    job()
    start = process_time()
    job()
    batch = max(1, int(2e-4 / max(process_time() - start, 1e-7)))
    best, spent = np.inf, 0.0
    while runs > 0 and (spent < budget or best == np.inf):
        start = process_time()
        for _ in range(batch):
            job()
        took = process_time() - start
        best, spent, runs = min(best, took / batch), spent + took, runs - 1
    return best


def kkt(path):
    """Upper triangle of the matrix and the signs of its pivots."""
    with np.load(path) as d:
        n, m = d["q"].size, d["l"].size
        P = sp.csc_array((d["Pd"], d["Pi"], d["Pp"]), shape=(n, n))
        A = sp.csc_array((d["Ad"], d["Ai"], d["Ap"]), shape=(m, n))
    one, other = REGULARISATION * sp.eye_array(n), -REGULARISATION * sp.eye_array(m)
    K = sp.csc_array(sp.triu(sp.block_array([[P + one, A.T], [A, other]]), format="csc"))
    K.sort_indices()
    return K, np.r_[np.ones(n), -np.ones(m)]


def backward_error(K, x, b):
    return np.max(np.abs(b - K @ x) / (np.abs(K) @ np.abs(x) + np.abs(b)))


def relative_residual(K, x, b):
    size = np.abs(K).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
    return np.abs(b - K @ x).max() / size


def compare(path):
    """One row of the table: seconds, entries of L, backward errors."""
    K, signs = kkt(path)
    full = sp.csc_matrix(K + sp.triu(K, 1).T)
    b = np.random.default_rng(0).standard_normal(signs.size)
    ours = LDL(K, signs, triangle="upper")
    data = K.data
    row = {
        "name": path.stem,
        "n": signs.size,
        "nnz": ours.analysis.nnz,
        "method": ours.method,
        "refactor": least(lambda: ours.update(data)),
        "solve": least(lambda: ours.solve(b, refine=0)),
        "to goal": least(lambda: ours.solve(b, goal=GOAL)),
        "refined": least(lambda: ours.solve(b)),
        "analyse": least(lambda: LDL(K, signs, triangle="upper", factor=False), 0.05),
        "backward error": backward_error(full, ours.solve(b), b),
        "error": relative_residual(full, ours.solve(b), b),
    }
    slow = ours.analysis.flops > 1e9
    superlu = {
        "permc_spec": "MMD_AT_PLUS_A",
        "diag_pivot_thresh": 0.0,
        "options": {"SymmetricMode": True},
    }
    row["superlu"] = row["superlu solve"] = np.nan
    try:
        lu = spla.splu(full, **superlu)
        row["superlu"] = least(lambda: spla.splu(full, **superlu), 0.1, 1 if slow else 300)
        row["superlu solve"] = least(lambda: lu.solve(b), 0.1)
    except RuntimeError:  # SuperLU finds some of these matrices singular
        pass
    if qdldl is not None:
        matrix = sp.csc_matrix(K)
        peer = qdldl.Solver(matrix, upper=True)
        row["qdldl"] = least(lambda: peer.update(matrix, upper=True), 0.2, 1 if slow else 300)
        row["qdldl solve"] = least(lambda: peer.solve(b))
        row["qdldl analyse"] = least(lambda: qdldl.Solver(matrix, upper=True), 0.05, 3)
        row["qdldl nnz"] = peer.factors()[0].nnz
    return row


def ratios(rows):
    """Ratios of our times to the peers', by name."""
    table = {
        "factor+solve / SuperLU": [
            (r["refactor"] + r["solve"]) / (r["superlu"] + r["superlu solve"]) for r in rows
        ]
    }
    if "qdldl" in rows[0]:
        ours = [r["refactor"] + r["solve"] for r in rows]
        refined = [r["refactor"] + r["refined"] for r in rows]
        to_goal = [r["refactor"] + r["to goal"] for r in rows]
        theirs = [r["qdldl"] + r["qdldl solve"] for r in rows]
        table["refactor / qdldl"] = [r["refactor"] / r["qdldl"] for r in rows]
        table["solve / qdldl"] = [r["solve"] / r["qdldl solve"] for r in rows]
        table["refactor+solve / qdldl"] = [a / b for a, b in zip(ours, theirs, strict=True)]
        table["refactor+solve to goal / qdldl"] = [
            a / b for a, b in zip(to_goal, theirs, strict=True)
        ]
        table["refactor+refined solve / qdldl"] = [
            a / b for a, b in zip(refined, theirs, strict=True)
        ]
        table["entries of L / qdldl"] = [r["nnz"] / max(r["qdldl nnz"], 1) for r in rows]
    return table


def main(folder):
    rows = []
    head = (
        f"{'':10}{'n':>7}{'nnz(L)':>9} {'method':10}{'refactor':>10}{'solve':>9}{'to goal':>9}"
        f"{'refined':>9}"
        f"{'qdldl':>10}{'solve':>9}{'SuperLU':>11}{'solve':>9}  error   (microseconds)"
    )
    print(head)
    for path in sorted(Path(folder).glob("*.npz")):
        row = compare(path)
        rows.append(row)
        us = {k: 1e6 * v for k, v in row.items() if isinstance(v, float)}
        print(
            f"{row['name']:10}{row['n']:7}{row['nnz']:9} {row['method']:10}{us['refactor']:10.1f}"
            f"{us['solve']:9.1f}{us['to goal']:9.1f}{us['refined']:9.1f}"
            f"{us.get('qdldl', np.nan):10.1f}"
            f"{us.get('qdldl solve', np.nan):9.1f}{us['superlu']:11.1f}"
            f"{us['superlu solve']:9.1f}  {row['error']:.0e}",
            flush=True,
        )
    for kind in ("error", "backward error"):
        print(f"largest {kind}: {max(row[kind] for row in rows):.1e}")
    print(f"\n{'':32}geometric mean   worst  of")
    for name, values in ratios(rows).items():
        worst = int(np.nanargmax(values))
        mean = np.exp(np.nanmean(np.log(values)))
        print(f"{name:32}{mean:14.2f}{values[worst]:8.2f}  {rows[worst]['name']}")


# ---- for asv -------------------------------------------------------------------------------------


def grid(k):
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(k, k))
    return sp.csc_array(sp.kron(line, sp.eye_array(k)) + sp.kron(sp.eye_array(k), line))


class Programs:
    """KKT matrices of the tests' quadratic programs."""

    params = [sorted(path.stem for path in PROGRAMS.glob("*.npz"))]

    def setup(self, name):
        self.K, signs = kkt(PROGRAMS / f"{name}.npz")
        self.factor = LDL(self.K, signs, triangle="upper")
        self.b = np.ones(signs.size)

    def time_refactor(self, name):
        self.factor.update(self.K.data)

    def time_solve(self, name):
        self.factor.solve(self.b, refine=0)

    def time_refined_solve(self, name):
        self.factor.solve(self.b)

    def track_ratio_to_qdldl(self, name):
        if qdldl is None:
            return np.nan
        row = compare(PROGRAMS / f"{name}.npz")
        return ratios([row])["refactor+solve / qdldl"][0]

    def track_backward_error(self, name):
        return backward_error(self.K + sp.triu(self.K, 1).T, self.factor.solve(self.b), self.b)

    def track_relative_residual(self, name):
        full = self.K + sp.triu(self.K, 1).T
        return relative_residual(full, self.factor.solve(self.b), self.b)


class Grids:
    """Five-point Laplacians: positive definite, and shifted into the spectrum."""

    params = [[50, 150]]

    def setup(self, k):
        self.A = grid(k)
        self.B = sp.csc_array(self.A - 1.5 * sp.eye_array(k * k))
        self.definite, self.indefinite = LDL(self.A, 1), LDL(self.B)

    def time_analyse(self, k):
        LDL(self.A, 1, factor=False)

    def time_refactor(self, k):
        self.definite.update(self.A.data)

    def time_refactor_indefinite(self, k):
        self.indefinite.update(self.B.data)

    def peakmem_factor(self, k):
        LDL(self.A, 1)


class Trees:
    """Trees: time a node should not depend on the size, up to the caches.

    "ordered": three children each, named level by level, so that sweeps stay local. "random":
    random parents and names, so that a solve reads and writes all over b and x.
    """

    params = [[10_000, 100_000, 1_000_000], ["ordered", "random"]]
    param_names = ["n", "names"]

    def setup(self, n, names):
        rng = np.random.default_rng(0)
        name = rng.permutation(n) if names == "random" else np.arange(n)
        i = np.arange(1, n)
        j = (rng.random(n - 1) * i).astype(int) if names == "random" else (i - 1) // 3
        A = sp.coo_array((np.full(n - 1, -1.0), (name[i], name[j])), shape=(n, n))
        A = sp.csc_array(A + A.T)
        A = sp.csc_array(A + sp.diags_array(np.asarray(abs(A).sum(axis=1)).ravel() + 1))
        self.tree, self.data, self.b = ForestLDL(A), A.data, np.ones(n)

    def time_solve(self, n, names):
        self.tree.solve(self.b)

    def track_nanoseconds_per_node(self, n, names):
        return 1e9 * least(lambda: self.tree.solve(self.b)) / n

    def track_nanoseconds_per_node_of_an_update(self, n, names):
        return 1e9 * least(lambda: self.tree.update(self.data)) / n


if __name__ == "__main__":
    main(sys.argv[1] if len(sys.argv) > 1 else PROGRAMS)
