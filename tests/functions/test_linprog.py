"""linprog: oracles, odd and bad input, every verdict, by every method; the command line."""

import subprocess
import sys
import warnings
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt.functions.linprog import METHODS
from numopt.io import read_problem
from numopt.problems import LinearProgram

INF, NAN = np.inf, np.nan
DATA = Path(__file__).parents[1] / "data" / "linear"
OURS = ("auto", "highs", "halpern-pdhg", "ipm")
every_method = pytest.mark.parametrize("method", OURS)


def solved(*args, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return numopt.linprog(*args, **options)


# ---- values that are known otherwise -------------------------------------------------------------


@every_method
def test_box_simplex_and_knapsack_have_closed_forms(method):
    rng = np.random.default_rng(0)
    c, lb = rng.standard_normal(20), rng.standard_normal(20)
    ub = lb + rng.random(20)
    box = numopt.linprog(c, bounds=np.stack([lb, ub], 1), method=method)
    assert box.fun == pytest.approx(np.where(c > 0, c * lb, c * ub).sum(), rel=1e-9)
    simplex = numopt.linprog(c, A_eq=np.ones((1, 20)), b_eq=[1], method=method)
    assert simplex.fun == pytest.approx(c.min(), rel=1e-7)
    assert simplex.eqlin.marginals[0] == pytest.approx(c.min(), rel=1e-7)
    value, weight = rng.random(20), rng.random(20) + 0.1
    sack = numopt.linprog(-value, [weight], [2.0], bounds=(0, 1), method=method)
    order = np.argsort(-value / weight)
    room, best = 2.0, 0.0
    for j in order:
        part = min(1.0, room / weight[j])
        room, best = room - part * weight[j], best + part * value[j]
    assert sack.fun == pytest.approx(-best, rel=1e-7)


@every_method
def test_assignment(method):
    n = 7
    cost = np.random.default_rng(1).integers(1, 30, (n, n)).astype(float)
    rows = sp.kron(sp.eye_array(n), np.ones((1, n)))
    columns = sp.kron(np.ones((1, n)), sp.eye_array(n))
    result = numopt.linprog(
        cost.ravel(), A_eq=sp.vstack([rows, columns]), b_eq=np.ones(2 * n), method=method
    )
    chosen = scipy.optimize.linear_sum_assignment(cost)
    assert result.success
    assert result.fun == pytest.approx(cost[chosen].sum(), rel=1e-7)


@every_method
def test_transport_on_a_line(method):
    rng = np.random.default_rng(2)
    x, y = np.sort(rng.random(8)), np.sort(rng.random(9))
    p, q = rng.dirichlet(np.ones(8)), rng.dirichlet(np.ones(9))
    cost = np.abs(x[:, None] - y)
    rows, columns = (
        sp.kron(sp.eye_array(8), np.ones((1, 9))),
        sp.kron(np.ones((1, 8)), sp.eye_array(9)),
    )
    result = numopt.linprog(
        cost.ravel(), A_eq=sp.vstack([rows, columns]), b_eq=np.r_[p, q], method=method
    )
    # The distance is the area between the distribution functions.
    grid = np.sort(np.r_[x, y])
    gaps = np.abs([p[x <= t].sum() - q[y <= t].sum() for t in grid])
    assert result.fun == pytest.approx((gaps[:-1] * np.diff(grid)).sum(), rel=1e-6)


@every_method
def test_shortest_path_and_largest_flow(method):
    rng = np.random.default_rng(3)
    graph = nx.gnp_random_graph(12, 0.35, seed=3, directed=True)
    graph.add_edges_from((k, k + 1) for k in range(11))
    for _, _, data in graph.edges(data=True):
        data["length"], data["capacity"] = float(rng.integers(1, 20)), float(rng.integers(1, 9))
    edges = list(graph.edges)
    E = -nx.incidence_matrix(graph, nodelist=range(12), edgelist=edges, oriented=True).toarray()
    length = [graph.edges[e]["length"] for e in edges]
    b = np.zeros(12)
    b[0], b[11] = 1.0, -1.0
    path = numopt.linprog(length, A_eq=E, b_eq=b, method=method)
    assert path.fun == pytest.approx(nx.shortest_path_length(graph, 0, 11, "length"), rel=1e-7)
    capacity = np.array([graph.edges[e]["capacity"] for e in edges])
    flow = numopt.linprog(
        -E[0], A_eq=E[1:11], b_eq=np.zeros(10), bounds=[(0, u) for u in capacity], method=method
    )
    assert -flow.fun == pytest.approx(nx.maximum_flow_value(graph, 0, 11), rel=1e-7)


def draw(seed, m=10, n=16):
    rng = np.random.default_rng(seed)
    A = rng.standard_normal((m, n)) * (rng.random((m, n)) < 0.5)
    x, lb = rng.random(n), np.where(rng.random(n) < 0.3, -INF, 0.0)
    b = A @ x + np.where(np.arange(m) < 6, rng.random(m) * (rng.random(m) < 0.5), 0.0)
    y, z = -rng.random(m), rng.random(n)
    c = A.T @ y + np.where(lb == 0, z, 0.0)
    return c, A[:6], b[:6], A[6:], b[6:], np.stack([lb, np.full(n, 5.0)], 1)


@every_method
@pytest.mark.parametrize("seed", range(4))
def test_values_and_marginals_are_scipys(seed, method):
    args = draw(seed)
    ours, theirs = numopt.linprog(*args, method=method), scipy.optimize.linprog(*args)
    assert ours.fun == pytest.approx(theirs.fun, rel=1e-7)
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-5)
    for name in ("ineqlin", "eqlin", "lower", "upper"):
        for field in ("marginals", "residual"):
            np.testing.assert_allclose(ours[name][field], theirs[name][field], atol=1e-5)
    np.testing.assert_allclose(ours.slack, theirs.slack, atol=1e-5)
    np.testing.assert_allclose(ours.con, theirs.con, atol=1e-5)


