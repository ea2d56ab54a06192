"""A user's function: certificate, counts, memory, differences and what is refused."""

import pickle
import threading

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import Bounds, rosen, rosen_der

from numopt.core.differences import gradient_into
from numopt.problems import Smooth


def naive_stationarity(x, f, g, lower, upper):
    """Coordinate by coordinate, in the widest floats there are."""
    x, g, f = np.longdouble(x), np.longdouble(g), np.longdouble(f)
    scale = max(np.longdouble(1), abs(f) / max(np.longdouble(1), abs(x).max()))
    return max(
        abs(float(xi - min(max(xi - gi / scale, np.longdouble(lo)), np.longdouble(up))))
        for xi, gi, lo, up in zip(x, g, lower, upper, strict=True)
    )


numbers = st.floats(-1e3, 1e3, allow_nan=False)


@given(st.lists(st.tuples(numbers, numbers, numbers, numbers), min_size=1, max_size=5), numbers)
def test_certificate_is_its_formula(rows, f):
    x, g, a, b = np.array(rows).T
    lower, upper = np.minimum(a, b), np.maximum(a, b)
    x = np.clip(x, lower, upper)
    found = Smooth(lambda x: f, lambda x: g, Bounds(lower, upper)).certificate(x)
    expected = naive_stationarity(x, f, g, lower, upper)
    assert found.kind == "stationary" and found.fun == f
    assert float(found["stationarity"]) == pytest.approx(expected, rel=1e-9, abs=1e-12)
    free = Smooth(lambda x: f, lambda x: g).certificate(x)
    everywhere = np.full(x.size, np.inf)
    assert float(free["stationarity"]) == pytest.approx(
        naive_stationarity(x, f, g, -everywhere, everywhere), rel=1e-9, abs=1e-12
    )


def test_certificate_cannot_be_talked_down():
    far = Smooth(lambda x: 0.0, lambda x: np.full(1, 1e-4)).certificate([1e12])
    assert float(far["stationarity"]) == pytest.approx(1e-4)  # though x - g rounds to x
    downhill = Smooth(lambda x: -(x @ x), lambda x: -2 * x).certificate([1e9])
    assert downhill["stationarity"] > 1
    steep = Smooth(lambda x: 1e14 * (x @ x), lambda x: 2e14 * x, [(0.5, 1.5)]).certificate([1.0])
    assert steep["stationarity"] >= 0.5
    outside = Smooth(lambda x: 0.0, lambda x: 0 * x, [(0, 1)]).certificate([3.0])
    assert outside["stationarity"] == 2
    for value in (np.nan, np.inf, -np.inf):
        assert np.isnan(Smooth(lambda x, v=value: v, lambda x: x).certificate([1.0]).stationarity)
    gradient = Smooth(lambda x: 0.0, lambda x: np.full(2, np.nan), Bounds(0, 1)).certificate([0, 0])
    assert not gradient.met(1.0)


def test_last_point_is_remembered():
    problem = Smooth(rosen, rosen_der)
    problem.certificate([1.0, 2.0])
    assert problem.evaluations == (1, 1, 0)
    assert problem.certificate([1.0, 2.0])["stationarity"] > 1
    assert problem.objective([1.0, 2.0]) == rosen([1.0, 2.0])
    assert problem.evaluations == (1, 1, 0)
    problem.objective([1.0, 3.0])
    problem.certificate([1.0, 3.0])
    assert problem.evaluations == (2, 2, 0)
    both = Smooth(lambda x: (rosen(x), rosen_der(x)), True)
    assert both.certificate([1.0, 2.0]).fun == rosen([1.0, 2.0])
    assert both.evaluations == (1, 1, 0)


@pytest.mark.parametrize(
    ("jac", "calls"), [("2-point", 4), ("3-point", 7), ("cs", 4), (None, 4), (False, 4)]
)
def test_differences_are_counted(jac, calls):
    problem = Smooth(lambda x: x @ x, jac)
    problem.certificate([1.0, 2.0, 3.0])
    assert problem.evaluations == (calls, 1, 0)


def test_counts_are_those_of_the_thread():
    problem = Smooth(rosen, rosen_der)
    thread = threading.Thread(target=lambda: [problem.certificate([float(i), 0]) for i in range(9)])
    thread.start()
    thread.join()
    assert problem.evaluations == (0, 0, 0)


