"""ADMM and operator splitting: iterations from any penalty, sequences beside OSQP and PIQP."""

import warnings
from time import process_time

import numpy as np
import scipy.sparse as sp

import numopt
from numopt import splittings
from numopt.problems import QuadraticProgram
from numopt.solvers import ADMM, OperatorSplittingQP

TOL = 1e-6


def lasso(m=200, n=80):
    rng = np.random.default_rng(0)
    A = rng.standard_normal((m, n))
    b = A[:, :10] @ (3 * rng.standard_normal(10)) + 0.1 * rng.standard_normal(m)
    return splittings.lasso(A, b, 0.1 * np.abs(A.T @ b).max())


class Splittings:
    """Iterations and time of the ready problems."""

    params = ["lasso", "sequence", "picture", "graphical lasso", "robust PCA", "svm"]

    def setup(self, name):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((120, 30))
        self.problem = {
            "lasso": lasso,
            "sequence": lambda: splittings.total_variation(np.cumsum(rng.standard_normal(1000)), 5),
            "picture": lambda: splittings.total_variation(rng.random((64, 64)), 0.1),
            "graphical lasso": lambda: splittings.graphical_lasso(np.cov(X.T), 0.05),
            "robust PCA": lambda: splittings.robust_pca(X @ X.T + 50 * (rng.random(120) < 0.05)),
            "svm": lambda: splittings.svm_dual(X @ X.T, np.sign(X[:, 0])),
        }[name]()
        self.solve()

    def solve(self):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            return ADMM(tol=TOL).solve(self.problem)

    def time_solve(self, name):
        self.solve()

    def track_iterations(self, name):
        result = self.solve()
        return result.nit if result.success else np.inf


class AnyPenalty:
    """Most iterations of the lasso to 1e-10, over first penalties from 1e-4 to 1e6."""

    params = ["spectral", "balance"]

    def track_iterations(self, adapt):
        problem = lasso()
        solvers = [ADMM(rho=rho, adapt=adapt, tol=1e-10) for rho in np.logspace(-4, 6, 11)]
        results = [solver.solve(problem) for solver in solvers]
        return max(result.nit if result.success else np.inf for result in results)


# ---- sequences of quadratic programs -------------------------------------------------------------


def control(states=8, forces=4, horizon=20):
    """Model predictive control: data, and how the next program follows from a solution."""
    rng = np.random.default_rng(0)
    F = np.eye(states) + 0.1 * rng.standard_normal((states, states))
    F /= max(1.0, np.abs(np.linalg.eigvals(F)).max() / 1.02)
    G = 0.5 * rng.standard_normal((states, forces))
    Q = 10 * rng.random(states) * (rng.random(states) < 0.7)
    P = sp.diags_array(np.r_[np.tile(Q, horizon), 5 * Q, np.full(horizon * forces, 0.1)])
    shift = sp.vstack([sp.csc_array((1, horizon)), sp.eye_array(horizon)])
    chain = sp.kron(sp.eye_array(horizon + 1), -np.eye(states))
    chain = chain + sp.kron(sp.eye_array(horizon + 1, k=-1), F)
    A = sp.csc_array(sp.hstack([chain, sp.kron(shift, G)]))
    size = (horizon + 1) * states
    upper = np.r_[np.full(states, np.inf), np.full(size - states, 6.0)]
    upper = np.r_[upper, np.full(horizon * forces, 0.3)]

    def programs():
        rng, state = np.random.default_rng(1), 2 * np.random.default_rng(1).standard_normal(states)
        for _ in range(100):
            sides = np.r_[-state, np.zeros(size - states)]
            x = yield np.zeros(P.shape[0]), sides
            state = F @ state + G @ x[size : size + forces] + 0.05 * rng.standard_normal(states)

    return P, A, -upper, upper, programs


def portfolio(n=100, k=10):
    """A frontier: only the linear term changes."""
    rng = np.random.default_rng(0)
    exposure = sp.csc_array(rng.standard_normal((n, k)) * (rng.random((n, k)) < 0.5))
    P = sp.diags_array(np.r_[np.sqrt(k) * rng.random(n), np.ones(k)])
    gains = rng.standard_normal(n)
    budget = sp.hstack([sp.csc_array(np.ones((1, n))), sp.csc_array((1, k))])
    A = sp.csc_array(sp.vstack([budget, sp.hstack([exposure.T, -sp.eye_array(k)])]))
    lower = np.r_[np.zeros(n), np.full(k, -np.inf)]

    def programs():
        for trade in np.logspace(-1, 1, 100):
            yield np.r_[-gains / trade, np.zeros(k)], np.r_[1.0, np.zeros(k)]

    return P, A, lower, np.full(n + k, np.inf), programs


CASES = {
    "control 4x2x10": lambda: control(4, 2, 10),
    "control 8x4x20": control,
    "control 12x6x30": lambda: control(12, 6, 30),
    "portfolio 100": portfolio,
    "portfolio 300": lambda: portfolio(300, 30),
}


# Each maker returns a step and what turns new matrices, where there are any, into its arguments.


def numopt_steps(P, A, lower, upper, q, sides):
    problem = QuadraticProgram(P, q, A, sides, sides, lower, upper)
    solver, result = OperatorSplittingQP(tol=TOL), None

    def step(q, sides, **matrices):
        nonlocal problem, result
        problem = problem.replace(q=q, l=sides, u=sides, **matrices)
        result = solver.solve(problem, warm_start=result)
        return result.x, result.y, result.z_lb, result.z_ub

    return step, lambda **matrices: matrices


