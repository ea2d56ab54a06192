"""Scalar proxes against minimisation by brute force in extended precision."""

import numpy as np
import pytest

from numopt import penalties

W = np.longdouble

# Penalty, and its value at |x| by the textbook.
CASES = {
    "L0": (penalties.L0(0.7), lambda t: W(0.7) * (t > 0)),
    "LHalf": (penalties.LHalf(0.7), lambda t: W(0.7) * np.sqrt(t)),
    "LTwoThirds": (penalties.LTwoThirds(0.7), lambda t: W(0.7) * np.cbrt(t) ** 2),
    "LogSum": (penalties.LogSum(0.7, eps=0.3), lambda t: W(0.7) * np.log1p(t / W(0.3))),
    "CappedL1": (penalties.CappedL1(0.7, theta=1.3), lambda t: W(0.7) * np.minimum(t, W(1.3))),
    "Huber": (
        penalties.Huber(0.7, delta=1.3),
        lambda t: W(0.7) * np.where(t <= W(1.3), t * t / 2, W(1.3) * (t - W(1.3) / 2)),
    ),
}
STEPS = (1e-8, 1e-3, 0.1, 0.5, 1.0, 2.0, 3.8, 30.0, 1e4, 1e8)


def refine(objective, low, high):
    """Least value met when a grid closes in on its best point."""
    best = np.inf
    for _ in range(12):
        z = np.linspace(low, high, 201, dtype=W)
        values = objective(z)
        k = int(np.argmin(values))
        best = min(best, values[k])
        low, high = z[max(k - 1, 0)], z[min(k + 1, 200)]
    return best


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", STEPS)
def test_prox_is_the_global_minimiser(name, step):
    penalty, phi = CASES[name]
    # Around the thresholds of this step, and at large.
    scale = max(step * 0.7, np.sqrt(step), np.cbrt(step * 0.7) ** 2)
    v = np.concatenate([scale * np.linspace(0, 6, 61), [1e-3, 1.0, 1.3, 1.3 + step * 0.35, 10.0]])
    found = penalty.prox(v, step)
    np.testing.assert_array_equal(penalty.prox(-v, step), -found)
    for t, z in zip(v.astype(W), found.astype(W), strict=True):
        objective = lambda z, t=t: (z - t) ** 2 / 2 + W(step) * phi(np.abs(z))  # noqa: E731
        ends = objective(np.array([0, t], W))
        best = min(ends.min(), refine(objective, W(0), t), refine(objective, t / 2, t))
        excess = float(objective(np.array([z]))[0] - best)
        assert excess <= 1e-15 * (1 + float(t)) * max(1.0, float(t)), (float(t), float(z), excess)


@pytest.mark.parametrize(
    ("penalty", "v"),
    [
        (penalties.L0(2.0), 2.0),
        (penalties.LHalf(1.0), 1.5),
        (penalties.CappedL1(1.0, theta=2.0), 2.5),
        (penalties.CappedL1(8.0, theta=1.0), 4.0),
    ],
    ids=lambda case: type(case).__name__,
)
def test_ties_go_to_the_smaller_point(penalty, v):
    at, beyond = penalty.prox([v, v * (1 + 1e-9)])
    assert at < beyond - 0.1 * v


@pytest.mark.parametrize("name", ["L0", "LHalf", "LTwoThirds"])
def test_no_distance_where_it_would_be_zero_at_zero(name):
    penalty = CASES[name][0]
    assert not penalty.offers("subdiff_distance_1d")
    with pytest.raises(TypeError, match="fixed-point"):
        penalty.subdiff_distance([0.0], [1.0])


@pytest.mark.parametrize("name", ["LogSum", "CappedL1", "Huber"])
def test_prox_points_are_stationary(name):
    penalty = CASES[name][0]
    v = np.linspace(-8, 8, 101)
    z = penalty.prox(v, 0.3)
    assert penalty.subdiff_distance(z, (z - v) / 0.3) <= 1e-13
    assert penalty.subdiff_distance(z + 0.1, (z - v) / 0.3) > 1e-2


@pytest.mark.parametrize("name", CASES)
def test_weights_leave_out_and_let_alone(name):
    penalty = type(CASES[name][0])(0.7, weights=[0.0, np.inf, 2.0])
    twice = type(penalty)(1.4)
    assert penalty.prox([3.0, 3.0, 3.0]).tolist() == [3.0, 0.0, twice.prox([3.0])[0]]
    assert penalty.value([3.0, 0.0, 3.0]) == pytest.approx(twice.value([3.0]), rel=1e-15)
    assert penalty.prox(np.float32([3.0, 3.0, 3.0])).dtype == np.float32


def test_limits_and_zero_strength():
    v = np.array([-3.0, 0.2, 1e-300, 1e9])
    for penalty in (penalties.LogSum, penalties.CappedL1, penalties.LHalf, penalties.LTwoThirds):
        np.testing.assert_allclose(penalty(0.0).prox(v, 2.0), v, rtol=1e-15)
    flat = penalties.LogSum(1e9, eps=1e9).prox(v)
    np.testing.assert_allclose(flat, penalties.L1(1.0).prox(v), rtol=1e-8, atol=1e-8)
    assert penalties.LHalf(1e-200).prox([6.9e-134, 1e-100]).tolist() == [0.0, 1e-100]
    assert penalties.LTwoThirds(1e-200).prox([1e-150, 1e-100]).tolist() == [0.0, 1e-100]


@pytest.mark.parametrize("power", [1 / 2, 2 / 3], ids=["LHalf", "LTwoThirds"])
@pytest.mark.parametrize("step", STEPS)
def test_proxes_of_powers_solve_their_equation(power, step):
    penalty = (penalties.LHalf if power == 1 / 2 else penalties.LTwoThirds)(0.7)
    v = (0.7 * step) ** (1 / (2 - power)) * np.linspace(1.4, 9, 200)
    z = penalty.prox(v, step)
    v, z = v[z > 0], z[z > 0]
    assert z.size > 150
    np.testing.assert_allclose(z + step * 0.7 * power * z ** (power - 1), v, rtol=1e-14)


def test_concavity_makes_them_convex():
    x = np.linspace(-4, 4, 801)
    penalty = penalties.LogSum(0.7, eps=0.3)
    for factor, convex in ((1.0, True), (0.5, False)):
        bent = np.array([penalty.value([t]) for t in x]) + factor * penalty.concavity * x * x / 2
        assert (np.diff(bent, 2).min() >= -1e-12) == convex


@pytest.mark.parametrize("wrong", [-1.0, np.nan, np.inf, "1"])
def test_wrong_arguments(wrong):
    for name in CASES:
        with pytest.raises((ValueError, TypeError), match="alpha"):
            getattr(penalties, name)(wrong)
    for cls, field in ((penalties.LogSum, "eps"), (penalties.CappedL1, "theta")):
        with pytest.raises((ValueError, TypeError), match=field):
            cls(1.0, wrong)
