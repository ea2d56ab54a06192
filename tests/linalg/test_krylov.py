"""Krylov methods against direct solves, and their claims against the data."""

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp
import scipy.sparse.linalg as spla
from hypothesis import given, settings
from hypothesis import strategies as st

from numopt.core.result import Status
from numopt.linalg.krylov import cg, gmres, lsqr, minres


def symmetric(eigenvalues, seed):
    Q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(eigenvalues),) * 2))[0]
    A = (Q * eigenvalues) @ Q.T
    return (A + A.T) / 2


def laplacian(n):
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n))
    return sp.csr_array(sp.kron(sp.eye_array(n), line) + sp.kron(line, sp.eye_array(n)))


def true_residual(A, b, x):
    return np.linalg.norm(b - A @ x) / np.linalg.norm(b)


# ---- square systems ------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [cg, minres, gmres])
@pytest.mark.parametrize("condition", [1.0, 1e3, 1e8])
@pytest.mark.parametrize("n", [1, 2, 30])
def test_positive_definite(method, condition, n):
    A = symmetric(np.geomspace(1, condition, n), 0)
    x = np.random.default_rng(1).standard_normal(n)
    result = method(A, A @ x, rtol=1e-10, max_iter=5000)
    assert result.success and true_residual(A, A @ x, result.x) <= 1e-10
    assert result.residual_norm == pytest.approx(np.linalg.norm(A @ x - A @ result.x), abs=1e-13)
    np.testing.assert_allclose(result.x, x, rtol=0, atol=1e-9 * condition)


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 25), st.integers(0, 10**6), st.floats(-150, 150), st.floats(0, 6))
def test_any_scale(n, seed, exponent, decades):
    rng = np.random.default_rng(seed)
    A = symmetric(10 ** rng.uniform(0, decades, n), seed)
    b = rng.standard_normal(n) * 10.0**exponent
    for method in (cg, minres, gmres):
        result = method(A, b, rtol=1e-8)
        assert result.success
        assert np.linalg.norm(b - A @ result.x) <= 1.001e-8 * np.linalg.norm(b)


def test_steps_are_distinct_eigenvalues():
    A = symmetric(np.repeat([1.0, 3.0, 10.0], [4, 9, 7]), 3)
    b = np.random.default_rng(0).standard_normal(20)
    assert cg(A, b).nit == minres(A, b).nit == gmres(A, b).nit == 3


@pytest.mark.parametrize("kind", ["sparse", "operator", "float32"])
def test_forms_of_a(kind):
    A = laplacian(9) + 0.1 * sp.eye_array(81)
    b = np.linspace(-1, 1, 81)
    for method in (cg, minres, gmres):
        if kind == "float32":
            result = method(A.astype(np.float32), b)
            assert result.success and result.x.dtype == np.float32
            assert true_residual(A, b, result.x) <= 2e-5
            continue
        form = A if kind == "sparse" else spla.LinearOperator(A.shape, matvec=lambda v: A @ v)
        result = method(form, b)
        assert result.success and true_residual(A, b, result.x) <= 1e-8


def test_buffers_of_the_user_are_safe():
    buffer, diagonal = np.empty(40), np.linspace(1, 5, 40)

    def matvec(x):
        np.multiply(diagonal, x, out=buffer)
        return buffer

    A = spla.LinearOperator((40, 40), matvec=matvec, rmatvec=matvec, dtype=float)
    b = np.ones(40)
    for method in (cg, minres, lsqr):
        np.testing.assert_allclose(method(A, b, rtol=1e-12).x, 1 / diagonal)
    identity = spla.LinearOperator((40, 40), matvec=lambda x: x, rmatvec=lambda x: x, dtype=float)
    for method in (cg, minres, lsqr):
        np.testing.assert_allclose(method(identity, b, preconditioner=identity).x, b)


def test_indefinite_systems_by_minres():
    eigenvalues = np.concatenate([-np.geomspace(0.01, 2, 12), np.geomspace(0.02, 5, 17)])
    A = symmetric(eigenvalues, 5)
    b = np.random.default_rng(6).standard_normal(29)
    result = minres(A, b, rtol=1e-11)
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.solve(A, b), rtol=1e-7, atol=1e-8)
    residuals = result.history[: np.argmax(result.history < 1e-6) or None]
    assert np.all(np.diff(residuals) <= 1e-12)  # they never grow


