"""Solvers of conic programs: closed forms, planted verdicts, other solvers, siblings, odd cones."""

import warnings

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import nnls

import numopt
from numopt.problems import ConicProgram, QuadraticProgram
from numopt.solvers import ConicSplitting, InteriorPointConic
from tests.helpers import cones as naive

SOLVERS = [InteriorPointConic(), ConicSplitting()]
both = pytest.mark.parametrize("solver", SOLVERS, ids=lambda solver: solver.name)
VERDICTS = {"solvable": 0, "infeasible": 2, "unbounded": 3}


def norm_program(M, g, **rest):
    """Min |M x - g|, as min t with (t, M x - g) in a cone; t is the last variable."""
    m, n = M.shape
    A = np.zeros((1 + m, n + 1))
    A[0, n], A[1:, :n] = -1.0, -M
    q = np.zeros(n + 1)
    q[n] = 1.0
    b = np.concatenate(([0.0], -g))
    rows = rest.pop("rows", np.zeros((0, n)))
    above = np.hstack((rows, np.zeros((len(rows), 1))))
    return ConicProgram(
        None, q, np.vstack((above, A)), np.concatenate((rest.pop("sides", np.zeros(0)), b)),
        {"nonneg": len(rows), "soc": [1 + m]},
    )  # fmt: skip


def optimal(result, problem, arrays=None):
    assert result.success, result
    y, s = result.y, result.s
    cones = problem.cones._asdict()
    # Certified, and by the naive formulas: slacks and multipliers in the cones, stationarity.
    np.testing.assert_allclose(s, naive.project(s, cones), atol=1e-9 * (1 + np.abs(s).max()))
    top = 1 + np.abs(y).max(initial=0.0)
    np.testing.assert_allclose(y, naive.project(y, cones, dual=True), atol=1e-7 * top)
    gradient = problem.P @ result.x + problem.q + problem.A.T @ y
    scale = 1 + max(np.abs(v).max(initial=0.0) for v in (problem.q, problem.A.T @ y))
    assert np.abs(gradient).max() <= 1.1e-8 * scale
    return result


# ---- closed forms --------------------------------------------------------------------------------


@both
def test_nearest_point_of_a_ball(solver):
    """Min |x - a| with |x - c| <= r lies on the segment from c to a."""
    rng = np.random.default_rng(0)
    a, c, r = rng.standard_normal(4), 5 + rng.standard_normal(4), 1.5
    A = np.zeros((10, 5))
    A[0, 4] = -1.0
    A[1:5, :4], A[6:, :4] = -np.eye(4), -np.eye(4)
    b = np.concatenate(([0.0], -a, [r], -c))
    problem = ConicProgram(None, np.eye(5)[4], A, b, {"soc": [5, 5]})
    result = optimal(solver.solve(problem), problem)
    far = np.linalg.norm(a - c)
    np.testing.assert_allclose(result.x[:4], c + r * (a - c) / far, atol=1e-5)
    assert result.fun == pytest.approx(far - r, abs=1e-6)
    # The first multiplier is (1, unit vector along x - a).
    np.testing.assert_allclose(result.y[0], 1.0, atol=1e-6)
    np.testing.assert_allclose(result.y[1:5], -(c - a) / far, atol=1e-5)


@both
def test_norm_of_a_residual_is_least_squares(solver):
    rng = np.random.default_rng(1)
    M, g = rng.standard_normal((20, 6)), rng.standard_normal(20)
    problem = norm_program(M, g)
    result = optimal(solver.solve(problem), problem)
    x = np.linalg.lstsq(M, g)[0]
    np.testing.assert_allclose(result.x[:6], x, atol=1e-5)
    assert result.fun == pytest.approx(np.linalg.norm(M @ x - g), rel=1e-7)


@both
def test_norm_with_signs_is_nonnegative_least_squares(solver):
    rng = np.random.default_rng(2)
    M, g = rng.standard_normal((15, 8)), rng.standard_normal(15)
    problem = norm_program(M, g, rows=-np.eye(8), sides=np.zeros(8))
    result = optimal(solver.solve(problem), problem)
    x, length = nnls(M, g)
    assert result.fun == pytest.approx(length, rel=1e-7)
    np.testing.assert_allclose(result.x[:8], x, atol=1e-3)


