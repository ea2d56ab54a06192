"""Selection, projections, isotonic regression, dense updates beside a pass over memory and peers.

Times are the least of many runs by the clock of the thread, so that other work on the machine
hardly counts. A pass is `np.sum` of the same array; "cold" goes through arrays that together do
not fit into the caches, as a pass over fresh data would.
"""

from time import thread_time_ns

import numpy as np
import scipy.linalg as la
from scipy.optimize import isotonic_regression as scipy_isotonic

from numopt.core.jit import kernel
from numopt.linalg.cholesky_updates import (
    cholesky_append,
    cholesky_delete,
    cholesky_downdate,
    cholesky_swap,
    cholesky_update,
)
from numopt.linalg.isotonic import isotonic_into
from numopt.linalg.medians import weighted_quantile
from numopt.linalg.projections import knapsack_into, l1_ball_into, simplex_into
from numopt.linalg.qr_updates import qr_append, qr_delete
from numopt.linalg.selection import select, top_k_into

N = 1_000_000
REPEATS = 30


def nanoseconds(job, repeats=REPEATS, prepare=lambda: None):
    """Best of several runs, after one to warm up."""
    best = np.inf
    for run in range(repeats + 1):
        prepare()
        start = thread_time_ns()
        job()
        if run:
            best = min(best, thread_time_ns() - start)
    return float(best)


def cold_nanoseconds(job, arrays):
    """Median over arrays too many for the caches; the first round warms up."""
    times = []
    for run in range(4):
        for x in arrays:
            start = thread_time_ns()
            job(x)
            if run:
                times.append(thread_time_ns() - start)
    return float(np.median(times))


@kernel
def condat_into(v, radius, out, kept, put_off):
    """Condat's scan (2016), with its two lists in scratch: the peer for the simplex."""
    kept[0], size, waiting = v[0], 1, 0
    pivot = v[0] - radius
    for i in range(1, v.size):
        y = v[i]
        if y > pivot:
            pivot += (y - pivot) / (size + 1)
            if pivot > y - radius:
                kept[size] = y
                size += 1
            else:
                for k in range(size):
                    put_off[waiting + k] = kept[k]
                waiting += size
                kept[0], size, pivot = y, 1, y - radius
    for k in range(waiting):
        if put_off[k] > pivot:
            kept[size] = put_off[k]
            size += 1
            pivot += (put_off[k] - pivot) / size
    before = size + 1
    while size < before:
        before, count, size = size, size, 0
        for k in range(before):
            if kept[k] > pivot:
                kept[size] = kept[k]
                size += 1
            else:
                count -= 1
                pivot += (pivot - kept[k]) / count
    for i in range(v.size):
        out[i] = max(v[i] - pivot, 0.0)


