"""Proximal gradient against closed forms, textbook iterations and other people's solvers."""

from itertools import pairwise

import numpy as np
import pytest
import scipy.optimize
from sklearn.linear_model import ElasticNet as PeerElasticNet
from sklearn.linear_model import Lasso, LogisticRegression

import numopt
from numopt.losses import Huber, LeastSquares, Logistic
from numopt.penalties import L1, MCP, ElasticNet
from numopt.problems import Composite
from numopt.sets import Box, Simplex
from numopt.solvers import ProximalGradient
from numopt.solvers.proximal_gradient import CURVATURE, FUN, MOMENTUM, SHRINK
from tests.helpers import naive

EXACT = ProximalGradient(tol=1e-12)


@pytest.fixture(scope="module")
def regression():
    rng = np.random.default_rng(0)
    A = np.asfortranarray(rng.standard_normal((40, 60)))
    return A, A[:, :5] @ [2.0, -1.5, 1.0, 1.0, -3.0] + 0.3 * rng.standard_normal(40)


@pytest.fixture(scope="module")
def classes():
    rng = np.random.default_rng(1)
    A = np.asfortranarray(rng.standard_normal((90, 20)))
    return A, np.where(A[:, :3].sum(1) + 0.5 + 1.5 * rng.standard_normal(90) > 0, 1.0, -1.0)


def iterates(solver, problem, n, x0=None):
    """(x, L, t, objective) after every iteration."""
    state = solver.init(problem, x0, {})
    yield state.w.copy(), *state.scalars[[CURVATURE, MOMENTUM, FUN]]
    for _ in range(n):
        solver.advance(problem, state, 1)
        yield state.w.copy(), *state.scalars[[CURVATURE, MOMENTUM, FUN]]


# ---- textbook iterations -------------------------------------------------------------------------


def test_without_acceleration_it_is_ista(regression):
    A, y = regression
    A = A / np.sqrt((A**2).mean(0))  # unit metric: every step is 1 / L for all coordinates
    steps = list(
        iterates(ProximalGradient(acceleration="none"), Composite(LeastSquares(y), A, L1(0.1)), 60)
    )

    def gradient(x):
        return A.T @ (A @ x - y) / y.size

    for (w, *_), (w_next, L, *_) in pairwise(steps):
        expected = naive.soft(w[:-1] - gradient(w[:-1]) / L, 0.1 / L)
        np.testing.assert_allclose(w_next[:-1], expected, atol=1e-13)


def test_with_a_fixed_step_it_is_the_textbook_s_ista(regression):
    A, y = regression
    A = A / np.sqrt((A**2).mean(0))
    L = np.linalg.norm(A, 2) ** 2 / 40
    solver, problem = ProximalGradient(acceleration="none"), Composite(LeastSquares(y), A, L1(0.1))
    textbook = naive.ista(
        lambda x: A.T @ (A @ x - y) / 40,
        lambda v, s: naive.soft(v, 0.1 * s),
        np.zeros(60),
        1 / L,
        50,
    )
    state = solver.init(problem, None, {})
    for expected in textbook[1:]:
        state.scalars[CURVATURE] = L / SHRINK
        solver.advance(problem, state, 1)
        assert state.scalars[CURVATURE] == pytest.approx(L)
        np.testing.assert_allclose(state.w[:-1], expected, atol=1e-12)


def test_momentum_is_fista_s(regression):
    A, y = regression
    A = A / np.sqrt((A**2).mean(0))
    problem = Composite(LeastSquares(y), A, L1(0.05))
    steps = list(iterates(ProximalGradient(), problem, 40))
    x_old = steps[0][0][:-1]
    compared = 0
    for (w, L_old, t, fun), (w_next, L, t_next, _) in pairwise(steps):
        x = w[:-1]
        t_new = (1 + np.sqrt(1 + 4 * t**2 * L / L_old)) / 2
        v = x + (t - 1) / t_new * (x - x_old)
        expected = naive.soft(v - A.T @ (A @ v - y) / y.size / L, 0.05 / L)
        x_old = x
        if naive.objective_l1(A, y, 0.05, expected) > fun * (1 + 1e-12):
            continue  # taken back by the safeguard
        np.testing.assert_allclose(w_next[:-1], expected, atol=1e-12)
        assert t_next == 1.0 or t_next == pytest.approx(t_new, rel=1e-14)
        compared += 1
    assert compared >= 35


def test_momentum_survives_rejected_steps():
    # t grows by a half per iteration up to changes of L; lost at every rejection it ended at 50.
    rng = np.random.default_rng(0)
    A = np.cumsum(rng.standard_normal((100, 200)), axis=1)
    problem = Composite(LeastSquares(A @ np.ones(200) + rng.standard_normal(100)), A, L1(1e-3))
    assert max(t for _, _, t, _ in iterates(ProximalGradient(), problem, 600)) > 100


