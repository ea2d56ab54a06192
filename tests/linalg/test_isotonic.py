"""Isotonic regression against SciPy and the minimax formula, and by its optimality conditions."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import isotonic_regression as scipy_isotonic

from numopt.linalg import isotonic_regression
from numopt.linalg.isotonic import isotonic_into

fixed = settings(deadline=None, derandomize=True, max_examples=60)
VALUES = st.integers(-3, 3).map(float) | st.floats(-1e6, 1e6)


def fit(y, weights=1.0, increasing=True, out=None):
    out = np.empty_like(y) if out is None else out
    isotonic_into(y, weights, increasing, out, np.empty((2, y.size)), np.empty(y.size, np.intp))
    return out


def minimax(y, w):
    """x_i = max_{a <= i} min_{b >= i} mean(y[a:b+1])."""
    n = y.size
    x = np.empty(n)
    for i in range(n):
        means = [
            [np.average(y[a : b + 1], weights=w[a : b + 1]) for b in range(i, n)]
            for a in range(i + 1)
        ]
        x[i] = max(min(row) for row in means)
    return x


def assert_optimal(y, w, x, tol):
    """Monotone; residuals sum to 0 over each level set, and to >= 0 over each of its beginnings."""
    assert np.all(np.diff(x) >= 0)
    for level in np.unique(x):
        on = x == level
        sums = np.cumsum(w[on] * (y[on] - level))
        scale = tol * np.sum(w[on] * (np.abs(y[on]) + abs(level)))
        assert abs(sums[-1]) <= scale
        assert sums.min() >= -scale


@fixed
@given(arrays(np.float64, st.integers(1, 12), elements=VALUES), st.integers(0, 99))
def test_minimax_formula(y, seed):
    w = np.random.default_rng(seed).uniform(0.1, 5, y.size)
    np.testing.assert_allclose(fit(y, w), minimax(y, w), rtol=1e-13, atol=1e-9)


N = 5000
rng = np.random.default_rng(1)
LONG = {
    "noise": rng.standard_normal(N),
    "trend": np.linspace(0, 3, N) + rng.standard_normal(N),
    "sorted": np.sort(rng.standard_normal(N)),
    "reversed": -np.sort(rng.standard_normal(N)),
    "equal": np.full(N, 0.1),
    "ties": rng.integers(0, 4, N).astype(float),
    "walk": rng.standard_normal(N).cumsum(),
    "all scales": rng.standard_normal(N) * 10.0 ** rng.integers(-12, 12, N),
    "last lowest": np.append(np.arange(N - 1.0), -1e9),
}


@pytest.mark.parametrize("increasing", [True, False])
@pytest.mark.parametrize("name", LONG)
def test_long_sequences(name, increasing):
    y = LONG[name]
    w = np.random.default_rng(2).exponential(size=N)
    sign = 1 if increasing else -1
    before = y.copy()
    x = fit(y, w, increasing)
    np.testing.assert_array_equal(y, before)
    assert_optimal(sign * y, w, sign * x, 1e-12)
    expected = scipy_isotonic(y, weights=w, increasing=increasing).x
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-13 * np.abs(y).max())
    plain = scipy_isotonic(y, increasing=increasing).x
    np.testing.assert_allclose(fit(y, 1.0, increasing), plain, atol=1e-13 * np.abs(y).max())


def test_in_place_and_reversed_order():
    y = LONG["trend"]
    expected = fit(y)
    z = y.copy()
    assert fit(z, out=z) is z
    np.testing.assert_array_equal(z, expected)
    turned = fit(y[::-1].copy(), 1.0, False)[::-1]
    np.testing.assert_allclose(turned, expected, atol=1e-14)


def test_weights_are_repetitions():
    y = LONG["ties"][:300] + 0.1 * rng.standard_normal(300)
    times = rng.integers(1, 6, y.size)
    x = fit(y, times.astype(float))
    np.testing.assert_allclose(np.repeat(x, times), fit(np.repeat(y, times)), atol=1e-14)


def test_weights_of_all_scales():
    w = 10.0 ** rng.integers(-12, 12, N)
    x = fit(LONG["noise"], w)
    assert_optimal(LONG["noise"], w, x, 1e-12)


def test_single_precision_does_not_lose_small_steps():
    # A mean of a million entries kept in single precision would no longer move.
    y = np.concatenate([[1.0], np.full(200_000, 0.9)]).astype(np.float32)
    x = fit(y)
    assert x.dtype == np.float32
    np.testing.assert_allclose(x, np.mean(y, dtype=np.float64), rtol=1e-7)


def test_not_a_number_spoils_everything():
    y = np.array([1.0, 2.0, np.nan, 0.0, 5.0])
    assert np.isnan(fit(y)).all()


def test_infinite_ends():
    assert fit(np.array([-np.inf, 1.0, 0.0, np.inf])).tolist() == [-np.inf, 0.5, 0.5, np.inf]


def test_front():
    assert isotonic_regression([3, 1, 2]).tolist() == [2.0, 2.0, 2.0]
    assert isotonic_regression([3, 1, 2], increasing=False).tolist() == [3.0, 1.5, 1.5]
    assert isotonic_regression([2.0, 0.0], [3.0, 1.0]).tolist() == [1.5, 1.5]
    assert isotonic_regression([]).tolist() == [] and isotonic_regression([7.0]).tolist() == [7.0]


@pytest.mark.parametrize(
    ("y", "weights", "message"),
    [
        ([1.0, np.nan], None, "y has nan at index 1"),
        ([[1.0]], None, "y must be 1-D"),
        ([1.0, 2.0], [1.0], "weights has 1 entries, expected 2"),
        ([1.0, 2.0], [1.0, 0.0], "weights must be > 0, got 0 at index 1"),
    ],
)
def test_wrong_arguments(y, weights, message):
    with pytest.raises(ValueError, match=message):
        isotonic_regression(y, weights)