@every_method
def test_equivalent_forms_have_the_same_value(method):
    c, A, b, A_eq, b_eq, bounds = draw(7)
    value = numopt.linprog(c, A, b, A_eq, b_eq, bounds, method=method).fun
    rng = np.random.default_rng(7)
    R, C = 10 ** rng.uniform(-2, 2, 6), 10 ** rng.uniform(-2, 2, 16)
    scaled = c * C, R[:, None] * A * C, R * b, A_eq * C, b_eq, bounds / C[:, None]
    negated = c, A, b, -A_eq, -b_eq, bounds
    free = np.flatnonzero(bounds[:, 0] == -INF)
    split = (
        np.r_[c, -c[free]], np.hstack([A, -A[:, free]]), b, np.hstack([A_eq, -A_eq[:, free]]), b_eq,
        np.vstack([np.where(np.isinf(bounds), [0, 5], bounds), np.tile([0, INF], (free.size, 1))]),
    )  # fmt: skip
    slack = (
        np.r_[c, np.zeros(6)], None, None,
        np.block([[A, np.eye(6)], [A_eq, np.zeros((4, 6))]]), np.r_[b, b_eq],
        np.vstack([bounds, np.tile([0, INF], (6, 1))]),
    )  # fmt: skip
    for form in (scaled, negated, split, slack):
        assert numopt.linprog(*form, method=method).fun == pytest.approx(value, rel=1e-6)


# ---- files ---------------------------------------------------------------------------------------


OPTIMAL = {
    "afiro": -464.7531428571429, "adlittle": 225494.9631623803, "avgas": -7.75,
    "israel": -896644.8218630457, "standmps": 1406.0175, "shell": 1208825346.0, "qap04": 32.0,
}  # fmt: skip
INFEASIBLE = (
    "box1", "bgetam", "ex72a", "forest6", "galenet", "klein1", "woodinfe", "gams10am", "vol1",
    "refinery",
)  # fmt: skip


@pytest.mark.parametrize("method", ["auto", "halpern-pdhg"])
@pytest.mark.parametrize("name", OPTIMAL)
def test_known_optima(name, method):
    problem = read_problem(DATA / f"{name}.mps.gz")
    assert isinstance(problem, LinearProgram)
    solver = "highs" if method == "auto" else method
    result = numopt.solve(problem, solver)
    assert result.success
    assert result.fun == pytest.approx(OPTIMAL[name], rel=1e-6)


@pytest.mark.parametrize("name", INFEASIBLE)
def test_infeasible_files_are_proven_so(name):
    problem = read_problem(DATA / f"{name}.mps.gz")
    result = numopt.solve(problem, "highs")
    assert result.status == 2
    check_farkas(problem, *result.farkas)
    # The first-order method finds it or says nothing.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        first_order = numopt.solve(problem, "halpern-pdhg", max_iter=5000)
    assert first_order.status in (1, 2, 7)
    if first_order.status == 2:
        check_farkas(problem, *first_order.farkas)


