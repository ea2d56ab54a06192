"""One pattern, many systems: every backend against dense solves, counts, and what it refuses."""

import pickle
import sys

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given, settings
from hypothesis import strategies as st

from numopt.core.result import Status
from numopt.linalg import ReusableSolver, Sweeps, cg
from numopt.linalg.incomplete import IncompleteCholesky, ssor_cg
from numopt.linalg.reusable import DIRECT, METHODS

SYMMETRIC = ["ldl", "cholesky", "ic", "ssor", "cg", "minres", "gmres", "lu", "direct", "auto"]


def laplacian(k):
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(k, k))
    return sp.csc_array(sp.kron(line, sp.eye_array(k)) + sp.kron(sp.eye_array(k), line))


def chain(n):
    return sp.diags_array([2.1, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n), format="csc")


def convection(n):
    return sp.diags_array([3.0, -1.9, -0.1], offsets=[0, 1, -1], shape=(n, n), format="csr")


def saddle(n, m, seed=0):
    rng = np.random.default_rng(seed)
    A = sp.random_array((m, n), density=0.2, rng=rng) + sp.eye_array(m, n)
    return sp.block_array([[sp.eye_array(n), A.T], [A, None]], format="csc")


@pytest.mark.parametrize("method", SYMMETRIC)
@pytest.mark.parametrize("layout", ["csc", "csr", "coo"])
def test_sequences(method, layout):
    A = laplacian(9).asformat(layout)
    solver = ReusableSolver(method, rtol=1e-10)
    assert solver.analyze(A) is solver
    x = None
    diagonal = (A.row == A.col) if layout == "coo" else None
    for t in range(3):
        values = A.data * (t + 1)
        if diagonal is not None:
            values[diagonal] += t
        assert solver.update(values)
        B = A.copy()
        B.data = values
        b = np.random.default_rng(t).standard_normal(81)
        x = solver.solve(b, x)
        assert solver.success and solver.residual <= 1.01e-10
        np.testing.assert_allclose(x, np.linalg.solve(B.toarray(), b), atol=1e-8)
    counts = 0 if method in ("cg", "minres", "gmres") else 3
    assert (solver.analyses, solver.factorizations, solver.solves) == (1, counts, 3)
    assert (solver.iterations > 0) == (solver.chosen not in DIRECT)


def test_a_good_start_saves_iterations():
    A = laplacian(12)
    b = np.random.default_rng(0).standard_normal(144)
    for method in ("ic", "ssor", "cg", "minres", "gmres"):
        solver = ReusableSolver(method).analyze(A)
        solver.update(A)
        x = solver.solve(b)
        cold = solver.iterations
        solver.solve(b, x)
        assert solver.iterations == cold > 3


@pytest.mark.parametrize("method", ["cholesky", "ldl", "ic", "ssor", "cg", "minres", "gmres", "lu"])
def test_float32(method):
    A = laplacian(6).astype(np.float32)
    solver = ReusableSolver(method).analyze(A)
    assert solver.update(A)
    x = solver.solve(np.ones(36))
    assert x.dtype == np.float32 and solver.residual <= 2e-5
    assert solver.update(A.astype(np.float64).data)  # wider values, same pattern
    assert solver.solve(np.ones(36)).dtype == np.float64
    assert solver.residual <= 2e-8


@pytest.mark.parametrize("triangle", ["upper", "lower"])
def test_one_triangle(triangle):
    A = laplacian(6)
    part = (sp.triu if triangle == "upper" else sp.tril)(A).tocsr()
    for method in ("cholesky", "ic", "minres", "auto"):
        solver = ReusableSolver(method, triangle=triangle).analyze(part)
        solver.update(part)
        np.testing.assert_allclose(A @ solver.solve(np.ones(36)), 1, atol=1e-6)
    with pytest.raises(ValueError, match="method='gmres' needs triangle='full'"):
        ReusableSolver("gmres", triangle=triangle).analyze(part)


