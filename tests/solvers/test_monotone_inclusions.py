"""Monotone inclusions: proven bounds, known solutions, constraints, estimates of L, finite sums."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.calculus import SeparableSum
from numopt.operators import Affine, Components, Saddle
from numopt.penalties import L1
from numopt.problems import MatrixGame, MonotoneInclusion
from numopt.sets import Birkhoff, Box, Product, Simplex
from numopt.solvers import AnchoredExtragradient, VarianceReducedHalpern
from numopt.solvers._parts.game_simplex import solve_game_exactly
from numopt.solvers.anchored_extragradient import FZ, Z

RNG = np.random.default_rng(7)
A = RNG.standard_normal((8, 8))
C, B = RNG.standard_normal((2, 8))
SADDLE = Saddle(A, c=C, b=B)
SOLUTION = np.concatenate([np.linalg.solve(A, B), np.linalg.solve(A.T, -C)])
L = np.linalg.norm(A, 2)
SCHEMES = ("auto", "feg", "eag", "eag-c", "eag-v", "eg", "forb")


def ouyang_xu(n=40):
    """min_x max_y x'Hx/2 - h'x - <Ax - b, y>, hard for all methods that see products only."""
    M = np.fliplr(np.eye(n)) - np.fliplr(np.eye(n, k=-1))
    M, h = M / 4, np.eye(n)[-1] / 4
    return Saddle(-M, H=2 * M.T @ M, c=-h, b=-np.full(n, 0.25))


def trajectory(solver, problem, count, row=FZ):
    state = solver.init(problem, None, {})
    found = [state.vectors[row].copy()]
    for _ in range(count):
        solver.advance(problem, state, 1)
        found.append(state.vectors[row].copy())
    return np.array(found)


# ---- rates ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "scheme, bound",
    [
        ("feg", lambda k: 4 / np.maximum(k, 1) ** 2.0),
        ("eag-c", lambda k: 260 / (k + 1) ** 2.0),
        ("eag-v", lambda k: 27 / ((k + 1) * (k + 2.0))),
    ],
)
@pytest.mark.parametrize("operator", ["bilinear", "ouyang-xu"])
def test_squared_norms_keep_the_proven_bounds(scheme, bound, operator):
    F = SADDLE if operator == "bilinear" else ouyang_xu(10)
    M = np.array([F(e) - F(0 * e) for e in np.eye(F.size)]).T
    norm = np.linalg.norm(M, 2)
    problem = MonotoneInclusion(F, np.zeros(F.size), lipschitz=norm)
    solution = -np.linalg.lstsq(M, F(problem.z0), rcond=1e-12)[0]
    solver = AnchoredExtragradient(scheme=scheme, restart="none", tol=1e-300)
    squares = (trajectory(solver, problem, 400) ** 2).sum(axis=1)
    k = np.arange(401)
    assert (squares[1:] <= (bound(k) * norm**2 * (solution @ solution))[1:] * (1 + 1e-9)).all()


def test_anchors_beat_plain_extragradient_where_it_is_hard():
    F = ouyang_xu()
    problem = MonotoneInclusion(F, np.zeros(F.size), lipschitz=F.lipschitz)
    norms = {
        scheme: np.linalg.norm(
            trajectory(
                AnchoredExtragradient(scheme=scheme, restart="none", tol=1e-300), problem, 2000
            ),
            axis=1,
        )
        for scheme in ("feg", "eg")
    }
    assert norms["feg"][-1] < 0.5 * norms["eg"][-1]
    assert norms["feg"][-1] < 0.3 * norms["feg"][400]  # about 1/5: the rate is 1/k


def test_first_iterates_by_hand():
    """FEG and constrained EAG against their formulas, with a known L."""
    problem = MonotoneInclusion(SADDLE, np.ones(16), lipschitz=L)
    box = problem.replace(project=Box(-1.0, 1.0))
    for scheme, case in (("feg", problem), ("eag", box)):
        solver = AnchoredExtragradient(scheme=scheme, restart="none", tol=1e-300)
        found = trajectory(solver, case, 6, Z)
        z, clip = np.ones(16), (lambda v: v) if case is problem else (lambda v: v.clip(-1, 1))
        for k in range(6):
            beta = 1 / (k + 1)
            u = beta * np.ones(16) + (1 - beta) * z
            a, b = ((1 - beta) / L, 1 / L) if scheme == "feg" else (0.5 / L, 0.5 / L)
            z = clip(u - b * SADDLE(clip(u - a * SADDLE(z))))
            np.testing.assert_allclose(found[k + 1], z, atol=1e-12)


# ---- solutions -----------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", SCHEMES)
@pytest.mark.parametrize("in_python", [False, True])
def test_unconstrained_saddle_points(scheme, in_python):
    damped = Saddle(A, H=np.eye(8), c=C, K=np.eye(8), b=B)
    F = (lambda z: damped(z)) if in_python else damped
    solver = AnchoredExtragradient(scheme=scheme, tol=1e-9, max_iter=20_000)
    result = solver.solve(MonotoneInclusion(F, np.zeros(16)))
    matrix = np.block([[np.eye(8), A.T], [-A, np.eye(8)]])
    np.testing.assert_allclose(result.x, np.linalg.solve(matrix, -np.r_[C, B]), atol=1e-6)


def test_bilinear_saddle_points():
    result = numopt.solve_vi(SADDLE, np.zeros(16), tol=1e-10)
    np.testing.assert_allclose(result.x, SOLUTION, atol=1e-6)


@pytest.mark.parametrize("scheme", ["auto", "eag", "forb"])
def test_games_as_variational_inequalities(scheme):
    R = np.random.default_rng(1).standard_normal((9, 7))
    both = SeparableSum([Simplex(), Simplex()], [7, 9])  # the minimiser is the column player
    problem = MonotoneInclusion(Saddle(R), np.r_[np.full(7, 1 / 7), np.full(9, 1 / 9)], both)
    result = AnchoredExtragradient(scheme=scheme, max_iter=100_000).solve(problem)
    exact_x, exact_y = solve_game_exactly(R)
    np.testing.assert_allclose(result.x, np.r_[exact_y, exact_x], atol=1e-5)
    assert MatrixGame(R).certificate(result.x[7:], result.x[:7])["gap"] <= 1e-6


def cournot(q, a=100.0, cost=(10.0, 12.0, 14.0)):
    """Marginal loss of firms that sell q_i at the price a - sum(q)."""
    return np.asarray(cost) - a + q.sum() + q


def test_cournot_equilibrium():
    result = numopt.solve_vi(cournot, np.zeros(3), project=Box(0.0, np.inf), tol=1e-9)
    total = (3 * 100 - 36) / 4
    np.testing.assert_allclose(result.x, 100 - np.array([10, 12, 14]) - total, atol=1e-6)


def test_penalised_saddle_points():
    """0 in F + subdifferential, checked coordinate by coordinate."""
    result = numopt.solve_vi(SADDLE, np.zeros(16), prox=L1(0.8), tol=1e-9)
    image = SADDLE(result.x)
    zero = np.abs(result.x) < 1e-9
    assert zero.any()
    assert (np.abs(image[zero]) <= 0.8 + 1e-6).all()
    np.testing.assert_allclose(image[~zero], -0.8 * np.sign(result.x[~zero]), atol=1e-6)


def test_resolvent_of_a_rotation():
    """G skew: (I + e G)^-1 by a linear solve."""
    G = np.array([[0.0, 2.0], [-2.0, 0.0]])

    def resolvent(v, step):
        return np.linalg.solve(np.eye(2) + step * G, v)

    F = Affine(np.diag([1.0, 2.0]), [1.0, -1.0])
    for method in ("eg", "eag", "forb"):
        result = numopt.solve_vi(F, [0.0, 0.0], resolvent=resolvent, method=method, tol=1e-9)
        expected = np.linalg.solve(np.diag([1.0, 2.0]) + G, [-1.0, 1.0])
        np.testing.assert_allclose(result.x, expected, atol=1e-7)


# ---- Lipschitz constants -------------------------------------------------------------------------


def test_given_lipschitz_constants_are_kept():
    problem = MonotoneInclusion(SADDLE, np.zeros(16), lipschitz=3 * L)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = AnchoredExtragradient(max_iter=50).solve(problem)
    assert result.lipschitz == 3 * L


def test_estimates_grow_where_the_operator_gets_steeper():
    def F(z):
        return z**3 - 8.0  # flat at the start, L = 12 at the solution

    result = numopt.solve_vi(F, [0.01, 0.01], tol=1e-8)
    np.testing.assert_allclose(result.x, 2.0, atol=1e-6)
    assert result.lipschitz > 2.0
    game = MonotoneInclusion(SADDLE, np.zeros(16))
    assert AnchoredExtragradient().solve(game).lipschitz <= 1.2 * L


def test_indefinite_operators_are_a_status():
    problem = MonotoneInclusion(Affine([[0.0, 1.0], [1.0, 0.0]]), [1.0, 1.0])
    for solver in (AnchoredExtragradient(), VarianceReducedHalpern()):
        with pytest.warns(numopt.ConvergenceWarning, match="F is not monotone"):
            assert solver.solve(problem).status == 6


def test_schemes_that_need_freedom():
    problem = MonotoneInclusion(SADDLE, np.zeros(16), Box(-1.0, 1.0))
    for scheme in ("feg", "eag-c", "eag-v"):
        with pytest.raises(ValueError, match=f"scheme '{scheme}' is for problems without"):
            AnchoredExtragradient(scheme=scheme).solve(problem)


# ---- certificates --------------------------------------------------------------------------------


def test_certificate_by_hand():
    problem = MonotoneInclusion(SADDLE, np.full(16, 2.0), Box(-1.0, 1.0))
    z = RNG.standard_normal(16)
    image = SADDLE(z)
    w = np.clip(z - image, -1, 1)
    first = np.linalg.norm(2.0 - np.clip(2.0 - SADDLE(np.full(16, 2.0)), -1, 1))
    certificate = problem.certificate(z)
    assert certificate["natural"] == pytest.approx(np.linalg.norm(z - w) / (1 + first))
    tangent = np.linalg.norm(SADDLE(w) - image + z - w) / (1 + first)
    assert certificate["tangent"] == pytest.approx(tangent)
    assert list(certificate.gates) == ["natural"]


def test_calls_are_counted_and_none_is_wasted():
    calls = []

    def F(z):
        calls.append(1)
        return SADDLE(z)

    result = numopt.solve_vi(F, np.zeros(16), project=lambda v: v.clip(-1, 1), method="eg")
    # The certificate's other residual is taken at one more point, its natural one at the last.
    assert result.nfev == len(calls)
    assert len(calls) <= 2 * result.nit + 6


# ---- finite sums ---------------------------------------------------------------------------------


def police(n):
    """The published game: burglars' houses of worth w_j, a policeman nearer or farther."""
    i = np.arange(n)
    w = np.abs(np.random.RandomState(1).randn(n))
    return (1 - np.exp(-0.8 * np.abs(i[:, None] - i))) * w


