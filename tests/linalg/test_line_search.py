"""The line search on the functions of More and Thuente's paper."""

import numpy as np
import pytest

from numopt.core.jit import kernel
from numopt.linalg.line_search import DECREASE, SEARCH_SIZE, STEP, begin, propose, shorten


@kernel
def value_and_slope(number, a):
    if number == 1:
        return -a / (a * a + 2.0), (a * a - 2.0) / (a * a + 2.0) ** 2
    if number == 2:
        b = a + 0.004
        return b**5 - 2.0 * b**4, 5.0 * b**4 - 8.0 * b**3
    # Defined for a < 3 only, with a minimum near the edge.
    if a >= 3.0:
        return np.nan, np.nan
    return -2.0 * a - np.log(3.0 - a), -2.0 + 1.0 / (3.0 - a)


@kernel
def search_along(number, first, eta, search):
    """Trials until both strong Wolfe conditions hold, -1 if there is no room left before."""
    f0, slope0 = value_and_slope(number, 0.0)
    begin(search, f0, slope0, first, 1e10)
    for trials in range(1, 60):
        f, slope = value_and_slope(number, search[STEP])
        if np.isnan(f):
            shorten(search)
            continue
        if f <= f0 + DECREASE * search[STEP] * slope0 and abs(slope) <= -eta * slope0:
            return trials
        if not propose(search, f, slope):
            return -1
    return -1


# Table I of the paper, mu = 0.001 and eta = 0.1: first step, trials, step found.
@pytest.mark.parametrize(
    ("first", "trials", "step"), [(1e-3, 6, 1.4), (1e-1, 3, 1.4), (1e1, 1, 10.0), (1e3, 4, 37.0)]
)
def test_published_trials(first, trials, step):
    search = np.zeros(SEARCH_SIZE)
    assert search_along(1, first, 0.1, search) == trials
    assert search[STEP] == pytest.approx(step, rel=0.04)


@pytest.mark.parametrize("number", [1, 3])
@pytest.mark.parametrize("eta", [0.9, 0.1, 0.01])
@pytest.mark.parametrize("first", [1e-6, 1e-3, 0.1, 1.0, 2.9, 10.0, 1e3, 1e6])
def test_strong_wolfe_steps_are_found(number, eta, first):
    search = np.zeros(SEARCH_SIZE)
    assert 0 < search_along(number, first, eta, search) <= 40
    step = search[STEP]
    f0, slope0 = value_and_slope(number, 0.0)
    f, slope = value_and_slope(number, step)
    assert f <= f0 + 1e-3 * step * slope0 and abs(slope) <= eta * abs(slope0)


@kernel
def minimise(number, search):
    """Trials as long as there is room."""
    begin(search, *value_and_slope(number, 0.0), 1.0, 1e10)
    for trials in range(1, 100):
        f, slope = value_and_slope(number, search[STEP])
        if slope == 0 or not propose(search, f, slope):
            return trials
    return 100


@pytest.mark.parametrize(("number", "minimum"), [(1, np.sqrt(2.0)), (2, 1.596)])
def test_trials_close_in_on_the_minimum(number, minimum):
    search = np.zeros(SEARCH_SIZE)
    assert minimise(number, search) < 20
    assert search[STEP] == pytest.approx(minimum, rel=2e-3)
