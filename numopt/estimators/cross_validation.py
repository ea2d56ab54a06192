"""Penalty strength by cross-validation or an information criterion, over warm-started paths."""

from __future__ import annotations

import dataclasses
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from joblib import effective_n_jobs  # type: ignore[import-untyped]
from sklearn.model_selection import check_cv
from sklearn.utils.validation import _check_sample_weight, validate_data

from numopt import penalties
from numopt.core.engine import solve
from numopt.core.result import Result
from numopt.core.validate import require_choice
from numopt.estimators._fit import coefficients_of, float_dtypes, limits, make_problem
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
    coefs : array of shape (n_alphas, n_features) or (n_alphas, n_targets, n_features)
        Coefficients on all data; of several targets or more than two classes a row each.
    intercepts : array of shape (n_alphas,) or (n_alphas, n_targets)
        Constants on all data.
    results : list of Result, or of lists of one for each model
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
    results: list[Any]
    losses: np.ndarray
    criterion: np.ndarray
    chosen: int

    @property
    def standard_errors(self) -> np.ndarray:
        """Those of the mean held-out losses; zeros without folds."""
        folds = self.losses.shape[1]
        if folds < 2:
            return np.zeros(self.alphas.size)
        return np.asarray(self.losses.std(axis=1, ddof=1) / np.sqrt(folds))

    def plot(self, ax: Any = None) -> Any:
        """Draw coefficients over alpha and mark the chosen one; returns the axes (matplotlib)."""
        coefs = self.coefs.reshape(self.alphas.size, -1)
        ax = self._axes(ax, "coefficient")
        ax.plot(self.alphas, coefs[:, np.any(coefs != 0, axis=0)])
        return ax

    def plot_criterion(self, ax: Any = None) -> Any:
        """Draw what was minimised, with standard errors over the folds; returns the axes."""
        folds = self.losses.shape[1]
        ax = self._axes(ax, "held-out loss" if folds else "EBIC")
        ax.errorbar(self.alphas, self.criterion, self.standard_errors if folds else None, fmt=".-")
        return ax

    def _axes(self, ax: Any, label: str) -> Any:
        import matplotlib.pyplot as plt

        ax = ax or plt.subplots()[1]
        ax.axvline(self.alphas[self.chosen], color="0.4", linestyle="--", label="chosen")
        ax.set(xscale="log", xlabel="alpha", ylabel=label)
        ax.xaxis.set_inverted(True)
        ax.legend()
        return ax


