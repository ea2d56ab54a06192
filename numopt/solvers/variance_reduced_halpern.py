"""Variance-reduced Halpern iterations for finite sums of monotone operators."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core import generic  # noqa: F401 - what compiled resolvents call
from numopt.core.engine import INDEFINITE, NEED_EVAL, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate
from numopt.core.stubs import prox_into
from numopt.core.validate import require_choice, require_positive
from numopt.linalg.vector import copy_into
from numopt.operators import _kernels
from numopt.operators._base import add_change, apply_into
from numopt.penalties.quadratic import Zero

# Rows of State.vectors. Single loop: z_k, z_{k-1}, the estimate g_k of F(z_k). Double loop: z_k,
# the inner iterate v, the snapshot w, the one before, F(w). Both: the anchor, the point that goes
# into the resolvent, the change of some components, the last point where F was evaluated, F there.
Z, OLD, G_K, V, W, W_OLD, F_W, ANCHOR, POINT, CHANGE, EXACT, F_EXACT = range(12)
# Places in State.scalars: outer iterations since the anchor was set and in all, inner ones,
# evaluations of components and of F as a whole, the steps of outer and inner iterations, the
# residual now and right after the anchor was set, whether an iteration was done in Python, whether
# the present one evaluates F as a whole, whether the snapshot has moved.
K, OUTER, INNER, COMPONENTS, FULL, STEP, INNER_STEP, RES, FIRST, PHASE, WHOLE, MOVED = range(12)
SUFFICIENT, LONG = 0.2, 0.36
# Components and random directions that an estimate of L looks at, and what it is multiplied by.
SAMPLES, DIRECTIONS, MARGIN = 32, 3, 1.5


class State(NamedTuple):
    """What an iteration needs."""

    F: Any  # compiled operator, None where components are called in Python
    G: Any  # compiled penalty or set
    vectors: np.ndarray  # see the names above
    scalars: np.ndarray
    batch: np.ndarray  # components drawn for an iteration
    seed: np.ndarray  # state of the generator of random numbers
    n: int  # number of components
    inner_factor: float  # inner iterations are this times n log(k + 2)
    restarts: bool


@dataclass(frozen=True, kw_only=True)
class VarianceReducedHalpern(Solver):
    r"""Halpern iteration with stochastic evaluations, for F the mean of n components.

    "single", for cocoercive F: with :math:`\lambda_k = 2 / (k + 4)` and the resolvent J,

    .. math::
       z_{k+1} = J_e(\lambda_k z_0 + (1 - \lambda_k) z_k - e g_k)

    where :math:`g_k = F(z_k)` with a chance that falls from 1 to :math:`4 / (\sqrt n + 5)`, and
    else :math:`g_{k-1}` plus the mean of :math:`F_i(z_k) - F_i(z_{k-1})` over :math:`\sqrt n`
    random components. "double", for monotone F: the resolvent of e (F + G) at z_k, with
    :math:`e = \sqrt n / L`, is approximated by :math:`n \log (k + 2)` steps of a variance-reduced
    forward-reflected-backward method with two components each, and :math:`z_{k+1} = z_0 / (k + 2) +
    (1 - 1 / (k + 2)) v`.

    Parameters
    ----------
    variant : {"auto", "single", "double"}
        "auto": "single" where the problem says `cocoercive`. On problems that are only monotone,
        as matrix games, "single" is a heuristic, often a fast one.
    step : float, optional
        The step e; by default 1/(4L) for "single" and sqrt(n)/L for "double", L being the
        Lipschitz constant on average, from the operator, `Components`, or an estimate. The
        authors' experiments on games take five times the inverse of the Frobenius norm.
    inner_step : float, default 0.5
        Factor c of the step of inner iterations of "double",
        :math:`c \sqrt{p (1 - p)} / (\sqrt n + 1)` with p = 1/n; the authors' experiments take 5.
    inner_factor : float, default 1.0
        Inner iterations in units of n log(k + 2); the authors' experiments take 0.05.
    restart : {"adaptive", "none"}
        "adaptive" moves the anchor where the residual has fallen to a fifth, and after long phases.
    **limits
        See `Solver`.

    Notes
    -----
    For a residual of epsilon :math:`\tilde O(n + \sqrt n L / \epsilon)` evaluations of components
    are expected, where deterministic methods take :math:`O(n L_F / \epsilon)`. Only points at
    which F was evaluated as a whole are measured and returned. The result also has
    ``full_passes``, evaluations of components divided by n. A projection in every iteration
    costs as much as n variables do, whatever a component costs.

    References
    ----------
    X. Cai, A. Alacaoglu, J. Diakonikolas, "Variance reduced Halpern iteration for finite-sum
    monotone inclusions", ICLR 2024, arXiv:2310.02987.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import MonotoneInclusion
    >>> from numopt.solvers import VarianceReducedHalpern
    >>> X = np.random.default_rng(0).standard_normal((50, 3))
    >>> y = X @ [1.0, -2.0, 0.5]
    >>> mean_gradient = lambda w, batch: X[batch].T @ (X[batch] @ w - y[batch]) / len(batch)
    >>> problem = MonotoneInclusion(
    ...     None, np.zeros(3), components=(50, mean_gradient), cocoercive=True
    ... )
    >>> VarianceReducedHalpern(random_state=0).solve(problem).x.round(6).tolist()
    [1.0, -2.0, 0.5]
    """

    name: ClassVar[str] = "vr-halpern"
    accepts: ClassVar[tuple[str, ...]] = ("MonotoneInclusion",)
    patience: ClassVar[int] = 100_000

    max_iter: int = 1_000_000
    variant: str = "auto"
    step: float | None = None
    inner_step: float = 0.5
    inner_factor: float = 1.0
    restart: str = "adaptive"

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.variant, ("auto", "single", "double"), "variant")
        require_choice(self.restart, ("adaptive", "none"), "restart")
        require_positive(self.inner_step, "inner_step")
        require_positive(self.inner_factor, "inner_factor")
        if self.step is not None:
            require_positive(self.step, "step")

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        z = problem.z0 if x0 is None else problem.point(x0, name)
        split = problem.split
        if split is None:
            raise ValueError(
                "VarianceReducedHalpern needs a finite sum: give components=, or an operator of "
                "numopt.operators that has them, or take AnchoredExtragradient"
            )
        n = split.n_components
        vectors, scalars = np.zeros((12, z.size)), np.zeros(12)
        vectors[[Z, OLD, V, W, W_OLD, ANCHOR, EXACT]] = z
        vectors[[G_K, F_W, F_EXACT]] = problem.apply(z)
        rng = np.random.default_rng(0 if self.random_state is None else self.random_state)
        seed = rng.integers(1, 2**63, 1, dtype=np.uint64)
        single = self._single(problem)
        step = self.step
        if step is None:
            L = split.average_lipschitz or _estimate(problem, z, rng)
            step = 0.25 / L if single else np.sqrt(n) / L
        p = min(1.0 / n, 0.5)
        scalars[STEP] = step
        scalars[INNER_STEP] = self.inner_step * np.sqrt(p * (1 - p)) / (np.sqrt(n) + 1)
        scalars[FIRST] = np.inf
        scalars[COMPONENTS] = n
        batch = np.zeros(int(np.ceil(np.sqrt(n))) if single else 1, np.int64)
        F = G = None
        if problem.compiled and problem.components is None:
            F, G = problem.F.spec(), (Zero() if problem.G is None else problem.G).spec()
        factor = 0.0 if single else self.inner_factor
        return State(F, G, vectors, scalars, batch, seed, n, factor, self.restart == "adaptive")

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if problem.monotone is False:
            return 0, INDEFINITE
        if state.F is not None:
            before = s[FULL]
            _sweep(*state, n)
            problem.count(s[FULL] - before)
            return n, RUNNING
        if not s[PHASE]:
            return 0, NEED_EVAL if n else RUNNING
        s[PHASE] = 0
        return 1, NEED_EVAL if n > 1 else RUNNING

    def evaluate(self, problem: Any, state: State) -> None:
        _, _, vectors, scalars, batch, seed, n, factor, restarts = state
        parts = problem.components or problem.split
        single = factor == 0
        if _opens(vectors, scalars, seed, n, factor):
            image = problem.apply(vectors[Z] if single else vectors[W])
            _exact(vectors, scalars, image, n, factor, restarts)
        else:
            _draw(batch, seed, n)
            a, b = (Z, OLD) if single else (V, W_OLD)
            vectors[CHANGE] = self._change(problem, parts, batch, vectors[a], vectors[b])
            scalars[COMPONENTS] += 2 * batch.size
        if _aim(vectors, scalars, n, factor):
            step = scalars[STEP] * (1.0 if single else scalars[INNER_STEP])
            vectors[Z if single else V] = problem.resolve(vectors[POINT].copy(), step)
            _conclude(vectors, scalars, seed, n, factor)
        scalars[PHASE] = 1

    def _change(self, problem: Any, parts: Any, batch: Any, a: Any, b: Any) -> np.ndarray:
        """Mean of F_i(a) - F_i(b) over a batch."""
        if hasattr(parts, "partial"):
            call = problem._call
            return call(parts.partial, a, "components", batch) - call(
                parts.partial, b, "components", batch
            )
        out = np.zeros_like(a)
        _kernels.add_changes(parts.spec(), batch, a, b, 1.0 / batch.size, out)
        return out

    def measure(self, problem: Any, state: State) -> Certificate:
        z = state.vectors[EXACT]
        w = problem.resolve(z - state.vectors[F_EXACT], 1.0)
        return problem.certified(float(np.linalg.norm(z - w)))

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        z = state.vectors[EXACT]
        return {"x": z, "warm_start": {"x": z}}

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        return {"full_passes": float(state.scalars[COMPONENTS] / state.n)}

    def explain(self, problem: Any, state: State) -> str:
        return "F is not monotone: its matrix has a negative symmetric part."

    def work(self, problem: Any) -> float:
        parts = np.sqrt(problem.split.n_components) if self._single(problem) else 4.0
        return (10.0 + parts) * problem.size

    def _single(self, problem: Any) -> bool:
        if self.variant == "auto":
            return bool(problem.cocoercive)
        return self.variant == "single"


def _estimate(problem: Any, z: np.ndarray, rng: np.random.Generator) -> float:
    """Largest root of the mean of |F_i(z) - F_i(w)|^2 / |z - w|^2 over some w, and a margin."""
    parts = problem.components
    drawn = rng.integers(0, parts.n_components, min(SAMPLES, parts.n_components))
    batches = [np.array([i]) for i in drawn]
    length = 1e-3 * max(1.0, float(np.linalg.norm(z)))
    here = [problem._call(parts.partial, z, "components", batch) for batch in batches]
    # The mean of some components leans towards the steepest direction.
    directions = [np.mean(here, axis=0), *rng.standard_normal((DIRECTIONS, z.size))]
    largest = 0.0
    for d in directions:
        size = float(np.linalg.norm(d))
        if not 0 < size < np.inf:
            continue
        w = z + length / size * d
        there = [problem._call(parts.partial, w, "components", batch) for batch in batches]
        squares = [float((a - b) @ (a - b)) for a, b in zip(there, here, strict=True)]
        largest = max(largest, float(np.mean(squares)) / length**2)
    return MARGIN * float(np.sqrt(largest)) or 1.0


# ---- kernels -------------------------------------------------------------------------------------
# An iteration: `_opens` says whether F is wanted as a whole; the answer, or the change of some
# components; `_aim` writes the point for the resolvent; `_conclude` takes in its answer. The
# single loop has inner_factor = 0.


@kernel
def _sweep(F, G, vectors, scalars, batch, seed, n, factor, restarts, count):
    single = factor == 0.0
    for _ in range(count):
        if _opens(vectors, scalars, seed, n, factor):
            apply_into(F, vectors[Z if single else W], vectors[CHANGE])
            _exact(vectors, scalars, vectors[CHANGE], n, factor, restarts)
        else:
            _draw(batch, seed, n)
            change = vectors[CHANGE]
            for j in range(change.size):
                change[j] = 0.0
            for k in range(batch.size):
                if single:
                    add_change(F, batch[k], vectors[Z], vectors[OLD], 1.0 / batch.size, change)
                else:
                    add_change(F, batch[k], vectors[V], vectors[W_OLD], 1.0, change)
            scalars[COMPONENTS] += 2 * batch.size
        if _aim(vectors, scalars, n, factor):
            if single:
                prox_into(G, vectors[POINT], scalars[STEP], vectors[Z])
            else:
                step = scalars[STEP] * scalars[INNER_STEP]
                prox_into(G, vectors[POINT], step, vectors[V])
            _conclude(vectors, scalars, seed, n, factor)


@inner
def _uniform(seed):
    """A random number in [0, 1), by splitmix64."""
    seed[0] += np.uint64(0x9E3779B97F4A7C15)
    x = seed[0]
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    x = x ^ (x >> np.uint64(31))
    return np.float64(x >> np.uint64(11)) / 9007199254740992.0


@kernel
def _draw(batch, seed, n):
    for k in range(batch.size):
        batch[k] = int(_uniform(seed) * n)


@kernel
def _opens(vectors, scalars, seed, n, factor):
    """Whether this iteration evaluates F as a whole."""
    k = scalars[K]
    if factor > 0.0:
        whole = scalars[INNER] == 0 or scalars[MOVED] == 1
    else:
        root = np.sqrt(n)
        p = 4.0 / (k + 4.0) if k - 1 <= root else 4.0 / (root + 5.0)
        whole = k <= 1 or _uniform(seed) < p
    scalars[WHOLE] = 1.0 if whole else 0.0
    return whole


@kernel
def _exact(vectors, scalars, image, n, factor, restarts):
    """Take in F(z_k), or F(w): what is measured, and whether to move the anchor."""
    place = Z if factor == 0.0 else W
    z = vectors[place]
    scalars[COMPONENTS] += n
    scalars[FULL] += 1
    copy_into(z, vectors[EXACT])
    copy_into(image, vectors[F_EXACT])
    copy_into(image, vectors[G_K if factor == 0.0 else F_W])
    k = scalars[K]
    if not restarts or k < 1 or scalars[INNER] > 0:
        return
    if factor == 0.0:
        scalars[RES] = _residual(vectors, scalars)
    if k == 1:
        scalars[FIRST] = scalars[RES]
    elif scalars[RES] <= SUFFICIENT * scalars[FIRST] or k >= max(8.0, LONG * scalars[OUTER]):
        copy_into(z, vectors[ANCHOR])
        scalars[K] = 0


@inner(reduction=True)
def _residual(vectors, scalars):
    """|F(z) + g|, with the element g of G(z) that the last resolvent found."""
    total = 0.0
    z, f, point, step = vectors[EXACT], vectors[F_EXACT], vectors[POINT], scalars[STEP]
    for i in range(z.size):
        total += (f[i] + (point[i] - z[i]) / step) ** 2
    return np.sqrt(total)


@kernel
def _aim(vectors, scalars, n, factor):
    """The point for the resolvent; False if this iteration needs none."""
    z, point, change = vectors[Z], vectors[POINT], vectors[CHANGE]
    if factor == 0.0:
        anchor, old, g = vectors[ANCHOR], vectors[OLD], vectors[G_K]
        weight = 2.0 / (scalars[K] + 4.0)
        for i in range(z.size):
            if not scalars[WHOLE]:
                g[i] += change[i]
            point[i] = weight * anchor[i] + (1.0 - weight) * z[i] - scalars[STEP] * g[i]
        copy_into(z, old)
        return True
    v, w, w_old, f_w = vectors[V], vectors[W], vectors[W_OLD], vectors[F_W]
    if scalars[WHOLE]:
        scalars[INNER] = max(scalars[INNER], 1.0)
        scalars[MOVED] = 0
        return False
    a = 1.0 - 1.0 / max(n, 2)
    e, t = scalars[STEP], scalars[INNER_STEP]
    for i in range(z.size):
        h = e * (f_w[i] + change[i]) + w[i] - z[i] + v[i] - w_old[i]
        point[i] = a * v[i] + (1.0 - a) * w[i] - t * h
    return True


@kernel
def _conclude(vectors, scalars, seed, n, factor):
    """After the resolvent: the next iteration, inner or outer."""
    k = scalars[K]
    if factor == 0.0:
        scalars[K], scalars[OUTER] = k + 1, scalars[OUTER] + 1
        return
    z, v, anchor = vectors[Z], vectors[V], vectors[ANCHOR]
    w, w_old = vectors[W], vectors[W_OLD]
    copy_into(w, w_old)
    scalars[INNER] += 1
    if scalars[INNER] > max(1.0, np.floor(factor * n * np.log(k + 2.0))):
        weight, moved = 1.0 / (k + 2.0), 0.0
        for i in range(z.size):
            moved += (v[i] - z[i]) ** 2
            z[i] = weight * anchor[i] + (1.0 - weight) * v[i]
        copy_into(z, v)
        copy_into(z, w)
        copy_into(z, w_old)
        # z - v = e times an element of (F + G)(v), but for the error of the inner iterations.
        scalars[RES] = np.sqrt(moved) / scalars[STEP]
        scalars[INNER] = 0
        scalars[K], scalars[OUTER] = k + 1, scalars[OUTER] + 1
    elif _uniform(seed) < 1.0 / max(n, 2):
        copy_into(v, w)
        scalars[MOVED] = 1
