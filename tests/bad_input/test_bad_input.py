"""Bad input, one table: call -> exception, and what its message has to say.

Every message names the argument, what was found and, where that is not plain, the remedy. Facts
of mathematics (indefinite, infeasible, unbounded) are statuses, not exceptions.
"""

import inspect
import re
import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.calculus import Conjugate, MoreauEnvelope, PlusRidge, SeparableSum
from numopt.losses import (
    Huber,
    LeastAbsolute,
    LeastSquares,
    Logistic,
    Multinomial,
    Quadratic,
    SquareRoot,
)
from numopt.penalties import (
    L1,
    MCP,
    SCAD,
    SLOPE,
    ElasticNet,
    GroupLasso,
    GroupMCP,
    GroupSCAD,
    LogSum,
    Nonnegative,
    Nuclear,
    Ridge,
)
from numopt.problems import Composite
from numopt.sets import Birkhoff, Box, Simplex
from numopt.solvers import ProximalGradient

N, P = 6, 3
A = np.arange(18.0).reshape(N, P) % 7
Y = np.arange(6.0)
SIGNS = np.array([1.0, -1.0, 1.0, 1.0, -1.0, -1.0])
SPARSE = sp.csc_array(A)
LOSS, PENALTY = LeastSquares(Y), L1(0.1)
PROBLEM = Composite(LOSS, A, PENALTY)


def put(array, index, value):
    array = np.array(array)
    array[index] = value
    return array


def sparse_with(value):
    matrix = SPARSE.copy()
    matrix.data[2] = value
    return matrix


def composite(**changes):
    return lambda: Composite(**{"loss": LOSS, "A": A, "penalty": PENALTY, **changes})


def solved(solver="prox-grad", **options):
    return lambda: numopt.solve(PROBLEM, solver, **options)


SPD = np.diag([2.0, 3.0, 4.0])


def linear(matrix=SPD, b=Y[:3], **options):
    return lambda: numopt.solve_linear(matrix, b, **options)


def minimized(fun=lambda x: x @ x, x0=(1.0, 2.0), **options):
    return lambda: numopt.minimize(fun, x0, **options)


