"""Projections on second-order cones and their products."""

import numpy as np
import pytest

from numopt.linalg import project_second_order
from numopt.linalg.cones import Product, project_into
from tests.helpers import cones as naive


@pytest.mark.parametrize("size", [1, 2, 3, 50])
@pytest.mark.parametrize("factor", [1.0, 1e-200, 1e150])
def test_projection_is_the_naive_one(size, factor):
    rng = np.random.default_rng(size)
    for _ in range(30):
        v = rng.standard_normal(size)
        v[0] *= np.sqrt(size)
        expected = naive.project_second_order(v)
        out = project_second_order(factor * v)
        np.testing.assert_allclose(out / factor, expected, rtol=1e-12, atol=1e-14)
        assert np.linalg.norm(out[1:] / factor) <= out[0] / factor * (1 + 1e-15)


def test_what_lies_inside_stays_and_polar_points_go_to_0():
    assert project_second_order([5.0, 3.0, 4.0]).tolist() == [5.0, 3.0, 4.0]
    assert project_second_order([-5.0, 3.0, 4.0]).tolist() == [0.0, 0.0, 0.0]
    assert project_second_order([0.0, 0.0]).tolist() == [0.0, 0.0]
    assert project_second_order([-2.0]).tolist() == [0.0]


@pytest.mark.parametrize("seed", range(5))
def test_products_split_by_moreau(seed):
    """Every v is a point of the cone minus one of its dual, orthogonal to each other."""
    rng = np.random.default_rng(seed)
    cones = Product(2, 5, np.cumsum([5, 1, 3, 6]))
    v, primal, dual = rng.standard_normal((3, 15))
    project_into(cones, v, False, primal)
    project_into(cones, -v, True, dual)
    np.testing.assert_allclose(primal - dual, v, atol=1e-14)
    assert primal @ dual == pytest.approx(0, abs=1e-14)
    sizes = {"zero": 2, "nonneg": 3, "soc": [1, 3, 6]}
    np.testing.assert_allclose(primal, naive.project(v, sizes), atol=1e-13)
    np.testing.assert_allclose(dual, naive.project(-v, sizes, dual=True), atol=1e-13)


def test_not_a_number_is_kept():
    assert np.isnan(project_second_order_of([1.0, np.nan])).any()
    with pytest.raises(ValueError, match=r"v has nan at index 1"):
        project_second_order([1.0, np.nan])
    with pytest.raises(ValueError, match=r"v is empty"):
        project_second_order([])


def project_second_order_of(v):
    v = np.array(v)
    project_into(Product(0, 0, np.array([0, v.size])), v, False, v)
    return v
