"""Additive models: splines against SciPy's, fits and moves against plain regressions, recovery."""

import itertools

import numpy as np
import pytest
from scipy.interpolate import CubicSpline

import numopt
from numopt.core.engine import run
from numopt.problems import Composite, DagScore
from numopt.problems._dag_basis import edge_sizes, expanded_order, make_basis
from numopt.problems._dag_graph import hamming_distance
from numopt.solvers import OrderInsertion, TopologicalSwaps
from numopt.solvers._parts.dag_groups import fit_groups, make_groups
from tests.helpers import dags

FUNCTIONS = (np.sin, np.square, np.cos, np.tanh)


def nonlinear(seed, d=6, n=600, chance=0.5):
    """Columns that are sums of functions of their parents and of equal noise; the graph."""
    rng = np.random.default_rng(seed)
    A = np.triu(rng.random((d, d)) < chance, 1)
    X = 0.7 * rng.standard_normal((n, d))
    for j in range(d):
        for i in np.flatnonzero(A[:, j]):
            value = FUNCTIONS[rng.integers(4)](2 * X[:, i] / X[:, i].std())
            X[:, j] += 1.2 * value / value.std()
    order = rng.permutation(d)
    return X[:, order] + 3.0, A[np.ix_(order, order)]


def plain_value(problem, order):
    """Half the sum of residual variances, by least squares on the values of the functions."""
    X, q = problem.X - problem.X.mean(0), problem.splines
    Z, total = problem.basis.expand(problem.X), 0.0
    for t, j in enumerate(order):
        before = expanded_order(np.array(order[:t], dtype=int), q)
        total += dags.residual(np.column_stack([X[:, [j]], Z[:, before]]), 0, 1 + np.arange(t * q))
    return total / 2


def test_functions_are_natural_splines():
    X, _ = nonlinear(0)
    basis = make_basis(X, 4)
    Z = basis.expand(X)
    for i in range(6):
        mine = Z[:, 4 * i : 4 * i + 4]
        np.testing.assert_allclose(mine[:, 0], X[:, i] - X[:, i].mean(), atol=1e-12)
        np.testing.assert_allclose(mine.T @ mine / 600, np.eye(4) * X[:, i].var(), atol=1e-10)
        np.testing.assert_allclose(mine.mean(0), 0, atol=1e-12)
        knots = basis.knots[i] * basis.scale[i] + basis.centre[i]
        spline = CubicSpline(knots, np.random.default_rng(i).random(5), bc_type="natural")
        inside = (X[:, i] >= knots[0]) & (X[:, i] <= knots[-1])
        rows = np.column_stack([np.ones(inside.sum()), mine[inside]])
        value = spline(X[inside, i])
        found = np.linalg.lstsq(rows, value, rcond=None)[0]
        np.testing.assert_allclose(rows @ found, value, atol=1e-9)


def test_columns_with_few_values():
    X, _ = nonlinear(1)
    X[:, 2] = X[:, 2] > 3
    problem = DagScore(X, splines=4)
    assert not problem.basis.expand(X)[:, 9:12].any()
    result = numopt.solve(problem)
    assert result.success
    assert not result.x[9:12].any()
    X[:, 0] = 1.0
    with pytest.warns(UserWarning, match="columns 0 are constant"):
        result = numopt.solve(DagScore(X, splines=4))
    assert result.success
    assert not result.x[:4].any() and not result.x[:, 0].any()


@pytest.mark.parametrize("q", [1, 3])
def test_value_gradient_and_moves(q):
    X, _ = nonlinear(2)
    problem = DagScore(X, splines=q)
    order = np.random.default_rng(q).permutation(6)
    result = run(OrderInsertion(max_iter=0), problem, order, warn=False)
    own = plain_value(problem, order)
    assert result.fun == pytest.approx(own, rel=1e-10)
    prediction = problem.basis.expand(X) @ result.x
    residual = X - X.mean(0) - prediction
    assert (residual**2).mean(0).sum() / 2 == pytest.approx(own, rel=1e-10)
    # The best insertion or swap by trying them all.
    others = [np.insert(np.delete(order, a), b, order[a]) for a in range(6) for b in range(6)]
    for a, b in itertools.combinations(range(6), 2):
        other = order.copy()
        other[[a, b]] = other[[b, a]]
        others.append(other)
    best = own - min(plain_value(problem, other) for other in others)
    assert result.certificate.moves == pytest.approx(best / own, rel=1e-8)
    pairs = run(TopologicalSwaps(small=15, max_iter=1), problem, order, warn=False)
    assert pairs.fun == pytest.approx(plain_value(problem, pairs.order), rel=1e-10)
    assert pairs.fun < own


