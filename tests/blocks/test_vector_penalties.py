"""Penalties that do not separate: their proxes, distances and conjugates from first principles."""

from dataclasses import replace

import numpy as np
import pytest

from numopt import penalties

LABELS = ["b", "a", "b", "c", "a", "b", "d"]
WEIGHTS = [1.0, 0.5, 2.0, 1.5]
P = len(LABELS)

GROUPED = {
    "GroupLasso": penalties.GroupLasso(0.6, LABELS, WEIGHTS),
    "SparseGroupLasso": penalties.SparseGroupLasso(0.6, LABELS, 0.3, WEIGHTS),
    "GroupMCP": penalties.GroupMCP(0.6, LABELS, weights=WEIGHTS),
    "GroupSCAD": penalties.GroupSCAD(0.6, LABELS, weights=WEIGHTS),
}
PENALTIES = {
    **GROUPED,
    "SLOPE": penalties.SLOPE(0.6, np.linspace(2.0, 0.2, P)),
    "LInf": penalties.LInf(1.5),
    "TotalVariation1D": penalties.TotalVariation1D(0.6),
    "Nuclear": penalties.Nuclear(0.6, (1, P)),
    "Nuclear of a matrix": penalties.Nuclear(0.6, (2, P - 3)),
}
SIZES = {name: P if penalty.size is None else penalty.size for name, penalty in PENALTIES.items()}
CONVEX = [name for name, penalty in PENALTIES.items() if penalty.convex]
NORMS = [name for name in CONVEX if PENALTIES[name].has_conjugate]


def points(size=P, seed=0, count=20):
    rng = np.random.default_rng(seed)
    yield np.zeros(size)
    for k in range(count):
        v = 2 * rng.standard_normal(size)
        yield np.round(v) if k % 2 else v  # with ties


@pytest.mark.parametrize("name", CONVEX)
@pytest.mark.parametrize("step", [1e-6, 0.7, 2.0, 50.0])
def test_prox_minimises(name, step):
    """F(u) - F(z) >= |u - z|^2 / 2 for all u, as F is strongly convex."""
    penalty, p, rng = PENALTIES[name], SIZES[name], np.random.default_rng(1)
    for v in points(p):
        z = penalty.prox(v, step)

        def objective(u, v=v):
            return (u - v) @ (u - v) / 2 + step * penalty.value(u)

        best, others = objective(z), [v, np.zeros(p), np.full(p, v.mean())]
        for scale in (1e-6, 1e-3, 0.1, 1.0):
            others += list(z + scale * rng.standard_normal((10, p)))
        for j in range(p):  # and along each coordinate, where kinks lie
            others += [z + t * np.eye(p)[j] for t in (-1e-5, 1e-5)]
        for u in others:
            excess = objective(u) - best - (u - z) @ (u - z) / 2
            assert excess >= -1e-15 * (1 + abs(best) + v @ v), (v, u)


@pytest.mark.parametrize("name", PENALTIES)
def test_float32_and_no_step(name):
    penalty, v = PENALTIES[name], np.arange(SIZES[name]) - 2.5
    single = penalty.prox(v.astype(np.float32), 0.7)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, penalty.prox(v, 0.7), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(penalty.prox(v, 0.0), v, rtol=1e-15)


@pytest.mark.parametrize("name", NORMS)
def test_conjugate_meets_fenchel_young_with_equality(name):
    penalty = PENALTIES[name]
    for v in points(SIZES[name]):
        z = penalty.prox(v, 0.7)
        u = (v - z) / 0.7  # a subgradient at z
        u *= penalty.dual_scale(u)
        assert penalty.value(z) + penalty.conjugate(u) == pytest.approx(u @ z, abs=1e-12)
        assert penalty.conjugate(10 * u) == (np.inf if u.any() and z.any() else pytest.approx(0))


@pytest.mark.parametrize("name", [*NORMS, "GroupMCP", "GroupSCAD"])
def test_alpha_max_is_the_least_strength_for_zero(name):
    for v in list(points(SIZES[name]))[1:6]:
        largest = PENALTIES[name].alpha_max(v)
        small = 1e-3 * v  # a step so short that the prox of nonconvex ones is the local minimiser
        assert not replace(PENALTIES[name], alpha=largest * (1 + 1e-9)).prox(small, 1e-3).any()
        assert replace(PENALTIES[name], alpha=largest * (1 - 1e-9)).prox(small, 1e-3).any()


