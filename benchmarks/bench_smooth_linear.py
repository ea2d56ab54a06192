"""Linear classifiers with squared norms, and squared hinges, beside liblinear: ratios of CPU time.

The peer's tolerance is tightened until the certificate of its point is as good as asked; where it
never is, or scikit-learn is absent, the ratio is NaN. Below 1 numopt is faster.
"""

import numpy as np
import scipy.sparse as sp

import numopt
from benchmarks.bench_sparse_linear import TOLERANCES, best_of, bundled, planted, text
from numopt.losses import Logistic, SquaredHinge
from numopt.penalties import L1, Ridge
from numopt.problems import Composite

CASES = {
    "breast cancer": lambda: bundled("breast_cancer", 0.1, logistic=True),
    "digits": lambda: bundled("digits", 0.1, logistic=True),
    "wide": lambda: planted(1000, 20000, 50, 0.1, logistic=True),
    "text": lambda: text(0.3, logistic=True),
}


def liblinear(loss, penalty, X, y, problem, tol):
    """Coefficients; its objective is the norm plus C times the sum of losses."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.svm import LinearSVC

    # The sum of losses at 0 is n log 2, or n.
    share = np.log(2) if loss is Logistic else 1.0
    C = problem.objective(np.zeros(X.shape[1])) / share / len(y) / penalty.alpha
    squares = isinstance(penalty, Ridge)
    if loss is Logistic:
        peer = LogisticRegression(
            solver="liblinear", l1_ratio=0.0 if squares else 1.0, C=C, tol=tol, max_iter=10_000,
            fit_intercept=False,
        )  # fmt: skip
    else:
        # Its objective has half the squared norm, too.
        peer = LinearSVC(
            penalty="l2" if squares else "l1", dual=False, C=C, tol=tol, max_iter=100_000,
            fit_intercept=False,
        )  # fmt: skip
    return peer.fit(X.tocsr() if sp.issparse(X) else X, y).coef_


class SmoothClassifiers:
    params = (list(CASES), ["logistic, squares", "hinge, squares", "hinge, L1"], [1e-4, 1e-8])
    param_names = ("case", "model", "kkt")
    timeout = 600

    def track_ratio(self, case, model, kkt):
        X, y, alpha, _ = CASES[case]()
        loss = Logistic if model.startswith("logistic") else SquaredHinge
        penalty = L1(alpha) if model.endswith("L1") else Ridge(alpha)
        problem = Composite(loss(y), X, penalty)
        result, ours = best_of(lambda: numopt.solve(Composite(loss(y), X, penalty), tol=kkt))
        assert result.success
        try:
            for tol in TOLERANCES:
                x, theirs = best_of(lambda tol=tol: liblinear(loss, penalty, X, y, problem, tol))
                if problem.certificate(np.ravel(x))["kkt"] <= kkt:
                    return ours / theirs
        except ImportError:
            pass
        return float("nan")

    track_ratio.unit = "ratio"
