r"""Relaxation sweeps over sparse rows: SOR, SSOR, and the order rows are visited in.

With A = L + D + U (D the diagonal, L and U strictly below and above it), forward SOR is
:math:`x \leftarrow x + (D/\omega + L)^{-1} (b - A x)`, row by row with the newest values; the
backward sweep has U in place of L, and Gauss-Seidel is :math:`\omega = 1`. As a preconditioner,
one sweep each way applies the inverse of

.. math:: M = \frac{1}{2 - \omega} \Bigl(\frac{D}{\omega} + L\Bigr)
              \Bigl(\frac{D}{\omega}\Bigr)^{-1} \Bigl(\frac{D}{\omega} + U\Bigr).

References
----------
D. M. Young, "Iterative Solution of Large Linear Systems", Academic Press, 1971.
S. C. Eisenstat, "Efficient implementation of a class of preconditioned conjugate gradient
methods", SIAM J. Sci. Stat. Comput. 2 (1981), doi:10.1137/0902001.
"""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import (
    as_vector,
    require_choice,
    require_count,
    require_length,
    require_number,
)
from numopt.linalg.scheduling import colours, levels, square, triangles
from numopt.linalg.sparse import CSR, row_dot

# Groups of independent rows shorter than this are not worth waking threads for.
SHARED = 1 << 14


class Split(NamedTuple):
    """A = L + D + U by rows, as kernels see it."""

    lower: CSR  # L
    upper: CSR  # U
    diagonal: np.ndarray  # D
    inverse: np.ndarray  # 1 / D: a division in every row's chain would triple its latency


# ---- one row -------------------------------------------------------------------------------------


@inner(contract=True, merged=True)
def _less(T, i, x, total):
    """total - t_i' x, entries in order: the one computed last comes last in a forward sweep."""
    for k in range(np.uint64(T.indptr[i]), np.uint64(T.indptr[i + 1])):
        total -= T.data[k] * x[np.uint64(T.indices[k])]
    return total


@inner(contract=True, merged=True)
def _less_backwards(T, i, x, total):
    """The same from the last entry to the first."""
    start, k = np.uint64(T.indptr[i]), np.uint64(T.indptr[i + 1])
    while k > start:
        k -= np.uint64(1)
        total -= T.data[k] * x[np.uint64(T.indices[k])]
    return total


# ---- sweeps --------------------------------------------------------------------------------------


@kernel(contract=True)
def forward(S, omega, b, x, first, last):
    """SOR sweep down rows first:last, in place."""
    keep = S.diagonal.dtype.type(1) - omega
    for i in range(first, last):
        # U first: L holds the value that was computed a moment ago.
        rest = _less(S.lower, i, x, _less(S.upper, i, x, b[i]))
        x[i] = keep * x[i] + omega * S.inverse[i] * rest


@kernel(contract=True)
def backward(S, omega, b, x, first, last):
    """SOR sweep up the rows from last - 1 to first, in place."""
    keep = S.diagonal.dtype.type(1) - omega
    for i in range(last - 1, first - 1, -1):
        rest = _less_backwards(S.upper, i, x, _less_backwards(S.lower, i, x, b[i]))
        x[i] = keep * x[i] + omega * S.inverse[i] * rest


@kernel(contract=True)
def forward_change(S, omega, b, x, change):
    """Forward SOR sweep that keeps change = x_new - x; see `residual_after`."""
    for i in range(x.size):
        rest = _less(S.lower, i, x, _less(S.upper, i, x, b[i]))
        change[i] = omega * (S.inverse[i] * rest - x[i])
        x[i] += change[i]


@kernel(contract=True)
def backward_change(S, omega, b, x, change):
    """The same up the rows."""
    for i in range(x.size - 1, -1, -1):
        rest = _less_backwards(S.upper, i, x, _less_backwards(S.lower, i, x, b[i]))
        change[i] = omega * (S.inverse[i] * rest - x[i])
        x[i] += change[i]


@kernel(contract=True)
def residual_after(ahead, diagonal, omega, change, r):
    r"""R = b - A x after a sweep, for half a product with A; its sum of squares in float64.

    A sweep solves (D / omega + L) change = b - A x_old, so the new residual is
    ((1 - omega) / omega) D change - U change. `ahead` is the triangle that the sweep had still
    ahead of it: U after a forward, L after a backward sweep.
    """
    keep = (diagonal.dtype.type(1) - omega) / omega
    total = 0.0
    for i in range(r.size):
        r[i] = _less(ahead, i, change, keep * diagonal[i] * change[i])
        total += np.float64(r[i]) * r[i]
    return total


# ---- triangular solves, SSOR and Eisenstat's trick -----------------------------------------------


