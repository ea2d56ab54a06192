"""Loss of a linear prediction over a set."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from math import isfinite
from typing import Any, ClassVar

import numpy as np
import scipy.sparse as sp

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.losses.quadratic import Quadratic
from numopt.problems._base import Problem
from numopt.problems.composite import _is_loss
from numopt.problems.composite import _times as times
from numopt.sets._base import is_set

FW_GAP = "max {g'(x - v) : v in the set} / max(1, |f|)"
OUTSIDE = "|x - P(x)|_inf / max(1, |x|_inf)"


@dataclass(frozen=True, eq=False)
class SetConstrained(Problem):
    r"""Loss of a linear prediction over a bounded set, :math:`\min_{x \in C} f(A x)`.

    Of the set nothing is asked but a linear minimisation oracle, ``lmo``. With
    :math:`g = A^T \nabla f(A x)` the certificate holds, as gates,

    - ``fw_gap``: :math:`\max_{v \in C} g^T (x - v) / \max(1, |f|)`, which for convex f bounds
      (f(x) - min f) / max(1, \|f\|); by `least` of the set, so that an iterative oracle is taken
      with the error it may have made;
    - ``outside``: how far x is from the set (`violation`) over max(1, \|x\|_inf).

    Parameters
    ----------
    loss : block
        Smooth loss of the prediction, from `numopt.losses` or made with `numopt.block`.
    A : array or scipy.sparse matrix of shape (n, p)
        Data in float64 or float32, kept as it is; None, with a `Quadratic`, for the identity.
    domain : set
        Bounded set with a linear minimisation oracle, from `numopt.sets`. Where that is a set of
        matrices, x is the matrix row by row.

    Notes
    -----
    `Composite` takes a set in place of its penalty as well, if the set has a projection; its
    certificate is then that of projected methods.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.problems import SetConstrained
    >>> from numopt.sets import L1Ball
    >>> problem = SetConstrained(LeastSquares([3.0, 1.0]), np.eye(2), L1Ball(2.0))
    >>> problem.objective([2.0, 0.0]), float(problem.certificate([2.0, 0.0])["fw_gap"])
    (0.5, 0.0)
    """

    default_solver: ClassVar[str] = "frank-wolfe"

    loss: Any
    A: Any
    domain: Any

    def __post_init__(self) -> None:
        loss, domain = self.loss, self.domain
        if self.A is None and isinstance(loss, Quadratic):
            identity = sp.eye_array(loss.n_samples, dtype=loss.P.dtype, format="csc")
            object.__setattr__(self, "A", identity)
        object.__setattr__(self, "A", as_matrix(self.A, "A"))
        if isinstance(loss, type) or not _is_loss(loss):
            name = loss.__name__ if isinstance(loss, type) else type(loss).__name__
            raise TypeError(f"loss must be a loss from numopt.losses, an instance; got {name}")
        if not loss.smooth:
            raise TypeError(f"loss: {loss.remedy}")
        if loss.outputs != 1:
            raise ValueError(
                f"loss: {type(loss).__name__} has {loss.outputs} outputs, SetConstrained takes "
                "one; give it as a Python function with SmoothComposite"
            )
        if not is_set(domain):
            raise TypeError(f"domain must be a set from numopt.sets, got {type(domain).__name__}")
        n, p = self.A.shape
        if n == 0 or p == 0:
            kind = "rows; give at least one sample" if n == 0 else "columns; give at least one"
            raise ValueError(f"A has no {kind}")
        if loss.n_samples != n:
            raise ValueError(f"A has {n} rows but y has {loss.n_samples} entries")
        if domain.size not in (None, p):
            raise ValueError(
                f"A has {p} columns but the set {type(domain).__name__} was made for "
                f"{domain.size} coordinates"
            )
        require_oracle(domain, p)

    @property
    def dtype(self) -> Any:
        """Working precision, that of A."""
        return self.A.dtype

    @property
    def size(self) -> int:
        """Number of variables."""
        return int(self.A.shape[1])

    @property
    def nnz(self) -> int:
        """Stored entries of A."""
        return int(self.A.nnz if sp.issparse(self.A) else self.A.size)

    @cached_property
    def convex(self) -> bool:
        """Whether the loss is; sets with oracles are taken as their hulls."""
        return bool(self.loss.convex)

    @property
    def quadratic(self) -> bool:
        """Whether f has the same second derivatives everywhere."""
        return bool(self.loss.quadratic) or isinstance(self.loss, Quadratic)

    def lipschitz(self) -> float:
        """Bound of the second derivatives of f(A x), by bounds of its two factors."""
        return self.cached("lipschitz", (self.loss, self.A), self._lipschitz)

    def _lipschitz(self) -> float:
        from numopt.linalg import spectral_norm

        loss = self.loss
        if loss.smoothness is None:
            raise ValueError(
                f"{type(loss).__name__} has no bound on its curvature; give lipschitz to the "
                "solver, or take another step"
            )
        inner = float(loss.scale().max() * loss.smoothness)
        return inner * float(spectral_norm(self.A).upper) ** 2

    def objective(self, x: Any) -> float:
        """f(A x)."""
        return float(self.loss.value(times(self.A, self._point(x))))

    @np.errstate(over="ignore", invalid="ignore")
    def certificate(self, x: Any) -> Certificate:
        """Frank-Wolfe gap and distance to the set at x; two products with A and one oracle call."""
        x = self._point(x)
        kind = "global" if self.convex else "stationary"
        z = times(self.A, x)
        if not np.isfinite(z).all():
            return Certificate(kind, {"fw_gap": Entry(np.inf, "the prediction overflows")}, np.inf)
        f, r = self.loss.value_and_gradient(z)
        g = times(self.A.T, r)
        if not (isfinite(f) and np.isfinite(g).all()):
            return Certificate(kind, {"fw_gap": Entry(np.nan, "f or g is not finite")}, f)
        return Certificate(kind, gap_entries(self.domain, x, f, g), f)

    def _point(self, x: Any) -> np.ndarray:
        x = np.ravel(x) if np.ndim(x) == 2 and np.size(x) == self.size else x
        return require_length(as_vector(x, "x", np.float64), self.size, "x")


def gap_entries(domain: Any, x: np.ndarray, f: float, g: np.ndarray) -> dict[str, Entry]:
    """The gates of a set with an oracle."""
    outside = float(domain.violation(x)) / max(1.0, float(np.abs(x).max(initial=0.0)))
    gap = (float(g @ x) - domain.least(g)) / max(1.0, abs(f))
    return {"outside": Entry(outside, OUTSIDE), "fw_gap": Entry(gap, FW_GAP)}


def require_oracle(domain: Any, n: int) -> None:
    """Refuse a set that linear functions have no minima over, or none that are to be had."""
    name = type(domain).__name__
    if not getattr(domain, "has_oracle", False):
        raise TypeError(
            f"{name} has no linear minimisation oracle, which Frank-Wolfe methods need; give it "
            "lmo(c), or take 'prox-grad', which projects"
        )
    if not domain.bounded:
        raise ValueError(f"{name} is unbounded; Frank-Wolfe methods need a bounded set")
