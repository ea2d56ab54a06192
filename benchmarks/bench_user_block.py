"""What a user's own penalty costs: generic coordinate descent beside a kernel written by hand."""

from time import process_time

import numba
import numpy as np

import numopt
from numopt.core.generic import prox_1d
from numopt.core.jit import kernel
from numopt.core.matrices import col_axpy, col_dot

REPEATS = 15


@numopt.block
class Firm:
    """Firm thresholding (Gao and Bruce 1997), as a user would write it."""

    alpha: float
    gamma: float = 3.0

    def value_1d(self, x, j):
        size = min(abs(x), self.gamma * self.alpha)
        return self.alpha * size - size * size / (2 * self.gamma)

    def prox_1d(self, x, step, j):
        if abs(x) <= step * self.alpha:
            return 0.0
        if abs(x) > self.gamma * self.alpha:
            return x
        return np.sign(x) * (abs(x) - step * self.alpha) / (1 - step / self.gamma)


@kernel
def sweep_generic(penalty, X, curvature, w, r, sweeps):
    """Cyclic descent for |r|^2 / 2n + penalty, by the generic functions."""
    for _ in range(sweeps):
        for j in range(w.size):
            step = 1 / curvature[j]
            old = w[j]
            new = prox_1d(penalty, old + step * col_dot(X, j, r) / r.size, step, j)
            if new != old:
                col_axpy(X, j, old - new, r)
                w[j] = new


@numba.njit(fastmath={"reassoc", "contract"}, error_model="numpy")
def _dot(column, r):
    total = 0.0
    for i in range(r.size):
        total += column[i] * r[i]
    return total


@numba.njit(error_model="numpy")
def sweep_by_hand(alpha, gamma, X, curvature, w, r, sweeps):
    """The same for this one penalty and dense X."""
    for _ in range(sweeps):
        for j in range(w.size):
            step = 1 / curvature[j]
            old = w[j]
            v = old + step * _dot(X[:, j], r) / r.size
            if abs(v) <= step * alpha:
                new = 0.0
            elif abs(v) > gamma * alpha:
                new = v
            else:
                new = np.sign(v) * (abs(v) - step * alpha) / (1 - step / gamma)
            if new != old:
                for i in range(r.size):
                    r[i] += (old - new) * X[i, j]
                w[j] = new


class UserPenalty:
    """Ratio of the times of 20 sweeps on the same data; the iterates are the same."""

    params = [[(200, 100), (2000, 500)]]
    param_names = ["n x p"]
    timeout = 300

    def setup(self, shape):
        n, p = shape
        rng = np.random.default_rng(0)
        self.X = np.asfortranarray(rng.standard_normal((n, p)))
        self.y = self.X[:, :5].sum(axis=1) + rng.standard_normal(n)
        self.curvature = (self.X**2).mean(axis=0)
        self.penalty = Firm(0.05, 3.0)
        self.run_generic()
        self.run_by_hand()

    def run_generic(self):
        w, r = np.zeros(self.X.shape[1]), self.y.copy()
        sweep_generic(self.penalty.spec(), self.X, self.curvature, w, r, 20)
        return w

    def run_by_hand(self):
        w, r = np.zeros(self.X.shape[1]), self.y.copy()
        sweep_by_hand(0.05, 3.0, self.X, self.curvature, w, r, 20)
        return w

    def track_ratio(self, shape):
        """CPU time of the generic kernel over that of the one by hand, alternating."""
        best = [np.inf, np.inf]
        for _ in range(REPEATS):
            for k, run in enumerate((self.run_generic, self.run_by_hand)):
                start = process_time()
                for _ in range(max(1, 2_000_000 // self.X.size)):
                    run()
                best[k] = min(best[k], process_time() - start)
        return best[0] / best[1]

    def track_difference(self, shape):
        """Largest difference of the iterates."""
        return float(np.max(np.abs(self.run_generic() - self.run_by_hand())))
