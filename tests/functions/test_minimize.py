"""`numopt.minimize`: ours where it is ours, SciPy's where it is SciPy's."""

import pickle

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import Bounds, OptimizeWarning, rosen, rosen_der, rosen_hess

import numopt
from numopt import Result, Status, minimize
from numopt.penalties import L0, L1, MCP, SLOPE
from numopt.sets import Box, Simplex
from numopt.solvers import LBFGS, Newton, NonconvexAcceleratedGradient, ProximalGradient

X0 = [-1.2, 1.0]


def squares(x, *centre):
    return float(np.sum((x - np.array(centre or 0.0)) ** 2))


# ---- ours ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("jac", "accuracy"),
    [(rosen_der, 1e-7), (None, 1e-4), ("2-point", 1e-4), ("3-point", 1e-5), ("cs", 1e-7)],
)
def test_default_is_lbfgs(jac, accuracy):
    result = minimize(rosen, X0, jac=jac)
    assert result.success is True and result.status == 0 and result.certificate.kind == "stationary"
    assert result.solver.startswith("LBFGS(")
    np.testing.assert_allclose(result.x, 1, atol=accuracy)
    np.testing.assert_allclose(result.jac, rosen_der(result.x), atol=1e-4)
    assert result.fun == rosen(result.x) and result.nhev == 0
    assert "stationary" in result.message
    same = minimize(rosen, X0, jac=jac, method="lbfgs")
    np.testing.assert_array_equal(same.x, result.x)


def test_counts_are_calls():
    calls = {"fun": 0, "jac": 0}

    def fun(x):
        calls["fun"] += 1
        return rosen(x)

    def jac(x):
        calls["jac"] += 1
        return rosen_der(x)

    result = minimize(fun, X0, jac=jac)
    assert (result.nfev, result.njev) == (calls["fun"], calls["jac"])
    calls["fun"] = 0
    assert minimize(fun, X0).nfev == calls["fun"]
    calls["fun"] = 0
    both = minimize(lambda x: (fun(x), rosen_der(x)), X0, jac=True)
    assert both.nfev == both.njev == calls["fun"]
    np.testing.assert_array_equal(both.x, result.x)


def test_arguments_and_shapes():
    assert minimize(squares, [0, 0], args=(3.0, 4.0)).x == pytest.approx([3, 4], abs=1e-5)
    assert minimize(lambda x, c: (x[0] - c) ** 2, 5, args=2.0).x == pytest.approx([2], abs=1e-5)
    assert minimize(lambda x: x**2, np.array([10.0])).x == pytest.approx([0], abs=1e-5)
    x0 = np.array([7, 7])
    x0.flags.writeable = False
    assert minimize(squares, x0).success and x0.tolist() == [7, 7]
    assert minimize(lambda x: 1.0, []).success


@pytest.mark.parametrize("bounds", [Bounds([2, -1], [5, 1]), [(2, 5), (-1, 1)]])
def test_bounds(bounds):
    result = minimize(squares, [0, 9], bounds=bounds)
    assert result.success and result.x[0] == 2 and abs(result.x[1]) < 1e-5
    fixed = minimize(squares, [0, 9], bounds=[(1, 1), (None, None)])
    assert fixed.x[0] == 1 and np.isnan(fixed.jac[0])  # no difference is taken there, as in SciPy
    exact = minimize(squares, [0, 9], jac=lambda x: 2 * x, bounds=[(1, 1), (None, None)])
    assert exact.jac[0] == 2


def test_inverse_hessian():
    H = np.diag([1.0, 10.0, 100.0])
    result = minimize(lambda x: 0.5 * x @ H @ x, np.ones(3), jac=lambda x: H @ x, tol=1e-12)
    v = np.array([1.0, 2.0, 3.0])
    s, y = result.warm_start["S"][-1], result.warm_start["Y"][-1]
    np.testing.assert_allclose(result.hess_inv @ y, s, rtol=1e-10)  # the secant equation
    assert v @ (result.hess_inv @ v) > 0
    assert minimize(lambda x: 0.0, [1.0], jac=lambda x: 0 * x).hess_inv.matvec(np.ones(1)) == 1