def test_published_experiment_in_small():
    """At equal passes: the stochastic single loop first, then EG, then the anchored method."""
    n = 100
    R = police(n)
    start = np.full(2 * n, 1 / n)
    both = SeparableSum([Simplex(), Simplex()], [n, n])
    problem = MonotoneInclusion(Saddle(R), start, both)
    passes = 500
    step = 5 / np.linalg.norm(R)
    single = VarianceReducedHalpern(
        variant="single", step=step, restart="none", tol=1e-12, max_iter=1500
    )
    theory = VarianceReducedHalpern(
        variant="single", step=step / 20, restart="none", tol=1e-12, max_iter=1500
    )
    gaps = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, solver in (
            ("single", single),
            ("theory", theory),
            ("eg", AnchoredExtragradient(scheme="eg", step=step, max_iter=passes // 2, tol=1e-12)),
            (
                "eag",
                AnchoredExtragradient(
                    scheme="eag", step=step, restart="none", max_iter=passes // 2, tol=1e-12
                ),
            ),
        ):
            result = solver.solve(problem)
            used = result.get("full_passes", result.nfev)
            assert used <= 1.1 * passes
            gaps[name] = float(result.certificate["natural"])
    assert gaps["single"] < gaps["eg"] < gaps["eag"] < gaps["theory"]


def mean_problem(**changes):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((60, 5))
    y = X @ rng.standard_normal(5) + 0.1 * rng.standard_normal(60)

    def partial(z, batch):
        return X[batch].T @ (X[batch] @ z - y[batch]) / len(batch)

    given = {"components": (60, partial), "cocoercive": True, **changes}
    exact = np.linalg.lstsq(X, y, rcond=None)[0]
    return MonotoneInclusion(None, np.zeros(5), **given), exact


@pytest.mark.parametrize("restart", ["adaptive", "none"])
def test_single_loop_on_least_squares(restart):
    problem, exact = mean_problem()
    solver = VarianceReducedHalpern(restart=restart, tol=2e-3 if restart == "none" else 1e-9)
    result = solver.solve(problem)
    assert result.success
    np.testing.assert_allclose(result.x, exact, atol=3e-2 if restart == "none" else 1e-6)
    assert result.full_passes > 1


@pytest.mark.parametrize("project", [None, Box(-0.5, 0.5)])
def test_double_loop_on_saddle_points(project):
    """Monotone, not cocoercive."""
    rng = np.random.default_rng(0)
    M = rng.standard_normal((4, 4)) + 3 * np.eye(4)
    c, b = rng.standard_normal((2, 4))
    F = Saddle(M, c=c, b=b)
    problem = MonotoneInclusion(F, np.zeros(8), project)
    result = VarianceReducedHalpern(tol=1e-6).solve(problem)
    assert result.success
    other = AnchoredExtragradient(tol=1e-10).solve(problem)
    np.testing.assert_allclose(result.x, other.x, atol=1e-4)


def test_double_loop_in_python_is_the_compiled_one():
    """The same seed draws the same components: iterates coincide."""
    problem = MonotoneInclusion(SADDLE, np.zeros(16), Box(-1.0, 1.0), lipschitz=L)
    matrix = np.array([SADDLE(e) - SADDLE(0 * e) for e in np.eye(16)]).T
    constant = SADDLE(np.zeros(16))

    def partial(z, batch):
        return constant + 16 * (matrix[:, batch] * z[batch]).mean(axis=1)

    python = MonotoneInclusion(
        SADDLE, np.zeros(16), lambda v: v.clip(-1, 1), components=(16, partial)
    )
    for variant in ("single", "double"):
        solver = VarianceReducedHalpern(
            variant=variant, step=0.05, max_iter=200, tol=1e-12, random_state=3
        )
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            one, two = solver.solve(problem), solver.solve(python)
        np.testing.assert_allclose(one.x, two.x, atol=1e-9)
        assert one.full_passes == two.full_passes


def test_seeds():
    problem, _ = mean_problem()
    runs = [VarianceReducedHalpern(random_state=seed).solve(problem).nit for seed in (0, 0, 1)]
    assert runs[0] == runs[1]
    assert VarianceReducedHalpern(random_state=None).solve(problem).success


def test_estimated_constant_is_of_the_right_size():
    problem, _ = mean_problem()
    solver = VarianceReducedHalpern()
    state = solver.init(problem, None, {})
    estimate = 0.25 / state.scalars[5]
    X = np.random.default_rng(0).standard_normal((60, 5))
    mean_square = sum((x @ x) * np.outer(x, x) for x in X) / 60
    exact = np.sqrt(np.linalg.eigvalsh(mean_square)[-1])
    assert 0.5 * exact <= estimate <= 5 * exact


def test_measured_points_are_evaluated_exactly():
    """The residual of the result is that of F, never of an estimate."""
    problem, _ = mean_problem()
    result = VarianceReducedHalpern(tol=1e-7).solve(problem)
    F = problem.components
    residual = np.linalg.norm(F(result.x)) / (1 + np.linalg.norm(F(problem.z0)))
    assert residual <= 1e-7
    assert residual == pytest.approx(result.certificate["natural"], rel=1e-9)


def test_one_component_is_deterministic_and_works():
    problem = MonotoneInclusion(
        None, np.zeros(16), Box(-1.0, 1.0), components=[lambda z: SADDLE(z)], lipschitz=L
    )
    result = VarianceReducedHalpern(tol=2e-2, random_state=0).solve(problem)
    assert result.success


def test_sums_are_needed():
    problem = MonotoneInclusion(lambda z: z, np.ones(2))
    with pytest.raises(ValueError, match="needs a finite sum: give components="):
        VarianceReducedHalpern().solve(problem)


@pytest.mark.parametrize(
    "method, solver",
    [
        ("auto", "AnchoredExtragradient"),
        ("eg", "AnchoredExtragradient(max_iter=100000, tol=1e-06, scheme='eg')"),
        ("halpern", "Halpern"),
        ("km", "KrasnoselskiiMann"),
    ],
)
def test_methods_of_the_front_door(method, solver):
    F = Affine(np.diag([1.0, 3.0]), [-1.0, 3.0])
    result = numopt.solve_vi(F, [0.0, 0.0], method=method, cocoercive=method != "auto")
    assert result.solver.startswith(solver)
    np.testing.assert_allclose(result.x, [1.0, -1.0], atol=1e-5)
    components = Components(2, lambda z, batch: F(z), lipschitz=3.0)
    result = numopt.solve_vi(None, [0.0, 0.0], components=components, cocoercive=True)
    assert result.solver.startswith("VarianceReducedHalpern")
    np.testing.assert_allclose(result.x, [1.0, -1.0], atol=1e-5)


def test_sets_that_run_in_python():
    R = np.random.default_rng(1).standard_normal((5, 4))
    both = Product([Simplex(), Simplex()], [4, 5])
    result = numopt.solve_vi(Saddle(R), np.full(9, 0.2), project=both, tol=1e-8)
    compiled = SeparableSum([Simplex(), Simplex()], [4, 5])
    same = numopt.solve_vi(Saddle(R), np.full(9, 0.2), project=compiled, tol=1e-8)
    assert result.nit == same.nit
    np.testing.assert_allclose(result.x, same.x, atol=1e-9)
    with pytest.raises(ValueError, match="project is Birkhoff, which has no projection"):
        numopt.solve_vi(lambda z: z, np.zeros(4), project=Birkhoff(2))
