"""What `FrankWolfe` asks of f: values, gradients, and quadratic models over the atoms."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.problems.composite import _times as times
from numopt.sets._base import HostSet
from numopt.solvers._parts.frank_wolfe_atoms import Atoms

MEMORY = 12  # pairs of steps and gradient differences
MOST_CURVED = 600  # atoms up to which second derivatives are worth their products


class Prediction:
    """f(A x) of a `SetConstrained`, at x and z = A x; atoms have images A v."""

    is_function = False

    def __init__(self, problem: Any):
        self.problem, self.domain = problem, problem.domain
        self.dtype, self.convex, self.quadratic = problem.dtype, problem.convex, problem.quadratic
        self.A, self.loss, self.n = problem.A, problem.loss, problem.A.shape[0]
        self.columns = None if sp.issparse(self.A) else np.asarray(self.A).T

    def atoms(self, corrective: bool) -> Atoms:
        """An empty store."""
        return Atoms(self.problem.size, self.dtype, self.n, corrective and self.quadratic)

    def image(self, v: np.ndarray) -> np.ndarray:
        """A v."""
        chosen = np.flatnonzero(v)
        if 8 * chosen.size < v.size:
            if self.columns is not None:
                return np.asarray(v[chosen] @ self.columns[chosen])
            if chosen.size == 1:
                out, j = np.zeros(self.n, self.dtype), int(chosen[0])
                part = slice(self.A.indptr[j], self.A.indptr[j + 1])
                out[self.A.indices[part]] = v[j] * self.A.data[part]
                return out
        return np.asarray(self.A @ v, self.dtype)

    def weighted(self, v: np.ndarray, image: np.ndarray) -> np.ndarray:
        """H A v for the row of the Gram matrix."""
        return np.asarray(self.loss.hessian_times(np.zeros(self.n), image[:, None])[:, 0])

    def evaluate(self, state: Any) -> None:
        """Value and gradient of the loss at the trial."""
        state.trial_f, state.trial_r = self.loss.value_and_gradient(state.trial_z)

    def begin(self, state: Any) -> None:
        """Prediction, value and gradient at x."""
        state.z = np.asarray(times(self.A, state.x), self.dtype)
        state.f, state.r = self.loss.value_and_gradient(state.z)

    def gradient(self, state: Any) -> np.ndarray:
        """A'r."""
        r = np.asarray(state.r, self.dtype)
        return np.asarray(self.columns @ r if self.columns is not None else self.A.T @ r)

    def slopes(self, state: Any) -> np.ndarray:
        """Slopes of all atoms, by their images."""
        atoms = state.atoms
        return np.asarray(atoms.images[: atoms.count] @ np.asarray(state.r, self.dtype), np.float64)

    def trial_slope(self, state: Any) -> float:
        """Derivative along the direction at the trial."""
        return float(state.trial_r @ state.dz)

    def curvature(self, state: Any) -> float:
        """d'H d at z."""
        dz = state.dz
        return float(dz @ self.loss.hessian_times(state.z, dz[:, None])[:, 0])

    def exact_step(self, state: Any) -> float:
        """Minimiser along the direction, by Newton's method within a bracket."""
        z, dz, reach = state.z, state.dz, state.reach
        bend = self.curvature(state)
        step = min(reach, state.slope / bend) if bend > 0 else reach
        if self.quadratic:
            return step
        low, high = 0.0, reach
        for _ in range(30):
            at = z + self.dtype.type(step) * dz
            slope = float(self.loss.value_and_gradient(at)[1] @ dz)
            if slope <= 0:
                low = step
                if step == reach:
                    break
            else:
                high = step
            if abs(slope) <= 1e-6 * state.slope:
                break
            bend = float(dz @ self.loss.hessian_times(at, dz[:, None])[:, 0])
            following = step - slope / bend if bend > 0 else np.inf
            step = following if low < following < high else 0.5 * (low + high)
            if high == reach and not following < reach:
                step = reach
        return step

    def remember(self, state: Any, d: np.ndarray, before: np.ndarray) -> None:
        """Nothing: second derivatives are known."""

    def model(self, state: Any) -> np.ndarray | None:
        """V'H V at z, k x k."""
        atoms = state.atoms
        if self.quadratic:
            return atoms.gram[: atoms.count, : atoms.count]
        if atoms.count > MOST_CURVED:
            return None
        M = np.asarray(atoms.images[: atoms.count], np.float64)
        return np.asarray(M @ self.loss.hessian_times(state.z, M.T))


