"""Weighted medians and quantiles without sorting, by the scheme of ``selection.py``."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_vector, require_in, require_length
from numopt.linalg.bits import BLOCK, GROUP, ONE, bit, lowest
from numopt.linalg.selection import (
    DIRECT,
    SAMPLE,
    median_of_three,
    next_random,
    select,
    stratum_entry,
)


def weighted_median(values: Any, weights: Any = None, q: float = 0.5) -> float:
    r"""Lower weighted median: a minimiser of :math:`\sum_i w_i |v_i - t|` over t; expected O(n).

    In general the lower weighted quantile: the smallest v_i such that the weights of the entries
    <= v_i make up at least the share q of all.

    Parameters
    ----------
    values : array of shape (n,)
    weights : array of shape (n,), optional
        >= 0, not all 0; 1 each if not given.
    q : float, default 0.5
        In (0, 1].

    Examples
    --------
    >>> from numopt.linalg import weighted_median
    >>> weighted_median([1.0, 2.0, 10.0], [1.0, 1.0, 5.0])
    10.0
    """
    values = as_vector(values, "values")
    require_in(q, 0.0, 1.0, "q")
    if values.size == 0:
        raise ValueError("values is empty; a median needs at least one entry")
    if weights is None:
        rank = max(int(np.ceil(q * values.size)) - 1, 0)
        return float(select(values, rank, False, np.empty_like(values)))
    weights = require_length(as_vector(weights, "weights", values.dtype), values.size, "weights")
    if not (weights >= 0).all() or not weights.any():
        where = int(np.argmin(weights))
        raise ValueError(f"weights must be >= 0 and not all 0; weights[{where}] = {weights[where]}")
    scratch = np.empty_like(values), np.empty_like(values)
    return float(weighted_quantile(values, weights, float(q), *scratch))


@kernel
def weighted_quantile(values, weights, q, kept, kept_weights):
    """Smallest v_i such that the weights of the entries <= v_i make up at least the share q.

    Weights >= 0. NaN if a value is NaN or the weights do not sum to a positive number. Whether a
    sum reaches the share exactly is decided up to its rounding. The last two arguments are scratch
    of the length of values.
    """
    low, high = values.dtype.type(-np.inf), values.dtype.type(np.inf)
    if values.size > DIRECT:
        low, high = _weighted_pivots(values, weights, q, kept, kept_weights)
    while True:
        total, below, inside, size = _keep_weighted(values, weights, low, high, kept, kept_weights)
        if not 0 < total < np.inf:
            return values.dtype.type(np.nan)
        target = q * total
        if below < target <= below + inside:
            return _weighted_pick(kept, kept_weights, size, target - below)
        if not (low > -np.inf or high < np.inf):  # a tie that rounding decides
            return _weighted_quickselect(kept, kept_weights, size, target)
        # The bracket missed, or sums in another order disagree: decide among all entries.
        low, high = values.dtype.type(-np.inf), values.dtype.type(np.inf)


@inner
def _weighted_pick(values, weights, size, target):
    """Smallest of values[:size] whose weights up to it reach target; scratch follows it."""
    if size > DIRECT and 2 * size <= values.size:
        v, w = values[:size], weights[:size]
        kept, kept_weights = values[size : 2 * size], weights[size : 2 * size]
        total = 0.0
        for i in range(size):
            total += w[i]
        low, high = _weighted_pivots(v, w, target / total, kept, kept_weights)
        _, below, inside, few = _keep_weighted(v, w, low, high, kept, kept_weights)
        if below < target <= below + inside:
            return _weighted_quickselect(kept, kept_weights, few, target - below)
    return _weighted_quickselect(values, weights, size, target)


@inner
def _weighted_pivots(values, weights, q, kept, kept_weights):
    """Pivots below and above the quantile, infinite where the sample has none."""
    strata = min(SAMPLE, values.size // 16)
    total = square = 0.0
    size = 0
    state = 1
    for i in range(strata):
        state = next_random(state)
        j = stratum_entry(i, strata, values.size, state)
        if values[j] == values[j]:
            kept[size], kept_weights[size] = values[j], weights[j]
            total += weights[j]
            square += weights[j] ** 2
            size += 1
    target = q * total
    margin = 1.5 * np.sqrt(square)
    low, high = values.dtype.type(-np.inf), values.dtype.type(np.inf)
    if target + margin < total:
        high = _weighted_quickselect(kept, kept_weights, size, target + margin)
    if target > margin:
        low = _weighted_quickselect(kept, kept_weights, size, target - margin)
    return low, high


@inner
def _keep_weighted(values, weights, low, high, kept, kept_weights):
    """Copy entries in [low, high] with their weights.

    Returns the weight of all entries (NaN if one is), of those below, of those copied, and how
    many these are.
    """
    total = below = inside = 0.0
    size = 0
    whole = values.size // BLOCK
    masks = np.empty(GROUP, np.uint64)
    for first in range(0, whole, GROUP):
        blocks = min(GROUP, whole - first)
        for b in range(blocks):
            part = slice((first + b) * BLOCK, (first + b + 1) * BLOCK)
            all_, under, masks[b] = _weigh(values[part], weights[part], low, high)
            total += all_
            below += under
        for b in range(blocks):
            hits = masks[b]
            start = np.uint64((first + b) * BLOCK)
            while hits != 0:
                i = start + lowest(hits)
                kept[size], kept_weights[size] = values[i], weights[i]
                inside += weights[i]
                size += 1
                hits &= hits - ONE
    for i in range(whole * BLOCK, values.size):
        v, w = values[i], weights[i]
        total += w if v == v else v
        if v < low:
            below += w
        elif v <= high:
            kept[size], kept_weights[size] = v, w
            inside += w
            size += 1
    return total, below, inside, size


@inner(reduction=True)
def _weigh(block, block_weights, low, high):
    """Weight of a full block (NaN if an entry is), of its entries < low, those in [low, high]."""
    total = below = 0.0
    hits = np.uint64(0)
    for i in range(BLOCK):
        v, w = block[i], block_weights[i]
        total += w if v == v else v
        below += w if v < low else w * 0
        hits |= bit(i, (v >= low) & (v <= high))
    return total, below, hits


@inner
def _weighted_quickselect(a, weights, size, target):
    """Smallest of a[:size] whose weights up to it reach target; both arrays are reordered."""
    left, right = 0, size
    before = 0.0  # weight of a[:left]
    state = 1
    while right - left > 8:
        state = next_random(state)
        pivot = median_of_three(a, left, right, state)
        split, under = _partition(a, weights, left, right, pivot, False)
        if split == left:  # the pivot is the smallest: set its equals aside
            split, under = _partition(a, weights, left, right, pivot, True)
            if before + under >= target or split in (left, right):
                return pivot
        elif before + under >= target:
            right = split
            continue
        left = split
        before += under
    for i in range(left + 1, right):
        v, w = a[i], weights[i]
        j = i
        while j > left and a[j - 1] > v:
            a[j], weights[j] = a[j - 1], weights[j - 1]
            j -= 1
        a[j], weights[j] = v, w
    for i in range(left, right):
        before += weights[i]
        if before >= target:
            return a[i]
    return a[right - 1]


@inner
def _partition(a, weights, left, right, pivot, equals):
    """Bring entries < pivot (<= pivot) to the front; where they end and what they weigh."""
    split = left
    under = 0.0
    for i in range(left, right):
        v, w = a[i], weights[i]
        a[i], weights[i] = a[split], weights[split]
        a[split], weights[split] = v, w
        first = (v < pivot) | (equals & (v == pivot))
        split += first
        under += w if first else w * 0
    return split, under
