"""Minimise a function: `scipy.optimize.minimize` with certificates and more methods."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from time import perf_counter
from typing import Any

import numpy as np
import scipy.optimize

from numopt.core import engine
from numopt.core.differences import SCHEMES
from numopt.core.result import Certificate, Entry, Result
from numopt.problems.smooth import FORMULA, Smooth, as_bounds, stationarity

# SciPy's names in lower case, so that none of our solver modules is imported to rule them out.
_SCIPY_METHODS = frozenset(
    "nelder-mead powell cg bfgs newton-cg l-bfgs-b tnc cobyla cobyqa slsqp trust-constr dogleg "
    "trust-ncg trust-exact trust-krylov".split()
)
# ... whose `jac` is the gradient at x: that of Newton-CG and SLSQP is often that at a point before.
_GRADIENT_AT_X = _SCIPY_METHODS - set("nelder-mead powell cobyla cobyqa newton-cg slsqp".split())
# SciPy's spelling of an option -> ours, where both mean the same.
_SPELLINGS = {
    "maxiter": "max_iter",
    "gtol": "tol",
    "maxcor": "memory",
    "maxfun": "max_evals",
    "maxfev": "max_evals",
    "disp": "verbose",
}
# What SciPy's methods can do for constraints until our own do.
_FOR_CONSTRAINTS = "'SLSQP', 'trust-constr', 'COBYQA' or 'COBYLA'"


def minimize(
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    method: Any = None,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    tol: float | None = None,
    callback: Callable[..., Any] | None = None,
    options: dict[str, Any] | None = None,
    *,
    penalty: Any = None,
    domain: Any = None,
    random_state: int | None = None,
) -> Result:
    r"""Minimise a function of several variables.

    .. math:: \min f(x) \quad \text{subject to} \quad l \le x \le u

    Takes the arguments of `scipy.optimize.minimize`. A call that names one of SciPy's methods is
    SciPy's, with a certificate attached; any other is solved here, by L-BFGS, and succeeds only
    if the certificate meets the tolerance.

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number, or (f, gradient) with ``jac=True``. It may return NaN
        or infinity outside its domain.
    x0 : array of shape (n,)
        Start; projected on the bounds. Never changed.
    args : tuple, optional
        Further arguments of `fun` and its derivatives.
    method : str, Solver or callable, optional
        - None or "lbfgs": `numopt.solvers.LBFGS`; an instance of a solver is used as it is;
        - a method of SciPy in any case ("BFGS", "L-BFGS-B", "Nelder-Mead", "SLSQP",
          "trust-constr", ...) or a callable, SciPy's custom method: passed to
          `scipy.optimize.minimize` as it stands.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        Gradient, or the differences to take for it; "2-point" if not given. See
        `numopt.problems.Smooth`.
    hess, hessp : callable, optional
        Second derivatives, for the methods of SciPy that use them; others warn, as SciPy does.
    bounds : scipy.optimize.Bounds or sequence of pairs, optional
        Bounds on the variables; every point at which `fun` is called meets them.
    constraints : optional
        Further constraints; they need `method` to be one of SciPy's SLSQP, trust-constr, COBYQA
        or COBYLA.
    tol : float, optional
        Bound for the certificate: 1e-8, with "3-point" differences 1e-7, with "2-point" 1e-5, if
        not given. With a method of SciPy it means what it means there.
    callback : callable, optional
        ``callback(intermediate_result)``, by that very name, gets a `Result` with x, fun, nit and
        the certificate after each iteration; any other signature gets a copy of x. StopIteration
        or the return value True ends the run.
    options : dict, optional
        Fields of the solver, for L-BFGS ``max_iter, memory, max_evals, time_limit, verbose,
        on_interrupt``. SciPy's spellings ``maxiter, gtol, maxcor, maxfun, maxfev, disp`` and
        ``finite_diff_rel_step`` are understood; ``gtol`` stands for `tol`.
    penalty, domain : block, optional
        Reserved for a penalty to add to f and a set to stay in; no method here takes them yet.
    random_state : int, optional
        Seed of methods that draw numbers.

    Returns
    -------
    Result
        With SciPy's fields ``x, fun, jac, hess_inv, nit, nfev, njev, success, status, message``,
        and the ``certificate`` (see `numopt.problems.Smooth`). A result of SciPy keeps its fields
        and verdict; the certificate is what its gradient says about it. Where it has none, or not
        that at x (Newton-CG, SLSQP), and with constraints, it is of the kind "heuristic".

    Raises
    ------
    ValueError
        For a combination that no method serves, bad bounds, or values of the wrong shape.
    TypeError
        For an unknown option, or what is not callable.

    Warns
    -----
    numopt.ConvergenceWarning
        If the tolerance was not met; not for methods of SciPy.

    Examples
    --------
    >>> import numopt
    >>> from scipy.optimize import rosen, rosen_der
    >>> result = numopt.minimize(rosen, [-1.2, 1.0], jac=rosen_der)
    >>> result.success, result.x.round(6).tolist()
    (True, [1.0, 1.0])
    >>> result = numopt.minimize(rosen, [-1.2, 1.0], jac=rosen_der, bounds=[(None, 0.5), (0, None)])
    >>> result.x.round(6).tolist()
    [0.5, 0.25]
    >>> numopt.minimize(rosen, [-1.2, 1.0], method="Nelder-Mead").certificate.kind
    'heuristic'
    """
    if penalty is not None or domain is not None:
        name = "domain" if penalty is None else "penalty"
        raise ValueError(
            f"{name} is not served here yet: minimize takes fun with bounds, and constraints with "
            f"method={_FOR_CONSTRAINTS}; for a loss of a linear model with a penalty or set use "
            "numopt.solve(numopt.problems.Composite(...))"
        )
    arguments = {
        "args": args, "jac": jac, "hess": hess, "hessp": hessp, "bounds": bounds,
        "constraints": constraints, "callback": callback,
    }  # fmt: skip
    if _is_scipys(method):
        return _by_scipy(fun, x0, {**arguments, "method": method, "tol": tol, "options": options})
    chosen = dict(options or {})
    if tol is not None and "gtol" not in chosen:
        chosen.setdefault("tol", tol)
    if random_state is not None:
        chosen.setdefault("random_state", random_state)
    return _solve("lbfgs" if method is None else method, fun, x0, **arguments, options=chosen)


def as_scipy_method(
    solver: engine.Solver,
    fun: Callable[..., Any],
    x0: Any,
    args: Any = (),
    *,
    jac: Any = None,
    hess: Any = None,
    hessp: Any = None,
    bounds: Any = None,
    constraints: Any = (),
    callback: Callable[..., Any] | None = None,
    **options: Any,
) -> Result:
    """Serve ``scipy.optimize.minimize(fun, x0, method=solver)``.

    SciPy hands its arguments on as they are, `tol` among the options; but of `jac` it passes
    callables alone (True becomes one), so differences are always "2-point" this way.
    """
    return _solve(solver, fun, x0, args, jac, hess, hessp, bounds, constraints, callback, options)


def _solve(
    method: Any,
    fun: Callable[..., Any],
    x0: Any,
    args: Any,
    jac: Any,
    hess: Any,
    hessp: Any,
    bounds: Any,
    constraints: Any,
    callback: Callable[..., Any] | None,
    options: dict[str, Any],
) -> Result:
    """Solve with a solver of ours, an instance or a name."""
    if _some(constraints):
        raise ValueError(
            f"constraints need method={_FOR_CONSTRAINTS}; without them minimize takes bounds"
        )
    for name, given in (("hess", hess), ("hessp", hessp)):
        if given is not None:
            warnings.warn(
                f"Method {getattr(method, 'name', method)} does not use Hessian information "
                f"({name}).",
                RuntimeWarning,
                stacklevel=3,
            )
    x0 = np.atleast_1d(np.asarray(x0))
    if x0.ndim != 1:
        raise ValueError(f"'x0' must only have one dimension. It has shape {x0.shape}.")
    fields = _translated(options)
    problem = Smooth(fun, jac, bounds, args, rel_step=fields.pop("finite_diff_rel_step", None))
    solver = engine.pick(method, problem, fields)
    result = engine.run(solver, problem, x0, callback=_adapted(callback))
    if problem.jac in SCHEMES and problem.lower is not None:
        # As SciPy: no differences are taken along fixed variables.
        result.jac[np.broadcast_to(problem.lower == problem.upper, x0.shape)] = np.nan
    if "S" in result.warm_start:
        pairs = result.warm_start["S"], result.warm_start["Y"]
        result.hess_inv = scipy.optimize.LbfgsInvHessProduct(*pairs)
    return result


def _some(constraints: Any) -> bool:
    """Whether there are constraints: one object, or a sequence that is not empty."""
    return constraints is not None and not (
        hasattr(constraints, "__len__") and not len(constraints)
    )


def _translated(options: dict[str, Any]) -> dict[str, Any]:
    """Options under our names; counts may be floats, and None is the default, as in SciPy."""
    fields = {_SPELLINGS.get(name, name): v for name, v in options.items() if v is not None}
    for name in ("max_iter", "max_evals", "verbose", "memory"):
        value = fields.get(name)
        if isinstance(value, (bool, np.bool_, float, np.floating)) and value == value:
            fields[name] = int(min(value, sys.maxsize))
    return fields


def _adapted(callback: Callable[..., Any] | None) -> Callable[[Any], bool] | None:
    """A callback by SciPy's rules: the result by keyword if it asks for that name, else x."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    try:
        by_name = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # some builtins have no signature
        by_name = False
    # Only True itself stops: many callbacks return what they happen to compute.
    if by_name:
        return lambda shown: callback(intermediate_result=shown) is True
    return lambda shown: callback(shown.x) is True


# ---- SciPy's methods -----------------------------------------------------------------------------


def _is_scipys(method: Any) -> bool:
    """Whether SciPy is to run: one of its names, or a callable that is no solver of ours."""
    if method is None or isinstance(method, engine.Solver):
        return False
    if not isinstance(method, str) or method.lower() in _SCIPY_METHODS:
        return True
    from numopt import solvers

    try:
        solvers.by_name(method)
    except ValueError as error:
        known = ", ".join(sorted(_SCIPY_METHODS))
        raise ValueError(f"Unknown solver {method}: {error}; SciPy's: {known}") from None
    return False


def _by_scipy(fun: Callable[..., Any], x0: Any, arguments: dict[str, Any]) -> Result:
    """SciPy's own run: every argument and field as it stands, and what its gradient certifies."""
    start = perf_counter()
    found = scipy.optimize.minimize(fun, x0, **arguments)
    if not isinstance(found, dict) or isinstance(found.get("certificate"), Certificate):
        return found
    result, tol = Result(found), arguments["tol"]
    method = arguments["method"]
    trusted = isinstance(method, str) and method.lower() in _GRADIENT_AT_X
    unbound = trusted and not _some(arguments["constraints"])
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
