"""Loss of a linear prediction plus a penalty: the linear models."""

from __future__ import annotations

import copy
from dataclasses import dataclass, fields
from functools import cached_property
from math import isfinite
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.losses._base import Loss
from numopt.losses.quadratic import Quadratic
from numopt.problems._base import Problem

FIXED_POINT = "(|x - prox(x - s g)| + eps |x|) / (s alpha_max), s = 1/L"


# Columns from which a Gram matrix costs more than conjugate gradients.
MANY = 2000


class CompositeData(NamedTuple):
    """A `Composite` as kernels see it, all in one working precision."""

    X: Any  # n x p, F-ordered array or CSC
    loss: Any  # Spec of the loss
    scale: np.ndarray  # n, weight of each sample in the mean
    offset: np.ndarray  # n, known part of the prediction
    penalty: Any  # Spec of the penalty
    intercept: bool  # whether a free constant is added to the prediction


class NullModel(NamedTuple):
    """The best model without what is penalised."""

    w: np.ndarray  # p coefficients, of which the unpenalised ones may differ from 0; intercepts
    gradient: np.ndarray  # p, of the loss with respect to the coefficients
    fun: float  # its loss
    prediction: np.ndarray  # n, its prediction


@dataclass(frozen=True, eq=False)
class Composite(Problem):
    r"""Penalised linear model, :math:`\min_{x, b} f(A x + b) + \phi(x)`.

    The certificate holds

    - ``kkt`` (gate): :math:`\max_j \mathrm{dist}(-g_j, \partial \phi_j(x_j)) / \alpha_{\max}` with
      :math:`g = A^T \nabla f`, for penalties with a subdifferential distance; the intercept's
      :math:`|\sum_i \nabla_i f|` counts as one more coordinate. :math:`\alpha_{\max}` is the
      least strength at which x = 0 is optimal, at most :math:`\|g(0)\|_\infty`;
    - ``fixed_point`` (gate): :math:`\|x - \mathrm{prox}_{s \phi}(x - s g)\|_2 / (s \alpha_{\max})`,
      s = 1/L, for penalties without one, the rounding of x added to the norm;
    - ``gap``: duality gap over the objective at 0, where both conjugates are known.

    With a loss of several outputs, as `numopt.losses.Multinomial`, x holds a p x K matrix X row by
    row (``x.reshape(p, K)``), the prediction is A X, and the intercept is K numbers. Wherever an x
    is given it may be the matrix itself.

    Parameters
    ----------
    loss : block
        Loss of the prediction, from `numopt.losses` or made with `numopt.block`.
    A : array or scipy.sparse matrix of shape (n, p)
        Data in float64 or float32, kept as it is; None, with a `Quadratic`, for the identity.
        Dense solvers work on a Fortran-ordered copy unless A is Fortran-ordered already, sparse
        ones on the CSC form.
    penalty : block
        Penalty or set for x.
    fit_intercept : bool, default False
        Add an unpenalised constant b.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import LeastSquares
    >>> from numopt.penalties import L1
    >>> from numopt.problems import Composite
    >>> problem = Composite(LeastSquares([1.0, 2.0]), np.eye(2), L1(0.5))
    >>> problem.objective([0.0, 1.0])
    1.0
    >>> float(problem.certificate([0.0, 1.0])["kkt"])
    0.0
    """

    certificate_parts: ClassVar[tuple[str, ...]] = ("intercept",)

    loss: Any
    A: Any
    penalty: Any
    fit_intercept: bool = False

    def __post_init__(self) -> None:
        if self.A is None and isinstance(self.loss, Quadratic):
            identity = sp.eye_array(self.loss.n_samples, dtype=self.loss.P.dtype, format="csc")
            object.__setattr__(self, "A", identity)
        object.__setattr__(self, "A", as_matrix(self.A, "A"))
        for name in ("loss", "penalty"):
            block = getattr(self, name)
            if isinstance(block, type):
                raise TypeError(f"{name} is the class {block.__name__}, not an instance of it")
            if not hasattr(block, "Spec"):
                raise TypeError(
                    f"{name} must be a block, got {type(block).__name__}; take one from "
                    f"numopt.{'losses' if name == 'loss' else 'penalties'} or make one with "
                    "numopt.block"
                )
            if _is_loss(block) is not (name == "loss"):
                raise TypeError(f"{name} must be a {name}, got {type(block).__name__}")
        if not isinstance(self.fit_intercept, (bool, np.bool_)):
            raise TypeError(f"fit_intercept must be True or False, got {self.fit_intercept!r}")
        n, p = self.A.shape
        if n == 0:
            raise ValueError("A has no rows; give at least one sample")
        if p == 0 and not self.penalty.separable:
            raise ValueError(
                f"A has no columns, and {type(self.penalty).__name__} needs at least one coordinate"
            )
        if self.loss.n_samples != n:
            raise ValueError(f"A has {n} rows but y has {self.loss.n_samples} entries")
        if self.penalty.size not in (None, self.size):
            times = "" if self.outputs == 1 else f" times {self.outputs} outputs"
            raise ValueError(
                f"A has {p} columns{times} but the penalty {type(self.penalty).__name__} was made "
                f"for {self.penalty.size} coordinates"
            )

    @property
    def default_solver(self) -> str:  # type: ignore[override]
        """By the penalty: coordinate descent for sums over coordinates or groups.

        Proximal gradient for others, Newton's method with conjugate gradients where a quadratic
        penalty makes thousands of nonzero coefficients.
        """
        offers = self.penalty.offers
        if self.size > MANY and offers("curvature_1d") and self.loss.offers("hessian_1d"):
            return "truncated-newton"
        splits = (offers("prox_1d") and offers("value_1d")) or offers("prox_group")
        bends = self.loss.offers("hessian_1d") or self.loss.offers("probabilities")
        return "working-set-cd" if splits and bends else "prox-grad"

    @property
    def dtype(self) -> Any:
        """Working precision, that of A."""
        return self.A.dtype

    @cached_property
    def size(self) -> int:
        """Number of coefficients: columns of A, times the outputs of the loss."""
        return int(self.A.shape[1]) * self.outputs

    @cached_property
    def outputs(self) -> int:
        """Numbers predicted for each sample."""
        return int(self.loss.outputs)

    @cached_property
    def nnz(self) -> int:
        """Stored entries of A."""
        return int(self.A.nnz if sp.issparse(self.A) else self.A.size)

    @cached_property
    def convex(self) -> bool:
        """Whether loss and penalty are."""
        return bool(self.loss.convex and self.penalty.convex)

    def as_x(self, x: Any, name: str = "x", dtype: Any = np.float64) -> np.ndarray:
        """The variable as a vector: a matrix of coefficients is laid out row by row."""
        if self.outputs > 1 and np.shape(x) == (self.A.shape[1], self.outputs):
            x = np.ravel(x)
        return require_length(as_vector(x, name, dtype), self.size, name)

    @np.errstate(over="ignore", invalid="ignore")
    def predict(self, x: Any, intercept: Any = 0.0) -> np.ndarray:
        """A x + b in float64, offsets not included; n x K with K outputs."""
        z = self._forward(self.as_x(x)).reshape(self.A.shape[0], -1) + intercept
        return z if self.outputs > 1 else z[:, 0]

    def _forward(self, x: np.ndarray) -> np.ndarray:
        """A x, row by row with several outputs."""
        K = self.outputs
        return _times(self.A, x) if K == 1 else _times(self.A, x.reshape(-1, K)).ravel()

    def _adjoint(self, r: np.ndarray) -> np.ndarray:
        """A' r, laid out as x."""
        K = self.outputs
        return _times(self.A.T, r) if K == 1 else _times(self.A.T, r.reshape(-1, K)).ravel()

    def objective(self, x: Any, intercept: Any = 0.0) -> float:
        """f(A x + b) + penalty(x)."""
        x = self.as_x(x)
        return float(self.loss.value(self.predict(x, intercept))) + self._judge().value(x)

    @np.errstate(over="ignore", invalid="ignore")
    def certificate(self, x: Any, intercept: Any = 0.0) -> Certificate:
        """Stationarity, and for convex problems the duality gap, at (x, b)."""
        from numopt.core.generic import judge, loss_gradient

        x = self.as_x(x)
        if not self.loss.smooth:
            raise TypeError(f"no certificate of x alone: {self.loss.remedy}")
        data, penalty = self._judged(), self._judge()
        kind = "global" if self.convex else "stationary"
        z = self._forward(x)
        if self.outputs == 1:
            z += intercept
        else:
            z.reshape(-1, self.outputs)[:] += intercept
        if not isfinite(np.add.reduce(z)):
            return Certificate(kind, {"kkt": Entry(np.inf, "the prediction overflows")}, np.inf)
        z += data.offset
        r = np.empty_like(z)
        loss = float(loss_gradient(data.loss, data.scale, z, r))
        g = self._adjoint(r)
        total = float(np.add.reduce(r)) if self.outputs == 1 else self._largest_total(r)
        if not isfinite(total + np.add.reduce(g)):
            return Certificate(kind, {"kkt": Entry(np.inf, "the gradient overflows")}, loss)
        if not isfinite(loss):
            return Certificate(kind, {"kkt": Entry(np.inf, "the objective overflows")}, loss)
        scale, fun_at_0 = self.scales()
        knows_distance = _knows_distance(penalty)
        step = 1.0 if knows_distance else 1.0 / self.lipschitz()
        dual_point = self._dual_point(r, g) if self.convex else None
        value, residual, dual = judge(
            data.loss, data.scale, data.offset, penalty.spec(), x, g, step, *(dual_point or (r, g))
        )
        free = abs(total) if self.fit_intercept else 0.0
        if knows_distance:
            formula = "max_j dist(-g_j, d phi_j(x)) / alpha_max"
            entries = {"kkt": Entry(max(residual, free) / scale, formula)}
        else:
            # Steps below the rounding of x leave it in place, and prove nothing.
            residual += np.finfo(np.float64).eps * float(np.linalg.norm(x)) / step
            entries = {"fixed_point": Entry(max(residual, free) / scale, FIXED_POINT)}
        fun = loss + value
        if dual_point is not None:
            if dual != dual:
                dual = self._dual_terms(*dual_point)
            if isfinite(gap := (fun + dual) / fun_at_0):
                entries["gap"] = Entry(gap, "(primal - dual) / objective(0)", gate=False)
        return Certificate(kind, entries, fun)

    def _dual_point(self, r: np.ndarray, g: np.ndarray) -> tuple[np.ndarray, np.ndarray] | None:
        """The dual point nearest to r, up to a factor, and A' of it; None if r is one-sided."""
        if not self.fit_intercept:
            return r, g
        centred = self.loss.centred(r)
        return None if centred is None else (centred, self._adjoint(centred))

    def _largest_total(self, r: np.ndarray) -> float:
        """Largest sum of a column of r, what an intercept sees of it."""
        return float(np.abs(r.reshape(-1, self.outputs).sum(0)).max())

    def _dual_terms(self, r: np.ndarray, g: np.ndarray) -> float:
        """`dual_terms` for penalties that do not separate; inf where no conjugate is known."""
        penalty = self._judge()
        if not (self.loss.has_conjugate and penalty.has_conjugate):
            return float(np.inf)
        s = penalty.dual_scale(-g)
        return float(self.loss.conjugate(s * r) + penalty.conjugate(-s * g))

    def _judged(self) -> CompositeData:
        """Loss and offsets in float64, as `lowered` holds them in the working precision."""
        if self.dtype == np.float64:
            return self.lowered()
        loss, penalty = self.loss, self._judge().spec()
        return CompositeData(
            None, loss.spec(), loss.scale(), loss.shift(), penalty, bool(self.fit_intercept)
        )

    def _judge(self) -> Any:
        """The penalty with its numbers as the working precision holds them, e.g. bounds."""
        if self.dtype == np.float64:
            return self.penalty
        return self.cached(
            "judge", (self.penalty, self.A), lambda: _rounded(self.penalty, self.dtype)
        )

    def alpha_max(self) -> float:
        """Least strength of the penalty at which x = 0 is optimal, unpenalised part aside."""
        return float(self.penalty.alpha_max(self.null_model().gradient))

    def scales(self) -> tuple[float, float]:
        """alpha_max for relative residuals and the objective at x = 0; computed once."""
        return self.cached(
            "scales", (self.loss, self.A, self.penalty, self.fit_intercept), self._scales
        )

    @np.errstate(over="ignore", invalid="ignore")
    def _scales(self) -> tuple[float, float]:
        null = self.null_model()
        largest = float(np.max(np.abs(null.gradient), initial=0.0))
        alpha_max = min(self.penalty.alpha_max(null.gradient), largest)
        # Where 0 is optimal but for rounding, measure against the size of the terms themselves.
        # That takes a pass over A, so ask a sample first whether it can be so.
        at_zero = self.loss.gradient(np.zeros_like(null.prediction))
        terms = float(np.abs(at_zero).sum())
        if not alpha_max > 1e-8 * terms * _largest(self.A, sample=True):
            size = terms * _largest(self.A)
            if not alpha_max > 1e-12 * size:
                alpha_max = size or 1.0
        return alpha_max, null.fun if null.fun > 0 else 1.0

    def null_model(self) -> NullModel:
        """The best model with the intercept and coefficients of weight 0 alone."""
        weights = getattr(self.penalty, "coordinate_weights", None)
        key = (self.loss, self.A, weights, bool(self.fit_intercept))
        return self.cached("null", key, self._null_model)

    @np.errstate(over="ignore", invalid="ignore")
    def _null_model(self) -> NullModel:
        weights = getattr(self.penalty, "coordinate_weights", None)
        free = np.flatnonzero(weights == 0) if weights is not None else np.array([], int)
        w = np.zeros(self.size + self.outputs)
        best = self.loss.best_constant() if self.fit_intercept and free.size == 0 else None
        if best is not None:
            w[self.size :] = best
            z = np.tile(best, self.A.shape[0])
        else:
            columns, K = _columns(self.A, free, self.outputs), self.outputs
            if self.fit_intercept:
                columns = np.column_stack([columns, np.tile(np.eye(K), (self.A.shape[0], 1))])
            fitted, z = _fit_free(self.loss, columns)
            w[free] = fitted[: free.size]
            w[self.size :] = fitted[free.size :] if self.fit_intercept else 0.0
        value, r = self.loss.value_and_gradient(z)
        return NullModel(w, self._adjoint(r), float(value), z)

    def lipschitz(self) -> float:
        """Largest curvature of f(A x), by power iteration; 1 for a zero matrix."""
        return self.cached("lipschitz", (self.loss, self.A), self._lipschitz)

    @np.errstate(over="ignore", invalid="ignore")
    def _lipschitz(self) -> float:
        weight = np.sqrt(self.loss.scale())
        v = np.random.default_rng(0).standard_normal(self.A.shape[1])
        square = 0.0
        for _ in range(100):
            norm = np.linalg.norm(v)
            if norm == 0:
                break
            u = weight * _times(self.A, v / norm)
            before, square = square, float(u @ u)
            if abs(square - before) <= 1e-3 * square:
                break
            v = _times(self.A.T, weight * u)
        return square * (self.loss.smoothness or 1.0) or 1.0

    def column_curvatures(self) -> np.ndarray:
        """Weighted squared norm of each column, sum_i s_i A_ij^2, for each coefficient."""
        return self.cached("column_curvatures", (self.loss, self.A), self._column_curvatures)

    @np.errstate(over="ignore", invalid="ignore")
    def _column_curvatures(self) -> np.ndarray:
        weight = self.loss.scale()
        if sp.issparse(self.A):
            squares = np.asarray(self.A.data, np.float64) ** 2
            square = sp.csc_array((squares, self.A.indices, self.A.indptr), self.A.shape)
            found = np.asarray(square.T @ weight)
        else:
            found = np.einsum("i,ij,ij->j", weight, self.A, self.A)
        return found if self.outputs == 1 else np.repeat(found, self.outputs)

    def lowered(self) -> CompositeData:
        """The form kernels take; matrix and loss are lowered once."""
        X, loss, scale, offset = self.cached("lowered", (self.loss, self.A), self._lowered)
        return CompositeData(
            X, loss, scale, offset, self.penalty.spec(self.dtype), bool(self.fit_intercept)
        )

    def _lowered(self) -> tuple[Any, Any, np.ndarray, np.ndarray]:
        from numopt.core.matrices import CSC, Outputs

        dtype = self.dtype
        if sp.issparse(self.A):
            wide = self.A.nnz >= 2**31
            index = np.int64 if wide else np.int32
            X: Any = CSC(
                np.require(self.A.data, dtype, ["C", "A", "W"]),
                np.require(self.A.indices, index, ["C", "A", "W"]),
                np.require(self.A.indptr, index, ["C", "A", "W"]),
                self.A.shape[0],
            )
        else:
            X = np.require(self.A, dtype, ["F", "A", "W"])
        if self.outputs > 1:
            X = Outputs(X, self.outputs)
        return X, self.loss.spec(dtype), self.loss.scale(dtype), self.loss.shift(dtype)


