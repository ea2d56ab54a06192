"""Sets of Frank-Wolfe methods: oracles, projections, memberships and diameters by naive means."""

import itertools
import pickle

import numpy as np
import pytest
import scipy.optimize

import numopt
from numopt import sets
from numopt.linalg import simplex_qp

P = 4
RNG = np.random.default_rng(3)
LABELS = ["b", "a", "b", "c"]
GROUP_WEIGHTS = np.array([1.0, 2.0, 0.5])
OWL_WEIGHTS = np.array([1.0, 0.7, 0.7, 0.1])
ENTRIES = np.array([3.0, -1.0, 0.5, 0.5])
POINTS = RNG.standard_normal((7, P))
ELLIPSOID = sets.Ellipsoid(np.diag([4.0, 1.0, 0.25, 1.0]) + 0.2, [1.0, 0.0, -1.0, 2.0])
A_UB, B_UB = np.vstack([RNG.standard_normal((5, P)), np.ones(P)]), np.append(np.full(5, 2.0), 3.0)


def draws(count=25, p=P):
    rng = np.random.default_rng(0)
    for k in range(count):
        c = rng.choice([0.1, 1.0, 30.0]) * rng.standard_normal(p)
        yield np.round(c) if k % 3 == 0 and np.round(c).any() else c


def signed(vectors):
    return [s * v for v in vectors for s in itertools.product((-1, 1), repeat=P)]


def permutations(n):
    return [np.eye(n)[list(order)].ravel() for order in itertools.permutations(range(n))]


POLYTOPES = {
    "OWLBall": (
        sets.OWLBall(OWL_WEIGHTS, 1.5),
        signed(
            1.5 / OWL_WEIGHTS[:j].sum() * np.isin(np.arange(P), chosen)
            for j in range(1, P + 1)
            for chosen in itertools.combinations(range(P), j)
        ),
    ),
    "Permutahedron": (sets.Permutahedron(ENTRIES), list(itertools.permutations(ENTRIES))),
    "Birkhoff": (sets.Birkhoff(3), permutations(3)),
    "Hull": (sets.Hull(POINTS), POINTS),
    "Product": (
        sets.Product(
            (sets.Simplex(2.0), sets.Hull([[1.0, 0.0], [0.0, 3.0], [-1.0, -1.0]])), (2, 2)
        ),
        [
            np.concatenate(pair)
            for pair in itertools.product(2 * np.eye(2), [[1.0, 0.0], [0.0, 3.0], [-1.0, -1.0]])
        ],
    ),
}


@pytest.mark.parametrize("name", POLYTOPES)
def test_polytopes_by_their_vertices(name):
    block, vertices = POLYTOPES[name][0], np.array(POLYTOPES[name][1])
    for c in draws(p=vertices.shape[1]):
        vertex, least = block.lmo(c), (vertices @ c).min()
        assert vertex @ c == pytest.approx(least, abs=1e-12 * np.abs(c).max())
        assert np.abs(vertices - vertex).max(axis=1).min() <= 1e-12  # it is one of them
        assert block.least(c) == pytest.approx(least, abs=1e-12 * np.abs(c).max())
        assert block.conjugate(-c) == pytest.approx(-least, abs=1e-12 * np.abs(c).max())
        assert block.lmo(c.astype(np.float32)).dtype == np.float32
    inside = np.random.default_rng(1).dirichlet(np.ones(len(vertices))) @ vertices
    assert block.contains(inside) and block.value(inside) == 0
    outside = vertices[0] + 0.1 * (vertices[0] - inside)
    assert not block.contains(outside) and block.value(outside) == np.inf
    widest = max(np.linalg.norm(a - b) for a in vertices for b in vertices)
    assert block.diameter == pytest.approx(widest)
    assert block.bounded


def nearest(vertices, v):
    """By SciPy's nonnegative least squares, the sum of weights as a heavy row."""
    heavy = 1e4
    weights, _ = scipy.optimize.nnls(
        np.vstack([np.transpose(vertices), np.full(len(vertices), heavy)]), np.append(v, heavy)
    )
    return weights @ vertices / weights.sum()


