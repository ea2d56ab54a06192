"""Projections against sorting, and by their optimality conditions."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import brentq

from numopt.core.jit import kernel
from numopt.linalg import project_knapsack, project_l1_ball, project_simplex, stubs
from numopt.linalg.projections import knapsack_into, l1_ball_into, simplex_into
from numopt.sets import Simplex

fixed = settings(deadline=None, derandomize=True, max_examples=80)
EPS = np.finfo(np.float64).eps
FEW_VALUES = st.integers(-3, 3).map(float)
VALUES = FEW_VALUES | st.floats(-1e6, 1e6) | st.floats(-1, 1)
RADII = st.sampled_from([1e-8, 0.1, 1.0, 2.5, 100.0, 1e7])


def simplex(v, radius=1.0, weights=1.0):
    out = np.full_like(v, 7.0)
    simplex_into(v, weights, radius, out)
    return out


def l1_ball(v, radius=1.0, weights=1.0):
    out = np.full_like(v, 7.0)
    l1_ball_into(v, weights, radius, out)
    return out


def knapsack(v, w, lower, upper, total):
    out = np.full_like(v, 7.0)
    status = knapsack_into(v, w, lower, upper, total, out)
    return out, status


def sorted_simplex(v, radius, w):
    """(v - t w)_+ with the t that is found when all breakpoints v / w stand in order."""
    order = np.argsort(-v / w, kind="stable")
    t = (np.cumsum((w * v)[order]) - radius) / np.cumsum((w * w)[order])
    last = np.flatnonzero((v / w)[order] > t)[-1]
    return np.maximum(v - t[last] * w, 0.0)


def assert_projected(x, v, radius, w, tol=1e-12):
    """x >= 0, w'x = radius, and v - x is t w on the support, at most that elsewhere."""
    w = np.broadcast_to(w, v.shape)
    assert np.all(x >= 0)
    # Rounding of the terms, and of their sum in some order.
    assert abs(math.fsum(w * x) - radius) <= (4 + v.size / 30) * EPS * radius
    on = x > 0
    ratios = (v - x) / w
    scale = tol * (np.abs(v).max() + radius / w.min()) / w.min()
    assert np.ptp(ratios[on]) <= scale
    assert np.all(ratios <= ratios[on].min() + scale)


# ---- simplex -------------------------------------------------------------------------------------


@fixed
@given(arrays(np.float64, st.integers(1, 30), elements=VALUES), RADII)
def test_simplex_of_short_vectors(v, radius):
    x = simplex(v, radius)
    assert_projected(x, v, radius, 1.0)
    size = np.abs(v).max() + radius
    np.testing.assert_allclose(x, sorted_simplex(v, radius, np.ones(v.size)), atol=1e-13 * size)


@fixed
@given(arrays(np.float64, st.integers(1, 30), elements=VALUES), RADII, st.integers(0, 99))
def test_weighted_simplex_of_short_vectors(v, radius, seed):
    w = np.random.default_rng(seed).uniform(0.1, 10, v.size)
    x = simplex(v, radius, w)
    assert_projected(x, v, radius, w)
    np.testing.assert_allclose(
        x, sorted_simplex(v, radius, w), atol=1e-10 * (np.abs(v).max() + radius)
    )


