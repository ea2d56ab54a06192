"""Table of methods for learning DAGs, on raw and on standardised data.

    python -m benchmarks.dag_table --sizes 20 50 --seeds 3 --peers topo dagma notears boss

Data: Erdos-Renyi graphs with 4 d edges, weights in +-[0.5, 2], 1000 rows, Gaussian noise of unit
variance; "std" are the same columns scaled to unit variance. Columns of the table: CPU seconds (one
BLAS thread, after a warm-up), least-squares loss after refitting every node to all before it in the
method's order, edges above 0.3 (for BIC: all) and the structural Hamming distance to the truth, BIC
of the graph less that of the truth, KKT residual where it is ours. "X, then topo" starts our
TopologicalSwaps from the graph of X: the loss never rises.

Peers: "topo", the paper's method as described, with one regression per changed node; "dagma" and
"notears" (package gcastle), "boss" (causal-learn), if they are installed. --large adds d = 1000.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import resource
import time
import warnings

for variable in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ.setdefault(variable, "1")

import numpy as np  # noqa: E402

import numopt  # noqa: E402
from numopt.problems import DagScore  # noqa: E402
from numopt.problems._dag_graph import cpdag, hamming_distance, topological_order  # noqa: E402
from numopt.solvers import BOSS, OrderInsertion, TopologicalSwaps  # noqa: E402
from numopt.solvers._dag import fit_parents, order_of, regressions  # noqa: E402


def simulate(d, seed, edges=4, n=1000):
    rng = np.random.default_rng(seed)
    A = np.triu(rng.random((d, d)) < min(1.0, 2 * edges / (d - 1)), 1)
    W = A * rng.uniform(0.5, 2, (d, d)) * rng.choice([-1, 1], (d, d))
    turn = rng.permutation(d)
    out = np.zeros((d, d))
    out[np.ix_(turn, turn)] = W
    return rng.standard_normal((n, d)) @ np.linalg.inv(np.eye(d) - out), out


def plain_topo(X):
    """TOPO as the paper describes it: from a random order, one regression per changed node."""
    n, d = X.shape
    order = np.random.default_rng(0).permutation(d)
    wide = int(np.sqrt(d) * (d - 1) * np.log10(d))
    small = min(int(1.5 * d), wide, d * (d - 1) // 2)
    large = max(int(1.5 * d), min(wide, d * (d - 1) // 2))

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


def dagma(X):
    from dagma.linear import DagmaLinear

    return DagmaLinear(loss_type="l2").fit(X, lambda1=0.03)


def notears(X):
    from castle.algorithms import Notears

    model = Notears(lambda1=0.03)
    model.learn(X)
    return np.asarray(model.weight_causal_matrix, float)


def peer_boss(X):
    from causallearn.search.PermutationBased.BOSS import boss

    M = boss(X, score_func="local_score_BIC", parameters={"lambda_value": 1}, verbose=False).graph
    P = (M == -1) & (M.T != 0)  # i -> j or i - j where entry (i, j) is -1
    from numopt.solvers._dag_equivalence import extension

    member = extension(P)
    return np.zeros(M.shape) if member is None else member.astype(float)


PEERS = {"topo": plain_topo, "dagma": dagma, "notears": notears, "boss": peer_boss}
MODULES = {"dagma": "dagma", "notears": "castle", "boss": "causallearn"}


def ours(X):
    """Name -> function of our methods."""
    d = X.shape[1]
    bic = BOSS(restarts=10 if d <= 50 else 0, random_state=0)
    return {
        "numopt insertion": lambda: numopt.solve(DagScore(X), OrderInsertion()),
        "numopt topo": lambda: numopt.solve(DagScore(X), TopologicalSwaps()),
        "numopt bic, one descent": lambda: numopt.solve(DagScore(X, score="bic"), BOSS(restarts=0)),
        "numopt bic": lambda: numopt.solve(DagScore(X, score="bic"), bic),
    }


def timed(function):
    start = time.process_time()
    value = function()
    return value, time.process_time() - start


def row(name, kind, X, truth, W, seconds, kkt=np.nan):
    ls, bic = DagScore(X), DagScore(X, score="bic")
    by_bic = "bic" in name or name == "boss"
    A = W != 0 if by_bic else np.abs(W) > 0.3
    if topological_order(A) is None:
        name += " (cyclic)"
        A &= np.argsort(order_of(ls, W))[:, None] < np.argsort(order_of(ls, W))
    loss = ls.objective(regressions(ls, order_of(ls, np.where(A, W, 0.0))))
    true = bic.objective(fit_parents(bic, truth != 0))
    excess = bic.objective(fit_parents(bic, A)) - true
    print(
        f"{len(truth):5d} {kind:4s} {name:24s} {seconds:10.4f} {loss:12.5f} {int(A.sum()):6d} "
        f"{hamming_distance(A, truth):5d} "
        f"{hamming_distance(cpdag(A), cpdag(truth != 0)):6d} {excess:10.2f} {kkt:9.1e}",
        flush=True,
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 50, 100])
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--peers", nargs="*", default=["topo"], choices=list(PEERS))
    parser.add_argument("--large", action="store_true")
    args = parser.parse_args()
    warnings.simplefilter("ignore")
    header = f"{'d':>5} data {'method':24} {'CPU s':>10} {'loss':>12} {'edges':>6} {'SHD':>5}"
    print(f"{header} {'cpSHD':>6} {'BIC-truth':>10} {'kkt':>9}")
    for run in ours(simulate(8, 0)[0]).values():
        run()
    for d in args.sizes:
        for seed in range(args.seeds):
            raw, truth = simulate(d, seed)
            for kind, X in (("raw", raw), ("std", raw / raw.std(0))):
                for name, run in ours(X).items():
                    result, seconds = timed(run)
                    row(name, kind, X, truth, result.x, seconds, float(result.certificate.kkt))
                for name in args.peers:
                    if name in MODULES and importlib.util.find_spec(MODULES[name]) is None:
                        continue
                    W, seconds = timed(lambda name=name, X=X: PEERS[name](X - X.mean(0)))
                    row(name, kind, X, truth, W, seconds)
                    after, seconds = timed(
                        lambda W=W, X=X: numopt.solve(DagScore(X), TopologicalSwaps(), x0=W)
                    )
                    row(f"{name}, then topo", kind, X, truth, after.x, seconds)
    if args.large:
        X, _ = simulate(1000, 0, n=20_000)
        problem = DagScore(X)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        result, seconds = timed(lambda: numopt.solve(problem, OrderInsertion()))
        more = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        print(f" 1000 raw  {seconds:.1f} CPU s, {more:.0f} MB more, {result.certificate}")


if __name__ == "__main__":
    main()
