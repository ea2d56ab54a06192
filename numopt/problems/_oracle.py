"""Functions given in Python: calls, counts, and the last point evaluated."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable
from typing import Any

import numpy as np

from numopt.core import differences
from numopt.problems._base import Problem


class Calls(threading.local):
    """Counts of one thread, and the last point it evaluated with its value and gradient."""

    nfev = 0
    njev = 0
    nhev = 0
    # Value alone where the gradient is None.
    last: tuple[bytes, float, bytes | None] = (b"nothing yet", math.nan, None)
    last_hessian: tuple[bytes, Any] = (b"nothing yet", None)


class Oracle(Problem):
    """Base of problems whose smooth part is a Python function with a gradient.

    Subclasses are dataclasses with the fields `fun`, `jac`, `args`, `rel_step` and `_calls`; they
    call `_check_oracle` once and say by `limits` where differences may be taken.
    """

    fun: Callable[..., Any]
    jac: Any
    args: Any
    rel_step: Any
    _calls: Calls

    def _check_oracle(self) -> None:
        if not callable(self.fun):
            raise TypeError(f"fun must be callable, got {type(self.fun).__name__}")
        jac = "2-point" if self.jac is None or self.jac is False else self.jac
        if not (callable(jac) or jac is True or jac in differences.SCHEMES):
            raise ValueError(
                f"jac must be callable, True, '2-point', '3-point' or 'cs'; got {self.jac!r}"
            )
        object.__setattr__(self, "jac", jac)
        object.__setattr__(
            self, "args", self.args if isinstance(self.args, tuple) else (self.args,)
        )

    @property
    def evaluations(self) -> tuple[int, int, int]:
        """Calls of function, gradient and Hessian (or its products) in this thread."""
        return self._calls.nfev, self._calls.njev, self._calls.nhev

    @property
    def default_tol(self) -> float:
        """1e-8; 1e-7 and 1e-5 with "3-point" and "2-point" differences."""
        if callable(self.jac) or self.jac is True:
            return 1e-8
        return {"2-point": 1e-5, "3-point": 1e-7, "cs": 1e-8}[self.jac]

    @property
    def has_gradient(self) -> bool:
        """Whether gradients cost a call, not differences."""
        return callable(self.jac) or self.jac is True

    def limits(self, n: int) -> tuple[np.ndarray | None, np.ndarray | None]:
        """Lower and upper bounds that differences of n variables keep to, or None twice."""
        return None, None

    def value(self, x: np.ndarray) -> float:
        """f(x); the gradient is kept as well where `fun` returns both."""
        if self.jac is True:
            return self.evaluate_into(x, np.empty(x.size))
        point, f, _ = self._calls.last
        if point != (key := x.tobytes()):
            self._calls.nfev += 1
            f = _as_number(self.fun(x.copy(), *self.args))
            self._calls.last = (key, f, None)
        return f

    def value_and_gradient(self, x: np.ndarray) -> tuple[float, np.ndarray]:
        """f(x) and its gradient in a new array."""
        gradient = np.empty(x.size)
        return self.evaluate_into(x, gradient), gradient

    def evaluate_into(self, x: np.ndarray, out: np.ndarray) -> float:
        """Return f(x) and write the gradient into `out`: NaN, at no call, where f is not finite.

        What is known of the last point is not asked for again.
        """
        # One look-up of what belongs to the thread: this is the overhead of an iteration.
        calls, jac = self._calls.__dict__, self.jac
        key = x.tobytes()
        point, f, known = calls.get("last", Calls.last)
        if point == key and known is not None:
            out[:] = np.frombuffer(known)
            return f
        if jac is True:
            calls["nfev"] = calls.get("nfev", 0) + 1
            calls["njev"] = calls.get("njev", 0) + 1
            value, gradient = _as_pair(self.fun(x.copy(), *self.args))
            f = value if type(value) is float else _as_number(value)
            copy_gradient(gradient, out, "the gradient that fun returned")
        else:
            if point != key:
                calls["nfev"] = calls.get("nfev", 0) + 1
                value = self.fun(x.copy(), *self.args)
                f = value if type(value) is float else _as_number(value)
            if not math.isfinite(f):
                out.fill(math.nan)
            else:
                calls["njev"] = calls.get("njev", 0) + 1
                if callable(jac):
                    gradient = jac(x.copy(), *self.args)
                    copy_gradient(gradient, out, "the gradient that jac returned")
                else:
                    limits = self.limits(x.size)
                    differences.gradient_into(
                        self._number, x, f, jac, *limits, out, rel_step=self.rel_step
                    )
        calls["last"] = (key, f, out.tobytes())
        return f

    def gradient_at(self, x: np.ndarray) -> np.ndarray:
        """The gradient alone, without looking at or keeping the last point."""
        self._calls.njev += 1
        out = np.empty(x.size)
        if self.jac is True:
            self._calls.nfev += 1
            _, gradient = _as_pair(self.fun(x.copy(), *self.args))
        elif callable(self.jac):
            gradient = self.jac(x.copy(), *self.args)
        else:
            f, limits = self._number(x.copy()), self.limits(x.size)
            differences.gradient_into(self._number, x, f, self.jac, *limits, out, self.rel_step)
            return out
        copy_gradient(gradient, out, "the gradient")
        return out

    def _number(self, x: np.ndarray) -> Any:
        """Value at an x that may be complex and is nobody else's."""
        self._calls.nfev += 1
        value = self.fun(x, *self.args)
        return _as_number(value, complex_too=x.dtype.kind == "c")

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_calls"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_calls": Calls()})


def relative_scale(x: np.ndarray, f: float) -> float:
    """s = max(1, |f| / max(1, |x|_inf)), by which certificates divide f."""
    return max(1.0, abs(f) / max(1.0, float(np.abs(x).max(initial=0.0))))


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


def copy_gradient(value: Any, out: np.ndarray, what: str) -> None:
    """Write a gradient that a user's function returned into `out`."""
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
