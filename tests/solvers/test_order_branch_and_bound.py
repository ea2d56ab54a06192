"""Branch and bound over orders: against dynamic programming, and its bounds when it is stopped."""

import itertools

import numpy as np
import pytest

import numopt
from numopt.core.engine import run
from numopt.core.jit import kernel
from numopt.problems import DagScore
from numopt.solvers import BOSS, OrderBranchAndBound
from numopt.solvers._parts.dag_parents import ask, enlarged, make_parents
from tests.helpers import dags


def drawn(seed, d=9, n=150, edges=1.5):
    rng = np.random.default_rng(seed)
    return dags.draw(rng, dags.random_dag(rng, d, edges), n)


@kernel
def asked(parents, j, sets, best, scores):
    for k in range(sets.size):
        row = ask(parents, j, sets[k])
        best[k], scores[k] = parents.best[row], parents.scores[row]


def test_best_parents_within_sets():
    X = drawn(0, d=6)
    problem = DagScore(X, score="bic", required=[(0, 3)], forbidden=[(1, 2)], max_parents=3)
    parents, Z = enlarged(make_parents(problem, 6), 1000), X - X.mean(0)
    sets = np.arange(64)
    best, scores = np.zeros(64, np.int64), np.zeros(64)
    for j in range(6):
        asked(parents, j, sets & ~(1 << j), best, scores)
        able = np.flatnonzero(problem.knowledge.allowed[:, j])
        local = {}
        for k in range(4):
            for chosen in itertools.combinations(able.tolist(), k):
                if j != 3 or 0 in chosen:
                    fit = np.log(dags.residual(Z, j, chosen) / dags.residual(Z, j, ()))
                    local[sum(1 << i for i in chosen)] = 75 * fit + np.log(150) / 2 * k
        for S in sets:
            least = min((v for P, v in local.items() if not P & ~S & ~(1 << j)), default=np.inf)
            if least == np.inf:
                assert scores[S] == np.inf
            else:
                assert scores[S] == pytest.approx(least, abs=1e-9)
                assert local[int(best[S])] == pytest.approx(least, abs=1e-9)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"required": [(4, 2)], "forbidden": [(0, 1), (1, 0)]},
        {"max_parents": 2, "tiers": [[0, 3], [5]], "ebic_gamma": 0.5},
    ],
)
@pytest.mark.parametrize("seed", range(3))
def test_same_as_dynamic_programming(seed, options):
    problem = DagScore(drawn(seed), score="bic", **options)
    exact = numopt.solve(problem, "exact")
    for size in (2, 4, 9):
        found = numopt.solve(problem, OrderBranchAndBound(pattern_size=size, random_state=0))
        assert found.success
        assert "globally" in found.message
        assert found.fun == pytest.approx(exact.fun, abs=1e-7)
        assert found.bound <= exact.fun + 1e-7


@pytest.mark.parametrize("seed", range(3))
def test_a_poor_start_is_left(seed):
    problem = DagScore(drawn(seed), score="bic", required=[(2, 5)])
    solver = OrderBranchAndBound(pattern_size=3, restarts=0)
    state = solver.init(problem, None, {})
    solver.advance(problem, state, 1)  # finds a good graph, which is forgotten
    state.W[:] = 0.0
    state.W[2, 5] = 0.1
    state.scalars[0] = problem.objective(state.W)
    done = 0
    while not done:
        done = solver.advance(problem, state, 1)[1]
    exact = numopt.solve(problem, "exact")
    assert state.scalars[0] == pytest.approx(exact.fun, abs=1e-7)
    assert problem.certificate(state.W, order=state.order, claim="bound", bound=exact.fun).met(1e-8)


def test_what_is_proven_when_stopped():
    problem = DagScore(drawn(5, d=12, edges=3), score="bic")
    best = numopt.solve(problem, "exact").fun
    gaps = []
    for limits in ({"max_iter": 1}, {"max_iter": 5}, {"max_memory": 1e3}, {"time_limit": 1e-9}):
        solver = OrderBranchAndBound(pattern_size=2, splits=2, restarts=0, **limits)
        found = run(solver, problem, warn=False)
        assert not found.success
        assert found.certificate.kind == "local"
        assert "globally" not in found.message
        assert found.bound <= best <= found.fun + 1e-9
        gap = (found.fun - found.bound) / max(1, abs(found.fun))
        assert found.certificate.gap == pytest.approx(gap)
        assert "moves" in found.certificate
        gaps.append(gap)
    assert gaps[1] <= gaps[0]
    with pytest.warns(UserWarning, match="max_memory is used up at sets of"):
        numopt.solve(problem, OrderBranchAndBound(pattern_size=2, max_memory=1e3))


def test_beyond_tables():
    X = drawn(6, d=24, n=500, edges=0.6)
    result = numopt.learn_dag(X, score="bic", method="exact", random_state=0)
    assert result.solver.startswith("OrderBranchAndBound")
    assert result.success
    assert "globally" in result.message
    assert result.fun <= numopt.solve(DagScore(X, score="bic"), BOSS(random_state=0)).fun + 1e-9


def test_what_it_does_not_take():
    X = drawn(0)
    with pytest.raises(TypeError, match="takes score 'bic', got 'ls'"):
        numopt.solve(DagScore(X), "branch-and-bound")
    wide = DagScore(np.random.default_rng(0).standard_normal((100, 63)), score="bic")
    with pytest.raises(ValueError, match="at most 62 nodes, got 63"):
        numopt.solve(wide, "branch-and-bound")
    for options, words in (({"max_memory": 0}, "max_memory"), ({"splits": 0}, "splits"),
                           ({"pattern_size": 0}, "pattern_size")):  # fmt: skip
        with pytest.raises(ValueError, match=words):
            OrderBranchAndBound(**options)