@pytest.mark.parametrize("acceleration", ["fista", "none"])
def test_descent(regression, acceleration):
    A, y = regression
    problem = Composite(LeastSquares(y), A, MCP(0.1))
    x0 = np.random.default_rng(3).standard_normal(60)
    path = list(iterates(ProximalGradient(acceleration=acceleration), problem, 150, x0))
    values = [fun for *_, fun in path]
    assert all(b <= a * (1 + 1e-14) for a, b in pairwise(values))
    assert values[-1] < 0.5 * values[0]
    for w, *_, fun in path[::30]:
        assert fun == pytest.approx(problem.objective(w[:-1]), rel=1e-12)


def test_iterations_on_badly_scaled_columns_are_those_on_scaled_ones(regression):
    A, y = regression
    units = np.logspace(-6, 6, 60)
    problem = Composite(LeastSquares(y), A, L1(0.05))
    weighted = Composite(LeastSquares(y), A * units, L1(0.05, weights=units))
    ratio = weighted.column_curvatures().max() / problem.column_curvatures().max()
    plain, scaled = (list(iterates(ProximalGradient(), p, 30)) for p in (problem, weighted))
    for (w, L, *_), (w_scaled, L_scaled, *_) in zip(plain, scaled, strict=True):
        np.testing.assert_allclose(w_scaled[:-1] * units, w[:-1], atol=1e-9)
        assert L_scaled / L == pytest.approx(ratio, rel=1e-6)


# ---- closed forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("alpha", [0.01, 0.3, 2.0])
def test_orthonormal_design(alpha):
    rng = np.random.default_rng(4)
    Q, _ = np.linalg.qr(rng.standard_normal((50, 20)))
    A, y = Q * np.sqrt(50), 2 * rng.standard_normal(50)
    correlation = A.T @ y / 50
    alpha *= np.abs(correlation).max()
    loss = LeastSquares(y)
    for penalty, expected in (
        (L1(alpha), naive.soft(correlation, alpha)),
        (ElasticNet(alpha, 0.5), naive.soft(correlation, alpha / 2) / (1 + alpha / 2)),
        (ElasticNet(alpha, 0.0), correlation / (1 + alpha)),
        (L1(0.0), correlation),
        (Box(np.full(20, -alpha), np.full(20, alpha)), np.clip(correlation, -alpha, alpha)),
        (
            MCP(alpha, gamma=3.0),
            np.where(
                np.abs(correlation) > 3 * alpha, correlation, 1.5 * naive.soft(correlation, alpha)
            ),
        ),
    ):
        result = EXACT.solve(Composite(loss, A, penalty))
        assert result.success, penalty
        np.testing.assert_allclose(result.x, expected, atol=1e-10, err_msg=repr(penalty))


def test_ridge_solves_the_normal_equations(regression):
    A, y = regression
    result = EXACT.solve(Composite(LeastSquares(y), A, ElasticNet(0.3, l1_ratio=0.0)))
    expected = np.linalg.solve(A.T @ A / 40 + 0.3 * np.eye(60), A.T @ y / 40)
    np.testing.assert_allclose(result.x, expected, atol=1e-9)


def test_huber_far_from_outliers_is_least_squares_near_them_it_is_not(regression):
    A, y = regression
    wild = y.copy()
    wild[0] += 1e3
    easy = EXACT.solve(Composite(Huber(y, delta=50.0), A, L1(0.1)))
    squares = EXACT.solve(Composite(LeastSquares(y), A, L1(0.1)))
    np.testing.assert_allclose(easy.x, squares.x, atol=1e-9)
    robust = EXACT.solve(Composite(Huber(wild, delta=1.0), A, L1(0.1)))
    assert robust.success
    r = A @ robust.x - wild
    g = A.T @ np.clip(r, -1, 1) / 40
    assert naive.distance_l1(robust.x, g, 0.1) <= 1e-11
    assert np.linalg.norm(robust.x - squares.x) < 2


# ---- other people's solvers ----------------------------------------------------------------------


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_lasso_matches_scikit_learn(regression, fit_intercept):
    A, y = regression
    y = y + 4.0
    peer = Lasso(alpha=0.05, tol=1e-13, max_iter=10**6, fit_intercept=fit_intercept).fit(A, y)
    result = EXACT.solve(Composite(LeastSquares(y), A, L1(0.05), fit_intercept=fit_intercept))
    np.testing.assert_allclose(result.x, peer.coef_, atol=1e-8)
    if fit_intercept:
        assert result.intercept == pytest.approx(peer.intercept_, abs=1e-8)
        assert abs(np.sum(A @ result.x + result.intercept - y)) <= 1e-9
    else:
        assert "intercept" not in result


