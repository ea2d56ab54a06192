"""Units of coordinate descent: single coordinates, or groups where the penalty is over groups.

Generic functions with two forms each. Of some units, ``index[starts[k]:starts[k + 1]]`` lists the
coordinates of the k-th one.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.dispatch import generic, method_of
from numopt.core.generic import prox_1d, subdiff_distance_1d, value_1d


def grouped(penalty: Any) -> bool:
    """Whether units are groups, asked of a penalty or of its Spec."""
    offers = getattr(penalty, "offers", None)
    return offers("prox_group") if offers else "prox_group" in type(penalty).compiled_methods


def _grouped(kind: Any) -> bool:
    return method_of(kind, "prox_group") is not None


def count_units(penalty: Any, p: int) -> int:
    """Number of units among p coordinates."""
    return int(penalty.starts.size - 1) if grouped(penalty) else p


def coordinates(penalty: Any, units: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Starts and index of these units, in their order."""
    if not grouped(penalty):
        return np.arange(units.size + 1), units
    sizes = np.diff(penalty.starts)[units]
    starts = np.concatenate([[0], np.cumsum(sizes)])
    places = np.arange(starts[-1]) + np.repeat(penalty.starts[units] - starts[:-1], sizes)
    return starts, penalty.order[places]


def units_holding(penalty: Any, marked: np.ndarray) -> np.ndarray:
    """Which units hold a marked coordinate."""
    if not grouped(penalty):
        return marked
    return np.bincount(penalty.groups[marked], minlength=penalty.starts.size - 1) > 0


# ---- what belongs to a unit ----------------------------------------------------------------------


def span(penalty, u):
    """Places of unit u in the penalty's order of coordinates."""
    return (penalty.starts[u], penalty.starts[u + 1]) if grouped(penalty) else (u, u + 1)


@generic(span)
def _span(penalty, u):
    if _grouped(penalty):
        return lambda penalty, u: (penalty.starts[u], penalty.starts[u + 1])
    return lambda penalty, u: (u, u + 1)


def coordinate(penalty, k):
    """Coordinate at place k of the penalty's order."""
    return penalty.order[k] if grouped(penalty) else k


@generic(coordinate)
def _coordinate(penalty, k):
    if _grouped(penalty):
        return lambda penalty, k: penalty.order[k]
    return lambda penalty, k: k


# ---- how far a unit is from stationary -----------------------------------------------------------


def violation_1d(penalty, x, grad, curvature, j):
    """Subdifferential distance of coordinate j, or its prox move times the curvature."""
    if "subdiff_distance_1d" in type(penalty).compiled_methods:
        return subdiff_distance_1d(penalty, x, grad, j)
    step = 1.0 / curvature
    return abs(x - prox_1d(penalty, x - step * grad, step, j)) * curvature


@generic(violation_1d)
def _violation_1d(penalty, x, grad, curvature, j):
    if method_of(penalty, "subdiff_distance_1d") is not None:
        return lambda penalty, x, grad, curvature, j: subdiff_distance_1d(penalty, x, grad, j)

    def moved(penalty, x, grad, curvature, j):
        step = 1.0 / curvature
        return abs(x - prox_1d(penalty, x - step * grad, step, j)) * curvature

    return moved


def violation_of(penalty, x, grad, curvature, u):
    """That of unit u, at whole vectors."""
    if grouped(penalty):
        return penalty.subdiff_distance_group(x, grad, u)
    return violation_1d(penalty, x[u], grad[u], curvature[u], u)


@generic(violation_of)
def _violation_of(penalty, x, grad, curvature, u):
    if _grouped(penalty):

        def group(penalty, x, grad, curvature, u):
            return penalty.subdiff_distance_group(x, grad, u)

        return group

    def single(penalty, x, grad, curvature, u):
        return violation_1d(penalty, x[u], grad[u], curvature[u], u)

    return single


# ---- which units stay at 0 -----------------------------------------------------------------------


def _single_stays_zero(penalty, x, grad, reach, u, scratch):
    if x[u] != 0:
        return False
    above = subdiff_distance_1d(penalty, x[u], grad[u] + reach, u)
    return above == 0 and subdiff_distance_1d(penalty, x[u], grad[u] - reach, u) == 0


