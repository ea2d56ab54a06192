"""Minimise a function: `scipy.optimize.minimize` with certificates and more methods."""

from __future__ import annotations

import inspect
import sys
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import scipy.optimize

from numopt.core import engine
from numopt.core.block import is_block
from numopt.core.differences import SCHEMES
from numopt.core.result import Result
from numopt.functions._scipy import by_scipy, is_scipys, some
from numopt.problems._base import Problem
from numopt.problems._oracle import as_bounds
from numopt.problems.smooth import Smooth

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
    r"""Minimise a function of several variables, with bounds, a penalty or over a set.

    .. math:: \min f(x) + \phi(x) \quad \text{subject to} \quad l \le x \le u, \; x \in C

    Takes the arguments of `scipy.optimize.minimize`, and `penalty` and `domain`. A call that names
    one of SciPy's methods is SciPy's, with a certificate attached; any other is solved here, and
    succeeds only if the certificate meets the tolerance. Without a `method` the choice is, in this
    order,

    ================================== =============================================== ============
    given                              method                                          name
    ================================== =============================================== ============
    ``penalty``                        accelerated proximal gradient                   "prox-grad"
    ``constraints``                    none yet: name one of SciPy's                   --
    ``domain`` without ``jac``         none yet: ask for differences, jac="2-point"    --
    ``domain`` with ``jac``            accelerated projected gradient if it has a      "prox-grad",
                                       cheap projection, else Frank-Wolfe              "frank-wolfe"
    ``hess`` or ``hessp``              regularised Newton, projected at bounds         "newton"
    nothing more                       L-BFGS, projected at bounds                     "lbfgs"
    ================================== =============================================== ============

    Parameters
    ----------
    fun : callable
        ``fun(x, *args)`` returns a number, or (f, gradient) with ``jac=True``. It may return NaN
        or infinity outside its domain.
    x0 : array of shape (n,)
        Start; projected on bounds and domain. Never changed.
    args : tuple, optional
        Further arguments of `fun` and its derivatives.
    method : str, Solver or callable, optional
        - "lbfgs", "newton", "prox-grad" (or "fista"), "nonconvex-ag", and with `domain`
          "frank-wolfe", "corrective-fw", "bpcg", "pairwise-fw", "away-fw": methods of
          `numopt.solvers`; an instance of a solver is used as it is;
        - a method of SciPy in any case ("BFGS", "L-BFGS-B", "Nelder-Mead", "SLSQP",
          "trust-constr", ...) or a callable, SciPy's custom method: passed to
          `scipy.optimize.minimize` as it stands.
    jac : callable, True or {"2-point", "3-point", "cs"}, optional
        Gradient, or the differences to take for it; "2-point" if not given. See
        `numopt.problems.Smooth`.
    hess : callable or {"2-point", "3-point", "cs"}, optional
        ``hess(x, *args)`` returns the Hessian as an array, a sparse matrix or a LinearOperator; a
        string asks for differences of `jac`. For "newton" and methods of SciPy that use it; others
        warn, as SciPy does.
    hessp : callable, optional
        ``hessp(x, p, *args)`` returns the Hessian times p.
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
    penalty : block, optional
        Penalty from `numopt.penalties` to add to f; bounds join it if it is convex and separable.
    domain : set, optional
        Set from `numopt.sets` that x stays in; `fun` is called there alone, differences aside.
    random_state : int, optional
        Seed of methods that draw numbers.

    Returns
    -------
    Result
        With SciPy's fields ``x, fun, jac, nit, nfev, njev, nhev, success, status, message`` (L-BFGS
        also ``hess_inv``), and the ``certificate`` (see `numopt.problems.Smooth`, with penalty or
        domain `numopt.problems.SmoothComposite`); ``fun`` includes the penalty, ``jac`` does not.
        A result of SciPy keeps its fields and verdict; the certificate is what its gradient says
        about it. Where it has none, or not that at x (Newton-CG, SLSQP), and with constraints, it
        is of the kind "heuristic".

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
    >>> from scipy.optimize import rosen, rosen_der, rosen_hess
    >>> result = numopt.minimize(rosen, [-1.2, 1.0], jac=rosen_der)
    >>> result.success, result.x.round(6).tolist()
    (True, [1.0, 1.0])
    >>> result = numopt.minimize(rosen, [-1.2, 1.0], jac=rosen_der, bounds=[(None, 0.5), (0, None)])
    >>> result.x.round(6).tolist()
    [0.5, 0.25]
    >>> numopt.minimize(rosen, [-1.2, 1.0], jac=rosen_der, hess=rosen_hess).solver
    'Newton()'
    >>> result = numopt.minimize(rosen, [0, 0], jac=rosen_der, penalty=numopt.penalties.L1(5.0))
    >>> result.x.round(6).tolist()
    [0.0, 0.0]
    >>> result = numopt.minimize(rosen, [0, 0], jac=rosen_der, domain=numopt.sets.Simplex())
    >>> result.x.round(4).tolist()
    [0.6188, 0.3812]
    >>> numopt.minimize(rosen, [-1.2, 1.0], method="Nelder-Mead").certificate.kind
    'heuristic'
    """
    arguments = {
        "args": args, "jac": jac, "hess": hess, "hessp": hessp, "bounds": bounds,
        "constraints": constraints, "callback": callback,
    }  # fmt: skip
    if is_scipys(method):
        _refuse_for_scipy(method, penalty=penalty, domain=domain)
        return by_scipy(fun, x0, {**arguments, "method": method, "tol": tol, "options": options})
    chosen = dict(options or {})
    if tol is not None and "gtol" not in chosen:
        chosen.setdefault("tol", tol)
    if random_state is not None:
        chosen.setdefault("random_state", random_state)
    return _solve(method, fun, x0, **arguments, penalty=penalty, domain=domain, options=chosen)


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
    penalty: Any = None,
    domain: Any = None,
    **options: Any,
) -> Result:
    """Serve ``scipy.optimize.minimize(fun, x0, method=solver)``.

    SciPy hands its arguments on as they are, `tol` and ``options={"penalty": ...}`` among them;
    but of `jac` it passes callables alone (True becomes one), so differences are always "2-point"
    this way.
    """
    return _solve(
        solver, fun, x0, args, jac, hess, hessp, bounds, constraints, callback, penalty, domain,
        options,
    )  # fmt: skip


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
    penalty: Any,
    domain: Any,
    options: dict[str, Any],
) -> Result:
    """Solve with a solver of ours: an instance, a name, or None to choose one."""
    from numopt import solvers

    if some(constraints):
        raise ValueError(
            "no method of ours serves constraints yet: name one of SciPy's that does, "
            f"method={_FOR_CONSTRAINTS}; without them minimize takes bounds, penalty and domain"
        )
    x0 = np.atleast_1d(np.asarray(x0))
    if x0.ndim != 1:
        raise ValueError(f"'x0' must only have one dimension. It has shape {x0.shape}.")
    fields = _translated(options)
    block = _block(method, penalty, domain, bounds, jac)
    preset = solvers.preset(method) if isinstance(method, str) else {}
    method = _choice(method, block, hess is not None or hessp is not None)
    if "Smooth" not in method.accepts and "SmoothComposite" in method.accepts and block is None:
        block = _bounded(None, bounds)
    for name, given in (("hess", hess), ("hessp", hessp)):
        if given is not None and not getattr(method, "uses_curvature", False):
            warnings.warn(
                f"Method {method.name} does not use Hessian information ({name}).",
                RuntimeWarning,
                stacklevel=3,
            )
            hess = hessp = None
    common = {"jac": jac, "args": args, "rel_step": fields.pop("finite_diff_rel_step", None)}
    problem: Problem
    if block is None:
        problem = Smooth(fun, bounds=bounds, hess=hess, hessp=hessp, **common)
    else:
        from numopt.problems.smooth_composite import SmoothComposite

        problem = SmoothComposite(fun, block, **common)
    if isinstance(method, type):
        method, fields = method(), {**preset, **fields}
    solver = engine.pick(method, problem, fields)
    result = engine.run(solver, problem, x0, callback=_adapted(callback))
    _add_derivatives(result, problem)
    return result


