"""Eigenvalues, singular values and norm brackets against dense decompositions."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt.linalg.norm_bounds import spectral_norm
from numopt.linalg.spectra import golub_kahan, lanczos


def orthogonal(n, seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((n, n)))[0]


def symmetric(values, seed=0):
    Q = orthogonal(len(values), seed)
    A = (Q * values) @ Q.T
    return (A + A.T) / 2


def rectangular(values, m, n, seed=0):
    k = len(values)
    return (orthogonal(m, seed)[:, :k] * values) @ orthogonal(n, seed + 1)[:, :k].T


def rounding(A):
    dense = A.toarray() if sp.issparse(A) else A
    return 100 * np.finfo(dense.dtype).eps * np.linalg.norm(dense, 2)


SPECTRA = {
    "spread": np.linspace(-3, 7, 60),
    "clustered": np.concatenate([[5, 5 + 1e-6], np.linspace(-1, 1, 58)]),
    "decaying": 2.0 ** -np.arange(60),
    "negative": -np.geomspace(1e-3, 1e3, 60),
    "low rank": np.concatenate([[4, -3, 2], np.zeros(57)]),
}


# ---- eigenpairs ----------------------------------------------------------------------------------


@pytest.mark.parametrize("which", ["largest", "smallest"])
@pytest.mark.parametrize("name", SPECTRA)
@pytest.mark.parametrize("k", [1, 4])
def test_eigenpairs(name, which, k):
    A = symmetric(SPECTRA[name])
    pairs = lanczos(A, k, which=which)
    exact = np.linalg.eigvalsh(A)
    expected = exact[::-1][:k] if which == "largest" else exact[:k]
    scale = np.abs(exact).max()
    if (name, which) in (("negative", "largest"), ("decaying", "smallest")):
        # Crowded within 1e-6 of the width of the spectrum and closer: it may not get there.
        assert pairs.converged == bool(np.all(pairs.errors <= 1e-8 * scale + rounding(A)))
    else:
        assert pairs.converged
        assert np.all(pairs.errors <= 1.01e-8 * scale)
        np.testing.assert_allclose(pairs.values, expected, rtol=0, atol=1.5e-8 * scale)
    residuals = np.linalg.norm(A @ pairs.vectors - pairs.vectors * pairs.values, axis=0)
    np.testing.assert_allclose(pairs.errors, residuals, atol=rounding(A))
    # An eigenvalue lies within the error of each value.
    distance = np.abs(exact[:, None] - pairs.values).min(axis=0)
    assert np.all(distance <= pairs.errors + rounding(A))
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(k), atol=1e-12)


@pytest.mark.parametrize("n", [1, 2, 3, 12])
def test_all_eigenvalues_of_small_matrices(n):
    A = symmetric(np.linspace(-1, 2, n), 3)
    pairs = lanczos(A, n)
    np.testing.assert_allclose(pairs.values, np.linspace(2, -1, n) if n > 1 else [-1], atol=1e-12)


def test_multiple_eigenvalues_of_invariant_subspaces():
    pairs = lanczos(np.eye(30), 3)
    np.testing.assert_allclose(pairs.values, 1)
    np.testing.assert_allclose(pairs.vectors.T @ pairs.vectors, np.eye(3), atol=1e-13)
    assert lanczos(np.zeros((9, 9)), 2).values.tolist() == [0, 0]
    A = symmetric(np.repeat([2.0, 1.0], [3, 27]))
    np.testing.assert_allclose(lanczos(A, 4, tol=1e-10).values, [2, 2, 2, 1])


def test_forms_and_types():
    A = sp.random_array((200, 200), density=0.05, format="csr", rng=np.random.default_rng(0))
    A = A + A.T
    expected = spla.eigsh(A, 3, which="LA")[0][::-1]
    for form in (A, spla.aslinearoperator(A), A.toarray()):
        np.testing.assert_allclose(lanczos(form, 3).values, expected, rtol=1e-7)
    single = lanczos(A.astype(np.float32), 3)
    assert single.values.dtype == single.vectors.dtype == np.float32 and single.converged
    np.testing.assert_allclose(single.values, expected, rtol=1e-4)


def test_small_basis_restarts():
    A = symmetric(np.linspace(0, 1, 80), 5)
    pairs = lanczos(A, 2, max_dim=8)
    assert pairs.converged and pairs.n_products > 30
    np.testing.assert_allclose(pairs.values, [1, 1 - 1 / 79], atol=1e-8)
    stopped = lanczos(A, 2, max_dim=5, max_restarts=1, tol=1e-12)
    assert not stopped.converged and stopped.errors.max() > 1e-12


def test_warm_starts_save_products():
    A = symmetric(np.concatenate([[5, 4.8, 4.6], np.linspace(0, 4, 300)]), 1)
    nearby = A + 1e-5 * symmetric(np.linspace(-1, 1, 303), 2)
    first = lanczos(A, 3)
    cold, warm = lanczos(nearby, 3), lanczos(nearby, 3, start=first.vectors)
    assert warm.converged and warm.n_products < 0.8 * cold.n_products
    np.testing.assert_allclose(warm.values, cold.values, rtol=1e-8)


def test_a_start_that_lacks_the_wanted_vector_is_no_trap():
    A = np.diag(np.arange(1.0, 41))
    assert lanczos(A, 1, start=np.eye(40)[:, :1]).values[0] == pytest.approx(40)
    assert golub_kahan(A, 1, start=np.eye(40)[:, :2]).values[0] == pytest.approx(40)
    assert golub_kahan(A, 1, start=np.zeros(40)).values[0] == pytest.approx(40)


def test_same_seed_same_bits():
    A = symmetric(SPECTRA["spread"])
    one, two = lanczos(A, 3, random_state=5), lanczos(A, 3, random_state=5)
    np.testing.assert_array_equal(one.vectors, two.vectors)
    other = golub_kahan(A, 2, random_state=5).V, golub_kahan(A, 2, random_state=5).V
    np.testing.assert_array_equal(*other)


# ---- singular triplets ---------------------------------------------------------------------------

VALUES = {
    "spread": np.linspace(1, 9, 25),
    "decaying": 3.0 ** -np.arange(25),
    "deficient": np.concatenate([[3, 2, 1], np.zeros(22)]),
}


@pytest.mark.parametrize("shape", [(40, 25), (25, 40), (25, 25)])
@pytest.mark.parametrize("name", VALUES)
@pytest.mark.parametrize("which", ["largest", "smallest"])
def test_singular_triplets(name, shape, which):
    A = rectangular(VALUES[name], *shape)
    triplets = golub_kahan(A, 3, which=which)
    exact = np.linalg.svd(A, compute_uv=False)
    expected = exact[:3] if which == "largest" else exact[::-1][:3]
    U, s, V = triplets.U, triplets.values, triplets.V
    assert triplets.converged
    np.testing.assert_allclose(s, expected, rtol=0, atol=1.5e-8 * exact[0])
    distance = np.abs(exact[:, None] - s).min(axis=0)
    assert np.all(distance <= triplets.errors + rounding(A))
    for X in (U, V):
        np.testing.assert_allclose(X.T @ X, np.eye(3), atol=1e-12)
    residuals = [A @ V - U * s, A.T @ U - V * s]
    assert max(np.linalg.norm(r, axis=0).max() for r in residuals) <= 1.5e-8 * exact[0]
    assert np.linalg.norm(np.concatenate(residuals)) / 2**0.5 == pytest.approx(
        np.linalg.norm(triplets.errors), abs=rounding(A)
    )


def test_singular_values_of_other_forms():
    A = sp.random_array((300, 120), density=0.05, format="csr", rng=np.random.default_rng(1))
    expected = spla.svds(A, 4, return_singular_vectors=False)[::-1]
    for form in (A, A.T, spla.aslinearoperator(A), A.astype(np.float32)):
        np.testing.assert_allclose(golub_kahan(form, 4).values, expected, rtol=1e-5)
    triplets = golub_kahan(A, 4)
    again = golub_kahan(A, 4, start=triplets.V)
    assert again.n_products < triplets.n_products
    across = golub_kahan(A.T, 4, start=triplets.U)
    assert across.n_products < triplets.n_products
    assert golub_kahan(np.zeros((4, 6)), 2).values.tolist() == [0, 0]
    np.testing.assert_allclose(golub_kahan([[3.0, 4.0]]).values, [5])


# ---- the norm ------------------------------------------------------------------------------------


@pytest.mark.parametrize("method", ["lanczos", "power"])
@pytest.mark.parametrize("name", VALUES)
def test_norm_is_bracketed(name, method):
    rtol = 1e-2 if method == "lanczos" else 3e-2
    for seed in range(5):
        A = rectangular(VALUES[name], 40, 25, seed)
        exact = np.linalg.norm(A, 2)
        form = spla.aslinearoperator(A)
        bracket = spectral_norm(form, rtol=rtol, method=method, random_state=seed)
        assert bracket.lower <= exact * (1 + 1e-14) and exact <= bracket.upper * (1 + 1e-14)
        assert bracket.upper <= (1 + rtol) * bracket.lower


def test_the_bracket_holds_at_every_step():
    # Nearly equal values at the top: Ritz values are still well below the norm.
    A = np.diag(np.concatenate([np.linspace(0.9, 1, 400)]))
    for method in ("lanczos", "power"):
        for seed in range(20):
            for steps in (1, 4, 9, 30):
                form = spla.aslinearoperator(A)
                bracket = spectral_norm(
                    form, method=method, rtol=1e-9, max_iter=steps, random_state=seed
                )
                assert bracket.lower <= 1 <= bracket.upper


def test_tighter_brackets_cost_more():
    A = rectangular(np.linspace(1, 9, 60), 80, 60)
    form = spla.aslinearoperator(A)
    costs = [spectral_norm(form, rtol=rtol).n_products for rtol in (0.3, 1e-2, 1e-4)]
    assert costs == sorted(costs) and costs[0] < costs[2]
    lanczos_cost = spectral_norm(form, rtol=0.1).n_products
    assert lanczos_cost < spectral_norm(form, rtol=0.1, method="power").n_products


def test_bounds_from_the_entries():
    # Nonnegative rank one: the geometric mean of the 1-norm and the inf-norm is the norm.
    bracket = spectral_norm(np.ones((30, 50)))
    assert bracket.lower <= np.sqrt(1500) * (1 + 1e-14) and bracket.n_products <= 8
    assert bracket.upper == pytest.approx(np.sqrt(1500))
    sparse = spectral_norm(sp.csr_array(np.diag([3.0, 1e-9])), max_iter=1)
    assert sparse.upper == pytest.approx(3)


def test_a_bad_start_does_not_break_the_bracket():
    A = np.diag(np.concatenate([[2.0], np.linspace(0, 1, 99)]))
    start = np.eye(100)[1]
    bracket = spectral_norm(spla.aslinearoperator(A), start=start)
    assert bracket.lower <= 2 <= bracket.upper <= 1.01 * bracket.lower


def test_trivial_norms():
    assert spectral_norm(np.zeros((3, 4)))[:2] == (0, 0)
    assert spectral_norm(np.zeros((0, 4)))[:2] == (0, 0)
    assert spectral_norm([[-7.0]]).lower == pytest.approx(7)
    tiny = spectral_norm(np.diag([1e-200, 3e-200]))
    assert tiny.lower == pytest.approx(3e-200) and tiny.upper == pytest.approx(3e-200, rel=0.01)
    single = spectral_norm(rectangular(VALUES["spread"], 40, 25).astype(np.float32))
    assert single.lower <= 9 * (1 + 1e-5) and 9 <= single.upper * (1 + 1e-6)


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_input():
    A = np.eye(5)
    for method in (lanczos, golub_kahan):
        with pytest.raises(ValueError, match=r"k must lie in \[1, 5\]"):
            method(A, 6)
        with pytest.raises(ValueError, match="k must be >= 1"):
            method(A, 0)
        with pytest.raises(ValueError, match="which must be one of"):
            method(A, which="LM")
        with pytest.raises(ValueError, match="start has 4 rows, expected 5"):
            method(A, start=np.ones(4))
        with pytest.raises(ValueError, match="start has nan"):
            method(A, start=np.full(5, np.nan))
        with pytest.raises(ValueError, match="max_dim"):
            method(A, 2, max_dim=2)
        with pytest.raises(ValueError, match="tol"):
            method(A, tol=0)
        broken = spla.LinearOperator(
            (5, 5), matvec=lambda x: x * np.nan, rmatvec=lambda x: x, dtype=float
        )
        with pytest.raises(ValueError, match="product with A is not finite"):
            method(broken)
    with pytest.raises(ValueError, match="A must be square"):
        lanczos(np.ones((2, 3)))
    with pytest.raises(ValueError, match="product with A is not finite"):
        spectral_norm(broken)
    with pytest.raises(ValueError, match="rtol"):
        spectral_norm(A, rtol=0)
    with pytest.raises(ValueError, match="failure"):
        spectral_norm(A, failure=0.9)
