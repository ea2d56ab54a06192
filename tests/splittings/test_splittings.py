"""Ready splittings against closed forms, other methods and libraries; their gaps; odd data."""

import pickle
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
import scipy.sparse.linalg
from sklearn.covariance import graphical_lasso as sklearn_graphical_lasso
from sklearn.linear_model import Lasso
from sklearn.svm import SVC

import numopt
from numopt import splittings
from numopt.penalties import L1, TotalVariation1D
from numopt.solvers import ADMM
from tests.helpers import naive

RNG = np.random.default_rng(0)
A = RNG.standard_normal((40, 15))
B = A[:, :4] @ [2.0, -1.0, 3.0, 1.0] + 0.3 * RNG.standard_normal(40)
OUTLIERS = B + np.where(RNG.random(40) < 0.1, 10.0, 0.0)
STEPS = np.repeat(RNG.standard_normal(6), 10) + 0.2 * RNG.standard_normal(60)
PICTURE = np.kron(RNG.standard_normal((3, 3)), np.ones((4, 4))) + 0.1 * RNG.standard_normal(
    (12, 12)
)
SAMPLES = RNG.standard_normal((50, 8)) @ (np.eye(8) + 0.5 * np.eye(8, k=1))
COVARIANCE = np.cov(SAMPLES.T)
LOW_RANK = RNG.standard_normal((20, 2)) @ RNG.standard_normal((2, 15))
SPIKES = np.where(RNG.random((20, 15)) < 0.05, 5.0, 0.0)
LABELS = np.where(A[:, 0] + 0.5 * RNG.standard_normal(40) > 0, 1.0, -1.0)
WIDE = RNG.standard_normal((12, 30))
SPARSE_TRUTH = np.where(np.arange(30) % 10 == 3, 2.0, 0.0)

PROBLEMS = {
    "lasso": lambda: splittings.lasso(A, B, 5.0),
    "lasso, wide": lambda: splittings.lasso(A.T, B[:15], 5.0),
    "lasso, sparse": lambda: splittings.lasso(sp.csr_array(A), B, 5.0),
    "lasso, operator": lambda: splittings.lasso(sp.linalg.aslinearoperator(A), B, 5.0),
    "basis pursuit": lambda: splittings.basis_pursuit(WIDE, WIDE @ SPARSE_TRUTH),
    "lad": lambda: splittings.lad(A, OUTLIERS),
    "huber": lambda: splittings.huber(A, OUTLIERS),
    "sequence": lambda: splittings.total_variation(STEPS, 0.5),
    "picture": lambda: splittings.total_variation(PICTURE, 0.2),
    "graphical lasso": lambda: splittings.graphical_lasso(COVARIANCE, 0.1),
    "robust PCA": lambda: splittings.robust_pca(LOW_RANK + SPIKES),
    "svm": lambda: splittings.svm_dual(A @ A.T, LABELS),
    "svm without intercept": lambda: splittings.svm_dual(A @ A.T, LABELS, intercept=False),
    "box": lambda: splittings.box_qp(A.T @ A, -A.T @ B, -0.5, 0.5),
}


def solved(problem, **options):
    result = ADMM(**{"tol": 1e-8, **options}).solve(problem)
    assert result.success, result.certificate
    return result


@pytest.mark.parametrize("name", PROBLEMS)
def test_problems_pickle(name):
    problem = PROBLEMS[name]()
    again = pickle.loads(pickle.dumps(problem))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        first, second = (ADMM(max_iter=9).solve(p).x for p in (problem, again))
    np.testing.assert_array_equal(first, second)


# ---- gaps ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PROBLEMS)
def test_gap_is_met_and_bounds_the_distance_everywhere(name):
    problem = PROBLEMS[name]()
    result = solved(problem)
    x, z, y = result.x, result.z, result.y
    assert {"primal", "gap"} == set(result.certificate.gates)
    best, _, size = problem.gap(problem, x, z, y)
    rng = np.random.default_rng(1)
    for amount in (1e-6, 1e-2, 1.0):
        for _ in range(3):
            _, bound, _ = problem.gap(problem, x, z, y + amount * rng.standard_normal(y.size))
            # Whatever the multipliers, the bound holds: it is below the least value.
            assert bound <= best + 1e-7 * size


@pytest.mark.parametrize("name", ["lasso", "lad", "sequence", "graphical lasso", "svm", "box"])
def test_gap_at_another_point_is_large(name):
    problem = PROBLEMS[name]()
    result = solved(problem)
    other = problem.certificate(0.9 * result.x, y=result.y)
    assert other["gap"] > 1e-4


