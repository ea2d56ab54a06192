"""OperatorSplittingQP: optima, active-set finishes, sequences, proofs, derivatives."""

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt import ConvergenceWarning
from numopt.core.result import Status
from numopt.problems import QuadraticProgram
from numopt.solvers import OperatorSplittingQP
from numopt.solvers._parts import qp_model
from tests.helpers.kkt import DATA


def program(seed=0, n=12, m=8, equations=3, **changes):
    rng = np.random.default_rng(seed)
    M = rng.standard_normal((n, n))
    A, x = rng.standard_normal((m, n)), rng.uniform(-0.4, 0.4, n)
    low, high = A @ x - 0.1, A @ x + 0.1
    low[:equations] = high[:equations] = (A @ x)[:equations]
    data = {"P": 0.1 * M @ M.T, "q": rng.standard_normal(n), "A": A, "l": low, "u": high}
    return QuadraticProgram(**{**data, "lb": np.full(n, -0.5), "ub": np.full(n, 0.5), **changes})


def stored(name):
    with np.load(DATA / f"{name}.npz") as d:
        n, m = d["q"].size, d["l"].size
        upper = sp.csc_array((d["Pd"], d["Pi"], d["Pp"]), shape=(n, n))
        A = sp.csc_array((d["Ad"], d["Ai"], d["Ap"]), shape=(m, n))
        sides = [d[key].copy() for key in ("l", "u", "xl", "xu")]
        for side in sides:
            side[side >= 1e20], side[side <= -1e20] = np.inf, -np.inf
        return QuadraticProgram(upper + sp.triu(upper, 1).T, d["q"], A, *sides)


# ---- optima --------------------------------------------------------------------------------------


@pytest.mark.parametrize("polish", [8, 0])
@pytest.mark.parametrize("seed", range(3))
def test_reaches_the_optimum_of_another_method(seed, polish):
    p = program(seed)
    result = OperatorSplittingQP(tol=1e-8, polish=polish).solve(p)
    assert result.success
    A, P = p.A.toarray(), p.P.toarray()
    reference = scipy.optimize.minimize(
        lambda x: x @ P @ x / 2 + p.q @ x, np.zeros(p.size), jac=lambda x: P @ x + p.q,
        bounds=scipy.optimize.Bounds(p.lb, p.ub), method="trust-constr",
        constraints=scipy.optimize.LinearConstraint(A, p.l, p.u),
        options={"gtol": 1e-10, "xtol": 1e-12, "maxiter": 3000},
    )  # fmt: skip
    assert result.fun == pytest.approx(reference.fun, abs=1e-5)
    np.testing.assert_allclose(P @ result.x + p.q + A.T @ result.y + result.z_ub - result.z_lb, 0,
                               atol=1e-6)  # fmt: skip
    assert (result.z_lb >= 0).all() and (result.z_ub >= 0).all()


@pytest.mark.parametrize("name, optimum", [("DUAL1", 3.5012966e-02), ("CVXQP1_S", 1.1590718e04),
                                           ("QAFIRO", -1.5907818)])  # fmt: skip
def test_published_optima(name, optimum):
    result = OperatorSplittingQP(tol=1e-8).solve(stored(name))
    assert result.success
    assert result.fun == pytest.approx(optimum, rel=1e-6)


def test_unconstrained_is_a_linear_system():
    p = program(A=None, l=None, u=None, lb=None, ub=None)
    result = OperatorSplittingQP(tol=1e-10).solve(p)
    np.testing.assert_allclose(result.x, -np.linalg.solve(p.P.toarray(), p.q), rtol=1e-7)


def test_box_of_an_identity_is_a_clip():
    q = np.linspace(-2, 2, 9)
    result = OperatorSplittingQP(tol=1e-10).solve(QuadraticProgram(np.eye(9), q, lb=-1, ub=1))
    np.testing.assert_allclose(result.x, np.clip(-q, -1, 1), atol=1e-9)
    np.testing.assert_allclose(result.z_ub - result.z_lb, -q - np.clip(-q, -1, 1), atol=1e-8)


def test_linear_program():
    rng = np.random.default_rng(1)
    A = rng.random((6, 10))
    p = QuadraticProgram(None, -rng.random(10), A, None, np.ones(6), lb=0)
    result = OperatorSplittingQP(tol=1e-9).solve(p)
    reference = scipy.optimize.linprog(p.q, A, np.ones(6))
    assert result.success and result.fun == pytest.approx(reference.fun, rel=1e-8)


