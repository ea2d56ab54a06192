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

NONE = -1


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
    lists = np.empty(start[n] + start[n] // 5 + n + 1, np.int32)
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
    """

    lists: np.ndarray  # all lists, with elbow room behind
    start: np.ndarray  # where each list begins
    length: np.ndarray  # 0: dead
    elements: np.ndarray  # elements at the front of a variable's list; -1: is an element itself
    size: np.ndarray  # rows of a supervariable; 0: merged or dropped; < 0: in the new element
    degree: np.ndarray  # bound on the degree of a variable; rows in an element
    mark: np.ndarray  # of elements: 0 dead, else stamp + |Le \ Lme|
    parent: np.ndarray  # what a vertex was absorbed into
    head: np.ndarray  # first variable of each degree, then by `after` and `before`
    after: np.ndarray
    before: np.ndarray
    bucket: np.ndarray  # first variable of each hash, then by `same`
    same: np.ndarray
    code: np.ndarray  # hash of a variable


@inner(merged=True)
def _link(i, degree, head, after, before):
    """Put variable i in front of the list of its degree."""
    first = head[degree]
    if first != NONE:
        before[first] = i
    after[i] = first
    before[i] = NONE
    head[degree] = i


@inner(merged=True)
def _unlink(i, degree, head, after, before):
    """Take variable i out of the list of its degree."""
    left, right = before[i], after[i]
    if right != NONE:
        before[right] = left
    if left != NONE:
        after[left] = right
    else:
        head[degree] = right


@inner
def _compress(g, free):
    """Close the gaps between live lists; return where free space begins."""
    # The first entry of a list changes places with its owner's name, which marks the beginning.
    for i in range(g.length.size):
        if g.length[i] > 0:
            p = g.start[i]
            g.start[i] = g.lists[p]
            g.lists[p] = -i - 2
    to = 0
    p = np.int64(0)
    while p < free:
        owner = -g.lists[p] - 2
        if owner < 0:
            p += 1
            continue
        g.lists[to] = g.start[owner]
        g.start[owner] = to
        to += 1
        for q in range(p + 1, p + g.length[owner]):
            g.lists[to] = g.lists[q]
            to += 1
        p += g.length[owner]
    return to


@inner(merged=True)
def _move_live(g, begin, count, to):
    """Write the live variables of a list to lists[to:], off the degree lists; (end, rows)."""
    total = 0
    for p in range(begin, begin + count):
        i = g.lists[p]
        rows = g.size[i]
        if rows > 0:
            total += rows
            g.size[i] = -rows
            g.lists[to] = i
            to += 1
            _unlink(i, g.degree[i], g.head, g.after, g.before)
    return to, total


@inner(merged=True)
def _new_element(g, me, free):
    """Eliminate `me`: its list becomes that of the new element; (first, last, rows, free).

    The element is the union of its variables and those of its elements, which it absorbs.
    """
    own = g.elements[me]
    if own == 0:  # in place
        first = g.start[me]
        last, rows = _move_live(g, first, g.length[me], first)
    else:
        if free + g.length.size > g.lists.size:
            free = _compress(g, free)
        first = last = free
        rows = 0
        for q in range(own + 1):
            if q < own:
                e = g.lists[g.start[me] + q]
                last, more = _move_live(g, g.start[e], g.length[e], last)
                g.parent[e] = me
                g.mark[e] = 0
                g.length[e] = 0
            else:
                last, more = _move_live(g, g.start[me] + own, g.length[me] - own, last)
            rows += more
        free = last
    g.start[me] = first
    g.length[me] = last - first
    g.elements[me] = NONE
    g.degree[me] = rows
    return first, last, rows, free


@inner(merged=True)
def _count_outside(g, first, last, stamp):
    r"""Set mark[e] to stamp + |Le \ Lme| for every element that touches the new one."""
    for q in range(first, last):
        i = g.lists[q]
        rows = -g.size[i]
        for p in range(g.start[i], g.start[i] + g.elements[i]):
            e = g.lists[p]
            if g.mark[e] >= stamp:
                g.mark[e] -= rows
            elif g.mark[e] != 0:
                g.mark[e] = g.degree[e] + stamp - rows


@inner(merged=True)
def _update_degrees(g, me, first, last, stamp):
    """Bound degrees, absorb elements inside the new one, hash; return rows that went with it."""
    n = g.length.size
    gone = 0
    for q in range(first, last):
        i = g.lists[q]
        begin = g.start[i]
        end_own = begin + g.elements[i]
        to = begin
        outside = 0
        key = np.int64(me)
        for p in range(begin, end_own):
            e = g.lists[p]
            if g.mark[e] != 0:
                beyond = g.mark[e] - stamp
                if beyond > 0:
                    outside += beyond
                    g.lists[to] = e
                    to += 1
                    key += e
                else:
                    g.parent[e] = me
                    g.mark[e] = 0
                    g.length[e] = 0
        kept = to
        for p in range(end_own, begin + g.length[i]):
            j = g.lists[p]
            if g.size[j] > 0:
                outside += g.size[j]
                g.lists[to] = j
                to += 1
                key += j
        if outside == 0:  # no neighbours but those in me: eliminated with it
            g.parent[i] = me
            gone -= g.size[i]
            g.size[i] = 0
            g.length[i] = 0
        else:
            g.degree[i] = min(g.degree[i], outside)
            # `me` becomes the first element; what it displaces moves to the ends.
            g.lists[to] = g.lists[kept]
            g.lists[kept] = g.lists[begin]
            g.lists[begin] = me
            g.elements[i] = kept - begin + 1
            g.length[i] = to - begin + 1
            key %= n
            g.code[i] = key
            g.same[i] = g.bucket[key]
            g.bucket[key] = i
    return gone


@inner(merged=True)
def _merge_equal(g, first, last, stamp):
    """Make one supervariable of variables with equal lists; return the next unused stamp."""
    for q in range(first, last):
        i = g.lists[q]
        if g.size[i] >= 0:
            continue
        key = g.code[i]
        i = g.bucket[key]
        g.bucket[key] = NONE
        while i != NONE and g.same[i] != NONE:
            for p in range(g.start[i] + 1, g.start[i] + g.length[i]):
                g.mark[g.lists[p]] = stamp
            previous = i
            j = g.same[i]
            while j != NONE:
                equal = g.length[j] == g.length[i] and g.elements[j] == g.elements[i]
                if equal:
                    for p in range(g.start[j] + 1, g.start[j] + g.length[j]):
                        if g.mark[g.lists[p]] != stamp:
                            equal = False
                            break
                if equal:
                    g.parent[j] = i
                    g.size[i] += g.size[j]
                    g.size[j] = 0
                    g.length[j] = 0
                    g.same[previous] = g.same[j]
                else:
                    previous = j
                j = g.same[j]
            stamp += 1
            i = g.same[i]
    return stamp


@inner(merged=True)
def _relink(g, first, last, rows_me, left):
    """Put what remains of the element back into the degree lists; (end, least degree)."""
    to = first
    least = left
    for q in range(first, last):
        i = g.lists[q]
        rows = -g.size[i]
        if rows > 0:
            g.size[i] = rows
            bound = min(g.degree[i] + rows_me - rows, left - rows)
            g.degree[i] = bound
            _link(i, bound, g.head, g.after, g.before)
            least = min(least, bound)
            g.lists[to] = i
            to += 1
    return to, least


@kernel
def _minimum_degree(start, length, lists, free, threshold):
    n = length.size
    none = np.full(n, NONE, np.int32)
    g = Graph(
        lists,
        start,
        length,
        np.zeros(n, np.int32),
        np.ones(n, np.int32),
        length.copy(),
        np.ones(n, np.int64),
        none.copy(),
        np.full(n + 1, NONE, np.int32),
        none.copy(),
        none.copy(),
        none.copy(),
        none.copy(),
        none.copy(),
    )
    step = none  # when a pivot was eliminated
    steps = 0
    eliminated = 0
    for i in range(n):
        if g.degree[i] > threshold:  # nearly full: last of all
            g.size[i] = 0
            g.length[i] = 0
            eliminated += 1
        else:
            _link(i, g.degree[i], g.head, g.after, g.before)

    stamp = np.int64(2)
    largest = 0
    least = 0
    while eliminated < n:
        while g.head[least] == NONE:
            least += 1
        me = g.head[least]
        _unlink(me, least, g.head, g.after, g.before)
        step[me] = steps
        steps += 1
        built = g.elements[me] > 0
        rows_me = g.size[me]
        g.size[me] = -rows_me
        first, last, around, free = _new_element(g, me, free)
        _count_outside(g, first, last, stamp)
        gone = _update_degrees(g, me, first, last, stamp)
        rows_me += gone
        around -= gone
        eliminated += rows_me
        g.degree[me] = around
        largest = max(largest, around)
        stamp = _merge_equal(g, first, last, stamp + largest + 1)
        end, bound = _relink(g, first, last, around, n - eliminated)
        least = min(least, bound)
        g.size[me] = rows_me
        g.length[me] = end - first
        if end == first:
            g.mark[me] = 0
        if built:
            free = end
    return _collect(n, g.parent, step, steps)


@inner
def _collect(n, parent, step, steps):
    """Rows in the order of the pivots they went with; postponed rows last."""
    owner = np.empty(n, np.int32)
    count = np.zeros(steps + 2, np.int32)
    for i in range(n):
        e = i
        while step[e] == NONE and parent[e] != NONE:
            e = parent[e]
        k = step[e] if step[e] != NONE else steps
        owner[i] = k
        count[k + 1] += 1
    for k in range(steps + 1):
        count[k + 1] += count[k]
    order = np.empty(n, np.int32)
    for i in range(n):
        order[count[owner[i]]] = i
        count[owner[i]] += 1
    return order
