"""Banded and block-tridiagonal factors against dense algebra and SciPy's banded solvers."""

import itertools

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp

from numopt.linalg.banded import WIDE, BandedLDL, BlockTridiagonalLDL, half_bandwidth


def banded(n, w, seed, signs=None, dtype=np.float64):
    """Random bands, diagonally dominant with the signs given."""
    rng = np.random.default_rng(seed)
    bands = rng.uniform(-1, 1, (w + 1, n))
    bands[0] = (2 * w + 1) * (np.ones(n) if signs is None else signs)
    return bands.astype(dtype)


def dense(bands):
    A = np.zeros((bands.shape[1],) * 2)
    for p in range(min(bands.shape)):
        i = np.arange(A.shape[0] - p)
        A[i + p, i] = A[i, i + p] = bands[p, : A.shape[0] - p]
    return A


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "w"), [(1, 0), (1, 3), (2, 1), (50, 0), (50, 1), (60, 7), (9, 20)])
def test_positive_definite(n, w, dtype):
    bands = banded(n, w, n + w, dtype=dtype)
    factor = BandedLDL(bands)
    b = np.random.default_rng(0).standard_normal(n).astype(dtype)
    x = factor.solve(b)
    assert x.dtype == dtype and factor.ok and factor.inertia == (n, 0, 0)
    tolerance = 50 * np.finfo(dtype).eps
    np.testing.assert_allclose(x, np.linalg.solve(dense(bands), b), atol=tolerance)


def test_wide_bands_agree_with_lapack_and_with_the_loops():
    n, w = 120, WIDE + 8
    bands = banded(n, w, 0)
    bands[3, n - 2] = 7.0  # below the matrix: ignored
    factor, loops = BandedLDL(bands), BandedLDL(bands, np.ones(n))
    assert factor._lapack and not loops._lapack
    B = np.random.default_rng(0).standard_normal((n, 3))
    expected = la.solveh_banded(bands, B, lower=True)
    np.testing.assert_allclose(factor.solve(B), expected, atol=1e-14)
    np.testing.assert_allclose(loops.solve(B), expected, atol=1e-14)
    np.testing.assert_array_equal(factor.solve(B[:, 1]), factor.solve(B)[:, 1])


@pytest.mark.parametrize("w", [1, 4, 40])
def test_quasi_definite(w):
    n = 80
    signs = np.where(np.random.default_rng(1).random(n) < 0.4, -1, 1)
    bands = banded(n, w, 2, signs)
    factor = BandedLDL(bands, signs)
    assert factor.perturbed == 0
    assert factor.inertia == ((signs > 0).sum(), (signs < 0).sum(), 0)
    b = np.arange(80.0)
    np.testing.assert_allclose(dense(bands) @ factor.solve(b), b, atol=1e-11)
    assert factor.update(2 * bands) and factor.factorizations == 2
    np.testing.assert_allclose(2 * dense(bands) @ factor.solve(b), b, atol=1e-11)


@pytest.mark.parametrize("w", [2, WIDE + 2])
def test_first_pivot_of_the_wrong_sign_is_named(w):
    bands = banded(70, w, 3)
    bands[0, 33] = -5.0
    factor = BandedLDL(bands)
    A = dense(bands)
    assert not factor.ok and factor.bad_row == 33
    assert np.linalg.eigvalsh(A[:33, :33])[0] > 0 > np.linalg.eigvalsh(A[:34, :34])[0]
    with pytest.raises(np.linalg.LinAlgError, match="pivot of row 33"):
        factor.solve(np.ones(70))
    repaired = BandedLDL(bands, np.ones(70))
    assert repaired.wrong_signs >= 1 and repaired.ok


def test_of_sparse_matrices():
    A = sp.csr_array(dense(banded(30, 3, 4)))
    assert half_bandwidth(A) == 3
    assert half_bandwidth(sp.csr_array((3, 3))) == 0
    for part, triangle in ((A, "full"), (sp.triu(A), "upper"), (sp.tril(A), "lower")):
        factor = BandedLDL.of(part, triangle=triangle)
        assert factor.shape == (4, 30)
        np.testing.assert_allclose(A @ factor.solve(np.ones(30)), 1, atol=1e-13)


def test_empty():
    assert BandedLDL(np.zeros((2, 0))).solve(np.zeros(0)).shape == (0,)
    assert BlockTridiagonalLDL([], []).solve(np.zeros(0)).shape == (0,)


