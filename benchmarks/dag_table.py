"""Table of methods for learning DAGs, on raw and on standardised data, ours beside the peers.

    python -m benchmarks.dag_table                                     # ours and the plain method
    python -m benchmarks.dag_table --sizes 20 --seeds 10 --edges 2 4 --rows ls dagma notears
    python -m benchmarks.dag_table --sizes 20 50 --kinds std --rows bic bic1 boss --seeds 10

Data: Erdos-Renyi graphs with k d edges (--edges k), weights in +-[0.5, 2], 1000 rows, Gaussian
noise of unit variance; "std" are the same columns scaled to unit variance. Numbers are of one BLAS
thread, CPU seconds after a warm-up.

Rows: ours are "ls", "topo", "bic" and "bic1": `learn_dag` with its defaults, by TOPO, by BIC order
search with the restarts of the default, and with none; all it does is timed, diagnostics too, and
the least of three runs counts. Peers: "plain", the method of the TOPO paper with one regression per
changed node; "authors", the same by its authors' code (github.com/Duntrain/TOPO, its folder on
PYTHONPATH; it needs torch and scikit-learn); "dagma" and "boss" (causal-learn, at BIC's own
penalty); "notears" of gcastle, called on plain arrays, and "castle", the same by its `learn`: that
wraps every array in a class which makes it several times slower. All of them with their default
settings; what is not installed is left out. "X, then topo" (--then-topo) is TOPO from the graph of
X: the loss never rises.

Columns: loss, least squares after each node is fitted to all before it, in the order of the graph
found; edges, of weight above 0.3 (by BIC: all); SHD, structural Hamming distance to the truth;
cpSHD, the same of the equivalence classes; BIC of the graph less the truth's; KKT residual, of
ours.

Peers run in processes of their own, ended after --limit CPU seconds; one that did not end is not
run on further seeds. What they found, and their seconds, is kept in the folder --keep. After each
setting a summary compares a peer with ours: the ratio of times, seeds on which our score is higher
and on which our SHD is, and the largest lead of the peer in score, relative to the loss, or in nats
of BIC. --large adds d = 1000.
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import multiprocessing
import os
import random
import resource
import time
import warnings
from pathlib import Path
from typing import NamedTuple

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")
os.environ["TQDM_DISABLE"] = "1"

import numpy as np  # noqa: E402

import numopt  # noqa: E402
from numopt.problems import DagScore  # noqa: E402
from numopt.problems._dag_graph import cpdag, hamming_distance  # noqa: E402
from numopt.solvers import OrderInsertion  # noqa: E402
from numopt.solvers._parts.dag import fit_parents, order_of, regressions  # noqa: E402


def simulate(d, seed, edges=4, n=1000):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.random((d, d)) < min(1.0, 2 * edges / (d - 1)), 1)
    W = A * rng.uniform(0.5, 2, (d, d)) * rng.choice([-1, 1], (d, d))
    turn = rng.permutation(d)
    out = np.zeros((d, d))
    out[np.ix_(turn, turn)] = W
    return rng.standard_normal((n, d)) @ np.linalg.inv(np.eye(d) - out), out


def topo_sizes(d):
    """Large and small candidate sets, the defaults of the authors' later package."""
    wide, pairs = int(np.sqrt(d) * (d - 1) * np.log10(d)), d * (d - 1) // 2
    return max(int(1.5 * d), min(wide, pairs)), min(int(1.5 * d), wide, pairs)


