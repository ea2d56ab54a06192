"""Sparse linear models against peers: time to a certificate, as ratios.

A peer's tolerance is tightened until the certificate of its point is as good as asked, or no
further. Peers that are not installed are left out (NaN). Ratios below 1 mean that numopt is faster.
The a8a data are read from the file that NUMOPT_A8A names, with arrays indices, indptr, shape, y of
a CSR matrix of ones.
"""

import os
import time

import numpy as np
import scipy.sparse as sp

import numopt
from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L1
from numopt.problems import Composite

TOLERANCES = (1e-4, 1e-6, 1e-8, 1e-10, 1e-12)


def planted(n, p, k, strength, logistic=False):
    """Dense n x p with k planted coefficients."""
    rng = np.random.default_rng(0)
    X = np.asfortranarray(rng.standard_normal((n, p)))
    y = X[:, :k] @ rng.standard_normal(k) + rng.standard_normal(n)
    return model(X, np.sign(y) if logistic else y, strength, logistic)


def tall(strength):
    """Dense, correlated 100000 x 300."""
    rng = np.random.default_rng(0)
    common = 0.5 * rng.standard_normal((100_000, 1))
    X = np.asfortranarray(rng.standard_normal((100_000, 300)) + common)
    return model(X, X[:, :40] @ rng.standard_normal(40) + rng.standard_normal(100_000), strength)


def text(strength, logistic=False):
    """Sparse nonnegative 5000 x 30000."""
    rng = np.random.default_rng(0)
    X = sp.csc_matrix(sp.random_array((5000, 30000), density=0.003, rng=rng))
    X.data = np.abs(X.data)
    y = X[:, :50] @ rng.standard_normal(50) + 0.01 * rng.standard_normal(5000)
    return model(narrow(X), np.sign(y) if logistic else y, strength, logistic)


def bundled(name, strength, logistic=False):
    """Data that come with scikit-learn, standardised."""
    from sklearn import datasets
    from sklearn.preprocessing import scale

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    y = np.where(y > (4 if name == "digits" else 0), 1.0, -1.0) if logistic else y - y.mean()
    return model(np.asfortranarray(scale(X)), y, strength, logistic)


def a8a(strength):
    """Census data of 22696 people, 123 binary columns."""
    file = np.load(os.environ["NUMOPT_A8A"])
    ones = np.ones(file["indices"].size)
    X = sp.csr_matrix((ones, file["indices"], file["indptr"]), tuple(file["shape"])).tocsc()
    return model(narrow(X), file["y"].astype(float), strength, logistic=True)


def narrow(X):
    """Indices that all peers take."""
    X.indices, X.indptr = X.indices.astype(np.int32), X.indptr.astype(np.int32)
    return X


def model(X, y, strength, logistic=False):
    gradient = X.T @ y / len(y) / (2 if logistic else 1)
    return X, y, strength * np.abs(gradient).max(), logistic


CASES = {
    "diabetes 0.1": lambda: bundled("diabetes", 0.1),
    "diabetes 0.01": lambda: bundled("diabetes", 0.01),
    "digits 0.1": lambda: bundled("digits", 0.1),
    "digits 0.01": lambda: bundled("digits", 0.01),
    "breast cancer logistic 0.1": lambda: bundled("breast_cancer", 0.1, logistic=True),
    "breast cancer logistic 0.01": lambda: bundled("breast_cancer", 0.01, logistic=True),
    "digits logistic 0.1": lambda: bundled("digits", 0.1, logistic=True),
    "digits logistic 0.01": lambda: bundled("digits", 0.01, logistic=True),
    "small 0.1": lambda: planted(400, 1000, 20, 0.1),
    "small 0.01": lambda: planted(400, 1000, 20, 0.01),
    "small logistic 0.1": lambda: planted(400, 1000, 20, 0.1, logistic=True),
    "small logistic 0.02": lambda: planted(400, 1000, 20, 0.02, logistic=True),
    "wide 0.2": lambda: planted(1000, 20000, 50, 0.2),
    "wide 0.02": lambda: planted(1000, 20000, 50, 0.02),
    "wide logistic 0.2": lambda: planted(1000, 20000, 50, 0.2, logistic=True),
    "wide logistic 0.05": lambda: planted(1000, 20000, 50, 0.05, logistic=True),
    "tall 0.1": lambda: tall(0.1),
    "tall 0.01": lambda: tall(0.01),
    "text 0.1": lambda: text(0.1),
    "text 0.01": lambda: text(0.01),
    "text logistic 0.3": lambda: text(0.3, logistic=True),
    "text logistic 0.05": lambda: text(0.05, logistic=True),
}
if "NUMOPT_A8A" in os.environ:
    CASES |= {"a8a logistic 0.1": lambda: a8a(0.1), "a8a logistic 0.01": lambda: a8a(0.01)}


