"""Sets: projections, oracles, support functions and diameters, from their vertices."""

import itertools
import pickle

import numpy as np
import pytest

import numopt
from numopt import sets
from numopt.problems import SmoothComposite

P = 4


def signed(vectors):
    return [s * v for v in vectors for s in itertools.product((-1, 1), repeat=P)]


def sparse(k):
    """0/1 vectors with k ones."""
    return [np.isin(np.arange(P), chosen) * 1.0 for chosen in itertools.combinations(range(P), k)]


SETS = {
    "Box": sets.Box([-1.0, 0.0, 2.0, -3.0], [1.0, 0.5, 2.0, -2.0]),
    "Simplex": sets.Simplex(1.5),
    "L1Ball": sets.L1Ball(1.5),
    "L2Ball": sets.L2Ball(1.5),
    "LInfBall": sets.LInfBall(0.7),
    "KSparse 1": sets.KSparse(1, 1.5),
    "KSparse 2": sets.KSparse(2, 0.7),
    "KSparse 9": sets.KSparse(9, 0.7),
}
VERTICES = {
    "Box": [
        np.where(high, SETS["Box"].upper, SETS["Box"].lower)
        for high in itertools.product((0, 1), repeat=P)
    ],
    "Simplex": list(1.5 * np.eye(P)),
    "L1Ball": [*(1.5 * np.eye(P)), *(-1.5 * np.eye(P))],
    "LInfBall": signed([np.full(P, 0.7)]),
    "KSparse 1": signed(1.5 * np.array(sparse(1))),
    "KSparse 2": signed(0.7 * np.array(sparse(2))),
    "KSparse 9": signed([np.full(P, 0.7)]),
}
names = pytest.mark.parametrize("name", SETS)


def points(count=40):
    rng = np.random.default_rng(0)
    yield np.zeros(P)
    for k in range(count):
        v = rng.choice([0.1, 1.0, 30.0]) * rng.standard_normal(P)
        yield np.round(v) if k % 3 == 0 else v  # with ties


@names
def test_projection_is_the_nearest_point(name):
    """(v - z)'(u - z) <= 0 for all u in the set, of which the vertices are the farthest."""
    block = SETS[name]
    for v in points():
        z = block.project(v)
        assert block.contains(z) and block.value(z) == 0
        beyond = block.conjugate(v - z) - (v - z) @ z
        assert abs(beyond) <= 1e-13 * max(1.0, v @ v)
        np.testing.assert_allclose(block.project(z), z, atol=1e-15)
        assert block.project(v.astype(np.float32)).dtype == np.float32
        np.testing.assert_allclose(block.project(v.astype(np.float32)), z, atol=1e-5)
        step = block.prox(v, 7.0)
        np.testing.assert_array_equal(step, z)


@names
def test_projection_in_place(name):
    from numopt.core.stubs import prox_into

    for v in points(10):
        z, spec = SETS[name].project(v), SETS[name].spec()
        prox_into(spec, v, 1.0, v)
        np.testing.assert_allclose(v, z, atol=1e-15)


@pytest.mark.parametrize("name", VERTICES)
def test_oracle_support_and_diameter_by_the_vertices(name):
    block, vertices = SETS[name], np.array(VERTICES[name])
    for c in points():
        vertex = block.lmo(c)
        least = (vertices @ c).min()
        assert c @ vertex == pytest.approx(least, abs=1e-12)
        assert block.conjugate(-c) == pytest.approx(-least, abs=1e-12)
        assert block.contains(vertex)
        assert block.lmo(c.astype(np.float32)).dtype == np.float32
    widest = max(np.linalg.norm(a - b) for a in vertices for b in vertices)
    if name == "KSparse 9":  # of as many coordinates
        widest *= 9**0.5 / P**0.5
    assert block.diameter_in(P) == pytest.approx(widest)


def test_round_ball():
    ball = sets.L2Ball(2.0)
    for c in points():
        length = np.linalg.norm(c)
        np.testing.assert_allclose(ball.lmo(c), -2 * c / (length or 1.0), rtol=1e-14)
        assert ball.conjugate(c) == pytest.approx(2 * length)
    assert ball.diameter == ball.diameter_in(9) == 4
    np.testing.assert_allclose(ball.project([3e200, 4e200]), [1.2, 1.6])
    np.testing.assert_allclose(ball.project([3e-200, 4e-200]), [3e-200, 4e-200])
    np.testing.assert_allclose(ball.lmo([3e200, -4e200]), [-1.2, 1.6])


@names
def test_outside(name):
    block, far = SETS[name], np.full(P, 50.0)
    assert not block.contains(far) and block.value(far) == np.inf
    assert pickle.loads(pickle.dumps(block)) == block


def test_subdifferential_of_the_largest_entry_ball():
    ball = sets.LInfBall(1.0)
    x, g = np.array([1.0, -1.0, 0.5, 1.0]), np.array([-3.0, 2.0, 0.25, 0.5])
    assert ball.subdiff_distances(x, g).tolist() == [0.0, 0.0, 0.25, 0.5]
    assert ball.subdiff_distance([1.5], [0.0]) == np.inf


def test_a_set_of_ones_own():
    @numopt.block(base=sets.ConvexSet, convex=True)
    class Halfspace:
        limit: float

        def value(self, x):
            return 0.0 if x.sum() <= self.limit + 1e-9 else np.inf

        def project(self, x):
            return x - max(x.sum() - self.limit, 0.0) / x.size

    problem = SmoothComposite(lambda x: x @ x - 2 * x.sum(), Halfspace(2.0), lambda x: 2 * x - 2)
    result = numopt.solve(problem, x0=np.zeros(4))
    assert problem.is_set and not problem.bounded and result.success
    np.testing.assert_allclose(result.x, 0.5, atol=1e-8)


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: sets.L1Ball(0.0), ValueError, ["L1Ball: radius", "> 0", "0.0"]),
        (lambda: sets.L2Ball(-1.0), ValueError, ["L2Ball: radius", "-1.0"]),
        (lambda: sets.LInfBall(np.inf), ValueError, ["LInfBall: radius", "finite", "inf"]),
        (lambda: sets.L2Ball("big"), TypeError, ["radius", "'big'"]),
        (lambda: sets.KSparse(0), ValueError, ["KSparse: k", ">= 1", "0"]),
        (lambda: sets.KSparse(1.5), TypeError, ["KSparse: k", "integer", "1.5"]),
        (lambda: sets.KSparse(2, np.nan), ValueError, ["radius", "NaN"]),
        (lambda: sets.L1Ball().project([1.0, np.nan]), ValueError, ["v has nan at index 1"]),
        (lambda: sets.KSparse(2).lmo([[1.0]]), ValueError, ["c must be 1-D"]),
    ],
)
def test_wrong_arguments_are_named(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)
