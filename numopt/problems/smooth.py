"""A user's differentiable function, with or without bounds."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from numopt.core import differences
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_length
from numopt.problems._base import Problem

FORMULA = "|x - P(x - g/s)|_inf, s = max(1, |f| / max(1, |x|_inf))"


class _Calls(threading.local):
    """Counts of one thread, and the last point it evaluated with value and gradient."""

    nfev = 0
    njev = 0
    last: tuple[bytes, float, bytes] = (b"nothing yet", math.nan, b"")


@dataclass(frozen=True, eq=False)
class Smooth(Problem):
    r"""A function given in Python, :math:`\min_x f(x)` subject to :math:`l \le x \le u`.

    The certificate holds ``stationarity`` (gate),

    .. math::
       \|x - P(x - \nabla f(x) / s)\|_\infty, \qquad s = \max(1, |f(x)| / \max(1, \|x\|_\infty))

    with P the projection on the bounds: the largest entry of the gradient of f / s, where a bound
    that it pushes against does not count. To first order it bounds the relative change of f by a
    relative change of x. (Were s as large as f wherever x is, :math:`-x^2` would count as solved
    at x = 1e9; were s outside P, a box would hide any gradient.) It is 0 inside the bounds only.

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

    Attributes
    ----------
    evaluations : tuple of int
        Calls of `fun`, differences included, gradients and Hessians since the problem was made,
        in this thread.
    default_tol : float
        1e-8 with a gradient or "cs", 1e-7 with "3-point" and 1e-5 with "2-point": what the error
        of the differences, eps^(2/3) and eps^(1/2) relative to the derivatives of f, lets a
        method reach.

    Raises
    ------
    TypeError
        If `fun` is not callable, or what it returns is not real.
    ValueError
        If a lower bound exceeds the upper, or the value or gradient has the wrong shape.

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

    default_solver: ClassVar[str] = "lbfgs"

    fun: Callable[..., Any]
    jac: Any = None
    bounds: Any = None
    args: Any = ()
    rel_step: Any = None
    # None without bounds, else arrays of shape (n,), or 0-d where one number holds for all.
    lower: Any = field(init=False, repr=False)
    upper: Any = field(init=False, repr=False)
    _calls: _Calls = field(init=False, repr=False, default_factory=_Calls)

    def __post_init__(self) -> None:
        if not callable(self.fun):
            raise TypeError(f"fun must be callable, got {type(self.fun).__name__}")
        jac = "2-point" if self.jac is None or self.jac is False else self.jac
        if not (callable(jac) or jac is True or jac in differences.SCHEMES):
            raise ValueError(
                f"jac must be callable, True, '2-point', '3-point' or 'cs'; got {self.jac!r}"
            )
        args = self.args if isinstance(self.args, tuple) else (self.args,)
        lower, upper = as_bounds(self.bounds)
        for name, value in (("jac", jac), ("args", args), ("lower", lower), ("upper", upper)):
            object.__setattr__(self, name, value)

    @property
    def size(self) -> int | None:
        """Number of variables, if the bounds tell."""
        return None if self.lower is None or self.lower.ndim == 0 else int(self.lower.size)

    @property
    def evaluations(self) -> tuple[int, int, int]:
        """Calls of function, gradient and Hessian in this thread."""
        return self._calls.nfev, self._calls.njev, 0

    @property
    def default_tol(self) -> float:
        """1e-8; 1e-7 and 1e-5 with "3-point" and "2-point" differences."""
        if callable(self.jac) or self.jac is True:
            return 1e-8
        return {"2-point": 1e-5, "3-point": 1e-7, "cs": 1e-8}[self.jac]

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
        x = as_vector(x, "x", np.float64)
        point, f, _ = self._calls.last
        return f if point == x.tobytes() else self._value(x)

    def certificate(self, x: Any) -> Certificate:
        """Stationarity at x; free where x is the last point that was evaluated."""
        x = as_vector(x, "x", np.float64)
        if self.size is not None:
            require_length(x, self.size, "x")
        if self._calls.last[0] != x.tobytes():
            self.evaluate_into(x, np.empty(x.size))
        _, f, g = self._calls.last
        worst = stationarity(x, f, np.frombuffer(g), *self.limits(x.size))
        return Certificate("stationary", {"stationarity": Entry(worst, FORMULA)}, f)

    def evaluate_into(self, x: np.ndarray, out: np.ndarray) -> float:
        """Return f(x) and write the gradient into `out`: NaN, at no call, where f is not finite."""
        calls, jac, args = self._calls, self.jac, self.args
        calls.nfev += 1
        value = self.fun(x.copy(), *args)
        if jac is True:
            calls.njev += 1
            value, gradient = _as_pair(value)
            f = _as_number(value)
            _copy_gradient(gradient, out, "the gradient that fun returned")
        else:
            f = value if type(value) is float else _as_number(value)
            if not math.isfinite(f):
                out.fill(math.nan)
            elif callable(jac):
                calls.njev += 1
                _copy_gradient(jac(x.copy(), *args), out, "the gradient that jac returned")
            else:
                calls.njev += 1
                limits = self.limits(x.size)
                differences.gradient_into(
                    self._number, x, f, jac, *limits, out, rel_step=self.rel_step
                )
        calls.last = (x.tobytes(), f, out.tobytes())
        return f

    def _value(self, x: np.ndarray) -> float:
        self._calls.nfev += 1
        return _as_number(self.fun(x.copy(), *self.args))

    def _number(self, x: np.ndarray) -> Any:
        """Value at an x that may be complex and is nobody else's."""
        self._calls.nfev += 1
        value = self.fun(x, *self.args)
        return _as_number(value, complex_too=x.dtype.kind == "c")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_calls"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_calls": _Calls()})