# Each case: name, call, exception, parts of the message (as they stand).
CASES = [
    # ---- losses
    ("NaN in y", lambda: LeastSquares(put(Y, 3, np.nan)), ValueError, ["y is NaN", "3"]),
    ("inf in y", lambda: LeastSquares(put(Y, 2, np.inf)), ValueError, ["y has inf at index 2"]),
    ("NaN in labels", lambda: Logistic(put(SIGNS, 1, np.nan)), ValueError, ["y is NaN", "1"]),
    ("y of two columns", lambda: LeastSquares(A), ValueError, ["y must be 1-D", "(6, 3)"]),
    ("y a number", lambda: LeastSquares(3.0), ValueError, ["y must be 1-D", "()"]),
    ("y missing", lambda: LeastSquares(None), (TypeError, ValueError), ["y"]),
    ("y complex", lambda: LeastSquares(Y + 1j), TypeError, ["y", "real numbers", "complex"]),
    ("y of text", lambda: LeastSquares(["a", "b"]), TypeError, ["y", "real numbers"]),
    ("y of objects", lambda: LeastSquares([1, None, {}]), TypeError, ["y", "object"]),
    ("y ragged", lambda: LeastSquares([[1], [1, 2]]), (TypeError, ValueError), ["y"]),
    ("y sparse", lambda: LeastSquares(SPARSE), TypeError, ["y", "dense", "(6, 3)"]),
    ("y masked", lambda: LeastSquares(np.ma.array(Y, mask=Y > 3)), ValueError,
     ["y", "masked", "fill or drop"]),
    ("y of dates", lambda: LeastSquares(Y.astype("M8[s]")), TypeError, ["y", "datetime64"]),
    ("three classes", lambda: Logistic([0, 1, 2]), ValueError,
     ["y must hold -1 and 1, or 0 and 1", "found 0, 1, 2", "encode"]),
    ("classes 1 and 2", lambda: Logistic([1, 2, 1]), ValueError, ["found 1, 2"]),
    ("many classes", lambda: Logistic(np.arange(9.0)), ValueError, ["found 0, 1, 2, 3, ..."]),
    ("negative weight", lambda: LeastSquares(Y, sample_weight=put(np.ones(6), 4, -0.5)),
     ValueError, ["sample_weight[4] = -0.5 is negative"]),
    ("NaN weight", lambda: LeastSquares(Y, sample_weight=put(np.ones(6), 4, np.nan)), ValueError,
     ["sample_weight", "4"]),
    ("inf weight", lambda: LeastSquares(Y, sample_weight=put(np.ones(6), 4, np.inf)), ValueError,
     ["sample_weight has inf at index 4"]),
    ("weights all 0", lambda: LeastSquares(Y, sample_weight=np.zeros(6)), ValueError,
     ["sample_weight sums to 0"]),
    ("too few weights", lambda: LeastSquares(Y, sample_weight=np.ones(5)), ValueError,
     ["sample_weight has 5 entries, expected 6"]),
    ("weight a number", lambda: LeastSquares(Y, sample_weight=2.0), ValueError,
     ["sample_weight must be 1-D"]),
    ("too long an offset", lambda: Huber(Y, offset=np.ones(7)), ValueError,
     ["offset has 7 entries, expected 6"]),
    ("NaN offset", lambda: Huber(Y, offset=put(Y, 0, np.nan)), ValueError, ["offset is NaN", "0"]),
    ("delta 0", lambda: Huber(Y, delta=0), ValueError, ["delta must be a finite number > 0", "0"]),
    ("delta negative", lambda: Huber(Y, delta=-1.0), ValueError, ["delta", "-1.0"]),
    ("delta NaN", lambda: Huber(Y, delta=np.nan), ValueError, ["delta is NaN"]),
    ("delta text", lambda: Huber(Y, delta="big"), TypeError, ["delta must be a number", "'big'"]),
    ("class missing", lambda: Multinomial([0, 1, 3]), ValueError,
     ["no sample is of class 2", "n_classes"]),
    ("class negative", lambda: Multinomial([0, -1, 1]), ValueError, ["-1 at index 1", "encode"]),
    ("class not whole", lambda: Multinomial([0, 0.5, 1]), ValueError, ["0.5 at index 1"]),
    ("class too large", lambda: Multinomial([0, 1, 2], n_classes=2), ValueError,
     ["y[2] = 2", "n_classes is 2"]),
    ("one class", lambda: Multinomial([0, 0]), ValueError, ["n_classes must be >= 2"]),
    ("offset of one column", lambda: Multinomial([0, 1, 2], offset=np.ones((3, 2))), ValueError,
     ["offset has shape (3, 2), expected (3, 3)"]),
    ("P not square", lambda: Quadratic(A), ValueError, ["P must be square", "(6, 3)"]),
    ("P not symmetric", lambda: Quadratic([[1.0, 2.0], [0.0, 1.0]]), ValueError,
     ["P[0, 1] = 2", "P[1, 0] = 0", "(P + P.T) / 2"]),
    ("P NaN", lambda: Quadratic([[np.nan]]), ValueError, ["P has nan at index (0, 0)"]),
    ("q too long", lambda: Quadratic(np.eye(2), np.ones(3)), ValueError,
     ["q has 3 entries, expected 2"]),
    ("gradient at corners", lambda: LeastAbsolute(Y).gradient(Y), TypeError,
     ["LeastAbsolute has no gradient", "subgradient"]),
    ("corners for gradients", lambda: numopt.solve(composite(loss=SquareRoot(Y))(), "fista"),
     TypeError, ["SquareRoot does not offer", "not smooth", "LeastSquares instead"]),
    ("loss without y", lambda: LeastSquares(), TypeError, ["y"]),
    ("prediction too short", lambda: LOSS.value(np.ones(5)), ValueError,
     ["z has 5 entries, expected 6"]),
    ("prediction with NaN", lambda: LOSS.gradient(put(Y, 5, np.nan)), ValueError,
     ["z has nan at index 5"]),
    # ---- penalties and sets
    ("alpha negative", lambda: L1(-0.1), ValueError,
     ["alpha must be a finite number >= 0, got -0"]),
    ("alpha NaN", lambda: L1(np.nan), ValueError, ["alpha is NaN"]),
    ("alpha inf", lambda: L1(np.inf), ValueError, ["alpha", "finite", "inf"]),
    ("alpha text", lambda: L1("0.1"), TypeError, ["alpha must be a number", "'0.1'"]),
    ("alpha complex", lambda: L1(1j), TypeError, ["alpha must be a number", "1j"]),
    ("alpha True", lambda: L1(True), TypeError, ["alpha must be a number", "True"]),
    ("alpha None", lambda: L1(None), TypeError, ["alpha must be a number", "None"]),
    ("alpha an array", lambda: L1([0.1, 0.2]), TypeError, ["alpha must be a number", "(2,)"]),
    ("no alpha", lambda: L1(), TypeError, ["alpha"]),
    ("weights negative", lambda: L1(0.1, weights=[1, -2]), ValueError, ["weights[1] = -2"]),
    ("weights NaN", lambda: L1(0.1, weights=[1, np.nan]), ValueError, ["weights is NaN", "1"]),
    ("weights 2-D", lambda: L1(0.1, weights=A), ValueError, ["weights", "(6, 3)"]),
    ("weights text", lambda: L1(0.1, weights=["a"]), TypeError, ["weights", "real numbers"]),
    ("gamma 1", lambda: MCP(0.1, gamma=1.0), ValueError, ["gamma must be > 1", "1.0"]),
    ("gamma NaN", lambda: MCP(0.1, gamma=np.nan), ValueError, ["gamma is NaN"]),
    ("a 2", lambda: SCAD(0.1, a=2.0), ValueError, ["a must be > 2", "2.0"]),
    ("l1_ratio 1.5", lambda: ElasticNet(0.1, l1_ratio=1.5), ValueError, ["l1_ratio", "[0, 1]"]),
    ("ridge negative", lambda: Ridge(-1.0), ValueError, ["Ridge: alpha", "-1.0"]),
    ("unknown field", lambda: L1(0.1, beta=2), TypeError, ["beta"]),
    ("box reversed", lambda: Box([0.0, 2.0], [1.0, 1.0]), ValueError,
     ["lower > upper at index 1", "2 > 1"]),
    ("box NaN", lambda: Box([0.0, np.nan], 1.0), ValueError, ["Box: lower is NaN", "1"]),
    ("box of two lengths", lambda: Box(np.zeros(2), np.ones(3)), ValueError,
     ["lower has 2 entries, upper has 3"]),
    ("box 2-D", lambda: Box(A, A), ValueError, ["1-D"]),
    ("simplex of radius 0", lambda: Simplex(0.0), ValueError, ["radius", "> 0", "0.0"]),
    ("gamma 0.5 of groups", lambda: GroupMCP(0.1, [0, 1], gamma=0.5), ValueError,
     ["gamma must be > 1", "0.5"]),
    ("a 1.5 of groups", lambda: GroupSCAD(0.1, [0, 1], a=1.5), ValueError, ["a must be > 2"]),
    ("groups with a gap", lambda: GroupLasso(0.1, ["a", None, "b"]), ValueError,
     ["no label at index 1"]),
    ("groups that overlap", lambda: GroupLasso(0.1, [[0, 1], [1, 2]]), ValueError,
     ["one label per coordinate", "overlap"]),
    ("group weights negative", lambda: GroupLasso(0.1, [0, 1], [1, -1]), ValueError,
     ["weights[1] = -1 is negative"]),
    ("lambdas that rise", lambda: SLOPE(0.1, [1.0, 2.0]), ValueError,
     ["lambdas[1] = 2", "largest first"]),
    ("matrix without columns", lambda: Nuclear(0.1, (3, 0)), ValueError, ["shape[1]", ">= 1"]),
    ("matrix of another size", lambda: Nuclear(0.1, (3, 2)).prox(Y[:5]), ValueError,
     ["v has 5 entries, expected 6"]),
    ("eps 0", lambda: LogSum(0.1, eps=0), ValueError, ["eps must be a finite number > 0"]),
    ("ridge on groups", lambda: PlusRidge(GroupLasso(0.1, [0, 0]), 1.0), TypeError,
     ["GroupLasso is not separable"]),
    ("conjugate of MCP", lambda: Conjugate(MCP(0.1)), TypeError, ["MCP is not convex"]),
    ("envelope without mu", lambda: MoreauEnvelope(PENALTY, 0.0), ValueError, ["mu", "> 0"]),
    ("sum of a loss", lambda: SeparableSum([LOSS], [3]), TypeError,
     ["base must be a penalty", "LeastSquares"]),
    ("sum of wrong sizes", lambda: SeparableSum([PENALTY, PENALTY], [3]), ValueError,
     ["sizes has 1 entries, expected 2"]),
    ("prox of too long a vector", lambda: L1(0.1, weights=[1, 2]).prox([1, 2, 3]), ValueError,
     ["v has 3 entries, expected 2"]),
    ("prox with NaN step", lambda: PENALTY.prox(Y, np.nan), ValueError, ["step", "nan"]),
    ("prox with negative step", lambda: PENALTY.prox(Y, -1.0), ValueError, ["step", "-1.0"]),
    ("prox of NaN", lambda: PENALTY.prox([1.0, np.nan]), ValueError, ["v has nan at index 1"]),
    ("conjugate of a nonconvex one", lambda: MCP(0.1).conjugate(Y), TypeError,
     ["MCP has no conjugate"]),
    # ---- Composite
    ("NaN in A", composite(A=put(A, (4, 1), np.nan)), ValueError,
     ["A has nan at index (4, 1)", "drop or impute"]),
    ("inf in A", composite(A=put(A, (0, 2), -np.inf)), ValueError, ["A has -inf at index (0, 2)"]),
    ("NaN in sparse A", composite(A=sparse_with(np.nan)), ValueError, ["A.data", "nan"]),
    ("inf in sparse A", composite(A=sparse_with(np.inf).tocoo()), ValueError, ["A.data", "inf"]),
    ("A 1-D", composite(A=Y), ValueError, ["A must be 2-D", "(6,)"]),
    ("A 3-D", composite(A=A[None]), ValueError, ["A must be 2-D", "(1, 6, 3)"]),
    ("A complex", composite(A=A + 0j), TypeError, ["A", "complex"]),
    ("A sparse complex", composite(A=SPARSE * 1j), TypeError, ["A", "real", "complex"]),
    ("A of text", composite(A=A.astype(str)), TypeError, ["A", "real numbers"]),
    ("A of objects", composite(A=A.astype(object)), TypeError, ["A", "object"]),
    ("A None", composite(A=None), (TypeError, ValueError), ["A"]),
    ("A ragged", composite(A=[[1.0], [1.0, 2.0]]), ValueError, ["A is not a regular array"]),
    ("A masked", composite(A=np.ma.array(A, mask=A > 5)), ValueError, ["A", "masked"]),
    ("A without rows", composite(A=np.zeros((0, 3)), loss=LeastSquares([])), ValueError,
     ["A has no rows", "at least one sample"]),
    ("A too short", composite(A=A[:4]), ValueError, ["A has 4 rows but y has 6 entries"]),
    ("A too narrow", composite(penalty=L1(0.1, weights=np.ones(5))), ValueError,
     ["A has 3 columns", "L1", "5"]),
    ("box too long", composite(penalty=Box(np.zeros(4), np.ones(4))), ValueError,
     ["A has 3 columns", "Box", "4"]),
    ("simplex of nothing", composite(A=A[:, :0], penalty=Simplex()), ValueError,
     ["A has no columns", "Simplex"]),
    ("loss a penalty", composite(loss=PENALTY), TypeError, ["loss must be a loss", "L1"]),
    ("loss text", composite(loss="squares"), TypeError,
     ["loss must be a block, got str", "numopt.losses"]),
    ("loss an array", composite(loss=Y), TypeError, ["loss", "ndarray"]),
    ("loss a class", composite(loss=LeastSquares), TypeError, ["loss is the class LeastSquares"]),
    ("penalty a class", composite(penalty=L1), TypeError, ["penalty is the class L1"]),
    ("penalty a number", composite(penalty=0.1), TypeError,
     ["penalty must be a block, got float", "numopt.penalties"]),
    ("penalty None", composite(penalty=None), TypeError, ["penalty", "NoneType"]),
    ("penalty a loss", composite(penalty=LOSS), TypeError, ["penalty", "LeastSquares"]),
    ("intercept a number", composite(fit_intercept=3.0), TypeError,
     ["fit_intercept must be True or False", "3.0"]),
    ("intercept text", composite(fit_intercept="no"), TypeError, ["fit_intercept", "'no'"]),
    ("no such field", lambda: PROBLEM.replace(alpha=1.0), TypeError, ["alpha", "penalty"]),
    ("x too long", lambda: PROBLEM.objective(np.ones(4)), ValueError,
     ["x has 4 entries, expected 3"]),
    ("x NaN", lambda: PROBLEM.certificate([0, np.nan, 0]), ValueError, ["x has nan at index 1"]),
    # ---- solve
    ("solver misspelt", solved("prox-gard"), ValueError,
     ["'prox-gard'", "did you mean 'prox-grad'?"]),
    ("solver unknown", solved("quux"), ValueError, ["'quux'", "known:", "prox-grad"]),
    ("solver a number", solved(3), TypeError, ["solver", "int"]),
    ("solver a class", solved(ProximalGradient), TypeError,
     ["solver", "class ProximalGradient", "ProximalGradient()"]),
    ("problem a number", lambda: numopt.solve(3), TypeError, ["problem", "numopt.problems", "int"]),
    ("problem of another kind", lambda: ProximalGradient().solve(PENALTY), TypeError,
     ["ProximalGradient solves Composite, SmoothComposite, not L1"]),
    ("option misspelt", solved(max_itr=3), TypeError, ["'max_itr'", "did you mean 'max_iter'?"]),
    ("option unknown", solved(zzz=3), TypeError, ["'zzz'", "max_iter, tol"]),
    ("x0 too long", solved(x0=np.ones(4)), ValueError, ["x0 has 4 entries, expected 3"]),
    ("x0 NaN", solved(x0=[0, 0, np.nan]), ValueError, ["x0 has nan at index 2"]),
    ("x0 complex", solved(x0=np.ones(3) * 1j), TypeError, ["x0", "complex"]),
    ("x0 2-D", solved(x0=np.ones((3, 1))), ValueError, ["x0 must be 1-D", "(3, 1)"]),
    ("x0 text", solved(x0="start"), (TypeError, ValueError), ["x0"]),
    ("warm_start an array", solved(warm_start=np.ones(3)), TypeError,
     ["warm_start must be a Result", "ndarray", "use x0="]),
    ("warm_start True", solved(warm_start=True), TypeError, ["warm_start", "bool"]),
    ("warm_start too long", solved(warm_start={"x": np.ones(5)}), ValueError,
     ["warm_start", "5 entries, expected 3"]),
    ("warm_start NaN", solved(warm_start={"x": [np.nan, 0, 0]}), ValueError,
     ["warm_start", "nan at index 0"]),
    ("callback a number", solved(callback=3), TypeError, ["callback must be callable", "int"]),
    # ---- limits and options of solvers
    ("tol 0", solved(tol=0), ValueError, ["tol must be a finite number > 0", "0"]),
    ("tol negative", solved(tol=-1e-8), ValueError, ["tol", "-1e-08"]),
    ("tol NaN", solved(tol=np.nan), ValueError, ["tol", "nan"]),
    ("tol inf", solved(tol=np.inf), ValueError, ["tol", "inf"]),
    ("tol text", solved(tol="tight"), TypeError, ["tol must be a number", "'tight'"]),
    ("max_iter negative", solved(max_iter=-1), ValueError, ["max_iter must be >= 0", "-1"]),
    ("max_iter a float", solved(max_iter=10.5), TypeError, ["max_iter must be an integer", "10.5"]),
    ("max_iter True", solved(max_iter=True), TypeError, ["max_iter", "True"]),
    ("max_iter None", solved(max_iter=None), TypeError, ["max_iter", "None"]),
    ("time_limit 0", solved(time_limit=0), ValueError, ["time_limit", "> 0", "0"]),
    ("time_limit negative", solved(time_limit=-2.0), ValueError, ["time_limit", "-2.0"]),
    ("time_limit NaN", solved(time_limit=np.nan), ValueError, ["time_limit", "nan"]),
    ("time_limit text", solved(time_limit="1 s"), TypeError, ["time_limit", "'1 s'"]),
    ("verbose negative", solved(verbose=-1), ValueError, ["verbose", "-1"]),
    ("verbose text", solved(verbose="loud"), TypeError, ["verbose", "'loud'"]),
    ("random_state text", solved(random_state="a"), TypeError, ["random_state", "'a'"]),
    ("random_state negative", solved(random_state=-1), ValueError, ["random_state", "-1"]),
    ("on_interrupt unknown", solved(on_interrupt="die"), ValueError,
     ["on_interrupt must be one of 'return', 'raise'", "'die'"]),
    ("acceleration unknown", solved(acceleration="fast"), ValueError,
     ["acceleration must be one of 'fista', 'none'", "'fast'"]),
    ("option by position", lambda: ProximalGradient(3), TypeError, ["positional"]),
    # ---- solve_linear
    ("NaN in a system", linear(put(SPD, (1, 2), np.nan)), ValueError,
     ["A has nan at index (1, 2)"]),
    ("inf in b", linear(b=put(Y[:3], 1, np.inf)), ValueError, ["b has inf at index 1"]),
    ("system not square", linear(A, Y), ValueError, ["A must be square", "(6, 3)"]),
    ("system 1-D", linear(Y, Y), ValueError, ["A must be 2-D", "(6,)"]),
    ("b too long", linear(b=Y), ValueError, ["A has 3 rows but b has 6 entries"]),
    ("b 2-D", linear(b=SPD), ValueError, ["b must be 1-D", "(3, 3)"]),
    ("b complex", linear(b=Y[:3] * 1j), TypeError, ["b", "complex"]),
    ("system complex", linear(SPD * 1j), TypeError, ["A", "complex"]),
    ("system of text", linear([["a"]], [1.0]), TypeError, ["A", "real numbers"]),
    ("sparse system with NaN", linear(sp.csr_array(put(SPD, (0, 0), np.nan))), ValueError,
     ["A", "nan"]),
    ("start too long", linear(x0=Y), ValueError, ["x0 has 6 entries, expected 3"]),
    ("start NaN", linear(x0=[0, np.nan, 0]), ValueError, ["x0 has nan at index 1"]),
    ("linear method misspelt", linear(method="dirct"), ValueError,
     ["method", "'dirct'", "'direct'"]),
    ("rtol negative", linear(rtol=-1e-3), ValueError, ["rtol", "-0.001"]),
    ("rtol NaN", linear(rtol=np.nan), ValueError, ["rtol", "nan"]),
    ("both tolerances 0", linear(rtol=0, atol=0), ValueError, ["rtol and atol are both 0"]),
    ("linear max_iter", linear(max_iter=-3), ValueError, ["max_iter", "-3"]),
    ("omega without relaxation", linear(omega=1.5), ValueError, ["omega", "'auto'"]),
    ("operator that is none", linear(lambda: 3), (TypeError, ValueError), []),
    # ---- minimize
    ("fun a number", minimized(fun=3.0), TypeError, ["fun must be callable", "float"]),
    ("start of minimize 2-D", minimized(x0=np.ones((2, 2))), ValueError, ["x0", "(2, 2)"]),
    ("start of minimize NaN", minimized(x0=[0.0, np.nan]), ValueError, ["x0", "nan", "1"]),
    ("start of minimize complex", minimized(x0=[1j, 0]), TypeError, ["x0", "complex"]),
    ("start of minimize text", minimized(x0=["a", "b"]), TypeError, ["x0", "real"]),
    ("method misspelt", minimized(method="lbgfs"), ValueError, ["lbgfs", "lbfgs"]),
    ("jac a number", minimized(jac=3), ValueError, ["jac must be callable", "3"]),
    ("jac misspelt", minimized(jac="4-point"), ValueError, ["jac", "'4-point'", "'3-point'"]),
    ("bounds reversed", minimized(bounds=[(0, 1), (2, 1)]), ValueError, ["bound"]),
    ("too many bounds", minimized(bounds=[(0, 1)] * 3), ValueError, ["bounds", "3", "2"]),
    ("bounds NaN", minimized(bounds=[(0, np.nan)] * 2), ValueError, ["bound"]),
    ("bounds a number", minimized(bounds=3), (TypeError, ValueError), ["bounds"]),
    ("tol of minimize 0", minimized(tol=0), ValueError, ["tol", "> 0"]),
    ("tol of minimize NaN", minimized(tol=np.nan), ValueError, ["tol", "nan"]),
    ("option of minimize misspelt", minimized(options={"memroy": 5}), TypeError,
     ["'memroy'", "'memory'"]),
    ("callback of minimize", minimized(callback=3), TypeError,
     ["callback must be callable", "int"]),
    ("value a vector", minimized(fun=lambda x: x), ValueError,
     ["must return a scalar value", "(2,)"]),
    ("value complex", minimized(fun=lambda x: 1j * x.sum()), TypeError, ["fun", "real", "complex"]),
    ("value text", minimized(fun=lambda x: "big"), TypeError, ["fun"]),
    ("value missing", minimized(fun=lambda x: None), TypeError, ["fun"]),
    ("gradient too long", minimized(jac=lambda x: np.ones(3)), ValueError,
     ["gradient", "(3,)", "(2,)"]),
    ("gradient of text", minimized(jac=lambda x: ["a", "b"]), TypeError, ["gradient", "real"]),
    ("pair expected", minimized(jac=True), ValueError, ["pair", "jac=True"]),
    ("constraints without a method", minimized(constraints={"type": "eq", "fun": sum}), ValueError,
     ["constraints", "'SLSQP'"]),
    ("penalty of minimize a number", minimized(penalty=0.1), TypeError,
     ["penalty must be a penalty or set", "float"]),
    ("penalty of minimize a class", minimized(penalty=L1), TypeError, ["class L1"]),
    ("penalty of minimize a loss", minimized(penalty=LOSS), TypeError, ["LeastSquares"]),
    ("penalty of another length", minimized(penalty=L1(0.1, weights=np.ones(5))), ValueError,
     ["x0 has 2 entries, expected 5"]),
    ("penalty and domain", minimized(penalty=PENALTY, domain=Simplex()), ValueError,
     ["penalty and domain"]),
    ("penalty for L-BFGS", minimized(penalty=PENALTY, method="lbfgs"), ValueError,
     ["'lbfgs' takes no penalty", "'prox-grad'"]),
    ("penalty for SciPy", minimized(penalty=PENALTY, method="BFGS"), ValueError,
     ["penalty", "SciPy"]),
    ("nonconvex penalty in bounds", minimized(penalty=MCP(0.1), bounds=[(0, 1)] * 2), ValueError,
     ["MCP", "not convex and separable"]),
    ("domain without a gradient", minimized(domain=Simplex()), ValueError,
     ["domain without jac", "jac='2-point'"]),
    ("domain a penalty", minimized(domain=PENALTY, jac="2-point"), TypeError,
     ["domain must be a set", "L1", "penalty="]),
    ("domain a tuple", minimized(domain=(0, 1), jac="2-point"), TypeError, ["domain", "tuple"]),
    ("domain with bounds", minimized(domain=Simplex(), jac="2-point", bounds=[(0, 1)] * 2),
     ValueError, ["Simplex", "Box"]),
    ("domain of another length", minimized(domain=Box(np.zeros(3), 1.0), jac="2-point"),
     ValueError, ["x0 has 2 entries, expected 3"]),
    ("domain without an end", minimized(domain=Box(0.0, np.inf), jac="2-point", method="bpcg"),
     ValueError, ["Box is unbounded", "bounded set"]),
    ("domain without a projection", minimized(domain=Birkhoff(1), jac="2-point",
                                              method="prox-grad"),
     TypeError, ["Birkhoff", "'frank-wolfe'"]),
    ("domain of matrices of another shape", minimized(domain=Birkhoff(2), jac="2-point"),
     ValueError, ["x0 has 2 entries, expected 4"]),
    ("Newton without a Hessian", minimized(method="newton"), ValueError, ["hess or hessp"]),
    ("differences of differences", minimized(hess="2-point"), ValueError, ["callable jac"]),
    ("hess a number", minimized(hess=3), ValueError, ["hess must be callable", "3"]),
    ("hessp a number", minimized(hessp=3), TypeError, ["hessp must be callable", "int"]),
    ("Hessian too large", minimized(jac=lambda x: 2 * x, hess=lambda x: np.eye(3)), ValueError,
     ["Hessian", "(3, 3)", "(2, 2)"]),
    ("Hessian not symmetric", minimized(jac=lambda x: 2 * x, hess=lambda x: [[2, 1], [0, 2]]),
     ValueError, ["not symmetric", "entry (0, 1) is 1", "entry (1, 0) is 0"]),
    ("product too long", minimized(jac=lambda x: 2 * x, hessp=lambda x, p: np.ones(3)), ValueError,
     ["hessp", "(3,)", "(2,)"]),
    ("solver's class as method", minimized(method=ProximalGradient), TypeError,
     ["class ProximalGradient"]),
    ("method for other problems", minimized(method="admm"), ValueError, ["'admm'", "'lbfgs'"]),
]  # fmt: skip