class _CrossValidated:
    """The search shared by regressors and classifiers.

    A model is fitted for each of `targets`; all share the strength.
    """

    def _search(self: Any, X: Any, y: np.ndarray, targets: list[np.ndarray], weight: Any) -> None:
        require_choice(self.selection, ("min", "1se", "ebic"), "selection")
        base = penalties.L1(1.0) if self.penalty is None else self.penalty
        if not hasattr(base, "alpha"):
            raise TypeError(
                f"penalty {type(base).__name__} has no field `alpha` to search over; "
                "choose one that has, or fit it without cross-validation"
            )
        whole = [make_problem(self, X, target, weight, base) for target in targets]
        alphas = self._grid(whole)
        results = self._path(whole, alphas)
        losses = np.zeros((alphas.size, 0))
        if self.selection == "ebic":
            criterion = self._ebic(whole, results)
        else:
            folds = list(check_cv(self.cv, y, classifier=self._classifies).split(X, y))
            with ThreadPoolExecutor(effective_n_jobs(self.n_jobs)) as pool:  # without the GIL
                columns = pool.map(
                    lambda fold: self._held_out(X, targets, weight, base, alphas, *fold), folds
                )
                losses = np.column_stack(list(columns))
            criterion = losses.mean(axis=1)
        chosen = int(np.argmin(criterion))
        parts = [[coefficients_of(r, X.shape[1]) for r in point] for point in results]
        coefs = np.stack([np.concatenate([rows for rows, _ in point]) for point in parts])
        free = np.stack([np.concatenate([b for _, b in point]) for point in parts])
        if coefs.shape[1] == 1:
            coefs, free = coefs[:, 0], free[:, 0]
        shown = [point[0] for point in results] if len(targets) == 1 else results
        path = Path(alphas, coefs, free, shown, losses, criterion, chosen)
        if self.selection == "1se":
            bound = criterion[chosen] + path.standard_errors[chosen]
            path = dataclasses.replace(path, chosen=int(np.argmax(criterion <= bound)))
        self.path_ = path
        self.alpha_ = float(alphas[path.chosen])
        self.results_ = results[path.chosen]
        self.n_iter_ = max(1, max(result.nit for result in self.results_))

    def _grid(self: Any, problems: list[Composite]) -> np.ndarray:
        if self.alphas is not None:
            alphas = np.sort(np.asarray(self.alphas, dtype=np.float64))[::-1]
            if alphas.ndim != 1 or alphas.size == 0 or not (alphas >= 0).all():
                raise ValueError(f"alphas must be nonnegative numbers, got {self.alphas!r}")
            return alphas
        top = max(problem.alpha_max() for problem in problems)
        if not 0 < top < np.inf:
            top = 1.0
        return np.geomspace(top, self.eps * top, self.n_alphas)

    def _path(self: Any, problems: list[Composite], alphas: np.ndarray) -> list[list[Result]]:
        """The models at each strength, each started from its neighbour."""
        points: list[list[Result]] = []
        for alpha in alphas:
            points.append([])
            for k, problem in enumerate(problems):
                penalty = dataclasses.replace(problem.penalty, alpha=float(alpha))
                start = points[-2][k] if len(points) > 1 else None
                related = problem.replace(penalty=penalty)
                points[-1].append(solve(related, self.solver, warm_start=start, **limits(self)))
        return points

    def _held_out(
        self: Any,
        X: Any,
        targets: list[np.ndarray],
        weight: Any,
        base: Any,
        alphas: np.ndarray,
        train: np.ndarray,
        test: np.ndarray,
    ) -> np.ndarray:
        inside, outside = (None if weight is None else weight[rows] for rows in (train, test))
        fitted = [make_problem(self, X[train], t[train], inside, base) for t in targets]
        judges = [make_problem(self, X[test], t[test], outside, base) for t in targets]
        return np.array(
            [
                np.mean(
                    [
                        judge.loss.value(judge.predict(r.x, r.get("intercept", 0.0)))
                        for judge, r in zip(judges, point, strict=True)
                    ]
                )
                for point in self._path(fitted, alphas)
            ]
        )

    def _ebic(self: Any, problems: list[Composite], points: list[list[Result]]) -> np.ndarray:
        """Extended BIC: Chen and Chen, Biometrika 95, 2008, with their gamma = 1/2."""
        total = np.zeros(len(points))
        for k, problem in enumerate(problems):
            n, p = problem.A.shape[0], problem.size
            results = [point[k] for point in points]
            fits = np.array(
                [problem.loss.value(problem.predict(r.x, r.get("intercept", 0.0))) for r in results]
            )
            if problem.loss.quadratic:
                deviance = n * np.log(np.maximum(2 * fits, np.finfo(float).tiny))
            else:
                deviance = 2 * n * fits
            size = np.array([np.count_nonzero(r.x) for r in results])
            total += deviance + size * (np.log(n) + np.log(max(p, 1)))
        return total


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
    loss : {"squared", "huber", "poisson", "gamma"} or callable, default "squared"
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
        Threads over folds, counted as in scikit-learn.
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
        All models, with ``path_.plot()`` and ``path_.plot_criterion()``.

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
        """Choose the strength and fit; several targets share it."""
        X, y = validate_data(
            self, X, y, accept_sparse="csr", dtype=float_dtypes(), multi_output=True, y_numeric=True
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        targets = y.reshape(len(y), -1).astype(X.dtype, copy=False)
        self._search(X, y, list(targets.T), sample_weight)
        coefs = self.path_.coefs[self.path_.chosen]
        free = self.path_.intercepts[self.path_.chosen]
        several = y.ndim == 2
        self.coef_ = coefs.reshape(-1, X.shape[1]) if several else coefs
        self.intercept_ = np.atleast_1d(free).astype(X.dtype) if several else float(free)
        return self


class PenalizedClassifierCV(_CrossValidated, _LinearClassifier):
    """`PenalizedClassifier` with the strength of its penalty chosen from the data.

    Parameters
    ----------
    penalty : block, optional
        Penalty with a field `alpha`, which is searched; ``L1`` if not given.
    alphas, cv, selection, n_alphas, eps, n_jobs, fit_intercept, tol, max_iter, solver
        As in `PenalizedRegressorCV`.
    loss : {"logistic", "squared_hinge"} or callable, default "logistic"
        Loss of fit and of held-out data.
    class_weight : dict or "balanced", optional
        As in scikit-learn.
    multi_class : {"ovr", "multinomial"}, default "ovr"
        As in `PenalizedClassifier`.

    Attributes
    ----------
    classes_, coef_, intercept_ : array
        The chosen model, fitted on all data.
    alpha_ : float
        Its strength.
    path_ : Path
        All models, with ``path_.plot()`` and ``path_.plot_criterion()``.

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
        multi_class: str = "ovr",
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
        self.multi_class = multi_class
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Choose the strength and fit; all classes share it."""
        X, y = validate_data(self, X, y, accept_sparse="csr", dtype=float_dtypes())
        labels = self._encode(y)
        weight = self._weights(X, y, labels, sample_weight)
        self._search(X, y, self._targets(labels, X), weight)
        self._keep(self.results_, X)
        self.n_iter_ = np.array([self.n_iter_])
        return self


__all__ = ["Path", "PenalizedClassifierCV", "PenalizedRegressorCV"]
