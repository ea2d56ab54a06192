"""Quadratic programs on boxes, and the dual of support vector machines."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.validate import as_array, as_symmetric, as_vector, require_length, require_positive
from numopt.problems.splitting import Splitting
from numopt.sets import Box
from numopt.terms import QuadraticForm


def box_qp(P: Any, q: Any, lower: Any, upper: Any) -> Splitting:
    r"""Quadratic program on a box, :math:`\frac12 x^T P x + q^T x` with :math:`l \le x \le u`.

    The dual value is that of the gradient at x, which needs finite bounds: with others the
    certificate holds the residuals of the splitting.

    Parameters
    ----------
    P : array or sparse matrix of shape (n, n)
        Positive semidefinite.
    q : array of shape (n,)
    lower, upper : float or array of shape (n,)

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import box_qp
    >>> numopt.solve(box_qp(np.eye(2), [-3.0, 0.5], 0.0, 1.0)).x.round(6).tolist()
    [1.0, 0.0]
    """
    q = as_vector(q, "q")
    box = Box(lower, upper)
    finite = np.isfinite(box.lower).all() and np.isfinite(box.upper).all()
    return Splitting(box, QuadraticForm(P, q), gap=_box_gap if finite else None)


def _box_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    box, form = problem.f, problem.g
    gradient = form.gradient(x)
    linear = float(form.q @ x)
    bend = float(x @ gradient) - linear
    lowest = float(np.minimum(gradient * box.lower, gradient * box.upper).sum())
    size = float((np.abs(form.q) * np.maximum(np.abs(box.lower), np.abs(box.upper))).sum())
    value = bend / 2 + linear + box.value(x)
    return value, lowest - bend / 2, max(size, abs(bend)) or 1.0


def svm_dual(K: Any, labels: Any, C: float = 1.0, *, intercept: bool = True) -> Splitting:
    r"""Dual of the support vector machine.

    .. math:: \min_a \tfrac12 a^T Q a - 1^T a \quad\text{with}\quad 0 \le a \le C,

    :math:`Q_{ij} = t_i t_j K_{ij}` with labels t of -1 and 1; with an intercept also
    :math:`t^T a = 0`. The gap is to the primal problem, hinge losses and the norm of the
    function, with the best intercept.

    Parameters
    ----------
    K : array of shape (n, n)
        Kernel matrix, positive semidefinite: ``X @ X.T`` for a linear machine.
    labels : array of shape (n,)
        -1 and 1.
    C : float, default 1.0
        Weight of each loss.
    intercept : bool, default True
        Whether the machine has one.

    References
    ----------
    C. Cortes, V. Vapnik, "Support-vector networks", Mach. Learn. 20 (1995),
    doi:10.1007/BF00994018.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt.splittings import svm_dual
    >>> x = np.array([-2.0, -1.0, 1.0, 2.0])
    >>> numopt.solve(svm_dual(np.outer(x, x), [-1, -1, 1, 1])).x.round(6).tolist()
    [0.0, 0.5, 0.5, 0.0]
    """
    K, t = as_symmetric(as_array(K, "K", 2), "K"), as_vector(labels, "labels")
    require_positive(C, "C")
    require_length(t, len(K), "labels")
    if not (np.abs(t) == 1).all():
        i = int(np.argmax(np.abs(t) != 1))
        raise ValueError(f"labels must be -1 and 1, got {t[i]:g} at index {i}")
    plane = (t[None], np.zeros(1)) if intercept else (None, None)
    form = QuadraticForm(K * t * t[:, None], -np.ones(t.size), *plane)
    return Splitting(Box(0.0, float(C)), form, gap=_svm_gap)


def _svm_gap(problem: Any, x: Any, z: Any, y: Any) -> tuple[float, float, float]:
    form, C = problem.g, problem.f.upper
    margins = form.gradient(x) + 1  # t_i f(x_i) without intercept
    bend = float(x @ margins)
    if form.E is not None:
        t = form.E[0]
        # The sum of hinges in the intercept has a kink at each t_i - f_i, and slope -C n_+ before.
        kinks = np.sort(t - t * margins)
        positive = int((t > 0).sum())
        if 0 < positive < t.size:
            margins = margins + t * (kinks[positive - 1] + kinks[positive]) / 2
        else:
            margins = np.ones_like(margins)  # one class: an intercept does it alone
    loss = C * float(np.maximum(1 - margins, 0).sum())
    value = bend / 2 - float(x.sum()) + problem.f.value(x) + form.off_plane(z)
    return value, -(bend / 2 + loss), C * max(x.size, 1)
