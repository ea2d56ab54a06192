"""quadprog: odd and bad input, every verdict, by every method; the command line."""

import json
import subprocess
import sys
import warnings

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt.__main__ import main
from numopt.functions.quadprog import METHODS
from numopt.problems import QuadraticProgram

I2 = np.eye(2)
INF = np.inf
every_method = pytest.mark.parametrize("method", METHODS)


def solved(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return numopt.quadprog(*args, **options)


# Each: arguments, options, solution.
ODD = {
    "no constraints": ((I2, [1.0, -2.0]), {}, [-1, 2]),
    "no rows": ((I2, [1.0, -2.0], np.zeros((0, 2)), [], []), {}, [-1, 2]),
    "box only": ((I2, [-3.0, 0.5]), {"lb": 0, "ub": 1}, [1, 0]),
    "P = 0": ((0 * I2, [1.0, 2.0], [[1.0, 1.0]], 1.0, INF), {"lb": 0}, [1, 0]),
    "no P": ((None, [1.0, 2.0], [[1.0, 1.0]], 1.0, 1.0), {"lb": 0}, [1, 0]),
    "q = 0": ((I2, [0.0, 0.0], [[1.0, 1.0]], 2.0, None), {}, [1, 1]),
    "empty row": ((I2, [0.0, 0.0], [[0.0, 0.0], [1.0, 1.0]], [0, 2], [0, 2]), {}, [1, 1]),
    "free rows": ((I2, [1.0, 1.0], I2), {}, [-1, -1]),
    "repeated rows": (
        (I2, [0.0, 0.0], [[1, 1], [1, 1], [-2, -2]], [2, 1, -6], [INF, 5, -4]),
        {},
        [1, 1],
    ),
    "one variable": (([[2.0]], [-4.0]), {"ub": 1.5}, [1.5]),
    "fixed": ((I2, [1.0, 1.0]), {"lb": [3.0, -INF], "ub": [3.0, INF]}, [3, -1]),
    "all fixed": ((I2, [1.0, 1.0]), {"lb": [3, 4], "ub": [3, 4]}, [3, 4]),
    "integers": ((np.eye(2, dtype=int), [1, 1], np.ones((1, 2), int), [1], [1]), {}, [0.5, 0.5]),
    "units of 1e10": ((1e10 * I2, [1e10, 2e10], I2, [1e10, 1e10], 1e11), {}, [1e10, 1e10]),
    "float32": ((I2.astype(np.float32), np.float32([1, -2])), {}, [-1, 2]),
    "sparse": ((sp.csr_array(I2), [1.0, 1.0], sp.coo_array(I2), 0.5, 2.0), {}, [0.5, 0.5]),
    "None among bounds": ((I2, [1.0, -2.0]), {"lb": [0, None]}, [0, 2]),
    "redundant equations": ((I2, [0.0, 0.0], [[1, 1], [2, 2]], [2, 4], [2, 4]), {}, [1, 1]),
}


@every_method
@pytest.mark.parametrize("name", ODD)
def test_odd_problems_are_solved(name, method):
    args, options, x = ODD[name]
    result = numopt.quadprog(*args, **options, method=method)
    assert result.success, result
    scale = max(1.0, np.abs(x).max())
    np.testing.assert_allclose(result.x, x, atol=1e-6 * scale)
    problem = QuadraticProgram(*args, **options)
    stationary = problem.P @ result.x + problem.q + problem.A.T @ result.y
    stationary += result.z_ub - result.z_lb
    terms = np.abs(problem.q), np.abs(problem.P @ result.x)
    assert np.abs(stationary).max() <= 1e-6 * max(1.0, *(term.max() for term in terms))


def test_no_variables():
    result = numopt.quadprog(np.zeros((0, 0)), [])
    assert result.success
    assert result.x.shape == (0,)


EMPTY = {
    "crossed rows": ((I2, [1, 1], I2, [1, 2], [3, 1]), {}, "Row 1 has l = 2 > u = 1"),
    "crossed bounds": ((I2, [1, 1]), {"lb": [0, 2], "ub": 1}, "Variable 1 has lb = 2 > ub = 1"),
    "contradiction": ((I2, [1, 1], [[1.0, 1], [1, 1]], [2, -INF], [INF, 1]), {}, "infeasible"),
    "equations": ((I2, [1, 1], [[1.0, 1], [1, 1]], [1, 2], [1, 2]), {}, "infeasible"),
    "by 1e-6": ((I2, [1, 1], [[1.0, 1], [1, 1]], [1, -INF], [INF, 1 - 1e-6]), {}, "infeasible"),
    "empty row": ((I2, [1, 1], [[0.0, 0], [1, 1]], [1, 0], [2, 1]), {}, "infeasible"),
    "bounds and row": ((None, [1, 1], [[1.0, 1]], [3], [INF]), {"lb": 0, "ub": 1}, "infeasible"),
    "both ways": ((None, [-1, -1], [[1, -1.0], [1, -1]], [1, -INF], [INF, 0]), {}, "infeasible"),
}


@every_method
@pytest.mark.parametrize("name", EMPTY)
def test_infeasible_problems_are_proven_so(name, method):
    args, options, said = EMPTY[name]
    result = numopt.quadprog(*args, **options, method=method)
    assert result.status == 2, result
    assert not result.success
    assert said in result.message
    y, z_lb, z_ub = result.farkas
    assert min(z_lb.min(), z_ub.min()) >= 0
    problem = QuadraticProgram(*args, **options)
    if problem.crossed() is None:
        assert np.abs(problem.A.T @ y + z_ub - z_lb).max() <= 1e-7
        sides = [(y, problem.l, problem.u), (z_ub - z_lb, problem.lb, problem.ub)]
        value = 0.0
        for v, low, high in sides:
            value += (high[v > 0] * v[v > 0]).sum() + (low[v < 0] * v[v < 0]).sum()
        assert value < 0


ENDLESS = {
    "linear": ((0 * I2, [-1.0, 0.0]), {"lb": 0}),
    "a cone": ((None, [-1.0, -1.0], [[1.0, -1.0]], [-1], [1]), {"lb": 0}),
    "flat direction": (([[1.0, 0], [0, 0]], [1.0, -1.0]), {}),
    "in the range of nothing": (([[1.0, 1], [1, 1]], [1.0, -1.0], [[1.0, 1]], [0], [1]), {}),
}


@every_method
@pytest.mark.parametrize("name", ENDLESS)
def test_unbounded_problems_are_proven_so(name, method):
    args, options = ENDLESS[name]
    result = numopt.quadprog(*args, **options, method=method)
    assert result.status == 3, result
    assert not result.success
    problem = QuadraticProgram(*args, **options)
    d = result.ray
    assert problem.q @ d < 0
    assert np.abs(problem.P @ d).max() <= 1e-7 * -(problem.q @ d)
    for far in (1.0, 1e3):
        assert problem.certificate(result.x + far * d)["primal"] <= 1e-6


@every_method
def test_indefinite_matrices_are_named(method):
    result = solved([[1.0, 0.0], [0.0, -1.0]], [1.0, 1.0], lb=-1, ub=1, method=method)
    assert result.status == 6
    assert not result.success
    assert "row 1" in result.message
    # One eigenvalue of -1e-6 among those up to 10.
    rng = np.random.default_rng(0)
    Q, _ = np.linalg.qr(rng.standard_normal((30, 30)))
    P = (Q * np.append(-1.2e-5, np.linspace(1, 10, 29))) @ Q.T
    assert solved((P + P.T) / 2, np.zeros(30), lb=-1, ub=1, method=method).status == 6
    P = (Q * np.append(0.0, np.linspace(1, 10, 29))) @ Q.T
    assert solved((P + P.T) / 2, np.zeros(30), lb=-1, ub=1, method=method).success


NAN = np.nan
BAD = {
    "NaN in P": (([[NAN, 0], [0, 1]], [1, 1]), {}, ["P has nan at index (0, 0)"]),
    "inf in P": (([[1, 0], [0, INF]], [1, 1]), {}, ["P has inf at index (1, 1)"]),
    "NaN in q": ((I2, [1, NAN]), {}, ["q has nan at index 1"]),
    "inf in q": ((I2, [1, -INF]), {}, ["q has -inf at index 1"]),
    "NaN in A": ((I2, [1, 1], [[1, NAN]], 0, 1), {}, ["A has nan at index (0, 1)"]),
    "inf in A": ((I2, [1, 1], [[1, INF]], 0, 1), {}, ["A has inf at index (0, 1)"]),
    "NaN in sparse A": ((I2, [1, 1], sp.csr_array([[1, NAN]]), 0, 1), {}, ["A.data has nan"]),
    "NaN in l": ((I2, [1, 1], I2, [0, NAN]), {}, ["l has nan at index 1", "-inf stands for"]),
    "NaN in u": ((I2, [1, 1], I2, None, [NAN, 0]), {}, ["u has nan at index 0"]),
    "l of inf": ((I2, [1, 1], I2, [0, INF]), {}, ["l has inf at index 1"]),
    "ub of -inf": ((I2, [1, 1]), {"ub": [0, -INF]}, ["ub has -inf at index 1"]),
    "P not square": ((np.ones((2, 3)), [1, 1]), {}, ["P has shape (2, 3)", "q has 2 entries"]),
    "P too large": ((np.eye(3), [1, 1]), {}, ["P has shape (3, 3)"]),
    "A too wide": ((I2, [1, 1], np.ones((1, 3))), {}, ["A has shape (1, 3)", "2 columns"]),
    "l too long": ((I2, [1, 1], I2, [1, 2, 3]), {}, ["l has shape (3,), expected (2,)"]),
    "lb too short": ((I2, [1, 1]), {"lb": [1]}, ["lb has shape (1,), expected (2,)"]),
    "l without A": ((I2, [1, 1], None, [1]), {}, ["l was given without A"]),
    "asymmetric": (([[1, 2], [0, 1]], [1, 1]), {}, ["P is not symmetric", "P[0, 1] is 2"]),
    "slightly asymmetric": (([[1, 2], [2.001, 1]], [1, 1]), {}, ["2.001"]),
    "x0 too long": ((I2, [1, 1]), {"x0": [1, 2, 3]}, ["x0 has 3 entries"]),
    "NaN in x0": ((I2, [1, 1]), {"x0": [1, NAN]}, ["x0 has nan"]),
    "tol 0": ((I2, [1, 1]), {"tol": 0}, ["tol must be"]),
    "q 2-D": ((I2, [[1, 1]]), {}, ["q must be 1-D"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    args, options, parts = BAD[name]
    with pytest.raises(ValueError) as caught:
        numopt.quadprog(*args, **options)
    for part in parts:
        assert part in str(caught.value)


def test_bad_types_and_options():
    with pytest.raises(TypeError, match="q must hold real numbers"):
        numopt.quadprog(I2, np.array([1, 1j]))
    with pytest.raises(TypeError, match="lb must hold real numbers"):
        numopt.quadprog(I2, [1, 1], lb=["a", "b"])
    with pytest.raises(ValueError, match="method must be one of"):
        numopt.quadprog(I2, [1, 1], method="simplex")
    with pytest.raises(TypeError, match="did you mean 'max_iter'"):
        numopt.quadprog(I2, [1, 1], options={"max_itr": 3})
    with pytest.raises(TypeError, match="options must be a dict, got list"):
        numopt.quadprog(I2, [1, 1], options=[3])
    for start in ({"x0": [1.0]}, {"y0": [1.0]}):
        with pytest.raises(ValueError, match=f"{next(iter(start))} has 1 entries, expected"):
            numopt.quadprog(I2, [1, 1], method="admm", **start)


@pytest.mark.parametrize("seed", range(4))
def test_linear_programs_agree_with_highs(seed):
    rng = np.random.default_rng(seed)
    m, n = 12, 20
    A = rng.standard_normal((m, n))
    b = A @ rng.random(n)
    c = rng.random(n)
    result = numopt.quadprog(None, c, A, b, [*b[:6], *[INF] * 6], lb=0, ub=2)
    expected = scipy.optimize.linprog(c, -A[6:], -b[6:], A[:6], b[:6], (0, 2))
    assert result.success
    assert result.fun == pytest.approx(expected.fun, rel=1e-7)


def test_the_command_line_solves_files(tmp_path):
    path, out = tmp_path / "problem.npz", tmp_path / "result.json"
    np.savez(path, P=I2, q=np.array([1.0, -2.0]), lb=np.zeros(2))
    command = [sys.executable, "-m", "numopt", "solve", str(path), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "globally optimal" in done.stdout
    written = json.loads(out.read_text("utf-8"))
    assert written["success"]
    np.testing.assert_allclose(written["x"], [0, 2], atol=1e-6)
    np.savez(path, P=I2, q=np.array([1.0, -2.0]), lb=np.ones(2), ub=np.zeros(2))
    done = subprocess.run(command[:-2], capture_output=True, text=True)
    assert done.returncode == 1
    assert "Variable 0 has lb = 1 > ub = 0" in done.stdout


QPS = """NAME          QPEX
ROWS
 N  obj
 G  r1
 L  r2
COLUMNS
    c1        obj       1.5            r1        2.0
    c1        r2        -1.0
    c2        obj       -2.0           r1        1.0
    c2        r2        2.0
RHS
    rhs1      r1        2.0            r2        6.0
    rhs1      obj       -4.0
BOUNDS
 UP bnd1      c1        20.0
QUADOBJ
    c1        c1        8.0
    c1        c2        2.0
    c2        c2        10.0
ENDATA
"""


def test_the_command_line_reads_qps(tmp_path):
    pytest.importorskip("highspy")
    path, out = tmp_path / "problem.qps", tmp_path / "result.npz"
    path.write_text(QPS, "utf-8")
    command = [sys.executable, "-m", "numopt", "solve", str(path), "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    np.testing.assert_allclose(np.load(out)["x"], [0.7625, 0.475], atol=1e-6)
    assert float(np.load(out)["fun"]) == pytest.approx(4.371875 + 4)  # minus the side of obj


def arrays(**given):
    return lambda path: np.savez(path, **{"q": np.ones(2), **given})


SPARSE = {"A_data": [1.0, 1.0], "A_indices": [0, 0], "A_indptr": [0, 1, 2], "A_shape": (1, 2)}
FILES = {
    "x.npz": (arrays(A_ub=np.ones((1, 2))), "has an array A_ub, which is no field of Quadratic"),
    "y.npz": (arrays(**{**SPARSE, "A_indices": [0, 7]}), "A of y.npz is no matrix by columns"),
    "z.npz": (arrays(A_data=[1.0]), "z.npz has no array A_indices beside other parts of A"),
    "objects.npz": (arrays(P=np.array([None])), "not an .npz file of numbers"),
    "text.npz": (lambda path: path.write_text("hello", "utf-8"), "not an .npz file of numbers"),
    "empty.npz": (lambda path: path.write_text("", "utf-8"), "not an .npz file of numbers"),
    "folder.npz": (lambda path: path.mkdir(), "there is no file"),
    "none.qps": (lambda path: None, "there is no file"),
    "short.qps": (lambda path: path.write_text(QPS.partition("c2 ")[0] + "c", "utf-8"), "short"),
    "part.MPS": (lambda path: path.write_text(QPS.replace("ENDATA", "*"), "utf-8"), "part.MPS"),
    "other.txt": (lambda path: path.write_text("", "utf-8"), "must end in .qps"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_that_hold_no_problem_are_refused_in_a_line(name, tmp_path, capsys):
    write, message = FILES[name]
    write(tmp_path / name)
    with pytest.raises(SystemExit) as ended:
        main(["solve", str(tmp_path / name)])
    assert ended.value.code == 2
    assert message in capsys.readouterr().err


def test_the_place_for_the_result_is_looked_at_first(tmp_path, capsys):
    np.savez(tmp_path / "x.npz", q=np.ones(2), lb=np.zeros(2), **SPARSE)
    with pytest.raises(SystemExit):
        main(["solve", str(tmp_path / "x.npz"), "--out", "result.txt"])
    shown = capsys.readouterr()
    assert not shown.out and "result.txt must end in .json or .npz" in shown.err


@pytest.mark.parametrize("method", ["ipm", "admm"])
@pytest.mark.parametrize("gap", [-1.0, 1e-3, 2.0])
@pytest.mark.parametrize("seed", range(6))
def test_a_ray_proves_nothing_where_there_is_no_point(method, gap, seed):
    # Far along x[0] the violation of the other rows is small beside the largest entry of Ax.
    rng = np.random.default_rng(seed)
    n = int(rng.integers(4, 12))
    B, b = rng.standard_normal((3, n - 1)), rng.standard_normal(3)
    A = np.zeros((6, n))
    A[0, 0], A[5, :2] = 1, (1, 0.5)
    A[1:4, 1:], A[4, 1:] = B, B[0]
    lower = np.concatenate(([0], b - 1, [b[0] + 1 + gap, -1]))
    upper = np.concatenate(([np.inf], b + 1, [b[0] + 3 + gap, np.inf]))
    P = np.diag(np.r_[0, np.ones(n - 1)]) if seed % 2 else None
    q = np.r_[-1, np.zeros(n - 1)]
    lb, ub = np.full(n, -10.0), np.full(n, 10.0)
    lb[0], ub[0] = -np.inf, np.inf
    result = numopt.quadprog(P, q, A, lower, upper, lb=lb, ub=ub, method=method)
    assert result.status is (numopt.Status.UNBOUNDED if gap < 0 else numopt.Status.INFEASIBLE)


def test_auto_solves_what_either_method_solves():
    # Wide sides beside narrow ones; the interior point method has gone astray on it.
    A = [[2.0, -1.0], [0.0, -1.0], [1.0, 2.0]]
    sides = [-1.00000001, 0.0, -1e8], [-1.0, 1.0, -3.0]
    result = numopt.quadprog(np.ones((2, 2)), [0.8, 1.1], A, *sides)
    assert result.success, result
    np.testing.assert_allclose(result.x, [-1, -1], atol=1e-6)


@pytest.mark.parametrize("method", ["auto", "admm"])
def test_a_limit_on_iterations_ends_every_method_with_a_warning(method):
    with pytest.warns(numopt.ConvergenceWarning, match="iteration limit"):
        result = numopt.quadprog(I2, [1.0, -2.0], lb=0, method=method, options={"max_iter": 1})
    assert result.status == 1
    assert result.nit <= 1


@every_method
def test_what_is_not_solved_is_warned_of(method):
    with pytest.warns(numopt.ConvergenceWarning, match="not convex"):
        assert numopt.quadprog(-I2, [0.0, 0.0], lb=0, ub=1, method=method).status == 6


FAR = {  # solvable, with solutions some 1e9 away, where the small entries decide
    "curvature": (1e-9 * I2, [1.0, -1.0]),
    "curvature and bounds": (np.diag([1.0, 1e-9]), [1.0, -1.0], None, None, None, 0.0),
    "slope": (None, [-1.0, 0.0], [[1e-9, -1.0], [0.0, 1.0]], None, [1.0, 5.0], 0.0),
    "row": (I2, [1.0, 0.0], [[1e-9, 1.0]], 1.0, None, None, [INF, 0.0]),
    "equations": (I2, [1.0, 0.0], [[1.0, 1.0], [1.0, 1 + 1e-9]], [0.0, 1.0], [0.0, 1.0]),
    "opposite": (None, [-1.0, 0.0], [[1.0, -1.0], [1.0, -1 - 1e-9]], [0.0, -1.0], [0.0, 1.0]),
}


@every_method
@pytest.mark.parametrize("name", FAR)
def test_small_entries_are_no_rounding(name, method):
    *data, lb, ub = (*FAR[name], *(None,) * 7)[:7]
    result = solved(*data, lb=lb, ub=ub, method=method, options={"max_iter": 2000})
    assert result.status not in (2, 3), result
