"""Penalty strength by cross-validation or an information criterion, over warm-started paths."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from sklearn.model_selection import check_cv
from sklearn.utils.validation import _check_sample_weight, validate_data

from numopt import penalties
from numopt.core.engine import solve
from numopt.core.result import Result
from numopt.core.validate import require_choice
from numopt.estimators._fit import float_dtypes, limits, make_loss
from numopt.estimators.classifiers import _LinearClassifier
from numopt.estimators.regressors import _LinearRegressor
from numopt.problems import Composite


@dataclass(frozen=True, eq=False)
class Path:
    """Solutions over a grid of penalty strengths.

    Attributes
    ----------
    alphas : array of shape (n_alphas,)
        Strengths, largest first.
    coefs : array of shape (n_alphas, n_features)
        Coefficients on all data.
    intercepts : array of shape (n_alphas,)
        Constants on all data.
    results : list of Result
        The solves on all data, with certificates.
    losses : array of shape (n_alphas, n_folds) or (n_alphas, 0)
        Mean loss on the held-out part of each fold.
    criterion : array of shape (n_alphas,)
        What was minimised: mean held-out loss or EBIC.
    chosen : int
        Position of the chosen strength.
    """

    alphas: np.ndarray
    coefs: np.ndarray
    intercepts: np.ndarray
    results: list[Result]
    losses: np.ndarray
    criterion: np.ndarray
    chosen: int

    def plot(self, ax: Any = None) -> Any:
        """Draw coefficients over alpha and mark the chosen one; returns the axes (matplotlib)."""
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots()[1]
        moving = self.coefs[:, np.any(self.coefs != 0, axis=0)]
        ax.plot(self.alphas, moving)
        ax.axvline(self.alphas[self.chosen], color="0.4", linestyle="--", label="chosen")
        ax.set(xscale="log", xlabel="alpha", ylabel="coefficient")
        ax.invert_xaxis()
        ax.legend()
        return ax


class _CrossValidated:
    """The search shared by regressors and classifiers."""

    def _search(self: Any, X: Any, y: np.ndarray, target: np.ndarray, weight: Any) -> None:
        require_choice(self.selection, ("min", "1se", "ebic"), "selection")
        base = penalties.L1(1.0) if self.penalty is None else self.penalty
        if not hasattr(base, "alpha"):
            raise TypeError(
                f"penalty {type(base).__name__} has no field `alpha` to search over; "
                "choose one that has, or fit it without cross-validation"
            )
        whole = self._problem(X, target, weight, base)
        alphas = self._grid(whole)
        results = self._path(whole, base, alphas)
        losses = np.zeros((alphas.size, 0))
        if self.selection == "ebic":
            criterion = self._ebic(whole, results)
            chosen = int(np.argmin(criterion))
        else:
            folds = list(check_cv(self.cv, y, classifier=self._classifies).split(X, y))
            with ThreadPoolExecutor(self.n_jobs or 1) as pool:  # kernels release the GIL
                columns = pool.map(
                    lambda fold: self._held_out(X, target, weight, base, alphas, *fold), folds
                )
                losses = np.column_stack(list(columns))
            criterion = losses.mean(axis=1)
            chosen = int(np.argmin(criterion))
            if self.selection == "1se":
                spread = losses[chosen].std(ddof=1) / np.sqrt(losses.shape[1])
                chosen = int(np.argmax(criterion <= criterion[chosen] + spread))
        coefs = np.stack([r.x for r in results])
        intercepts = np.array([r.get("intercept", 0.0) for r in results])
        self.path_ = Path(alphas, coefs, intercepts, results, losses, criterion, chosen)
        self.alpha_ = float(alphas[chosen])
        self.results_ = [results[chosen]]
        self.n_iter_ = max(1, results[chosen].nit)

    def _problem(self: Any, X: Any, target: np.ndarray, weight: Any, penalty: Any) -> Composite:
        loss = make_loss(self.loss, target, weight)
        return Composite(loss, X, penalty, fit_intercept=self.fit_intercept)

    def _grid(self: Any, problem: Composite) -> np.ndarray:
        if self.alphas is not None:
            alphas = np.sort(np.asarray(self.alphas, dtype=np.float64))[::-1]
            if alphas.ndim != 1 or alphas.size == 0 or not (alphas >= 0).all():
                raise ValueError(f"alphas must be nonnegative numbers, got {self.alphas!r}")
            return alphas
        top = problem.alpha_max()
        if not 0 < top < np.inf:
            top = 1.0
        return np.geomspace(top, self.eps * top, self.n_alphas)

    def _path(self: Any, problem: Composite, base: Any, alphas: np.ndarray) -> list[Result]:
        results: list[Result] = []
        for alpha in alphas:
            related = problem.replace(penalty=dataclasses.replace(base, alpha=float(alpha)))
            start = results[-1] if results else None
            results.append(solve(related, self.solver, warm_start=start, **limits(self)))
        return results

    def _held_out(
        self: Any,
        X: Any,
        target: np.ndarray,
        weight: Any,
        base: Any,
        alphas: np.ndarray,
        train: np.ndarray,
        test: np.ndarray,
    ) -> np.ndarray:
        part = None if weight is None else weight[train]
        problem = self._problem(X[train], target[train], part, base)
        judge = make_loss(self.loss, target[test], None if weight is None else weight[test])
        return np.array(
            [
                float(judge.value(np.asarray(X[test] @ r.x + r.get("intercept", 0.0), np.float64)))
                for r in self._path(problem, base, alphas)
            ]
        )

    def _ebic(self: Any, problem: Composite, results: list[Result]) -> np.ndarray:
        """Extended BIC: Chen and Chen, Biometrika 95, 2008, with their gamma = 1/2."""
        n, p = problem.A.shape
        fits = np.array(
            [problem.loss.value(problem.predict(r.x, r.get("intercept", 0.0))) for r in results]
        )
        if problem.loss.quadratic:
            deviance = n * np.log(np.maximum(2 * fits, np.finfo(float).tiny))
        else:
            deviance = 2 * n * fits
        size = np.array([np.count_nonzero(r.x) for r in results])
        return deviance + size * (np.log(n) + np.log(max(p, 1)))


class PenalizedRegressorCV(_CrossValidated, _LinearRegressor):
    """`PenalizedRegressor` with the strength of its penalty chosen from the data.

    Parameters
    ----------
    penalty : block, optional
        Penalty with a field `alpha`, which is searched; ``L1`` if not given.
    alphas : array, optional
        Strengths to try; if not given, `n_alphas` from the least that gives zero down to
        `eps` times that, evenly in logarithm.
    cv : int or splitter, default 5
        As in scikit-learn.
    loss : {"squared", "huber"} or callable, default "squared"
        Loss of fit and of held-out data.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    selection : {"min", "1se", "ebic"}, default "min"
        Least mean held-out loss; the strongest penalty within one standard error of it; or the
        least extended BIC, without cross-validation.
    n_alphas : int, default 100
        Size of the grid.
    eps : float, default 1e-3
        Its smallest over its largest strength.
    n_jobs : int, optional
        Threads over folds.
    tol : float, optional
        Bound for the certificate.
    max_iter : int, optional
        Iterations at most, for each fit.
    solver : str or Solver, default "auto"
        As in `numopt.solve`.

    Attributes
    ----------
    coef_, intercept_ : array, float
        The chosen model, fitted on all data.
    alpha_ : float
        Its strength.
    path_ : Path
        All models, with ``path_.plot()``.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from numopt.estimators import PenalizedRegressorCV
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = PenalizedRegressorCV(n_alphas=20).fit(X, y)
    >>> bool(0 < model.alpha_ < model.path_.alphas[0])
    True
    """

    _classifies = False

    def __init__(
        self,
        penalty: Any = None,
        alphas: Any = None,
        cv: Any = 5,
        loss: Any = "squared",
        fit_intercept: bool = True,
        selection: str = "min",
        n_alphas: int = 100,
        eps: float = 1e-3,
        n_jobs: int | None = None,
        tol: float | None = None,
        max_iter: int | None = None,
        solver: Any = "auto",
    ):
        self.penalty = penalty
        self.alphas = alphas
        self.cv = cv
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.selection = selection
        self.n_alphas = n_alphas
        self.eps = eps
        self.n_jobs = n_jobs
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose the strength and fit; one target."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=float_dtypes(), y_numeric=True)
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        self._search(X, y, y.astype(X.dtype, copy=False), sample_weight)
        self.coef_ = self.results_[0].x
        self.intercept_ = float(self.results_[0].get("intercept", 0.0))
        return self

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = False
        return tags


class PenalizedClassifierCV(_CrossValidated, _LinearClassifier):
    """`PenalizedClassifier` for two classes with the strength chosen from the data.

    Parameters
    ----------
    penalty : block, optional
        Penalty with a field `alpha`, which is searched; ``L1`` if not given.
    alphas, cv, selection, n_alphas, eps, n_jobs, fit_intercept, tol, max_iter, solver
        As in `PenalizedRegressorCV`.
    loss : {"logistic"} or callable, default "logistic"
        Loss of fit and of held-out data.
    class_weight : dict or "balanced", optional
        As in scikit-learn.

    Attributes
    ----------
    classes_, coef_, intercept_ : array
        The chosen model, fitted on all data.
    alpha_ : float
        Its strength.
    path_ : Path
        All models, with ``path_.plot()``.

    Examples
    --------
    >>> from sklearn.datasets import load_breast_cancer
    >>> from sklearn.preprocessing import scale
    >>> from numopt.estimators import PenalizedClassifierCV
    >>> X, y = load_breast_cancer(return_X_y=True)
    >>> model = PenalizedClassifierCV(n_alphas=5, eps=0.05).fit(scale(X), y)
    >>> model.score(scale(X), y) > 0.9
    True
    """

    _classifies = True

    def __init__(
        self,
        penalty: Any = None,
        alphas: Any = None,
        cv: Any = 5,
        loss: Any = "logistic",
        fit_intercept: bool = True,
        selection: str = "min",
        n_alphas: int = 100,
        eps: float = 1e-3,
        n_jobs: int | None = None,
        class_weight: Any = None,
        tol: float | None = None,
        max_iter: int | None = None,
        solver: Any = "auto",
    ):
        self.penalty = penalty
        self.alphas = alphas
        self.cv = cv
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.selection = selection
        self.n_alphas = n_alphas
        self.eps = eps
        self.n_jobs = n_jobs
        self.class_weight = class_weight
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose the strength and fit; two classes."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=float_dtypes())
        self.classes_, labels = self._classes(y)
        weight = self._weights(X, y, labels, sample_weight)
        self._search(X, y, np.where(labels == 1, 1.0, -1.0).astype(X.dtype), weight)
        self.coef_ = self.results_[0].x[None, :]
        self.intercept_ = np.array([self.results_[0].get("intercept", 0.0)], X.dtype)
        self.n_iter_ = np.array([self.n_iter_])
        return self

    def _classes(self, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        from sklearn.utils.multiclass import check_classification_targets

        check_classification_targets(y)
        classes, labels = np.unique(y, return_inverse=True)
        if classes.size == 1:
            raise ValueError(f"y holds one class only ({classes[0]!r}); classification needs 2")
        if classes.size > 2:
            raise ValueError(
                "Only binary classification is supported. The type of the target is multiclass; "
                "use sklearn.multiclass.OneVsRestClassifier around this estimator"
            )
        return classes, labels

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        return tags


__all__ = ["Path", "PenalizedClassifierCV", "PenalizedRegressorCV"]
