"""Quadratic models of the multinomial loss, with the Hessian of all classes."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp

from numopt.core.jit import kernel


class ClassColumns(NamedTuple):
    """Columns of A for some coefficients, and the class of each."""

    columns: Any  # n x m, dense or sparse
    classes: np.ndarray  # m


@kernel
def class_probabilities(loss, z, out):
    """Write the probabilities of the classes at z into out."""
    loss.probabilities(z, out)


def class_columns(problem: Any, index: np.ndarray) -> ClassColumns:
    """Those of the coefficients `index`, which number the classes of each feature in turn."""
    columns = problem.A[:, index // problem.outputs]
    if not sp.issparse(columns):
        columns = np.asfortranarray(columns)
    return ClassColumns(columns, index % problem.outputs)


def softmax_model(
    source: ClassColumns, P: np.ndarray, scale: np.ndarray, lift: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Hessian over the coefficients, over coefficients and constants, and over constants.

    With probabilities p and weight s of a sample that of its scores is s (diag p - p p'), to which
    a share of the bound s / 2 on its largest eigenvalue is added.
    """
    columns, classes = source
    K = P.shape[1]
    gram = -_square(_scaled(columns, classes, P * np.sqrt(scale)[:, None]))
    cross = np.zeros((classes.size, K), P.dtype)
    for k in range(K):
        own = np.flatnonzero(classes == k)
        part, weight = columns[:, own], scale * (P[:, k] + 0.5 * lift)
        root = np.sqrt(weight)[:, None]
        everywhere = np.zeros(own.size, np.int64)
        gram[np.ix_(own, own)] += _square(_scaled(part, everywhere, root))
        share = -(scale * P[:, k])[:, None] * P
        share[:, k] += weight
        cross[own] = part.T @ share
    constants = np.diag(scale @ P + 0.5 * lift * scale.sum()) - (P * scale[:, None]).T @ P
    return np.asfortranarray(gram), cross, constants


def _scaled(columns: Any, which: np.ndarray, factors: np.ndarray) -> Any:
    """Column j times column which[j] of the factors."""
    if not sp.issparse(columns):
        return columns * factors[:, which]
    spread = np.repeat(which, np.diff(columns.indptr))
    data = columns.data * factors[columns.indices, spread]
    return sp.csc_array((data, columns.indices, columns.indptr), shape=columns.shape)


def _square(columns: Any) -> np.ndarray:
    product = columns.T @ columns
    return np.asarray(product.toarray() if sp.issparse(product) else product)
