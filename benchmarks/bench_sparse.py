"""Sparse products, sweeps, Krylov methods and sketches beside SciPy's and the memory's speed.

Times are the least of many runs by the clock of the thread, so that other work on the machine
hardly counts. ns/entry is per stored entry of the matrix.
"""

from time import thread_time_ns

import numpy as np
import scipy.linalg as la
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt.core.jit import kernel
from numopt.linalg import sparse, sweeps
from numopt.linalg.krylov import cg, gmres, lsqr, minres
from numopt.linalg.sketch import draw_sketch, hadamard_transform
from numopt.linalg.sketched_least_squares import sketched_lstsq
from numopt.linalg.sparse import SparseOperator
from numopt.linalg.spectra import golub_kahan, lanczos
from numopt.linalg.sweeps import Sweeps

REPEATS = 30


def nanoseconds(job, repeats=REPEATS):
    """Best of several runs, after one to warm up."""
    job()
    best = np.inf
    for _ in range(repeats):
        start = thread_time_ns()
        job()
        best = min(best, thread_time_ns() - start)
    return float(best)


def grid(n):
    """Five-point Laplacian, 5 entries a row."""
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n))
    return sp.csr_array(sp.kron(sp.eye_array(n), line) + sp.kron(line, sp.eye_array(n)))


def rows_of(m, n, length, window=None):
    """Random rows of one length, within a window of columns if given."""
    rng = np.random.default_rng(0)
    if window is None:
        indices = np.sort(rng.integers(0, n, (m, length)), axis=1)
    else:
        start = rng.integers(0, n - window + 1, (m, 1))
        indices = start + np.sort(np.argsort(rng.random((m, window)), axis=1)[:, :length], axis=1)
    indptr = np.arange(m + 1, dtype=np.int32) * length
    entries = rng.standard_normal(m * length)
    A = sp.csr_array((entries, indices.ravel().astype(np.int32), indptr), shape=(m, n))
    A.sum_duplicates()
    return A


MATRICES = {
    "grid, in cache": lambda: grid(100),
    "grid, 5e6 entries": lambda: grid(1000),
    "rows of 3": lambda: rows_of(500_000, 100_000, 3),
    "rows of 10": lambda: rows_of(200_000, 100_000, 10),
    "rows of 200": lambda: rows_of(20_000, 20_000, 200),
    "rows of 200, banded": lambda: rows_of(20_000, 20_000, 200, 300),
    "rows of 200, banded, 240 MB": lambda: rows_of(100_000, 20_000, 200, 300),
    "rows of 1000, in cache": lambda: rows_of(200, 3_000, 1_000),
}


@kernel(reduction=True)
def _sum(x):
    total = x.dtype.type(0)
    for i in range(x.size):
        total += x[i]
    return total


class Products:
    """A x and A'y against SciPy, and against just reading the matrix (the floor)."""

    params = [list(MATRICES), ["float64", "float32"]]
    param_names = ["matrix", "dtype"]

    def setup(self, name, dtype):
        rng = np.random.default_rng(1)
        self.A = MATRICES[name]().astype(dtype)
        m, n = self.A.shape
        self.x, self.y = (rng.standard_normal(k).astype(dtype) for k in (n, m))
        self.op = SparseOperator(self.A)
        self.m_out, self.n_out = np.empty(m, dtype), np.empty(n, dtype)
        self.op.rmatvec(self.y)

    def matvec(self):
        self.op.matvec(self.x, self.m_out)

    def floor(self):
        _sum(self.op.rows.data)
        _sum(self.op.rows.indices)

    def track_matvec(self, name, dtype):
        return nanoseconds(self.matvec) / self.A.nnz

    def track_matvec_over_scipy(self, name, dtype):
        return nanoseconds(self.matvec) / nanoseconds(lambda: self.A @ self.x)

    def track_matvec_over_floor(self, name, dtype):
        return nanoseconds(self.matvec) / nanoseconds(self.floor)

    def track_rmatvec_over_scipy(self, name, dtype):
        transpose = self.A.T
        ours = nanoseconds(lambda: self.op.rmatvec(self.y, self.n_out))
        return ours / nanoseconds(lambda: transpose @ self.y)

    def track_scatter_over_scipy(self, name, dtype):
        transpose = self.A.T
        ours = nanoseconds(lambda: sparse.multiply_transposed(self.op.rows, self.y, self.n_out))
        return ours / nanoseconds(lambda: transpose @ self.y)

    def track_eight_vectors_over_scipy(self, name, dtype):
        X = np.stack([self.x] * 8, axis=1)
        return nanoseconds(lambda: self.op @ X, 5) / nanoseconds(lambda: self.A @ X, 5)

    def track_residual(self, name, dtype):
        return nanoseconds(lambda: self.op.residual(self.x, self.y, self.m_out)) / self.A.nnz

    track_matvec.unit = track_residual.unit = "ns/entry"
    track_matvec_over_scipy.unit = track_matvec_over_floor.unit = "ratio"
    track_rmatvec_over_scipy.unit = track_scatter_over_scipy.unit = "ratio"
    track_eight_vectors_over_scipy.unit = "ratio"


