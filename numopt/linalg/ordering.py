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


@inner
def _link(i, degree, head, after, before):
    """Put variable i in front of the list of its degree."""
    first = head[degree]
    if first != NONE:
        before[first] = i
    after[i] = first
    before[i] = NONE
    head[degree] = i


@inner
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
def _compress(n, start, length, lists, free):
    """Close the gaps between live lists; return where free space begins."""
    # The first entry of a list is swapped with its owner's name, which marks where lists begin.
    for i in range(n):
        if length[i] > 0:
            p = start[i]
            start[i] = lists[p]
            lists[p] = -i - 2
    to = 0
    p = np.int64(0)
    while p < free:
        owner = -lists[p] - 2
        if owner < 0:
            p += 1
            continue
        lists[to] = start[owner]
        start[owner] = to
        to += 1
        for q in range(p + 1, p + length[owner]):
            lists[to] = lists[q]
            to += 1
        p += length[owner]
    return to


@kernel
def _minimum_degree(start, length, lists, free, threshold):
    """Approximate minimum degree; an element's list replaces that of the variable it was.

    Variables have `elements[i] >= 0` elements at the front of their lists; `size` is the number
    of rows in a supervariable, 0 once merged or dropped, negative while it is in the new element.
    `parent` is what a row was absorbed into. Lists of length 0 are dead.
    """
    n = length.size
    capacity = lists.size
    size = np.ones(n, np.int32)
    elements = np.zeros(n, np.int32)
    degree = length.copy()
    mark = np.ones(n, np.int64)  # elements: 0 dead, else stamp + |Le \ Lme|
    parent = np.full(n, NONE, np.int32)
    step = np.full(n, NONE, np.int32)  # when a pivot was eliminated
    head = np.full(n + 1, NONE, np.int32)
    after = np.full(n, NONE, np.int32)
    before = np.full(n, NONE, np.int32)
    bucket = np.full(n, NONE, np.int32)
    same = np.full(n, NONE, np.int32)  # next of equal hash
    code = np.zeros(n, np.int32)
    stamp = np.int64(2)
    largest = 0
    eliminated = 0
    steps = 0
    postponed = 0

    for i in range(n):
        if degree[i] > threshold:
            size[i] = 0
            length[i] = 0
            postponed += 1
            eliminated += 1
        else:
            _link(i, degree[i], head, after, before)

    least = 0
    while eliminated < n:
        while head[least] == NONE:
            least += 1
        me = head[least]
        _unlink(me, least, head, after, before)
        step[me] = steps
        steps += 1
        n_own = elements[me]
        rows_me = size[me]
        eliminated += rows_me
        size[me] = -rows_me
        degree_me = 0

        # The new element: all live variables of the lists of `me` and of its elements.
        if n_own == 0:
            first = start[me]
            last = first
            for p in range(first, first + length[me]):
                i = lists[p]
                rows = size[i]
                if rows > 0:
                    degree_me += rows
                    size[i] = -rows
                    lists[last] = i
                    last += 1
                    _unlink(i, degree[i], head, after, before)
        else:
            needed = length[me] - n_own
            for p in range(start[me], start[me] + n_own):
                needed += length[lists[p]]
            if free + needed > capacity:
                free = _compress(n, start, length, lists, free)
                if free + needed > capacity:
                    larger = np.empty(2 * capacity + needed, np.int32)
                    for p in range(free):
                        larger[p] = lists[p]
                    lists = larger
                    capacity = larger.size
            first = free
            last = free
            for q in range(n_own + 1):
                if q < n_own:
                    e = lists[start[me] + q]
                    begin, count = start[e], length[e]
                else:
                    e = me
                    begin, count = start[me] + n_own, length[me] - n_own
                for p in range(begin, begin + count):
                    i = lists[p]
                    rows = size[i]
                    if rows > 0:
                        degree_me += rows
                        size[i] = -rows
                        lists[last] = i
                        last += 1
                        _unlink(i, degree[i], head, after, before)
                if e != me:
                    parent[e] = me
                    mark[e] = 0
                    length[e] = 0
            free = last
        start[me] = first
        length[me] = last - first
        elements[me] = NONE
        degree[me] = degree_me

        # |Le \ Lme| for every element that touches the new one.
        for q in range(first, last):
            i = lists[q]
            rows = -size[i]
            for p in range(start[i], start[i] + elements[i]):
                e = lists[p]
                if mark[e] >= stamp:
                    mark[e] -= rows
                elif mark[e] != 0:
                    mark[e] = degree[e] + stamp - rows

        # Degrees, absorption of elements, mass elimination, hashing.
        for q in range(first, last):
            i = lists[q]
            begin = start[i]
            end_own = begin + elements[i]
            to = begin
            outside = 0
            key = np.int64(me)
            for p in range(begin, end_own):
                e = lists[p]
                if mark[e] != 0:
                    beyond = mark[e] - stamp
                    if beyond > 0:
                        outside += beyond
                        lists[to] = e
                        to += 1
                        key += e
                    else:  # everything of e is in me
                        parent[e] = me
                        mark[e] = 0
                        length[e] = 0
            kept = to
            for p in range(end_own, begin + length[i]):
                j = lists[p]
                if size[j] > 0:
                    outside += size[j]
                    lists[to] = j
                    to += 1
                    key += j
            if outside == 0:
                parent[i] = me
                rows = -size[i]
                degree_me -= rows
                rows_me += rows
                eliminated += rows
                size[i] = 0
                length[i] = 0
            else:
                degree[i] = min(degree[i], outside)
                # `me` becomes the first element; what it displaces moves to the ends.
                lists[to] = lists[kept]
                lists[kept] = lists[begin]
                lists[begin] = me
                elements[i] = kept - begin + 1
                length[i] = to - begin + 1
                key %= n
                code[i] = key
                same[i] = bucket[key]
                bucket[key] = i
        degree[me] = degree_me
        largest = max(largest, degree_me)
        stamp += largest + 1

        # Variables with equal lists become one supervariable.
        for q in range(first, last):
            i = lists[q]
            if size[i] >= 0:
                continue
            key = code[i]
            i = bucket[key]
            bucket[key] = NONE
            while i != NONE and same[i] != NONE:
                for p in range(start[i] + 1, start[i] + length[i]):
                    mark[lists[p]] = stamp
                previous = i
                j = same[i]
                while j != NONE:
                    equal = length[j] == length[i] and elements[j] == elements[i]
                    if equal:
                        for p in range(start[j] + 1, start[j] + length[j]):
                            if mark[lists[p]] != stamp:
                                equal = False
                                break
                    if equal:
                        parent[j] = i
                        size[i] += size[j]
                        size[j] = 0
                        length[j] = 0
                        same[previous] = same[j]
                    else:
                        previous = j
                    j = same[j]
                stamp += 1
                i = same[i]

        # Back into the degree lists; the element keeps principal variables only.
        to = first
        for q in range(first, last):
            i = lists[q]
            rows = -size[i]
            if rows > 0:
                size[i] = rows
                bound = min(degree[i] + degree_me - rows, n - eliminated - rows)
                degree[i] = bound
                _link(i, bound, head, after, before)
                least = min(least, bound)
                lists[to] = i
                to += 1
        size[me] = rows_me
        length[me] = to - first
        if to == first:
            mark[me] = 0
        if n_own > 0:
            free = to
    return _collect(n, parent, step, steps, postponed)


@inner
def _collect(n, parent, step, steps, postponed):
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