@pytest.mark.parametrize("method", [cg, minres, gmres])
def test_history_is_the_true_residual(method):
    A, b = laplacian(8), np.random.default_rng(0).standard_normal(64)
    M = np.diag(np.linspace(0.5, 2, 64))
    full = method(A, b, preconditioner=M, rtol=1e-10)
    for k in (1, 2, 5, 11):
        part = method(A, b, preconditioner=M, rtol=0, max_iter=k)
        assert part.status is Status.ITERATION_LIMIT and part.nit == k
        assert np.linalg.norm(b - A @ part.x) == pytest.approx(full.history[k - 1], rel=1e-9)


def test_saddle_point_in_three_steps():
    # Exact block preconditioner: three distinct eigenvalues (Murphy, Golub, Wathen).
    rng = np.random.default_rng(0)
    B, G = symmetric(np.linspace(1, 9, 20), 1), rng.standard_normal((6, 20))
    K = np.block([[B, G.T], [G, np.zeros((6, 6))]])
    M = la.block_diag(np.linalg.inv(B), np.linalg.inv(G @ np.linalg.solve(B, G.T)))
    b = rng.standard_normal(26)
    result = minres(K, b, preconditioner=M)
    assert result.nit == 3 and true_residual(K, b, result.x) <= 1e-8


def test_minres_is_not_fooled_by_the_preconditioners_norm():
    # The preconditioner hides most of the residual from its own norm.
    n = 200
    A = symmetric(np.concatenate([-np.geomspace(1e-3, 1, 50), np.geomspace(1e-3, 1e3, 150)]), 2)
    M = np.diag(np.geomspace(1e-10, 1, n))
    b = np.random.default_rng(1).standard_normal(n)
    for rtol in (1e-3, 1e-6):
        result = minres(A, b, preconditioner=M, rtol=rtol, max_iter=20000)
        assert result.success == (true_residual(A, b, result.x) <= rtol)
        assert result.residual_norm == pytest.approx(np.linalg.norm(b - A @ result.x), rel=1e-6)


@pytest.mark.parametrize("method", [cg, minres, gmres])
def test_preconditioner_forms_and_effect(method):
    scales = np.geomspace(1, 1e4, 60)
    A = scales[:, None] * symmetric(np.linspace(1, 2, 60), 3) * scales
    b = A @ np.ones(60)
    plain = method(A, b, max_iter=10000)
    inverse = 1 / scales**2
    factor = la.lu_factor(np.diag(scales**2))
    for M in (
        np.diag(inverse),
        sp.diags_array(inverse),
        lambda r: inverse * r,
        spla.aslinearoperator(np.diag(inverse)),
        type("Factor", (), {"solve": lambda self, r: la.lu_solve(factor, r)})(),
    ):
        result = method(A, b, preconditioner=M)
        assert result.success and true_residual(A, b, result.x) <= 1e-8
        assert result.nit <= 20 < plain.nit


@pytest.mark.parametrize("method", [cg, minres, gmres, lsqr])
def test_warm_start(method):
    A, rng = laplacian(10), np.random.default_rng(0)
    x = rng.standard_normal(100)
    b = A @ x
    cold = method(A, b)
    start = x + 1e-6 * rng.standard_normal(100)
    kept = start.copy()
    warm = method(A, b, x0=start)
    assert warm.success and warm.nit < cold.nit / 2
    np.testing.assert_array_equal(start, kept)
    assert method(A, b, x0=cold.x).nit == 0


def test_ritz_values_of_cg():
    A = symmetric(np.linspace(2, 9, 40), 1)
    result = cg(A, np.ones(40), rtol=1e-12)
    ritz = result.ritz_values()
    assert ritz.min() == pytest.approx(2, rel=1e-3) and ritz.min() >= 2 - 1e-9
    assert ritz.max() == pytest.approx(9, rel=1e-3) and ritz.max() <= 9 + 1e-9
    d = np.linspace(2, 9, 40)
    scaled = cg(np.diag(d), np.ones(40), preconditioner=np.diag(1 / d))
    np.testing.assert_allclose(scaled.ritz_values(), [1])


