"""Small quadratic programs and sequences of related ones: the short ways give the same answers."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.core.result import Status
from numopt.problems import QuadraticProgram
from numopt.solvers import InteriorPointQP, OperatorSplittingQP
from numopt.solvers._parts import qp_dense
from numopt.solvers._parts.qp_splitting_model import prepare

SOLVERS = [OperatorSplittingQP(tol=1e-10), InteriorPointQP(tol=1e-10)]
every_solver = pytest.mark.parametrize("solver", SOLVERS, ids=lambda s: s.name)


def program(seed=0, n=8, m=6, equations=2):
    rng = np.random.default_rng(seed)
    M, A = rng.standard_normal((n, n)), rng.standard_normal((m, n))
    x = rng.uniform(-0.4, 0.4, n)
    x[2] = 0.1
    low, high = A @ x - 0.1, A @ x + 0.1
    low[:equations] = high[:equations] = (A @ x)[:equations]
    low[-1] = -np.inf
    lb, ub = np.full(n, -0.5), np.full(n, 0.5)
    lb[0], ub[1] = -np.inf, np.inf
    lb[2] = ub[2] = 0.1
    return QuadraticProgram(M @ M.T / n, rng.standard_normal(n), A, low, high, lb, ub)


def without_short_ways(problem, solver, start=None):
    """The answer of the loop: a callback asks for it."""
    return solver.solve(problem, warm_start=start, callback=lambda _: None)


def same(result, other, atol=1e-7):
    assert result.success and other.success
    assert result.fun == pytest.approx(other.fun, rel=1e-9, abs=1e-9)
    for name in ("x", "y", "z_lb", "z_ub"):
        np.testing.assert_allclose(result[name], other[name], atol=atol, err_msg=name)


# ---- dense, in one call --------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(1, 0, 0), (3, 1, 1), (8, 6, 2), (20, 10, 0), (30, 25, 10)])
def test_the_dense_method_is_the_sparse_one(shape):
    n, m, equations = shape
    problem = program(3, max(n, 3), max(m, 1), equations)
    solver = InteriorPointQP(tol=1e-11)
    result = solver.solve(problem)
    assert len(result.history["nit"]) == 1  # without the loop
    same(result, without_short_ways(problem, solver))


@pytest.mark.parametrize("seed", range(4))
def test_the_dense_method_solves_linear_programs(seed):
    rng = np.random.default_rng(seed)
    A = rng.random((6, 10))
    problem = QuadraticProgram(None, -rng.random(10), A, None, np.ones(6), lb=0)
    result = InteriorPointQP(tol=1e-9).solve(problem)
    assert len(result.history["nit"]) == 1
    assert result.fun == pytest.approx(
        without_short_ways(problem, InteriorPointQP(tol=1e-9)).fun, rel=1e-8
    )


def test_numbers_of_the_dense_method_are_the_certificate():
    problem = program(1)
    point = np.empty(3 * problem.size + problem.n_rows)
    nit, *numbers = qp_dense.solve(problem.flat, point, 1e-9, 50)
    certificate = problem.certificate(*problem.split(point).values())
    assert 0 < nit < 20 and certificate.worst(1e-9) <= 1
    assert [*map(float, certificate.values()), certificate.fun] == pytest.approx(numbers, rel=1e-6)


def test_what_the_dense_method_leaves_is_solved_all_the_same():
    problem = program()
    assert qp_dense.solve(problem.flat, np.empty(30), 1e-9, 2)[1] == np.inf
    with pytest.warns(numopt.ConvergenceWarning, match="iteration limit"):
        assert InteriorPointQP(max_iter=2).solve(problem).status is Status.ITERATION_LIMIT
    infeasible = problem.replace(lb=np.full(8, 0.4), ub=np.full(8, 0.5))
    assert InteriorPointQP().solve(infeasible).status is Status.INFEASIBLE
    crossed = problem.replace(l=np.full(6, 2.0), u=np.full(6, 1.0))
    assert "Row 0 has l = 2 > u = 1" in InteriorPointQP().solve(crossed).message
    endless = QuadraticProgram(None, [-1.0, 0.0], lb=0)
    assert InteriorPointQP().solve(endless).status is Status.UNBOUNDED


# ---- sequences -----------------------------------------------------------------------------------


def change(problem, rng, matrices):
    moved = {"q": problem.q + 0.05 * rng.standard_normal(problem.size), "u": problem.u + 1e-3}
    if "A" in matrices:
        A = problem.A.copy()
        A.data = A.data * (1 + 0.02 * rng.standard_normal(A.nnz))
        moved["A"] = A
    if "P" in matrices:
        moved["P"] = problem.P * (1 + 0.1 * rng.random())
    return moved


@every_solver
@pytest.mark.parametrize("matrices", ["", "A", "PA"])
def test_a_sequence_gives_the_answers_of_fresh_solves(solver, matrices):
    problem, rng, result, short = program(), np.random.default_rng(2), None, 0
    analysis = prepare(problem).analysis
    for _ in range(12):
        problem = problem.replace(**change(problem, rng, matrices))
        result = solver.solve(problem, warm_start=result)
        fields = ("P", "q", "A", "l", "u", "lb", "ub")
        fresh = QuadraticProgram(**{name: getattr(problem, name) for name in fields})
        same(result, without_short_ways(fresh, solver))
        assert dict(result.certificate) == pytest.approx(dict(result.verify(fresh)), abs=1e-14)
        short += result.nit == 1
    assert short >= 8
    assert prepare(problem).analysis is analysis


@every_solver
def test_warm_and_cold_agree_from_far_away(solver):
    problem = program()
    start = solver.solve(problem.replace(q=-50 * problem.q))
    same(solver.solve(problem, warm_start=start), solver.solve(problem))


@every_solver
def test_infeasible_after_an_update_and_back(solver):
    problem = program()
    first = solver.solve(problem)
    shut = problem.replace(l=np.r_[problem.l[:5], 50.0], u=np.r_[problem.u[:5], 60.0])
    between = solver.solve(shut, warm_start=first)
    assert between.status is Status.INFEASIBLE
    assert shut.check_infeasible(*between.farkas).met(1e-8)
    same(solver.solve(problem, warm_start=between), first)
    crossed = problem.replace(lb=np.ones(8), ub=np.zeros(8))
    assert solver.solve(crossed, warm_start=first).status is Status.INFEASIBLE


@every_solver
def test_new_entries_and_new_units_are_seen(solver):
    problem = program()
    first = solver.solve(problem)
    A = sp.csc_array(problem.A.toarray() * (np.arange(48).reshape(6, 8) % 3 > 0))
    other = problem.replace(A=A, l=problem.l - 3, u=problem.u + 3)
    fresh = QuadraticProgram(problem.P, problem.q, A, other.l, other.u, problem.lb, problem.ub)
    same(solver.solve(other, warm_start=first), without_short_ways(fresh, solver))
    scaled = problem.replace(A=1e5 * problem.A, l=1e5 * problem.l, u=1e5 * problem.u)
    result = solver.solve(scaled, warm_start=first)
    np.testing.assert_allclose(result.x, first.x, atol=1e-7)


def test_an_update_is_checked():
    problem = program()
    with pytest.raises(ValueError, match="q has 1 entries, expected 8"):
        problem.replace(q=[1.0])
    with pytest.raises(ValueError, match="q "):
        problem.replace(q=np.full(8, np.nan))
    with pytest.raises(ValueError, match="u has nan at index 2"):
        problem.replace(u=np.r_[problem.u[:2], np.nan, problem.u[3:]])
    with pytest.raises(ValueError, match="P is not symmetric"):
        problem.replace(P=np.triu(problem.P.toarray()))
    concave = problem.replace(P=-problem.P)
    assert problem.convex and not concave.convex and concave.replace(P=problem.P).convex


@every_solver
def test_problems_and_results_of_sequences_can_be_pickled(solver):
    problem = program()
    first = solver.solve(problem)
    sibling = problem.replace(q=1.1 * problem.q)
    result = solver.solve(sibling, warm_start=first)
    again, copied = pickle.loads(pickle.dumps((result, sibling)))
    assert again.certificate == result.certificate and copied.q.tolist() == sibling.q.tolist()
    same(solver.solve(copied, warm_start=again), result, atol=1e-12)


def test_results_do_not_share_what_later_solves_write():
    solver, problem = OperatorSplittingQP(tol=1e-9), program()
    first = solver.solve(problem)
    before = first.x.copy()
    for t in (1.5, 2.0, 3.0):
        solver.solve(problem.replace(q=t * problem.q), warm_start=first)
    assert first.x.tolist() == before.tolist()


def test_a_start_with_multipliers_that_are_not_finite_does_not_mislead():
    problem = program()
    start = {**InteriorPointQP().solve(problem).warm_start, "y": np.full(6, np.inf)}
    with pytest.raises(ValueError, match="finite"):
        OperatorSplittingQP().solve(problem, warm_start=start)
