"""Updated factors against factors from scratch, and what failures leave behind."""

import numpy as np
import pytest
import scipy.linalg
from hypothesis import given, settings
from hypothesis import strategies as st

from numopt.linalg import UpdatableCholesky, UpdatableQR
from numopt.linalg.cholesky import backward_solve_into, forward_solve_into
from numopt.linalg.cholesky_updates import (
    bordered_solve_into,
    cholesky_append,
    cholesky_append_block,
    cholesky_delete,
    cholesky_downdate,
    cholesky_move,
    cholesky_swap,
    cholesky_update,
    inverse_swap,
)
from numopt.linalg.qr_updates import project_out, qr_append, qr_delete, upper_solve_into

fixed = settings(deadline=None, derandomize=True, max_examples=40)
SIZES = st.integers(1, 12)
SEEDS = st.integers(0, 10_000)
DTYPES = [np.float64, np.float32]
ROOM = 3  # capacity beyond the size; NaN there shows reads of what is not the factor


def positive(n, rng, decades=0.0, dtype=np.float64):
    """Positive definite with variables of different scales."""
    B = rng.standard_normal((n, n + 2))
    d = 10 ** rng.uniform(-decades, decades, n)
    return (d[:, None] * (B @ B.T + 0.1 * np.eye(n)) * d).astype(dtype)


def buffer_of(A, room=ROOM):
    """The factor of A in a larger buffer, NaN wherever it is not to be read."""
    n = A.shape[0]
    L = np.full((n + room, n + room), np.nan, A.dtype, order="F")
    low = np.tril_indices(n)
    L[low] = np.linalg.cholesky(A)[low] if n else 0
    return L


def assert_factor(L, A, tol=100):
    """L L' = A to rounding, relative to the scales of the variables; diagonal positive."""
    n = A.shape[0]
    low = np.tril(L[:n, :n])
    assert np.all(np.diag(low) > 0)
    d = np.sqrt(np.diag(A)) if n else np.ones(0)
    error = np.abs(low.astype(float) @ low.T.astype(float) - A) / d[:, None] / d
    assert np.max(error, initial=0.0) <= tol * np.finfo(A.dtype).eps * (n + 1)


# ---- variables come and go -----------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@fixed
@given(SIZES, SEEDS)
def test_append(dtype, n, seed):
    A = positive(n, np.random.default_rng(seed), 3 if dtype is np.float64 else 0, dtype)
    L = buffer_of(A[:0, :0], n + ROOM)
    for k in range(n):
        column = A[: k + 1, k].copy()
        assert cholesky_append(L, k, column, 0.0) == 0
        np.testing.assert_array_equal(column, L[k, : k + 1])
    assert_factor(L, A)
    np.testing.assert_allclose(np.tril(L[:n, :n]), np.linalg.cholesky(A), rtol=0.01)


@fixed
@given(st.integers(0, 8), st.integers(0, 5), SEEDS)
def test_append_block(n, m, seed):
    A = positive(n + m, np.random.default_rng(seed), 3)
    L = buffer_of(A[:n, :n], m + ROOM)
    assert cholesky_append_block(L, n, A[:, n:].copy(order="F"), 0.0) == m
    assert_factor(L, A)


def test_append_block_stops_at_the_first_dependent_variable():
    A = positive(6, np.random.default_rng(0))
    A = A[np.ix_([0, 1, 2, 3, 1, 4, 5], [0, 1, 2, 3, 1, 4, 5])]  # the fifth repeats the second
    L = buffer_of(A[:2, :2], 6)
    assert cholesky_append_block(L, 2, A[:, 2:].copy(order="F"), 1e-12) == 2
    assert_factor(L, A[:4, :4])