@pytest.mark.parametrize("method", [*SYMMETRIC, "banded", "forest"])
def test_several_right_hand_sides(method):
    A = chain(40) if method == "forest" else laplacian(6)
    n = A.shape[0]
    B = np.random.default_rng(0).standard_normal((n, 11))
    solver = ReusableSolver(method, rtol=1e-10).analyze(A)
    solver.update(A)
    X = solver.solve(B)
    assert X.shape == B.shape and solver.solves == 11 and solver.success
    r = np.linalg.norm(B - A @ X, axis=0) / np.linalg.norm(B, axis=0)
    assert solver.residual == pytest.approx(r.max()) and solver.residual <= 1e-10
    before = solver.iterations
    again = solver.solve(B, X)
    np.testing.assert_allclose(again, X, rtol=1e-12)
    assert solver.chosen in DIRECT or solver.iterations == before
    assert solver.solve(B[:, :0]).shape == (n, 0) and solver.residual == 0
    with pytest.raises(ValueError, match="b has 3 rows, expected"):
        solver.solve(np.ones((3, 2)))
    with pytest.raises(ValueError, match="x0 has shape"):
        solver.solve(B, X[:, :2])
    with pytest.raises(ValueError, match="b has nan"):
        solver.solve(np.where(np.arange(11) == 4, np.nan, B))


def test_the_status_of_several_columns_is_that_of_the_worst():
    A = laplacian(8) - 2 * sp.eye_array(64)  # indefinite
    values, Q = np.linalg.eigh(A.toarray())
    B = Q[:, [40, 50, 0, 45]]  # the third one leads into negative curvature
    assert values[0] < 0 < values[40]
    solver = ReusableSolver("cg").analyze(A)
    solver.update(A)
    solver.solve(B)
    assert solver.status is Status.NON_CONVEX and not solver.success


@settings(max_examples=60, deadline=None)
@given(
    method=st.sampled_from([*SYMMETRIC, "banded"]),
    n=st.integers(1, 30),
    density=st.sampled_from([0.0, 0.1, 0.5]),
    decades=st.sampled_from([0.0, 2.0, 5.0]),
    dtype=st.sampled_from([np.float64, np.float32]),
    index=st.sampled_from([np.int32, np.int64]),
    seed=st.integers(0, 10**6),
)
def test_claims_hold_on_random_matrices(method, n, density, decades, dtype, index, seed):
    """Duplicates, scales over many decades, both index types: success is never a mere claim."""
    rng = np.random.default_rng(seed)
    R = sp.random_array((n, n), density=density, rng=rng, data_sampler=rng.standard_normal)
    s = sp.diags_array(10 ** rng.uniform(-decades / 2, decades / 2, n))
    A = sp.coo_array(s @ (R @ R.T + sp.diags_array(rng.uniform(0.5, 2, n))) @ s)
    A = sp.coo_array((A + A.T) / 2)
    half = (A.data / 2).astype(dtype)
    i, j = A.coords[0].astype(index), A.coords[1].astype(index)
    doubled = sp.coo_array((np.r_[half, half], (np.r_[i, i], np.r_[j, j])), shape=(n, n))
    solver = ReusableSolver(method).analyze(doubled)
    b = rng.standard_normal(n).astype(dtype)
    if not solver.update(doubled):
        assert dtype == np.float32 and decades > 0  # lost in rounding, and said
        return
    x = solver.solve(b)
    exact = doubled.tocsr().astype(float)
    residual = np.linalg.norm(b - exact @ x.astype(float)) / np.linalg.norm(b)
    assert solver.residual == pytest.approx(residual, rel=1e-6, abs=1e-12) and x.dtype == dtype
    if solver.chosen in DIRECT:
        size = np.abs(exact).sum(axis=1).max() * np.abs(x).max() + np.abs(b).max()
        error = np.abs(b - exact @ x.astype(float)).max() / size
        assert solver.success and error <= 100 * np.finfo(dtype).eps
    else:
        tolerance = 1e-5 if dtype == np.float32 else 1e-8
        assert not solver.success or residual <= 1.1 * tolerance
        assert solver.success or decades > 0 or dtype == np.float32


def test_empty_rows():
    A = sp.csr_array(np.diag([2.0, 0.0, 4.0]))
    A.eliminate_zeros()
    solver = ReusableSolver("ldl").analyze(A)
    assert solver.update(A) and solver.inertia == (2, 0, 1)
    np.testing.assert_allclose(solver.solve(np.array([2.0, 0.0, 4.0])), [1, 0, 1])
    for method in ("cholesky", "lu", "ic", "ssor", "cg", "banded", "forest"):
        solver = ReusableSolver(method).analyze(A)
        assert not solver.update(A) and solver.status is not Status.OPTIMAL
    for method in ("minres", "gmres"):
        solver = ReusableSolver(method).analyze(A)
        assert solver.update(A)
        np.testing.assert_allclose(solver.solve(np.array([2.0, 0.0, 4.0])), [1, 0, 1], atol=1e-8)
        assert solver.success
        solver.solve(np.ones(3))
        assert not solver.success and solver.residual > 0.5


