"""SmoothComposite: its certificate by formulas of its own, evaluations, refusals."""

import pickle

import numpy as np
import pytest

import numopt
from numopt.penalties import L0, L1, SLOPE, Zero
from numopt.problems import Smooth, SmoothComposite
from numopt.sets import Box, L1Ball, Simplex
from tests.helpers import naive

N = 6
H = np.diag([1.0, 2.0, 3.0, 4.0, 5.0, 40.0])
CENTRE = np.array([2.0, -1.0, 0.5, 0.1, 0.0, -0.2])


def fun(x):
    return (x - CENTRE) @ H @ (x - CENTRE) / 2


def jac(x):
    return H @ (x - CENTRE)


def points():
    rng = np.random.default_rng(0)
    for _ in range(5):
        yield rng.standard_normal(N) * (rng.random(N) < 0.6)


def scale(x, value):
    return max(1.0, abs(value) / max(1.0, np.abs(x).max()))


def test_distance_to_the_subdifferential():
    problem = SmoothComposite(fun, L1(0.7), jac)
    for x in points():
        value = fun(x) + 0.7 * np.abs(x).sum()
        certificate = problem.certificate(x)
        assert certificate.fun == problem.objective(x) == pytest.approx(value)
        expected = naive.distance_l1(x, jac(x), 0.7) / scale(x, value)
        assert certificate["kkt"] == pytest.approx(expected)
        assert certificate.kind == "stationary" and list(certificate.gates) == ["kkt"]


def test_no_penalty_and_boxes_are_those_of_smooth():
    for x in points():
        plain = Smooth(fun, jac).certificate(x)["stationarity"]
        assert SmoothComposite(fun, Zero(), jac).certificate(x)["kkt"] == pytest.approx(plain)
        x = np.clip(x, -0.5, 0.5)
        boxed = Smooth(fun, jac, [(-0.5, 0.5)] * N).certificate(x)["stationarity"]
        certificate = SmoothComposite(fun, Box(-0.5, 0.5), jac).certificate(x)
        assert certificate["fixed_point"] == pytest.approx(boxed)
        half_open = SmoothComposite(fun, Box(-0.5, np.inf), jac).certificate(x)
        assert "fw_gap" not in half_open and "fixed_point" in half_open.gates


def test_gap_bounds_the_distance_to_the_minimum():
    best = numopt.minimize(fun, np.full(N, 1 / N), jac=jac, domain=Simplex(), tol=1e-12)
    problem = SmoothComposite(fun, Simplex(), jac)
    for x in points():
        x = naive.project_simplex(x)
        g, certificate = jac(x), problem.certificate(x)
        gap = g @ x - g.min()
        assert certificate["fw_gap"] == pytest.approx(gap / max(1.0, fun(x)))
        assert gap >= fun(x) - best.fun - 1e-12
        assert certificate["outside"] <= 1e-15 and not certificate["fixed_point"].gate
    off = problem.certificate(np.full(N, 0.3))
    assert off["outside"] == pytest.approx(0.8 / N) and "outside" in off.gates
    assert off.fun == problem.objective(np.full(N, 0.3)) == fun(np.full(N, 0.3))


def test_fixed_points():
    slope = SLOPE(0.3, np.linspace(2, 0.2, N))
    for x in points():
        problem, value = SmoothComposite(fun, slope, jac), fun(x) + slope.value(x)
        s = scale(x, value)
        moved = x - slope.prox(x - jac(x) / s, 1 / s)
        assert problem.certificate(x)["fixed_point"] == pytest.approx(np.abs(moved).max())
        count, steps = SmoothComposite(fun, L0(0.05), jac), 1 / 40
        s = scale(x, fun(x) + 0.05 * np.count_nonzero(x))
        moved = np.abs(x - L0(0.05).prox(x - steps * jac(x), steps)).max()
        by_hand = count.certificate(x, curvature=40.0)
        assert by_hand["fixed_point"] == pytest.approx(moved / steps / s)
        # Estimated where nobody gives it: the largest curvature is 40.
        assert count._curvature(x, jac(x)) == pytest.approx(40, rel=0.05)


def test_result_is_verified_with_its_curvature():
    problem = SmoothComposite(fun, L0(0.05), jac)
    result = numopt.solve(problem, x0=np.zeros(N))
    assert result.success and result.curvature > 0
    assert dict(result.verify(problem)) == dict(result.certificate)
    expected = np.where(np.diag(H) * CENTRE**2 / 2 > 0.05, CENTRE, 0)
    np.testing.assert_allclose(result.x, expected, atol=1e-7)


