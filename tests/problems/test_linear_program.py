"""LinearProgram: data in, certificate from formulas, relatives, files and other solvers."""

import pickle

import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt.problems import LinearProgram, QuadraticProgram
from numopt.solvers import InteriorPointQP, OperatorSplittingQP

INF = np.inf


def draw(seed=0, m=6, n=9):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n))
    room = np.where(np.arange(m) < 2, 0.0, 0.5)
    return LinearProgram(rng.standard_normal(n), A, -room, room, lb=-1, ub=1, offset=2.5)


def test_it_is_the_quadratic_program_without_curvature():
    problem = draw()
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal(9), rng.standard_normal(6)
    z_lb, z_ub = rng.random((2, 9))
    plain = QuadraticProgram(None, problem.c, problem.A, problem.l, problem.u, -1.0, 1.0)
    ours, theirs = (p.certificate(x, y, z_lb, z_ub) for p in (problem, plain))
    assert dict(ours) == dict(theirs)
    assert ours.fun == pytest.approx(theirs.fun + 2.5)
    assert problem.objective(x) == pytest.approx(problem.c @ x + 2.5)
    assert problem.convex
    r = problem.c + problem.A.T @ y + z_ub - z_lb
    terms = (problem.c, problem.A.T @ y, z_ub - z_lb)
    scale = 1 + max(np.abs(term).max() for term in terms)
    assert ours["dual"] == pytest.approx(np.abs(r).max() / scale)


@pytest.mark.parametrize(
    "solver", [InteriorPointQP(), OperatorSplittingQP(), "highs", "halpern-pdhg", "auto"]
)
def test_all_solvers_agree(solver):
    problem = draw(3)
    result, reference = numopt.solve(problem, solver), numopt.solve(problem, "highs")
    assert result.success
    assert result.fun == pytest.approx(reference.fun, rel=1e-6)
    assert result.certificate.fun == result.fun


def test_relatives_share_what_stays():
    problem = draw()
    numopt.solve(problem, "halpern-pdhg", presolve=False)
    other = problem.replace(c=-problem.c, offset=1.0)
    assert other.A is problem.A
    assert other.offset == 1.0 and problem.offset == 2.5
    assert numopt.solve(other, "halpern-pdhg").fun == pytest.approx(
        numopt.solve(other, "highs").fun, rel=1e-6
    )
    wider = problem.replace(A=np.ones((6, 9)))
    assert isinstance(wider, LinearProgram) and wider.offset == 2.5
    shorter = problem.replace(A=np.ones((2, 9)), l=0, u=1)
    assert shorter.n_rows == 2 and shorter.offset == 2.5
    for name, hint in (("q", "has no field 'q'"), ("off", "did you mean 'offset'")):
        with pytest.raises(TypeError, match=hint):
            problem.replace(**{name: 1.0})


def test_pickles_and_repr():
    problem = draw()
    twin = pickle.loads(pickle.dumps(problem))
    x = np.ones(9)
    assert dict(twin.certificate(x)) == dict(problem.certificate(x))
    assert twin.offset == 2.5
    assert repr(problem) == "LinearProgram(9 variables, 6 rows, 54 entries)"


@pytest.mark.parametrize(
    "args, options, said",
    [
        (([1, np.nan],), {}, "q has nan at index 1|c has nan at index 1"),
        (([1, 1], [[1, 1, 1]]), {}, "A needs 2 columns"),
        (([1, 1], None, [1]), {}, "l was given without A"),
        (([1, 1],), {"lb": [INF, 0]}, "lb has inf at index 0"),
        (([1, 1],), {"lb": [0]}, "lb has shape"),
        (([1, 1], sp.csr_array([[1, INF]])), {}, "A.data has inf"),
    ],
)
def test_bad_input_is_refused(args, options, said):
    with pytest.raises(ValueError, match=said):
        LinearProgram(*args, **options)


def test_the_offset_is_a_number():
    with pytest.raises(TypeError, match="offset must be a number"):
        LinearProgram([1.0], offset="a")


def test_in_batches():
    problems = [draw().replace(c=np.random.default_rng(k).standard_normal(9)) for k in range(4)]
    for solver in ("highs", "halpern-pdhg"):
        for problem, result in zip(
            problems, numopt.solve_many(problems, solver=solver), strict=True
        ):
            assert result.success
            assert result.fun == pytest.approx(numopt.solve(problem, "ipm").fun, rel=1e-6)
