"""Penalties on the norms of groups of coordinates."""

from __future__ import annotations

import dataclasses
from typing import Any, ClassVar

import numpy as np

from numopt.core.block import block
from numopt.core.stubs import prox_1d, subdiff_distance_1d, value_1d
from numopt.core.validate import require_in, require_nonnegative
from numopt.penalties._base import Norm, Penalty, require_weights
from numopt.penalties.concave import MCP, SCAD, _largest
from numopt.penalties.l1 import L1


class _Labelled(Penalty):
    groups: Any
    weights: Any


@block
class Grouped(_Labelled):
    r"""Radial penalties, :math:`\sum_g w_g \phi(\|x_g\|_2)` with a scalar :math:`\phi`.

    Subclasses have the fields `groups` and `weights` and name :math:`\phi` in `_radial`; its prox
    and subdifferential carry over to the direction of :math:`x_g`.
    """

    order: np.ndarray = dataclasses.field(init=False, repr=False)
    starts: np.ndarray = dataclasses.field(init=False, repr=False)
    radial: Any = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "radial", self._radial())
        set_groups(self)

    def _radial(self) -> Any:
        raise NotImplementedError

    @property
    def coordinate_weights(self) -> np.ndarray:
        """Weight of the group of each coordinate."""
        return self.kept("coordinate_weights", lambda: self.weights[self.groups])

    @property
    def concavity(self) -> float:
        """That of the scalar penalty times the largest weight."""
        return self.radial.concavity * _largest(self.weights)

    def alpha_max(self, grad0: Any) -> float:
        """Least strength at which 0 is stationary: the largest norm of a group over its weight."""
        norms = self._norms(grad0)
        free = self.weights > 0
        return float(np.max(norms[free] / self.weights[free], initial=0.0))

    def group_support(self, x: Any) -> np.ndarray:
        """Which groups of x are not 0, in the order of the sorted labels."""
        return self._norms(x) > 0

    def _norms(self, x: Any) -> np.ndarray:
        x = self._vector(x, "x").astype(np.float64)
        largest = np.abs(x).max()
        if largest == 0:
            return np.zeros(self.weights.size)
        return largest * np.sqrt(np.bincount(self.groups, (x / largest) ** 2, self.weights.size))

    def group_norm(self, x, g):
        total = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            total += x[self.order[k]] * x[self.order[k]] * 1.0
        if total > 1e-30 and total < 1e30:
            return np.sqrt(total)
        # Squares may have left the range of the type.
        largest = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            largest = max(largest, abs(x[self.order[k]]) * 1.0)
        if largest == 0 or not np.isfinite(largest):
            return largest
        total = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            total += (x[self.order[k]] / largest) ** 2
        return largest * np.sqrt(total)

    def l1_part(self):
        """Slope of an L1 norm within groups, per unit of weight."""
        return 0.0

    def value_group(self, x, g):
        norm = self.group_norm(x, g)
        if norm > 0 and self.weights[g] > 0:
            return self.weights[g] * value_1d(self.radial, norm, g)
        return norm * 0

    def value_of(self, x):
        total = 0.0
        for g in range(self.starts.size - 1):
            total += self.value_group(x, g)
        return total

    def prox_group(self, v, step, g, out):
        w, factor = self.weights[g], 1.0
        if w == np.inf:
            factor = 0.0
        elif w > 0:
            norm = self.group_norm(v, g)
            factor = prox_1d(self.radial, norm, step * w * 1.0, g) / norm if norm > 0 else 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            # A plain 0 where the group goes, not -0.
            out[self.order[k]] = v[self.order[k]] * factor if factor > 0 else 0.0

    def prox_into(self, v, step, out):
        for g in range(self.starts.size - 1):
            self.prox_group(v, step, g, out)

    def subdiff_distance_group(self, x, grad, g):
        w, norm = self.weights[g], self.group_norm(x, g)
        if w == np.inf:
            return 0.0 if norm == 0 else np.inf
        if w == 0:
            return self.group_norm(grad, g) * 1.0
        if norm == 0:
            size = self.group_norm(grad, g) / w
            return w * subdiff_distance_1d(self.radial, norm, size, g) * 1.0
        # The part of the gradient along x meets the scalar slope; the rest must vanish.
        along = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            along += grad[self.order[k]] * (x[self.order[k]] / norm)
        rest = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            j = self.order[k]
            rest += (grad[j] - along * (x[j] / norm)) ** 2
        radial = w * subdiff_distance_1d(self.radial, norm, along / w, g)
        return np.sqrt(radial * radial + rest)

    def subdiff_distance_of(self, x, grad):
        worst = 0.0
        for g in range(self.starts.size - 1):
            distance = self.subdiff_distance_group(x, grad, g)
            if not distance <= worst:
                worst = distance
        return worst


