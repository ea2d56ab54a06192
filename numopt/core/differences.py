"""Gradients by finite differences that stay inside the bounds."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

SCHEMES = ("2-point", "3-point", "cs")

EPS = np.finfo(np.float64).eps
# Relative steps that balance truncation against rounding; a complex step has nothing to balance.
REL_STEP = {"2-point": EPS**0.5, "3-point": EPS ** (1 / 3), "cs": 1e-20}


def gradient_into(
    fun: Callable[[Any], Any],
    x: np.ndarray,
    f: float,
    scheme: str,
    lower: np.ndarray | None,
    upper: np.ndarray | None,
    out: np.ndarray,
    rel_step: Any = None,
) -> None:
    r"""Write the gradient of `fun` at x into `out`.

    "2-point" is :math:`(f(x + h e_i) - f(x)) / h` with h = rel_step max(1, abs x_i) and the sign
    of x_i, an error of order h; "3-point" is central, an error of order h^2, or the one-sided
    three-point formula of the same order next to a bound; "cs" is :math:`\mathrm{Im} f(x + i h
    e_i) / h`, exact to rounding for analytic functions. A step that would leave the bounds is
    turned round, or shortened to the room there is. Fixed variables get 0 at no call.

    Parameters
    ----------
    fun : callable
        Takes an array of its own and returns a number, complex for "cs".
    x, f : array of shape (n,), float
        A point inside the bounds and the value there.
    scheme : {"2-point", "3-point", "cs"}
        n, 2 n and n calls of `fun`.
    lower, upper : array of shape (n,) or None
        Bounds.
    out : array of shape (n,)
        Receives the gradient.
    rel_step : float or array of shape (n,), optional
        Relative steps; eps^(1/2), eps^(1/3) and 1e-20 if not given.
    """
    if scheme == "cs":
        _complex_step(fun, x, lower, upper, out, rel_step)
        return
    size = REL_STEP[scheme] if rel_step is None else rel_step
    steps = np.abs(size) * np.maximum(1.0, np.abs(x))
    # A few ulps less than the room there is: x + h must not round to the far side of a bound.
    below = np.full(x.size, np.inf) if lower is None else (x - lower) * (1.0 - 4.0 * EPS)
    above = np.full(x.size, np.inf) if upper is None else (upper - x) * (1.0 - 4.0 * EPS)
    one_sided = _forward if scheme == "2-point" else _three_points
    for i in range(x.size):
        h, low, high = float(steps[i]), float(below[i]), float(above[i])
        if low == 0 == high:
            out[i] = 0.0
        elif scheme == "3-point" and h <= low and h <= high:
            left, right = x.copy(), x.copy()
            left[i] -= h
            right[i] += h
            width = float(right[i] - left[i])
            out[i] = (fun(right) - fun(left)) / width
        else:
            reach = h if scheme == "2-point" else 2.0 * h
            # The side SciPy takes, unless only the other has room for the whole step.
            up = x[i] >= 0 if min(low, high) >= reach else high >= min(low, reach)
            h = min(reach, high if up else low) * h / reach
            out[i] = one_sided(fun, x, f, i, h if up else -h)


def _forward(fun: Callable[[Any], Any], x: np.ndarray, f: float, i: int, h: float) -> float:
    moved = x.copy()
    moved[i] += h
    width = float(moved[i] - x[i])  # before the call: fun may change its argument
    return (fun(moved) - f) / width


def _three_points(fun: Callable[[Any], Any], x: np.ndarray, f: float, i: int, h: float) -> float:
    near, far = x.copy(), x.copy()
    near[i] += h
    far[i] += 2.0 * h
    width = float(far[i] - x[i])
    return (4.0 * fun(near) - 3.0 * f - fun(far)) / width


def _complex_step(
    fun: Callable[[Any], Any],
    x: np.ndarray,
    lower: np.ndarray | None,
    upper: np.ndarray | None,
    out: np.ndarray,
    rel_step: Any,
) -> None:
    size = REL_STEP["cs"] if rel_step is None else rel_step
    steps = np.abs(size) * np.maximum(1.0, np.abs(x))
    for i in range(x.size):
        if lower is not None and upper is not None and lower[i] == upper[i]:
            out[i] = 0.0
            continue
        moved = x.astype(complex)
        moved[i] += 1j * steps[i]
        value = fun(moved)
        if not isinstance(value, complex):
            raise ValueError(
                "jac='cs' needs a function that computes in complex numbers; at a complex x it "
                f"returned the {type(value).__name__} {value!r}; use jac='3-point'"
            )
        out[i] = value.imag / steps[i]
