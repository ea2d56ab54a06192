"""Linear programs against other solvers: who solves what, and how fast.

    python benchmarks/lp_table.py FOLDER [--tol 1e-8] [--limit 20] [--solvers auto,pdhg,...]

FOLDER holds problems as .mps or .mps.gz files, or as .npz files as `numopt.io.read_problem` takes
them. Every solver gets the same arrays and the tolerance as absolute and relative one, for the gap,
too, where it has a setting. An answer counts if the certificate of
`numopt.problems.LinearProgram`, recomputed from the arrays, is at most ten times the tolerance
(solvers measure in other norms), and a claim that there is no solution if HiGHS' simplex method
makes the same. CPU seconds are the least of a few repeats, with set-up, after a first call that
compiles and caches; what is not solved counts with the limit. Means are geometric ones of
seconds + 0.001, less 0.001.

The table: a row per problem with CPU milliseconds (and iterations of first-order methods) of every
solver, then share solved, wrong claims, mean seconds, and the ratio to the first solver.
"""

import argparse
import importlib.util
import multiprocessing
import os
import time
import warnings
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402

from benchmarks.qp_table import (  # noqa: E402
    IMPOSSIBLE,
    SOLVED,
    UNSOLVED,
    _claim,
    by_clarabel,
    by_scs,
)
from numopt.functions.linprog import solve_linear_program  # noqa: E402
from numopt.io import read_problem  # noqa: E402
from numopt.problems import LinearProgram  # noqa: E402

# ---- solvers: problem -> (claim, x, y, z of bounds, iterations); y > 0 at upper sides ------------


def by_numopt(method):
    def solve(problem, tol, limit):
        options = {"tol": tol, "time_limit": limit}
        result = solve_linear_program(problem, method, {}, options)
        claim = {0: SOLVED, 2: IMPOSSIBLE, 3: IMPOSSIBLE}.get(int(result.status), UNSOLVED)
        return claim, result.x, result.y, result.z_ub - result.z_lb, result.nit

    return solve


def by_highs(algorithm):
    def solve(problem, tol, limit):
        import highspy

        h = highspy.Highs()
        h.setOptionValue("output_flag", False)
        h.setOptionValue("time_limit", float(limit))
        h.setOptionValue("solver", algorithm)
        for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
            h.setOptionValue(option, min(max(tol, 1e-10), 1e-7))
        n, m, A = problem.size, problem.n_rows, problem.A
        h.passModel(
            n, m, A.nnz, 1, 1, 0.0, problem.c, problem.lb, problem.ub, problem.l, problem.u,
            A.indptr, A.indices, A.data, np.zeros(n, np.int32),
        )  # fmt: skip
        h.run()
        s = h.getSolution()
        claim = _claim(h.modelStatusToString(h.getModelStatus()))
        if not s.value_valid:
            return claim, np.zeros(n), np.zeros(m), np.zeros(n), 0
        return claim, np.array(s.col_value), -np.array(s.row_dual), -np.array(s.col_dual), 0

    return solve


def by_pdlp(problem, tol, limit):
    from ortools.pdlp import solve_log_pb2, solvers_pb2
    from ortools.pdlp.python import pdlp

    q = pdlp.QuadraticProgram()
    q.objective_vector, q.constraint_matrix = problem.c, sp.csc_matrix(problem.A)
    q.constraint_lower_bounds, q.constraint_upper_bounds = problem.l, problem.u
    q.variable_lower_bounds, q.variable_upper_bounds = problem.lb, problem.ub
    settings = solvers_pb2.PrimalDualHybridGradientParams()
    criteria = settings.termination_criteria
    criteria.simple_optimality_criteria.eps_optimal_absolute = tol
    criteria.simple_optimality_criteria.eps_optimal_relative = tol
    criteria.time_sec_limit = limit
    settings.num_threads = 1
    r = pdlp.primal_dual_hybrid_gradient(q, settings)
    reason = solve_log_pb2.TerminationReason.Name(r.solve_log.termination_reason)
    claim = SOLVED if "OPTIMAL" in reason else IMPOSSIBLE if "INFEASIBLE" in reason else UNSOLVED
    z = -np.array(r.reduced_costs)
    return (
        claim, np.array(r.primal_solution), -np.array(r.dual_solution), z,
        r.solve_log.iteration_count,
    )  # fmt: skip


def by_others(solve):
    def by(problem, tol, limit):
        arrays = problem.c, problem.A, problem.l, problem.u, problem.lb, problem.ub
        P = sp.csc_array((problem.size, problem.size))
        return (*solve(P, *arrays, tol, limit), 0)

    return by


