# ruff: noqa: E741
"""Quadratic programs against other solvers: who solves what, and how fast.

    python benchmarks/qp_table.py FOLDER [--tol 1e-6] [--limit 10] [--solvers numopt,piqp,...]

FOLDER holds problems as .npz files with arrays Pd, Pi, Pp (upper triangle of P by columns), Ad, Ai,
Ap (A by columns), q, l, u, xl, xu; a bound of magnitude 1e20 or more is infinite. Every solver
gets the same arrays and the tolerance as absolute and relative one, for the gap, too, where it has
a setting. An answer counts if the certificate of `numopt.problems.QuadraticProgram`, recomputed
from the arrays, meets the tolerance, whatever the solver says. CPU seconds are the least of a few
repeats, with set-up, after a first call that compiles and caches; what is not solved counts with
the limit. The mean is the geometric one of seconds + 0.01, less 0.01.

Columns: share solved; answers called solved with a residual above 100 times the tolerance;
problems called infeasible or unbounded (all of those in the folder should be solvable); mean
seconds over all problems; the same as a ratio to numopt; the ratio over problems both solve.
"""

import argparse
import importlib.util
import multiprocessing
import os
import resource
import time
import warnings
from pathlib import Path

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402

import numopt  # noqa: E402
from numopt.problems import QuadraticProgram  # noqa: E402

SOLVED, UNSOLVED, IMPOSSIBLE = "solved", "unsolved", "impossible"


def load(path):
    """Arrays of a problem, both triangles of P."""
    d = np.load(path)
    n, m = d["q"].size, d["l"].size
    upper = sp.csc_array((d["Pd"], d["Pi"], d["Pp"]), shape=(n, n))
    A = sp.csc_array((d["Ad"], d["Ai"], d["Ap"]), shape=(m, n))
    bounds = []
    for key in ("l", "u", "xl", "xu"):
        value = d[key].astype(float)
        far = np.abs(value) >= 1e20 * (1 - 1e-12)
        value[far] = np.copysign(np.inf, value[far])
        bounds.append(value)
    return sp.csc_array(upper + sp.triu(upper, 1).T), d["q"], A, *bounds


# ---- solvers: arrays -> (claim, x, y, z of bounds); y > 0 at upper sides -------------------------


def by_numopt(P, q, A, l, u, lb, ub, tol, limit):
    options = {"time_limit": limit}
    result = numopt.quadprog(P, q, A, l, u, lb=lb, ub=ub, tol=tol, options=options)
    claims = {0: SOLVED, 2: IMPOSSIBLE, 3: IMPOSSIBLE, 6: IMPOSSIBLE}
    return claims.get(int(result.status), UNSOLVED), result.x, result.y, result.z_ub - result.z_lb


def by_piqp(P, q, A, l, u, lb, ub, tol, limit):
    import piqp

    solver, equal = piqp.SparseSolver(), l == u
    settings = solver.settings
    settings.eps_abs = settings.eps_rel = tol
    settings.check_duality_gap = True
    settings.eps_duality_gap_abs = settings.eps_duality_gap_rel = tol
    other = ~equal
    equations, rest = sp.csc_matrix(A[equal]), sp.csc_matrix(A[other])
    solver.setup(sp.csc_matrix(P), q, equations, l[equal], rest, l[other], u[other], lb, ub)
    status = solver.solve()
    r, y = solver.result, np.zeros(l.size)
    y[equal], y[other] = r.y, r.z_u - r.z_l
    z = np.asarray(r.z_bu) - np.asarray(r.z_bl)
    return _claim(str(status)), r.x, y, z


def _stacked(A, l, u, lb, ub):
    """Bounds as rows, for solvers without them."""
    bounded = np.flatnonzero((lb > -np.inf) | (ub < np.inf))
    rows = sp.eye_array(lb.size, format="csr")[bounded]
    return (
        sp.csc_matrix(sp.vstack([A, rows])),
        np.concatenate([l, lb[bounded]]),
        np.concatenate([u, ub[bounded]]),
        bounded,
    )


def _split(y, m, bounded, n):
    z = np.zeros(n)
    z[bounded] = y[m:]
    return y[:m], z


def by_osqp(P, q, A, l, u, lb, ub, tol, limit):
    import osqp

    M, low, high, bounded = _stacked(A, l, u, lb, ub)
    solver = osqp.OSQP()
    solver.setup(
        sp.triu(P, format="csc"), q, M, low, high, eps_abs=tol, eps_rel=tol, verbose=False,
        max_iter=10**9, time_limit=limit, polishing=True,
    )  # fmt: skip
    r = solver.solve(raise_error=False)
    return _claim(r.info.status), r.x, *_split(r.y, l.size, bounded, q.size)


