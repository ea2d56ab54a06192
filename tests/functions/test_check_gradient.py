"""`numopt.check_gradient`: right gradients pass, wrong ones are pointed at."""

import numpy as np
import pytest
from scipy.optimize import rosen, rosen_der

from numopt import check_gradient

X = np.array([0.3, -1.7, 2.2, 0.9])


@pytest.mark.parametrize("scheme", ["3-point", "cs", "2-point"])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e9])
@pytest.mark.parametrize("shift", [0.0, 1e6])
def test_right_gradients_pass(scheme, scale, shift):
    check = check_gradient(
        lambda x: scale * rosen(x) + shift, lambda x: scale * rosen_der(x), X, scheme=scheme
    )
    assert check.passed and "passed" in str(check)
    assert check.error == abs(check.given - check.expected) / max(1, abs(check.expected)) or shift


@pytest.mark.parametrize("scheme", ["3-point", "cs", "2-point"])
@pytest.mark.parametrize("index", range(4))
@pytest.mark.parametrize("factor", [1.001, 0.0, -1.0, np.nan, np.inf])
def test_wrong_gradients_are_pointed_at(scheme, index, factor):
    def wrong(x):
        g = rosen_der(x)
        g[index] *= factor
        return g

    check = check_gradient(rosen, wrong, X, scheme=scheme)
    assert not check.passed and check.index == index and "failed" in str(check)
    assert check.expected == pytest.approx(rosen_der(X)[index], rel=1e-4)
    np.testing.assert_array_equal(check.given, wrong(X)[index])


def test_pairs_arguments_and_bounds():
    def pair(x, a):
        assert np.all(x >= 0)
        return a * x @ x, 2 * a * x

    check = check_gradient(pair, True, [0.0, 1.0], args=(3.0,), bounds=[(0, None)] * 2)
    assert check.passed
    assert check_gradient(rosen, rosen_der, [1.0, 1.0]).passed  # a minimiser
    assert check_gradient(lambda x: 1.0, lambda x: x, []).passed
    # No difference can be taken along a fixed variable.
    fixed = check_gradient(lambda x: x @ x, lambda x: 2 * x, [1.0, 2.0], bounds=[(1, 1), (0, 3)])
    assert fixed.passed


def test_wrong_arguments():
    with pytest.raises(TypeError, match="jac"):
        check_gradient(rosen, "3-point", X)
    with pytest.raises(ValueError, match="scheme"):
        check_gradient(rosen, rosen_der, X, scheme="4-point")
    with pytest.raises(ValueError, match="tol"):
        check_gradient(rosen, rosen_der, X, tol=0.0)
