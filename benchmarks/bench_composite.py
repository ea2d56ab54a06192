"""Linear models: time to a certificate against scikit-learn, and the overhead of a call."""

import warnings
from time import perf_counter

import numpy as np
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import Lasso, LogisticRegression
from sklearn.preprocessing import StandardScaler

import numopt
from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L1
from numopt.problems import Composite

REPEATS = 5


def seeded(n, p, classes=False):
    """Gaussian data whose neighbouring columns correlate, 10 true coefficients."""
    rng = np.random.default_rng(0)
    X = rng.standard_normal((n, p))
    X[:, 1:] = 0.5 * X[:, :-1] + np.sqrt(0.75) * X[:, 1:]
    signal = X[:, : 10 * (p // 20) : p // 20] @ rng.uniform(0.5, 1.5, 10)
    y = signal + rng.standard_normal(n)
    return np.asfortranarray(X), np.where(y > 0, 1.0, -1.0) if classes else y


def data(name):
    if name == "diabetes":
        X, y = load_diabetes(return_X_y=True)
        return np.asfortranarray(StandardScaler().fit_transform(X)), y - y.mean()
    if name == "breast_cancer":
        X, y = load_breast_cancer(return_X_y=True)
        return np.asfortranarray(StandardScaler().fit_transform(X)), np.where(y > 0, 1.0, -1.0)
    if name == "seeded 400 x 1000":
        return seeded(400, 1000)
    return seeded(2000, 100, classes=True)


def make_problem(loss, X, y, strength):
    """The problem at `strength` times the alpha from which on the answer is 0."""
    block = loss(y)
    alpha = strength * np.max(np.abs(X.T @ block.gradient(np.zeros(y.size))))
    return Composite(block, X, L1(alpha))


def peer(problem, tol):
    """Scikit-learn's estimator of the same problem, without intercept."""
    alpha = problem.penalty.alpha
    if isinstance(problem.loss, LeastSquares):
        return Lasso(alpha=alpha, fit_intercept=False, tol=tol, max_iter=1_000_000)
    return LogisticRegression(
        solver="liblinear",
        C=1.0 / (problem.loss.y.size * alpha),
        fit_intercept=False,
        tol=tol,
        max_iter=1_000_000,
        random_state=0,
        **l1_options(),
    )


def l1_options():
    """How LogisticRegression is told to use the L1 norm: it changed in scikit-learn 1.8."""
    import sklearn

    new = tuple(int(part) for part in sklearn.__version__.split(".")[:2]) >= (1, 8)
    return {"l1_ratio": 1.0} if new else {"penalty": "l1"}


def peer_tolerance(problem, target):
    """The loosest of scikit-learn's tolerances whose answer has our certificate <= target."""
    for exponent in np.arange(2.0, 16.0, 0.5):
        model = peer(problem, 10.0**-exponent).fit(problem.A, problem.loss.y)
        if problem.certificate(model.coef_.ravel())["kkt"] <= target:
            return float(10.0**-exponent)
    return np.nan


def seconds(job):
    """Best of several runs, after one to warm up."""
    job()
    best = np.inf
    for _ in range(REPEATS):
        start = perf_counter()
        job()
        best = min(best, perf_counter() - start)
    return best


class TimeToCertificate:
    """KKT residual <= target, building the problem and checking the answer included.

    The ratio is numopt's time over scikit-learn's (Lasso: coordinate descent; logistic
    regression: liblinear), each at the loosest tolerance of its own that reaches the target.
    """

    params = [
        ["diabetes", "breast_cancer", "seeded 400 x 1000", "seeded 2000 x 100, two classes"],
        [1e-6, 1e-8],
        ["prox-grad", "working-set-cd"],
    ]
    param_names = ["data", "kkt", "solver"]
    timeout = 300

    def setup_cache(self):
        cases = {}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            for name in self.params[0]:
                X, y = data(name)
                loss = Logistic if set(np.unique(y)) == {-1.0, 1.0} else LeastSquares
                problem = make_problem(loss, X, y, 0.05)
                tolerances = {target: peer_tolerance(problem, target) for target in self.params[1]}
                cases[name] = problem, tolerances
        return cases

    def setup(self, cases, name, target, solver):
        self.problem, tolerances = cases[name]
        self.solver = solver
        self.peer_tol = tolerances[target]
        self.target = target

    def fit(self):
        problem = self.problem
        fresh = Composite(type(problem.loss)(problem.loss.y), problem.A, problem.penalty)
        return numopt.solve(fresh, self.solver, tol=self.target, max_iter=1_000_000)

    def fit_peer(self):
        problem = self.problem
        return peer(problem, self.peer_tol).fit(problem.A, problem.loss.y)

    def track_ratio(self, cases, name, target, solver):
        if not self.peer_tol > 0:  # the peer does not get there
            return np.nan
        return seconds(self.fit) / seconds(self.fit_peer)

    def track_seconds(self, cases, name, target, solver):
        return seconds(self.fit)

    def track_kkt(self, cases, name, target, solver):
        return float(self.fit().certificate["kkt"])

    def track_kkt_of_peer(self, cases, name, target, solver):
        if not self.peer_tol > 0:
            return np.nan
        return float(self.problem.certificate(self.fit_peer().coef_.ravel())["kkt"])

    track_ratio.unit = "ratio"
    track_seconds.unit = "s"
    track_kkt.unit = track_kkt_of_peer.unit = "relative residual"


class Overhead:
    """Problems so small that the answer costs nothing: what is left is the call."""

    params = ["prox-grad", "working-set-cd"]
    param_names = ["solver"]

    def setup(self, solver):
        self.problem = Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5))
        numopt.solve(self.problem, solver)

    def time_solve_prebuilt(self, solver):
        numopt.solve(self.problem, solver)

    def time_build_and_solve(self, solver):
        numopt.solve(Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5)), solver)


class OverheadOfMinimize:
    """The same through the function in SciPy's shape, two variables and a handful of calls."""

    def setup(self):
        self.start = np.ones(2)
        numopt.minimize(square, self.start, jac=twice)

    def time_minimize(self):
        numopt.minimize(square, self.start, jac=twice)


def square(x):
    return float(x @ x)


def twice(x):
    return 2 * x