@pytest.mark.parametrize("name", GROUPED)
def test_distance_of_groups(name):
    penalty = GROUPED[name]
    for v in points(count=6):
        z = penalty.prox(v, 0.7)
        assert penalty.subdiff_distance(z, (z - v) / 0.7) <= 1e-13
    # Off the kinks it is the largest norm over groups of grad + penalty's gradient.
    rng = np.random.default_rng(2)
    x, grad = rng.standard_normal(P), rng.standard_normal(P)
    h = 1e-6 * np.eye(P)
    slope = np.array([(penalty.value(x + e) - penalty.value(x - e)) / 2e-6 for e in h])
    norms = [np.linalg.norm((grad + slope)[np.array(LABELS) == g]) for g in "abcd"]
    assert penalty.subdiff_distance(x, grad) == pytest.approx(max(norms), rel=1e-8)


@pytest.mark.parametrize(
    ("grouped", "scalar"),
    [
        (penalties.GroupLasso(0.6, range(P)), penalties.L1(0.6)),
        (penalties.GroupMCP(0.6, range(P)), penalties.MCP(0.6)),
        (penalties.GroupSCAD(0.6, range(P)), penalties.SCAD(0.6)),
        (penalties.SparseGroupLasso(0.6, LABELS, 1.0), penalties.L1(0.6)),
    ],
    ids=lambda case: type(case).__name__,
)
def test_groups_of_one_are_scalar(grouped, scalar):
    for v in points(count=6):
        for step in (0.7, 10.0):  # the second beyond gamma and a - 1
            np.testing.assert_allclose(grouped.prox(v, step), scalar.prox(v, step), atol=1e-14)
        assert grouped.value(v) == pytest.approx(scalar.value(v), abs=1e-14)
        assert grouped.alpha_max(v) == pytest.approx(scalar.alpha_max(v))
    assert grouped.concavity == scalar.concavity


def test_pure_group_norm_and_labels():
    v = np.arange(P) - 2.5
    numbered = penalties.GroupLasso(0.6, [1, 0, 1, 2, 0, 1, 7], WEIGHTS)
    np.testing.assert_array_equal(numbered.prox(v), GROUPED["GroupLasso"].prox(v))
    sparse = penalties.SparseGroupLasso(0.6, LABELS, 0.0, WEIGHTS)
    np.testing.assert_allclose(sparse.prox(v), numbered.prox(v), atol=1e-15)
    assert sparse.alpha_max(v) == pytest.approx(numbered.alpha_max(v), rel=1e-14)
    assert numbered.group_support([0, 1, 0, 0, 0, 0, 1]).tolist() == [True, False, False, True]
    assert numbered.prox(1e200 * v)[0] == pytest.approx(-2.5e200)
    assert numbered.prox([0, 1e-200, 0, 0, 1e-200, 0, 0], 1e-300)[1] == 1e-200


@pytest.mark.parametrize("name", GROUPED)
def test_group_weights_leave_out_and_let_alone(name):
    penalty = replace(GROUPED[name], weights=[0.0, np.inf, 1.0, 1.0])
    z = penalty.prox(np.full(P, 0.1))
    assert z[[1, 4]].tolist() == [0.1, 0.1]
    assert z[[0, 2, 5]].tolist() == [0.0, 0.0, 0.0]
    assert penalty.value(z) == 0.0
    grad = np.array([9.0, 0.3, 9.0, 0, 0.4, 9.0, 0])
    assert penalty.subdiff_distance(z, grad) == pytest.approx(0.5)
    assert penalty.subdiff_distance(np.ones(P), grad) == np.inf
    assert np.isfinite(penalty.alpha_max(grad))
    assert penalty.coordinate_weights[1] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (([],), "empty"),
        (([[0, 1], [2]],), "one label per coordinate"),
        (([[0, 1], [1, 2]],), "overlap"),
        (([0.0, np.nan],), "index 1"),
        ((["a", None],), "index 1"),
        (([0, 1], [1.0]), "expected 2"),
        (([0, 1], [1.0, -1.0]), "negative"),
    ],
)
def test_wrong_groups(arguments, message):
    with pytest.raises(ValueError, match=message):
        penalties.GroupLasso(1.0, *arguments)


def test_wrong_length():
    for name in (*GROUPED, "SLOPE", "Nuclear"):
        with pytest.raises(ValueError, match="entries"):
            PENALTIES[name].prox(np.ones(P + 1))


def naive_slope(v, lambdas):
    """Prox of SLOPE by the pool of violators in its textbook form."""
    order = np.argsort(-np.abs(v), kind="stable")
    u = np.abs(v)[order] - lambdas
    # Isotonic regression by the min-max formula.
    means = [[u[i : max(i, j) + 1].mean() for j in range(u.size)] for i in range(u.size)]
    fitted = [
        min(max(means[i][j] for j in range(k, u.size)) for i in range(k + 1)) for k in range(u.size)
    ]
    z = np.zeros(v.size)
    z[order] = np.maximum(fitted, 0)
    return np.sign(v) * z


