"""ConjugateGradient against a plain NumPy one, its theory, and data it must not be fooled by."""

import warnings

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt import ConvergenceWarning, Status
from numopt.problems import LinearSystem
from numopt.solvers import ConjugateGradient

RNG = np.random.default_rng(0)


def spd(n, eigenvalues=None, rng=RNG):
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    if eigenvalues is None:
        eigenvalues = np.linspace(1, 10, n)
    A = (Q * eigenvalues) @ Q.T
    return (A + A.T) / 2


def neumann(n):
    main = np.r_[1.0, 2 * np.ones(n - 2), 1.0]
    off = -np.ones(n - 1)
    return sp.csr_array(sp.diags_array([off, main, off], offsets=[-1, 0, 1]))


def iterates(problem, steps, solver=None, x0=None):
    """x_1 ... x_steps, one by one as the engine would ask for them."""
    solver = solver or ConjugateGradient(tol=1e-300)
    state = solver.init(problem, x0, {})
    points = []
    while len(points) < steps:
        done, _ = solver.advance(problem, state, 1)
        if done:
            points.append(solver.finish(problem, state)["x"])
        else:
            solver.evaluate(problem, state)
    return points


def plain_cg(A, b, d, x, steps):
    """The textbook method with preconditioner diag(1 / d)."""
    points = []
    r = b - A @ x
    p = d * r
    rz = r @ (d * r)
    for _ in range(steps):
        q = A @ p
        alpha = rz / (p @ q)
        x = x + alpha * p
        r = r - alpha * q
        rz, before = r @ (d * r), rz
        p = d * r + rz / before * p
        points.append(x)
    return points


A, B = spd(25) + np.diag(np.linspace(0, 30, 25)), RNG.standard_normal(25)


@pytest.mark.parametrize("start", [None, RNG.standard_normal(25)])
@pytest.mark.parametrize(
    "form, preconditioner",
    [
        (np.ascontiguousarray, "jacobi"),
        (np.ascontiguousarray, "none"),
        (np.asfortranarray, "jacobi"),
        (sp.csr_array, "jacobi"),
        (sp.csr_array, "none"),
        (spla.aslinearoperator, "jacobi"),
    ],
)
def test_iterates_are_those_of_the_textbook(form, preconditioner, start):
    explicit = form is not spla.aslinearoperator
    d = 1 / np.diag(A) if explicit and preconditioner == "jacobi" else np.ones(25)
    solver = ConjugateGradient(preconditioner=preconditioner, tol=1e-300)
    ours = iterates(LinearSystem(form(A), B), 12, solver, start)
    theirs = plain_cg(A, B, d, np.zeros(25) if start is None else start, 12)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9, atol=1e-11)


def test_each_iterate_is_the_best_of_its_krylov_space():
    basis, v = [], B
    solution = np.linalg.solve(A, B)
    half = np.linalg.cholesky(A).T  # |e|_A = |half e|
    for x in iterates(LinearSystem(spla.aslinearoperator(A), B), 6):
        basis.append(v / np.linalg.norm(v))
        v = A @ basis[-1]
        K = np.linalg.qr(np.column_stack(basis))[0]
        best = K @ np.linalg.lstsq(half @ K, half @ solution, rcond=None)[0]
        np.testing.assert_allclose(x, best, atol=1e-9)


def test_error_in_the_energy_norm_never_rises():
    hard = spd(60, np.geomspace(1e-2, 1e2, 60))
    b = RNG.standard_normal(60)
    solution = np.linalg.solve(hard, b)
    errors = [x - solution for x in iterates(LinearSystem(hard, b), 200)]
    energies = np.array([e @ hard @ e for e in errors])
    assert (energies[1:] <= energies[:-1] * (1 + 1e-10)).all()
    assert energies[-1] < 1e-3 * energies[0]


@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_as_many_steps_as_distinct_eigenvalues(k):
    values = np.resize(np.geomspace(1, 20, k), 40)
    solver = ConjugateGradient(preconditioner="none", tol=1e-11)
    result = solver.solve(LinearSystem(spd(40, values), RNG.standard_normal(40)))
    assert result.success and result.nit == k


def test_ends_after_n_steps():
    for n in (1, 2, 5, 12):
        result = ConjugateGradient(tol=1e-10).solve(LinearSystem(spd(n), RNG.standard_normal(n)))
        assert result.success and result.nit <= n + 2


def test_the_diagonal_preconditions():
    scale = np.geomspace(1e-4, 1e4, 25)
    scaled = scale[:, None] * A * scale
    system = LinearSystem(sp.csr_array(scaled), scale * B)
    with_it = ConjugateGradient(tol=1e-10).solve(system)
    with pytest.warns(ConvergenceWarning):
        without = ConjugateGradient(tol=1e-10, preconditioner="none", max_iter=200).solve(system)
    assert with_it.success and with_it.nit <= 40 and not without.success
    np.testing.assert_allclose(with_it.x * scale, np.linalg.solve(A, B), rtol=1e-6)
    diagonal = LinearSystem(np.diag(scale), B)
    assert ConjugateGradient().solve(diagonal).nit == 1


