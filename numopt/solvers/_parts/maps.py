"""What methods for fixed points of nonexpansive maps share: the map, its residual, the verdict."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np

from numopt.core import generic  # noqa: F401 - what compiled maps call
from numopt.core.engine import DONE, GROW, INDEFINITE, NEED_EVAL, RUNNING, Solver
from numopt.core.jit import inner, kernel
from numopt.core.result import Certificate
from numopt.linalg.vector import copy_into
from numopt.operators import (
    ForwardBackward,
    _kernels,  # noqa: F401 - what compiled maps call
)
from numopt.penalties.quadratic import Zero

# Rows of State.vectors: z_k, T(z_k), the anchor, and z_{k-1} with T(z_{k-1}).
Z, TZ, ANCHOR, OLD, T_OLD = range(5)
# Places in State.scalars: iterations since the anchor was set and in all, the weight phi, the
# residual |z - T(z)| now, one iteration ago and right after the anchor was set, that at the last
# power of two of iterations and at the one before, the largest expansion seen, whether a point
# was evaluated in Python, the inverse step of a forward-backward map, the residual at which the
# certificate is met, whether the anchor is left out at present, and how fast, in logs per
# iteration, the residual fell with and without it.
(
    K, TOTAL, PHI, RES, LAST, FIRST, MARK, EARLIER, EXPANSION, PHASE, LIPSCHITZ, TARGET, FREE, RATE,
    RATE_FREE,
) = range(15)  # fmt: skip

# Excess of |N z - N w| / |z - w| over 1 that rounding does not explain.
EXPANDS = 1 + 1e-7
# A displacement is believed where the residual has not moved by more than this between powers of
# two of iterations, and both estimates of it agree that well.
SETTLED, AGREE, ENOUGH = 0.02, 0.1, 64


class State(NamedTuple):
    """What an iteration needs."""

    T: Any  # compiled form of the map, None for one in Python
    vectors: np.ndarray  # see the names above
    scalars: np.ndarray
    averaged: float  # a of T = (1 - a) I + a N
    contraction: float  # c of |T z - T w| <= c |z - w|
    estimated: bool  # whether the step follows from an estimate


@dataclass(frozen=True, kw_only=True)
class MapSolver(Solver):
    """Base of methods that evaluate T once per iteration.

    A method supplies ``move(state)``, which goes from z_k and T(z_k) to z_{k+1}, and
    ``sweep(state, n)``, at most n iterations with a compiled map.
    """

    accepts: ClassVar[tuple[str, ...]] = ("FixedPoint", "MonotoneInclusion")
    patience: ClassVar[int] = 1000

    def move(self, state: State) -> None:
        """Write z_{k+1} into the state."""
        raise NotImplementedError

    def sweep(self, state: State, n: int) -> int:
        """Do iterations with a compiled map, at most n, until the target; return how many."""
        raise NotImplementedError

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        z = problem.z0 if x0 is None else problem.point(x0, name)
        scalars, vectors = np.zeros(15), np.zeros((5, z.size))
        vectors[[Z, ANCHOR, OLD]] = z
        scalars[PHI] = 1.0
        scalars[[RATE, RATE_FREE]] = np.inf
        averaged, contraction, estimated = 1.0, 1.0, False
        if hasattr(problem, "contraction"):
            averaged, contraction = problem.averaged, problem.contraction
        else:
            if not problem.cocoercive:
                raise ValueError(
                    f"{type(self).__name__} needs a cocoercive F: say cocoercive=True if it is, as "
                    "gradients of convex functions are, or take AnchoredExtragradient"
                )
            averaged = _constant(problem)
            known = problem.known_lipschitz
            estimated = known is None
            scalars[LIPSCHITZ] = (known or 1.0) if known is not None else slope(problem, z)
        T = _compiled(problem, scalars) if problem.compiled else None
        vectors[TZ] = vectors[T_OLD] = image(problem, scalars, z)
        note(vectors, scalars, averaged)
        self._aim(problem, scalars)
        return State(T, vectors, scalars, averaged, contraction, estimated)

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        s = state.scalars
        if getattr(problem, "monotone", True) is False:
            return 0, INDEFINITE
        if state.estimated and s[EXPANSION] > EXPANDS:
            return 0, GROW
        if state.T is not None:
            done = self.sweep(state, n)
            problem.count(done)
            return done, RUNNING if done == n else DONE
        if not s[PHASE]:
            return 0, NEED_EVAL if n else RUNNING
        s[PHASE] = 0
        if s[RES] <= s[TARGET]:
            return 1, DONE
        return 1, NEED_EVAL if n > 1 else RUNNING

    def tighten(self, problem: Any, state: State) -> bool:
        return True  # the target was met but for rounding: go on

    def _aim(self, problem: Any, scalars: np.ndarray) -> None:
        """The residual of T at which the certificate is met."""
        tol = problem.default_tol if self.tol is None else self.tol
        step = 1.0 if hasattr(problem, "contraction") else 1.0 / scalars[LIPSCHITZ]
        scalars[TARGET] = tol * problem.scale * min(1.0, step)

    def evaluate(self, problem: Any, state: State) -> None:
        vectors, scalars = state.vectors, state.scalars
        self.move(state)
        vectors[TZ] = image(problem, scalars, vectors[Z])
        note(vectors, scalars, state.averaged)
        scalars[PHASE] = 1

    def grow(self, problem: Any, state: State) -> State:
        # The step was too long: halve it and go on from here.
        vectors, scalars = state.vectors, state.scalars
        scalars[LIPSCHITZ] *= 2.0
        scalars[[EXPANSION, K, TOTAL]] = 0.0
        scalars[PHI] = 1.0
        vectors[ANCHOR] = vectors[OLD] = vectors[Z]
        vectors[TZ] = vectors[T_OLD] = image(problem, scalars, vectors[Z])
        note(vectors, scalars, state.averaged)
        self._aim(problem, scalars)
        T = _compiled(problem, scalars) if problem.compiled else None
        return state._replace(T=T)

    def measure(self, problem: Any, state: State) -> Certificate:
        if hasattr(problem, "contraction"):
            return problem.certified(float(state.scalars[RES]))
        z = state.vectors[Z]
        return problem.certified(problem.natural(z)[0])

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        z = state.vectors[Z]
        return {"x": z, "warm_start": {"x": z}}

    def summary(self, problem: Any, state: State) -> dict[str, Any]:
        if not hasattr(problem, "contraction"):
            return {}
        displacement = state.vectors[Z] - state.vectors[TZ]
        return {"displacement": displacement, "consistent": self._verdict(state)}

    def explain(self, problem: Any, state: State) -> str:
        return "F is not monotone: its matrix has a negative symmetric part."

    def work(self, problem: Any) -> float:
        operator = problem.T if hasattr(problem, "contraction") else problem.F
        return float(getattr(operator, "nnz", 0)) + 20.0 * problem.size

    def _verdict(self, state: State) -> bool | None:
        """Whether T has a fixed point, as far as iterations show; None where they do not."""
        s, vectors = state.scalars, state.vectors
        if s[RES] <= s[TARGET]:
            return True
        k = s[K]
        if not (s[TOTAL] >= ENOUGH and s[EARLIER] > 0 and k > 8):
            return None
        settled = abs(s[MARK] / s[EARLIER] - 1) <= SETTLED and abs(s[RES] / s[MARK] - 1) <= SETTLED
        residual = vectors[Z] - vectors[TZ]
        average = self.drift(state)
        agree = np.linalg.norm(residual - average) <= AGREE * s[RES]
        return False if settled and agree else None

    def drift(self, state: State) -> np.ndarray:
        """The displacement vector of T from how far z has come since the anchor was set."""
        raise NotImplementedError


def image(problem: Any, scalars: np.ndarray, z: np.ndarray) -> np.ndarray:
    """T(z) by the problem's own functions."""
    if hasattr(problem, "contraction"):
        return problem.apply(z)
    step = 1.0 / scalars[LIPSCHITZ]
    return problem.resolve(z - step * problem.apply(z), step)


