"""What the linear estimators share: from arrays to a solved problem."""

from __future__ import annotations

import dataclasses
import difflib
from typing import Any

import numpy as np

from numopt.core.engine import solve
from numopt.core.result import Result
from numopt.problems import Composite


def make_loss(name: Any, y: np.ndarray, sample_weight: Any) -> Any:
    """The loss an estimator's `loss` parameter stands for: a name, or a callable of (y, weight)."""
    from numopt import losses

    if callable(name):
        return name(y, sample_weight=sample_weight)
    known: dict[Any, Any] = {
        "squared": losses.LeastSquares,
        "huber": losses.Huber,
        "poisson": losses.Poisson,
        "gamma": losses.Gamma,
        "logistic": losses.Logistic,
        "squared_hinge": losses.SquaredHinge,
        "multinomial": losses.Multinomial,
    }
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"loss {name!r} is not known; {hint}")
    return known[name](y, sample_weight=sample_weight)


def make_problem(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: Any, penalty: Any
) -> Composite:
    """The estimator's problem for one target; with class numbers as y, the multinomial one."""
    weight = sample_weight
    if weight is not None and not np.any(np.asarray(weight) > 0):
        raise ValueError("sample_weight sums to 0; give at least one sample weight")
    several = y.dtype.kind == "i"
    loss = make_loss("multinomial" if several else estimator.loss, y, weight)
    penalty = spread(penalty, X.shape[1], loss.outputs)
    return Composite(loss, X, penalty, fit_intercept=estimator.fit_intercept)


def spread(penalty: Any, p: int, K: int) -> Any:
    """A penalty of p features for K coefficients of each, which stand together.

    Weights are those of the feature, and a group holds all coefficients of its features.
    """
    changes: dict[str, Any] = {}
    if K > 1 and penalty.size == p:
        groups, weights = getattr(penalty, "groups", None), getattr(penalty, "weights", None)
        if groups is not None:
            changes["groups"] = np.repeat(groups, K)
        elif weights is not None:
            changes["weights"] = np.repeat(weights, K)
    return dataclasses.replace(penalty, **changes) if changes else penalty


def fit_problem(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: Any, penalty: Any, start: Any = None
) -> Result:
    """Solve the estimator's problem for one target."""
    problem = make_problem(estimator, X, y, sample_weight, penalty)
    return solve(problem, estimator.solver, warm_start=start, **limits(estimator))


def coefficients_of(result: Result, p: int) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients, a row per output, and constants of one solve."""
    rows = result.x.reshape(p, -1).T
    return rows, np.broadcast_to(result.get("intercept", 0.0), (len(rows),))


def limits(estimator: Any) -> dict[str, Any]:
    """Solver options that an estimator's parameters set."""
    given = {"tol": estimator.tol, "max_iter": estimator.max_iter}
    return {name: value for name, value in given.items() if value is not None}


def float_dtypes() -> list[Any]:
    """Working precisions, the default first."""
    return [np.float64, np.float32]


def coefficient_table(estimator: Any, rows: np.ndarray, title: str = "") -> str:
    """Nonzero coefficients, largest first, with the feature names of the DataFrame."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(rows.size)]
    order = sorted(np.flatnonzero(rows), key=lambda j: -abs(rows[j]))
    width = max([len(str(names[j])) for j in order], default=4)
    lines = [f"{names[j]!s:<{width}} {rows[j]: .6g}" for j in order]
    return "\n".join([f"{title}{len(order)} of {rows.size} coefficients are not 0", *lines])