@pytest.mark.parametrize("name", ["Permutahedron", "Hull", "Product"])
def test_projections_on_polytopes(name):
    block, vertices = POLYTOPES[name][0], np.array(POLYTOPES[name][1])
    for v in draws(p=vertices.shape[1]):
        z = block.project(v)
        assert np.max((vertices - z) @ (v - z)) <= 1e-9 * max(1.0, v @ v)  # variational inequality
        np.testing.assert_allclose(z, nearest(vertices, v), atol=1e-5 * max(1.0, np.abs(v).max()))
        np.testing.assert_allclose(block.project(z), z, atol=1e-9)
        assert block.project(v.astype(np.float32)).dtype == np.float32


ROUND = {  # with the norm
    "LpBall 1.3": (sets.LpBall(1.3, 1.5), lambda x: np.linalg.norm(x, 1.3)),
    "LpBall 5": (sets.LpBall(5.0, 1.5), lambda x: np.linalg.norm(x, 5)),
    "KSupport 1": (sets.KSupport(1, 1.5), lambda x: np.abs(x).sum()),
    "KSupport 4": (sets.KSupport(4, 1.5), np.linalg.norm),
    "KSupport 9": (sets.KSupport(9, 1.5), np.linalg.norm),
    "GroupBall": (
        sets.GroupBall(LABELS, 1.5, GROUP_WEIGHTS),
        lambda x: 2 * np.hypot(x[0], x[2]) + abs(x[1]) + 0.5 * abs(x[3]),
    ),
}


@pytest.mark.parametrize("name", ROUND)
def test_balls_by_their_norms(name):
    """The oracle's value is minus the radius times the dual norm: no point does better."""
    block, norm = ROUND[name]
    rng = np.random.default_rng(2)
    others = rng.standard_normal((20000, P)) * (rng.random((20000, P)) < 0.6)
    others = others[np.abs(others).max(axis=1) > 0]
    others *= (1.5 / np.array([norm(x) for x in others]))[:, None]
    for c in draws(10):
        vertex = block.lmo(c)
        assert norm(vertex) == pytest.approx(1.5)
        least = (others @ c).min()
        assert least >= vertex @ c - 1e-12 * np.abs(c).max()
        assert vertex @ c == pytest.approx(least, rel=0.02)
    for x in draws(10):
        assert block.contains(x / norm(x) * 1.5) and not block.contains(x / norm(x) * 1.51)
    assert not block.lmo(np.zeros(P)).any()
    far = block.lmo(np.array([1e200, -1e200, 3e199, 0.0]))
    np.testing.assert_allclose(far, block.lmo(np.array([1.0, -1.0, 0.3, 0.0])), atol=1e-12)
    widest = max(np.linalg.norm(a - b) for a in others[:60] for b in others[:60])
    assert block.diameter_in(P) >= widest * (1 - 1e-14)


def test_k_support_norm_is_the_dual_one():
    """Norm by its definition as the largest product with a vector of dual norm 1."""
    block = sets.KSupport(2)
    for x in draws(8):

        def loss(c, x=x):
            return -(c @ x) / np.linalg.norm(np.sort(np.abs(c))[-2:])

        starts = [x, np.sign(x), x * (np.abs(x) >= np.sort(np.abs(x))[-2])]
        best = min(
            scipy.optimize.minimize(loss, start, method="Nelder-Mead",
                                    options=dict(xatol=1e-10, fatol=1e-12, maxiter=8000)).fun
            for start in starts
        )  # fmt: skip
        assert block.norm_of(x) == pytest.approx(-best, rel=1e-5)


def test_group_ball_projection():
    block = ROUND["GroupBall"][0]
    for v in draws():
        z = block.project(v)
        assert block.contains(z)
        beyond = block.conjugate(v - z) - (v - z) @ z
        assert abs(beyond) <= 1e-12 * max(1.0, v @ v)
    assert block.size == P and block.diameter == 6.0


