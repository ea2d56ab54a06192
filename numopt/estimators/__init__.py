"""scikit-learn estimators over the same problems and solvers."""

from __future__ import annotations

import importlib
from typing import Any

# Class -> module; scikit-learn is not imported before one is used.
_WHERE = {
    "DAGLearner": "dag_learner",
    "ElasticNet": "regressors",
    "Lasso": "regressors",
    "MCPRegressor": "regressors",
    "PenalizedClassifier": "classifiers",
    "PenalizedClassifierCV": "cross_validation",
    "PenalizedRegressor": "regressors",
    "PenalizedRegressorCV": "cross_validation",
    "SCADRegressor": "regressors",
    "SparseLogisticRegression": "classifiers",
    "SparsePrecision": "sparse_precision",
}

__all__ = [
    "DAGLearner",
    "ElasticNet",
    "Lasso",
    "MCPRegressor",
    "PenalizedClassifier",
    "PenalizedClassifierCV",
    "PenalizedRegressor",
    "PenalizedRegressorCV",
    "SCADRegressor",
    "SparseLogisticRegression",
    "SparsePrecision",
]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'numopt.estimators' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return list(__all__)