@pytest.mark.parametrize("method", [cg, minres, gmres, lsqr])
def test_trivial_systems(method):
    zero = method(np.eye(3), np.zeros(3), x0=np.ones(3))
    assert zero.success and zero.nit == 0 and not zero.x.any()
    empty = method(np.zeros((0, 0)), np.zeros(0))
    assert empty.success and empty.x.shape == (0,)
    assert method([[4.0]], [2.0]).x[0] == pytest.approx(0.5)


# ---- what cannot be solved -----------------------------------------------------------------------


def test_cg_on_indefinite_matrices():
    A = np.diag([1.0, -2.0, 3.0])
    result = cg(A, [1.0, 5.0, 1.0])
    assert result.status is Status.NON_CONVEX and "not positive definite" in result.message
    assert result.residual_norm <= np.linalg.norm([1, 5, 1]) + 1e-15
    result = cg(np.eye(3), np.ones(3), preconditioner=-np.eye(3))
    assert result.status is Status.NON_CONVEX and "preconditioner" in result.message
    result = minres(np.eye(3), np.ones(3), preconditioner=-np.eye(3))
    assert result.status is Status.NON_CONVEX and "preconditioner" in result.message


@pytest.mark.parametrize("method", [cg, minres, gmres])
def test_singular_systems(method):
    n = 30
    L = sp.diags_array([-1.0, 2.0, -1.0], offsets=[-1, 0, 1], shape=(n, n)).tolil()
    L[0, 0] = L[-1, -1] = 1
    L, rng = L.tocsr(), np.random.default_rng(0)
    b = rng.standard_normal(n)
    consistent = b - b.mean()
    result = method(L, consistent)
    assert result.success and true_residual(L, consistent, result.x) <= 1e-8
    assert abs(result.x.mean()) <= 1e-8  # the null component of the start stays
    result = method(L, b)
    assert not result.success
    assert result.residual_norm == pytest.approx(np.linalg.norm(b - L @ result.x), rel=1e-9)
    if method is minres:
        assert result.status is Status.STALLED and "least squares" in result.message
        assert result.residual_norm == pytest.approx(abs(b.mean()) * n**0.5, rel=1e-6)
    zero = method(np.zeros((2, 2)), np.ones(2))
    assert zero.status is Status.STALLED and not zero.x.any()


@pytest.mark.parametrize("method", [cg, minres, gmres])
def test_out_of_reach_is_said(method):
    A = symmetric(np.geomspace(1e-13, 1, 40), 7)
    b = np.random.default_rng(8).standard_normal(40)
    result = method(A, b, rtol=1e-14, max_iter=3000)
    assert result.success == (true_residual(A, b, result.x) <= 1e-14)
    assert result.status in (Status.STALLED, Status.ITERATION_LIMIT, Status.NON_CONVEX)
    assert result.residual_norm == pytest.approx(np.linalg.norm(b - A @ result.x), rel=1e-3)
    exact = method(np.diag([1.0, 2.0, 3.0]), np.ones(3), rtol=0.0)
    assert exact.status in (Status.OPTIMAL, Status.STALLED)
    np.testing.assert_allclose(exact.x, [1, 1 / 2, 1 / 3], rtol=1e-15)


@pytest.mark.parametrize("method", [cg, minres, gmres, lsqr])
def test_products_that_are_not_finite(method):
    def matvec(x):
        return np.full_like(x, np.nan)

    A = spla.LinearOperator((3, 3), matvec=matvec, rmatvec=matvec, dtype=float)
    result = method(A, np.ones(3))
    assert result.status is Status.NUMERICAL_TROUBLE and not result.x.any()


def test_asymmetric_matrices_do_not_pass():
    A = np.triu(np.random.default_rng(0).standard_normal((20, 20))) + 5 * np.eye(20)
    A[0, 10:] = 40
    for method in (cg, minres):
        result = method(A, np.ones(20), max_iter=500)
        assert result.success == (true_residual(A, np.ones(20), result.x) <= 1e-8)


# ---- any square matrix ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["dense", "sparse", "operator", "float32"])
@pytest.mark.parametrize("n", [1, 2, 70])
def test_gmres_on_matrices_without_symmetry(kind, n):
    rng = np.random.default_rng(n)
    A = rng.standard_normal((n, n)) + 1.5 * np.sqrt(n) * np.eye(n)
    x = rng.standard_normal(n)
    form, b = A, A @ x
    if kind == "sparse":
        form = sp.csr_array(A)
    elif kind == "operator":
        form = spla.LinearOperator(A.shape, matvec=lambda v: A @ v)
    elif kind == "float32":
        form, b = A.astype(np.float32), b.astype(np.float32)
    result = gmres(form, b)
    tolerance = 1e-5 if kind == "float32" else 1e-8
    assert result.success and true_residual(A, b, result.x) <= 1.2 * tolerance
    assert result.x.dtype == (np.float32 if kind == "float32" else np.float64)
    assert result.nit <= n and result.history.size == result.nit
    assert (np.diff(result.history) <= 0).all()


