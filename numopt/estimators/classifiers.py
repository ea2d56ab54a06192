"""Penalised classification: logistic models, one class against the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from numopt import penalties
from numopt.estimators._fit import coefficient_table, fit_problem, float_dtypes


class _LinearClassifier(ClassifierMixin, BaseEstimator):
    """Fit, predict and report for logistic models."""

    max_iter: int | None = None
    solver: Any = "auto"
    loss: Any = "logistic"
    class_weight: Any = None

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Data.
        y : array of shape (n_samples,)
            Class labels of any kind; more than two are fitted one against the rest.
        sample_weight : array of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, accept_sparse="csc", dtype=float_dtypes())
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_[0]!r}); classification needs at least 2"
            )
        weight = self._weights(X, y, labels, sample_weight)
        positive = range(1, 2) if self.classes_.size == 2 else range(self.classes_.size)
        penalty = self._penalty()
        self.results_ = [
            fit_problem(self, X, np.where(labels == k, 1.0, -1.0).astype(X.dtype), weight, penalty)
            for k in positive
        ]
        self.coef_ = np.stack([result.x for result in self.results_])
        self.intercept_ = np.array([r.get("intercept", 0.0) for r in self.results_], X.dtype)
        self.n_iter_ = np.array([max(1, max(result.nit for result in self.results_))])
        return self

    def _weights(self, X: Any, y: Any, labels: np.ndarray, sample_weight: Any) -> Any:
        if sample_weight is None and self.class_weight is None:
            return None
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        if self.class_weight is not None:
            per_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weight = weight * per_class[labels].astype(X.dtype)
        return weight

    def decision_function(self, X: Any) -> np.ndarray:
        """Log odds: (n_samples,) for two classes, else (n_samples, n_classes)."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=float_dtypes(), reset=False)
        scores = np.asarray(X @ self.coef_.T + self.intercept_)
        return scores[:, 0] if self.classes_.size == 2 else scores

    def predict(self, X: Any) -> np.ndarray:
        """Class of the largest score."""
        scores = self.decision_function(X)
        best = (scores > 0).astype(int) if scores.ndim == 1 else scores.argmax(axis=1)
        return self.classes_[best]

    def predict_proba(self, X: Any) -> np.ndarray:
        """Probability of each class, one-against-the-rest scores normalised to sum 1."""
        scores = expit(self.decision_function(X))
        if scores.ndim == 1:
            return np.column_stack([1 - scores, scores])
        total = scores.sum(axis=1, keepdims=True)
        even = np.full_like(scores, 1.0 / scores.shape[1])
        return np.divide(scores, total, out=even, where=total > 0)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of `predict_proba`."""
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def coefficients(self) -> str:
        """Table of the nonzero coefficients, largest first."""
        check_is_fitted(self)
        return "\n\n".join(coefficient_table(self, row) for row in self.coef_)

    def _penalty(self) -> Any:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class PenalizedClassifier(_LinearClassifier):
    """Logistic classification with any penalty; more than two classes one against the rest.

    Parameters
    ----------
    penalty : block, optional
        From `numopt.penalties`, or made with `numopt.block`; ``L1(0.01)`` if not given.
    loss : {"logistic"} or callable, default "logistic"
        Loss, or a callable ``loss(y, sample_weight=...)`` for labels -1 and 1.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    class_weight : dict or "balanced", optional
        As in scikit-learn.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.
    solver : str or Solver, default "auto"
        As in `numopt.solve`.

    Attributes
    ----------
    classes_ : array of shape (n_classes,)
        Labels.
    coef_ : array of shape (1 or n_classes, n_features)
        Coefficients.
    intercept_ : array of shape (1 or n_classes,)
        Constants.
    results_ : list of Result
        One per row of `coef_`, with certificate and history.

    Examples
    --------
    >>> from sklearn.datasets import load_iris
    >>> from numopt.estimators import PenalizedClassifier
    >>> X, y = load_iris(return_X_y=True)
    >>> PenalizedClassifier().fit(X, y).score(X, y) > 0.9
    True
    """

    def __init__(
        self,
        penalty: Any = None,
        loss: Any = "logistic",
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float | None = None,
        max_iter: int | None = None,
        solver: Any = "auto",
    ):
        self.penalty = penalty
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver

    def _penalty(self) -> Any:
        return penalties.L1(0.01) if self.penalty is None else self.penalty


class SparseLogisticRegression(_LinearClassifier):
    r"""L1-penalised logistic regression, :math:`\frac1n \sum \log(1 + e^{-y z}) + \alpha |w|_1`.

    scikit-learn's ``C`` is :math:`1 / (n \alpha)`.

    Parameters
    ----------
    alpha : float, default 0.01
        Strength.
    weights : array of shape (n_features,), optional
        One factor per coefficient; 0 = unpenalised, inf = excluded.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    class_weight : dict or "balanced", optional
        As in scikit-learn.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from numopt.estimators import SparseLogisticRegression
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = SparseLogisticRegression(alpha=0.02).fit(scale(X), y)
    >>> bool(model.results_[0].success)
    True
    """

    def __init__(
        self,
        alpha: float = 0.01,
        weights: Any = None,
        fit_intercept: bool = True,
        class_weight: Any = None,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.L1(self.alpha, weights=self.weights)