def test_ellipsoid():
    Q, centre = ELLIPSOID.Q, ELLIPSOID.centre
    inverse, root = np.linalg.inv(Q), np.linalg.cholesky(Q)
    sphere = np.random.default_rng(4).standard_normal((20000, P))
    others = centre + sphere / np.linalg.norm(sphere, axis=1)[:, None] @ root.T
    for c in draws(10):
        vertex = ELLIPSOID.lmo(c)
        assert (vertex - centre) @ inverse @ (vertex - centre) == pytest.approx(1)
        assert vertex @ c == pytest.approx(c @ centre - np.sqrt(c @ Q @ c))
        assert (others @ c).min() >= vertex @ c - 1e-9
    for v in draws():
        z = ELLIPSOID.project(50 * v)
        assert (z - centre) @ inverse @ (z - centre) <= 1 + 1e-9
        normal = 50 * v - z
        assert normal @ (ELLIPSOID.lmo(-normal) - z) <= 1e-9 * np.linalg.norm(normal)
        np.testing.assert_allclose(ELLIPSOID.project(z), z, atol=1e-9)
    assert ELLIPSOID.contains(centre) and not ELLIPSOID.contains(centre + 3.0)
    assert ELLIPSOID.diameter == pytest.approx(2 * np.sqrt(np.linalg.eigvalsh(Q)[-1]))


SHAPE = (3, 5)


@pytest.mark.parametrize("shape", [SHAPE, (5, 3), (70, 80)])
def test_matrix_balls_by_singular_values(shape):
    nuclear, spectral = sets.NuclearBall(1.5, shape), sets.SpectralBall(1.5, shape)
    rng = np.random.default_rng(5)
    C = rng.standard_normal(shape)
    s = np.linalg.svd(C, compute_uv=False)
    for block, dual in ((nuclear, s[0]), (spectral, s.sum())):
        vertex = block.lmo(C)
        assert vertex.shape == shape and block.lmo(C.ravel()).shape == (C.size,)
        assert np.sum(C * vertex) == pytest.approx(-1.5 * dual, rel=1e-9)
        assert block.least(C.ravel()) <= np.sum(C * vertex) + 1e-9
        assert block.least(C.ravel()) == pytest.approx(-1.5 * dual, rel=1e-8)
        assert block.contains(vertex, 1e-8) and not block.contains(2 * C)
        Z = block.project(C)
        beyond = block.conjugate((C - Z).ravel()) - np.sum((C - Z) * Z)
        assert abs(beyond) <= 1e-8 * np.sum(C * C)
        assert not block.lmo(0 * C).any()
    assert np.linalg.matrix_rank(nuclear.lmo(C)) == 1
    assert nuclear.diameter == 3 and spectral.diameter == pytest.approx(3 * np.sqrt(min(shape)))


def test_bounds_on_large_matrices_hold():
    rng = np.random.default_rng(6)
    C = rng.standard_normal((430, 420))
    sigma = np.linalg.norm(C, 2)
    least = sets.NuclearBall(2.0, C.shape).least(C.ravel())
    assert -2 * sigma * (1 + 2e-9) <= least <= -2 * sigma * (1 - 1e-14)
    square = C[:420] + C[:420].T
    lowest = np.linalg.eigvalsh(square)[0] / 2  # the symmetric part of what is given
    found = sets.Spectraplex(420, 2.0).least((square / 2).ravel())
    assert 2 * lowest - 1e-5 * abs(lowest) <= found <= 2 * lowest + 1e-12 * abs(lowest)


