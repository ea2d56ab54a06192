"""The problem `Composite`: objective and certificate against naive formulas."""

import pickle

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt.losses import Huber, LeastSquares, Logistic
from numopt.penalties import L1, MCP, ElasticNet
from numopt.problems import Composite
from numopt.sets import Box, Simplex
from tests.helpers import naive

RNG = np.random.default_rng(0)
N, P = 25, 8
A = np.asfortranarray(RNG.standard_normal((N, P)))
Y = RNG.standard_normal(N)
LABELS = np.where(RNG.random(N) < 0.4, -1.0, 1.0)
WEIGHT, OFFSET = RNG.random(N) + 0.1, RNG.standard_normal(N)
POINTS = [np.zeros(P), RNG.standard_normal(P), RNG.standard_normal(P) * (np.arange(P) % 2)]


def solve(problem, **options):
    return numopt.solve(problem, "prox-grad", **options)


# ---- objective -----------------------------------------------------------------------------------


@pytest.mark.parametrize("x", POINTS, ids=["zero", "dense", "sparse"])
@pytest.mark.parametrize("intercept", [0.0, 1.7])
def test_objective_is_the_weighted_mean_plus_the_penalty(x, intercept):
    z = A @ x + intercept + OFFSET
    w = WEIGHT / WEIGHT.sum()
    wide = {"sample_weight": WEIGHT, "offset": OFFSET}
    expected = {
        LeastSquares: w @ (z - Y) ** 2 / 2,
        Logistic: w @ np.logaddexp(0, -LABELS * z),
    }
    for loss, y in ((LeastSquares, Y), (Logistic, LABELS)):
        problem = Composite(loss(y, **wide), A, L1(0.3), fit_intercept=True)
        value = problem.objective(x, intercept)
        assert value == pytest.approx(expected[loss] + 0.3 * np.abs(x).sum(), rel=1e-13)
        np.testing.assert_allclose(problem.predict(x, intercept), A @ x + intercept)


# ---- certificate ---------------------------------------------------------------------------------


@pytest.mark.parametrize("x", POINTS, ids=["zero", "dense", "sparse"])
def test_kkt_of_the_lasso(x):
    certificate = Composite(LeastSquares(Y), A, L1(0.3)).certificate(x)
    g = A.T @ (A @ x - Y) / N
    expected = naive.distance_l1(x, g, 0.3) / np.abs(A.T @ Y / N).max()
    assert certificate.kkt == pytest.approx(expected, rel=1e-12)
    assert certificate.kind == "global"
    assert certificate.kkt.gate
    assert certificate.fun == pytest.approx(naive.objective_l1(A, Y, 0.3, x), rel=1e-13)


@pytest.mark.parametrize("x", POINTS, ids=["zero", "dense", "sparse"])
def test_kkt_of_logistic_mcp_with_intercept(x):
    certificate = Composite(Logistic(LABELS), A, MCP(0.2), fit_intercept=True).certificate(x, 0.4)
    r = naive.loss_gradient("logistic", LABELS, A @ x + 0.4)
    null = naive.loss_gradient(
        "logistic", LABELS, np.full(N, naive.intercept_alone("logistic", LABELS))
    )
    expected = max(naive.distance_mcp(x, A.T @ r, 0.2, 3.0), abs(r.sum()))
    assert certificate.kkt == pytest.approx(expected / np.abs(A.T @ null).max(), rel=1e-9)
    assert certificate.kind == "stationary"
    assert list(certificate) == ["kkt"]


def test_intercept_alone_can_fail_the_certificate():
    problem = Composite(LeastSquares(Y + 5), A, L1(10.0), fit_intercept=True)
    mean = Y.mean() + 5
    assert problem.certificate(np.zeros(P), mean).kkt <= 1e-14
    assert problem.certificate(np.zeros(P), mean + 1e-3).kkt > 1e-4


@pytest.mark.parametrize("x", POINTS[1:], ids=["dense", "sparse"])
def test_fixed_point_residual_on_a_simplex(x):
    x = naive.project_simplex(x)
    certificate = Composite(LeastSquares(Y), A, Simplex()).certificate(x)
    s = N / np.linalg.norm(A, 2) ** 2
    moved = x - naive.project_simplex(x - s * A.T @ (A @ x - Y) / N)
    expected = np.linalg.norm(moved) / s / np.abs(A.T @ Y / N).max()
    assert certificate.fixed_point == pytest.approx(expected, rel=5e-3)  # s from power iteration
    assert list(certificate.gates) == ["fixed_point"]


