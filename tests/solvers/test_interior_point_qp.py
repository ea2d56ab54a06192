"""InteriorPointQP: the shared test set, hard data, proofs, and what presolve must not change."""

from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.problems import QuadraticProgram
from numopt.solvers import InteriorPointQP, OperatorSplittingQP

DATA = Path(__file__).parents[1] / "data"
OPTIMA = {
    "QAFIRO": -1.5907817939,
    "CVXQP1_S": 11590.718119,
    "DUAL1": 0.035012965733,
    "QSHARE2B": 11703.691722,
}


def stored(name):
    """A problem of tests/data, and the constant of its objective."""
    with np.load(DATA / f"{name}.npz") as d:
        n, m = d["q"].size, d["l"].size
        upper = sp.csc_array((d["Pd"], d["Pi"], d["Pp"]), shape=(n, n))
        A = sp.csc_array((d["Ad"], d["Ai"], d["Ap"]), shape=(m, n))
        P = upper + sp.triu(upper, 1).T
        return QuadraticProgram(P, d["q"], A, d["l"], d["u"], d["xl"], d["xu"]), float(d["r"])


@pytest.mark.parametrize("presolve", [True, False])
@pytest.mark.parametrize("name", OPTIMA)
def test_published_problems_to_1e_9(name, presolve):
    problem, constant = stored(name)
    result = InteriorPointQP(tol=1e-9, presolve=presolve).solve(problem)
    assert result.success
    assert result.fun + constant == pytest.approx(OPTIMA[name], rel=1e-8, abs=2e-9)
    assert result.nit <= 40


def test_unconstrained_is_a_linear_system():
    rng = np.random.default_rng(0)
    F = rng.standard_normal((30, 20))
    q = rng.standard_normal(20)
    result = InteriorPointQP(tol=1e-12).solve(QuadraticProgram(F.T @ F, q))
    np.testing.assert_allclose(result.x, -np.linalg.solve(F.T @ F, q), rtol=1e-9)


def test_equations_are_a_linear_system():
    rng = np.random.default_rng(1)
    F, A = rng.standard_normal((25, 12)), rng.standard_normal((5, 12))
    P, q, b = F.T @ F, rng.standard_normal(12), rng.standard_normal(5)
    result = InteriorPointQP(tol=1e-11).solve(QuadraticProgram(P, q, A, b, b))
    K = np.block([[P, A.T], [A, np.zeros((5, 5))]])
    expected = np.linalg.solve(K, np.concatenate([-q, b]))
    np.testing.assert_allclose(np.concatenate([result.x, result.y]), expected, atol=1e-8)


def test_projection_on_a_box_and_a_simplex():
    rng = np.random.default_rng(2)
    v = 2 * rng.standard_normal(50)
    box = InteriorPointQP(tol=1e-11).solve(QuadraticProgram(np.eye(50), -v, lb=-1, ub=1))
    np.testing.assert_allclose(box.x, np.clip(v, -1, 1), atol=1e-8)
    np.testing.assert_allclose(box.z_ub, np.maximum(v - 1, 0), atol=1e-8)
    np.testing.assert_allclose(box.z_lb, np.maximum(-1 - v, 0), atol=1e-8)
    problem = QuadraticProgram(np.eye(50), -v, np.ones((1, 50)), 1, 1, lb=0)
    simplex = InteriorPointQP(tol=1e-11).solve(problem)
    expected = numopt.sets.Simplex().project(v)
    np.testing.assert_allclose(simplex.x, expected, atol=1e-8)


def test_dense_columns_and_rows():
    """A row over all variables and a variable in all rows do not fill the factor."""
    n = 2000
    A = sp.vstack(
        [
            np.ones((1, n)),
            sp.eye_array(n - 1, n)
            + sp.csr_array(
                (np.ones(n - 1), (np.arange(n - 1), np.full(n - 1, n - 1))), shape=(n - 1, n)
            ),
        ]
    )
    q = np.linspace(-1, 1, n)
    problem = QuadraticProgram(
        sp.eye_array(n), q, A, np.append(1.0, np.zeros(n - 1)), one_equation(n)
    )
    result = InteriorPointQP(tol=1e-9).solve(problem)
    assert result.success


def one_equation(n):
    """Upper sides: an equation, then none."""
    return np.append(1.0, np.full(n - 1, np.inf))


@pytest.mark.parametrize("factor", [1e-8, 1e-3, 1e5, 1e10])
def test_units_of_the_objective(factor):
    problem, _ = stored("CVXQP1_S")
    scaled = problem.replace(P=factor * problem.P, q=factor * problem.q)
    result = InteriorPointQP().solve(scaled)
    assert result.success
    if factor >= 1:
        expected = InteriorPointQP().solve(problem)
        assert result.fun / factor == pytest.approx(expected.fun, rel=1e-6)


def test_redundant_equations_do_no_harm():
    rng = np.random.default_rng(3)
    A = rng.standard_normal((8, 20))
    A = np.vstack([A, A[:3] + A[3:6], 0.5 * A[0]])
    b = A @ rng.random(20)
    problem = QuadraticProgram(np.eye(20), rng.standard_normal(20), A, b, b, lb=0)
    for presolve in (True, False):
        assert InteriorPointQP(tol=1e-9, presolve=presolve).solve(problem).success