@pytest.mark.parametrize("form", [sp.csr_array, spla.aslinearoperator])
def test_larger_system_against_a_factorisation(form):
    n = 30
    line = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    poisson = sp.kron(line, sp.eye_array(n)) + sp.kron(sp.eye_array(n), line)
    b = RNG.standard_normal(n * n)
    result = ConjugateGradient(tol=1e-10).solve(LinearSystem(form(sp.csr_array(poisson)), b))
    assert result.success
    np.testing.assert_allclose(result.x, spla.spsolve(poisson.tocsc(), b), atol=1e-8)
    assert result.history["residual"][-1] == result.certificate.residual
    assert result.history["nit"][-1] == result.nit


def test_products_with_an_operator_are_few():
    count = 0

    def product(x):
        nonlocal count
        count += 1
        return A @ x

    result = ConjugateGradient().solve(LinearSystem(product, B))
    # Two for the symmetry probe, one to check the claim, one for the verdict.
    assert result.success and count == result.nit + 4


def test_zero_right_hand_side_takes_nothing():
    result = ConjugateGradient().solve(LinearSystem(A, np.zeros(25)), x0=np.ones(25))
    assert result.success and result.nit == 0 and not result.x.any()


def test_start_is_used_and_left_alone():
    x = np.linalg.solve(A, B)
    kept = x.copy()
    result = ConjugateGradient().solve(LinearSystem(A, B), x0=x)
    assert result.nit == 0 and result.success
    np.testing.assert_array_equal(x, kept)
    cold = ConjugateGradient().solve(LinearSystem(A, B))
    assert ConjugateGradient().solve(LinearSystem(A, B), warm_start=cold).nit == 0
    near = ConjugateGradient().solve(LinearSystem(A, B + 1e-4), warm_start=cold)
    assert near.success and near.nit < cold.nit


def test_drift_of_the_recursion_is_found_and_mended():
    # From a start this far the recursion's residual loses all meaning around 1e-4.
    start = 1e12 * RNG.standard_normal(25)
    result = ConjugateGradient(tol=1e-10).solve(LinearSystem(A, B), x0=start)
    assert result.success
    assert np.linalg.norm(B - A @ result.x) <= 1e-10 * np.linalg.norm(B)
    claims = result.history["residual"]
    assert claims[-2] > 1e-10  # the first claim was refused


@pytest.mark.parametrize("dtype, scale", [("f", 1.0), ("f", 1e-30), ("d", 1e-200), ("d", 1e200)])
def test_precision_and_scale(dtype, scale):
    b = (B * scale).astype(dtype)
    system = LinearSystem(A.astype(dtype), b)
    result = ConjugateGradient().solve(system)
    assert result.success and result.x.dtype == system.dtype == np.dtype(dtype)
    tolerance = 1e-4 if dtype == "f" else 1e-7
    np.testing.assert_allclose(result.x / scale, np.linalg.solve(A, B), atol=tolerance)


# ---- data that are not symmetric positive definite ----------------------------------------------


@pytest.mark.parametrize("form", [np.ascontiguousarray, np.asfortranarray, sp.csr_array])
def test_asymmetry_is_a_status_that_names_the_entry(form):
    M = A.copy()
    M[2, 5] += 1e-4
    with pytest.warns(ConvergenceWarning, match=r"A\[2, 5\] = \S+ but A\[5, 2\] = "):
        result = ConjugateGradient().solve(LinearSystem(form(M), B), x0=np.ones(25))
    assert result.status == Status.NON_CONVEX and not result.success and result.nit == 0
    assert "not symmetric" in result.message
    residual = np.linalg.norm(B - M @ np.ones(25)) / np.linalg.norm(B)
    assert result.certificate.residual == pytest.approx(residual)


def test_an_asymmetric_operator_is_noticed():
    M = A + np.triu(A, 1)
    with pytest.warns(ConvergenceWarning, match="A is not symmetric"):
        result = ConjugateGradient().solve(LinearSystem(lambda x: M @ x, B))
    assert result.status == Status.NON_CONVEX


def test_asymmetry_of_rounding_is_none():
    rounded = A * (1 + 1e-15 * RNG.standard_normal((25, 25)))
    assert ConjugateGradient().solve(LinearSystem(rounded, B)).success
    single = (A * (1 + 1e-7 * RNG.standard_normal((25, 25)))).astype(np.float32)
    assert ConjugateGradient().solve(LinearSystem(single, B)).success