SOLVERS = {
    "auto": by_numopt("auto"),
    "pdhg": by_numopt("halpern-pdhg"),
    "ipm": by_numopt("ipm"),
    "simplex": by_highs("simplex"),
    "highs-ipm": by_highs("ipm"),
    "pdlp": by_pdlp,
    "clarabel": by_others(by_clarabel),
    "scs": by_others(by_scs),
}
MODULES = {"pdlp": "ortools", "clarabel": "clarabel", "scs": "scs"}

# ---- the table -----------------------------------------------------------------------------------


def apart(work, *args, limit=600.0):
    """What a function returns in a process of its own, or None.

    Libraries crash, hang, or do not go together: OR-Tools and highspy bring two versions of HiGHS.
    """
    context = multiprocessing.get_context("fork")
    pipe, end = context.Pipe(duplex=False)
    worker = context.Process(target=lambda: end.send(work(*args)))
    worker.start()
    end.close()
    try:
        return pipe.recv() if pipe.poll(limit) else None
    except EOFError:
        return None
    finally:
        worker.kill()
        worker.join()


def measure(solve, problem, tol, limit):
    """CPU seconds, what the solver claims, the residual of its point and its iterations."""
    outcome = apart(_work, solve, problem, tol, limit, limit=20 * limit)
    return outcome or (limit, UNSOLVED, np.inf, 0)


def _work(solve, problem, tol, limit):
    seconds, spent = np.inf, 0.0
    for k in range(10):
        start = time.process_time()
        claim, x, y, z, nit = solve(problem, tol, limit)
        last = time.process_time() - start
        seconds, spent = min(seconds, last), spent + last
        if spent > (0.3 if k else 2.0):  # the first call loads compiled code
            break
    x, y, z = (np.asarray(v, float) for v in (x, y, z))
    z = np.where(z > 0, np.where(problem.ub < np.inf, z, 0), np.where(problem.lb > -np.inf, z, 0))
    residual = problem.certificate(x, y, np.maximum(-z, 0), np.maximum(z, 0)).worst(1.0)
    return seconds, claim, residual, nit


def load(path):
    problem = read_problem(path)
    if not isinstance(problem, LinearProgram):
        raise SystemExit(f"{path.name} is no linear program")
    return problem


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tol", type=float, default=1e-8)
    parser.add_argument("--limit", type=float, default=20.0)
    parser.add_argument("--solvers", default=",".join(SOLVERS))
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    chosen = [
        name
        for name in options.solvers.split(",")
        if importlib.util.find_spec(MODULES.get(name, "numopt")) is not None
    ]
    paths = sorted(p for p in options.folder.iterdir() if p.suffix in (".mps", ".gz", ".npz"))
    tiny = LinearProgram([-1.0, -1.0], [[1.0, 2.0], [1.0, 1.0]], u=[3.0, 2.0], lb=0.0)
    for name in ("auto", "pdhg", "ipm"):  # kernels are there before processes fork
        apart(SOLVERS[name], tiny, 1e-8, 60)
    print("| problem | entries |", *(f"{name} |" for name in chosen))
    print("|---|---|" + "---|" * len(chosen))
    times = {name: [] for name in chosen}
    solved, wrong = dict.fromkeys(chosen, 0), dict.fromkeys(chosen, 0)
    for path in paths:
        problem = apart(load, path)
        truth = measure(SOLVERS["simplex"], problem, 1e-7, options.limit)[1]
        cells = []
        for name in chosen:
            seconds, claim, residual, nit = measure(
                SOLVERS[name], problem, options.tol, options.limit
            )
            good = claim == truth and (claim == IMPOSSIBLE or residual <= 10 * options.tol)
            good = good and claim != UNSOLVED
            bad = claim != UNSOLVED and (
                claim != truth or (claim == SOLVED and not residual <= 1000 * options.tol)
            )
            solved[name] += good
            wrong[name] += bad
            times[name].append(min(seconds, options.limit) if good else options.limit)
            count = f" ({nit})" if nit and name in ("pdhg", "pdlp") else ""
            mark = "wrong" if bad else "-"
            cells.append(f"{1000 * seconds:.1f}{count} |" if good else f"{mark} |")
        name = path.name.partition(".")[0]
        print(f"| {name} | {problem.A.nnz} |", *cells, flush=True)
    means = {name: mean(np.array(times[name])) for name in chosen}
    rows = {
        "solved": [f"{solved[name]}/{len(paths)}" for name in chosen],
        "wrong": [str(wrong[name]) for name in chosen],
        "mean seconds": [f"{means[name]:.4f}" for name in chosen],
        f"to {chosen[0]}": [f"{means[name] / means[chosen[0]]:.2f}" for name in chosen],
    }
    for title, values in rows.items():
        print(f"| {title} | |", *(f"{value} |" for value in values))


def mean(seconds):
    return float(np.exp(np.log(seconds + 0.001).mean()) - 0.001)


if __name__ == "__main__":
    main()
