"""QuadraticProgram: certificates against plain formulas, proofs, convexity, siblings, presolve."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.core.result import Status
from numopt.problems import QuadraticProgram
from numopt.problems._presolve import postsolve, presolve
from tests.fuzz.programs import draw, residual

INF = np.inf


def drawn(seed, verdict="solvable"):
    """Arrays of the first planted program from `seed` on with this verdict."""
    while True:
        found, arrays = draw(np.random.default_rng(seed))
        if found == verdict:
            return arrays
        seed += 1


class Point:
    def __init__(self, x, y, z_lb, z_ub):
        self.x, self.y, self.z_lb, self.z_ub = x, y, z_lb, z_ub


@pytest.mark.parametrize("seed", range(0, 60, 4))
def test_certificate_is_the_formulas(seed):
    arrays, rng = drawn(seed), np.random.default_rng(seed)
    n, m = arrays["q"].size, arrays["l"].size
    x, y = rng.standard_normal(n), rng.standard_normal(m)
    y[(y > 0) & (arrays["u"] == INF)] = 0
    y[(y < 0) & (arrays["l"] == -INF)] = 0
    z_lb = np.where(arrays["lb"] > -INF, rng.random(n), 0.0) * (rng.random(n) < 0.5)
    z_ub = np.where((arrays["ub"] < INF) & (z_lb == 0), rng.random(n), 0.0)
    problem = QuadraticProgram(**arrays)
    certificate = problem.certificate(x, y, z_lb, z_ub)
    assert set(certificate.gates) == {"primal", "dual", "gap"}
    expected = residual(arrays, Point(x, y, z_lb, z_ub))
    assert max(certificate.gates.values()) == pytest.approx(expected, rel=1e-9)
    fun = x @ arrays["P"] @ x / 2 + arrays["q"] @ x
    assert problem.objective(x) == pytest.approx(fun, rel=1e-10)
    assert certificate.fun == pytest.approx(fun, rel=1e-10)
    stored = QuadraticProgram(
        **{**arrays, "P": sp.coo_array(arrays["P"]), "A": sp.csr_array(arrays["A"])}
    )
    assert dict(stored.certificate(x, y, z_lb, z_ub)) == pytest.approx(dict(certificate), rel=1e-9)


def test_multipliers_on_the_wrong_side_are_dual_residual():
    problem = QuadraticProgram(None, [1.0], [[1.0]], l=0.0, lb=-1.0)
    assert problem.certificate([0.0], [-1.0])["dual"] == 0
    assert problem.certificate([0.0], [1.0])["dual"] >= 0.5  # u is infinite
    assert problem.certificate([0.0], [0.0], [1.0])["dual"] == 0
    assert problem.certificate([0.0], [0.0], [0.0], [-1.0])["dual"] >= 0.3
    assert problem.certificate([0.0], [-2.0], [0.0], [1.0])["dual"] >= 0.3  # ub is infinite


def test_nan_never_passes():
    problem = QuadraticProgram(np.eye(2), [1.0, 1.0], np.eye(2), 0, 1, 0, 1)
    for k in range(4):
        parts = [np.zeros(2) for _ in range(4)]
        parts[k][0] = np.nan
        assert not problem.certificate(*parts).met(1.0)


def test_farkas_vectors_are_judged():
    problem = QuadraticProgram(None, [0.0, 0.0], [[1.0, 1], [1, 1]], [2, -INF], [INF, 1])
    good = problem.check_infeasible([-1.0, 1.0])
    assert good["residual"] == 0
    assert good["value"] == pytest.approx(1.0)
    assert not problem.check_infeasible([1.0, -1.0]).met(1e-8)
    assert not problem.check_infeasible([-1.0, 0.5]).met(1e-8)
    assert not problem.check_infeasible([0.0, 0.0]).met(1e-8)
    assert not problem.check_infeasible([np.nan, 1.0]).met(1e-8)
    # What is left over goes to bounds, if there are any: 3 <= x + y <= 2.
    boxed = QuadraticProgram(None, [0.0, 0.0], [[1.0, 1]], 3, INF, 0, 1)
    assert boxed.check_infeasible([-1.0]).met(1e-8)
    # Feasible, if only far away: no vector proves anything.
    far = QuadraticProgram(None, [0.0], [[1e-9], [1.0]], [1, -INF], [INF, 1e10])
    assert not far.check_infeasible([-1.0, 0.0]).met(1e-8)
    assert not far.confirms(Status.INFEASIBLE, {"farkas": (np.array([-1.0, 1e-9]), None, None)})


def test_rays_are_judged():
    problem = QuadraticProgram([[1.0, 0], [0, 0]], [0.0, -1.0], [[1.0, 1]], l=0, lb=[-INF, 0])
    assert problem.check_unbounded([0.0, 1.0]).met(1e-8)
    assert not problem.check_unbounded([0.0, -1.0]).met(1e-8)
    assert not problem.check_unbounded([1.0, 1.0]).met(1e-8)
    assert not problem.check_unbounded([-1e-3, 1.0]).met(1e-8)
    assert not problem.check_unbounded([0.0, 0.0]).met(1e-8)
    point = {"x": np.array([0.0, 1.0]), "ray": np.array([0.0, 1.0])}
    assert problem.confirms(Status.UNBOUNDED, point)
    assert not problem.confirms(Status.UNBOUNDED, {**point, "x": np.array([-5.0, 1.0])})


@pytest.mark.parametrize("n", [2, 5, 40])
def test_convexity_has_a_witness(n):
    rng = np.random.default_rng(n)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    for least in (-1e-4, -1.0):
        P = (Q * np.append(least, np.linspace(1, 10, n - 1))) @ Q.T
        problem = QuadraticProgram((P + P.T) / 2, np.zeros(n))
        row, d = problem.negative_curvature()
        assert 0 <= row < n
        assert d @ problem.P @ d < 0
        certificate = problem.certificate(np.zeros(n))
        assert not certificate.met(1e-8)
        assert certificate.kind == "stationary"
    low_rank = Q[:, : n // 2] @ Q[:, : n // 2].T
    assert QuadraticProgram((low_rank + low_rank.T) / 2, np.zeros(n)).convex
    row, d = QuadraticProgram([[0.0, 1e-3], [1e-3, 1.0]], [0, 0]).negative_curvature()
    assert d @ np.array([[0.0, 1e-3], [1e-3, 1.0]]) @ d < 0


def test_siblings_share_what_does_not_change():
    problem = QuadraticProgram(np.eye(3), np.ones(3), np.eye(3), 0, 1)
    assert problem.convex
    sibling = problem.replace(q=[1, 2, 3], u=5)
    assert sibling.P is problem.P
    assert sibling.q.tolist() == [1, 2, 3]
    assert sibling.u.tolist() == [5, 5, 5]
    assert problem.u.tolist() == [1, 1, 1]
    assert sibling.certificate(np.zeros(3)).fun == 0
    assert "curvature" in sibling._memo
    with pytest.raises(ValueError, match="q has 2 entries"):
        problem.replace(q=[1, 2])
    with pytest.raises(TypeError, match="has no field 'b'"):
        problem.replace(b=3)
    assert problem.replace(P=2 * np.eye(3)).P[0, 0] == 2
    copy = pickle.loads(pickle.dumps(sibling))
    assert copy.objective(np.ones(3)) == sibling.objective(np.ones(3))


@pytest.mark.parametrize("seed", range(0, 120, 3))
def test_presolve_can_be_undone(seed):
    """The reduced problem's answer, restored, is the answer of the whole one."""
    from numopt.solvers import InteriorPointQP

    arrays = drawn(seed)
    problem = QuadraticProgram(**arrays)
    reduced = presolve(problem.arrays)
    if reduced is None:
        return
    a = reduced.arrays
    m, n = a.l.size, a.q.size
    assert n < problem.size or m < problem.n_rows
    P, A = (
        sp.csc_array((M.data, M.indices, M.indptr), shape=shape)
        for M, shape in ((a.P, (n, n)), (a.A, (m, n)))
    )
    smaller = QuadraticProgram(P, a.q, A, a.l, a.u, a.lb, a.ub)
    result = InteriorPointQP(presolve=False, tol=1e-7).solve(smaller)
    point = postsolve(problem.arrays, reduced, dict(result))
    assert problem.certificate(**point).met(1e-5)
    assert (point["z_lb"] >= 0).all()
    assert (point["z_ub"] >= 0).all()


