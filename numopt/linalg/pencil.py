r"""Systems :math:`(P + F^T F + \rho M^T M) x = b` for one P, F, M and many :math:`\rho`.

What can be done once for all :math:`\rho` is: eigenvectors, a cosine transform, the analysis of a
sparse pattern. It is the linear algebra of splitting methods whose penalty moves.
"""

from __future__ import annotations

from threading import Lock
from typing import Any

import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.linalg.banded import BandedLDL, half_bandwidth
from numopt.linalg.krylov import cg
from numopt.linalg.ldl import LDL
from numopt.linalg.maps import Differences, Map
from numopt.linalg.operators import Operator, as_operator

# Order up to which eigenvectors are computed: some ten times the work of a Cholesky factor, paid
# back by the second value of rho.
EIGEN_LIMIT = 2000
# Order beyond which no dense matrix is factored, and no sparse one with more entries in L.
DENSE_LIMIT, FILL_LIMIT = 10_000, 5e7
# Half-bandwidth up to which systems are solved as banded ones.
BAND = 8


class Pencil:
    r"""Solve :math:`(P + F^T F + \rho M^T M) x = b` for many :math:`\rho > 0`.

    Parameters
    ----------
    n : int
        Order.
    P : None, float, array, sparse matrix or operator
        Positive semidefinite; a number stands for a multiple of I.
    F : None, array, sparse matrix or operator of shape (m, n)
    M : None or Map
        None is the identity.
    dtype : dtype
        Working precision of dense systems; the others run in float64.

    Attributes
    ----------
    method : str
        "eigen" (dense, any rho by two products), "cosine", "banded", "cholesky", "ldl" (a
        factor for each rho) or "cg".
    delta, ridge : float
        Where the matrix may be singular, :math:`(\delta + \rho r) (x - x_0)` is added to the
        gradient.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.linalg.pencil import Pencil
    >>> Pencil(2, P=np.diag([1.0, 3.0])).solve(np.array([2.0, 4.0]), 1.0).round(12).tolist()
    [1.0, 1.0]
    """

    def __init__(
        self, n: int, P: Any = None, F: Any = None, M: Map | None = None, dtype: Any = np.float64
    ):
        self.n, self.P, self.F, self.dtype = n, P, F, np.dtype(dtype)
        # Not None in the methods that use them.
        self.M: Any = M
        self.tight: Any = 1.0 if M is None else M.tight
        self.delta = self.ridge = 0.0
        self._known: tuple[float, Any] | None = None
        self._lock = Lock()  # terms are shared by all that solve with them
        tight = self.tight
        parts = [P, F, None if M is None or tight else M.given]
        flat = (P is None or _is_number(P)) and F is None
        if flat and M is not None and isinstance(M.given, Differences):
            self.method = "cosine"
            self._values = M.given.spectrum()
        elif any(not _explicit(part) for part in parts):
            self.method = "cg"
        elif all(part is None or _is_number(part) or sp.issparse(part) for part in parts):
            self.method = self._plan_sparse()
        else:
            self.method = self._plan_dense()

    @property
    def cheap(self) -> bool:
        """Whether another rho costs no more than a solve."""
        return self.method in ("eigen", "cosine", "banded", "cg")

    def solve(
        self, b: np.ndarray, rho: float, x0: np.ndarray | None = None, tol: float = 0.0
    ) -> np.ndarray:
        """The solution for one rho; `x0` and the absolute residual `tol` are for "cg"."""
        if (self.delta or self.ridge) and x0 is not None:
            b = b + (self.delta + rho * self.ridge) * x0
        if self.method in ("eigen", "cosine", "cg"):
            return getattr(self, f"_by_{self.method}")(b, rho, x0, tol)
        with self._lock:  # one factor at a time
            return getattr(self, f"_by_{self.method}")(b, rho, x0, tol)

    # ---- dense -----------------------------------------------------------------------------------

    def _plan_dense(self) -> str:
        n, dtype = self.n, self.dtype
        F: Any = None if self.F is None else _dense(self.F, dtype)
        self._wide = self.P is None and self.tight is not None and F is not None and len(F) < n
        if self._wide:  # (rho I + F'F)^-1 = (I - F' (rho I + F F')^-1 F) / rho
            self._F, H, G = F, F @ F.T, None
        else:
            H = np.zeros((n, n), dtype)
            if self.P is not None:
                H += self.P * np.eye(n) if _is_number(self.P) else _dense(self.P, dtype)
            if F is not None:
                H += F.T @ F
            G = None
            if self.tight is None:
                M = _dense(self.M.given, dtype)
                if not H.any():
                    return self._plan_least_squares(M)
                G = M.T @ M
        self._H, self._G = H, G
        order = len(H)
        if order > DENSE_LIMIT:
            return "cg"
        if order > EIGEN_LIMIT:
            self._shift(H, G)
            return "cholesky"
        if G is None:
            self._values, self._vectors = scipy.linalg.eigh(H, check_finite=False, driver="evd")
            # Rounding below 0 would make a small rho cross it.
            np.maximum(self._values, 0, out=self._values)
            self._slopes = np.full_like(self._values, self.tight)
            return "eigen"
        self._shift(H, G)
        ratio = float(np.trace(H) / (np.trace(G) or 1.0)) or 1.0
        H = H + self.delta * np.eye(order, dtype=dtype)
        values, vectors = scipy.linalg.eigh(H, H + ratio * G, check_finite=False)
        self._values = np.clip(values, 0, 1)
        self._vectors = vectors
        self._slopes = (1 - self._values) / ratio
        return "eigen"

    def _plan_least_squares(self, M: np.ndarray) -> str:
        """M'M alone: by singular values, so that the condition of M is not squared."""
        _, s, Vt = scipy.linalg.svd(M, full_matrices=False, check_finite=False)
        kept = s > s.max(initial=0.0) * max(M.shape) * np.finfo(M.dtype).eps
        self._values, self._slopes = np.zeros(kept.sum(), M.dtype), s[kept] ** 2
        self._vectors, self._wide = np.ascontiguousarray(Vt[kept].T), False
        return "eigen"

    def _shift(self, H: np.ndarray, G: np.ndarray | None) -> None:
        if G is not None or self.P is None:
            size = float(np.trace(H)) / max(len(H), 1)
            self.delta = 1e-3 * float(np.finfo(self.dtype).eps) ** 0.5 * (size or 1.0)

    def _by_eigen(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        shrink = 1 / (self._values + self.dtype.type(rho) * self._slopes)
        if self._wide:
            scaled = self.dtype.type(rho * self.tight)
            inner = self._vectors @ (shrink * (self._vectors.T @ (self._F @ b)))
            return (b - self._F.T @ inner) / scaled
        return self._vectors @ (shrink * (self._vectors.T @ b))

    def _by_cosine(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        D, gamma = self.M.given, 0.0 if self.P is None else float(self.P)
        weight = gamma + rho * self._values
        if gamma == 0:
            weight[0] = np.inf  # constants: the shortest solution
        return D.transform(D.transform(b) / weight, inverse=True)

    def _by_cholesky(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        if self._known is None or self._known[0] != rho:
            shifted = self._H.copy(order="F")
            shifted[np.diag_indices_from(shifted)] += self.delta
            if self._G is None:
                shifted[np.diag_indices_from(shifted)] += rho * self.tight
            else:
                shifted += self.dtype.type(rho) * self._G
            factor = scipy.linalg.cho_factor(
                shifted, lower=True, overwrite_a=True, check_finite=False
            )
            self._known = rho, factor
        factor = self._known[1]
        if self._wide:
            inner = scipy.linalg.cho_solve(factor, self._F @ b, check_finite=False)
            return (b - self._F.T @ inner) / self.dtype.type(rho * self.tight)
        return scipy.linalg.cho_solve(factor, b, check_finite=False)

    # ---- sparse ----------------------------------------------------------------------------------

    def _plan_sparse(self) -> str:
        eye = sp.eye_array(self.n, format="csc")
        P = self.P
        P = 0 * eye if P is None else P * eye if _is_number(P) else sp.csc_array(P)
        G = eye * self.tight if self.tight is not None else None
        M: Any = None if G is not None else sp.csc_array(self.M.given)
        if self.F is None and (M is None or M.nnz <= 10 * self.n):
            G = G if G is not None else sp.csc_array(M.T.astype(np.float64) @ M)
            width = max(half_bandwidth(P), half_bandwidth(G))
            if 0 < self.n and width <= BAND:
                self._bands = [_bands(Q, width) for Q in (P, G)]
                size = float(np.abs(self._bands[0][0]).mean())
                if not (self._bands[0][0] > 0).all():
                    # Against the rounding of either matrix, which may be singular.
                    self.ridge = 1e-11 * float(self._bands[1][0].max(initial=0.0))
                    self.delta = 1e-11 * size or float(self.ridge == 0)
                self._bands[0][0] += self.delta
                self._bands[1][0] += self.ridge
                return "banded"
        # [[P + delta I, F', M'], [F, -I, 0], [M, 0, -I / rho]] has an L D L' in any order.
        size = float(P.diagonal().mean()) if self.n else 0.0
        tight = self.tight is not None
        if not tight:
            size = size or float(M.data @ M.data) / max(self.n, 1)
            self.delta = 1e-9 * (size or 1.0)
        blocks = [[P + (self.delta or 0) * eye + (eye if tight else 0 * eye)]]
        for extra in (self.F, M):
            if extra is not None:
                extra = sp.csc_array(extra)
                for row in blocks:
                    row.append(None)
                blocks[0][-1] = extra.T
                blocks.append([extra, *[None] * (len(blocks) - 1), -sp.eye_array(extra.shape[0])])
        K = sp.csc_array(sp.block_array(blocks))
        signs = np.ones(K.shape[0], np.int8)
        signs[self.n :] = -1
        self._order = K.shape[0]
        self._diagonal = K.diagonal()[: self.n] - (1.0 if tight else 0.0)
        self._ldl = LDL(K, signs=signs, factor=False)
        first = 0 if tight else K.shape[0] - M.shape[0]
        self._moving = np.arange(first, self.n if tight else K.shape[0])
        self._ldl.pattern.load(self._ldl.pattern.values_of(K), self._ldl._values)
        return "ldl" if self._ldl.analysis.nnz <= FILL_LIMIT else "cg"

    def _by_banded(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        if self._known is None or self._known[0] != rho:
            P, G = self._bands
            self._known = rho, BandedLDL(P + rho * G)
        return self._known[1].solve(b)

    def _by_ldl(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        if self._known is None or self._known[0] != rho:
            if self.tight is not None:
                self._ldl.update_diagonal(self._diagonal + rho * self.tight, self._moving)
            else:
                self._ldl.update_diagonal(-1 / rho, self._moving)
            self._known = rho, None
        full = np.zeros(self._order)
        full[: self.n] = b
        return self._ldl.solve(full)[: self.n].astype(self.dtype, copy=False)

    # ---- products only ---------------------------------------------------------------------------

    def _by_cg(self, b: np.ndarray, rho: float, x0: Any, tol: float) -> np.ndarray:
        P = None if self.P is None or _is_number(self.P) else as_operator(self.P, "P")
        F = None if self.F is None else as_operator(self.F, "F")
        gamma = float(self.P) if self.P is not None and P is None else 0.0

        def product(x: np.ndarray) -> np.ndarray:
            y = gamma * x if P is None else P.matvec(x)
            if F is not None:
                y = y + F.rmatvec(F.matvec(x))
            if self.tight is not None:
                return y + (rho * self.tight) * x
            return y + rho * self.M.adjoint(self.M.times(x))

        shape = self.n, self.n
        system = Operator(shape, self.dtype, product, product)
        floor = float(np.finfo(self.dtype).eps) * 10
        return cg(system, b, x0=x0, rtol=floor, atol=tol).x


def _is_number(part: Any) -> bool:
    return isinstance(part, (int, float, np.number))


def _explicit(part: Any) -> bool:
    return part is None or _is_number(part) or isinstance(part, np.ndarray) or sp.issparse(part)


def _dense(A: Any, dtype: Any) -> np.ndarray:
    return np.asarray(A.toarray() if sp.issparse(A) else A, dtype)


def _bands(A: Any, width: int) -> np.ndarray:
    bands = np.zeros((width + 1, A.shape[0]))
    for p in range(width + 1):
        bands[p, : A.shape[0] - p] = A.diagonal(-p)
    return bands