def _choice(method: Any, block: Any, curvature: bool) -> Any:
    """The solver, or its class, that serves the call."""
    from numopt import solvers

    if method is None:  # by attribute: only the module wanted is imported
        method = solvers.Newton if curvature else solvers.LBFGS
        if block is None:
            return method
        from numopt.sets._base import HostSet

        projects = not isinstance(block, HostSet)
        return solvers.ProximalGradient if projects else solvers.FrankWolfe
    chosen = solvers.by_name(method) if isinstance(method, str) else method
    kind = "Smooth" if block is None else "SmoothComposite"
    if kind == "SmoothComposite" and kind not in chosen.accepts:
        able = ", ".join(repr(name) for name in solvers.accepting(kind))
        raise ValueError(
            f"method {chosen.name!r} takes no penalty or domain; those that do: {able}"
        )
    if kind not in chosen.accepts and "SmoothComposite" not in chosen.accepts:
        able = ", ".join(repr(name) for name in solvers.accepting(kind))
        raise ValueError(
            f"method {chosen.name!r} solves {', '.join(chosen.accepts)}, not a function given in "
            f"Python; {able} do"
        )
    return chosen


def _block(method: Any, penalty: Any, domain: Any, bounds: Any, jac: Any) -> Any:
    """What is added to f: penalty, set, or None."""
    if penalty is None and domain is None:
        return None
    if penalty is not None and domain is not None:
        raise ValueError(
            "penalty and domain together are served by no method; for a convex separable penalty "
            "in a box give bounds in place of domain"
        )
    if penalty is not None:
        return penalty if bounds is None else _bounded(penalty, bounds)
    from numopt.sets import Box
    from numopt.sets._base import is_set

    if not is_set(domain):
        hint = "; a penalty goes to penalty=" if is_block(domain) else ""
        raise TypeError(f"domain must be a set from numopt.sets, got {type(domain).__name__}{hint}")
    if method is None and (jac is None or jac is False):
        raise ValueError(
            "domain without jac asks for a zeroth-order method, which is not there yet; "
            "jac='2-point' takes finite differences of fun instead"
        )
    if bounds is None:
        return domain
    if not isinstance(domain, Box):
        raise ValueError(
            f"bounds and domain={type(domain).__name__} together are served by no method; a domain "
            "that is a Box goes with bounds"
        )
    lower, upper = as_bounds(bounds)
    if lower is None or upper is None:
        return domain
    return Box(np.maximum(domain.lower, lower), np.minimum(domain.upper, upper))


