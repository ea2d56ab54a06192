"""A user's differentiable function plus a penalty, or over a set."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from numopt.core.block import is_block
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_length
from numopt.problems._oracle import Calls, Oracle, relative_scale
from numopt.problems.set_constrained import OUTSIDE, gap_entries
from numopt.sets import Box, ConvexSet
from numopt.sets._base import is_set

KKT = "max_j dist(-g_j, d phi_j(x)) / s, s = max(1, |F| / max(1, |x|_inf))"
FIXED_POINT = "|x - prox(x - t g)|_inf / (t s), prox with step t = 1/s"
FIXED_POINT_L = "|x - prox(x - t g)|_inf / (t s), prox with step t = 1/max(s, L)"
POWER_STEPS = 8  # gradients spent on the curvature where nobody gives it


@dataclass(frozen=True, eq=False)
class SmoothComposite(Oracle):
    r"""A function given in Python plus a penalty, :math:`\min_x F(x) = f(x) + \phi(x)`.

    With a set from `numopt.sets` in place of the penalty: :math:`\min f(x)` over the set. With g
    the gradient of f and :math:`s = \max(1, |F(x)| / \max(1, \|x\|_\infty))`, the certificate
    holds, as gates,

    - for penalties with a subdifferential distance ``kkt``:
      :math:`\max_j \mathrm{dist}(-g_j, \partial \phi_j(x)) / s`;
    - for other penalties ``fixed_point``: :math:`\|x - \mathrm{prox}_{t \phi}(x - t g)\|_\infty /
      (t s)` with t = 1/s, for nonconvex ones t = 1/max(s, L), where L is the curvature of f that
      the solver found (`curvature` of the result);
    - for sets ``outside``: :math:`\|x - P(x)\|_\infty / \max(1, \|x\|_\infty)`, and the
      Frank-Wolfe gap ``fw_gap``: :math:`\max_{v} g^T (x - v) / \max(1, |f|)`, v in the set; for
      unbounded sets and those without a linear minimisation oracle ``fixed_point`` instead. Sets
      without a projection measure how far x is outside by their own `violation`.

    Without penalty and set ``kkt`` is ``stationarity`` of `Smooth`. For a convex f the gap bounds
    f(x) - min f; f is not known to be convex unless `convex` says so, so the claim made is of a
    stationary point.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number, or the pair (f, gradient) with ``jac=True``; x is a
        fresh float64 array at every call.
    penalty : block
        Penalty or set for x.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        ``jac(x, *args)`` returns the gradient. A string asks for finite differences, which stay
        inside a `Box` but may leave other sets by their step; "2-point" if not given.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    rel_step : float or array of shape (n,), optional
        Relative steps of the differences.
    convex : bool, default False
        Whether f is known to be convex: with a convex penalty or set the claim is then global.

    Attributes
    ----------
    evaluations, default_tol
        As for `Smooth`.

    Raises
    ------
    TypeError
        If `fun` is not callable, or `penalty` no penalty or set.
    ValueError
        If value or gradient have the wrong shape.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.penalties import L1
    >>> from numopt.problems import SmoothComposite
    >>> centre = np.array([3.0, 0.5])
    >>> problem = SmoothComposite(
    ...     lambda x: (x - centre) @ (x - centre) / 2, L1(1.0), lambda x: x - centre
    ... )
    >>> problem.objective([2.0, 0.0]), problem.certificate([2.0, 0.0]).met(1e-15)
    (2.625, True)
    """

    default_solver: ClassVar[str] = "prox-grad"
    certificate_parts: ClassVar[tuple[str, ...]] = ("curvature",)

    fun: Callable[..., Any]
    penalty: Any
    jac: Any = None
    args: Any = ()
    rel_step: Any = None
    convex: bool = False
    _calls: Calls = field(init=False, repr=False, default_factory=Calls)

    def __post_init__(self) -> None:
        self._check_oracle()
        penalty = self.penalty
        if isinstance(penalty, type):
            raise TypeError(f"penalty is the class {penalty.__name__}, not an instance of it")
        if not is_block(penalty) or penalty.offers("gradient_1d"):
            raise TypeError(
                f"penalty must be a penalty or set, got {type(penalty).__name__}; take one from "
                "numopt.penalties or numopt.sets, or make one with numopt.block"
            )

    @property
    def size(self) -> int | None:
        """Number of variables, if the penalty tells."""
        size: int | None = self.penalty.size
        return size

    @property
    def is_set(self) -> bool:
        """Whether x ranges over a set, without a penalty."""
        return is_set(self.penalty)

    @property
    def stays_inside(self) -> bool:
        """Whether `fun` is to be called in a convex set alone."""
        return bool(self.penalty.convex and (self.is_set or hasattr(self.penalty, "lower")))

    @property
    def gate(self) -> str:
        """Name of the entry of the certificate that measures optimality."""
        penalty = self.penalty
        if self.is_set:
            return "fw_gap" if self.bounded else "fixed_point"
        distance = penalty.offers("subdiff_distance_1d") or penalty.offers("subdiff_distance_of")
        return "kkt" if distance else "fixed_point"

    @property
    def bounded(self) -> bool:
        """Whether linear functions have minima over the set, and it can tell."""
        return self.is_set and bool(getattr(self.penalty, "bounded", False))

    @property
    def kind(self) -> str:
        """What a met certificate claims."""
        return "global" if self.convex and self.penalty.convex else "stationary"

    def reach(self, n: int) -> float:
        """Diameter in n dimensions of a set with a linear minimisation oracle, else inf."""
        penalty = self.penalty
        if not self.is_set or getattr(type(penalty), "lmo", ConvexSet.lmo) is ConvexSet.lmo:
            return math.inf
        if isinstance(penalty, Box) and penalty.size is not None:
            n = penalty.size
        return float(penalty.diameter_in(n))

    def limits(self, n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Bounds that differences keep to: those of a box."""
        if not hasattr(self.penalty, "lower"):
            return None, None
        lower, upper = self.penalty.lower, self.penalty.upper
        return np.broadcast_to(lower, n).astype(float), np.broadcast_to(upper, n).astype(float)

    def objective(self, x: Any, curvature: float | None = None) -> float:
        """f(x) + penalty(x); over a set f(x). `curvature` is not looked at."""
        x = self._point(x)
        return self.value(x) + (0.0 if self.is_set else self.penalty.value(x))

    def certificate(self, x: Any, curvature: float | None = None) -> Certificate:
        """Stationarity at x; free where x is the last point that was evaluated.

        `curvature` is L for nonconvex penalties without a subdifferential distance; some gradients
        near x are taken to estimate it if it is not given.
        """
        x = self._point(x)
        return self.certificate_from(x, *self.value_and_gradient(x), curvature)

    @np.errstate(over="ignore", invalid="ignore")
    def certificate_from(
        self, x: np.ndarray, f: float, g: np.ndarray, curvature: float | None
    ) -> Certificate:
        """The certificate at an x where value and gradient of f are known."""
        fun = f if self.is_set else f + self.penalty.value(x)
        if not (math.isfinite(f) and np.isfinite(g).all()):
            formula = "the function or its gradient is not finite"
            return Certificate(self.kind, {self.gate: Entry(math.nan, formula)}, fun)
        scale = relative_scale(x, fun)
        if self.is_set:
            return Certificate(self.kind, self._entries_of_set(x, f, g, scale), fun)
        if self.gate == "kkt":
            distance = self.penalty.subdiff_distance(x, g) / scale
            return Certificate(self.kind, {"kkt": Entry(distance, KKT)}, fun)
        formula, step = FIXED_POINT, 1.0 / scale
        if not self.penalty.convex:
            largest = self._curvature(x, g) if curvature is None else float(curvature)
            formula, step = FIXED_POINT_L, 1.0 / max(scale, largest)
        residual = self._fixed_point(x, g, step) / scale
        return Certificate(self.kind, {"fixed_point": Entry(residual, formula)}, fun)

    def _entries_of_set(
        self, x: np.ndarray, f: float, g: np.ndarray, scale: float
    ) -> dict[str, Entry]:
        bounded, penalty = self.bounded, self.penalty
        if bounded:
            entries = gap_entries(penalty, x, f, g)
        else:
            largest = max(1.0, float(np.abs(x).max(initial=0.0)))
            outside = float(np.abs(x - penalty.project(x)).max(initial=0.0)) / largest
            entries = {"outside": Entry(outside, OUTSIDE)}
        if any(penalty.offers(name) for name in ("prox_1d", "prox_into", "prox", "project")):
            residual = self._fixed_point(x, g, 1.0 / scale) / scale
            entries["fixed_point"] = Entry(residual, FIXED_POINT, gate=not bounded)
        return entries

    def _fixed_point(self, x: np.ndarray, g: np.ndarray, step: float) -> float:
        moved = x - self.penalty.prox(x - step * g, step)
        return float(np.abs(moved).max(initial=0.0)) / step

    def _curvature(self, x: np.ndarray, g: np.ndarray) -> float:
        """Largest curvature of f near x by a few steps of power iteration on differences."""
        p, largest = np.random.default_rng(0).standard_normal(x.size), 0.0
        h = 1e-5 * max(1.0, float(np.linalg.norm(x)))
        for _ in range(POWER_STEPS):
            length = float(np.linalg.norm(p))
            if not 0 < length < np.inf:
                break
            p = (self.gradient_at(x + h / length * p) - g) / h
            largest = max(largest, float(np.linalg.norm(p)))
        return largest

    def _point(self, x: Any) -> np.ndarray:
        x = as_vector(x, "x", np.float64)
        return x if self.size is None else require_length(x, self.size, "x")