def _constant(problem: Any) -> float:
    """Constant a for which forward-backward steps of 1/L are averaged."""
    return 2.0 / 3.0 if problem.constrained else 0.5


def _compiled(problem: Any, scalars: np.ndarray) -> Any:
    if hasattr(problem, "contraction"):
        return problem.T.spec()
    G = Zero() if problem.G is None else problem.G
    return ForwardBackward(problem.F, G, float(1.0 / scalars[LIPSCHITZ])).spec()


def slope(problem: Any, z: np.ndarray) -> float:
    """|F(z) - F(w)| / |z - w| for a w near z; 1 where that says nothing."""
    g = problem.apply(z)
    size = float(np.linalg.norm(g))
    if not 0 < size < np.inf:
        return 1.0
    length = 1e-4 * max(1.0, float(np.linalg.norm(z)))
    w = problem.resolve(z - length / size * g, length / size)
    moved = float(np.linalg.norm(w - z))
    if not moved > 0:
        return 1.0
    found = float(np.linalg.norm(problem.apply(w) - g)) / moved
    return found if 0 < found < np.inf else 1.0


@kernel
def note(vectors, scalars, averaged):
    """Take in T(z_k): the residual, and how much T has stretched the last step."""
    z, image_z, old, image_old = vectors[Z], vectors[TZ], vectors[OLD], vectors[T_OLD]
    square, moved, stretched = _squares(z, image_z, old, image_old, averaged)
    scalars[LAST] = scalars[RES]
    scalars[RES] = np.sqrt(square)
    if moved > 0:
        scalars[EXPANSION] = max(scalars[EXPANSION], np.sqrt(stretched / moved))
    if scalars[K] == 0:
        scalars[FIRST] = scalars[RES]
    total = int(scalars[TOTAL])
    if total > 0 and total & (total - 1) == 0:
        scalars[EARLIER] = scalars[MARK]
        scalars[MARK] = scalars[RES]


@inner(reduction=True)
def _squares(z, image_z, old, image_old, averaged):
    """|z - T z|^2, |z - w|^2 and |N z - N w|^2."""
    square = moved = stretched = 0.0
    for i in range(z.size):
        d = z[i] - image_z[i]
        step = z[i] - old[i]
        change = step - (d - (old[i] - image_old[i])) / averaged
        square += d * d
        moved += step * step
        stretched += change * change
    return square, moved, stretched


@inner
def remember(vectors):
    """Keep z_k and T(z_k), before z moves."""
    copy_into(vectors[Z], vectors[OLD])
    copy_into(vectors[TZ], vectors[T_OLD])