# ---- the choice of a method ----------------------------------------------------------------------


@pytest.mark.parametrize("method", ["auto", "direct"])
def test_choice_by_pattern(method):
    star = np.eye(40) * 50
    star[0, 1:] = star[1:, 0] = 1.0
    pentadiagonal = sp.csr_array(chain(60) @ chain(60))
    cases = [
        (sp.csr_array(star), "forest"),
        (chain(80), "forest"),
        (pentadiagonal, "banded"),
        (laplacian(10), "cholesky"),
        (convection(50), "lu"),  # the values tell
        (sp.csr_array(np.triu(np.ones((5, 5)))), "lu"),
    ]
    for A, chosen in cases:
        solver = ReusableSolver(method).analyze(A)
        assert solver.chosen == (chosen if A.shape[0] != 50 else "forest")
        assert solver.update(A)
        assert solver.chosen == chosen and solver.factorizations == 1
        b = np.arange(A.shape[0], dtype=float)
        np.testing.assert_allclose(A @ solver.solve(b), b, atol=1e-9)


def test_auto_falls_back_when_a_matrix_turns_out_indefinite():
    A = saddle(30, 12)
    solver = ReusableSolver().analyze(A)
    assert solver.chosen == "cholesky"
    assert solver.update(A)
    assert solver.chosen == "ldl" and solver.factorizations == 2
    assert solver.inertia == (30, 12, 0)
    b = np.arange(42.0)
    np.testing.assert_allclose(A @ solver.solve(b), b, atol=1e-10)
    swap = sp.csc_array([[0.0, 1.0], [1.0, 0.0]])
    solver = ReusableSolver().analyze(swap)
    assert solver.chosen == "forest" and solver.update(swap) and solver.chosen == "ldl"
    np.testing.assert_allclose(solver.solve(np.array([1.0, 2.0])), [2, 1])


def test_auto_iterates_when_the_factor_would_be_too_large(monkeypatch):
    monkeypatch.setattr("numopt.linalg.reusable.LARGE_FACTOR", 100)
    A = laplacian(10)
    solver = ReusableSolver().analyze(A)
    assert solver.chosen == "ic" and solver.update(A)
    assert np.linalg.norm(A @ solver.solve(np.ones(100)) - 1) <= 1e-7
    B = A - 3 * sp.eye_array(100)  # positive diagonal, indefinite
    assert solver.update(sp.csc_array(B))
    assert np.linalg.norm(B @ solver.solve(np.ones(100)) - 1) <= 1e-6
    assert solver.chosen == "minres"
    assert ReusableSolver("direct").analyze(A).chosen == "cholesky"
    assert ReusableSolver().analyze(sp.csr_array(np.triu(np.ones((9, 9))))).chosen == "gmres"


def test_quasi_definite_signs():
    A = saddle(20, 8) - sp.diags_array(np.r_[np.zeros(20), 1e-3 * np.ones(8)])
    signs = np.r_[np.ones(20), -np.ones(8)]
    for method in ("ldl", "auto", "direct"):
        solver = ReusableSolver(method, signs=signs).analyze(A)
        assert solver.chosen == "ldl" and solver.update(A)
        assert solver.inertia == (20, 8, 0) and not solver._backend.pivoting
        np.testing.assert_allclose(A @ solver.solve(np.ones(28)), 1, atol=1e-10)


def test_nonsymmetric_values():
    A = convection(60)
    for method in ("lu", "gmres"):
        solver = ReusableSolver(method).analyze(A)
        solver.update(2 * A.data)
        np.testing.assert_allclose(2 * A @ solver.solve(np.ones(60)), 1, atol=1e-7)
    with pytest.raises(ValueError, match="'gmres' has no inertia"):
        _ = solver.inertia


def test_amg():
    A = laplacian(12)
    if "pyamg" in sys.modules or _installed("pyamg"):
        solver = ReusableSolver("amg").analyze(A)
        solver.update(A)
        np.testing.assert_allclose(A @ solver.solve(np.ones(144)), 1, atol=1e-6)
        assert solver.iterations < 20 and solver.factorizations == 1


def _installed(name):
    import importlib.util

    return importlib.util.find_spec(name) is not None