@pytest.mark.parametrize("n", [4, 65])
def test_symmetric_matrices_by_eigenvalues(n):
    rng = np.random.default_rng(7)
    plex, fantope = sets.Spectraplex(n, 1.5), sets.Fantope(n, 3)
    C = rng.standard_normal((n, n))
    values = np.linalg.eigvalsh((C + C.T) / 2)
    for block, least in ((plex, 1.5 * values[0]), (fantope, values[:3].sum())):
        vertex = block.lmo(C)
        assert np.sum(C * vertex) == pytest.approx(least, rel=1e-8)
        assert block.least(C.ravel()) == pytest.approx(least, rel=1e-8)
        np.testing.assert_allclose(vertex, vertex.T, atol=1e-12)
        assert block.contains(vertex, 1e-8)
        Z = block.project(C)
        assert block.contains(Z, 1e-9)
        beyond = block.conjugate((C - Z).ravel()) - np.sum((C - Z) * Z)
        assert abs(beyond) <= 1e-8 * np.sum(C * C)
    assert np.trace(plex.lmo(C)) == pytest.approx(1.5)
    assert plex.diameter == pytest.approx(1.5 * np.sqrt(2))
    assert fantope.diameter == pytest.approx(np.sqrt(2 * min(3, n - 3)))


def polyhedron():
    return sets.Polyhedron(A_UB, B_UB, [[1.0, -1.0, 0.0, 0.0]], [0.25], (0, 2))


def test_polyhedron_by_linear_programs():
    block = polyhedron()
    for c in draws(12):
        expected = scipy.optimize.linprog(c, A_UB, B_UB, [[1.0, -1.0, 0.0, 0.0]], [0.25], (0, 2))
        vertex = block.lmo(c)
        assert vertex @ c == pytest.approx(expected.fun, abs=1e-9)
        assert block.contains(vertex, 1e-9)
        assert vertex @ c - 1e-7 <= block.least(c) <= vertex @ c + 1e-12
    assert not block.contains(np.full(P, 5.0))
    assert not block.contains(np.zeros(P))  # misses the equation by 0.25
    assert block.violation(np.zeros(P)) == pytest.approx(0.25)
    assert block.diameter == pytest.approx(4.0) and block.size == P
    assert block != sets.Polyhedron(A_UB, B_UB, bounds=(0, 2))


def test_polyhedra_without_points_or_ends():
    with pytest.raises(ValueError, match="no point meets"):
        sets.Polyhedron([[1.0, 1.0]], [-1.0]).lmo([1.0, 1.0])
    with pytest.raises(ValueError, match=r"unbounded in the direction .* along x\[1\]"):
        sets.Polyhedron([[1.0, 0.0]], [1.0]).lmo([1.0, -1.0])
    assert sets.Polyhedron([[1.0, 0.0]], [1.0]).lmo([1.0, 1.0]).tolist() == [0.0, 0.0]
    only_bounds = sets.Polyhedron(bounds=[(0, 1), (-1, 2)])
    assert only_bounds.lmo([1.0, -1.0]).tolist() == [0.0, 2.0]


ALL = [
    *(block for block, _ in POLYTOPES.values()), *(block for block, _ in ROUND.values()),
    ELLIPSOID, sets.NuclearBall(1.0, (2, 2)), sets.Fantope(2, 1), sets.Spectraplex(2),
    sets.SpectralBall(1.0, (2, 2)), polyhedron(),
]  # fmt: skip


@pytest.mark.parametrize("block", ALL, ids=lambda block: type(block).__name__)
def test_pickles_and_predicates(block):
    twin = pickle.loads(pickle.dumps(block))
    assert twin == block and hash(twin) == hash(block)
    p = block.size or P
    c = np.arange(1.0, p + 1)
    np.testing.assert_allclose(twin.lmo(c), block.lmo(c))
    assert block.convex and block.has_oracle and block.bounded
    with pytest.raises(ValueError, match="nan at index 1"):
        block.lmo(np.where(np.arange(p) == 1, np.nan, c))
    if not block.has_projection:
        with pytest.raises(TypeError, match="no cheap projection"):
            block.project(c)