@pytest.mark.parametrize("extra", [-1e-3, 0.0])
def test_append_refuses_what_is_not_definite(extra):
    rng = np.random.default_rng(1)
    X = rng.standard_normal((20, 5))
    A = X.T @ X
    a = A @ rng.standard_normal(5)
    column = np.append(a, a @ np.linalg.solve(A, a) * (1 + extra))
    L = buffer_of(A)
    before = L.copy()
    assert cholesky_append(L, 5, column.copy(), 1e-13) == 1
    np.testing.assert_array_equal(L, before)
    column[-1] *= 1 + 1e-6
    if extra == 0:
        assert cholesky_append(L, 5, column, 1e-13) == 0
    for bad in (np.nan, 0.0, -1.0):
        assert cholesky_append(L, 0, np.array([bad]), 0.0) == 1


@fixed
@given(SIZES, SEEDS, st.data())
def test_delete(n, seed, data):
    A = positive(n, np.random.default_rng(seed), 3)
    L = buffer_of(A)
    i = data.draw(st.integers(0, n - 1))
    cholesky_delete(L, n, i, np.empty(n))
    assert_factor(L, np.delete(np.delete(A, i, 0), i, 1))


# ---- rank-one changes ----------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", DTYPES)
@fixed
@given(SIZES, SEEDS)
def test_update_and_downdate(dtype, n, seed):
    rng = np.random.default_rng(seed)
    A = positive(n, rng, 0, dtype)
    x = rng.standard_normal(n).astype(dtype)
    L = buffer_of(A)
    cholesky_update(L, n, x.copy())
    larger = A + np.outer(x, x)
    assert_factor(L, larger)
    assert cholesky_downdate(L, n, x.copy(), np.empty_like(x), 0.0) == 0
    # What downdating loses is relative to the larger matrix.
    error = np.tril(L[:n, :n]) @ np.tril(L[:n, :n]).T - A
    assert np.abs(error).max() <= 200 * n * np.finfo(dtype).eps * np.abs(larger).max()


@pytest.mark.parametrize("left", [1e-2, 1e-6, 1e-10])
def test_downdate_to_nearly_singular(left):
    n = 8
    rng = np.random.default_rng(2)
    A = positive(n, rng)
    L = buffer_of(A)
    p = rng.standard_normal(n)
    x = np.linalg.cholesky(A) @ (p / np.linalg.norm(p) * np.sqrt(1 - left))
    assert cholesky_downdate(L, n, x.copy(), np.empty(n), 1e-13) == 0
    low = np.tril(L[:n, :n])
    np.testing.assert_allclose(low @ low.T, A - np.outer(x, x), atol=1e-13 * np.abs(A).max())
    ratio = np.prod(np.diag(low) ** 2) / np.linalg.det(A)
    assert ratio == pytest.approx(left, rel=1e-13 / left)


@pytest.mark.parametrize("length", [1.0, 1.0 + 1e-9, 3.0, np.nan, np.inf])
def test_downdate_refuses_to_lose_definiteness(length):
    A = positive(6, np.random.default_rng(3))
    L = buffer_of(A)
    before = L.copy()
    x = np.linalg.cholesky(A) @ np.full(6, 1 / np.sqrt(6)) * length
    with np.errstate(invalid="ignore"):  # where kernels run uncompiled
        assert cholesky_downdate(L, 6, x, np.empty(6), 1e-14) == 1
    np.testing.assert_array_equal(L, before)


# ---- variables change places ---------------------------------------------------------------------


@fixed
@given(st.integers(2, 12), SEEDS, st.data())
def test_swap_and_its_inverse(n, seed, data):
    A = positive(n, np.random.default_rng(seed), 1)
    L = buffer_of(A)
    t = data.draw(st.integers(0, n - 2))
    a, b, c = L[t, t] ** 2, L[t + 1, t] ** 2, L[t + 1, t + 1] ** 2
    M = np.asfortranarray(np.linalg.inv(np.tril(L[:n, :n])))
    inverse_swap(M, n, t, *cholesky_swap(L, n, t))
    order = np.arange(n)
    order[[t, t + 1]] = t + 1, t
    assert_factor(L, A[np.ix_(order, order)])
    assert L[t, t] ** 2 == pytest.approx(b + c)
    assert L[t + 1, t + 1] ** 2 == pytest.approx(a * c / (b + c))
    np.testing.assert_allclose(M @ np.tril(L[:n, :n]), np.eye(n), atol=1e-9)