@kernel(contract=True)
def lower_solve(S, omega, r, out):
    """out = (D / omega + L)^-1 r; may overwrite r."""
    for i in range(out.size):
        out[i] = omega * S.inverse[i] * _less(S.lower, i, out, r[i])


@kernel(contract=True)
def upper_solve(S, omega, r, out):
    """out = (D / omega + U)^-1 r; may overwrite r."""
    for i in range(out.size - 1, -1, -1):
        out[i] = omega * S.inverse[i] * _less_backwards(S.upper, i, out, r[i])


@kernel(contract=True)
def lower_product(S, omega, x, out):
    """out = (D / omega + L) x; its sum of squares in float64."""
    total = 0.0
    for i in range(out.size):
        out[i] = S.diagonal[i] / omega * x[i] + row_dot(S.lower, i, x)
        total += np.float64(out[i]) * out[i]
    return total


@kernel(contract=True)
def ssor_apply(S, omega, r, out):
    """out = M^-1 r for the SSOR preconditioner M."""
    for i in range(out.size):
        out[i] = omega * S.inverse[i] * _less(S.lower, i, out, r[i])
    keep = (S.diagonal.dtype.type(2) - omega) / omega
    for i in range(out.size - 1, -1, -1):
        # What the first solve left in out[i] times (2 - omega) D / omega is the right-hand side.
        rest = keep * S.diagonal[i] * out[i]
        out[i] = omega * S.inverse[i] * _less_backwards(S.upper, i, out, rest)


@kernel(contract=True)
def eisenstat_product(S, omega, p, t, u):
    r"""Product with the SSOR-preconditioned matrix at the price of one product with A.

    With E = D / omega + L and F = D / omega + U, sets t = F^-1 p and u = E^-1 (p - K t),
    K = 2 D / omega - D, so that E^-1 A F^-1 p = t + u. Returns p'(t + u) in float64.

    Conjugate gradients on E^-1 A F^-1, started from s = E^-1 r and p = z = (D / omega) s, then
    run with a = s'z / p'(t + u): x += a t, s -= a (t + u), z = (D / omega) s, p = z + beta p.
    The residual is r = E s, see `lower_product`.
    """
    for i in range(p.size - 1, -1, -1):
        t[i] = omega * S.inverse[i] * _less_backwards(S.upper, i, t, p[i])
    keep = (S.diagonal.dtype.type(2) - omega) / omega
    total = 0.0
    for i in range(p.size):
        u[i] = omega * S.inverse[i] * _less(S.lower, i, u, p[i] - keep * S.diagonal[i] * t[i])
        total += np.float64(p[i]) * (t[i] + u[i])
    return total


# ---- from Python ---------------------------------------------------------------------------------