def _group_stays_zero(penalty, x, grad, reach, u, scratch):
    total = 0.0
    for k in range(penalty.starts[u], penalty.starts[u + 1]):
        j = penalty.order[k]
        if x[j] != 0:
            return False
        total += grad[j] * grad[j]
    size = np.sqrt(total)
    if not size > 0:
        return False
    for k in range(penalty.starts[u], penalty.starts[u + 1]):
        scratch[penalty.order[k]] = grad[penalty.order[k]] * (1 + reach / size)
    return penalty.subdiff_distance_group(x, scratch, u) == 0


def stays_zero(penalty, x, grad, reach, u, scratch):
    """Whether unit u is 0 and stationary there for all gradients within `reach` of this one.

    Groups are asked along their gradient only, which for sparse ones is a guess.
    """
    if grouped(penalty):
        return _group_stays_zero(penalty, x, grad, reach, u, scratch)
    if "subdiff_distance_1d" not in type(penalty).compiled_methods:
        return False
    return _single_stays_zero(penalty, x, grad, reach, u, scratch)


@generic(stays_zero)
def _stays_zero(penalty, x, grad, reach, u, scratch):
    if _grouped(penalty):
        return _group_stays_zero
    if method_of(penalty, "subdiff_distance_1d") is None:
        return lambda penalty, x, grad, reach, u, scratch: False
    return _single_stays_zero


# ---- sweeps and values on a model ----------------------------------------------------------------


def _single_sweep(penalty, model, floor):
    worst, Q, q, w = 0.0, model.Q, model.q, model.w
    for k in range(model.units.size):
        if not Q[k, k] > 0:  # nothing but the penalty moves it
            new = prox_1d(penalty, w[k], 1e20, model.units[k])
            w[k] = new if np.isfinite(new) else w[k]
            continue
        j, curvature = model.units[k], max(Q[k, k], floor)
        violation = violation_1d(penalty, w[k], q[k], curvature, j)
        if not violation <= worst:
            worst = violation
        if violation == 0:
            continue
        step = 1.0 / curvature
        new = prox_1d(penalty, w[k] - step * q[k], step, j)
        d = new - w[k]
        if d != 0:
            w[k] = new
            for i in range(q.size):
                q[i] += d * Q[i, k]
    return worst


def _group_sweep(penalty, model, floor):
    worst, Q, q, w, x, v = 0.0, model.Q, model.q, model.w, model.x, model.v
    for k in range(model.units.size):
        u, start, stop = model.units[k], model.starts[k], model.starts[k + 1]
        if not model.bounds[k] > 0:
            continue
        for t in range(start, stop):
            x[model.members[t]], v[model.members[t]] = w[t], q[t]
        violation = penalty.subdiff_distance_group(x, v, u)
        if not violation <= worst:
            worst = violation
        if violation == 0:
            continue
        step = 1.0 / max(model.bounds[k], floor)
        for t in range(start, stop):
            v[model.members[t]] = w[t] - step * q[t]
        penalty.prox_group(v, step, u, v)
        for t in range(start, stop):
            d = v[model.members[t]] - w[t]
            if d != 0:
                w[t] = v[model.members[t]]
                for i in range(q.size):
                    q[i] += d * Q[i, t]
    return worst


def sweep(penalty, model, floor):
    """One cycle of proximal steps over the units of a model; the largest violation met."""
    return (_group_sweep if grouped(penalty) else _single_sweep)(penalty, model, floor)


@generic(sweep)
def _sweep(penalty, model, floor):
    return _group_sweep if _grouped(penalty) else _single_sweep


def _single_value(penalty, model, w):
    total = 0.0
    for k in range(w.size):
        total += value_1d(penalty, w[k], model.units[k])
    return total


def _group_value(penalty, model, w):
    total = 0.0
    for t in range(w.size):
        model.x[model.members[t]] = w[t]
    for k in range(model.units.size):
        total += penalty.value_group(model.x, model.units[k])
    return total


def value_on(penalty, model, w):
    """The penalty's part of the units of a model, at w."""
    return (_group_value if grouped(penalty) else _single_value)(penalty, model, w)


@generic(value_on)
def _value_on(penalty, model, w):
    return _group_value if _grouped(penalty) else _single_value


# ---- slopes and curvatures on the support --------------------------------------------------------


