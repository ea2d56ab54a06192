"""Gaussian graphical models."""

from __future__ import annotations

from typing import Any

import numpy as np
from sklearn.covariance import EmpiricalCovariance, empirical_covariance
from sklearn.utils.validation import validate_data

from numopt.core.engine import solve
from numopt.splittings import components, graphical_lasso


class SparsePrecision(EmpiricalCovariance):
    r"""Covariance with a sparse inverse: the graphical lasso, solved by ADMM.

    .. math:: \min_X \mathrm{tr}(S X) - \log\det X + \alpha \sum_{i \ne j} |X_{ij}|

    for the empirical covariance S, as `sklearn.covariance.GraphicalLasso`. Groups of variables
    that no :math:`|S_{ij}| > \alpha` connects are solved one by one, which is exact.

    Parameters
    ----------
    alpha : float, default 0.01
        Strength, >= 0.
    assume_centered : bool, default False
        Whether the mean of the data is 0 and not to be estimated.
    tol : float, optional
        Bound for the certificate (relative duality gap); 1e-8 if not given.
    max_iter : int, optional
        Iterations at most; the solver's default if not given.

    Attributes
    ----------
    location_ : array of shape (n_features,)
        Mean.
    covariance_, precision_ : array of shape (n_features, n_features)
        The fit and its inverse, which has exact zeros.
    n_iter_ : int
        Iterations of the longest solve.
    results_ : list of Result
        One per group of more than one variable, with certificate and history.
    groups_ : list of array
        The groups.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, "Sparse inverse covariance estimation with the graphical
    lasso", Biostatistics 9 (2008), arXiv:0708.3517.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from numopt.estimators import SparsePrecision
    >>> X = load_diabetes(scaled=False).data
    >>> model = SparsePrecision(alpha=0.3).fit(X / X.std(axis=0))
    >>> int((model.precision_ == 0).sum()) > 30, model.results_[0].success
    (True, True)
    """

    _parameter_constraints: dict[str, Any] = {}

    def __init__(
        self,
        alpha: float = 0.01,
        assume_centered: bool = False,
        tol: float | None = None,
        max_iter: int | None = None,
    ):
        super().__init__(assume_centered=assume_centered)
        self.alpha = alpha
        self.tol = tol
        self.max_iter = max_iter

    def fit(self, X: Any, y: Any = None) -> SparsePrecision:
        """Fit the model.

        Parameters
        ----------
        X : array of shape (n_samples, n_features)
            Data, two samples at least.
        y : ignored

        Returns
        -------
        self
            The fitted estimator.
        """
        X = validate_data(self, X, ensure_min_samples=2, ensure_min_features=2, dtype=np.float64)
        p = X.shape[1]
        self.location_ = np.zeros(p) if self.assume_centered else X.mean(0)
        S = empirical_covariance(X, assume_centered=self.assume_centered)
        constant = np.flatnonzero(~(S.diagonal() > 0))
        if constant.size:
            raise ValueError(
                f"X is constant in column {constant[0]} ({constant.size} such columns), whose "
                "variance must be > 0; drop it"
            )
        given = {"tol": self.tol, "max_iter": self.max_iter}
        options: dict[str, Any] = {key: value for key, value in given.items() if value is not None}
        precision, covariance = np.zeros((p, p)), np.zeros((p, p))
        self.groups_, self.results_ = components(S, self.alpha), []
        for group in self.groups_:
            block = np.ix_(group, group)
            problem = graphical_lasso(S[block], self.alpha)
            if group.size == 1:
                precision[block] = 1 / S[block]
            else:
                # The covariance that leaves out what correlates is a good start.
                result = solve(
                    problem, "admm", x0=np.diag(1 / np.diag(S)[group]).ravel(), **options
                )
                self.results_.append(result)
                found = result.x.reshape(block[0].size, -1)
                precision[block] = (found + found.T) / 2
            covariance[block] = np.linalg.inv(precision[block])
        self.covariance_, self.precision_ = covariance, precision
        self.n_iter_ = max((result.nit for result in self.results_), default=0) or 1
        return self
