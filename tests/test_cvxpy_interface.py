"""The plug-in for cvxpy: cvxpy's own test problems, duals, bounds, statuses, warm starts."""

import inspect

import numpy as np
import pytest

cp = pytest.importorskip("cvxpy")
helpers = pytest.importorskip("cvxpy.tests.solver_test_helpers")

from numopt.cvxpy_interface import NumoptConic, NumoptLP, NumoptQP  # noqa: E402
from numopt.solvers import ConicSplitting, OperatorSplittingQP  # noqa: E402

pytestmark = pytest.mark.filterwarnings("default")  # cvxpy's own


def standard(cls):
    names = [n for n, _ in inspect.getmembers(cls, inspect.isfunction) if n.startswith("test_")]
    return [name for name in names if "mi_" not in name]  # no integers


def standard_of_cones(cls):
    return [name for name in standard(cls) if "bound_attr" not in name]  # bounds are rows here


@pytest.mark.parametrize("method", ["auto", OperatorSplittingQP(tol=1e-8)], ids=["auto", "admm"])
@pytest.mark.parametrize("name", standard(helpers.StandardTestLPs))
def test_standard_linear_programs(name, method):
    if name == "test_lp_7":  # converts files by that package
        pytest.importorskip("sdpap")
    getattr(helpers.StandardTestLPs, name)(NumoptQP(method))


@pytest.mark.parametrize("method", ["auto", "halpern-pdhg"])
@pytest.mark.parametrize("name", standard(helpers.StandardTestLPs))
def test_standard_linear_programs_by_solvers_of_those(name, method):
    if name == "test_lp_7":
        pytest.importorskip("sdpap")
    getattr(helpers.StandardTestLPs, name)(NumoptLP(method))


def test_linear_programs_with_parameters_start_from_their_last_basis():
    rng = np.random.default_rng(2)
    A, b = rng.random((15, 30)), rng.random(15) + 5
    x, c = cp.Variable(30, nonneg=True), cp.Parameter(30)
    problem = cp.Problem(cp.Maximize(c @ x), [A @ x <= b])
    solver, counts = NumoptLP(presolve=False), []
    for scale in (1.0, 1.001):
        c.value = scale * np.linspace(1, 2, 30)
        value = problem.solve(solver=solver, warm_start=True)
        result = problem.solver_stats.extra_stats
        assert value == pytest.approx(float(c.value @ x.value))
        assert result.certificate.met(1e-8)
        counts.append(result.nit)
    assert counts[1] < counts[0]


def test_quadratic_objectives_are_not_linear():
    x = cp.Variable(2)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x)), [x >= 1])
    with pytest.raises(cp.SolverError, match="objective is quadratic: NumoptQP"):
        problem.solve(solver=NumoptLP())


@pytest.mark.parametrize("method", ["auto", OperatorSplittingQP(tol=1e-8)], ids=["auto", "admm"])
@pytest.mark.parametrize("name", standard(helpers.StandardTestQPs))
def test_standard_quadratic_programs(name, method):
    getattr(helpers.StandardTestQPs, name)(NumoptQP(method))


@pytest.mark.parametrize("method", ["auto", ConicSplitting(tol=1e-9)], ids=["auto", "admm"])
@pytest.mark.parametrize("name", standard(helpers.StandardTestSOCPs))
def test_standard_cone_programs(name, method):
    getattr(helpers.StandardTestSOCPs, name)(NumoptConic(method))


@pytest.mark.parametrize("name", standard_of_cones(helpers.StandardTestLPs))
def test_standard_linear_programs_as_cone_programs(name):
    if name == "test_lp_7":
        pytest.importorskip("sdpap")
    getattr(helpers.StandardTestLPs, name)(NumoptConic())


@pytest.mark.parametrize("name", standard_of_cones(helpers.StandardTestQPs))
def test_standard_quadratic_programs_as_cone_programs(name):
    getattr(helpers.StandardTestQPs, name)(NumoptConic())


def test_duals_are_those_of_the_lagrangian():
    rng = np.random.default_rng(0)
    A, b = rng.standard_normal((3, 6)), rng.standard_normal(3)
    x = cp.Variable(6)
    equal, below = A @ x == b, x[:3] <= 0.1
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x)), [equal, below])
    problem.solve(solver=NumoptQP(tol=1e-10))
    stationary = 2 * x.value + A.T @ equal.dual_value
    stationary[:3] += below.dual_value
    np.testing.assert_allclose(stationary, 0, atol=1e-8)
    assert (below.dual_value >= 0).all()
    np.testing.assert_allclose(below.dual_value * (x.value[:3] - 0.1), 0, atol=1e-8)


def test_infeasible_and_unbounded_are_told_apart():
    x = cp.Variable(2)
    problem = cp.Problem(cp.Minimize(cp.sum(x)), [x >= 1, cp.sum(x) <= 1])
    problem.solve(solver=NumoptQP(OperatorSplittingQP()))
    assert problem.status == cp.INFEASIBLE
    problem = cp.Problem(cp.Minimize(x[0]), [x[1] >= 1])
    problem.solve(solver=NumoptQP(OperatorSplittingQP()))
    assert problem.status == cp.UNBOUNDED