@pytest.mark.parametrize(
    "call, error, parts", [pytest.param(*case[1:], id=case[0]) for case in CASES]
)
def test_bad_input(call, error, parts):
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) in (ValueError, TypeError)  # not one of their subclasses by accident
    message = str(caught.value)
    for part in parts:
        assert part in message, message
    assert len(message) < 400
    assert "numba" not in message.lower()


def test_every_case_has_its_own_name():
    names = [case[0] for case in CASES]
    assert len(set(names)) == len(names)


def test_nothing_is_printed_or_warned(capsys, recwarn):
    for _, call, error, _ in CASES:
        with pytest.raises(error):
            call()
    assert capsys.readouterr() == ("", "")
    assert not recwarn.list


# ---- what looks odd but is fine ------------------------------------------------------------------


@pytest.mark.parametrize(
    "alpha", [1, np.int64(1), np.float32(1), np.array(1.0), Fraction(1)], ids=repr
)
def test_any_real_number_is_a_strength(alpha):
    penalty = L1(alpha)
    assert type(penalty.alpha) is float
    assert penalty.value([2.0]) == 2.0


def test_numbers_of_other_kinds_are_numbers():
    options = {"max_iter": np.int32(50), "tol": np.float32(1e-3), "time_limit": np.inf}
    assert numopt.solve(PROBLEM, "prox-grad", **options).success
    assert Composite(LOSS, A, PENALTY, fit_intercept=np.True_).fit_intercept
    assert Composite(LeastSquares(Y.tolist()), A.tolist(), PENALTY).objective([0, 0, 0]) > 0
    assert Composite(LeastSquares(tuple(Y)), A.astype(bool), PENALTY).dtype == np.float64