class Sweeps:
    """A square sparse matrix made ready for relaxation.

    Parameters
    ----------
    A : scipy.sparse matrix or array of shape (n, n)
        Its diagonal must have no zeros. Need not be symmetric.
    order : {"natural", "levels", "colours"}
        How rows are visited. "levels" gives the iterates of "natural" to the last bit and shows
        threads which rows are independent; "colours" sweeps colour after colour.
    n_threads : int, default 1
        Threads that share groups of independent rows, of "levels" and "colours" alone. The
        result does not depend on their number.

    Raises
    ------
    ValueError
        A zero on the diagonal, naming the row; A not square.

    Notes
    -----
    SOR converges for symmetric positive definite A and all 0 < omega < 2 (Ostrowski, Reich), and
    for strictly diagonally dominant A and omega <= 1. A sweep is one pass over A; the residual of
    the last one costs half a pass.

    Examples
    --------
    >>> import scipy.sparse as sp
    >>> A = Sweeps(sp.csr_array([[2.0, 1.0], [1.0, 2.0]]))
    >>> A.relax([3.0, 3.0], n_sweeps=30).round(12).tolist()
    [1.0, 1.0]
    """

    def __init__(self, A: Any, *, order: str = "natural", n_threads: int = 1):
        require_choice(order, ("natural", "levels", "colours"), "order")
        require_count(n_threads, "n_threads", 1)
        matrix, n = square(A)
        self.size, self.order, self.n_threads = n, order, n_threads
        self.permutation: np.ndarray | None = None
        self._stretches = [(0, n, False)]
        if order != "natural":
            groups = levels(A) if order == "levels" else colours(A)
            self.permutation = np.argsort(groups, kind="stable")
            bounds = np.cumsum(np.bincount(groups)).tolist()
            self._stretches = _stretches(pairwise([0, *bounds]))
        visit = np.arange(n) if self.permutation is None else self.permutation
        # Levels keep what is below and above the diagonal of A, colours take it of P A P'.
        lower, upper, diagonal = triangles(matrix, visit, order == "levels")
        self._places = lower.data, upper.data, diagonal
        self._patterns = lower, upper
        self._pool: ThreadPoolExecutor | None = None
        self._gather(matrix)

    def _gather(self, matrix: CSR) -> None:
        below, above, on = self._places
        diagonal = np.zeros(self.size, matrix.data.dtype)
        diagonal[on >= 0] = matrix.data[on[on >= 0]]
        with np.errstate(divide="ignore", over="ignore"):
            inverse = 1 / diagonal
        if not np.isfinite(inverse).all():
            bad = np.flatnonzero(~np.isfinite(inverse))
            rows = bad if self.permutation is None else self.permutation[bad]
            i, value = int(rows.min()), diagonal[bad[rows.argmin()]]
            raise ValueError(
                f"A[{i}, {i}] is {value:g} ({bad.size} such rows) and relaxation divides by it; "
                "reorder the equations or take another method"
            )
        self.split = Split(
            self._patterns[0]._replace(data=matrix.data[below]),
            self._patterns[1]._replace(data=matrix.data[above]),
            diagonal,
            inverse,
        )
        self._matrix = matrix

    def update(self, A: Any) -> Sweeps:
        """Take over the values of another matrix of the same pattern, without analysing it anew."""
        new, old = square(A)[0], self._matrix
        same = new.indptr.shape == old.indptr.shape and np.array_equal(new.indptr, old.indptr)
        if not (same and np.array_equal(new.indices, old.indices)):
            raise ValueError("A has another pattern of stored entries; make a new Sweeps of it")
        self._gather(new)
        return self

    def relax(
        self,
        b: Any,
        x: Any = None,
        *,
        omega: float = 1.0,
        n_sweeps: int = 1,
        direction: str = "forward",
    ) -> np.ndarray:
        """x after some sweeps from `x` (zeros if not given), which stays as it is.

        Parameters
        ----------
        b, x : array of shape (n,)
            Right-hand side and start.
        omega : float, default 1.0
            Relaxation parameter in (0, 2); 1 is Gauss-Seidel.
        n_sweeps : int, default 1
        direction : {"forward", "backward", "symmetric"}
            "symmetric" counts a forward and a backward sweep as one.
        """
        require_choice(direction, ("forward", "backward", "symmetric"), "direction")
        require_count(n_sweeps, "n_sweeps")
        omega, b = self._omega(omega), self._vector(b, "b")
        x = np.zeros_like(b) if x is None else self._vector(x, "x").copy()
        for _ in range(n_sweeps):
            if direction != "backward":
                self._run(forward, self._stretches, omega, b, x)
            if direction != "forward":
                self._run(backward, self._stretches[::-1], omega, b, x)
        return self._back(x)

    def precondition(self, r: Any, omega: float = 1.0) -> np.ndarray:
        """M^-1 r for the SSOR preconditioner M, positive definite where A is."""
        r = self._vector(r, "r")
        out = np.empty_like(r)
        ssor_apply(self.split, self._omega(omega), r, out)
        return self._back(out)

    def _omega(self, omega: float) -> Any:
        require_number(omega, "omega")
        if not 0 < omega < 2:
            raise ValueError(f"omega must lie strictly between 0 and 2, got {omega!r}")
        return self.split.diagonal.dtype.type(omega)

    def _vector(self, v: Any, name: str) -> np.ndarray:
        v = require_length(as_vector(v, name, self.split.diagonal.dtype), self.size, name)
        return np.require(v if self.permutation is None else v[self.permutation], None, ["W"])

    def _back(self, x: np.ndarray) -> np.ndarray:
        if self.permutation is None:
            return x
        out = np.empty_like(x)
        out[self.permutation] = x
        return out

    def _run(self, sweep: Any, stretches: Any, omega: Any, b: np.ndarray, x: np.ndarray) -> None:
        if self.n_threads == 1:
            sweep(self.split, omega, b, x, 0, self.size)
            return
        if self._pool is None:
            self._pool = ThreadPoolExecutor(self.n_threads, thread_name_prefix="numopt")
        for first, last, shared in stretches:
            if not shared:
                sweep(self.split, omega, b, x, first, last)
                continue
            cuts = np.linspace(first, last, self.n_threads + 1).astype(int).tolist()

            def work(part: tuple[int, int]) -> None:
                sweep(self.split, omega, b, x, *part)

            list(self._pool.map(work, pairwise(cuts)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pool": None}


def _stretches(groups: Iterable[tuple[int, int]]) -> list[tuple[int, int, bool]]:
    """Groups of independent rows, with whether to share them; the short ones run together."""
    stretches: list[tuple[int, int, bool]] = []
    for first, last in groups:
        shared = last - first >= SHARED
        if stretches and not shared and not stretches[-1][2]:
            stretches[-1] = (stretches[-1][0], last, False)
        else:
            stretches.append((first, last, shared))
    return stretches
