"""Filling the compile cache ahead of time."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from functools import partial
from time import perf_counter
from typing import Any

import numpy as np


def warm_cache(verbose: int = 0) -> int:
    """Compile the common dozen of combinations, so that first fits start from the cache.

    Solves one small problem per pair of loss and penalty that most models are made of, dense in
    float64, and one per solver. Takes about a minute once; nothing when all is cached.

    Parameters
    ----------
    verbose : int, default 0
        1: print a line per combination.

    Returns
    -------
    int
        Number of kernels compiled anew.

    Examples
    --------
    >>> import numopt
    >>> numopt.warm_cache() >= 0  # doctest: +SKIP
    True
    """
    from numopt import losses, penalties, problems
    from numopt.core import jit
    from numopt.core.engine import ConvergenceWarning, solve
    from numopt.functions.linprog import linprog
    from numopt.functions.minimize import minimize
    from numopt.functions.solve_game import solve_game
    from numopt.functions.solve_linear import solve_linear

    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 5))
    y = X[:, 0] + 0.1 * rng.standard_normal(20)
    labels = np.where(y > 0, 1.0, -1.0)
    models = [
        (losses.LeastSquares(y), penalties.L1(0.1)),
        (losses.LeastSquares(y), penalties.ElasticNet(0.1)),
        (losses.LeastSquares(y), penalties.Ridge(0.1)),
        (losses.LeastSquares(y), penalties.MCP(0.1)),
        (losses.LeastSquares(y), penalties.SCAD(0.1)),
        (losses.LeastSquares(y), penalties.Nonnegative()),
        (losses.Logistic(labels), penalties.L1(0.1)),
        (losses.Logistic(labels), penalties.Ridge(0.1)),
        (losses.Logistic(labels), penalties.MCP(0.1)),
        (losses.Huber(y), penalties.L1(0.1)),
    ]
    jobs: dict[str, Callable[[], Any]] = {
        f"{type(loss).__name__} + {type(penalty).__name__}": partial(
            solve, problems.Composite(loss, X, penalty)
        )
        for loss, penalty in models
    }
    jobs["linprog"] = partial(linprog, [1.0, 1.0], [[-1.0, -2.0]], [-2.0], method="halpern-pdhg")
    jobs["minimize"] = partial(minimize, lambda x: x @ x, np.ones(3), jac=lambda x: 2 * x)
    jobs["solve_game"] = partial(solve_game, X[:5])
    jobs["solve_linear"] = partial(solve_linear, np.eye(4), np.ones(4), method="cg")

    before = jit.statistics["misses"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        for name, job in jobs.items():
            start, known = perf_counter(), jit.statistics["misses"]
            job()
            compiled = jit.statistics["misses"] - known
            if verbose:
                state = f"{compiled} compiled" if compiled else "cached"
                print(f"{name:<28} {state:<12} {perf_counter() - start:6.2f} s")
    return jit.statistics["misses"] - before