@both
def test_linear_function_on_an_ellipsoid(solver):
    """Min q'x with |L'(x - c)| <= 1 is q'c - |L^{-1} q|."""
    rng = np.random.default_rng(3)
    L = np.tril(rng.standard_normal((5, 5))) + 3 * np.eye(5)
    c, q = rng.standard_normal((2, 5))
    A, b = np.vstack((np.zeros(5), -L.T)), np.concatenate(([1.0], -L.T @ c))
    problem = ConicProgram(None, q, A, b, {"soc": [6]})
    result = optimal(solver.solve(problem), problem)
    assert result.fun == pytest.approx(q @ c - np.linalg.norm(np.linalg.solve(L, q)), rel=1e-7)


@both
def test_quadratic_objective_on_a_cone_is_a_projection(solver):
    rng = np.random.default_rng(4)
    for _ in range(3):
        v = 2 * rng.standard_normal(7)
        problem = ConicProgram(np.eye(7), -v, -np.eye(7), np.zeros(7), {"soc": [7]})
        result = optimal(solver.solve(problem), problem)
        np.testing.assert_allclose(result.x, naive.project_second_order(v), atol=1e-6)


# ---- without second-order cones ------------------------------------------------------------------


@both
@pytest.mark.parametrize("seed", range(3))
def test_without_cones_it_is_a_quadratic_program(solver, seed):
    rng = np.random.default_rng(seed)
    F, A = rng.standard_normal((6, 9)), rng.standard_normal((11, 9))
    b = A @ rng.standard_normal(9) + np.where(np.arange(11) < 3, 0.0, 0.5)
    q = F.T @ rng.standard_normal(6) + A.T @ np.where(np.arange(11) < 3, 0.4, -0.3)
    conic = ConicProgram(F.T @ F, q, A, b, {"zero": 3, "nonneg": 8})
    rows = QuadraticProgram(F.T @ F, q, A, np.where(np.arange(11) < 3, b, -np.inf), b)
    result, other = solver.solve(conic), numopt.solve(rows)
    assert result.success
    assert other.success
    assert result.fun == pytest.approx(other.fun, rel=1e-6, abs=1e-6)
    np.testing.assert_allclose(result.y, other.y, atol=1e-5)


@both
def test_without_rows_it_is_a_linear_system(solver):
    P = np.diag([2.0, 4.0])
    result = solver.solve(ConicProgram(P, [-2.0, 4.0]))
    np.testing.assert_allclose(result.x, [1.0, -1.0], atol=1e-6)
    result = solver.solve(ConicProgram(np.diag([1.0, 0.0]), [0.0, 1.0]))
    assert result.status == 3
    assert solver.solve(ConicProgram(None, [0.0])).success


# ---- planted verdicts ----------------------------------------------------------------------------


@both
@pytest.mark.parametrize("verdict", VERDICTS)
def test_planted_verdicts_are_found(solver, verdict):
    found = []
    for seed in range(30):
        arrays = naive.draw(np.random.default_rng(seed), verdict)
        problem = ConicProgram(**arrays)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = solver.solve(problem)
        assert result.status in (VERDICTS[verdict], 1, 7)  # no wrong claims
        found.append(result.status == VERDICTS[verdict])
        if result.success:
            assert naive.residual(arrays, result.x, result.y) <= 1.01e-8
        elif result.status == 2:
            y, A, b = result.farkas, arrays["A"], arrays["b"]
            np.testing.assert_allclose(y, naive.project(y, arrays["cones"], True), atol=1e-14)
            assert b @ y < 0
            assert np.abs(A.T @ y).max() <= -1e-8 * (b @ y)
        elif result.status == 3:
            d, A, cones = result.ray, arrays["A"], arrays["cones"]
            value = -arrays["q"] @ d
            assert value > 0
            assert np.abs(arrays["P"] @ d).max() <= 1e-8 * value
            s = arrays["b"] - A @ result.x
            np.testing.assert_allclose(s, naive.project(s, cones), atol=1e-5 * (1 + abs(s).max()))
            np.testing.assert_allclose(-A @ d, naive.project(-A @ d, cones), atol=1e-7)
    assert sum(found) >= (30 if type(solver) is InteriorPointConic else 28)


