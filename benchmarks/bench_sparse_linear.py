"""Sparse linear models against scikit-learn, celer and skglm: time to KKT 1e-8, as ratios.

A peer's tolerance is tightened until the certificate of its point meets 1e-8, or no further. Peers
that are not installed are left out (NaN). Ratios below 1 mean that numopt is faster.
"""

import time

import numpy as np
import scipy.sparse as sp

import numopt
from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L1
from numopt.problems import Composite

TOLERANCES = (1e-6, 1e-8, 1e-10, 1e-12)


def wide(strength, logistic=False):
    """Dense 1000 x 20000 with 50 planted coefficients."""
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((1000, 20000)))
    y = X[:, :50] @ rng.standard_normal(50) + rng.standard_normal(1000)
    return model(X, np.sign(y) if logistic else y, strength, logistic)


def tall(strength):
    """Dense, correlated 50000 x 300."""
    rng = np.random.default_rng(0)
    common = 0.5 * rng.standard_normal((50000, 1))
    X = np.asfortranarray(rng.standard_normal((50000, 300)) + common)
    return model(X, X[:, :40] @ rng.standard_normal(40) + rng.standard_normal(50000), strength)


def text(strength):
    """Sparse nonnegative 5000 x 30000."""
    rng = np.random.default_rng(0)
    X = sp.csc_matrix(sp.random_array((5000, 30000), density=0.003, rng=rng))
    X.data = np.abs(X.data)
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    y = X[:, :50] @ rng.standard_normal(50) + 0.01 * rng.standard_normal(5000)
    return model(X, y, strength)


def model(X, y, strength, logistic=False):
    gradient = X.T @ y / len(y) / (2 if logistic else 1)
    return X, y, strength * np.abs(gradient).max(), logistic


CASES = {
    "wide 0.2": lambda: wide(0.2),
    "wide 0.02": lambda: wide(0.02),
    "wide logistic 0.05": lambda: wide(0.05, logistic=True),
    "tall 0.01": lambda: tall(0.01),
    "text 0.01": lambda: text(0.01),
}


def peers(logistic):
    """Name -> fit(X, y, alpha, tol) of the peers that are installed."""
    from sklearn import linear_model

    found = {}
    if logistic:
        found["scikit-learn"] = lambda X, y, alpha, tol: linear_model.LogisticRegression(
            l1_ratio=1.0, C=1 / (len(y) * alpha), solver="liblinear", fit_intercept=False, tol=tol
        ).fit(X, y)
    else:
        found["scikit-learn"] = lambda X, y, alpha, tol: linear_model.Lasso(
            alpha=alpha, fit_intercept=False, tol=tol, max_iter=10**6
        ).fit(X, y)
    try:
        import celer
    except ImportError:
        pass
    else:
        found["celer"] = (
            (
                lambda X, y, alpha, tol: celer.LogisticRegression(
                    C=1 / (len(y) * alpha), fit_intercept=False, tol=tol
                ).fit(X, y)
            )
            if logistic
            else (
                lambda X, y, alpha, tol: celer.Lasso(alpha=alpha, fit_intercept=False, tol=tol).fit(
                    X, y
                )
            )
        )
    try:
        import skglm
    except ImportError:
        pass
    else:
        found["skglm"] = (
            (
                lambda X, y, alpha, tol: skglm.GeneralizedLinearEstimator(
                    skglm.datafits.Logistic(),
                    skglm.penalties.L1(alpha),
                    skglm.solvers.ProxNewton(fit_intercept=False, tol=tol),
                ).fit(X, y)
            )
            if logistic
            else (
                lambda X, y, alpha, tol: skglm.Lasso(alpha=alpha, fit_intercept=False, tol=tol).fit(
                    X, y
                )
            )
        )
    return found


def best_of(call, repeats=3):
    call()
    times = []
    for _ in range(repeats):
        start = time.process_time()
        answer = call()
        times.append(time.process_time() - start)
    return answer, min(times)


class TimeToCertificate:
    params = (list(CASES), ["scikit-learn", "celer", "skglm"])
    param_names = ("case", "peer")
    timeout = 600

    def track_ratio(self, case, peer):
        X, y, alpha, logistic = CASES[case]()
        fit = peers(logistic).get(peer)
        if fit is None:
            return float("nan")
        loss = Logistic if logistic else LeastSquares
        problem = Composite(loss(y), X, L1(alpha))
        result, ours = best_of(lambda: numopt.solve(Composite(loss(y), X, L1(alpha)), tol=1e-8))
        assert result.success
        for tol in TOLERANCES:
            fitted, theirs = best_of(lambda tol=tol: fit(X, y, alpha, tol))
            if problem.certificate(np.ravel(fitted.coef_))["kkt"] <= 1e-8:
                break
        return ours / theirs

    track_ratio.unit = "ratio"
