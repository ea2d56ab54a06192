"""Quadratic programs: time to 1e-8, and the share of calls that is overhead.

Sets of problems with other solvers beside: `qp_table.py`.
"""

import numpy as np
import scipy.sparse as sp

import numopt
from numopt.problems import QuadraticProgram


def portfolio(n, factors, rng):
    """Markowitz portfolio with a factor model: variables are weights and exposures."""
    F = sp.random_array((n, factors), density=0.5, rng=rng, data_sampler=rng.standard_normal)
    P = sp.block_diag((sp.diags_array(rng.random(n) * np.sqrt(factors)), sp.eye_array(factors)))
    A = sp.block_array([[np.ones((1, n)), None], [F.T, -sp.eye_array(factors)]])
    b = np.zeros(factors + 1)
    b[0] = 1
    lb = np.concatenate((np.zeros(n), np.full(factors, -np.inf)))
    return QuadraticProgram(P, np.append(-rng.standard_normal(n), np.zeros(factors)), A, b, b, lb)


def control(states, inputs, horizon, rng):
    """Linear-quadratic control with bounds on states and inputs."""
    M = rng.standard_normal((states, states)) / np.sqrt(states)
    B = rng.standard_normal((states, inputs))
    n = horizon * (states + inputs)
    dynamics = sp.kron(sp.eye_array(horizon), sp.csr_array(np.hstack((B, -np.eye(states)))))
    shifted = sp.kron(sp.eye_array(horizon, k=-1), np.hstack((np.zeros((states, inputs)), M)))
    b = np.zeros(horizon * states)
    b[:states] = -M @ rng.standard_normal(states)
    return QuadraticProgram(sp.eye_array(n), np.zeros(n), dynamics + shifted, b, b, -3.0, 3.0)


def dense(n, m, rng):
    """Random dense program."""
    F, A = rng.standard_normal((n, n)), rng.standard_normal((m, n))
    return QuadraticProgram(F.T @ F, rng.standard_normal(n), A, -np.ones(m), np.ones(m), lb=-1)


CASES = {
    "tiny 10 x 5": lambda rng: dense(10, 5, rng),
    "dense 200 x 100": lambda rng: dense(200, 100, rng),
    "portfolio 1000": lambda rng: portfolio(1000, 50, rng),
    "control 30 steps": lambda rng: control(12, 4, 30, rng),
}


class InteriorPoint:
    """Time and iterations to tol 1e-8."""

    params = [list(CASES)]
    param_names = ["problem"]

    def setup(self, case):
        """Compile, and check that it is solved."""
        self.problem = CASES[case](np.random.default_rng(0))
        result = numopt.solve(self.problem)
        if not result.success:
            raise RuntimeError(str(result))
        self.nit = result.nit

    def time_solve(self, case):
        """Problem built, analysis kept."""
        numopt.solve(self.problem)

    def time_all(self, case):
        """From arrays."""
        p = self.problem
        numopt.quadprog(p.P, p.q, p.A, p.l, p.u, lb=p.lb, ub=p.ub)

    def track_iterations(self, case):
        """Iterations."""
        return self.nit
