"""Products with sparse matrices against dense arithmetic."""

import itertools
import pickle

import numba
import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt.core import digest, jit
from numopt.core.gather import gather_dot
from numopt.core.jit import kernel
from numopt.linalg import sparse
from numopt.linalg.sparse import CSR, SparseOperator, as_csr


def random_csr(m, n, density, seed, dtype=np.float64):
    """Entries over six decades, some rows long, some rows and columns empty."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * 10 ** rng.uniform(-3, 3, (m, n))
    A[rng.random((m, n)) > density * rng.uniform(0, 2, (m, 1))] = 0
    if m > 2:
        A[m // 2] = 0
    if n > 2:
        A[:, n // 3] = 0
    return sp.csr_array(A.astype(dtype))


SHAPES = [(0, 0), (0, 4), (4, 0), (1, 1), (1, 40), (40, 1), (23, 31), (60, 17)]


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("shape", SHAPES)
def test_products_match_dense_arithmetic(shape, dtype):
    m, n = shape
    A = random_csr(m, n, 0.5, 1, dtype)
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(n).astype(dtype), rng.standard_normal(m).astype(dtype)
    dense, bound = A.toarray().astype(float), 20 * np.finfo(dtype).eps
    op = SparseOperator(A)
    Ax, Aty = op.matvec(x), op.rmatvec(y)
    assert Ax.dtype == Aty.dtype == dtype
    assert np.all(np.abs(Ax - dense @ x) <= bound * (np.abs(dense) @ np.abs(x)))
    limit = bound * (np.abs(dense).T @ np.abs(y))
    assert np.all(np.abs(Aty - dense.T @ y) <= limit)
    scattered = np.full(n, np.nan, dtype)
    sparse.multiply_transposed(op.rows, y, scattered)
    assert np.all(np.abs(scattered - dense.T @ y) <= limit)
    r, norm = op.residual(x, y)
    assert np.all(np.abs(r - (y - dense @ x)) <= bound * (np.abs(dense) @ np.abs(x) + np.abs(y)))
    assert norm == pytest.approx(np.linalg.norm(r.astype(float)), rel=1e-6, abs=0)


def test_product_fused_with_the_inner_product():
    A, x, out = random_csr(30, 30, 0.4, 12), np.linspace(-1, 1, 30), np.empty(30)
    assert sparse.multiply_dot(as_csr(A), x, out) == pytest.approx(x @ (A @ x), rel=1e-12)
    np.testing.assert_allclose(out, A @ x, rtol=1e-11, atol=1e-12)


def test_exact_on_integers_of_any_row_length():
    # Lengths around the unrolled steps: sums of integers are exact in any order.
    rng = np.random.default_rng(0)
    A = np.tril(rng.integers(-9, 10, (40, 40)))
    x = rng.integers(-9, 10, 40)
    op = SparseOperator(sp.csr_array(A))
    np.testing.assert_array_equal(op.matvec(x), A @ x)
    np.testing.assert_array_equal(op.rmatvec(x), A.T @ x)


def test_int64_indices_run_in_kernels():
    A = random_csr(12, 9, 0.6, 3)
    M = CSR(A.data, A.indices.astype(np.int64), A.indptr.astype(np.int64))
    x, out = np.arange(9.0), np.empty(12)
    sparse.multiply(M, x, out, 0, 12)
    np.testing.assert_allclose(out, A @ x, rtol=1e-13)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_several_columns_at_once(shape, dtype):
    rng = np.random.default_rng(0)
    for density in (0.1, 0.9):
        A = random_csr(*shape, density, 3, dtype)
        for op in (SparseOperator(A), SparseOperator(A, n_threads=2)):
            for k in (0, 1, 3, 4, 6, 17):
                X = rng.standard_normal((shape[1], k))
                Y = rng.standard_normal((k, shape[0])).T
                epsilon = 40 * np.finfo(dtype).eps
                for out, B, Z in ((op @ X, A, X), (op.rmatmat(Y), A.T, Y)):
                    assert out.dtype == dtype and out.shape == (B.shape[0], k)
                    assert (np.abs(out - B @ Z) <= epsilon * (abs(B) @ np.abs(Z))).all()
    with pytest.raises(ValueError, match=f"X has 61 rows, expected {shape[1]}"):
        op.matmat(np.ones((61, 2)))
    with pytest.raises(ValueError, match="Y must be a real matrix"):
        op.rmatmat(np.ones(shape[0]))


def test_rows_outside_the_range_stay():
    A, out = random_csr(10, 6, 0.8, 4), np.full(10, 7.0)
    sparse.multiply(as_csr(A), np.ones(6), out, 3, 8)
    np.testing.assert_allclose(out[3:8], (A @ np.ones(6))[3:8], rtol=1e-13)
    assert (out[:3] == 7).all() and (out[8:] == 7).all()


def test_nan_reaches_the_rows_that_read_it():
    A = sp.csr_array([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0]])
    out = SparseOperator(A).matvec([np.nan, 1.0])
    assert np.isnan(out[[0, 2]]).all() and out[1] == 1


@pytest.mark.parametrize("rows, columns", [(400, 90), (150, 250), (3000, 2)])
def test_threads_do_not_change_a_bit(rows, columns, monkeypatch):
    """Tall matrices are scattered in parts, others are taken by columns."""
    monkeypatch.setattr(sparse, "BLOCK", 200)
    monkeypatch.setattr(sparse, "PART", 20)
    A = random_csr(rows, columns, 0.3, 5)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal(columns), rng.standard_normal(rows)
    one = SparseOperator(A)
    size = abs(A).T @ np.abs(y)
    assert (np.abs(one.rmatvec(y) - A.T @ y) <= 1e-13 * size).all()
    assert (one._columns is None) == (rows >= 2 * columns)
    blocks = one._blocks["rows"]
    assert len(blocks) >= 8
    sizes = [A.indptr[last] - A.indptr[first] for first, last in blocks]
    assert max(sizes) <= 300 + np.diff(A.indptr).max()
    for n_threads in (2, 3, 8):
        many = SparseOperator(A, n_threads=n_threads)
        np.testing.assert_array_equal(many.matvec(x), one.matvec(x))
        np.testing.assert_array_equal(many.rmatvec(y), one.rmatvec(y))
        assert many.residual(x, y)[1] == one.residual(x, y)[1]
        again = pickle.loads(pickle.dumps(many))
        np.testing.assert_array_equal(again.matvec(x), one.matvec(x))


def test_threads_without_work():
    for shape in ((0, 3), (3, 0), (0, 0), (1, 1)):
        op = SparseOperator(sp.csr_array(shape), n_threads=4)
        assert op.matvec(np.ones(shape[1])).shape == (shape[0],)
        assert op.rmatvec(np.ones(shape[0])).shape == (shape[1],)
        assert op.residual(np.ones(shape[1]), np.ones(shape[0]))[1] == shape[0] ** 0.5


def test_operator_serves_scipy():
    A = random_csr(20, 20, 0.3, 6) + 1e4 * sp.eye_array(20)
    wrapped = spla.aslinearoperator(SparseOperator(A))
    b = np.arange(20.0)
    x, info = spla.gmres(wrapped, b, rtol=1e-12)
    assert info == 0
    np.testing.assert_allclose(A @ x, b, rtol=1e-8, atol=1e-8)


# ---- canonical form ------------------------------------------------------------------------------


def test_duplicates_are_summed_on_a_copy():
    for data in (np.array([1.0, 2.0, 3.0, 4.0]), np.array([1, 2, 3, 4])):
        A = sp.csr_matrix((data, np.array([1, 1, 0, 2]), np.array([0, 4, 4])), shape=(2, 3))
        before = A.indices.copy(), A.data.copy(), A.indptr.copy()
        M = as_csr(A)
        assert M.indices.tolist() == [0, 1, 2] and M.data.tolist() == [3, 3, 4]
        assert M.indptr.tolist() == [0, 3, 3] and M.data.dtype == np.float64
        for now, then in zip((A.indices, A.data, A.indptr), before, strict=True):
            np.testing.assert_array_equal(now, then)


def test_canonical_input_is_shared_and_explicit_zeros_stay():
    A = sp.csr_array((np.array([0.0, 2.0]), np.array([0, 1], np.int32), np.array([0, 2], np.int32)))
    M = as_csr(A)
    assert np.shares_memory(M.data, A.data) and M.data.size == 2


def test_read_only_input():
    A = random_csr(5, 5, 0.9, 7)
    for array in (A.data, A.indices, A.indptr):
        array.flags.writeable = False
    x = np.ones(5)
    x.flags.writeable = False
    np.testing.assert_allclose(SparseOperator(A).matvec(x), A @ x)
    np.testing.assert_allclose(SparseOperator(A).matvec(np.ones(10)[::2]), A @ x)


@pytest.mark.parametrize("kind", [sp.csc_array, sp.coo_matrix, sp.dia_array, np.asarray])
def test_any_format(kind):
    A = random_csr(7, 5, 0.6, 8)
    M = as_csr(kind(A.toarray()))
    np.testing.assert_array_equal(sp.csr_array(tuple(M), shape=(7, 5)).toarray(), A.toarray())
    assert M.indices.dtype == M.indptr.dtype == np.int32


def test_transposed():
    A = random_csr(9, 6, 0.5, 9)
    T = sparse.transposed(as_csr(A), 6)
    np.testing.assert_array_equal(sp.csr_array(tuple(T), shape=(6, 9)).toarray(), A.toarray().T)
    assert T.indices.dtype == np.int32


def bad(indices, indptr):
    A = sp.csr_array((2, 3))
    A.data, A.indices, A.indptr = np.ones(2), np.array(indices), np.array(indptr)
    return A


@pytest.mark.parametrize(
    ("A", "error", "words"),
    [
        (bad([0, 3], [0, 1, 2]), ValueError, "A is not a valid sparse matrix"),
        (bad([0, -1], [0, 1, 2]), ValueError, "A is not a valid sparse matrix"),
        (bad([0, 1], [0, 2, 1]), ValueError, "A is not a valid sparse matrix"),
        (sp.csr_array([[1.0, np.nan]]), ValueError, r"A\.data has nan at index 1"),
        (sp.csr_array([[1.0 + 1j]]), TypeError, "complex128"),
        (np.array([["a"]]), TypeError, "real numbers"),
        (np.ones(3), ValueError, r"2-D, got shape \(3,\)"),
    ],
)
def test_bad_matrices(A, error, words):
    with pytest.raises(error, match=words):
        as_csr(A)


def test_bad_vectors():
    op = SparseOperator(np.ones((2, 3)))
    with pytest.raises(ValueError, match="x has 2 entries, expected 3"):
        op.matvec(np.ones(2))
    with pytest.raises(ValueError, match="y has 3 entries, expected 2"):
        op.rmatvec(np.ones(3))
    with pytest.raises(ValueError, match="real vector"):
        op.matvec(np.ones((3, 1)))
    with pytest.raises(ValueError, match="complex"):
        op.matvec(np.ones(3) * 1j)
    with pytest.raises(ValueError, match="out must be"):
        op.matvec(np.ones(3), np.ones(2, np.float32))
    with pytest.raises(ValueError, match="n_threads"):
        SparseOperator(np.ones((2, 3)), n_threads=0)


# ---- primal-dual passes --------------------------------------------------------------------------


def linear_program(seed):
    rng = np.random.default_rng(seed)
    A = random_csr(14, 11, 0.5, seed)
    A.data /= abs(A.data).max()
    side = rng.standard_normal((2, 14))
    lower, upper = side.min(axis=0), side.max(axis=0)
    lower[::3], upper[1::3] = -np.inf, np.inf
    upper[2::6] = lower[2::6]
    x_lower, x_upper = np.where(rng.random(11) < 0.5, -1.0, -np.inf), np.full(11, np.inf)
    x_upper[::2] = 0.7
    x, y, c = rng.standard_normal(11), rng.standard_normal(14), rng.standard_normal(11)
    return A, c, x_lower, x_upper, lower, upper, x, y


@pytest.mark.parametrize("seed", range(4))
def test_passes_are_the_proximal_steps(seed):
    A, c, x_lower, x_upper, lower, upper, x, y = linear_program(seed)
    rows, columns, tau, sigma = as_csr(A), as_csr(A.T), 0.3, 0.7
    expected_x = np.clip(x - tau * (c + A.T @ y), x_lower, x_upper)
    bar = 2 * expected_x - x
    v = y + sigma * (A @ bar)
    expected_y = v - sigma * np.clip(v / sigma, lower, upper)

    x_new, x_bar, y_new = np.empty(11), np.empty(11), np.empty(14)
    moved_x = sparse.primal_pass(columns, c, x_lower, x_upper, y, tau, x, x_new, x_bar)
    moved_y = sparse.dual_pass(rows, lower, upper, x_bar, sigma, y, y_new)
    np.testing.assert_allclose(x_new, expected_x, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(x_bar, bar, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(y_new, expected_y, rtol=1e-12, atol=1e-13)
    assert moved_x == pytest.approx(np.sum((expected_x - x) ** 2), rel=1e-12)
    assert moved_y == pytest.approx(np.sum((expected_y - y) ** 2), rel=1e-12)

    one_x, one_y, product = np.empty(11), np.empty(14), np.zeros(14)
    steps = (tau, sigma, x, y, one_x, one_y, product)
    moved = sparse.single_sweep(columns, c, x_lower, x_upper, lower, upper, *steps)
    np.testing.assert_allclose(one_x, x_new, rtol=1e-13, atol=1e-14)
    np.testing.assert_allclose(one_y, y_new, rtol=1e-11, atol=1e-13)
    assert moved == pytest.approx((moved_x, moved_y), rel=1e-11)
    assert not product.any()


def test_passes_solve_a_linear_program():
    # min c'x, A x = b, x >= 0 with a planted complementary pair: its optimum is known.
    rng = np.random.default_rng(3)
    A = sp.csr_array(rng.integers(-1, 2, (6, 12)) + 4.0 * np.eye(6, 12))
    x_star = np.where(np.arange(12) < 6, rng.uniform(1, 2, 12), 0)
    y_star = rng.standard_normal(6)
    c = -(A.T @ y_star) + np.where(np.arange(12) < 6, 0, rng.uniform(1, 2, 12))
    b = A @ x_star
    rows, columns = as_csr(A), as_csr(A.T)
    step = 0.9 / np.linalg.norm(A.toarray(), 2)
    x, y, bar = np.zeros(12), np.zeros(6), np.zeros(12)
    lower, upper = np.zeros(12), np.full(12, np.inf)
    for _ in range(2000):
        sparse.primal_pass(columns, c, lower, upper, y, step, x, x, bar)
        sparse.dual_pass(rows, b, b, bar, step, y, y)
    np.testing.assert_allclose(x, x_star, atol=1e-9)
    np.testing.assert_allclose(y, y_star, atol=1e-9)


@kernel
def gathered(data, indices, indptr, x, long, out):
    for i in range(out.size):
        out[i] = gather_dot(data, indices, np.uint64(indptr[i]), np.uint64(indptr[i + 1]), x, long)


@pytest.mark.parametrize(
    "data_type, x_type, index, step",
    [
        (np.float64, np.float64, np.int32, 1),
        (np.float32, np.float32, np.int64, 1),
        (np.float32, np.float64, np.int32, 2),  # a strided x
    ],
)
@pytest.mark.parametrize("long", [True, False])
def test_inner_products_of_every_length(data_type, x_type, index, step, long):
    """Vectors, what remains of them, and nothing beyond the ends: all around stands NaN."""
    rng = np.random.default_rng(0)
    lengths = np.r_[np.arange(35), 0, 64, 1000]
    indptr = np.r_[0, np.cumsum(lengths)]
    data = rng.standard_normal(indptr[-1]).astype(data_type)
    x = np.full(200 * step, np.nan, x_type)[::step]
    x[20:180] = rng.standard_normal(160)
    indices = rng.integers(20, 180, data.size).astype(index)
    out = np.empty(lengths.size)
    gathered(data, indices, indptr, x, long, out)
    terms = data.astype(float) * x[indices]
    expected = [terms[a:b].sum() for a, b in itertools.pairwise(indptr)]
    sizes = [np.abs(terms[a:b]).sum() for a, b in itertools.pairwise(indptr)]
    error = np.abs(out - expected)
    assert (error <= 20 * np.finfo(x_type).eps * np.array(sizes)).all()
    x[indices[-1]] = np.nan
    gathered(data, indices, indptr, x, long, out)
    assert np.isnan(out[-1]) and out[0] == 0


def test_kernels_that_prefetch_are_cached():
    if not jit.CACHE_AVAILABLE or numba.config.DISABLE_JIT:
        pytest.skip("no cache: Numba's private names have moved, or kernels run as Python")
    SparseOperator(np.eye(2)).matvec(np.ones(2))
    assert digest.digest(sparse.multiply, sparse.multiply.signatures[0])
