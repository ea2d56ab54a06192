"""Variational inequalities and monotone inclusions, one call."""

from __future__ import annotations

from typing import Any

from numopt.core.engine import pick, run
from numopt.core.result import Result
from numopt.core.validate import require_choice, require_positive
from numopt.problems.monotone_inclusion import MonotoneInclusion

METHODS = ("auto", "halpern", "km", "vr-halpern", "feg", "eag", "eag-c", "eag-v", "eg", "forb")


def solve_vi(
    F: Any,
    z0: Any,
    *,
    project: Any = None,
    prox: Any = None,
    resolvent: Any = None,
    components: Any = None,
    lipschitz: float | None = None,
    cocoercive: bool = False,
    method: str = "auto",
    tol: float = 1e-6,
    random_state: int | None = None,
    options: dict[str, Any] | None = None,
) -> Result:
    r"""Solve a variational inequality or monotone inclusion, :math:`0 \in F(z) + G(z)`.

    With ``project``, G is the normal cone of a convex set C, and this is: find z in C with
    :math:`F(z)^T (w - z) \ge 0` for all w in C. Saddle points of a convex-concave f(x, y) solve it
    with :math:`F = (\nabla_x f, -\nabla_y f)`.

    Parameters
    ----------
    F : callable or operator, or None
        Monotone, ``F(z)`` for a float64 vector; an operator of `numopt.operators` runs compiled.
        None if `components` says it all.
    z0 : array of shape (n,)
        Start.
    project : set or callable, optional
        A set of `numopt.sets`, or ``project(v)``.
    prox : penalty or callable, optional
        A penalty of `numopt.penalties`, or ``prox(v, step)``.
    resolvent : callable, optional
        ``resolvent(v, step)`` of any maximal monotone G. At most one of these three.
    components : optional
        F as a finite sum, see `MonotoneInclusion`.
    lipschitz : float, optional
        Lipschitz constant of F; estimated if not given.
    cocoercive : bool, default False
        Whether F is cocoercive, as the gradient of a convex function is.
    method : str, default "auto"
        "halpern" and "km" for cocoercive F (`Halpern`, `KrasnoselskiiMann`); "vr-halpern" for
        finite sums (`VarianceReducedHalpern`); the others are schemes of `AnchoredExtragradient`.
        "auto" takes the first if `cocoercive`, the third if there is nothing but `components`, else
        the last with its own choice of scheme.
    tol : float, default 1e-6
        Bound for the natural residual, relative to the start: see `MonotoneInclusion`.
    random_state : int, optional
        Seed of "vr-halpern".
    options : dict, optional
        Hyper-parameters of the solver (``max_iter``, ``time_limit``, ``step``, ...).

    Returns
    -------
    Result
        With ``x``, and ``nfev``, the evaluations of F.

    Raises
    ------
    ValueError, TypeError
        If arguments are no functions or sets, values have wrong lengths, or the method does not
        fit: "halpern" without `cocoercive`, "feg" with constraints.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> def F(z):  # min over x, max over y of x y, both at least 1/2
    ...     return np.array([z[1], -z[0]])
    >>> result = numopt.solve_vi(F, [1.0, 2.0], project=numopt.sets.Box(0.5, 2.0))
    >>> result.x.round(6).tolist()
    [0.5, 2.0]
    """
    from numopt.solvers import (
        AnchoredExtragradient,
        Halpern,
        KrasnoselskiiMann,
        VarianceReducedHalpern,
    )

    require_choice(method, METHODS, "method")
    require_positive(tol, "tol")
    problem = MonotoneInclusion(F, z0, project, prox, resolvent, components, lipschitz, cocoercive)
    if method == "auto":
        method = problem.default_solver
    common = {"tol": tol, "random_state": random_state}
    solver: Any
    if method == "halpern":
        solver = Halpern(**common)
    elif method == "km":
        solver = KrasnoselskiiMann(**common)
    elif method == "vr-halpern":
        solver = VarianceReducedHalpern(**common)
    else:
        scheme = "auto" if method == "anchored-extragradient" else method
        solver = AnchoredExtragradient(scheme=scheme, max_iter=100_000, **common)
    return run(pick(solver, problem, options or {}), problem)