class Selection:
    """Median, weighted median and top-k of a million entries."""

    params = ([False, True],)
    param_names = ("cold",)

    def setup(self, cold):
        rng = np.random.default_rng(0)
        self.arrays = [rng.standard_normal(N) for _ in range(16 if cold else 1)]
        self.weights = rng.random(N)
        self.scratch = np.empty(N), np.empty(N)
        self.candidates = np.empty(N, np.intp)

    def _time(self, job, cold):
        if cold:
            return cold_nanoseconds(job, self.arrays)
        return nanoseconds(lambda: job(self.arrays[0]))

    def _passes(self, job, cold):
        return self._time(job, cold) / self._time(np.sum, cold)

    def track_median_in_passes(self, cold):
        return self._passes(lambda x: select(x, N // 2, False, self.scratch[0]), cold)

    def track_last_percentile_in_passes(self, cold):
        return self._passes(lambda x: select(x, N - N // 100, True, self.scratch[0]), cold)

    def track_weighted_median_in_passes(self, cold):
        """Of its two arrays."""
        median = self._time(lambda x: weighted_quantile(x, self.weights, 0.5, *self.scratch), cold)
        return median / self._time(lambda x: (x.sum(), self.weights.sum()), cold)

    def _top(self, k, cold):
        indices = np.empty(k, np.intp)
        job = lambda x: top_k_into(x, indices, self.candidates, self.scratch[0])  # noqa: E731
        return self._passes(job, cold)

    def track_top_10_in_passes(self, cold):
        return self._top(10, cold)

    def track_top_1000_in_passes(self, cold):
        return self._top(1000, cold)

    def track_top_hundredth_in_passes(self, cold):
        return self._top(N // 100, cold)

    def track_top_tenth_in_passes(self, cold):
        return self._top(N // 10, cold)

    def track_numpy_partition_in_passes(self, cold):
        return self._passes(lambda x: np.partition(x, N // 2), cold)

    def track_numpy_argpartition_1000_in_passes(self, cold):
        return self._passes(lambda x: np.argpartition(np.abs(x), -1000), cold)


class ThresholdProjections:
    """A million coordinates; the radius decides how many stay positive."""

    params = ([1.0, 1e3, 1e5, 1e6],)
    param_names = ("radius",)

    def setup(self, radius):
        rng = np.random.default_rng(0)
        self.v, self.out = rng.standard_normal(N), np.empty(N)
        self.w = rng.uniform(0.5, 2, N)
        self.lists = np.empty(N), np.empty(N)
        self.sort = nanoseconds(lambda: np.sort(self.v), 3)

    def _speedup(self, job):
        return self.sort / nanoseconds(job, 10)

    def track_simplex_times_faster_than_sort(self, radius):
        return self._speedup(lambda: simplex_into(self.v, 1.0, radius, self.out))

    def track_weighted_simplex_times_faster_than_sort(self, radius):
        return self._speedup(lambda: simplex_into(self.v, self.w, radius, self.out))

    def track_l1_ball_times_faster_than_sort(self, radius):
        return self._speedup(lambda: l1_ball_into(self.v, 1.0, radius, self.out))

    def track_condat_times_faster_than_sort(self, radius):
        return self._speedup(lambda: condat_into(self.v, radius, self.out, *self.lists))

    def track_knapsack_times_faster_than_sort(self, radius):
        """Bounds 0 and 1, sum `radius`."""
        if radius >= N:
            return np.nan
        return self._speedup(lambda: knapsack_into(self.v, 1.0, 0.0, 1.0, radius, self.out))


class Isotonic:
    """A million entries, beside SciPy."""

    params = (["noise", "trend", "sorted", "reversed"],)
    param_names = ("data",)

    def setup(self, data):
        noise = np.random.default_rng(0).standard_normal(N)
        self.y = {
            "noise": noise,
            "trend": np.linspace(0, 10, N) + noise,
            "sorted": np.sort(noise),
            "reversed": -np.sort(noise),
        }[data]
        self.scratch = np.empty((2, N)), np.empty(N, np.intp)
        self.out = np.empty(N)

    def track_time_to_scipy(self, data):
        ours = nanoseconds(lambda: isotonic_into(self.y, 1.0, True, self.out, *self.scratch), 5)
        return ours / nanoseconds(lambda: scipy_isotonic(self.y), 5)


class DenseUpdates:
    """Changes of factors, beside SciPy."""

    params = ([50, 200, 1000],)
    param_names = ("n",)

    def setup(self, n):
        rng = np.random.default_rng(0)
        X = rng.standard_normal((n + 1, n + 50))
        self.A = X @ X.T
        self.kept = np.zeros((n + 1, n + 1), order="F")
        self.kept[:n, :n] = np.linalg.cholesky(self.A[:n, :n])
        self.L = self.kept.copy(order="F")
        self.x, self.work = rng.standard_normal(n), np.empty(n)
        self.tall = np.asfortranarray(rng.standard_normal((2 * n, n + 1)))
        q, r = la.qr(self.tall[:, :n], mode="economic")
        self.Q, self.R = np.empty((2 * n, n + 1), order="F"), np.zeros((n + 1, n + 1), order="F")
        self.Q[:, :n], self.R[:n, :n] = q, r

    def _microseconds(self, job):
        return 1e-3 * nanoseconds(job, 10, lambda: np.copyto(self.L, self.kept))

    def track_append_us(self, n):
        column = self.A[:, n].copy()
        return self._microseconds(lambda: cholesky_append(self.L, n, column.copy(), 0.0))

    def track_delete_us(self, n):
        return self._microseconds(lambda: cholesky_delete(self.L, n, n // 2, self.work))

    def track_update_us(self, n):
        return self._microseconds(lambda: cholesky_update(self.L, n, self.x.copy()))

    def track_downdate_us(self, n):
        return self._microseconds(
            lambda: cholesky_downdate(self.L, n, 0.01 * self.x, self.work, 0.0)
        )

    def track_swap_us(self, n):
        return self._microseconds(lambda: cholesky_swap(self.L, n, n // 2))

    def track_scipy_cholesky_us(self, n):
        return self._microseconds(lambda: la.cholesky(self.A, lower=True, check_finite=False))

    def track_qr_append_us(self, n):
        column = self.tall[:, n]
        return self._microseconds(
            lambda: qr_append(self.Q, self.R, n, column.copy(), self.work, 0.0)
        )

    def track_qr_delete_us(self, n):
        none = np.empty(0)
        return self._microseconds(lambda: qr_delete(self.Q, self.R, n, n // 2, none))

    def track_scipy_qr_insert_us(self, n):
        Q, R = np.ascontiguousarray(self.Q[:, :n]), self.R[:n, :n]
        return self._microseconds(lambda: la.qr_insert(Q, R, self.tall[:, n], n, which="col"))
