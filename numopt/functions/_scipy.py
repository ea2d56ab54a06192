"""SciPy's methods through `numopt.minimize`: passed on as they stand, and certified."""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import scipy.optimize

from numopt.core import engine
from numopt.core.result import Certificate, Entry, Result
from numopt.problems._oracle import as_bounds
from numopt.problems.smooth import FORMULA, stationarity

# SciPy's names in lower case, so that none of our solver modules is imported to rule them out.
_SCIPY_METHODS = frozenset(
    "nelder-mead powell cg bfgs newton-cg l-bfgs-b tnc cobyla cobyqa slsqp trust-constr dogleg "
    "trust-ncg trust-exact trust-krylov".split()
)
# ... whose `jac` is the gradient at x: that of Newton-CG and SLSQP is often that at a point before.
_GRADIENT_AT_X = _SCIPY_METHODS - set("nelder-mead powell cobyla cobyqa newton-cg slsqp".split())


def some(constraints: Any) -> bool:
    """Whether there are constraints: one object, or a sequence that is not empty."""
    return constraints is not None and not (
        hasattr(constraints, "__len__") and not len(constraints)
    )


def is_scipys(method: Any) -> bool:
    """Whether SciPy is to run: one of its names, or a callable that is no solver of ours."""
    if method is None or isinstance(method, engine.Solver):
        return False
    if isinstance(method, type) and issubclass(method, engine.Solver):
        raise TypeError(f"method is the class {method.__name__}; make one: {method.__name__}()")
    if not isinstance(method, str) and not callable(method):
        raise TypeError(f"method must be a name, a solver or a callable, got {method!r}")
    if not isinstance(method, str) or method.lower() in _SCIPY_METHODS:
        return True
    from numopt import solvers

    try:
        solvers.by_name(method)
    except ValueError as error:
        known = ", ".join(sorted(_SCIPY_METHODS))
        raise ValueError(f"Unknown solver {method}: {error}; SciPy's: {known}") from None
    return False


def by_scipy(fun: Callable[..., Any], x0: Any, arguments: dict[str, Any]) -> Result:
    """SciPy's own run: every argument and field as it stands, and what its gradient certifies."""
    start = perf_counter()
    found = scipy.optimize.minimize(fun, x0, **arguments)
    if not isinstance(found, dict) or isinstance(found.get("certificate"), Certificate):
        return found
    result, tol = Result(found), arguments["tol"]
    method = arguments["method"]
    trusted = isinstance(method, str) and method.lower() in _GRADIENT_AT_X
    unbound = trusted and not some(arguments["constraints"])
    certificate = _certificate_of(result, arguments["bounds"], unbound)
    result.certificate = certificate.at(1e-5 if tol is None else tol)  # SciPy's usual gtol
    result.solver = f"scipy.optimize.minimize(method={method!r})"
    result.warm_start = {"x": result.x} if "x" in result else {}
    result.time = perf_counter() - start
    return result


def _certificate_of(result: Result, bounds: Any, has_gradient: bool) -> Certificate:
    """What the fields of a SciPy result say about its point, at no call of the user's function."""
    x, fun = np.asarray(result.get("x", ())), np.asarray(result.get("fun", np.nan))
    value = float(fun.item()) if fun.size == 1 and fun.dtype.kind in "fiub" else np.nan
    entries = {
        name: Entry(float(result[name]), f"{name} as SciPy reports it", gate=False)
        for name in ("optimality", "constr_violation", "maxcv")
        if isinstance(result.get(name), (int, float))
    }
    gradient = np.asarray(result.get("grad", result.get("jac", ())))  # of trust-constr; the others
    if not has_gradient or gradient.shape != x.shape:  # none where all variables are fixed
        return Certificate("heuristic", entries, value)
    lower, upper = as_bounds(bounds)
    if lower is not None and upper is not None:
        lower, upper = np.broadcast_to(lower, x.shape), np.broadcast_to(upper, x.shape)
        # SciPy takes fixed variables out and reports NaN for them.
        gradient = np.where(lower == upper, 0.0, gradient)
    worst = stationarity(x, value, gradient, lower, upper)
    return Certificate("stationary", {"stationarity": Entry(worst, FORMULA), **entries}, value)