class PrimalDual:
    """One iteration of the primal-dual method: two passes over A, or one."""

    params = [["rows of 3", "rows of 10", "rows of 200, banded"]]
    param_names = ["matrix"]

    def setup(self, name):
        A, rng = MATRICES[name](), np.random.default_rng(1)
        m, n = A.shape
        op = SparseOperator(A)
        self.nnz, self.rows, self.columns = A.nnz, op.rows, op.columns
        self.x, self.y = rng.standard_normal(n), rng.standard_normal(m)
        self.c, self.box = rng.standard_normal(n), (np.zeros(n), np.full(n, np.inf))
        self.sides = (rng.standard_normal(m) - 1, rng.standard_normal(m) + 1)
        self.x_new, self.x_bar, self.y_new = np.empty(n), np.empty(n), np.empty(m)
        self.product = np.zeros(m)

    def two(self):
        sparse.primal_pass(
            self.columns, self.c, *self.box, self.y, 0.1, self.x, self.x_new, self.x_bar
        )
        sparse.dual_pass(self.rows, *self.sides, self.x_bar, 0.1, self.y, self.y_new)

    def one(self):
        steps = (0.1, 0.1, self.x, self.y, self.x_new, self.y_new, self.product)
        sparse.single_sweep(self.columns, self.c, *self.box, *self.sides, *steps)

    def track_two_passes(self, name):
        return nanoseconds(self.two) / self.nnz

    def track_single_sweep(self, name):
        return nanoseconds(self.one) / self.nnz

    track_two_passes.unit = track_single_sweep.unit = "ns/entry"


class Relaxation:
    """Sweeps over the five-point grid."""

    params = [[100, 1000]]
    param_names = ["side"]

    def setup(self, side):
        self.nnz, self.n = grid(side).nnz, side * side
        self.S = Sweeps(grid(side)).split
        self.b, self.x = np.ones(self.n), np.zeros(self.n)
        self.t, self.u = np.empty(self.n), np.empty(self.n)

    def track_sor(self, side):
        job = lambda: sweeps.forward(self.S, 1.5, self.b, self.x, 0, self.n)  # noqa: E731
        return nanoseconds(job) / self.nnz

    def track_free_residual(self, side):
        S = self.S
        job = lambda: sweeps.residual_after(S.upper, S.diagonal, 1.5, self.b, self.x)  # noqa: E731
        return nanoseconds(job) / self.nnz

    def track_eisenstat(self, side):
        job = lambda: sweeps.eisenstat_product(self.S, 1.5, self.b, self.t, self.u)  # noqa: E731
        return nanoseconds(job) / self.nnz

    track_sor.unit = track_free_residual.unit = track_eisenstat.unit = "ns/entry"


