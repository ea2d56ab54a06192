"""Penalised regression."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.base import BaseEstimator, MultiOutputMixin, RegressorMixin
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from numopt import penalties
from numopt.estimators._fit import coefficient_table, fit_problem, float_dtypes


class _LinearRegressor(MultiOutputMixin, RegressorMixin, BaseEstimator):
    """Fit, predict and report for linear models of real targets."""

    max_iter: int | None = None
    solver: Any = "auto"
    loss: Any = "squared"

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> Any:
        """Fit the model.

        Parameters
        ----------
        X : array or sparse matrix of shape (n_samples, n_features)
            Data.
        y : array of shape (n_samples,) or (n_samples, n_targets)
            Targets; several are fitted one by one.
        sample_weight : array of shape (n_samples,), optional
            Nonnegative weights.

        Returns
        -------
        self
            The fitted estimator.
        """
        X, y = validate_data(
            self, X, y, accept_sparse="csc", dtype=float_dtypes(), multi_output=True, y_numeric=True
        )
        if sample_weight is not None:
            sample_weight = _check_sample_weight(
                sample_weight, X, dtype=X.dtype, ensure_non_negative=True
            )
        penalty = self._penalty()
        targets = y.reshape(len(y), -1).astype(X.dtype, copy=False)
        results = [
            fit_problem(self, X, targets[:, k], sample_weight, penalty)
            for k in range(targets.shape[1])
        ]
        self.results_ = results
        coef = np.stack([result.x for result in results])
        intercept = np.array([result.get("intercept", 0.0) for result in results], X.dtype)
        several = y.ndim == 2
        self.coef_ = coef if several else coef[0]
        self.intercept_ = intercept if several else float(intercept[0])
        self.n_iter_ = max(1, max(result.nit for result in results))
        return self

    def predict(self, X: Any) -> np.ndarray:
        """X @ coef_ + intercept_, or its exponential where the loss has a logarithmic link."""
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse=("csr", "csc"), dtype=float_dtypes(), reset=False)
        scores = np.asarray(X @ self.coef_.T + self.intercept_)
        return np.exp(scores) if self.loss in ("poisson", "gamma") else scores

    def coefficients(self) -> str:
        """Table of the nonzero coefficients, largest first."""
        check_is_fitted(self)
        if self.coef_.ndim == 1:
            return coefficient_table(self, self.coef_)
        return "\n\n".join(
            coefficient_table(self, row, f"target {k}: ") for k, row in enumerate(self.coef_)
        )

    def _penalty(self) -> Any:
        raise NotImplementedError

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


class PenalizedRegressor(_LinearRegressor):
    r"""Linear regression with any loss and penalty: mean loss plus penalty of the coefficients.

    Parameters
    ----------
    penalty : block, optional
        From `numopt.penalties`, or made with `numopt.block`; ``L1(1.0)`` if not given.
    loss : {"squared", "huber", "poisson", "gamma"} or callable, default "squared"
        Loss, or a callable ``loss(y, sample_weight=...)`` that makes one. With "poisson" and
        "gamma" the logarithm of the mean is linear, and `predict` gives the mean.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most; the solver's default if not given.
    solver : str or Solver, default "auto"
        As in `numopt.solve`.

    Attributes
    ----------
    coef_ : array of shape (n_features,) or (n_targets, n_features)
        Coefficients.
    intercept_ : float or array of shape (n_targets,)
        Constant.
    n_iter_ : int
        Iterations of the longest fit.
    results_ : list of Result
        One per target, with certificate and history.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from numopt.estimators import PenalizedRegressor
    >>> from numopt.penalties import MCP
    >>> X, y = load_diabetes(return_X_y=True)
    >>> model = PenalizedRegressor(MCP(2.0)).fit(X, y)
    >>> bool(model.results_[0].success)
    True
    """

    def __init__(
        self,
        penalty: Any = None,
        loss: Any = "squared",
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int | None = None,
        solver: Any = "auto",
    ):
        self.penalty = penalty
        self.loss = loss
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter
        self.solver = solver

    def _penalty(self) -> Any:
        return penalties.L1(1.0) if self.penalty is None else self.penalty


class Lasso(_LinearRegressor):
    r"""Lasso: :math:`\frac{1}{2n} \|y - Xw - b\|^2 + \alpha \sum_j v_j |w_j|`.

    Parameters and attributes are scikit-learn's where they mean the same, except that `tol` bounds
    the certificate (relative KKT residual).

    Parameters
    ----------
    alpha : float, default 1.0
        Strength.
    weights : array of shape (n_features,), optional
        Factors v; 0 = unpenalised, inf = excluded.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.

    Examples
    --------
    >>> from numopt.estimators import Lasso
    >>> Lasso(alpha=0.5).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0]).coef_.round(6).tolist()
    [0.25]
    """

    def __init__(
        self,
        alpha: float = 1.0,
        weights: Any = None,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.L1(self.alpha, weights=self.weights)


class ElasticNet(_LinearRegressor):
    r"""Elastic net: mean half squares plus :math:`\alpha (\rho |w|_1 + (1 - \rho) |w|_2^2 / 2)`.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength.
    l1_ratio : float, default 0.5
        Share of the L1 norm.
    weights : array of shape (n_features,), optional
        One factor per coefficient; 0 = unpenalised, inf = excluded.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.

    Examples
    --------
    >>> from numopt.estimators import ElasticNet
    >>> model = ElasticNet(alpha=0.5).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> round(float(model.coef_[0]), 6)
    0.454545
    """

    def __init__(
        self,
        alpha: float = 1.0,
        l1_ratio: float = 0.5,
        weights: Any = None,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.l1_ratio = l1_ratio
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.ElasticNet(self.alpha, self.l1_ratio, weights=self.weights)


class MCPRegressor(_LinearRegressor):
    r"""Least squares with the minimax concave penalty, `numopt.penalties.MCP`.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength.
    gamma : float, default 3.0
        Where the penalty gets flat, in units of alpha; > 1.
    weights : array of shape (n_features,), optional
        One factor per coefficient; 0 = unpenalised, inf = excluded.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.

    Examples
    --------
    >>> from numopt.estimators import MCPRegressor
    >>> model = MCPRegressor(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> round(float(model.coef_[0]), 6)
    1.0
    """

    def __init__(
        self,
        alpha: float = 1.0,
        gamma: float = 3.0,
        weights: Any = None,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.gamma = gamma
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.MCP(self.alpha, self.gamma, weights=self.weights)


class SCADRegressor(_LinearRegressor):
    r"""Least squares with the SCAD penalty, `numopt.penalties.SCAD`.

    Parameters
    ----------
    alpha : float, default 1.0
        Strength.
    a : float, default 3.7
        Where the penalty gets flat, in units of alpha; > 2.
    weights : array of shape (n_features,), optional
        One factor per coefficient; 0 = unpenalised, inf = excluded.
    fit_intercept : bool, default True
        Add an unpenalised constant.
    tol : float, optional
        Bound for the certificate; 1e-8, in float32 1e-5, if not given.
    max_iter : int, optional
        Iterations at most.

    Examples
    --------
    >>> from numopt.estimators import SCADRegressor
    >>> model = SCADRegressor(alpha=0.1).fit([[0.0], [1.0], [2.0]], [0.0, 1.0, 2.0])
    >>> round(float(model.coef_[0]), 6)
    1.0
    """

    def __init__(
        self,
        alpha: float = 1.0,
        a: float = 3.7,
        weights: Any = None,
        fit_intercept: bool = True,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        self.alpha = alpha
        self.a = a
        self.weights = weights
        self.fit_intercept = fit_intercept
        self.tol = tol
        self.max_iter = max_iter

    def _penalty(self) -> Any:
        return penalties.SCAD(self.alpha, self.a, weights=self.weights)
