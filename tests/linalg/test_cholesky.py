"""Triangular solves against LAPACK, and what they must not touch."""

import numpy as np
import pytest

from numopt.linalg.cholesky import cholesky_solve_into


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5, 7, 8, 9, 50])
def test_solves_like_lapack(n, dtype):
    rng = np.random.default_rng(n)
    M = rng.standard_normal((n, n + 3))
    A = (M @ M.T + n * np.eye(n)).astype(dtype)
    L = np.asfortranarray(np.linalg.cholesky(A))
    b = rng.standard_normal(n).astype(dtype)
    x = b.copy()
    cholesky_solve_into(L, x)
    assert x.dtype == dtype
    np.testing.assert_allclose(A @ x, b, atol=50 * np.finfo(dtype).eps * (n + 1))
    np.testing.assert_allclose(x, np.linalg.solve(A, b), rtol=0, atol=1e3 * np.finfo(dtype).eps)


def test_reads_nothing_above_the_diagonal():
    rng = np.random.default_rng(0)
    n = 13
    L = np.tril(rng.standard_normal((n, n))) + n * np.eye(n)
    x, y = np.ones(n), np.ones(n)
    cholesky_solve_into(np.asfortranarray(L), x)
    L[np.triu_indices(n, 1)] = np.nan
    cholesky_solve_into(np.asfortranarray(L), y)
    np.testing.assert_array_equal(x, y)
