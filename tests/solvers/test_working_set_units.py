"""WorkingSetCD beyond single coordinates and squares: groups, classes, counts, screening."""

import time

import numpy as np
import pytest
import scipy.sparse as sp
from sklearn.linear_model import LogisticRegression

import numopt
from numopt.core.engine import run
from numopt.losses import Gamma, LeastSquares, Logistic, Multinomial, Poisson
from numopt.penalties import L1, GroupLasso, GroupMCP, GroupSCAD, SparseGroupLasso
from numopt.problems import Composite
from numopt.solvers import ProximalGradient, WorkingSetCD
from numopt.solvers._parts.coordinate_descent import ASIDE, IN_PLAY, OUT
from numopt.solvers._parts.quadratic_model import gram_of, rows_of


@pytest.fixture(scope="module")
def data():
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((80, 120)))
    groups = rng.permutation(np.repeat(np.arange(30), 4))
    y = X[:, groups < 3].sum(1) + 0.5 * rng.standard_normal(80)
    return X, y, groups


# ---- groups --------------------------------------------------------------------------------------


@pytest.mark.parametrize("solver", [WorkingSetCD(first=3), WorkingSetCD(gram_limit=0)])
@pytest.mark.parametrize("penalty", [GroupLasso, SparseGroupLasso])
def test_groups_reach_the_optimum_of_proximal_gradient(data, penalty, solver):
    X, y, groups = data
    weights = np.concatenate([[0.0, np.inf], np.sqrt(np.arange(1, 29))])
    problem = Composite(LeastSquares(y), X, penalty(0.1, groups, weights=weights), True)
    ours, other = solver.solve(problem), ProximalGradient().solve(problem)
    assert ours.success and other.success
    assert ours.fun == pytest.approx(other.fun, rel=1e-10)
    assert ours.x[groups == 0].all() and not ours.x[groups == 1].any()


def test_groups_of_logistic_regression(data):
    X, y, groups = data
    problem = Composite(Logistic(np.sign(y)), X, GroupLasso(0.05, groups), True)
    ours, other = WorkingSetCD().solve(problem), ProximalGradient().solve(problem)
    assert ours.success and other.success
    assert ours.fun == pytest.approx(other.fun, rel=1e-10)
    sizes = np.bincount(groups, ours.x != 0)
    assert set(sizes) == {0, 4}  # whole groups only


def test_groups_of_one_are_coordinates(data):
    X, y, _ = data
    single = WorkingSetCD(tol=1e-12).solve(Composite(LeastSquares(y), X, L1(0.2)))
    grouped = WorkingSetCD(tol=1e-12).solve(
        Composite(LeastSquares(y), X, GroupLasso(0.2, np.arange(120)))
    )
    np.testing.assert_allclose(grouped.x, single.x, atol=1e-10)


@pytest.mark.parametrize("penalty", [GroupMCP, GroupSCAD])
def test_nonconvex_groups_find_the_planted_ones(data, penalty):
    X, y, groups = data
    result = WorkingSetCD().solve(Composite(LeastSquares(y), X, penalty(0.5, groups)))
    assert result.success and result.certificate.kind == "stationary"
    np.testing.assert_array_equal(np.unique(groups[result.x != 0]), [0, 1, 2])
    closed = np.linalg.lstsq(X[:, groups < 3], y)[0]  # the penalty is flat there
    np.testing.assert_allclose(result.x[groups < 3], closed, atol=1e-8)


def test_groups_come_to_coordinate_descent_by_default(data):
    X, y, groups = data
    problem = Composite(LeastSquares(y), X, GroupLasso(1e3, groups))
    result = numopt.solve(problem)
    assert "WorkingSetCD" in result.solver
    assert result.nit == 0 and not result.x.any()


# ---- several classes -----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def classes():
    rng = np.random.default_rng(1)
    X = np.asfortranarray(rng.standard_normal((150, 20)))
    scores = X[:, :3] @ rng.standard_normal((3, 4)) * 2 + rng.gumbel(size=(150, 4))
    return X, scores.argmax(1)


def test_multinomial_is_scikit_learns(classes):
    X, y = classes
    problem = Composite(Multinomial(y), X, L1(0.02), True)
    result = WorkingSetCD().solve(problem)
    peer = LogisticRegression(
        l1_ratio=1.0, C=1 / (0.02 * y.size), solver="saga", tol=1e-10, max_iter=100_000
    ).fit(X, y)
    assert result.success
    assert result.fun <= problem.objective(peer.coef_.T, peer.intercept_) + 1e-12
    # Where as many classes are above 0 as below, adding a number to all of them costs nothing.
    ours = result.x.reshape(20, 4).T
    np.testing.assert_allclose(ours - ours.mean(0), peer.coef_ - peer.coef_.mean(0), atol=1e-6)


@pytest.mark.parametrize("solver", [WorkingSetCD(first=5), WorkingSetCD(gram_limit=0, tol=1e-6)])
def test_multinomial_with_groups_of_a_feature_and_sparse_data(classes, solver):
    X, y = classes
    S = sp.csc_array(np.where(abs(X) > 1, X, 0))
    penalty = GroupLasso(0.03, np.repeat(np.arange(20), 4))
    problem = Composite(Multinomial(y, sample_weight=np.arange(150) % 3), S, penalty, True)
    ours, other = solver.solve(problem), ProximalGradient().solve(problem)
    assert ours.success and other.success
    assert ours.fun == pytest.approx(other.fun, rel=1e-7 if solver.gram_limit == 0 else 1e-10)


# ---- losses without a bound on their curvature ---------------------------------------------------


