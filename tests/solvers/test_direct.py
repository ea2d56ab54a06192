"""Direct: the right factorisation, refinement that refines, factors that stay."""

import numpy as np
import pytest
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt import ConvergenceWarning, Status
from numopt.problems import LinearSystem
from numopt.solvers import ADMM, Direct, direct

RNG = np.random.default_rng(0)
M = RNG.standard_normal((30, 30))
B = RNG.standard_normal(30)
SPD = M @ M.T + np.eye(30)


def poisson(n):
    line = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    return sp.csr_array(sp.kron(line, sp.eye_array(n)) + sp.kron(sp.eye_array(n), line))


@pytest.mark.parametrize(
    "A, kind",
    [
        (SPD, "cholesky"),
        (np.asfortranarray(SPD), "cholesky"),
        (M + M.T, "lu"),
        (M, "lu"),
        (np.eye(30)[::-1].copy(), "lu"),  # no diagonal to pivot on
        (sp.csr_array(SPD), "sparse-lu"),
        (sp.csc_array(M), "sparse-lu"),
        (sp.csr_array(np.eye(30)[::-1]), "sparse-lu"),
    ],
)
def test_solution_and_factorization(A, kind):
    result = Direct(tol=1e-12).solve(LinearSystem(A, B))
    dense = A.toarray() if sp.issparse(A) else A
    assert result.success and result.factorization == kind
    np.testing.assert_allclose(result.x, np.linalg.solve(dense, B), rtol=1e-8)
    assert result.certificate.residual <= 1e-12


def test_sparse_agrees_with_scipy():
    A = poisson(12)
    b = RNG.standard_normal(144)
    result = Direct().solve(LinearSystem(A, b))
    np.testing.assert_allclose(result.x, spla.spsolve(A.tocsc(), b), rtol=1e-11)


@pytest.mark.parametrize("form", [np.asarray, sp.csr_array])
def test_factor_is_made_once_for_each_matrix(form, monkeypatch):
    made = []
    for name in ("_dense", "_sparse_lu"):
        build = getattr(direct, name)

        def counted(problem, build=build):
            made.append(problem)
            return build(problem)

        monkeypatch.setattr(direct, name, counted)
    system = LinearSystem(form(SPD), B)
    for scale in (1.0, 2.0, 3.0):
        result = Direct().solve(system.replace(b=scale * B))
        np.testing.assert_allclose(SPD @ result.x, scale * B, atol=1e-9)
    assert len(made) == 1
    Direct().solve(system.replace(A=form(2 * SPD)))
    assert len(made) == 2


def test_refinement_mends_a_poor_factor(monkeypatch):
    noise = 1e-3 * np.linalg.norm(SPD, 2) / 30 * RNG.standard_normal((30, 30))
    inverse = np.linalg.inv(SPD + 0.01 * noise)
    norm = np.linalg.norm(SPD, 1)
    monkeypatch.setattr(direct, "_dense", lambda p: direct.Factor("poor", inverse.dot, norm))
    result = Direct(tol=1e-12).solve(LinearSystem(SPD, B))
    assert result.success and result.nit > 2
    residuals = result.history["residual"]
    assert (residuals[1:] <= 0.5 * residuals[:-1]).all()


def test_float32_is_kept_and_stalls_honestly():
    A, b = SPD.astype(np.float32), B.astype(np.float32)
    with pytest.warns(ConvergenceWarning, match="Refinement no longer improves"):
        result = Direct(tol=1e-12).solve(LinearSystem(A, b))
    assert result.x.dtype == np.float32 and result.status == Status.STALLED
    once = np.linalg.norm(b - A.astype(float) @ np.linalg.solve(A, b)) / np.linalg.norm(b)
    assert result.certificate.residual <= 1.01 * once
    assert Direct().solve(LinearSystem(A, b)).success


def test_start_is_used_and_left_alone():
    x = np.linalg.solve(SPD, B)
    kept = x.copy()
    result = Direct().solve(LinearSystem(SPD, B), x0=x)
    assert result.nit == 0 and result.success
    np.testing.assert_array_equal(x, kept)
    assert Direct().solve(LinearSystem(SPD, B), warm_start=result).nit == 0


def test_zero_right_hand_side():
    result = Direct().solve(LinearSystem(M, np.zeros(30)), x0=np.ones(30))
    assert result.nit == 0 and not result.x.any() and result.success


def test_sizes_zero_and_one():
    assert Direct().solve(LinearSystem(np.zeros((0, 0)), np.zeros(0))).x.shape == (0,)
    assert Direct().solve(LinearSystem([[1e-300]], [2e-300])).x == pytest.approx([2.0])


def deficient():
    A = M.copy()
    A[7] = A[3]
    A[:, 4] = 0
    return A


def test_singular_but_consistent_is_solved():
    A = deficient()
    b = A @ RNG.standard_normal(30)
    result = Direct().solve(LinearSystem(A, b))
    assert result.success
    np.testing.assert_allclose(A @ result.x, b, atol=1e-8)


def test_singular_and_inconsistent_gives_the_least_residual():
    A = deficient()
    with pytest.warns(ConvergenceWarning, match="singular to working precision"):
        result = Direct().solve(LinearSystem(A, B))
    best = np.linalg.lstsq(A, B, rcond=None)[0]
    least = np.linalg.norm(B - A @ best) / np.linalg.norm(B)
    assert result.status == Status.STALLED and not result.success
    assert result.certificate.residual == pytest.approx(least, rel=1e-6)


def test_sparse_singular_systems():
    A = poisson(8)
    neumann = sp.csr_array(A - sp.diags_array(A.sum(axis=0)))
    b = RNG.standard_normal(64)
    assert Direct().solve(LinearSystem(neumann, b - b.mean())).success
    with pytest.warns(ConvergenceWarning, match="singular to working precision"):
        result = Direct().solve(LinearSystem(neumann, b))
    least = abs(b.sum()) / 8 / np.linalg.norm(b)
    assert result.certificate.residual == pytest.approx(least, rel=1e-6)


@pytest.mark.parametrize("A", [np.zeros((3, 3)), sp.csr_array((3, 3)), np.diag([1.0, 0.0, 1.0])])
def test_exactly_singular(A):
    with pytest.warns(ConvergenceWarning, match="singular"):
        result = Direct().solve(LinearSystem(A, np.ones(3)))
    assert result.status == Status.STALLED and np.isfinite(result.x).all()


@pytest.mark.parametrize("n", [6, 12, 20])
@pytest.mark.filterwarnings("ignore::numopt.ConvergenceWarning")
def test_hilbert_matrices_get_an_honest_verdict(n):
    A, b = scipy.linalg.hilbert(n), np.ones(n)
    for tol in (1e-6, 1e-10, 1e-15):
        result = Direct(tol=tol).solve(LinearSystem(A, b))
        residual = np.linalg.norm(b - A @ result.x) / np.linalg.norm(b)
        assert result.success == (residual <= tol)
        assert residual <= 1e-6


def test_operators_are_refused():
    with pytest.raises(TypeError, match="needs the entries of A, got function"):
        Direct().solve(LinearSystem(lambda x: x, B))
    with pytest.raises(
        TypeError, match="solves Composite, Splitting, not LinearSystem; try cg, direct"
    ):
        ADMM().solve(LinearSystem(SPD, B))