def _bounded(penalty: Any, bounds: Any) -> Any:
    """A penalty with bounds on top; without a penalty the box, or nothing at all."""
    from numopt.calculus import Boxed
    from numopt.penalties import Zero
    from numopt.sets import Box

    lower, upper = as_bounds(bounds)
    if penalty is None:
        return Zero() if lower is None else Box(lower, upper)
    name = type(penalty).__name__
    if not is_block(penalty):
        raise TypeError(f"penalty must be a penalty from numopt.penalties, got {name}")
    if not (penalty.convex and penalty.separable):
        raise ValueError(
            f"bounds with penalty={name} are served by no method: the prox of a penalty that is "
            "not convex and separable cannot be clipped to them"
        )
    return Boxed(penalty, lower, upper)


def _add_derivatives(result: Result, problem: Any) -> None:
    """The gradient at x, and the inverse Hessian that L-BFGS has built."""
    if "jac" not in result:
        result.jac = problem.value_and_gradient(result.x)[1]
    lower, upper = problem.limits(result.x.size)
    if problem.jac in SCHEMES and lower is not None:
        result.jac[lower == upper] = np.nan  # no differences are taken there; as SciPy
    if "S" in result.warm_start:
        pairs = result.warm_start["S"], result.warm_start["Y"]
        result.hess_inv = scipy.optimize.LbfgsInvHessProduct(*pairs)


def _refuse_for_scipy(method: Any, **given: Any) -> None:
    for name, value in given.items():
        if value is not None:
            raise ValueError(
                f"{name} is not served by SciPy's method {method!r}; leave method out, or take "
                "'prox-grad' or 'nonconvex-ag'"
            )


def _translated(options: dict[str, Any]) -> dict[str, Any]:
    """Options under our names; counts may be floats, and None is the default, as in SciPy."""
    fields = {_SPELLINGS.get(name, name): v for name, v in options.items() if v is not None}
    for name in ("max_iter", "max_evals", "verbose", "memory"):
        value = fields.get(name)
        if isinstance(value, (bool, np.bool_, float, np.floating)) and value == value:
            fields[name] = int(min(value, sys.maxsize))
    return fields


def _adapted(callback: Callable[..., Any] | None) -> Callable[[Any], Any] | None:
    """A callback by SciPy's rules: the result by keyword if it asks for that name, else x."""
    if callback is None:
        return None
    if not callable(callback):
        raise TypeError(f"callback must be callable, got {type(callback).__name__}")
    try:
        by_name = set(inspect.signature(callback).parameters) == {"intermediate_result"}
    except (TypeError, ValueError):  # some builtins have no signature
        by_name = False
    if by_name:
        return lambda shown: callback(intermediate_result=shown)
    return lambda shown: callback(shown.x)
