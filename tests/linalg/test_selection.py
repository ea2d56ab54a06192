"""Order statistics against sorting."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from numopt.linalg import kth_largest, top_k, weighted_median
from numopt.linalg.medians import weighted_quantile
from numopt.linalg.selection import DIRECT, select, top_k_into

fixed = settings(deadline=None, derandomize=True, max_examples=60)
FEW_VALUES = st.integers(-3, 3).map(float)
ALL_VALUES = st.floats(width=64)


def select_in(x, rank, magnitude=False):
    return select(x, rank, magnitude, np.empty_like(x))


def top_k_in(x, k):
    indices = np.empty(k, np.intp)
    return indices, top_k_into(x, indices, np.empty(x.size, np.intp), np.empty_like(x))


def quantile_in(values, weights, q=0.5):
    return weighted_quantile(values, weights, q, np.empty_like(values), np.empty_like(values))


def same(a, b):
    return a == b or (np.isnan(a) and np.isnan(b))


def sorted_quantile(values, weights, q):
    """For weights whose sums are exact."""
    order = np.argsort(values, kind="stable")
    sums = np.cumsum(weights[order])
    return values[order][np.searchsorted(sums, q * sums[-1])]


def sorted_top_k(x, k):
    size = np.where(np.isnan(x), np.inf, np.abs(x))
    return np.sort(np.argsort(-size, kind="stable")[:k])


# Long enough for sampled pivots, of shapes that mislead a sample.
N = 30_011
rng = np.random.default_rng(0)
LONG = {
    "normal": rng.standard_normal(N),
    "sorted": np.sort(rng.standard_normal(N)),
    "reversed": -np.sort(rng.standard_normal(N)),
    "equal": np.ones(N),
    "two values": rng.integers(0, 2, N).astype(float),
    "mostly zero": rng.standard_normal(N) * (rng.random(N) < 0.01),
    "periodic": np.tile(np.arange(16.0), N // 16 + 1)[:N],
    "periods of the sample": np.where(np.arange(N) % (N // (N // 16)) == 0, 1.0, -1.0),
    "all scales": rng.standard_normal(N) * 10.0 ** rng.integers(-300, 300, N),
    "cauchy": rng.standard_cauchy(N),
    "infinities": rng.choice([-np.inf, -1.0, 0.5, 2.0, np.inf], N),
    "half infinite": np.where(rng.random(N) < 0.5, np.inf, rng.standard_normal(N)),
    "organ pipe": np.minimum(np.arange(N), np.arange(N)[::-1]).astype(float),
    "nan": np.where(rng.random(N) < 0.3, np.nan, rng.standard_normal(N)),
}
RANKS = [0, 1, 5, N // 100, N // 3, N // 2, (7 * N) // 10, N - N // 100, N - 4, N - 1]


@pytest.mark.parametrize("name", LONG)
def test_entry_of_a_rank_in_long_arrays(name):
    x = LONG[name]
    before = x.copy()
    for magnitude in (False, True):
        ordered = np.sort(np.abs(x) if magnitude else x)
        for rank in RANKS:
            assert same(select_in(x, rank, magnitude), ordered[rank])
    np.testing.assert_array_equal(x, before)


@fixed
@given(arrays(np.float64, st.integers(1, 40), elements=ALL_VALUES | FEW_VALUES), st.data())
def test_entry_of_a_rank_in_short_arrays(x, data):
    rank = data.draw(st.integers(0, x.size - 1))
    assert same(select_in(x, rank), np.sort(x)[rank])
    assert same(select_in(x, rank, True), np.sort(np.abs(x))[rank])


@pytest.mark.parametrize("size", [1, 2, DIRECT - 1, DIRECT, DIRECT + 1, 1000, 4099])
def test_every_kind_of_length(size):
    x = np.random.default_rng(size).standard_normal(size)
    for rank in {0, size // 3, size // 2, size - 1}:
        assert select_in(x, rank) == np.sort(x)[rank]
        indices, threshold = top_k_in(x, rank + 1)
        np.testing.assert_array_equal(indices, sorted_top_k(x, rank + 1))
        assert threshold == np.abs(x[indices]).min()
        assert quantile_in(x, np.ones(size), (rank + 0.5) / size) == np.sort(x)[rank]


@pytest.mark.parametrize("name", LONG)
def test_top_k_of_long_arrays(name):
    x = LONG[name]
    for k in (0, 1, 7, 200, N // 20, N // 2, N - 1, N):
        indices, threshold = top_k_in(x, k)
        np.testing.assert_array_equal(indices, sorted_top_k(x, k))
        if k and name != "nan":
            assert threshold == np.abs(x[indices]).min()


@fixed
@given(arrays(np.float64, st.integers(0, 40), elements=FEW_VALUES | ALL_VALUES), st.data())
def test_top_k_of_short_arrays_with_ties(x, data):
    k = data.draw(st.integers(0, x.size))
    np.testing.assert_array_equal(top_k_in(x, k)[0], sorted_top_k(x, k))


def test_top_k_counts_nan_as_infinite():
    indices, threshold = top_k_in(np.array([1.0, np.nan, -3.0, np.inf, 2.0]), 3)
    assert indices.tolist() == [1, 2, 3] and threshold == 3.0
    assert top_k_in(np.array([1.0, np.nan]), 1)[1] == np.inf


@pytest.mark.parametrize("name", [name for name in LONG if name != "nan"])
@pytest.mark.parametrize("kind", ["equal", "integers", "few", "heavy"])
def test_weighted_quantiles_of_long_arrays(name, kind):
    values = LONG[name]
    weights = {
        "equal": np.ones(N),
        "integers": rng.integers(0, 100, N).astype(float),
        "few": np.where(rng.random(N) < 0.001, 1.0, 0.0),
        "heavy": np.floor(rng.pareto(0.7, N).clip(0, 1e9)),
    }[kind]
    for q in (1e-4, 0.03, 0.25, 0.5, 0.8, 0.999, 1.0):
        expected = sorted_quantile(values, weights, q)
        assert quantile_in(values, weights, q) == expected, q


@fixed
@given(
    st.lists(st.tuples(FEW_VALUES, st.integers(0, 5).map(float)), min_size=1, max_size=40),
    st.sampled_from([0.1, 0.25, 0.5, 0.75, 1.0]),
)
def test_weighted_quantiles_of_short_arrays(pairs, q):
    values, weights = np.array(pairs).T.copy()
    if weights.any():
        assert quantile_in(values, weights, q) == sorted_quantile(values, weights, q)
    else:
        assert np.isnan(quantile_in(values, weights, q))


@fixed
@given(st.integers(0, 1000))
def test_weighted_median_minimises_absolute_deviations(seed):
    rng = np.random.default_rng(seed)
    values, weights = rng.standard_normal(51), rng.exponential(size=51)
    deviations = np.abs(values[:, None] - values) @ weights
    best = deviations[values == quantile_in(values, weights)][0]
    assert best <= deviations.min() * (1 + 1e-14)


def test_weighted_median_of_weights_that_do_not_add_up():
    values = np.arange(20_000.0)
    for bad in (np.nan, np.inf):
        weights = np.ones(values.size)
        weights[7] = bad
        assert np.isnan(quantile_in(values, weights))
    assert np.isnan(quantile_in(np.where(values == 9, np.nan, values), np.ones(values.size)))
    assert np.isnan(quantile_in(values[:0], values[:0]))


def test_single_precision():
    x = LONG["normal"].astype(np.float32)
    got = select_in(x, 1234)
    assert got == np.sort(x)[1234] and np.float32(got) == got
    indices, threshold = top_k_in(x, 321)
    np.testing.assert_array_equal(indices, sorted_top_k(x, 321))
    assert threshold == np.abs(x[indices]).min()
    ones = np.ones_like(x)
    assert quantile_in(x, ones) == np.sort(x)[(N - 1) // 2]


def test_same_data_same_answer():
    for name in ("normal", "two values"):
        runs = [top_k_in(LONG[name].copy(), 1000)[0] for _ in range(2)]
        np.testing.assert_array_equal(*runs)


def test_fronts():
    x = np.array([3, -7, 5, 5])
    assert kth_largest(x, 1) == 5.0
    assert kth_largest(x, 4) == -7.0
    assert kth_largest(x, 1, magnitude=True) == 7.0
    indices, threshold = top_k(x, 2)
    assert indices.tolist() == [1, 2] and threshold == 5.0
    assert top_k(x, 0)[1] == np.inf
    assert weighted_median(x) == 3.0
    assert weighted_median(x, q=1.0) == 5.0
    assert weighted_median(x, [0, 1, 0, 0]) == -7.0


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kth_largest([1.0], 0), "k must be >= 1"),
        (lambda: kth_largest([1.0], 2), "k must be at most the number of entries 1"),
        (lambda: kth_largest([np.nan], 1), "x has nan at index 0"),
        (lambda: top_k([1.0], 2), "k must be at most"),
        (lambda: top_k([[1.0]], 1), "x must be 1-D"),
        (lambda: weighted_median([]), "values is empty"),
        (lambda: weighted_median([1.0, 2.0], [1.0]), "weights has 1 entries, expected 2"),
        (lambda: weighted_median([1.0, 2.0], [1.0, -1.0]), r"weights\[1\] = -1"),
        (lambda: weighted_median([1.0, 2.0], [0.0, 0.0]), "not all 0"),
        (lambda: weighted_median([1.0], q=1.5), "q must lie in"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_k_is_an_integer():
    with pytest.raises(TypeError, match="k must be an integer"):
        top_k([1.0], 1.0)
