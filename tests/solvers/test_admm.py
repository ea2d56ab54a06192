"""ADMM against closed forms, other solvers and scikit-learn; rho must not matter to the answer."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
import sklearn.linear_model
from threadpoolctl import threadpool_info, threadpool_limits

from numopt import ConvergenceWarning, splittings
from numopt.linalg.pencil import Pencil
from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L1, MCP, Ridge
from numopt.problems import Composite
from numopt.sets import Simplex
from numopt.solvers import ADMM, ProximalGradient, WorkingSetCD
from tests.helpers import naive


def data(n, p, seed=0, dtype=np.float64):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p)) + 1.0
    x = np.zeros(p)
    x[: min(p, 6)] = [3.0, -2.0, 1.5, 4.0, -1.0, 2.0][: min(p, 6)]
    y = A @ x + 2.0 + 0.5 * rng.standard_normal(n)
    return A.astype(dtype), y.astype(dtype)


TALL, WIDE = data(60, 25), data(25, 60)


def lasso(A, y, share=0.1, **options):
    alpha_max = np.abs(A.T @ y).max() / y.size
    return Composite(LeastSquares(y), A, L1(share * float(alpha_max)), **options)


# ---- optima -------------------------------------------------------------------------------------


@pytest.mark.parametrize("rho", [None, 1e-2, 1.0, 1e2])
@pytest.mark.parametrize("shape", ["tall", "wide"])
def test_lasso_reaches_the_optimum_from_any_rho(shape, rho):
    problem = lasso(*(TALL if shape == "tall" else WIDE))
    reference = ProximalGradient(tol=1e-12, max_iter=100_000).solve(problem)
    result = ADMM(rho=rho).solve(problem)
    assert result.success and result.certificate.kkt <= 1e-8
    assert result.fun == pytest.approx(reference.fun, rel=1e-10)
    tight = ADMM(rho=rho, tol=1e-11).solve(problem)
    np.testing.assert_allclose(tight.x, reference.x, atol=1e-8)
    np.testing.assert_array_equal(tight.x == 0, reference.x == 0)


@pytest.mark.parametrize("shape", ["tall", "wide"])
@pytest.mark.parametrize("intercept", [False, True])
def test_agrees_with_scikit_learn(shape, intercept):
    A, y = TALL if shape == "tall" else WIDE
    weight = np.random.default_rng(1).random(y.size)
    loss = LeastSquares(y, sample_weight=weight)
    theirs = sklearn.linear_model.Lasso(
        alpha=0.2, fit_intercept=intercept, tol=1e-12, max_iter=100_000
    ).fit(A, y, sample_weight=weight)
    ours = ADMM(tol=1e-10).solve(Composite(loss, A, L1(0.2), fit_intercept=intercept))
    assert ours.success
    np.testing.assert_allclose(ours.x, theirs.coef_, atol=1e-7)
    if intercept:
        assert ours.intercept == pytest.approx(theirs.intercept_, abs=1e-6)


@pytest.mark.parametrize("shape", ["tall", "wide"])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_ridge_closed_form(shape, intercept, form):
    A, y = TALL if shape == "tall" else WIDE
    n, p = A.shape
    weight = np.random.default_rng(2).random(n)
    weight[0] = 0.0
    weight /= weight.sum()
    offset = np.random.default_rng(3).standard_normal(n)
    loss = LeastSquares(y, sample_weight=weight, offset=offset)
    problem = Composite(loss, form(A), Ridge(0.3), fit_intercept=intercept)
    # Normal equations of (x, b), the constant unpenalised.
    full = np.column_stack([A, np.ones(n)]) if intercept else A
    penalty = 0.3 * np.diag([1.0] * p + [0.0] * intercept)
    exact = np.linalg.solve((full.T * weight) @ full + penalty, full.T @ (weight * (y - offset)))
    result = ADMM(tol=1e-11).solve(problem)
    assert result.success
    np.testing.assert_allclose(result.x, exact[:p], atol=1e-8)
    if intercept:
        assert result.intercept == pytest.approx(exact[p], abs=1e-7)


def test_orthogonal_design_is_soft_thresholding():
    Q = np.linalg.qr(np.random.default_rng(4).standard_normal((40, 10)))[0] * np.sqrt(40)
    y = np.random.default_rng(5).standard_normal(40)
    v = Q.T @ y / 40
    result = ADMM(tol=1e-12).solve(Composite(LeastSquares(y), Q, L1(0.1)))
    np.testing.assert_allclose(result.x, np.sign(v) * np.maximum(abs(v) - 0.1, 0), atol=1e-11)


def test_constraints_hold():
    problem = Composite(LeastSquares(TALL[1]), TALL[0], Simplex(2.0))
    result = ADMM().solve(problem)
    reference = ProximalGradient().solve(problem)
    assert result.success and (result.x >= 0).all()
    assert result.fun == pytest.approx(reference.fun, rel=1e-9)
    assert result.x.sum() == pytest.approx(2.0, rel=1e-12)


def test_no_penalty_is_least_squares():
    A, y = TALL
    result = ADMM(tol=1e-10).solve(Composite(LeastSquares(y), A, Ridge(0.0)))
    np.testing.assert_allclose(result.x, np.linalg.lstsq(A, y, rcond=None)[0], atol=1e-8)


def test_nonconvex_penalty_reaches_a_stationary_point():
    problem = Composite(LeastSquares(TALL[1]), TALL[0], MCP(0.1))
    result = ADMM().solve(problem)
    assert result.success and result.rho_changes == 0
    assert result.certificate.kind == "stationary"


# ---- rho, factors and warm starts ---------------------------------------------------------------


def test_the_answer_does_not_depend_on_rho():
    problem = lasso(*TALL)
    points = [ADMM(rho=rho, tol=1e-11).solve(problem).x for rho in (1e-4, 1e-1, 1e2, 1e5)]
    for point in points[1:]:
        np.testing.assert_allclose(point, points[0], atol=1e-8)


@pytest.mark.parametrize("shape, limit", [((200, 80), 100), ((80, 200), 300)])
def test_a_hundred_iterations_are_enough_from_any_rho(shape, limit):
    A, y = data(*shape)
    problem = lasso(A - 1.0, y)
    for rho in np.logspace(-4, 6, 11):
        result = ADMM(rho=float(rho), tol=1e-10).solve(problem)
        assert result.success and result.nit <= limit


def test_rho_moves_towards_where_it_belongs():
    problem = lasso(*TALL)
    low, high = (ADMM(rho=rho).solve(problem) for rho in (1e-4, 1e4))
    assert low.rho_changes > 0 and high.rho_changes > 0
    assert 1e-2 < low.rho / high.rho < 1e2
    fixed = ADMM(rho=1.0, adapt="fixed").solve(problem)
    assert fixed.success and fixed.rho == 1.0 and fixed.rho_changes == 0


@pytest.mark.parametrize("adapt", ["spectral", "balance"])
def test_adaptation_pays(adapt):
    problem = lasso(*TALL)
    adaptive = ADMM(rho=1e4, adapt=adapt).solve(problem)
    with pytest.warns(ConvergenceWarning):
        fixed = ADMM(rho=1e4, adapt="fixed", memory=0, max_iter=1000).solve(problem)
    assert adaptive.success and adaptive.nit < 500 and not fixed.success


def test_acceleration_pays_and_is_safe():
    problem = lasso(*WIDE)
    plain = ADMM(memory=0, tol=1e-10).solve(problem)
    accelerated = ADMM(tol=1e-10).solve(problem)
    assert accelerated.success and accelerated.nit < plain.nit


def test_eigenvectors_are_kept_along_a_path(monkeypatch):
    built = []
    plan = Pencil._plan_dense
    monkeypatch.setattr(Pencil, "_plan_dense", lambda self: built.append(1) or plan(self))
    problem = lasso(*TALL)
    result = None
    for alpha in (1.0, 0.9, 0.8):
        result = ADMM().solve(problem.replace(penalty=L1(alpha)), warm_start=result)
        assert result.success
    assert len(built) == 1


def test_warm_start_from_the_answer_takes_nothing_and_near_it_little():
    A, y = TALL
    problem = lasso(A, y, fit_intercept=True)
    cold = ADMM().solve(problem)
    assert ADMM().solve(problem, warm_start=cold).nit == 0
    near = problem.replace(penalty=L1(1.001 * problem.penalty.alpha))
    assert ADMM().solve(near, warm_start=cold).nit < ADMM().solve(near).nit
    x0 = cold.x.copy()
    ADMM(tol=1e-10).solve(problem, x0=x0)
    np.testing.assert_array_equal(x0, cold.x)


def test_relaxation_changes_the_way_not_the_end():
    problem = lasso(*TALL)
    ends = [ADMM(relaxation=a, tol=1e-10).solve(problem) for a in (1.0, 1.6, 1.9)]
    assert len({end.nit for end in ends}) > 1
    for end in ends[1:]:
        np.testing.assert_allclose(end.x, ends[0].x, atol=1e-7)


def test_iterates_are_those_of_the_formulas():
    A, y = TALL
    n, p = A.shape
    rho, a, problem = 0.7, 1.6, lasso(A, y)
    solver = ADMM(rho=rho, adapt="fixed", memory=0)
    state = solver.init(problem, None, {})
    # The blocks in turn: z solves with the data, x takes the soft threshold.
    x, u = np.zeros(p), -A.T @ y / n / rho  # rho u is the gradient at 0
    w = u + x
    for _ in range(15):
        solver.advance(problem, state, 1)
        z = np.linalg.solve(A.T @ A / n + rho * np.eye(p), A.T @ y / n + rho * w)
        u = w - z
        x = naive.soft(z - u, problem.penalty.alpha / rho)
        w = u + a * x + (1 - a) * z
        np.testing.assert_allclose(state.x, x, atol=1e-10)
        np.testing.assert_allclose(state.y, rho * u, atol=1e-10)


def test_iterates_are_those_of_douglas_rachford():
    """Reflect, reflect, average: the same points from the other side of duality."""
    A, y = TALL
    rho, problem = 2.0, lasso(A, y)
    solver = ADMM(rho=rho, adapt="fixed", memory=0, relaxation=1.0)
    state = solver.init(problem, None, {})
    H = np.linalg.inv(A.T @ A / y.size + rho * np.eye(A.shape[1]))
    v = state.w.copy()
    for _ in range(10):
        z = H @ (A.T @ y / y.size + rho * v)
        x = naive.soft(2 * z - v, problem.penalty.alpha / rho)
        v = v + x - z
        solver.advance(problem, state, 1)
        np.testing.assert_allclose(state.w, v, atol=1e-10)


# ---- data ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("intercept", [False, True])
def test_large_sparse_data_are_solved_sparsely(intercept):
    rng = np.random.default_rng(7)
    A = sp.random_array((700, 600), density=0.01, rng=rng)
    y = rng.standard_normal(700) + 1.0
    problem = Composite(LeastSquares(y), A, L1(1e-3), fit_intercept=intercept)
    result = ADMM(tol=1e-7).solve(problem)
    assert result.success
    reference = WorkingSetCD(tol=1e-9).solve(problem)
    assert result.fun == pytest.approx(reference.fun, rel=1e-7)


@pytest.mark.parametrize("shape", [(60, 25), (25, 60)])
def test_float32_stays(shape):
    A, y = data(*shape, dtype=np.float32)
    result = ADMM().solve(lasso(A, y, fit_intercept=True))
    assert result.success and result.x.dtype == np.float32 and result.certificate.kkt <= 1e-5
    wide = ADMM().solve(lasso(A.astype(float), y.astype(float), fit_intercept=True))
    np.testing.assert_allclose(result.x, wide.x, atol=1e-3)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale):
    A, y = TALL
    plain = ADMM(tol=1e-10).solve(lasso(A, y))
    np.testing.assert_allclose(ADMM(tol=1e-10).solve(lasso(A, y * scale)).x / scale, plain.x)
    np.testing.assert_allclose(ADMM(tol=1e-10).solve(lasso(A * scale, y)).x * scale, plain.x)


def test_far_from_zero_mean_is_centred():
    A, y = TALL
    shifted = ADMM(tol=1e-10).solve(
        Composite(LeastSquares(y), A + 1e3, L1(0.2), fit_intercept=True)
    )
    plain = ADMM(tol=1e-10).solve(Composite(LeastSquares(y), A, L1(0.2), fit_intercept=True))
    np.testing.assert_allclose(shifted.x, plain.x, atol=1e-6)


def test_duplicate_columns_and_a_tiny_rho():
    A = np.repeat(TALL[0][:, :5], 2, axis=1)
    result = ADMM(rho=1e-12).solve(lasso(A, TALL[1]))
    assert result.success
    single = ADMM().solve(Composite(LeastSquares(TALL[1]), A[:, ::2], lasso(A, TALL[1]).penalty))
    assert result.fun == pytest.approx(single.fun, rel=1e-8)


@pytest.mark.parametrize(
    "A", [np.zeros((4, 3)), np.zeros((4, 0)), np.ones((4, 1)), np.ones((1, 1)), np.ones((2, 5))]
)
def test_degenerate_data(A):
    result = ADMM().solve(Composite(LeastSquares(np.ones(A.shape[0])), A, L1(0.1)))
    assert result.success and np.isfinite(result.x).all()


def test_strong_penalty_gives_exact_zeros_at_once():
    result = ADMM().solve(lasso(*TALL, share=1.01))
    assert result.success and result.nit == 0 and not result.x.any()


def test_what_it_cannot_take_is_refused():
    labels = np.sign(TALL[1])
    with pytest.raises(TypeError, match="takes the loss LeastSquares, got Logistic"):
        ADMM().solve(Composite(Logistic(labels), TALL[0], L1(0.1)))
    with pytest.raises(ValueError, match="rho must be a finite number > 0"):
        ADMM(rho=0.0)
    with pytest.raises(ValueError, match=r"relaxation must lie in \(0, 2\)"):
        ADMM(relaxation=2.0)
    with pytest.raises(ValueError, match="adapt must be one of 'spectral', 'balance', 'fixed'"):
        ADMM(adapt="residual")
    with pytest.raises(ValueError, match="x0 has 3 entries, expected 25"):
        ADMM().solve(lasso(*TALL), x0=np.ones(3))


@pytest.mark.parametrize("lam", [0.03, 0.3, 3.0])
@pytest.mark.parametrize("y", [np.arange(50.0), np.arange(50.0) ** 2, np.arange(200.0)])
def test_rho_comes_to_rest_where_the_active_set_does_not(y, lam):
    """On ramps all differences want to be active at once."""
    result = ADMM().solve(splittings.total_variation(y, lam))
    assert result.success and result.nit < 300
    np.testing.assert_allclose(result.x, naive_total_variation(y, lam), atol=1e-5 * y.max())


def naive_total_variation(y, lam):
    """By the dual, least squares with bounds."""
    D = np.diff(np.eye(y.size), axis=0)
    w = scipy.optimize.lsq_linear(D.T, y, (-lam, lam), tol=1e-14, lsq_solver="exact").x
    return y - D.T @ w


# ---- threads -------------------------------------------------------------------------------------


def blas_threads():
    """Threads of each BLAS in this process; some were built for one thread."""
    libraries = [lib for lib in threadpool_info() if lib["user_api"] == "blas"]
    return {lib["filepath"]: lib["num_threads"] for lib in libraries}


@pytest.mark.parametrize("problem, held", [
    (lasso(*TALL), True), (splittings.graphical_lasso(np.cov(TALL[0].T), 0.1), True),
    (splittings.total_variation(np.sin(np.arange(50.0)), 1.0), False),  # no dense matrix at all
    (lasso(*data(10, 5)), False),  # too small for BLAS to start threads
])  # fmt: skip
def test_small_dense_matrices_hold_blas_to_one_thread(problem, held):
    seen, before = [], blas_threads()
    with threadpool_limits(2, "blas"):
        limited = blas_threads()
        able = [path for path, n in limited.items() if n == 2]
        ADMM().solve(problem, callback=lambda _: seen.append(blas_threads()))
        assert able
        assert {threads[path] for threads in seen for path in able} == {1 if held else 2}
        assert blas_threads() == limited
    assert blas_threads() == before
