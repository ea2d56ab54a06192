"""Models with several outputs: one coefficient for each feature and class."""

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.optimize import minimize
from scipy.special import logsumexp

import numopt
from numopt.losses import Multinomial
from numopt.penalties import L1, GroupLasso, Nuclear, Ridge
from numopt.problems import Composite
from numopt.solvers import ProximalGradient

N, P, K = 60, 5, 3
RNG = np.random.default_rng(0)
A = RNG.standard_normal((N, P))
TRUTH = RNG.standard_normal((P, K)) * np.array([[2.0], [2.0], [0], [0], [0]])
Y = (A @ TRUTH + [0.5, 0.0, -0.5] + RNG.gumbel(size=(N, K))).argmax(1)
WEIGHT = RNG.random(N) + 0.5
ROWS = np.repeat(np.arange(P), K)


def textbook(X, b, weight=None):
    """Mean of the negative log-likelihoods, and its gradient with respect to X and b."""
    weight = np.full(N, 1 / N) if weight is None else weight / weight.sum()
    Z = A @ X + b
    R = np.exp(Z - logsumexp(Z, axis=1, keepdims=True))
    R[np.arange(N), Y] -= 1
    R *= weight[:, None]
    return weight @ (logsumexp(Z, axis=1) - Z[np.arange(N), Y]), A.T @ R, R.sum(0)


def solved(problem, tol=1e-9, **options):
    result = ProximalGradient(tol=tol, max_iter=20_000).solve(problem, **options)
    assert result.success, result.message
    return result


def test_ridge_matches_a_general_method():
    problem = Composite(Multinomial(Y, sample_weight=WEIGHT), A, Ridge(0.05), fit_intercept=True)

    def fun(w):
        X, b = w[:-K].reshape(P, K), w[-K:]
        f, G, g = textbook(X, b, WEIGHT)
        return f + 0.025 * np.sum(X**2), np.concatenate([(G + 0.05 * X).ravel(), g])

    peer = minimize(fun, np.zeros(P * K + K), jac=True, options={"gtol": 1e-10})
    result = solved(problem)
    assert result.fun == pytest.approx(peer.fun, abs=1e-12)
    np.testing.assert_allclose(result.x, peer.x[:-K], atol=1e-6)
    shift = (result.intercept - peer.x[-K:]).mean()  # intercepts are determined up to that
    np.testing.assert_allclose(result.intercept, peer.x[-K:] + shift, atol=1e-6)
    assert problem.predict(result.x, result.intercept).shape == (N, K)
    as_matrix = result.x.reshape(P, K)
    assert problem.objective(as_matrix, result.intercept) == pytest.approx(result.fun, rel=1e-14)


def test_lasso_is_stationary_by_the_textbook_dense_sparse_and_float32():
    alpha = 0.03
    problem = Composite(Multinomial(Y), A, L1(alpha), fit_intercept=True)
    result = solved(problem)
    X = result.x.reshape(P, K)
    _, G, g = textbook(X, result.intercept)
    off = np.where(X == 0, np.maximum(np.abs(G) - alpha, 0), np.abs(G + alpha * np.sign(X)))
    assert max(off.max(), np.abs(g).max()) <= 1e-9 * problem.alpha_max() * 1.01
    assert 0 < (X == 0).sum() < X.size
    assert 0 <= result.certificate["gap"] <= 1e-7
    sparse = solved(problem.replace(A=sp.csc_array(np.where(np.abs(A) > 0.3, A, 0))))
    dense = solved(problem.replace(A=np.where(np.abs(A) > 0.3, A, 0)))
    np.testing.assert_allclose(sparse.x, dense.x, atol=1e-8)
    single = solved(problem.replace(A=A.astype(np.float32)), tol=None)
    assert single.x.dtype == np.float32
    np.testing.assert_allclose(single.x, result.x, atol=1e-3)
    again = solved(problem, warm_start=result)
    assert again.nit <= 2
    started = solved(problem, x0=X)
    np.testing.assert_allclose(started.x, result.x, atol=1e-7)


