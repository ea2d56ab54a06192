"""Derivatives of the solution of a quadratic program."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.validate import as_vector, require_length
from numopt.linalg.krylov import lsqr
from numopt.linalg.ldl import LDL

# A side is active if its multiplier exceeds this part of the largest term, or x is that close.
STRICT = 1e-7


class Gradients(NamedTuple):
    """Derivatives of L with respect to the data of a quadratic program."""

    P: Any  # sparse, on the pattern of P, symmetric
    q: np.ndarray
    A: Any  # sparse, on the pattern of A
    l: np.ndarray  # noqa: E741
    u: np.ndarray
    lb: np.ndarray
    ub: np.ndarray
    unique: bool  # False: the active set is degenerate, and this is one of several answers


class Adjoint:
    r"""Pull derivatives of a function of the solution back to the data.

    For L(x, y) with :math:`\partial L / \partial x = g_x` and :math:`\partial L / \partial y = g_y`
    at the solution, one system with the active rows a,

    .. math::
       \begin{pmatrix} P & A_a^T \\ A_a & 0 \end{pmatrix} \begin{pmatrix} r_x \\ r_y \end{pmatrix}
       = -\begin{pmatrix} g_x \\ g_{y_a} \end{pmatrix},

    gives :math:`dL/dq = r_x, dL/db_a = -r_y, dL/dP = (r_x x^T + x r_x^T) / 2` and
    :math:`dL/dA_a = y_a r_x^T + r_y x^T`. Where a side is active with multiplier 0, or active
    rows depend on each other, the solution has no derivative; the least squares solution of the
    system is used and ``unique`` is False.

    Examples
    --------
    >>> from numopt.problems import QuadraticProgram
    >>> from numopt.solvers import OperatorSplittingQP
    >>> problem = QuadraticProgram([[2.0]], [-2.0])
    >>> result = OperatorSplittingQP().solve(problem)
    >>> result.vjp([1.0]).q.round(12).tolist()
    [-0.5]
    """

    def __init__(self, problem: Any, x: Any, y: Any, z_lb: Any, z_ub: Any):
        self.problem, self.x, self.y, self.z_lb, self.z_ub = problem, x, y, z_lb, z_ub

    def __repr__(self) -> str:
        return "vjp(gx, gy=None)"

    def __call__(self, gx: Any, gy: Any = None) -> Gradients:
        """Derivatives of L with respect to the data.

        Parameters
        ----------
        gx : array of shape (n,)
            dL/dx.
        gy : array of shape (m,), optional
            dL/dy.
        """
        problem, x, y = self.problem, self.x, self.y
        n, m = problem.size, problem.n_rows
        gx = require_length(as_vector(gx, "gx", np.float64), n, "gx")
        gy = np.zeros(m) if gy is None else require_length(as_vector(gy, "gy", np.float64), m, "gy")
        z = self.z_ub - self.z_lb
        least = STRICT * max(_size(v) for v in (y, z, problem.q, problem.P @ x))
        rows, upper, tied = _active(problem.A @ x, y, problem.l, problem.u, least)
        at, above, tied_too = _active(x, z, problem.lb, problem.ub, least)
        unit = sp.csc_array((np.ones(at.size), (np.arange(at.size), at)), shape=(at.size, n))
        active = sp.csc_array(sp.vstack([sp.csr_array(problem.A)[rows], unit]))
        rhs = -np.concatenate([gx, gy[rows], np.zeros(at.size)])
        solution, regular = _solve(problem.P, active, rhs)
        rx, ry, rz = np.split(solution, [n, n + rows.size])
        full = np.zeros(m)
        full[rows] = ry
        P, A = problem.P.tocoo(), problem.A.tocoo()
        dP = (rx[P.row] * x[P.col] + x[P.row] * rx[P.col]) / 2
        strict = np.zeros(m)
        strict[rows] = y[rows]
        dA = strict[A.row] * rx[A.col] + full[A.row] * x[A.col]
        sides = []
        for size, index, value, top in ((m, rows, ry, upper), (n, at, rz, above)):
            for wanted in (False, True):
                side = np.zeros(size)
                side[index[top == wanted]] = -value[top == wanted]
                sides.append(side)
        lower, higher, low, high = sides
        # An equation has one side, given twice: half of its derivative belongs to each.
        for a, b, l_, u_ in (
            (lower, higher, problem.l, problem.u),
            (low, high, problem.lb, problem.ub),
        ):
            equal = l_ == u_
            a[equal] = b[equal] = (a[equal] + b[equal]) / 2
        return Gradients(
            sp.csc_array((dP, (P.row, P.col)), shape=P.shape), rx,
            sp.csc_array((dA, (A.row, A.col)), shape=A.shape), lower, higher, low, high,
            regular and not tied and not tied_too,
        )  # fmt: skip


def _size(v: np.ndarray) -> float:
    return float(np.abs(v).max(initial=0.0))


def _active(
    v: Any, y: Any, low: Any, high: Any, least: float
) -> tuple[np.ndarray, np.ndarray, bool]:
    """Rows at a side with a multiplier, whether it is the upper one; whether some have none."""
    equal = low == high
    strict = equal | (np.abs(y) > least)
    with np.errstate(invalid="ignore"):
        near = np.minimum(v - low, high - v) <= STRICT * (1 + np.abs(v))
    return np.flatnonzero(strict), y[strict] > 0, bool((near & ~strict).any())


def _solve(P: Any, active: Any, rhs: np.ndarray) -> tuple[np.ndarray, bool]:
    """The symmetric system, by a regularised factor with refinement, else by least squares."""
    n, k = P.shape[0], active.shape[0]
    K = sp.csc_array(sp.block_array([[P, active.T], [active, None]])) if k else sp.csc_array(P)
    size = float(np.abs(K.data).max(initial=0.0)) or 1.0
    signs = np.ones(n + k, np.int8)
    signs[n:] = -1
    factor = LDL(K, signs, shift=1e-8 * size)
    x, top = np.zeros(n + k), float(np.abs(rhs).max(initial=0.0))
    # By the size of the whole residual: entries of the solution may well be 0.
    for _ in range(20):
        r = rhs - K @ x
        if np.abs(r).max(initial=0.0) <= 1e-15 * (top + size * np.abs(x).max(initial=0.0)):
            break
        x = x + factor.solve(r, refine=0)
    large = np.abs(x).max(initial=0.0)
    left = np.abs(rhs - K @ x).max(initial=0.0)
    if left <= 1e-12 * (top + size * large) and not _singular(factor, n + k, 1e-8 * size):
        return x, True
    return lsqr(K, rhs, rtol=1e-12, max_iter=20 * (n + k)).x, False


def _singular(factor: Any, size: int, shift: float) -> bool:
    """Whether what was factored has nothing in some direction but the shift, by inverse iteration.

    The solution does not show it: rows that depend on each other leave it as it is if they agree.
    """
    v = np.cos(np.arange(size))  # of any direction some
    for _ in range(3):
        v /= np.linalg.norm(v) or 1.0
        v = factor.solve(v, refine=0)
    return not float(np.linalg.norm(v)) * shift <= 0.5