def test_elastic_net_matches_scikit_learn(regression):
    A, y = regression
    peer = PeerElasticNet(alpha=0.2, l1_ratio=0.3, tol=1e-13, max_iter=10**6).fit(A, y)
    result = EXACT.solve(Composite(LeastSquares(y), A, ElasticNet(0.2, 0.3), fit_intercept=True))
    np.testing.assert_allclose(result.x, peer.coef_, atol=1e-8)


@pytest.mark.parametrize("fit_intercept", [False, True])
def test_sparse_logistic_matches_scikit_learn(classes, fit_intercept):
    A, y = classes
    peer = LogisticRegression(
        l1_ratio=1.0, C=1 / (90 * 0.03), solver="saga", fit_intercept=fit_intercept,
        tol=1e-12, max_iter=10**5,
    ).fit(A, y)  # fmt: skip
    problem = Composite(Logistic(y), A, L1(0.03), fit_intercept=fit_intercept)
    result = EXACT.solve(problem)
    np.testing.assert_allclose(result.x, peer.coef_[0], atol=1e-6)
    assert result.get("intercept", 0.0) == pytest.approx(peer.intercept_[0], abs=1e-6)
    assert result.fun <= problem.objective(peer.coef_[0], peer.intercept_[0]) + 1e-14


def test_sparse_logistic_matches_liblinear(classes):
    A, y = classes
    peer = LogisticRegression(
        l1_ratio=1.0, C=1 / (90 * 0.03), solver="liblinear", fit_intercept=False, tol=1e-12,
        max_iter=10**5,
    ).fit(A, y)  # fmt: skip
    problem = Composite(Logistic(y), A, L1(0.03))
    result = EXACT.solve(problem)
    assert result.fun <= problem.objective(peer.coef_[0]) + 1e-14
    np.testing.assert_allclose(result.x, peer.coef_[0], atol=1e-4)


def test_box_matches_bounded_least_squares(regression):
    A, y = regression
    A = A[:, :20]
    lower, upper = np.full(20, -0.5), np.linspace(0.1, 1.0, 20)
    peer = scipy.optimize.lsq_linear(A, y, (lower, upper), method="bvls", tol=1e-14)
    result = EXACT.solve(Composite(LeastSquares(y), A, Box(lower, upper)))
    np.testing.assert_allclose(result.x, peer.x, atol=1e-8)
    assert result.fun == pytest.approx(peer.cost / 40, rel=1e-12)


def test_simplex_matches_slsqp():
    rng = np.random.default_rng(6)
    A = rng.standard_normal((30, 10))
    y = A @ rng.dirichlet(np.full(10, 0.3)) + 0.1 * rng.standard_normal(30)
    peer = scipy.optimize.minimize(
        lambda x: np.sum((A @ x - y) ** 2) / 60, np.full(10, 0.1),
        jac=lambda x: A.T @ (A @ x - y) / 30, bounds=[(0, None)] * 10, method="SLSQP",
        constraints={"type": "eq", "fun": lambda x: x.sum() - 1}, options={"ftol": 1e-14},
    )  # fmt: skip
    result = ProximalGradient(tol=1e-10).solve(Composite(LeastSquares(y), A, Simplex()))
    np.testing.assert_allclose(result.x, peer.x, atol=1e-6)
    assert result.fun <= peer.fun + 1e-14
    assert result.x.sum() == pytest.approx(1.0, abs=1e-14)
    assert (result.x >= 0).all()


# ---- nonconvex penalties -------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(5))
def test_nonconvex_results_are_stationary(regression, seed):
    A, y = regression
    x0 = 3 * np.random.default_rng(seed).standard_normal(60)
    result = ProximalGradient().solve(Composite(LeastSquares(y), A, MCP(0.3)), x0)
    assert result.success
    assert result.certificate.kind == "stationary"
    g = A.T @ (A @ result.x - y) / 40
    assert naive.distance_mcp(result.x, g, 0.3, 3.0) <= 1e-8 * np.abs(A.T @ y / 40).max()
    # A local minimum in every coordinate, too: no small move of one of them helps.
    problem = Composite(LeastSquares(y), A, MCP(0.3))
    for j in range(60):
        for move in (1e-4, -1e-4):
            x = result.x.copy()
            x[j] += move
            assert problem.objective(x) >= result.fun - 1e-12


def test_mcp_without_curvature_is_the_lasso(regression, classes):
    for (A, y), loss in ((regression, LeastSquares), (classes, Logistic)):
        lasso = EXACT.solve(Composite(loss(y), A, L1(0.05)))
        for gamma in (1e12, np.inf):
            mcp = EXACT.solve(Composite(loss(y), A, MCP(0.05, gamma=gamma)))
            np.testing.assert_allclose(mcp.x, lasso.x, atol=1e-9)