def test_alpha_max_and_intercepts_alone():
    problem = Composite(Multinomial(Y), A, L1(1.0), fit_intercept=True)
    shares = np.bincount(Y) / N
    largest = problem.alpha_max()
    R = (shares - np.eye(K)[Y]) / N
    assert largest == pytest.approx(np.abs(A.T @ R).max(), rel=1e-12)
    result = solved(problem.replace(penalty=L1(largest * (1 + 1e-9))))
    assert not result.x.any()
    probabilities = np.exp(result.intercept - logsumexp(result.intercept))
    np.testing.assert_allclose(probabilities, shares, atol=1e-9)
    # The same from Newton's method, which offsets ask for.
    shifted = Multinomial(Y, offset=np.zeros((N, K)))
    other = Composite(shifted, A, L1(1.0), fit_intercept=True).null_model()
    np.testing.assert_allclose(other.gradient, problem.null_model().gradient, atol=1e-12)


def test_groups_select_features_and_nuclear_gives_low_rank():
    grouped = Composite(Multinomial(Y), A, GroupLasso(0.08, ROWS), fit_intercept=True)
    X = solved(grouped).x.reshape(P, K)
    rows = np.abs(X).sum(1) > 0
    assert 0 < rows.sum() < P and X[rows].all()
    low = Composite(Multinomial(Y), A, Nuclear(1.0, (P, K)), fit_intercept=True)
    X = solved(low.replace(penalty=Nuclear(0.95 * low.alpha_max(), (P, K)))).x.reshape(P, K)
    assert np.linalg.matrix_rank(X, tol=1e-8) == 1


def test_unpenalised_coefficients_and_offsets():
    weights = np.ones((P, K))
    weights[0] = 0
    offset = RNG.standard_normal((N, K))
    problem = Composite(
        Multinomial(Y, offset=offset), A, L1(0.05, weights.ravel()), fit_intercept=True
    )
    null = problem.null_model()
    gradient = null.gradient.reshape(P, K)
    np.testing.assert_allclose(gradient[0], 0, atol=1e-10)
    assert np.flatnonzero(null.w[:-K]).tolist() == [0, 1, 2]
    X = solved(problem).x.reshape(P, K)
    assert X[0].all()


def test_default_solver_and_refusals():
    problem = Composite(Multinomial(Y), A, L1(0.05))
    assert numopt.solve(problem).success
    with pytest.raises(ValueError, match="3 outputs"):
        Composite(Multinomial(Y), A, L1(0.05, np.ones(P)))
    with pytest.raises(ValueError, match="A has 59 rows"):
        Composite(Multinomial(Y), A[:-1], L1(0.05))
    with pytest.raises(ValueError, match="x has 4 entries, expected 15"):
        problem.objective(np.ones(4))


def test_the_loss_serves_minimize():
    """By L-BFGS on the coefficients, and with a penalty on them."""
    loss = Multinomial(Y, sample_weight=WEIGHT)

    def fun(x):
        value, R = loss.value_and_gradient(A @ x.reshape(P, K))
        return value + 0.025 * x @ x, (A.T @ R).ravel() + 0.05 * x

    expected = solved(Composite(loss, A, Ridge(0.05))).x
    by_lbfgs = numopt.minimize(fun, np.zeros(P * K), jac=True)
    assert by_lbfgs.success
    np.testing.assert_allclose(by_lbfgs.x, expected, atol=1e-6)
    problem = Composite(loss, A, GroupLasso(0.05, ROWS))
    by_function = numopt.minimize(
        lambda x: loss.value(A @ x.reshape(P, K)),
        np.zeros(P * K),
        jac=lambda x: (A.T @ loss.gradient(A @ x.reshape(P, K))).ravel(),
        penalty=problem.penalty,
    )
    assert by_function.success
    np.testing.assert_allclose(by_function.x, solved(problem).x, atol=1e-6)
