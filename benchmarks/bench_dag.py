"""Graphs: orders by least squares, BIC exact and by order search, beside the plain TOPO method."""

from __future__ import annotations

from pathlib import Path
from time import process_time

import numpy as np

import numopt
from benchmarks.dag_table import plain_topo, simulate
from numopt.problems import DagScore
from numopt.problems._dag_graph import hamming_distance
from numopt.solvers import BOSS, ExactOrder, OrderInsertion, TopologicalSwaps

DATA = Path(__file__).parents[1] / "tests" / "data" / "dags"


class Orders:
    """Equal-variance data, raw: to insertion and swap optimality, certified."""

    params = ([20, 50, 100, 200],)
    param_names = ("d",)

    def setup(self, d):
        X, self.truth = simulate(d, 0)
        self.problem = DagScore(X)
        numopt.solve(self.problem, OrderInsertion())

    def time_insertion(self, d):
        numopt.solve(self.problem, OrderInsertion())

    def time_topo(self, d):
        numopt.solve(self.problem, TopologicalSwaps())

    def track_moves_gate(self, d):
        return float(numopt.solve(self.problem, OrderInsertion()).certificate.moves)

    def track_hamming_distance(self, d):
        x = numopt.solve(self.problem, OrderInsertion()).x
        return hamming_distance(np.abs(x) > 0.3, self.truth)


class BesidePlainTopo:
    """Time of the plain method over ours on the same data, and its loss over ours."""

    params = ([20, 50],)
    param_names = ("d",)
    timeout = 300

    def setup(self, d):
        self.X, _ = simulate(d, 0)
        self.X = self.X - self.X.mean(0)
        numopt.solve(DagScore(self.X), OrderInsertion())

    def track_speed_ratio(self, d):
        start = process_time()
        numopt.solve(DagScore(self.X), OrderInsertion())
        middle = process_time()
        plain_topo(self.X)
        return (process_time() - middle) / max(middle - start, 1e-9)

    def track_loss_ratio(self, d):
        problem = DagScore(self.X)
        return problem.objective(plain_topo(self.X)) / numopt.solve(problem, OrderInsertion()).fun


class BIC:
    """Proven optima of real data, dense graphs of standardised columns by order search."""

    def setup(self):
        wine = np.loadtxt(DATA / "wine_red.csv", delimiter=",", skiprows=1)
        self.wine = DagScore(wine, score="bic")
        X, _ = simulate(20, 0)
        self.twenty = DagScore(X / X.std(0), score="bic")
        X, _ = simulate(50, 0)
        self.fifty = DagScore(X / X.std(0), score="bic")
        numopt.solve(self.wine, ExactOrder())
        numopt.solve(self.wine, BOSS(restarts=0, random_state=0))

    def time_exact_wine(self):
        numopt.solve(self.wine, ExactOrder())

    def time_exact_20(self):
        numopt.solve(self.twenty, ExactOrder())

    def peakmem_exact_20(self):
        numopt.solve(self.twenty, ExactOrder())

    def time_boss_50(self):
        numopt.solve(self.fifty, BOSS(restarts=0, random_state=0))

    def track_boss_hits_of_wine(self):
        best = numopt.solve(self.wine, ExactOrder()).fun
        hits = 0
        for seed in range(10):
            start = np.random.default_rng(seed).permutation(12)
            found = numopt.solve(self.wine, BOSS(restarts=0, random_state=seed), x0=start)
            hits += found.fun < best + 1e-6
        return hits / 10
