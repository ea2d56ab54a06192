"""Terms of a splitting that are no penalties: quadratics, affine sets, log-determinants.

Like blocks they are frozen and have ``value``, ``prox`` and, where known, the distance to their
subdifferential; unlike blocks they run on NumPy and LAPACK, with factorisations that are kept for
the next step size.
"""

from numopt.terms._base import Term, distance, scale
from numopt.terms.constraints import Affine
from numopt.terms.likelihoods import LogDeterminant
from numopt.terms.quadratics import Quadratic, QuadraticForm, SquaredResidual
from numopt.terms.sums import OfSum, Stacked

__all__ = [
    "Affine",
    "LogDeterminant",
    "OfSum",
    "Quadratic",
    "QuadraticForm",
    "SquaredResidual",
    "Stacked",
    "Term",
    "distance",
    "scale",
]