def test_huge_numbers_end_in_a_status_not_in_an_error():
    for scale in (1e150, 1e200, 1e300):
        problem = Composite(LeastSquares(Y), A * scale, L1(0.1))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.solve(problem, "prox-grad", x0=np.ones(3))
        assert np.isfinite(result.x).all()
        assert not result.success or result.certificate.kkt <= 1e-8


def test_indefinite_and_singular_are_statuses():
    for matrix, status in ((-SPD, 6), (0 * SPD, 7)):
        with pytest.warns(numopt.ConvergenceWarning):
            result = numopt.solve_linear(matrix, Y[:3] + 1, method="cg")
        assert not result.success
        assert result.status == status


def test_arguments_are_checked_before_any_work():
    # The wrong option is found although the problem would take forever.
    big = Composite(LeastSquares(np.ones(2000)), np.ones((2000, 500)), L1(1e-9))
    with pytest.raises(TypeError, match="callback must be callable"):
        numopt.solve(big, callback="stop")


def test_public_constructors_have_documented_parameters():
    for cls in (LeastSquares, Logistic, Huber, L1, MCP, SCAD, ElasticNet, Ridge, Box, Simplex):
        for name in inspect.signature(cls).parameters:
            assert re.search(rf"\b{name}\b", cls.__doc__), (cls, name)
    assert Nonnegative().prox([-1.0]) == 0
