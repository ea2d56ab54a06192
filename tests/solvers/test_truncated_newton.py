"""TruncatedNewton against closed forms and coordinate descent."""

import threading

import numpy as np
import pytest
import scipy.sparse as sp
from threadpoolctl import threadpool_info

import numopt
from numopt.calculus import SeparableSum
from numopt.core.blas import one_blas_thread
from numopt.losses import Huber, LeastSquares, Logistic, Poisson, SquaredHinge
from numopt.penalties import L1, Ridge, Zero
from numopt.problems import Composite
from numopt.solvers import TruncatedNewton, WorkingSetCD
from numopt.solvers.truncated_newton import curvatures


def draw(seed=0, n=60, p=40):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, p)) * 10.0 ** rng.uniform(-2, 2, p)
    return A, A @ (rng.standard_normal(p) / np.abs(A).max(0)) + rng.standard_normal(n), rng


def test_ridge_in_closed_form():
    A, y, rng = draw()
    n, p = A.shape
    factors = rng.uniform(0.5, 2, p)
    result = TruncatedNewton(tol=1e-11).solve(
        Composite(LeastSquares(y), A, Ridge(0.1, weights=factors), fit_intercept=True)
    )
    centred, target = A - A.mean(0), y - y.mean()
    x = np.linalg.solve(centred.T @ centred / n + 0.1 * np.diag(factors), centred.T @ target / n)
    assert result.success
    np.testing.assert_allclose(result.x, x, rtol=1e-7, atol=1e-9 * np.abs(x).max())
    np.testing.assert_allclose(result.intercept, y.mean() - A.mean(0) @ x, rtol=1e-7)


LOSSES = {
    "logistic": lambda y: Logistic(np.where(y > 0, 1.0, -1.0)),
    "squared-hinge": lambda y: SquaredHinge(np.where(y > 0, 1.0, -1.0)),
    "huber": lambda y: Huber(y, delta=0.05),
    "poisson": lambda y: Poisson(np.round(np.exp(np.clip(y, -3, 3)))),
}


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("excluded", [False, True])
def test_agrees_with_coordinate_descent(name, excluded):
    A, y, rng = draw(1)
    factors = np.r_[0.0, np.inf if excluded else 3.0, np.ones(A.shape[1] - 2)]
    problem = Composite(LOSSES[name](y), A, Ridge(0.05, weights=factors), fit_intercept=True)
    ours = TruncatedNewton().solve(problem, x0=0.01 * rng.standard_normal(A.shape[1]))
    other = WorkingSetCD().solve(problem)
    assert ours.success
    assert other.success
    np.testing.assert_allclose(ours.fun, other.fun, rtol=1e-7)
    if excluded:
        assert ours.x[1] == 0


def test_sparse_data_with_empty_and_equal_columns():
    rng = np.random.default_rng(2)
    A = sp.random_array((50, 30), density=0.2, rng=rng).toarray()
    A[:, 3] = 0
    A[:, 5] = A[:, 4]
    A, y = sp.csc_array(A), rng.standard_normal(50)
    result = TruncatedNewton().solve(Composite(LeastSquares(y), A, Zero()))
    best = np.linalg.lstsq(A.toarray(), y, rcond=None)[0]
    assert result.success
    np.testing.assert_allclose(A @ result.x, A @ best, atol=1e-6)


def test_starts_where_the_loss_is_straight():
    A, y, _ = draw(3)
    problem = Composite(Huber(y + 1e4, delta=0.1), A, Ridge(1e-3), fit_intercept=True)
    assert TruncatedNewton().solve(problem).success


def test_no_bound_on_second_derivatives_and_far_off():
    rng = np.random.default_rng(5)
    A = rng.standard_normal((200, 20))
    y = rng.poisson(np.exp(0.3 * A[:, 0] + 1)).astype(float)
    problem = Composite(Poisson(y), A, Ridge(1e-4), fit_intercept=True)
    start = 3 * rng.standard_normal(20)  # predictions of e^30
    result = TruncatedNewton().solve(problem, x0=start)
    assert result.success
    np.testing.assert_allclose(result.fun, WorkingSetCD().solve(problem).fun, rtol=1e-9)


def test_wide_ridge_takes_it_by_default():
    rng = np.random.default_rng(4)
    A, y = rng.standard_normal((30, 3000)), rng.standard_normal(30)
    result = numopt.solve(Composite(LeastSquares(y), A, Ridge(0.1)))
    assert result.success
    assert result.solver.startswith("TruncatedNewton")
    dual = np.linalg.solve(A @ A.T / 0.1 + 30 * np.eye(30), y)
    np.testing.assert_allclose(result.x, A.T @ dual / 0.1, atol=1e-8)
    assert numopt.solve(Composite(LeastSquares(y), A, L1(0.5))).solver.startswith("WorkingSet")


def test_curvatures_are_those_of_the_value():
    penalty = SeparableSum([Ridge(2.0, weights=[0.0, 1.0, 3.0]), Zero()], sizes=[3, 2])
    problem = Composite(LeastSquares(np.ones(4)), np.eye(4, 5), penalty)
    rho = np.zeros(5)
    curvatures(problem.lowered(), rho)
    np.testing.assert_allclose(rho, [2 * penalty.value(e) for e in np.eye(5)])


def test_kinks_are_refused():
    A, y, _ = draw()
    with pytest.raises(TypeError, match="curvature_1d of the penalty"):
        TruncatedNewton().solve(Composite(LeastSquares(y), A, L1(0.1)))


def test_blas_threads_come_back():
    def threads():
        return [lib["num_threads"] for lib in threadpool_info() if lib["user_api"] == "blas"]

    before, inside = threads(), []
    barrier = threading.Barrier(4)

    def work():
        for _ in range(20):
            with one_blas_thread():
                inside.append(max(threads()))
            barrier.wait()

    workers = [threading.Thread(target=work) for _ in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert max(inside) == 1
    assert threads() == before
