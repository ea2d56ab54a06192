"""scikit-learn estimators over the same problems and solvers."""

from numopt.estimators.classifiers import PenalizedClassifier, SparseLogisticRegression
from numopt.estimators.cross_validation import PenalizedClassifierCV, PenalizedRegressorCV
from numopt.estimators.dag_learner import DAGLearner
from numopt.estimators.regressors import (
    ElasticNet,
    Lasso,
    MCPRegressor,
    PenalizedRegressor,
    SCADRegressor,
)

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
]
