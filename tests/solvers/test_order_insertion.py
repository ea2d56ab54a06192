"""Orders by insertions and swaps: formulas against least squares, optima against all orders."""

import itertools

import numpy as np
import pytest

import numopt
from numopt.core.jit import kernel
from numopt.linalg import order_moves, order_search
from numopt.problems import DagScore
from tests.helpers import dags

NO_RESTARTS = {"restarts": 0}


def centred(rng, d=6, n=80):
    X = dags.draw(rng, dags.random_dag(rng, d), n)
    return X - X.mean(0)


def factors(X, order):
    d = X.shape[1]
    U, M = np.zeros((2, d, d))
    order_moves.factor(X.T @ X / len(X), np.array(order), U, M)
    return U, M


def inserted(order, b, a):
    order = list(order)
    order.insert(a, order.pop(b))
    return order


def swapped(order, a, b):
    order = list(order)
    order[a], order[b] = order[b], order[a]
    return order


@pytest.mark.parametrize("seed", range(3))
def test_all_moves_agree_with_regressions(seed):
    rng = np.random.default_rng(seed)
    X = centred(rng, 7)
    d, order = 7, rng.permutation(7)
    U, M = factors(X, order)
    base = dags.ls_of_order(X, order)
    assert (np.diag(U) ** 2).sum() / 2 == pytest.approx(base, rel=1e-12)
    gains, targets = np.zeros((3, d)), np.zeros((3, d), np.int64)
    order_moves.all_gains(U, M, order, np.zeros((d, d), bool), gains, targets)
    for p in range(d):
        kinds = (
            [inserted(order, p, a) for a in range(p)],
            [inserted(order, p, b) for b in range(p + 1, d)],
            [swapped(order, p, b) for b in range(p + 1, d)],
        )
        for kind, others in enumerate(kinds):
            best = min([dags.ls_of_order(X, other) - base for other in others] + [0.0])
            assert gains[kind, p] / 2 == pytest.approx(best, abs=1e-10)
    places = np.array(list(itertools.combinations(range(d), 2)))
    changes = np.zeros(len(places))
    order_moves.swap_gains(U, M, places, changes)
    expected = [dags.ls_of_order(X, swapped(order, a, b)) - base for a, b in places]
    np.testing.assert_allclose(changes / 2, expected, atol=1e-10)


def test_coefficients_are_regressions():
    rng = np.random.default_rng(1)
    X, order = centred(rng), rng.permutation(6)
    W = order_moves.coefficients(*factors(X, order), order)
    for t, j in enumerate(order):
        w = np.linalg.lstsq(X[:, order[:t]], X[:, j], rcond=None)[0]
        np.testing.assert_allclose(W[order[:t], j], w, atol=1e-11)
        assert not W[order[t:], j].any()


def test_factor_follows_many_moves():
    rng = np.random.default_rng(2)
    X = centred(rng, 30, 200)
    G, d = X.T @ X / 200, 30
    order = rng.permutation(d)
    U, M, T = np.zeros((3, d, d))
    order_moves.factor(G, order, U, M)
    gains, targets = np.zeros((3, d)), np.zeros((3, d), np.int64)
    before, total, moves = np.zeros((d, d), bool), (np.diag(U) ** 2).sum(), 0
    while True:
        _, count, total, left = order_moves.descend(
            U, M, T, order, before, np.zeros((2, d)), gains, targets, 1, 1e-9, total
        )
        moves += count
        if not count:
            break
        exact_U, exact_M = factors(X, order)
        np.testing.assert_allclose(U, exact_U, atol=1e-9)
        np.testing.assert_allclose(M, exact_M, atol=1e-8)
        assert total == pytest.approx((np.diag(exact_U) ** 2).sum(), rel=1e-9)
    assert moves > 30
    assert left <= 0


@pytest.mark.parametrize("seed", range(6))
def test_restarts_find_the_best_of_all_orders(seed):
    rng = np.random.default_rng(seed)
    X = centred(rng, 6, 40)
    result = numopt.solve(DagScore(X), "insertion", restarts=20, random_state=seed)
    assert result.success
    assert result.fun == pytest.approx(dags.best_ls(X), rel=1e-10)


@pytest.mark.parametrize("seed", range(3))
def test_standardised_columns_get_restarts_unasked(seed):
    X = dags.draw(np.random.default_rng(seed), dags.random_dag(np.random.default_rng(seed), 7), 60)
    X = (X - X.mean(0)) / X.std(0)
    found = numopt.solve(DagScore(X), "insertion")
    assert found.fun == pytest.approx(dags.best_ls(X), rel=1e-9)
    np.testing.assert_array_equal(found.order, numopt.solve(DagScore(X), "insertion").order)


def test_no_order_is_below_the_bound_and_restarts_end_near_it():
    rng = np.random.default_rng(4)
    X = dags.draw(rng, dags.random_dag(rng, 20), 2000)
    bound = 10 * np.linalg.det(np.cov(X.T, ddof=0)) ** (1 / 20)
    for start in (rng.permutation(20), None):
        found = numopt.solve(DagScore(X), "insertion", x0=start)
        assert bound <= found.fun < 1.01 * bound
    scaled = numopt.solve(DagScore(X / X.std(0)), "insertion")
    assert scaled.nit > found.nit > numopt.solve(DagScore(X), "insertion", restarts=0).nit
    large = DagScore(dags.draw(rng, dags.random_dag(rng, 55), 2000))
    found, single = (numopt.solve(large, "insertion", **options) for options in ({}, NO_RESTARTS))
    assert (found.fun, found.nit) == (single.fun, single.nit)


