"""Every block in a small problem, solved to its certificate and compared with other optima."""

import numpy as np
import pytest
from scipy.optimize import minimize

from numopt import losses, penalties
from numopt.problems import Composite
from numopt.solvers import ProximalGradient, WorkingSetCD

N, P = 30, 8
GROUPS = [0, 0, 1, 1, 1, 2, 3, 3]
RNG = np.random.default_rng(0)
A = RNG.standard_normal((N, P))
X_TRUE = np.array([2.0, -1.5, 0, 0, 0, 1.0, 0, 0])
Y = A @ X_TRUE + 0.1 * RNG.standard_normal(N)
SIGNS = np.sign(Y)
COUNTS = np.floor(np.exp(0.3 * Y + 0.2 * RNG.standard_normal(N)))
POSITIVE = np.exp(0.3 * Y + 0.2 * RNG.standard_normal(N))

SEPARABLE = {
    "L0": penalties.L0(0.1),
    "LHalf": penalties.LHalf(0.1),
    "LTwoThirds": penalties.LTwoThirds(0.1),
    "LogSum": penalties.LogSum(0.1, eps=0.5),
    "CappedL1": penalties.CappedL1(0.1, theta=0.5),
    "Huber": penalties.Huber(0.1, delta=0.5),
}
WHOLE = {
    "LInf": penalties.LInf(0.3),
    "GroupLasso": penalties.GroupLasso(0.2, GROUPS, [1.0, 2.0, 0.0, 1.0]),
    "GroupMCP": penalties.GroupMCP(0.2, GROUPS),
    "GroupSCAD": penalties.GroupSCAD(0.2, GROUPS),
    "SparseGroupLasso": penalties.SparseGroupLasso(0.2, GROUPS),
    "SLOPE": penalties.SLOPE(0.2, np.linspace(2, 0.1, P)),
    "TotalVariation1D": penalties.TotalVariation1D(0.2),
    "Nuclear": penalties.Nuclear(0.2, (2, 4)),
}
LOSSES = {
    "SquaredHinge": losses.SquaredHinge(SIGNS),
    "Poisson": losses.Poisson(COUNTS),
    "Gamma": losses.Gamma(POSITIVE),
}


def check(problem, solver):
    before = problem.A.copy()
    result = solver.solve(problem)
    assert result.success, (result.message, result.certificate)
    np.testing.assert_array_equal(problem.A, before)
    assert result.fun < problem.objective(np.zeros(P))
    return result


def stays_below_neighbours(problem, x):
    """No random point and none found by a general method from here is better."""
    fun = problem.objective(x)
    for scale in (1e-4, 1e-2, 1.0):
        for d in RNG.standard_normal((20, P)):
            assert problem.objective(x + scale * d) >= fun - 1e-9
    found = minimize(problem.objective, x, method="Powell", options={"xtol": 1e-9, "ftol": 1e-12})
    assert found.fun >= fun - 1e-7


@pytest.mark.parametrize("name", SEPARABLE)
def test_separable_penalties(name):
    problem = Composite(losses.LeastSquares(Y), A, SEPARABLE[name])
    result = check(problem, WorkingSetCD(tol=1e-9))
    if name in ("L0", "Huber"):  # each pair with a solver takes seconds to compile
        again = check(problem, ProximalGradient(tol=1e-9, max_iter=20000))
    if problem.convex:
        np.testing.assert_allclose(result.x, again.x, atol=1e-7)
        stays_below_neighbours(problem, result.x)
    else:
        # Coordinate by coordinate no number is better, by brute force.
        grid = np.linspace(-3, 3, 601)
        for j in range(P):
            trial = result.x.copy()
            for t in (*grid, 0.0):
                trial[j] = t
                assert problem.objective(trial) >= result.fun - 1e-12


@pytest.mark.parametrize("name", WHOLE)
def test_penalties_that_do_not_separate(name):
    problem = Composite(losses.LeastSquares(Y), A, WHOLE[name])
    result = check(problem, ProximalGradient(tol=1e-9, max_iter=20000))
    if problem.convex:
        stays_below_neighbours(problem, result.x)
        if problem.penalty.has_conjugate and name != "GroupLasso":  # which has a free group
            assert abs(result.certificate["gap"]) <= 1e-8
    gate = (
        "kkt"
        if name in ("GroupLasso", "GroupMCP", "GroupSCAD", "SparseGroupLasso")
        else "fixed_point"
    )
    assert result.certificate[gate] <= 1e-9
    by_groups = problem.penalty.offers("prox_group")
    assert problem.default_solver == ("working-set-cd" if by_groups else "prox-grad")


@pytest.mark.parametrize("name", LOSSES)
def test_losses(name):
    problem = Composite(LOSSES[name], A, penalties.L1(0.02), fit_intercept=True)
    result = check(problem, WorkingSetCD(tol=1e-9))
    if name == "Poisson":
        again = check(problem, ProximalGradient(tol=1e-8, max_iter=20000))
        assert again.fun == pytest.approx(result.fun, abs=1e-9)
    # Split x = u - v with u, v >= 0 for a method that wants smooth objectives.
    loss = LOSSES[name]

    def smooth(w):
        value, r = loss.value_and_gradient(A @ (w[:P] - w[P:-1]) + w[-1])
        g = A.T @ r
        return value + 0.02 * w[:-1].sum(), np.concatenate([g + 0.02, 0.02 - g, [r.sum()]])

    bounds = [(0, None)] * (2 * P) + [(None, None)]
    peer = minimize(smooth, np.zeros(2 * P + 1), jac=True, bounds=bounds, method="SLSQP",
                    options={"maxiter": 1000, "ftol": 1e-14})  # fmt: skip
    assert result.fun <= peer.fun + 1e-9
    assert peer.fun == pytest.approx(result.fun, abs=1e-6)
    np.testing.assert_allclose(result.x, peer.x[:P] - peer.x[P:-1], atol=1e-3)


def test_orthonormal_columns_have_closed_forms():
    Q = np.linalg.qr(A)[0] * np.sqrt(N)  # curvature 1: x = prox of the correlations
    correlations = Q.T @ Y / N
    for name, penalty in {**SEPARABLE, **WHOLE}.items():
        solver = WorkingSetCD(tol=1e-10) if name in SEPARABLE else ProximalGradient(tol=1e-10)
        result = solver.solve(Composite(losses.LeastSquares(Y), Q, penalty))
        assert result.success, name
        if penalty.convex or name in ("GroupMCP", "GroupSCAD", "L0"):
            np.testing.assert_allclose(
                result.x, penalty.prox(correlations), atol=1e-8, err_msg=name
            )


def test_a_group_without_weight_is_fitted_before_alpha_max():
    penalty = penalties.GroupLasso(1.0, GROUPS, [1.0, 1.0, 0.0, 1.0])
    problem = Composite(losses.LeastSquares(Y), A, penalty)
    null = problem.null_model()
    assert np.flatnonzero(null.w).tolist() == [5]
    largest = problem.alpha_max()
    for factor, groups in ((1 + 1e-9, 0), (1 - 1e-3, 1)):
        sized = penalties.GroupLasso(largest * factor, GROUPS, [1.0, 1.0, 0.0, 1.0])
        x = check(problem.replace(penalty=sized), ProximalGradient(tol=1e-9)).x
        assert sized.group_support(x)[[0, 1, 3]].sum() == groups
