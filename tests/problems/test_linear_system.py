"""LinearSystem: its certificate by hand, the forms A may take, and what is refused."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

import numopt
from numopt.problems import LinearSystem

A = np.array([[4.0, 1.0, 0.0], [1.0, 3.0, 2.0], [0.0, 5.0, 6.0]])
B = np.array([3.0, 0.0, 4.0])
X = np.array([1.0, -1.0, 2.0])
RESIDUAL = np.linalg.norm([3.0 - 3.0, 0.0 - 2.0, 4.0 - 7.0]) / 5.0


class Operator:
    """The least that counts as an operator."""

    shape = (3, 3)

    def matvec(self, x):
        return A @ x


FORMS = {
    "dense": A,
    "fortran": np.asfortranarray(A),
    "lists": A.tolist(),
    "integers": A.astype(int),
    "csr": sp.csr_array(A),
    "csc matrix": sp.csc_matrix(A),
    "coo": sp.coo_array(A),
    "LinearOperator": spla.aslinearoperator(A),
    "matvec": Operator(),
    "function": lambda x: A @ x,
    "column vector": lambda x: (A @ x)[:, None],
}


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
def test_certificate_by_hand(form):
    system = LinearSystem(form, B)
    certificate = system.certificate(X)
    assert certificate.kind == "global"
    assert list(certificate.gates) == ["residual"]
    assert certificate.residual == pytest.approx(RESIDUAL, rel=1e-15)
    assert certificate.fun == system.objective(X) == certificate.residual
    assert system.dtype == np.float64 and system.size == 3


def test_zero_right_hand_side_is_measured_absolutely():
    system = LinearSystem(A, np.zeros(3))
    assert system.objective(np.zeros(3)) == 0
    assert system.objective(X) == pytest.approx(np.linalg.norm(A @ X))


def test_certificate_is_in_float64_for_float32_data():
    rng = np.random.default_rng(0)
    M = rng.standard_normal((40, 40)).astype(np.float32)
    x = rng.standard_normal(40)
    b = (M.astype(np.float64) @ x).astype(np.float32)
    exact = np.linalg.norm(b - M.astype(np.float64) @ x) / np.linalg.norm(b.astype(np.float64))
    for form in (M, sp.csr_array(M)):
        system = LinearSystem(form, b)
        assert system.dtype == np.float32 and system.default_tol == 1e-5
        assert system.objective(x) == pytest.approx(exact, rel=1e-6)


@pytest.mark.parametrize("scale", [1e-200, 1e200])
def test_norms_do_not_overflow(scale):
    assert LinearSystem(A, B * scale).objective(X * scale) == pytest.approx(RESIDUAL)


def test_the_callers_sparse_matrix_stays_as_it_is():
    data, indices, indptr = np.array([1.0, 2.0, 3.0]), np.array([1, 1, 0]), np.array([0, 2, 3])
    given = sp.csr_array((data, indices, indptr), shape=(2, 2))
    system = LinearSystem(given, np.ones(2))
    np.testing.assert_array_equal(system.A.toarray(), [[0.0, 3.0], [3.0, 0.0]])
    np.testing.assert_array_equal(given.data, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("form", [A, sp.csr_array(A), spla.aslinearoperator(A)])
def test_replacing_b_keeps_a_and_what_is_known_of_it(form):
    system = LinearSystem(form, B)
    probe = system.probe()
    related = system.replace(b=2 * B)
    assert related.A is system.A
    assert related.probe() is probe
    assert system.replace(A=np.eye(3)).probe() is not probe


def test_an_operator_cannot_change_what_it_is_given():
    def spoil(x):
        x[0] = 7.0
        return A @ x

    with pytest.raises(ValueError, match="read-only"):
        LinearSystem(spoil, B).objective(X)


@pytest.mark.parametrize("form", [np.ascontiguousarray, sp.csr_array, spla.aslinearoperator])
def test_symmetry_probe(form):
    rng = np.random.default_rng(1)
    M = rng.standard_normal((30, 30))
    S = M + M.T
    assert LinearSystem(form(S), np.ones(30)).asymmetry() < 1e-13
    S[3, 17] += 1e-3
    assert LinearSystem(form(S), np.ones(30)).asymmetry() > 1e-7


@pytest.mark.parametrize("form", [np.ascontiguousarray, sp.csr_array])
def test_asymmetric_entry_is_the_worst_one(form):
    S = np.eye(4)
    S[0, 1] = 0.5
    S[3, 2] = -2.0
    assert LinearSystem(form(S), np.ones(4)).asymmetric_entry() == (2, 3)
    assert LinearSystem(form(np.eye(4)), np.ones(4)).asymmetric_entry() is None


def test_pickle():
    system = LinearSystem(sp.csr_array(A), B)
    system.probe()
    again = pickle.loads(pickle.dumps(system))
    assert again.objective(X) == system.objective(X)


WRONG = {
    "not square": (np.ones((3, 2)), B, ValueError, r"square.*\(3, 2\).*least squares"),
    "sparse not square": (sp.csr_array((3, 2)), B, ValueError, "square"),
    "operator not square": (spla.aslinearoperator(np.ones((3, 2))), B, ValueError, "square"),
    "lengths": (A, np.ones(2), ValueError, "A has 3 rows but b has 2"),
    "operator lengths": (Operator(), np.ones(2), ValueError, "A has 3 rows but b has 2"),
    "b 2-D": (A, B[:, None], ValueError, "b must be 1-D"),
    "A 1-D": (B, B, ValueError, "A must be 2-D"),
    "NaN in A": (np.where(A == 2, np.nan, A), B, ValueError, r"A has nan at index \(1, 2\)"),
    "inf in b": (A, [0.0, np.inf, 0.0], ValueError, "b has inf at index 1"),
    "NaN in sparse": (sp.csr_array([[np.nan]]), [1.0], ValueError, "A.data has nan"),
    "complex A": (A * 1j, B, TypeError, "A must hold real numbers, got complex"),
    "complex sparse": (sp.csr_array(A * 1j), B, TypeError, "A must hold real numbers"),
    "complex operator": (spla.aslinearoperator(A * 1j), B, TypeError, "A must be real"),
    "complex b": (A, B * 1j, TypeError, "b must hold real numbers"),
    "text": ([["a"]], [1.0], TypeError, "A must hold real numbers"),
}


@pytest.mark.parametrize("a, b, error, message", WRONG.values(), ids=WRONG)
def test_wrong_input_is_named(a, b, error, message):
    with pytest.raises(error, match=message):
        LinearSystem(a, b)


@pytest.mark.parametrize(
    "operator, error, message",
    [
        (lambda x: x[:-1], ValueError, "A must return 3 numbers, got shape"),
        (lambda x: x * 1j, TypeError, "A must return real numbers, got dtype complex128"),
    ],
)
def test_wrong_products_are_named(operator, error, message):
    with pytest.raises(error, match=message):
        LinearSystem(operator, B).objective(X)


def test_wrong_point_is_named():
    with pytest.raises(ValueError, match="x has 2 entries, expected 3"):
        LinearSystem(A, B).certificate(np.ones(2))


@pytest.mark.parametrize("solver", ["cg", "direct"])
def test_a_warm_start_of_another_size_is_named(solver):
    other = numopt.solve(LinearSystem(np.eye(2), [1.0, 2.0]), solver)
    with pytest.raises(ValueError, match=r"warm_start\['x'\] has 2 entries, expected 3"):
        numopt.solve(LinearSystem(np.eye(3), np.ones(3)), solver, warm_start=other)


def test_overflow_of_products_is_no_warning():
    system = LinearSystem(np.full((3, 3), 1e300), np.ones(3))
    certificate = system.certificate(np.full(3, 1e10))  # warnings are errors
    assert certificate["residual"] == np.inf
    assert not certificate.met(1e-8)
    assert not system.asymmetry() > 1e-10