def slope_1d(penalty, x, j):
    """Derivative of a scalar penalty where it has one, NaN elsewhere.

    Read off the subdifferential distance: where the penalty is smooth that is |grad + slope|, so
    opposite gradients G and -G beyond the slope have distances that sum to 2 G; at a kink, less.
    """
    size = subdiff_distance_1d(penalty, x, x * 0, j)
    kinked = x == 0 and size == 0 and subdiff_distance_1d(penalty, x, x * 0 + 1e-30, j) == 0
    if kinked or not np.isfinite(size):
        return x * 0 + np.nan
    beyond = 2 * size + 1
    both = subdiff_distance_1d(penalty, x, beyond, j) + subdiff_distance_1d(penalty, x, -beyond, j)
    if not both > 2 * beyond * (1 - 1e-6):
        return x * 0 + np.nan
    return size if subdiff_distance_1d(penalty, x, size, j) > size else -size


@generic(slope_1d)
def _slope_1d(penalty, x, j):
    return slope_1d


def _single_slopes(penalty, model, slopes):
    for k in range(model.units.size):
        x, j = model.w[k], model.units[k]
        slopes[k] = slope_1d(penalty, x, j)


def _single_curvatures(penalty, model, slopes, place, H):
    for k in range(model.units.size):
        i = place[k]
        if i >= 0:
            bend = model.w[k] * 1e-5 if model.w[k] != 0 else 1e-5
            there = slope_1d(penalty, model.w[k] + bend, model.units[k])
            H[i, i] += (there - slopes[k]) / bend


def _group_slopes(penalty, model, slopes):
    x, flat = model.x, penalty.l1_part()
    for t in range(model.members.size):
        x[model.members[t]] = model.w[t]
        slopes[t] = np.nan
    for k in range(model.units.size):
        u = model.units[k]
        weight, norm = penalty.weights[u], penalty.group_norm(x, u)
        if not ((norm > 0 or weight == 0) and weight < np.inf):
            continue
        along = weight * slope_1d(penalty.radial, norm, u) / norm if weight > 0 else 0.0
        for t in range(model.starts[k], model.starts[k + 1]):
            if flat == 0 or weight == 0 or model.w[t] != 0:
                edge = weight * flat if model.w[t] > 0 else -weight * flat
                slopes[t] = along * model.w[t] + edge


def _group_curvatures(penalty, model, slopes, place, H):
    # The radial part bends by phi'' along x and by phi' / |x| across.
    for k in range(model.units.size):
        u = model.units[k]
        weight, norm = penalty.weights[u], penalty.group_norm(model.x, u)
        if not (weight > 0 and weight < np.inf and norm > 0):
            continue
        here, bend = slope_1d(penalty.radial, norm, u), 1e-5 * norm
        across = weight * here / norm
        along = weight * (slope_1d(penalty.radial, norm + bend, u) - here) / bend - across
        for t in range(model.starts[k], model.starts[k + 1]):
            if place[t] >= 0:
                H[place[t], place[t]] += across
                for s in range(model.starts[k], model.starts[k + 1]):
                    if place[s] >= 0:
                        part = (model.w[s] / norm) * (model.w[t] / norm)
                        H[place[s], place[t]] += along * part


def slopes_on(penalty, model, slopes):
    """Derivatives of the penalty on the smooth part of the support, NaN elsewhere."""
    (_group_slopes if grouped(penalty) else _single_slopes)(penalty, model, slopes)


@generic(slopes_on)
def _slopes_on(penalty, model, slopes):
    return _group_slopes if _grouped(penalty) else _single_slopes


def add_curvatures(penalty, model, slopes, place, H):
    """Add the penalty's second derivatives to H, whose row place[t] is that of coordinate t."""
    (_group_curvatures if grouped(penalty) else _single_curvatures)(
        penalty, model, slopes, place, H
    )


@generic(add_curvatures)
def _add_curvatures(penalty, model, slopes, place, H):
    return _group_curvatures if _grouped(penalty) else _single_curvatures


def _single_reach(penalty, model, k, d):
    w, j = model.w[k], model.units[k]
    end = w + d
    if w * d < 0 and abs(d) > abs(w) and np.isnan(slope_1d(penalty, w * 0, j)):
        end = w * 0
    if not np.isfinite(value_1d(penalty, end, j)):
        end = prox_1d(penalty, end, 0.0, j)  # the nearest bound
    return end


def _group_reach(penalty, model, k, d):
    w = model.w[k]
    return w + d if penalty.l1_part() == 0 or w * d >= 0 or abs(d) <= abs(w) else 0.0


def reach(penalty, model, k, d):
    """Where coordinate k comes to on its way to w + d: a kink at 0 and a bound end it."""
    return (_group_reach if grouped(penalty) else _single_reach)(penalty, model, k, d)


@generic(reach)
def _reach(penalty, model, k, d):
    return _group_reach if _grouped(penalty) else _single_reach
