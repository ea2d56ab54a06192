"""Linear programs: time to a certificate, beside SciPy's linprog; iterations of HalpernPDHG.

Sets of problems with other solvers beside: `lp_table.py`.
"""

import numpy as np
import scipy.optimize
import scipy.sparse as sp

import numopt
from numopt.problems import LinearProgram
from numopt.solvers import HalpernPDHG


def small(rng, m=2, n=2):
    """A cost >= 0 and a feasible point: bounded."""
    A = rng.standard_normal((m, n))
    return rng.random(n), A, A @ rng.random(n) + 0.1


class Overhead:
    """Small programs through the front door: most of the time is not the solver's."""

    params = [2, 50]
    param_names = ["rows"]

    def setup(self, m):
        self.args = small(np.random.default_rng(0), m, m)
        numopt.linprog(*self.args)

    def time_linprog(self, m):
        numopt.linprog(*self.args)

    def time_scipy(self, m):
        scipy.optimize.linprog(*self.args)


def transport(n, rng):
    """Masses on n points to n others."""
    rows = sp.kron(sp.eye_array(n), np.ones((1, n)))
    A = sp.vstack([rows, sp.kron(np.ones((1, n)), sp.eye_array(n))], format="csc")
    b = np.r_[rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))]
    return LinearProgram(rng.random(n * n), A, b, b, lb=0)


def page_rank(n, rng, damping=0.99, links=9, power=0.8):
    """Ranks of a random graph with a few famous pages: few entries, factors that fill in."""
    fame = np.arange(1.0, n + 1) ** -power
    target = rng.choice(n, n * links, p=fame / fame.sum())
    source = np.repeat(np.arange(n), links)
    G = sp.csr_array((np.ones(n * links), (target, source)), shape=(n, n))
    S = G @ sp.diags_array(1 / G.sum(axis=0))
    A = sp.vstack([sp.eye_array(n) - damping * S, np.ones((1, n))], format="csc")
    b = np.r_[np.full(n, (1 - damping) / n), 1.0]
    return LinearProgram(np.zeros(n), A, b, b, lb=0)


CASES = {
    "transport 60": lambda rng: transport(60, rng),
    "page rank 5000": lambda rng: page_rank(5000, rng),
}


class FirstOrder:
    """Time and iterations of HalpernPDHG."""

    params = [list(CASES), [1e-4, 1e-8]]
    param_names = ["problem", "tol"]

    def setup(self, case, tol):
        self.problem = CASES[case](np.random.default_rng(0))
        result = self.solve(tol)
        if not result.success:
            raise NotImplementedError(result.message)

    def solve(self, tol):
        return HalpernPDHG(tol=tol).solve(self.problem)

    def time_solve(self, case, tol):
        self.solve(tol)

    def track_iterations(self, case, tol):
        return self.solve(tol).nit

    def track_residual(self, case, tol):
        return self.solve(tol).certificate.worst(1.0)