@pytest.mark.parametrize("scale", [1e-6, 1e6])
def test_units_do_not_matter(scale):
    p = program()
    plain = OperatorSplittingQP(tol=1e-9).solve(p)
    other = OperatorSplittingQP(tol=1e-9).solve(p.replace(P=p.P * scale, q=p.q * scale))
    np.testing.assert_allclose(other.x, plain.x, atol=1e-5)


def test_redundant_equations_and_free_rows():
    p = program()
    A = sp.vstack([p.A, p.A[[0]], p.A[[5]]])
    low, high = np.r_[p.l, p.l[0], -np.inf], np.r_[p.u, p.u[0], np.inf]
    result = OperatorSplittingQP().solve(p.replace(A=A, l=low, u=high))
    assert result.success
    assert result.fun == pytest.approx(OperatorSplittingQP().solve(p).fun, rel=1e-7)
    assert result.y[-1] == 0


def test_iterates_are_those_of_the_formulas():
    """Without equilibration to undo: P, C and the cost are scaled already."""
    q, low, high = np.array([0.5, -1.0]), np.array([-1.0, -0.2]), np.array([1.0, 0.3])
    p = QuadraticProgram(np.eye(2), q, np.eye(2), low, high)
    solver = OperatorSplittingQP(rho=0.4, polish=0)
    state = solver.init(p, None, {})
    x, z, y = np.zeros((3, 2))
    for k in range(1, 11):
        solver.advance(p, state, 1)
        K = np.block([[(1 + 1e-6) * np.eye(2), np.eye(2)], [np.eye(2), -np.eye(2) / 0.4]])
        v = np.linalg.solve(K, np.r_[1e-6 * x - q, z - y / 0.4])
        moved = z + 1.6 * (v[2:] - y) / 0.4 + y / 0.4
        x, z = x + 1.6 * (v[:2] - x), np.clip(moved, low, high)
        y = 0.4 * (moved - z)
        parts = p.split(state.latest[0])
        np.testing.assert_allclose(parts["x"], x, atol=1e-9, err_msg=str(k))
        np.testing.assert_allclose(parts["y"], y, atol=1e-9)


# ---- warm starts and sequences -------------------------------------------------------------------


def test_from_the_solution_there_is_nothing_to_do():
    p = program()
    first = OperatorSplittingQP().solve(p)
    assert OperatorSplittingQP().solve(p, warm_start=first).nit <= 1
    assert numopt.solve(p, OperatorSplittingQP(), warm_start=first).nit <= 1
    watched = OperatorSplittingQP().solve(p, warm_start=first, callback=lambda _: None)
    assert watched.nit == 0


def test_a_sequence_takes_one_analysis_and_few_rounds(monkeypatch):
    built = []
    Analysis = qp_model.Analysis
    monkeypatch.setattr(qp_model, "Analysis", lambda pattern: built.append(1) or Analysis(pattern))
    p, rng, result = program(), np.random.default_rng(3), None
    for _ in range(20):
        sibling = p.replace(q=p.q + 0.1 * rng.standard_normal(p.size), u=p.u + 0.01)
        cold = OperatorSplittingQP(tol=1e-9).solve(sibling)
        result = OperatorSplittingQP(tol=1e-9).solve(sibling, warm_start=result or cold)
        assert result.success and result.nit <= 25
        assert result.fun == pytest.approx(cold.fun, rel=1e-8)
    assert len(built) == 1


def test_a_start_that_is_not_finite_is_refused():
    with pytest.raises(ValueError, match="not finite"):
        OperatorSplittingQP().solve(program(), x0=np.full(12, np.nan))


# ---- proofs --------------------------------------------------------------------------------------


def test_infeasible_comes_with_a_farkas_vector():
    p = QuadraticProgram(np.eye(2), np.ones(2), [[1.0, 1.0], [2.0, 2.0]], [3.0, -1.0], [4.0, 2.0])
    result = OperatorSplittingQP().solve(p)
    assert result.status is Status.INFEASIBLE and not result.success
    y, z_lb, z_ub = result.farkas
    np.testing.assert_allclose(p.A.T @ y + z_ub - z_lb, 0, atol=1e-8)
    assert p.u @ np.maximum(y, 0) + p.l @ np.minimum(y, 0) < 0


def test_crossed_sides_are_infeasible_and_named():
    result = OperatorSplittingQP().solve(program().replace(l=np.full(8, 2.0), u=np.full(8, 1.0)))
    assert result.status is Status.INFEASIBLE
    assert "Row 0 has l = 2 > u = 1" in result.message