N = 20_000
rng = np.random.default_rng(3)
LONG = {
    "normal": rng.standard_normal(N),
    "sorted": np.sort(rng.standard_normal(N)),
    "reversed": -np.sort(rng.standard_normal(N)),
    "equal": np.full(N, 0.3),
    "ties": rng.integers(0, 5, N).astype(float),
    "uniform": rng.random(N),
    "one large": np.append(np.zeros(N - 1), 1e9),
    "all scales": rng.standard_normal(N) * 10.0 ** rng.integers(-15, 9, N),
    "geometric": 2.0 ** -(np.arange(N) % 1000.0),
    "first part low": np.where(np.arange(N) < N // 8, -100.0, rng.standard_normal(N)),
    "first part high": np.where(np.arange(N) < N // 8, 100.0, rng.standard_normal(N)),
}


@pytest.mark.parametrize("radius", [1e-6, 1.0, 300.0, 1e4, 1e9])
@pytest.mark.parametrize("name", LONG)
def test_simplex_of_long_vectors(name, radius):
    v = LONG[name]
    before = v.copy()
    x = simplex(v, radius)
    np.testing.assert_array_equal(v, before)
    assert_projected(x, v, radius, 1.0)
    w = np.random.default_rng(4).uniform(0.5, 2, N)
    assert_projected(simplex(v, radius, w), v, radius, w)


def test_offset_does_not_matter():
    v = rng.integers(0, 2**20, 500) / 2.0**20  # exact after the shift as well
    expected = simplex(v, 3.0)
    np.testing.assert_allclose(simplex(v + 2.0**30, 3.0), expected, atol=1e-15)
    np.testing.assert_allclose(simplex(v - 2.0**30, 3.0), expected, atol=1e-15)


@pytest.mark.parametrize("weights", [1.0, np.array([1.0, 1.0, 3.0, 1.0])])
def test_entries_beyond_the_precision_of_the_radius(weights):
    x = simplex(np.array([1e20, -1e20, 5.0, 1e20]), 1.0, weights)
    np.testing.assert_allclose(x, [0.5, 0, 0, 0.5], atol=1e-15)
    x = simplex(np.array([1e300, -1e308, 1.0, 0.0]), 2.0)
    assert x.tolist() == [2.0, 0.0, 0.0, 0.0]


def test_weights_that_round_away_the_radius():
    # v - (v / w) w is not 0 here, but 3.6e3: more than all of the radius.
    v, w = np.array([1e20 / 3, 1.0, 2.0]), np.array([0.7, 1.0, 1.0])
    x = simplex(v, 1e-3, w)
    assert np.isfinite(x).all() and np.all(x >= 0)


def test_infinite_entries():
    assert simplex(np.array([-np.inf, 0.2, 0.4])).tolist() == pytest.approx([0.0, 0.4, 0.6])
    v = rng.standard_normal(2000)
    v[::3] = -np.inf
    x = simplex(v, 2.0)
    assert np.all(x[::3] == 0)
    np.testing.assert_array_equal(x[np.isfinite(v)], simplex(v[np.isfinite(v)], 2.0))
    for size in (3, 3000):
        for bad in (np.nan, np.inf):
            for at in (0, size - 1):
                v = np.linspace(-1, 1, size)
                v[at] = bad
                assert np.isnan(simplex(v)).all()
                assert np.isnan(l1_ball(v)).all()


def test_single_precision():
    v = LONG["normal"].astype(np.float32)
    x = simplex(v, 50.0)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, simplex(v.astype(np.float64), 50.0), rtol=1e-6, atol=1e-9)
    assert abs(math.fsum(x) - 50.0) <= 1e-7 * 50.0


def test_in_place():
    v = LONG["uniform"].copy()
    expected = simplex(v, 5.0)
    simplex_into(v, 1.0, 5.0, v)
    np.testing.assert_array_equal(v, expected)


@pytest.mark.parametrize("radius", [0.5, 4.0])
def test_the_set_projects_the_same_way(radius):
    for v in (LONG["normal"], np.array([3.0]), LONG["ties"].astype(np.float32)):
        x = Simplex(radius).project(v)
        assert x.dtype == v.dtype
        np.testing.assert_allclose(x, simplex(v, radius), rtol=4 * np.finfo(v.dtype).eps)
    assert Simplex().project([]).size == 0


# ---- L1 ball -------------------------------------------------------------------------------------


@fixed
@given(arrays(np.float64, st.integers(0, 30), elements=VALUES), RADII)
def test_l1_ball_of_short_vectors(v, radius):
    x = l1_ball(v, radius)
    if np.abs(v).sum() <= radius:
        np.testing.assert_array_equal(x, v)
    else:
        np.testing.assert_array_equal(np.abs(x), simplex(np.abs(v), radius))
        assert np.all(x * v >= 0)
        assert not np.signbit(x[x == 0]).any()


def test_weighted_l1_ball():
    v, w = LONG["normal"], np.random.default_rng(5).uniform(0.1, 2, N)
    x = l1_ball(v, 40.0, w)
    np.testing.assert_array_equal(np.abs(x), simplex(np.abs(v), 40.0, w))
    assert np.all(x * v >= 0)
    np.testing.assert_array_equal(l1_ball(v, 1e5, w), v)


def test_l1_ball_of_radius_zero():
    assert l1_ball(np.array([1.0, -2.0]), 0.0).tolist() == [0.0, 0.0]


def test_l1_ball_in_place():
    v = LONG["normal"].copy()
    expected = l1_ball(v, 5.0)
    l1_ball_into(v, 1.0, 5.0, v)
    np.testing.assert_array_equal(v, expected)


@kernel
def through_stub(v, out):
    stubs.l1_ball_into(v, 1.0, 2.0, out)


def test_stubs_lead_to_kernels():
    v, outs = LONG["normal"], np.empty((2, N))
    through_stub(v, outs[0])
    stubs.l1_ball_into(v, 1.0, 2.0, outs[1])
    for out in outs:
        np.testing.assert_array_equal(out, l1_ball(v, 2.0))


# ---- knapsack ------------------------------------------------------------------------------------


def reach(w, lower, upper):
    return np.minimum(w * lower, w * upper).sum(), np.maximum(w * lower, w * upper).sum()


def assert_in_knapsack(x, v, w, lower, upper, total, tol=1e-11):
    """Within bounds, w'x = total, x = clip(v - t w) for one t."""
    assert np.all((lower <= x) & (x <= upper))
    size = math.fsum(np.abs(w) * (np.abs(x) + np.abs(v)))
    assert abs(math.fsum(w * x) - total) <= 30 * EPS * (size + abs(total))
    free = (lower < x) & (x < upper) & (w != 0)
    with np.errstate(divide="ignore", invalid="ignore"):
        t = (v - x) / w
    scale = tol * (1 + np.abs(t[free]).max(initial=0.0) + np.abs(v).max())
    slack = scale / np.abs(w[w != 0]).min(initial=1.0)
    # t is at most that where x is held at the side to which growing t drives it, at least else.
    driven_down = np.where(w > 0, x == lower, x == upper) & ~free & (w != 0)
    driven_up = np.where(w > 0, x == upper, x == lower) & ~free & (w != 0)
    fixed = lower == upper
    least = np.max(t[driven_down & ~fixed | free], initial=-np.inf)
    most = np.min(t[driven_up & ~fixed | free], initial=np.inf)
    assert least <= most + slack


@st.composite
def knapsacks(draw):
    n = draw(st.integers(1, 25))
    bound = st.integers(-3, 3).map(float) | st.floats(-100, 100)
    one, other = (draw(arrays(np.float64, n, elements=bound)) for _ in range(2))
    w = draw(arrays(np.float64, n, elements=st.sampled_from([-2.0, -0.5, 0.0, 0.3, 1.0, 4.0])))
    v = draw(arrays(np.float64, n, elements=st.integers(-4, 4).map(float) | st.floats(-1e3, 1e3)))
    lower, upper = np.minimum(one, other), np.maximum(one, other)
    share = draw(st.sampled_from([0.0, 1e-9, 0.2, 0.5, 0.9, 1.0]))
    least, most = reach(w, lower, upper)
    return v, w, lower, upper, float(np.clip(least + share * (most - least), least, most))


@fixed
@given(knapsacks())
def test_knapsack_of_short_vectors(data):
    v, w, lower, upper, total = data
    x, status = knapsack(v, w, lower, upper, total)
    assert status == 0
    assert_in_knapsack(x, v, w, lower, upper, total)


@pytest.mark.parametrize("share", [1e-7, 0.1, 0.5, 0.99])
@pytest.mark.parametrize("name", LONG)
def test_knapsack_of_long_vectors(name, share):
    v = LONG[name]
    w = rng.choice([-1.0, 0.5, 2.0], N)
    lower, upper = -rng.random(N), rng.random(N)
    least, most = reach(w, lower, upper)
    total = least + share * (most - least)
    x, status = knapsack(v, w, lower, upper, total)
    assert status == 0
    assert_in_knapsack(x, v, w, lower, upper, total)


def test_knapsack_of_steps():
    # Narrow bounds, far apart: the sum is flat nearly everywhere, Newton's steps lead nowhere.
    v = 10.0 ** rng.uniform(-3, 3, 3000) * rng.choice([-1, 1], 3000)
    lower, upper = np.zeros(3000), np.full(3000, 1e-7)
    for k in (1, 7, 1000, 1234, 2999):
        for part in (0.0, 0.25):
            x, status = knapsack(v, np.ones(3000), lower, upper, (k + part) * 1e-7)
            assert status == 0
            assert abs(math.fsum(x) - (k + part) * 1e-7) <= 1e-12
            on = np.argsort(-v)[:k]
            np.testing.assert_allclose(x[on], 1e-7, atol=1e-12)
            np.testing.assert_allclose(np.delete(x, on).max(), part * 1e-7, atol=1e-12)


def test_knapsack_against_root_finding():
    v, w = rng.standard_normal(200), rng.uniform(0.5, 2, 200)
    lower, upper = np.full(200, -0.3), np.full(200, 0.4)

    def excess(t):
        return w @ np.clip(v - t * w, lower, upper) - 3.0

    t = brentq(excess, -100, 100, xtol=1e-15)
    np.testing.assert_allclose(
        knapsack(v, w, lower, upper, 3.0)[0], np.clip(v - t * w, lower, upper), atol=1e-13
    )


def test_open_bounds():
    v, w = rng.standard_normal(500), rng.uniform(0.5, 2, 500)
    zeros, open_ = np.zeros(500), np.full(500, np.inf)
    x, status = knapsack(v, w, zeros, open_, 7.0)
    assert status == 0
    np.testing.assert_allclose(x, simplex(v, 7.0, w), atol=1e-13)
    x, status = knapsack(v, w, -open_, open_, 7.0)  # a hyperplane
    assert status == 0
    np.testing.assert_allclose(x, v - w * (w @ v - 7.0) / (w @ w), atol=1e-13)
    x, status = knapsack(v, -w, -open_, zeros, 7.0)
    np.testing.assert_allclose(x, -simplex(-v, 7.0, w), atol=1e-13)


def test_out_of_reach():
    v, w = np.array([0.5, 2.0, -1.0]), np.array([1.0, -1.0, 0.0])
    lower, upper = np.zeros(3), np.ones(3)
    x, status = knapsack(v, w, lower, upper, 1.5)
    assert status == 1 and x.tolist() == [1.0, 0.0, 0.0]
    x, status = knapsack(v, w, lower, upper, -1.5)
    assert status == 1 and x.tolist() == [0.0, 1.0, 0.0]
    x, status = knapsack(v, w, lower, upper, 1.0)
    assert status == 0 and x.tolist() == [1.0, 0.0, 0.0]
    # A total that is out of reach by the rounding of the caller's sums is not.
    ends = np.array([1e-234]), np.array([1.0])
    assert knapsack(np.zeros(1), np.array([-2.0]), *ends, 0.0)[1] == 0
    assert knapsack(v[:0], w[:0], lower[:0], upper[:0], 0.0)[1] == 0
    assert knapsack(v[:0], w[:0], lower[:0], upper[:0], 1.0)[1] == 1


def test_knapsack_of_not_a_number():
    v, w = np.array([0.5, np.nan, 1.0]), np.ones(3)
    assert np.isnan(knapsack(v, w, np.zeros(3), np.ones(3), 1.0)[0]).all()
    assert np.isnan(knapsack(np.ones(3), w, np.zeros(3), np.ones(3), np.nan)[0]).all()


def test_extreme_scales():
    for scale in (1e-150, 1e150):
        v = scale * np.array([3.0, -1.0, 0.5, 0.2])
        x, status = knapsack(v, np.ones(4), -scale * np.ones(4), scale * np.ones(4), 1.5 * scale)
        assert status == 0
        expected = knapsack(v / scale, np.ones(4), -np.ones(4), np.ones(4), 1.5)[0]
        np.testing.assert_allclose(x / scale, expected, atol=1e-14)
        np.testing.assert_allclose(simplex(v, scale) / scale, simplex(v / scale), atol=1e-14)


# ---- fronts --------------------------------------------------------------------------------------


def test_fronts():
    assert project_simplex([2, 0]).tolist() == [1.0, 0.0]
    assert project_simplex([1.0, 1.0], 2.0, [1.0, 3.0]).tolist() == pytest.approx([0.8, 0.4])
    assert project_l1_ball([0.5, -0.25]).tolist() == [0.5, -0.25]
    assert project_l1_ball([3.0, -1.0], weights=[1.0, 2.0]).tolist() == [1.0, 0.0]
    assert project_l1_ball([]).size == 0
    assert project_knapsack([0.9, 0.9, 0.1], 1.0).tolist() == pytest.approx([0.5, 0.5, 0.0])
    assert project_knapsack([5.0, 5.0], 3.0, upper=[1.0, 9.0]).tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: project_simplex([]), "v is empty"),
        (lambda: project_simplex([1.0], 0.0), "radius must be a finite number > 0"),
        (lambda: project_simplex([np.inf]), "v has inf at index 0"),
        (lambda: project_simplex([1.0], 1.0, [0.0]), "weights must be > 0, got 0 at index 0"),
        (lambda: project_simplex([1.0], 1.0, [1.0, 2.0]), "weights has 2 entries, expected 1"),
        (lambda: project_l1_ball([1.0], -1.0), "radius must be a finite number >= 0"),
        (lambda: project_knapsack([1.0, 1.0], 3.0), "total = 3 is out of reach: .* allow 2"),
        (lambda: project_knapsack([1.0], 0.5, lower=1.0, upper=0.0), "fails at index 0: 1, 0"),
        (lambda: project_knapsack([1.0], 0.5, upper=[1.0, 2.0]), r"upper must be a number or have"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()