@pytest.mark.parametrize("rho", [1e-3, 1e3])
@pytest.mark.parametrize(
    "name", ["lasso, wide", "sequence", "graphical lasso", "robust PCA", "box"]
)
def test_rho_makes_no_difference(name, rho):
    problem = PROBLEMS[name]()
    result, other = solved(problem), solved(problem, rho=rho)
    assert other.fun == pytest.approx(result.fun, rel=1e-6)
    np.testing.assert_allclose(other.x, result.x, atol=1e-3)


# ---- answers -------------------------------------------------------------------------------------


def test_lasso_is_that_of_scikit_learn():
    theirs = Lasso(alpha=5.0 / 40, fit_intercept=False, tol=1e-12).fit(A, B)
    for name in ("lasso", "lasso, sparse", "lasso, operator"):
        result = solved(PROBLEMS[name](), tol=1e-11)
        np.testing.assert_allclose(result.x, theirs.coef_, atol=1e-6)
        np.testing.assert_array_equal(result.x == 0, theirs.coef_ == 0)


def test_orthogonal_lasso_is_soft_thresholding():
    Q = np.linalg.qr(A)[0]
    weights = np.linspace(0.5, 2, 15)
    result = solved(splittings.lasso(Q, B, 0.5, weights), tol=1e-11)
    np.testing.assert_allclose(result.x, naive.soft(Q.T @ B, 0.5 * weights), atol=1e-8)


def test_basis_pursuit_recovers_and_equals_the_linear_program():
    result = solved(PROBLEMS["basis pursuit"]())
    split = np.hstack([WIDE, -WIDE])
    reference = scipy.optimize.linprog(np.ones(60), A_eq=split, b_eq=WIDE @ SPARSE_TRUTH)
    assert np.abs(result.x).sum() == pytest.approx(reference.fun, rel=1e-7)
    np.testing.assert_allclose(result.x, SPARSE_TRUTH, atol=1e-6)


def test_lad_equals_the_linear_program():
    result = solved(PROBLEMS["lad"]())
    m, n = A.shape
    costs = np.r_[np.zeros(n), np.ones(m)]
    sides = np.block([[A, -np.eye(m)], [-A, -np.eye(m)]])
    reference = scipy.optimize.linprog(
        costs, sides, np.r_[OUTLIERS, -OUTLIERS], bounds=[(None, None)] * n + [(0, None)] * m
    )
    assert result.fun == pytest.approx(reference.fun, rel=1e-7)


def test_huber_has_no_gradient_left():
    result = solved(PROBLEMS["huber"](), tol=1e-10)
    slope = np.clip(A @ result.x - OUTLIERS, -1, 1)
    np.testing.assert_allclose(A.T @ slope, 0, atol=1e-5)


@pytest.mark.parametrize("build", [splittings.lad, splittings.huber])
def test_rank_deficient_regression(build):
    twice = np.hstack([A, A[:, :3]])
    result, single = solved(build(twice, OUTLIERS)), solved(build(A, OUTLIERS))
    assert result.fun == pytest.approx(single.fun, rel=1e-6)


def test_sequences_by_the_direct_method():
    direct = TotalVariation1D(0.5).prox(STEPS)
    for tol in (1e-10,):
        result = solved(PROBLEMS["sequence"](), tol=tol)
        np.testing.assert_allclose(result.x, direct, atol=1e-4)
    dense = np.diff(np.eye(60), axis=0)
    np.testing.assert_allclose(
        solved(splittings.generalised_lasso(STEPS, dense, 0.5), tol=1e-10).x, direct, atol=1e-4
    )


@pytest.mark.parametrize("isotropic", [False, True])
def test_pictures_by_cosines_and_by_the_sparse_factor(isotropic):
    tol = 1e-6 if isotropic else 1e-8
    problem = splittings.total_variation(PICTURE, 0.2, isotropic=isotropic)
    result = solved(problem, tol=tol)
    eye = np.eye(144)
    D = sp.csc_array(np.array([problem.A.matvec(column) for column in eye]).T)
    other = solved(problem.replace(A=D), tol=tol)
    np.testing.assert_allclose(result.x, other.x, atol=2e-3)
    down, along = (D @ result.x).reshape(2, -1)
    size = np.hypot(down, along).sum() if isotropic else np.abs(D @ result.x).sum()
    value = np.sum((result.x - PICTURE.ravel()) ** 2) / 2 + 0.2 * size
    assert result.fun == pytest.approx(value, rel=1e-10)


def test_linearised_steps_need_products_only():
    products = scipy.sparse.linalg.aslinearoperator(np.diff(np.eye(60), axis=0))
    problem = splittings.generalised_lasso(STEPS, products, 0.5)
    expected = TotalVariation1D(0.5).prox(STEPS)
    for linearised in (True, False):
        result = solved(problem, tol=1e-7, linearised=linearised)
        np.testing.assert_allclose(result.x, expected, atol=5e-3)


