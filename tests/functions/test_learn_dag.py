"""The front door: results, constraints, diagnostics, and graphs against networkx."""

import pickle

import networkx as nx
import numpy as np
import pandas as pd
import pytest

import numopt
from numopt.functions import _dag_report as report
from numopt.problems import DagScore
from numopt.problems._dag_graph import a_cycle, closure, cpdag, hamming_distance, topological_order
from numopt.solvers._parts.dag_equivalence import extension
from tests.helpers import dags


def drawn(seed=0, d=8, n=400):
    rng = np.random.default_rng(seed)
    W = dags.random_dag(rng, d)
    return dags.draw(rng, W, n), W


def test_result_has_what_it_promises():
    X, W = drawn()
    names = list("abcdefgh")
    result = numopt.learn_dag(pd.DataFrame(X, columns=names), diagnose=False)
    assert result.success
    np.testing.assert_array_equal(result.W, result.x)
    assert result.score == result.fun
    assert result.kkt <= 1e-8
    np.testing.assert_array_equal(result.adjacency != 0, np.abs(result.W) > 0.3)
    centred = X - X.mean(0)
    residuals = sum(
        dags.residual(centred, j, np.flatnonzero(result.adjacency[:, j])) for j in range(8)
    )
    assert result.loss == pytest.approx(residuals / 2)
    assert nx.is_directed_acyclic_graph(result.graph)
    assert set(result.graph.nodes) == set(names)
    for i, j in np.argwhere(W):
        weight = result.graph.edges[names[i], names[j]]["weight"]
        assert weight == pytest.approx(result.adjacency[i, j])
    assert hamming_distance(result.adjacency, W) == 0
    assert dict(result.verify(result.problem)) == dict(result.certificate)
    copy = pickle.loads(pickle.dumps(result))
    assert list(copy.graph.edges) == list(result.graph.edges)


@pytest.mark.parametrize(
    "score, method, solver",
    [("ls", "auto", "OrderInsertion"), ("ls", "topo", "TopologicalSwaps"),
     ("ls", "exact", "ExactOrder"), ("bic", "auto", "ExactOrder"), ("bic", "boss", "BOSS")],
)  # fmt: skip
def test_methods(score, method, solver):
    X, _ = drawn(1)
    result = numopt.learn_dag(X, score=score, method=method, random_state=0, diagnose=False)
    assert result.solver.startswith(solver)
    assert result.success
    again = numopt.learn_dag(X, score=score, method=method, random_state=0, diagnose=False)
    assert again.x.tobytes() == result.x.tobytes()
    gram = np.cov(X.T, bias=True)
    other = numopt.learn_dag(
        gram=gram, n_samples=len(X), score=score, method=method, random_state=0, diagnose=False
    )
    assert other.fun == pytest.approx(result.fun, rel=1e-9)
    np.testing.assert_array_equal(other.cpdag, result.cpdag)


def test_standardising_is_noticed():
    rng = np.random.default_rng(2)
    X = dags.draw(rng, dags.random_dag(rng, 15, 3), 1000)
    with pytest.warns(UserWarning, match="standardised data give another graph"):
        result = numopt.learn_dag(X)
    assert result.diagnostics["changed_by_standardising"] > 0
    assert result.diagnostics["variance_rank_correlation"] > 0.5
    numopt.learn_dag(X, score="bic")  # says nothing


def test_few_rows_are_noticed():
    X = np.random.default_rng(0).standard_normal((60, 10))
    with pytest.warns(UserWarning) as record:
        numopt.learn_dag(X)
    assert any("10 columns and 60 rows" in str(warning.message) for warning in record)


def test_constraints_hold_in_every_method():
    X, W = drawn(3)
    i, j = map(int, np.argwhere(W)[0])
    options = {"required": [(j, i)], "forbidden": [(int(k), 2) for k in (0, 1) if k != j]}
    for score, method in (("ls", "topo"), ("bic", "exact"), ("bic", "boss")):
        result = numopt.learn_dag(X, score=score, method=method, diagnose=False, **options)
        assert result.success
        assert result.certificate.knowledge == 0
        assert result.adjacency[j, i] != 0
        for a, b in options["forbidden"]:
            assert result.x[a, b] == 0
        assert result.cpdag[j, i] and not result.cpdag[i, j]  # known edges keep their direction


def test_limited_parents_by_least_squares():
    X, _ = drawn(3)
    result = numopt.learn_dag(X[:12], max_parents=2, threshold=0.0)
    assert result.success
    assert result.solver.startswith("ExactOrder")
    assert (result.x != 0).sum(0).max() <= 2
    pairs = numopt.learn_dag(X[:12], max_parents=1, threshold=0.0)
    assert result.fun < pairs.fun


def test_constant_and_dependent_columns():
    X, _ = drawn(4)
    X[:, 2] = 3.0
    with pytest.warns(UserWarning, match="columns 2 are constant"):
        result = numopt.learn_dag(X, diagnose=False)
    assert not result.x[2].any() and not result.x[:, 2].any()
    assert result.diagnostics["constant_columns"] == [2]
    X[:, 3] = 0.0
    with pytest.warns(UserWarning, match="columns 2, 3 are constant"):
        two = numopt.learn_dag(X, score="bic", required=[(2, 3), (0, 1)])
    assert two.success
    X, _ = drawn(4)
    X[:, 2] = X[:, 0] - 2 * X[:, 1]
    with pytest.warns(UserWarning, match="linear combinations of others"):
        result = numopt.learn_dag(X, score="bic")
    assert np.isfinite(result.x).all()
    assert result.success


