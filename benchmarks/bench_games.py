"""Matrix games beside HiGHS and nashpy; fixed points, inclusions and what iterations cost.

nashpy is looked for and left out where it is not installed. Times are CPU seconds of one thread.
As a program, prints the table.
"""

import warnings
from time import process_time

import highspy
import numpy as np
import scipy.sparse as sp

import numopt
from numopt.calculus import SeparableSum
from numopt.operators import Affine, Saddle
from numopt.problems import FixedPoint, MatrixGame, MonotoneInclusion
from numopt.sets import Simplex
from numopt.solvers import AnchoredExtragradient, GamePDHG, Halpern, VarianceReducedHalpern

GAP = 1e-12  # relative to the largest entry: what an exact answer has to meet


def policeman(n):
    """Burglars' houses of worth w_j, a policeman nearer or farther."""
    i = np.arange(n)
    worth = np.abs(np.random.RandomState(1).randn(n))
    return (1 - np.exp(-0.8 * np.abs(i[:, None] - i))) * worth


def games():
    rng = np.random.default_rng(0)
    return {
        "rock-paper-scissors": np.array([[0.0, -1, 1], [1, 0, -1], [-1, 1, 0]]),
        "random 10": rng.standard_normal((10, 10)),
        "random 50": rng.standard_normal((50, 50)),
        "random 200": rng.standard_normal((200, 200)),
        "policeman 200": policeman(200),
        "policeman 500": policeman(500),
        "rank 8, 1000": rng.standard_normal((1000, 8)) @ rng.standard_normal((8, 1000)),
    }


def by_highs(A):
    """Value of the game by HiGHS' default on the linear program of all rows and columns."""
    m, n = A.shape
    matrix = sp.csc_array(np.vstack([np.hstack([A, -np.ones((m, 1))]), np.r_[np.ones(n), 0.0]]))
    lp = highspy.HighsLp()
    lp.num_col_, lp.num_row_ = n + 1, m + 1
    lp.col_cost_ = np.r_[np.zeros(n), 1.0]
    lp.col_lower_, lp.col_upper_ = np.r_[np.zeros(n), -np.inf], np.full(n + 1, np.inf)
    lp.row_lower_, lp.row_upper_ = np.r_[np.full(m, -np.inf), 1.0], np.r_[np.zeros(m), 1.0]
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_ = matrix.indptr, matrix.indices
    lp.a_matrix_.value_ = matrix.data
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    highs.passModel(lp)
    highs.run()
    return highs.getInfo().objective_function_value


def by_nashpy(A):
    """The same by nashpy's linear program."""
    import nashpy

    x, y = nashpy.Game(A).linear_program()
    return float(x @ A @ y)


def seconds(call, repeats=3):
    call()
    best = np.inf
    for _ in range(repeats):
        start = process_time()
        call()
        best = min(best, process_time() - start)
    return best


class Games:
    """Time to an equilibrium, exact but for rounding, and how many times HiGHS takes that."""

    params = list(games())

    def setup(self, name):
        self.A = games()[name]
        result = numopt.solve_game(self.A)
        assert result.gap <= GAP * max(1.0, np.abs(self.A).max())
        assert abs(result.value - by_highs(self.A)) <= 1e-6 * np.abs(self.A).max()

    def time_solve(self, name):
        numopt.solve_game(self.A)

    def track_ratio_of_highs(self, name):
        return seconds(lambda: by_highs(self.A)) / seconds(lambda: numopt.solve_game(self.A))


class Iterations:
    """Bytes of the matrix read per second by iterations on dense data, and by a bare product."""

    params = [["game", "halpern"], [200, 1000, 3000]]

    def setup(self, kind, n):
        rng = np.random.default_rng(0)
        self.A, self.v = rng.standard_normal((n, n)), rng.standard_normal(n)
        if kind == "game":
            self.problem, self.solver = MatrixGame(self.A), GamePDHG(polish=False)
        else:
            turn = np.linalg.qr(self.A)[0]
            self.problem = FixedPoint(Affine(turn), self.v)
            self.solver = Halpern(tol=1e-300, restart="none")
        self.state = self.solver.init(self.problem, None, {})
        self.count = max(3, int(1e8 / n**2))

    def track_gigabytes_per_second(self, kind, n):
        took = seconds(lambda: self.solver.advance(self.problem, self.state, self.count))
        return 8e-9 * n * n * self.count * (2 if kind == "game" else 1) / took

    def track_share_of_a_product(self, kind, n):
        out = np.empty(n)
        bare = seconds(lambda: [np.dot(self.A, self.v, out) for _ in range(self.count)])
        took = seconds(lambda: self.solver.advance(self.problem, self.state, self.count))
        return bare * (2 if kind == "game" else 1) / took


class Inclusions:
    """Passes over the matrix for a natural residual, on the policeman's game as an inclusion."""

    params = ["anchored-extragradient", "eg", "stochastic"]

    def track_passes(self, method):
        n = 200
        both = SeparableSum([Simplex(), Simplex()], [n, n])
        A = policeman(n)
        problem = MonotoneInclusion(Saddle(A), np.full(2 * n, 1 / n), both)
        solver = {
            "anchored-extragradient": AnchoredExtragradient(tol=1e-3),
            "eg": AnchoredExtragradient(scheme="eg", tol=1e-3, max_iter=20_000),
            "stochastic": VarianceReducedHalpern(
                variant="single", step=5 / np.linalg.norm(A), tol=1e-3, max_iter=50_000
            ),
        }[method]
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = solver.solve(problem)
        return result.get("full_passes", result.nfev) if result.success else np.inf


def table():
    """Print milliseconds of all, with gaps."""
    print(f"{'game':<20} {'numopt':>9} {'gap':>8} {'HiGHS':>9} {'nashpy':>9}   (ms)")
    for name, A in games().items():
        result = numopt.solve_game(A)
        row = [seconds(lambda A=A: numopt.solve_game(A)), seconds(lambda A=A: by_highs(A), 1)]
        try:
            row.append(seconds(lambda A=A: by_nashpy(A), 1) if A.size <= 2500 else np.nan)
        except ImportError:
            row.append(np.nan)
        times = [f"{1e3 * t:9.3f}" for t in row]
        print(f"{name:<20} {times[0]} {result.gap:8.0e} {times[1]} {times[2]}")


if __name__ == "__main__":
    table()