def test_presolve_knows_each_reduction():
    # x0 fixed; row 0 empty, row 1 a bound on x1, row 3 twice row 2, x3 free in row 4 alone.
    A = np.array([
        [0.0, 0, 0, 0], [0, -2, 0, 0], [1, 1, 1, 0], [2, 2, 2, 0], [0, 1, 1, 4],
    ])  # fmt: skip
    l, u = [-1.0, -6, 2, 3, 1], [1.0, INF, 9, INF, 1]  # noqa: E741
    problem = QuadraticProgram(
        np.diag([1.0, 1, 1, 0]), [1.0, -9, 1, 2], A, l, u,
        [2.0, -INF, -INF, -INF], [2.0, INF, INF, INF],
    )  # fmt: skip
    reduced = presolve(problem.arrays)
    assert reduced.rows.tolist() == [False, False, True, False, False]
    assert reduced.columns.tolist() == [False, True, True, False]
    assert reduced.arrays.ub.tolist() == [3.0, INF]
    assert reduced.arrays.l.tolist() == [0.0]  # 2 less the fixed 2
    assert reduced.arrays.u.tolist() == [7.0]


def test_offset_is_part_of_the_objective_alone():
    plain = QuadraticProgram([[2.0]], [-2.0], lb=0.0)
    moved = plain.replace(offset=5.0)
    assert moved.objective([2.0]) == plain.objective([2.0]) + 5
    for solver in ("ipm", "operator-splitting-qp"):
        ours, other = numopt.solve(plain, solver), numopt.solve(moved, solver)
        assert other.fun == pytest.approx(ours.fun + 5)
        assert other.certificate["gap"] == ours.certificate["gap"]
    assert moved.replace(q=[-4.0]).offset == 5
    with pytest.raises(ValueError, match="offset is nan"):
        plain.replace(offset=np.nan)
    with pytest.raises(TypeError, match="offset"):
        QuadraticProgram([[2.0]], [-2.0], offset="five")