def test_separable_classes_do_not_hold_up_the_run():
    # With a flat penalty and separable classes the minimum is at infinity, where the curvature
    # vanishes: the steps have to grow on the way.
    rng = np.random.default_rng(0)
    A = rng.standard_normal((100, 200))
    z = A[:, :10] @ (2 * rng.standard_normal(10))
    problem = Composite(Logistic(np.sign(z)), A, MCP(0.03))
    result = ProximalGradient().solve(problem)
    assert result.success
    assert result.nit < 3000


# ---- intercepts, weights, offsets ----------------------------------------------------------------


def test_integer_weights_are_duplicated_rows(regression, classes):
    rng = np.random.default_rng(7)
    for (A, y), loss in ((regression, LeastSquares), (classes, Logistic)):
        counts = rng.integers(0, 4, y.size)
        weighted = Composite(loss(y, sample_weight=counts), A, L1(0.05), fit_intercept=True)
        repeated = Composite(
            loss(np.repeat(y, counts)), np.repeat(A, counts, axis=0), L1(0.05), fit_intercept=True
        )
        a, b = EXACT.solve(weighted), EXACT.solve(repeated)
        np.testing.assert_allclose(a.x, b.x, atol=1e-9)
        assert a.intercept == pytest.approx(b.intercept, abs=1e-9)
        assert a.fun == pytest.approx(b.fun, rel=1e-12)


def test_offset_is_a_known_part_of_the_prediction(regression, classes):
    A, y = regression
    offset = np.linspace(-2, 3, 40)
    with_offset = EXACT.solve(Composite(LeastSquares(y, offset=offset), A, L1(0.05)))
    without = EXACT.solve(Composite(LeastSquares(y - offset), A, L1(0.05)))
    np.testing.assert_allclose(with_offset.x, without.x, atol=1e-9)
    A, y = classes
    constant = EXACT.solve(
        Composite(Logistic(y, offset=np.full(90, 0.7)), A, L1(0.05), fit_intercept=True)
    )
    free = EXACT.solve(Composite(Logistic(y), A, L1(0.05), fit_intercept=True))
    np.testing.assert_allclose(constant.x, free.x, atol=1e-8)
    assert constant.intercept + 0.7 == pytest.approx(free.intercept, abs=1e-8)


def test_weights_of_coordinates_are_scaled_columns(regression):
    A, y = regression
    weights = np.linspace(0.5, 2, 60)
    weighted = EXACT.solve(Composite(LeastSquares(y), A, L1(0.05, weights=weights)))
    scaled = EXACT.solve(Composite(LeastSquares(y), A / weights, L1(0.05)))
    np.testing.assert_allclose(weighted.x, scaled.x / weights, atol=1e-9)


def test_weight_0_frees_and_weight_inf_excludes(regression):
    A, y = regression
    weights = np.ones(60)
    weights[[3, 7]], weights[[0, 1]] = 0, np.inf
    result = EXACT.solve(Composite(LeastSquares(y), A, L1(0.1, weights=weights)))
    assert result.success
    assert (result.x[:2] == 0).all()
    g = A.T @ (A @ result.x - y) / 40
    assert np.abs(g[[3, 7]]).max() <= 1e-10
    # At a strength beyond all correlations the free ones are left alone: least squares.
    result = EXACT.solve(Composite(LeastSquares(y), A, L1(1e3, weights=weights)))
    assert result.nit == 0
    np.testing.assert_allclose(result.x[[3, 7]], np.linalg.lstsq(A[:, [3, 7]], y)[0], atol=1e-10)
    assert np.count_nonzero(result.x) == 2


def test_classes_may_be_0_and_1(classes):
    A, y = classes
    signs = EXACT.solve(Composite(Logistic(y), A, L1(0.05)))
    bits = EXACT.solve(Composite(Logistic((y > 0).astype(int)), A, L1(0.05)))
    assert signs.x.tobytes() == bits.x.tobytes()


def test_warm_start_helps_on_a_path(regression):
    A, y = regression
    problem = Composite(LeastSquares(y), A, L1(0.1))
    cold = warm = 0
    result = None
    for alpha in np.geomspace(1.0, 0.02, 12):
        related = problem.replace(penalty=L1(alpha))
        result = ProximalGradient().solve(related, warm_start=result)
        warm += result.nit
        cold += ProximalGradient().solve(related).nit
    assert warm < 0.9 * cold


def test_unknown_acceleration():
    with pytest.raises(ValueError, match="acceleration must be one of 'fista', 'none'; got 'fast'"):
        ProximalGradient(acceleration="fast")
    assert numopt.solvers.by_name("fista") is ProximalGradient
