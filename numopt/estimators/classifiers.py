"""Penalised classification: logistic models, one class against the rest."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.special import expit, log_softmax, softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.class_weight import compute_class_weight
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from numopt import penalties
from numopt.core.validate import require_choice
from numopt.estimators._fit import (
    coefficient_table,
    coefficients_of,
    fit_problem,
    float_dtypes,
)


class _LinearClassifier(ClassifierMixin, BaseEstimator):
    """Fit, predict and report for linear models of classes."""

    max_iter: int | None = None
    solver: Any = "auto"
    loss: Any = "logistic"
    class_weight: Any = None
    multi_class: str = "ovr"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Data.
        y : array of shape (n_samples,)
            Class labels of any kind; for more than two see `multi_class`.
        sample_weight : array of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = validate_data(self, X, y, accept_sparse="csc", dtype=float_dtypes())
        labels = self._encode(y)
        weight, penalty = self._weights(X, y, labels, sample_weight), self._penalty()
        self.results_ = [
            fit_problem(self, X, target, weight, penalty) for target in self._targets(labels, X)
        ]
        self._keep(self.results_, X)
        self.n_iter_ = np.array([max(1, max(result.nit for result in self.results_))])
        return self

    def _encode(self, y: np.ndarray) -> np.ndarray:
        """Number the classes."""
        require_choice(self.multi_class, ("ovr", "multinomial"), "multi_class")
        check_classification_targets(y)
        self.classes_, labels = np.unique(y, return_inverse=True)
        if self.classes_.size < 2:
            raise ValueError(
                f"y holds one class only ({self.classes_[0]!r}); classification needs at least 2"
            )
        if self._joint() and self.loss != "logistic":
            raise ValueError(
                f"multi_class='multinomial' is a loss of its own; loss={self.loss!r} needs 'ovr'"
            )
        return labels

    def _joint(self) -> bool:
        """Whether all classes are fitted by one multinomial model."""
        return bool(self.multi_class == "multinomial" and self.classes_.size > 2)

    def _targets(self, labels: np.ndarray, X: Any) -> list[np.ndarray]:
        """What is fitted: class numbers at once, or one class after the other against the rest."""
        if self._joint():
            return [labels.astype(np.int64)]
        classes = range(1, 2) if self.classes_.size == 2 else range(self.classes_.size)
        return [np.where(labels == k, 1.0, -1.0).astype(X.dtype) for k in classes]

    def _keep(self, results: Any, X: Any) -> None:
        """Set coefficients and constants."""
        parts = [coefficients_of(result, X.shape[1]) for result in results]
        self.coef_ = np.concatenate([rows for rows, _ in parts])
        self.intercept_ = np.concatenate([free for _, free in parts]).astype(X.dtype)

    def _weights(self, X: Any, y: Any, labels: np.ndarray, sample_weight: Any) -> Any:
        if sample_weight is None and self.class_weight is None:
            return None
        weight = _check_sample_weight(sample_weight, X, dtype=X.dtype, ensure_non_negative=True)
        if self.class_weight is not None:
            per_class = compute_class_weight(self.class_weight, classes=self.classes_, y=y)
            weight = weight * per_class[labels].astype(X.dtype)
        return weight

    def decision_function(self, X: Any) -> np.ndarray:
        """Scores: (n_samples,) for two classes, else (n_samples, n_classes)."""
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
        """Probability of each class; one-against-the-rest ones are normalised to sum 1."""
        scores = self.decision_function(X)
        if self._joint():
            return np.asarray(softmax(scores, axis=1))
        scores = expit(scores)
        if scores.ndim == 1:
            return np.column_stack([1 - scores, scores])
        total = scores.sum(axis=1, keepdims=True)
        even = np.full_like(scores, 1.0 / scores.shape[1])
        return np.divide(scores, total, out=even, where=total > 0)

    def predict_log_proba(self, X: Any) -> np.ndarray:
        """Logarithm of `predict_proba`."""
        check_is_fitted(self)
        if self._joint():
            return np.asarray(log_softmax(self.decision_function(X), axis=1))
        with np.errstate(divide="ignore"):
            return np.log(self.predict_proba(X))

    def coefficients(self) -> str:
        """Table of the nonzero coefficients, largest first."""
        check_is_fitted(self)
        if len(self.coef_) == 1:
            return coefficient_table(self, self.coef_[0])
        return "\n\n".join(
            coefficient_table(self, row, f"class {name!s}: ")
            for name, row in zip(self.classes_, self.coef_, strict=True)
        )

    def _penalty(self) -> Any:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class PenalizedClassifier(_LinearClassifier):
    """Logistic classification with any penalty, of two classes or more.

    Parameters
    ----------
    penalty : block, optional
        From `numopt.penalties`, or made with `numopt.block`; ``L1(0.01)`` if not given.
    loss : {"logistic", "squared_hinge"} or callable, default "logistic"
        Loss, or a callable ``loss(y, sample_weight=...)`` for labels -1 and 1. Probabilities are
        those of the logistic model.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    class_weight : dict or "balanced", optional
        As in scikit-learn.
    multi_class : {"ovr", "multinomial"}, default "ovr"
        More than two classes: one against the rest, each by a model of its own, or all in one
        multinomial model. There the penalty is over the coefficients of all classes, those of a
        feature together; weights and groups of features are meant for all coefficients of each.
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
        One per row of `coef_`, or a single one of the multinomial model, with certificate and
        history.

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
        multi_class: str = "ovr",
        tol: float | None = None,
        max_iter: int | None = None,
        solver: Any = "auto",
    ):
        self.penalty = penalty
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.multi_class = multi_class
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
    multi_class : {"ovr", "multinomial"}, default "ovr"
        More than two classes: one against the rest, each by a model of its own, or all in one
        multinomial model. There the penalty is over the coefficients of all classes, those of a
        feature together; weights and groups of features are meant for all coefficients of each.
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
        multi_class: str = "ovr",
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.class_weight = class_weight
        self.multi_class = multi_class
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.L1(self.alpha, weights=self.weights)
