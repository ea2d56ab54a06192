"""Minimum degree: permutations, fill against known optima and the plain algorithm."""

import numpy as np
import pytest
import scipy.sparse as sp
from hypothesis import given
from hypothesis import strategies as st

from numopt.linalg import ordering
from numopt.linalg.ordering import minimum_degree
from tests.helpers.kkt import kkt


def graph(pairs, n):
    pairs = np.array(pairs, dtype=int).reshape(-1, 2)
    A = sp.coo_array((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(n, n))
    return sp.csc_array(A)


def fill(A, order):
    """Entries of L below the diagonal, by eliminating vertices one at a time."""
    B = (A + A.T).tocsr()
    neighbours = [set(B.indices[B.indptr[i] : B.indptr[i + 1]]) - {i} for i in range(B.shape[0])]
    total = 0
    for i in order:
        total += len(neighbours[i])
        for j in neighbours[i]:
            neighbours[j] |= neighbours[i]
            neighbours[j] -= {i, j}
    return total


def exact_minimum_degree(A):
    B = (A + A.T).tocsr()
    neighbours = {i: set(B.indices[B.indptr[i] : B.indptr[i + 1]]) - {i} for i in range(B.shape[0])}
    order = []
    while neighbours:
        i = min(neighbours, key=lambda v: (len(neighbours[v]), v))
        order.append(i)
        clique = neighbours.pop(i)
        for j in clique:
            neighbours[j] |= clique
            neighbours[j] -= {i, j}
    return order


def grid(k):
    index = np.arange(k * k).reshape(k, k)
    right = np.c_[index[:, :-1].ravel(), index[:, 1:].ravel()]
    down = np.c_[index[:-1].ravel(), index[1:].ravel()]
    return graph(np.r_[right, down], k * k)


def random_graph(n, edges, seed):
    return graph(np.random.default_rng(seed).integers(0, n, (edges, 2)), n)


def tree(n, seed):
    rng = np.random.default_rng(seed)
    return graph([(i, rng.integers(i)) for i in range(1, n)], n)


@pytest.mark.parametrize("n", [0, 1, 2, 5])
def test_no_edges(n):
    order = minimum_degree(np.zeros(n + 1, int), np.empty(0, int))
    assert sorted(order) == list(range(n))


@pytest.mark.parametrize("seed", range(3))
def test_trees_do_not_fill(seed):
    A = tree(200, seed)
    order = minimum_degree(A.indptr, A.indices, dense=-1)
    assert fill(A, order) == 199


def test_arrow_and_cycle():
    n = 40
    arrow = graph([(0, i) for i in range(1, n)], n)
    assert fill(arrow, minimum_degree(arrow.indptr, arrow.indices)) == n - 1
    cycle = graph([(i, (i + 1) % n) for i in range(n)], n)
    assert fill(cycle, minimum_degree(cycle.indptr, cycle.indices)) == 2 * n - 3


@pytest.mark.parametrize(
    "A",
    [grid(12), grid(20), random_graph(80, 160, 0), random_graph(150, 300, 1), tree(100, 5)],
    ids=["grid12", "grid20", "random80", "random150", "tree"],
)
def test_fill_is_close_to_exact_minimum_degree(A):
    order = minimum_degree(A.indptr, A.indices)
    assert sorted(order) == list(range(A.shape[0]))
    exact = fill(A, exact_minimum_degree(A))
    assert fill(A, order) <= 1.12 * exact + 5


@pytest.mark.parametrize(
    ("A", "entries"),
    [(grid(20), 3302), (grid(30), 9331), (random_graph(150, 300, 1), 1077)],
    ids=["grid20", "grid30", "random150"],
)
def test_fill_of_suitesparse(A, entries):
    """Entries of L found with the AMD of SuiteSparse that qdldl 0.1.9 contains."""
    assert fill(A, minimum_degree(A.indptr, A.indices)) <= 1.03 * entries


@pytest.mark.parametrize(
    ("name", "entries"), [("CVXQP1_S", 1512), ("QSHARE2B", 1361), ("DUAL1", 3649), ("QAFIRO", 140)]
)
def test_fill_of_suitesparse_on_kkt_matrices(name, entries):
    K = sp.csc_array(kkt(name)[0])
    assert fill(K, minimum_degree(K.indptr, K.indices)) <= 1.03 * entries


def test_triangle_diagonal_and_duplicates_do_not_matter():
    A = random_graph(60, 150, 2)
    upper = sp.csc_array(sp.triu(A + A.T, 1))
    both = sp.csc_array(upper + upper.T + sp.eye_array(60))
    one = fill(A, minimum_degree(upper.indptr, upper.indices))
    two = fill(A, minimum_degree(both.indptr, both.indices))
    doubled = np.repeat(upper.indices, 2)
    three = fill(A, minimum_degree(2 * upper.indptr, doubled))
    assert max(one, two, three) <= 1.05 * min(one, two, three)


@pytest.mark.parametrize("index", [np.int32, np.int64])
def test_index_types(index):
    A = grid(6)
    order = minimum_degree(A.indptr.astype(index), A.indices.astype(index))
    np.testing.assert_array_equal(order, minimum_degree(A.indptr, A.indices))


def test_nearly_full_rows_go_last():
    n = 400
    full = [(i, j) for i in (3, 200) for j in range(n) if i != j]
    A = graph([*full, *((i, i + 1) for i in range(n - 1))], n)
    order = minimum_degree(A.indptr, A.indices)
    assert set(order[-2:]) == {3, 200}


def test_tight_memory_gives_the_same_order():
    """With the least elbow room lists are compressed again and again."""
    A = random_graph(300, 900, 4)
    start, length, lists, free = ordering.adjacency(
        A.indptr.astype(np.int64), A.indices.astype(np.uint32)
    )
    orders = [
        ordering._minimum_degree(
            start.copy(),
            length.copy(),
            np.append(lists[:free], np.zeros(room, np.int32)),
            free,
            300,
        )
        for room in (301, 100_000)
    ]
    np.testing.assert_array_equal(*orders)


@given(
    n=st.integers(1, 30),
    edges=st.integers(0, 120),
    seed=st.integers(0, 10**6),
    dense=st.sampled_from([-1.0, 0.0, 10.0]),
)
def test_always_a_permutation(n, edges, seed, dense):
    A = random_graph(n, edges, seed)
    order = minimum_degree(A.indptr, A.indices, dense=dense)
    assert sorted(order) == list(range(n))