def _knows_distance(penalty: Any) -> bool:
    return penalty.offers("subdiff_distance_1d") or penalty.offers("subdiff_distance_of")


def _times(A: Any, x: np.ndarray) -> np.ndarray:
    """A x in float64; a float32 matrix is widened a slice at a time, never whole."""
    if x.ndim == 1 and x.size > 1000 and not sp.issparse(A) and A.flags.f_contiguous:
        support = np.flatnonzero(x)
        if 20 * support.size < x.size:  # read the columns that count
            A, x = A[:, support], x[support]
    if A.dtype == np.float64 or sp.issparse(A):
        return np.asarray(A @ x, np.float64)
    rows = max(1, 2**20 // max(A.shape[1], 1))
    out = np.empty((A.shape[0], *x.shape[1:]))
    for i in range(0, A.shape[0], rows):
        out[i : i + rows] = A[i : i + rows].astype(np.float64) @ x
    return out


def _rounded(block: Any, dtype: Any) -> Any:
    """A copy of a block with its numbers rounded to `dtype`."""
    twin = copy.copy(block)
    for field in fields(block):
        value = getattr(block, field.name)
        if hasattr(value, "Spec"):
            value = _rounded(value, dtype)
        elif isinstance(value, float) or getattr(value, "dtype", np.dtype(int)).kind == "f":
            with np.errstate(over="ignore"):
                value = np.asarray(value, dtype).astype(np.float64)
            value = value if value.ndim else float(value)
        object.__setattr__(twin, field.name, value)
    return twin


def _largest(A: Any, sample: bool = False) -> float:
    """Largest entry of A in absolute value, or that of a few rows."""
    entries = A.data if sp.issparse(A) else A
    if sample:
        entries = entries[:: max(1, entries.size // 50_000)]
    if entries.size == 0:
        return 0.0
    return float(max(entries.max(), -entries.min()))


def _is_loss(block: Any) -> bool:
    return isinstance(block, Loss) or getattr(type(block), "__numopt_family__", None) is Loss


def _columns(A: Any, index: np.ndarray, outputs: int) -> np.ndarray:
    """What the coefficients of these numbers multiply, dense."""
    chosen = A[:, index // outputs]
    chosen = np.asarray(chosen.toarray() if sp.issparse(chosen) else chosen, np.float64)
    if outputs == 1:
        return chosen
    spread = np.zeros((A.shape[0], outputs, index.size))
    spread[:, index % outputs, np.arange(index.size)] = chosen
    return spread.reshape(A.shape[0] * outputs, index.size)


def _fit_free(loss: Any, columns: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Coefficients and prediction of the best model with `columns` alone, by Newton's method."""
    z = np.zeros(len(columns))
    if columns.shape[1] == 0:
        return np.zeros(0), z
    w = np.zeros(columns.shape[1])
    value = loss.value(z)
    for _ in range(50):
        gradient = columns.T @ loss.gradient(z)
        hessian = columns.T @ loss.hessian_times(z, columns)
        if not np.isfinite(hessian).all():
            break
        direction = np.linalg.lstsq(hessian, -gradient, rcond=1e-12)[0]
        decrease = float(gradient @ direction)
        if not np.isfinite(decrease):
            break
        if decrease >= -1e-15 * max(abs(value), 1e-300):
            # Too little for values to show, yet this step squares the error in the gradient.
            return w + direction, columns @ (w + direction)
        step = 1.0
        while step > 1e-8:
            trial = columns @ (w + step * direction)
            trial_value = loss.value(trial)
            if trial_value <= value + 1e-4 * step * decrease:
                break
            step *= 0.5
        else:
            break
        w, z, value = w + step * direction, trial, trial_value
    return w, z