@block
class GroupLasso(Grouped, Norm):
    r"""Group lasso, :math:`\alpha \sum_g w_g \|x_g\|_2`.

    Selects whole groups: dummy variables of a factor, bases of a curve, one feature over tasks.
    Weights :math:`w_g = \sqrt{|g|}` are usual where groups differ in size.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    groups : array of shape (p,)
        Label of the group of each coordinate: integers or strings, in any order.
    weights : array of shape (number of groups,), optional
        One factor per group, in the order of the sorted labels: 0 = unpenalised, inf = excluded.

    References
    ----------
    M. Yuan, Y. Lin, "Model selection and estimation in regression with grouped variables",
    J. R. Stat. Soc. B 68, 2006.

    Examples
    --------
    >>> from numopt.penalties import GroupLasso
    >>> GroupLasso(1.0, groups=["a", "a", "b"]).prox([3.0, 4.0, 0.5]).round(4).tolist()
    [2.4, 3.2, 0.0]
    """

    convex: ClassVar[bool] = True

    alpha: float
    groups: Any = dataclasses.field(metadata={"labels": True})
    weights: Any = None

    def _radial(self) -> Any:
        require_nonnegative(self.alpha, "GroupLasso: alpha")
        return L1(self.alpha)


@block
class GroupMCP(Grouped):
    r"""Group MCP, :math:`\sum_g w_g \phi(\|x_g\|_2)` with the :math:`\phi` of MCP.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    groups : array of shape (p,)
        Label of the group of each coordinate, as in `GroupLasso`.
    gamma : float, default 3.0
        Where it gets flat, in units of alpha; > 1.
    weights : array of shape (number of groups,), optional
        One factor per group, as in `GroupLasso`.

    References
    ----------
    P. Breheny, J. Huang, "Group descent algorithms for nonconvex penalized linear and logistic
    regression models with grouped predictors", Stat. Comput. 25, 2015, arXiv 1209.2160.

    Examples
    --------
    >>> from numopt.penalties import GroupMCP
    >>> GroupMCP(1.0, groups=[0, 0, 1]).prox([3.0, 4.0, 2.0]).round(4).tolist()
    [3.0, 4.0, 1.5]
    """

    alpha: float
    groups: Any = dataclasses.field(metadata={"labels": True})
    gamma: float = 3.0
    weights: Any = None

    def _radial(self) -> Any:
        return MCP(self.alpha, self.gamma)


@block
class GroupSCAD(Grouped):
    r"""Group SCAD, :math:`\sum_g w_g \phi(\|x_g\|_2)` with the :math:`\phi` of SCAD.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    groups : array of shape (p,)
        Label of the group of each coordinate, as in `GroupLasso`.
    a : float, default 3.7
        Where it gets flat, in units of alpha; > 2.
    weights : array of shape (number of groups,), optional
        One factor per group, as in `GroupLasso`.

    References
    ----------
    P. Breheny, J. Huang, "Group descent algorithms for nonconvex penalized linear and logistic
    regression models with grouped predictors", Stat. Comput. 25, 2015, arXiv 1209.2160.

    Examples
    --------
    >>> from numopt.penalties import GroupSCAD
    >>> GroupSCAD(1.0, groups=[0, 0, 1]).prox([3.0, 4.0, 1.5]).round(4).tolist()
    [3.0, 4.0, 0.5]
    """

    alpha: float
    groups: Any = dataclasses.field(metadata={"labels": True})
    a: float = 3.7
    weights: Any = None

    def _radial(self) -> Any:
        return SCAD(self.alpha, self.a)


