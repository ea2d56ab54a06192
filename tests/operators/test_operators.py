"""Operators: compiled and plain forms, components, Lipschitz constants, monotonicity."""

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.calculus import SeparableSum
from numopt.operators import Affine, Components, ForwardBackward, Saddle, as_linear
from numopt.operators._base import add_change, apply_into
from numopt.operators._kernels import add_changes, apply_operator
from numopt.operators.components import as_components
from numopt.sets import Box, Simplex

RNG = np.random.default_rng(0)
A = RNG.standard_normal((3, 5))
H, K = np.diag([1.0, 2, 0, 1, 3]), np.eye(3)
M = RNG.standard_normal((8, 8))
CASES = {
    "affine": (Affine(M, np.arange(8.0)), M),
    "affine sparse": (Affine(sp.csr_array(M * (abs(M) > 1))), M * (abs(M) > 1)),
    "saddle": (Saddle(A, c=np.ones(5), b=np.ones(3)), np.block([[0 * H, A.T], [-A, 0 * K]])),
    "saddle quadratic": (Saddle(sp.csc_array(A), H=H, K=K), np.block([[H, A.T], [-A, K]])),
}
every_case = pytest.mark.parametrize("name", CASES)


@every_case
def test_forms_agree(name):
    F, matrix = CASES[name]
    z, w = RNG.standard_normal((2, 8))
    constant = F(np.zeros(8))
    np.testing.assert_allclose(F(z), matrix @ z + constant, atol=1e-13)
    compiled = np.empty(8)
    apply_operator(F.spec(), z, compiled)
    np.testing.assert_allclose(compiled, F(z), atol=1e-13)
    change = np.zeros(8)
    add_changes(F.spec(), np.arange(8), z, w, 1 / 8, change)
    np.testing.assert_allclose(change, F(z) - F(w), atol=1e-13)


@every_case
def test_lipschitz_constants(name):
    F, matrix = CASES[name]
    norm = np.linalg.norm(matrix, 2)
    assert norm * (1 - 1e-12) <= F.lipschitz <= 1.01 * norm + (2 if "quadratic" in name else 0) * 3
    # The mean of |F_i(z) - F_i(w)|^2 is largest along the longest column.
    columns = np.linalg.norm(matrix, axis=0)
    assert F.average_lipschitz == pytest.approx(np.sqrt(8) * columns.max())


def test_monotone():
    assert Affine([[1.0, 5.0], [-5.0, 0.0]]).monotone
    assert not Affine([[1.0, 5.0], [5.0, 0.0]]).monotone
    assert Saddle(A, H=H, K=K).monotone
    assert not Saddle(A, H=-H).monotone
    assert Affine(np.zeros((3, 3))).monotone


def test_forward_backward():
    F = Affine(np.eye(6), -np.arange(6.0))
    G = SeparableSum([Simplex(), Box(0.0, 1.0)], [3, 3])
    T = ForwardBackward(F, G, 0.5)
    z = RNG.standard_normal(6)
    expected = G.project(z - 0.5 * (z - np.arange(6.0))) if hasattr(G, "project") else T(z)
    np.testing.assert_allclose(T(z), expected)
    out = np.empty(6)
    apply_operator(T.spec(), z, out)
    np.testing.assert_allclose(out, T(z), atol=1e-15)


def test_users_can_write_operators():
    @numopt.block
    class Cube:
        strength: float

        def apply_into(self, z, out):
            for i in range(z.size):
                out[i] = self.strength * z[i] ** 3

    F = Cube(2.0)
    assert F([1.0, -2.0]).tolist() == [2.0, -16.0]
    result = numopt.solve_vi(F, [1.0, 0.5], project=Box(0.25, 2.0))
    np.testing.assert_allclose(result.x, 0.25, atol=1e-8)


def test_plain_functions_call_the_methods():
    matrix = CASES["affine"][1]
    out = np.zeros(8)

    class Plain:
        def apply_into(self, z, out):
            out[:] = matrix @ z

        def add_change(self, i, z, w, scale, out):
            out += scale * 8 * (z[i] - w[i]) * matrix[:, i]

    apply_into(Plain(), np.ones(8), out)
    np.testing.assert_allclose(out, matrix.sum(axis=1))
    add_change(Plain(), 2, np.ones(8), np.zeros(8), -1 / 8, out)
    np.testing.assert_allclose(out, matrix.sum(axis=1) - matrix[:, 2])


def test_components_in_all_their_forms():
    X = RNG.standard_normal((6, 2))

    def partial(z, batch):
        return X[batch].T @ (X[batch] @ z) / len(batch)

    whole = X.T @ X @ np.ones(2) / 6
    functions = [lambda z, i=i: X[i] * (X[i] @ z) for i in range(6)]
    for given in (Components(6, partial), (6, partial), functions, tuple(functions)):
        parts = as_components(given)
        assert parts.n_components == 6
        np.testing.assert_allclose(parts(np.ones(2)), whole)
        np.testing.assert_allclose(
            parts.partial(np.ones(2), np.array([1, 1])), X[1] * (X[1] @ np.ones(2))
        )
    with pytest.raises(TypeError, match=r"a pair \(n, partial\) or a sequence"):
        as_components(3)
    with pytest.raises(TypeError, match="partial must be callable"):
        Components(3, 4)


def test_wrong_arguments():
    with pytest.raises(ValueError, match=r"Affine: M must be square and not empty, got shape \(3"):
        Affine(A)
    with pytest.raises(ValueError, match="Affine: q has 3 entries, expected 2"):
        Affine(np.eye(2), np.ones(3))
    with pytest.raises(ValueError, match=r"Saddle: H must have shape \(5, 5\)"):
        Saddle(A, H=np.eye(3))
    with pytest.raises(ValueError, match="Saddle: b has 5 entries, expected 3"):
        Saddle(A, b=np.ones(5))
    with pytest.raises(ValueError, match="Saddle: K is not symmetric"):
        Saddle(A, K=np.triu(np.ones((3, 3))))
    with pytest.raises(ValueError, match="Saddle: A is empty"):
        Saddle(np.zeros((0, 2)))


def test_matrices():
    for given in (A, sp.coo_array(A)):
        matrix = as_linear(given)
        assert matrix.shape == (3, 5)
        np.testing.assert_allclose(matrix.rmatvec(np.ones(3)), A.sum(axis=0))
        assert matrix.norm() == pytest.approx(np.linalg.norm(A, 2), rel=2e-3)
        assert as_linear(matrix) is matrix