@fixed
@given(SIZES, SEEDS, st.data())
def test_move(n, seed, data):
    A = positive(n, np.random.default_rng(seed), 2)
    L = buffer_of(A)
    source, target = (data.draw(st.integers(0, n - 1)) for _ in range(2))
    cholesky_move(L, n, source, target)
    order = list(range(n))
    order.insert(target, order.pop(source))
    assert_factor(L, A[np.ix_(order, order)])


def test_a_thousand_changes():
    """Rounding does not build up."""
    rng = np.random.default_rng(4)
    X = rng.standard_normal((60, 30))
    G = X.T @ X
    L = np.full((30, 30), np.nan, order="F")
    active = []
    for _ in range(1000):
        if len(active) < 3 or (len(active) < 30 and rng.random() < 0.5):
            j = rng.choice(np.setdiff1d(np.arange(30), active))
            active.append(j)
            column = G[active, j].copy()
            assert cholesky_append(L, len(active) - 1, column, 1e-12) == 0
        elif rng.random() < 0.5:
            i = int(rng.integers(len(active)))
            cholesky_delete(L, len(active), i, np.empty(len(active)))
            del active[i]
        else:
            t = int(rng.integers(len(active) - 1))
            cholesky_swap(L, len(active), t)
            active[t], active[t + 1] = active[t + 1], active[t]
    assert_factor(L, G[np.ix_(active, active)])


# ---- solves --------------------------------------------------------------------------------------


@pytest.mark.parametrize("n", [0, 1, 3, 4, 9])
def test_triangular_solves_within_a_larger_buffer(n):
    rng = np.random.default_rng(n)
    L = buffer_of(positive(n, rng))
    low, b = np.tril(L[:n, :n]), rng.standard_normal(n)
    for solve, matrix in ((forward_solve_into, low), (backward_solve_into, low.T)):
        x = b.copy()
        solve(L, x)
        np.testing.assert_allclose(matrix @ x, b, atol=1e-12)
    R, x = np.asfortranarray(L.T), b.copy()
    upper_solve_into(R, x)
    np.testing.assert_allclose(low.T @ x, b, atol=1e-12)


@fixed
@given(st.integers(1, 10), st.integers(0, 4), SEEDS, st.booleans())
def test_bordered_systems(n, m, seed, constraints):
    rng = np.random.default_rng(seed)
    m = min(m, n) if constraints else m
    A, B = positive(n, rng), rng.standard_normal((n, m))
    D = np.zeros((m, m)) if constraints else rng.standard_normal((m, m))
    whole = np.block([[A, B], [B.T, D]])
    if m and np.linalg.cond(whole) > 1e6:
        return
    f, g = rng.standard_normal(n), rng.standard_normal(m)
    expected = np.linalg.solve(whole, np.append(f, g))
    borders, corner = np.asfortranarray(B), np.asfortranarray(D)
    assert bordered_solve_into(buffer_of(A), borders, corner, f, g) == 0
    np.testing.assert_allclose(np.append(f, g), expected, atol=1e-8 * (1 + abs(expected).max()))


def test_bordered_system_with_a_zero_leading_pivot():
    # The Schur complement is [0 1; 1 0]: elimination has to exchange its rows.
    B = np.asfortranarray(np.eye(2))
    D = np.asfortranarray([[1.0, 1.0], [1.0, 1.0]])
    f, g = np.zeros(2), np.array([3.0, 5.0])
    assert bordered_solve_into(np.asfortranarray(np.eye(2)), B, D, f, g) == 0
    assert g.tolist() == [5.0, 3.0] and f.tolist() == [-5.0, -3.0]


