"""Well-known problems, ready to be split: each function returns a `numopt.problems.Splitting`.

All have a duality gap in their certificate, computed at a point that is feasible and from
multipliers that are made feasible, so that it bounds the distance to the optimal value whatever the
solver did.
"""

from numopt.splittings.machines import box_qp, svm_dual
from numopt.splittings.matrices import components, graphical_lasso, robust_pca
from numopt.splittings.regression import basis_pursuit, huber, lad, lasso
from numopt.splittings.variation import generalised_lasso, total_variation

__all__ = [
    "basis_pursuit",
    "box_qp",
    "components",
    "generalised_lasso",
    "graphical_lasso",
    "huber",
    "lad",
    "lasso",
    "robust_pca",
    "svm_dual",
    "total_variation",
]
