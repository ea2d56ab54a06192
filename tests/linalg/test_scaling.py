"""Norms and scalings against their definitions."""

import numpy as np
import pytest
import scipy.sparse as sp

from numopt.linalg.scaling import column_norms, pock_chambolle, row_norms, ruiz

SHAPES = [(0, 0), (0, 4), (4, 0), (1, 1), (1, 40), (40, 1), (23, 31)]


def matrix(m, n, seed, decades=3):
    """Badly scaled, with an empty row and column."""
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * 10 ** rng.uniform(-decades, decades, (m, n))
    A[rng.random((m, n)) > 0.5] = 0
    A[: m // 5] = 0
    A[:, : n // 5] = 0
    return sp.csr_array(A)


def hessian(n, seed):
    B = matrix(n, n, seed).toarray()
    return B @ B.T


# ---- norms ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("order", [1, 2, np.inf])
def test_norms(shape, order):
    A = matrix(*shape, 11)
    dense = A.toarray()
    rows = [np.linalg.norm(row, order) if row.size else 0.0 for row in dense]
    columns = [np.linalg.norm(column, order) if column.size else 0.0 for column in dense.T]
    for form in (A, dense):
        np.testing.assert_allclose(row_norms(form, order), rows, rtol=1e-14)
        np.testing.assert_allclose(column_norms(form, order), columns, rtol=1e-14)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_norms_of_extreme_entries(scale):
    A = sp.csr_array([[3 * scale, 4 * scale], [0.0, 0.0]])
    for form in (A, A.toarray()):
        np.testing.assert_allclose(row_norms(form), [5 * scale, 0], rtol=1e-15)
        np.testing.assert_allclose(column_norms(form.T), [5 * scale, 0], rtol=1e-15)


def test_unknown_norm():
    with pytest.raises(ValueError, match="ord must be 1, 2 or inf, got 3"):
        row_norms(np.ones((2, 2)), 3)


# ---- scalings ------------------------------------------------------------------------------------


def close_to_one_or_zero(norms, tol):
    return np.all((norms == 0) | (np.abs(norms - 1) <= tol))


@pytest.mark.parametrize("form", [sp.csr_array, sp.csc_matrix, np.asarray])
@pytest.mark.parametrize("shape", SHAPES)
def test_ruiz_equilibrates(shape, form):
    A = matrix(*shape, 1, decades=8).toarray()
    scaling = ruiz(form(A), n_sweeps=60, tol=1e-9)
    scaled = scaling.apply(A)
    np.testing.assert_allclose(scaled, scaling.rows[:, None] * A * scaling.columns)
    assert close_to_one_or_zero(row_norms(scaled, np.inf), 1e-9)
    assert close_to_one_or_zero(column_norms(scaled, np.inf), 1e-9)
    zero_rows, zero_columns = ~A.any(axis=1), ~A.any(axis=0)
    assert (scaling.rows[zero_rows] == 1).all() and (scaling.columns[zero_columns] == 1).all()
    in_sparse = scaling.apply(sp.csc_array(A))
    assert sp.issparse(in_sparse)
    np.testing.assert_allclose(in_sparse.toarray(), scaled, rtol=1e-15)


def test_one_sweep_by_hand():
    A = np.array([[4.0, 0.0], [1.0, 16.0]])
    scaling = ruiz(A, n_sweeps=1)
    np.testing.assert_allclose(scaling.rows, [1 / 2, 1 / 4])
    np.testing.assert_allclose(scaling.columns, [1 / 2, 1 / 4])


def test_ruiz_undoes_a_scaling():
    rng = np.random.default_rng(0)
    A = rng.choice([-1.0, 1.0], (12, 9))
    R, C = 10 ** rng.uniform(-6, 6, 12), 10 ** rng.uniform(-6, 6, 9)
    # 60 sweeps: the logarithms of the norms halve each time, from about 28.
    scaled = ruiz(R[:, None] * A * C, n_sweeps=60, tol=0).apply(R[:, None] * A * C)
    np.testing.assert_allclose(scaled, A, rtol=1e-10)


def test_ruiz_stops_at_the_tolerance():
    A = matrix(20, 20, 3)
    loose, tight = ruiz(A, n_sweeps=100, tol=0.1), ruiz(A, n_sweeps=100, tol=1e-12)
    norms = row_norms(loose.apply(A), np.inf)
    assert close_to_one_or_zero(norms, 0.1) and not close_to_one_or_zero(norms, 1e-6)
    assert close_to_one_or_zero(row_norms(tight.apply(A), np.inf), 1e-12)
    assert (ruiz(A, n_sweeps=0).rows == 1).all()


def kkt(P, A):
    m = A.shape[0]
    return np.block([[P, A.T], [A, np.zeros((m, m))]])


@pytest.mark.parametrize("method", [lambda A, P: ruiz(A, P=P), lambda A, P: pock_chambolle(A, P=P)])
def test_kkt_scaling_is_that_of_the_whole_matrix(method):
    A, P = matrix(7, 11, 4).toarray(), hessian(11, 5)
    scaling = method(A, sp.csc_array(P))
    whole = method(kkt(P, A), None)
    np.testing.assert_allclose(np.concatenate([scaling.columns, scaling.rows]), whole.rows)
    np.testing.assert_allclose(whole.columns, whole.rows)
    scaled = kkt(scaling.apply_symmetric(P), scaling.apply(A))
    np.testing.assert_allclose(scaled, whole.apply(kkt(P, A)))


def test_kkt_with_zero_hessian_is_the_rectangular_scaling():
    A = matrix(7, 11, 6)
    scaling, plain = ruiz(A, P=sp.csr_array((11, 11)), n_sweeps=40), ruiz(A, n_sweeps=40)
    np.testing.assert_allclose(scaling.rows, plain.rows)
    np.testing.assert_allclose(scaling.columns, plain.columns)


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0, 2.0])
@pytest.mark.parametrize("shape", SHAPES)
def test_pock_chambolle_bounds_the_norm(shape, alpha):
    A = matrix(*shape, 7)
    scaling = pock_chambolle(A, alpha=alpha)
    scaled = scaling.apply(A).toarray()
    if scaled.size:
        assert np.linalg.norm(scaled, 2) <= 1 + 1e-12
    powers = np.where(A.toarray() != 0, np.abs(A.toarray()) ** alpha, 0).sum(axis=1)
    np.testing.assert_allclose(scaling.rows, np.where(powers > 0, powers, 1) ** -0.5)


