"""Matrix games: known values, invariances, and the simplex method under degeneracy."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
import scipy.optimize
import scipy.sparse as sp
import scipy.sparse.linalg

import numopt
from numopt.problems import MatrixGame
from numopt.solvers import DoubleOracle, GamePDHG
from numopt.solvers._parts.game_simplex import solve_game_exactly

RPS = np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]])
METHODS = ("auto", "exact", "double-oracle", "pdhg")
every_method = pytest.mark.parametrize("method", METHODS)


def value_by_highs(A):
    m, n = A.shape
    answer = scipy.optimize.linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.hstack([A, -np.ones((m, 1))]),
        b_ub=np.zeros(m),
        A_eq=np.r_[np.ones(n), 0.0][None],
        b_eq=[1.0],
        bounds=[(0, None)] * n + [(None, None)],
    )
    return answer.fun


def police(n, seed=1):
    """Burglar chooses column j of worth w_j, policeman row i: far away is good for the burglar."""
    i = np.arange(n)
    w = np.abs(np.random.RandomState(seed).randn(n))
    return (1 - np.exp(-0.8 * np.abs(i[:, None] - i))) * w


def check(result, A, payoff="row", tol=1e-6):
    """Certificate and fields, from the data."""
    x, y = result.x, result.y
    assert min(x.min(), y.min()) >= 0
    assert max(abs(x.sum() - 1), abs(y.sum() - 1)) <= 1e-12
    sign = 1 if payoff == "row" else -1
    lower, upper = (sign * A.T @ x).min(), (sign * A @ y).max()
    if sign < 0:
        lower, upper = -upper, -lower
    assert (result.lower, result.upper) == pytest.approx((lower, upper), abs=1e-12 * abs(A).max())
    assert lower <= result.value <= upper or result.gap <= 1e-12 * abs(A).max()
    assert result.gap <= tol * max(1.0, abs(A).max())
    assert result.exploitability == result.gap / 2
    assert result.success
    assert set(result.support_x) == set(np.flatnonzero(x > 1e-9 * x.max()))


# ---- closed forms --------------------------------------------------------------------------------


@every_method
def test_rock_paper_scissors(method):
    result = numopt.solve_game(RPS, method=method)
    check(result, RPS)
    np.testing.assert_allclose(result.x, 1 / 3, atol=1e-5)
    np.testing.assert_allclose(result.y, 1 / 3, atol=1e-5)
    assert abs(result.value) <= 1e-6


@every_method
def test_diagonal_games(method):
    d = np.array([1.0, 2.0, 5.0, 0.5])
    result = numopt.solve_game(np.diag(d), method=method)
    check(result, np.diag(d))
    assert result.value == pytest.approx(1 / (1 / d).sum(), abs=1e-5)
    np.testing.assert_allclose(result.x, (1 / d) / (1 / d).sum(), atol=1e-4)


@every_method
def test_two_by_two_without_saddle_point(method):
    a, b, c, d = 3.0, -1.0, 0.0, 2.0
    result = numopt.solve_game([[a, b], [c, d]], method=method)
    total = a + d - b - c
    assert result.value == pytest.approx((a * d - b * c) / total, abs=1e-5)
    np.testing.assert_allclose(result.x, [(d - c) / total, (a - b) / total], atol=1e-5)
    np.testing.assert_allclose(result.y, [(d - b) / total, (a - c) / total], atol=1e-5)


@every_method
def test_skew_symmetric_games_are_fair(method):
    S = np.random.default_rng(3).integers(-3, 4, (21, 21)).astype(float)
    result = numopt.solve_game(S - S.T, method=method)
    check(result, S - S.T)
    assert abs(result.value) <= 1e-5


@every_method
@pytest.mark.parametrize("shape", [(1, 1), (1, 5), (5, 1)])
def test_one_choice(method, shape):
    A = np.arange(5.0)[: shape[0] * shape[1]].reshape(shape)
    result = numopt.solve_game(A, method=method)
    check(result, A)
    assert result.value == pytest.approx(A.min() if shape[0] == 1 else A.max(), abs=1e-6)


@every_method
@pytest.mark.parametrize("entry", [0.0, 7.0, -1e6])
def test_constant_games(method, entry):
    A = np.full((4, 6), entry)
    result = numopt.solve_game(A, method=method)
    check(result, A)
    assert result.value == pytest.approx(entry)


@every_method
def test_pure_equilibrium(method):
    A = np.random.default_rng(0).standard_normal((8, 6))
    A[3], A[:, 2] = np.abs(A[3]) + 2, -np.abs(A[:, 2]) - 2
    A[3, 2] = 0.5
    result = numopt.solve_game(A, method=method)
    check(result, A)
    assert result.support_x.tolist() == [3]
    assert result.support_y.tolist() == [2]
    assert result.value == pytest.approx(0.5, abs=1e-5)


@every_method
def test_sums_of_rows_and_columns_have_no_coupling(method):
    rng = np.random.default_rng(0)
    r, c = rng.standard_normal(7), rng.standard_normal(9)
    result = numopt.solve_game(r[:, None] + c, method=method)
    assert result.value == pytest.approx(r.max() + c.min(), abs=1e-5)


def test_exact_in_rational_arithmetic():
    """The strategies of an integer game are those of a rational solution of its equations."""
    A = np.array([[2, -1, 0], [-1, 1, 3], [0, 2, -2]])
    result = numopt.solve_game(A)
    rows, columns = result.support_x.tolist(), result.support_y.tolist()
    assert len(rows) == len(columns)
    k = len(rows)
    system = [[Fraction(int(A[i, j])) for i in rows] + [Fraction(-1)] for j in columns]
    system.append([Fraction(1)] * k + [Fraction(0)])
    right = [Fraction(0)] * k + [Fraction(1)]
    solution = eliminate(system, right)
    assert all(weight >= 0 for weight in solution[:k])
    np.testing.assert_allclose(result.x[rows], [float(w) for w in solution[:k]], atol=1e-14)
    assert result.value == pytest.approx(float(solution[k]), abs=1e-14)


def eliminate(M, b):
    M = [[*row, right] for row, right in zip(M, b, strict=True)]
    n = len(M)
    for c in range(n):
        p = next(r for r in range(c, n) if M[r][c] != 0)
        M[c], M[p] = M[p], M[c]
        M[c] = [entry / M[c][c] for entry in M[c]]
        for r in range(n):
            if r != c:
                M[r] = [a - M[r][c] * b for a, b in zip(M[r], M[c], strict=True)]
    return [row[-1] for row in M]


# ---- against another solver, under degeneracy ----------------------------------------------------


@pytest.mark.parametrize("seed", range(40))
def test_small_integers_are_degenerate(seed):
    rng = np.random.default_rng(seed)
    m, n = rng.integers(1, 30, 2)
    A = rng.integers(-1, 2, (m, n)).astype(float)
    if seed % 4 == 1:  # duplicate rows and columns
        A = np.repeat(np.repeat(A, 2, axis=0), 3, axis=1)
    if seed % 4 == 2:
        A[rng.random(A.shape) < 0.8] = 0
    x, y = solve_game_exactly(A)
    lower, upper = (A.T @ x).min(), (A @ y).max()
    assert upper - lower <= 1e-12
    assert value_by_highs(A) == pytest.approx(lower, abs=1e-7)


@pytest.mark.parametrize("factor", [1e-8, 1.0, 1e8])
@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("method", ["exact", "double-oracle", "pdhg"])
def test_units_and_shifts(factor, shift, method):
    A = np.random.default_rng(5).standard_normal((15, 11))
    expected = numopt.solve_game(A, method="exact")
    moved = factor * (A + shift)
    result = numopt.solve_game(moved, method=method)
    check(result, moved)
    exact = method != "pdhg"
    np.testing.assert_allclose(result.x, expected.x, atol=1e-7 if exact else 1e-3)
    assert result.value / factor - shift == pytest.approx(
        expected.value, abs=1e-8 if exact else 1e-5
    )


@every_method
def test_permutations_and_the_other_side(method):
    rng = np.random.default_rng(2)
    A = rng.standard_normal((10, 14))
    base = numopt.solve_game(A, method=method)
    p, q = rng.permutation(10), rng.permutation(14)
    moved = numopt.solve_game(A[p][:, q], method=method)
    np.testing.assert_allclose(moved.x, base.x[p], atol=2e-4)
    np.testing.assert_allclose(moved.y, base.y[q], atol=2e-4)
    other = numopt.solve_game(A.T, payoff="cost", method=method)
    check(other, A.T, "cost")
    assert other.value == pytest.approx(base.value, abs=1e-5)
    np.testing.assert_allclose(other.y, base.x, atol=2e-4)


# ---- larger games --------------------------------------------------------------------------------


def test_policeman_and_burglar():
    A = police(320)  # more entries than are solved as a whole
    for options in ({}, {"whole": 0, "large_support": 10**9}):
        result = DoubleOracle(**options).solve(MatrixGame(A))
        check(result, A, tol=1e-14)
        assert result.support_x.size < 15
    first = numopt.solve_game(A, method="pdhg")
    assert first.nit <= 1000
    assert first.value == pytest.approx(result.value, abs=1e-5)


def test_rounds_find_what_is_played():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((400, 6)) @ rng.standard_normal((6, 500))
    rounds = DoubleOracle(whole=0, large_support=10**9)
    result = rounds.solve(MatrixGame(A), x0=np.full(400, 1 / 400))
    check(result, A, tol=1e-12)
    assert result.support_x.size <= 8
    assert result.nit <= 10


def test_rounds_that_do_not_pay_end_in_the_whole():
    A = np.random.default_rng(0).standard_normal((60, 60))
    stubborn = DoubleOracle(
        whole=0, seed_iterations=0, per_round=1, max_rounds=3, large_support=10**9
    )
    problem = MatrixGame(A)
    result = stubborn.solve(problem, x0=np.eye(60)[0])
    check(result, A, tol=1e-12)
    assert result.nit == 4


def test_many_choices_are_left_to_first_order():
    A = np.random.default_rng(0).standard_normal((350, 400))
    problem = MatrixGame(A)
    result = DoubleOracle(tol=1e-6, large_support=20).solve(problem, x0=np.full(350, 1 / 350))
    check(result, A)
    exact = solve_game_exactly(A)
    assert result.value == pytest.approx((A.T @ exact[0]).min(), abs=1e-5)


def test_sparse_and_operators_agree_with_dense():
    A = sp.random_array((60, 50), density=0.3, rng=np.random.default_rng(0)) - 0.3 * sp.eye_array(
        60, 50
    )
    dense = A.toarray()
    value = numopt.solve_game(dense).value
    operator = scipy.sparse.linalg.aslinearoperator(A)
    for given in (A, sp.csc_matrix(A), operator):
        for method in ("auto", "double-oracle", "pdhg"):
            result = numopt.solve_game(given, method=method)
            check(result, dense)
            assert result.value == pytest.approx(value, abs=1e-5)
    with pytest.raises(ValueError, match="needs the entries of A"):
        numopt.solve_game(operator, method="exact")


def test_polishing_is_exact():
    A = np.random.default_rng(1).standard_normal((40, 40))
    plain = GamePDHG(tol=1e-4, polish=False).solve(MatrixGame(A))
    assert plain.gap > 1e-12
    # Far beyond what iterations alone reach in this number.
    polished = GamePDHG(tol=1e-13, max_iter=20_000).solve(MatrixGame(A))
    check(polished, A, tol=1e-13)


def test_the_metric_residual_drives_restarts_not_the_gap_alone():
    """Linear convergence: a hundred times the accuracy costs a constant number of iterations."""
    A = np.random.default_rng(4).standard_normal((30, 30))
    counts = [GamePDHG(tol=tol, polish=False).solve(MatrixGame(A)).nit for tol in (1e-4, 1e-8)]
    assert counts[1] <= 8 * counts[0]


def test_clamp_keeps_the_weight():
    A = police(120)
    problem = MatrixGame(A)
    solver = GamePDHG(clamp=2.0, polish=False)
    state = solver.init(problem, None, {})
    for _ in range(40):
        solver.advance(problem, state, 5)
        assert 0.5 <= state.scalars[1] <= 2.0


# ---- limits and warm starts ----------------------------------------------------------------------


def test_limits_give_the_best_strategies():
    A = np.random.default_rng(0).standard_normal((30, 40))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        result = GamePDHG(max_iter=10, tol=1e-12).solve(MatrixGame(A))
    assert result.status == 1
    gaps = result.history["gap"]
    assert (np.diff(gaps) <= 0).all()
    assert result.gap == pytest.approx(gaps[-1] * MatrixGame(A).spread)


def test_warm_start_of_a_neighbour():
    A = np.random.default_rng(0).standard_normal((50, 60))
    problem = MatrixGame(A)
    cold = GamePDHG().solve(problem)
    near = problem.replace(A=A + 1e-7)
    warm = GamePDHG().solve(near, warm_start=cold)
    assert warm.nit == 0
    assert warm.success


def test_payoff_is_checked():
    with pytest.raises(ValueError, match="payoff must be one of 'row', 'cost'"):
        numopt.solve_game(RPS, payoff="column")
    with pytest.raises(ValueError, match="A is empty"):
        numopt.solve_game(np.zeros((0, 3)))
    with pytest.raises(ValueError, match=r"A has nan at index \(0, 1\)"):
        numopt.solve_game([[0.0, np.nan]])