def test_unbounded_comes_with_a_ray():
    p = QuadraticProgram(np.diag([1.0, 0.0]), [1.0, -1.0], [[1.0, 0.0]], [-1.0], [1.0], lb=-5)
    result = OperatorSplittingQP().solve(p)
    assert result.status is Status.UNBOUNDED
    assert p.q @ result.ray < 0 and np.abs(p.P @ result.ray).max() <= 1e-8
    assert (result.ray >= 0).all()


def test_nonconvex_is_named():
    with pytest.warns(ConvergenceWarning, match="row 1"):
        result = OperatorSplittingQP().solve(QuadraticProgram(np.diag([1.0, -1.0]), [0.0, 1.0]))
    assert result.status is Status.NON_CONVEX


def test_steep_but_bounded_is_not_called_unbounded():
    """A tiny curvature along a steep direction: a ray only to those who look at thresholds."""
    p = QuadraticProgram(np.diag([1e-7, 1.0]), [-1.0, 0.0], lb=[0.0, -1.0])
    result = OperatorSplittingQP(tol=1e-6).solve(p)
    assert result.status is Status.OPTIMAL
    np.testing.assert_allclose(result.x, [1e7, 0.0], rtol=1e-5, atol=1e-6)


# ---- derivatives ---------------------------------------------------------------------------------


def solution(p):
    return OperatorSplittingQP(tol=1e-12).solve(p)


def central(make, value, w, step=1e-6):
    """Derivative of w'x by each entry of an array."""
    out = np.zeros(value.size)
    for k in range(value.size):
        ends = []
        for sign in (1, -1):
            moved = value.copy().ravel()
            moved[k] += sign * step
            ends.append(w @ solution(make(moved.reshape(value.shape))).x)
        out[k] = (ends[0] - ends[1]) / (2 * step)
    return out.reshape(value.shape)


def test_adjoint_agrees_with_finite_differences():
    p = program(4, n=6, m=4, equations=1)
    w = np.random.default_rng(0).standard_normal(6)
    gradients = solution(p).vjp(w)
    assert gradients.unique
    np.testing.assert_allclose(
        gradients.q, central(lambda q: p.replace(q=q), p.q, w), atol=1e-7, rtol=1e-7
    )
    A, P = p.A.toarray(), p.P.toarray()
    np.testing.assert_allclose(
        gradients.A.toarray(), central(lambda a: p.replace(A=a), A, w), atol=1e-7, rtol=1e-6
    )
    symmetric = central(lambda M: p.replace(P=(M + M.T) / 2), P, w)
    np.testing.assert_allclose(gradients.P.toarray(), symmetric, atol=1e-7, rtol=1e-6)
    for name in ("lb", "ub"):
        by_differences = central(lambda b, name=name: p.replace(**{name: b}), getattr(p, name), w)
        np.testing.assert_allclose(getattr(gradients, name), by_differences, atol=1e-7, rtol=1e-6)
    both = central(lambda s: p.replace(l=np.r_[s, p.l[1:]], u=np.r_[s, p.u[1:]]), p.l[:1], w)
    assert gradients.l[0] + gradients.u[0] == pytest.approx(both[0], abs=1e-7)


def test_adjoint_says_where_there_is_no_derivative():
    result = solution(QuadraticProgram([[2.0]], [0.0], lb=0.0))  # at the bound with multiplier 0
    assert not result.vjp([1.0]).unique
    with pytest.raises(ValueError, match="gx has 2 entries, expected 1"):
        result.vjp([1.0, 2.0])
    # Equations that agree as long as nobody moves one of them alone.
    rows = [[1.0], [2.0], [-0.5]]
    result = solution(QuadraticProgram([[2.0]], [1.0], rows, [1.0, 2, -0.5], [1.0, 2, -0.5]))
    assert not result.vjp([1.0]).unique


# ---- wrong arguments -----------------------------------------------------------------------------


@pytest.mark.parametrize("options, message", [
    ({"rho": 0.0}, "rho must be a finite number > 0"), ({"relaxation": 2.0}, "relaxation"),
    ({"polish": -1}, "polish must be >= 0"),
])  # fmt: skip
def test_wrong_options(options, message):
    with pytest.raises(ValueError, match=message):
        OperatorSplittingQP(**options)


@pytest.mark.parametrize("shape", [(0, 0), (1, 0), (1, 1)])
def test_smallest(shape):
    n, m = shape
    p = QuadraticProgram(np.eye(n), np.ones(n), np.ones((m, n)), np.zeros(m), np.ones(m))
    result = numopt.solve(p, OperatorSplittingQP())
    assert result.success
    np.testing.assert_allclose(result.x, [0.0] * n if m else [-1.0] * n, atol=1e-7)
