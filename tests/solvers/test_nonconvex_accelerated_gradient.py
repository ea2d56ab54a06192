"""Accelerated gradient for weakly convex penalties, on linear models and on functions."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L0, L1, MCP, SCAD, CappedL1, GroupMCP, LHalf
from numopt.problems import Composite, SmoothComposite
from numopt.sets import Simplex
from numopt.solvers import NonconvexAcceleratedGradient, ProximalGradient


def correlated(n=120, p=160, rho=0.9, seed=0):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p))
    for j in range(1, p):
        A[:, j] = rho * A[:, j - 1] + np.sqrt(1 - rho**2) * A[:, j]
    x = np.zeros(p)
    x[:: p // 8] = np.array([3, -2, 4, 1, -3, 2, 5, -1])
    return A, A @ x + rng.standard_normal(n)


A, Y = correlated()


def as_functions(problem):
    """A least-squares model as Python functions."""
    M, y, n = problem.A, problem.loss.y, len(problem.A)

    def fun(x):
        r = M @ x - y
        return r @ r / (2 * n)

    return SmoothComposite(fun, problem.penalty, lambda x: M.T @ (M @ x - y) / n)


PENALTIES = {
    "L1": L1(0.2),
    "MCP": MCP(0.2, gamma=3.0),
    "SCAD": SCAD(0.2, a=3.7),
    "GroupMCP": GroupMCP(0.3, np.arange(160) // 4),
}


@pytest.mark.parametrize("name", PENALTIES)
def test_ends_where_proximal_gradients_do(name):
    problem = Composite(LeastSquares(Y), A, PENALTIES[name])
    ours = NonconvexAcceleratedGradient().solve(problem)
    plain = ProximalGradient(tol=1e-9).solve(problem)
    assert ours.success and ours.fun <= plain.fun * (1 + 1e-3)
    if name == "L1":
        np.testing.assert_allclose(ours.x, plain.x, atol=1e-5)
    functions = as_functions(problem)
    given = NonconvexAcceleratedGradient(tol=1e-7).solve(functions, np.zeros(160))
    assert given.success and given.fun == pytest.approx(problem.objective(given.x), rel=1e-12)
    assert problem.certificate(given.x).worst(1e-5) <= 1


def test_closed_form_of_orthonormal_columns():
    y = np.array([0.05, -0.4, 1.0, 3.0])
    penalty = MCP(0.5, gamma=3.0)
    problem = Composite(LeastSquares(2 * y), 2 * np.eye(4), penalty)
    result = NonconvexAcceleratedGradient(tol=1e-12).solve(problem)
    np.testing.assert_allclose(result.x, penalty.prox(y, 1.0), atol=1e-11)


def test_first_iteration_is_a_proximal_gradient_step():
    problem = SmoothComposite(
        lambda x: 2 * x @ x - x.sum(), MCP(0.3), lambda x: 4 * x - 1
    )  # of curvature 4
    one = {"max_iter": 1}
    x0 = np.array([1.0, -1.0, 0.2])
    result = quiet(NonconvexAcceleratedGradient(**one).solve, problem, x0, {"curvature": 8.0})
    np.testing.assert_allclose(result.x, MCP(0.3).prox(x0 - (4 * x0 - 1) / 8, 1 / 8), rtol=1e-14)


def quiet(solve, problem, x0, warm):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return solve(problem, warm_start={"x": x0, **warm})


def test_the_second_is_that_of_ghadimi_and_lan():
    """Two iterations by hand, with the split at c = 1 / gamma."""
    penalty, c, M = MCP(0.3, gamma=3.0), 1 / 3, 8.0
    x0 = np.array([1.0, -1.0, 0.2])

    def gradient(x):
        return 4 * x - 1

    def prox(v, step):  # of penalty + c |x|^2 / 2
        return penalty.prox(v / (1 + step * c), step / (1 + step * c))

    x = u = y = x0
    a = 1.0
    for _ in range(2):
        y, omega = (1 - a) * x + a * u, 1 / (M - c)
        g = gradient(y) - c * y
        u = prox(u - omega / a * g, omega / a)
        x, M_next = prox(y - omega * g, omega), 0.95 * M
        a, M = 2 / (1 + np.sqrt(1 + 4 / a**2 * M_next / M)), M_next
    problem = SmoothComposite(lambda x: 2 * x @ x - x.sum(), penalty, gradient)
    solver = NonconvexAcceleratedGradient(max_iter=2, tol=1e-14)
    result = quiet(solver.solve, problem, x0, {"curvature": 8.0})
    assert result.nit == 2
    np.testing.assert_allclose(result.x, x, rtol=1e-12)


@pytest.mark.parametrize("loss", ["squares", "logistic"])
def test_fewer_iterations_than_without_momentum(loss):
    target = LeastSquares(Y) if loss == "squares" else Logistic(np.where(Y > 0, 1.0, -1.0))
    problem = Composite(target, A, MCP(0.05, gamma=8.0))
    fast = NonconvexAcceleratedGradient(tol=1e-7).solve(problem)
    slow = ProximalGradient(tol=1e-7, acceleration="none", max_iter=100_000).solve(problem)
    assert fast.success and fast.nit < 0.5 * slow.nit


@pytest.mark.parametrize("seed", range(3))
def test_objective_never_rises(seed):
    data, y = correlated(60, 80, 0.5, seed)
    problem = Composite(LeastSquares(y), data, SCAD(0.1), fit_intercept=True)
    for candidate in (problem, as_functions(problem.replace(fit_intercept=False))):
        start = np.random.default_rng(seed).standard_normal(80)
        result = NonconvexAcceleratedGradient().solve(candidate, start)
        fun = result.history["fun"]
        assert result.success and (np.diff(fun) <= 1e-12 * fun[0]).all()


def test_sets_too():
    problem = Composite(LeastSquares(Y), A[:, :20], Simplex(2.0))
    ours = NonconvexAcceleratedGradient(tol=1e-9).solve(problem)
    np.testing.assert_allclose(ours.x, ProximalGradient(tol=1e-9).solve(problem).x, atol=1e-6)


@pytest.mark.parametrize("penalty", [L0(0.1), LHalf(0.1), CappedL1(0.1, 1.0)])
def test_penalties_that_no_ridge_makes_convex(penalty):
    with pytest.raises(TypeError, match=f"{type(penalty).__name__} is not known to be; try prox-g"):
        NonconvexAcceleratedGradient().solve(Composite(LeastSquares(Y), A, penalty))


def test_unbounded_and_undefined():
    with pytest.warns(numopt.ConvergenceWarning):
        falling = numopt.minimize(lambda x: -(x**4).sum(), [1.0, 2.0], jac=lambda x: -4 * x**3,
                                  penalty=MCP(1.0), method="nonconvex-ag")  # fmt: skip
    assert falling.status == 10 and "falls below" in falling.message
    with pytest.warns(numopt.ConvergenceWarning):
        nowhere = numopt.minimize(lambda x: np.nan, [1.0], jac=lambda x: x, penalty=MCP(1.0))
    assert nowhere.status == 4 and "inside its domain" in nowhere.message