def test_one_function_is_the_linear_model():
    X, _ = nonlinear(3)
    for method, options in (("insertion", {}), ("topo", {}), ("topo", {"alpha": 0.1})):
        linear = numopt.solve(DagScore(X, **options), method)
        additive = numopt.solve(DagScore(X, splines=1, **options), method)
        np.testing.assert_array_equal(additive.order, linear.order)
        np.testing.assert_allclose(additive.x, linear.x, atol=1e-9)
        assert additive.certificate.kkt <= 1e-8
        assert dict(additive.certificate).keys() == dict(linear.certificate).keys()


@pytest.mark.parametrize("seed", range(3))
def test_best_of_all_orders(seed):
    problem = DagScore(nonlinear(seed, d=5)[0], splines=3)
    best = min(plain_value(problem, order) for order in itertools.permutations(range(5)))
    found = numopt.solve(problem, OrderInsertion(restarts=5, random_state=0))
    assert found.success
    assert "locally" in found.message
    assert found.fun == pytest.approx(best, rel=1e-10)
    swaps = numopt.solve(problem, "topo")
    assert swaps.success
    assert swaps.fun >= best * (1 - 1e-10)


@pytest.mark.parametrize("seed", [1, 3, 4])
def test_nonlinear_graphs_are_found(seed):
    X, A = nonlinear(seed, d=8, n=1000)
    for method in ("auto", "topo"):
        result = numopt.learn_dag(X, splines=6, method=method)
        assert result.success
        assert hamming_distance(result.adjacency, A) <= 2
    linear = numopt.learn_dag(X, diagnose=False)
    assert hamming_distance(linear.adjacency, A) >= 6
    np.testing.assert_allclose(result.W, edge_sizes(result.x))
    np.testing.assert_array_equal(result.adjacency > 0, result.W > 0.3)
    residual = X - X.mean(0) - result.problem.basis.expand(X) @ result.coefficients
    assert result.loss == pytest.approx((residual**2).mean(0).sum() / 2, rel=1e-10)


@pytest.mark.parametrize("gamma", [None, 4.0])
def test_penalised_fit_of_a_node(gamma):
    X, _ = nonlinear(5)
    X /= X.std(0)
    problem = DagScore(X, splines=3, alpha=0.1, mcp_gamma=gamma)
    w = np.zeros(18)
    value = fit_groups(make_groups(problem), 5, np.arange(6), 5, w)
    groups = np.arange(15) // 3
    ones = np.ones(5)
    penalty = numopt.penalties.GroupLasso(0.1, groups, weights=ones)
    if gamma is not None:
        penalty = numopt.penalties.GroupMCP(0.1, groups, gamma=gamma, weights=ones)
    loss = numopt.losses.LeastSquares(X[:, 5] - X[:, 5].mean())
    model = Composite(loss, problem.basis.expand(X)[:, :15], penalty)
    assert value == pytest.approx(model.objective(w[:15]), rel=1e-10)
    assert model.certificate(w[:15]).kkt <= 1e-8
    assert 0 < (edge_sizes(np.column_stack([w] * 6))[:5, 0] > 0).sum() < 5
    C = np.zeros((18, 6))
    C[:, 5] = w
    assert problem.objective(C) == pytest.approx(value + 5 / 2, rel=1e-10)


@pytest.mark.parametrize(
    "options",
    [
        {"alpha": 0.05},
        {"forbidden": [(0, 1), (1, 0)], "roots": [2]},
        {"alpha": 0.1, "mcp_gamma": 3.0, "required": [(3, 4)]},
    ],
)
def test_ends_at_a_kkt_point(options):
    problem = DagScore(nonlinear(6)[0], splines=3, **options)
    result = numopt.solve(problem)
    assert result.success
    assert "stationary" in result.message
    assert dict(result.verify(problem)) == dict(result.certificate)
    A = edge_sizes(result.x) != 0
    assert (A.sum(0) < 5).any()
    for i, j in options.get("forbidden", ()):
        assert not A[i, j]
    for i, j in options.get("required", ()):
        assert A[i, j]
    worse = result.x.copy()
    worse[np.abs(worse) == np.abs(worse).max()] *= 1.01
    assert problem.certificate(worse).kkt > 1e-4
    free = numopt.solve(problem, x0=A.astype(float))
    assert free.fun <= problem.objective(result.x) * (1 + 1e-9)


