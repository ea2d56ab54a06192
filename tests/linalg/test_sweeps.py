"""Relaxation sweeps against dense formulas."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

from numopt.linalg import sweeps
from numopt.linalg.scheduling import colours, levels
from numopt.linalg.sweeps import Sweeps


def grid(n, shift=0.0):
    """Five-point Laplacian of an n x n grid."""
    line = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n))
    plane = sp.kron(sp.eye_array(n), line) + sp.kron(line, sp.eye_array(n))
    return sp.csr_array(plane + shift * sp.eye_array(n * n))


def dominant(n, seed, density=0.3, symmetric=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((n, n)) * (rng.random((n, n)) < density)
    if symmetric:
        A = A + A.T
    np.fill_diagonal(A, 0)
    np.fill_diagonal(A, (abs(A).sum(axis=1) + 1) * rng.choice([1, 1, -1 if not symmetric else 1]))
    return sp.csr_array(A)


def parts(A):
    A = A.toarray()
    return np.tril(A, -1), np.diag(np.diag(A)), np.triu(A, 1)


def sor_step(A, b, x, omega, direction="forward"):
    L, D, U = parts(A)
    if direction == "symmetric":
        return sor_step(A, b, sor_step(A, b, x, omega), omega, "backward")
    return x + np.linalg.solve(D / omega + (L if direction == "forward" else U), b - A @ x)


# ---- sweeps --------------------------------------------------------------------------------------


def test_wikipedia_example():
    A = np.array([[4, -1, -6, 0], [-5, -4, 10, 8], [0, 9, 4, -2], [1, 0, -7, 5]], float)
    b = np.array([2.0, 21, -12, -6])
    relaxed = Sweeps(A).relax(b, omega=0.5)
    np.testing.assert_allclose(relaxed, [0.25, -2.78125, 1.6289062, 0.5152344], atol=5e-8)
    np.testing.assert_allclose(Sweeps(A).relax(b, omega=0.5, n_sweeps=200), [3, -2, 2, 1])


@pytest.mark.parametrize("direction", ["forward", "backward", "symmetric"])
@pytest.mark.parametrize("n", [1, 2, 17])
def test_sweeps_are_splittings(n, direction):
    A = dominant(n, 1)
    rng = np.random.default_rng(2)
    b, x = rng.standard_normal((2, n))
    start = x.copy()
    for omega in (0.5, 1.0, 1.7):
        expected = sor_step(A, b, sor_step(A, b, x, omega, direction), omega, direction)
        actual = Sweeps(A).relax(b, x, omega=omega, n_sweeps=2, direction=direction)
        np.testing.assert_allclose(actual, expected, rtol=1e-11, atol=1e-12)
    np.testing.assert_array_equal(x, start)


def test_float32_stays_and_integers_become_floats():
    A = dominant(9, 3)
    b = np.arange(9)
    single = Sweeps(A.astype(np.float32)).relax(b, n_sweeps=3)
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, Sweeps(A).relax(b, n_sweeps=3), rtol=1e-5)
    whole = Sweeps(sp.csr_array([[2, 1], [1, 2]])).relax([3, 3], n_sweeps=40)
    np.testing.assert_allclose(whole, [1, 1])


def test_empty_system():
    for order in ("natural", "levels", "colours"):
        assert Sweeps(sp.csr_array((0, 0)), order=order).relax(np.zeros(0)).shape == (0,)


def test_youngs_rate():
    # Spectral radius at the optimal omega of a consistently ordered matrix: omega - 1.
    A = grid(10)
    mu = np.cos(np.pi / 11)
    omega = 2 / (1 + np.sqrt(1 - mu**2))
    sweeper = Sweeps(A)
    S = np.column_stack([sweeper.relax(np.zeros(100), e, omega=omega) for e in np.eye(100)])
    assert abs(np.linalg.eigvals(S)).max() == pytest.approx(omega - 1, rel=1e-5)
    gauss_seidel = np.column_stack([sweeper.relax(np.zeros(100), e) for e in np.eye(100)])
    assert abs(np.linalg.eigvals(gauss_seidel)).max() == pytest.approx(mu**2, rel=1e-10)


@pytest.mark.parametrize("order", ["forward", "backward"])
def test_free_residual(order):
    A = dominant(23, 4)
    rng = np.random.default_rng(5)
    b, x = rng.standard_normal((2, 23))
    S, omega = Sweeps(A).split, 1.3
    expected = sor_step(A, b, x, omega, order)
    change, r = np.empty(23), np.empty(23)
    if order == "forward":
        sweeps.forward_change(S, omega, b, x, change)
        squares = sweeps.residual_after(S.upper, S.diagonal, omega, change, r)
    else:
        sweeps.backward_change(S, omega, b, x, change)
        squares = sweeps.residual_after(S.lower, S.diagonal, omega, change, r)
    np.testing.assert_allclose(x, expected, rtol=1e-12, atol=1e-13)
    np.testing.assert_allclose(r, b - A @ x, rtol=1e-10, atol=1e-11)
    assert squares == pytest.approx(np.sum((b - A @ x) ** 2), rel=1e-10)


# ---- SSOR as a preconditioner --------------------------------------------------------------------


@pytest.mark.parametrize("omega", [0.6, 1.0, 1.8])
def test_ssor_preconditioner(omega):
    A = dominant(19, 6, symmetric=True)
    L, D, U = parts(A)
    E, F = D / omega + L, D / omega + U
    M = E @ np.linalg.inv(D / omega) @ F / (2 - omega)
    r = np.random.default_rng(7).standard_normal(19)
    sweeper = Sweeps(A)
    np.testing.assert_allclose(sweeper.precondition(r, omega), np.linalg.solve(M, r), rtol=1e-11)
    assert np.linalg.eigvals(np.linalg.solve(M, A.toarray())).real.max() <= 1 + 1e-12
    out = np.empty(19)
    sweeps.lower_solve(sweeper.split, omega, r, out)
    np.testing.assert_allclose(out, np.linalg.solve(E, r), rtol=1e-11)
    again = np.empty(19)
    squares = sweeps.lower_product(sweeper.split, omega, out, again)
    np.testing.assert_allclose(again, r, rtol=1e-11)
    assert squares == pytest.approx(r @ r)
    sweeps.upper_solve(sweeper.split, omega, r, out)
    np.testing.assert_allclose(out, np.linalg.solve(F, r), rtol=1e-11)
    t, u = np.empty((2, 19))
    curvature = sweeps.eisenstat_product(sweeper.split, omega, r, t, u)
    expected = np.linalg.solve(E, A @ np.linalg.solve(F, r))
    np.testing.assert_allclose(t + u, expected, rtol=1e-10, atol=1e-12)
    assert curvature == pytest.approx(r @ expected)


def iterations_plain(A, b, omega, rtol):
    """SSOR-preconditioned conjugate gradients as in the textbook."""
    M = Sweeps(A)
    x, r = np.zeros_like(b), b.copy()
    z = M.precondition(r, omega)
    p, rz = z, r @ z
    for k in range(1, 500):
        q = A @ p
        a = rz / (p @ q)
        x, r = x + a * p, r - a * q
        if np.linalg.norm(r) <= rtol * np.linalg.norm(b):
            return k, x
        z = M.precondition(r, omega)
        rz, old = r @ z, rz
        p = z + rz / old * p
    raise AssertionError


def iterations_eisenstat(A, b, omega, rtol):
    S = Sweeps(A).split
    scale, n = S.diagonal / omega, b.size
    x, s, t, u, r = np.zeros(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    sweeps.lower_solve(S, omega, b, s)
    z = scale * s
    p, sz = z, s @ z
    for k in range(1, 500):
        a = sz / sweeps.eisenstat_product(S, omega, p, t, u)
        x, s = x + a * t, s - a * (t + u)
        if np.sqrt(sweeps.lower_product(S, omega, s, r)) <= rtol * np.linalg.norm(b):
            np.testing.assert_allclose(r, b - A @ x, atol=1e-9)
            return k, x
        z = scale * s
        sz, old = s @ z, sz
        p = z + sz / old * p
    raise AssertionError


@pytest.mark.parametrize("omega", [1.0, 1.5, 1.9])
def test_eisenstats_trick_is_ssor_cg(omega):
    A, b = grid(20), np.random.default_rng(0).standard_normal(400)
    k, x = iterations_plain(A, b, omega, 1e-10)
    k_fast, x_fast = iterations_eisenstat(A, b, omega, 1e-10)
    assert abs(k - k_fast) <= 1
    np.testing.assert_allclose(x_fast, x, rtol=1e-7, atol=1e-8)


# ---- orders --------------------------------------------------------------------------------------

PATTERNS = {
    "grid": grid(7),
    "random": dominant(40, 8, 0.1),
    "lower": sp.csr_array(sp.tril(dominant(25, 9, 0.2))),
    "upper": sp.csr_array(sp.triu(dominant(25, 10, 0.2))),
    "diagonal": sp.csr_array(sp.eye_array(6)),
    "full": dominant(8, 11, 1.0),
}


@pytest.mark.parametrize("name", PATTERNS)
def test_levels_give_the_natural_iterates_to_the_last_bit(name, monkeypatch):
    A = PATTERNS[name]
    n = A.shape[0]
    level = levels(A)
    i, j = A.nonzero()
    off = i != j
    assert np.all((level[i] < level[j])[off] == (i < j)[off])
    monkeypatch.setattr(sweeps, "SHARED", 1)
    b, x = np.random.default_rng(0).standard_normal((2, n))
    for direction in ("forward", "symmetric"):
        arguments = dict(omega=1.3, n_sweeps=3, direction=direction)
        natural = Sweeps(A).relax(b, x, **arguments)
        for n_threads in (1, 3):
            ordered = Sweeps(A, order="levels", n_threads=n_threads)
            np.testing.assert_array_equal(ordered.relax(b, x, **arguments), natural)
    natural = Sweeps(A).precondition(b, 1.3)
    np.testing.assert_array_equal(Sweeps(A, order="levels").precondition(b, 1.3), natural)


def test_number_of_levels():
    assert levels(grid(12)).max() + 1 == 2 * 12 - 1
    assert levels(PATTERNS["full"]).tolist() == list(range(8))
    # A row coupled only by the other's entry must wait as well: a_02 but no a_20.
    assert levels(sp.csr_array([[1.0, 0, 1], [0, 1, 0], [0, 0, 1]])).tolist() == [0, 0, 1]


@pytest.mark.parametrize("name", PATTERNS)
def test_colours(name, monkeypatch):
    A = PATTERNS[name]
    colour = colours(A)
    i, j = A.nonzero()
    assert np.all(colour[i] != colour[j], where=i != j)
    neighbours = ((A != 0) + (A != 0).T).sum(axis=1) - 1
    assert colour.max() <= neighbours.max()
    monkeypatch.setattr(sweeps, "SHARED", 1)
    P = np.argsort(colour, kind="stable")
    b, x = np.random.default_rng(0).standard_normal((2, A.shape[0]))
    permuted = Sweeps(sp.csr_array(A.toarray()[P][:, P])).relax(b[P], x[P], omega=0.8, n_sweeps=2)
    one = Sweeps(A, order="colours").relax(b, x, omega=0.8, n_sweeps=2)
    np.testing.assert_array_equal(one[P], permuted)
    many = Sweeps(A, order="colours", n_threads=2)
    np.testing.assert_array_equal(many.relax(b, x, omega=0.8, n_sweeps=2), one)
    again = pickle.loads(pickle.dumps(many))
    np.testing.assert_array_equal(again.relax(b, x, omega=0.8, n_sweeps=2), one)


def test_number_of_colours():
    assert colours(grid(9)).max() + 1 == 2
    assert colours(PATTERNS["full"]).tolist() == list(range(8))


# ---- new values, bad input -----------------------------------------------------------------------


@pytest.mark.parametrize("order", ["natural", "levels", "colours"])
def test_update_takes_new_values(order):
    A = PATTERNS["random"]
    B = A.copy()
    B.data = B.data * np.linspace(1, 2, B.nnz)
    b = np.ones(40)
    updated = Sweeps(A, order=order).update(B)
    fresh = Sweeps(B, order=order)
    np.testing.assert_array_equal(updated.relax(b, n_sweeps=2), fresh.relax(b, n_sweeps=2))
    with pytest.raises(ValueError, match="another pattern"):
        updated.update(sp.csr_array(sp.tril(B)))
    C = B.copy()
    C[3, 3] = 0
    with pytest.raises(ValueError, match=r"A\[3, 3\] is 0"):
        updated.update(C)
    np.testing.assert_array_equal(updated.relax(b, n_sweeps=2), fresh.relax(b, n_sweeps=2))


@pytest.mark.parametrize("order", ["natural", "levels", "colours"])
def test_zero_diagonal_names_the_row(order):
    A = grid(4).tolil()
    A[9, 9] = A[12, 12] = 0
    with pytest.raises(ValueError, match=r"A\[9, 9\] is 0 \(2 such rows\)"):
        Sweeps(A.tocsr(), order=order)
    with pytest.raises(ValueError, match=r"A\[0, 0\] is 0"):
        Sweeps(sp.csr_array((1, 1)), order=order)


def test_bad_arguments():
    A = Sweeps(np.eye(3))
    for omega in (0.0, 2.0, -1.0, np.nan):
        with pytest.raises(ValueError, match="omega must lie strictly between 0 and 2"):
            A.relax(np.ones(3), omega=omega)
    with pytest.raises(ValueError, match="b has 2 entries, expected 3"):
        A.relax(np.ones(2))
    with pytest.raises(ValueError, match="x has nan at index 1"):
        A.relax(np.ones(3), [0, np.nan, 0])
    with pytest.raises(ValueError, match="direction must be one of"):
        A.relax(np.ones(3), direction="up")
    with pytest.raises(ValueError, match="order must be one of"):
        Sweeps(np.eye(3), order="random")
    with pytest.raises(ValueError, match=r"A must be square, got shape \(2, 3\)"):
        Sweeps(np.ones((2, 3)))
