"""What every block has to keep, row by row of `table.py`."""

import pickle
from dataclasses import replace

import numpy as np
import pytest

from numopt.calculus import Conjugate
from tests.blocks import oracle
from tests.blocks.table import ALPHA, BY_NAME, LOSS_BY_NAME, LOSSES, PENALTIES, tagged

P = 6
STEPS = (1e-8, 1e-3, 0.3, 1.0, 4.0, 30.0, 1e8)


def points(p, count=12, seed=0):
    rng = np.random.default_rng(seed)
    yield np.zeros(p)
    for k in range(count):
        v = 2 * rng.standard_normal(p)
        yield np.round(v) if k % 2 else v  # with ties


# ---- penalties and sets --------------------------------------------------------------------------


@pytest.mark.parametrize("row", PENALTIES, ids=repr)
def test_value_is_that_of_the_textbook(row):
    block = row.block(P)
    for v in points(P):
        atol = 1e-5 if row.name == "MoreauEnvelope of a norm" else 0  # a grid of levels
        assert block.value(v) == pytest.approx(row.value(v), rel=1e-13, abs=max(atol, 1e-14))


@pytest.mark.parametrize("row", PENALTIES, ids=repr)
@pytest.mark.parametrize("step", [1e-6, 0.7, 4.0, 50.0])
def test_prox_is_no_worse_than_any_point(row, step):
    """Nor than any found at random; of convex ones F(u) - F(z) >= |u - z|^2 / 2."""
    block, rng = row.block(P), np.random.default_rng(1)
    for v in points(P, 8):
        z = block.prox(v, step)

        def objective(u, v=v):
            return (u - v) @ (u - v) / 2 + step * block.value(u)

        others = [v, np.zeros(P), np.full(P, v.mean()), np.round(z)]
        for scale in (1e-6, 1e-3, 0.1, 1.0):
            others += list(z + scale * rng.standard_normal((10, P)))
        for j in range(P):  # and along each coordinate, where corners lie
            others += [z + t * np.eye(P)[j] for t in (-1.0, -1e-5, 1e-5, 1.0)]
        others += [np.where(np.arange(P) == j, 0, z) for j in range(P)]
        if "indicator" in row.tags:
            others = [block.prox(u) for u in others]
        best = objective(z)
        for u in others:
            bend = (u - z) @ (u - z) / 2 if "convex" in row.tags else 0.0
            assert objective(u) - best >= bend - 2e-15 * (1 + abs(best) + v @ v), (v, u)


@pytest.mark.parametrize("name", tagged("convex"))
def test_prox_is_firmly_nonexpansive(name):
    block = BY_NAME[name].block(P)
    drawn = list(points(P, 10, seed=2))
    for step in (0.3, 5.0):
        for v, w in zip(drawn[1:], drawn[2:] + drawn[1:2], strict=True):
            moved, apart = block.prox(v, step) - block.prox(w, step), v - w
            assert moved @ moved <= moved @ apart + 1e-13 * (1 + apart @ apart)


@pytest.mark.parametrize("name", tagged("convex", without=("indicator",)))
def test_moreau_splits_a_vector(name):
    block = BY_NAME[name].block(P)
    if not block.has_conjugate:
        pytest.skip("no conjugate known")
    dual = (
        Conjugate(block) if block.offers("conjugate_1d") or "norm" in BY_NAME[name].tags else None
    )
    for v in points(P, 6):
        for step in (0.3, 2.0):
            z = block.prox(v, step)
            u = (v - z) / step
            if dual is not None:
                np.testing.assert_allclose(dual.prox(v / step, 1 / step), u, atol=1e-13)
                assert dual.value(dual.prox(v)) < np.inf
            # Fenchel and Young with equality: u is a subgradient at z.
            u = u * block.dual_scale(u)
            assert block.value(z) + block.conjugate(u) == pytest.approx(u @ z, abs=2e-12)
            other = np.roll(v, 1)
            if np.isfinite(block.value(other)):
                assert block.value(other) + block.conjugate(u) >= u @ other - 1e-12


@pytest.mark.parametrize("row", PENALTIES, ids=repr)
def test_distance_is_zero_at_prox_points_alone(row):
    block = row.block(P)
    knows = block.offers("subdiff_distance_1d") or block.offers("subdiff_distance_of")
    if not knows:
        if "steep" in row.tags:
            with pytest.raises(TypeError, match="fixed-point"):
                block.subdiff_distance([0.0], [1.0])
        return
    for v in points(P, 8):
        z = block.prox(v, 0.3)
        g = (z - v) / 0.3
        assert block.subdiff_distance(z, g) <= 1e-13 * (1 + np.abs(v).max())
        # A push on a coordinate in the open is noticed in full.
        assert block.subdiff_distance(z, g - 1e3) > 100