def test_outside_a_set_nothing_is_certified():
    certificate = Composite(LeastSquares(Y), A, Box(np.zeros(P), np.ones(P))).certificate(
        np.full(P, 1.0 + 1e-12)
    )
    assert certificate.kkt == np.inf
    assert not certificate.met(1e300)


@pytest.mark.parametrize("bound", [0.1, 1 / 3, 0.7])
def test_bounds_that_float32_cannot_hold_are_those_it_can(bound):
    # A single precision point on the bound is on the bound, not beyond it.
    a, y = A.astype(np.float32), (3 * A.sum(1)).astype(np.float32)
    result = solve(Composite(LeastSquares(y), a, Box(np.full(P, -bound), np.full(P, bound))))
    assert result.success
    assert result.x.dtype == np.float32
    np.testing.assert_allclose(result.x, bound, rtol=1e-6)


GAPS = {
    "lasso": Composite(LeastSquares(Y), A, L1(0.1)),
    "lasso, weights, offset": Composite(
        LeastSquares(Y, sample_weight=WEIGHT, offset=OFFSET), A, L1(0.1)
    ),
    "lasso with intercept": Composite(LeastSquares(Y + 2), A, L1(0.1), fit_intercept=True),
    "elastic net": Composite(LeastSquares(Y), A, ElasticNet(0.2, 0.5)),
    "logistic": Composite(Logistic(LABELS), A, L1(0.05), fit_intercept=True),
    "huber": Composite(Huber(Y, delta=0.5), A, L1(0.05)),
    "box": Composite(LeastSquares(Y), A, Box(np.full(P, -0.1), np.full(P, 0.2))),
    "simplex": Composite(LeastSquares(Y), A, Simplex()),
}


@pytest.mark.parametrize("name", GAPS)
def test_duality_gap_bounds_the_error_and_closes(name):
    problem = GAPS[name]
    best = solve(problem, tol=1e-10)
    unit = problem.scales()[1]
    assert best.success
    assert abs(best.certificate.gap) <= 1e-8
    assert not best.certificate.gap.gate
    for x in POINTS:
        x = problem.penalty.prox(x, 0.1)
        certificate = problem.certificate(x, best.get("intercept", 0.0))
        if "gap" in certificate:
            assert certificate.gap * unit >= certificate.fun - best.fun - 1e-12
    if "intercept" not in best:
        assert "gap" in problem.certificate(problem.penalty.prox(POINTS[1], 0.1))


def test_a_lying_point_never_passes():
    problem = GAPS["lasso"]
    best = solve(problem)
    for j in range(P):
        x = best.x.copy()
        x[j] += 1e-6
        assert not problem.certificate(x).met(1e-8)
    assert not problem.certificate(np.full(P, 1e300)).met(1e300)


# ---- scales --------------------------------------------------------------------------------------


def test_alpha_max_is_where_zero_becomes_optimal():
    for loss, intercept in ((LeastSquares(Y), False), (Logistic(LABELS), True)):
        problem = Composite(loss, A, L1(1.0), fit_intercept=intercept)
        largest = problem.alpha_max()
        above, below = (problem.replace(penalty=L1(f * largest)) for f in (1 + 1e-9, 1 - 1e-6))
        assert not solve(above).x.any()
        assert solve(below, tol=1e-10).x.any()


def test_null_model_with_free_columns_is_their_least_squares():
    weights = np.ones(P)
    weights[[2, 5]] = 0
    problem = Composite(LeastSquares(Y), A, L1(1.0, weights=weights), fit_intercept=True)
    null = problem.null_model()
    columns = np.column_stack([A[:, [2, 5]], np.ones(N)])
    expected, *_ = np.linalg.lstsq(columns, Y)
    np.testing.assert_allclose(null.w[[2, 5, P]], expected, atol=1e-12)
    assert np.count_nonzero(null.w) == 3
    r = columns @ expected - Y
    np.testing.assert_allclose(null.gradient, A.T @ r / N, atol=1e-12)
    assert null.fun == pytest.approx(r @ r / (2 * N))


def test_null_model_of_a_logistic_intercept_is_the_log_odds():
    null = Composite(Logistic(LABELS), A, L1(1.0), fit_intercept=True).null_model()
    assert null.w[P] == pytest.approx(naive.intercept_alone("logistic", LABELS), rel=1e-12)


