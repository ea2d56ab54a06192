"""L-BFGS on a user's Python function: evaluations and overhead beside SciPy's L-BFGS-B."""

import warnings
from time import perf_counter

import numpy as np
from scipy.optimize import minimize, rosen, rosen_der

import numopt
from numopt.problems import Smooth
from numopt.solvers import LBFGS

LIMITS = {"maxiter": 50_000, "maxfun": 50_000}


def extended_rosen(x):
    a, b = x[::2], x[1::2]
    g = np.empty_like(x)
    g[::2], g[1::2] = -400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)
    return np.sum(100 * (b - a * a) ** 2 + (1 - a) ** 2), g


def powell(x):
    a, b, c, d = x.reshape(-1, 4).T
    f = np.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4)
    u, v, w, t = 2 * (a + 10 * b), 10 * (c - d), 4 * (b - 2 * c) ** 3, 40 * (a - d) ** 3
    return f, np.column_stack([u + t, 10 * u + w, v - 2 * w, -v - t]).ravel()


def beale(z):
    x, y = z
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    dx = 2 * (a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1))
    return a * a + b * b + c * c, np.array([dx, 2 * x * (a + 2 * b * y + 3 * c * y**2)])


def himmelblau(z):
    a, b = z[0] ** 2 + z[1] - 11, z[0] + z[1] ** 2 - 7
    return a * a + b * b, np.array([4 * z[0] * a + 2 * b, 2 * a + 4 * z[1] * b])


def booth(z):
    a, b = z[0] + 2 * z[1] - 7, 2 * z[0] + z[1] - 5
    return a * a + b * b, np.array([2 * a + 4 * b, 4 * a + 2 * b])


def broyden_tridiagonal(x):
    r = (3 - 2 * x) * x + 1
    r[:-1] -= 2 * x[1:]
    r[1:] -= x[:-1]
    g = 2 * r * (3 - 4 * x)
    g[1:] -= 4 * r[:-1]
    g[:-1] -= 2 * r[1:]
    return r @ r, g


def tilted(odd, even):
    def start(n):
        x = np.full(n, even)
        x[::2] = odd
        return x

    return start


FUNCTIONS = {
    "rosen": (lambda x: (rosen(x), rosen_der(x)), tilted(-1.2, 1.0), (2, 10, 100, 1000)),
    "extended_rosen": (extended_rosen, tilted(-1.2, 1.0), (10, 100, 1000)),
    "powell": (powell, lambda n: np.tile([3.0, -1.0, 0.0, 1.0], n // 4), (4, 100, 1000)),
    "beale": (beale, np.ones, (2,)),
    "himmelblau": (himmelblau, np.zeros, (2,)),
    "booth": (booth, np.zeros, (2,)),
    "broyden_tridiagonal": (broyden_tridiagonal, tilted(-1.0, -1.0), (10, 100, 1000)),
}
CASES = [f"{name} {n}" for name, (_, _, sizes) in FUNCTIONS.items() for n in sizes]


def case(name):
    """Function with gradient, start, and a box whose bounds are active at the optimum or none."""
    function, start, _ = FUNCTIONS[name.split()[0]]
    x0 = start(int(name.split()[1]))
    rng = np.random.default_rng(0)
    lower, upper = x0 - rng.uniform(0.1, 2, x0.size), x0 + rng.uniform(0.1, 2, x0.size)
    return function, x0, {"free": None, "box": list(zip(lower, upper, strict=True))}


class Timed:
    """A function that notes the seconds spent in it and the certificate at every call."""

    def __init__(self, function, bounds):
        self.function, self.seconds, self.residuals = function, 0.0, []
        limits = (-np.inf, np.inf) if bounds is None else np.transpose(bounds)
        self.lower, self.upper = limits

    def __call__(self, x):
        start = perf_counter()
        f, g = self.function(x)
        size = max(1.0, abs(f) / max(1.0, np.abs(x).max()))
        self.residuals.append(np.abs(x - np.clip(x - g / size, self.lower, self.upper)).max())
        self.seconds += perf_counter() - start
        return f, g


def ours(function, x0, bounds, tol):
    return LBFGS(tol=tol, max_iter=50_000).solve(Smooth(function, True, bounds), x0).nit


def scipys(function, x0, bounds, tol):
    options = {"gtol": tol, "ftol": 0, **LIMITS}
    return minimize(function, x0, jac=True, method="L-BFGS-B", bounds=bounds, options=options).nit


def evaluations(run, function, x0, bounds, reached):
    """Calls until an evaluated point had a certificate of at most `reached`."""
    timed = Timed(function, bounds)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run(timed, x0, bounds, 0.1 * reached)
    below = np.flatnonzero(np.array(timed.residuals) <= reached)
    return below[0] + 1 if below.size else np.nan


class Evaluations:
    """Evaluations to a certificate of 1e-8 over those of SciPy; NaN if one of them never has it."""

    params = (CASES, ["free", "box"])
    param_names = ("function", "bounds")
    timeout = 300

    def track_ratio(self, name, kind):
        function, x0, bounds = case(name)
        counts = [evaluations(run, function, x0, bounds[kind], 1e-8) for run in (ours, scipys)]
        return counts[0] / counts[1]

    track_ratio.unit = "ratio"


def overhead(run, function, x0, repeats):
    """Least seconds per iteration outside the user's function."""
    best = np.inf
    for _ in range(repeats):
        timed = Timed(function, None)
        start = perf_counter()
        iterations = run(timed, x0, None, 1e-8)
        best = min(best, (perf_counter() - start - timed.seconds) / iterations)
    return best


class Overhead:
    """Seconds per iteration besides the function's, over those of SciPy."""

    params = [2, 10, 100, 1000]
    param_names = ("n",)
    timeout = 300

    def setup(self, n):
        function, start, _ = FUNCTIONS["rosen"]
        self.function, self.x0, self.repeats = function, start(n), 3 if n == 1000 else 30
        ours(function, start(2), None, 1e-8)

    def track_ratio(self, n):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            seconds = [overhead(r, self.function, self.x0, self.repeats) for r in (ours, scipys)]
        return seconds[0] / seconds[1]

    track_ratio.unit = "ratio"


class TinyCall:
    """`numopt.minimize` on three variables, solved in a few iterations."""

    def setup(self):
        self.time_minimize()

    def time_minimize(self):
        numopt.minimize(lambda x: x @ x, np.ones(3), jac=lambda x: 2 * x)