def test_gmres_is_minres_where_both_apply():
    """Both minimise the residual over the same spaces: equal residuals, step by step."""
    A = symmetric(np.r_[np.linspace(-3, -1, 15), np.linspace(0.5, 4, 25)], 2)
    b = np.random.default_rng(5).standard_normal(40)
    one, other = gmres(A, b, rtol=1e-6), minres(A, b, rtol=1e-6)
    assert one.nit == other.nit
    np.testing.assert_allclose(one.history, other.history, rtol=1e-6)


def test_gmres_steps_minimise_the_residual():
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((12, 12)), rng.standard_normal(12)
    powers = np.stack([np.linalg.matrix_power(A, k) @ b for k in range(1, 13)], axis=1)
    for k in range(1, 8):
        found = gmres(A, b, rtol=0, max_iter=k)
        best = np.linalg.lstsq(powers[:, :k], b, rcond=None)[1]
        assert found.residual_norm == pytest.approx(np.sqrt(best[0]), rel=1e-6)
        assert found.status is Status.ITERATION_LIMIT and found.nit == k


def test_gmres_restarts_and_lengthens_cycles_that_gain_nothing():
    """A cyclic shift: no space of less than n dimensions shrinks the residual at all."""
    n = 60
    shift = sp.csr_array(np.roll(np.eye(n), 1, axis=0))
    b = np.eye(n)[0]
    result = gmres(shift, b, restart=10)
    assert result.success
    np.testing.assert_allclose(result.x, np.eye(n)[-1], atol=1e-8)
    convection = sp.diags_array([2.5, -1.4, -1.0], offsets=[0, 1, -1], shape=(200, 200))
    short, long = (gmres(convection, np.ones(200), restart=k) for k in (8, 200))
    assert short.success and long.success and long.nit <= short.nit
    assert true_residual(convection, np.ones(200), short.x) <= 1e-8


def test_gmres_preconditioned_follows_the_residual_itself():
    rng = np.random.default_rng(4)
    scales = np.geomspace(1, 1e6, 50)
    A = (rng.standard_normal((50, 50)) / 20 + np.eye(50)) * scales[:, None]
    b = A @ np.ones(50)
    result = gmres(A, b, preconditioner=lambda r: r / scales)
    assert result.success and result.nit < 30
    true = [
        gmres(A, b, preconditioner=lambda r: r / scales, rtol=0, max_iter=k).residual_norm
        for k in (1, 3, 6)
    ]
    np.testing.assert_allclose(result.history[[0, 2, 5]], true, rtol=1e-6)


def test_gmres_on_singular_matrices():
    A = np.diag([1.0, 2.0, 0.0]) + np.diag([1.0, 0.0], 1)
    assert gmres(A, A @ [1.0, 2.0, 3.0]).success
    nilpotent = gmres([[0.0, 1.0], [0.0, 0.0]], [1.0, 0.0])
    assert nilpotent.status is Status.STALLED and nilpotent.residual_norm <= 1


# ---- least squares -------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (20, 20), (5, 1), (1, 5)])
@pytest.mark.parametrize("kind", ["dense", "sparse", "operator"])
def test_lsqr_against_lstsq(shape, kind):
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal(shape), rng.standard_normal(shape[0])
    if kind == "sparse":
        A = sp.csr_array(A * (rng.random(shape) < 0.7))
    dense = A.toarray() if kind == "sparse" else A
    form = spla.aslinearoperator(A) if kind == "operator" else A
    result = lsqr(form, b, rtol=1e-12)
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.lstsq(dense, b)[0], rtol=1e-7, atol=1e-9)
    r = b - dense @ result.x
    assert result.residual_norm == pytest.approx(np.linalg.norm(r), abs=1e-12)
    assert result.normal_residual == pytest.approx(np.linalg.norm(dense.T @ r), abs=1e-11)