def naive_total_variation(v, strength):
    """Prox of total variation by projected gradient on its dual box."""
    D = np.diff(np.eye(v.size), axis=0)
    u = np.zeros(v.size - 1)
    momentum, t = u, 1.0
    for _ in range(3000):
        new = np.clip(momentum + D @ (v - D.T @ momentum) / 4, -strength, strength)
        t, before = (1 + np.sqrt(1 + 4 * t * t)) / 2, t
        momentum, u = new + (before - 1) / t * (new - u), new
    return v - D.T @ u


def test_slope_against_min_max():
    rng = np.random.default_rng(3)
    for p in (1, 2, 5, 20):
        for k in range(10):
            v = 2 * rng.standard_normal(p)
            v = np.round(v) if k % 2 else v
            lambdas = np.sort(rng.random(p).round(1))[::-1]
            found = penalties.SLOPE(0.7, lambdas).prox(v, 1.5)
            np.testing.assert_allclose(found, naive_slope(v, 0.7 * 1.5 * lambdas), atol=1e-14)
            flat, top = penalties.SLOPE(0.7, np.ones(p)), penalties.SLOPE(0.7, np.eye(p)[0])
            np.testing.assert_allclose(flat.prox(v), penalties.L1(0.7).prox(v), atol=1e-15)
            np.testing.assert_allclose(top.prox(v), penalties.LInf(0.7).prox(v), atol=1e-14)


@pytest.mark.parametrize("strength", [1e-9, 0.1, 1.0, 4.0, 100.0, 1e12])
def test_total_variation_dual(strength):
    """u = cumsum(v - z) stays within the strength, reaches it at jumps and ends at 0."""
    rng = np.random.default_rng(4)
    penalty = penalties.TotalVariation1D(strength)
    for n in (1, 2, 3, 10, 300):
        for k in range(6):
            v = np.cumsum(rng.standard_normal(n)) if k % 2 else np.round(rng.standard_normal(n))
            z = penalty.prox(v)
            u, size = np.cumsum(v - z), max(1.0, np.abs(v).max()) * n
            assert abs(u[-1]) <= 1e-14 * size
            assert np.abs(u).max() <= strength + 1e-14 * size
            jump = np.diff(z)
            atol = 1e-14 * size
            np.testing.assert_allclose(
                u[:-1][jump != 0], -strength * np.sign(jump[jump != 0]), rtol=1e-12, atol=atol
            )
            if strength > 1e9:
                np.testing.assert_allclose(z, v.mean(), atol=1e-13)


def test_total_variation_against_projected_gradient():
    v = np.round(3 * np.random.default_rng(5).standard_normal(15))
    for strength in (0.5, 1.0, 3.0):
        z = penalties.TotalVariation1D(strength).prox(v)
        np.testing.assert_allclose(z, naive_total_variation(v, strength), atol=1e-6)
    assert penalties.TotalVariation1D(1.0).prox([]).size == 0
    assert penalties.TotalVariation1D(1.0).prox([2.0] * 5).tolist() == [2.0] * 5
    assert penalties.TotalVariation1D(1.0).alpha_max([1.0, 1.0]) == np.inf
    assert penalties.TotalVariation1D(1.0).alpha_max([1.0, 2.0, -3.0]) == 3.0


def test_nuclear_shrinks_singular_values():
    X = np.random.default_rng(6).standard_normal((4, 3))
    penalty = penalties.Nuclear(0.8, X.shape)
    Z = penalty.prox(X.ravel(), 1.5).reshape(X.shape)
    s = np.linalg.svd(X)[1]
    np.testing.assert_allclose(np.linalg.svd(Z)[1], np.maximum(s - 1.2, 0), atol=1e-14)
    assert penalty.value(X.ravel()) == pytest.approx(0.8 * s.sum(), rel=1e-14)
    assert penalty.rank(Z.ravel()) == (s > 1.2).sum()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: penalties.SLOPE(1.0, [1.0, 2.0]), r"lambdas\[1\] = 2"),
        (lambda: penalties.SLOPE(1.0, [1.0, -2.0]), "index 1"),
        (lambda: penalties.SLOPE(1.0, []), "empty"),
        (lambda: penalties.Nuclear(1.0, (2, 0)), r"shape\[1\]"),
        (lambda: penalties.Nuclear(1.0, (2,)), "rows, columns"),
        (lambda: penalties.TotalVariation1D(-1.0), "alpha"),
        (lambda: penalties.LInf(np.inf), "alpha"),
    ],
)
def test_wrong_arguments(build, message):
    with pytest.raises(ValueError, match=message):
        build()
