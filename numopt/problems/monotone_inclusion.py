"""Monotone inclusions and variational inequalities."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numopt.core.block import is_block
from numopt.core.result import Certificate, Entry
from numopt.core.validate import require_positive
from numopt.operators.components import as_components
from numopt.penalties.quadratic import Zero
from numopt.problems._calls import Mapped, norm
from numopt.problems._oracle import Calls
from numopt.problems.fixed_point import as_start, check_map
from numopt.sets._base import is_set

NATURAL = "|z - J(z - F(z))|_2 / (1 + the same at z0)"
TANGENT = "|F(w) - F(z) + z - w|_2 / (1 + |z0 - J(z0 - F(z0))|_2), w = J(z - F(z))"


@dataclass(frozen=True, eq=False)
class MonotoneInclusion(Mapped):
    r"""Monotone inclusion, :math:`0 \in F(z) + G(z)`.

    F is monotone, :math:`(F(z) - F(w))^T (z - w) \ge 0`, and Lipschitz; G is the normal cone of a
    convex set (then this is the variational inequality :math:`F(z)^T (w - z) \ge 0` for all w of
    the set), the subdifferential of a convex penalty, or any maximal monotone operator known by
    its resolvent :math:`J_e = (I + e G)^{-1}`.

    The certificate holds ``natural`` (gate), the natural residual with unit step relative to the
    start, :math:`\|z - J_1(z - F(z))\|_2 / (1 + \|z_0 - J_1(z_0 - F(z_0))\|_2)`; and for
    information ``tangent``, the norm, in the same units, of the element
    :math:`F(w) - F(z) + z - w` of (F + G)(w) at :math:`w = J_1(z - F(z))`. The objective is the
    former.

    Parameters
    ----------
    F : callable or operator, or None
        ``F(z)`` returns a vector as long as z, which is a fresh float64 array at every call; or an
        operator from `numopt.operators`, with which solvers run compiled. None where
        `components` says it all.
    z0 : array of shape (n,)
        Start, and what the residual is relative to.
    project : set or callable, optional
        A set, or ``project(v)``: the nearest point of one.
    prox : penalty or callable, optional
        A penalty, or ``prox(v, step)``.
    resolvent : callable, optional
        ``resolvent(v, step)``: the point z with z + step G(z) containing v. One of these three at
        most; G = 0 with none.
    components : Components, pair or sequence of callables, optional
        F as the mean of n operators, for stochastic methods: see
        `numopt.operators.Components`; or the pair (n, partial), or functions F_i(z). Operators
        that have components need none.
    lipschitz : float, optional
        Lipschitz constant of F; that of the operator if not given, else solvers estimate it.
    cocoercive : bool, default False
        Whether :math:`(F(z) - F(w))^T (z - w) \ge \|F(z) - F(w)\|^2 / L` with this L, as for
        gradients of convex functions; skew operators never are.

    Raises
    ------
    TypeError, ValueError
        If what is given is not callable, more than one of project, prox and resolvent is, values
        have the wrong length, or lipschitz is not > 0.

    Examples
    --------
    >>> from numopt.operators import Affine
    >>> from numopt.problems import MonotoneInclusion
    >>> from numopt.sets import Box
    >>> problem = MonotoneInclusion(Affine([[0.0, 1.0], [-1.0, 0.0]]), [1.0, 1.0], Box(0.5, 2.0))
    >>> problem.certificate([0.5, 0.5]).natural.met, float(problem.objective([0.5, 2.0]))
    (False, 0.0)
    """

    F: Any
    z0: Any
    project: Any = None
    prox: Any = None
    resolvent: Any = None
    components: Any = None
    lipschitz: Any = None
    cocoercive: bool = False
    _calls: Calls = field(init=False, repr=False, default_factory=Calls)

    def __post_init__(self) -> None:
        if self.components is not None:
            object.__setattr__(self, "components", as_components(self.components))
        elif self.F is None:
            raise TypeError("F is None and there are no components; give one of them")
        if self.F is not None:
            check_map(self.F, "F")
        object.__setattr__(self, "z0", as_start(self.z0, self.F))
        self._check_resolvent()
        if self.lipschitz is not None:
            require_positive(self.lipschitz, "lipschitz")
            object.__setattr__(self, "lipschitz", float(self.lipschitz))
        if not isinstance(self.cocoercive, (bool, np.bool_)):
            raise TypeError(f"cocoercive must be True or False, got {self.cocoercive!r}")

    def _check_resolvent(self) -> None:
        given = [n for n in ("project", "prox", "resolvent") if getattr(self, n) is not None]
        if len(given) > 1:
            raise ValueError(f"{given[0]} and {given[1]} were both given; give one of them")
        for name in given:
            value = getattr(self, name)
            if isinstance(value, type):
                raise TypeError(f"{name} is the class {value.__name__}, not an instance of it")
            if not is_block(value):
                if not callable(value):
                    raise TypeError(
                        f"{name} must be callable, or one of numopt."
                        f"{'sets' if name == 'project' else 'penalties'}, got "
                        f"{type(value).__name__}"
                    )
                continue
            if value.offers("gradient_1d") or value.offers("apply_into"):
                raise TypeError(f"{name} must be a set or penalty, got {type(value).__name__}")
            if name == "project" and not _projects(value):
                raise TypeError(
                    f"project must be a set, got the penalty {type(value).__name__}; give prox="
                )
            if not getattr(value, "has_projection", True):
                raise ValueError(
                    f"{name} is {type(value).__name__}, which has no projection; take a method "
                    "that needs its linear oracle alone"
                )
            if not value.convex:
                raise ValueError(
                    f"{name} is {type(value).__name__}, which is not convex: its subdifferential "
                    "is not monotone"
                )
            if value.size not in (None, self.z0.size):
                raise ValueError(
                    f"{name} was made for {value.size} coordinates, z0 has {self.z0.size}"
                )

    @property
    def default_solver(self) -> str:  # type: ignore[override]
        """Variance reduction for finite sums in Python, else an anchored method."""
        if self.components is not None and self.F is None:
            return "vr-halpern"
        return "halpern" if self.cocoercive else "anchored-extragradient"

    @property
    def G(self) -> Any:
        """The penalty or set, or the function that is the resolvent; None for G = 0."""
        found = (self.project, self.prox, self.resolvent)
        return next((g for g in found if g is not None), None)

    @property
    def constrained(self) -> bool:
        """Whether G is not 0."""
        return self.G is not None and not isinstance(self.G, Zero)

    @property
    def compiled(self) -> bool:
        """Whether kernels can call F and the resolvent."""
        G = self.G
        proxes = ("prox_into", "prox_1d", "prox", "project")
        return is_block(self.F) and (
            G is None or (is_block(G) and any(G.offers(method) for method in proxes))
        )

    @property
    def split(self) -> Any:
        """What knows the components of F: `components`, or the operator; None where none does."""
        if self.components is not None:
            return self.components
        return self.F if is_block(self.F) and self.F.n_components else None

    @property
    def known_lipschitz(self) -> float | None:
        """Lipschitz constant that was given or that the operator knows."""
        if self.lipschitz is not None:
            return float(self.lipschitz)
        return self.F.lipschitz if is_block(self.F) else None

    @property
    def monotone(self) -> bool | None:
        """Whether F is monotone, None if it is not known."""
        return self.F.monotone if is_block(self.F) else None

    def apply(self, z: np.ndarray) -> np.ndarray:
        """F(z); the last value is remembered."""
        calls, key = self._calls, z.tobytes()
        if calls.last[0] == key:
            return np.frombuffer(calls.last[2] or b"")
        calls.nfev += 1
        function = self.components if self.F is None else self.F
        image = self._call(function, z, "components" if self.F is None else "F")
        calls.last = key, 0.0, image.tobytes()
        return image

    def resolve(self, v: np.ndarray, step: float) -> np.ndarray:
        """J_step(v)."""
        G = self.G
        if G is None:
            return v
        if is_block(G):
            if self.project is not None and hasattr(G, "project"):
                return np.asarray(G.project(v))
            return np.asarray(G.prox(v, step))
        if self.project is not None:
            return self._call(G, v, "project")
        return self._call(G, v, "prox" if self.prox is not None else "resolvent", step)

    def natural(self, z: np.ndarray) -> tuple[float, np.ndarray]:
        """|z - w| and w = J(z - F(z)), unscaled."""
        w = self.resolve(z - self.apply(z), 1.0)
        return norm(z - w), w

    @property
    def scale(self) -> float:
        """1 + the natural residual at z0; 1 if that is not finite."""
        return self.cached("scale", (self.F, self.components, self.G, self.z0), self._scale)

    def _scale(self) -> float:
        first = self.natural(self.z0)[0]
        return 1.0 + first if np.isfinite(first) else 1.0

    def objective(self, x: Any) -> float:
        """The natural residual, as in the certificate."""
        return self.natural(self.point(x))[0] / self.scale

    def certificate(self, x: Any) -> Certificate:
        """Natural and tangent residual at x."""
        z = self.point(x)
        residual, w = self.natural(z)
        image = self.apply(z)
        tangent = norm(self.apply(w) - image + z - w) if np.isfinite(residual) else np.nan
        return self.certified(residual, tangent)

    def certified(self, residual: float, tangent: float | None = None) -> Certificate:
        """The certificate where the natural residual is known."""
        scale = self.scale
        entries = {"natural": Entry(residual / scale, NATURAL)}
        if tangent is not None:
            entries["tangent"] = Entry(tangent / scale, TANGENT, gate=False)
        return Certificate("global", entries, residual / scale)


def _projects(block: Any) -> bool:
    """Whether the prox of a block is a projection: a set, or a sum of sets."""
    parts = getattr(block, "blocks", None)
    return is_set(block) if parts is None else all(map(_projects, parts))
