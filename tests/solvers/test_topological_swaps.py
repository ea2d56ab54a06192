"""TOPO: fits against other libraries, swaps against the paper's plain method, KKT conditions."""

import numpy as np
import pytest
from sklearn.linear_model import Lasso, LogisticRegression, PoissonRegressor

import numopt
from numopt.problems import DagScore
from numopt.solvers import OrderInsertion, TopologicalSwaps
from numopt.solvers._parts.dag_nodes import fit_node, make_nodes
from tests.helpers import dags


def linear(seed, d=8, n=200):
    rng = np.random.default_rng(seed)
    X = dags.draw(rng, dags.random_dag(rng, d), n)
    return X - X.mean(0)


def binary(seed, d=5, n=400):
    rng = np.random.default_rng(seed)
    W, X = dags.random_dag(rng, d), np.zeros((n, d))
    order = np.argsort(np.linalg.matrix_power(np.eye(d) + (W != 0), d).sum(0))
    for j in order:
        X[:, j] = rng.random(n) < 1 / (1 + np.exp(-X @ W[:, j]))
    return X


def counts(seed, d=5, n=300):
    rng = np.random.default_rng(seed)
    W, X = 0.2 * dags.random_dag(rng, d), np.zeros((n, d))
    for j in np.argsort(np.linalg.matrix_power(np.eye(d) + (W != 0), d).sum(0)):
        X[:, j] = rng.poisson(np.exp(np.clip(X @ W[:, j], -3, 2)))
    return X


def plain_topo(X, order, small, large, n_large=1):
    """The method as described: candidates by walks, each swap priced by regressions."""
    n, d = X.shape
    order = list(order)

    def fit(order):
        W, values = np.zeros((d, d)), []
        for t, j in enumerate(order):
            if t:
                W[order[:t], j] = np.linalg.lstsq(X[:, order[:t]], X[:, j], rcond=None)[0]
            values.append(((X[:, j] - X @ W[:, j]) ** 2).sum() / (2 * n))
        return W, sum(values)

    W, total = fit(order)
    while True:
        walks = np.linalg.inv(np.eye(d) - np.abs(W)).T
        place = np.argsort(order)
        pairs = [(i, j) for i in range(d) for j in range(d) if place[j] < place[i]]
        ranked = sorted(walks[p] for p in pairs)
        for size in (small, large):
            if size == large and n_large == 0:
                return W, total
            bound = ranked[min(size, len(ranked)) - 1]
            priced = []
            for i, j in (p for p in pairs if walks[p] <= bound):
                a, b = place[j], place[i]
                other = order.copy()
                other[a], other[b] = other[b], other[a]
                value = fit(other)[1]
                if value < total - 1e-9 * total:
                    priced.append((value, a, b))
            n_large -= size == large
            if priced:
                break
        else:
            return W, total
        taken = np.zeros(d, bool)
        for _, a, b in sorted(priced):
            if not taken[a : b + 1].any():
                taken[a : b + 1] = True
                order[a], order[b] = order[b], order[a]
        W, total = fit(order)


@pytest.mark.parametrize("seed", range(4))
def test_never_above_the_plain_method(seed):
    X = linear(seed, d=10)
    start = np.random.default_rng(seed).permutation(10)
    _, total = plain_topo(X, start, 15, 28)
    problem = DagScore(X)
    swaps = numopt.solve(problem, TopologicalSwaps(small=15, large=28, n_large=1), x0=start)
    assert swaps.success
    # The gradients need not be scaled the same, so sets may differ: both end near each other.
    assert swaps.fun <= 1.1 * total
    full = numopt.solve(problem, OrderInsertion(restarts=5, random_state=0), x0=start)
    assert full.fun <= total * (1 + 1e-9)
    assert (np.diff(swaps.history["fun"]) <= 1e-12).all()


def test_all_pairs_make_a_swap_optimum():
    X = linear(1, d=8)
    solver = TopologicalSwaps(small=28, large=28, start="random", random_state=3)
    result = numopt.solve(DagScore(X), solver)
    for a in range(8):
        for b in range(a):
            other = result.order.copy()
            other[[a, b]] = other[[b, a]]
            assert dags.ls_of_order(X, other) >= result.fun * (1 - 1e-8)