def test_callbacks_by_either_signature():
    seen, shown = [], []

    def old(xk):
        seen.append(xk)

    def new(*, intermediate_result):
        shown.append(intermediate_result)

    result = minimize(rosen, X0, jac=rosen_der, callback=old)
    minimize(rosen, X0, jac=rosen_der, callback=new)
    assert len(seen) == len(shown) == result.nit
    for k, (x, intermediate) in enumerate(zip(seen, shown, strict=True), 1):
        np.testing.assert_array_equal(x, intermediate.x)
        assert intermediate.fun == rosen(x) and intermediate.nit == k
        assert intermediate.certificate["stationarity"] >= 0
    np.testing.assert_array_equal(seen[-1], result.x)
    collected = []
    minimize(rosen, X0, jac=rosen_der, callback=collected.append)
    np.testing.assert_array_equal(collected, seen)


def test_callbacks_stop():
    def raising(xk):
        if rosen(xk) < 1:
            raise StopIteration

    def returning(intermediate_result):
        return intermediate_result.fun < 1

    for callback in (raising, returning):
        result = minimize(rosen, X0, jac=rosen_der, callback=callback)
        assert result.status == 99 and not result.success and rosen(result.x) < 1 and result.nit > 1
    stopped = minimize(rosen, X0, jac=rosen_der, callback=lambda xk: rosen(xk) < np.float64(2.0))
    assert stopped.status == 99 and rosen(stopped.x) < 2.0  # NumPy's True is one
    # What a callback happens to return is no wish to stop.
    assert minimize(rosen, X0, jac=rosen_der, callback=lambda xk: xk).success
    assert minimize(rosen, X0, jac=rosen_der, callback=lambda xk: 1).success


def test_options_under_either_name():
    result = minimize(rosen, X0, jac=rosen_der, tol=1e-3)
    assert result.certificate.tol == 1e-3 and result.solver == "LBFGS(tol=0.001)"
    gtol = minimize(rosen, X0, jac=rosen_der, tol=1e-3, options={"gtol": 1e-5})
    assert gtol.certificate.tol == 1e-5
    with pytest.warns(numopt.ConvergenceWarning, match="max_iter"):
        short = minimize(rosen, X0, jac=rosen_der, options={"maxiter": 5.5, "maxcor": 3})
    assert short.nit == 5 and short.status == 1 and "memory=3" in short.solver
    with pytest.warns(numopt.ConvergenceWarning, match="max_evals"):
        assert minimize(rosen, X0, jac=rosen_der, options={"maxfun": 7}).nfev == 7
    options = {"maxiter": None, "maxfev": np.inf, "disp": False, "time_limit": 60}
    assert minimize(rosen, X0, jac=rosen_der, options=options).success
    assert options == {"maxiter": None, "maxfev": np.inf, "disp": False, "time_limit": 60}
    steps = minimize(squares, [1.0, 2.0], tol=2e-3, options={"finite_diff_rel_step": 1e-3})
    assert steps.x == pytest.approx([-5e-4, -5e-4], abs=2e-3)
    # Forward differences are off by the length of their step, here a long one.
    assert np.abs(steps.jac - 2 * steps.x) == pytest.approx([1e-3, 1e-3], abs=1e-9)
    assert "random_state=3" in minimize(squares, [1.0], random_state=3).solver


def test_solver_objects():
    result = minimize(rosen, X0, jac=rosen_der, method=LBFGS(memory=2), options={"max_iter": 500})
    assert result.solver == "LBFGS(max_iter=500, memory=2)" and result.success
    as_method = scipy.optimize.minimize(rosen, X0, jac=rosen_der, method=LBFGS(memory=2), tol=1e-8)
    assert isinstance(as_method, Result) and as_method.certificate.tol == 1e-8
    np.testing.assert_array_equal(as_method.x, result.x)
    pair = scipy.optimize.minimize(
        lambda x, c: (rosen(x) + c, rosen_der(x)), X0, args=(1.0,), jac=True, method=LBFGS(),
        bounds=[(None, 0.5), (None, None)], callback=lambda xk: None, options={"max_iter": 400},
    )  # fmt: skip
    assert pair.success and pair.x == pytest.approx([0.5, 0.25])
    with pytest.raises(ValueError, match="SLSQP"):
        scipy.optimize.minimize(rosen, X0, method=LBFGS(), constraints={"type": "eq", "fun": rosen})


