"""NOTEARS, DAGMA, GOLEM and DirectLiNGAM: gradients, recovery, constraints, KKT points."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize

import numopt
from numopt.problems import DagScore
from numopt.problems._dag_graph import hamming_distance
from numopt.solvers import DAGMA, GOLEM, NOTEARS, DirectLiNGAM
from numopt.solvers._parts import dag_relaxations
from numopt.solvers.notears import _acyclicity
from tests.helpers import dags

QUICK = [NOTEARS(), DAGMA(rate=3e-3, steps=3000), GOLEM(rate=1e-2, steps=1500)]
by_name = {"argvalues": QUICK, "ids": lambda solver: solver.name}


def drawn(seed=0, d=6, n=1000):
    rng = np.random.default_rng(seed)
    W = dags.random_dag(rng, d, 1.5)
    return dags.draw(rng, W, n), W


def test_exponential_and_acyclicity():
    rng = np.random.default_rng(0)
    for scale in (0.0, 1e-3, 1.0, 30.0):
        A = scale * rng.random((5, 5))
        np.testing.assert_allclose(dag_relaxations.exponential(A), scipy.linalg.expm(A), rtol=1e-9)
    assert np.isinf(dag_relaxations.exponential(np.full((2, 2), 1e3))).all()
    W = rng.standard_normal((5, 5))
    numeric = scipy.optimize.approx_fprime(
        W.ravel(), lambda v: _acyclicity(v.reshape(5, 5))[0], 1e-7
    )
    np.testing.assert_allclose(_acyclicity(W)[1].ravel(), numeric, rtol=1e-3, atol=1e-3)
    assert _acyclicity(np.triu(W, 1))[0] == pytest.approx(0, abs=1e-10)


@pytest.mark.parametrize("solver", **by_name)
def test_equal_variances_are_nearly_recovered(solver):
    X, W = drawn()
    problem = DagScore(X)
    result = numopt.solve(problem, solver)
    assert result.success
    assert "stationary" in result.message
    assert result.certificate.kkt <= 1e-8
    assert hamming_distance(result.thresholded, W) <= 3  # local minima turn some edges
    assert numopt.solve(problem).fun <= result.fun * (1 + 1e-9)
    again = numopt.solve(problem, solver)
    assert again.x.tobytes() == result.x.tobytes()


@pytest.mark.parametrize("solver", **by_name)
def test_constraints_and_penalty(solver):
    X, W = drawn(1)
    i, j = map(int, np.argwhere(W)[0])
    problem = DagScore(X, alpha=0.05, required=[(j, i)], forbidden=[(0, 1), (1, 0)])
    result = numopt.solve(problem, solver)
    assert result.success
    assert result.x[j, i] != 0
    assert result.x[0, 1] == result.x[1, 0] == 0
    better = numopt.solve(problem, "topo", x0=result.x)
    assert better.fun <= result.fun * (1 + 1e-9)


def test_cycles_are_cut():
    X, _ = drawn(2)
    W = np.zeros((6, 6))
    W[0, 1], W[1, 2], W[2, 0], W[3, 4] = 0.9, 0.8, 0.4, 0.5
    A, used = dag_relaxations.acyclic_part(DagScore(X), W, 0.3)
    assert used == 0.4
    assert set(map(tuple, np.argwhere(A).tolist())) == {(0, 1), (1, 2), (3, 4)}


def test_lingam_finds_the_order_in_any_units():
    rng = np.random.default_rng(3)
    W = dags.random_dag(rng, 8, 2)
    X = dags.draw(rng, W, 2000, lambda rng, shape: rng.uniform(-1, 1, shape))
    result = numopt.solve(DagScore(X / X.std(0)), "lingam")
    place = np.argsort(result.order)
    assert not W[place[:, None] > place].any()
    assert result.success
    i, j = map(int, np.argwhere(W)[0])
    turned = numopt.solve(DagScore(X, required=[(j, i)]), DirectLiNGAM())
    place = np.argsort(turned.order)
    assert place[j] < place[i]


def test_what_they_do_not_take_is_said():
    X, _ = drawn(4)
    for name in ("notears", "dagma", "golem"):
        with pytest.raises(TypeError, match="takes score 'ls'"):
            numopt.solve(DagScore(X, score="bic"), name)
        with pytest.raises(TypeError, match="does not limit the parents"):
            numopt.solve(DagScore(X, max_parents=1), name)
    with pytest.raises(TypeError, match="needs the data X"):
        numopt.solve(DagScore(gram=np.eye(3)), "lingam")
    with pytest.raises(TypeError, match="without alpha"):
        numopt.solve(DagScore(X, alpha=1.0), "lingam")


@pytest.mark.parametrize("name", ["notears", "dagma", "golem", "lingam", "topo"])
def test_limits_leave_an_acyclic_graph(name):
    X, _ = drawn(5)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        result = numopt.solve(DagScore(X), name, max_iter=1)
    assert result.certificate.acyclic == 0
    assert np.isfinite(result.x).all()


@pytest.mark.parametrize("seed", range(4))
def test_units_far_apart_do_not_overflow(seed):
    rng = np.random.default_rng(seed)
    X = dags.draw(rng, dags.random_dag(rng, 6), 20) * 10.0 ** np.array([0, 3, 3, -3, 0, 3])
    result = numopt.solve(DagScore(X), "notears")
    assert result.success
    assert np.isfinite(result.x).all()
