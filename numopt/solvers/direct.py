"""Factorisation with iterative refinement."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import numpy as np
import scipy.linalg
import scipy.sparse as sp
import scipy.sparse.linalg

from numopt.core.engine import BREAKDOWN, RUNNING, Solver
from numopt.core.validate import as_vector, require_length


class Factor(NamedTuple):
    """A way to solve with A, or nearly A."""

    kind: str  # "cholesky", "lu", "svd", "sparse-lu" or "shifted-lu"
    solve: Callable[[np.ndarray], np.ndarray]
    norm: float  # |A|_1, for the size of rounding errors


class State(NamedTuple):
    """The point and its residual."""

    x: np.ndarray  # x_k in the working precision
    r: np.ndarray  # b - A x_k in float64
    rank_deficient: np.ndarray  # one flag: A turned out singular to working precision
    kinds: list[str]  # of the factors used


@dataclass(frozen=True, kw_only=True)
class Direct(Solver):
    r"""Solve :math:`A x = b` by a factorisation of A and iterative refinement.

    .. math:: x_{k+1} = x_k + F^{-1} (b - A x_k)

    with the residual in float64 and F the Cholesky factorisation of a symmetric positive definite
    A, its LU factorisation with pivoting otherwise (SuperLU for sparse A), until the certificate
    holds or the residual no longer halves.

    A matrix that is singular to working precision is given a second try: dense ones by least
    squares with the singular value decomposition, sparse ones with F the factor of
    :math:`A + \delta I`, which solves consistent systems of semisimple A. If b is not in the
    range, the status is 7 and x the point of least residual found.

    Parameters
    ----------
    **limits
        See `Solver`.

    Notes
    -----
    Cost :math:`n^3 / 3` multiplications (Cholesky) or :math:`2 n^3 / 3` (LU) for dense A, then
    :math:`2 n^2` for each step; what SuperLU's fill-in makes it for sparse A. The factor stays
    with the problem: ``problem.replace(b=...)`` does not factor again.

    References
    ----------
    N. J. Higham, "Accuracy and stability of numerical algorithms", 2nd ed., SIAM, 2002, chapters
    9, 10 and 12.
    X. S. Li, "An overview of SuperLU", ACM Trans. Math. Softw. 31, 2005,
    doi 10.1145/1089014.1089017.

    Examples
    --------
    >>> from numopt.problems import LinearSystem
    >>> from numopt.solvers import Direct
    >>> result = Direct().solve(LinearSystem([[0.0, 2.0], [1.0, 1.0]], [2.0, 3.0]))
    >>> result.x.tolist(), result.factorization
    ([2.0, 1.0], 'lu')
    """

    name: ClassVar[str] = "direct"
    accepts: ClassVar[tuple[str, ...]] = ("LinearSystem",)
    check_every: ClassVar[int] = 1

    def init(self, problem: Any, x0: Any, warm: dict[str, Any]) -> State:
        if not problem.explicit:
            raise TypeError(
                f"Direct needs the entries of A, got {type(problem.A).__name__}; "
                "use ConjugateGradient or give A as an array or sparse matrix"
            )
        x = np.zeros(problem.size, problem.dtype)
        name, x0 = ("warm_start['x']", warm["x"]) if "x" in warm else ("x0", x0)
        if x0 is not None:
            start = require_length(as_vector(x0, name, problem.dtype), x.size, name)
            if problem.b.any():  # else x = 0 is exact
                x[:] = start
        return State(x, problem.residual(x), np.zeros(1, bool), [])

    def advance(self, problem: Any, state: State, n: int) -> tuple[int, int]:
        if n == 0:
            return 0, RUNNING
        factor = self._factor(problem, state)
        before = after = _norm(state.r)
        with np.errstate(all="ignore"):
            step = factor.solve(state.r.astype(problem.dtype))
            x = state.x + step
            # After a step so long that this fails, the residual is rounding and nothing else.
            credible = np.finfo(x.dtype).eps * factor.norm * _norm(step) < before
        if np.isfinite(x).all():
            r = problem.residual(x)
            after = _norm(r)
            if after < before:
                state.x[:], state.r[:] = x, r
        if after <= 0.5 * before:
            return 1, RUNNING
        if not credible and not state.rank_deficient[0]:
            state.rank_deficient[0] = True
            state.x[:], state.r[:] = 0, problem.b  # x may be long and wrong by now
            return 1, RUNNING
        return 1, BREAKDOWN

    def finish(self, problem: Any, state: State) -> dict[str, Any]:
        point = {"x": state.x, "warm_start": {"x": state.x}}
        if state.kinds:
            point["factorization"] = state.kinds[-1]
        return point

    def explain(self, problem: Any, state: State) -> str:
        if state.rank_deficient[0]:
            return "A is singular to working precision, and no solution was found."
        return "Refinement no longer improves the residual."

    def _factor(self, problem: Any, state: State) -> Factor:
        A = problem.A
        if state.rank_deficient[0]:
            build = _shifted_lu if sp.issparse(A) else _svd
        else:
            build = _sparse_lu if sp.issparse(A) else _dense
        factor = problem.cached(build.__name__, (A,), lambda: build(problem))
        state.kinds.append(factor.kind)
        return factor


def _norm(v: np.ndarray) -> float:
    """Euclidean norm that does not overflow."""
    return float(scipy.linalg.norm(v, check_finite=False))


def _dense(problem: Any) -> Factor:
    """Cholesky if A is symmetric positive definite, else LU."""
    A = problem.A
    norm = float(np.linalg.norm(A, 1))
    if np.array_equal(A, A.T):
        potrf, potrs = scipy.linalg.get_lapack_funcs(("potrf", "potrs"), (A,))
        L, info = potrf(A, lower=1, clean=0)
        if info == 0:
            return Factor("cholesky", lambda r: potrs(L, r, lower=1)[0], norm)
    getrf, getrs = scipy.linalg.get_lapack_funcs(("getrf", "getrs"), (A,))
    lu, pivots, _ = getrf(A)  # a zero pivot shows in the solution
    return Factor("lu", lambda r: getrs(lu, pivots, r)[0], norm)


def _svd(problem: Any) -> Factor:
    """Least squares with the singular values above rounding."""
    U, s, Vt = scipy.linalg.svd(problem.A, full_matrices=False, check_finite=False)
    k = int(np.sum(s > s.size * np.finfo(s.dtype).eps * s[0]))
    return Factor("svd", lambda r: Vt[:k].T @ ((U[:, :k].T @ r) / s[:k]), float(s[0]))


def _sparse_lu(problem: Any) -> Factor:
    return Factor("sparse-lu", _splu(problem, problem.A), _sparse_norm(problem.A))


def _shifted_lu(problem: Any) -> Factor:
    A = problem.A
    norm = _sparse_norm(A)
    shift = np.sqrt(np.finfo(A.dtype).eps) * (norm or 1.0)
    shifted = A + shift * sp.eye_array(problem.size, dtype=A.dtype)
    return Factor("shifted-lu", _splu(problem, shifted), norm)


def _splu(problem: Any, A: Any) -> Callable[[np.ndarray], np.ndarray]:
    """SuperLU, with the ordering for symmetric patterns where A is near to symmetric."""
    options: dict[str, Any] = {}
    if problem.asymmetry() < 1e-8 and (A.diagonal() > 0).all():
        options = {
            "permc_spec": "MMD_AT_PLUS_A",
            "diag_pivot_thresh": 0.01,
            "options": {"SymmetricMode": True},
        }
    try:
        return scipy.sparse.linalg.splu(A.tocsc(), **options).solve
    except RuntimeError:  # exactly singular
        return lambda r: np.full_like(r, np.inf)


def _sparse_norm(A: Any) -> float:
    return float(abs(A).sum(axis=0).max())