def test_generalised_lasso_with_a_matrix():
    D = np.diff(np.eye(15), axis=0)
    result = solved(splittings.generalised_lasso(B, D, 2.0, A=A))
    assert set(result.certificate.gates) == {"primal", "dual"}
    # In the steps of x this is a lasso with one free coordinate.
    S = np.tril(np.ones((15, 15)))
    lasso = numopt.problems.Composite(
        numopt.losses.LeastSquares(B), A @ S, L1(2.0 / 40, weights=np.r_[0.0, np.ones(14)])
    )
    np.testing.assert_allclose(result.x, S @ numopt.solve(lasso, tol=1e-10).x, atol=1e-5)


def test_graphical_lasso_is_that_of_scikit_learn():
    result = solved(PROBLEMS["graphical lasso"](), tol=1e-9)
    _, theirs = sklearn_graphical_lasso(COVARIANCE, 0.1, tol=1e-7, enet_tol=1e-9, max_iter=1000)
    np.testing.assert_allclose(result.x.reshape(8, 8), theirs, atol=1e-5)


def test_components_are_blocks_of_the_answer():
    S = np.kron(np.eye(2), COVARIANCE[:4, :4])
    groups = splittings.components(S, 0.01)
    assert [group.tolist() for group in groups] == [[0, 1, 2, 3], [4, 5, 6, 7]]
    X = solved(splittings.graphical_lasso(S, 0.01)).x.reshape(8, 8)
    assert not X[:4, 4:].any()


def test_robust_pca_recovers_both_parts():
    result = solved(PROBLEMS["robust PCA"](), tol=1e-9)
    np.testing.assert_allclose(result.x.reshape(20, 15), LOW_RANK, atol=1e-5)
    np.testing.assert_allclose(result.z.reshape(20, 15), SPIKES, atol=1e-5)
    assert np.linalg.matrix_rank(result.x.reshape(20, 15)) == 2


def test_svm_is_that_of_libsvm():
    result = solved(PROBLEMS["svm"](), tol=1e-9)
    machine = SVC(C=1.0, kernel="linear", tol=1e-8).fit(A, LABELS)
    np.testing.assert_allclose(
        (result.x * LABELS) @ A, machine.coef_.ravel(), atol=1e-4 * np.abs(machine.coef_).max()
    )


def test_box_is_that_of_the_quadratic_program():
    problem = PROBLEMS["box"]()
    program = numopt.problems.QuadraticProgram(A.T @ A, -A.T @ B, lb=-0.5, ub=0.5)
    reference = numopt.solve(program, "operator-splitting-qp")
    np.testing.assert_allclose(solved(problem, tol=1e-10).x, reference.x, atol=1e-6)
    open_ended = splittings.box_qp(A.T @ A, -A.T @ B, 0.0, np.inf)
    result = solved(open_ended, tol=1e-10)
    reference = scipy.optimize.nnls(A, B)[0]
    np.testing.assert_allclose(result.x, reference, atol=1e-6)


# ---- odd data ------------------------------------------------------------------------------------


def test_no_penalty():
    x = np.linalg.lstsq(A, B, rcond=None)[0]
    np.testing.assert_allclose(solved(splittings.lasso(A, B, 0.0), tol=1e-10).x, x, atol=1e-7)
    np.testing.assert_allclose(solved(splittings.total_variation(STEPS, 0.0)).x, STEPS, atol=1e-6)
    X = solved(splittings.graphical_lasso(COVARIANCE, 0.0)).x.reshape(8, 8)
    np.testing.assert_allclose(X, np.linalg.inv(COVARIANCE), rtol=1e-4, atol=1e-4)


def test_strong_penalties_give_exact_zeros():
    largest = np.abs(A.T @ B).max()
    assert not solved(splittings.lasso(A, B, 1.001 * largest)).x.any()
    X = solved(splittings.graphical_lasso(COVARIANCE, 10.0)).x.reshape(8, 8)
    assert not (X - np.diag(np.diag(X))).any()
    np.testing.assert_allclose(np.diag(X), 1 / np.diag(COVARIANCE), rtol=1e-6)
    flat = solved(splittings.total_variation(STEPS, 100.0)).x
    np.testing.assert_allclose(flat, STEPS.mean(), atol=1e-4)


@pytest.mark.parametrize("columns", ["duplicate", "zero"])
def test_odd_columns(columns):
    other = A[:, :1] if columns == "duplicate" else np.zeros((40, 1))
    result = solved(splittings.lasso(np.hstack([A, other]), B, 5.0))
    assert result.fun == pytest.approx(solved(PROBLEMS["lasso"]()).fun, rel=1e-7)


def test_zero_targets():
    for problem in (splittings.lasso(A, np.zeros(40), 1.0), splittings.lad(A, np.zeros(40)),
                    splittings.basis_pursuit(WIDE, np.zeros(12)),
                    splittings.robust_pca(np.zeros((3, 4)))):  # fmt: skip
        assert not solved(problem).x.any()