def test_singular_bordered_system():
    A = positive(4, np.random.default_rng(5))
    B = np.asfortranarray(np.ones((4, 2)))  # the same constraint twice
    f, g = np.ones(4), np.ones(2)
    assert bordered_solve_into(buffer_of(A), B, np.zeros((2, 2), order="F"), f, g) == 1


# ---- QR ------------------------------------------------------------------------------------------


def qr_of(X, room=2):
    m, k = X.shape
    Q = np.full((m, k + room), np.nan, X.dtype, order="F")
    R = np.full((k + room, k + room), np.nan, X.dtype, order="F")
    for j in range(k):
        assert qr_append(Q, R, j, X[:, j].copy(), np.empty(j, X.dtype), 0.0) == 0
    return Q, R


def assert_qr(Q, R, X, tol=20):
    k = X.shape[1]
    q, r = Q[:, :k].astype(float), np.triu(R[:k, :k]).astype(float)
    eps = tol * np.finfo(X.dtype).eps * (k + 1)
    assert np.max(np.abs(q.T @ q - np.eye(k)), initial=0.0) <= eps
    assert np.max(np.abs(q @ r - X) / np.linalg.norm(X, axis=0), initial=0.0) <= eps
    assert np.all(np.diag(r) > 0)


@pytest.mark.parametrize("dtype", DTYPES)
@fixed
@given(st.integers(1, 30), st.integers(0, 13), SEEDS)
def test_qr_append(dtype, m, k, seed):
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((m, min(m, k))).astype(dtype)
    X *= 10 ** rng.uniform(-4, 4, X.shape[1])
    X = X.astype(dtype)
    Q, R = qr_of(X)
    assert_qr(Q, R, X)
    r = scipy.linalg.qr(X, mode="economic")[1]
    r *= np.where(np.diag(r) < 0, -1, 1)[:, None]
    norms = np.linalg.norm(X, axis=0)
    condition = np.linalg.cond(X / norms) if X.size else 1.0
    ours = np.triu(R[: X.shape[1], : X.shape[1]])
    np.testing.assert_allclose(ours / norms, r / norms, atol=20 * condition * np.finfo(dtype).eps)


@pytest.mark.parametrize("closeness", [1e-4, 1e-8, 1e-12])
def test_qr_stays_orthogonal_for_nearly_dependent_columns(closeness):
    rng = np.random.default_rng(6)
    X = rng.standard_normal((200, 1)) + closeness * rng.standard_normal((200, 40))
    Q, R = qr_of(X)
    assert np.abs(Q[:, :40].T @ Q[:, :40] - np.eye(40)).max() <= 1e-14
    assert_qr(Q, R, X)


def test_qr_refuses_dependent_columns():
    rng = np.random.default_rng(7)
    X = rng.standard_normal((12, 5))
    Q, R = qr_of(X)
    before = Q.copy(), R[:, :5].copy()
    for column in (X @ rng.standard_normal(5), np.zeros(12), np.full(12, np.nan)):
        assert qr_append(Q, R, 5, column, np.empty(5), 1e-12) == 1
    np.testing.assert_array_equal(Q, before[0])
    np.testing.assert_array_equal(R[:, :5], before[1])


@fixed
@given(st.integers(1, 10), SEEDS, st.data())
def test_qr_delete(k, seed, data):
    rng = np.random.default_rng(seed)
    X, y = rng.standard_normal((15, k)), rng.standard_normal(15)
    Q, R = qr_of(X)
    i = data.draw(st.integers(0, k - 1))
    z = Q[:, :k].T @ y
    qr_delete(Q, R, k, i, z)
    assert_qr(Q, R, np.delete(X, i, 1))
    np.testing.assert_allclose(z, Q[:, :k].T @ y, atol=1e-13)