CHOICES = [
    (dict(), "LBFGS()"),
    (dict(bounds=[(-2, 0.5), (0, 3)]), "LBFGS()"),
    (dict(hess=rosen_hess), "Newton()"),
    (dict(hessp=scipy.optimize.rosen_hess_prod), "Newton()"),
    (dict(hess=rosen_hess, bounds=[(-2, 0.5), (0, 3)]), "Newton()"),
    (dict(penalty=L1(0.3)), "ProximalGradient()"),
    (dict(penalty=L1(0.3), bounds=[(-2, 0.5), (0, 3)]), "ProximalGradient()"),
    (dict(domain=Simplex()), "ProximalGradient()"),
    (dict(domain=Box(-2.0, 0.5), bounds=[(-1, 3), (0, 3)]), "ProximalGradient()"),
    (dict(domain=Simplex(), method="nonconvex-ag"), "NonconvexAcceleratedGradient()"),
    (dict(method="fista"), "ProximalGradient()"),
    (dict(method="prox-grad", bounds=[(-2, 0.5), (0, 3)]), "ProximalGradient()"),
    (dict(method="newton", hess="3-point"), "Newton()"),
]


@pytest.mark.parametrize(("arguments", "solver"), CHOICES)
def test_decision_order(arguments, solver):
    """The method chosen, and an optimum that SciPy's differentiable form of the problem has too."""
    result = minimize(rosen, X0, jac=rosen_der, **arguments)
    assert result.success and result.solver == solver
    best, start = np.inf, {"x0": [0.3, 0.3], "method": "SLSQP", "tol": 1e-12}
    box = arguments.get("bounds") or [(-9, 9)] * 2
    if "penalty" in arguments:  # x = u - v
        split = [(0, max(high, 0)) for _, high in box] + [(0, max(-low, 0)) for low, _ in box]
        found = scipy.optimize.minimize(
            lambda z: rosen(z[:2] - z[2:]) + 0.3 * z.sum(), **{**start, "x0": [0.3] * 4},
            bounds=split,
        )  # fmt: skip
        best = found.fun
    else:
        if isinstance(arguments.get("domain"), Box):
            box = [(-1, 0.5), (0, 0.5)]
        flat = {"type": "eq", "fun": lambda x: x.sum() - 1}
        on_simplex = isinstance(arguments.get("domain"), Simplex)
        limits = {"bounds": [(0, 1)] * 2, "constraints": flat} if on_simplex else {"bounds": box}
        best = scipy.optimize.minimize(rosen, **start, **limits).fun
    assert result.fun == pytest.approx(best, abs=1e-6)
    np.testing.assert_allclose(result.jac, rosen_der(result.x))


def test_penalties_are_those_of_linear_models():
    rng = np.random.default_rng(0)
    A, y = rng.standard_normal((30, 8)), rng.standard_normal(30)
    arguments = {"jac": lambda x: A.T @ (A @ x - y) / 30, "tol": 1e-10}

    def squares(x):
        return (A @ x - y) @ (A @ x - y) / 60

    for penalty in (L1(0.1), MCP(0.1)):
        result = minimize(squares, np.zeros(8), penalty=penalty, **arguments)
        model = numopt.problems.Composite(numopt.losses.LeastSquares(y), A, penalty)
        assert result.fun == pytest.approx(model.objective(result.x), rel=1e-12)
        assert model.certificate(result.x)["kkt"] <= 1e-7
    without = minimize(squares, np.zeros(8), penalty=L1(0.1))
    assert without.success and without.certificate.tol == 1e-5  # differences
    np.testing.assert_allclose(without.x, minimize(squares, np.zeros(8), penalty=L1(0.1),
                                                   **arguments).x, atol=1e-4)  # fmt: skip


def test_penalties_and_sets_with_callbacks_and_scipys_door():
    seen = []
    result = minimize(rosen, X0, jac=rosen_der, penalty=L1(0.3), callback=lambda x: seen.append(x))
    assert len(seen) == result.nit
    options = {"penalty": L1(0.3), "max_iter": 500}
    same = scipy.optimize.minimize(
        rosen, X0, jac=rosen_der, method=ProximalGradient(), options=options
    )
    np.testing.assert_array_equal(same.x, result.x)
    assert same.certificate["kkt"] <= 1e-8
    inside = scipy.optimize.minimize(
        rosen, X0, jac=rosen_der, method=NonconvexAcceleratedGradient(),
        options={"domain": Simplex()},
    )  # fmt: skip
    assert inside.success and inside.x.sum() == pytest.approx(1)
    newton = scipy.optimize.minimize(rosen, X0, jac=rosen_der, hess=rosen_hess, method=Newton())
    assert newton.success and newton.nhev > 0
    limited = {"maxiter": 3}
    with pytest.warns(numopt.ConvergenceWarning, match="max_iter"):
        assert minimize(rosen, X0, jac=rosen_der, domain=Simplex(), options=limited).nit == 3