@both
def test_without_a_point_a_ray_is_no_verdict(solver):
    for seed in range(6):
        rng = np.random.default_rng(seed)
        arrays = naive.draw(rng, "infeasible", 24)
        arrays.update(P=None, q=rng.standard_normal(24))  # directions without end, mostly
        result = solver.solve(ConicProgram(**arrays))
        assert result.status == 2
        y = result.farkas
        assert np.abs(arrays["A"].T @ y).max() <= -1e-8 * (arrays["b"] @ y)


def test_both_solvers_agree_with_each_other():
    for seed in range(6):
        problem = ConicProgram(**naive.draw(np.random.default_rng(100 + seed), "solvable"))
        first, second = (numopt.solve(problem, solver) for solver in SOLVERS)
        assert first.fun == pytest.approx(second.fun, rel=1e-6, abs=1e-6)


def test_no_proof_no_verdict():
    """Weakly infeasible: x y >= 1 with y = 0 has no point, but points come near, so no proof."""
    A = np.vstack(([0.0, 1.0], -np.array([[1.0, 1.0], [1.0, -1.0], [0.0, 0.0]])))
    problem = ConicProgram(None, [0.0, 0.0], A, [0.0, 0.0, 0.0, 2.0], {"zero": 1, "soc": [3]})
    for solver in SOLVERS:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = solver.solve(problem, x0=np.zeros(2))
        # Near points count as points as soon as they are within the tolerance.
        if result.status == 2:
            assert problem.check_infeasible(result.farkas).met(1e-8)
        else:
            assert result.success == result.certificate.met(1e-8)


# ---- odd cones and data --------------------------------------------------------------------------


@both
def test_cones_of_size_1_and_2_are_inequalities(solver):
    rng = np.random.default_rng(5)
    F, q = rng.standard_normal((4, 4)), rng.standard_normal(4)
    lines = ConicProgram(F.T @ F, q, -np.eye(4), np.zeros(4), {"nonneg": 4})
    points = ConicProgram(F.T @ F, q, -np.eye(4), np.zeros(4), {"soc": [1] * 4})
    a, b = solver.solve(lines), solver.solve(points)
    np.testing.assert_allclose(a.x, b.x, atol=1e-5)
    np.testing.assert_allclose(a.y, b.y, atol=1e-5)
    # |x_2| <= x_1 is x_1 - x_2 >= 0, x_1 + x_2 >= 0.
    wedge = ConicProgram(F.T @ F, q, -np.eye(4), np.zeros(4), {"soc": [2, 2]})
    T = np.kron(np.eye(2), [[1.0, -1.0], [1.0, 1.0]])
    other = ConicProgram(F.T @ F, q, -T, np.zeros(4), {"nonneg": 4})
    np.testing.assert_allclose(solver.solve(wedge).x, solver.solve(other).x, atol=1e-5)


@both
def test_redundant_equations_and_empty_rows(solver):
    rng = np.random.default_rng(6)
    M, g = rng.standard_normal((8, 4)), rng.standard_normal(8)
    plain = norm_program(M, g)
    e = np.array([1.0, 1.0, 0.0, 0.0, 0.0])
    A = np.vstack((e, 2 * e, 0 * e, -e, 0 * e, plain.A.toarray()))
    b = np.concatenate(([1.0, 2.0, 0.0, 5.0, 3.0], plain.b))
    problem = ConicProgram(None, plain.q, sp.csr_array(A), b, {"zero": 3, "nonneg": 2, "soc": [9]})
    result = optimal(solver.solve(problem), problem)
    assert result.x[0] + result.x[1] == pytest.approx(1.0, abs=1e-7)
    N = np.array([[1.0, -1.0, 0, 0], [0, 0, 1, 0], [0, 0, 0, 1]]).T
    x0 = np.array([0.5, 0.5, 0, 0])
    least = np.linalg.lstsq(M @ N, g - M @ x0)[0]
    assert result.fun == pytest.approx(np.linalg.norm(M @ (x0 + N @ least) - g), rel=1e-7)