class Function:
    """f(x) of a `SmoothComposite` over a set; atoms are their own images."""

    is_function = True
    quadratic = False

    def __init__(self, problem: Any):
        self.problem, self.domain = problem, problem.penalty
        self.dtype, self.convex = np.dtype(np.float64), problem.convex
        self.steps: list[np.ndarray] = []  # latest steps s
        self.changes: list[np.ndarray] = []  # gradient differences y

    def atoms(self, corrective: bool, size: int = 0) -> Atoms:
        """An empty store."""
        return Atoms(size, self.dtype, 0, corrective)

    def image(self, v: np.ndarray) -> None:
        """None kept."""

    def weighted(self, v: np.ndarray, image: Any) -> np.ndarray:
        """The vertex itself: the Gram matrix is V'V."""
        return v

    def evaluate(self, state: Any) -> None:
        """Value at the trial."""
        state.trial_f = self.problem.value(state.trial_x)

    def begin(self, state: Any) -> None:
        """Value at x."""
        state.f = self.problem.value(state.x)

    def gradient(self, state: Any) -> np.ndarray:
        """The gradient at x, where the value is known."""
        out = np.empty(state.x.size)
        state.f = self.problem.evaluate_into(state.x, out)
        return out

    def slopes(self, state: Any) -> np.ndarray:
        """Slopes of all atoms."""
        return np.asarray(state.atoms.slopes(state.g))

    def trial_slope(self, state: Any) -> float:
        """Derivative along the direction at the trial; a gradient, which the next point needs."""
        out = np.empty(state.x.size)
        self.problem.evaluate_into(state.trial_x, out)
        return float(out @ state.d)

    def remember(self, state: Any, d: np.ndarray, before: np.ndarray) -> None:
        """Keep a pair that shows positive curvature."""
        y = state.g - before
        size = float(d @ y)
        if size > 1e-10 * float(np.linalg.norm(d) * np.linalg.norm(y)):
            self.steps.append(d)
            self.changes.append(y)
            del self.steps[:-MEMORY], self.changes[:-MEMORY]

    def model(self, state: Any) -> np.ndarray | None:
        """V'B V with the limited-memory BFGS matrix B of the latest pairs."""
        if not self.steps:
            return None
        atoms, S, Y = state.atoms, np.stack(self.steps), np.stack(self.changes)
        sy = S @ Y.T
        sigma = float(Y[-1] @ Y[-1] / sy[-1, -1])
        lower = np.tril(sy, -1)
        middle = np.block([[sigma * S @ S.T, lower], [lower.T, -np.diag(np.diag(sy))]])
        W = np.hstack([sigma * atoms.products(S), atoms.products(Y)])
        try:
            inner = np.linalg.solve(middle, W.T)
        except np.linalg.LinAlgError:
            self.steps.clear()
            self.changes.clear()
            return None
        Q = sigma * atoms.gram[: atoms.count, : atoms.count] - W @ inner
        return np.asarray((Q + Q.T) / 2)


def start(domain: Any, given: Any, size: int, dtype: Any) -> np.ndarray:
    """A point of the set: x0 projected, or itself if inside, or a vertex in its direction."""
    if given is None:
        return np.array(domain.lmo(np.zeros(size, dtype)), dtype)
    rounding = float(np.finfo(dtype).eps) * max(1.0, float(np.abs(given).max(initial=0.0)))
    # Sets of Python methods tell that they hold a point to the accuracy of their own algorithms.
    if domain.contains(given, (1e5 if isinstance(domain, HostSet) else 16) * rounding):
        return np.array(given, dtype)
    if domain.has_projection:
        return np.array(domain.project(given), dtype)
    return np.array(domain.lmo(-given), dtype)