@pytest.mark.parametrize("name", tagged("smooth"))
def test_gradients_of_smooth_penalties_by_differences(name):
    block = BY_NAME[name].block(P)
    x = np.linspace(-2.05, 1.9, P)
    h = 1e-6 * np.eye(P)
    slope = np.array([(block.value(x + e) - block.value(x - e)) / 2e-6 for e in h])
    assert block.subdiff_distance(x, -slope) <= 1e-7


@pytest.mark.parametrize("row", PENALTIES, ids=repr)
def test_sizes_precisions_and_steps(row):
    for p in (0, 1, 2, 50):
        if p == 0 and "scalar" not in row.tags:
            continue
        block = row.block(p)
        v = np.linspace(-3, 4, p)
        z = block.prox(v, 0.7)
        assert z.shape == v.shape and z.dtype == np.float64
        assert np.isfinite(block.value(z))
        if p in (2, 50):
            single = block.prox(v.astype(np.float32), 0.7)
            assert single.dtype == np.float32
            np.testing.assert_allclose(single, z, rtol=1e-4, atol=1e-5)
        assert np.isfinite(block.prox(v, 1e8)).all()
        if "indicator" not in row.tags and row.name != "Boxed":
            np.testing.assert_allclose(block.prox(v, 0.0), v, rtol=1e-15)
        before = v.copy()
        v.flags.writeable = False
        block.prox(v[::-1][::-1], 0.3)
        np.testing.assert_array_equal(v, before)
    block = row.block(P)
    for step in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="step"):
            block.prox(np.ones(P), step)
    for number in (np.nan, np.inf):
        with pytest.raises(ValueError, match="index 2"):
            block.prox(np.where(np.arange(P) == 2, number, 1.0))
    assert pickle.loads(pickle.dumps(block)) == block


@pytest.mark.parametrize("row", PENALTIES, ids=repr)
def test_wrong_arguments_of_penalties(row):
    for build, message in row.wrong:
        with pytest.raises((ValueError, TypeError), match=message):
            build()


@pytest.mark.parametrize("name", tagged("even"))
def test_even_functions_have_odd_proxes(name):
    block = BY_NAME[name].block(P)
    for v in points(P, 4):
        np.testing.assert_array_equal(block.prox(-v, 0.7), -block.prox(v, 0.7))


@pytest.mark.parametrize("name", tagged("weights"))
def test_weights_leave_out_and_let_alone(name):
    block = BY_NAME[name].block(3)
    weighted, twice = replace(block, weights=[0.0, np.inf, 2.0]), replace(block, alpha=2 * ALPHA)
    if name not in ("MCP", "SCAD"):  # there the strength also says where it gets flat
        assert weighted.prox([3.0, 3.0, 3.0]).tolist() == [3.0, 0.0, twice.prox([3.0])[0]]
        assert weighted.value([3.0, 0.0, 3.0]) == pytest.approx(twice.value([3.0]), rel=1e-15)
    expected = block.prox([3.0], 2.0)[0]  # a weight acts like a step
    np.testing.assert_allclose(weighted.prox([3.0, 3.0, 3.0]), [3.0, 0.0, expected], rtol=1e-15)
    assert weighted.value([5.0, 1.0, 0.0]) == np.inf or name in ("L0",)
    assert weighted.prox(np.float32([3.0, 3.0, 3.0])).dtype == np.float32
    with pytest.raises(ValueError, match=r"weights\[1\] = -2"):
        replace(block, weights=[1.0, -2.0])
    with pytest.raises(ValueError, match="weights is NaN"):
        replace(block, weights=[1.0, np.nan])
    with pytest.raises(ValueError, match="entries"):
        weighted.prox(np.ones(4))


WITH_STRENGTH = [row.name for row in PENALTIES if hasattr(row.block(P), "alpha")]


@pytest.mark.parametrize("name", WITH_STRENGTH)
def test_alpha_max_is_the_least_strength_for_zero(name):
    row = BY_NAME[name]
    if "steep" in row.tags:  # 0 is stationary at any strength
        return
    for v in list(points(P))[1:6]:
        largest = row.block(P).alpha_max(v)
        if "flat" in row.tags or not np.isfinite(largest):
            assert largest == np.inf
            continue
        small = 1e-3 * v  # a step so short that the prox of nonconvex ones is the local minimiser
        assert not row.block(P, largest * (1 + 1e-9)).prox(small, 1e-3).any()
        assert row.block(P, largest * (1 - 1e-9)).prox(small, 1e-3).any()


