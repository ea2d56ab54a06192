"""Sketches as matrices, and least squares that rest on them."""

import numpy as np
import pytest
import scipy.linalg as la
import scipy.sparse as sp

from numopt.core.result import Status
from numopt.linalg.sketch import (
    KINDS,
    CountSketch,
    GaussianSketch,
    HadamardSketch,
    RowSample,
    draw_sketch,
    hadamard_transform,
)
from numopt.linalg.sketched_least_squares import (
    leverage_scores,
    sketch_preconditioner,
    sketched_lstsq,
)


def data(m, n, decades=0.0, seed=0, sparse=False):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * 10 ** np.linspace(0, -decades, n)
    if sparse:
        A *= rng.random((m, n)) < 0.3
        return sp.csr_array(A)
    return A


# ---- sketches ------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_a_sketch_is_one_matrix_for_all_forms_of_input(kind):
    A = data(70, 11, sparse=True)
    A.data[:3] = 0
    S = draw_sketch(A, 24, kind, random_state=3)
    assert S.shape == (24, 70)
    matrix, dense = S.toarray(), A.toarray()
    expected = matrix @ dense
    for form in (dense, np.asfortranarray(dense), dense[:, ::-1][:, ::-1], A, A.tocsc(), A.tocoo()):
        np.testing.assert_allclose(S.apply(form), expected, rtol=1e-12, atol=1e-12)
        np.testing.assert_allclose(S @ form, expected, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(S.apply(dense[:, 4]), expected[:, 4], rtol=1e-12, atol=1e-12)
    single = S.apply(dense.astype(np.float32))
    assert single.dtype == np.float32
    np.testing.assert_allclose(single, expected, rtol=1e-4, atol=1e-4)
    again = draw_sketch(A, 24, kind, random_state=3).toarray()
    np.testing.assert_array_equal(again, matrix)
    assert not np.array_equal(draw_sketch(A, 24, kind, random_state=4).toarray(), matrix)


@pytest.mark.parametrize("kind", KINDS)
def test_lengths_are_kept_on_average(kind):
    A = data(40, 6, 1)
    squares = [
        np.sum(draw_sketch(A, 20, kind, random_state=seed).apply(A) ** 2, axis=0)
        for seed in range(300)
    ]
    np.testing.assert_allclose(np.mean(squares, axis=0), np.sum(A**2, axis=0), rtol=0.15)


def test_count_sketch_structure():
    S = CountSketch(30, 200, n_nonzero=4, random_state=0).toarray()
    assert np.all((S != 0).sum(axis=0) == 4)
    np.testing.assert_allclose(np.abs(S[S != 0]), 0.5)
    one = CountSketch(30, 200, n_nonzero=1).toarray()
    assert set(np.unique(one)) == {-1.0, 0.0, 1.0} and np.all(np.abs(one).sum(axis=0) == 1)
    assert CountSketch(2, 9, n_nonzero=8).toarray().shape == (2, 9)


def test_hadamard_sketch_structure():
    S = HadamardSketch(16, 64).toarray()
    np.testing.assert_allclose(S @ S.T, 64 / 16 * np.eye(16), atol=1e-13)
    np.testing.assert_allclose(np.abs(S), 1 / 4)
    full = HadamardSketch(64, 64).toarray()
    np.testing.assert_allclose(full.T @ full, np.eye(64), atol=1e-13)


def test_gaussian_sketch_does_not_depend_on_its_blocks(monkeypatch):
    S, A = GaussianSketch(5, 50), data(50, 3)
    whole = S.apply(A)
    monkeypatch.setattr("numopt.linalg.sketch.DRAWN", 35)
    np.testing.assert_allclose(S.apply(A), whole, rtol=1e-12)


def test_row_samples():
    A = data(30, 4)
    uniform = RowSample(10, 30, random_state=0)
    assert len(set(uniform.rows)) == 10
    np.testing.assert_allclose(uniform.apply(A), A[uniform.rows] * np.sqrt(3))
    only = RowSample(7, 30, np.eye(30)[5])
    np.testing.assert_allclose(only.apply(A), np.tile(A[5] / np.sqrt(7), (7, 1)))


@pytest.mark.parametrize("N", [1, 2, 4, 8, 64, 1024, 4096, 8192])
def test_hadamard_transform(N):
    rng = np.random.default_rng(0)
    X = rng.standard_normal((N, 3))
    twice = hadamard_transform(hadamard_transform(X.copy()))
    np.testing.assert_allclose(twice, N * X, rtol=0, atol=1e-11 * N)
    if N <= 1024:
        np.testing.assert_allclose(hadamard_transform(X.copy()), la.hadamard(N) @ X, atol=1e-10)
    x = np.zeros(N, np.float32)
    x[N // 3] = 1
    column = np.array([(-1) ** (i & (N // 3)).bit_count() for i in range(N)])
    np.testing.assert_array_equal(hadamard_transform(x), column)


# ---- preconditioners -----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["gaussian", "count", "hadamard", "leverage"])
@pytest.mark.parametrize("coherent", [False, True])
def test_condition_is_bounded(kind, coherent):
    # (1 + 1/2) / (1 - 1/2) = 3 for four times as many rows as columns, with room for chance.
    for seed in range(3):
        A = data(1500, 20, 9, seed)
        if coherent:
            A[:10] *= 1e5
        N = sketch_preconditioner(A, kind=kind, random_state=seed)
        assert N.rank == 20
        AN = np.column_stack([A @ N.operator.matvec(e) for e in np.eye(20)])
        assert np.linalg.cond(A) > 1e8 and np.linalg.cond(AN) < 6
        e = np.arange(20.0)
        y = np.random.default_rng(seed).standard_normal(20)
        assert y @ N.operator.matvec(e) == pytest.approx(N.operator.rmatvec(y) @ e, rel=1e-9)


def test_condition_with_damping():
    A, damp = data(1500, 20, 12), 1e-3
    N = sketch_preconditioner(A, damp=damp).operator
    stacked = np.concatenate([A, damp * np.eye(20)])
    assert np.linalg.cond(np.column_stack([stacked @ N.matvec(e) for e in np.eye(20)])) < 6


def test_rank_is_found():
    A = data(900, 6) @ data(6, 15, seed=1)
    N = sketch_preconditioner(A)
    assert N.rank == 6 and N.operator.shape == (15, 6)
    AN = np.column_stack([A @ N.operator.matvec(e) for e in np.eye(6)])
    assert np.linalg.cond(AN) < 8
    assert sketch_preconditioner(np.zeros((50, 3))).rank == 0
    assert sketch_preconditioner(np.zeros((50, 0))).rank == 0


# ---- least squares -------------------------------------------------------------------------------


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("shape", [(400, 12), (30, 12), (12, 12), (12, 400), (1, 9), (9, 1)])
def test_least_squares(shape, sparse):
    A = data(*shape, 2, seed=2, sparse=sparse)
    dense = A.toarray() if sparse else A
    b = np.random.default_rng(3).standard_normal(shape[0])
    result = sketched_lstsq(A, b, rtol=1e-12)
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.lstsq(dense, b)[0], rtol=1e-6, atol=1e-8)
    r = b - dense @ result.x
    assert result.residual_norm == pytest.approx(np.linalg.norm(r), abs=1e-10)


@pytest.mark.parametrize("shape", [(800, 15), (15, 800)])
@pytest.mark.parametrize("damp", [1e-2, 10.0])
def test_ridge(shape, damp):
    A = data(*shape, 3, seed=4)
    b = np.random.default_rng(5).standard_normal(shape[0])
    x = np.linalg.solve(A.T @ A + damp**2 * np.eye(shape[1]), A.T @ b)
    result = sketched_lstsq(A, b, damp=damp, rtol=1e-12)
    assert result.success
    np.testing.assert_allclose(result.x, x, rtol=1e-6, atol=1e-8)


def test_iterations_do_not_depend_on_the_condition():
    b = np.random.default_rng(0).standard_normal(1500)
    counts = [sketched_lstsq(data(1500, 20, d), b, rtol=1e-10).nit for d in (0, 4, 8)]
    assert max(counts) <= 40 and max(counts) - min(counts) <= 12
    A = data(1500, 20, 8)
    result = sketched_lstsq(A, b, rtol=1e-13)
    r = b - A @ result.x
    assert np.linalg.norm(A.T @ r) <= 1.01e-13 * np.linalg.norm(A, 2) * np.linalg.norm(r)


@pytest.mark.parametrize("shape", [(600, 14), (14, 600)])
def test_deficient_problems_give_the_shortest_solution(shape):
    A = data(shape[0], 5, 1) @ data(5, shape[1], 1, seed=1)
    b = np.random.default_rng(2).standard_normal(shape[0])
    result = sketched_lstsq(A, b, rtol=1e-10)
    np.testing.assert_allclose(result.x, np.linalg.pinv(A, rcond=1e-10) @ b, atol=1e-8)
    assert result.success


def test_a_sketch_that_misses_part_of_the_space_is_no_false_success():
    A = data(2000, 10)
    A[:3] *= 1e12  # three rows get all the samples
    b = np.random.default_rng(0).standard_normal(2000)
    result = sketched_lstsq(A, b, kind="row-norms", rtol=1e-14, max_iter=60)
    r = b - A @ result.x
    if not np.linalg.norm(A.T @ r) <= 1.01e-14 * np.linalg.norm(A, 2) * np.linalg.norm(r):
        assert result.status in (Status.ITERATION_LIMIT, Status.STALLED)
    else:
        assert result.success


def test_float32():
    A = data(500, 8).astype(np.float32)
    b = np.ones(500, np.float32)
    result = sketched_lstsq(A, b)
    assert result.success and result.x.dtype == np.float32
    np.testing.assert_allclose(result.x, np.linalg.lstsq(A, b)[0], atol=1e-4)


def test_leverage_scores():
    A = data(300, 7, 3)
    A[:4] *= 50
    Q = np.linalg.qr(A)[0]
    exact = np.sum(Q**2, axis=1)
    np.testing.assert_allclose(leverage_scores(A), exact, rtol=1e-9)
    for form in (A, sp.csr_array(A)):
        rough = leverage_scores(form, exact=False)
        assert 0.2 < (rough / exact).min() and (rough / exact).max() < 4
    deficient = data(100, 3) @ data(3, 9, seed=1)
    assert leverage_scores(deficient).sum() == pytest.approx(3)
    assert leverage_scores(sp.csr_array(deficient)).sum() == pytest.approx(3, rel=0.6)


# ---- bad input -----------------------------------------------------------------------------------


def test_bad_input():
    A = np.ones((20, 3))
    with pytest.raises(ValueError, match="kind must be one of"):
        draw_sketch(A, 5, "fft")
    with pytest.raises(ValueError, match="size must be >= 1"):
        draw_sketch(A, 0)
    with pytest.raises(ValueError, match="A must have 20 rows"):
        draw_sketch(A, 5).apply(np.ones(19))
    with pytest.raises(TypeError, match="real numbers"):
        draw_sketch(A, 5).apply(A * 1j)
    with pytest.raises(ValueError, match="size is 40, but a transform of 20 rows has only 32"):
        HadamardSketch(40, 20)
    with pytest.raises(ValueError, match="only 20 rows to sample"):
        RowSample(21, 20)
    with pytest.raises(ValueError, match="probabilities must be 3 numbers >= 0"):
        RowSample(2, 3, [1, -1, 1])
    with pytest.raises(ValueError, match="2\\^k rows"):
        hadamard_transform(np.ones(3))
    with pytest.raises(ValueError, match="C-contiguous"):
        hadamard_transform(np.ones(8)[::2])
    with pytest.raises(ValueError, match="give its transpose"):
        sketch_preconditioner(A.T)
    with pytest.raises(ValueError, match="size must be >= 3"):
        sketch_preconditioner(A, size=2)
    with pytest.raises(ValueError, match="b has 3 entries, expected 20"):
        sketched_lstsq(A, np.ones(3))
    with pytest.raises(ValueError, match="A has nan"):
        sketched_lstsq(A * np.nan, np.ones(20))
    with pytest.raises(ValueError, match=r"A\.data has inf"):
        sketched_lstsq(sp.csr_array(A * np.inf), np.ones(20), kind="gaussian")
    with pytest.raises(ValueError, match="damp"):
        sketched_lstsq(A.T, np.ones(3), damp=-1)
