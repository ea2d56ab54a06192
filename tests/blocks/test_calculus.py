"""Blocks made from blocks: proxes against brute force, identities, refusals."""

import numpy as np
import pytest

from numopt.calculus import Boxed, PlusRidge, Translate
from numopt.losses import LeastSquares
from numopt.penalties import L0, L1, MCP, ElasticNet, GroupLasso
from numopt.problems import Composite
from numopt.solvers import WorkingSetCD

V = np.linspace(-5, 5, 41)

# Block and its value at a number by the textbook.
CASES = {
    "PlusRidge": (PlusRidge(L1(0.5), 2.0), lambda t: 0.5 * abs(t) + t * t),
    "PlusRidge of MCP": (
        PlusRidge(MCP(1.0, gamma=2.0), 0.2),
        lambda t: np.where(abs(t) < 2, abs(t) - t * t / 4, 1.0) + 0.1 * t * t,
    ),
    "Boxed": (
        Boxed(L1(0.5), -1.0, 2.0),
        lambda t: np.where((t >= -1) & (t <= 2), 0.5 * abs(t), np.inf),
    ),
    "Translate": (Translate(L1(0.5), 1.5), lambda t: 0.5 * abs(t - 1.5)),
}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("step", [0.3, 4.0])
def test_prox_minimises(name, step):
    block, formula = CASES[name]
    grid = np.linspace(-6, 6, 12001)
    for v, z in zip(V, block.prox(V, step), strict=True):
        at_z = (z - v) ** 2 / 2 + step * block.value([z])
        assert block.value([z]) == pytest.approx(float(formula(z)), abs=1e-14)
        assert at_z <= ((grid - v) ** 2 / 2 + step * formula(grid)).min() + 1e-12
    assert block.prox(V.astype(np.float32), step).dtype == np.float32


def test_identities():
    both = PlusRidge(L1(0.5), 0.5), ElasticNet(1.0, 0.5)
    np.testing.assert_allclose(both[0].prox(V, 0.7), both[1].prox(V, 0.7), atol=1e-15)
    grad = np.cos(V)
    assert both[0].subdiff_distance(V, grad) == pytest.approx(both[1].subdiff_distance(V, grad))
    assert PlusRidge(MCP(1.0, gamma=2.0), 0.5).convex
    assert not PlusRidge(MCP(1.0, gamma=2.0), 0.2).convex
    assert PlusRidge(MCP(1.0, gamma=2.0), 0.2).concavity == pytest.approx(0.3)


@pytest.mark.parametrize(
    "penalty",
    [PlusRidge(L1(0.1), 0.2), Boxed(L1(0.1), 0.0, [1.0, 1.0, 0.5, 0.5]), Translate(L1(0.1), 1.0)],
    ids=lambda penalty: type(penalty).__name__,
)
def test_solves_like_the_prox_where_columns_are_orthonormal(penalty):
    rng = np.random.default_rng(0)
    Q = np.linalg.qr(rng.standard_normal((20, 4)))[0] * np.sqrt(20)
    y = rng.standard_normal(20) + Q @ np.array([2.0, -1.0, 0.3, 0.0])
    result = WorkingSetCD(tol=1e-9).solve(Composite(LeastSquares(y), Q, penalty))
    assert result.success
    np.testing.assert_allclose(result.x, penalty.prox(Q.T @ y / 20), atol=1e-8)


@pytest.mark.parametrize("penalty", [PlusRidge(L0(0.1), 0.0), L0(0.1, weights=[1.0] * 4)])
def test_no_distance_without_one_of_the_base(penalty):
    assert not penalty.offers("subdiff_distance_1d")
    assert PlusRidge(L1(0.1), 1.0).offers("subdiff_distance_1d")
    A = np.random.default_rng(1).standard_normal((20, 4))
    y = A @ np.array([1.0, 2.0, 0.0, 0.0])
    result = WorkingSetCD(tol=1e-9).solve(Composite(LeastSquares(y), A, penalty))
    assert result.success and result.certificate["fixed_point"] <= 1e-9
    np.testing.assert_allclose(result.x, [1.0, 2.0, 0.0, 0.0], atol=1e-8)


def test_refusals():
    grouped = GroupLasso(1.0, [0, 0])
    for build in (lambda b: PlusRidge(b, 1.0), Boxed, lambda b: Translate(b, 1.0)):
        with pytest.raises(TypeError, match="not separable"):
            build(grouped)
        with pytest.raises(TypeError, match="must be a penalty"):
            build(3.0)
    with pytest.raises(TypeError, match="not convex"):
        Boxed(MCP(1.0))
    with pytest.raises(ValueError, match="lower"):
        Boxed(L1(1.0), 1.0, 0.0)
    with pytest.raises(ValueError, match="mu"):
        PlusRidge(L1(1.0), -1.0)
    with pytest.raises(ValueError, match="finite"):
        Translate(L1(1.0), np.inf)
