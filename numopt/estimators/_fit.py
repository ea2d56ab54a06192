"""What the linear estimators share: from arrays to a solved problem."""

from __future__ import annotations

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
    known = {"squared": losses.LeastSquares, "huber": losses.Huber, "logistic": losses.Logistic}
    if name not in known:
        near = difflib.get_close_matches(str(name), known, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(known)}"
        raise ValueError(f"loss {name!r} is not known; {hint}")
    return known[name](y, sample_weight=sample_weight)


def fit_problem(
    estimator: Any, X: Any, y: np.ndarray, sample_weight: Any, penalty: Any, start: Any = None
) -> Result:
    """Solve the estimator's problem for one target."""
    weight = sample_weight
    if weight is not None and not np.any(np.asarray(weight) > 0):
        raise ValueError("sample_weight sums to 0; give at least one sample weight")
    loss = make_loss(estimator.loss, y, weight)
    problem = Composite(loss, X, penalty, fit_intercept=estimator.fit_intercept)
    return solve(problem, estimator.solver, warm_start=start, **limits(estimator))


def limits(estimator: Any) -> dict[str, Any]:
    """Solver options that an estimator's parameters set."""
    given = {"tol": estimator.tol, "max_iter": estimator.max_iter}
    return {name: value for name, value in given.items() if value is not None}


def float_dtypes() -> list[Any]:
    """Working precisions, the default first."""
    return [np.float64, np.float32]


def coefficient_table(estimator: Any, rows: np.ndarray) -> str:
    """Nonzero coefficients, largest first, with the feature names of the DataFrame."""
    names = getattr(estimator, "feature_names_in_", None)
    if names is None:
        names = [f"x{j}" for j in range(rows.size)]
    order = sorted(np.flatnonzero(rows), key=lambda j: -abs(rows[j]))
    width = max([len(str(names[j])) for j in order], default=4)
    lines = [f"{names[j]!s:<{width}} {rows[j]: .6g}" for j in order]
    return "\n".join([f"{len(order)} of {rows.size} coefficients are not 0", *lines])