def scikit_learn(logistic):
    from sklearn import linear_model

    def fit(X, y, alpha, tol):
        if logistic:
            peer = linear_model.LogisticRegression(
                l1_ratio=1.0, C=1 / (len(y) * alpha), solver="liblinear", fit_intercept=False,
                tol=tol, max_iter=1000,
            )  # fmt: skip
        else:
            peer = linear_model.Lasso(alpha=alpha, fit_intercept=False, tol=tol, max_iter=10**6)
        return peer.fit(X, y).coef_

    return fit


def celer(logistic):
    import celer

    def fit(X, y, alpha, tol):
        if logistic:
            peer = celer.LogisticRegression(C=1 / (len(y) * alpha), fit_intercept=False, tol=tol)
        else:
            peer = celer.Lasso(alpha=alpha, fit_intercept=False, tol=tol)
        return peer.fit(X, y).coef_

    return fit


def skglm(logistic):
    import skglm

    def fit(X, y, alpha, tol):
        if logistic:
            peer = skglm.GeneralizedLinearEstimator(
                skglm.datafits.Logistic(),
                skglm.penalties.L1(alpha),
                skglm.solvers.ProxNewton(fit_intercept=False, tol=tol, max_iter=200),
            )
        else:
            peer = skglm.Lasso(alpha=alpha, fit_intercept=False, tol=tol)
        return peer.fit(X, y).coef_

    return fit


def adelie(logistic):
    import adelie

    def fit(X, y, alpha, tol):
        if sp.issparse(X):
            raise TypeError("adelie takes dense data here")
        # Its tolerance is on squares.
        options = {"tol": tol**2, **({"irls_tol": tol**2} if logistic else {})}
        glm = adelie.glm.binomial((y > 0) * 1.0) if logistic else adelie.glm.gaussian(y)
        state = adelie.grpnet(
            X, glm, lmda_path=[alpha], intercept=False, progress_bar=False, early_exit=False,
            **options,
        )  # fmt: skip
        return state.betas[-1].toarray()

    return fit


PEERS = {"scikit-learn": scikit_learn, "celer": celer, "skglm": skglm, "adelie": adelie}


def best_of(call):
    """Last answer and least CPU time of some calls."""
    call()
    times = []
    while len(times) < 3 or (sum(times) < 1 and len(times) < 20):
        start = time.process_time()
        answer = call()
        times.append(time.process_time() - start)
    return answer, min(times)


class TimeToCertificate:
    params = (list(CASES), list(PEERS), [1e-4, 1e-6, 1e-8, 1e-10])
    param_names = ("case", "peer", "kkt")
    timeout = 600

    def track_ratio(self, case, peer, kkt):
        X, y, alpha, logistic = CASES[case]()
        loss = Logistic if logistic else LeastSquares
        problem = Composite(loss(y), X, L1(alpha))
        result, ours = best_of(lambda: numopt.solve(Composite(loss(y), X, L1(alpha)), tol=kkt))
        assert result.success
        try:
            fit = PEERS[peer](logistic)
            for tol in TOLERANCES:
                x, theirs = best_of(lambda tol=tol: fit(X, y, alpha, tol))
                if problem.certificate(np.ravel(x))["kkt"] <= kkt:
                    return ours / theirs
        except (ImportError, TypeError):
            pass
        return float("nan")

    track_ratio.unit = "ratio"
