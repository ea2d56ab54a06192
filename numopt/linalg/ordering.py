r"""Fill-reducing orderings of symmetric patterns: approximate minimum degree.

Eliminating vertex k of the graph of a symmetric matrix joins all its neighbours. A *quotient
graph* stores the clique so made as one *element*: a list of its vertices. Every uneliminated
*variable* keeps a list of elements and a list of variables; its degree is bounded from above by

.. math:: d_i = \min\Bigl(n - k,\; d_i^{old} + |L_{me} \setminus i|,\;
          |A_i \setminus i| + |L_{me} \setminus i| + \sum_e |L_e \setminus L_{me}|\Bigr),

which costs one scan of the lists that touch the new element `me`. Indistinguishable variables are
merged into supervariables (found by hashing), variables whose only neighbours are in `me` go with
it (mass elimination), elements inside `me` are absorbed, and nearly full rows are put last.

References
----------
P. Amestoy, T. Davis, I. Duff, "An approximate minimum degree ordering algorithm", SIAM J. Matrix
Anal. Appl. 17 (1996), doi:10.1137/S0895479894278952. A. George, J. Liu, "The evolution of the
minimum degree ordering algorithm", SIAM Review 31 (1989), doi:10.1137/1031001.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.ldl_kernels.symbolic import span

NONE = -1
LAST_STAMP = 2**31 - 1


def minimum_degree(indptr: np.ndarray, indices: np.ndarray, dense: float = 10.0) -> np.ndarray:
    """Order a symmetric pattern so that its factor stays sparse.

    Parameters
    ----------
    indptr, indices : arrays
        Compressed columns of a pattern of which either triangle or both are stored; the diagonal
        is ignored, repeated entries do no harm.
    dense : float, default 10
        Rows with more than ``max(16, dense * sqrt(n))`` entries are ordered last.

    Returns
    -------
    order : array of int32
        ``order[k]`` is the row to be eliminated k-th.

    Examples
    --------
    The hub of a star goes last, so that nothing fills in.

    >>> import numpy as np
    >>> from numopt.linalg.ordering import minimum_degree
    >>> order = minimum_degree(np.array([0, 3, 3, 3, 3]), np.array([1, 2, 3]))
    >>> bool(0 in order[2:])
    True
    """
    n = indptr.size - 1
    if n == 0:
        return np.empty(0, np.int32)
    if max(n, 3 * len(indices)) > LAST_STAMP:
        raise ValueError(f"the pattern has {len(indices)} entries, more than 32-bit lists can hold")
    start, length, lists, free = adjacency(np.asarray(indptr, np.int64), _as_uint32(indices))
    threshold = n if dense < 0 else min(n, int(max(16.0, dense * np.sqrt(n))))
    return _minimum_degree(start, length, lists, free, threshold)


def _as_uint32(indices: np.ndarray) -> np.ndarray:
    """Index arrays are unsigned: compiled code then skips the test for negative indices."""
    return np.ascontiguousarray(indices, dtype=np.uint32)


@kernel
def adjacency(indptr, indices):
    """Lists of neighbours, both triangles, each once, with elbow room behind."""
    n = indptr.size - 1
    length = np.zeros(n, np.int32)
    for j in range(n):
        for p in range(indptr[j], indptr[j + 1]):
            i = indices[p]
            if i != j:
                length[i] += 1
                length[j] += 1
    start = np.zeros(n + 1, np.int64)
    for j in range(n):
        start[j + 1] = start[j] + length[j]
        length[j] = 0
    lists = np.empty(start[n] + start[n] // 5 + n + 1, np.uint32)
    for j in range(n):
        for p in range(indptr[j], indptr[j + 1]):
            i = indices[p]
            if i != j:
                lists[start[i] + length[i]] = j
                length[i] += 1
                lists[start[j] + length[j]] = i
                length[j] += 1
    # Both triangles stored: every neighbour stands there twice.
    seen = np.full(n, NONE, np.int32)
    free = 0
    for j in range(n):
        first = free
        for p in range(start[j], start[j] + length[j]):
            i = lists[p]
            if seen[i] != j:
                seen[i] = j
                lists[free] = i
                free += 1
        start[j] = first
        length[j] = free - first
    return start, length, lists, free


class Graph(NamedTuple):
    """Quotient graph. Vertices are variables, then elements once eliminated.

    A variable's list holds its elements first, then variables; an element's list its variables.
    What belongs to a vertex stands together, in one line of the cache.
    """

    lists: np.ndarray  # all lists, with elbow room behind
    vertex: np.ndarray  # (n, FIELDS)
    head: np.ndarray  # first variable of each degree, then by AFTER and BEFORE
    bucket: np.ndarray  # first variable of each hash, then by SAME


FIELDS = 12
(
    START,  # where the list begins
    LENGTH,  # of the list; 0: dead
    ELEMENTS,  # elements at the front of a variable's list; -1: is an element itself
    SIZE,  # rows of a supervariable; 0: merged or dropped; < 0: in the new element
    DEGREE,  # bound on the degree of a variable; rows in an element
    MARK,  # of elements: 0 dead, else stamp + |Le \ Lme|
    PARENT,  # what a vertex was absorbed into
    AFTER,
    BEFORE,
    SAME,
    CODE,  # hash of a variable
    STEP,  # when a pivot was eliminated
) = range(FIELDS)


@inner(merged=True)
def _link(v, head, i, degree):
    """Put variable i in front of the list of its degree."""
    first = head[degree]
    if first != NONE:
        v[first, BEFORE] = i
    v[i, AFTER] = first
    v[i, BEFORE] = NONE
    head[degree] = i


@inner(merged=True)
def _unlink(v, head, i):
    """Take variable i out of the list of its degree."""
    left, right = v[i, BEFORE], v[i, AFTER]
    if right != NONE:
        v[right, BEFORE] = left
    if left != NONE:
        v[left, AFTER] = right
    else:
        head[v[i, DEGREE]] = right


@inner
def _compress(g, free):
    """Close the gaps between live lists; return where free space begins."""
    # The first entry of a list changes places with its owner's name, which marks the beginning.
    lists, v = g.lists, g.vertex
    n = v.shape[0]
    for i in range(n):
        if v[i, LENGTH] > 0:
            p = v[i, START]
            v[i, START] = lists[p]
            lists[p] = n + i
    to = 0
    p = 0
    while p < free:
        if lists[p] < n:
            p += 1
            continue
        owner = np.int64(lists[p]) - n
        lists[to] = v[owner, START]
        v[owner, START] = to
        to += 1
        for q in range(p + 1, p + v[owner, LENGTH]):
            lists[to] = lists[q]
            to += 1
        p += v[owner, LENGTH]
    return to


@inner(merged=True)
def _move_live(g, begin, count, to):
    """Write the live variables of a list to lists[to:], off the degree lists; (end, rows)."""
    lists, v = g.lists, g.vertex
    total = 0
    for p in span(begin, begin + count):
        i = lists[p]
        rows = v[i, SIZE]
        if rows > 0:
            total += rows
            v[i, SIZE] = -rows
            lists[np.uintp(to)] = i
            to += 1
            _unlink(v, g.head, i)
    return to, total


@inner(merged=True)
def _new_element(g, me, free):
    """Eliminate `me`: its list becomes that of the new element; (first, last, rows, free).

    The element is the union of its variables and those of its elements, which it absorbs.
    """
    lists, v = g.lists, g.vertex
    own = np.int64(v[me, ELEMENTS])
    begin = np.int64(v[me, START])
    if own == 0:  # in place
        first = begin
        last, rows = _move_live(g, first, np.int64(v[me, LENGTH]), first)
    else:
        if free + v.shape[0] > lists.size:
            free = _compress(g, free)
            begin = np.int64(v[me, START])
        first = last = free
        rows = 0
        for q in range(own + 1):
            if q < own:
                e = lists[np.uintp(begin + q)]
                last, more = _move_live(g, np.int64(v[e, START]), np.int64(v[e, LENGTH]), last)
                v[e, PARENT] = me
                v[e, MARK] = 0
                v[e, LENGTH] = 0
            else:
                last, more = _move_live(g, begin + own, np.int64(v[me, LENGTH]) - own, last)
            rows += more
        free = last
    v[me, START] = first
    v[me, LENGTH] = last - first
    v[me, ELEMENTS] = NONE
    v[me, DEGREE] = rows
    return first, last, rows, free


@inner(merged=True)
def _count_outside(g, first, last, stamp):
    r"""Set MARK of e to stamp + |Le \ Lme| for every element that touches the new one."""
    lists, v = g.lists, g.vertex
    for q in span(first, last):
        i = lists[q]
        rows = -v[i, SIZE]
        begin = np.int64(v[i, START])
        for p in span(begin, begin + v[i, ELEMENTS]):
            e = lists[p]
            if v[e, MARK] >= stamp:
                v[e, MARK] -= rows
            elif v[e, MARK] != 0:
                v[e, MARK] = v[e, DEGREE] + stamp - rows


@inner(merged=True)
def _update_degrees(g, me, first, last, stamp):
    """Bound degrees, absorb elements inside the new one, hash; return rows that went with it."""
    lists, v, bucket = g.lists, g.vertex, g.bucket
    mask = np.uint32(bucket.size - 1)
    gone = 0
    for q in span(first, last):
        i = lists[q]
        begin = np.int64(v[i, START])
        end_own = begin + v[i, ELEMENTS]
        to = begin
        outside = np.int64(0)
        key = np.uint32(me)
        for p in span(begin, end_own):
            e = lists[p]
            if v[e, MARK] != 0:
                beyond = np.int64(v[e, MARK]) - stamp
                if beyond > 0:
                    outside += beyond
                    lists[np.uintp(to)] = e
                    to += 1
                    key += e
                else:
                    v[e, PARENT] = me
                    v[e, MARK] = 0
                    v[e, LENGTH] = 0
        kept = to
        for p in span(end_own, begin + v[i, LENGTH]):
            j = lists[p]
            if v[j, SIZE] > 0:
                outside += v[j, SIZE]
                lists[np.uintp(to)] = j
                to += 1
                key += j
        if outside == 0:  # no neighbours but those in me: eliminated with it
            v[i, PARENT] = me
            gone -= v[i, SIZE]
            v[i, SIZE] = 0
            v[i, LENGTH] = 0
        else:
            v[i, DEGREE] = min(np.int64(v[i, DEGREE]), outside)
            # `me` becomes the first element; what it displaces moves to the ends.
            lists[np.uintp(to)] = lists[np.uintp(kept)]
            lists[np.uintp(kept)] = lists[np.uintp(begin)]
            lists[np.uintp(begin)] = me
            v[i, ELEMENTS] = kept - begin + 1
            v[i, LENGTH] = to - begin + 1
            code = np.uint32(key & mask)
            v[i, CODE] = code
            v[i, SAME] = bucket[code]
            bucket[code] = i
    return gone


@inner(merged=True)
def _merge_equal(g, first, last, stamp):
    """Make one supervariable of variables with equal lists; return the next unused stamp."""
    lists, v, bucket = g.lists, g.vertex, g.bucket
    for q in span(first, last):
        name = lists[q]
        if v[name, SIZE] >= 0:
            continue
        code = np.uint32(v[name, CODE])
        i = bucket[code]
        bucket[code] = NONE
        while i != NONE and v[i, SAME] != NONE:
            begin = np.int64(v[i, START])
            for p in span(begin + 1, begin + v[i, LENGTH]):
                v[lists[p], MARK] = stamp
            previous = i
            j = v[i, SAME]
            while j != NONE:
                equal = v[j, LENGTH] == v[i, LENGTH] and v[j, ELEMENTS] == v[i, ELEMENTS]
                if equal:
                    begin = np.int64(v[j, START])
                    for p in span(begin + 1, begin + v[j, LENGTH]):
                        if v[lists[p], MARK] != stamp:
                            equal = False
                            break
                if equal:
                    v[j, PARENT] = i
                    v[i, SIZE] += v[j, SIZE]
                    v[j, SIZE] = 0
                    v[j, LENGTH] = 0
                    v[previous, SAME] = v[j, SAME]
                else:
                    previous = j
                j = v[j, SAME]
            stamp += 1
            i = v[i, SAME]
    return stamp


@inner(merged=True)
def _relink(g, first, last, rows_me, left):
    """Put what remains of the element back into the degree lists; (end, least degree)."""
    lists, v = g.lists, g.vertex
    to = first
    least = left
    for q in span(first, last):
        i = lists[q]
        rows = -v[i, SIZE]
        if rows > 0:
            v[i, SIZE] = rows
            bound = min(v[i, DEGREE] + rows_me - rows, left - rows)
            v[i, DEGREE] = bound
            _link(v, g.head, i, bound)
            least = min(least, bound)
            lists[np.uintp(to)] = i
            to += 1
    return to, least


@kernel
def _minimum_degree(start, length, lists, free, threshold):
    n = length.size
    buckets = 16
    while buckets < min(n, 4096):
        buckets *= 2
    v = np.empty((n, FIELDS), np.int32)
    head = np.full(n + 1, NONE, np.int32)
    g = Graph(lists, v, head, np.full(buckets, NONE, np.int32))
    steps = 0
    eliminated = 0
    for i in range(n):
        v[i, START], v[i, LENGTH], v[i, DEGREE] = start[i], length[i], length[i]
        v[i, ELEMENTS] = 0
        v[i, SIZE] = v[i, MARK] = 1
        v[i, PARENT] = v[i, STEP] = v[i, SAME] = NONE
        if length[i] > threshold:  # nearly full: last of all
            v[i, SIZE] = v[i, LENGTH] = 0
            eliminated += 1
        else:
            _link(v, head, i, length[i])

    stamp = np.int64(2)
    largest = 0
    least = 0
    while eliminated < n:
        while head[least] == NONE:
            least += 1
        me = np.uint32(head[least])
        _unlink(v, head, me)
        v[me, STEP] = steps
        steps += 1
        built = v[me, ELEMENTS] > 0
        rows_me = np.int64(v[me, SIZE])
        v[me, SIZE] = -rows_me
        if stamp > LAST_STAMP - 2 * n:
            for i in range(n):
                v[i, MARK] = v[i, MARK] != 0
            stamp = np.int64(2)
        first, last, around, free = _new_element(g, me, free)
        _count_outside(g, first, last, stamp)
        gone = _update_degrees(g, me, first, last, stamp)
        rows_me += gone
        around -= gone
        eliminated += rows_me
        v[me, DEGREE] = around
        largest = max(largest, around)
        stamp = _merge_equal(g, first, last, stamp + largest + 1)
        end, bound = _relink(g, first, last, around, n - eliminated)
        least = min(least, bound)
        v[me, SIZE] = rows_me
        v[me, LENGTH] = end - first
        if end == first:
            v[me, MARK] = 0
        if built:
            free = end
    return _collect(v, steps)


@inner
def _collect(v, steps):
    """Rows in the order of the pivots they went with; postponed rows last."""
    n = v.shape[0]
    owner = np.empty(n, np.int32)
    count = np.zeros(steps + 2, np.int32)
    for i in range(n):
        e = i
        while v[e, STEP] == NONE and v[e, PARENT] != NONE:
            e = v[e, PARENT]
        k = v[e, STEP] if v[e, STEP] != NONE else steps
        owner[i] = k
        count[k + 1] += 1
    for k in range(steps + 1):
        count[k + 1] += count[k]
    order = np.empty(n, np.int32)
    for i in range(n):
        order[count[owner[i]]] = i
        count[owner[i]] += 1
    return order