@pytest.mark.parametrize("k", [0, 1, 3, 4, 6, 9])
def test_project_out(k):
    rng = np.random.default_rng(8)
    Q, v = np.asfortranarray(rng.standard_normal((33, k + 1))), rng.standard_normal(33)
    r, h = v.copy(), np.empty(k)
    project_out(Q, r, h)
    np.testing.assert_allclose(h, Q[:, :k].T @ v, atol=1e-13)
    np.testing.assert_allclose(r, v - Q[:, :k] @ (Q[:, :k].T @ v), atol=1e-12)


# ---- fronts --------------------------------------------------------------------------------------


def test_updatable_cholesky():
    rng = np.random.default_rng(9)
    A = positive(20, rng)
    x = rng.standard_normal(20)
    factor = UpdatableCholesky(A[:2, :2], capacity=2)
    for k in range(2, 20):
        factor.append(A[: k + 1, k])
    factor.update(x)
    factor.swap(3)
    factor.delete(10)
    order = [0, 1, 2, 4, 3, *range(5, 10), *range(11, 20)]
    expected = (A + np.outer(x, x))[np.ix_(order, order)]
    np.testing.assert_allclose(factor.L @ factor.L.T, expected, atol=1e-12)
    b = rng.standard_normal(19)
    np.testing.assert_allclose(factor.solve(b), np.linalg.solve(expected, b), atol=1e-10)
    factor.downdate(x[order])
    np.testing.assert_allclose(factor.L @ factor.L.T, A[np.ix_(order, order)], atol=1e-11)
    before = factor.L
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        factor.downdate(100 * x[order])
    with pytest.raises(np.linalg.LinAlgError, match="not positive definite"):
        factor.append(np.append(A[order, 0], A[0, 0]))
    np.testing.assert_array_equal(factor.L, before)
    assert UpdatableCholesky(A.astype(np.float32)).L.dtype == np.float32
    assert UpdatableCholesky().solve([]).size == 0


def test_updatable_qr():
    rng = np.random.default_rng(10)
    X, y = rng.standard_normal((12, 12)), rng.standard_normal(12)
    factor = UpdatableQR(12, capacity=1)
    for column in X.T:
        factor.append(column)
    np.testing.assert_allclose(X @ factor.solve(y), y, atol=1e-8)
    with pytest.raises(np.linalg.LinAlgError, match="depends"):
        factor.append(y)
    for i in (11, 5, 0, 3):
        factor.delete(i)
        X = np.delete(X, i, 1)
    np.testing.assert_allclose(factor.Q @ factor.R, X, atol=1e-12)
    np.testing.assert_allclose(factor.solve(y), np.linalg.lstsq(X, y)[0], atol=1e-10)
    with pytest.raises(np.linalg.LinAlgError, match="depends"):
        factor.append(X @ np.arange(8.0))


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: UpdatableCholesky(np.ones((2, 3))), r"A must be square, got shape \(2, 3\)"),
        (lambda: UpdatableCholesky(np.eye(2), capacity=1), "capacity must be >= 2"),
        (lambda: UpdatableCholesky(np.eye(2)).append([1.0]), "column has 1 entries, expected 3"),
        (lambda: UpdatableCholesky(np.eye(2)).delete(2), "index must be less than 2, got 2"),
        (lambda: UpdatableCholesky(np.eye(2)).swap(1), "index must be less than 1, got 1"),
        (lambda: UpdatableCholesky(np.eye(2)).solve([np.nan, 1.0]), "b has nan at index 0"),
        (lambda: UpdatableQR(3).append([1.0]), "column has 1 entries, expected 3"),
        (lambda: UpdatableQR(3).delete(0), "index must be less than 0, got 0"),
        (lambda: UpdatableQR(-1), "m must be >= 0"),
    ],
)
def test_wrong_arguments(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_not_positive_definite_to_begin_with():
    with pytest.raises(np.linalg.LinAlgError):
        UpdatableCholesky([[1.0, 2.0], [2.0, 1.0]])
