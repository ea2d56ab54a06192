"""Order statistics without sorting: k-th entry and top-k.

All cost a pass or two over the data. A sample brackets the entry that is sought; one pass with
vectorised comparisons counts what lies where, the next copies the few entries between two narrow
pivots, and quickselect ends among those. This is the scheme of Floyd and Rivest, with the
passes arranged so that processors read them at the speed of memory. The sample is drawn by a fixed
generator: the same data give the same answer, bit for bit, and ties go to the lowest index.

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

BLOCK = 64  # entries looked at together: a block without a hit costs a few vector comparisons
DIRECT = 400  # up to here quickselect alone
SAMPLE = 4096
FEW = 256  # a bracket of at most n / FEW entries is copied without being narrowed first


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
    n = x.size
    least = low = x.dtype.type(-np.inf)
    most = high = x.dtype.type(np.inf)
    if n > DIRECT:
        low, middle, high = _sampled_pivots(x, rank, magnitude, scratch)
        if _expected_between(rank, n, False) > n // FEW:
            below, lower_half, upto = _counts(x, magnitude, low, middle, high)
            least, low, high, most = bracketed(
                x, rank + 1, low, middle, high, below, lower_half, upto, n // 40
            )
    while True:
        below, inside = _keep_between(x, low, high, magnitude, scratch)
        if rank < below:
            low, high = least, low
        elif rank >= below + inside and high < np.inf:
            low, high = high, most
        else:
            break
    if rank >= below + inside:
        return x.dtype.type(np.nan)
    return quickselect(scratch, inside, rank - below)


@inner
def _sample_ranks(rank, n):
    """Where in the sorted sample to look for pivots below, about and above the entry of `rank`."""
    size = min(SAMPLE, n // 16)
    center = rank / n * size
    margin = 1.0 + 3.0 * np.sqrt(1.0 + center * (size - center) / size)
    return int(center - margin), int(center), int(center + margin), size


@inner
def _expected_between(rank, n, all_above):
    """How many entries to expect between the outer pivots, or from the lower one upwards."""
    first, _, last, size = _sample_ranks(rank, n)
    stop = size if all_above else min(last, size)
    return (stop - max(first, 0)) * (n // size)


@inner
def _sampled_pivots(x, rank, magnitude, scratch):
    """Pivots below, about and above the entry of `rank`, infinite where the sample has none."""
    first, center, last, size = _sample_ranks(rank, x.size)
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
    middle = high
    if center < kept:
        middle = quickselect(scratch, kept, center)
        kept = center
    if 0 <= first < kept:
        low = quickselect(scratch, kept, first)
    return low, middle, high


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
def _counts(x, magnitude, low, middle, high):
    """How many entries are < low, <= middle and <= high."""
    below = lower_half = upto = 0
    for i in range(x.size):
        v = abs(x[i]) if magnitude else x[i]
        below += v < low
        lower_half += v <= middle
        upto += v <= high
    return below, lower_half, upto


@inner
def bracketed(x, target, low, middle, high, below, lower_half, upto, count):
    """Outer bounds of the entry sought, and pivots between them to try first.

    The entry is the smallest whose entries up to it weigh `target`; the other weights are those
    up to the pivots. Between two of these about `count` entries are expected.
    """
    if target <= below:
        high = low
        low = x.dtype.type(-np.inf)
    elif target <= lower_half:
        share = (target - below) / (lower_half - below)
        return _interpolated(x, low, middle, share, count)
    elif target <= upto:
        share = (target - lower_half) / (upto - lower_half)
        return _interpolated(x, middle, high, share, count)
    else:
        low = high
        high = x.dtype.type(np.inf)
    return low, low, high, high


@inner
def _interpolated(x, low, high, share, count):
    """Pivots about the point that divides [low, high] as `share` divides its weight."""
    start, stop = low, high
    width = high - low
    if width < np.inf:
        slack = 1 / 48 + 1.5 / np.sqrt(count)
        start = x.dtype.type(low + max(share - slack, 0.0) * width)
        stop = x.dtype.type(min(low + (share + slack) * width, high))
    return low, start, stop, high


@inner
def _keep_between(x, low, high, magnitude, kept):
    """Copy entries in [low, high]; how many lie below, how many were copied."""
    below = size = 0
    whole = x.size - x.size % BLOCK
    for start in range(0, whole, BLOCK):
        block = x[start : start + BLOCK]
        under = upto = 0
        for i in range(BLOCK):
            v = abs(block[i]) if magnitude else block[i]
            under += v < low
            upto += v <= high
        below += under
        hits = upto - under
        i = 0
        while hits > 0:  # to the last hit, without a branch on where they are
            v = abs(block[i]) if magnitude else block[i]
            kept[size] = v
            hit = (v >= low) & (v <= high)
            size += hit
            hits -= hit
            i += 1
    for i in range(whole, x.size):
        v = abs(x[i]) if magnitude else x[i]
        kept[size] = v
        below += v < low
        size += (v >= low) & (v <= high)
    return below, size


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
    if k == 0:
        return x.dtype.type(np.inf)
    low = x.dtype.type(0)
    exact = False
    if n > DIRECT:
        exact = _expected_between(n - k, n, True) > n // 16
        if not exact:
            low, _, _ = _sampled_pivots(x, n - k, True, scratch)
    count = 0 if exact else _indices_from(x, low, candidates)
    if count < k:
        exact = True
        low = select(x, n - k, True, scratch)
        if not low < np.inf:
            low = x.dtype.type(np.inf)
        count = _indices_from(x, low, candidates)
    if not exact:
        for c in range(count):
            scratch[c] = _magnitude(x[candidates[c]])
        low = quickselect(scratch, count, count - k)
    ties = k
    for c in range(count):
        ties -= _magnitude(x[candidates[c]]) > low
    size = 0
    for c in range(count):
        v = _magnitude(x[candidates[c]])
        if v > low or (v == low and ties > 0):
            ties -= v == low
            indices[size] = candidates[c]
            size += 1
    return low


@inner
def _magnitude(v):
    return abs(v) if v == v else np.inf


@inner
def _indices_from(x, low, candidates):
    """Indices of the entries with |x_i| >= low or NaN, ascending, and how many there are."""
    size = 0
    whole = x.size - x.size % BLOCK
    for start in range(0, whole, BLOCK):
        block = x[start : start + BLOCK]
        hits = BLOCK
        for i in range(BLOCK):
            hits -= abs(block[i]) < low
        i = 0
        while hits > 0:
            candidates[size] = start + i
            hit = not (abs(block[i]) < low)
            size += hit
            hits -= hit
            i += 1
    for i in range(whole, x.size):
        candidates[size] = i
        size += not (abs(x[i]) < low)
    return size