def test_functions_that_depend_on_others():
    X, _ = nonlinear(7)
    basis = make_basis(X, 3)
    X[:, 1] = basis.expand(X)[:, 2]  # a function of column 0
    with pytest.warns(UserWarning, match="functions of others"):
        result = numopt.solve(DagScore(X, splines=3))
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize(
    "method", ["notears", "golem", "dagma", "lingam", "boss", "branch-and-bound"]
)
def test_methods_of_linear_models_refuse(method):
    score = "bic" if method in ("boss", "branch-and-bound") else "ls"
    with pytest.raises(TypeError, match="splines"):
        numopt.solve(DagScore(nonlinear(0)[0], splines=3, score=score), method)


@pytest.mark.parametrize("score", ["bic", "ls"])
def test_exact_search_over_functions_is_the_best_of_all(score):
    X, _ = nonlinear(2, d=4, n=120)
    X[:, 1] = np.sign(X[:, 1])  # two values: one function of three
    problem = DagScore(X, splines=3, score=score, forbidden=[(0, 2)], max_parents=2)
    Z, Y, n = problem.basis.expand(X), X - X.mean(0), len(X)

    def node(j, parents):
        A = Z[:, [3 * i + k for i in parents for k in range(3)]]
        v = ((Y[:, j] - A @ np.linalg.lstsq(A, Y[:, j], rcond=None)[0]) ** 2).mean()
        if score == "ls":
            return v / 2
        functions = sum(1 if i == 1 else 3 for i in parents)
        return n / 2 * np.log(v / Y[:, j].var()) + np.log(n) / 2 * functions

    best = np.inf
    for order in itertools.permutations(range(4)):
        total = 0.0
        for t, j in enumerate(order):
            able = [i for i in order[:t] if (i, j) != (0, 2)]
            sets = [s for k in range(3) for s in itertools.combinations(able, k)]
            total += min(node(j, s) for s in sets)
        best = min(best, total)
    found = numopt.solve(problem, "exact")
    assert found.success
    assert "globally" in found.message
    assert found.fun == pytest.approx(best, rel=1e-8)
    assert not found.x[:3, 2].any()


def test_bic_counts_functions():
    X, A = nonlinear(1, d=5, n=800)
    result = numopt.learn_dag(X, score="bic", splines=4)
    assert result.success
    assert hamming_distance(result.adjacency, A) <= 2
    few = numopt.learn_dag(X, score="bic", splines=4, bic_weight=50.0)
    assert few.graph.number_of_edges() < result.graph.number_of_edges()
    assert result.verify(result.problem)


BAD = [
    ({"splines": 0}, ValueError, "splines must be >= 1"),
    ({"splines": 2.5}, TypeError, "splines must be an integer"),
    ({"splines": 3, "score": "poisson"}, ValueError, "splines go with score 'ls' or"),
    ({"splines": 3, "fit_intercept": False}, ValueError, "fit_intercept=True"),
    ({"splines": 3, "targets": np.zeros((600, 6), bool)}, ValueError, "targets"),
    ({"splines": 150}, ValueError, "600 rows fit 750 functions exactly"),
]


@pytest.mark.parametrize("fields, error, words", BAD, ids=[case[2][:20] for case in BAD])
def test_bad_input_is_named(fields, error, words):
    with pytest.raises(error, match=words):
        DagScore(nonlinear(0)[0], **fields)


def test_bad_coefficients_are_named():
    problem = DagScore(nonlinear(0)[0], splines=3)
    with pytest.raises(ValueError, match=r"shape \(18, 6\), got \(6, 6\)"):
        problem.objective(np.zeros((6, 6)))
    C = np.zeros((18, 6))
    C[7, 2] = 1.0
    with pytest.raises(ValueError, match=r"loop 1 at \(7, 2\)"):
        problem.objective(C)
    with pytest.raises(ValueError, match="data X, not only gram"):
        DagScore(gram=np.eye(3), n_samples=100, splines=2)