@pytest.mark.parametrize("name", oracle.ORACLES)
def test_scalar_proxes_in_fifty_digits(name):
    """The objective is at most 1e-15 (1 + |v|) above its minimum, in units of max(1, step)."""
    from mpmath import mp, mpf

    block, phi = BY_NAME[name].block(1), oracle.ORACLES[name][0]
    beside = (0, 1e-15, -1e-15, 1e-9, -1e-9, 1e-3, -0.3, 10.0)
    steps = (*STEPS, 2.7, np.nextafter(2.7, 0), 2.999999, 3.0)  # gamma and a - 1 are 3 and 2.7
    for step in steps:
        corners = {
            ALPHA * step, ALPHA * (1 + step), ALPHA * 3, ALPHA * 3.7, ALPHA * np.sqrt(3 * step),
            1.3, 1.3 + 0.5 * ALPHA * step, np.sqrt(2.6 * step * ALPHA), np.sqrt(2 * step * ALPHA),
            1.5 * (step * ALPHA) ** (2 / 3), 2 * (2 * step * ALPHA / 3) ** 0.75,
            2 * np.sqrt(step * ALPHA), 1.3 * (1 + ALPHA * step), 0.3 * ALPHA * step,
        }  # fmt: skip
        v = np.array([c * (1 + d) for c in sorted(corners) for d in beside])
        for t, z in zip(v, block.prox(v, step), strict=True):
            t, z, s = mpf(float(t)), mpf(float(z)), mpf(float(step))
            least, objective = oracle.best(name, t, s)
            excess = (objective(z) - objective(least)) / max(1, s)
            assert 0 <= excess <= 1e-15 * (1 + t), (name, float(t), step, float(z), float(least))
            if z > 0 and abs(z - least) > mpf(10) ** -9 * z:
                # The other end of a tie, or badly conditioned: the slope is what counts.
                residual = z - t + s * mp.diff(phi, z)
                assert abs(residual) <= 1e-12 * max(t, z), (name, float(t), step)


# ---- losses --------------------------------------------------------------------------------------


def sample(row, n=9, seed=3, **options):
    """Targets, weights, loss with weights and offset, a prediction."""
    rng = np.random.default_rng(seed)
    y, shape = row.targets(rng, n), (n, row.outputs) if row.outputs > 1 else (n,)
    weight, offset = rng.random(n) + 0.1, rng.standard_normal(shape)
    z = rng.standard_normal(shape)
    if "no samples" in row.tags:
        return y, np.ones(1), 0 * offset, row.make(y), z
    return y, weight, offset, row.make(y, sample_weight=weight, offset=offset), z


@pytest.mark.parametrize("row", LOSSES, ids=repr)
def test_values_and_derivatives_of_losses(row):
    y, weight, offset, loss, z = sample(row)

    def naive(z):
        return row.value(z + offset, y, weight)

    assert float(loss.value(z)) == pytest.approx(naive(z), rel=1e-13)
    steps = 1e-6 * np.eye(z.size).reshape(z.size, *z.shape)
    slope = np.array([(naive(z + e) - naive(z - e)) / 2e-6 for e in steps]).reshape(z.shape)
    if "corners" in row.tags:
        np.testing.assert_allclose(loss.subgradient(z), slope, atol=1e-8)
        with pytest.raises(TypeError, match="subgradient"):
            loss.gradient(z)
        assert not loss.smooth
        return
    gradient = loss.gradient(z)
    np.testing.assert_allclose(gradient, slope, atol=1e-7)
    assert gradient.shape == z.shape
    D = np.random.default_rng(4).standard_normal((z.size, 3))
    for d, product in zip(D.T, loss.hessian_times(z, D).T, strict=True):
        d = 1e-6 * d.reshape(z.shape)
        turned = (loss.gradient(z + d) - loss.gradient(z - d)).ravel() / 2e-6
        np.testing.assert_allclose(product, turned, atol=1e-7)
    if loss.smoothness is not None and row.outputs == 1 and "whole" not in row.tags:
        far = np.linspace(-20, 20, z.size)
        assert np.all(loss.hessian_diag(far) <= loss.smoothness * loss.scale() * (1 + 1e-15))


@pytest.mark.parametrize("row", LOSSES, ids=repr)
def test_conjugates_of_losses_meet_fenchel_young(row):
    _, _, _, loss, z = sample(row)
    rng = np.random.default_rng(5)
    for scale in (0.1, 1.0, 5.0):
        at = scale * z
        u = loss.subgradient(at) if "corners" in row.tags else loss.gradient(at)
        equal = np.sum(u * at) - float(loss.value(at))
        assert loss.conjugate(u) == pytest.approx(equal, rel=1e-9, abs=1e-11)
        other = rng.standard_normal(z.shape)
        assert loss.conjugate(u) + float(loss.value(other)) >= np.sum(u * other) - 1e-11
    if "unbounded curvature" in row.tags or row.name in ("Logistic", "SquaredHinge", "Huber",
                                                         "LeastAbsolute", "SquareRoot",
                                                         "Multinomial"):  # fmt: skip
        worst = max(loss.conjugate(1e3 * u), loss.conjugate(-1e3 * u), key=float)
        assert worst == np.inf