@block
class SparseGroupLasso(Grouped, Norm):
    r"""Sparse group lasso, :math:`\alpha \sum_g w_g (\rho \|x_g\|_1 + (1 - \rho) \|x_g\|_2)`.

    Selects groups, and coordinates within them.

    Parameters
    ----------
    alpha : float
        Strength, >= 0.
    groups : array of shape (p,)
        Label of the group of each coordinate, as in `GroupLasso`.
    l1_ratio : float, default 0.5
        The share :math:`\rho` of the L1 norm, in [0, 1].
    weights : array of shape (number of groups,), optional
        One factor per group, as in `GroupLasso`.

    References
    ----------
    N. Simon, J. Friedman, T. Hastie, R. Tibshirani, "A sparse-group lasso",
    J. Comput. Graph. Statist. 22, 2013.

    Examples
    --------
    >>> from numopt.penalties import SparseGroupLasso
    >>> SparseGroupLasso(2.0, groups=[0, 0, 0]).prox([4.0, 5.0, -0.5]).round(4).tolist()
    [2.4, 3.2, 0.0]
    """

    convex: ClassVar[bool] = True

    alpha: float
    groups: Any = dataclasses.field(metadata={"labels": True})
    l1_ratio: float = 0.5
    weights: Any = None

    def _radial(self) -> Any:
        require_nonnegative(self.alpha, "SparseGroupLasso: alpha")
        require_in(self.l1_ratio, 0.0, 1.0, "SparseGroupLasso: l1_ratio")
        return L1(self.alpha * (1 - self.l1_ratio))

    def alpha_max(self, grad0: Any) -> float:
        """Least alpha at which 0 is optimal: the root of |S(g, a rho w)| = a (1 - rho) w."""
        size = np.abs(self._vector(grad0, "grad0").astype(np.float64))
        rho, w, count = self.l1_ratio, self.weights[self.groups], self.weights.size
        counted = (w > 0) & (w < np.inf)
        size = np.where(counted, size / np.where(counted, w, 1.0), 0.0)
        low, high = np.zeros(count), np.zeros(count)
        np.maximum.at(high, self.groups, size)
        # a rho <= max |g| and a (1 - rho) <= |g| at the root
        high = high / rho if rho > 0.5 else high / (1 - rho) * np.sqrt(np.bincount(self.groups))
        for _ in range(1100):
            middle = low + (high - low) / 2
            if not ((low < middle) & (middle < high)).any():
                break
            excess = np.maximum(size - rho * middle[self.groups], 0.0)
            norm = np.sqrt(np.bincount(self.groups, excess**2, count))
            above = norm > (1 - rho) * middle
            low, high = np.where(above, middle, low), np.where(above, high, middle)
        return float(high.max())

    def l1_part(self):
        return self.alpha * self.l1_ratio

    def value_group(self, x, g):
        w, norm = self.weights[g], self.group_norm(x, g)
        if not (norm > 0 and w > 0):
            return norm * 0
        size = 0.0
        for k in range(self.starts[g], self.starts[g + 1]):
            size += abs(x[self.order[k]])
        return w * self.alpha * (self.l1_ratio * size + (1 - self.l1_ratio) * norm)

    def prox_group(self, v, step, g, out):
        w = self.weights[g]
        threshold = step * w * self.alpha * self.l1_ratio if w < np.inf else w
        for k in range(self.starts[g], self.starts[g + 1]):
            j = self.order[k]
            if w == 0:
                out[j] = v[j]
            else:
                t = abs(v[j]) - threshold if w < np.inf else -w
                out[j] = (t if v[j] > 0 else -t) if t > 0 else 0.0
        if w > 0 and w < np.inf:
            norm = self.group_norm(out, g)
            shrunk = norm - step * w * self.alpha * (1 - self.l1_ratio)
            for k in range(self.starts[g], self.starts[g + 1]):
                j = self.order[k]
                out[j] = out[j] * (shrunk / norm) if shrunk > 0 and out[j] != 0 else 0.0

    def subdiff_distance_group(self, x, grad, g):
        w, norm = self.weights[g], self.group_norm(x, g)
        if w == np.inf:
            return 0.0 if norm == 0 else np.inf
        total = 0.0
        flat = w * self.alpha * self.l1_ratio
        curved = w * self.alpha * (1 - self.l1_ratio)
        for k in range(self.starts[g], self.starts[g + 1]):
            j = self.order[k]
            if x[j] == 0:
                part = max(abs(grad[j]) - flat, 0.0)
            else:
                part = grad[j] + (flat if x[j] > 0 else -flat) + curved * (x[j] / norm)
            total += part * part
        distance = np.sqrt(total)
        return max(distance - curved, 0.0) if norm == 0 else distance


def set_groups(penalty: Any) -> None:
    """Number the groups of a penalty by their sorted labels and check its weights."""
    name = type(penalty).__name__
    try:
        labels = np.asarray(penalty.groups)
    except ValueError:  # ragged
        labels = np.empty((0, 0))
    if labels.ndim != 1:
        raise ValueError(
            f"{name}: groups must be one label per coordinate, got {_shown(penalty.groups)}; "
            "groups that overlap need a copy of the shared columns in each"
        )
    if labels.size == 0:
        raise ValueError(f"{name}: groups is empty; give a label to each coordinate")
    missing = [k for k, label in enumerate(labels.tolist()) if label is None or label != label]
    if missing:
        raise ValueError(f"{name}: groups has no label at index {missing[0]}; give it one")
    try:
        unique, ids = np.unique(labels, return_inverse=True)
    except TypeError as error:
        raise TypeError(
            f"{name}: groups must be of one kind, numbers or strings: {error}"
        ) from None
    ids = ids.astype(np.int64)
    object.__setattr__(penalty, "groups", ids)
    object.__setattr__(penalty, "order", np.argsort(ids, kind="stable").astype(np.int64))
    counts = np.bincount(ids, minlength=unique.size)
    object.__setattr__(penalty, "starts", np.concatenate([[0], np.cumsum(counts)]).astype(np.int64))
    if penalty.weights is None:
        object.__setattr__(penalty, "weights", np.ones(unique.size))
    require_weights(penalty)
    if penalty.weights.size != unique.size:
        raise ValueError(
            f"{name}: weights has {penalty.weights.size} entries, expected {unique.size}: "
            "one per group, in the order of the sorted labels"
        )


def _shown(groups: Any) -> str:
    text = repr(groups)
    return text if len(text) <= 60 else text[:57] + "..."