def check_farkas(problem, y, z_lb, z_ub):
    """From the arrays: the multipliers ask more of every feasible point than it can give."""
    assert min(z_lb.min(), z_ub.min()) >= 0
    off = np.abs(problem.A.T @ y + z_ub - z_lb).max()
    value = 0.0
    for v, low, high in ((y, problem.l, problem.u), (z_ub - z_lb, problem.lb, problem.ub)):
        value += (high[v > 0] * v[v > 0]).sum() + (low[v < 0] * v[v < 0]).sum()
    assert value < 0
    assert off <= 1e-8 * -value


def test_an_unbounded_file_comes_with_a_ray():
    problem = read_problem(DATA / "gas11.mps.gz")
    result = numopt.solve(problem, "highs")
    assert result.status == 3
    check_ray(problem, result)


def check_ray(problem, result):
    d = result.ray
    assert problem.c @ d < 0
    for far in (1.0, 1e3):
        assert problem.certificate(result.x + far * d)["primal"] <= 1e-6


def test_the_command_line_solves_files(tmp_path):
    command = [sys.executable, "-m", "numopt", "solve"]
    done = subprocess.run(
        [*command, str(DATA / "afiro.mps.gz")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "-464.7531429" in done.stdout
    path = tmp_path / "problem.npz"
    A = sp.csc_array([[1.0, 1.0]])
    np.savez(
        path, c=[-1.0, -2.0], A_data=A.data, A_indices=A.indices, A_indptr=A.indptr,
        A_shape=A.shape, u=4.0, lb=0.0, ub=3.0, offset=10.0,
    )  # fmt: skip
    done = subprocess.run([*command, str(path)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "objective    3\n" in done.stdout
    np.savez(path, c=[1.0], P=[[1.0]])
    with pytest.raises(ValueError, match="has both c and P"):
        read_problem(path)


# ---- odd problems --------------------------------------------------------------------------------

# Each: arguments, options, solution.
ODD = {
    "no rows": (([1.0, -2.0],), {"bounds": (-1, 2)}, [-1, 2]),
    "rows without entries": (([1.0, 2.0], np.zeros((0, 2)), []), {}, [0, 0]),
    "empty row": (([1.0, 1.0], [[0, 0], [-1, -2]], [1, -2]), {}, [0, 1]),
    "no cost": (([0.0], None, None, [[2.0]], [4.0]), {}, [2]),
    "square equations": (
        ([1.0, 1.0], None, None, [[1, 1], [1, -1]], [1, 3]), {"bounds": (None, None)}, [2, -1],
    ),
    "dependent equations": (
        ([1.0, 2.0], None, None, [[1, 1], [2, 2], [-3, -3]], [2, 4, -6]), {}, [2, 0],
    ),
    "free variables": (([1.0], [[-1]], [3]), {"bounds": (None, None)}, [-3]),
    "fixed": (([1.0, 1.0], [[-1, -1]], [-3]), {"bounds": [(1, 1), (0, None)]}, [1, 2]),
    "zero column": (([1.0, -1.0], [[1.0, 0]], [1]), {"bounds": (-1, 2)}, [-1, 2]),
    "a huge bound": (([1.0, 1.0], [[-1, -1]], [-1]), {"bounds": [(0, 1e9), (0.25, 1e9)]}, None),
    "no bound in b": (([1.0, 1.0], [[-1, 0], [1, 1]], [-1, INF]), {}, [1, 0]),
    "integers": (([1, 1], [[-1, -2]], [-2]), {"bounds": [(0, 1), (0, 1)]}, [0, 1]),
    "float32": ((np.float32([-1, -1]), np.float32([[1, 2]]), np.float32([2])), {}, [2, 0]),
    "large costs": (([1e9, 3e9], [[-1, -1]], [-1]), {}, [1, 0]),
}  # fmt: skip


@every_method
@pytest.mark.parametrize("name", ODD)
def test_odd_problems_are_solved(name, method):
    args, options, x = ODD[name]
    result = numopt.linprog(*args, **options, method=method)
    assert result.success, result
    if x is not None:
        np.testing.assert_allclose(result.x, x, atol=1e-6)
    assert result.fun == pytest.approx(float(np.dot(args[0], result.x)), abs=1e-6)


@pytest.mark.parametrize("bounds", [None, [], (0, None), [(0, None)], [(0, None)] * 2, (0, NAN)])
def test_bounds_as_scipy_takes_them(bounds):
    result = numopt.linprog([1.0, 2.0], [[-1, -1]], [-1], bounds=bounds)
    assert result.x.tolist() == [1.0, 0.0]
    ours = numopt.linprog([1.0, 2.0], bounds=scipy.optimize.Bounds([1, 2], [3, INF]))
    assert ours.x.tolist() == [1.0, 2.0]


EMPTY = {
    "crossed bounds": (([1.0, 1.0],), {"bounds": [(0, 1), (2, 1)]}, "Variable 1 has lb = 2"),
    "empty row": (([1.0, 1.0], None, None, [[0, 0]], [1]), {}, ""),
    "bounds and row": (([1.0, 1.0], [[1, 1]], [-1]), {}, ""),
    "equations": (([1.0, 1.0], None, None, [[1, 1], [2, 2]], [1, 3]), {}, ""),
    "both ways": (([-1.0, -1.0], [[-1, 1], [1, -1]], [-1, 0]), {}, ""),
}


@every_method
@pytest.mark.parametrize("name", EMPTY)
def test_infeasible_problems_are_proven_so(name, method):
    args, options, said = EMPTY[name]
    result = numopt.linprog(*args, **options, method=method)
    assert result.status == 2
    assert not result.success
    assert said in result.message
    padded = [*args, *[None] * (5 - len(args))]
    _, A_ub, b_ub, A_eq, b_eq = (None if part is None else np.array(part) for part in padded)
    lb, ub = np.array(options.get("bounds", [(0, INF)] * 2), float).T
    y = result.farkas
    assert sorted(y) == ["eqlin", "ineqlin", "lower", "upper"]
    assert (y["ineqlin"] <= 0).all() and (y["upper"] <= 0).all() and (y["lower"] >= 0).all()
    total, value = y["lower"] + y["upper"], 0.0
    for A, b, part in ((A_ub, b_ub, y["ineqlin"]), (A_eq, b_eq, y["eqlin"])):
        if A is not None:
            total, value = total + A.T @ part, value + b @ part
    for bound, part in ((lb, y["lower"]), (ub, y["upper"])):
        value += (bound[part != 0] * part[part != 0]).sum()
    np.testing.assert_allclose(total, 0, atol=1e-8)
    assert value > 0


ENDLESS = {
    "no rows": (([-1.0, 0.0],), {}),
    "zero column": (([0.0, -1.0], [[1.0, 0.0]], [1]), {}),
    "a cone": (([-1.0, -1.0], [[1.0, -1], [-1, 1]], [1, 1]), {}),
    "free": (([1.0, 1.0], None, None, [[1, -1]], [0]), {"bounds": (None, None)}),
}


@every_method
@pytest.mark.parametrize("name", ENDLESS)
def test_unbounded_problems_are_proven_so(name, method):
    args, options = ENDLESS[name]
    result = numopt.linprog(*args, **options, method=method)
    assert result.status == 3, result
    padded = [*args, *[None] * (5 - len(args))]
    problem = LinearProgram(
        padded[0],
        padded[1] if padded[3] is None else padded[3],
        None if padded[3] is None else padded[4],
        padded[2] if padded[3] is None else padded[4],
        lb=None if "bounds" in options else 0,
    )
    check_ray(problem, result)


def test_a_zero_tolerance_is_refused_and_a_tiny_one_never_loosened():
    args = draw(0)
    result = solved(*args, tol=1e-30, options={"max_iter": 2000}, method="halpern-pdhg")
    assert not result.success
    assert result.status in (1, 7)
    assert result.certificate.worst(1.0) <= 1e-6


@every_method
def test_a_start_at_the_solution_is_kept(method):
    args = draw(1)
    first = numopt.linprog(*args, method=method)
    again = numopt.linprog(*args, method=method, x0=first.x)
    assert again.success
    assert again.fun == pytest.approx(first.fun, rel=1e-7)


def test_a_callback_stops():
    result = solved(*draw(2), callback=lambda shown: True, method="halpern-pdhg")
    assert result.status == 99


# ---- bad input -----------------------------------------------------------------------------------

BAD = {
    "NaN in c": (([1, NAN],), {}, ["c has nan at index 1"]),
    "inf in A_ub": (([1, 1], [[1, INF]], [1]), {}, ["A_ub has inf at index (0, 1)"]),
    "NaN in A_eq": (([1, 1], None, None, [[NAN, 1]], [1]), {}, ["A_eq has nan at index (0, 0)"]),
    "NaN in b_ub": (([1, 1], [[1, 1]], [NAN]), {}, ["b_ub has nan at index 0"]),
    "-inf in b_ub": (([1, 1], [[1, 1]], [-INF]), {}, ["b_ub has -inf at index 0", "inf stands"]),
    "inf in b_eq": (([1, 1], None, None, [[1, 1]], [INF]), {}, ["b_eq has inf at index 0"]),
    "A too wide": (([1, 1], [[1, 1, 1]], [1]), {}, ["A_ub has shape (1, 3)", "2 columns"]),
    "b too long": (([1, 1], [[1, 1]], [1, 2]), {}, ["b_ub has shape (2,)", "1 rows"]),
    "b without A": (([1, 1], None, [1]), {}, ["b_ub was given without A_ub"]),
    "A without b": (([1, 1], [[1, 1]]), {}, ["A_ub was given without b_ub"]),
    "three bounds": (([1, 1],), {"bounds": [(0, 1)] * 3}, ["bounds has shape (3, 2)"]),
    "ragged bounds": (([1, 1],), {"bounds": [(0, 1), (1,)]}, ["bounds must be"]),
    "lower bound inf": (([1, 1],), {"bounds": [(0, 1), (INF, None)]}, ["inf as lower", "index 1"]),
    "method": (([1, 1],), {"method": "simplex"}, ["method must be one of"]),
    "tol": (([1, 1],), {"tol": -1}, ["tol must be"]),
    "x0": (([1, 1],), {"x0": [1]}, ["x0 has 1 entries"]),
    "integers": (([1, 1],), {"integrality": [0, 1]}, ["index 1", "scipy.optimize.milp"]),
    "c 2-D": ((np.ones((2, 2)),), {}, ["c must be 1-D"]),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_is_refused(name):
    args, options, parts = BAD[name]
    with pytest.raises(ValueError) as caught:
        numopt.linprog(*args, **options)
    for part in parts:
        assert part in str(caught.value)


def test_bad_types_and_options():
    with pytest.raises(TypeError, match="c must hold real numbers"):
        numopt.linprog(np.array([1, 1j]))
    with pytest.raises(TypeError, match="b_ub must hold real numbers"):
        numopt.linprog([1, 1], [[1, 1]], ["a"])
    for method in METHODS:
        with pytest.raises(TypeError, match="did you mean 'max_iter'"):
            numopt.linprog([1, 1], method=method, options={"max_itr": 3})


def test_an_answer_that_the_data_do_not_confirm_goes_to_the_next_solver(monkeypatch):
    from numopt.solvers import Highs

    run = Highs._run

    def spoilt(self, *args, **options):
        outcome = run(self, *args, **options)
        point = {**outcome.point, "x": outcome.point["x"] + 1e-3}
        return outcome._replace(point={**point, "warm_start": dict(point)})

    args = draw(5)
    value = numopt.linprog(*args).fun
    monkeypatch.setattr(Highs, "_run", spoilt)
    result = numopt.linprog(*args, time_limit=60)
    assert result.success
    assert "InteriorPointQP" in result.solver
    assert result.fun == pytest.approx(value, rel=1e-7)
    alone = solved(*args, method="highs")
    assert not alone.success
    assert alone.status == 7


def test_the_first_order_method_is_chosen_where_factors_fill_in():
    rng = np.random.default_rng(0)
    n, links = 2500, 9
    target = rng.integers(0, n, n * links)
    G = sp.csr_array((np.ones(n * links), (target, np.repeat(np.arange(n), links))), shape=(n, n))
    A = sp.eye_array(n) - 0.9 * G @ sp.diags_array(1 / G.sum(axis=0))
    ranks = numopt.linprog(np.zeros(n), A_eq=A, b_eq=np.full(n, 0.1 / n), tol=1e-6)
    assert ranks.success
    assert "HalpernPDHG" in ranks.solver
    assert ranks.x.sum() == pytest.approx(1.0, abs=1e-2)
    assert "Highs" in numopt.linprog(*draw(0), tol=1e-6).solver