def stationarity(
    x: np.ndarray, f: float, g: np.ndarray, lower: np.ndarray | None, upper: np.ndarray | None
) -> float:
    """`FORMULA`; the step P(x - g/s) - x is formed without first rounding x - g/s."""
    if not math.isfinite(f):
        return math.nan
    if x.size == 0:
        return 0.0
    step = g / -max(1.0, abs(f) / max(1.0, float(np.abs(x).max())))
    if lower is not None and upper is not None:
        step = np.clip(step, lower - x, upper - x)
    return float(np.abs(step).max())


def _as_pair(value: Any) -> tuple[Any, Any]:
    if not (isinstance(value, (tuple, list)) and len(value) == 2):
        raise ValueError(
            f"fun must return the pair (f, gradient) with jac=True, got {type(value).__name__}; "
            "drop jac=True if it returns the value alone"
        )
    return value[0], value[1]


def _as_number(value: Any, complex_too: bool = False) -> Any:
    """What a function returned, as a float; an array with one entry passes as SciPy lets it."""
    if isinstance(value, float):
        return float(value)
    array = np.asarray(value)
    if array.size != 1:
        raise ValueError(
            "The user-provided objective function must return a scalar value. fun returned an "
            f"array of shape {array.shape}; sum it up first"
        )
    if array.dtype.kind not in ("fiub" + "c" * complex_too):
        raise TypeError(f"fun must return a real number, got {array.dtype}")
    return array.item() if complex_too else float(array.item())


def _copy_gradient(value: Any, out: np.ndarray, what: str) -> None:
    if type(value) is np.ndarray and value.shape == out.shape and value.dtype == out.dtype:
        out[:] = value
        return
    array = np.asarray(value)
    if array.size != out.size or array.ndim > 2:
        raise ValueError(f"{what} has shape {array.shape}, expected ({out.size},)")
    if array.dtype.kind not in "fiub":
        raise TypeError(f"{what} must be real, got {array.dtype}")
    out[:] = array if array.ndim == 1 else array.ravel()


def as_bounds(bounds: Any) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Lower and upper bounds as arrays, 0-d where one number holds for all."""
    if bounds is None:
        return None, None
    if hasattr(bounds, "lb") and hasattr(bounds, "ub"):
        try:
            lower, upper = np.asarray(bounds.lb, float), np.asarray(bounds.ub, float)
            one_for_all = lower.size == 1 == upper.size
            if one_for_all:
                lower, upper = lower.reshape(()), upper.reshape(())
            else:
                lower, upper = (b.copy() for b in np.broadcast_arrays(lower, upper))
        except (TypeError, ValueError) as error:
            raise ValueError(f"bounds: lb and ub do not fit each other: {error}") from None
    else:
        try:
            pairs = [(low, high) for low, high in bounds]
        except (TypeError, ValueError):
            raise ValueError(
                "bounds must be scipy.optimize.Bounds or a sequence of (lower, upper) pairs"
            ) from None
        lower = np.array([-np.inf if low is None else low for low, _ in pairs], float)
        upper = np.array([np.inf if high is None else high for _, high in pairs], float)
    if lower.ndim > 1:
        raise ValueError(f"bounds must be 1-D, got shape {lower.shape}")
    wrong = np.atleast_1d(~(lower <= upper))
    if wrong.any():
        i = int(np.argmax(wrong))
        low, high = float(np.atleast_1d(lower)[i]), float(np.atleast_1d(upper)[i])
        what = "An upper bound is less than the corresponding lower bound."
        if math.isnan(low) or math.isnan(high):
            what = "A bound is NaN; write None or inf for no bound."
        raise ValueError(f"{what} bounds has ({low:g}, {high:g}) at index {i}")
    if np.any(lower == np.inf) or np.any(upper == -np.inf):
        raise ValueError("bounds: a lower bound is +inf or an upper bound is -inf")
    return lower, upper