@pytest.mark.parametrize(
    "M, b, message",
    [
        (np.diag([1.0, -2.0]), [1.0, 1.0], r"A\[1, 1\] = -2"),
        (np.array([[1.0, 2.0], [2.0, 1.0]]), [1.0, -1.0], "p'A p <= 0"),
        (np.array([[0.0, 1.0], [1.0, 0.0]]), [1.0, 0.0], "p'A p <= 0"),
        (-np.eye(2), [1.0, 0.0], r"A\[0, 0\] = -1"),
    ],
)
def test_indefinite_matrices(M, b, message):
    with pytest.warns(ConvergenceWarning, match=message):
        result = ConjugateGradient().solve(LinearSystem(M, b))
    assert result.status == Status.NON_CONVEX and not result.success


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.filterwarnings("ignore::numopt.ConvergenceWarning")
def test_indefinite_matrices_never_give_a_wrong_success(seed):
    rng = np.random.default_rng(seed)
    M = spd(30, rng.standard_normal(30), rng)
    b = rng.standard_normal(30)
    result = ConjugateGradient(max_iter=500).solve(LinearSystem(M, b))
    residual = np.linalg.norm(b - M @ result.x) / np.linalg.norm(b)
    assert result.certificate.residual == pytest.approx(residual)
    assert result.success == (residual <= 1e-8)


@pytest.mark.parametrize("form", [sp.csr_array, spla.aslinearoperator])
def test_singular_consistent_systems_converge_on_the_range(form):
    L = neumann(40)
    b = RNG.standard_normal(40)
    b -= b.mean()
    result = ConjugateGradient(tol=1e-10, preconditioner="none").solve(
        LinearSystem(form(L), b), x0=np.full(40, 3.0)
    )
    assert result.success
    # The null space is the constants: what x0 had of them stays.
    assert result.x.mean() == pytest.approx(3.0)
    np.testing.assert_allclose(result.x - 3.0, np.linalg.pinv(L.toarray()) @ b, atol=1e-8)


def test_an_empty_row_is_no_harm_where_b_is_zero():
    M, b = np.zeros((26, 26)), np.zeros(26)
    M[:25, :25], b[:25] = A, B
    result = ConjugateGradient().solve(LinearSystem(M, b))
    assert result.success and result.x[25] == 0
    np.testing.assert_allclose(result.x[:25], np.linalg.solve(A, B), atol=1e-7)


@pytest.mark.parametrize("form", [sp.csr_array, spla.aslinearoperator])
def test_singular_inconsistent_systems_stall(form):
    b = RNG.standard_normal(40)
    solver = ConjugateGradient(preconditioner="none")
    with pytest.warns(ConvergenceWarning, match="A is singular along a direction"):
        result = solver.solve(LinearSystem(form(neumann(40)), b))
    assert result.status == Status.STALLED and not result.success
    least = abs(b.sum()) / np.sqrt(40) / np.linalg.norm(b)
    assert least <= result.certificate.residual <= 1
    with pytest.warns(ConvergenceWarning, match="A is singular along a direction"):
        result = solver.solve(LinearSystem(form(sp.csr_array((40, 40))), b))
    assert result.status == Status.STALLED and not result.x.any()


@pytest.mark.parametrize("n", [4, 8, 12])
@pytest.mark.parametrize("tol", [1e-6, 1e-13])
@pytest.mark.filterwarnings("ignore::numopt.ConvergenceWarning")
def test_hilbert_matrices_get_an_honest_verdict(n, tol):
    H, b = scipy.linalg.hilbert(n), np.ones(n)
    result = ConjugateGradient(tol=tol).solve(LinearSystem(H, b))
    residual = np.linalg.norm(b - H @ result.x) / np.linalg.norm(b)
    assert result.success == (residual <= tol)
    assert residual <= 1e-5


def test_products_that_are_not_finite_end_the_run():
    calls = 0

    def product(x):
        nonlocal calls
        calls += 1
        return A @ x if calls < 6 else np.full(25, np.nan)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        result = ConjugateGradient().solve(LinearSystem(product, B))
    assert not result.success and result.status == Status.STALLED
    assert "not finite" in result.message


def test_sizes_zero_and_one():
    assert ConjugateGradient().solve(LinearSystem(np.zeros((0, 0)), [])).x.shape == (0,)
    assert ConjugateGradient().solve(LinearSystem([[4]], [2])).x.tolist() == [0.5]


def test_options_are_checked():
    with pytest.raises(ValueError, match="preconditioner must be one of 'jacobi', 'none'"):
        ConjugateGradient(preconditioner="ilu")
    with pytest.raises(ValueError, match="x0 has 2 entries, expected 25"):
        ConjugateGradient().solve(LinearSystem(A, B), x0=[1.0, 2.0])
