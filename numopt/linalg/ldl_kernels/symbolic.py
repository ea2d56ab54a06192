"""Analysis of a symmetric pattern: elimination tree, column counts, supernodes, row structures.

All patterns are compressed columns with int64 pointers and uint32 indices (unsigned: no test for
negative indices in compiled loops). A *supernode* is a range of columns whose factor columns have
one structure below the diagonal block, or nearly so; with one column each, the same code gives the
structure of L itself.

References
----------
J. Liu, "The role of elimination trees in sparse factorization", SIAM J. Matrix Anal. Appl. 11
(1990), doi:10.1137/0611010. J. Gilbert, E. Ng, B. Peyton, "An efficient algorithm to compute row
and column counts for sparse Cholesky factorization", SIAM J. Matrix Anal. Appl. 15 (1994),
doi:10.1137/S089547989223921X. C. Ashcraft, R. Grimes, "The influence of relaxed supernode
partitions on the multifrontal method", ACM TOMS 15 (1989), doi:10.1145/76909.76910.
"""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner, kernel

NONE = -1


@inner
def span(start, stop):
    """range(start, stop) of unsigned numbers: indexing with them costs no sign test."""
    return range(np.uintp(start), np.uintp(stop))


@kernel
def permute_upper(indptr, indices, inverse):
    """Upper triangle of P A P' by columns, and for each entry its place in `indices`.

    Row indices are not sorted within a column.
    """
    n = indptr.size - 1
    pointers = np.zeros(n + 1, np.int64)
    for j in range(n):
        for p in range(indptr[j], indptr[j + 1]):
            pointers[max(inverse[indices[p]], inverse[j]) + 1] += 1
    for j in range(n):
        pointers[j + 1] += pointers[j]
    place = pointers[:-1].copy()
    rows = np.empty(pointers[n], np.uint32)
    source = np.empty(pointers[n], np.uint32)
    for j in range(n):
        b = inverse[j]
        for p in range(indptr[j], indptr[j + 1]):
            a = inverse[indices[p]]
            column = max(a, b)
            rows[place[column]] = min(a, b)
            source[place[column]] = p
            place[column] += 1
    return pointers, rows, source


@kernel
def transpose(indptr, indices, source):
    """Columns of the transposed pattern, sorted, with `source` carried along."""
    n = indptr.size - 1
    pointers = np.zeros(n + 1, np.int64)
    for p in range(indptr[n]):
        pointers[indices[p] + np.uint32(1)] += 1
    for j in range(n):
        pointers[j + 1] += pointers[j]
    place = pointers[:-1].copy()
    rows = np.empty(indptr[n], np.uint32)
    origin = np.empty(indptr[n], np.uint32)
    for j in range(n):
        for p in range(indptr[j], indptr[j + 1]):
            i = indices[p]
            rows[place[i]] = j
            origin[place[i]] = source[p]
            place[i] += 1
    return pointers, rows, origin


@kernel
def elimination_tree(indptr, indices):
    """Parent of each column in the factor of a matrix given by its upper triangle; -1 at roots."""
    n = indptr.size - 1
    parent = np.full(n, NONE, np.int32)
    ancestor = np.full(n, NONE, np.int32)
    for k in range(n):
        for p in range(indptr[k], indptr[k + 1]):
            i = np.int32(indices[p])
            while i != NONE and i < k:
                above = ancestor[i]
                ancestor[i] = k
                if above == NONE:
                    parent[i] = k
                i = above
    return parent


@kernel
def postorder(parent):
    """Order in which every node follows its descendants, which stand together."""
    n = parent.size
    child = np.full(n, NONE, np.int32)
    sibling = np.full(n, NONE, np.int32)
    for j in range(n - 1, -1, -1):
        if parent[j] != NONE:
            sibling[j] = child[parent[j]]
            child[parent[j]] = j
    order = np.empty(n, np.int32)
    stack = np.empty(n, np.int32)
    done = 0
    for root in range(n):
        if parent[root] != NONE:
            continue
        depth = 0
        stack[0] = root
        while depth >= 0:
            j = stack[depth]
            c = child[j]
            if c == NONE:
                order[done] = j
                done += 1
                depth -= 1
            else:
                child[j] = sibling[c]
                depth += 1
                stack[depth] = c
    return order


