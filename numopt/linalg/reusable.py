"""Sequences of linear systems of one pattern: analyse once, update values, solve often."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt.core.result import Status
from numopt.core.validate import as_array, as_vector, require_choice, require_length
from numopt.linalg import krylov
from numopt.linalg.banded import BandedLDL
from numopt.linalg.forest import ForestLDL
from numopt.linalg.incomplete import IncompleteCholesky, ssor_cg
from numopt.linalg.ldl import LDL
from numopt.linalg.ldl_kernels.analysis import Analysis
from numopt.linalg.patterns import GeneralPattern, NotSymmetricError, SymmetricPattern
from numopt.linalg.sweeps import Sweeps

DIRECT = ("ldl", "cholesky", "banded", "forest", "lu")
ITERATIVE = ("ic", "ssor", "cg", "minres", "gmres", "amg")
METHODS = ("auto", "direct", *DIRECT, *ITERATIVE)
# Beyond these, "auto" prefers preconditioned conjugate gradients: entries of L, multiplications.
LARGE_FACTOR, LARGE_WORK = 2e8, 1e11
DEFAULT_RTOL32 = 1e-5  # of Krylov methods in float32
# Half-bandwidth up to which "auto" and "direct" take a matrix for banded.
NARROW = 8


class ReusableSolver:
    r"""Solve :math:`A_t x_t = b_t` for many t, where all A_t have one pattern of stored entries.

    ``analyze(pattern)`` does what the pattern decides (ordering, symbolic factorisation, gather
    maps), ``update(values)`` what the values decide (factorisation, preconditioner),
    ``solve(b, x0)`` the rest.

    Parameters
    ----------
    method : str, default "auto"
        - "ldl": L D L' of symmetric A; quasi-definite if `signs` are given, else with pivoting
        - "cholesky": the same for positive definite A, which is checked
        - "banded", "forest": positive definite (or, with `signs`, quasi-definite) band; any
          forest without vanishing pivots
        - "lu": SuperLU of any square A, with partial pivoting
        - "ic": conjugate gradients (CG) with relaxed incomplete Cholesky
        - "ssor": CG with SSOR by Eisenstat's trick
        - "cg", "minres", "gmres": without preconditioner but for the diagonal ("cg")
        - "amg": CG with smoothed aggregation, needs pyamg
        - "direct": forest, narrow band, Cholesky, LDL or LU, by pattern and values
        - "auto": "direct" unless the factor would be very large, then "ic" or "minres" or "gmres"
    signs : None or array of +1 and -1 (n)
        Signs of the pivots of a quasi-definite matrix, see `LDL`.
    triangle : {"full", "upper", "lower"}, default "full"
        What matrices store. Only methods for symmetric A can do with one triangle.
    omega : float in (0, 2), default 1.5
        Relaxation of "ssor".
    relaxation : float in [0, 1], default 0.97
        Of the incomplete Cholesky factor.
    rtol, max_iter
        Of iterative methods: stop at |b - A x| <= rtol |b| (default 1e-8, float32 1e-5), checked
        on the true residual; iterations at most.
    refine : int, default 8
        Most steps of iterative refinement of "ldl" and "cholesky".

    Attributes
    ----------
    analyses, factorizations, solves, iterations : int
        How often each was done; a preconditioner counts as a factorisation, a step of iterative
        refinement as an iteration.
    chosen : str
        The method in use.
    status, message : Status, str
        Of the last update or solve: OPTIMAL, ITERATION_LIMIT, NON_CONVEX (not positive definite),
        STALLED, NUMERICAL_TROUBLE.
    residual : float
        |b - A x|_2 / |b|_2 of the last solve, computed from the data when it is asked for.

    Raises
    ------
    ValueError
        Pattern or values that do not fit, entries that break the symmetry a method needs, NaN.
    ImportError
        method="amg" without pyamg.

    Examples
    --------
    >>> import numpy as np, scipy.sparse as sp
    >>> from numopt.linalg import ReusableSolver
    >>> A = sp.diags_array([2.0, -1.0, -1.0], offsets=[0, 1, -1], shape=(4, 4), format="csc")
    >>> solver = ReusableSolver("cholesky").analyze(A)
    >>> for shift in (0.0, 1.0, 2.0):
    ...     solver.update(A + shift * sp.eye_array(4))
    ...     x = solver.solve(np.ones(4))
    True
    True
    True
    >>> solver.analyses, solver.factorizations, solver.solves
    (1, 3, 3)
    """

    def __init__(
        self,
        method: str = "auto",
        *,
        signs: Any = None,
        triangle: str = "full",
        omega: float = 1.5,
        relaxation: float = 0.97,
        rtol: float | None = None,
        max_iter: int | None = None,
        refine: int = 8,
    ):
        require_choice(method, METHODS, "method")
        if method == "amg":
            _pyamg()
        self.method, self.signs, self.triangle = method, signs, triangle
        self.omega, self.relaxation = omega, relaxation
        self.rtol, self.max_iter, self.refine = rtol, max_iter, refine
        self.analyses = self.factorizations = self.solves = self.iterations = 0
        self.chosen = ""
        self.status, self.message = Status.UNDECIDED, "Nothing is analysed yet."
        self._pattern: Any = None
        self._values: Any = None
        self._matrix: Any = None
        self._last: Any = None
        self._ready = False

    # ---- pattern ---------------------------------------------------------------------------------

    def analyze(self, pattern: Any) -> ReusableSolver:
        """Do what depends on the pattern alone; values are ignored. Returns the solver itself.

        Parameters
        ----------
        pattern : sparse matrix or array (n, n)
            In COO, CSC or CSR format; later `update` takes values in the order of its `data`.
        """
        self._backend: Any = None
        self._backend_dtype: Any = None
        self._analysis: Any = None
        self._rows: Any = None
        self._values = self._matrix = self._last = None
        symmetric = self.method not in ("lu", "gmres")
        if self.method in ("auto", "direct") and self.triangle == "full":
            symmetric = _is_symmetric(pattern)
        if symmetric:
            self._pattern = SymmetricPattern(pattern, self.triangle)
        elif self.triangle != "full":
            raise ValueError(f"method={self.method!r} needs triangle='full', got {self.triangle!r}")
        else:
            self._pattern = GeneralPattern(pattern)
        self.n = self._pattern.n
        self.chosen = self._choose(symmetric)
        self.analyses += 1
        self.status, self.message = Status.UNDECIDED, "No values are given yet; call update."
        return self

    def _choose(self, symmetric: bool) -> str:
        if self.method not in ("auto", "direct"):
            if self.method in ("ldl", "cholesky"):
                self._analysis = Analysis(self._pattern)
            return self.method
        if not symmetric:
            large = self.method == "auto" and self._pattern.indices.size > LARGE_FACTOR / 100
            return "gmres" if large else "lu"
        if self.signs is None and _is_forest(self._pattern):
            return "forest"
        if _half_bandwidth(self._pattern) <= min(NARROW, self.n // 8):
            return "banded"
        self._analysis = Analysis(self._pattern)
        large = self._analysis.nnz > LARGE_FACTOR or self._analysis.flops > LARGE_WORK
        if large and self.method == "auto" and self.signs is None:
            return "ic"
        return "cholesky" if self.signs is None else "ldl"

    # ---- values ----------------------------------------------------------------------------------

    def update(self, values: Any) -> bool:
        """Take over new values; return whether there is something to solve with.

        Parameters
        ----------
        values : array or matrix
            `data` in the order of the analysed matrix, or a matrix of the same pattern.
        """
        if self._pattern is None:
            raise ValueError("update needs a pattern; call analyze(matrix) first")
        values = self._pattern.values_of(values)
        self._pattern.require_finite(values)
        self._values, self._matrix, self._last = values.copy(), None, None
        while True:
            self.factorizations += self.chosen not in ("cg", "minres", "gmres")
            try:
                self._ready = self._factor()
            except NotSymmetricError:
                if self.method not in ("auto", "direct"):
                    raise
                self._pattern = GeneralPattern(self._pattern.matrix_of(self._values))
                self.chosen, self._backend, self._rows = self._choose(False), None, None
                self.factorizations -= 1  # it was refused before it began
                continue
            after = self._fallback()
            if self._ready or after is None:
                break
            self.chosen, self._backend = after, None
        if self._ready:
            self.status, self.message = Status.OPTIMAL, "Factored; nothing is solved yet."
        return self._ready

    def _fallback(self) -> str | None:
        """What "auto" and "direct" try when a method for definite matrices fails."""
        if self.method not in ("auto", "direct"):
            return None
        after = {"forest": "ldl", "banded": "ldl", "cholesky": "ldl", "ic": "minres"}
        return after.get(self.chosen)

    @property
    def matrix(self) -> Any:
        """The matrix of the last update, by rows; made when first asked for."""
        if self._matrix is None:
            dtype = np.float32 if self._values.dtype == np.float32 else np.float64
            stored = np.empty(self._pattern.indices.size, dtype)
            self._pattern.load(self._values, stored)
            if self._rows is None:
                self._rows = self._pattern.rows()
            indptr, indices, source = self._rows
            self._matrix = sp.csr_array((stored[source], indices, indptr), shape=(self.n, self.n))
        return self._matrix

    def _factor(self) -> bool:
        try:
            if self.chosen in ("ldl", "cholesky"):
                return self._factor_ldl()
            A = self.matrix
            if self.chosen == "forest":
                return self._verdict(self._renewed(ForestLDL).ok)
            if self.chosen == "banded":
                self._backend = BandedLDL.of(A, 1 if self.signs is None else self.signs)
                return self._verdict(self._backend.ok)
            if self.chosen == "ic":
                self._renewed(IncompleteCholesky, relaxation=self.relaxation)
            elif self.chosen == "ssor":
                self._positive_diagonal()
                self._renewed(Sweeps)
            elif self.chosen == "lu":
                self._backend = spla.splu(A.tocsc())
            elif self.chosen == "amg":
                levels = _pyamg().smoothed_aggregation_solver(sp.csr_matrix(A))
                self._backend = levels.aspreconditioner()
            elif self.chosen == "cg":
                self._backend = 1 / self._positive_diagonal()
        except (np.linalg.LinAlgError, RuntimeError) as error:
            self.status, self.message = Status.NON_CONVEX, str(error)
            if self.chosen == "lu":
                self.status = Status.NUMERICAL_TROUBLE
            return False
        return True

    def _renewed(self, make: Any, **options: Any) -> Any:
        """The backend with the new values, made first if there is none."""
        if self._backend is None or self._backend_dtype != self.matrix.dtype:
            self._backend, self._backend_dtype = make(self.matrix, **options), self.matrix.dtype
        else:
            self._backend.update(self.matrix)
        return self._backend

    def _factor_ldl(self) -> bool:
        if self._analysis is None:
            self._analysis = Analysis(self._pattern)
        narrow = self._values.dtype == np.float32
        if self._backend is None or (self._backend.dtype == np.float32) != narrow:
            signs = 1 if self.chosen == "cholesky" else self.signs
            self._backend = LDL(self._values, signs, analysis=self._analysis)
        else:
            self._backend.update(self._values)
        return self._verdict(self._backend.ok)

    def _verdict(self, ok: bool) -> bool:
        if not ok:
            self.status = Status.NON_CONVEX
            row = self._backend.bad_row
            self.message = f"The pivot of row {row} has the wrong sign or vanishes."
        return ok

    def _positive_diagonal(self) -> np.ndarray:
        diagonal = self.matrix.diagonal()
        if not (diagonal > 0).all():
            i = int(np.flatnonzero(~(diagonal > 0))[0])
            raise np.linalg.LinAlgError(f"A[{i}, {i}] is {diagonal[i]:g}: not positive definite")
        return diagonal

    # ---- solves ----------------------------------------------------------------------------------

    def solve(self, b: Any, x0: Any = None) -> np.ndarray:
        """Solution of A x = b, or the best point found: see `status`.

        Parameters
        ----------
        b : array (n,) or (n, k)
            One right-hand side, or k as columns.
        x0 : array of the shape of b, optional
            Start of iterative methods.

        Raises
        ------
        numpy.linalg.LinAlgError
            The last `update` failed.
        """
        if self._values is None:
            raise ValueError("solve needs values; call analyze and update first")
        if not self._ready:
            raise np.linalg.LinAlgError(self.message)
        dtype = np.float32 if self._values.dtype == np.float32 else np.float64
        b = self._right_hand(b, "b", dtype)
        if x0 is not None:
            x0 = self._right_hand(x0, "x0", dtype)
            if x0.shape != b.shape:
                raise ValueError(f"x0 has shape {x0.shape}, expected {b.shape} as b")
        self.solves += 1 if b.ndim == 1 else b.shape[1]
        if self.chosen in DIRECT:
            x = self._solve_direct(b)
        elif b.ndim == 1:
            x = self._solve_iterative(b, x0)
        else:
            x = self._solve_columns(b, x0)
        self._last = x, b
        return x

    def _right_hand(self, b: Any, name: str, dtype: Any) -> np.ndarray:
        if np.ndim(b) != 2:
            return require_length(as_vector(b, name, dtype), self.n, name)
        b = as_array(b, name, 2, dtype)
        if b.shape[0] != self.n:
            raise ValueError(f"{name} has {b.shape[0]} rows, expected {self.n}")
        return b

    def _solve_columns(self, B: np.ndarray, X0: Any) -> np.ndarray:
        """Columns by an iterative method; the status is the first that is not OPTIMAL."""
        X, verdict = np.empty_like(B, order="F"), (Status.OPTIMAL, "Nothing to solve for.")
        for k in range(B.shape[1]):
            X[:, k] = self._solve_iterative(B[:, k].copy(), None if X0 is None else X0[:, k].copy())
            if k == 0 or verdict[0] is Status.OPTIMAL:
                verdict = self.status, self.message
        self.status, self.message = verdict
        return X

    def _solve_direct(self, b: np.ndarray) -> np.ndarray:
        if self.chosen in ("ldl", "cholesky"):
            before = self._backend.refinements
            x = self._backend.solve(b, refine=self.refine)
            self.iterations += self._backend.refinements - before
        else:
            x = self._backend.solve(b) if b.size else np.zeros_like(b)
        self.status, self.message = Status.OPTIMAL, "Solved by factorisation."
        if not np.isfinite(x).all():
            self.status = Status.NUMERICAL_TROUBLE
            self.message = "The solution overflows: A is singular to working precision."
        return x.astype(b.dtype, copy=False)  # some factors are in float64 only

    def _solve_iterative(self, b: np.ndarray, x0: Any) -> np.ndarray:
        A, options = self.matrix, {"x0": x0, "rtol": self.rtol, "max_iter": self.max_iter}
        if self.chosen == "gmres":
            result = krylov.gmres(A, b, **options)
        elif self.chosen == "ssor":
            result = ssor_cg(self._backend, A, b, omega=self.omega, **options)
        elif self.chosen == "minres":
            result = krylov.minres(A, b, **options)
        else:
            inverse = self._backend
            if self.chosen == "cg":
                result = krylov.cg(A, b, preconditioner=lambda r: inverse * r, **options)
            else:
                result = krylov.cg(A, b, preconditioner=inverse, **options)
        self.iterations += result.nit
        if self.method == "auto" and result.status is Status.NON_CONVEX and self.chosen != "minres":
            self.chosen, self._backend = "minres", None
            return self._solve_iterative(b, x0)
        self.status, self.message = result.status, result.message
        if result.success and result.x.dtype == np.float32:
            # What the method recomputed was rounded to float32 as well.
            rtol, found = self.rtol or DEFAULT_RTOL32, self._residual(result.x, b)
            if not found <= 1.01 * rtol:
                self.status = Status.STALLED
                self.message = f"In float64 |b - A x| is {found:.3g} |b|, not {rtol:g}."
        return result.x

    @property
    def residual(self) -> float:
        """|b - A x|_2 / |b|_2 of the last solve, in float64; of several columns the largest."""
        if self._last is None:
            raise ValueError("nothing is solved yet")
        return self._residual(*self._last)

    def _residual(self, x: np.ndarray, b: np.ndarray) -> float:
        r = np.asarray(b, np.float64) - self.matrix @ np.asarray(x, np.float64)
        sizes, lengths = np.linalg.norm(b, axis=0), np.linalg.norm(r, axis=0)
        return float(np.max(lengths / np.where(sizes > 0, sizes, 1), initial=0.0))

    @property
    def success(self) -> bool:
        """Whether the last step ended as it should."""
        return self.status is Status.OPTIMAL

    @property
    def inertia(self) -> tuple[int, int, int]:
        """Positive, negative and zero eigenvalues, where the factor knows them."""
        if self.chosen not in ("ldl", "cholesky", "banded", "forest"):
            raise ValueError(f"method {self.chosen!r} has no inertia; use 'ldl'")
        return self._backend.inertia

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_backend": None}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        if self._ready:
            self._factor()

    def __repr__(self) -> str:
        chosen = f", chosen={self.chosen!r}" if self.chosen != self.method and self.chosen else ""
        return (
            f"ReusableSolver({self.method!r}{chosen}): {self.analyses} analyses, "
            f"{self.factorizations} factorisations, {self.solves} solves"
        )


def _pyamg() -> Any:
    try:
        import pyamg  # type: ignore[import-not-found]
    except ImportError:
        raise ImportError("method='amg' needs pyamg; run: pip install pyamg") from None
    return pyamg


def _is_symmetric(A: Any) -> bool:
    """Whether the pattern is its own transpose."""
    pattern = GeneralPattern(A)
    shape = (pattern.n, pattern.n)
    P = sp.csr_array((np.ones(pattern.indices.size), pattern.indices, pattern.indptr), shape=shape)
    T = P.T.tocsr()
    return np.array_equal(P.indptr, T.indptr) and np.array_equal(P.indices, T.indices)


def _is_forest(pattern: SymmetricPattern) -> bool:
    """No cycles: as many edges as nodes that are not roots."""
    n = pattern.n
    edges = pattern.indices.size - n
    if edges >= max(n, 1):
        return False
    ones = np.ones(pattern.indices.size)
    graph = sp.csc_array((ones, pattern.indices, pattern.indptr), shape=(n, n))
    trees, _ = sp.csgraph.connected_components(graph, directed=False)
    return edges == n - trees


def _half_bandwidth(pattern: SymmetricPattern) -> int:
    """Largest distance of a stored entry from the diagonal: rows ascend within a column."""
    first = pattern.indices[pattern.indptr[:-1]].astype(np.int64)
    return int((np.arange(pattern.n) - first).max(initial=0))
