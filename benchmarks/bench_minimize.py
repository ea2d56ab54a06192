"""Newton's method on Python functions, beside SciPy's; penalties and sets."""

import warnings
from time import process_time

import numpy as np
import scipy.sparse as sp
from scipy.optimize import LinearConstraint, minimize, rosen, rosen_der, rosen_hess, rosen_hess_prod

import numopt
from benchmarks.bench_lbfgs import FUNCTIONS

PEERS = ("trust-exact", "trust-ncg", "Newton-CG")
TOL = 1e-8


def central_hessian(function):
    """Hessian by differences of the gradient, for functions that come without."""

    def hessian(x):
        steps = 1e-5 * np.maximum(1, np.abs(x))
        rows = [
            (function(x + h * e)[1] - function(x - h * e)[1]) / (2 * h)
            for h, e in zip(steps, np.eye(x.size), strict=True)
        ]
        return 0.5 * (np.array(rows) + np.transpose(rows))

    return hessian


def wood(x):
    a, b, c, d = x
    f = 100 * (b - a * a) ** 2 + (1 - a) ** 2 + 90 * (d - c * c) ** 2 + (1 - c) ** 2
    f += 10.1 * ((b - 1) ** 2 + (d - 1) ** 2) + 19.8 * (b - 1) * (d - 1)
    g = [
        -400 * a * (b - a * a) - 2 * (1 - a),
        200 * (b - a * a) + 20.2 * (b - 1) + 19.8 * (d - 1),
        -360 * c * (d - c * c) - 2 * (1 - c),
        180 * (d - c * c) + 20.2 * (d - 1) + 19.8 * (b - 1),
    ]
    return f, np.array(g)


def trigonometric(x):
    n, i = x.size, np.arange(1, x.size + 1)
    c, s = np.cos(x), np.sin(x)
    r = n - c.sum() + i * (1 - c) - s
    return r @ r, 2 * (s * r.sum() + r * (i * s - c))


def styblinski(x):
    return 0.5 * np.sum(x**4 - 16 * x**2 + 5 * x), 0.5 * (4 * x**3 - 32 * x + 5)


MORE = {
    "wood": (wood, lambda n: np.array([-3.0, -1.0, -3.0, -1.0]), (4,)),
    "trigonometric": (trigonometric, lambda n: np.full(n, 1 / n), (10, 50)),
    "styblinski": (styblinski, lambda n: np.linspace(-1, 1, n), (10,)),
}
ALL = {**FUNCTIONS, **MORE}
CASES = [f"{name} {n}" for name, (_, _, sizes) in ALL.items() for n in sizes if n <= 100]


def counted(name, method):
    """Calls of function, gradient and Hessian, summed, and whether the point is stationary."""
    function, start, _ = ALL[name.split()[0]]
    x0, hessian = start(int(name.split()[1])).astype(float), central_hessian(function)
    calls = [0, 0, 0]

    def counting(which, call):
        def counted_call(x):
            calls[which] += 1
            return call(x)

        return counted_call

    arguments = {
        "jac": counting(1, lambda x: function(x)[1]), "hess": counting(2, hessian),
    }  # fmt: skip
    fun = counting(0, lambda x: function(x)[0])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if method == "newton":
            x = numopt.minimize(fun, x0, tol=TOL, **arguments).x
        else:
            tolerance = "xtol" if method == "Newton-CG" else "gtol"
            options = {tolerance: TOL, "maxiter": 2000}
            x = minimize(fun, x0, method=method, options=options, **arguments).x
    return sum(calls), np.abs(function(x)[1]).max() <= 1e3 * TOL


class NewtonEvaluations:
    """Calls of function, gradient and Hessian over those of SciPy; NaN where SciPy fails."""

    params = (CASES, list(PEERS))
    param_names = ("function", "peer")
    timeout = 300

    def track_ratio(self, name, peer):
        ours, solved = counted(name, "newton")
        theirs, peer_solved = counted(name, peer)
        assert solved
        return ours / theirs if peer_solved else np.nan

    track_ratio.unit = "ratio"


def seconds(run, repeats):
    best = np.inf
    for _ in range(repeats):
        start = process_time()
        run()
        best = min(best, process_time() - start)
    return best


class NewtonSeconds:
    """CPU seconds on SciPy's `rosen`, over those of SciPy's methods."""

    params = ([2, 10, 50, 200], list(PEERS))
    param_names = ("n", "peer")
    timeout = 300

    def track_ratio(self, n, peer):
        x0 = np.where(np.arange(n) % 2, 1.0, -1.2)
        arguments = {"jac": rosen_der, "hess": rosen_hess}
        tolerance = "xtol" if peer == "Newton-CG" else "gtol"
        runs = (
            lambda: numopt.minimize(rosen, x0, tol=TOL, **arguments),
            lambda: minimize(rosen, x0, method=peer, options={tolerance: TOL}, **arguments),
        )
        repeats = 20 if n <= 10 else 3
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            ours, theirs = (seconds(run, repeats) for run in runs)
        return ours / theirs

    track_ratio.unit = "ratio"


class NewtonForms:
    """`rosen` in many variables: sparse Hessians, products with them."""

    params = ["sparse 10000", "products 1000", "dense 300"]
    timeout = 300

    def setup(self, form):
        kind, n = form.split()
        self.x0 = np.full(int(n), 0.9)
        self.second = {
            "sparse": {"hess": self.sparse_hessian},
            "products": {"hessp": rosen_hess_prod},
            "dense": {"hess": rosen_hess},
        }[kind]
        self.time_minimize(form)

    @staticmethod
    def sparse_hessian(x):
        diagonal = 202 + 1200 * x**2 - 400 * np.append(x[1:], 0)
        diagonal[0], diagonal[-1] = diagonal[0] - 200, 200
        return sp.diags_array([-400 * x[:-1], diagonal, -400 * x[:-1]], offsets=[-1, 0, 1])

    def time_minimize(self, form):
        assert numopt.minimize(rosen, self.x0, jac=rosen_der, **self.second).success


class OnTheSimplex:
    """A least-squares portfolio: projected gradient beside SciPy's SLSQP, to equal objectives."""

    params = [10, 100, 300]
    param_names = ("n",)
    timeout = 300

    def track_ratio_to_slsqp(self, n):
        rng = np.random.default_rng(0)
        A = rng.standard_normal((2 * n, n))
        y = A @ rng.dirichlet(np.full(n, 0.3)) + 0.1 * rng.standard_normal(2 * n)
        arguments = {"jac": lambda x: A.T @ (A @ x - y) / n}

        def fun(x):
            return (A @ x - y) @ (A @ x - y) / (2 * n)

        x0 = np.full(n, 1 / n)
        simplex = {"bounds": [(0, 1)] * n, "constraints": LinearConstraint(np.ones((1, n)), 1, 1)}
        domain = numopt.sets.Simplex()

        def ours():
            return numopt.minimize(fun, x0, domain=domain, tol=1e-6, **arguments)

        def theirs():
            options = {"maxiter": 1000, "ftol": 1e-9}
            return minimize(fun, x0, method="SLSQP", options=options, **simplex, **arguments)

        assert ours().fun <= theirs().fun + 1e-6
        return seconds(ours, 5) / seconds(theirs, 3)

    track_ratio_to_slsqp.unit = "ratio"
