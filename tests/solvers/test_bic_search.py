"""BIC over graphs: exact search against all orders, order search against exact search."""

import itertools
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import numopt
from numopt.problems import DagScore
from numopt.problems._dag_graph import cpdag
from numopt.solvers import BOSS, ExactOrder
from numopt.solvers._parts import dag_bic, dag_dp
from numopt.solvers._parts.dag_equivalence import best_deletion, extension
from tests.helpers import dags
from tests.helpers.processes import fresh

DATA = Path(__file__).parents[1] / "data" / "dags"


def table(name):
    X = pd.read_csv(DATA / name)
    if name.startswith("sachs"):
        X = np.log(np.maximum(X.iloc[:, :11], 0.001))
    return X


# Certified by dynamic programming elsewhere: value and number of edges.
KNOWN = {
    "wine_red.csv": (-4218.8860, 39),
    "airfoil.csv": (-1525.5019, 12),
    "sachs_continuous.csv.gz": (-21718.2749, 38),
}


def drawn(seed, d=5, n=60):
    rng = np.random.default_rng(seed)
    return dags.draw(rng, dags.random_dag(rng, d, 1.5), n)


@pytest.mark.parametrize("name", KNOWN)
def test_known_optima(name):
    value, edges = KNOWN[name]
    problem = DagScore(table(name), score="bic")
    exact = numopt.solve(problem, "exact")
    assert exact.success
    assert "globally" in exact.message
    assert exact.fun == pytest.approx(value, abs=1e-4)
    assert (exact.x != 0).sum() == edges
    for seed in range(3):
        start = np.random.default_rng(seed).permutation(problem.size)
        found = numopt.solve(problem, BOSS(restarts=0, random_state=seed), x0=start)
        assert found.success
        assert found.fun == pytest.approx(value, abs=1e-4)


def test_log_determinants():
    X = drawn(0)
    G = np.cov(X.T)
    out = np.empty(32)
    dag_dp.log_determinants(G, out)
    for S in range(32):
        nodes = [i for i in range(5) if S >> i & 1]
        expected = np.linalg.slogdet(G[np.ix_(nodes, nodes)])[1] if nodes else 0.0
        assert out[S] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("seed", range(3))
def test_exact_search_is_the_best_of_all(seed):
    X = drawn(seed)
    exact = numopt.solve(DagScore(X, score="bic"), "exact")
    assert exact.fun == pytest.approx(dags.best_bic(X), abs=1e-8)
    assert exact.fun == pytest.approx(dags.bic(X, exact.x != 0), abs=1e-8)
    equal = numopt.solve(DagScore(X), "exact")
    assert equal.success
    assert equal.fun == pytest.approx(dags.best_ls(X - X.mean(0)), rel=1e-10)


def test_exact_search_under_constraints():
    X = drawn(4)
    free = numopt.solve(DagScore(X, score="bic"), "exact")
    i, j = map(int, np.argwhere(free.x)[0])
    options = {"required": [(j, i)], "forbidden": [(0, 3), (3, 0)], "max_parents": 2}

    def allowed(parents, node):
        pair = {node, *parents} >= {0, 3} and node in (0, 3)
        return len(parents) <= 2 and not pair and (node != i or j in parents)

    problem = DagScore(X, score="bic", **options)
    result = numopt.solve(problem, "exact")
    assert result.success
    assert result.fun == pytest.approx(dags.best_bic(X, allowed), abs=1e-8)
    assert result.x[j, i] != 0
    found = numopt.solve(problem, "boss", random_state=0)
    assert found.success
    assert found.fun >= result.fun - 1e-8
    assert found.x[j, i] != 0
    assert (found.x != 0).sum(0).max() <= 2
    assert found.x[0, 3] == found.x[3, 0] == 0


@pytest.mark.parametrize("seed", range(3))
def test_order_search_reaches_the_optimum(seed):
    X = drawn(seed, d=8, n=200)
    problem = DagScore(X * np.logspace(-3, 3, 8), score="bic")
    exact, found = (numopt.solve(problem, name) for name in ("exact", "boss"))
    assert found.success
    assert "locally" in found.message
    assert found.fun == pytest.approx(exact.fun, abs=1e-7)
    np.testing.assert_array_equal(cpdag(found.x != 0), cpdag(exact.x != 0))


def test_units_do_not_matter():
    X = drawn(5, d=7)
    first = numopt.solve(DagScore(X, score="bic"), "exact")
    other = numopt.solve(DagScore(X * np.logspace(-8, 8, 7), score="bic"), "exact")
    assert other.fun == pytest.approx(first.fun, abs=1e-7)
    np.testing.assert_array_equal(other.x != 0, first.x != 0)


def test_local_scores_are_those_of_the_data():
    X = drawn(6, d=9, n=300)
    problem = DagScore(X, score="bic")
    local, A = dag_bic.make_local(problem, True), np.zeros((9, 9), bool)
    for seed in range(5):
        order = np.random.default_rng(seed).permutation(9)
        total = dag_bic.graph_of(local, order, A)
        assert total == pytest.approx(dags.bic(X, A), abs=1e-8)
        assert dag_bic.order_score(local, order) == pytest.approx(total, abs=1e-9)
        place = np.argsort(order)
        assert not (A & (place[:, None] >= place)).any()
        assert not dags.bic(X, np.triu(np.ones((9, 9)), 1)[np.ix_(place, place)] > 0) < total