def test_lasso_of_a_node():
    X = linear(2)
    problem = DagScore(X, alpha=0.1, required=[(0, 7)])
    order, w = np.arange(8), np.zeros(8)
    value = fit_node(make_nodes(problem), 6, order, 6, w)
    theirs = Lasso(0.1, tol=1e-12, max_iter=100_000, fit_intercept=False).fit(X[:, :6], X[:, 6])
    np.testing.assert_allclose(w[:6], theirs.coef_, atol=1e-8)
    residual = X[:, 6] - X[:, :6] @ theirs.coef_
    assert value == pytest.approx((residual**2).mean() / 2 + 0.1 * np.abs(theirs.coef_).sum())
    fit_node(make_nodes(problem), 7, order, 1, w := np.zeros(8))
    assert w[0] == pytest.approx((X[:, 0] @ X[:, 7]) / (X[:, 0] @ X[:, 0]))  # required: no penalty


def test_concave_penalty_of_a_node():
    X = linear(2)
    X /= X.std(0)
    problem = DagScore(X, alpha=0.1, mcp_gamma=3.0)
    w = np.zeros(8)
    value = fit_node(make_nodes(problem), 6, np.arange(8), 6, w)
    loss = numopt.losses.LeastSquares(X[:, 6])
    mcp = numopt.problems.Composite(loss, X[:, :6], numopt.penalties.MCP(0.1, gamma=3.0))
    assert value == pytest.approx(mcp.objective(w[:6]), rel=1e-10)
    assert mcp.certificate(w[:6]).kkt <= 1e-8
    W = np.zeros((8, 8))
    W[:, 6] = w
    assert problem.objective(W) == pytest.approx(value + 7 / 2, rel=1e-10)


def test_logistic_and_poisson_regression_of_a_node():
    order, w = np.arange(5), np.zeros(5)
    B, C = binary(0), counts(0)
    fit_node(make_nodes(DagScore(B, score="logistic")), 4, order, 4, w)
    theirs = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(B[:, :4], B[:, 4])
    np.testing.assert_allclose(w[:4], theirs.coef_[0], atol=1e-5)
    fit_node(make_nodes(DagScore(C, score="poisson")), 4, order, 4, w := np.zeros(5))
    theirs = PoissonRegressor(alpha=0, tol=1e-10, max_iter=10_000).fit(C[:, :4], C[:, 4])
    np.testing.assert_allclose(w[:4], theirs.coef_, atol=1e-4)


@pytest.mark.parametrize(
    "make, options",
    [
        (linear, {"alpha": 0.1}),
        (linear, {"alpha": 0.05, "forbidden": [(0, 1), (1, 0), (4, 5)], "roots": [2, 3]}),
        (linear, {"forbidden": [(0, 1), (1, 0)]}),
        (linear, {"alpha": 0.1, "mcp_gamma": 3.0, "required": [(3, 4)]}),
        (binary, {"score": "logistic", "alpha": 0.01}),
        (binary, {"score": "logistic"}),
        (counts, {"score": "poisson", "alpha": 0.02}),
        (counts, {"score": "poisson", "fit_intercept": False, "leaves": [0]}),
    ],
)
def test_ends_at_a_kkt_point(make, options):
    problem = DagScore(make(3), **options)
    result = numopt.solve(problem, "topo")
    assert result.success
    assert result.certificate.kkt <= 1e-8
    assert "stationary" in result.message
    worse = result.x.copy()
    worse[np.abs(worse) == np.abs(worse).max()] *= 1.01
    assert problem.certificate(worse).kkt > 1e-4
    for start in ([4, 3, 2, 1, 0], [1, 0, 3, 2, 4]):
        if problem.size == 5 and not options.get("leaves"):
            assert numopt.solve(problem, "topo", x0=np.array(start)).success


def test_strong_penalty_leaves_no_edge():
    X = linear(5)
    result = numopt.solve(DagScore(X, alpha=1e3), "topo")
    assert result.success
    assert not result.x.any()


def test_gradient_test_drops_candidates():
    X = linear(6)
    problem = DagScore(X, alpha=0.05)
    plain = numopt.solve(problem, "topo")
    tested = numopt.solve(problem, "topo", gradient_tol=1e-6)
    assert tested.success
    assert tested.fun <= 1.2 * plain.fun


def test_other_methods_graphs_improve():
    X = linear(7, d=12)
    problem = DagScore(X, alpha=0.05)
    rng = np.random.default_rng(0)
    W = dags.random_dag(rng, 12)
    result = numopt.solve(problem, "topo", x0=W)
    assert result.fun <= problem.objective(W)