def test_huge_bounds_are_as_good_as_none():
    problem, constant = stored("QAFIRO")
    ub = np.where(np.isinf(problem.ub), 1e20, problem.ub)
    result = InteriorPointQP().solve(problem.replace(ub=ub))
    assert result.success
    assert result.fun + constant == pytest.approx(OPTIMA["QAFIRO"], rel=1e-6)


def test_tiny_products_are_not_infeasible():
    """A bound near 0 in other units than the rest: feasible, and said to be."""
    A = np.array([[1e-6, 1.0], [1.0, 1e6]])
    problem = QuadraticProgram(np.eye(2), [0.0, 1.0], A, [1e-9, 0], [2e-9, 1e3], lb=[0, -1e-9])
    assert InteriorPointQP().solve(problem).success


def test_sequences_share_the_analysis():
    problem, _ = stored("DUAL1")
    solver = InteriorPointQP()
    first = solver.solve(problem)
    sibling = problem.replace(q=problem.q + 0.01)
    assert solver.solve(sibling).success
    assert sibling._memo["kkt"][1] is problem._memo["kkt"][1]
    assert len(problem._memo["kkt"][1]) == 1
    assert solver.solve(problem, warm_start=first).nit == 0


def test_wrong_options_are_refused():
    with pytest.raises(ValueError, match="correctors must be >= 0"):
        InteriorPointQP(correctors=-1)
    with pytest.raises(TypeError, match="correctors must be an integer"):
        InteriorPointQP(correctors=1.5)
    problem, _ = stored("QAFIRO")
    with pytest.raises(ValueError, match="x0 has 3 entries, expected 32"):
        InteriorPointQP().solve(problem, x0=[1, 2, 3])


WIDE = {  # solvable, with a side some 1e8 away
    "narrow bounds": {
        "P": [[13.9, -1.76], [-1.76, 18.4]], "q": [-13.9, 1.76], "lb": [-1e8, 0],
        "ub": [np.inf, 1e-8],
    },
    "narrow row": {
        "P": np.ones((2, 2)), "q": [0.8, 1.1], "A": [[2.0, -1], [0, -1], [1, 2]],
        "l": [-1.00000001, 0, -1e8], "u": [-1.0, 1, -3],
    },
    "singular P": {
        "P": np.outer([2, -2, 2, -1.0], [2, -2, 2, -1.0]), "q": [3.1052, -4.5202, 3.1918, -0.1398],
        "A": [[0.0, 1, 0, -1], [0, 2, 0, 0]], "l": [-3.236, -np.inf], "u": [-3.236, -2.263],
        "lb": [-1e8, -1.1315, -np.inf, -np.inf], "ub": [-0.3877, np.inf, np.inf, np.inf],
    },
}  # fmt: skip


@pytest.mark.parametrize("copies", [1, 40])  # dense and sparse matrices
@pytest.mark.parametrize("name", WIDE)
def test_sides_far_away_do_no_harm(name, copies):
    data = {}
    for key, value in WIDE[name].items():
        value = np.asarray(value, float)
        data[key] = np.tile(value, copies) if value.ndim == 1 else np.kron(np.eye(copies), value)
    result = InteriorPointQP().solve(QuadraticProgram(**data))
    assert result.success
    assert result.nit <= 20


def test_bounds_do_not_share_a_multiplier():
    rng = np.random.default_rng(4)
    for n in (10, 100):
        F, q = rng.standard_normal((n, n)), 10 * rng.standard_normal(n)
        result = InteriorPointQP().solve(QuadraticProgram(F @ F.T, q, lb=-1.0, ub=1.0))
        assert result.success
        assert np.minimum(result.z_lb, result.z_ub).max() == 0
        assert np.maximum(result.z_lb, result.z_ub).max() > 1


def test_gap_counts_rounding():
    problem = QuadraticProgram(np.eye(1), [0.0], lb=-1.0, ub=1.0)
    fine = problem.certificate([0.0], z_lb=[0.0], z_ub=[0.0])
    assert fine["gap"] == 0
    narrow = QuadraticProgram(np.eye(1), [0.0], lb=1.0, ub=1.0)
    huge = narrow.certificate([1.0], z_lb=[1e9 + 1], z_ub=[1e9])  # terms of 1e9 for a sum of 1
    assert 1e-7 < huge["gap"] < 1e-5


def test_derivatives_are_those_at_the_solution_of_the_other_method():
    rng = np.random.default_rng(6)
    for n, m in ((6, 4), (60, 30)):
        F, A = rng.standard_normal((n, n)), rng.standard_normal((m, n))
        x = rng.standard_normal(n)
        problem = QuadraticProgram(
            F @ F.T, rng.standard_normal(n), A, A @ x - rng.random(m), A @ x + 1, lb=x - 1
        )
        w = rng.standard_normal(n)
        ours, other = (
            s(tol=1e-11).solve(problem).vjp(w) for s in (InteriorPointQP, OperatorSplittingQP)
        )
        assert ours.unique and other.unique
        for a, b in zip(ours[:-1], other[:-1], strict=True):
            a, b = (v.toarray() if sp.issparse(v) else v for v in (a, b))
            np.testing.assert_allclose(a, b, atol=1e-6)
