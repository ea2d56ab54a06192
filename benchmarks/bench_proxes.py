"""Proxes: total variation and SLOPE beside sorting and peers, scalar ones by the number.

Times are the least of several runs by the clock of the process, so that other work on the machine
hardly counts. Peers (skglm, copt, prox_tv) join where they are installed. As a program, prints a
table.
"""

import importlib
from time import process_time_ns

import numpy as np

from numopt import penalties

N = 1_000_000


def nanoseconds(job, repeats=5):
    """Best of several runs, after one to warm up."""
    job()
    best = np.inf
    for _ in range(repeats):
        start = process_time_ns()
        job()
        best = min(best, process_time_ns() - start)
    return float(best)


def sequences(n=N):
    """What total variation is asked to smooth."""
    rng = np.random.default_rng(0)
    noise = rng.standard_normal(n)
    return {
        "noise": noise,
        "steps": np.repeat(3 * rng.standard_normal(n // 1000), 1000) + 0.5 * noise,
        "ramp": np.linspace(0, 100, n),
        "noisy ramp": np.linspace(0, 1000, n) + noise,
        "walk": np.cumsum(noise),
    }


def slope_cases(n=N):
    """Vectors and sequences: all survive, few survive, many ties."""
    rng = np.random.default_rng(0)
    v = rng.standard_normal(n)
    return {
        "all survive": (v, 1e-3 * np.linspace(2, 1, n)),
        "half survives": (v, np.linspace(1.0, 0.5, n)),
        "few survive": (v, np.linspace(5.0, 2.0, n)),
        "ties": (np.round(3 * v), 0.1 * np.linspace(2, 0, n)),
    }


SCALAR = {
    "L1": penalties.L1(0.7),
    "ElasticNet": penalties.ElasticNet(0.7),
    "MCP": penalties.MCP(0.7),
    "SCAD": penalties.SCAD(0.7),
    "LogSum": penalties.LogSum(0.7),
    "CappedL1": penalties.CappedL1(0.7),
    "L0": penalties.L0(0.7),
    "LHalf": penalties.LHalf(0.7),
    "LTwoThirds": penalties.LTwoThirds(0.7),
    "Huber": penalties.Huber(0.7),
}


def peer_total_variation():
    """Name -> function of (v, strength)."""
    found = {}
    try:
        utils = importlib.import_module("copt.tv_prox")
        found["copt"] = lambda v, strength: utils.prox_tv1d(v, strength)
    except ImportError:
        pass
    try:
        prox_tv = importlib.import_module("prox_tv")
        found["prox_tv"] = prox_tv.tv1_1d
    except ImportError:
        pass
    return found


def peer_slope():
    """Name -> function of (v, lambdas)."""
    try:
        utils = importlib.import_module("skglm.utils.prox_funcs")
    except ImportError:
        return {}

    def skglm(v, lambdas):
        size = np.abs(v)
        order = np.argsort(size)[::-1]
        out = np.empty_like(v)
        out[order] = utils.prox_SLOPE(size[order], lambdas)
        return np.sign(v) * out

    return {"skglm": skglm}


class TotalVariation:
    """Nanoseconds a point of the prox, a million points."""

    params = (list(sequences(1000)), [0.1, 1.0, 10.0])
    param_names = ("data", "alpha")

    def setup(self, data, alpha):
        self.v, self.penalty = sequences()[data], penalties.TotalVariation1D(alpha)

    def track_nanoseconds_a_point(self, data, alpha):
        return nanoseconds(lambda: self.penalty.prox(self.v)) / N


class Slope:
    """The prox in units of `np.argsort` of the magnitudes."""

    params = (list(slope_cases(1000)), [1000, 100_000, N])
    param_names = ("data", "n")

    def setup(self, data, n):
        self.v, lambdas = slope_cases(n)[data]
        self.penalty, self.size = penalties.SLOPE(1.0, lambdas), np.abs(self.v)

    def track_ratio_to_argsort(self, data, n):
        sort = nanoseconds(lambda: np.argsort(self.size))
        return nanoseconds(lambda: self.penalty.prox(self.v)) / sort


class Scalar:
    """Nanoseconds a number of the scalar proxes, a million normal numbers."""

    params = list(SCALAR)
    param_names = ("penalty",)

    def setup(self, penalty):
        self.v = np.random.default_rng(0).standard_normal(N)

    def track_nanoseconds_a_number(self, penalty):
        return nanoseconds(lambda: SCALAR[penalty].prox(self.v)) / N


class FewTriplets:
    """The nuclear prox of a matrix of rank 10 plus noise, in units of a full decomposition."""

    params = [300, 1000]
    param_names = ("n",)

    def setup(self, n):
        rng = np.random.default_rng(0)
        low = rng.standard_normal((n, 10)) @ rng.standard_normal((10, n))
        self.X = low + 0.1 * rng.standard_normal((n, n))
        self.penalty = penalties.Nuclear(0.3 * n**0.5, (n, n))

    def track_ratio_to_svd(self, n):
        full = nanoseconds(lambda: np.linalg.svd(self.X, full_matrices=False), 2)
        return nanoseconds(lambda: self.penalty.prox(self.X.ravel()), 3) / full


def main():
    """Print a table."""
    peers = peer_total_variation()
    for data, v in sequences().items():
        for alpha in (0.1, 1.0, 10.0):
            penalty = penalties.TotalVariation1D(alpha)
            ours = nanoseconds(lambda: penalty.prox(v)) / N  # noqa: B023
            theirs = {
                name: round(nanoseconds(lambda: peer(v.copy(), alpha), 1) / N, 1)  # noqa: B023
                for name, peer in peers.items()
            }
            print(f"TotalVariation1D {data:12} {alpha:5}: {ours:5.1f} ns a point", theirs or "")
    peers = peer_slope()
    for n in (1000, 100_000, N):
        for data, (v, lambdas) in slope_cases(n).items():
            penalty, size = penalties.SLOPE(1.0, lambdas), np.abs(v)
            sort = nanoseconds(lambda: np.argsort(size))  # noqa: B023
            ours = nanoseconds(lambda: penalty.prox(v)) / sort  # noqa: B023
            theirs = {
                name: round(nanoseconds(lambda: peer(v, lambdas), 1) / sort, 2)  # noqa: B023
                for name, peer in peers.items()
            }
            print(f"SLOPE {data:14} {n:8}: {ours:5.2f} np.argsort", theirs or "")
    v = np.random.default_rng(0).standard_normal(N)
    copy = nanoseconds(v.copy) / N
    print(f"a copy: {copy:.1f} ns a number")
    for name, penalty in SCALAR.items():
        print(f"{name:12} {nanoseconds(lambda: penalty.prox(v)) / N:5.1f} ns a number")  # noqa: B023
    for n in FewTriplets.params:
        case = FewTriplets()
        case.setup(n)
        print(f"Nuclear of rank 10, {n} x {n}: {case.track_ratio_to_svd(n):.2f} decompositions")


if __name__ == "__main__":
    main()