def test_moves_change_the_score_by_what_they_say():
    X = drawn(7, d=10, n=150)
    problem = DagScore(X, score="bic", tiers=[[0, 1], [2]])
    local, A = dag_bic.make_local(problem, False), np.zeros((10, 10), bool)
    work, trial = np.zeros((3, 11)), np.zeros((2, 11), np.int64)
    sweep = np.arange(10)
    for seed in range(4):
        order = np.random.default_rng(seed).permutation(10)
        order = np.append(np.sort(order[np.isin(order, [0, 1, 2])]), order[order > 2])
        for x in range(10):
            before = dag_bic.order_score(local, order)
            done, _, _, after = dag_bic.settle(
                local, order, sweep, x, 0, before, np.inf, 1, work, trial
            )
            assert done == 1
            assert after <= before
            assert after == pytest.approx(dag_bic.order_score(local, order), abs=1e-8)
        before = dag_bic.graph_of(local, order, A)
        gain = dag_bic.tuck(local, order, A, trial[0]) + sum(
            dag_bic.window(local, order, first, 4, trial[0]) for first in range(7)
        )
        assert gain >= 0
        assert before - gain == pytest.approx(dag_bic.order_score(local, order), abs=1e-8)
        place = np.argsort(order)
        assert max(place[0], place[1]) < place[2]


def test_parents_that_became_useless_leave():
    # Forward selection takes the sum first; with both of its terms it explains nothing more.
    rng = np.random.default_rng(9)
    a, b = rng.standard_normal((2, 4000))
    both = a + b + 0.3 * rng.standard_normal(4000)
    X = np.column_stack([a, b, both, 2 * a + b + 0.1 * rng.standard_normal(4000)])
    local, A = dag_bic.make_local(DagScore(X, score="bic"), False), np.zeros((4, 4), bool)
    total = dag_bic.graph_of(local, np.array([2, 0, 1, 3]), A)
    assert A[:, 3].tolist() == [True, True, False, False]
    assert total == pytest.approx(dags.bic(X, A), abs=1e-8)


@pytest.mark.parametrize("seed", range(6))
def test_best_deletion_leads_to_the_best_graph_with_one_edge_less(seed):
    # Of a class, and of the classes that its members have without one of their edges.
    rng = np.random.default_rng(seed)
    X, A = drawn(3, d=5, n=200), np.triu(rng.random((5, 5)) < 0.8, 1)
    C, kept = cpdag(A), np.zeros(5, bool)
    gain, x, y = best_deletion(np.corrcoef(X.T), 100.0, np.log(200) / 2, C, kept)
    best = -np.inf
    for order in map(list, itertools.permutations(range(5))):
        B = np.zeros((5, 5), bool)
        B[np.ix_(order, order)] = np.triu((C | C.T)[np.ix_(order, order)])
        if (cpdag(B) == C).all():
            for i, j in np.argwhere(B):
                less = B.copy()
                less[i, j] = False
                best = max(best, dags.bic(X, B) - dags.bic(X, less))
    if best < 1e-9:
        assert x == -1
    else:
        assert gain == pytest.approx(best, abs=1e-8)
        apart = C[y] & C[:, y] & (C[x] | C[:, x]) & ~kept
        C[x, y] = C[y, x] = C[apart, y] = C[apart, x] = False
        member = extension(C)
        assert dags.bic(X, A) - dags.bic(X, member) == pytest.approx(best, abs=1e-8)


def test_certificate_knows_better_edges():
    X = drawn(8, d=6, n=400)
    problem = DagScore(X, score="bic")
    empty = problem.certificate(np.zeros((6, 6)), claim="moves")
    assert empty.fun == 0
    assert not empty.met(1e-8)


def test_too_many_nodes_for_exact_search():
    problem = DagScore(np.random.default_rng(0).standard_normal((60, 23)), score="bic")
    with pytest.raises(ValueError, match="at most max_nodes = 22 nodes, got 23"):
        ExactOrder().solve(problem)


def test_kernels_run_as_plain_python(tmp_path):
    script = """
        import json, warnings
        warnings.simplefilter("error")  # integers must not overflow
        import numpy as np, numopt
        from numopt.problems import DagScore
        from numopt.solvers import BOSS, ExactOrder, OrderBranchAndBound
        X = np.random.default_rng(0).standard_normal((60, 5)) @ np.tri(5)
        problem, funs = DagScore(X, score="bic"), []
        for solver in (
            ExactOrder(), BOSS(restarts=1, random_state=0),
            OrderBranchAndBound(restarts=0, pattern_size=3, splits=1, random_state=0),
        ):
            funs.append(numopt.solve(problem, solver).fun)
        for options in ({}, {"alpha": 0.1}, {"splines": 2}, {"splines": 2, "alpha": 0.1}):
            funs.append(numopt.solve(DagScore(X, **options)).fun)
        print(json.dumps(funs))
    """
    funs = fresh(script, NUMBA_DISABLE_JIT="1", NUMOPT_CACHE_DIR=str(tmp_path)).result
    X = np.random.default_rng(0).standard_normal((60, 5)) @ np.tri(5)
    assert funs[:3] == pytest.approx([numopt.solve(DagScore(X, score="bic"), "exact").fun] * 3)
    models = ({}, {"alpha": 0.1}, {"splines": 2}, {"splines": 2, "alpha": 0.1})
    assert funs[3:] == pytest.approx([numopt.solve(DagScore(X, **model)).fun for model in models])
