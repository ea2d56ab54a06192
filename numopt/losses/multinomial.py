"""Classification into several classes by the softmax model."""

from __future__ import annotations

from typing import Any, ClassVar, cast

import numpy as np

from numopt.core.block import block
from numopt.core.validate import as_vector, require_count
from numopt.losses._base import Loss


@block
class Multinomial(Loss):
    r"""Multinomial logistic loss, the mean of :math:`\log \sum_k e^{Z_{ik}} - Z_{i y_i}`.

    The prediction Z is n x K, one score for each class; their softmax gives the probabilities. In
    `numopt.problems.Composite` the coefficients are a matrix X of shape (p, K), :math:`Z = A X`
    plus K intercepts, and the variable x is X row by row: the K coefficients of a feature stand
    together. A ``GroupLasso`` of ``groups=numpy.repeat(numpy.arange(p), K)`` selects features,
    ``Nuclear(alpha, (p, K))`` finds few latent ones.

    Adding a number to all scores of a sample changes nothing, so that unpenalised coefficients and
    intercepts are determined up to that; the start with the mean 0 is taken.

    Parameters
    ----------
    y : array of shape (n,)
        Classes, integers 0, ..., K - 1.
    n_classes : int, optional
        The number K, if not all classes are in y.
    sample_weight : array of shape (n,), optional
        As in `LeastSquares`.
    offset : array of shape (n, K), optional
        Known part of the prediction.

    Notes
    -----
    The prox is found sample by sample: with :math:`\omega` Wright's function
    (:math:`\omega(a) + \log \omega(a) = a`), the logarithm L of the sum is the root of the convex
    :math:`\sum_k \omega(\log t + w_k - L) = t`, to which Newton's method ascends.

    References
    ----------
    J. Friedman, T. Hastie, R. Tibshirani, "Regularization paths for generalized linear models via
    coordinate descent", J. Stat. Softw. 33, 2010.
    D. Boehning, "Multinomial logistic regression algorithm", Ann. Inst. Statist. Math. 44, 1992.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.losses import Multinomial
    >>> loss = Multinomial([0, 2, 1])
    >>> round(float(loss.value(np.zeros((3, 3)))), 4)
    1.0986
    >>> loss.gradient(np.zeros((3, 3))).round(3)[0].tolist()
    [-0.222, 0.111, 0.111]
    """

    convex: ClassVar[bool] = True
    separable: ClassVar[bool] = False
    smoothness: ClassVar[float | None] = 0.5

    y: np.ndarray
    n_classes: int | None = None
    sample_weight: np.ndarray | None = None
    offset: np.ndarray | None = None

    def __post_init__(self) -> None:
        labels = self._labels()
        count = int(labels.max(initial=-1)) + 1
        K: Any = self.n_classes
        if K is None:
            seen = np.bincount(labels, minlength=count) > 0
            if not seen.all():
                raise ValueError(
                    f"Multinomial: no sample is of class {int(np.argmin(seen))}; number the "
                    "classes 0, ..., K - 1, or give n_classes if some are missing"
                )
            K = count
        require_count(K, "Multinomial: n_classes", 2)
        if count > K:
            i = int(np.argmax(labels >= K))
            raise ValueError(
                f"Multinomial: y[{i}] = {labels[i]} but n_classes is {K}; "
                f"classes are 0, ..., {K - 1}"
            )
        object.__setattr__(self, "n_classes", int(K))
        super().__post_init__()
        object.__setattr__(self, "y", labels)

    def _labels(self) -> np.ndarray:
        values = as_vector(self.y, "y")
        labels = values.astype(np.int64)
        wrong = (labels != values) | (labels < 0)
        if wrong.any():
            i = int(np.argmax(wrong))
            raise ValueError(
                f"Multinomial: y must hold the integers 0, ..., K - 1, got {values[i]:g} at index "
                f"{i}; encode the classes first"
            )
        return labels

    @property
    def outputs(self) -> int:
        """Scores per sample: the number of classes."""
        return cast(int, self.n_classes)

    def total(self, scale, z):
        K = self.n_classes
        total = 0.0
        for i in range(scale.size):
            top, rest = self._sum(z, i * K)
            total += scale[i] * (np.log1p(rest) + (z[i * K + top] - z[i * K + self.y[i]]))
        return total

    def total_gradient(self, scale, z, out):
        K = self.n_classes
        total = 0.0
        for i in range(scale.size):
            first = i * K
            top, rest = self._sum(z, first)
            chosen = first + self.y[i]
            total += scale[i] * (np.log1p(rest) + (z[first + top] - z[chosen]))
            others = 0.0
            for k in range(first, first + K):
                if k != chosen:
                    p = np.exp(z[k] - z[first + top]) / (1 + rest)
                    out[k] = scale[i] * p
                    others += p
            out[chosen] = -scale[i] * others  # p - 1, without cancellation
        return total

    def total_conjugate(self, scale, u):
        K = self.n_classes
        total = 0.0
        for i in range(scale.size):
            inside = 0.0
            for k in range(K):
                share = u[i * K + k] * 1.0
                if scale[i] == 0:
                    if share != 0:
                        return np.inf
                    continue
                share /= scale[i]
                inside += share
                share += 1.0 if k == self.y[i] else 0.0
                # A hair outside is rounding of a scaled dual point.
                if share < -1e-12:
                    return np.inf
                if share > 0:
                    total += scale[i] * share * np.log(share)
            if abs(inside) > 1e-9:
                return np.inf
        return total

    def total_prox(self, scale, v, step, out):
        K = self.n_classes
        w, omega = np.empty(K), np.empty(K)
        for i in range(scale.size):
            first, t = i * K, 1.0 * step * scale[i]
            if t == 0:
                for k in range(first, first + K):
                    out[k] = v[k]
                continue
            largest = -np.inf
            for k in range(K):
                w[k] = v[first + k] + (t if k == self.y[i] else 0.0)
                largest = max(largest, w[k])
            level = largest - t
            for _ in range(100):
                excess, slope = -t, 0.0
                for k in range(K):
                    omega[k] = self._omega(np.log(t) + w[k] - level)
                    excess += omega[k]
                    slope += omega[k] / (1 + omega[k])
                before = level
                level += max(excess, 0.0) / slope
                if not level > before + 1e-15 * abs(level):
                    break
            for k in range(K):
                w[k] -= omega[k]
            self._polish(w, v, first, self.y[i], t, omega)
            for k in range(K):
                out[first + k] = w[k]

    def probabilities(self, z, out):
        K = self.n_classes
        for i in range(z.size // K):
            first = i * K
            top, rest = self._sum(z, first)
            for k in range(first, first + K):
                out[k] = np.exp(z[k] - z[first + top]) / (1 + rest)

    def _polish(self, x, v, first, y, t, p):
        """Newton steps on x - v + t (softmax(x) - e_y) = 0, by Sherman and Morrison."""
        for _ in range(2):
            top, rest = self._sum(x, 0)
            others = 0.0
            for k in range(x.size):
                p[k] = np.exp(x[k] - x[top]) / (1 + rest)
                others += p[k] if k != y else 0.0
            # (I + t diag p) d - t p (p'd) = -residual
            lead, mass = 0.0, 0.0
            for k in range(x.size):
                part = -others if k == y else p[k]
                residual = (x[k] - v[first + k]) + t * part
                lead += p[k] * residual / (1 + t * p[k])
                mass += p[k] * p[k] / (1 + t * p[k])
            # 1 - t mass, which is the sum of p / (1 + t p)
            whole = 0.0
            for k in range(x.size):
                whole += p[k] / (1 + t * p[k])
            for k in range(x.size):
                part = -others if k == y else p[k]
                residual = (x[k] - v[first + k]) + t * part
                x[k] -= (residual + t * p[k] * lead / whole) / (1 + t * p[k])

    def _sum(self, z, first):
        """Index of the largest score of a sample, and the sum of the others relative to it."""
        top = 0
        for k in range(1, self.n_classes):
            if z[first + k] > z[first + top]:
                top = k
        rest = 0.0
        for k in range(self.n_classes):
            if k != top:
                rest += np.exp(z[first + k] - z[first + top])
        return top, rest

    def _omega(self, a):
        """The root of w + log w = a."""
        if a < -30:
            return np.exp(a)
        w = (
            np.exp(a)
            if a < -1
            else (a - np.log(a) if a > 2 else 0.5671432904097838 * np.exp(a / 2))
        )
        for _ in range(5):
            w *= (1 + a - np.log(w)) / (1 + w)  # Newton on the equation
        return w

    def hessian_times(self, z: Any, D: np.ndarray) -> np.ndarray:
        """Hessian at z times the columns of D, each laid out as z."""
        Z = self._at(z)[2].reshape(-1, self.outputs)
        P = np.exp(Z - Z.max(1, keepdims=True))
        P /= P.sum(1, keepdims=True)
        cube = D.reshape(*P.shape, -1)
        along = np.einsum("ik,ikc->ic", P, cube)
        turned = P[:, :, None] * (cube - along[:, None, :]) * self.scale()[:, None, None]
        return np.asarray(turned.reshape(D.shape))

    def best_constant(self) -> np.ndarray | None:
        """Best intercepts alone, the logarithms of the frequencies; None with offsets."""
        if self.offset is not None:
            return None
        mass = np.bincount(self.y, self.scale(), self.outputs)
        # A class without samples wants minus infinity.
        logs = np.log(np.maximum(mass, 1e-18))
        return np.asarray(logs - logs.mean())

    def centred(self, r: np.ndarray) -> np.ndarray:
        """The gradient r changed so that its columns sum to 0, as a dual point with intercepts."""
        R, s = r.reshape(-1, self.outputs), self.scale()
        T = R.copy()  # s times probabilities
        T[np.arange(len(T)), self.y] += s
        excess = R.sum(0)
        give, take = np.maximum(excess, 0), np.maximum(-excess, 0)
        if not give.sum() > 0 or not take.sum() > 0:
            return r
        mass = T.sum(0)
        taken = T * np.where(mass > 0, give / np.where(mass > 0, mass, 1.0), 0.0)
        return (R - taken + taken.sum(1)[:, None] * (take / take.sum())).ravel()