@pytest.mark.parametrize("row", LOSSES, ids=repr)
@pytest.mark.parametrize("step", STEPS)
def test_proxes_of_losses(row, step):
    """z - v + step * gradient(z) = 0, by subgradients where there are corners."""
    _, _, offset, loss, drawn = sample(row)
    for v in (drawn, 3 * drawn, 10 * drawn):
        z = loss.prox(v, step)
        u = (v - z) / step
        if "corners" in row.tags:
            # rounding of z, divided by the step
            slack = 1e-12 * (1 + 1 / step) * (1 + 1 / loss.scale().min())
            assert loss.subdiff_distance(z, -u) <= slack
            moved = (z - v) @ (z - v) / 2 + step * float(loss.value(z))
            for other in (v, loss.y - offset, z + 1e-3, z - 1e-3 * v):
                here = (other - v) @ (other - v) / 2 + step * float(loss.value(other))
                assert here >= moved - 1e-14 * (1 + abs(moved) + v @ v + step)
            continue
        residual = (z - v) + step * loss.gradient(z)
        curvature = np.max(np.abs(loss.hessian_times(z, np.eye(z.size))))
        size = np.abs(v).max() + np.abs(z).max() * (1 + step * curvature)
        size += step * (1e-3 if row.name != "Quadratic" else curvature)
        assert np.abs(residual).max() <= 1e-13 * size
    assert loss.prox(v.astype(np.float32), 1.0).dtype == np.float32
    for wrong in (np.nan, np.inf, -1.0):
        with pytest.raises(ValueError, match="step"):
            loss.prox(v, wrong)


@pytest.mark.parametrize("row", LOSSES, ids=repr)
def test_wrong_targets(row):
    for build, message in row.wrong:
        with pytest.raises((ValueError, TypeError), match=message):
            build()
    if "no samples" not in row.tags:
        y = row.targets(np.random.default_rng(0), 6)
        for weight, message in (([-1.0] * 6, "negative"), ([0.0] * 6, "sums to 0"), ([1.0], "exp")):
            with pytest.raises(ValueError, match=message):
                row.make(y, sample_weight=weight)
        with pytest.raises(ValueError, match="offset"):
            row.make(y, offset=np.ones(5))
        loss = row.make(y)
        for z in (np.ones(5), np.full(6 * row.outputs, np.nan)):
            with pytest.raises(ValueError, match="z has"):
                loss.value(z)
        assert pickle.loads(pickle.dumps(loss)) == loss


@pytest.mark.parametrize("row", LOSSES, ids=repr)
def test_weights_of_samples_count_them(row):
    """Weight 2 is a sample that is there twice, weight 0 one that is not there."""
    if "no samples" in row.tags:
        return
    y = np.asarray(row.targets(np.random.default_rng(1), 6))
    z = np.random.default_rng(2).standard_normal((6, row.outputs)).squeeze()
    twice = np.array([0, 1, 2, 3, 4, 4])
    options = {"n_classes": 3} if row.name == "Multinomial" else {}
    weighted = row.make(y, sample_weight=[1, 1, 1, 1, 2, 0], **options)
    repeated = row.make(y[twice], **options)
    assert float(weighted.value(z)) == pytest.approx(float(repeated.value(z[twice])), rel=1e-14)


def test_losses_at_the_edges():
    losses = {name: row.make for name, row in LOSS_BY_NAME.items()}
    z = [1.0, -2.0]
    assert losses["SquaredHinge"]([0, 1]).value(z) == losses["SquaredHinge"]([-1, 1]).value(z)
    assert losses["Poisson"]([1.0]).value([1e4]) == np.inf
    assert losses["Gamma"]([1.0]).value([-1e4]) == np.inf
    assert losses["Logistic"]([1.0]).value([-1e4]) == 1e4
    certain = losses["Multinomial"]([0, 1]).gradient([[1e4, 0.0], [40.0, 0.0]])
    assert certain[0].tolist() == [0.0, 0.0]
    assert certain[1, 0] == pytest.approx(0.5, rel=1e-15)
    sure = losses["Multinomial"]([0, 1]).value([[50.0, 0.0], [0.0, 50.0]])
    assert float(sure) == pytest.approx(np.exp(-50.0), rel=1e-12)
    with pytest.raises(ValueError, match=r"shape \(2, 3\), expected \(2, 2\)"):
        losses["Multinomial"]([0, 1]).value(np.zeros((2, 3)))
