"""Second-order cone programs against Clarabel and SCS: CPU time to a certificate.

    python benchmarks/cone_table.py [--tol 1e-8] [--solvers conic-ipm,conic-splitting,clarabel,scs]
                                    [--only NAME ...] [--sequence]

Every solver gets the same arrays and the tolerance as absolute and relative one. The last column of
each is the worst gate of the certificate of `numopt.problems.ConicProgram`, recomputed from the
arrays, whatever the solver says; "!" marks what misses the tolerance tenfold, and problems without
a solution show the claim instead. Milliseconds of CPU, least of some repeats, with set-up from the
arrays, after a first call that compiles and caches; one thread.

With --sequence: milliseconds and iterations per program of a sequence of ten, q and b moved by 1 %
each time, every solver keeping what it can and starting from the answer before if it knows how to.
"""

import argparse
import os
import time
import warnings

for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "NUMBA_NUM_THREADS"):
    os.environ.setdefault(name, "1")

import numpy as np  # noqa: E402
import scipy.sparse as sp  # noqa: E402

import numopt  # noqa: E402
from numopt.problems import ConicProgram  # noqa: E402

LIMIT = 20.0


def entry(column, n, value=-1.0):
    """A row with one entry."""
    return sp.csr_array(([value], ([0], [column])), shape=(1, n))


# ---- problems ------------------------------------------------------------------------------------


def portfolio(n, k):
    """Returns less a robust margin |S x| and a risk |(F x, D x)|, on the simplex."""
    rng = np.random.default_rng(0)
    F = sp.random_array((k, n), density=0.5, rng=rng, data_sampler=rng.standard_normal)
    d, mu = np.sqrt(rng.random(n) * np.sqrt(k)), 3 + 9 * rng.random(n)
    S, m = 0.1 * rng.random(n) * mu, n + k + 2

    def rows(*parts):
        return sp.hstack([sp.csr_array(part) for part in parts])

    A = sp.vstack([
        rows(np.ones((1, n)), np.zeros((1, k + 2))),
        rows(F, -np.eye(k), np.zeros((k, 2))),
        -sp.eye_array(n, m),
        entry(n + k, m), rows(-sp.diags_array(S), sp.csr_array((n, k + 2))),
        entry(n + k + 1, m), rows(np.zeros((k, n)), -np.eye(k), np.zeros((k, 2))),
        rows(-sp.diags_array(d), sp.csr_array((n, k + 2))),
    ])  # fmt: skip
    b = np.zeros(A.shape[0])
    b[0] = 1.0
    q = np.concatenate([-mu, np.zeros(k), [1.0, 0.5]])
    return None, q, A, b, {"zero": 1 + k, "nonneg": n, "soc": [n + 1, n + k + 1]}


