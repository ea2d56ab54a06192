"""Order statistics without sorting: k-th entry and top-k.

All cost a pass or two over the data. A sample brackets the entry that is sought; one pass with
vectorised comparisons counts what lies where and copies the few entries within the bracket, among
which the same is done once more before quickselect ends. This is the scheme of Floyd and Rivest,
with the passes arranged so that processors read them at the speed of memory. The sample is drawn
by a fixed generator: the same data give the same answer, bit for bit, and ties go to the lowest
index.

NaN counts as larger than everything, as in `numpy.sort`.

References
----------
R. W. Floyd, R. L. Rivest, "Expected time bounds for selection", Comm. ACM 18(3), 1975.
K. C. Kiwiel, "On Floyd and Rivest's SELECT algorithm", Theor. Comput. Sci. 347, 2005.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.core.validate import as_vector, require_count
from numopt.linalg.bits import BLOCK, GROUP, ONE, bit, lowest

DIRECT = 400  # up to here quickselect alone
SAMPLE = 4096


# ---- fronts --------------------------------------------------------------------------------------


def kth_largest(x: Any, k: int, *, magnitude: bool = False) -> float:
    """Value of the k-th largest entry, k = 1 for the maximum; expected O(n).

    Parameters
    ----------
    x : array of shape (n,)
    k : int
        1 <= k <= n.
    magnitude : bool, default False
        Compare absolute values.

    Examples
    --------
    >>> from numopt.linalg import kth_largest
    >>> kth_largest([3.0, -7.0, 5.0], 2)
    3.0
    >>> kth_largest([3.0, -7.0, 5.0], 2, magnitude=True)
    5.0
    """
    x = as_vector(x, "x")
    _require_rank(k, x.size, 1)
    return float(select(x, x.size - k, magnitude, np.empty_like(x)))


def top_k(x: Any, k: int) -> tuple[np.ndarray, float]:
    """Indices of the k entries of largest magnitude, ascending, and the smallest such magnitude.

    Of equal magnitudes those with the lowest index are taken. Expected O(n).

    Parameters
    ----------
    x : array of shape (n,)
    k : int
        0 <= k <= n.

    Returns
    -------
    indices : array of shape (k,)
    threshold : float
        Magnitude of the k-th largest entry; inf for k = 0.

    Examples
    --------
    >>> from numopt.linalg import top_k
    >>> indices, threshold = top_k([1.0, -4.0, 2.0, 4.0, -2.0], 3)
    >>> indices.tolist(), threshold
    ([1, 2, 3], 2.0)
    """
    x = as_vector(x, "x")
    _require_rank(k, x.size, 0)
    indices = np.empty(k, np.intp)
    threshold = top_k_into(x, indices, np.empty(x.size, np.intp), np.empty_like(x))
    return indices, float(threshold)


def _require_rank(k: int, n: int, least: int) -> None:
    require_count(k, "k", least)
    if k > n:
        raise ValueError(f"k must be at most the number of entries {n}, got {k}")


# ---- k-th entry ----------------------------------------------------------------------------------


@kernel
def select(x, rank, magnitude, scratch):
    """Entry of `rank` (0 the smallest) among x, or among |x|; scratch has the length of x."""
    size, rank = _narrowed(x, rank, magnitude, scratch)
    return pick(scratch, size, rank) if rank < size else x.dtype.type(np.nan)


@inner
def pick(a, size, rank):
    """Entry of `rank` among a[:size], without NaN; what follows in a serves as scratch."""
    if size > DIRECT and 2 * size <= a.size:
        kept = a[size : 2 * size]
        size, rank = _narrowed(a[:size], rank, False, kept)
        return quickselect(kept, size, rank)
    return quickselect(a, size, rank)


@inner
def _narrowed(x, rank, magnitude, kept):
    """Copy entries among which that of `rank` is; how many they are, and its rank among them."""
    low, high = x.dtype.type(-np.inf), x.dtype.type(np.inf)
    if x.size > DIRECT:
        low, high = sampled_pivots(x, rank, magnitude, kept)
    while True:
        below, inside = _keep_between(x, low, high, magnitude, kept)
        if rank < below:
            low, high = x.dtype.type(-np.inf), low
        elif rank >= below + inside and high < np.inf:
            low, high = high, x.dtype.type(np.inf)
        else:
            return inside, rank - below


@inner
def sampled_pivots(x, rank, magnitude, scratch):
    """Pivots below and above the entry of `rank`, infinite where the sample has none."""
    size = min(SAMPLE, x.size // 16)
    center = rank / x.size * size
    margin = 1.0 + 3.0 * np.sqrt(1.0 + center * (size - center) / size)
    first, last = int(center - margin), int(center + margin)
    kept = 0
    state = 1
    for i in range(size):
        state = next_random(state)
        v = x[stratum_entry(i, size, x.size, state)]
        if v == v:
            scratch[kept] = abs(v) if magnitude else v
            kept += 1
    low, high = x.dtype.type(-np.inf), x.dtype.type(np.inf)
    if last < kept:
        high = quickselect(scratch, kept, last)
        kept = last
    if 0 <= first < kept:
        low = quickselect(scratch, kept, first)
    return low, high


@inner
def next_random(state):
    """The state after `state` of a linear congruential generator."""
    return (state * 1103515245 + 12345) & 0x7FFFFFFF


@inner
def stratum_entry(i, strata, n, state):
    """A pseudo-random position in the i-th of equal parts of range(n)."""
    length = n // strata
    return i * length + (((state >> 8) * length) >> 23)


@inner
def _keep_between(x, low, high, magnitude, kept):
    """Copy entries in [low, high]; how many lie below, how many were copied."""
    below = size = 0
    whole = x.size // BLOCK
    masks = np.empty(GROUP, np.uint64)
    for first in range(0, whole, GROUP):
        blocks = min(GROUP, whole - first)
        below += _find_between(x, first, blocks, low, high, magnitude, masks)
        for b in range(blocks):
            hits = masks[b]
            start = np.uint64((first + b) * BLOCK)
            while hits != 0:
                v = x[start + lowest(hits)]
                kept[size] = abs(v) if magnitude else v
                size += 1
                hits &= hits - ONE
    for i in range(whole * BLOCK, x.size):
        v = abs(x[i]) if magnitude else x[i]
        below += v < low
        if low <= v <= high:
            kept[size] = v
            size += 1
    return below, size


@inner
def _find_between(x, first, blocks, low, high, magnitude, masks):
    """Mark the entries in [low, high] of some blocks; how many lie below."""
    below = 0
    for b in range(blocks):
        block = x[(first + b) * BLOCK : (first + b + 1) * BLOCK]
        hits = np.uint64(0)
        for i in range(BLOCK):
            v = abs(block[i]) if magnitude else block[i]
            below += v < low
            hits |= bit(i, (v >= low) & (v <= high))
        masks[b] = hits
    return below


@inner
def quickselect(a, size, rank):
    """Entry of `rank` among a[:size], which holds no NaN; reorders a[:size] about it.

    The loops move every entry without asking a question that a processor could guess wrong.
    """
    left, right = 0, size
    state = 1
    while right - left > 8:
        state = next_random(state)
        pivot = median_of_three(a, left, right, state)
        split = left
        for i in range(left, right):
            v = a[i]
            a[i] = a[split]
            a[split] = v
            split += v < pivot
        if rank < split:
            right = split
            continue
        if split > left:
            left = split
            continue
        for i in range(left, right):  # the pivot is the smallest: set its equals aside
            v = a[i]
            a[i] = a[split]
            a[split] = v
            split += v <= pivot
        if rank < split or split == left:  # the latter if the pivot is NaN after all
            return pivot
        left = split
    for i in range(left + 1, right):
        v = a[i]
        j = i
        while j > left and a[j - 1] > v:
            a[j] = a[j - 1]
            j -= 1
        a[j] = v
    return a[rank]


@inner
def median_of_three(a, left, right, state):
    """The middle one of three of a[left:right]."""
    length = right - left
    p = a[left + (((state >> 8) * length) >> 23)]
    q = a[left + length // 2]
    r = a[right - 1]
    return max(min(p, q), min(max(p, q), r))


# ---- top-k ---------------------------------------------------------------------------------------


@kernel
def top_k_into(x, indices, candidates, scratch):
    """Fill `indices` with those of the largest |x_i|, ascending; the smallest of these |x_i|.

    Of equal magnitudes the lowest indices are taken; NaN counts as infinite. `candidates` (of
    integers) and `scratch` have the length of x.
    """
    n, k = x.size, indices.size
    low, high = x.dtype.type(0), x.dtype.type(np.inf)
    if k == 0:
        return high
    if n > DIRECT:
        low, high = sampled_pivots(x, n - k, True, scratch)
    count, above = _candidates(x, low, high, candidates, scratch)
    inside = count - above
    if count < k or above >= k or count + inside >= n:  # the bracket missed, or is of no use
        low = select(x, n - k, True, scratch)
        if not low < np.inf:
            low = x.dtype.type(np.inf)
        high = low
        count, above = _candidates(x, low, high, candidates, scratch)
    elif low < high:
        low = pick(scratch[count:], _copy_upto(scratch, count, high), count - k)
    _take(low, candidates, scratch, count, indices)
    return low


@inner
def _take(low, candidates, values, count, indices):
    """Fill `indices` with candidates of values above `low`, and the first of those at `low`."""
    k = indices.size
    above = level = 0
    for c in range(count):
        above += values[c] > low
        level += values[c] == low
    excess = above + level - k  # of the last ones at `low`
    last = count
    while excess > 0:
        last -= 1
        excess -= values[last] == low
    size = 0
    for c in range(last):
        if size == k:
            break
        indices[size] = candidates[c]
        size += values[c] >= low
    for c in range(last, count):
        if values[c] > low:
            indices[size] = candidates[c]
            size += 1


@inner
def _copy_upto(a, count, high):
    """Copy the entries <= high of a[:count] behind them; how many they are."""
    size = count
    for c in range(count):
        a[size] = a[c]
        size += a[c] <= high
    return size - count


@inner
def _candidates(x, low, high, candidates, values):
    """Indices of the entries with |x_i| >= low or NaN, ascending, and these magnitudes.

    Returns how many they are and how many are larger than `high`; NaN becomes infinite.
    """
    size = above = 0
    whole = x.size // BLOCK
    masks = np.empty(GROUP, np.uint64)
    for first in range(0, whole, GROUP):
        blocks = min(GROUP, whole - first)
        _find_from(x, first, blocks, low, masks)
        for b in range(blocks):
            hits = masks[b]
            start = np.uint64((first + b) * BLOCK)
            while hits != 0:
                i = start + lowest(hits)
                candidates[size] = i
                values[size] = v = _magnitude(x[i])
                above += v > high
                size += 1
                hits &= hits - ONE
    for i in range(whole * BLOCK, x.size):
        v = _magnitude(x[i])
        if v >= low:
            candidates[size] = i
            values[size] = v
            above += v > high
            size += 1
    return size, above


@inner
def _find_from(x, first, blocks, low, masks):
    """Mark the entries with |x_i| >= low or NaN of some blocks."""
    for b in range(blocks):
        block = x[(first + b) * BLOCK : (first + b + 1) * BLOCK]
        hits = np.uint64(0)
        for i in range(BLOCK):
            hits |= bit(i, not (abs(block[i]) < low))
        masks[b] = hits


@inner
def _magnitude(v):
    return abs(v) if v == v else np.inf
