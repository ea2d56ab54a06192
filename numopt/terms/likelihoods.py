"""Likelihoods of matrices."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.linalg

from numopt.core.validate import as_symmetric
from numopt.terms._base import Term


@dataclass(frozen=True, eq=False)
class LogDeterminant(Term):
    r"""Likelihood of a Gaussian, :math:`\mathrm{tr}(S X) - \log\det X` of a symmetric X > 0.

    The variable is X, row by row. The prox takes one eigendecomposition.

    Parameters
    ----------
    S : array of shape (p, p)
        Symmetric, as a covariance matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.terms import LogDeterminant
    >>> LogDeterminant(np.array([[0.0]])).prox(np.array([0.0]), 1.0).tolist()
    [1.0]
    """

    S: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "S", as_symmetric(self.S, "S"))
        object.__setattr__(self, "size", self.S.size)

    def value(self, x: np.ndarray) -> float:
        values = scipy.linalg.eigvalsh(x.reshape(self.S.shape), check_finite=False)
        if not (values > 0).all():
            return float(np.inf)
        return float(self.S.reshape(-1) @ x - np.log(values).sum())

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        p = len(self.S)
        V = v.reshape(p, p) - step * self.S
        w, Q = scipy.linalg.eigh((V + V.T) / 2, check_finite=False, driver="evd")
        # The positive root, without cancellation for w < 0.
        root = np.sqrt(w * w + 4 * step)
        x = np.where(w > 0, (w + root) / 2, 2 * step / (root - w))
        return ((Q * x) @ Q.T).reshape(-1)

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        try:
            inverse = np.linalg.inv(x.reshape(self.S.shape))
        except np.linalg.LinAlgError:
            return float(np.inf)
        return float(np.max(np.abs((self.S - inverse).reshape(-1) - s), initial=0.0))

    def scale(self, x: np.ndarray) -> float:
        return float(np.max(np.abs(self.S), initial=0.0))