class Krylov:
    """To the same true residual as SciPy's, measured; the time is over SciPy's."""

    params = [["cg", "minres", "gmres", "lsqr"], [30, 100]]
    param_names = ["method", "side"]

    def setup(self, method, side):
        self.A = grid(side) if method != "lsqr" else rows_of(20 * side**2, side**2, 10)
        if method == "gmres":  # convection along one direction
            self.A = sp.csr_array(
                self.A + 0.3 * sp.diags_array([1.0], offsets=[1], shape=self.A.shape)
            )
        self.b = self.A @ np.random.default_rng(0).standard_normal(self.A.shape[1])

    def ours(self, method, rtol=1e-6):
        solve = {"cg": cg, "minres": minres, "gmres": gmres, "lsqr": lsqr}[method]
        return solve(self.A, self.b, rtol=rtol)

    def theirs(self, method, rtol):
        if method == "lsqr":
            return spla.lsqr(self.A, self.b, atol=0, btol=rtol, conlim=0, iter_lim=100_000)[0]
        options = {"restart": 50} if method == "gmres" else {}
        return getattr(spla, method)(self.A, self.b, rtol=rtol, maxiter=100_000, **options)[0]

    def track_ratio(self, method, side):
        for exponent in np.arange(6.0, 14.0, 0.5):
            x = self.theirs(method, 10.0**-exponent)
            if np.linalg.norm(self.b - self.A @ x) <= 1e-6 * np.linalg.norm(self.b):
                theirs = nanoseconds(lambda e=exponent: self.theirs(method, 10.0**-e), 3)
                return nanoseconds(lambda: self.ours(method), 3) / theirs
        return np.nan

    def track_residual(self, method, side):
        x = self.ours(method).x
        return float(np.linalg.norm(self.b - self.A @ x) / np.linalg.norm(self.b))

    track_ratio.unit, track_residual.unit = "ratio", "relative residual"


class Spectra:
    """Five extreme values against ARPACK at the same accuracy."""

    def setup(self):
        A = sp.random_array((20_000, 5_000), density=1e-3, rng=np.random.default_rng(0))
        self.A = sp.csr_array(A * np.arange(1, 5_001) ** -0.3)
        self.S = sp.csr_array(self.A.T @ self.A)

    def track_svd_ratio(self):
        ours = nanoseconds(lambda: golub_kahan(self.A, 5), 3)
        return ours / nanoseconds(lambda: spla.svds(self.A, 5, tol=1e-8, rng=0), 3)

    def track_eigen_ratio(self):
        ours = nanoseconds(lambda: lanczos(self.S, 5), 3)
        return ours / nanoseconds(lambda: spla.eigsh(self.S, 5, which="LA", tol=1e-8, rng=0), 3)

    track_svd_ratio.unit = track_eigen_ratio.unit = "ratio"


class Sketches:
    """Applying sketches to a tall array, and least squares of condition 1e8 with one."""

    params = [["count", "gaussian", "hadamard"]]
    param_names = ["kind"]
    timeout = 300

    def setup(self, kind):
        rng = np.random.default_rng(0)
        self.A = rng.standard_normal((50_000, 200)) * np.geomspace(1, 1e-8, 200)
        self.b = rng.standard_normal(50_000)
        self.S = draw_sketch(self.A, 800, kind)

    def track_apply(self, kind):
        return nanoseconds(lambda: self.S.apply(self.A), 3) / 1e6

    def track_least_squares_over_lapack(self, kind):
        ours = nanoseconds(lambda: sketched_lstsq(self.A, self.b, kind=kind, rtol=1e-12), 3)
        return ours / nanoseconds(lambda: la.lstsq(self.A, self.b, lapack_driver="gelsy"), 3)

    track_apply.unit, track_least_squares_over_lapack.unit = "ms", "ratio"


class Transform:
    """Walsh-Hadamard transform, per addition."""

    params = [[(2**12, 8), (2**20, 1), (2**17, 8)]]
    param_names = ["shape"]

    def track_addition(self, shape):
        X = np.random.default_rng(0).standard_normal(shape)
        levels = int(np.log2(shape[0]))

        def job():
            hadamard_transform(X)
            np.multiply(X, 2.0**-levels, out=X)

        return nanoseconds(job) / (X.size * levels)

    track_addition.unit = "ns"