@pytest.mark.parametrize("spread", [0.3, 3.0])
@pytest.mark.parametrize("loss", [Poisson, Gamma])
def test_counts_and_rates(data, loss, spread):
    X, _, _ = data
    rng = np.random.default_rng(2)
    mean = np.exp(np.clip(spread * X[:, :3].sum(1), -8, 8))
    y = rng.poisson(mean).astype(float) if loss is Poisson else rng.gamma(2.0, mean / 2) + 1e-9
    offset = 0.1 * rng.standard_normal(80)
    problem = Composite(loss(y, offset=offset), X, L1(1.0), True)
    problem = problem.replace(penalty=L1(0.1 * problem.alpha_max()))
    result = WorkingSetCD().solve(problem)
    assert result.success
    b, x = result.intercept, result.x
    z = X @ x + b + offset
    g = X.T @ (np.exp(z) - y if loss is Poisson else 1 - y * np.exp(-z)) / 80
    slack = 1e-8 * problem.alpha_max()
    assert (abs(g) <= problem.penalty.alpha + slack).all()
    np.testing.assert_allclose(g[x != 0], -problem.penalty.alpha * np.sign(x[x != 0]), atol=slack)


# ---- sparse data with an intercept ---------------------------------------------------------------


@pytest.mark.parametrize("gram_limit", [0, 2000])
def test_sparse_columns_are_centred_without_becoming_dense(gram_limit):
    rng = np.random.default_rng(3)
    S = sp.random_array((300, 80), density=0.05, rng=rng, format="csc")
    y = np.where(S[:, :10] @ np.ones(10) - 0.3 + 0.2 * rng.standard_normal(300) > 0, 1.0, -1.0)
    weight, offset = rng.integers(0, 3, 300).astype(float), 0.3 * rng.standard_normal(300)
    loss = Logistic(y, sample_weight=weight, offset=offset)
    before = S.copy()
    solver = WorkingSetCD(tol=1e-11, gram_limit=gram_limit)
    sparse = solver.solve(Composite(loss, S, L1(0.003), True))
    dense = WorkingSetCD(tol=1e-11).solve(Composite(loss, S.toarray(), L1(0.003), True))
    assert sparse.success and np.count_nonzero(sparse.x) > 5
    np.testing.assert_allclose(sparse.x, dense.x, atol=1e-7)
    assert sparse.intercept == pytest.approx(dense.intercept, abs=1e-8)
    assert (S.data == before.data).all() and (S.indices == before.indices).all()


def test_gram_matrix_by_rows_is_that_of_the_dense_columns():
    rng = np.random.default_rng(4)
    S = sp.random_array((50, 12), density=0.3, rng=rng, format="csc")
    problem = Composite(LeastSquares(np.zeros(50)), S, L1(1.0))
    index, h = np.array([7, 2, 9, 0]), rng.random(50)
    X = problem.lowered().X
    columns = S.toarray()[:, index]
    expected = columns.T @ (h[:, None] * columns)
    first = gram_of(rows_of(X, index[:2]), index[:2], h, np.zeros((0, 0)))
    np.testing.assert_allclose(gram_of(rows_of(X, index), index, h, first), expected, atol=1e-15)
    dense = gram_of(np.asfortranarray(S.toarray()), index, h, first)
    np.testing.assert_allclose(dense, expected, atol=1e-15)


# ---- screening -----------------------------------------------------------------------------------


def test_what_the_gap_rules_out_is_zero_at_the_optimum(data):
    X, y, _ = data
    problem = Composite(LeastSquares(y), X, L1(1.0), True)
    top = problem.alpha_max()
    optimum = WorkingSetCD(tol=1e-13).solve(problem.replace(penalty=L1(0.5 * top)))
    near = problem.replace(penalty=L1(0.52 * top))
    warm = WorkingSetCD(tol=1e-12).solve(near)
    state = WorkingSetCD().init(problem.replace(penalty=L1(0.5 * top)), None, dict(warm.warm_start))
    out = state.standing == OUT
    assert out.sum() > 20
    assert not optimum.x[out].any()
    assert (state.standing[optimum.x != 0] == IN_PLAY).all()


def test_what_is_set_aside_in_error_comes_back(data):
    X, y, _ = data
    problem = Composite(LeastSquares(y), X, L1(0.05))
    solver = WorkingSetCD()
    state = solver.init(problem, None, {})
    state.standing[:] = ASIDE
    state.standing[state.units] = IN_PLAY
    for _ in range(100):
        _, code = solver.advance(problem, state, 1)
        if code == numopt.core.solver.DONE:
            break
        if code == numopt.core.solver.GROW:
            state = solver.grow(problem, state)
    assert problem.certificate(state.w[:-1]).met(1e-8)


# ---- limits --------------------------------------------------------------------------------------


@pytest.mark.parametrize("gram_limit", [0, 2000])
def test_an_iteration_ends_at_the_deadline(gram_limit, monkeypatch):
    """Of columns that are nearly the same every sweep is slow: one iteration takes very many."""
    rng = np.random.default_rng(5)
    X = np.asfortranarray(rng.standard_normal((60, 1)) + 1e-5 * rng.standard_normal((60, 40)))
    problem = Composite(LeastSquares(rng.standard_normal(60)), X, L1(1e-9))
    solver = WorkingSetCD(tol=1e-15, gram_limit=gram_limit)
    with pytest.warns(numopt.ConvergenceWarning):
        run(solver.__class__(tol=1e-15, gram_limit=gram_limit, max_iter=1), problem)  # compiles
    module = "_parts.quadratic_model" if gram_limit else "working_set_cd"
    asked = []

    def no_time_left():
        asked.append(time.perf_counter())
        return -1.0

    monkeypatch.setattr(f"numopt.solvers.{module}.time_left", no_time_left)
    state = solver.init(problem, None, {})
    solver.advance(problem, state, 1)
    assert len(asked) == 1  # asked after the first sweeps, and not gone on
