"""Splitting, its certificate, its maps and terms, consensus and sharing."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg

import numopt
from numopt.linalg.maps import Differences, Map, Repeat
from numopt.linalg.pencil import Pencil
from numopt.losses import LeastSquares
from numopt.penalties import L1, MCP, Nonnegative, Ridge, Zero
from numopt.problems import Splitting
from numopt.problems.splitting import consensus, sharing
from numopt.sets import Box, Simplex
from numopt.solvers import ADMM
from numopt.terms import (
    Affine,
    LogDeterminant,
    OfSum,
    QuadraticForm,
    SquaredResidual,
    Stacked,
    distance,
)
from tests.helpers import naive

RNG = np.random.default_rng(0)
F, B = RNG.standard_normal((20, 6)), RNG.standard_normal(20)
M = RNG.standard_normal((6, 6))
P, Q = M @ M.T, RNG.standard_normal(6)
V = RNG.standard_normal(6)


# ---- certificate ---------------------------------------------------------------------------------


def test_certificate_by_hand():
    """f = x^2/2, g = |z|, 2x - z = 3, at x = 1, z = 0, y = 0.5."""
    problem = Splitting(Ridge(1.0), L1(1.0), A=2.0, c=[3.0])
    certificate = problem.certificate([1.0], z=[0.0], y=[0.5])
    assert certificate["primal"] == pytest.approx(1 / (1 + 3))
    # -2y = -1 against the gradient 1; -B'y = 0.5 lies in [-1, 1].
    assert certificate["dual"] == pytest.approx(2 / (1 + 1))
    assert certificate.fun == 0.5
    solved = numopt.solve(problem)
    # x = (3 + z) / 2: minimise (3 + z)^2 / 8 + |z|.
    np.testing.assert_allclose([solved.x[0], solved.z[0], solved.y[0]], [1.5, 0, -0.75], atol=1e-7)


def test_gap_decides_where_there_is_one():
    problem = Splitting(L1(1.0), Ridge(1.0), c=np.zeros(2), gap=lambda p, x, z, y: (3.0, 2.0, 4.0))
    certificate = problem.certificate(np.zeros(2))
    assert set(certificate.gates) == {"primal", "gap"}
    assert certificate["gap"] == 0.25


def test_missing_block_follows_from_the_equations():
    problem = Splitting(L1(1.0), L1(2.0), A=np.array([[1.0], [2.0]]), c=[1.0, 1.0])
    assert problem.objective([1.0]) == 1.0 + 2.0 * (0.0 + 1.0)
    two = Splitting(L1(1.0), L1(2.0), B=np.ones((2, 1)), c=[1.0, 1.0])
    with pytest.raises(ValueError, match="z cannot be told from x"):
        two.objective([1.0, 0.0])


def test_pickles_and_replaces():
    problem = Splitting(L1(0.5), SquaredResidual(F, B))
    first = numopt.solve(problem)
    twin = pickle.loads(pickle.dumps(problem))
    np.testing.assert_array_equal(numopt.solve(twin).x, first.x)
    system = problem.g.system(None, 6)
    sibling = problem.replace(f=L1(0.7))
    assert sibling.g.system(None, 6) is system


@pytest.mark.parametrize("call, error, message", [
    (lambda: Splitting(np.abs, L1(1.0), c=[1.0]), TypeError, "f must be a penalty, a set or"),
    (lambda: Splitting(L1, L1(1.0), c=[1.0]), TypeError, "got L1"),
    (lambda: Splitting(L1(1.0), LeastSquares([1.0]), c=[1.0]), TypeError, "has no prox"),
    (lambda: Splitting(L1(1.0), L1(1.0)), ValueError, "number of equations is unknown"),
    (lambda: Splitting(L1(1.0), L1(1.0), A=np.ones((2, 3)), c=np.ones(3)), ValueError,
     "c has 3 entries, expected 2"),
    (lambda: Splitting(L1(1.0), L1(1.0), A=np.ones((2, 3)), B=np.ones((3, 2))), ValueError,
     "B has 3 rows, expected 2"),
    (lambda: Splitting(SquaredResidual(F, B), L1(1.0), A=np.ones((2, 3))), ValueError,
     "A has 3 columns but f takes 6 entries"),
    (lambda: Splitting(L1(1.0), L1(1.0), A=[[1.0, np.nan]]), ValueError, "A has nan"),
    (lambda: Splitting(L1(1.0), L1(1.0), A=0.0, c=[1.0]), ValueError, "A as a number must be"),
    (lambda: Splitting(L1(1.0), L1(1.0), c=[np.inf]), ValueError, "c has inf"),
    (lambda: consensus([], 3), ValueError, "terms is empty"),
    (lambda: QuadraticForm([[1.0, 2.0], [0.0, 1.0]]), ValueError, "P is not symmetric"),
    (lambda: QuadraticForm(-1.0), ValueError, "P as a number"),
    (lambda: QuadraticForm(P, np.ones(3)), ValueError, "q has 3 entries, expected 6"),
    (lambda: QuadraticForm(P, Q, E=np.ones((1, 6))), ValueError, "give both or none"),
    (lambda: SquaredResidual(F, B[:3]), ValueError, "F has 20 rows but b has 3"),
    (lambda: Stacked([L1(1.0)], [1, 2]), ValueError, "1 terms but 2 lengths"),
    (lambda: Stacked([SquaredResidual(F, B)], [5]), ValueError, "takes 6 entries, lengths"),
    (lambda: Repeat(2, 0), ValueError, "copies must be >= 1"),
])  # fmt: skip
def test_wrong_arguments(call, error, message):
    with pytest.raises(error, match=message):
        call()


# ---- terms ---------------------------------------------------------------------------------------

SYMMETRIC = M + M.T
TERMS = {
    "quadratic": QuadraticForm(P, Q),
    "sparse quadratic": QuadraticForm(sp.csc_array(P), Q),
    "multiple of I": QuadraticForm(2.0, Q),
    "operator": QuadraticForm(scipy.sparse.linalg.aslinearoperator(P), Q),
    "squares, tall": SquaredResidual(F, B),
    "squares, wide": SquaredResidual(F[:4], B[:4]),
    "squares, sparse": SquaredResidual(sp.csr_array(F), B),
    "squares": SquaredResidual(None, Q),
    "on a plane": QuadraticForm(P, Q, E=F[:2], e=B[:2]),
    "affine": Affine(F[:3], B[:3]),
    "stacked": Stacked([L1(0.5), QuadraticForm(1.0, Q[:4])], [2, 4]),
    "of sum": OfSum(L1(0.5), 3),
}


@pytest.mark.parametrize("step", [1e-3, 0.7, 50.0])
@pytest.mark.parametrize("name", TERMS)
def test_prox_is_the_minimiser(name, step):
    term = TERMS[name]
    x = term.prox(V, step)
    # Its optimality: (v - x) / step is a subgradient at x.
    assert distance(term, x, (V - x) / step) <= 1e-7 * (1 + np.abs(V - x).max() / step)
    best = term.value(x) + np.sum((x - V) ** 2) / (2 * step)
    assert np.isfinite(best)
    rng = np.random.default_rng(1)
    for size in (1e-3, 1e-1):
        other = x + size * rng.standard_normal(6)
        if name in ("affine", "on a plane"):
            other = (term if name == "affine" else Affine(term.E, term.e)).prox(other, 1.0)
        assert term.value(other) + np.sum((other - V) ** 2) / (2 * step) >= best - 1e-9


def test_log_determinant():
    S = P / 5 + np.eye(6)
    term, V = LogDeterminant(S), SYMMETRIC.ravel()
    for step in (1e-2, 1.0, 100.0):
        x = term.prox(V, step)
        X = x.reshape(6, 6)
        assert np.linalg.eigvalsh(X)[0] > 0
        np.testing.assert_allclose(S - np.linalg.inv(X) + (X - SYMMETRIC) / step, 0, atol=1e-7)
    assert term.value(-np.eye(6).ravel()) == np.inf


def test_points_off_the_plane_are_infinite():
    assert Affine(F[:2], B[:2]).value(V) == np.inf
    assert TERMS["on a plane"].value(V) == np.inf
    assert Affine(F[:2], B[:2]).distance(V, np.zeros(6)) == np.inf


# ---- maps and systems ----------------------------------------------------------------------------


@pytest.mark.parametrize("made", [Repeat(4, 3), Differences((3, 4)), Differences((1, 5))])
def test_maps_have_their_adjoints(made):
    rng = np.random.default_rng(2)
    x, y = rng.standard_normal(made.shape[1]), rng.standard_normal(made.shape[0])
    assert y @ made.matvec(x) == pytest.approx(x @ made.rmatvec(y))
    if isinstance(made, Differences):
        gram = np.array([made.rmatvec(made.matvec(row)) for row in np.eye(made.shape[1])])
        np.testing.assert_allclose(np.sort(made.spectrum()), np.linalg.eigvalsh(gram), atol=1e-12)


CHAIN = sp.diags_array([-np.ones(5), np.ones(5)], offsets=[0, 1], shape=(5, 6), format="csc")
SYSTEMS = {
    "eigen": {"P": P},
    "eigen, wide": {"F": F[:3]},
    "eigen, two matrices": {"P": P, "M": F},
    "eigen, matrix alone": {"M": F},
    "banded": {"P": 1.0, "M": CHAIN},
    "ldl": {"F": sp.csc_array(F)},
    "ldl, two matrices": {"F": sp.csc_array(F), "M": sp.csc_array(F[:7])},
    "cosine": {"P": 1.0, "M": Differences((2, 3))},
    "cg": {"F": scipy.sparse.linalg.aslinearoperator(F), "M": F},
}


@pytest.mark.parametrize("name", SYSTEMS)
def test_systems_for_every_rho(name):
    parts = dict(SYSTEMS[name])
    if "M" in parts:
        parts["M"] = Map(parts["M"], "M")
    pencil = Pencil(6, **parts)
    assert pencil.method == name.split(",")[0]

    def gram(A):
        A = A if A is None or hasattr(A, "matvec") else sp.csr_array(A).toarray()
        columns = [A.matvec(e) if hasattr(A, "matvec") else A @ e for e in np.eye(6)]
        return np.array(columns) @ np.array(columns).T

    H = np.zeros((6, 6))
    if parts.get("P") is not None:
        H = H + parts["P"] * np.eye(6) if np.ndim(parts["P"]) == 0 else H + parts["P"]
    if parts.get("F") is not None:
        H = H + gram(parts["F"])
    G = gram(parts["M"].given) if "M" in parts else np.eye(6)
    for rho in (1e-2, 1.0, 1e3):
        x = np.linalg.solve(H + rho * G, V)
        found = pencil.solve(V, rho, x, 1e-10)
        np.testing.assert_allclose(found, x, rtol=1e-6, atol=1e-8 * np.abs(x).max())


def test_large_dense_systems_are_factored(monkeypatch):
    from numopt.linalg import pencil

    monkeypatch.setattr(pencil, "EIGEN_LIMIT", 3)
    made = Pencil(6, P=P)
    assert made.method == "cholesky" and not made.cheap
    np.testing.assert_allclose(made.solve(V, 2.0), np.linalg.solve(P + 2 * np.eye(6), V))
    result = ADMM(tol=1e-9).solve(Splitting(L1(0.5), QuadraticForm(P, Q)))
    assert result.success and result.rho_changes <= 10


# ---- consensus and sharing -----------------------------------------------------------------------


def test_consensus_is_the_sum():
    parts = [SquaredResidual(F[k : k + 5], B[k : k + 5]) for k in range(0, 20, 5)]
    result = ADMM(tol=1e-10).solve(consensus(parts, 6, L1(0.5)))
    whole = ADMM(tol=1e-10).solve(Splitting(L1(0.5), SquaredResidual(F, B)))
    assert result.success
    np.testing.assert_allclose(result.x, whole.x, atol=1e-6)
    np.testing.assert_allclose(result.z.reshape(4, 6), np.tile(result.x, (4, 1)), atol=1e-7)


def test_sharing_spreads_what_is_shared():
    weights = np.array([1.0, 2.0, 4.0])
    result = ADMM(tol=1e-10).solve(
        sharing([Ridge(w) for w in weights], 2, SquaredResidual(None, np.array([7.0, -7.0])))
    )
    # w_i x_i = 7 - sum x: x_i = t / w_i with t = 7 / (1 + sum 1 / w).
    t = 7 / (1 + (1 / weights).sum())
    np.testing.assert_allclose(result.x.reshape(3, 2), np.outer(1 / weights, [t, -t]), atol=1e-7)


# ---- other pairs ---------------------------------------------------------------------------------


def test_two_sets_meet():
    point = np.array([0.9, 0.4, -0.2])
    problem = Splitting(Simplex(), QuadraticForm(1.0, -point))
    np.testing.assert_allclose(numopt.solve(problem).x, naive.project_simplex(point), atol=1e-7)
    both = Splitting(Simplex(), Box(0.0, [0.5, 0.3, 1.0]))
    result = numopt.solve(both)
    assert result.success
    assert result.x.sum() == pytest.approx(1.0) and (result.z <= [0.5, 0.3, 1.0]).all()


def test_general_map_on_both_sides():
    """min |x|^2/2 + |z|^2/2 with F'x + M z = c is a least-norm problem."""
    c = RNG.standard_normal(6)
    A = F.T
    problem = Splitting(QuadraticForm(1.0, np.zeros(20)), QuadraticForm(1.0, Q * 0), A=A, B=M, c=c)
    result = numopt.solve(problem, tol=1e-10)
    exact = np.linalg.lstsq(np.hstack([A, M]), c, rcond=None)[0]
    np.testing.assert_allclose(np.r_[result.x, result.z], exact, atol=1e-7)


def test_linearised_on_one_side():
    """A penalty behind a matrix without structure takes proximal gradient steps."""
    G = RNG.standard_normal((4, 6))
    problem = Splitting(Nonnegative(), Ridge(1.0), A=G, c=RNG.standard_normal(4))
    result = numopt.solve(problem, tol=1e-8, max_iter=50_000)
    assert result.success
    import scipy.optimize

    _, norm = scipy.optimize.nnls(G, problem.c)
    assert result.fun == pytest.approx(norm**2 / 2, abs=1e-6)


def test_nonconvex_is_stationary_with_a_fixed_penalty():
    result = ADMM(rho=20.0).solve(Splitting(MCP(0.5), SquaredResidual(F, B)))
    assert result.success and result.certificate.kind == "stationary" and result.rho_changes == 0


def test_nothing_to_minimise():
    result = numopt.solve(Splitting(Zero(), Zero(), c=np.zeros(3)))
    assert result.success and result.nit == 0