def test_amg_without_pyamg(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(ImportError, match="pip install pyamg"):
        ReusableSolver("amg")


# ---- failures ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["cholesky", "ic", "ssor", "cg", "banded"])
def test_not_positive_definite(method):
    A = chain(20).tolil()
    A[13, 13] = -1.0
    A = sp.csc_array(A)
    solver = ReusableSolver(method).analyze(A)
    assert not solver.update(A)
    assert solver.status is Status.NON_CONVEX and not solver.success
    with pytest.raises(np.linalg.LinAlgError):
        solver.solve(np.ones(20))
    assert solver.update(chain(20))
    np.testing.assert_allclose(chain(20) @ solver.solve(np.ones(20)), 1, atol=1e-7)


def test_indefinite_with_a_positive_diagonal_is_found_on_the_way():
    A = laplacian(8) - 2 * sp.eye_array(64)
    for method in ("ic", "ssor", "cg"):
        solver = ReusableSolver(method).analyze(A)
        solver.update(A)
        solver.solve(np.random.default_rng(0).standard_normal(64))
        assert solver.status is Status.NON_CONVEX


def test_singular_systems():
    A = sp.csc_array(np.ones((3, 3)))
    solver = ReusableSolver("lu").analyze(A)
    assert not solver.update(A) and solver.status is Status.NUMERICAL_TROUBLE
    solver = ReusableSolver("ldl").analyze(A)
    assert solver.update(A) and solver.inertia == (1, 0, 2)
    np.testing.assert_allclose(A @ solver.solve(np.full(3, 6.0)), 6)


def test_iteration_limits_are_a_status():
    A = laplacian(15)
    for method in ("ic", "ssor", "cg", "minres", "gmres"):
        solver = ReusableSolver(method, max_iter=2).analyze(A)
        solver.update(A)
        solver.solve(np.random.default_rng(0).standard_normal(225))
        assert solver.status is Status.ITERATION_LIMIT and solver.residual > 1e-8


def test_bad_input():
    A = laplacian(3)
    with pytest.raises(ValueError, match="method must be one of"):
        ReusableSolver("qr")
    solver = ReusableSolver("cholesky")
    with pytest.raises(ValueError, match="call analyze"):
        solver.update(A)
    with pytest.raises(ValueError, match="call analyze and update first"):
        solver.solve(np.ones(9))
    solver.analyze(A)
    with pytest.raises(ValueError, match="call analyze and update first"):
        solver.solve(np.ones(9))
    with pytest.raises(ValueError, match="values has 3 entries, the analysed pattern has 33"):
        solver.update(np.ones(3))
    with pytest.raises(ValueError, match="pattern other than the analysed one"):
        solver.update(sp.csc_array(np.ones((9, 9))))
    with pytest.raises(ValueError, match=r"A.data has nan at index 4"):
        solver.update(np.where(np.arange(33) == 4, np.nan, A.data))
    for method in METHODS:
        if method in ("auto", "direct", "amg", "lu", "gmres"):
            continue
        chosen = ReusableSolver(method)
        with pytest.raises(ValueError, match="not symmetric"):
            chosen.analyze(A if method != "forest" else chain(9))
            chosen.update(np.arange(chosen._pattern.length) + 1.0)
    solver.update(A)
    with pytest.raises(ValueError, match="b has 8 entries, expected 9"):
        solver.solve(np.ones(8))
    with pytest.raises(ValueError, match="b has inf at index 2"):
        solver.solve(np.where(np.arange(9) == 2, np.inf, 1.0))
    with pytest.raises(ValueError, match="must be square"):
        solver.analyze(np.ones((2, 3)))
    with pytest.raises(ValueError, match="no forest"):
        ReusableSolver("forest").analyze(A).update(A)


@pytest.mark.parametrize("method", [m for m in METHODS if m != "amg"])
def test_tiny_and_empty(method):
    for n in (0, 1):
        A = sp.csc_array(4 * np.eye(n))
        solver = ReusableSolver(method).analyze(A)
        assert solver.update(A)
        np.testing.assert_allclose(solver.solve(np.ones(n)), np.full(n, 0.25))


@pytest.mark.parametrize("method", ["auto", "ldl", "ic", "ssor", "cg", "lu", "banded"])
def test_pickles(method):
    A = chain(12) @ chain(12)
    solver = ReusableSolver(method).analyze(A)
    solver.update(A)
    x = solver.solve(np.ones(12))
    twin = pickle.loads(pickle.dumps(solver))
    np.testing.assert_array_equal(twin.solve(np.ones(12)), x)
    assert twin.factorizations == solver.factorizations
    assert "12" not in repr(twin) and method in repr(twin)


# ---- preconditioners -----------------------------------------------------------------------------


def incomplete_by_definition(A, relaxation):
    """Outer products of a dense copy; fill off the pattern goes to the diagonal."""
    W, on = A.toarray(), A.toarray() != 0
    n = W.shape[0]
    L, d = np.eye(n), np.zeros(n)
    for k in range(n):
        d[k] = W[k, k]
        L[k + 1 :, k] = W[k + 1 :, k] / d[k]
        for i in range(k + 1, n):
            for j in range(k + 1, i + 1):
                v = L[i, k] * d[k] * L[j, k]
                if on[i, j] or i == j:
                    W[i, j] -= v
                else:
                    W[i, i] -= relaxation * v
                    W[j, j] -= relaxation * v
    return L, d


@pytest.mark.parametrize("relaxation", [0.0, 0.5, 0.97, 1.0])
def test_incomplete_cholesky_by_definition(relaxation):
    rng = np.random.default_rng(0)
    R = sp.random_array((25, 25), density=0.12, rng=rng)
    general = sp.csc_array(R + R.T + 8 * sp.eye_array(25))
    for A in (laplacian(5), general):
        factor = IncompleteCholesky(A, relaxation=relaxation)
        assert factor.shift == 0
        L, d = incomplete_by_definition(A, relaxation)
        r = rng.standard_normal(25)
        np.testing.assert_allclose(factor.solve(r), np.linalg.solve(L * d @ L.T, r), atol=1e-12)
        factor.update(3 * A)
        np.testing.assert_allclose(3 * factor.solve(r), np.linalg.solve(L * d @ L.T, r), atol=1e-12)
        if relaxation == 1.0:  # row sums stay
            np.testing.assert_allclose((L * d @ L.T).sum(axis=1), A.sum(axis=1), atol=1e-12)


def test_relaxation_saves_iterations():
    """60 x 60 Poisson: far fewer with relaxation, as published for modified factorisations."""
    A = laplacian(60)
    b = np.random.default_rng(0).standard_normal(3600)
    plain, none, best = (
        cg(A, b, preconditioner=M).nit
        for M in (None, IncompleteCholesky(A, relaxation=0.0), IncompleteCholesky(A))
    )
    assert none < 0.45 * plain and best < 0.65 * none


def test_incomplete_cholesky_shifts_when_it_must():
    """Kershaw's matrix: positive definite, but its IC(0) has a negative pivot."""
    A = sp.csc_array([[3.0, -2, 0, 2], [-2, 3, -2, 0], [0, -2, 3, -2], [2, 0, -2, 3]])
    assert np.linalg.eigvalsh(A.toarray())[0] > 0
    factor = IncompleteCholesky(A, relaxation=0.0)
    assert factor.shift > 0
    result = cg(A, np.arange(4.0), preconditioner=factor)
    assert result.success
    with pytest.raises(np.linalg.LinAlgError, match=r"A\[1, 1\] is -1"):
        IncompleteCholesky(np.diag([1.0, -1.0]))


@pytest.mark.parametrize("omega", [0.7, 1.0, 1.5, 1.9])
def test_eisenstat_equals_ssor_preconditioning(omega):
    A = laplacian(20).tocsr()
    b = np.random.default_rng(0).standard_normal(400)
    sweeps = Sweeps(A)
    fast = ssor_cg(sweeps, A, b, omega=omega)
    slow = cg(A, b, preconditioner=lambda r: sweeps.precondition(r, omega))
    assert fast.success and abs(fast.nit - slow.nit) <= 1
    k = min(fast.nit, slow.nit) - 2
    np.testing.assert_allclose(fast.history[0], slow.history[0], rtol=1e-10)
    np.testing.assert_allclose(fast.history[8], slow.history[8], rtol=1e-8)
    assert fast.history[k] <= 3 * slow.history[k]
    np.testing.assert_allclose(fast.x, slow.x, atol=1e-5)


def test_ssor_refuses():
    A = laplacian(4)
    with pytest.raises(ValueError, match="natural"):
        ssor_cg(Sweeps(A, order="colours"), A, np.ones(16))
    with pytest.raises(ValueError, match="omega must lie strictly between 0 and 2"):
        ssor_cg(Sweeps(A), A, np.ones(16), omega=2.0)
    B = sp.csr_array(np.diag([1.0, -1.0]))
    with pytest.raises(np.linalg.LinAlgError, match=r"A\[1, 1\] is -1"):
        ssor_cg(Sweeps(B), B, np.ones(2))