@kernel
def column_counts(indptr, indices, parent):
    """Entries of each column of L, diagonal included, for a postordered matrix.

    Takes the *lower* triangle by columns. Counts leaves of row subtrees: nearly linear in nnz(A).
    """
    n = parent.size
    counts = np.zeros(n, np.int64)
    first = np.full(n, NONE, np.int32)  # first descendant
    deepest = np.full(n, NONE, np.int32)  # largest first descendant seen in this row
    previous = np.full(n, NONE, np.int32)  # previous leaf of this row
    ancestor = np.arange(n).astype(np.int32)
    for k in range(n):
        counts[k] = 1 if first[k] == NONE else 0
        j = np.int32(k)
        while j != NONE and first[j] == NONE:
            first[j] = k
            j = parent[j]
    for j in range(n):
        up = parent[j]
        if up != NONE:
            counts[up] -= 1
        for p in range(indptr[j], indptr[j + 1]):
            i = indices[p]
            if i <= j or first[j] <= deepest[i]:
                continue
            deepest[i] = first[j]
            leaf = previous[i]
            previous[i] = j
            counts[j] += 1
            if leaf == NONE:
                continue
            root = leaf  # least common ancestor of two leaves: counted twice
            while root != ancestor[root]:
                root = ancestor[root]
            while leaf != root:
                up_leaf = ancestor[leaf]
                ancestor[leaf] = root
                leaf = up_leaf
            counts[root] -= 1
        if up != NONE:
            ancestor[j] = up
    for j in range(n):
        if parent[j] != NONE:
            counts[parent[j]] += counts[j]
    return counts


@kernel
def supernodes(parent, counts):
    """First column of each supernode, n at the end.

    Columns of one structure go together; beyond that a parent takes in its last child while the
    explicit zeros stay few: any number up to 4 columns, 40 % up to 16, 10 % up to 48, then 5 %.
    """
    n = parent.size
    start = np.empty(n + 1, np.int64)
    entries = np.empty(n + 1, np.int64)  # entries of L in the supernode without padding
    count = 0
    j = 0
    while j < n:
        start[count] = j
        entries[count] = counts[j]
        j += 1
        while j < n and parent[j - 1] == j and counts[j] == counts[j - 1] - 1:
            entries[count] += counts[j]
            j += 1
        count += 1
        # `below` stays the same when children join: their rows are among the parent's.
        below = counts[j - 1] - 1
        while count > 1 and parent[start[count - 1] - 1] >= start[count - 1]:
            if parent[start[count - 1] - 1] >= j:
                break
            columns = j - start[count - 2]
            filled = entries[count - 2] + entries[count - 1]
            total = columns * (columns + 1) // 2 + columns * below
            zeros = (total - filled) / total
            if columns <= 4:
                allowed = 1.0
            elif columns <= 16:
                allowed = 0.4
            elif columns <= 48:
                allowed = 0.1
            else:
                allowed = 0.05
            if zeros > allowed:
                break
            entries[count - 2] = filled
            count -= 1
    start[count] = n
    return start[: count + 1].copy()


@kernel
def row_structures(upper_indptr, upper_indices, start, parent, counts):
    """Rows of each supernode below its own columns, ascending: pointers and indices.

    Row i is found in the supernodes on the paths from the entries of row i of A towards the root.
    """
    n = parent.size
    n_super = start.size - 1
    pointers = np.zeros(n_super + 1, np.int64)
    owner = np.empty(n, np.int32)
    above = np.full(n_super, NONE, np.int32)
    seen = np.full(n_super, NONE, np.int32)
    for s in range(n_super):
        for j in range(start[s], start[s + 1]):
            owner[j] = s
        pointers[s + 1] = pointers[s] + counts[start[s + 1] - 1] - 1
    for s in range(n_super):
        up = parent[start[s + 1] - 1]
        if up != NONE:
            above[s] = owner[up]
    place = pointers[:-1].copy()
    rows = np.empty(pointers[n_super], np.uint32)
    for i in range(n):
        top = owner[i]
        seen[top] = i
        for p in range(upper_indptr[i], upper_indptr[i + 1]):
            s = owner[upper_indices[p]]
            while seen[s] != i:
                seen[s] = i
                rows[place[s]] = i
                place[s] += 1
                s = above[s]
    return pointers, rows, owner, above
