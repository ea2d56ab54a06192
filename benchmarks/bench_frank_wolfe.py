"""Frank-Wolfe methods: time to a gap beside copt and scikit-learn's Lasso.

As a program (needs copt: ``pip install copt``) it prints a table of CPU seconds::

    OPENBLAS_NUM_THREADS=1 python benchmarks/bench_frank_wolfe.py
"""

import warnings
from time import perf_counter, process_time

import numpy as np
import scipy.sparse as sp

import numopt
from numopt.losses import LeastSquares, Logistic
from numopt.problems import SetConstrained
from numopt.sets import Birkhoff, L1Ball, NuclearBall, Simplex
from numopt.solvers import FrankWolfe

VARIANTS = ("corrective", "blended", "pairwise", "away")
REPEATS = 2


def regression(n, p, seed=0):
    """Gaussian data whose neighbouring columns correlate, 10 true coefficients."""
    rng = np.random.default_rng(seed)
    X = rng.standard_normal((n, p))
    X[:, 1:] = 0.5 * X[:, :-1] + np.sqrt(0.75) * X[:, 1:]
    y = X[:, : 10 * (p // 20) : p // 20] @ rng.uniform(0.5, 1.5, 10) + rng.standard_normal(n)
    return np.asfortranarray(X), y


def completion(m, n, rank, share, seed=0):
    """Some noisy entries of a matrix of low rank; the nuclear norm is 0.8 of the true one."""
    rng = np.random.default_rng(seed)
    truth = rng.standard_normal((m, rank)) @ rng.standard_normal((rank, n))
    seen = np.flatnonzero(rng.random(m * n) < share)
    rows = sp.csc_array(
        (np.ones(seen.size), (np.arange(seen.size), seen)), shape=(seen.size, m * n)
    )
    y = truth.ravel()[seen] + 0.1 * rng.standard_normal(seen.size)
    return rows, y, 0.8 * np.linalg.norm(truth, "nuc")


def problem(name):
    """One of the problems of the table."""
    if name == "lasso 400 x 1000":
        X, y = regression(400, 1000)
        return SetConstrained(LeastSquares(y), X, L1Ball(8.0))
    if name == "lasso 2000 x 5000":
        X, y = regression(2000, 5000)
        return SetConstrained(LeastSquares(y), X, L1Ball(9.0))
    if name == "logistic 2000 x 500":
        X, y = regression(2000, 500)
        return SetConstrained(Logistic(np.where(y > 0, 1.0, -1.0)), X, L1Ball(10.0))
    if name == "simplex 300 x 2000":
        rng = np.random.default_rng(1)
        X = rng.standard_normal((300, 2000))
        y = X @ rng.dirichlet(np.full(2000, 0.02)) + 0.02 * rng.standard_normal(300)
        return SetConstrained(LeastSquares(y), np.asfortranarray(X), Simplex())
    if name == "assignments 40 x 40":
        rng = np.random.default_rng(2)
        X, y = rng.standard_normal((300, 1600)), 3 * rng.standard_normal(300)
        return SetConstrained(LeastSquares(y), np.asfortranarray(X), Birkhoff(40))
    rows, y, radius = completion(150, 120, 5, 0.4)
    return SetConstrained(LeastSquares(y), rows, NuclearBall(radius, (150, 120)))


NAMES = (
    "lasso 400 x 1000",
    "lasso 2000 x 5000",
    "logistic 2000 x 500",
    "simplex 300 x 2000",
    "assignments 40 x 40",
    "completion 150 x 120",
)


def run(made, variant, tol, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return numopt.solve(made, FrankWolfe(variant=variant, tol=tol, **options))


class Variants:
    """Time to a relative gap of 1e-6, and what it took."""

    params = (["lasso 400 x 1000", "simplex 300 x 2000", "logistic 2000 x 500"], list(VARIANTS))
    param_names = ("problem", "variant")

    def setup(self, name, variant):
        self.problem = problem(name)
        run(self.problem, variant, 1e-6, max_iter=20)

    def time_to_gap(self, name, variant):
        run(self.problem, variant, 1e-6)

    def track_oracle_calls(self, name, variant):
        return run(self.problem, variant, 1e-6).nlmo

    def track_gap(self, name, variant):
        return float(run(self.problem, variant, 1e-6).certificate["fw_gap"])


class BesideLasso:
    """The L1 ball whose multiplier is scikit-learn's alpha."""

    params = [1e-3, 1e-6]
    param_names = ("gap",)

    def setup(self, gap):
        self.X, self.y = regression(400, 1000)
        self.alpha = 0.1 * np.abs(self.X.T @ self.y).max() / self.y.size
        radius = np.abs(self.lasso(1e-12)).sum()
        self.problem = SetConstrained(LeastSquares(self.y), self.X, L1Ball(radius))
        run(self.problem, "corrective", 1e-2)

    def lasso(self, tol):
        from sklearn.linear_model import Lasso

        model = Lasso(alpha=self.alpha, fit_intercept=False, tol=tol, max_iter=100_000)
        return model.fit(self.X, self.y).coef_

    def track_ratio(self, gap):
        """Seconds of numopt over those of the loosest Lasso with the same objective."""
        ours = min(self._seconds(lambda: run(self.problem, "corrective", gap)) for _ in range(3))
        for tol in 10.0 ** -np.arange(2, 14):
            x = self.lasso(tol)
            value = self.problem.objective(x) + self.alpha * np.abs(x).sum()
            best = (
                self.problem.objective(self.lasso(1e-12)) + self.alpha * self.problem.domain.radius
            )
            if value - best <= gap:
                break
        return ours / min(self._seconds(lambda: self.lasso(tol)) for _ in range(3))

    @staticmethod
    def _seconds(call):
        start = perf_counter()
        call()
        return perf_counter() - start


# ---- the table -----------------------------------------------------------------------------------


def by_copt(made, variant, tol, limit=3.0):
    """CPU seconds of copt until our certificate meets the tolerance; inf if it takes too long."""
    from copt import minimize_frank_wolfe

    domain, A, loss = made.domain, made.A, made.loss

    def fun(x):
        f, r = loss.value_and_gradient(A @ x)
        return f, A.T @ r

    def lmo(u, x, active_set=None):
        vertex = domain.lmo(-u)
        if active_set is None:
            return vertex - x, None, None, 1.0
        radius = domain.radius
        j = int(np.argmax(np.abs(vertex)))
        fw = (float(np.sign(vertex[j]) * radius), j)
        held = [key for key, weight in active_set.items() if weight > 1e-12]  # else it stops there
        away = min(held, key=lambda key: key[0] * u[key[1]])
        update = vertex.copy()
        update[away[1]] -= away[0]
        return update, fw, away, active_set[away]

    spent, end, count, following = 0.0, np.inf, 0, 1

    def callback(state):
        nonlocal spent, start, end, count, following
        count += 1
        if count < following:
            return True
        following = int(1.05 * count) + 1
        spent += process_time() - start
        if made.certificate(state["x"])["fw_gap"] <= tol:
            end = spent
            return False
        start = process_time()
        return spent < limit

    x0, options = domain.lmo(np.zeros(made.size)), {}
    if variant == "pairwise":
        j = int(np.argmax(np.abs(x0)))
        options = {"variant": "pairwise", "x0_rep": (float(x0[j]), j)}
    start = process_time()
    minimize_frank_wolfe(
        fun, x0, lmo, jac=True, step="backtracking", lipschitz=1.0, max_iter=10**6, tol=0,
        callback=callback, **options,
    )  # fmt: skip
    return end


def seconds(call):
    best = np.inf
    for _ in range(REPEATS):
        start = process_time()
        call()
        best = min(best, process_time() - start)
    return best


if __name__ == "__main__":
    for tol in (1e-3, 1e-6):
        print(f"\nCPU seconds (oracle calls) to a gap of {tol:g}")
        print(f"{'':22s}" + "".join(f"{v:>18s}" for v in (*VARIANTS, "copt", "copt pairwise")))
        for name in NAMES:
            made, cells = problem(name), []
            for variant in VARIANTS:
                result = run(made, variant, tol, time_limit=5.0)
                shown = f"({result.nlmo})" if result.success else "not met"
                took = seconds(lambda v=variant: run(made, v, tol, time_limit=5.0))  # noqa: B023
                cells.append(f"{took:8.4f} {shown:>9s}")
            for variant in ("vanilla", "pairwise"):
                if variant == "pairwise" and not isinstance(made.domain, (L1Ball, Simplex)):
                    cells.append(f"{'-':>18s}")  # its atoms are coordinates
                else:
                    cells.append(f"{by_copt(made, variant, tol):18.4f}")
            print(f"{name:22s}" + "".join(cells), flush=True)
