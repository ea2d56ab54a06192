# ruff: noqa: E741
"""Highs and HalpernPDHG: what the table of solvers does not ask."""

import os
import subprocess
import sys
import textwrap
import warnings
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.problems import LinearProgram
from numopt.solvers import HalpernPDHG, Highs
from numopt.solvers._parts import pdhg_kernels as kernels
from numopt.solvers._parts.lp_proofs import prove_infeasible, prove_unbounded

INF = np.inf


def transport(n=12, seed=0):
    rng = np.random.default_rng(seed)
    A = sp.vstack([sp.kron(sp.eye_array(n), np.ones((1, n))), sp.kron(np.ones((1, n)), np.eye(n))])
    sides = np.r_[rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))]
    return LinearProgram(rng.random(n * n), A, sides, sides, lb=0)


def random_program(seed, m=30, n=50):
    rng = np.random.default_rng(seed)
    A = sp.random_array((m, n), density=0.2, rng=rng, format="csc")
    x = rng.random(n)
    b = A @ x
    lb, ub = np.zeros(n), np.where(rng.random(n) < 0.5, 2.0, INF)
    l, u = np.where(np.arange(m) % 3 == 0, -INF, b), b + np.where(np.arange(m) % 3 == 1, 0.0, 0.3)
    y, z = rng.standard_normal(m), rng.random(n)
    y = np.where(l == -INF, np.abs(y), y)
    return LinearProgram(z - A.T @ y, A, l, u, lb=lb, ub=ub)


# ---- the first-order method ----------------------------------------------------------------------


def iterated(problem, scatter, n=300, **fields):
    solver = HalpernPDHG(presolve=False, identify=False, **fields)
    state = solver.init(problem, None, {})
    kernels.iterate(state.model, state.work, state.scalars, n, scatter)
    return state


def test_both_ways_through_the_matrix_give_the_same_bits():
    for seed in range(3):
        one, two = (iterated(random_program(seed), way) for way in (True, False))
        assert one.work.x.tobytes() == two.work.x.tobytes()
        assert one.work.y.tobytes() == two.work.y.tobytes()


def naive_pdhg(c, A, l, u, lb, ub, step, n):
    """Reflected Halpern iterations as the formulas say, with weight 1 and no restart."""
    x, y = np.clip(np.zeros(c.size), lb, ub), np.zeros(l.size)
    x0, y0 = x, y
    for k in range(n):
        p = np.clip(x - step * (c + A.T @ y), lb, ub)
        v = y / step + A @ (2 * p - x)
        q = step * (v - np.clip(v, l, u))
        a = (k + 1) / (k + 2)
        x, y = a * (2 * p - x) + (1 - a) * x0, a * (2 * q - y) + (1 - a) * y0
    return x, y


def test_iterates_are_those_of_the_formulas():
    problem = random_program(1)
    n = kernels.CHECK - 1  # before the first restart
    state = iterated(problem, True, n)
    model, s = state.model, state.scalars
    A = sp.csc_array(tuple(model.A), shape=(model.l.size, model.c.size)).toarray()
    vectors = model.c, A, model.l, model.u, model.lb, model.ub
    x, y = naive_pdhg(*vectors, s[kernels.ETA], n)
    np.testing.assert_allclose(state.work.x, x, atol=1e-12)
    np.testing.assert_allclose(state.work.y, y, atol=1e-12)
    assert s[kernels.ETA] * np.linalg.norm(A, 2) < 1