def test_lsqr_finds_the_shortest_solution_of_deficient_problems():
    rng = np.random.default_rng(1)
    A = rng.standard_normal((30, 4)) @ rng.standard_normal((4, 12))
    b = rng.standard_normal(30)
    np.testing.assert_allclose(lsqr(A, b, rtol=1e-12).x, np.linalg.pinv(A) @ b, atol=1e-10)


@pytest.mark.parametrize("damp", [1e-2, 1.0, 100.0])
def test_lsqr_with_damping(damp):
    rng = np.random.default_rng(2)
    A, b = rng.standard_normal((25, 40)), rng.standard_normal(25)
    x = np.linalg.solve(A.T @ A + damp**2 * np.eye(40), A.T @ b)
    result = lsqr(A, b, damp=damp, rtol=1e-13)
    np.testing.assert_allclose(result.x, x, atol=1e-9)
    warm = lsqr(A, b, damp=damp, rtol=1e-9, x0=rng.standard_normal(40))
    np.testing.assert_allclose(warm.x, x, atol=1e-5)


def test_lsqr_preconditioned_stops_in_the_original_coordinates():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((200, 30)) * np.geomspace(1, 1e-7, 30)
    b = rng.standard_normal(200)
    N = np.linalg.inv(np.linalg.qr(A)[1])
    result = lsqr(A, b, preconditioner=N, rtol=1e-12)
    assert result.success and result.nit <= 5
    r = b - A @ result.x
    assert np.linalg.norm(A.T @ r) <= 1.01e-12 * np.linalg.norm(A, 2) * np.linalg.norm(r)
    np.testing.assert_allclose(A @ result.x, A @ np.linalg.lstsq(A, b)[0], atol=1e-9)


def test_lsqr_is_honest_about_ill_conditioning():
    A = np.vander(np.linspace(0, 1, 60), 14)
    b = np.random.default_rng(4).standard_normal(60)
    result = lsqr(A, b, rtol=1e-10, max_iter=200)
    r = b - A @ result.x
    bound = 1.01e-10 * np.linalg.norm(A, 2) * np.linalg.norm(r)
    if result.success:
        assert np.linalg.norm(A.T @ r) <= bound
    else:
        assert result.status in (Status.ITERATION_LIMIT, Status.STALLED)


# ---- bad input -----------------------------------------------------------------------------------


@pytest.mark.parametrize("method", [cg, minres, gmres, lsqr])
def test_bad_input(method):
    with pytest.raises(ValueError, match="b has 2 entries, expected 3"):
        method(np.eye(3), np.ones(2))
    with pytest.raises(ValueError, match="x0 has 2 entries, expected 3"):
        method(np.eye(3), np.ones(3), x0=np.ones(2))
    with pytest.raises(ValueError, match="b has nan at index 0"):
        method(np.eye(3), [np.nan, 0, 0])
    with pytest.raises(ValueError, match="A has inf"):
        method(np.full((2, 2), np.inf), np.ones(2))
    with pytest.raises(TypeError, match="complex"):
        method(np.eye(2) * 1j, np.ones(2))
    with pytest.raises(TypeError, match="shape is unknown"):
        method(lambda x: x, np.ones(2))
    for bad in (dict(rtol=-1.0), dict(atol=np.nan), dict(max_iter=-3)):
        with pytest.raises(ValueError, match=next(iter(bad))):
            method(np.eye(2), np.ones(2), **bad)
    with pytest.raises(ValueError, match="preconditioner"):
        method(np.eye(3), np.ones(3), preconditioner=np.eye(2))
    if method is gmres:
        with pytest.raises(ValueError, match="restart must be >= 1"):
            gmres(np.eye(2), np.ones(2), restart=0)
    if method is not lsqr:
        with pytest.raises(ValueError, match=r"A must be square, got shape \(2, 3\)"):
            method(np.ones((2, 3)), np.ones(2))
        with pytest.raises(ValueError, match="preconditioner returns has 2 entries, expected 3"):
            method(np.eye(3), np.ones(3), preconditioner=lambda r: r[:2])
    else:
        with pytest.raises(TypeError, match="A has no rmatvec"):
            lsqr(type("A", (), {"shape": (2, 2), "matvec": lambda s, x: x})(), np.ones(2))
        with pytest.raises(ValueError, match="damp"):
            lsqr(np.eye(2), np.ones(2), damp=-1)