@pytest.mark.parametrize("required", [(), [(0, 9), (9, 4), (4, 2), (7, 1)]])
def test_solve_in_one_call_is_that_of_the_loop(required):
    rng = np.random.default_rng(3)
    X = dags.draw(rng, dags.random_dag(rng, 12), 60)
    problem = DagScore(X / X.std(0), required=required)
    at_once, seen = numopt.solve(problem, "insertion"), []
    steps = numopt.solve(problem, "insertion", callback=lambda r: seen.append(r.fun))
    assert steps.success
    assert (at_once.fun, at_once.nit) == (steps.fun, steps.nit)
    np.testing.assert_array_equal(at_once.order, steps.order)
    assert (np.diff(seen) <= 0).all()
    place = np.argsort(at_once.order)
    assert all(place[i] < place[j] for i, j in required)


def test_random_numbers_of_restarts_are_even():
    below, state = kernel(lambda state, m: order_search._below(state, m)), np.array([7])
    drawn = np.array([below(state, 5) for _ in range(5000)])
    assert np.abs(np.bincount(drawn, minlength=5) - 1000).max() < 120
    assert np.abs(np.corrcoef(drawn[1:], drawn[:-1])[0, 1]) < 0.05


def test_kicks_keep_to_what_is_known_and_reach_all_orders():
    kick = kernel(lambda order, before, n, state: order_search._kick(order, before, n, state))
    before = np.zeros((4, 4), bool)
    before[2, 0] = before[2, 1] = True
    order, state, met = np.array([3, 2, 1, 0]), np.array([1]), set()
    for _ in range(400):
        kick(order, before, 2, state)
        place = np.argsort(order)
        assert place[2] < min(place[0], place[1])
        met.add(tuple(order))
    assert len(met) == 8  # 24 orders, of which node 2 precedes 0 and 1 in a third


def test_score_never_rises_and_ends_where_no_move_helps():
    rng = np.random.default_rng(4)
    X = centred(rng, 25, 300)
    result = numopt.solve(DagScore(X), "insertion", start="random", random_state=0)
    assert (np.diff(result.history["fun"]) <= 1e-12).all()
    G, order, d = X.T @ X / 300, result.order, 25

    def score(order):
        return (np.diag(np.linalg.cholesky(G[np.ix_(order, order)])) ** 2).sum() / 2

    others = [inserted(order, a, b) for a in range(d) for b in range(d) if a != b]
    others += [swapped(order, a, b) for a, b in itertools.combinations(range(d), 2)]
    assert result.fun <= min(map(score, others)) + 1e-8 * result.fun


def test_equal_variances_are_recovered():
    rng = np.random.default_rng(5)
    W = dags.random_dag(rng, 20, 4)
    result = numopt.solve(DagScore(dags.draw(rng, W, 2000)))
    assert result.solver == "OrderInsertion()"
    np.testing.assert_array_equal(np.abs(result.x) > 0.3, W != 0)
    np.testing.assert_allclose(result.x, W, atol=0.25)


def test_columns_may_come_in_any_order_and_unit():
    rng = np.random.default_rng(6)
    X = dags.draw(rng, dags.random_dag(rng, 12), 500)
    first = numopt.solve(DagScore(X))
    turn = rng.permutation(12)
    turned = numopt.solve(DagScore(X[:, turn]))
    np.testing.assert_allclose(turned.x, first.x[np.ix_(turn, turn)], atol=1e-9)
    scaled = numopt.solve(DagScore(1e-8 * X))
    np.testing.assert_allclose(scaled.x, first.x, atol=1e-9)
    mixed = DagScore(X * np.logspace(-8, 8, 12))
    assert numopt.solve(mixed).success


def test_constraints_on_orders_are_kept():
    rng = np.random.default_rng(7)
    X = dags.draw(rng, dags.random_dag(rng, 9), 300)
    free = numopt.solve(DagScore(X)).order.tolist()
    required = [(free[-1], free[0]), (free[4], free[2])]
    problem = DagScore(X, required=required, tiers=[[free[5], free[6]], [free[3]]])
    assert problem.orders_alone
    result = numopt.solve(problem, restarts=3, random_state=1)
    place = np.argsort(result.order)
    assert place[free[-1]] < place[free[0]]
    assert place[free[4]] < place[free[2]]
    assert max(place[free[5]], place[free[6]]) < place[free[3]]
    assert result.success
    with_start = numopt.solve(problem, x0=np.array(free))
    assert problem.certificate(with_start.x).knowledge == 0


@pytest.mark.filterwarnings("ignore::numopt.ConvergenceWarning")
def test_start_from_weights_of_another_method_never_gets_worse():
    rng = np.random.default_rng(8)
    W = dags.random_dag(rng, 15)
    X = dags.draw(rng, W, 200)
    problem = DagScore(X)
    start = numopt.solve(problem, x0=W, max_iter=1).history["fun"][0]
    assert start <= problem.objective(W)
    assert numopt.solve(problem, x0=W).fun <= start
    cyclic = W + 0.01 * (W.T != 0)
    assert numopt.solve(problem, x0=cyclic).success


def test_what_it_does_not_take_is_said():
    problem = DagScore(np.random.default_rng(0).standard_normal((50, 4)), alpha=0.1)
    with pytest.raises(TypeError, match="use TopologicalSwaps"):
        numopt.solve(problem, "insertion")
