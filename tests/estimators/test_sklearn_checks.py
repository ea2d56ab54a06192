"""scikit-learn's own estimator checks."""

import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from numopt.estimators import (
    ElasticNet,
    Lasso,
    MCPRegressor,
    PenalizedClassifier,
    PenalizedClassifierCV,
    PenalizedRegressor,
    PenalizedRegressorCV,
    SCADRegressor,
    SparseLogisticRegression,
    SparsePrecision,
)
from numopt.penalties import L1

ESTIMATORS = [
    Lasso(),
    ElasticNet(),
    MCPRegressor(),
    SCADRegressor(),
    PenalizedRegressor(L1(0.1)),
    SparseLogisticRegression(),
    PenalizedClassifier(),
    PenalizedClassifier(multi_class="multinomial"),
    PenalizedRegressorCV(n_alphas=5, cv=3, eps=0.05),
    PenalizedClassifierCV(n_alphas=5, cv=3, eps=0.05),
    SparsePrecision(),
]


@pytest.mark.filterwarnings("ignore:.*:sklearn.exceptions.ConvergenceWarning")
@parametrize_with_checks(ESTIMATORS)
def test_sklearn_checks(estimator, check):
    check(estimator)
