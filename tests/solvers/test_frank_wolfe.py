"""FrankWolfe: closed forms, other solvers' optima, bounds that hold, rates, identification."""

import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt import sets
from numopt.losses import (
    Huber,
    LeastAbsolute,
    LeastSquares,
    Logistic,
    Multinomial,
    Poisson,
    Quadratic,
)
from numopt.penalties import L1
from numopt.problems import SetConstrained, SmoothComposite
from numopt.solvers import FrankWolfe
from tests.helpers import naive

VARIANTS = ("corrective", "blended", "pairwise", "away", "vanilla")
LINEAR = VARIANTS[:-1]  # converge linearly over polytopes
variants = pytest.mark.parametrize("variant", VARIANTS)
N = 12


def bowl(seed=0, n=N, condition=30.0):
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return (Q * np.geomspace(1, condition, n)) @ Q.T, 2 * rng.standard_normal(n)


def distance_to(centre, block, **options):
    """The problem whose solution is the projection of a point."""
    return SmoothComposite(
        lambda x: 0.5 * (x - centre) @ (x - centre), block, lambda x: x - centre, convex=True
    )


def data(seed=0, n=60, p=40):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p))
    return A, A[:, :6] @ rng.standard_normal(6) + 0.1 * rng.standard_normal(n)


