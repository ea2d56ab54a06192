"""Forest solves against sparse and dense solves, and the structure of what they accept."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from numopt.linalg.forest import ForestLDL


def forest(n, roots, seed, dtype=np.float64):
    """A random forest with shuffled names, diagonally dominant."""
    rng = np.random.default_rng(seed)
    name = rng.permutation(n)
    i = np.arange(min(roots, n), n)
    j = (rng.random(i.size) * i).astype(int)
    a = rng.uniform(-1, 1, i.size)
    A = sp.coo_array((a, (name[i], name[j])), shape=(n, n))
    A = A + A.T
    degree = np.asarray(np.abs(A).sum(axis=1)).ravel()
    return sp.csc_array(A + sp.diags_array(degree + rng.uniform(0.1, 1, n)), dtype=dtype)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize(("n", "roots"), [(1, 1), (2, 1), (2, 2), (40, 1), (40, 7), (40, 40)])
def test_random_forests(n, roots, dtype):
    A = forest(n, roots, n + roots, dtype)
    factor = ForestLDL(A)
    b = np.random.default_rng(0).standard_normal(n).astype(dtype)
    x = factor.solve(b)
    assert x.dtype == dtype
    expected = np.linalg.solve(A.toarray().astype(float), b)
    np.testing.assert_allclose(x, expected, atol=30 * np.finfo(dtype).eps * np.abs(expected).max())
    assert factor.inertia == (n, 0, 0)
    assert (factor.parent == -1).sum() == roots


@given(n=st.integers(1, 40), roots=st.integers(1, 40), seed=st.integers(0, 10**6))
def test_order_is_breadth_first(n, roots, seed):
    factor = ForestLDL(forest(n, min(roots, n), seed))
    assert sorted(factor.order) == list(range(n))
    place = np.arange(n)
    inner = factor.parent >= 0
    assert (factor.parent[inner] < place[inner]).all()
    depth = np.zeros(n, int)
    tree = np.zeros(n, int)
    for k in range(n):
        p = factor.parent[k]
        depth[k], tree[k] = (0, k) if p < 0 else (depth[p] + 1, tree[p])
    for root in np.unique(tree):
        assert (np.diff(depth[tree == root]) >= 0).all()


def test_large_chain_and_star_leave_no_residual():
    n = 30_000
    chain = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(n, n), format="csc")
    hub = np.zeros(n - 1, int)
    star = sp.coo_array((-np.ones(n - 1), (hub, np.arange(1, n))), shape=(n, n))
    star = sp.csc_array(star + star.T + sp.diags_array(np.r_[n + 0.0, 2 * np.ones(n - 1)]))
    b = np.random.default_rng(0).standard_normal(n)
    for A in (chain, star):
        x = ForestLDL(A).solve(b)
        size = np.abs(A) @ np.abs(x) + np.abs(b)
        assert np.max(np.abs(b - A @ x) / size) <= 1e-13


def test_indefinite_and_update():
    A = forest(30, 3, 0)
    D = A.diagonal() * np.where(np.arange(30) % 3, 1, -1)
    A.setdiag(D)
    factor = ForestLDL(A)
    values = np.linalg.eigvalsh(A.toarray())
    assert factor.inertia == ((values > 0).sum(), (values < 0).sum(), 0)
    b = np.arange(30.0)
    np.testing.assert_allclose(A @ factor.solve(b), b, atol=1e-12)
    assert factor.update(2 * A.data) and factor.update(4 * A)
    np.testing.assert_allclose(4 * A @ factor.solve(b), b, atol=1e-12)
    assert (factor.analyses, factor.factorizations, factor.solves) == (1, 3, 2)
    B = np.random.default_rng(0).standard_normal((30, 3))
    np.testing.assert_allclose(4 * A @ factor.solve(B), B, atol=1e-12)


@pytest.mark.parametrize("triangle", ["upper", "lower"])
def test_one_triangle(triangle):
    A = forest(20, 2, 1)
    part = (sp.triu if triangle == "upper" else sp.tril)(A).tocsr()
    x = ForestLDL(part, triangle=triangle).solve(np.ones(20))
    np.testing.assert_allclose(A @ x, 1, atol=1e-13)


def test_missing_diagonal_and_empty():
    pair = sp.csc_array([[0.0, 1.0], [1.0, 0.0]])
    factor = ForestLDL(pair)  # both pivots vanish without exchanging rows
    assert not factor.ok
    with pytest.raises(np.linalg.LinAlgError, match=f"row {factor.bad_row} vanishes"):
        factor.solve(np.ones(2))
    assert ForestLDL(sp.csc_array((0, 0))).solve(np.zeros(0)).size == 0


def test_vanishing_pivot_is_named():
    A = np.array([[1.0, 1, 0], [1, 1, 0], [0, 0, 2]])
    factor = ForestLDL(A)
    assert not factor.ok and factor.bad_row in (0, 1)
    assert factor.update(A + np.eye(3))


@pytest.mark.parametrize("edges", [[(0, 1), (1, 2), (2, 0)], [(0, 3), (3, 4), (4, 1), (1, 0)]])
def test_cycles_are_named(edges):
    A = np.eye(6) * 4
    for i, j in edges:
        A[i, j] = A[j, i] = 1
    with pytest.raises(ValueError, match=r"no forest: the edge \((\d), (\d)\)") as error:
        ForestLDL(A)
    i, j = (int(c) for c in str(error.value) if c.isdigit())
    assert A[i, j] == 1


def test_bad_input():
    A = forest(5, 1, 0)
    factor = ForestLDL(A)
    with pytest.raises(ValueError, match=r"b has shape \(4,\)"):
        factor.solve(np.ones(4))
    with pytest.raises(ValueError, match="b has nan at index 3"):
        factor.solve(np.array([1, 1, 1, np.nan, 1]))
    with pytest.raises(ValueError, match="values has 3 entries"):
        factor.update(np.ones(3))
    with pytest.raises(ValueError, match="data has nan"):
        factor.update(A.data * np.nan)
    with pytest.raises(ValueError, match="not symmetric"):
        ForestLDL(np.array([[1.0, 2], [3, 1]]))