@pytest.mark.parametrize("power", [-3, 3])
@both
def test_units_of_the_point(solver, power):
    """x in other units: P, q and A change with it, and nothing else."""
    problem = ConicProgram(**naive.draw(np.random.default_rng(7), "solvable", 10))
    unit = 10.0**power
    other = ConicProgram(
        problem.P * unit**2, problem.q * unit, problem.A * unit, problem.b, problem.cones._asdict()
    )
    expected, result = solver.solve(problem), solver.solve(other)
    assert expected.success
    assert result.success
    assert result.fun == pytest.approx(expected.fun, rel=1e-6, abs=1e-6)


@pytest.mark.parametrize("verdict", VERDICTS)
def test_units_apart_by_many_orders_of_magnitude(verdict):
    """Columns, sides and objective each in units of their own: no wrong claim, few without one."""
    found = 0
    for seed in range(20):
        rng = np.random.default_rng(10_000 + seed)
        arrays = naive.draw(rng, verdict)
        unit, side, cost = (
            10.0 ** rng.uniform(-4, 4, arrays["q"].size),
            *10.0 ** rng.uniform(-5, 5, 2),
        )
        problem = ConicProgram(
            P=unit[:, None] * arrays["P"] * unit * cost,
            q=unit * arrays["q"] * cost * side,
            A=arrays["A"] * unit,
            b=arrays["b"] * side,
            cones=arrays["cones"],
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = InteriorPointConic().solve(problem)
        assert result.status in (VERDICTS[verdict], 1, 7)
        found += result.status == VERDICTS[verdict]
    assert found >= (20 if verdict == "solvable" else 16)


@both
def test_a_p_that_is_not_convex_is_named(solver):
    problem = ConicProgram(np.diag([1.0, -1.0]), [0.0, 0.0], -np.eye(2), [0, 0], {"soc": [2]})
    with pytest.warns(numopt.ConvergenceWarning, match="row 1"):
        result = solver.solve(problem)
    assert result.status == 6
    assert not result.success


@both
def test_starts_that_are_not_finite_are_refused_or_of_no_use(solver):
    problem = ConicProgram(None, [1.0], [[-1.0]], [0.0], {"nonneg": 1})
    with pytest.raises(ValueError, match=r"x0 has shape \(2,\), expected \(1,\)"):
        solver.solve(problem, x0=np.zeros(2))
    if type(solver) is ConicSplitting:
        with pytest.raises(ValueError, match="the start has entries that are not finite"):
            solver.solve(problem, x0=np.array([np.nan]))
    else:
        assert solver.solve(problem, x0=np.array([np.nan])).success


@pytest.mark.parametrize(
    "options", [{"relaxation": 2.0}, {"relaxation": 0.0}, {"rho": -1.0}, {"rho": np.nan}]
)
def test_bad_options(options):
    (name,) = options
    with pytest.raises(ValueError, match=name):
        ConicSplitting(**options)
    with pytest.raises(TypeError, match="memory"):
        ConicSplitting(memory=1.5)


# ---- related programs ----------------------------------------------------------------------------


@both
def test_siblings_are_analysed_once(solver, monkeypatch):
    from numopt.solvers._parts import conic_model

    built = []
    Analysis = conic_model.Analysis
    monkeypatch.setattr(conic_model, "Analysis", lambda *a: built.append(1) or Analysis(*a))
    rng = np.random.default_rng(8)
    problem = ConicProgram(**naive.draw(rng, "solvable", 15))
    before = solver.solve(problem)
    for _ in range(3):
        other = problem.replace(q=problem.q * (1 + 1e-3 * rng.standard_normal(problem.size)))
        result = solver.solve(other, warm_start=before)
        assert result.success
        fresh = ConicProgram(other.P, other.q, other.A, other.b, problem.cones)
        built_before = len(built)
        expected = InteriorPointConic().solve(fresh)
        del built[built_before:]
        assert result.fun == pytest.approx(expected.fun, rel=1e-6, abs=1e-7)
    assert len(built) == 1


def test_other_entries_in_the_same_places_need_no_analysis(monkeypatch):
    from numopt.solvers._parts import conic_model

    built = []
    Analysis = conic_model.Analysis
    monkeypatch.setattr(conic_model, "Analysis", lambda *a: built.append(1) or Analysis(*a))
    problem = ConicProgram(**naive.draw(np.random.default_rng(11), "solvable", 15))
    dense = problem.A.toarray()
    for factor, count in ((1.0, 1), (1.1, 1), (0.0, 2)):  # zeros are not stored
        A = dense * np.where(np.arange(15), 1.0, factor)
        b = A @ np.ones(15) + problem.slack(np.ones(15))
        other = problem.replace(A=A, b=b, P=problem.P + np.eye(15))
        result = InteriorPointConic().solve(other)
        assert len(built) == count
        fresh = ConicProgram(other.P, other.q, A, b, problem.cones._asdict())
        assert result.fun == pytest.approx(InteriorPointConic().solve(fresh).fun, rel=1e-6)
        del built[-1:]


def test_warm_splitting_factors_nothing(monkeypatch):
    """Neither the second solve of a problem nor one of a sibling: penalties stay where they are."""
    from numopt.solvers._parts import conic_model

    restored = []
    restore = conic_model.Prepared.restore
    monkeypatch.setattr(
        conic_model.Prepared,
        "restore",
        lambda self, *a: restored.append(restore(self, *a)) or restored[-1],
    )
    rng = np.random.default_rng(9)
    M, g = rng.standard_normal((12, 5)), rng.standard_normal(12)
    problem = norm_program(M, g)
    first = ConicSplitting().solve(problem)
    second = ConicSplitting().solve(problem.replace(b=problem.b * 1.001), warm_start=first)
    assert second.success
    assert restored == [False, True]
    assert second.nit < first.nit


def test_extrapolation_saves_iterations_and_changes_nothing():
    rng = np.random.default_rng(10)
    M, g = rng.standard_normal((20, 12)), rng.standard_normal(20)
    problem = norm_program(M, g, rows=-np.eye(12), sides=np.zeros(12))
    plain, fast = (ConicSplitting(memory=k).solve(problem) for k in (0, 10))
    assert plain.success
    assert fast.success
    assert fast.nit < plain.nit
    assert fast.fun == pytest.approx(plain.fun, rel=1e-7)


def test_large_cones_stay_sparse():
    """One cone over all variables: the factor takes entries in proportion to n, not to n^2."""
    from numopt.solvers._parts.conic_model import prepare

    n = 300
    A = sp.vstack((sp.csr_array((1, n)), -sp.eye_array(n)))
    b = np.concatenate(([1.0], np.zeros(n)))
    problem = ConicProgram(sp.eye_array(n), -np.ones(n), A, b, {"soc": [n + 1]})
    result = optimal(InteriorPointConic().solve(problem), problem)
    np.testing.assert_allclose(result.x, n**-0.5, atol=1e-7)
    assert prepare(problem).analysis.nnz < 10 * n


FAR = {  # solvable, with solutions some 1e9 away, where the small entries decide
    "curvature": ([[1.0, 0.0], [0.0, 1e-9]], [1.0, -1.0], -np.eye(2), [0.0, 0.0], {"nonneg": 2}),
    "cone": (np.diag([1e-9, 1.0, 1.0]), [-1.0, 0, 0], -np.eye(3), np.zeros(3), {"soc": [3]}),
    "slope": (None, [-1.0, 0.0], [[1e-9, -1.0], [0, 1], [-1, 0], [0, -1]], [1.0, 5, 0, 0],
              {"nonneg": 4}),
    "row": (np.eye(2), [1.0, 0.0], [[-1e-9, -1.0], [0, 1]], [-1.0, 0], {"nonneg": 2}),
    "equations": (np.eye(2), [1.0, 0.0], [[1.0, 1.0], [1.0, 1 + 1e-9]], [0.0, 1.0], {"zero": 2}),
}  # fmt: skip


@pytest.mark.parametrize("solver", [InteriorPointConic(), ConicSplitting(max_iter=2000)])
@pytest.mark.parametrize("name", FAR)
def test_small_entries_are_no_rounding(name, solver):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        result = solver.solve(ConicProgram(*FAR[name]))
    assert result.status not in (2, 3), result
