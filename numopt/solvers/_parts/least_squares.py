"""Penalised least squares as a splitting, for ADMM."""

from __future__ import annotations

from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt.linalg.operators import Operator, as_operator
from numopt.losses import LeastSquares
from numopt.problems.splitting import Splitting
from numopt.terms import Quadratic, QuadraticForm, SquaredResidual


def split(problem: Any) -> Splitting:
    """The problem itself, or phi(x) + |B z - t|^2 / 2 with x = z, the intercept eliminated."""
    if isinstance(problem, Splitting):
        return problem
    if not isinstance(problem.loss, LeastSquares):
        raise TypeError(
            f"ADMM takes the loss LeastSquares, got {type(problem.loss).__name__}; "
            "use ProximalGradient"
        )
    data = problem.loss, problem.A, problem.fit_intercept
    term, _, _ = problem.cached("admm term", data, lambda: _term(problem))
    return Splitting(problem.penalty, term)


def start(problem: Any) -> np.ndarray:
    """The best model without what is penalised."""
    return problem.null_model().w[:-1]


def intercept(problem: Any, x: np.ndarray) -> float:
    """The best constant for coefficients x."""
    data = problem.loss, problem.A, problem.fit_intercept
    _, mean, level = problem.cached("admm term", data, lambda: _term(problem))
    return level - float(mean @ x)


def mean_curvature(splitting: Any) -> float:
    """Mean eigenvalue of the quadratic g, or slope over distance of another one at c; else 1."""
    g, B, c = splitting.g, splitting.maps[1], splitting.target
    F: Any = getattr(g, "F", None)
    size = 0.0
    if isinstance(g, SquaredResidual) and isinstance(F, np.ndarray):
        size = float(np.vdot(F, F)) / max(F.shape[1], 1)
    elif isinstance(g, SquaredResidual) and sp.issparse(F):
        size = float(F.data @ F.data) / max(F.shape[1], 1)
    elif isinstance(g, QuadraticForm) and hasattr(g.P, "trace"):
        size = float(g.P.trace()) / max(g.P.shape[0], 1)
    elif not isinstance(g, Quadratic) and B.tight and c.any():
        v = B.adjoint(c) / B.tight
        step = 1e-6 * float(np.abs(v).max())
        size = float(np.linalg.norm(v - g.prox(v, step)) / (step * np.linalg.norm(v)))
    return size if 0 < size < np.inf else 1.0


def _term(problem: Any) -> tuple[SquaredResidual, np.ndarray, float]:
    """B = S^(1/2) (A - 1 a'), its target, column means a and level."""
    A, loss, dtype = problem.A, problem.loss, problem.dtype
    weight = loss.scale()
    root = np.sqrt(weight)
    target = loss.y - loss.shift()
    mean, level = np.zeros(A.shape[1]), 0.0
    if problem.fit_intercept:
        mean, level = A.T @ weight, float(weight @ target)
    target = (root * (target - level)).astype(dtype)
    B: Any
    if not sp.issparse(A):
        B = A - mean.astype(dtype)
        B *= root.astype(dtype)[:, None]
    else:
        B = (sp.diags_array(root) @ A).astype(dtype)
        if min(A.shape) <= 500:
            B = np.asarray(B.toarray() - np.outer(root, mean), dtype)
        elif problem.fit_intercept:
            products, shift = as_operator(B), mean.astype(dtype)
            root = root.astype(dtype)
            B = Operator(
                B.shape, dtype,
                lambda x: products.matvec(x) - root * (shift @ x),
                lambda y: products.rmatvec(y) - shift * (root @ y),
            )  # fmt: skip
    return SquaredResidual(B, target), mean, level