def test_quadratics_on_the_simplex():
    rng = np.random.default_rng(8)
    for k, rank in ((1, 1), (2, 2), (9, 9), (9, 3), (40, 25)):
        F = rng.standard_normal((rank, k))
        Q, b = F.T @ F, rng.standard_normal(k)
        w = simplex_qp(Q, b)
        g = Q @ w + b
        assert w.min() >= 0 and w.sum() == pytest.approx(1)
        assert w @ g - g.min() <= 1e-10 * np.abs(g).max()  # the gap bounds the excess
        again = simplex_qp(Q, b, start=w)
        assert again @ Q @ again / 2 + b @ again == pytest.approx(w @ Q @ w / 2 + b @ w)
    with pytest.raises(ValueError, match=r"\(2, 2\), b has 3"):
        simplex_qp(np.eye(2), np.zeros(3))
    with pytest.raises(ValueError, match="Q has nan"):
        simplex_qp(np.diag([1.0, np.nan]), np.zeros(2))
    twice = simplex_qp(np.ones((3, 3)), np.zeros(3))
    assert twice.sum() == pytest.approx(1)


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: sets.LpBall(1.0), ValueError, ["LpBall: p", "> 1", "L1Ball"]),
        (lambda: sets.LpBall(2.0, -1.0), ValueError, ["LpBall: radius", "-1.0"]),
        (lambda: sets.KSupport(0), ValueError, ["KSupport: k", ">= 1"]),
        (lambda: sets.GroupBall([]), ValueError, ["groups", "label"]),
        (lambda: sets.GroupBall([0, 1], 1.0, [1.0, 0.0]), ValueError, ["weights", "index 1"]),
        (lambda: sets.OWLBall([1.0, 2.0]), ValueError, ["weights[1]", "largest first"]),
        (lambda: sets.OWLBall([0.0, 0.0]), ValueError, ["weights", "first > 0"]),
        (lambda: sets.Permutahedron([]), ValueError, ["entries is empty"]),
        (lambda: sets.Birkhoff(0), ValueError, ["Birkhoff: n", ">= 1"]),
        (lambda: sets.NuclearBall(1.0, (3,)), ValueError, ["shape", "(rows, columns)"]),
        (lambda: sets.NuclearBall(0.0, (3, 2)), ValueError, ["NuclearBall: radius", "> 0"]),
        (lambda: sets.Spectraplex(2).lmo(np.ones(3)), ValueError, ["3 entries", "4"]),
        (lambda: sets.Fantope(3, 4), ValueError, ["Fantope: k", "at most n = 3"]),
        (lambda: sets.Ellipsoid(np.diag([1.0, 0.0])), ValueError, ["Q", "positive definite"]),
        (lambda: sets.Ellipsoid(np.eye(2), [1.0]), ValueError, ["centre", "1 entries"]),
        (lambda: sets.Hull(np.zeros((0, 3))), ValueError, ["points", "at least one"]),
        (lambda: sets.Product(()), ValueError, ["sets is empty"]),
        (lambda: sets.Product((1.0,), (2,)), TypeError, ["sets[0]", "float"]),
        (lambda: sets.Product((sets.Simplex(),)), ValueError, ["sizes is needed", "Simplex"]),
        (lambda: sets.Product((sets.Birkhoff(2),), (3,)), ValueError, ["sizes[0] is 3", "4"]),
        (lambda: sets.Polyhedron([[1.0]]), ValueError, ["A_ub is given without b_ub"]),
        (lambda: sets.Polyhedron([[1.0]], [1.0, 2.0]), ValueError, ["b_ub", "2 entries"]),
        (lambda: sets.Polyhedron(bounds=[(2, 1)]), ValueError, ["(2, 1) at index 0"]),
        (lambda: sets.Polyhedron(bounds=3), ValueError, ["bounds must be"]),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_sets_without_projection_are_no_penalties_of_proximal_methods():
    problem = numopt.problems.SmoothComposite(lambda x: x @ x, sets.Birkhoff(2), lambda x: 2 * x)
    with pytest.raises(TypeError, match="frank-wolfe"):
        numopt.solve(problem, "prox-grad", x0=np.eye(2).ravel())