def _cones(A, l, u, lb, ub):
    """Rows b - M x in {0} x R+, and how to come back to y."""
    M, low, high, bounded = _stacked(A, l, u, lb, ub)
    M = M.tocsr()
    equal = low == high
    below, above = (low > -np.inf) & ~equal, (high < np.inf) & ~equal
    G = sp.csc_matrix(sp.vstack([M[equal], M[above], -M[below]]))
    b = np.concatenate([high[equal], high[above], -low[below]])

    def back(z):
        y, k = np.zeros(low.size), int(equal.sum())
        y[equal] = z[:k]
        y[above] += z[k : k + above.sum()]
        y[below] -= z[k + above.sum() :]
        return y

    return G, b, int(equal.sum()), back, bounded


def by_clarabel(P, q, A, l, u, lb, ub, tol, limit):
    import clarabel

    G, b, equations, back, bounded = _cones(A, l, u, lb, ub)
    settings = clarabel.DefaultSettings()
    settings.verbose, settings.time_limit = False, limit
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
    cones = [clarabel.ZeroConeT(equations), clarabel.NonnegativeConeT(b.size - equations)]
    r = clarabel.DefaultSolver(sp.triu(P, format="csc"), q, G, b, cones, settings).solve()
    y, z = _split(back(np.array(r.z)), l.size, bounded, q.size)
    return _claim(str(r.status)), np.array(r.x), y, z


def by_scs(P, q, A, l, u, lb, ub, tol, limit):
    import scs

    G, b, equations, back, bounded = _cones(A, l, u, lb, ub)
    data = {"P": sp.triu(P, format="csc"), "A": G, "b": b, "c": q}
    solver = scs.SCS(
        data, {"z": equations, "l": b.size - equations}, eps_abs=tol, eps_rel=tol,
        time_limit_secs=limit, max_iters=10**8, verbose=False,
    )  # fmt: skip
    r = solver.solve()
    y, z = _split(back(r["y"]), l.size, bounded, q.size)
    return _claim(r["info"]["status"]), r["x"], y, z


def by_proxqp(P, q, A, l, u, lb, ub, tol, limit):
    import proxsuite

    M, low, high, bounded = _stacked(A, l, u, lb, ub)
    M, equal = M.tocsr(), low == high
    other = ~equal
    solver = proxsuite.proxqp.sparse.QP(q.size, int(equal.sum()), int(other.sum()))
    solver.settings.eps_abs = solver.settings.eps_rel = tol
    solver.settings.check_duality_gap = True
    solver.settings.eps_duality_gap_abs = solver.settings.eps_duality_gap_rel = tol
    wide = [np.clip(v[other], -1e20, 1e20) for v in (low, high)]
    solver.init(sp.csc_matrix(P), q, M[equal].tocsc(), low[equal], M[other].tocsc(), *wide)
    solver.solve()
    y = np.zeros(low.size)
    y[equal], y[other] = solver.results.y, solver.results.z
    claim = _claim(str(solver.results.info.status))
    return claim, solver.results.x, *_split(y, l.size, bounded, q.size)


def by_highs(P, q, A, l, u, lb, ub, tol, limit):
    import highspy

    h = highspy.Highs()
    h.setOptionValue("output_flag", False)
    h.setOptionValue("time_limit", float(limit))
    for option in ("primal_feasibility_tolerance", "dual_feasibility_tolerance"):
        h.setOptionValue(option, max(tol, 1e-10))
    model = highspy.HighsModel()
    lp, lower = model.lp_, sp.tril(P, format="csc")
    lp.num_col_, lp.num_row_ = q.size, l.size
    lp.col_cost_, lp.col_lower_, lp.col_upper_, lp.row_lower_, lp.row_upper_ = q, lb, ub, l, u
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.start_, lp.a_matrix_.index_, lp.a_matrix_.value_ = A.indptr, A.indices, A.data
    if lower.nnz:
        hessian = model.hessian_
        hessian.dim_, hessian.format_ = q.size, highspy.HessianFormat.kTriangular
        hessian.start_, hessian.index_, hessian.value_ = lower.indptr, lower.indices, lower.data
    h.passModel(model)
    h.run()
    s = h.getSolution()
    claim = _claim(h.modelStatusToString(h.getModelStatus()))
    return claim, np.array(s.col_value), -np.array(s.row_dual), -np.array(s.col_dual)