def test_empty_problems():
    assert solved(splittings.lasso(np.zeros((3, 0)), np.ones(3), 1.0)).x.size == 0
    assert solved(splittings.total_variation(np.ones(1), 1.0)).x.tolist() == [1.0]


def bad(value):
    M = A.copy()
    M[3, 2] = value
    return M


@pytest.mark.parametrize("call, message", [
    (lambda: splittings.lasso(bad(np.nan), B, 1.0), r"A has nan at index \(3, 2\)"),
    (lambda: splittings.lasso(A, np.r_[B[:-1], np.inf], 1.0), "b has inf at index 39"),
    (lambda: splittings.lasso(A, B[:5], 1.0), "40 rows but b has 5"),
    (lambda: splittings.lasso(A, B, -1.0), "lam must be a finite number >= 0"),
    (lambda: splittings.lad(bad(np.nan), B), "A has nan"),
    (lambda: splittings.huber(A, B, delta=0.0), "delta"),
    (lambda: splittings.basis_pursuit(np.ones((2, 2)), [0.0, 1.0]), "has no solution: row"),
    (lambda: splittings.total_variation(np.ones((2, 2, 2)), 1.0), "y must be 1-D or 2-D"),
    (lambda: splittings.total_variation([1.0, np.nan], 1.0), "y has nan at index 1"),
    (lambda: splittings.graphical_lasso(np.ones((2, 3)), 1.0), "S must be square"),
    (lambda: splittings.graphical_lasso([[1.0, 0.5], [0.2, 1.0]], 1.0),
     r"S is not symmetric: \[0, 1\]"),
    (lambda: splittings.graphical_lasso(np.diag([1.0, 0.0]), 1.0), r"S\[1, 1\] = 0 must be > 0"),
    (lambda: splittings.robust_pca(bad(np.inf)), "M has inf"),
    (lambda: splittings.robust_pca(np.zeros((0, 3))), "M is empty"),
    (lambda: splittings.svm_dual(A @ A.T, np.arange(40.0)),
     "labels must be -1 and 1, got 0 at index 0"),
    (lambda: splittings.svm_dual(A @ A.T, LABELS, C=0.0), "C must be a finite number > 0"),
    (lambda: splittings.svm_dual(A, LABELS), r"K must be square, got shape \(40, 15\)"),
    (lambda: splittings.total_variation([], 1.0), "y is empty"),
    (lambda: splittings.box_qp(np.eye(2), np.ones(3), 0, 1), "q has 3 entries, expected 2"),
    (lambda: splittings.box_qp(np.eye(2), np.ones(2), 1.0, 0.0), "lower > upper"),
])  # fmt: skip
def test_bad_input_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


# ---- single precision and singular data ----------------------------------------------------------


@pytest.mark.parametrize("make", [
    lambda A, b: splittings.lasso(A, b, 5.0), splittings.lad, splittings.huber,
    lambda A, b: splittings.basis_pursuit(np.ascontiguousarray(A.T), A.T @ b),
    lambda A, b: splittings.robust_pca(A), lambda A, b: splittings.total_variation(b, 1.0),
], ids=["lasso", "lad", "huber", "basis pursuit", "robust PCA", "total variation"])  # fmt: skip
def test_single_precision_is_worked_in_and_judged_by(make):
    rng = np.random.default_rng(3)
    A, b = rng.standard_normal((20, 6)), np.r_[3.0, -2.0, np.zeros(18)]
    single = make(A.astype(np.float32), b.astype(np.float32))
    assert single.dtype == np.float32 and single.default_tol == 1e-5
    result = ADMM().solve(single)
    assert result.success and result.x.dtype == np.float32
    assert result.fun == pytest.approx(ADMM().solve(make(A, b)).fun, rel=1e-3)


@pytest.mark.parametrize("scale", [1e-8, 1e-4, 1.0, 1e4, 1e8])
@pytest.mark.parametrize("make", [splittings.huber, splittings.lad])
def test_sparse_data_with_columns_that_repeat_or_vanish(make, scale):
    A = np.array([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [2.0, 2.0, 0.0], [-1.0, -1.0, 0.0]])
    b = A @ [1.0, 2.0, 0.0] + [0.0, 1.0, 0.0, 0.0]
    result = ADMM().solve(make(sp.csc_array(scale * A), scale * b))
    assert result.success
    assert result.fun == pytest.approx(ADMM().solve(make(scale * A, scale * b)).fun, rel=1e-5)


def test_equations_that_contradict_each_other_in_any_units():
    F = np.array([[1.0, 1.0], [1.0, 1.0]])
    for scale in (1e-9, 1.0, 1e9):
        with pytest.raises(ValueError, match="has no solution: row"):
            splittings.basis_pursuit(scale * F, scale * np.array([0.0, 1.0]))