def test_fixed_point_residuals_fall_as_halpern_says():
    # |z - T z| <= 2 |z0 - z*| / (k + 1) in the norm of the method, for every k without restarts.
    problem = random_program(2)
    solution = numopt.solve(problem, "highs")
    solver = HalpernPDHG(presolve=False, identify=False)
    state = solver.init(problem, None, {})
    model, work, s = state[:3]
    A = sp.csc_array(tuple(model.A), shape=(model.l.size, model.c.size))
    star_x = solution.x / (model.columns * model.length)
    star_y = solution.y / (model.rows * model.cost)

    def size(dx, dy):
        return np.sqrt((dx @ dx + dy @ dy) / s[kernels.ETA] - 2 * dy @ (A @ dx))

    start = size(work.x - star_x, work.y - star_y)
    for k in range(1, kernels.CHECK - 1):
        kernels.iterate(model, work, s, 1, True)
        twin = state.work._replace(**{
            name: getattr(work, name).copy() for name in ("x", "y", "x0", "y0", "xp", "yp")
        })  # fmt: skip
        x, y = naive_step(model, A, twin.x, twin.y, s[kernels.ETA])
        assert size(twin.x - x, twin.y - y) <= 2 * start / (k + 1) * (1 + 1e-9)


def naive_step(model, A, x, y, step):
    p = np.clip(x - step * (model.c + A.T @ y), model.lb, model.ub)
    v = y / step + A @ (2 * p - x)
    return p, step * (v - np.clip(v, model.l, model.u))


@pytest.mark.parametrize("problem", [transport(), random_program(5)], ids=["transport", "random"])
def test_identified_sides_give_full_accuracy_early(problem):
    result = HalpernPDHG().solve(problem)
    plain = HalpernPDHG(identify=False).solve(problem)
    assert result.success and plain.success
    assert result.identified and not plain.identified
    assert result.certificate.worst(1.0) <= 1e-12
    assert result.nit < plain.nit
    assert result.fun == pytest.approx(Highs().solve(problem).fun, rel=1e-9)


def test_weights_and_starts_change_the_way_only():
    problem = random_program(6)
    value = Highs().solve(problem).fun
    for solver in (HalpernPDHG(weight=1e-2), HalpernPDHG(weight=1e2), HalpernPDHG(presolve=False)):
        assert solver.solve(problem).fun == pytest.approx(value, rel=1e-6)
    near = Highs().solve(problem.replace(c=problem.c * 1.01))
    assert HalpernPDHG().solve(problem, warm_start=near).nit <= HalpernPDHG().solve(problem).nit


def test_a_limit_returns_the_best_point_with_its_certificate():
    problem = random_program(7)
    with pytest.warns(numopt.ConvergenceWarning):
        result = HalpernPDHG(max_iter=100, identify=False, tol=1e-14).solve(problem)
    assert result.status == 1
    assert dict(problem.certificate(result.x, result.y, result.z_lb, result.z_ub)) == dict(
        result.certificate
    )
    assert result.certificate.worst(1.0) < 0.5


# ---- HiGHS ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("algorithm", ["choose", "simplex", "ipm"])
def test_all_of_highs_methods(algorithm):
    problem = transport()
    result = Highs(algorithm=algorithm).solve(problem)
    assert result.success
    assert result.certificate.worst(1.0) <= 1e-9
    with pytest.raises(ValueError, match="algorithm must be one of"):
        Highs(algorithm="magic")


def test_a_basis_is_a_warm_start():
    problem = random_program(8)
    first = Highs().solve(problem)
    changed = problem.replace(c=problem.c + 1e-3)
    cold, warm = Highs(presolve=False).solve(changed), Highs().solve(changed, warm_start=first)
    assert warm.success
    assert warm.nit < cold.nit
    # So is the point of a first-order method: the basis is guessed from it.
    rough = HalpernPDHG(tol=1e-4, identify=False).solve(problem)
    crossed = Highs(tol=1e-9).solve(problem, warm_start=rough)
    assert crossed.success
    assert crossed.fun == pytest.approx(first.fun, rel=1e-9)
    assert crossed.nit <= Highs(presolve=False).solve(problem).nit


