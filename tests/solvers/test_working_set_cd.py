"""Coordinate descent on working sets: against scikit-learn, closed forms and proximal gradient."""

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import Lasso, LogisticRegression

from numopt.calculus import Boxed
from numopt.losses import Huber, LeastSquares, Logistic
from numopt.penalties import L1, MCP, ElasticNet
from numopt.problems import Composite
from numopt.sets import Box
from numopt.solvers import ProximalGradient, WorkingSetCD


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((60, 150)))
    y = X[:, :5].sum(1) + 0.3 * rng.standard_normal(60)
    return X, y


def test_lasso_with_intercept_matches_scikit_learn(data):
    X, y = data
    peer = Lasso(alpha=0.1, tol=1e-14, max_iter=100_000).fit(X + 1, y + 3)
    result = WorkingSetCD(tol=1e-12).solve(
        Composite(LeastSquares(y + 3), X + 1, L1(0.1), fit_intercept=True)
    )
    assert result.success
    np.testing.assert_allclose(result.x, peer.coef_, atol=1e-7)
    assert result.intercept == pytest.approx(peer.intercept_, abs=1e-7)


def test_logistic_matches_liblinear(data):
    X, y = data
    labels = np.sign(y)
    peer = LogisticRegression(
        l1_ratio=1.0, C=1 / (0.02 * 60), solver="liblinear", fit_intercept=False, tol=1e-10,
        max_iter=10_000,
    ).fit(X, labels)  # fmt: skip
    problem = Composite(Logistic(labels), X, L1(0.02))
    result = WorkingSetCD().solve(problem)
    assert result.success
    assert result.fun <= problem.objective(peer.coef_[0]) + 1e-12
    np.testing.assert_allclose(result.x, peer.coef_[0], atol=1e-4)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_same_optimum_without_a_gram_matrix_and_in_small_working_sets(data, fit_intercept):
    X, y = data
    problem = Composite(LeastSquares(y + 1), X + 0.5, L1(0.1), fit_intercept=fit_intercept)
    reference = WorkingSetCD(tol=1e-12).solve(problem)
    for solver in (WorkingSetCD(gram_limit=0, tol=1e-12), WorkingSetCD(first=1, tol=1e-12)):
        result = solver.solve(problem)
        assert result.success
        np.testing.assert_allclose(result.x, reference.x, atol=1e-9)


@pytest.mark.parametrize("loss", [LeastSquares, Huber])
def test_same_optimum_as_proximal_gradient(data, loss):
    X, y = data
    problem = Composite(loss(y), X, L1(0.1))
    ours, other = WorkingSetCD().solve(problem), ProximalGradient().solve(problem)
    assert ours.success and other.success
    assert ours.fun == pytest.approx(other.fun, rel=1e-10)


def test_sparse_matrix_gives_the_dense_answer(data):
    y = data[1]
    S = sp.random_array((60, 150), density=0.2, rng=np.random.default_rng(1), format="csr")
    dense = WorkingSetCD(tol=1e-12).solve(Composite(LeastSquares(y), S.toarray(), L1(0.02)))
    sparse = WorkingSetCD(tol=1e-12).solve(Composite(LeastSquares(y), S, L1(0.02)))
    assert sparse.success and np.count_nonzero(sparse.x) > 5
    np.testing.assert_allclose(sparse.x, dense.x, atol=1e-9)


def test_newton_finish_is_exact(data):
    X, y = data
    result = WorkingSetCD(tol=1e-14).solve(Composite(LeastSquares(y), X, L1(0.02)))
    assert result.success
    support = result.x != 0
    signs = np.sign(result.x[support])
    S = X[:, support]
    closed = np.linalg.solve(S.T @ S, S.T @ y - 60 * 0.02 * signs)
    np.testing.assert_allclose(result.x[support], closed, atol=1e-12)


def test_mcp_reaches_a_stationary_point_no_worse_than_zero(data):
    X, y = data
    problem = Composite(LeastSquares(y), X, MCP(0.15))
    result = WorkingSetCD().solve(problem)
    assert result.success and result.certificate.kind == "stationary"
    assert result.fun < problem.objective(np.zeros(150))
    np.testing.assert_array_equal(np.flatnonzero(result.x), np.arange(5))


def test_orthonormal_design_is_the_prox():
    rng = np.random.default_rng(2)
    Q = np.linalg.qr(rng.standard_normal((30, 10)))[0] * np.sqrt(30)
    y = rng.standard_normal(30)
    penalty = ElasticNet(0.1, 0.7)
    result = WorkingSetCD().solve(Composite(LeastSquares(y), Q, penalty))
    np.testing.assert_allclose(result.x, penalty.prox(Q.T @ y / 30), atol=1e-12)


def test_strong_penalty_gives_exact_zeros_at_once(data):
    X, y = data
    result = WorkingSetCD().solve(Composite(LeastSquares(y), X, L1(100.0)))
    assert result.success and result.nit == 0 and not result.x.any()


def test_warm_start_from_the_answer_needs_no_iteration(data):
    X, y = data
    problem = Composite(LeastSquares(y), X, L1(0.05))
    first = WorkingSetCD().solve(problem)
    again = WorkingSetCD().solve(problem, warm_start=first)
    assert again.success and again.nit <= 1


@pytest.mark.parametrize("penalty", [L1(1e-7), Box(-2.0, 2.0)], ids=["near interpolation", "box"])
def test_more_columns_than_rank_takes_few_iterations(penalty):
    # Sweeps alone crawl here: Newton steps have to leave one coordinate after the other.
    rng = np.random.default_rng(3)
    A = rng.standard_normal((4, 60)) * 10.0 ** rng.uniform(-1, 1, 60)
    result = WorkingSetCD().solve(Composite(LeastSquares(rng.standard_normal(4)), A, penalty))
    assert result.success and result.nit <= 3


def test_starts_on_empty_columns_are_left(data):
    X, y = data
    empty = np.column_stack([X[:, :8], np.zeros(60)])
    for penalty in (L1(0.01), ElasticNet(0.01), Box(-1.0, 2.0)):
        result = WorkingSetCD().solve(Composite(LeastSquares(y), empty, penalty), x0=np.ones(9))
        assert result.success


@pytest.mark.parametrize("seed", [27, 30, 42, 105])
@pytest.mark.parametrize("penalty", [L1(0.01), ElasticNet(0.01), Box(-0.1, 0.2)])
def test_few_rows_that_count_beside_an_intercept(seed, penalty):
    # One row, or weights of 0 on all but a few: centred columns are empty but for rounding.
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((3, 6)) * 10.0 ** rng.uniform(-2, 2, 6)
    weights = np.array([1.0, 0.0, rng.integers(0, 2)])
    loss = LeastSquares(rng.standard_normal(3), sample_weight=weights)
    problem = Composite(loss, A, penalty, fit_intercept=True)
    assert WorkingSetCD().solve(problem, x0=rng.standard_normal(6)).success


def test_it_leaves_a_start_where_the_loss_is_straight(data):
    """Every target beyond Huber's delta: there is no curvature to size a move by."""
    X, y = data
    problem = Composite(Huber(y + 30, 1.0), X + 1, Boxed(L1(0.1), -1.0, 1.0))
    result = WorkingSetCD().solve(problem)
    assert result.success
    assert result.fun == pytest.approx(ProximalGradient().solve(problem).fun, rel=1e-7)