def test_bad_bands():
    with pytest.raises(ValueError, match="bands must be 2-D"):
        BandedLDL(np.ones(3))
    with pytest.raises(ValueError, match="bands has no rows"):
        BandedLDL(np.ones((0, 3)))
    with pytest.raises(ValueError, match="bands has nan at index"):
        BandedLDL(np.array([[1.0, np.nan]]))
    factor = BandedLDL(banded(5, 1, 0))
    with pytest.raises(ValueError, match=r"bands has shape \(3, 5\), expected \(2, 5\)"):
        factor.update(banded(5, 2, 0))
    with pytest.raises(ValueError, match=r"b has shape \(4,\)"):
        factor.solve(np.ones(4))
    with pytest.raises(ValueError, match="b has inf"):
        factor.solve(np.array([1, 2, np.inf, 3, 4]))


# ---- block tridiagonal ---------------------------------------------------------------------------


def chain(sizes, seed, signs=None):
    rng = np.random.default_rng(seed)
    diagonal, at = [], 0
    for k in sizes:
        M = rng.standard_normal((k, k))
        own = np.ones(k) if signs is None else signs[at : at + k]
        diagonal.append(0.3 * (M + M.T) + 3 * (k + 2) * np.diag(own))
        at += k
    below = [rng.standard_normal((b, a)) for a, b in itertools.pairwise(sizes)]
    A = np.zeros((at, at))
    at = 0
    for i, block in enumerate(diagonal):
        k = block.shape[0]
        A[at : at + k, at : at + k] = block
        if i < len(below):
            m = below[i].shape[0]
            A[at + k : at + k + m, at : at + k] = below[i]
            A[at : at + k, at + k : at + k + m] = below[i].T
        at += k
    return diagonal, below, A


@pytest.mark.parametrize("sizes", [[3], [4] * 10, [1, 5, 2, 7, 1], [6] * 30])
def test_blocks(sizes):
    diagonal, below, A = chain(sizes, 0)
    blocks = BlockTridiagonalLDL(diagonal, below)
    b = np.random.default_rng(1).standard_normal(A.shape[0])
    np.testing.assert_allclose(blocks.solve(b), np.linalg.solve(A, b), atol=1e-13)
    assert blocks.update([2 * d for d in diagonal], [2 * c for c in below])
    np.testing.assert_allclose(2 * A @ blocks.solve(b), b, atol=1e-13)
    assert (blocks.factor.analyses, blocks.factor.factorizations) == (1, 2)


def test_blocks_with_signs_and_pivoting():
    signs = np.tile([1, 1, -1, 1, -1], 6)
    diagonal, below, A = chain([5] * 6, 3, signs)
    b = np.arange(30.0)
    for kind in (signs, None):
        blocks = BlockTridiagonalLDL(diagonal, below, kind)
        assert blocks.factor.inertia == (18, 12, 0)
        np.testing.assert_allclose(A @ blocks.solve(b), b, atol=1e-11)


def test_fill_stays_within_the_blocks():
    diagonal, below, _ = chain([4] * 50, 0)
    analysis = BlockTridiagonalLDL(diagonal, below).factor.analysis
    assert analysis.nnz == 50 * 6 + 49 * 16


def test_bad_blocks():
    diagonal, below, _ = chain([2, 3], 0)
    with pytest.raises(ValueError, match="2 blocks need 1 below, got 2"):
        BlockTridiagonalLDL(diagonal, below * 2)
    with pytest.raises(ValueError, match=r"diagonal\[1\] must be square"):
        BlockTridiagonalLDL([np.eye(2), np.ones((2, 3))], below)
    with pytest.raises(ValueError, match=r"below\[0\] has shape \(2, 2\), expected \(3, 2\)"):
        BlockTridiagonalLDL(diagonal, [np.eye(2)])
    with pytest.raises(ValueError, match=r"diagonal\[0\] is not symmetric: \[0, 1\]"):
        BlockTridiagonalLDL([np.array([[4.0, 1], [0, 4]]), diagonal[1]], below)
    with pytest.raises(ValueError, match="blocks have shapes"):
        BlockTridiagonalLDL(diagonal, below).update([np.eye(3), np.eye(2)], [np.ones((2, 3))])
