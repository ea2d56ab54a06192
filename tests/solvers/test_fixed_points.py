"""Fixed points: proven bounds at every iteration, equality where they are tight, no solution."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.operators import Affine
from numopt.penalties import L1
from numopt.problems import FixedPoint, MonotoneInclusion
from numopt.sets import Box, L2Ball
from numopt.solvers import AndersonMixing, Halpern, KrasnoselskiiMann
from numopt.solvers._parts.maps import TZ, Z


def turn(angle):
    c, s = np.cos(angle), np.sin(angle)
    return np.array([[c, -s], [s, c]])


def iterates(solver, problem, count):
    """z_k and T(z_k) for k = 0, 1, ..., of a compiled map."""
    state = solver.init(problem, None, {})
    yield state.vectors[Z].copy(), state.vectors[TZ].copy()
    for _ in range(count):
        solver.advance(problem, state, 1)
        yield state.vectors[Z].copy(), state.vectors[TZ].copy()


def residuals(solver, problem, count):
    return np.array([np.linalg.norm(z - t) for z, t in iterates(solver, problem, count)])


NO_RESTART = Halpern(restart="none", tol=1e-300)


# ---- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("angle", [0.01, 0.1, 0.5, 1.0, 2.0, 3.0, np.pi])
@pytest.mark.parametrize("anchoring", ["plain", "adaptive"])
def test_halpern_keeps_the_tight_bound_at_every_iteration(angle, anchoring):
    problem = FixedPoint(Affine(turn(angle)), [3.0, -4.0])
    solver = Halpern(restart="none", anchoring=anchoring, tol=1e-300)
    found = residuals(solver, problem, 300)
    bound = 2 * 5.0 / (np.arange(301) + 1)
    assert (found <= bound * (1 + 1e-12)).all()
    if angle == 0.01:  # some iterate comes near it: the bound is not idle
        assert (found / bound).max() > 0.9


@pytest.mark.parametrize("contraction", [0.5, 0.9, 0.99])
def test_optimal_contractive_halpern_attains_its_bound(contraction):
    """T = -c z: (1 + c) |z0| / sum c^-i, at every even k."""
    problem = FixedPoint(Affine(-contraction * np.eye(3)), [1.0, 2.0, 2.0], contraction)
    found = residuals(Halpern(tol=1e-300), problem, 60)
    for k in range(61):
        bound = (1 + contraction) * 3.0 / sum(contraction**-i for i in range(k + 1))
        assert found[k] <= bound * (1 + 1e-12)
        if k % 2 == 0:
            assert found[k] == pytest.approx(bound, rel=1e-12)


def test_contraction_of_one_is_halpern():
    problem = FixedPoint(Affine(turn(0.4)), [1.0, 1.0])
    anchored = [z for z, _ in iterates(NO_RESTART, problem, 20)]
    z = anchor = np.array([1.0, 1.0])
    for k in range(20):
        np.testing.assert_allclose(anchored[k], z, atol=1e-14)
        z = anchor / (k + 2) + (k + 1) / (k + 2) * turn(0.4) @ z


def test_weights_do_not_overflow():
    problem = FixedPoint(Affine(0.01 * np.eye(2)), [1.0, 1.0], 0.01)
    last = list(iterates(Halpern(tol=1e-300), problem, 400))[-1][0]
    assert np.isfinite(last).all()


@pytest.mark.parametrize("angle", [0.3, 1.0])
def test_averaged_maps_are_unaveraged(angle):
    """With a = 1/2, iterates are those of 2T - I, and the residual half as large."""
    half = FixedPoint(Affine((np.eye(2) + turn(angle)) / 2), [1.0, 0.0], averaged=0.5)
    whole = FixedPoint(Affine(turn(angle)), [1.0, 0.0])
    one, two = (list(iterates(NO_RESTART, p, 30)) for p in (half, whole))
    for (a, ta), (b, tb) in zip(one, two, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-13)
        np.testing.assert_allclose(2 * (a - ta), b - tb, atol=1e-13)


def test_adaptive_anchoring_is_never_slower_on_contractions():
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((20, 20)))
    problem = FixedPoint(Affine(0.9 * Q), rng.standard_normal(20))
    plain = residuals(NO_RESTART, problem, 200)
    adaptive = residuals(Halpern(restart="none", anchoring="adaptive", tol=1e-300), problem, 200)
    assert adaptive[-1] < 0.5 * plain[-1]
    assert (adaptive <= 2 * np.linalg.norm(problem.z0) / (np.arange(201) + 1) + 1e-12).all()


def test_restarts_make_it_linear():
    problem = FixedPoint(Affine(turn(0.05)), [1.0, 0.0])
    with_restarts = Halpern(tol=1e-10).solve(problem)
    assert with_restarts.nit < 1500
    assert residuals(NO_RESTART, problem, 1500)[-1] > 1e-4


def test_krasnoselskii_mann_iterates():
    problem = FixedPoint(Affine(turn(1.0)), [1.0, 0.0])
    step = (np.eye(2) + turn(1.0)) / 2
    z = problem.z0
    for found, _ in iterates(KrasnoselskiiMann(tol=1e-300), problem, 10):
        np.testing.assert_allclose(found, z, atol=1e-14)
        z = step @ z
    relaxed = list(iterates(KrasnoselskiiMann(relaxation=0.25, tol=1e-300), problem, 1))[1][0]
    np.testing.assert_allclose(relaxed, 0.75 * problem.z0 + 0.25 * turn(1.0) @ problem.z0)
    # Known contractions take plain steps.
    picard = FixedPoint(Affine(0.5 * np.eye(2)), [1.0, 0.0], 0.5)
    assert list(iterates(KrasnoselskiiMann(tol=1e-300), picard, 1))[1][0].tolist() == [0.5, 0.0]


def test_anderson_solves_affine_maps_like_gmres():
    rng = np.random.default_rng(0)
    M = rng.standard_normal((6, 6))
    M *= 0.9 / np.linalg.norm(M, 2)
    q = rng.standard_normal(6)
    result = AndersonMixing(tol=1e-10).solve(FixedPoint(lambda z: M @ z + q, np.zeros(6)))
    assert result.nit <= 16
    np.testing.assert_allclose(result.x, np.linalg.solve(np.eye(6) - M, q), atol=1e-8)


# ---- no fixed point ------------------------------------------------------------------------------


def block(angle):
    """A turn in a plane and a shift along the third axis: no fixed point."""
    M = np.eye(3)
    M[:2, :2] = turn(angle)
    return M


V = np.array([0.0, 0.0, -0.75])  # z - T(z) is never shorter


def test_displacement_keeps_the_bound():
    """|z_k - T z_k - v|^2 <= ((sqrt(H_k + 12) + 1) / (k + 1))^2 |z0 - z*|^2, v = z* - T z*."""
    z0 = np.array([3.0, 4.0, 1.0])
    problem = FixedPoint(Affine(block(0.7), -V), z0)
    harmonic = 0.0
    for k, (z, t) in enumerate(iterates(NO_RESTART, problem, 1000)):
        harmonic += 1 / k if k else 0.0
        bound = (np.sqrt(harmonic + 12) + 1) / (k + 1) * 5.0  # to (0, 0, 1)
        assert np.linalg.norm(z - t - V) <= bound
        if k > 500:
            assert np.linalg.norm(2 * (z0 - z) / (k + 1) - V) <= 20 / k
    assert np.linalg.norm(z - t - V) <= 0.02


@pytest.mark.parametrize("solver", [Halpern(), Halpern(restart="none"), KrasnoselskiiMann()])
@pytest.mark.parametrize("averaged", [1.0, 0.5])
def test_maps_without_fixed_points_are_told(solver, averaged):
    M = averaged * block(0.7) + (1 - averaged) * np.eye(3)
    problem = FixedPoint(Affine(M, -averaged * V), [3.0, 4.0, 1.0], averaged=averaged)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = numopt.solve(problem, solver, max_iter=3000)
    assert not result.success
    assert result.consistent is False
    np.testing.assert_allclose(result.displacement, averaged * V, atol=5e-3)
    assert solver.drift(_state_after(solver, problem, 3000)) == pytest.approx(
        averaged * V, abs=5e-2
    )


def _state_after(solver, problem, count):
    state = solver.init(problem, None, {})
    solver.advance(problem, state, count)
    return state


def test_alternating_projections_on_sets_apart():
    """The displacement of the composition shows that two balls do not meet."""
    ball = L2Ball(1.0)

    other = np.array([3.0, 0.0])

    def T(z):
        return other + ball.project(ball.project(z) - other)

    def average(z):
        return (ball.project(z) + ball.project(z - other) + other) / 2

    result = numopt.fixed_point(T, [0.5, 0.3])  # nearest points: a fixed point
    np.testing.assert_allclose(result.x, [2.0, 0.0], atol=1e-6)
    assert result.consistent
    np.testing.assert_allclose(
        numopt.fixed_point(average, [0.5, 0.3], averaged=0.5).x, [1.5, 0.0], atol=1e-6
    )


def test_slow_progress_is_not_called_inconsistent():
    problem = FixedPoint(Affine(turn(0.01)), [1.0, 0.0])
    with pytest.warns(numopt.ConvergenceWarning):
        result = Halpern(restart="none", max_iter=200).solve(problem)
    assert result.consistent is None


# ---- cocoercive inclusions -----------------------------------------------------------------------


def lasso(given_lipschitz=None, in_python=False):
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((30, 12)), rng.standard_normal(30)
    H, q = X.T @ X / 30, -X.T @ y / 30
    F = (lambda z: H @ z + q) if in_python else Affine(H, q)
    penalty = L1(0.1)
    prox = penalty.prox if in_python else penalty
    problem = MonotoneInclusion(
        F, np.zeros(12), prox=prox, cocoercive=True, lipschitz=given_lipschitz
    )
    exact = numopt.solve(
        numopt.problems.Composite(numopt.losses.LeastSquares(y), X, penalty), tol=1e-12
    )
    return problem, exact.x


@pytest.mark.parametrize("solver", [Halpern(tol=1e-9), KrasnoselskiiMann(tol=1e-9)])
@pytest.mark.parametrize("in_python", [False, True])
def test_forward_backward_solves_the_lasso(solver, in_python):
    problem, exact = lasso(in_python=in_python)
    result = solver.solve(problem)
    assert result.success
    np.testing.assert_allclose(result.x, exact, atol=1e-7)


def test_a_lipschitz_constant_too_small_for_the_start_is_raised():
    """A gradient that grows away from the start: the first estimate is far too small."""

    def F(z):
        return np.where(np.abs(z) < 1, 1e-3 * z, 50 * z - np.sign(z) * (50 - 1e-3)) - 10.0

    problem = MonotoneInclusion(F, np.zeros(3), cocoercive=True)
    result = Halpern().solve(problem)
    assert result.success
    np.testing.assert_allclose(result.x, (10.0 + 50 - 1e-3) / 50, atol=1e-6)


def test_only_for_cocoercive_operators():
    problem = MonotoneInclusion(Affine([[0.0, 1.0], [-1.0, 0.0]]), [1.0, 1.0])
    with pytest.raises(ValueError, match="Halpern needs a cocoercive F: say cocoercive=True"):
        Halpern().solve(problem)


def test_indefinite_matrices_are_refused_as_a_status():
    problem = MonotoneInclusion(Affine(-np.eye(2)), [1.0, 1.0], Box(0, 2), cocoercive=True)
    with pytest.warns(numopt.ConvergenceWarning, match="F is not monotone"):
        result = Halpern().solve(problem)
    assert result.status == 6


# ---- calls ---------------------------------------------------------------------------------------


def test_python_maps_are_called_no_more_than_needed():
    calls = []

    def T(z):
        calls.append(z.copy())
        z[:] = 7.0  # its copy
        return np.cos(calls[-1])

    result = numopt.fixed_point(T, [0.5, 0.1], method="km", contraction=0.99)
    assert result.nfev == len(calls) == result.nit + 1
    np.testing.assert_allclose(result.x, 0.739085133, atol=1e-7)


def test_nan_is_not_success():
    with pytest.warns(numopt.ConvergenceWarning):
        result = numopt.fixed_point(lambda z: z * np.nan, [1.0], max_iter=50)
    assert not result.success


@pytest.mark.parametrize("method", ["halpern", "oc-halpern", "km", "anderson"])
def test_front_door(method):
    problem = {"tol": 1e-9, "max_iter": 5000, "options": {"verbose": 0}}
    result = numopt.fixed_point(
        lambda z: 0.5 * np.cos(z), [0.0], method=method, contraction=0.5, **problem
    )
    assert result.success
    assert result.x[0] == pytest.approx(0.450183611, abs=1e-7)
    assert result.certificate.tol == 1e-9