def test_pock_chambolle_after_ruiz():
    A = matrix(15, 10, 8)
    first = ruiz(A)
    second = pock_chambolle(first.apply(A))
    both = pock_chambolle(A, start=first)
    np.testing.assert_allclose(both.rows, first.rows * second.rows)
    np.testing.assert_allclose(both.columns, first.columns * second.columns)


def test_powers_of_two_scale_without_rounding():
    A = matrix(15, 10, 9).toarray()
    scaling = ruiz(A, n_sweeps=40, power_of_two=True)
    scaled = scaling.apply(A)
    np.testing.assert_array_equal(scaled / scaling.rows[:, None] / scaling.columns, A)
    largest = row_norms(scaled, np.inf)
    assert np.all((largest == 0) | ((largest >= 0.5 - 1e-3) & (largest <= 2 + 2e-3)))


def test_types():
    A = matrix(6, 5, 10)
    assert ruiz(A).apply(A.astype(np.float32)).dtype == np.float32
    assert ruiz(A).apply(A.astype(np.float32).toarray()).dtype == np.float32
    integers = sp.csr_array(np.array([[2, 0], [0, 8]]))
    assert ruiz(integers, n_sweeps=50).apply(integers).toarray() == pytest.approx(
        np.eye(2), rel=1e-3
    )


def test_bad_input():
    A = np.ones((2, 3))
    with pytest.raises(ValueError, match=r"P must have shape \(3, 3\) to go with A"):
        ruiz(A, P=np.eye(2))
    with pytest.raises(ValueError, match="alpha must lie in"):
        pock_chambolle(A, alpha=3)
    with pytest.raises(ValueError, match="alpha must be 1 where P is given"):
        pock_chambolle(A, P=np.eye(3), alpha=0.5)
    with pytest.raises(ValueError, match=r"A\.data has inf"):
        ruiz(A * np.inf)
    with pytest.raises(ValueError, match="n_sweeps"):
        ruiz(A, n_sweeps=-1)
