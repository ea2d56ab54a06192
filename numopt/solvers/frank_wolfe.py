"""Frank-Wolfe methods: smooth functions over sets with a linear minimisation oracle."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from numopt.core.blas import threads_for
from numopt.core.engine import BREAKDOWN, DONE, NEED_EVAL, RUNNING, Solver
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_choice, require_length, require_positive
from numopt.linalg.simplex_quadratic import simplex_qp
from numopt.problems.set_constrained import FW_GAP, require_oracle
from numopt.solvers._parts.frank_wolfe_atoms import Atoms
from numopt.solvers._parts.frank_wolfe_models import Function, Prediction, start

VARIANTS = ("corrective", "blended", "pairwise", "away", "vanilla")
STEPS = ("auto", "adaptive", "short", "exact", "open-loop")
EPS = float(np.finfo(float).eps)
SUFFICIENT = 1e-4  # part of the decrease by the slope that a model's step has to reach
MOST_TRIALS = 60
REFRESH = 100  # steps after which x is put together anew from its atoms
READY, WAITING, EVALUATED, STUCK = range(4)


@dataclass
class State:
    """What an iteration needs; k atoms, n predictions, p variables."""

    oracle: Any  # f, a `Prediction` or a `Function`
    atoms: Atoms  # vertices and their weights
    x: np.ndarray  # p, the iterate
    target: float  # gap relative to max(1, |f|) to stop at
    z: Any = None  # n, A x
    f: float = np.nan  # f(x)
    r: Any = None  # n, gradient with respect to z
    g: Any = None  # p, gradient at x
    vertex: Any = None  # p, what the oracle answered at x; None if it was not asked
    slopes: Any = None  # k, slopes g'v of the atoms
    gap: float = np.nan  # g'(x - vertex), NaN if the oracle was not asked
    phi: float = np.inf  # the last gap known: how much a step has to promise
    lower: float = -np.inf  # largest f - gap so far
    d: Any = None  # p, direction
    dz: Any = None  # n, A d
    dw: Any = None  # k, direction of the weights
    slope: float = np.nan  # -g'd, > 0
    reach: float = np.nan  # longest step
    rule: str = ""  # how the step is found
    step: float = np.nan  # step of the trial
    bend: float = np.nan  # estimate M of the curvature along directions
    trial_w: Any = None  # k, weights there
    trial_x: Any = None  # p
    trial_z: Any = None  # n
    trial_f: float = np.nan
    trial_r: Any = None  # n
    modelled: bool = True  # whether the next direction may be a model's
    phase: int = READY
    counts: dict[str, int] = field(default_factory=lambda: dict(trials=0, moves=0, oracle=0))


@dataclass(frozen=True, kw_only=True)
class FrankWolfe(Solver):
    r"""Frank-Wolfe methods for :math:`\min_{x \in C} f(x)`, which never project.

    An iteration asks the set for :math:`v = \arg\min_{v \in C} \nabla f(x)^T v`. Its gap
    :math:`\nabla f(x)^T (x - v)` bounds :math:`f(x) - \min f` for convex f and is the certificate;
    the iterate is a convex combination of few vertices, the *atoms*. Variants by their direction,
    with a the atom of largest slope, s the one of least:

    - "corrective": minimise a quadratic model of f over the hull of all atoms and v. The model
      is exact for quadratic f (a kept Gram matrix of atoms); it has the second derivatives of
      other losses, and of functions given in Python a limited-memory BFGS matrix. Far the fewest
      oracle calls, as a rule.
    - "blended": from a to s if that promises more than towards v, else towards v (BPCG).
    - "pairwise": from a to v. "away": towards v, or away from a.
    - "vanilla": towards v; stores no atoms.

    Parameters
    ----------
    variant : {"corrective", "blended", "pairwise", "away", "vanilla"}
        The direction. Names of solvers for them: "corrective-fw", "bpcg", "pairwise-fw",
        "away-fw"; "frank-wolfe" is this class with its default.
    step : {"auto", "adaptive", "short", "exact", "open-loop"}
        "adaptive": backtracking on an estimate of the curvature, no constants needed. "short":
        :math:`\min(-g^T d / (L |d|^2), 1)`. "exact": to the minimum along the direction, for
        `SetConstrained`. "open-loop": 2 / (k + 2), only with "vanilla". "auto": exact for convex
        losses, else adaptive. The model's step of "corrective" is always tried first.
    lipschitz : float, optional
        L of "short"; bounded from the data of a `SetConstrained` if not given.
    lazy : bool, optional
        Ask the oracle only where the atoms known do not promise half of the last gap; by default
        where the set says that its oracle is dear. The certificate always comes of the oracle.
    max_iter : int, default 10000
        Iterations at most.
    **limits
        See `Solver`.

    Notes
    -----
    An iteration costs an oracle call, two products with the data or a value and a gradient, and
    for "corrective" a small quadratic program in the weights. Over polytopes all but "vanilla"
    converge linearly for strongly convex f, "vanilla" like 1/k. Memory: the atoms, by their nonzero
    entries, and their predictions.

    The start x0 is projected where the set projects, else taken if it is in the set, else the
    vertex in its direction; it is an atom of its own. The result also has ``weights`` and
    ``atoms`` (vertices as columns), ``lower_bound`` (the best bound on min f, if f is known to be
    convex) and ``nlmo``, the number of oracle calls. A warm start takes up the atoms.

    References
    ----------
    M. Jaggi, "Revisiting Frank-Wolfe: projection-free sparse convex optimization", ICML 2013.
    S. Lacoste-Julien, M. Jaggi, "On the global linear convergence of Frank-Wolfe optimization
    variants", NeurIPS 2015, arXiv 1511.05932.
    K. Tsuji, K. Tanaka, S. Pokutta, "Pairwise conditional gradients without swap steps and sparser
    kernel herding", ICML 2022, arXiv 2110.12650.
    F. Pedregosa, G. Negiar, A. Askari, M. Jaggi, "Linearly convergent Frank-Wolfe with
    backtracking line-search", AISTATS 2020, arXiv 1806.05123.
    G. Braun, S. Pokutta, D. Zink, "Lazifying conditional gradient algorithms", ICML 2017,
    arXiv 1610.05120.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.problems import SetConstrained
    >>> from numopt.sets import L1Ball
    >>> from numopt.solvers import FrankWolfe
    >>> problem = SetConstrained(LeastSquares([3.0, 1.0]), np.eye(2), L1Ball(3.0))
    >>> result = FrankWolfe().solve(problem)
    >>> result.x.round(9).tolist(), result.success
    ([2.5, 0.5], True)
    """

    name: ClassVar[str] = "frank-wolfe"
    accepts: ClassVar[tuple[str, ...]] = ("SetConstrained", "SmoothComposite")

    variant: str = "corrective"
    step: str = "auto"
    lipschitz: float | None = None
    lazy: bool | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        require_choice(self.variant, VARIANTS, "variant")
        require_choice(self.step, STEPS, "step")
        if self.step == "open-loop" and self.variant != "vanilla":
            raise ValueError(
                f"step 'open-loop' knows no drop steps: it goes with variant 'vanilla', not "
                f"{self.variant!r}"
            )
        if self.lipschitz is not None:
            require_positive(self.lipschitz, "lipschitz")
        if self.lazy is not None and not isinstance(self.lazy, (bool, np.bool_)):
            raise TypeError(f"lazy must be True, False or None, got {self.lazy!r}")

    # ---- starts ----

    @np.errstate(over="ignore", invalid="ignore")
    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        oracle: Any
        if hasattr(problem, "domain"):
            oracle, size = Prediction(problem), problem.size
        else:
            oracle, size = Function(problem), problem.size
            if not problem.is_set:
                raise TypeError(
                    "FrankWolfe minimises over a set, the domain, and "
                    f"{type(problem.penalty).__name__} is a penalty; take 'prox-grad'"
                )
            if self.step == "exact":
                raise ValueError("step 'exact' needs a SetConstrained; take 'adaptive'")
            if self.step == "short" and self.lipschitz is None:
                raise ValueError("step 'short' needs lipschitz where f is a function; give it")
        given = warm.get("x", x0)
        if given is not None:
            given = as_vector(np.ravel(given), "x0", oracle.dtype)
            if size is not None:
                require_length(given, size, "x0")
            size = given.size
        if size is None:
            raise ValueError("x0 is needed: the number of variables is not known without it")
        if not oracle.is_function or size > 0:
            require_oracle(oracle.domain, size)
        x = start(oracle.domain, given, size, oracle.dtype)
        corrective = self.variant == "corrective"
        atoms = oracle.atoms(corrective, size) if oracle.is_function else oracle.atoms(corrective)
        tol = problem.default_tol if self.tol is None else self.tol
        state = State(oracle, atoms, x, tol)
        if self.variant != "vanilla":
            self._take_up(state, warm)
        state.oracle.begin(state)
        self._look(state)
        return state

    def _take_up(self, state: State, warm: dict[str, Any]) -> None:
        """The atoms of a warm start if they make up x, else x itself as the only one."""
        V, w = warm.get("atoms"), warm.get("weights")
        atoms = state.atoms
        if V is not None and w is not None and V.shape == (state.x.size, np.size(w)):
            V = np.asarray(V.toarray() if hasattr(V, "toarray") else V, atoms.dtype)
            if np.abs(V @ w - state.x).max() <= 1e-9 * max(1.0, np.abs(state.x).max()):
                for vertex, weight in zip(V.T, w, strict=True):
                    atoms.weights[self._atom(state, np.ascontiguousarray(vertex))] += weight
                return
        atoms.weights[self._atom(state, state.x)] = 1.0

    def _atom(self, state: State, vertex: np.ndarray) -> int:
        """Place of a vertex among the atoms, added if it is new."""
        atoms, oracle = state.atoms, state.oracle
        place = atoms.find(vertex)
        if place >= 0:
            return int(place)
        image = oracle.image(vertex)
        place = atoms.add(vertex, image)
        if atoms.gram.size:
            weighted = oracle.weighted(vertex, image)
            if oracle.is_function:
                row = atoms.slopes(weighted)
            else:
                row = atoms.images[: place + 1] @ weighted
            atoms.gram[place, : place + 1] = atoms.gram[: place + 1, place] = row
        return int(place)

    # ---- iterations ----

    @np.errstate(over="ignore", invalid="ignore")  # far points may overflow: they are refused
    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        done = 0
        while True:
            if state.phase == STUCK:
                return done, BREAKDOWN
            if state.phase == EVALUATED:
                if self._accepts(state):
                    self._move(state)
                    self._look(state)
                    done += 1
                    state.phase = READY
                elif self._try(state):
                    state.phase = WAITING
                elif state.rule == "model":  # rounding, or a kink: once more by slopes
                    state.modelled, state.phase = False, READY
                else:
                    state.phase = STUCK
            elif state.phase == READY:
                if not np.isfinite(state.f):
                    return done, BREAKDOWN
                if state.gap <= state.target * max(1.0, abs(state.f)):
                    return done, DONE
                if done == n:
                    return done, RUNNING
                state.phase = WAITING if self._aim(state) and self._try(state) else STUCK
            if state.phase == WAITING:
                if state.oracle.is_function:
                    return done, NEED_EVAL
                self.evaluate(problem, state)

    def evaluate(self, problem: Any, state: State) -> None:
        state.oracle.evaluate(state)
        state.phase = EVALUATED

    def _look(self, state: State) -> None:
        """Gradient at x, slopes of the atoms, and the oracle's answer, unless atoms will do."""
        oracle, atoms = state.oracle, state.atoms
        before = state.g
        state.g = oracle.gradient(state)
        if not np.isfinite(state.g).all():
            state.f = np.nan
            return
        if before is not None and self.variant == "corrective":
            oracle.remember(state, state.step * state.d, before)
        state.vertex, state.gap = None, np.nan
        if atoms.count:
            state.slopes = oracle.slopes(state)
            lazy = oracle.domain.dear if self.lazy is None else self.lazy
            if lazy and state.phi > 2 * state.target * max(1.0, abs(state.f)):
                held = state.slopes[atoms.weights[: atoms.count] > 0]
                if held.max() - held.min() >= 0.5 * state.phi:
                    return
        state.counts["oracle"] += 1
        state.vertex = np.asarray(oracle.domain.lmo(state.g), oracle.dtype)
        state.gap = state.phi = float(state.g @ (state.x - state.vertex))
        state.lower = max(state.lower, state.f - state.gap)

    def _aim(self, state: State) -> bool:
        """Set the direction; whether there is one that goes down."""
        atoms, oracle = state.atoms, state.oracle
        if self.variant == "vanilla":
            self._direct(state, None, state.gap, 1.0)
            return state.slope > 0
        best = -1 if state.vertex is None else self._atom(state, state.vertex)
        if best == state.slopes.size:
            state.slopes = np.append(state.slopes, state.g @ state.vertex)
        slopes, w = state.slopes, atoms.weights[: atoms.count]
        here = float(slopes @ w)
        away = int(np.argmax(np.where(w > 0, slopes, -np.inf)))
        near = int(np.argmin(np.where(w > 0, slopes, np.inf)))
        if best < 0:
            best = near
        if self.variant == "corrective" and state.modelled:
            Q = oracle.model(state) if oracle.convex or oracle.is_function else None
            if Q is not None and np.isfinite(Q).all():
                target = simplex_qp(Q, slopes - Q @ w, start=w, tol=1e-3 * state.target)
                dw = target - w
                slope = -float(slopes @ dw)
                if slope > 0:
                    self._direct(state, dw, slope, 1.0, model=True)
                    return True
        dw = np.zeros(atoms.count)
        towards, aside = here - slopes[best], slopes[away] - here
        variant = self.variant
        if variant == "blended" and slopes[away] - slopes[near] >= towards:
            variant, best = "pairwise", near
        if variant in ("pairwise", "corrective"):
            dw[best] += 1.0
            dw[away] -= 1.0
            self._direct(state, dw, slopes[away] - slopes[best], float(w[away]))
        elif variant == "away" and aside > towards and w[away] < 1:
            dw[:] = w
            dw[away] -= 1.0
            self._direct(state, dw, aside, float(w[away] / (1 - w[away])))
        else:
            dw[:] = -w
            dw[best] += 1.0
            self._direct(state, dw, towards, 1.0)
        return state.slope > 0 and state.reach > 0 and best != away

    def _direct(
        self, state: State, dw: Any, slope: float, reach: float, model: bool = False
    ) -> None:
        """Take a direction, given by weights, and choose the first step along it."""
        atoms, oracle = state.atoms, state.oracle
        state.slope, state.reach, state.dw = float(slope), reach, dw
        state.counts["trials"] = 0
        if dw is None:
            state.d = state.vertex - state.x
            state.dz = None if oracle.is_function else oracle.image(state.vertex) - state.z
        else:
            state.d = atoms.combine(dw)
            state.dz = None if oracle.is_function else atoms.combine_images(dw)
        rule = self.step
        if model:
            rule = "model"
        elif rule == "auto":
            exact = not oracle.is_function and oracle.convex
            rule = "exact" if exact else "adaptive"
        square = float(state.d @ state.d)
        if rule == "exact" and not oracle.convex and not oracle.quadratic:
            rule = "adaptive"
        state.rule = rule
        if rule == "model":
            state.step = 1.0
        elif rule == "open-loop":
            state.step = 2.0 / (state.counts["moves"] + 2.0)
        elif rule == "exact":
            state.step = oracle.exact_step(state)
        elif rule == "short":
            curvature = self.lipschitz or oracle.problem.lipschitz()
            state.step = min(reach, state.slope / (curvature * square))
        else:
            if not state.bend > 0:
                state.bend = max(state.slope / square, 1e-300)
            state.step = min(reach, state.slope / (state.bend * square))

    def _try(self, state: State) -> bool:
        """Set the trial; False if it does not differ from x or there were too many."""
        step, oracle = state.step, state.oracle
        state.counts["trials"] += 1
        if state.counts["trials"] > MOST_TRIALS or not step > 0:
            return False
        if state.dw is None:
            share = oracle.dtype.type(step)
            state.trial_x = (1 - share) * state.x + share * state.vertex
        else:
            w = state.atoms.weights[: state.dw.size] + step * state.dw
            w[w <= 1e-15] = 0.0
            if step == state.reach and state.rule != "model":  # a drop step hits 0 exactly
                w[(state.dw < 0) & (w <= 1e-12)] = 0.0
            state.trial_w = w / w.sum()
            if oracle.is_function:  # a combination of vertices, to the last digit inside
                state.trial_x = state.atoms.combine(state.trial_w)
            else:
                state.trial_x = state.x + oracle.dtype.type(step) * state.d
        if not oracle.is_function:
            state.trial_z = state.z + oracle.dtype.type(step) * state.dz
        return True

    def _accepts(self, state: State) -> bool:
        """Whether the trial is good enough; if not, a shorter step is set."""
        f, trial, step, slope = state.f, state.trial_f, state.step, state.slope
        if state.rule in ("open-loop", "short", "exact") and np.isfinite(trial):
            noise = 64 * EPS * max(abs(f), abs(trial))
            if state.rule != "exact" or trial <= f + noise:
                return True
        square = float(state.d @ state.d)
        if state.rule == "adaptive":
            enough = step * slope - 0.5 * state.bend * step**2 * square
        else:
            enough = SUFFICIENT * step * slope
        if trial <= f - enough:
            if state.rule == "adaptive":
                seen = slope**2 / (2 * max(f - trial, 1e-300) * square)
                state.bend = min(max(seen, 0.9 * state.bend), state.bend)
            return True
        # Where values differ by their rounding alone, slopes decide.
        noise = 64 * EPS * max(1e-300, abs(f))
        if trial <= f + noise and step * slope <= 1e6 * noise:
            if state.oracle.trial_slope(state) <= 0.9 * slope:
                return True
        if state.rule == "adaptive":
            state.bend *= 2.0
            state.step = min(state.reach, slope / (state.bend * square))
            if state.step == step:
                state.step = 0.5 * step
        else:
            fall = trial - f + step * slope
            best = 0.5 * step**2 * slope / fall if np.isfinite(fall) and fall > 0 else 0.0
            state.step = min(max(best, 0.1 * step), 0.5 * step)
        return False

    def _move(self, state: State) -> None:
        """Take the trial as the iterate."""
        atoms = state.atoms
        state.counts["moves"] += 1
        state.modelled = True
        state.x, state.f = state.trial_x, state.trial_f
        if not state.oracle.is_function:
            state.z, state.r = state.trial_z, state.trial_r
        if state.dw is not None:
            atoms.weights[: atoms.count] = state.trial_w
            held = state.trial_w > 0
            if not held.all():
                atoms.keep(held)
            if state.counts["moves"] % REFRESH == 0:
                state.x = atoms.combine(atoms.weights[: atoms.count])
                state.oracle.begin(state)

    # ---- results ----

    def measure(self, problem: Any, state: State) -> Certificate:
        kind = "global" if state.oracle.convex else "stationary"
        size = max(1.0, abs(state.f)) if np.isfinite(state.f) else np.nan
        if np.isnan(state.gap):  # a bound that proves nothing
            entry = Entry(max(state.phi / size, 1.5 * state.target), "the last gap known")
        else:
            entry = Entry(state.gap / size, FW_GAP)
        return Certificate(kind, {"fw_gap": entry}, state.f)

    def tighten(self, problem: Any, state: State) -> bool:
        tol = problem.default_tol if self.tol is None else self.tol
        if state.target < 1e-3 * tol or state.phase == STUCK:
            return False
        state.target /= 8
        return True

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        point: dict[str, Any] = {"x": state.x}
        if state.g is not None:
            point["jac"] = state.g
        warm: dict[str, Any] = {"x": state.x}
        if self.variant != "vanilla":
            held = np.flatnonzero(state.atoms.weights[: state.atoms.count] > 0)
            warm["weights"] = state.atoms.weights[held]
            warm["atoms"] = state.atoms.matrix()[:, held]
            point.update(weights=warm["weights"], atoms=warm["atoms"])
        point["warm_start"] = warm
        return point

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        told: dict[str, Any] = {"nlmo": state.counts["oracle"]}
        if state.oracle.convex:
            told["lower_bound"] = state.lower
        return told

    def explain(self, problem: Any, state: State) -> str:
        if not np.isfinite(state.f):
            return "The function or its gradient is not finite: start inside its domain."
        return (
            "No lower point was found along the direction: if this is not yet the accuracy of the "
            "function, check the gradient with numopt.check_gradient."
        )

    def descends(self, problem: Any) -> bool:
        return self.step != "open-loop" and self.step != "short"

    def work(self, problem: Any) -> float:
        return 1e9 if not hasattr(problem, "A") else 2.0 * problem.nnz + 20_000.0

    def threads(self, problem: Any) -> AbstractContextManager[None]:
        return threads_for(min(problem.A.shape) if hasattr(problem, "A") else 100)
