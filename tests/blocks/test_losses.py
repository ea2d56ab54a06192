"""Losses against their formulas, differences and Fenchel-Young."""

import numpy as np
import pytest

from numopt import losses

RNG = np.random.default_rng(0)
SIGNS = np.where(RNG.random(9) > 0.5, 1.0, -1.0)
POSITIVE = RNG.gamma(2.0, 1.0, 9)
COUNTS = np.array([0, 1, 4, 0, 2, 7, 1, 0, 3])

# Targets and the loss of one sample by the textbook.
CASES = {
    "SquaredHinge": (SIGNS, lambda z, y: np.maximum(0, 1 - y * z) ** 2),
    "Poisson": (COUNTS, lambda z, y: np.exp(z) - y * z),
    "Gamma": (POSITIVE, lambda z, y: y * np.exp(-z) + z),
}


@pytest.mark.parametrize("name", CASES)
def test_value_and_derivatives(name):
    y, formula = CASES[name]
    weight, offset = RNG.random(9), RNG.standard_normal(9)
    loss = getattr(losses, name)(y, sample_weight=weight, offset=offset)
    z = RNG.standard_normal(9)

    def naive(z):
        return np.sum(weight * formula(z + offset, y)) / weight.sum()

    assert float(loss.value(z)) == pytest.approx(naive(z), rel=1e-14)
    for h, derivative, function in (
        (1e-6, loss.gradient(z), naive),
        (1e-6, np.diag(loss.hessian_diag(z)), loss.gradient),
    ):
        steps = h * np.eye(9)
        differences = np.array([(function(z + e) - function(z - e)) / (2 * h) for e in steps])
        np.testing.assert_allclose(derivative, differences, atol=1e-8)
    if loss.smoothness is not None:
        z = np.linspace(-20, 20, 9)
        assert np.all(loss.hessian_diag(z) <= loss.smoothness * loss.scale() * (1 + 1e-15))


@pytest.mark.parametrize("name", CASES)
def test_fenchel_young(name):
    loss = getattr(losses, name)(CASES[name][0])
    for scale in (0.1, 1.0, 5.0):
        z = scale * RNG.standard_normal(9)
        u = loss.gradient(z)
        assert loss.conjugate(u) == pytest.approx(u @ z - float(loss.value(z)), abs=1e-12)
        other = RNG.standard_normal(9)
        assert loss.conjugate(u) + float(loss.value(other)) >= u @ other - 1e-12
    assert (
        loss.conjugate(u + np.where(loss.y > 0, 1e9, -1e9) * (-1 if name == "Poisson" else 1))
        == np.inf
    )


@pytest.mark.parametrize(
    ("name", "y", "message"),
    [
        ("SquaredHinge", [0, 1, 2], "SquaredHinge: y must hold"),
        ("Poisson", [1.0, -0.5], "-0.5 at index 1"),
        ("Gamma", [1.0, 0.0], "0 at index 1"),
        ("Poisson", [1.0, np.nan], "index"),
    ],
)
def test_wrong_targets(name, y, message):
    with pytest.raises(ValueError, match=message):
        getattr(losses, name)(y)


def test_hinge_labels_and_overflow():
    z = [1.0, -2.0]
    assert losses.SquaredHinge([0, 1]).value(z) == losses.SquaredHinge([-1, 1]).value(z)
    assert losses.Poisson([1.0]).value([1e4]) == np.inf
    assert losses.Gamma([1.0]).value([-1e4]) == np.inf