def quietly(solver, problem, x0=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return numopt.solve(problem, solver, x0=x0, **options)


PROJECTIONS = {
    "simplex": sets.Simplex(1.5),
    "l1": sets.L1Ball(2.0),
    "l2": sets.L2Ball(1.0),
    "box": sets.Box(-0.5, np.linspace(0, 1, N)),
    "permutahedron": sets.Permutahedron(np.arange(N) / 4),
    "group": sets.GroupBall(np.arange(N) // 3, 2.0),
    "k-sparse": sets.KSparse(3, 0.5),
    "ellipsoid": sets.Ellipsoid(bowl(3, condition=5.0)[0]),
    "nuclear": sets.NuclearBall(1.5, (3, 4)),
    "product": sets.Product((sets.Simplex(), sets.L2Ball(2.0)), (5, 7)),
}


@pytest.mark.parametrize("name", PROJECTIONS)
@pytest.mark.parametrize("variant", ["corrective", "pairwise"])
def test_nearest_points_are_projections(variant, name):
    _, centre = bowl(1)
    block = PROJECTIONS[name]
    problem = distance_to(centre, block)
    result = FrankWolfe(variant=variant, tol=1e-9).solve(problem, np.zeros(N))
    assert result.success and result.certificate.kind == "global"
    expected = block.project(centre)
    # |x - x*|^2 / 2 is at most the gap.
    bound = np.sqrt(2 * abs(result.certificate["fw_gap"]) * max(1.0, result.fun)) + 1e-9
    assert np.linalg.norm(result.x - expected) <= bound
    assert block.contains(result.x, 1e-12)


@variants
def test_linear_functions_take_one_oracle_call(variant):
    c = np.array([0.3, -2.0, 1.0, 0.5])
    problem = SmoothComposite(lambda x: c @ x, sets.Simplex(3.0), lambda x: c.copy(), convex=True)
    result = FrankWolfe(variant=variant).solve(problem, np.full(4, 0.75))
    assert result.x.tolist() == pytest.approx([0, 3, 0, 0], abs=1e-14)
    assert result.certificate["fw_gap"] == pytest.approx(0, abs=1e-14)
    assert result.nit <= 4


@variants
def test_constant_functions_are_solved_at_once(variant):
    problem = SmoothComposite(lambda x: 3.0, sets.L1Ball(), lambda x: 0 * x)
    result = FrankWolfe(variant=variant).solve(problem, np.ones(3) / 5)
    assert result.success and result.nit == 0
    assert result.x.tolist() == [0.2, 0.2, 0.2]


LOSSES = {
    "squares": lambda y: LeastSquares(y),
    "weighted": lambda y: LeastSquares(y, sample_weight=np.linspace(0.5, 2, y.size)),
    "logistic": lambda y: Logistic(np.sign(y)),
    "huber": lambda y: Huber(y, 0.5),
    "poisson": lambda y: Poisson(np.round(np.abs(y))),
}


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("block", [sets.L1Ball(3.0), sets.Simplex(2.0)], ids=["l1", "simplex"])
def test_losses_agree_with_projected_gradients(loss, block):
    A, y = data()
    made = LOSSES[loss](y)
    problem = SetConstrained(made, A, block)

    def fun(x):
        f, r = made.value_and_gradient(A @ x)
        return f, A.T @ r

    other = numopt.minimize(fun, np.zeros(40), jac=True, domain=block, tol=1e-9)
    for variant in LINEAR:
        result = FrankWolfe(variant=variant).solve(problem)
        assert result.success, variant
        assert abs(result.fun - other.fun) <= 2e-8 * max(1.0, abs(other.fun))
        assert result.certificate["fw_gap"] == problem.certificate(result.x)["fw_gap"]


def test_sparse_data_and_quadratics():
    A, y = data()
    A[np.random.default_rng(1).random(A.shape) < 0.7] = 0
    dense = FrankWolfe().solve(SetConstrained(LeastSquares(y), A, sets.L1Ball(3.0)))
    sparse = FrankWolfe().solve(SetConstrained(LeastSquares(y), sp.csr_array(A), sets.L1Ball(3.0)))
    np.testing.assert_allclose(sparse.x, dense.x, atol=1e-7)
    P, q = A.T @ A / y.size, -A.T @ y / y.size
    for matrix in (P, sp.csc_array(P)):
        quadratic = FrankWolfe().solve(SetConstrained(Quadratic(matrix, q), None, sets.L1Ball(3.0)))
        np.testing.assert_allclose(quadratic.x, dense.x, atol=1e-7)
        assert quadratic.fun == pytest.approx(dense.fun - y @ y / (2 * y.size), abs=1e-9)


@pytest.mark.parametrize("variant", LINEAR)
def test_polytopes_by_a_quadratic_program(variant):
    """Over a polyhedron, a hull and permutations, against the interior point method."""
    H, centre = bowl(2, 6)
    rng = np.random.default_rng(3)
    G, h = rng.standard_normal((5, 6)), np.ones(5)
    block = sets.Polyhedron(G, h, bounds=(-1, 1))
    problem = SetConstrained(Quadratic(H, -H @ centre), None, block)
    expected = numopt.quadprog(H, -H @ centre, G, np.full(5, -np.inf), h, lb=-1, ub=1)
    result = FrankWolfe(variant=variant).solve(problem)
    assert result.success and block.contains(result.x, 1e-8)
    assert result.fun == pytest.approx(expected.fun, abs=2e-8 * max(1, abs(expected.fun)))
    points = rng.standard_normal((9, 6))
    hull = FrankWolfe(variant=variant).solve(
        SetConstrained(Quadratic(H, -H @ centre), None, sets.Hull(points))
    )
    weights = numopt.quadprog(
        points @ H @ points.T, -points @ H @ centre, np.ones((1, 9)), [1.0], [1.0], lb=0
    )
    assert hull.fun == pytest.approx(weights.fun, abs=2e-8 * max(1, abs(weights.fun)))


def test_matrices_in_a_nuclear_ball():
    """Completion: against projected gradients, with a rank as low."""
    rng = np.random.default_rng(4)
    m, n = 12, 10
    truth = np.outer(rng.standard_normal(m), rng.standard_normal(n))
    seen = np.flatnonzero(rng.random(m * n) < 0.6)
    rows = sp.csr_array(
        (np.ones(seen.size), (np.arange(seen.size), seen)), shape=(seen.size, m * n)
    )
    y = truth.ravel()[seen] + 0.01 * rng.standard_normal(seen.size)
    block = sets.NuclearBall(0.7 * np.linalg.norm(truth, "nuc"), (m, n))
    problem = SetConstrained(LeastSquares(y), rows, block)
    result = FrankWolfe(tol=1e-7).solve(problem)
    x = np.zeros(m * n)
    for _ in range(3000):
        x = block.project(x - (rows.T @ (rows @ x - y)))
    assert result.success and result.fun == pytest.approx(problem.objective(x), abs=1e-7)
    s = np.linalg.svd(result.x.reshape(m, n), compute_uv=False)
    assert s.sum() <= block.radius * (1 + 1e-10)


# ---- certificates --------------------------------------------------------------------------------


@variants
def test_gap_and_lower_bound_hold_at_every_iterate(variant):
    A, y = data()
    problem = SetConstrained(Logistic(np.sign(y)), A, sets.L1Ball(4.0))
    best = FrankWolfe(tol=1e-12).solve(problem).fun
    seen = []

    def callback(shown):
        seen.append((shown.fun, float(shown.certificate["fw_gap"]) * max(1.0, abs(shown.fun))))
        expected = problem.certificate(shown.x)
        assert shown.certificate["fw_gap"] == pytest.approx(expected["fw_gap"], rel=1e-6, abs=1e-12)
        assert expected["outside"] <= 1e-14

    result = quietly(
        FrankWolfe(variant=variant, max_iter=60, tol=1e-11), problem, callback=callback
    )
    assert len(seen) > 3
    for fun, gap in seen:
        assert fun - best <= gap + 1e-12
    assert result.lower_bound <= best + 1e-12
    assert result.lower_bound >= max(f - gap for f, gap in seen) - 1e-12
    values = [fun for fun, _ in seen]
    assert np.all(np.diff(values) <= 1e-14)


def test_convexity_is_not_claimed_where_it_is_not_known():
    H, centre = bowl()
    plain = SmoothComposite(lambda x: (x - centre) @ H @ (x - centre), sets.Simplex(),
                            lambda x: 2 * H @ (x - centre))  # fmt: skip
    assert FrankWolfe().solve(plain, np.ones(N)).certificate.kind == "stationary"
    known = FrankWolfe().solve(plain.replace(convex=True), np.ones(N))
    assert known.certificate.kind == "global" and known.lower_bound <= known.fun
    saddle = SetConstrained(Quadratic(-np.eye(3)), None, sets.Simplex())
    result = FrankWolfe().solve(saddle, [0.2, 0.3, 0.5])
    assert result.success and result.certificate.kind == "stationary"
    assert "lower_bound" not in result and np.sort(result.x).tolist() == [0, 0, 1]


@pytest.mark.parametrize("variant", VARIANTS)
def test_nonconvex_functions(variant):
    def fun(x):
        return np.sum(np.cos(3 * x)) + x @ x / 2

    def jac(x):
        return -3 * np.sin(3 * x) + x

    problem = SmoothComposite(fun, sets.L1Ball(2.0), jac)
    result = quietly(FrankWolfe(variant=variant, tol=1e-6), problem, 0.1 * np.arange(1.0, 6))
    g = jac(result.x)
    gap = (g @ result.x + 2 * np.abs(g).max()) / max(1, abs(fun(result.x)))
    assert result.certificate["fw_gap"] == pytest.approx(gap, abs=1e-12)
    assert gap <= (1e-6 if variant != "vanilla" else 1e-2)


# ---- rates ---------------------------------------------------------------------------------------


def test_open_loop_keeps_its_bound():
    """f_k - f* <= 2 C / (k + 2), C <= L D^2 (Jaggi 2013), and is not monotone."""
    H, centre = bowl(5)
    problem = SetConstrained(Quadratic(H, -H @ centre), None, sets.Simplex())
    best = FrankWolfe(tol=1e-12).solve(problem).fun
    seen = []
    solver = FrankWolfe(variant="vanilla", step="open-loop", max_iter=400, tol=1e-12)
    quietly(solver, problem, callback=lambda shown: seen.append((shown.nit, shown.fun)))
    bound = 30.0 * 2.0
    for nit, fun in seen:
        assert fun - best <= 2 * bound / (nit + 2)


@pytest.mark.parametrize("variant", LINEAR)
@pytest.mark.parametrize("step", ["auto", "adaptive", "short"])
def test_linear_rates_over_polytopes(variant, step):
    A, y = data()
    problem = SetConstrained(LeastSquares(y), A, sets.L1Ball(3.0))
    counts = [
        FrankWolfe(variant=variant, step=step, tol=tol).solve(problem).nit for tol in (1e-4, 1e-8)
    ]
    assert counts[1] <= 3 * counts[0] + 40


def test_vanilla_zigzags():
    """What the other variants are for."""
    A, y = data(n=80, p=160)
    problem = SetConstrained(LeastSquares(y), A, sets.L1Ball(3.0))
    plain = quietly(FrankWolfe(variant="vanilla", max_iter=1000), problem)
    assert not plain.success and plain.status == 1
    assert FrankWolfe().solve(problem).nit <= 60


@pytest.mark.parametrize("variant", LINEAR)
def test_vertices_are_identified(variant):
    centre = np.array([5.0, 0.2, 0.1, 0.0])
    result = FrankWolfe(variant=variant).solve(distance_to(centre, sets.Simplex()), np.ones(4) / 4)
    assert result.x.tolist() == [1.0, 0.0, 0.0, 0.0]
    assert result.nit <= 12 and result.weights.size == 1


@pytest.mark.parametrize("variant", LINEAR)
def test_affine_invariance(variant):
    """The same values in coordinates x = B u, over the hull of transformed vertices."""
    H, centre = bowl(7, 5)
    rng = np.random.default_rng(8)
    points, B = rng.standard_normal((8, 5)), rng.standard_normal((5, 5))
    inverse = np.linalg.inv(B)
    # Few steps: after an exact one the slopes of two atoms are equal, and rounding chooses.
    solver = FrankWolfe(variant=variant, step="exact", max_iter=3, tol=1e-14)
    histories = []
    for P, q, V in (
        (H, -H @ centre, points),
        (B.T @ H @ B, -B.T @ H @ centre, points @ inverse.T),
    ):
        P = (P + P.T) / 2
        histories.append([])
        problem = SetConstrained(Quadratic(P, q), None, sets.Hull(V))
        # The start is a vertex in both.
        quietly(solver, problem, V[0], callback=lambda s: histories[-1].append(s.fun))
    np.testing.assert_allclose(*histories, rtol=1e-9)


@pytest.mark.parametrize("variant", ["blended", "pairwise", "corrective"])
def test_atoms_make_up_x(variant):
    A, y = data()
    for block in (sets.L1Ball(3.0), sets.LInfBall(0.2), sets.KSupport(3, 2.0)):
        problem = SetConstrained(LeastSquares(y), A, block)
        result = quietly(FrankWolfe(variant=variant, max_iter=300), problem, np.full(40, 0.01))
        V, w = result.atoms, result.weights
        assert w.min() > 0 and w.sum() == pytest.approx(1, abs=1e-12)
        np.testing.assert_allclose(V @ w, result.x, atol=1e-12)
        for vertex in (V.toarray() if sp.issparse(V) else V).T[1:]:
            assert block.contains(vertex)
        assert sp.issparse(V) == isinstance(block, (sets.L1Ball, sets.KSupport))


def test_warm_starts_take_up_the_atoms():
    A, y = data()
    problem = SetConstrained(Logistic(np.sign(y)), A, sets.L1Ball(4.0))
    first = FrankWolfe().solve(problem)
    changed = SetConstrained(Logistic(np.sign(y)), A + 1e-4, sets.L1Ball(4.0))
    warm, cold = FrankWolfe().solve(changed, warm_start=first), FrankWolfe().solve(changed)
    assert warm.fun == pytest.approx(cold.fun, abs=1e-8)
    assert warm.nlmo < cold.nlmo / 2
    other = SetConstrained(Logistic(np.sign(y)), A, sets.L1Ball(2.0))  # x is not in that
    assert FrankWolfe().solve(other, warm_start=first).success


def test_lazy_oracles_are_asked_less():
    H, centre = bowl(9, 25)
    problem = SetConstrained(Quadratic(H, -H @ centre), None, sets.Birkhoff(5))
    calls = {}
    for lazy in (True, False):
        result = FrankWolfe(variant="blended", lazy=lazy, tol=1e-6).solve(problem)
        assert result.success
        calls[lazy] = result.nlmo
    assert calls[True] < 0.6 * calls[False]
    assert quietly(FrankWolfe(variant="blended", tol=1e-6), problem).nlmo == calls[True]
    assert FrankWolfe().solve(problem).nlmo < calls[True]


def test_few_evaluations_of_python_functions():
    A, y = data()
    calls = {"fun": 0, "jac": 0}

    def fun(x):
        calls["fun"] += 1
        return 0.5 * np.sum((A @ x - y) ** 2) / y.size

    def jac(x):
        calls["jac"] += 1
        return A.T @ (A @ x - y) / y.size

    problem = SmoothComposite(fun, sets.L1Ball(3.0), jac)
    result = FrankWolfe().solve(problem, np.zeros(40))
    assert (result.nfev, result.njev) == (calls["fun"], calls["jac"])
    assert result.njev <= result.nit + 2 and result.nfev <= 1.5 * result.nit + 5
    expected = FrankWolfe().solve(SetConstrained(LeastSquares(y), A, sets.L1Ball(3.0)))
    assert result.fun == pytest.approx(expected.fun, abs=1e-8)


@pytest.mark.parametrize("variant", VARIANTS)
def test_functions_are_called_in_the_set_alone(variant):
    """A fractional power has no value at -1e-17."""

    def fun(x):
        assert x.min() >= 0
        return np.sum(x**2.5) - x[0]

    def jac(x):
        g = 2.5 * x**1.5
        g[0] -= 1
        return g

    problem = SmoothComposite(fun, sets.Simplex(), jac)
    result = quietly(FrankWolfe(variant=variant, max_iter=300, tol=1e-7), problem, np.ones(8) / 8)
    assert np.isfinite(result.fun)
    assert result.success or variant == "vanilla"


def test_starts():
    centre = bowl(10, 9)[1]
    problem = SmoothComposite(lambda x: (x - centre) @ (x - centre), sets.Birkhoff(3),
                              lambda x: 2 * (x - centre))  # fmt: skip
    starts = []
    for x0 in (np.full(9, 1 / 3), np.arange(9.0)):
        shown = quietly("frank-wolfe", problem, x0, max_iter=0)
        starts.append(shown.x)
    assert starts[0].tolist() == [1 / 3] * 9  # inside
    assert sorted(starts[1]) == [0] * 6 + [1] * 3  # outside: a vertex
    with pytest.raises(ValueError, match="x0 is needed"):
        numopt.solve(SmoothComposite(lambda x: x @ x, sets.Simplex(), lambda x: 2 * x), "bpcg")


def test_outside_the_domain_of_f():
    problem = SmoothComposite(
        lambda x: -np.sum(np.log(x)) if x.min() > 0 else np.inf, sets.Simplex(),
        lambda x: -1 / x, convex=True,
    )  # fmt: skip
    for variant in LINEAR:
        result = FrankWolfe(variant=variant, tol=1e-6).solve(problem, np.arange(1.0, 6) / 15)
        np.testing.assert_allclose(result.x, 0.2, atol=1e-3)
    result = quietly("frank-wolfe", problem, [1.0, 0.0, 0.0])
    assert result.status == 4 and not result.success


# ---- the front door ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "variant"),
    [("frank-wolfe", "corrective"), ("corrective-fw", "corrective"), ("bpcg", "blended"),
     ("pairwise-fw", "pairwise"), ("away-fw", "away")],
)  # fmt: skip
def test_names_of_variants(name, variant):
    problem = SetConstrained(LeastSquares([3.0, 1.0]), np.eye(2), sets.L1Ball(3.0))
    result = numopt.solve(problem, name)
    assert result.solver == repr(FrankWolfe(variant=variant))
    np.testing.assert_allclose(result.x, [2.5, 0.5], atol=1e-6)
    same = numopt.minimize(
        lambda x: (x[0] - 3) ** 2 + (x[1] - 1) ** 2, [0, 0],
        jac=lambda x: np.array([2 * x[0] - 6, 2 * x[1] - 2]), domain=sets.L1Ball(3.0), method=name,
    )  # fmt: skip
    assert same.solver == result.solver
    np.testing.assert_allclose(same.x, [2.5, 0.5], atol=1e-4)
    assert numopt.solve(problem, name, variant="away").solver == "FrankWolfe(variant='away')"


def test_minimize_over_sets_without_projection():
    cost = np.random.default_rng(11).standard_normal(16)
    result = numopt.minimize(
        lambda x: cost @ x + 0.01 * x @ x, np.full(16, 0.25), jac=lambda x: cost + 0.02 * x,
        domain=sets.Birkhoff(4),
    )  # fmt: skip
    assert result.solver == "FrankWolfe()" and result.success
    rows, columns = scipy.optimize.linear_sum_assignment(cost.reshape(4, 4))
    assert np.argmax(result.x.reshape(4, 4), axis=1).tolist() == columns.tolist()
    differences = numopt.minimize(
        lambda x: cost @ x, np.full(16, 0.25), jac="2-point", domain=sets.Birkhoff(4)
    )
    assert differences.fun == pytest.approx(cost.reshape(4, 4)[rows, columns].sum())


@pytest.mark.parametrize(
    ("make", "error", "parts"),
    [
        (lambda: FrankWolfe(variant="best"), ValueError, ["variant", "'blended'", "'best'"]),
        (lambda: FrankWolfe(step="long"), ValueError, ["step", "'adaptive'", "'long'"]),
        (lambda: FrankWolfe(step="open-loop"), ValueError, ["'open-loop'", "'vanilla'"]),
        (lambda: FrankWolfe(lipschitz=-1.0), ValueError, ["lipschitz", "> 0"]),
        (lambda: FrankWolfe(lazy="yes"), TypeError, ["lazy", "'yes'"]),
        (lambda: SetConstrained(LeastSquares([1.0]), np.ones((1, 2)), L1(1.0)), TypeError,
         ["domain", "L1"]),
        (lambda: SetConstrained(LeastSquares([1.0]), np.ones((2, 2)), sets.Simplex()), ValueError,
         ["A has 2 rows", "1 entries"]),
        (lambda: SetConstrained(LeastSquares([1.0]), np.ones((1, 2)), sets.Birkhoff(3)), ValueError,
         ["2 columns", "Birkhoff", "9"]),
        (lambda: SetConstrained(LeastSquares([1.0]), np.ones((1, 2)), sets.Box(0.0, np.inf)),
         ValueError, ["Box is unbounded"]),
        (lambda: SetConstrained(LeastAbsolute([1.0]), np.ones((1, 2)), sets.Simplex()), TypeError,
         ["not smooth", "Huber"]),
        (lambda: SetConstrained(Multinomial([0, 1, 2]), np.ones((3, 2)), sets.Simplex()),
         ValueError, ["3 outputs", "SmoothComposite"]),
        (lambda: SetConstrained(L1(1.0), np.ones((1, 2)), sets.Simplex()), TypeError,
         ["loss", "L1"]),
        (lambda: numopt.minimize(lambda x: x @ x, [1.0], jac=lambda x: 2 * x, method="bpcg"),
         TypeError, ["over a set", "prox-grad"]),
        (lambda: numopt.minimize(lambda x: x @ x, [1.0], jac=lambda x: 2 * x, method="bpcg",
                                 domain=sets.Box(0.0, np.inf)), ValueError, ["unbounded"]),
        (lambda: numopt.minimize(lambda x: x @ x, [1.0, 1.0], jac=lambda x: 2 * x,
                                 method="away-fw", domain=sets.Simplex(),
                                 options={"step": "short"}), ValueError, ["lipschitz"]),
        (lambda: numopt.minimize(lambda x: x @ x, [1.0, 1.0], jac=lambda x: 2 * x,
                                 method="away-fw", domain=sets.Simplex(),
                                 options={"step": "exact"}), ValueError, ["SetConstrained"]),
    ],
)  # fmt: skip
def test_wrong_arguments_are_named(make, error, parts):
    with pytest.raises(error) as caught:
        make()
    for part in parts:
        assert part in str(caught.value)


def test_naive_simplex_projection_and_logistic_gap_agree():
    _, centre = bowl(12)
    result = FrankWolfe().solve(distance_to(centre, sets.Simplex()), np.ones(N) / N)
    np.testing.assert_allclose(result.x, naive.project_simplex(centre), atol=1e-4)
