"""Sparse L D L' against dense linear algebra, and its own claims against the data."""

import pickle
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from numopt.linalg.ldl import LDL
from tests.helpers.kkt import kkt

STATIC = ["simplicial", "supernodal"]


def quasi_definite(n, m, density, seed):
    rng = np.random.default_rng(seed)
    H = sp.random_array((n, n), density=density, rng=rng, data_sampler=rng.standard_normal)
    A = sp.random_array((m, n), density=density, rng=rng, data_sampler=rng.standard_normal)
    P, D = H @ H.T + sp.diags_array(rng.uniform(0.01, 2, n)), sp.diags_array(rng.uniform(0, 1, m))
    K = sp.block_array([[P, A.T], [A, -D - 1e-3 * sp.eye_array(m)]], format="csc")
    return K, np.r_[np.ones(n), -np.ones(m)]


def laplacian(k, dimension=2):
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(k, k))
    A = line
    for _ in range(dimension - 1):
        A = sp.kron(A, sp.eye_array(k)) + sp.kron(sp.eye_array(A.shape[0]), line)
    return sp.csc_array(A)


def arrow(n, first=True):
    A = 4 * np.eye(n)
    A[:, 0 if first else -1] = A[0 if first else -1] = 1.0
    A[0, 0], A[-1, -1] = 3.0 * n, 2.0 * n
    return sp.csc_array(A)


def backward_error(A, x, b):
    return np.max(np.abs(b - A @ x) / (np.abs(A) @ np.abs(x) + np.abs(b)))


FAMILIES = {
    "quasi-definite": quasi_definite(40, 25, 0.1, 0),
    "denser": quasi_definite(120, 60, 0.05, 1),
    "grid": (laplacian(12), np.ones(144)),
    "cube": (laplacian(5, 3), np.ones(125)),
    "negative": (-laplacian(9), -np.ones(81)),
    "arrow": (arrow(50), np.ones(50)),
    "arrow-down": (arrow(50, False), np.ones(50)),
    "dense": (sp.csc_array(np.ones((130, 130)) + 5 * np.eye(130)), np.ones(130)),
    "diagonal": (sp.csc_array(np.diag([3.0, -1e-8, 1e9])), np.array([1, -1, 1])),
    "one": (sp.csc_array([[-2.0]]), np.array([-1])),
    "empty": (sp.csc_array((0, 0)), np.empty(0)),
}


# ---- factors and solves without pivoting ---------------------------------------------------------


