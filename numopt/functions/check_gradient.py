"""Compare a gradient with differences of its function."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from numopt.core.differences import EPS, REL_STEP
from numopt.core.validate import as_vector, require_choice, require_positive
from numopt.problems.smooth import Smooth


@dataclass(frozen=True)
class GradientCheck:
    """What `check_gradient` found."""

    error: float  # the largest, by the formula of `check_gradient`
    index: int  # coordinate of it, -1 if x is empty
    given: float  # derivative there, by the gradient
    expected: float  # ... by differences
    passed: bool  # error <= tol

    def __str__(self) -> str:
        verdict = "passed" if self.passed else "failed"
        if self.index < 0:
            return f"gradient check {verdict}: no variables"
        return (
            f"gradient check {verdict}: at index {self.index} the gradient is {self.given:.8g}, "
            f"differences give {self.expected:.8g} (error {self.error:.1e})"
        )


def check_gradient(
    fun: Callable[..., Any],
    jac: Any,
    x: Any,
    args: Any = (),
    *,
    scheme: str = "3-point",
    bounds: Any = None,
    tol: float | None = None,
) -> GradientCheck:
    r"""Compare a gradient with differences of its function at x.

    The error is :math:`\max_i |g_i - d_i| / \max(1, |d_i|, 10\,\epsilon |f| / (h_i\,tol))`, where
    d are the differences with steps h; the last term allows for the noise that rounding of f
    leaves in them (not for "cs"), so that large values of f alone do not fail a gradient.

    Parameters
    ----------
    fun, jac : callable
        ``fun(x, *args)`` and its gradient ``jac(x, *args)``; or ``jac=True`` if `fun` returns both.
    x : array of shape (n,)
        Where to compare; a random point tells more than 0 or a minimiser.
    args : tuple, optional
        Further arguments of both.
    scheme : {"3-point", "cs", "2-point"}
        Central differences, with an error of about 1e-10 relative to the third derivatives; the
        complex step, exact, for functions that compute in complex numbers; or forward
        differences.
    bounds : scipy.optimize.Bounds or sequence of pairs, optional
        Bounds that the points of the differences must meet.
    tol : float, optional
        What counts as agreement: 1e-6, with "cs" 1e-10, with "2-point" 1e-4, if not given.

    Returns
    -------
    GradientCheck
        ``error``, ``index`` of the worst coordinate, ``given`` and ``expected`` derivative there,
        and ``passed``. Prints as a sentence. NaN in either gradient never passes.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> numopt.check_gradient(lambda x: x @ x, lambda x: 2 * x, [1.0, -2.0]).passed
    True
    >>> print(numopt.check_gradient(lambda x: x @ x, lambda x: 2 * x + [0, 1], [1.0, -2.0]))
    gradient check failed: at index 1 the gradient is -3, differences give -4 (error 2.5e-01)
    """
    require_choice(scheme, ("3-point", "cs", "2-point"), "scheme")
    if not (callable(jac) or jac is True):
        raise TypeError(f"jac must be callable or True, got {jac!r}")
    if tol is None:
        tol = {"3-point": 1e-6, "cs": 1e-10, "2-point": 1e-4}[scheme]
    require_positive(tol, "tol")
    x = as_vector(np.atleast_1d(np.asarray(x)), "x", np.float64)
    given, expected = np.empty(x.size), np.empty(x.size)
    exact = Smooth(fun, jac, bounds, args)
    f = exact.evaluate_into(x, given)
    value_alone = (lambda x, *args: fun(x, *args)[0]) if jac is True else fun
    Smooth(value_alone, scheme, bounds, args).evaluate_into(x, expected)
    if x.size == 0:
        return GradientCheck(0.0, -1, np.nan, np.nan, True)
    steps = REL_STEP[scheme] * np.maximum(1.0, np.abs(x))
    noise = 0.0 if scheme == "cs" else 10.0 * EPS * abs(f) / (steps * tol)
    fixed = np.zeros(x.size, bool) if exact.lower is None else exact.lower == exact.upper
    errors = np.abs(given - expected) / np.maximum(np.maximum(1.0, np.abs(expected)), noise)
    errors = np.where(
        np.broadcast_to(fixed, x.shape), 0.0, np.where(errors == errors, errors, np.inf)
    )
    i = int(np.argmax(errors))
    worst = float(errors[i])
    return GradientCheck(worst, i, float(given[i]), float(expected[i]), worst <= tol)