def plain_topo(X):
    """TOPO as the paper describes it: from a random order, one regression per changed node."""
    n, d = X.shape
    order = np.random.default_rng(0).permutation(d)
    large, small = topo_sizes(d)

    def fit(order, t):
        w = np.linalg.lstsq(X[:, order[:t]], X[:, order[t]], rcond=None)[0] if t else np.zeros(0)
        r = X[:, order[t]] - X[:, order[:t]] @ w
        return w, r @ r / (2 * n)

    left = max(d // 10, 1)
    while True:
        W, value = np.zeros((d, d)), np.zeros(d)
        for t in range(d):
            W[order[:t], order[t]], value[t] = fit(order, t)
        walks = np.linalg.inv(np.eye(d) - np.abs(W)).T
        a, b = np.triu_indices(d, 1)
        count = walks[order[b], order[a]]
        rank = np.sort(count)
        for size in (small, large):
            if size == large:
                if left == 0:
                    return W
                left -= 1
            gains = []
            for k in np.flatnonzero(count <= rank[size - 1]):
                other = order.copy()
                other[[a[k], b[k]]] = other[[b[k], a[k]]]
                change = sum(fit(other, t)[1] - value[t] for t in range(a[k], b[k] + 1))
                if change < -1e-9 * value.sum():
                    gains.append((change, a[k], b[k]))
            if gains:
                break
        else:
            return W
        taken = np.zeros(d, bool)
        for _, i, j in sorted(gains):
            if not taken[i : j + 1].any():
                taken[i : j + 1] = True
                order[[i, j]] = order[[j, i]]


def authors(X):
    """TOPO by the code of its authors, from the same order and with the same candidates."""
    import contextlib
    import io
    import sys

    import Topo_utils
    from sklearn.linear_model import LinearRegression

    sys.modules["topo_utils"] = Topo_utils  # as its main file spells it
    import Topo_linear

    n, d = X.shape
    Topo_linear.X = X  # it reads a global

    def regress(X, y):
        return LinearRegression(fit_intercept=False).fit(X=X, y=y).coef_

    def score(X, W):
        R = X - X @ W
        return 0.5 / n * (R**2).sum(), -1.0 / n * X.T @ R

    wide, small = topo_sizes(d)
    order = np.random.default_rng(0).permutation(d).tolist()
    model = Topo_linear.TOPO_linear(regress=regress, score=score)
    with contextlib.redirect_stdout(io.StringIO()):
        return model.fit(
            X=X, topo=order, no_large_search=max(d // 10, 1), size_small=small, size_large=wide
        )[0]


def dagma(X):
    from dagma.linear import DagmaLinear

    W = DagmaLinear(loss_type="l2").fit(X.copy(), w_threshold=0.0)
    np.fill_diagonal(W, 0.0)  # loops of weight 1e-5 are left
    return W


def notears(X):
    from castle.algorithms import Notears

    m = Notears()
    return m.notears_linear(X, m.lambda1, m.loss_type, m.max_iter, m.h_tol, m.rho_max)


def castle(X):
    from castle.algorithms import Notears

    model = Notears()
    model.learn(X)
    return np.asarray(model.weight_causal_matrix, float)


def peer_boss(X):
    """The graph that its search ends with, caught where it is made a class of graphs."""
    from causallearn.search.PermutationBased import BOSS

    caught, to_class = [], BOSS.dag2cpdag

    def catch(graph):
        caught.append(graph.graph.copy())
        return to_class(graph)

    BOSS.dag2cpdag = catch
    random.seed(0)
    # Its score is -n/2 log v - lambda_value k log n: 0.5 is our penalty (causal-learn 0.1.4).
    BOSS.boss(X, parameters={"lambda_value": 0.5}, verbose=False)
    return (caught[0] == -1).astype(float)  # i -> j where entry (i, j) is -1


PEERS = {"plain": plain_topo, "authors": authors, "dagma": dagma, "notears": notears}
PEERS |= {"castle": castle, "boss": peer_boss}
MODULES = {
    "authors": "Topo_utils",
    "dagma": "dagma.linear",
    "notears": "castle.algorithms",
    "castle": "castle.algorithms",
    "boss": "causallearn.search.PermutationBased.BOSS",
}
OURS = {
    "ls": {},
    "topo": {"method": "topo"},
    "bic": {"score": "bic", "method": "boss", "random_state": 0},
    "bic1": {"score": "bic", "method": "boss", "options": {"restarts": 0}, "random_state": 0},
}
BY_BIC = ("bic", "bic1", "boss")


class Row(NamedTuple):
    """What is measured of one method on one data set."""

    seconds: float
    loss: float = np.nan
    edges: int = 0
    shd: int = 0
    class_shd: int = 0
    bic: float = np.nan  # less that of the truth
    kkt: float = np.nan
    W: np.ndarray | None = None  # None if it did not end


def ours(X, name):
    """Least CPU time of three runs (of one, if it is long), and the result."""
    least = np.inf
    for _ in range(3):
        start = time.process_time()
        result = numopt.learn_dag(X, **OURS[name])
        least = min(least, time.process_time() - start)
        if least > 1:
            break
    return result, least


def apart(function, X, limit):
    """Result and CPU seconds of a function in a process of its own; None if it takes too long."""

    def work(pipe):
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit))
        start = time.process_time()
        W = function(X)
        pipe.send((W, time.process_time() - start))

    context = multiprocessing.get_context("fork")
    out, into = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(into,))
    process.start()
    into.close()
    try:
        found = out.recv()
    except EOFError:
        found = None, float(limit)
    process.join()
    if found[0] is None and process.exitcode > 0:
        raise RuntimeError(f"{function.__name__} failed")
    return found


def remembered(name, X, tag, args):
    """Graph and CPU seconds of a peer: as kept from an earlier run, if they are."""
    path = args.keep and Path(args.keep) / f"{name}_{tag}.npz"
    if path and path.exists():
        kept = np.load(path)
        W, seconds = kept["W"], float(kept["seconds"])
        if W.size or seconds >= args.limit:
            return W if W.size else None, seconds
    W, seconds = apart(PEERS[name], X, args.limit)
    if path:
        path.parent.mkdir(parents=True, exist_ok=True)
        np.savez_compressed(path, W=np.zeros(0) if W is None else W, seconds=seconds)
    return W, seconds


def judge(name, X, truth, W, seconds, kkt=np.nan, graph=None):
    ls, bic = DagScore(X), DagScore(X, score="bic")
    order = order_of(ls, W)  # of its heaviest edges, should it have cycles
    A = np.abs(W if graph is None else graph) > (0 if name in BY_BIC else 0.3)
    A &= np.argsort(order)[:, None] < np.argsort(order)
    excess = [bic.objective(fit_parents(bic, E)) for E in (A, truth != 0)]
    loss = ls.objective(regressions(ls, order))
    far = hamming_distance(A, truth), hamming_distance(cpdag(A), cpdag(truth != 0))
    return Row(seconds, loss, int(A.sum()), *far, excess[0] - excess[1], kkt, W)