def test_large_problems_can_be_stopped_and_solved():
    problem = transport(120)  # beyond what runs in the calling thread
    assert Highs().solve(problem).success
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        stopped = Highs(time_limit=1e-3).solve(problem)
    assert stopped.status == 5
    assert not stopped.success
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        assert Highs(max_iter=3, algorithm="simplex").solve(problem).status == 1


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@pytest.mark.parametrize("how", ["return", "raise"])
def test_highs_is_interrupted(how):
    script = f"""
        import os, signal, threading
        from numopt.solvers import Highs
        from tests.solvers.test_linear_programs import transport

        problem = transport(400)
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGINT)).start()
        try:
            print(Highs(on_interrupt={how!r}).solve(problem).status.name)
        except KeyboardInterrupt:
            print("raised")
    """
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, text=True,
        cwd=root, env={**os.environ, "PYTHONPATH": str(root)}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr  # HiGHS' threads have ended, too
    assert done.stdout == ("raised\n" if how == "raise" else "INTERRUPTED\n")


def test_small_entries_count():
    # HiGHS drops entries below 1e-9 if not told otherwise.
    problem = LinearProgram([1.0], [[1e-10]], l=[1.0], lb=0)
    result = Highs().solve(problem)
    assert result.success
    assert result.x[0] == pytest.approx(1e10)


# ---- proofs --------------------------------------------------------------------------------------


def test_proofs_are_polished_and_never_invented():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((6, 20))
    y = rng.standard_normal(6)
    A[:, 0] -= y * (y @ A[:, 0]) / (y @ y)  # a free variable that y has to leave out
    lb = np.where(np.arange(20) == 0, -INF, 0.0)
    b = -y / (y @ y) - 0.0
    A[:, 1:] *= np.sign(y @ A[:, 1:])  # y'A >= 0 on x >= 0, y'b < 0: no point
    problem = LinearProgram(np.zeros(20), A, b, b, lb=lb)
    noisy = y * (1 + 1e-4 * rng.standard_normal(6))
    assert problem.check_infeasible(noisy)["residual"] > 1e-8
    proof = prove_infeasible(problem, noisy)
    assert proof is not None
    assert problem.check_infeasible(*proof).met(1e-8)
    assert prove_infeasible(problem, -y) is None
    feasible = problem.replace(l=A @ np.ones(20), u=A @ np.ones(20))
    assert prove_infeasible(feasible, noisy) is None
    assert prove_infeasible(problem, np.full(6, np.nan)) is None


def test_rays_are_polished_and_never_invented():
    problem = LinearProgram([-1.0, -1.0, 0.0], [[1.0, -1.0, 1e-3]], l=0, u=0, lb=0)
    ray = prove_unbounded(problem, np.array([1.0, 1.0001, 0.0]))
    assert ray is not None
    np.testing.assert_allclose(ray[0], ray[1], rtol=1e-12)
    assert prove_unbounded(problem.replace(ub=[1, 1, 1]), np.array([1.0, 1.0, 0.0])) is None
    assert prove_unbounded(problem.replace(c=[1, 1, 0]), np.array([1.0, 1.0, 0.0])) is None


@pytest.mark.parametrize("solver", [Highs(), HalpernPDHG()], ids=["highs", "pdhg"])
def test_cost_plays_no_part_in_proofs_of_infeasibility(solver):
    # With c in the residual of the multipliers, feasible programs seem to be infeasible.
    for seed in range(5):
        problem = random_program(seed)
        for scale in (1e-6, 1e6):
            result = solver.solve(problem.replace(c=problem.c * scale))
            assert result.success
        gap = replace_rows(problem)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            status = replace(solver, time_limit=20).solve(gap).status
        assert status == 2


def replace_rows(problem):
    """One row more, which contradicts the sum of the equations."""
    equal = np.flatnonzero(problem.l == problem.u)
    A = sp.vstack([problem.A, sp.csr_array(problem.A.tocsr()[equal].sum(axis=0)[None])])
    total = problem.l[equal].sum()
    return LinearProgram(
        problem.c, A, np.append(problem.l, -INF), np.append(problem.u, total - 1.0),
        lb=problem.lb, ub=problem.ub,
    )  # fmt: skip
