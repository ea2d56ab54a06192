"""Sparse symmetric factorisation P A P' = L D L', analysed once and refactored often."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import require_choice, require_finite, require_in
from numopt.linalg.ldl_kernels import pivoting, simplicial, supernodal
from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.patterns import SymmetricPattern

METHODS = ("auto", "simplicial", "supernodal")


class LDL:
    """Factor a sparse symmetric matrix as P A P' = L D L' and solve with it.

    L is unit lower triangular, P a fill-reducing permutation. Three kinds, by `signs`:

    - an array of +1 and -1: A is *quasi-definite*, D is diagonal with these signs for every P, and
      no pivoting is needed. Pivots that come out tiny or of the wrong sign are replaced and
      counted (`perturbed`, `wrong_signs`); refinement in the original matrix makes up for it.
    - +1 or -1: A is positive or negative definite (Cholesky); the first pivot of another sign
      ends the factorisation (`ok`, `bad_row`).
    - None: A is symmetric *indefinite*; D has 1 x 1 and 2 x 2 blocks chosen for stability, and
      `inertia` is that of A.

    Parameters
    ----------
    A : sparse matrix or array, (n, n)
        COO, CSC or CSR keep the order of their `data` for `update`.
    signs : None, +1, -1 or array of +1 and -1 (n)
        Signs of D, row by row of A.
    triangle : {"full", "upper", "lower"}, default "full"
        What A stores. "full" is checked for symmetry at each update.
    shift : float or array (n), default 0
        Static regularisation: factors A + diag(shift), a number standing for shift * signs.
        Refinement still solves with A.
    regularize : bool, optional
        Replace bad pivots instead of failing. Default: whether `signs` is an array.
    pivoting : bool, optional
        Default: whether `signs` is None. With signs *and* pivoting, `enforce_inertia` is at hand.
    ordering : {"amd", "natural"} or permutation, default "amd"
    method : {"auto", "simplicial", "supernodal"}, default "auto"
        How to factor without pivoting; "auto" estimates both from the analysis.
    threshold : float in [1e-4, 0.5], default 0.01
        u of threshold pivoting: multipliers stay below 1/u.
    analysis : Analysis, optional
        That of another factor of the same pattern.
    factor : bool, default True
        False only analyses; `update` then factors.

    Attributes
    ----------
    ok : bool
        There is a factor to solve with.
    bad_row : int or None
        Row of A at which the factorisation failed.
    perturbed, wrong_signs : int
        Pivots replaced, and those among them that were no mere rounding: if > 0, A does not have
        the inertia that `signs` promised.
    inertia : tuple of 3 int
        Positive, negative and zero eigenvalues of L D L'.
    analyses, factorizations, solves, refinements : int
        Work done so far.

    Raises
    ------
    ValueError
        A not square, not symmetric (the entry is named), not finite; signs other than +-1.

    Notes
    -----
    Approximate minimum degree, elimination tree and column counts once; then refactorisations
    either row by row (very sparse factors) or by fronts with dense blocks (the rest; always with
    pivoting). A pivot d_k = a_kk - sum_j l_kj^2 d_j is bad when it is at most 8 eps times the sum
    m of the absolute values of its terms (no digit of it is right) or 64 eps times the largest
    entry a of row k of A. It becomes s max(abs(d), 8 eps m), with sqrt(eps) a in the maximum in
    the second case, s being its sign.
    Refinement stops at a componentwise backward error
    max_i abs(b - A x)_i / (abs(A) abs(x) + abs(b))_i of 32 eps.

    References
    ----------
    R. Vanderbei, "Symmetric quasidefinite matrices", SIAM J. Optim. 5 (1995),
    doi:10.1137/0805005. M. Arioli, J. Demmel, I. Duff, "Solving sparse linear systems with sparse
    backward error", SIAM J. Matrix Anal. Appl. 10 (1989), doi:10.1137/0610013.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from numopt.linalg.ldl import LDL
    >>> K = sp.csc_array([[2.0, 0.0, 1.0], [0.0, 3.0, 1.0], [1.0, 1.0, -1e-3]])
    >>> factor = LDL(K, signs=np.array([1, 1, -1]))
    >>> np.round(factor.solve(K @ [1.0, 2.0, 3.0]), 12)
    array([1., 2., 3.])
    >>> factor.inertia
    (2, 1, 0)
    >>> factor.update(2 * K.data), factor.factorizations
    (True, 2)
    """

    def __init__(
        self,
        A: Any,
        signs: Any = None,
        *,
        triangle: str = "full",
        shift: Any = 0.0,
        regularize: bool | None = None,
        pivoting: bool | None = None,
        ordering: str | np.ndarray = "amd",
        method: str = "auto",
        threshold: float = 0.01,
        analysis: Analysis | None = None,
        factor: bool = True,
    ):
        require_choice(method, METHODS, "method")
        require_in(threshold, 1e-4, 0.5, "threshold")
        self.pivoting = signs is None if pivoting is None else pivoting
        if signs is None and not self.pivoting:
            raise ValueError("pivoting=False needs signs: +1, -1 or an array of them")
        self.analyses = self.factorizations = self.solves = self.refinements = 0
        if analysis is None:
            analysis = Analysis(SymmetricPattern(A, triangle), ordering)
            self.analyses = 1
        self.analysis, self.pattern, self.n = analysis, analysis.pattern, analysis.n
        self.method = "pivoting" if self.pivoting else method
        if self.method == "auto":
            self.method = analysis.faster
        self.threshold = threshold
        self.regularize = np.ndim(signs) == 1 if regularize is None else regularize

        values = self.pattern.values_of(A)
        self.dtype = np.dtype(np.float32 if values.dtype == np.float32 else np.float64)
        # Threshold pivoting always runs in float64: half the code to compile, sure signs.
        self._kind = np.dtype(np.float64) if self.pivoting else self.dtype
        self._values = np.zeros(self.pattern.indices.size, self._kind)
        self.signs = as_signs(signs, self.n)
        self._order = analysis.order
        # Signs and shift in the order of elimination.
        self._known = np.zeros((2, self.n), self._kind)
        if self.signs is not None:
            self._known[0] = self.signs[self._order]
        self._set_shift(shift)
        self.ok = False
        self.bad_row: int | None = None
        self.perturbed = self.wrong_signs = 0
        self._message = "nothing is factored yet; call update(values)"
        self._shape, self._length = (self.n,), (self.pattern.length,)
        self._whole = self.pattern.whole
        self._allocate()
        if factor:
            self.update(values)

    # ---- numbers in ------------------------------------------------------------------------------

    def update(self, values: Any, *, shift: Any = None) -> bool:
        """Factor a matrix of the same pattern; return `ok`.

        Parameters
        ----------
        values : array or matrix
            New `data`, in the order of the analysed matrix, or a matrix of the same pattern
            (which is checked).
        shift : float or array, optional
            New static regularisation.
        """
        if (
            type(values) is not np.ndarray
            or values.dtype is not self._kind
            or values.shape != self._length
        ):
            values = self.pattern.values_of(values)
        self.ok = False
        if self._whole:
            self._values[:] = values
        else:
            self._message = "the last update was refused; call update(values)"
            self.pattern.load(values, self._values)
        if shift is not None:
            self._set_shift(shift)
        return self._factor(values)

    def update_diagonal(self, diagonal: Any, rows: Any = slice(None)) -> bool:
        """Replace diagonal entries (all, or those of `rows`) and factor anew; return `ok`.

        Touches nothing else: no pattern is compared, no value gathered, no symmetry checked.
        """
        places = self.pattern.diagonal[rows]
        diagonal = np.asarray(diagonal)
        if diagonal.ndim and diagonal.shape != places.shape:
            raise ValueError(f"diagonal has shape {diagonal.shape}, expected {places.shape}")
        require_finite(np.ravel(diagonal), "diagonal")
        self._values[places] = diagonal
        return self._factor(self._values)

    def _set_shift(self, shift: Any) -> None:
        shift = np.asarray(shift, dtype=self.dtype)
        if shift.ndim == 0:
            shift = np.full(self.n, shift) if self.signs is None else shift * self.signs
        if shift.shape != (self.n,):
            raise ValueError(f"shift must be a number or have {self.n} entries, got {shift.shape}")
        if not np.isfinite(shift).all():
            raise ValueError("shift must be finite")
        self._known[1] = shift[self._order]

    # ---- factorisation ---------------------------------------------------------------------------

    def _allocate(self) -> None:
        """Numeric storage, and the argument lists of the kernels."""
        n, analysis, kind = self.n, self.analysis, self._kind
        self._matrix = self.pattern.indptr, self.pattern.indices, self._values
        self._epsilon: Any = np.finfo(kind.type).eps
        self._goal = 32 * float(np.finfo(self.dtype.type).eps)
        self._kernel: Any = None
        self._numbers: tuple[Any, ...]
        self._d: np.ndarray
        if self.method == "simplicial":
            indptr, rows, row_indptr, row_columns = analysis.columns
            a_indptr, a_rows, source = analysis.upper
            L, D = np.zeros(analysis.nnz, kind), np.zeros((2, n), kind)
            self._d, self._inverse = D
            self._module: Any = simplicial
            self._numbers = indptr, rows, L, self._inverse
            self._kernel = simplicial.factor
            self._arguments = (
                self._values, np.stack((a_indptr, indptr, row_indptr)), np.stack((a_rows, source)),
                np.stack((rows, row_columns)), self._known, self._epsilon, self.regularize, L, D,
            )  # fmt: skip
        elif self.method == "supernodal":
            f = analysis.fronts
            a_indptr, a_rows, source = analysis.lower
            P, U = np.empty(int(f.panel[-1]), kind), np.empty(f.workspace, kind)
            self._d, self._inverse = np.zeros((2, n), kind)
            self._module = supernodal
            self._numbers = (f.start, f.row_indptr, f.rows, f.panel, P, self._inverse)
            self._kernel = supernodal.factor
            self._arguments = (
                self._values, source, a_indptr, a_rows, f.place, *self._known, self._epsilon,
                self.regularize, f.start, f.row_indptr, f.rows, f.relative, f.child, f.sibling,
                f.panel, f.update, P, U, self._d, self._inverse, f.largest,
            )  # fmt: skip
        else:
            size = int(analysis.fronts.panel[-1])
            self._module = pivoting
            self._blocks = np.empty(size, kind), np.empty(analysis.nnz + n, np.uint32)

    def _factor(self, values: np.ndarray) -> bool:
        self.factorizations += 1
        if self._kernel is None:
            failed, self.perturbed, self.wrong_signs = self._factor_pivoting()
        else:
            failed, self.perturbed, self.wrong_signs = self._kernel(*self._arguments)
        self.bad_row = None
        if failed < 0:
            self.ok = True
            return True
        self.ok = False
        self.pattern.require_finite(values)
        self.bad_row = int(self._order[failed])
        found = float(self._d[failed])
        wanted = f"of sign {self._known[0, failed]:+.0f}" if not self.pivoting else "finite"
        self._message = (
            f"{self.pattern.name} cannot be factored: the pivot of row {self.bad_row} is "
            f"{found:.6g}, expected one {wanted}; regularize or shift the diagonal"
        )
        return False

    def _factor_pivoting(self) -> tuple[int, int, int]:
        f = self.analysis.fronts
        a_indptr, a_rows, source = self.analysis.lower
        scale = pivoting.equilibrate(self._values, *self._matrix[:2], 3)[self._order]
        rounding = 5 * max(f.largest, 16) * self._epsilon
        name_start, block_start, taken, L, names, d, e, report = pivoting.factor(
            self._values, source, a_indptr, a_rows, self._known[1], scale, self.threshold, rounding,
            f.start, f.row_indptr, f.rows, f.child, f.sibling, f.above, *self._blocks,
        )  # fmt: skip
        self._blocks = L, names
        self._d, self._e = d, e
        self._numbers = (name_start, block_start, taken, L, names, d, e, scale)
        _, forced, self.delayed = report
        bad = np.flatnonzero(~np.isfinite(d + e))
        return int(bad[0]) if bad.size else -1, forced, 0

    @property
    def compiled(self) -> tuple[tuple[Any, ...], np.ndarray, tuple[Any, ...]]:
        """For kernels: arguments of the factorisation (values first), order, numbers of solves.

        They go with ``factor`` and ``solve`` of the module named by `method`, without pivoting.
        """
        return self._arguments, self._order, self._numbers

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Positive, negative and zero eigenvalues of L D L' (those of A unless `perturbed`)."""
        self._require_factor()
        positive, negative = self._d > 0, self._d < 0
        if self.pivoting:
            first = np.flatnonzero(self._e)
            a, b, c = self._d[first], self._e[first], self._d[first + 1]
            opposite = (a / b) * (c / b) < 1
            positive[first], negative[first] = opposite | (a > 0), ~opposite & (a < 0)
            positive[first + 1], negative[first + 1] = ~opposite & (a > 0), opposite | (a < 0)
        plus, minus = int(positive.sum()), int(negative.sum())
        return plus, minus, self.n - plus - minus

    def enforce_inertia(
        self, first: float = 1e-4, growth: float = 8.0, largest: float = 1e40
    ) -> float:
        """Replace A by A + delta diag(signs) with the inertia of `signs`; return delta.

        Tries 0, then `first` times the largest entry of A, times `growth` after each failure (100
        the first time), as interior point methods for nonlinear programs do. Later solves are
        with the new matrix, until the next `update`. Raises LinAlgError beyond `largest`.

        References
        ----------
        A. Waechter, L. Biegler, "On the implementation of an interior-point filter line-search
        algorithm", Math. Prog. 106 (2006), section 3.1, doi:10.1007/s10107-004-0559-y.
        """
        if self.signs is None:
            raise ValueError("enforce_inertia needs signs, given with pivoting=True")
        wanted = int((self.signs > 0).sum()), int((self.signs < 0).sum()), 0
        size = float(np.abs(self._values).max(initial=0.0)) or 1.0
        diagonal = self._values[self.pattern.diagonal]
        delta = 0.0
        while delta <= largest:
            shifted = diagonal + delta * size * self.signs
            if self.update_diagonal(shifted) and not self.perturbed and self.inertia == wanted:
                return delta * size
            delta = delta * (growth if delta > first else 100.0) if delta else first
        raise np.linalg.LinAlgError(f"no shift up to {largest:g} gives the inertia {wanted}")

    def _require_factor(self) -> None:
        if not self.ok:
            raise np.linalg.LinAlgError(self._message)

    # ---- solves ----------------------------------------------------------------------------------

    def solve(self, b: Any, *, refine: int = 8, goal: float | None = None) -> np.ndarray:
        """Solve A x = b for one right-hand side (n) or for the columns of b (n, k).

        Parameters
        ----------
        b : array
            Several columns at once take less time each.
        refine : int, default 8
            Most steps of iterative refinement in A itself; 0: none, and no residual.
        goal : float, optional
            Refine no further than this componentwise backward error; 32 eps by default.

        Returns
        -------
        array
            In the dtype of the factor. `backward_error` holds the componentwise backward error of
            the worst column, if refine > 0.

        Raises
        ------
        numpy.linalg.LinAlgError
            No factor, or a solution that overflows.
        """
        if not self.ok:
            self._require_factor()
        # flags.carray: contiguous, aligned and writeable, the one layout kernels are compiled for.
        if type(b) is np.ndarray and b.shape == self._shape and b.dtype is self._kind:
            if not b.flags.carray:
                b = b.copy()
        else:
            b = np.asarray(b)
            if b.ndim == 2 and b.shape[0] == self.n:
                return self._solve_columns(b, refine, goal)
            if b.shape != self._shape:
                raise ValueError(f"b has shape {b.shape}, expected ({self.n},) or ({self.n}, k)")
            b = b.astype(self._kind)
        x = np.empty(self.n, self._kind)
        self.solves += 1
        if refine:
            finite, steps, self.backward_error = self._module.solve_refined(
                b, x, self._order, self._numbers, self._matrix, refine,
                self._goal if goal is None else float(goal),
            )  # fmt: skip
            self.refinements += steps
        else:
            finite = self._module.solve(b, x, self._order, self._numbers)
        if not finite:
            self._refuse(b)
        return x if self._kind is self.dtype else x.astype(self.dtype)

    def _solve_columns(self, B: np.ndarray, refine: int, goal: float | None) -> np.ndarray:
        rows = np.array(B.T, self._kind, order="C")
        X = np.empty_like(rows)
        self.solves += rows.shape[0]
        finite, steps, error = self._module.solve_rows(
            rows, X, self._order, self._numbers, self._matrix, refine,
            self._goal if goal is None else float(goal),
        )  # fmt: skip
        if not finite:
            self._refuse(rows.T)
        if refine:
            self.backward_error = error
        self.refinements += steps
        return X.T if self._kind is self.dtype else X.T.astype(self.dtype)

    def _refuse(self, b: np.ndarray) -> None:
        bad = np.argwhere(~np.isfinite(b))
        if bad.size:
            i = tuple(bad[0].tolist())
            where = f"{i[0]}" if b.ndim == 1 else f"{i}"
            raise ValueError(f"b has {b[i]} at index {where}; drop or impute it")
        raise np.linalg.LinAlgError(
            f"the solution overflows: {self.pattern.name} is singular to working precision"
        )

    # ---- what stands in the factor ---------------------------------------------------------------

    def factors(self) -> tuple[Any, Any, np.ndarray]:
        """Sparse L, D and the order with ``A[order][:, order] = L @ D @ L.T``.

        L is lower triangular; with pivoting its diagonal holds powers of two that equilibrate A,
        otherwise ones.
        """
        self._require_factor()
        n, order = self.n, self._order.astype(np.int64)
        if self.method == "simplicial":
            indptr, rows, L, _ = self._numbers
            unit = sp.csc_array((L, rows.astype(np.int64), indptr), shape=(n, n))
            return unit + sp.eye_array(n), sp.diags_array(self._d), order
        if self.method == "supernodal":
            start, row_indptr, below, offset, values, _ = self._numbers
            columns = np.diff(start)
            names = [
                np.concatenate(
                    (np.arange(start[s], start[s + 1]), below[row_indptr[s] : row_indptr[s + 1]])
                )
                for s in range(columns.size)
            ]
            pivots = np.arange(n)
        else:
            name_start, offset, columns, values, below, d, e, scale = self._numbers
            names = [below[name_start[s] : name_start[s + 1]] for s in range(columns.size)]
            taken = [m[:k].astype(np.int64) for m, k in zip(names, columns, strict=True)]
            pivots = np.concatenate([*taken, np.empty(0, np.int64)])
        place = np.empty(n, np.int64)
        place[pivots] = np.arange(n)
        L = sp.eye_array(n, format="lil")
        at = 0
        for m, k, first in zip(names, columns, offset, strict=False):
            block = values[first : first + m.size * k].reshape(k, m.size)
            for j in range(k):
                L[place[m[j + 1 :]], at + j] = block[j, j + 1 :][:, None]
            at += k
        D = sp.diags_array(self._d)
        if self.pivoting:
            L = sp.diags_array(1 / scale[pivots]) @ L
            D = sp.diags_array([e[:-1], d, e[:-1]], offsets=[-1, 0, 1], shape=(n, n))
        return sp.csc_array(L), D, order[pivots]

    def __getstate__(self) -> dict[str, Any]:
        derived = (
            *("_arguments", "_numbers", "_blocks", "_kernel", "_module"),
            *("_matrix", "_d", "_e"),
        )
        return {k: v for k, v in self.__dict__.items() if k not in derived}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._allocate()
        if self.ok:
            self._factor(self._values)
            self.factorizations -= 1


def as_signs(signs: Any, n: int) -> np.ndarray | None:
    """Signs of n pivots from None, a number or an array."""
    if signs is None:
        return None
    signs = np.asarray(signs)
    if signs.ndim == 0:
        signs = np.full(n, signs)
    if signs.shape != (n,):
        raise ValueError(f"signs has shape {signs.shape}, expected ({n},)")
    bad = np.flatnonzero(np.abs(signs) != 1)
    if bad.size:
        raise ValueError(f"signs must be +1 or -1, got {signs[bad[0]]} at index {bad[0]}")
    return signs.astype(np.int8)