def test_derivatives_that_are_not_used():
    with pytest.warns(RuntimeWarning, match=r"lbfgs does not use Hessian information \(hess\)"):
        assert minimize(rosen, X0, jac=rosen_der, hess=rosen_hess, method="lbfgs").success
    with pytest.warns(RuntimeWarning, match="hessp"):
        hessp = scipy.optimize.rosen_hess_prod
        minimize(rosen, X0, jac=rosen_der, hessp=hessp, method=LBFGS())
    with pytest.warns(RuntimeWarning, match="prox-grad does not use Hessian information"):
        minimize(rosen, X0, jac=rosen_der, hess=rosen_hess, penalty=L1(5.0))


def test_results_pickle_and_print():
    result = minimize(rosen, X0, jac=rosen_der, bounds=[(0, 3), (0, 3)])
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.x, result.x)
    assert "stationarity" in repr(result) and "hess_inv" in repr(result)
    assert result.to_dict()["nfev"] == result.nfev
    scipys = minimize(rosen, X0, method="COBYLA")
    for shown in (result, scipys, minimize(rosen, X0, method="bfgs")):
        assert repr(shown) and "<table>" in shown._repr_html_()
        assert isinstance(pickle.loads(pickle.dumps(shown)), Result)


WRONG = [
    (dict(fun=3), TypeError, ["fun", "callable"]),
    (dict(x0=np.ones((2, 1))), ValueError, ["'x0' must only have one dimension", "(2, 1)"]),
    (dict(x0=[1.0, np.nan]), ValueError, ["x0", "nan", "index 1"]),
    (dict(x0=["a", "b"]), TypeError, ["x0", "real"]),
    (dict(x0=[1j, 2]), TypeError, ["x0", "complex"]),
    (dict(method="ekki"), ValueError, ["Unknown solver ekki", "lbfgs", "slsqp"]),
    (dict(method="admm"), ValueError, ["'admm'", "Composite", "'lbfgs'", "'newton'"]),
    (dict(method=LBFGS), TypeError, ["class LBFGS", "LBFGS()"]),
    (dict(constraints={"type": "eq", "fun": rosen}), ValueError, ["constraints", "SLSQP"]),
    (dict(constraints=[{"type": "eq", "fun": rosen}], method="lbfgs"), ValueError, ["SLSQP"]),
    (
        dict(constraints={"type": "eq", "fun": rosen}, penalty=L1(1.0), method="prox-grad"),
        ValueError,
        ["constraints", "SLSQP"],
    ),
    (dict(penalty=L1(1.0), domain=Simplex()), ValueError, ["penalty and domain", "bounds"]),
    (dict(penalty=3.0), TypeError, ["penalty", "float", "numopt.penalties"]),
    (dict(penalty=L1), TypeError, ["penalty", "class L1"]),
    (dict(penalty=numopt.losses.LeastSquares([1.0])), TypeError, ["penalty", "LeastSquares"]),
    (dict(penalty=3.0, bounds=[(0, 1)] * 2), TypeError, ["penalty", "float"]),
    (dict(penalty=MCP(1.0), bounds=[(0, 1)] * 2), ValueError, ["bounds", "MCP", "convex"]),
    (dict(penalty=SLOPE(1.0, [2, 1]), bounds=[(0, 1)] * 2), ValueError, ["SLOPE", "separable"]),
    (dict(penalty=L1(1.0, [1, 2, 3])), ValueError, ["x0 has 2 entries, expected 3"]),
    (dict(penalty=L1(1.0), method="lbfgs"), ValueError, ["'lbfgs'", "'prox-grad'", "nonconvex-ag"]),
    (dict(penalty=L1(1.0), method="BFGS"), ValueError, ["penalty", "SciPy", "'BFGS'"]),
    (dict(domain=Simplex(), method="SLSQP"), ValueError, ["domain", "SciPy", "'SLSQP'"]),
    (dict(penalty=L0(1.0), method="nonconvex-ag"), TypeError, ["L0", "prox-grad"]),
    (dict(domain=Simplex()), ValueError, ["domain without jac", "jac='2-point'"]),
    (dict(domain=L1(1.0), jac=rosen_der), TypeError, ["domain", "L1", "penalty="]),
    (dict(domain=(0, 1), jac=rosen_der), TypeError, ["domain", "numopt.sets", "tuple"]),
    (dict(domain=Simplex(), jac=rosen_der, bounds=[(0, 1)] * 2), ValueError, ["Simplex", "Box"]),
    (dict(domain=Simplex(), jac=rosen_der, method="newton"), ValueError, ["'newton'", "domain"]),
    (dict(method="newton", jac=rosen_der), ValueError, ["newton", "hess", "2-point"]),
    (dict(hess="2-point"), ValueError, ["hess", "callable jac"]),
    (dict(jac=rosen_der, hess="exact"), ValueError, ["hess", "exact", "3-point"]),
    (dict(jac=rosen_der, hess=3), ValueError, ["hess", "3"]),
    (dict(jac=rosen_der, hess=scipy.optimize.BFGS()), ValueError, ["BFGS", "trust-constr"]),
    (dict(jac=rosen_der, hessp=3), TypeError, ["hessp", "int"]),
    (dict(jac=rosen_der, hess=lambda x: np.eye(3)), ValueError, ["Hessian", "(3, 3)", "(2, 2)"]),
    (dict(jac=rosen_der, hess=lambda x: 1j * np.eye(2)), TypeError, ["Hessian", "complex"]),
    (
        dict(jac=rosen_der, hess=lambda x: [[1, 2], [3, 4]]),
        ValueError,
        ["not symmetric", "(0, 1) is 2", "(1, 0) is 3"],
    ),
    (dict(jac=rosen_der, hessp=lambda x, p: [1.0]), ValueError, ["hessp", "(1,)", "(2,)"]),
    (dict(bounds=[(0, 1)]), ValueError, ["number of bounds", "1", "2"]),
    (dict(bounds=[(0, 1), (1, 0)]), ValueError, ["less than", "index 1"]),
    (dict(jac="exact"), ValueError, ["jac", "exact"]),
    (dict(tol=-1.0), ValueError, ["tol", "-1"]),
    (dict(options={"max_itre": 3}), TypeError, ["max_itre", "max_iter"]),
    (dict(options={"ftol": 1e-3}), TypeError, ["ftol"]),
    (dict(callback=3), TypeError, ["callback", "int"]),
    (dict(method=3), TypeError, ["method must be a name, a solver or a callable", "3"]),
]


