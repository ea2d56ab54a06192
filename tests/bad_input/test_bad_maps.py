"""Bad input to games, fixed points and inclusions: what the messages have to say."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg

import numopt
from numopt.operators import Affine, Saddle
from numopt.penalties import L0, L1
from numopt.problems import FixedPoint, MatrixGame, MonotoneInclusion
from numopt.sets import Box, Simplex
from numopt.solvers import (
    AnchoredExtragradient,
    AndersonMixing,
    DoubleOracle,
    GamePDHG,
    Halpern,
    KrasnoselskiiMann,
    VarianceReducedHalpern,
)

EYE = np.eye(3)
Z0 = np.zeros(3)
F = Affine(EYE)
GAME = MatrixGame(EYE)


def negate(z):
    return -z


def fixed(T=negate, z0=Z0, **options):
    return lambda: numopt.fixed_point(T, z0, **options)


def vi(operator=F, z0=Z0, **options):
    return lambda: numopt.solve_vi(operator, z0, **options)


def game(A=EYE, **options):
    return lambda: numopt.solve_game(A, **options)


def operator_without_adjoint():
    return scipy.sparse.linalg.LinearOperator((3, 3), matvec=lambda v: v)


CASES = [
    # ---- games
    ("NaN", game([[0.0, 1], [np.nan, 0]]), ValueError, ["A has nan at index (1, 0)", "drop"]),
    ("inf", game([[0.0, np.inf]]), ValueError, ["A has inf at index (0, 1)"]),
    ("sparse NaN", game(sp.csr_array([[np.nan]])), ValueError, ["A.data has nan at index 0"]),
    ("1-D", game([1.0, 2.0]), ValueError, ["A must be 2-D", "(2,)"]),
    ("no row", game(np.zeros((0, 3))), ValueError, ["A is empty", "(0, 3)"]),
    ("no column", game(np.zeros((3, 0))), ValueError, ["A is empty", "every player"]),
    ("complex", game(EYE + 1j), TypeError, ["A must hold real numbers", "complex"]),
    ("text", game([["a"]]), TypeError, ["A must hold real numbers"]),
    ("function", game(negate), (TypeError, ValueError), ["A"]),
    ("no adjoint", game(operator_without_adjoint(), method="pdhg"), TypeError,
     ["A has no rmatvec"]),
    ("payoff", game(payoff="columns"), ValueError, ["payoff must be one of 'row', 'cost'"]),
    ("method", game(method="simplex"), ValueError, ["method must be one of 'auto', 'exact'"]),
    ("tol 0", game(tol=0), ValueError, ["tol must be a finite number > 0"]),
    ("tol NaN", game(tol=np.nan), ValueError, ["tol must be a finite number > 0", "nan"]),
    ("option", game(options={"max_itr": 3}), TypeError, ["max_itr", "did you mean 'max_iter'"]),
    ("x0 short", lambda: DoubleOracle().solve(GAME, [1.0, 0.0]), ValueError,
     ["x has 2 entries, expected 3"]),
    ("x0 NaN", lambda: GamePDHG().solve(GAME, [1.0, np.nan, 0.0]), ValueError,
     ["x has nan at index 1"]),
    ("x0 no distribution", lambda: GamePDHG().solve(GAME, [1.0, 1.0, 0.0]), ValueError,
     ["the start x must be a distribution", "its sum is 2"]),
    ("wrong solver", lambda: numopt.solve(GAME, "halpern"), TypeError,
     ["Halpern solves FixedPoint, MonotoneInclusion, not MatrixGame", "try double-oracle"]),
    ("certificate", lambda: GAME.certificate(Z0[:2], Z0), ValueError,
     ["x has 2 entries, expected 3"]),
    ("clamp", lambda: GamePDHG(clamp=1.0), ValueError, ["clamp must be > 1"]),
    ("polish", lambda: GamePDHG(polish=1), TypeError, ["polish must be True or False"]),
    ("per_round", lambda: DoubleOracle(per_round=0), ValueError, ["per_round must be >= 1"]),
    ("whole", lambda: DoubleOracle(whole=-1), ValueError, ["whole must be >= 0", "-1"]),
    # ---- fixed points
    ("T a number", fixed(3.0), TypeError, ["T must be callable or one of numopt.operators"]),
    ("T a class", fixed(Affine), TypeError, ["T is the class Affine, not an instance"]),
    ("T a penalty", fixed(L1(1.0)), TypeError, ["T must be callable", "L1"]),
    ("z0 empty", fixed(z0=[]), ValueError, ["z0 is empty"]),
    ("z0 2-D", fixed(z0=EYE), ValueError, ["z0 must be 1-D", "(3, 3)"]),
    ("z0 NaN", fixed(z0=[0.0, np.nan]), ValueError, ["z0 has nan at index 1"]),
    ("z0 too long", fixed(F, np.zeros(4)), ValueError, ["z0 has 4 entries, expected 3"]),
    ("T shorter", fixed(lambda z: z[:2]), ValueError, ["T must return 3 numbers", "(2,)"]),
    ("T a scalar", fixed(lambda z: 1.0), ValueError, ["T must return 3 numbers", "()"]),
    ("T complex", fixed(lambda z: z + 1j), TypeError, ["T must return real numbers"]),
    ("T None", fixed(lambda z: None), TypeError, ["T must return real numbers", "object"]),
    ("contraction 0", fixed(contraction=0.0), ValueError, ["contraction must be > 0"]),
    ("contraction 2", fixed(contraction=2.0), ValueError, ["contraction must lie in [0, 1]"]),
    ("averaged", fixed(averaged=-0.5), ValueError, ["averaged must lie in [0, 1]", "-0.5"]),
    ("averaged text", fixed(averaged="half"), TypeError, ["averaged must be a number"]),
    ("fixed method", fixed(method="picard"), ValueError, ["method must be one of 'halpern'"]),
    ("anchoring", fixed(options={"anchoring": "x"}), ValueError, ["anchoring must be one of"]),
    ("restart", fixed(options={"restart": None}), ValueError, ["restart must be one of"]),
    ("relaxation", lambda: KrasnoselskiiMann(relaxation=1.5), ValueError, ["relaxation must lie"]),
    ("memory", lambda: AndersonMixing(memory=0), ValueError, ["memory must be >= 1"]),
    ("x0 of a map", lambda: Halpern().solve(FixedPoint(F, Z0), [1.0]), ValueError,
     ["x0 has 1 entries, expected 3"]),
    # ---- inclusions
    ("F a list", vi([1, 2]), TypeError, ["F must be callable or one of numopt.operators"]),
    ("F missing", vi(None), TypeError, ["F is None and there are no components"]),
    ("F longer", vi(lambda z: np.ones(4)), ValueError, ["F must return 3 numbers", "(4,)"]),
    ("two of them", vi(project=Box(0, 1), prox=L1(1.0)), ValueError,
     ["project and prox were both given"]),
    ("project a number", vi(project=3), TypeError, ["project must be callable", "numopt.sets"]),
    ("project a penalty", vi(project=L1(1.0)), TypeError, ["project must be a set", "give prox="]),
    ("project an operator", vi(project=F), TypeError, ["project must be a set or penalty"]),
    ("project a class", vi(project=Simplex), TypeError, ["project is the class Simplex"]),
    ("prox not convex", vi(prox=L0(1.0)), ValueError, ["prox is L0, which is not convex"]),
    ("prox for others", vi(prox=L1(1.0, [1.0, 2.0])), ValueError, ["2 coordinates, z0 has 3"]),
    ("project shorter", vi(project=lambda v: v[:1]), ValueError, ["project must return 3"]),
    ("prox wrong", vi(prox=lambda v, step: 1j * v), TypeError, ["prox must return real"]),
    ("resolvent wrong", vi(resolvent=lambda v, s: 0.0), ValueError, ["resolvent must return 3"]),
    ("lipschitz 0", vi(lipschitz=0.0), ValueError, ["lipschitz must be a finite number > 0"]),
    ("cocoercive", vi(cocoercive="yes"), TypeError, ["cocoercive must be True or False", "'yes'"]),
    ("components", vi(components=7), TypeError, ["components must be", "(n, partial)"]),
    ("components n", vi(components=(0, negate)), ValueError, ["n must be >= 1"]),
    ("components short", vi(None, components=(2, lambda z, b: z[:1])), ValueError,
     ["components must return 3 numbers"]),
    ("vi method", vi(method="newton"), ValueError, ["method must be one of 'auto'"]),
    ("not cocoercive", vi(method="halpern"), ValueError, ["cocoercive=True", "AnchoredExtra"]),
    ("no sum", vi(negate, method="vr-halpern"), ValueError, ["needs a finite sum"]),
    ("feg on a set", vi(project=Box(0, 1), method="feg"), ValueError, ["'eag', 'eg' or 'forb'"]),
    ("scheme", lambda: AnchoredExtragradient(scheme="x"), ValueError, ["scheme must be one of"]),
    ("step", lambda: AnchoredExtragradient(step=-1.0), ValueError, ["step must be a finite"]),
    ("variant", lambda: VarianceReducedHalpern(variant="x"), ValueError, ["variant must be one"]),
    ("inner step", lambda: VarianceReducedHalpern(inner_step=0.0), ValueError, ["inner_step"]),
    ("A of a saddle", lambda: Saddle([[np.nan]]), ValueError, ["Saddle: A has nan at index"]),
    ("x of an inclusion", lambda: MonotoneInclusion(F, Z0).certificate([1.0]), ValueError,
     ["x has 1 entries, expected 3"]),
]  # fmt: skip


@pytest.mark.parametrize("call, error, parts", [c[1:] for c in CASES], ids=[c[0] for c in CASES])
def test_bad_input(call, error, parts):
    with pytest.raises(error) as caught:
        call()
    for part in parts:
        assert part in str(caught.value)


def test_errors_of_users_functions_come_through():
    for call in (fixed(lambda z: 1 / 0), vi(lambda z: 1 / 0), vi(project=lambda v: 1 / 0)):
        with pytest.raises(ZeroDivisionError):
            call()


def test_functions_may_return_one_buffer_again_and_again():
    buffer, other, M = np.empty(3), np.empty(3), np.array([[2.0, 1, 0], [-1, 2, 0], [0, 1, 2]])

    def F(z):
        return np.subtract(M @ z, 1.0, out=buffer)

    def project(v):
        return np.clip(v, 0.0, 0.4, out=other)

    def partial(z, batch):
        return np.subtract(M @ z, 1.0, out=buffer)

    expected = numopt.solve_vi(lambda z: M @ z - 1.0, Z0, project=Box(0.0, 0.4))
    for method in ("auto", "eg", "forb"):
        result = numopt.solve_vi(F, Z0, project=project, method=method)
        np.testing.assert_allclose(result.x, expected.x, atol=1e-5)
        tangent = float(result.certificate["tangent"])
        assert tangent == pytest.approx(
            float(expected.verify(MonotoneInclusion(F, Z0, project))["tangent"]), abs=1e-4
        )
    sums = numopt.solve_vi(None, Z0, project=project, components=(4, partial), tol=1e-4)
    np.testing.assert_allclose(sums.x, expected.x, atol=1e-3)
    T = fixed(lambda z: np.cos(z, out=buffer))()
    np.testing.assert_allclose(T.x, 0.739085133, atol=1e-6)


def test_nothing_of_the_caller_is_changed():
    def spoil(z):
        z[:] = np.nan
        return np.zeros(3)

    start = np.ones(3)
    assert numopt.fixed_point(spoil, start).x.tolist() == [0.0, 0.0, 0.0]
    assert start.tolist() == [1.0, 1.0, 1.0]
    for method in ("eg", "forb"):
        result = numopt.solve_vi(lambda z: z - 1.0, Z0, project=lambda v: v.clip(0, 1, out=v),
                                 method=method)  # fmt: skip
        np.testing.assert_allclose(result.x, 1.0, atol=1e-5)