def test_one_and_two_columns_and_more_columns_than_rows():
    rng = np.random.default_rng(5)
    assert numopt.learn_dag(rng.standard_normal((20, 1)), diagnose=False).x.shape == (1, 1)
    for score in ("ls", "bic"):
        a = rng.standard_normal(100)
        X = np.column_stack([a, 2 * a + rng.standard_normal(100)])
        result = numopt.learn_dag(X, score=score, diagnose=False)
        assert (result.adjacency != 0).sum() == 1
    wide = rng.standard_normal((10, 15))
    with pytest.warns(UserWarning, match="linear combinations"):
        result = numopt.learn_dag(wide, score="bic", max_parents=3, method="boss")
    assert (result.x != 0).sum(0).max() <= 3


# ---- graphs --------------------------------------------------------------------------------------


def equivalent_dags(A):
    """All DAGs of the skeleton of A with its v-structures."""
    d = len(A)
    edges = np.argwhere(np.triu(A | A.T))

    def structure(B):
        return {
            (i, j, k)
            for j in range(d)
            for i in np.flatnonzero(B[:, j])
            for k in np.flatnonzero(B[:, j])
            if i < k and not (B[i, k] or B[k, i])
        }

    wanted, out = structure(A), []
    for bits in range(2 ** len(edges)):
        B = np.zeros((d, d), bool)
        for e, (i, j) in enumerate(edges):
            B[(i, j) if bits >> e & 1 else (j, i)] = True
        if topological_order(B) is not None and structure(B) == wanted:
            out.append(B)
    return out


@pytest.mark.parametrize("seed", range(12))
def test_cpdag_is_what_equivalent_graphs_share(seed):
    rng = np.random.default_rng(seed)
    A = dags.random_dag(rng, 5, 1.6) != 0
    members = equivalent_dags(A)
    np.testing.assert_array_equal(cpdag(A), np.any(members, axis=0))
    for member in members:
        np.testing.assert_array_equal(cpdag(member), cpdag(A))
    found = extension(cpdag(A))
    assert any(np.array_equal(found, member) for member in members)
    known = np.zeros_like(A)
    known[tuple(np.argwhere(A)[0])] = True
    inside = [m for m in members if (m & known).any()]
    np.testing.assert_array_equal(cpdag(A, known), np.any(inside, axis=0))


@pytest.mark.parametrize("seed", range(5))
def test_graph_helpers(seed):
    rng = np.random.default_rng(seed)
    A = rng.random((9, 9)) < 0.18
    np.fill_diagonal(A, False)
    graph = nx.DiGraph(A.astype(int))
    order = topological_order(A)
    assert (order is not None) == nx.is_directed_acyclic_graph(graph)
    if order is None:
        cycle = a_cycle(A)
        assert all(A[i, j] for i, j in zip(cycle, cycle[1:] + cycle[:1], strict=True))
    else:
        reach = nx.to_numpy_array(nx.transitive_closure_dag(graph)) > 0
        np.testing.assert_array_equal(closure(A, order), reach)


def test_varsortability():
    W = np.diag(np.ones(3), 1)
    assert report.varsortability(W, [1, 2, 3, 4]) == 1.0
    assert report.varsortability(W, [4, 3, 2, 1]) == 0.0
    assert report.varsortability(W, [1, 1, 1, 1]) == 0.5


@pytest.mark.parametrize("values", [[3.0, 1.0, 4.0, 1.5, 9.0], [1.0, 2.0, 1.0, 1.0, 2.0]])
def test_rank_correlation(values):
    from scipy.stats import spearmanr

    order = np.random.default_rng(0).permutation(5)
    found = report.rank_correlation(order, np.array(values))
    assert found == pytest.approx(spearmanr(np.argsort(order), values).statistic)
    assert report.rank_correlation(order, np.ones(5)) == 0.0


def test_confidence_intervals_are_those_of_regression():
    X, W = drawn(6, n=100)
    problem = DagScore(X)
    low, high = report.confidence_intervals(problem, W != 0, 0.9)
    j = int((W != 0).sum(0).argmax())
    parents = np.flatnonzero(W[:, j])
    Z = np.column_stack([np.ones(100), X[:, parents]])
    w, rss = np.linalg.lstsq(Z, X[:, j], rcond=None)[:2]
    free = 100 - Z.shape[1]
    error = np.sqrt(rss[0] / free * np.diag(np.linalg.inv(Z.T @ Z)))[1:]
    from scipy.stats import t

    np.testing.assert_allclose(low[parents, j], w[1:] - t.ppf(0.95, free) * error, rtol=1e-8)
    np.testing.assert_allclose(high[parents, j], w[1:] + t.ppf(0.95, free) * error, rtol=1e-8)


def test_weights_that_are_large_by_chance_leave_the_graph():
    rng = np.random.default_rng(1)
    truth = dags.random_dag(rng, 50, 4)
    X = dags.draw(rng, truth, 1000)
    result = numopt.learn_dag(X, diagnose=False)
    first = np.abs(result.W) > 0.3  # with all predecessors as parents
    assert (first & (truth == 0)).any()
    np.testing.assert_array_equal(result.adjacency != 0, truth != 0)
    assert np.abs(result.adjacency[truth != 0]).min() > 0.3
    np.testing.assert_allclose(result.adjacency, report.refit(result.problem, truth != 0))


def test_path_of_thresholds():
    W = np.array([[0, 0.5, 0.1], [0.05, 0, 0.8], [0, 0, 0]])
    path = report.path_of_thresholds(W, [0.0, 0.07, 0.6])
    assert [(p["edges"], p["acyclic"]) for p in path] == [(4, False), (3, True), (1, True)]