def osqp_steps(P, A, lower, upper, q, sides):
    import osqp

    n = q.size
    at = np.flatnonzero((lower > -np.inf) | (upper < np.inf))

    def given(P=None, A=None):
        new = {} if P is None else {"Px": sp.csc_matrix(sp.triu(P))}
        if A is not None:
            new["Ax"] = sp.csc_matrix(sp.vstack([A, sp.eye_array(n, format="csr")[at]]))
        return new

    solver, first = osqp.OSQP(), given(P, A)
    solver.setup(
        first["Px"], q, first["Ax"], np.r_[sides, lower[at]], np.r_[sides, upper[at]],
        eps_abs=TOL, eps_rel=TOL, verbose=False, max_iter=20_000,
    )  # fmt: skip

    def step(q, sides, **entries):
        solver.update(q=q, l=np.r_[sides, lower[at]], u=np.r_[sides, upper[at]], **entries)
        answer = solver.solve()
        z = np.zeros(n)
        z[at] = answer.y[sides.size :]
        return answer.x, answer.y[: sides.size], np.maximum(-z, 0), np.maximum(z, 0)

    return step, lambda **new: {name: M.data for name, M in given(**new).items()}


def piqp_steps(P, A, lower, upper, q, sides):
    import piqp

    solver = piqp.SparseSolver()
    for name in ("eps_abs", "eps_rel", "eps_duality_gap_abs", "eps_duality_gap_rel"):
        setattr(solver.settings, name, TOL)
    matrices = sp.csc_matrix(P), q, sp.csc_matrix(A), sides
    solver.setup(*matrices, None, None, None, lower, upper)

    def step(q, sides, **matrices):
        solver.update(c=q, b=sides, **matrices)
        solver.solve()
        answer = solver.result
        return tuple(np.array(getattr(answer, name)) for name in ("x", "y", "z_bl", "z_bu"))

    return step, lambda **new: {name: sp.csc_matrix(M) for name, M in new.items()}


MAKERS = {"numopt": numopt_steps, "osqp": osqp_steps, "piqp": piqp_steps}


def scaled(P, rng):
    """D P D with D near 1, in the same places."""
    d, moved = 1 + 0.02 * rng.random(P.shape[0]), P.copy()
    moved.data *= d[P.indices] * np.repeat(d, np.diff(P.indptr))
    return moved


def jittered(A, rng):
    """Entries moved by a hundredth."""
    moved = A.copy()
    moved.data *= 1 + 0.01 * rng.standard_normal(A.nnz)
    return moved


def seconds(case, maker, change=""):
    """CPU seconds of the programs after the first, and the worst certificate of all.

    `change`: "", or which of the matrices P and A get new entries each time.
    """
    P, A, lower, upper, programs = CASES[case]()
    P, A, rng = sp.csc_array(P), sp.csc_array(A), np.random.default_rng(5)
    course = programs()
    q, sides = next(course)
    judge = QuadraticProgram(P, q, A, sides, sides, lower, upper)
    step, arguments_of = MAKERS[maker](P, A, lower, upper, q, sides)
    spent, worst, count = 0.0, 0.0, 0
    while True:
        new = {"P": scaled(P, rng)} if "P" in change else {}
        if "A" in change:
            new["A"] = jittered(A, rng)
        arguments = arguments_of(**new)
        start = process_time()
        answer = step(q, sides, **arguments)
        spent += (process_time() - start) * (count > 0)
        count += 1
        certificate = judge.replace(q=q, l=sides, u=sides, **new).certificate(*answer)
        worst = max(worst, *certificate.values())
        try:
            q, sides = course.send(answer[0])
        except StopIteration:
            return spent, worst


class Sequences:
    """Warm-started sequences of 100 programs at 1e-6."""

    params = [list(CASES), ["osqp", "piqp"], ["", "A", "P", "PA"]]
    param_names = ["case", "peer", "new matrices"]

    def setup(self, case, peer, change):
        try:
            __import__(peer)
        except ImportError as error:
            raise NotImplementedError from error  # asv's word for "skip"
        seconds(case, "numopt", change)

    def track_ratio(self, case, peer, change):
        ours, theirs = (
            min(seconds(case, who, change)[0] for _ in range(3)) for who in ("numopt", peer)
        )
        return ours / theirs

    def track_certificate(self, case, peer, change):
        return seconds(case, "numopt", change)[1]


class Small:
    """One small program: from nothing, and from its neighbour."""

    params = [2, 10, 20]

    def setup(self, n):
        rng = np.random.default_rng(0)
        M, A = rng.standard_normal((n, n)), rng.standard_normal((n // 2, n))
        self.problem = QuadraticProgram(
            M @ M.T, rng.standard_normal(n), A, -np.ones(n // 2), np.ones(n // 2), lb=-1, ub=1
        )
        self.solver = OperatorSplittingQP(tol=TOL)
        self.answer = self.solver.solve(self.problem)

    def time_cold(self, n):
        self.solver.solve(self.problem)

    def time_warm(self, n):
        self.solver.solve(self.problem, warm_start=self.answer)