@pytest.mark.parametrize("method", STATIC)
@pytest.mark.parametrize("family", FAMILIES)
def test_factors_reproduce_the_matrix(family, method):
    A, signs = FAMILIES[family]
    n = A.shape[0]
    factor = LDL(A, signs, method=method)
    assert factor.ok and factor.perturbed == 0
    L, D, order = factor.factors()
    assert sorted(order) == list(range(n))
    L, D = L.toarray(), D.toarray()
    np.testing.assert_array_equal(np.diag(L), np.ones(n))
    np.testing.assert_array_equal(np.triu(L, 1), 0)
    np.testing.assert_array_equal(np.sign(np.diag(D)), signs[order])
    P = A.toarray()[np.ix_(order, order)]
    np.testing.assert_allclose(L @ D @ L.T, P, atol=1e-13 * np.abs(P).max(initial=1))
    assert factor.inertia == (int((signs > 0).sum()), int((signs < 0).sum()), 0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("method", STATIC)
@pytest.mark.parametrize("family", FAMILIES)
def test_solves(family, method, dtype):
    A, signs = FAMILIES[family]
    A = A.astype(dtype)
    b = np.random.default_rng(0).standard_normal(A.shape[0]).astype(dtype)
    factor = LDL(A, signs, method=method)
    plain, refined = factor.solve(b, refine=0), factor.solve(b)
    assert plain.dtype == refined.dtype == dtype
    epsilon = np.finfo(dtype).eps
    if b.size:
        A = A.astype(np.float64)
        assert backward_error(A, refined.astype(float), b) <= 40 * epsilon
        assert factor.backward_error <= 40 * epsilon
        x = np.linalg.solve(A.toarray(), b)
        error = np.abs(plain - x).max() / np.abs(x).max()
        assert error <= 100 * epsilon * np.linalg.cond(A.toarray())


@pytest.mark.parametrize("name", ["CVXQP1_S", "QSHARE2B", "DUAL1", "QAFIRO"])
@pytest.mark.parametrize("method", STATIC)
def test_refinement_on_kkt_matrices(name, method):
    """QSHARE2B: the plain factor loses all but three digits, refinement brings them back."""
    K, signs = kkt(name)
    b = np.random.default_rng(1).standard_normal(K.shape[0])
    factor = LDL(K, signs, method=method)
    x = factor.solve(b)
    assert backward_error(K, x, b) <= 1e-12
    size = np.abs(K).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
    assert np.abs(b - K @ x).max() <= 1e-12 * size
    np.testing.assert_allclose(factor.backward_error, backward_error(K, x, b), atol=1e-15)


def test_methods_agree_and_auto_is_one_of_them():
    A = laplacian(30)
    b = np.random.default_rng(0).standard_normal(900)
    row, front = (LDL(A, 1, method=m).solve(b) for m in STATIC)
    np.testing.assert_allclose(row, front, rtol=0, atol=1e-12 * np.abs(row).max())
    assert LDL(A, 1).method in STATIC
    dense = LDL(sp.csc_array(np.ones((200, 200)) + 9 * np.eye(200)), 1)
    chain = LDL(laplacian(500, 1), 1)
    assert dense.method == "supernodal" and chain.method == "simplicial"


def test_large_fronts_use_blocks():
    """More columns than one block of a panel, and a front too large for plain loops."""
    rng = np.random.default_rng(3)
    n = 260
    M = rng.standard_normal((n, n))
    A = np.block([[M @ M.T + n * np.eye(n), np.eye(n)], [np.eye(n), -2 * np.eye(n)]])
    signs = np.r_[np.ones(n), -np.ones(n)]
    b = rng.standard_normal(2 * n)
    x = LDL(A, signs, method="supernodal").solve(b, refine=0)
    np.testing.assert_allclose(A @ x, b, atol=1e-11)
    y = LDL(A).solve(b, refine=0)
    np.testing.assert_allclose(A @ y, b, atol=1e-11)


def test_analysis_predicts_the_factor():
    A, _ = FAMILIES["denser"]
    factor = LDL(A, FAMILIES["denser"][1], method="simplicial")
    L = factor.factors()[0]
    assert L.nnz - factor.n == factor.analysis.nnz
    counts = np.diff(sp.csc_array(L).indptr) - 1
    assert factor.analysis.flops == np.square(counts).sum()


@given(
    n=st.integers(1, 25),
    m=st.integers(0, 15),
    density=st.sampled_from([0.05, 0.2, 0.7]),
    seed=st.integers(0, 10**6),
    method=st.sampled_from(STATIC),
)
def test_random_quasi_definite(n, m, density, seed, method):
    K, signs = quasi_definite(n, m, density, seed)
    factor = LDL(K, signs, method=method)
    b = np.random.default_rng(seed).standard_normal(n + m)
    assert factor.inertia == (n, m, 0)
    assert backward_error(K, factor.solve(b), b) <= 1e-13


@pytest.mark.parametrize("ordering", ["amd", "natural", "reversed"])
def test_any_ordering(ordering):
    K, signs = FAMILIES["quasi-definite"]
    order = np.arange(65)[::-1] if ordering == "reversed" else ordering
    factor = LDL(K, signs, ordering=order)
    b = np.arange(65.0)
    np.testing.assert_allclose(K @ factor.solve(b), b, atol=1e-10)
    if ordering == "natural":
        L = LDL(laplacian(6), 1, ordering="natural").factors()[0].toarray()
        C = np.linalg.cholesky(laplacian(6).toarray())
        order = LDL(laplacian(6), 1, ordering="natural").factors()[2]
        np.testing.assert_array_equal(order, np.arange(36))
        np.testing.assert_allclose(L, C / np.diag(C), atol=1e-13)


# ---- refactorisation -----------------------------------------------------------------------------


@pytest.mark.parametrize("method", [*STATIC, "pivoting"])
def test_update_equals_a_fresh_factor(method):
    K, signs = quasi_definite(60, 30, 0.08, 5)
    kind = {"signs": None} if method == "pivoting" else {"signs": signs, "method": method}
    other = K.copy()
    other.data = K.data * 3
    other.setdiag(K.diagonal() * 5)
    factor = LDL(K, **kind)
    b = np.arange(90.0)
    before = factor.solve(b)
    assert factor.update(other.data)
    np.testing.assert_array_equal(factor.solve(b), LDL(other, **kind).solve(b))
    assert factor.update(K)
    np.testing.assert_array_equal(factor.solve(b), before)
    assert (factor.analyses, factor.factorizations, factor.solves) == (1, 3, 3)


@pytest.mark.parametrize("method", STATIC)
def test_update_diagonal(method):
    K, signs = quasi_definite(30, 20, 0.1, 6)
    factor = LDL(K, signs, method=method)
    rows = np.array([31, 4, 49])
    factor.update_diagonal([-7.0, 8.0, -9.0], rows)
    D = K.diagonal()
    D[rows] = -7, 8, -9
    changed = K.copy()
    changed.setdiag(D)
    np.testing.assert_array_equal(
        factor.solve(np.ones(50)), LDL(changed, signs, method=method).solve(np.ones(50))
    )
    factor.update_diagonal(2 * D)
    changed.setdiag(2 * D)
    x = factor.solve(np.ones(50))
    np.testing.assert_allclose(changed @ x, np.ones(50), atol=1e-12)


def test_bad_diagonals_are_named():
    K, signs = quasi_definite(6, 3, 0.5, 6)
    factor = LDL(K, signs)
    with pytest.raises(ValueError, match=r"diagonal has shape \(4,\), expected \(9,\)"):
        factor.update_diagonal(np.ones(4))
    for bad in (np.nan, np.inf):
        with pytest.raises(ValueError, match=f"diagonal has {bad} at index 1"):
            factor.update_diagonal([-1.0, bad], [7, 8])
        with pytest.raises(ValueError, match=f"diagonal has {bad} at index 0"):
            factor.update_diagonal(bad)
    np.testing.assert_allclose(K @ factor.solve(np.ones(9)), 1, atol=1e-12)  # nothing has changed


@pytest.mark.parametrize("method", STATIC)
def test_refinement_stops_at_its_goal(method):
    K, signs = kkt("QSHARE2B")
    factor = LDL(K, signs, method=method)
    b = np.random.default_rng(1).standard_normal(K.shape[0])
    steps = []
    for goal in (1.0, 1e-6, 1e-12, None):
        before = factor.refinements
        x = factor.solve(b, goal=goal)
        steps.append(factor.refinements - before)
        assert backward_error(K, x, b) <= (goal or 40 * np.finfo(float).eps)
    assert steps[0] == 0 < steps[-1] and steps == sorted(steps)
    limited = factor.refinements
    factor.solve(b, refine=1)
    assert factor.refinements == limited + 1 and factor.backward_error > 1e-15


def test_missing_diagonal_entries_can_be_filled():
    A = sp.csc_array([[0.0, 1.0], [1.0, 0.0]])
    assert A.nnz == 2
    factor = LDL(A)
    assert factor.inertia == (1, 1, 0)
    factor.update_diagonal(5.0)
    assert factor.inertia == (2, 0, 0)
    np.testing.assert_allclose(factor.solve(np.array([6.0, 6.0])), [1, 1])


def test_shift_is_not_part_of_the_solution():
    n = 12
    A = np.diag(np.r_[np.zeros(3), np.ones(n - 6), -np.ones(3)]) + 0.1 * np.eye(n)[::-1]
    A = sp.csc_array(A)
    signs = np.r_[np.ones(9), -np.ones(3)]
    factor = LDL(A, signs, shift=1e-7)
    x = factor.solve(np.ones(n))
    np.testing.assert_allclose(A @ x, np.ones(n), atol=1e-12)
    shifted = A + 0.5 * sp.diags_array(signs)
    factor.update(A, shift=0.5)
    L, D, order = factor.factors()
    np.testing.assert_allclose((L @ D @ L.T).toarray(), shifted.toarray()[np.ix_(order, order)])


@pytest.mark.parametrize("format", ["csc", "csr", "coo"])
@pytest.mark.parametrize("triangle", ["full", "upper", "lower"])
def test_formats_and_triangles(format, triangle):
    K, signs = quasi_definite(15, 10, 0.2, 8)
    part = {"full": K, "upper": sp.triu(K), "lower": sp.tril(K)}[triangle].asformat(format)
    if format != "coo":
        part.indices, part.indptr = part.indices.astype(np.int64), part.indptr.astype(np.int64)
    b = np.arange(25.0)
    x = LDL(K, signs).solve(b)
    factor = LDL(part, signs, triangle=triangle)
    np.testing.assert_array_equal(factor.solve(b), x)
    factor.update(2 * part.data)
    np.testing.assert_array_equal(factor.solve(2 * b), x)
    factor.update(part)
    np.testing.assert_array_equal(factor.solve(b), x)


def test_duplicates_and_unsorted_entries_are_summed_in_the_order_of_data():
    rng = np.random.default_rng(0)
    K, signs = quasi_definite(8, 5, 0.3, 9)
    C = K.tocoo()
    split = rng.uniform(0, 1, C.data.size)
    rows, columns = np.r_[C.row, C.row], np.r_[C.col, C.col]
    data = np.r_[split * C.data, (1 - split) * C.data]
    shuffle = rng.permutation(data.size)
    A = sp.coo_array((data[shuffle], (rows[shuffle], columns[shuffle])), shape=K.shape)
    b = rng.standard_normal(13)
    factor = LDL(A, signs)
    np.testing.assert_allclose(K @ factor.solve(b), b, atol=1e-11)
    factor.update(4 * A.data)
    np.testing.assert_allclose(4 * K @ factor.solve(b), b, atol=1e-11)


def test_nothing_of_the_caller_is_changed_or_kept():
    K, signs = quasi_definite(10, 5, 0.3, 1)
    data, b = K.data.copy(), np.ones(15)
    b.flags.writeable = False
    factor = LDL(K, signs)
    x = factor.solve(b)
    K.data[:] = 0
    np.testing.assert_array_equal(factor.solve(b), x)
    assert factor.update(data)
    strided = np.zeros(30)
    strided[::2] = 1
    np.testing.assert_array_equal(factor.solve(strided[::2]), x)
    np.testing.assert_array_equal(factor.solve([1] * 15), x)


@pytest.mark.parametrize("kind", [{"method": "simplicial"}, {"method": "supernodal"}, None])
def test_many_right_hand_sides(kind):
    K, signs = quasi_definite(20, 10, 0.2, 2)
    factor = LDL(K, signs, **kind) if kind else LDL(K)
    for k in range(1, 20, 6):  # less than, and more than, are solved for together
        B = np.random.default_rng(k).standard_normal((30, k))
        before = factor.solves, factor.refinements
        X = factor.solve(B)
        assert factor.solves == before[0] + k and factor.refinements >= before[1]
        assert X.shape == B.shape and factor.backward_error <= 40 * np.finfo(float).eps
        plain = factor.solve(B, refine=0)
        for j in range(k):
            x = factor.solve(B[:, j])
            np.testing.assert_allclose(X[:, j], x, rtol=1e-12, atol=1e-13 * np.abs(x).max())
            x = factor.solve(B[:, j], refine=0)
            np.testing.assert_allclose(plain[:, j], x, rtol=1e-9, atol=1e-10 * np.abs(x).max())
    assert factor.solve(np.empty((30, 0))).shape == (30, 0)
    B[3, 2] = np.nan
    with pytest.raises(ValueError, match=r"b has nan at index \(3, 2\)"):
        factor.solve(B)


@pytest.mark.parametrize("kind", [{"method": "simplicial"}, {"method": "supernodal"}, None])
def test_pickles(kind):
    K, signs = quasi_definite(20, 10, 0.2, 2)
    factor = LDL(K, signs, **kind) if kind else LDL(K)
    twin = pickle.loads(pickle.dumps(factor))
    np.testing.assert_array_equal(twin.solve(np.ones(30)), factor.solve(np.ones(30)))
    assert twin.factorizations == 1
    twin.update(4 * K.data)
    np.testing.assert_array_equal(4 * twin.solve(np.ones(30)), factor.solve(np.ones(30)))


def test_threads_share_a_factor():
    K, signs = quasi_definite(200, 100, 0.02, 3)
    factor = LDL(K, signs)
    B = np.random.default_rng(0).standard_normal((16, 300))
    expected = [factor.solve(b) for b in B]
    with ThreadPoolExecutor(8) as pool:
        for x, y in zip(pool.map(factor.solve, B), expected, strict=True):
            np.testing.assert_array_equal(x, y)


def test_analyses_are_shared():
    K, signs = quasi_definite(20, 10, 0.2, 2)
    one = LDL(K, signs)
    two = LDL(2 * K, signs, analysis=one.analysis)
    assert (one.analyses, two.analyses) == (1, 0)
    np.testing.assert_array_equal(2 * two.solve(np.ones(30)), one.solve(np.ones(30)))


# ---- pivots that fail or are replaced ------------------------------------------------------------


@pytest.mark.parametrize("method", STATIC)
def test_cholesky_names_the_row_that_is_not_positive(method):
    A = laplacian(5).toarray()
    A[7, 7] = -1.0
    factor = LDL(A, 1, method=method)
    assert not factor.ok and factor.bad_row is not None
    with pytest.raises(np.linalg.LinAlgError, match=f"the pivot of row {factor.bad_row} is"):
        factor.solve(np.ones(25))
    order = LDL(laplacian(5), 1, method=method).factors()[2]
    leading = order[: list(order).index(factor.bad_row) + 1]
    assert np.linalg.eigvalsh(A[np.ix_(leading, leading)])[0] <= 0
    assert np.linalg.eigvalsh(A[np.ix_(leading[:-1], leading[:-1])])[0] > 0
    assert factor.update(sp.csc_array(laplacian(5)))  # recovers


@pytest.mark.parametrize("method", STATIC)
def test_singular_is_not_positive_definite(method):
    line = laplacian(30, 1).tolil()
    line[0, 0] = line[29, 29] = 1.0
    assert not LDL(sp.csc_array(line), 1, method=method).ok


@pytest.mark.parametrize("method", STATIC)
def test_wrong_signs_are_counted(method):
    A = np.diag([1.0, 2.0, -3.0, 4.0])
    A[0, 3] = A[3, 0] = 0.5
    factor = LDL(A, np.ones(4), method=method)
    assert factor.ok and (factor.perturbed, factor.wrong_signs) == (1, 1)
    assert factor.inertia == (4, 0, 0)
    assert LDL(A, np.array([1, 1, -1, 1]), method=method).perturbed == 0


@pytest.mark.parametrize("method", STATIC)
def test_zero_pivots_are_replaced_and_refinement_repairs(method):
    """A zero block where the signs promise a positive one: only the replaced pivot is wrong."""
    A = np.array([[0.0, 1.0, 0.0], [1.0, -1.0, 0.5], [0.0, 0.5, 2.0]])
    factor = LDL(A, np.array([1, -1, 1]), ordering="natural", method=method)
    assert factor.perturbed == 1 and factor.wrong_signs == 0
    b = np.array([1.0, 2.0, 3.0])
    np.testing.assert_allclose(A @ factor.solve(b), b, atol=1e-13)


@pytest.mark.parametrize("method", STATIC)
def test_rows_of_zeros(method):
    A = np.diag([0.0, 2.0, 0.0])
    factor = LDL(A, np.array([1, 1, -1]), method=method)
    assert factor.ok and factor.perturbed == 2
    np.testing.assert_allclose(factor.solve(np.array([0.0, 4.0, 0.0])), [0, 2, 0])
    assert not LDL(A, 1, method=method).ok


# ---- indefinite ----------------------------------------------------------------------------------


def random_symmetric(kind, n, rng):
    if kind == "dense":
        A = rng.standard_normal((n, n))
    elif kind == "sparse":
        A = rng.standard_normal((n, n)) * (rng.random((n, n)) < min(1, 3 / n))
    elif kind == "integers":
        A = rng.integers(-1, 2, (n, n)).astype(float)
    elif kind == "scaled":
        A = rng.standard_normal((n, n))
        s = 10.0 ** rng.uniform(-4, 4, n)
        A = A * s[:, None] * s
    else:  # saddle point with a zero block
        m = n // 3
        A = np.zeros((n, n))
        A[: n - m, : n - m] = np.diag(rng.standard_normal(n - m))
        A[n - m :, : n - m] = 2 * rng.standard_normal((m, n - m)) * (rng.random((m, n - m)) < 0.4)
        return A + np.tril(A, -1).T
    return np.tril(A) + np.tril(A, -1).T


def inertia_by_eigenvalues(A):
    """Of a scaled copy, whose eigenvalues are far from 0 or rounding; None in between."""
    scale = np.ones(A.shape[0])
    for _ in range(3):
        largest = np.abs(A * scale[:, None] * scale).max(axis=1)
        scale /= np.sqrt(np.where(largest > 0, largest, 1))
    values = np.linalg.eigvalsh(A * scale[:, None] * scale)
    if ((np.abs(values) > 1e-13) & (np.abs(values) < 1e-9)).any():
        return None
    values[np.abs(values) <= 1e-13] = 0
    return int((values > 0).sum()), int((values < 0).sum()), int((values == 0).sum())


def test_inertia_of_a_thousand_matrices():
    rng = np.random.default_rng(0)
    kinds = ["dense", "sparse", "integers", "scaled", "saddle"]
    checked = singular = trial = 0
    while checked < 1000:
        trial += 1
        A = random_symmetric(kinds[trial % 5], int(rng.integers(1, 30)), rng)
        expected = inertia_by_eigenvalues(A)
        if expected is None:
            continue
        factor = LDL(A)
        assert factor.inertia == expected, (trial, A.shape)
        checked += 1
        if expected[2]:
            singular += 1
            b = A @ rng.standard_normal(A.shape[0])
            x = factor.solve(b)
            assert np.abs(A @ x - b).max() <= 1e-11 * (np.abs(A) @ np.abs(x) + np.abs(b)).max()
        else:
            b = rng.standard_normal(A.shape[0])
            assert backward_error(A, factor.solve(b), b) <= 1e-13
    assert trial < 1050 and singular > 100


def test_inertia_of_larger_saddle_points():
    """Delayed pivots in many fronts: zero block, redundant rows, known inertia."""
    rng = np.random.default_rng(1)
    for n, m, redundant in ((150, 60, 0), (200, 100, 7)):
        H = sp.diags_array(rng.choice([0.0, 1e-3, 1.0, 50.0], n))
        A = sp.random_array((m, n), density=0.03, rng=rng) + sp.eye_array(m, n)
        A = sp.vstack([A, A.tocsr()[:redundant]])
        K = sp.block_array([[H + 1e-6 * sp.eye_array(n), A.T], [A, None]], format="csc")
        factor = LDL(K)
        assert factor.delayed > 0
        assert factor.inertia == (n, m, redundant)
        x = rng.standard_normal(K.shape[0])
        assert backward_error(K, factor.solve(K @ x), K @ x) <= 1e-12


def test_pivoted_factors_reproduce_the_matrix():
    rng = np.random.default_rng(4)
    for kind in ("sparse", "saddle", "scaled"):
        A = random_symmetric(kind, 40, rng)
        L, D, order = LDL(A).factors()
        P = A[np.ix_(order, order)]
        assert np.abs(np.triu(L.toarray(), 1)).max() == 0
        product = (L @ D @ L.T).toarray()
        s = np.sqrt(np.abs(A).max(axis=1))[order]
        np.testing.assert_allclose(product, P, atol=1e-11 * np.outer(s, s).max())
        assert np.abs(LDL(A, threshold=0.5).solve(P[0]) - LDL(A).solve(P[0])).max() < np.inf


def test_indefinite_float32_is_factored_in_double():
    A = random_symmetric("saddle", 30, np.random.default_rng(0)).astype(np.float32)
    factor = LDL(A)
    x = factor.solve(np.ones(30, np.float32))
    assert x.dtype == np.float32
    expected = np.linalg.solve(A.astype(float), np.ones(30))
    np.testing.assert_allclose(x, expected, rtol=1e-6, atol=1e-6 * np.abs(expected).max())


def test_enforce_inertia():
    """Nonconvex Hessian: the shift is the least tried one that gives a descent system."""
    rng = np.random.default_rng(2)
    n, m = 12, 4
    H = np.diag(rng.uniform(-2, 1, n))
    A = rng.standard_normal((m, n))
    K = np.block([[H, A.T], [A, -1e-8 * np.eye(m)]])
    signs = np.r_[np.ones(n), -np.ones(m)]
    factor = LDL(K, signs, pivoting=True)
    assert factor.inertia != (n, m, 0)
    delta = factor.enforce_inertia()
    assert delta > 0 and factor.inertia == (n, m, 0)
    shifted = K + delta * np.diag(signs)
    b = rng.standard_normal(n + m)
    np.testing.assert_allclose(shifted @ factor.solve(b), b, atol=1e-10)
    Z = np.linalg.svd(A)[2][m:].T
    assert np.linalg.eigvalsh(Z.T @ (H + delta * np.eye(n)) @ Z)[0] > 0
    factor.update(K + 10 * np.diag(signs))
    assert factor.enforce_inertia() == 0.0
    with pytest.raises(ValueError, match="needs signs"):
        LDL(K).enforce_inertia()


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_matrices():
    A = laplacian(3).toarray()
    with pytest.raises(ValueError, match=r"A must be square, got shape \(2, 3\)"):
        LDL(np.ones((2, 3)))
    with pytest.raises(ValueError, match="must be 2-D"):
        LDL(np.ones(3))
    with pytest.raises(TypeError, match="real numbers"):
        LDL(A.astype(complex))
    for bad in (np.nan, np.inf):
        wrong = A.copy()
        wrong[4, 4] = bad
        for kind in ({"signs": 1}, {"signs": np.ones(9)}, {}):
            message = f"A.data has {bad} at index"
            with pytest.raises(ValueError, match=message), np.errstate(invalid="ignore"):
                LDL(wrong, **kind)
    wrong = A.copy()
    wrong[1, 2] += 0.5
    with pytest.raises(ValueError, match=r"not symmetric: \[1, 2\] is -0.5 but \[2, 1\] is -1"):
        LDL(wrong, 1)
    wrong[1, 2] = 0
    with pytest.raises(ValueError, match=r"stores \[2, 1\] but not \[1, 2\]"):
        LDL(wrong, 1)
    with pytest.raises(ValueError, match=r"A\[1, 0\] is stored outside the upper triangle"):
        LDL(A, 1, triangle="upper")
    with pytest.raises(ValueError, match="triangle must be one of"):
        LDL(A, 1, triangle="left")


def test_symmetry_up_to_rounding_is_accepted():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((30, 8))
    G = X.T @ X
    G[2, 3] *= 1 + 1e-14
    assert LDL(G, 1).ok


def test_bad_options():
    A = laplacian(3)
    with pytest.raises(ValueError, match="signs has shape"):
        LDL(A, np.ones(8))
    with pytest.raises(ValueError, match=r"signs must be .1 or -1, got 0.0 at index 2"):
        LDL(A, np.r_[1.0, 1, 0, 1, 1, 1, 1, 1, 1])
    with pytest.raises(ValueError, match="pivoting=False needs signs"):
        LDL(A, pivoting=False)
    with pytest.raises(ValueError, match="method must be one of"):
        LDL(A, 1, method="frontal")
    with pytest.raises(ValueError, match="permutation of range"):
        LDL(A, 1, ordering=np.zeros(9, int))
    with pytest.raises(ValueError, match="ordering must be one of"):
        LDL(A, 1, ordering="metis")
    with pytest.raises(ValueError, match="shift must be a number or have 9"):
        LDL(A, 1, shift=np.ones(3))
    with pytest.raises(ValueError, match="shift must be finite"):
        LDL(A, 1, shift=np.nan)
    with pytest.raises(ValueError, match="threshold must lie in"):
        LDL(A, threshold=0.7)


def test_bad_updates_and_right_hand_sides():
    A = laplacian(3)
    factor = LDL(A, 1)
    with pytest.raises(ValueError, match="values has 4 entries, the analysed pattern has 33"):
        factor.update(np.ones(4))
    with pytest.raises(ValueError, match="pattern other than the analysed one"):
        factor.update(sp.csc_array(np.ones((9, 9))))
    moved = A.copy()
    moved.indices[1] = 5
    with pytest.raises(ValueError, match="pattern other than the analysed one"):
        factor.update(moved)
    with pytest.raises(ValueError, match=r"A has shape \(4, 4\), analysed was \(9, 9\)"):
        factor.update(laplacian(2))
    with pytest.raises(ValueError, match="not symmetric"):
        factor.update(np.arange(33.0))
    with pytest.raises(ValueError, match=r"A.data has nan at index 3"):
        factor.update(np.where(np.arange(33) == 3, np.nan, A.data))
    with pytest.raises(TypeError, match="real numbers"):
        factor.update(A.data * 1j)
    factor.update(A)
    with pytest.raises(ValueError, match=r"b has shape \(8,\)"):
        factor.solve(np.ones(8))
    with pytest.raises(ValueError, match="b has nan at index 2"):
        factor.solve(np.where(np.arange(9) == 2, np.nan, 1.0))
    fresh = LDL(A, 1, factor=False)
    with pytest.raises(np.linalg.LinAlgError, match="nothing is factored yet"):
        fresh.solve(np.ones(9))