def test_parameters_are_solved_warm_with_one_analysis(monkeypatch):
    from numopt.solvers._parts import qp_model

    built = []
    Analysis = qp_model.Analysis
    monkeypatch.setattr(qp_model, "Analysis", lambda pattern: built.append(1) or Analysis(pattern))
    rng = np.random.default_rng(1)
    M = rng.standard_normal((8, 8))
    x, q = cp.Variable(8, bounds=[0, 1]), cp.Parameter(8)
    problem = cp.Problem(cp.Minimize(cp.sum_squares(M @ x) / 2 + q @ x), [cp.sum(x) == 2])
    solver = NumoptQP(OperatorSplittingQP(tol=1e-9))
    counts = []
    for _ in range(4):
        q.value = 0.1 * rng.standard_normal(8)
        problem.solve(solver=solver, warm_start=True)
        assert problem.status == cp.OPTIMAL
        counts.append(problem.solver_stats.num_iters)
        certificate = problem.solver_stats.extra_stats.certificate
        assert max(certificate.gates.values()) <= 1e-9
    assert len(built) == 1
    assert max(counts[1:]) < counts[0]


@pytest.mark.parametrize("bounds", [None, [0, 1]], ids=["free", "box"])
@pytest.mark.parametrize("kind", ["hinge", "quantile"])
def test_auxiliary_variables_get_no_wrong_bounds(kind, bounds):
    """From an unbounded variable and zeros among the data, cvxpy derives wrong ones."""
    rng = np.random.default_rng(5)
    A = rng.standard_normal((12, 4)) * (rng.random((12, 4)) < 0.7)
    w, offset = cp.Variable(4, bounds=bounds), cp.Variable()
    r = A @ w + offset - rng.standard_normal(12)
    piecewise = cp.pos(1 - r) if kind == "hinge" else cp.maximum(0.9 * r, -0.1 * r)
    problem = cp.Problem(cp.Minimize(cp.sum(piecewise) + cp.sum_squares(w) + offset**2))
    values = [problem.solve(solver=solver) for solver in (NumoptQP(), NumoptConic(), NumoptQP())]
    assert problem.status == cp.OPTIMAL
    np.testing.assert_allclose(values, values[1], rtol=1e-6)
    assert problem.objective.value == pytest.approx(values[1], rel=1e-6)


def test_options_reach_the_solver():
    x = cp.Variable()
    problem = cp.Problem(cp.Minimize(cp.square(x - 3)), [x <= 1])
    problem.solve(solver=NumoptQP(OperatorSplittingQP()), tol=1e-3)
    assert problem.solver_stats.extra_stats.certificate.tol == 1e-3
    with pytest.raises(TypeError, match="no option"):
        problem.solve(solver=NumoptQP(OperatorSplittingQP()), tolerance=1e-3)


def test_duals_of_cones():
    """x of a ball and a half-space: the gradient is made up by the cone's multipliers."""
    rng = np.random.default_rng(2)
    M, c = rng.standard_normal((4, 6)), rng.standard_normal(6)
    x = cp.Variable(6)
    ball, side, equal = cp.SOC(2.0, M @ x), cp.sum(x) <= 0.5, x[0] == 0.1
    problem = cp.Problem(cp.Minimize(cp.sum_squares(x) + c @ x), [ball, side, equal])
    problem.solve(solver=NumoptConic(tol=1e-10))
    t, u = (np.ravel(v) for v in ball.dual_value)
    stationary = 2 * x.value + c - M.T @ u + side.dual_value + equal.dual_value * np.eye(6)[0]
    np.testing.assert_allclose(stationary, 0, atol=1e-7)
    assert np.linalg.norm(u) <= t[0] + 1e-9
    assert t[0] * 2.0 + u @ (M @ x.value) == pytest.approx(0, abs=1e-7)


def test_cone_programs_without_solution():
    x = cp.Variable(3)
    problem = cp.Problem(cp.Minimize(cp.sum(x)), [cp.norm(x) <= 1, x[0] >= 2])
    for method in ("auto", ConicSplitting()):
        problem.solve(solver=NumoptConic(method))
        assert problem.status == cp.INFEASIBLE
    problem = cp.Problem(cp.Minimize(x[1]), [cp.norm(x[1:]) <= x[0] + 1])
    for method in ("auto", ConicSplitting()):
        problem.solve(solver=NumoptConic(method))
        assert problem.status == cp.UNBOUNDED


@pytest.mark.parametrize("method", ["auto", ConicSplitting(tol=1e-8)], ids=["auto", "admm"])
def test_parameters_of_cone_programs_share_one_analysis(method, monkeypatch):
    from numopt.solvers._parts import conic_model

    built = []
    Analysis = conic_model.Analysis
    monkeypatch.setattr(
        conic_model, "Analysis", lambda pattern: built.append(1) or Analysis(pattern)
    )
    rng = np.random.default_rng(3)
    M = rng.standard_normal((12, 6))
    x, g, radius = cp.Variable(6), cp.Parameter(12), cp.Parameter(nonneg=True)
    problem = cp.Problem(cp.Minimize(cp.norm(M @ x - g)), [cp.norm(x) <= radius])
    solver = NumoptConic(method)
    base = rng.standard_normal(12)
    counts = []
    for k in range(4):
        g.value, radius.value = base + 0.01 * rng.standard_normal(12), 0.2 + 0.001 * k
        problem.solve(solver=solver, warm_start=True)
        assert problem.status == cp.OPTIMAL
        assert np.linalg.norm(x.value) == pytest.approx(radius.value, rel=1e-6)
        counts.append(problem.solver_stats.num_iters)
    assert len(built) == 1
    if method != "auto":
        assert max(counts[1:]) < counts[0]