@pytest.mark.parametrize("jac", ["2-point", "3-point", "cs", "exact", True])
def test_functions_may_spoil_and_keep_their_argument(jac):
    kept = []

    def fun(x):
        kept.append(x)
        value = x @ x
        gradient = 2.0 * x.real
        x[:] = 7.0
        return (value, gradient) if jac is True else value

    def gradient(x):
        kept.append(x)
        x *= 2
        return x

    problem = Smooth(fun, gradient if jac == "exact" else jac)
    x = np.array([1.0, -2.0])
    out = np.zeros(2)
    assert problem.evaluate_into(x, out) == 5
    np.testing.assert_allclose(out, [2.0, -4.0], atol=1e-6)
    assert x.tolist() == [1.0, -2.0]
    copies = [array.copy() for array in kept]
    problem.evaluate_into(x + 1, out)
    for array, copy in zip(kept, copies, strict=False):
        np.testing.assert_array_equal(array, copy)


def test_no_gradient_is_asked_for_where_there_is_no_value():
    problem = Smooth(lambda x: np.nan, lambda x: 1 / 0)
    out = np.zeros(2)
    assert np.isnan(problem.evaluate_into(np.ones(2), out)) and np.isnan(out).all()
    assert problem.evaluations == (1, 0, 0)


def wavy(x):
    return np.sum(np.exp(0.3 * x) * np.sin(x + np.arange(x.size)))


def wavy_gradient(x):
    phase = x + np.arange(x.size)
    return np.exp(0.3 * x) * (0.3 * np.sin(phase) + np.cos(phase))


@pytest.mark.parametrize(("scheme", "error"), [("2-point", 3e-7), ("3-point", 1e-9), ("cs", 1e-14)])
@pytest.mark.parametrize("where", ["inside", "at lower", "at upper", "narrow", "unbounded"])
def test_differences_stay_inside_and_are_accurate(scheme, error, where):
    x = np.array([0.0, 1.5, -2.5, 4.0, -7.0])
    below = {"inside": 1.0, "at lower": 0.0, "at upper": 5.0, "narrow": 3e-4, "unbounded": np.inf}
    above = {"inside": 1.0, "at lower": 5.0, "at upper": 0.0, "narrow": 0.0, "unbounded": np.inf}
    lower, upper = x - below[where], x + above[where]
    seen = []

    def fun(z):
        seen.append(z.real.copy())
        value = wavy(z)
        return complex(value) if scheme == "cs" else float(value)

    out = np.empty(5)
    gradient_into(fun, x, float(wavy(x)), scheme, lower, upper, out)
    assert np.max(np.abs(out - wavy_gradient(x))) < error
    assert all(np.all(lower <= z) and np.all(z <= upper) for z in seen)
    assert len(seen) == {"2-point": 5, "3-point": 10, "cs": 5}[scheme]


@given(
    st.sampled_from(["2-point", "3-point"]),
    st.floats(-1e6, 1e6),
    st.floats(0, 1),
    st.sampled_from([0.0, 1e-300, 1e-12, 1e-9, 1e-7, 1e-5, 1.0, np.inf]),
)
def test_steps_never_leave_however_narrow_the_bounds(scheme, x, part, width):
    # The formulas are exact for linear functions, so rounding of f is the only error.
    lower = x - part * width if part else x
    upper = x + (1 - part) * width if part < 1 else x
    points = []

    def fun(z):
        points.append(z[0])
        return float(z[0] - x)

    out = np.array([np.nan])
    gradient_into(fun, np.array([x]), 0.0, scheme, np.array([lower]), np.array([upper]), out)
    assert all(lower <= point <= upper for point in points)
    if lower == upper:
        assert out[0] == 0 and not points
    elif width >= 1e-9 * max(1, abs(x)) or width == np.inf:
        assert out[0] == pytest.approx(1.0, abs=1e-4)


def test_three_points_are_of_second_order_at_a_bound():
    def fun(z):
        return float(2 * z[0] ** 2 + 3 * z[0] + 1)

    out = np.empty(1)
    bounds = np.array([1.0]), np.array([5.0])
    gradient_into(fun, np.array([1.0]), 6.0, "3-point", *bounds, out, rel_step=1e-2)
    assert out[0] == pytest.approx(7.0, rel=1e-12)
    gradient_into(fun, np.array([1.0]), 6.0, "2-point", *bounds, out, rel_step=1e-2)
    assert out[0] == pytest.approx(7.02, rel=1e-12)


def test_bounds_in_every_form():
    n = 3
    forms = [
        [(0, None), (0.0, np.inf), (0, None)],
        np.array([[0, np.inf]] * n),
        Bounds(0, np.inf),
        Bounds([0, 0, 0], np.inf),
        Bounds(np.zeros(n), np.full(n, np.inf)),
    ]
    for bounds in forms:
        lower, upper = Smooth(rosen, bounds=bounds).limits(n)
        assert lower.tolist() == [0] * n and upper.tolist() == [np.inf] * n
    assert Smooth(rosen).limits(n) == (None, None)
    assert Smooth(rosen, bounds=forms[0]).size == n and Smooth(rosen, bounds=forms[2]).size is None
    assert Smooth(rosen, bounds=[]).size == 0


