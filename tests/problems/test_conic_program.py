"""ConicProgram: certificates against plain formulas, proofs, siblings, bad input."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.core.result import Status
from numopt.problems import ConicProgram, QuadraticProgram
from tests.helpers import cones as naive

INF, NAN = np.inf, np.nan


def disk(**changes):
    """-x_1 - x_2 on the unit disk."""
    data = {
        "P": None, "q": [-1.0, -1.0], "A": [[0.0, 0.0], [-1.0, 0.0], [0.0, -1.0]],
        "b": [1.0, 0.0, 0.0], "cones": {"soc": [3]},
    }  # fmt: skip
    return ConicProgram(**{**data, **changes})


@pytest.mark.parametrize("seed", range(12))
def test_certificate_is_the_formulas(seed):
    rng = np.random.default_rng(seed)
    arrays = naive.draw(rng, "solvable")
    problem = ConicProgram(**arrays)
    x, y = rng.standard_normal(problem.size), rng.standard_normal(problem.n_rows)
    for point in (y, naive.project(y, arrays["cones"], dual=True)):
        certificate = problem.certificate(x, point)
        assert set(certificate.gates) == {"primal", "dual", "gap"}
        expected = naive.residual(arrays, x, point)
        assert max(certificate.gates.values()) == pytest.approx(expected, rel=1e-9)
    fun = x @ arrays["P"] @ x / 2 + arrays["q"] @ x
    assert problem.objective(x) == pytest.approx(fun, rel=1e-10)
    assert certificate.fun == pytest.approx(fun, rel=1e-10)
    s = problem.slack(x)
    np.testing.assert_allclose(s, naive.project(problem.b - problem.A @ x, arrays["cones"]))
    stored = ConicProgram(
        **{**arrays, "P": sp.coo_array(arrays["P"]), "A": sp.csr_array(problem.A)}
    )
    assert dict(stored.certificate(x, point)) == pytest.approx(dict(certificate), rel=1e-9)


def test_without_second_order_cones_it_is_the_certificate_of_a_quadratic_program():
    rng = np.random.default_rng(0)
    A, b, q, x = rng.standard_normal((6, 4)), rng.standard_normal(6), *rng.standard_normal((2, 4))
    y = np.concatenate((rng.standard_normal(2), rng.random(4)))
    conic = ConicProgram(np.eye(4), q, A, b, {"zero": 2, "nonneg": 4})
    rows = QuadraticProgram(np.eye(4), q, A, np.where(np.arange(6) < 2, b, -INF), b)
    assert dict(conic.certificate(x, y)) == pytest.approx(dict(rows.certificate(x, y)), rel=1e-12)


def test_optimum_of_the_disk_in_closed_form():
    certificate = disk().certificate([0.5**0.5] * 2, y=[2**0.5, -1.0, -1.0])
    assert certificate.met(1e-15)
    assert certificate.fun == pytest.approx(-(2**0.5))
    # Multipliers outside of the dual cone do not count.
    assert disk().certificate([0.5**0.5] * 2, y=[1.0, -1.0, -1.0])["dual"] > 0.1


@pytest.mark.parametrize("seed", range(6))
def test_planted_proofs_are_confirmed_and_others_are_not(seed):
    rng = np.random.default_rng(seed)
    arrays = naive.draw(rng, "infeasible")
    problem = ConicProgram(**arrays)
    # The planted vector spans what A' takes to 0 by a projection.
    y = naive.project(rng.standard_normal(problem.n_rows), arrays["cones"], dual=True)
    assert not problem.check_infeasible(y).met(1e-8)
    assert not problem.check_infeasible(0 * y).met(1e-8)
    assert not problem.check_infeasible(NAN * y).met(1e-8)
    d = rng.standard_normal(problem.size)
    assert not problem.check_unbounded(d).met(1e-8)
    assert not problem.check_unbounded(NAN * d).met(1e-8)


def test_proofs_in_closed_form():
    # x <= -1 and |x| <= x + 1 contradict each other; y = (1, ...) adds them up.
    problem = ConicProgram(
        None, [1.0], [[1.0], [-1.0], [0.0]], [-2.0, 0.0, 1.0], {"nonneg": 1, "soc": [2]}
    )
    certificate = problem.check_infeasible([2.0, 2.0, 0.0])
    assert certificate.met(1e-15)
    assert certificate["value"] == 2.0
    assert problem.confirms(Status.INFEASIBLE, {"farkas": np.array([1.0, 1.0, 0.0])})
    assert not problem.confirms(Status.INFEASIBLE, {"farkas": np.array([1.0, 0.5, 0.0])})
    cone = ConicProgram(
        None, [1.0, -2.0], [[-1.0, 0.0], [0.0, -1.0]], [0.0, 0.0], {"soc": [2]}
    )  # |x_2| <= x_1
    assert cone.check_unbounded([1.0, 1.0]).met(1e-15)
    assert not cone.check_unbounded([1.0, 1.1]).met(1e-8)
    assert cone.confirms(Status.UNBOUNDED, {"x": np.zeros(2), "ray": np.ones(2)})
    assert not cone.confirms(Status.UNBOUNDED, {"x": np.array([-1.0, 0]), "ray": np.ones(2)})


def test_rays_start_from_feasible_points_only():
    """u <= -1 and u >= 0 leave no point, however far v is along its ray."""
    A, b = [[1.0, 0.0], [-1.0, 0.0], [0.0, -1.0]], [-1.0, 0.0, 0.0]
    problem = ConicProgram(None, [0.0, -1.0], A, b, {"nonneg": 3})
    point = {"x": np.array([-0.5, 1e9]), "ray": np.array([0.0, 1.0])}
    assert problem.certificate(point["x"])["primal"] < 1e-8
    assert not problem.confirms(Status.UNBOUNDED, point)
    assert problem.replace(b=[0.0, 1.0, 0.0]).confirms(Status.UNBOUNDED, point)


def test_indefinite_objectives_never_succeed():
    problem = disk(P=-np.eye(2))
    certificate = problem.certificate([0.5**0.5] * 2)
    assert certificate["convexity"] == 1.0
    assert certificate.kind == "stationary"


def test_siblings_keep_what_is_known():
    problem = disk()
    assert problem.convex
    other = problem.replace(b=[2.0, 0.0, 0.0])
    assert other.A is problem.A
    assert other.b.tolist() == [2.0, 0.0, 0.0]
    assert problem.b.tolist() == [1.0, 0.0, 0.0]
    assert other.cached("curvature", (other.P,), lambda: "anew") is None
    third = other.replace(cones={"nonneg": 3})
    assert third.cones == (0, 3, ())
    with pytest.raises(ValueError, match=r"b has 2 entries, expected 3"):
        problem.replace(b=[1.0, 2.0])
    with pytest.raises(TypeError, match=r"no field 'l'"):
        problem.replace(l=[1.0])


def test_pickles():
    problem = pickle.loads(pickle.dumps(disk()))
    assert problem.cones == disk().cones
    assert problem.cones.soc == (3,)
    assert problem.certificate([0.5**0.5] * 2, y=[2**0.5, -1.0, -1.0]).met(1e-15)


BAD = {
    "sizes do not add up": ({"cones": {"soc": [2]}}, ValueError, r"2 rows in all but A has 3"),
    "no cones": ({"cones": None}, ValueError, r"0 rows in all but A has 3"),
    "size 0": ({"cones": {"soc": [3, 0]}}, ValueError, r"cones\['soc'\]\[1\] must be >= 1"),
    "negative": ({"cones": {"zero": -1, "soc": [4]}}, ValueError, r"cones\['zero'\] must be >= 0"),
    "fraction": ({"cones": {"nonneg": 3.0}}, TypeError, r"cones\['nonneg'\] must be an integer"),
    "number": ({"cones": {"soc": 3}}, TypeError, r"must be a list of sizes, got 3"),
    "list": ({"cones": [3]}, TypeError, r"cones must be a dict"),
    "key": ({"cones": {"socp": [3]}}, ValueError, r"key 'socp'; did you mean 'soc'"),
    "nan in b": ({"b": [1.0, NAN, 0.0]}, ValueError, r"b has nan at index 1"),
    "inf in b": ({"b": [1.0, 0.0, INF]}, ValueError, r"b has inf at index 2"),
    "nan in q": ({"q": [NAN, 0.0]}, ValueError, r"q has nan at index 0"),
    "nan in A": ({"A": np.full((3, 2), NAN)}, ValueError, r"A has nan at index \(0, 0\)"),
    "nan in P": ({"P": np.diag([NAN, 1.0])}, ValueError, r"P has nan"),
    "P not symmetric": ({"P": [[1.0, 1.0], [0.0, 1.0]]}, ValueError, r"P is not symmetric"),
    "P of wrong shape": ({"P": np.eye(3)}, ValueError, r"P must be \(2, 2\)"),
    "A of wrong shape": ({"A": np.eye(3)}, ValueError, r"A needs 2 columns"),
    "b missing": ({"b": None}, ValueError, r"b is missing; it needs 3 entries"),
    "b too long": ({"b": np.ones(4)}, ValueError, r"b has 4 entries, expected 3"),
    "strings": ({"q": ["a", "b"]}, TypeError, r"q must hold real numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    changes, error, message = BAD[case]
    with pytest.raises(error, match=message):
        disk(**changes)


def test_points_of_wrong_length():
    with pytest.raises(ValueError, match=r"x has shape \(3,\), expected \(2,\)"):
        disk().certificate(np.zeros(3))
    with pytest.raises(ValueError, match=r"y has shape \(2,\), expected \(3,\)"):
        disk().certificate(np.zeros(2), np.zeros(2))


def test_a_ray_needs_a_point_that_each_cone_holds():
    # x[1] >= 2 and x[1] <= 1, beside a row whose b makes that look small.
    A = np.array([[0.0, -1.0], [0.0, 1.0], [0.0, 0.0], [-1.0, 0.0]])
    problem = ConicProgram(None, [-1.0, 0.0], A, [-2.0, 1.0, 1e7, 0.0], {"nonneg": 4})
    point = {"x": np.array([1e8, 1.5]), "ray": np.array([1.0, 0.0])}
    assert problem.check_unbounded(point["ray"]).met(1e-8)
    assert not problem.confirms(Status.UNBOUNDED, point)
    assert numopt.solve(problem).status is not Status.UNBOUNDED