@pytest.mark.parametrize(("wrong", "error", "parts"), WRONG)
def test_wrong_arguments_are_named(wrong, error, parts):
    with pytest.raises(error) as caught:
        minimize(**{"fun": rosen, "x0": X0, **wrong})
    for part in parts:
        assert part in str(caught.value)


# ---- SciPy's -------------------------------------------------------------------------------------

METHODS = [
    "Nelder-Mead", "powell", "CG", "BFGS", "Newton-CG", "L-BFGS-B", "TNC", "COBYLA", "COBYQA",
    "SLSQP", "trust-constr", "dogleg", "trust-ncg", "trust-exact", "trust-krylov",
]  # fmt: skip
DERIVATIVE_FREE = {"Nelder-Mead", "powell", "COBYLA", "COBYQA"}
SECOND_ORDER = {"Newton-CG", "dogleg", "trust-ncg", "trust-exact", "trust-krylov"}


def assert_same(ours, theirs):
    """Every field of SciPy's result, value by value."""
    for name, value in theirs.items():
        if name in ("execution_time", "jac", "constr", "v", "lowest_optimization_result"):
            continue
        if isinstance(value, np.ndarray):
            np.testing.assert_array_equal(ours[name], value)
        elif isinstance(value, (int, float, str, bool)):
            assert ours[name] == value and type(ours[name]) is type(value)


@pytest.mark.parametrize("method", METHODS)
def test_scipys_methods_are_scipys(method):
    calls = []

    def fun(x):
        calls.append(x.copy())
        return rosen(x)

    arguments = {"method": method}
    if method not in DERIVATIVE_FREE:
        arguments["jac"] = rosen_der
    if method in SECOND_ORDER:
        arguments["hess"] = rosen_hess
    theirs = scipy.optimize.minimize(fun, X0, **arguments)
    made, calls = calls, []
    ours = minimize(fun, X0, **arguments)
    np.testing.assert_array_equal(calls, made)
    assert isinstance(ours, Result) and method in ours.solver
    assert_same(ours, theirs)
    if method in DERIVATIVE_FREE | {"Newton-CG", "SLSQP"}:
        assert ours.certificate.kind == "heuristic" and not ours.certificate.gates
    else:
        assert ours.certificate.kind == "stationary"
        assert ours.certificate["stationarity"] == pytest.approx(np.abs(rosen_der(ours.x)).max())
        assert ours.certificate.tol == 1e-5


