"""Square systems of linear equations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_matrix, as_vector, require_finite, require_length
from numopt.problems._base import Problem


@dataclass(frozen=True, eq=False)
class LinearSystem(Problem):
    r"""Linear equations, :math:`A x = b` with a square :math:`A`.

    The certificate holds ``residual`` (gate): :math:`\|b - A x\|_2 / \|b\|_2`, for b = 0 the bare
    :math:`\|A x\|_2`, which x = 0 meets exactly. It bounds the error in x by the condition number
    of A times itself. The objective is this same number.

    Parameters
    ----------
    A : array, scipy.sparse matrix, LinearOperator or callable
        Square matrix of shape (n, n) in float64 or float32; or an object with ``matvec``, or a
        function ``x -> A x``, which are called with read-only vectors. Sparse matrices are kept by
        rows, without a copy if they are canonical CSR arrays.
    b : array of shape (n,)
        Right-hand side. The working precision is that of A, for a bare function that of b.

    Examples
    --------
    >>> from numopt.problems import LinearSystem
    >>> system = LinearSystem([[3.0, 0.0], [0.0, 4.0]], [3.0, 4.0])
    >>> system.objective([1.0, 1.0])
    0.0
    >>> float(system.certificate([0.0, 0.0])["residual"])
    1.0
    """

    default_solver: ClassVar[str] = "cg"

    A: Any
    b: Any

    def __post_init__(self) -> None:
        object.__setattr__(self, "b", as_vector(self.b, "b"))
        A, n = self.A, self.b.size
        if sp.issparse(A):
            A = _by_rows(A)
        elif not (hasattr(A, "matvec") or callable(A)):
            A = as_matrix(A, "A")
        elif getattr(A, "dtype", None) is not None and np.dtype(A.dtype).kind == "c":
            raise TypeError(f"A must be real, got an operator of dtype {A.dtype}")
        object.__setattr__(self, "A", A)
        shape = getattr(A, "shape", (n, n))
        if len(shape) != 2 or shape[0] != shape[1]:
            raise ValueError(
                f"A must be square, got shape {tuple(shape)}; for least squares solve a Composite "
                "with the loss LeastSquares"
            )
        if shape[0] != n:
            raise ValueError(f"A has {shape[0]} rows but b has {n} entries")

    @property
    def explicit(self) -> bool:
        """Whether the entries of A are there, not only products with it."""
        return isinstance(self.A, np.ndarray) or sp.issparse(self.A)

    @property
    def size(self) -> int:
        """Number of unknowns."""
        return int(self.b.size)

    @property
    def nnz(self) -> int:
        """Stored entries of A; those of a vector if A is an operator."""
        if not self.explicit:
            return self.size
        return int(self.A.nnz if sp.issparse(self.A) else self.A.size)

    @property
    def dtype(self) -> Any:
        """Working precision, that of A."""
        dtype = getattr(self.A, "dtype", None) if hasattr(self.A, "shape") else self.b.dtype
        return np.dtype(np.float32 if dtype == np.float32 else np.float64)

    @property
    def scale(self) -> float:
        """|b|_2, or 1 if that is 0: what residuals are relative to."""
        return float(scipy.linalg.norm(self.b.astype(np.float64, copy=False))) or 1.0

    def product(self, x: Any) -> np.ndarray:
        """A x in float64, by the matrix or by the user's operator."""
        if self.explicit:
            return _times(self.A, x)
        x = x.view()
        x.flags.writeable = False  # a user's function cannot spoil the iterate
        y = np.asarray(self.A.matvec(x) if hasattr(self.A, "matvec") else self.A(x))
        if y.dtype.kind not in "biuf":
            raise TypeError(f"A must return real numbers, got dtype {y.dtype}")
        if y.size != x.size:
            raise ValueError(f"A must return {x.size} numbers, got shape {y.shape}")
        return y.reshape(-1).astype(np.float64)

    def residual(self, x: Any) -> np.ndarray:
        """The vector b - A x in float64."""
        x = require_length(as_vector(x, "x", np.float64), self.size, "x")
        return self.b - self.product(x)

    @np.errstate(over="ignore", invalid="ignore")
    def objective(self, x: Any) -> float:
        """|b - A x| / |b|."""
        return float(np.linalg.norm(self.residual(x) / self.scale))

    def certificate(self, x: Any) -> Certificate:
        """Relative residual at x."""
        residual = self.objective(x)
        formula = "|b - A x|_2 / |b|_2" if self.b.any() else "|A x|_2"
        return Certificate("global", {"residual": Entry(residual, formula)}, residual)

    def asymmetry(self) -> float:
        """|y'Az - z'Ay| / max(|Ay|, |Az|) for random y and z: rounding if A is symmetric."""
        return self.probe()[0]

    def probe(self) -> tuple[float, float]:
        """Asymmetry, and the root mean square of the rows' norms: two products, once for each A."""
        return self.cached("probe", (self.A,), self._probe)

    @np.errstate(over="ignore", invalid="ignore")
    def _probe(self) -> tuple[float, float]:
        y, z = np.random.default_rng(0).standard_normal((2, self.size))
        Ay, Az = self.product(y), self.product(z)
        largest = float(max(np.linalg.norm(Ay), np.linalg.norm(Az)))
        difference = abs(float(y @ Az - z @ Ay))
        return difference / (largest or 1.0), largest / max(self.size, 1) ** 0.5

    def asymmetric_entry(self) -> tuple[int, int] | None:
        """Where |A - A'| is largest; None if A is an operator or symmetric."""
        if not self.explicit or self.size == 0:
            return None
        difference = sp.coo_array(self.A - self.A.T)
        if difference.nnz == 0:
            return None
        worst = int(np.argmax(np.abs(difference.data)))
        i, j = sorted((int(difference.row[worst]), int(difference.col[worst])))
        return (i, j) if self.A[i, j] != self.A[j, i] else None


def _by_rows(A: Any) -> Any:
    """Canonical CSR array of floats: A itself if it is one, so that what was computed stays."""
    floats = A.dtype in (np.float32, np.float64)
    if isinstance(A, sp.csr_array) and floats and A.has_canonical_format:
        require_finite(A.data, "A.data")
        return A
    return as_matrix(A.T, "A").T


@np.errstate(over="ignore", invalid="ignore")
def _times(A: Any, x: np.ndarray) -> np.ndarray:
    """A x in float64; a dense float32 matrix is widened a slice at a time, never whole."""
    x = x.astype(np.float64, copy=False)
    if A.dtype == np.float64 or sp.issparse(A):
        return np.asarray(A @ x)
    rows = max(1, 2**20 // max(A.shape[1], 1))
    slices = [A[i : i + rows].astype(np.float64) @ x for i in range(0, A.shape[0], rows)]
    return np.concatenate(slices) if slices else np.zeros(0)
