"""A quadratic function given by its matrix."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

from numopt.core.block import Block, block
from numopt.core.validate import as_matrix, as_vector, require_length
from numopt.losses._base import Loss

# Up to this order eigenvalues and solutions are computed densely.
DENSE = 1500


@block(base=Block)
class DenseForm(Block):
    """A symmetric matrix in full, as kernels see it."""

    entries: np.ndarray

    def times_into(self, x, out):
        np.dot(self.entries, x, out)


@block(base=Block)
class SparseForm(Block):
    """A symmetric matrix by its columns, as kernels see it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray

    def times_into(self, x, out):
        for j in range(out.size):
            total = x[j] * 0
            for k in range(self.indptr[j], self.indptr[j + 1]):
                total += self.data[k] * x[self.indices[k]]
            out[j] = total


class _QuadraticForms(Loss):
    """Forms of `Quadratic` that factorise P, in no kernel."""

    P: Any
    q: Any

    def prox(self, v: Any, step: float = 1.0) -> np.ndarray:
        """argmin_z |z - v|^2 / 2 + step * f(z)."""
        v = self._flat(v, "v")
        if not (step >= 0 and np.isfinite(step)):
            raise ValueError(f"step must be a finite number >= 0, got {step!r}")
        known = self.__dict__.get("_factor")
        if known is None or known[0] != step:
            known = step, self._factorise(step)
            object.__setattr__(self, "_factor", known)
        return np.asarray(known[1](np.asarray(v - step * self.q, np.float64)), v.dtype)

    def _factorise(self, step: float) -> Any:
        if sp.issparse(self.P):
            shifted = sp.eye_array(self.n_samples, format="csc") + step * self.P
            return scipy.sparse.linalg.splu(sp.csc_array(shifted, dtype=np.float64)).solve
        shifted = np.eye(self.n_samples) + step * np.asarray(self.P, np.float64)
        try:
            factor = scipy.linalg.cho_factor(shifted)
        except np.linalg.LinAlgError:
            raise ValueError(
                f"Quadratic: with step {step:g} the prox has no minimiser, as P is not positive "
                "semidefinite; take a smaller step"
            ) from None
        return lambda b: scipy.linalg.cho_solve(factor, b)

    def conjugate(self, u: Any) -> float:
        """Convex conjugate, infinite where u - q is not in the range of P."""
        if not self.convex:
            return float(np.inf)
        u = np.asarray(self._flat(u, "u") - self.q, np.float64)
        if sp.issparse(self.P) and self.n_samples > DENSE:
            z = scipy.sparse.linalg.splu(sp.csc_array(self.P, dtype=np.float64)).solve(u)
        else:
            z = np.linalg.lstsq(_full(self.P), u, rcond=1e-12)[0]
        missed = np.abs(self.P @ z - u).max()
        return float(u @ z / 2) if missed <= 1e-8 * np.abs(u).max(initial=1e-300) else float(np.inf)


@block
class Quadratic(_QuadraticForms):
    r"""Quadratic function, :math:`f(z) = \frac12 z^T P z + q^T z`.

    Not a mean over samples: in ``Composite(Quadratic(P, q), None, penalty)`` the variable is z
    itself (None stands for the identity matrix), as in label propagation, the dual of support
    vector machines or least squares known by their Gram matrix.

    Parameters
    ----------
    P : array or scipy.sparse matrix of shape (n, n)
        Symmetric; it need not be positive semidefinite, then results are stationary points.
    q : array of shape (n,), optional
        Linear term, 0 if not given.

    Notes
    -----
    The prox solves :math:`(I + t P) z = v - t q` with a factorisation that is kept for the next
    call with this t.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import Quadratic
    >>> loss = Quadratic(np.diag([1.0, 2.0]), [0.0, -1.0])
    >>> float(loss.value([2.0, 1.0]))
    2.0
    >>> loss.gradient([2.0, 1.0]).tolist()
    [2.0, 1.0]
    """

    separable: ClassVar[bool] = False

    P: Any = dataclasses.field(compare=False, metadata={"labels": True, "host": True})
    q: Any = None
    matrix: Any = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        P = as_matrix(self.P, "Quadratic: P")
        n = P.shape[0]
        if P.shape != (n, n):
            raise ValueError(f"Quadratic: P must be square, got shape {P.shape}")
        if n == 0:
            raise ValueError("Quadratic: P is empty; give at least one row")
        _require_symmetric(P)
        q = np.zeros(n, P.dtype) if self.q is None else as_vector(self.q, "Quadratic: q")
        if sp.issparse(P):
            index = np.int64 if P.nnz >= 2**31 else np.int32
            matrix: Any = SparseForm(P.data, P.indices.astype(index), P.indptr.astype(index))
        else:
            matrix = DenseForm(P)
        lowest, largest = _ends(P)
        size = max(abs(lowest), abs(largest))
        for name, value in (
            ("P", P),
            ("q", require_length(q, n, "Quadratic: q")),
            ("matrix", matrix),
            ("convex", lowest >= -1e-10 * size),
            ("strongly_convex", lowest > 1e-10 * size),
            ("smoothness", size),
        ):
            object.__setattr__(self, name, value)

    @property
    def n_samples(self) -> int:
        """Number of variables."""
        return int(self.P.shape[0])

    @property
    def y(self) -> np.ndarray:  # type: ignore[override]
        """What the gradient at 0 pulls towards, -q."""
        return np.asarray(-self.q)

    def _scale(self, dtype: Any) -> np.ndarray:
        return np.ones(self.n_samples, dtype)

    def total(self, scale, z):
        out = np.empty_like(z)
        self.matrix.times_into(z, out)
        total = 0.0
        for i in range(z.size):
            total += z[i] * (0.5 * out[i] + self.q[i])
        return total

    def total_gradient(self, scale, z, out):
        self.matrix.times_into(z, out)
        total = 0.0
        for i in range(z.size):
            total += z[i] * (0.5 * out[i] + self.q[i])
            out[i] += self.q[i]
        return total

    def hessian_times(self, z: Any, D: np.ndarray) -> np.ndarray:
        """P times the columns of D."""
        return np.asarray(self.P @ D, np.float64)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_factor"}


def _full(P: Any) -> np.ndarray:
    return np.asarray(P.toarray() if sp.issparse(P) else P, np.float64)


def _require_symmetric(P: Any) -> None:
    apart = abs(P - P.T)
    if not apart.max() <= 1e-10 * float(abs(P).max()):
        i, j = (int(k) for k in np.unravel_index(np.argmax(_full(apart)), P.shape))
        raise ValueError(
            f"Quadratic: P must be symmetric, but P[{i}, {j}] = {P[i, j]:g} and "
            f"P[{j}, {i}] = {P[j, i]:g}; take (P + P.T) / 2"
        )


def _ends(P: Any) -> tuple[float, float]:
    """Smallest and largest eigenvalue."""
    if P.shape[0] <= DENSE:
        values = np.linalg.eigvalsh(_full(P))
        return float(values[0]), float(values[-1])
    from numopt.linalg.spectra import lanczos

    low = lanczos(P, which="smallest", tol=1e-6)
    high = lanczos(P, which="largest", tol=1e-6)
    return float(low.values[0]), float(high.values[0] + high.errors[0])