def regression(m, n):
    rng = np.random.default_rng(0)
    M, x = rng.standard_normal((m, n)), np.zeros(n)
    x[: n // 10] = rng.standard_normal(n // 10)
    return M, M @ x + 0.5 * rng.standard_normal(m)


def square_root_lasso(m, n):
    """|M x - g| + lam |x|_1."""
    M, g = regression(m, n)
    eye, lam = sp.eye_array(n), 1.1 * np.sqrt(2 * np.log(n))
    A = sp.vstack([
        sp.hstack([eye, -eye, sp.csr_array((n, 1))]), sp.hstack([-eye, -eye, sp.csr_array((n, 1))]),
        entry(2 * n, 2 * n + 1), sp.hstack([-sp.csr_array(M), sp.csr_array((m, n + 1))]),
    ])  # fmt: skip
    q = np.concatenate([np.zeros(n), np.full(n, lam), [1.0]])
    b = np.concatenate([np.zeros(2 * n + 1), -g])
    return None, q, A, b, {"nonneg": 2 * n, "soc": [m + 1]}


def group_lasso(m, groups, size):
    """|M x - g|^2 / 2 + lam sum |x_group|, with a quadratic objective."""
    n = groups * size
    M, g = regression(m, n)
    lam = 0.1 * np.linalg.norm((M.T @ g).reshape(groups, size), axis=1).max()
    zero = sp.csr_array
    P = sp.block_diag([zero((n, n)), sp.eye_array(m), zero((groups, groups))])
    at = np.arange(groups * (size + 1)).reshape(groups, size + 1)
    columns = np.concatenate([at[:, 1:].ravel() * 0 + np.arange(n), n + m + np.arange(groups)])
    rows = np.concatenate([at[:, 1:].ravel(), at[:, 0]])
    C = sp.csr_array((-np.ones(rows.size), (rows, columns)), shape=(at.size, n + m + groups))
    A = sp.vstack([sp.hstack([zero(M), -sp.eye_array(m), zero((m, groups))]), C])
    q = np.concatenate([np.zeros(n + m), np.full(groups, lam)])
    b = np.concatenate([g, np.zeros(at.size)])
    return P, q, A, b, {"zero": m, "soc": [size + 1] * groups}


def antenna(n, directions):
    """Least largest side lobe of n complex weights with unit gain ahead."""
    rng = np.random.default_rng(0)
    place = np.arange(n) * 0.5 + 0.1 * rng.standard_normal(n)
    half = np.linspace(0.2, np.pi / 2, directions // 2)
    rows = [
        np.concatenate([np.ones(n), np.zeros(n + 1)]),
        np.concatenate([np.zeros(n), np.ones(n), [0]]),
    ]
    for angle in np.concatenate([-half[::-1], half]):
        v = np.exp(2j * np.pi * place * np.sin(angle))
        rows.append(-np.eye(2 * n + 1)[-1])
        rows.append(np.concatenate([-v.real, v.imag, [0]]))
        rows.append(np.concatenate([-v.imag, -v.real, [0]]))
    b = np.zeros(len(rows))
    b[0] = 1.0
    return None, np.eye(2 * n + 1)[-1], np.array(rows), b, {"zero": 2, "soc": [3] * (2 * half.size)}


def total_variation(k):
    """|x - y|^2 / 2 + lam sum |gradient| of a k by k picture, isotropic."""
    rng = np.random.default_rng(0)
    y = 0.1 * rng.standard_normal((k, k))
    y[k // 4 : k // 2, k // 3 :] += 1
    d = sp.diags_array([-np.ones(k - 1), np.ones(k - 1)], offsets=[0, 1], shape=(k - 1, k))
    keep, c = sp.eye_array(k).tocsr()[: k - 1], (k - 1) ** 2
    P = sp.block_diag([sp.eye_array(k * k), sp.csr_array((c, c))])
    A = sp.vstack([
        sp.hstack([sp.csr_array((c, k * k)), -sp.eye_array(c)]),
        sp.hstack([-sp.kron(keep, d), sp.csr_array((c, c))]),
        sp.hstack([-sp.kron(d, keep), sp.csr_array((c, c))]),
    ]).tocsr()[np.arange(3 * c).reshape(3, c).T.ravel()]  # fmt: skip
    return P, np.concatenate([-y.ravel(), np.full(c, 0.15)]), A, np.zeros(3 * c), {"soc": [3] * c}


def robust_linear(n, m):
    """A linear program in a box whose rows hold for all coefficients in ellipsoids."""
    rng = np.random.default_rng(0)
    a, S = rng.standard_normal((m, n)), 0.1 * rng.standard_normal((m, 3, n))
    A = np.vstack([np.eye(n), -np.eye(n), np.concatenate([a[:, None], -S], 1).reshape(-1, n)])
    sides = np.zeros((m, 4))
    sides[:, 0] = np.linalg.norm(a, axis=1)
    b = np.concatenate([np.full(2 * n, 10.0), sides.ravel()])
    return None, rng.standard_normal(n), A, b, {"nonneg": 2 * n, "soc": [4] * m}


def project(v, cones):
    """The nearest slacks."""
    out, at = v.copy(), cones["zero"] + cones["nonneg"]
    out[: cones["zero"]] = 0
    out[cones["zero"] : at] = np.maximum(v[cones["zero"] : at], 0)
    for size in cones["soc"]:
        t, length = v[at], np.linalg.norm(v[at + 1 : at + size])
        if length > t:
            s = max((t + length) / 2, 0.0)
            out[at], out[at + 1 : at + size] = s, v[at + 1 : at + size] * (s / length)
        at += size
    return out


def random(n, k, size, density, kind="solvable"):
    """A planted solution, Farkas vector or ray."""
    rng = np.random.default_rng(0)
    cones = {"zero": n // 10, "nonneg": n // 4, "soc": [size] * k}
    m = n // 10 + n // 4 + k * size
    A = sp.random_array((m, n), density=density, rng=rng, data_sampler=rng.standard_normal)
    w, x, d = rng.standard_normal(m), rng.standard_normal(n), rng.standard_normal(n)
    s = project(w, cones)
    y, b = s - w, A @ x + s
    if kind == "solvable":
        return None, -(A.T @ y), A, b, cones
    A = A.toarray()
    if kind == "infeasible":
        y /= np.linalg.norm(y)
        b = rng.standard_normal(m)
        return None, d, A - np.outer(y, y @ A), b - y * (y @ b + 1), cones
    A -= np.outer(A @ d + s, d) / (d @ d)
    q = rng.standard_normal(n)
    return None, q - d * ((q @ d + 1) / (d @ d)), A, A @ x + s, cones


PROBLEMS = {
    "random 3": lambda: random(3, 1, 3, 1.0),
    "random 20": lambda: random(20, 4, 5, 0.3),
    "portfolio 50": lambda: portfolio(50, 5),
    "portfolio 500": lambda: portfolio(500, 20),
    "portfolio 2000": lambda: portfolio(2000, 40),
    "square-root lasso 50 x 20": lambda: square_root_lasso(50, 20),
    "square-root lasso 200 x 400": lambda: square_root_lasso(200, 400),
    "group lasso 100 x 100": lambda: group_lasso(100, 20, 5),
    "group lasso 200 x 1000": lambda: group_lasso(200, 100, 10),
    "antenna 10": lambda: antenna(10, 100),
    "antenna 40": lambda: antenna(40, 400),
    "total variation 64 x 64": lambda: total_variation(64),
    "robust linear 40": lambda: robust_linear(40, 100),
    "robust linear 150": lambda: robust_linear(150, 400),
    "random 200": lambda: random(200, 30, 8, 0.1),
    "random 1000": lambda: random(1000, 150, 10, 0.01),
    "infeasible 60": lambda: random(60, 8, 6, 0.3, "infeasible"),
    "infeasible 300": lambda: random(300, 60, 8, 0.3, "infeasible"),
    "unbounded 60": lambda: random(60, 4, 6, 0.3, "unbounded"),
    "unbounded 300": lambda: random(300, 20, 8, 0.3, "unbounded"),
}


# ---- solvers: arrays -> (iterations, claim, x, y) ------------------------------------------------


def by_numopt(name):
    def solve(P, q, A, b, cones, tol):
        result = numopt.solve(ConicProgram(P, q, A, b, cones), name, tol=tol, time_limit=LIMIT)
        return result.nit, result.status.name.lower(), result.x, result.y

    return solve


def by_clarabel(P, q, A, b, cones, tol):
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose, settings.max_threads, settings.time_limit = False, 1, LIMIT
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tol
    kinds = [
        clarabel.ZeroConeT(cones.get("zero", 0)), clarabel.NonnegativeConeT(cones.get("nonneg", 0)),
        *(clarabel.SecondOrderConeT(size) for size in cones["soc"]),
    ]  # fmt: skip
    r = clarabel.DefaultSolver(sp.triu(P, format="csc"), q, A, b, kinds, settings).solve()
    return r.iterations, str(r.status), np.array(r.x), np.array(r.z)


def by_scs(P, q, A, b, cones, tol):
    import scs

    sizes = {"z": cones.get("zero", 0), "l": cones.get("nonneg", 0), "q": cones["soc"]}
    data = {"P": sp.triu(P, format="csc"), "A": A, "b": b, "c": q}
    solver = scs.SCS(data, sizes, eps_abs=tol, eps_rel=tol, time_limit_secs=LIMIT,
                     max_iters=10**7, verbose=False)  # fmt: skip
    r = solver.solve()
    return r["info"]["iter"], r["info"]["status"], r["x"], r["y"]


SOLVERS = {
    "conic-ipm": by_numopt("conic-ipm"),
    "conic-splitting": by_numopt("conic-splitting"),
    "clarabel": by_clarabel,
    "scs": by_scs,
}
NONE = "infeasible", "unbounded"


def measure(solve, arrays, tol):
    """Milliseconds, iterations, and what came of it."""
    problem = ConicProgram(*arrays)
    best, repeats, spent = np.inf, 0, 0.0
    while repeats < 2 or (repeats < 20 and spent < 1.0):
        start = time.process_time()
        nit, claim, x, y = solve(*arrays, tol)
        seconds = time.process_time() - start
        repeats, spent, best = repeats + 1, spent + seconds, min(best, seconds)
    claim = claim.lower()
    if any(word in claim for word in NONE):
        return 1e3 * best, nit, claim
    worst = problem.certificate(x, y).worst(1.0)
    return 1e3 * best, nit, f"{worst:.0e}" + "!" * (not worst <= 10 * tol)


# ---- sequences: problem, vectors of the relatives -> iterations in all, worst certificate --------


def sequence_by_numopt(name):
    def solve(problem, relatives, tol):
        before = numopt.solve(problem, name, tol=tol)
        start, count, worst = time.process_time(), 0, 0.0
        for q, b in relatives:
            before = numopt.solve(problem.replace(q=q, b=b), name, tol=tol, warm_start=before)
            count, worst = count + before.nit, max(worst, before.certificate.worst(1.0))
        return time.process_time() - start, count, worst

    return solve


def sequence_by_scs(problem, relatives, tol):
    import scs

    zero, nonneg, soc = problem.cones
    P = sp.csc_matrix(sp.triu(problem.P, format="csc"))
    data = {"P": P, "A": sp.csc_matrix(problem.A), "b": problem.b, "c": problem.q}
    solver = scs.SCS(data, {"z": zero, "l": nonneg, "q": list(soc)}, eps_abs=tol, eps_rel=tol,
                     time_limit_secs=LIMIT, max_iters=10**7, verbose=False)  # fmt: skip
    solver.solve()
    seconds, count, worst = 0.0, 0, 0.0
    for q, b in relatives:
        start = time.process_time()
        solver.update(b=b, c=q)
        r = solver.solve(warm_start=True)
        seconds, count = seconds + time.process_time() - start, count + r["info"]["iter"]
        certificate = problem.replace(q=q, b=b).certificate(r["x"], r["y"])
        worst = max(worst, certificate.worst(1.0))
    return seconds, count, worst


SEQUENCES = {
    "conic-ipm": sequence_by_numopt("conic-ipm"),
    "conic-splitting": sequence_by_numopt("conic-splitting"),
    "scs": sequence_by_scs,
}


def measure_sequence(solve, arrays, tol, length=10):
    """Milliseconds and iterations per relative, and the worst certificate of all."""
    problem, rng = ConicProgram(*arrays), np.random.default_rng(1)
    moved = lambda v: v * (1 + 0.01 * rng.standard_normal(v.size))  # noqa: E731
    relatives = [(moved(problem.q), moved(problem.b)) for _ in range(length)]
    solve(problem, relatives[:1], tol)
    seconds, count, worst = solve(problem, relatives, tol)
    return 1e3 * seconds / length, count / length, f"{worst:.0e}" + "!" * (not worst <= 10 * tol)


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--tol", type=float, default=1e-8)
    parser.add_argument("--solvers", default="conic-ipm,clarabel")
    parser.add_argument("--only", nargs="*", default=list(PROBLEMS))
    parser.add_argument("--sequence", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    names = args.solvers.split(",")
    print(
        "| problem | n | m | " + " | ".join(f"{s}: iterations, ms, certificate" for s in names), "|"
    )
    print("|" + "---|" * (3 + len(names)))
    for name in args.only:
        P, q, A, b, cones = PROBLEMS[name]()
        P = sp.csc_matrix((q.size, q.size)) if P is None else sp.csc_matrix(P)
        arrays = P, q, sp.csc_matrix(A), b, cones
        cells = []
        for solver in names:
            if args.sequence:
                cell = measure_sequence(SEQUENCES[solver], arrays, args.tol)
            else:
                cell = measure(SOLVERS[solver], arrays, args.tol)
            milliseconds, nit, verdict = cell
            cells.append(f"{nit:.0f}, {milliseconds:.2f}, {verdict}")
        print(f"| {name} | {q.size} | {b.size} | " + " | ".join(cells), "|", flush=True)


if __name__ == "__main__":
    main()