def test_values_in_every_form():
    for value in (1, 1.0, np.float32(1), np.int64(1), np.array(1.0), np.array([1.0]), [1.0], True):
        assert Smooth(lambda x, v=value: v).objective([0.0]) == 1
    for gradient in ([3, 4], (3.0, 4.0), np.array([[3.0, 4.0]]), np.float32([3, 4])):
        out = np.empty(2)
        Smooth(lambda x: 0.0, lambda x, g=gradient: g).evaluate_into(np.zeros(2), out)
        assert out.tolist() == [3, 4]
    assert Smooth(lambda x, a, b: a + b, args=(1, 2)).objective([0.0]) == 3
    assert Smooth(lambda x, a: a, args=4.0).objective([0.0]) == 4


NAN = float("nan")


@pytest.mark.parametrize(
    ("arguments", "error", "parts"),
    [
        (dict(fun=3), TypeError, ["fun", "callable", "int"]),
        (dict(jac="4-point"), ValueError, ["jac", "4-point", "3-point"]),
        (dict(jac=7), ValueError, ["jac", "7"]),
        (dict(bounds=3), ValueError, ["bounds", "pairs"]),
        (dict(bounds=[(0, 1), 5]), ValueError, ["bounds", "pairs"]),
        (dict(bounds=[(0, 1), (2, 1)]), ValueError, ["index 1", "(2, 1)", "less than"]),
        (dict(bounds=[(NAN, 1), (2, 3)]), ValueError, ["index 0", "NaN"]),
        (dict(bounds=[(np.inf, np.inf), (2, 3)]), ValueError, ["inf"]),
        (dict(bounds=Bounds([0, 0, 0], [1, 1, 1])), ValueError, ["x has 2", "3"]),
        (dict(fun=lambda x: x), ValueError, ["scalar", "(2,)"]),
        (dict(fun=lambda x: None), TypeError, ["fun", "real"]),
        (dict(fun=lambda x: 1j), TypeError, ["fun", "complex"]),
        (dict(fun=lambda x: "one"), TypeError, ["fun", "real"]),
        (dict(jac=lambda x: [1.0]), ValueError, ["jac", "(1,)", "(2,)"]),
        (dict(jac=lambda x: np.eye(2)), ValueError, ["jac", "(2, 2)"]),
        (dict(jac=lambda x: [1j, 2]), TypeError, ["jac", "complex"]),
        (dict(jac=lambda x: None), ValueError, ["jac", "()"]),
        (dict(jac=True), ValueError, ["pair", "jac=True"]),
        (dict(fun=lambda x: np.abs(x).sum(), jac="cs"), ValueError, ["cs", "complex", "3-point"]),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(arguments, error, parts):
    with pytest.raises(error) as caught:
        Smooth(**{"fun": rosen, **arguments}).certificate([1.0, 2.0])
    for part in parts:
        assert part in str(caught.value)


def test_wrong_points_are_named():
    problem = Smooth(rosen, bounds=[(0, 1)] * 3)
    with pytest.raises(ValueError, match="x has 2 entries, expected 3"):
        problem.certificate([1.0, 2.0])
    with pytest.raises(ValueError, match="x has nan at index 1"):
        problem.certificate([1.0, np.nan, 1.0])


def test_default_tolerance_is_what_the_gradient_allows():
    tolerances = {jac: Smooth(rosen, jac).default_tol for jac in ("2-point", "3-point", "cs", True)}
    assert tolerances == {"2-point": 1e-5, "3-point": 1e-7, "cs": 1e-8, True: 1e-8}
    assert Smooth(rosen, rosen_der).default_tol == 1e-8


def test_pickle_and_replace():
    problem = Smooth(rosen, rosen_der, [(0, 2), (0, 2)])
    problem.certificate([1.0, 2.0])
    again = pickle.loads(pickle.dumps(problem))
    assert again.evaluations == (0, 0, 0)
    assert again.certificate([1.0, 2.0]) == problem.certificate([1.0, 2.0])
    related = problem.replace(bounds=None)
    assert related.lower is None and related.fun is rosen
    assert related.evaluations == (0, 0, 0)  # another problem's memory would be wrong
    assert related.certificate([1.0, 2.0])["stationarity"] > 1
    assert "rosen" in repr(problem) and "_calls" not in repr(problem)


def test_no_variables():
    problem = Smooth(lambda x: 3.0, lambda x: x)
    assert problem.certificate([]).met(0.0) and problem.certificate([]).fun == 3
