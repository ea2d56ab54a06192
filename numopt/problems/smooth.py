"""A user's differentiable function, with or without bounds."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_length
from numopt.problems._curvature import (
    CURVATURE,
    as_hessian,
    check_hessian,
    difference_hessian,
    lowest,
    require_symmetric,
)
from numopt.problems._oracle import Calls, Oracle, as_bounds, copy_gradient, relative_scale

FORMULA = "|x - P(x - g/s)|_inf, s = max(1, |f| / max(1, |x|_inf))"


@dataclass(frozen=True, eq=False)
class Smooth(Oracle):
    r"""A function given in Python, :math:`\min_x f(x)` subject to :math:`l \le x \le u`.

    The certificate holds ``stationarity`` (gate),

    .. math::
       \|x - P(x - \nabla f(x) / s)\|_\infty, \qquad s = \max(1, |f(x)| / \max(1, \|x\|_\infty))

    with P the projection on the bounds: the largest entry of the gradient of f / s, where a bound
    that it pushes against does not count. To first order it bounds the relative change of f by a
    relative change of x. (Were s as large as f wherever x is, :math:`-x^2` would count as solved
    at x = 1e9; were s outside P, a box would hide any gradient.) It is 0 inside the bounds only.

    With second derivatives it also holds ``curvature`` (gate), the square of the most negative
    eigenvalue of the Hessian on the variables inside their bounds, relative to its largest entry:
    saddle points do not pass. A tolerance of 1e-8 asks for eigenvalues above -1e-4.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number, or the pair (f, gradient) with ``jac=True``. x is a
        fresh float64 array of shape (n,) at every call. NaN or infinity mark points outside the
        domain of f.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        ``jac(x, *args)`` returns the gradient, n numbers. A string asks for finite differences of
        `fun`, which stay inside the bounds; "2-point" if not given.
    bounds : scipy.optimize.Bounds, sequence of pairs, optional
        Lower and upper bound of each coordinate; None or an infinity for none. Equal bounds fix
        a variable.
    args : tuple, optional
        Further arguments of `fun` and `jac`.
    rel_step : float or array of shape (n,), optional
        Relative steps of the differences, see `numopt.core.differences.gradient_into`.
    hess : callable or {"2-point", "3-point", "cs"}, optional
        ``hess(x, *args)`` returns the Hessian: an array, a sparse matrix or a LinearOperator of
        shape (n, n). A string asks for differences of the gradient, central for all but
        "2-point".
    hessp : callable, optional
        ``hessp(x, p, *args)`` returns the Hessian times p; not looked at where there is `hess`.

    Attributes
    ----------
    evaluations : tuple of int
        Calls of `fun`, differences included, gradients and Hessians (or products with them)
        since the problem was made, in this thread.
    default_tol : float
        1e-8 with a gradient or "cs", 1e-7 with "3-point" and 1e-5 with "2-point": what the error
        of the differences, eps^(2/3) and eps^(1/2) relative to the derivatives of f, lets a
        method reach.

    Raises
    ------
    TypeError
        If `fun` is not callable, or what it returns is not real.
    ValueError
        If a lower bound exceeds the upper, or value, gradient or Hessian have the wrong shape, or
        the Hessian is not symmetric.

    Notes
    -----
    The last point evaluated is remembered with its value and gradient, so the certificate there
    costs no call. Counts and memory are kept per thread.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import Smooth
    >>> problem = Smooth(lambda x: x @ x, lambda x: 2 * x, bounds=[(1, None), (None, None)])
    >>> float(problem.certificate(np.array([1.0, 0.0]))["stationarity"])
    0.0
    >>> problem.evaluations
    (1, 1, 0)
    """

    fun: Callable[..., Any]
    jac: Any = None
    bounds: Any = None
    args: Any = ()
    rel_step: Any = None
    hess: Any = None
    hessp: Any = None
    # None without bounds, else arrays of shape (n,), or 0-d where one number holds for all.
    lower: Any = field(init=False, repr=False)
    upper: Any = field(init=False, repr=False)
    _calls: Calls = field(init=False, repr=False, default_factory=Calls)

    def __post_init__(self) -> None:
        self._check_oracle()
        check_hessian(self.hess, self.hessp, self.has_gradient)
        lower, upper = as_bounds(self.bounds)
        object.__setattr__(self, "lower", lower)
        object.__setattr__(self, "upper", upper)

    @property
    def size(self) -> int | None:
        """Number of variables, if the bounds tell."""
        return None if self.lower is None or self.lower.ndim == 0 else int(self.lower.size)

    @property
    def default_solver(self) -> str:  # type: ignore[override]
        """Newton's method where there are second derivatives, else L-BFGS."""
        return "newton" if self.has_curvature else "lbfgs"

    @property
    def has_curvature(self) -> bool:
        """Whether there are second derivatives."""
        return self.hess is not None or self.hessp is not None

    def limits(self, n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Lower and upper bounds of n variables, or None twice."""
        if self.lower is None:
            return None, None
        if self.size is None:
            return np.full(n, self.lower), np.full(n, self.upper)
        if self.size != n:
            raise ValueError(
                "The number of bounds is not compatible with the length of `x0`. bounds are given "
                f"for {self.size} variables, but x has {n}"
            )
        return self.lower, self.upper

    def project(self, x: np.ndarray) -> np.ndarray:
        """The nearest point inside the bounds, a new array."""
        lower, upper = self.limits(x.size)
        return x.copy() if lower is None else np.clip(x, lower, upper)

    def objective(self, x: Any) -> float:
        """f(x)."""
        return self.value(as_vector(x, "x", np.float64))

    def certificate(self, x: Any) -> Certificate:
        """Stationarity at x, free where x is the last point evaluated, and the lowest curvature."""
        x = as_vector(x, "x", np.float64)
        if self.size is not None:
            require_length(x, self.size, "x")
        f, g = self.value_and_gradient(x)
        lower, upper = self.limits(x.size)
        worst = stationarity(x, f, g, lower, upper)
        entries = {"stationarity": Entry(worst, FORMULA)}
        if self.has_curvature:
            inside = np.ones(x.size, bool)
            if lower is not None and upper is not None:
                inside = (x > lower) & (x < upper)
            least, _, size = lowest(self.hessian(x, g), inside) if worst < np.inf else (worst,) * 3
            squared = (min(0.0, least) / max(1.0, size)) ** 2 if least == least else math.nan
            entries["curvature"] = Entry(squared, CURVATURE)
        return Certificate("stationary", entries, f)

    def hessian(self, x: np.ndarray, g: np.ndarray | None = None) -> Any:
        """The Hessian at x: an array, a CSC array or an operator; `g` saves differences a call.

        That of the last point it was asked for is remembered.
        """
        calls, key = self._calls, x.tobytes()
        if calls.last_hessian[0] == key:
            return calls.last_hessian[1]
        H: Any
        if callable(self.hess):
            calls.nhev += 1
            H = as_hessian(self.hess(x.copy(), *self.args), x.size)
            if calls.nhev == 1:
                require_symmetric(H)
        elif self.hess is not None:
            calls.nhev += 1
            g = self.gradient_at(x) if g is None else g
            H = difference_hessian(self.gradient_at, x, g, self.hess, *self.limits(x.size))
        else:
            H = _Products(self, x.copy())
        calls.last_hessian = key, H
        return H


class _Products:
    """The Hessian at a point, of which `hessp` gives products."""

    def __init__(self, problem: Smooth, x: np.ndarray):
        self.problem, self.x, self.shape = problem, x, (x.size, x.size)

    def __matmul__(self, p: np.ndarray) -> np.ndarray:
        problem = self.problem
        problem._calls.nhev += 1
        out = np.empty(p.size)
        product = problem.hessp(self.x.copy(), p.copy(), *problem.args)
        copy_gradient(product, out, "the product that hessp returned")
        return out


def stationarity(
    x: np.ndarray, f: float, g: np.ndarray, lower: np.ndarray | None, upper: np.ndarray | None
) -> float:
    """`FORMULA`; the step P(x - g/s) - x is formed without first rounding x - g/s."""
    if not math.isfinite(f):
        return math.nan
    if x.size == 0:
        return 0.0
    step = g / -relative_scale(x, f)
    if lower is not None and upper is not None:
        step = np.clip(step, lower - x, upper - x)
    return float(np.abs(step).max())