@pytest.mark.parametrize("method", ["Nelder-Mead", "L-BFGS-B", "TNC", "SLSQP", "trust-constr"])
def test_scipys_methods_with_bounds(method):
    bounds = [(-2, 0.5), (0, 3), (1, 1)]
    bounds = bounds[:2] if method == "trust-constr" else bounds
    x0 = [-1.2, 1.0, 1.0][: len(bounds)]
    arguments = {} if method == "Nelder-Mead" else {"jac": rosen_der}
    theirs = scipy.optimize.minimize(rosen, x0, method=method, bounds=bounds, tol=1e-6, **arguments)
    ours = minimize(rosen, x0, method=method, bounds=bounds, tol=1e-6, **arguments)
    assert_same(ours, theirs)
    certified = method in ("L-BFGS-B", "TNC", "trust-constr")
    assert ours.certificate.kind == ("stationary" if certified else "heuristic")
    if certified:
        problem = numopt.problems.Smooth(rosen, rosen_der, bounds)
        assert ours.verify(problem)["stationarity"] == pytest.approx(
            ours.certificate["stationarity"], abs=1e-7
        )


def test_scipys_methods_with_constraints():
    constraint = {"type": "ineq", "fun": lambda x: 1 - x @ x}
    for method in ("SLSQP", "COBYLA", "trust-constr"):
        ours = minimize(rosen, [0.1, 0.1], method=method, constraints=constraint)
        theirs = scipy.optimize.minimize(rosen, [0.1, 0.1], method=method, constraints=constraint)
        assert_same(ours, theirs)
        assert ours.certificate.kind == "heuristic" and not ours.certificate.gates
    assert "constr_violation" not in minimize(rosen, X0, method="BFGS").certificate
    linear = scipy.optimize.LinearConstraint([[1, 1]], 0, 1)
    ours = minimize(rosen, [0.1, 0.1], method="trust-constr", constraints=linear)
    assert ours.certificate["constr_violation"] == ours.constr_violation


def test_scipys_custom_methods():
    given = {}

    def custom(fun, x0, args=(), **options):
        given.update(options)
        return scipy.optimize.OptimizeResult(x=x0, fun=fun(x0, *args), success=True)

    bounds, constraints = [(0, 1)], "constraints"
    result = minimize(
        squares, [2.0], args=(1.0,), method=custom, bounds=bounds, constraints=constraints,
        tol=0.5, options={"depth": 3},
    )  # fmt: skip
    assert given["bounds"] is bounds and given["constraints"] is constraints
    assert given["tol"] == 0.5 and given["depth"] == 3
    assert isinstance(result, Result) and result.success and result.fun == 1 and repr(result)
    assert result.certificate.kind == "heuristic"
    nothing = minimize(squares, [2.0], method=lambda *args, **options: None)
    assert nothing is None


def test_scipys_errors_and_warnings_are_scipys():
    with pytest.warns(RuntimeWarning, match="does not use gradient information"):
        minimize(rosen, X0, method="powell", jac=rosen_der)
    with pytest.warns(OptimizeWarning, match="Unknown solver options: ekki"):
        minimize(rosen, X0, method="bfgs", options={"ekki": 1})
    with pytest.raises(ValueError, match="Jacobian is required for Newton-CG"):
        minimize(rosen, X0, method="Newton-CG")


def test_scipys_answer_where_all_variables_are_fixed():
    result = minimize(rosen, X0, method="L-BFGS-B", bounds=[(1, 1), (2, 2)])
    assert result.x.tolist() == [1, 2] and result.success and "jac" not in result
    assert result.certificate.kind == "heuristic"


def test_iteration_limit_of_scipy_keeps_its_verdict():
    result = minimize(rosen, X0, method="BFGS", options={"maxiter": 2})
    assert not result.success and result.status == 1 and type(result.status) is int
    assert not isinstance(result.status, Status) and not result.certificate.met(1e-5)
