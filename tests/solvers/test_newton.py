"""Regularised Newton: the steps, the forms of a Hessian, bounds, saddle points, trouble."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
from benchmarks.bench_minimize import CASES, counted
from scipy.optimize import rosen, rosen_der, rosen_hess, rosen_hess_prod
from scipy.sparse.linalg import LinearOperator, aslinearoperator

import numopt
from numopt.problems import Smooth
from numopt.solvers import LBFGS, Newton
from numopt.solvers._parts.newton_models import Dense, Krylov, Sparse

START = np.array([-1.2, 1.0, 0.3, 0.8, -0.5])


def symmetric(n, seed, least):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (Q * np.linspace(least, 3.0, n)) @ Q.T, rng.standard_normal(n)


# ---- steps ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("least", [0.5, -1.0])
@pytest.mark.parametrize("held", [(), (1, 4)])
def test_step_solves_the_shifted_system(least, held):
    H, g = symmetric(8, 0, least)
    H = 0.5 * (H + H.T)
    free = ~np.isin(np.arange(8), held)
    lowest = np.linalg.eigvalsh(H[np.ix_(free, free)])[0]
    for model in (
        Dense(H, g, free),
        Sparse(sp.csc_array(H), g, free, None),
        Krylov(aslinearoperator(H), g, free),
    ):
        if isinstance(model, Krylov):
            model.accuracy = 0.0  # to the last vector
        for r in (0.1, 2.0, 30.0, 0.3):
            d, shifted = model.step(r)
            assert not d[~free].any()
            residual = (H @ d)[free] + shifted * d[free] + g[free]
            np.testing.assert_allclose(residual, 0, atol=1e-10)
            assert shifted >= r and shifted + lowest > 0
            if lowest > 0:
                assert shifted == r


def test_krylov_steps_are_as_good_as_the_residual_says():
    H, g = symmetric(60, 1, 0.01)
    products = []
    operator = LinearOperator((60, 60), matvec=lambda p: products.append(0) or H @ p)
    model = Krylov(operator, g, np.ones(60, bool))
    d, _ = model.step(0.05)
    assert np.linalg.norm(H @ d + 0.05 * d + g) <= 1.01 * model.accuracy * np.linalg.norm(g)
    count = len(products)
    model.step(0.2)  # a stronger regularisation needs no more of them
    assert count == len(products) < 30


def test_sparse_factors_are_analysed_once():
    def hess(x):
        return sp.csr_array(
            np.diag(12 * x**2 + 1.0) + np.diag(np.ones(4), 1) + np.diag(np.ones(4), -1)
        )

    def jac(x):
        return 4 * x**3 + x + np.append(x[1:], 0) + np.append(0, x[:-1])

    def fun(x):
        return np.sum(x**4) + x @ x / 2 + x[1:] @ x[:-1]

    solver, problem = Newton(), Smooth(fun, jac, hess=hess)
    state = solver.init(problem, START, {})
    for _ in range(12):
        _, code = solver.advance(problem, state, 1)
        solver.evaluate(problem, state)
    assert state.models[1].ldl.analyses == 1 and state.models[1].ldl.factorizations > 3
    assert code >= 0 and solver.solve(problem, START).success


# ---- answers -------------------------------------------------------------------------------------

FORMS = {
    "dense": {"hess": rosen_hess},
    "lists": {"hess": lambda x: rosen_hess(x).tolist()},
    "csr": {"hess": lambda x: sp.csr_array(rosen_hess(x))},
    "coo": {"hess": lambda x: sp.coo_matrix(rosen_hess(x))},
    "operator": {"hess": lambda x: aslinearoperator(rosen_hess(x))},
    "products": {"hessp": rosen_hess_prod},
    "2-point": {"hess": "2-point"},
    "3-point": {"hess": "3-point"},
    "cs": {"hess": "cs"},
}


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("bounds", [None, [(None, 0.5), (0.2, None), (-3, 3), (0.1, 0.1), (-2, 2)]])
def test_every_form_of_a_hessian(form, bounds):
    result = numopt.minimize(rosen, START, jac=rosen_der, bounds=bounds, **FORMS[form])
    assert result.success and result.solver == "Newton()"
    assert set(result.certificate.gates) == {"stationarity", "curvature"}
    best = numopt.minimize(rosen, result.x, jac=rosen_der, bounds=bounds)
    assert result.fun == pytest.approx(best.fun, abs=1e-12)
    np.testing.assert_allclose(result.x, best.x, atol=1e-6)
    if bounds is not None:
        assert result.x[0] <= 0.5 and result.x[3] == 0.1
        reference = scipy.optimize.minimize(
            rosen, START, jac=rosen_der, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-15}
        )
        assert result.fun <= reference.fun + 1e-8


def test_quadratics_take_a_few_steps():
    H, g = symmetric(30, 3, 0.1)
    result = numopt.minimize(
        lambda x: x @ H @ x / 2 + g @ x, np.zeros(30), jac=lambda x: H @ x + g, hess=lambda x: H
    )
    assert result.success and result.nit <= 5
    np.testing.assert_allclose(result.x, np.linalg.solve(H, -g), atol=1e-7)
    assert result.nhev == result.nit + 1 and result.nfev == result.njev


def test_convergence_is_faster_than_linear():
    result = Newton(tol=1e-13).solve(Smooth(rosen, rosen_der, hess=rosen_hess), START)
    last = result.history["stationarity"][-4:]
    assert last[-1] < 1e-3 * last[-2] and last[-2] < 1e-1 * last[-3]


def test_as_few_calls_as_the_best_of_scipys():
    ours = sum(counted(case, "newton")[0] for case in CASES if not case.startswith("rosen 100"))
    theirs = sum(
        counted(case, "trust-exact")[0] for case in CASES if not case.startswith("rosen 100")
    )
    assert ours <= 1.1 * theirs


@pytest.mark.parametrize("seed", range(6))
def test_concave_quadratics_in_boxes_end_in_corners(seed):
    H, g = symmetric(6, seed, -4.0)
    problem = Smooth(
        lambda x: x @ H @ x / 2 + g @ x, lambda x: H @ x + g, [(-1, 1.5)] * 6, hess=lambda x: H
    )
    result = Newton().solve(problem, np.full(6, 0.1))
    assert result.success
    x, slope = result.x, H @ result.x + g
    inside = (x > -1) & (x < 1.5)
    assert np.abs(slope[inside]).max(initial=0.0) < 1e-6
    assert (slope[x == -1] > -1e-6).all() and (slope[x == 1.5] < 1e-6).all()
    assert np.linalg.eigvalsh(H[np.ix_(inside, inside)]).min(initial=1.0) > -1e-3
    assert result.fun <= LBFGS().solve(problem, np.full(6, 0.1)).fun + 1.0


# ---- saddle points -------------------------------------------------------------------------------


def saddle(x):
    return x[0] ** 2 - x[1] ** 2 + x[1] ** 4 / 4


def saddle_gradient(x):
    return np.array([2 * x[0], -2 * x[1] + x[1] ** 3])


def saddle_hessian(x):
    return np.diag([2.0, -2 + 3 * x[1] ** 2])


SADDLE_FORMS = {
    "dense": {"hess": saddle_hessian},
    "sparse": {"hess": lambda x: sp.csc_array(saddle_hessian(x))},
    "products": {"hessp": lambda x, p: saddle_hessian(x) @ p},
}


@pytest.mark.parametrize("form", SADDLE_FORMS)
@pytest.mark.parametrize("start", [(0.0, 0.0), (1.0, 0.0), (1e-12, 1e-13)])
def test_saddle_points_are_left(form, start):
    second = SADDLE_FORMS[form]
    result = numopt.minimize(saddle, start, jac=saddle_gradient, **second)
    assert result.success and result.fun == pytest.approx(-1)
    np.testing.assert_allclose(np.abs(result.x), [0, 2**0.5], atol=1e-6)
    assert numopt.minimize(saddle, (0.0, 0.0), jac=saddle_gradient).fun == 0  # L-BFGS stays
    held = numopt.minimize(saddle, start, jac=saddle_gradient, bounds=[(-1, 1), (0, 0)], **second)
    assert held.success and held.x[1] == 0


def test_certificate_tells_a_saddle_from_a_minimum():
    at_saddle = Smooth(saddle, saddle_gradient, hess=saddle_hessian).certificate([0.0, 0.0])
    assert at_saddle["stationarity"] == 0 and at_saddle["curvature"] == pytest.approx(1)
    assert not at_saddle.met(1e-8)
    minimum = Smooth(saddle, saddle_gradient, hess=saddle_hessian).certificate([0.0, 2**0.5])
    assert minimum["curvature"] == 0 and minimum.met(1e-8)
    by_products = Smooth(saddle, saddle_gradient, **SADDLE_FORMS["products"])
    assert by_products.certificate([0.0, 0.0])["curvature"] == pytest.approx(1)
    bound = Smooth(saddle, saddle_gradient, [(-1, 1), (0, 5)], hess=saddle_hessian)
    assert bound.certificate([0.0, 0.0])["curvature"] == 0  # the variable is at its bound


# ---- trouble -------------------------------------------------------------------------------------


def quiet(*args, **options):
    with pytest.warns(numopt.ConvergenceWarning):
        return numopt.minimize(*args, **options)


def test_unbounded_functions_diverge():
    result = quiet(
        lambda x: -(x @ x), [1.0, 2.0], jac=lambda x: -2 * x, hess=lambda x: -2 * np.eye(2)
    )
    assert result.status == 10 and not result.success and result.fun < -1e30
    linear = quiet(lambda x: x.sum(), [1.0], jac=np.ones_like, hess=lambda x: np.zeros((1, 1)))
    assert linear.status == 10


def test_no_number_at_the_start_or_beyond():
    result = quiet(lambda x: np.nan, [1.0], jac=lambda x: x, hess=lambda x: np.eye(1))
    assert result.status == 4 and "inside its domain" in result.message
    inside = numopt.minimize(
        lambda x: x[0] - np.log(x[0]) if x[0] > 0 else np.nan, [3.0],
        jac=lambda x: 1 - 1 / x, hess=lambda x: np.array([[1 / x[0] ** 2]]), tol=1e-12,
    )  # fmt: skip
    assert inside.success and inside.x[0] == pytest.approx(1)


@pytest.mark.parametrize(
    "second",
    [
        {"hess": lambda x: np.full((5, 5), np.nan)},
        {"hessp": lambda x, p: np.full(5, np.nan)},
        {"hess": lambda x: sp.csc_array(np.full((5, 5), np.inf))},
    ],
)
def test_hessians_without_numbers_end_the_run(second):
    result = quiet(rosen, START, jac=rosen_der, **second)
    assert not result.success and result.status in (4, 7) and np.isfinite(result.x).all()


def test_wrong_hessians_cost_time_not_truth():
    result = quiet(rosen, START, jac=rosen_der, hess=lambda x: -np.eye(5), options={"maxiter": 60})
    assert not result.success and result.fun < rosen(START)
    # At a minimum, with a Hessian that calls it a saddle point: the way out does not exist.
    result = quiet(lambda x: x @ x, [3.0, 4.0], jac=lambda x: 2 * x, hess=lambda x: -np.eye(2))
    assert result.status == 7 and np.abs(result.x).max() < 1e-8 and result.nfev < 1000
    scaled = numopt.minimize(rosen, START, jac=rosen_der, hess=lambda x: 3 * rosen_hess(x))
    assert scaled.success and scaled.certificate["stationarity"] <= 1e-8


def test_limits_and_callbacks():
    seen = []
    result = numopt.minimize(
        rosen, START, jac=rosen_der, hess=rosen_hess, callback=lambda xk: seen.append(rosen(xk))
    )
    assert len(seen) == result.nit and (np.diff([rosen(START), *seen]) <= 0).all()
    short = quiet(rosen, START, jac=rosen_der, hess=rosen_hess, options={"maxfun": 4})
    assert short.nfev in (4, 5) and short.status == 1 and "max_evals" in short.message
    assert quiet(rosen, START, jac=rosen_der, hess=rosen_hess, options={"maxiter": 3}).nit == 3
    # Also at a saddle point, where the gradient alone is good enough.
    saddle = quiet(
        lambda x: x[0] ** 2 - x[1] ** 2, [0.0, 0.0], jac=lambda x: np.array([2 * x[0], -2 * x[1]]),
        hess=lambda x: np.diag([2.0, -2.0]), options={"maxfun": 1},
    )  # fmt: skip
    assert saddle.status == 1 and saddle.nfev == 1
    with pytest.raises(ValueError, match="max_evals must be >= 1"):
        Newton(max_evals=0)
    with pytest.raises(ValueError, match="x0 is needed"):
        Newton().solve(Smooth(rosen, rosen_der, hess=rosen_hess))


def test_counts_are_calls():
    calls = dict.fromkeys(("fun", "jac", "hess"), 0)

    def counting(name, call):
        def counted(x):
            calls[name] += 1
            return call(x)

        return counted

    result = numopt.minimize(
        counting("fun", rosen), START, jac=counting("jac", rosen_der),
        hess=counting("hess", rosen_hess),
    )  # fmt: skip
    assert (result.nfev, result.njev, result.nhev) == tuple(calls.values())


def test_default_where_there_are_second_derivatives():
    assert numopt.solve(Smooth(rosen, rosen_der, hess=rosen_hess), x0=START).solver == "Newton()"
    assert numopt.solve(Smooth(rosen, rosen_der), x0=START).solver == "LBFGS()"
    # The certificate asks for more than L-BFGS looks at.
    problem = Smooth(saddle, saddle_gradient, hess=saddle_hessian)
    with pytest.warns(numopt.ConvergenceWarning, match="curvature"):
        assert numopt.solve(problem, "lbfgs", x0=[0.0, 0.0]).status == 7


def test_no_variables():
    assert numopt.minimize(lambda x: 1.0, [], jac=lambda x: x, hess=lambda x: np.eye(0)).success