def test_null_model_of_one_class_is_finite():
    problem = Composite(Logistic(np.ones(N)), A, L1(0.1), fit_intercept=True)
    assert np.isfinite(problem.null_model().w).all()
    assert np.isfinite(solve(problem).x).all()


def test_lipschitz_is_the_largest_eigenvalue():
    for matrix in (A, sp.csc_array(A), A.astype(np.float32)):
        problem = Composite(LeastSquares(Y, sample_weight=WEIGHT), matrix, L1(0.1))
        w = np.sqrt(WEIGHT / WEIGHT.sum())
        expected = np.linalg.norm(w[:, None] * A, 2) ** 2
        assert problem.lipschitz() == pytest.approx(expected, rel=5e-3)
        squares = (w[:, None] * A) ** 2
        np.testing.assert_allclose(problem.column_curvatures(), squares.sum(0), rtol=1e-6)
    logistic = Composite(Logistic(LABELS), A, L1(0.1))
    assert logistic.lipschitz() == pytest.approx(np.linalg.norm(A, 2) ** 2 / 4 / N, rel=5e-3)
    assert Composite(LeastSquares(Y), 0 * A, L1(0.1)).lipschitz() == 1.0


@pytest.mark.parametrize("shift", [0.0, 1e3, 1e9])
def test_rounding_is_not_mistaken_for_a_scale(shift):
    # y is constant: with an intercept there is nothing left to explain but rounding errors.
    problem = Composite(LeastSquares(np.full(N, 0.1) + shift), A, L1(1e-4), fit_intercept=True)
    result = solve(problem)
    assert result.success
    np.testing.assert_allclose(result.x, 0.0, atol=1e-9 * max(shift, 1.0))
    assert result.intercept == pytest.approx(shift + 0.1)


# ---- related problems, caches, copies ------------------------------------------------------------


def test_replace_keeps_what_does_not_change():
    problem = Composite(LeastSquares(Y), A, L1(0.1))
    solve(problem)
    related = problem.replace(penalty=L1(0.2))
    assert related.lowered().X is problem.lowered().X
    assert related.lowered().penalty != problem.lowered().penalty
    assert related.null_model() is problem.null_model()
    assert problem.replace(loss=LeastSquares(2 * Y)).lipschitz() == pytest.approx(
        problem.lipschitz(), rel=1e-12
    )
    assert problem.replace(A=2 * A).lipschitz() == pytest.approx(4 * problem.lipschitz(), rel=1e-3)
    assert problem.replace(A=2 * A).null_model() is not problem.null_model()
    with pytest.raises(TypeError, match="no field 'alpha'; it has A, fit_intercept, loss, penalty"):
        problem.replace(alpha=3)


def test_caches_do_not_travel():
    big = np.asfortranarray(np.random.default_rng(1).standard_normal((200, 100)))
    problem = Composite(LeastSquares(big[:, 0]), np.ascontiguousarray(big), L1(0.1))
    before = len(pickle.dumps(problem))
    solve(problem)
    assert len(pickle.dumps(problem)) == before


def test_matrix_is_kept_as_it_is_where_it_will_do():
    assert Composite(LeastSquares(Y), A, L1(0.1)).A is A
    assert Composite(LeastSquares(Y), A, L1(0.1)).lowered().X is A
    sparse = sp.csc_array(A)
    assert Composite(LeastSquares(Y), sparse, L1(0.1)).A is sparse


def test_cached_values_belong_to_their_data():
    problem = Composite(LeastSquares(Y), A, L1(0.1), fit_intercept=False)
    first = problem.certificate(POINTS[1]).kkt
    other = Composite(LeastSquares(3 * Y), A, L1(0.1))
    assert other.certificate(POINTS[1]).kkt != first
    assert problem.certificate(POINTS[1]).kkt == first


def test_minimum_of_a_smooth_problem_is_scipy_s():
    problem = Composite(LeastSquares(Y), A, ElasticNet(0.1, l1_ratio=0.0), fit_intercept=True)
    peer = scipy.optimize.minimize(
        lambda w: problem.objective(w[:P], w[P]), np.zeros(P + 1), method="BFGS", tol=1e-9
    )
    result = solve(problem, tol=1e-10)
    np.testing.assert_allclose(result.x, peer.x[:P], atol=1e-5)
    assert result.fun <= peer.fun + 1e-12