def show(setting, seed, name, row):
    print(f"{setting} {seed:4d} {name:18s}", end=" ")
    if row.W is None:
        print(f"{'> ' + format(row.seconds, '.0f'):>9s}", flush=True)
        return
    print(
        f"{row.seconds:9.4g} {row.loss:11.5f} {row.edges:5d} {row.shd:5d} {row.class_shd:6d} "
        f"{row.bic:9.2f} {row.kkt:8.1e}",
        flush=True,
    )


def compare(setting, rows):
    """Lines that tell how each peer did beside ours: one for each score it answers."""
    for peer in PEERS:
        for mine in ("bic", "bic1") if peer == "boss" else ("ls",):
            pairs = [
                (rows[peer, s], rows[mine, s]) for n, s in rows if n == peer and (mine, s) in rows
            ]
            if not pairs:
                continue
            faster = np.array([a.seconds / b.seconds for a, b in pairs])
            ended = [(a, b) for a, b in pairs if a.W is not None]
            line = f"# {setting} {peer} / {mine}: {np.median(faster):.4g} x the time "
            line += f"(least {faster.min():.4g}), {len(ended)} of {len(pairs)} ended"
            if ended:
                if peer == "boss":
                    lead = np.array([b.bic - a.bic for a, b in ended])
                    worse = sum(b.class_shd > a.class_shd for a, b in ended)
                else:
                    lead = np.array([(b.loss - a.loss) / a.loss for a, b in ended])
                    worse = sum(b.shd > a.shd for a, b in ended)
                higher = int((lead > (1e-6 if peer == "boss" else 1e-9)).sum())
                line += f"; our score higher on {higher}, SHD on {worse}; lead {lead.max():.2g}"
            print(line, flush=True)


def measure(d, edges, kind, args):
    setting = f"{d:5d} ER{edges} {kind:3s}"
    rows = {}
    late = set()
    for seed in range(args.first, args.first + args.seeds):
        X, truth = simulate(d, seed, edges)
        if kind == "std":
            X = X / X.std(0)
        X -= X.mean(0)
        for name in args.rows:
            if name in late:
                continue
            if name in OURS:
                result, seconds = ours(X, name)
                found = result.W, seconds, result.kkt, result.adjacency
                rows[name, seed] = judge(name, X, truth, *found)
            else:
                W, seconds = remembered(name, X, f"{d}_{edges}_{kind}_{seed}", args)
                rows[name, seed] = Row(seconds) if W is None else judge(name, X, truth, W, seconds)
            show(setting, seed, name, rows[name, seed])
            if name in PEERS and W is None:
                late.add(name)
            elif name in PEERS and args.then_topo:
                start = time.process_time()
                after = numopt.learn_dag(X, method="topo", x0=W)
                seconds = time.process_time() - start
                found = after.W, seconds, after.kkt, after.adjacency
                row = judge(name + "+", X, truth, *found)
                show(setting, seed, name + ", then topo", row)
                if row.loss > rows[name, seed].loss * (1 + 1e-9):
                    raise RuntimeError("the loss rose")
    compare(setting, rows)


def large():
    X, _ = simulate(1000, 0, n=20_000)
    problem = DagScore(X)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.process_time()
    result = numopt.solve(problem, OrderInsertion())
    seconds = time.process_time() - start
    more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f" 1000 raw  {seconds:.1f} CPU s, {more:.0f} MB more, {result.certificate}")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="*", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, default=1, help="how many")
    parser.add_argument("--first", type=int, default=0, help="the first of them")
    parser.add_argument("--edges", type=int, nargs="+", default=[4], help="edges per node")
    parser.add_argument("--kinds", nargs="+", default=["raw", "std"], choices=["raw", "std"])
    names = [*OURS, *PEERS]
    parser.add_argument("--rows", nargs="+", default=[*OURS, "plain"], choices=names)
    parser.add_argument("--then-topo", action="store_true", help="add the rows 'X, then topo'")
    parser.add_argument("--limit", type=int, default=1200, help="CPU seconds for each peer's run")
    parser.add_argument("--keep", help="folder for the peers' graphs, which are not found twice")
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    logging.disable()
    for name in set(args.rows) & set(MODULES):
        if importlib.util.find_spec(MODULES[name].partition(".")[0]) is None:
            args.rows.remove(name)
        else:
            importlib.import_module(MODULES[name])  # not to be timed
    X = simulate(8, 0)[0]
    for name in OURS:
        numopt.learn_dag(X, **OURS[name])
    print(
        f"    d ER  data seed {'method':18} {'CPU s':>9} {'loss':>11} edges   SHD  cpSHD", end=" "
    )
    print("BIC-truth      kkt")
    for d in args.sizes:
        for edges in args.edges:
            for kind in args.kinds:
                measure(d, edges, kind, args)
    if args.large:
        large()


if __name__ == "__main__":
    main()