def test_evaluations():
    calls = {"fun": 0, "jac": 0}

    def counted(name, call):
        def counting(x):
            calls[name] += 1
            return call(x)

        return counting

    problem = SmoothComposite(counted("fun", fun), L1(0.7), counted("jac", jac))
    result = numopt.solve(problem, x0=np.ones(N))
    assert (result.nfev, result.njev, result.nhev) == (calls["fun"], calls["jac"], 0)
    assert result.nfev <= 3 * result.nit + 5 and result.njev <= 1.5 * result.nit + 5
    before = problem.evaluations
    problem.certificate(result.x)
    assert problem.evaluations == before  # the last point is remembered
    pairs = SmoothComposite(lambda x: (fun(x), jac(x)), L1(0.7), True)
    both = numopt.solve(pairs, x0=np.ones(N))
    assert both.nfev == both.njev
    np.testing.assert_allclose(both.x, result.x, atol=1e-7)


@pytest.mark.parametrize("scheme", ["2-point", "3-point", None])
def test_differences_stay_in_a_box(scheme):
    seen = []

    def watched(x):
        seen.append(x.copy())
        return fun(x)

    problem = SmoothComposite(watched, Box(0.0, np.full(N, 1.0)), scheme)
    result = numopt.solve(problem, x0=np.full(N, 3.0))
    assert result.success and problem.default_tol > 1e-8
    assert np.min(seen) >= 0 and np.max(seen) <= 1
    np.testing.assert_allclose(result.x, np.clip(CENTRE, 0, 1), atol=1e-5)


def test_functions_are_called_inside_the_set_alone():
    seen = []

    def watched(x):
        seen.append(np.abs(x).sum())
        return fun(x), jac(x)

    result = numopt.minimize(watched, np.full(N, 9.0), jac=True, domain=L1Ball(1.0))
    assert result.success and max(seen) <= 1 + 1e-12
    seen.clear()
    bounds = [(-0.1, 0.1)] * N
    assert numopt.minimize(watched, np.ones(N), jac=True, penalty=L1(0.1), bounds=bounds).success
    assert max(seen) <= 0.1 * N + 1e-12


def test_undefined_points_are_avoided():
    def guarded(x):
        return fun(x) if x.min() > -0.9 else np.nan

    result = numopt.minimize(guarded, np.ones(N), jac=jac, penalty=L1(1.5))
    assert result.success
    undefined = SmoothComposite(lambda x: np.nan, L1(1.0), jac).certificate(np.ones(N))
    assert not undefined.met(1.0)


def test_pickle_and_replace():
    problem = SmoothComposite(fun, L1(0.7), jac)
    again = pickle.loads(pickle.dumps(problem))
    assert again.certificate(np.ones(N)) == problem.certificate(np.ones(N))
    assert problem.replace(penalty=L1(0.1)).objective(np.ones(N)) == pytest.approx(
        problem.objective(np.ones(N)) - 0.6 * N
    )


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: SmoothComposite(3, L1(1.0)), TypeError, ["fun", "callable", "int"]),
        (lambda: SmoothComposite(fun, L1), TypeError, ["class L1"]),
        (lambda: SmoothComposite(fun, "l1"), TypeError, ["penalty", "str", "numopt.penalties"]),
        (lambda: SmoothComposite(fun, L1(1.0), "exact"), ValueError, ["jac", "exact"]),
        (lambda: SmoothComposite(fun, L1(1.0, [1, 2])).certificate([1.0]), ValueError,
         ["x has 1 entries, expected 2"]),
        (lambda: numopt.solve(SmoothComposite(fun, L1(1.0), jac)), ValueError, ["x0 is needed"]),
        (lambda: numopt.solve(SmoothComposite(fun, L1(1.0, [1, 2]), jac), x0=[1.0]), ValueError,
         ["x0 has 1 entries, expected 2"]),
        (lambda: numopt.solve(SmoothComposite(fun, Simplex(), jac), x0=[]), ValueError,
         ["x0 is empty", "Simplex"]),
        (lambda: numopt.solve(SmoothComposite(fun, L1(1.0), jac), "lbfgs"), TypeError,
         ["LBFGS solves Smooth, not SmoothComposite", "prox-grad"]),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)