def _claim(status):
    status = status.lower()
    if "infeasible" in status or "unbounded" in status:
        return IMPOSSIBLE
    inexact = "almost" in status or "inaccurate" in status or "unsolved" in status
    good = "solved" in status or "optimal" in status
    return SOLVED if good and not inexact else UNSOLVED


SOLVERS = {
    "numopt": by_numopt,
    "piqp": by_piqp,
    "clarabel": by_clarabel,
    "proxqp": by_proxqp,
    "osqp": by_osqp,
    "scs": by_scs,
    "highs": by_highs,
}


MODULES = {"proxqp": "proxsuite", "highs": "highspy"}

# ---- the table -----------------------------------------------------------------------------------


def measure(solve, arrays, tol, limit):
    """CPU seconds, what the solver claims, and the residual of its point.

    In a process of its own, with a limit on its CPU time: the solvers' own limits are of the wall
    clock, if they have any, and some crash.
    """
    context = multiprocessing.get_context("fork")
    pipe, end = context.Pipe(duplex=False)
    worker = context.Process(target=_work, args=(end, solve, arrays, tol, limit))
    worker.start()
    end.close()
    outcome = limit, UNSOLVED, np.inf
    try:
        if pipe.poll(20 * limit):
            outcome = pipe.recv()
    except EOFError:
        pass
    worker.kill()
    worker.join()
    return outcome


def _work(pipe, solve, arrays, tol, limit):
    seconds, claim, residual = np.inf, UNSOLVED, np.inf
    resource.setrlimit(resource.RLIMIT_CPU, (int(limit) + 2, int(limit) + 3))
    spent = 0.0
    for _ in range(20):
        start = time.thread_time()  # a limit on CPU time makes the process' clock tick in 4 ms
        try:
            claim, x, y, z = solve(*arrays, tol=tol, limit=20 * limit)
        except Exception:
            pipe.send((limit, UNSOLVED, np.inf))
            return
        last = time.thread_time() - start
        seconds, spent = min(seconds, last), spent + last
        if spent > 0.5:
            break
    try:
        problem = QuadraticProgram(*arrays)
        x, y, z = (np.asarray(v, float) for v in (x, y, z))
        c = problem.certificate(x, y, np.maximum(-z, 0), np.maximum(z, 0))
        residual = c.worst(1.0)
    except ValueError:
        pass
    pipe.send((seconds, claim, residual))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--tol", type=float, default=1e-6)
    parser.add_argument("--limit", type=float, default=10.0)
    parser.add_argument("--solvers", default=",".join(SOLVERS))
    parser.add_argument("--skip", default="", help="names of problems to leave out")
    parser.add_argument("--details", action="store_true")
    options = parser.parse_args()
    warnings.simplefilter("ignore")
    paths = [p for p in sorted(options.folder.glob("*.npz")) if p.stem not in options.skip]
    tables = {}
    by_numopt(*load(paths[0]), tol=1e-3, limit=60)  # kernels are there before processes fork
    for name in options.solvers.split(","):
        outcomes = []
        if name != "numopt" and importlib.util.find_spec(MODULES.get(name, name)) is None:
            continue
        for path in paths:
            arrays = load(path)
            outcome = measure(SOLVERS[name], arrays, options.tol, options.limit)
            outcomes.append(outcome)
            if options.details:
                print(f"{name:9} {path.stem:10} {outcome[0]:9.4f} {outcome[1]:10} {outcome[2]:.1e}")
        tables[name] = outcomes
    report(tables, options.tol, options.limit)


def report(tables, tol, limit):
    print("| solver | solved | wrong | infeasible | mean seconds | to numopt | both solved |")
    print("|---|---|---|---|---|---|---|")
    times, good = {}, {}
    for name, outcomes in tables.items():
        good[name] = np.array([r <= tol and s <= limit for s, _, r in outcomes])
        times[name] = np.where(good[name], [s for s, _, _ in outcomes], limit)
    base = next(iter(times))
    for name, outcomes in tables.items():
        wrong = sum(claim == SOLVED and not r <= 100 * tol for _, claim, r in outcomes)
        impossible = sum(claim == IMPOSSIBLE for _, claim, _ in outcomes)
        both = good[name] & good[base]
        ratio = mean(times[name]) / mean(times[base])
        common = mean(times[name][both]) / mean(times[base][both])
        print(
            f"| {name} | {100 * good[name].mean():.0f} % | {wrong} | {impossible} | "
            f"{mean(times[name]):.4f} | {ratio:.2f} | {common:.2f} |"
        )


def mean(seconds):
    return float(np.exp(np.log(seconds + 0.01).mean()) - 0.01)


if __name__ == "__main__":
    main()
