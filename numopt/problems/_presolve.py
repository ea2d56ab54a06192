"""Reductions of a quadratic program that cost next to nothing, and the way back.

Rows: without entries or without sides; with one entry (they become bounds); multiples of others.
Variables: with equal bounds; without entries; free ones with one entry and a linear cost, which
tell the multiplier of their row. What would prove that there is no solution is left to the solver.

References
----------
E. Andersen, K. Andersen, "Presolving in linear programming", Math. Prog. 71 (1995),
doi:10.1007/BF01586000.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from numopt.core.jit import inner, kernel
from numopt.linalg.sparse import CSR
from numopt.problems._qp_kernels import Arrays

# What was done, in `steps`.
FIXED, DROPPED, BOUND, FREE, MULTIPLE = range(5)


class Steps(NamedTuple):
    """The record of reductions, in order."""

    what: np.ndarray
    i: np.ndarray  # row, or -1
    j: np.ndarray  # variable; for MULTIPLE the row that stays
    number: np.ndarray  # value of the variable, entry, or ratio of rows
    lower: np.ndarray  # whether the lower bound (of j) is now due to row i; FREE: multiplier
    upper: np.ndarray


class Reduced(NamedTuple):
    """A smaller problem and how to come back from it."""

    arrays: Arrays
    steps: Steps
    rows: np.ndarray  # rows of the problem that stay
    columns: np.ndarray
    sides: np.ndarray  # (2, m): sides of rows when they were eliminated


@kernel
def by_rows(A, m):
    """The transpose of a matrix by columns: itself by rows."""
    n = A.indptr.size - 1
    indptr = np.zeros(m + 1, A.indptr.dtype)
    for k in range(A.indices.size):
        indptr[A.indices[k] + 1] += 1
    for i in range(m):
        indptr[i + 1] += indptr[i]
    at = indptr[:-1].copy()
    indices, data = np.empty(A.indices.size, A.indices.dtype), np.empty(A.data.size)
    for j in range(n):
        for k in range(A.indptr[j], A.indptr[j + 1]):
            i = A.indices[k]
            indices[at[i]], data[at[i]] = j, A.data[k]
            at[i] += 1
    return CSR(data, indices, indptr)


@inner
def _note(steps, count, what, i, j, number, lower, upper):
    steps.what[count], steps.i[count], steps.j[count] = what, i, j
    steps.number[count], steps.lower[count], steps.upper[count] = number, lower, upper
    return count + 1


@inner
def _fix(P, A, j, value, q, l, u, alive_row, alive, in_row, in_P):  # noqa: E741
    """Put a value for variable j into rows and costs."""
    for k in range(A.indptr[j], A.indptr[j + 1]):
        i = A.indices[k]
        if alive_row[i] and A.data[k] != 0:
            l[i] -= A.data[k] * value
            u[i] -= A.data[k] * value
            in_row[i] -= 1
    for k in range(P.indptr[j], P.indptr[j + 1]):
        i = P.indices[k]
        if i != j and alive[i] and P.data[k] != 0:
            q[i] += P.data[k] * value
            in_P[i] -= 1


@kernel
def reduce(P, A, R, q, l, u, lb, ub, alive_row, alive, steps):  # noqa: E741
    """Apply reductions in place until none is left; return how many there were.

    P by columns, A by columns, R = A by rows.
    """
    n, m = q.size, l.size
    count = 0
    in_row, in_column, in_P = np.zeros(m, np.int64), np.zeros(n, np.int64), np.zeros(n, np.int64)
    for j in range(n):
        alive[j] = True
        for k in range(A.indptr[j], A.indptr[j + 1]):
            if A.data[k] != 0:
                in_row[A.indices[k]] += 1
                in_column[j] += 1
        for k in range(P.indptr[j], P.indptr[j + 1]):
            if P.data[k] != 0:
                in_P[j] += 1
    for i in range(m):
        alive_row[i] = True
    again = True
    while again:
        again = False
        for i in range(m):
            if not alive_row[i] or in_row[i] > 1:
                if not (alive_row[i] and l[i] == -np.inf and u[i] == np.inf):
                    continue
            if (l[i] == -np.inf and u[i] == np.inf) or (in_row[i] == 0 and l[i] <= 0 <= u[i]):
                count = _note(steps, count, DROPPED, i, -1, 0.0, 0.0, 0.0)
            elif in_row[i] == 1:
                j, a = -1, 0.0
                for k in range(R.indptr[i], R.indptr[i + 1]):
                    if alive[R.indices[k]] and R.data[k] != 0:
                        j, a = R.indices[k], R.data[k]
                low, high = (l[i] / a, u[i] / a) if a > 0 else (u[i] / a, l[i] / a)
                if not (abs(a) > 1e-9) or max(low, lb[j]) > min(high, ub[j]):
                    continue
                lower, upper = low > lb[j], high < ub[j]
                lb[j], ub[j] = max(low, lb[j]), min(high, ub[j])
                count = _note(steps, count, BOUND, i, j, a, 1.0 * lower, 1.0 * upper)
            else:
                continue
            alive_row[i] = False
            again = True
            for k in range(R.indptr[i], R.indptr[i + 1]):
                if R.data[k] != 0:
                    in_column[R.indices[k]] -= 1
        for j in range(n):
            if not alive[j]:
                continue
            value, fixed = lb[j], lb[j] == ub[j]
            if not fixed and in_column[j] == 0 and in_P[j] == 0:
                value = min(max(0.0, lb[j]), ub[j])
                if q[j] > 0:
                    value = lb[j]
                elif q[j] < 0:
                    value = ub[j]
                fixed = abs(value) < np.inf and lb[j] <= ub[j]
            if fixed:
                alive[j] = False
                _fix(P, A, j, value, q, l, u, alive_row, alive, in_row, in_P)
                count = _note(steps, count, FIXED, -1, j, value, 0.0, 0.0)
                again = True
            elif in_column[j] == 1 and in_P[j] == 0 and lb[j] == -np.inf and ub[j] == np.inf:
                i, a = -1, 0.0
                for k in range(A.indptr[j], A.indptr[j + 1]):
                    if alive_row[A.indices[k]] and A.data[k] != 0:
                        i, a = A.indices[k], A.data[k]
                largest = 0.0
                for k in range(R.indptr[i], R.indptr[i + 1]):
                    if alive[R.indices[k]]:
                        largest = max(largest, abs(R.data[k]))
                multiplier = -q[j] / a
                side = u[i] if multiplier > 0 else l[i] if multiplier < 0 else 0.0
                # A small pivot would spread errors.
                if abs(a) < 1e-3 * largest or abs(side) == np.inf:
                    continue
                for k in range(R.indptr[i], R.indptr[i + 1]):
                    t = R.indices[k]
                    if alive[t] and R.data[k] != 0:
                        in_column[t] -= 1
                        if t != j:
                            q[t] += multiplier * R.data[k]
                alive[j] = alive_row[i] = False
                count = _note(steps, count, FREE, i, j, a, multiplier, 0.0)
                again = True
    return _multiples(R, l, u, alive_row, alive, steps, count)


@inner
def _next(R, k, stop, alive):
    """The next entry of a row in a variable that is still there."""
    while k < stop and (not alive[R.indices[k]] or R.data[k] == 0):
        k += 1
    return k


@inner
def _multiples(R, l, u, alive_row, alive, steps, count):  # noqa: E741
    """Merge rows that are multiples of one another."""
    m = l.size
    code = np.full(m, np.inf)
    for i in range(m):
        if not alive_row[i]:
            continue
        first, total = 0.0, 0.0
        for k in range(R.indptr[i], R.indptr[i + 1]):
            j = R.indices[k]
            if alive[j] and R.data[k] != 0:
                if first == 0:
                    first = R.data[k]
                # A number in [1, 2) for each variable, as different as bits can make it.
                mixed = (np.uint64(j) + np.uint64(1)) * np.uint64(0x9E3779B97F4A7C15)
                total += R.data[k] / first * (1 + np.float64(mixed >> np.uint64(11)) * 2.0**-53)
        code[i] = total
    order = np.argsort(code)
    s = 0
    while s < m and code[order[s]] < np.inf:
        kept = order[s]
        t = s + 1
        while t < m and abs(code[order[t]] - code[kept]) <= 1e-11 * abs(code[kept]):
            i = order[t]
            p, q = R.indptr[kept], R.indptr[i]
            ratio, same = 0.0, True
            while same:
                p = _next(R, p, R.indptr[kept + 1], alive)
                q = _next(R, q, R.indptr[i + 1], alive)
                if p == R.indptr[kept + 1] or q == R.indptr[i + 1]:
                    same = p == R.indptr[kept + 1] and q == R.indptr[i + 1]
                    break
                if ratio == 0:
                    ratio = R.data[q] / R.data[p]
                same = R.indices[p] == R.indices[q]
                same = same and abs(R.data[q] - ratio * R.data[p]) <= 1e-15 * abs(R.data[q])
                p += 1
                q += 1
            if same and alive_row[i] and ratio != 0:
                low, high = l[i] / ratio, u[i] / ratio
                if ratio < 0:
                    low, high = high, low
                if max(low, l[kept]) <= min(high, u[kept]):
                    lower, upper = low > l[kept], high < u[kept]
                    l[kept], u[kept] = max(low, l[kept]), min(high, u[kept])
                    alive_row[i] = False
                    count = _note(steps, count, MULTIPLE, i, kept, ratio, 1.0 * lower, 1.0 * upper)
            t += 1
        s = t
    return count


@kernel
def compress(M, alive_row, alive_column):
    """Rows and columns that are still there, of a matrix by columns."""
    place = np.empty(alive_row.size, M.indices.dtype)
    rows, columns, entries = 0, 0, 0
    for i in range(alive_row.size):
        place[i] = rows
        rows += alive_row[i]
    for j in range(alive_column.size):
        columns += alive_column[j]
        if alive_column[j]:
            for k in range(M.indptr[j], M.indptr[j + 1]):
                entries += alive_row[M.indices[k]]
    indptr = np.zeros(columns + 1, M.indptr.dtype)
    indices, data = np.empty(entries, M.indices.dtype), np.empty(entries)
    at, column = 0, 0
    for j in range(alive_column.size):
        if not alive_column[j]:
            continue
        for k in range(M.indptr[j], M.indptr[j + 1]):
            if alive_row[M.indices[k]]:
                indices[at], data[at] = place[M.indices[k]], M.data[k]
                at += 1
        column += 1
        indptr[column] = at
    return CSR(data, indices, indptr)


@kernel
def expand(data, R, steps, sides, x, y, z_lb, z_ub, proof):
    """Undo the steps: fill in x, y, z_lb and z_ub, in place.

    With `proof`, y and z are a Farkas vector and x a ray: costs, sides and values do not count.
    """
    P, A, q = data[0], data[1], data[2]
    count = steps.what.size
    for s in range(count):
        if steps.what[s] == FIXED:
            x[steps.j[s]] = 0.0 if proof else steps.number[s]
        elif steps.what[s] == FREE:
            y[steps.i[s]] = 0.0 if proof else steps.lower[s]
    for s in range(count - 1, -1, -1):
        i, j, a = steps.i[s], steps.j[s], steps.number[s]
        if steps.what[s] == FIXED:
            r = 0.0 if proof else q[j]
            for k in range(A.indptr[j], A.indptr[j + 1]):
                r += A.data[k] * y[A.indices[k]]
            if not proof:
                for k in range(P.indptr[j], P.indptr[j + 1]):
                    r += P.data[k] * x[P.indices[k]]
            z_lb[j], z_ub[j] = max(r, 0.0), 0.0 - min(r, 0.0)
        elif steps.what[s] == BOUND:
            if steps.lower[s] != 0 and z_lb[j] > 0:
                y[i] -= z_lb[j] / a
                z_lb[j] = 0
            if steps.upper[s] != 0 and z_ub[j] > 0:
                y[i] += z_ub[j] / a
                z_ub[j] = 0
        elif steps.what[s] == MULTIPLE:
            if (steps.lower[s] != 0 and y[j] < 0) or (steps.upper[s] != 0 and y[j] > 0):
                y[i] = y[j] / a
                y[j] = 0
        elif steps.what[s] == FREE:
            total = 0.0
            for k in range(R.indptr[i], R.indptr[i + 1]):
                if R.indices[k] != j:
                    total += R.data[k] * x[R.indices[k]]
            low, high = sides[0, i], sides[1, i]
            if proof:
                goal = 0.0
            elif steps.lower[s] > 0:
                goal = high
            elif steps.lower[s] < 0:
                goal = low
            else:
                goal = min(max(total, low), high)
            x[j] = (goal - total) / a


def _nothing_to_do(arrays: Arrays) -> bool:
    """Whether no reduction applies, by NumPy alone: most problems then compile none of them."""
    P, A, _, l, u, lb, ub = arrays  # noqa: E741
    n, m = lb.size, l.size
    if (A.data == 0).any() or (P.data == 0).any():
        return False
    if (lb == ub).any() or ((l == -np.inf) & (u == np.inf)).any():
        return False
    in_row = np.bincount(A.indices, minlength=m)
    in_column, in_P = np.diff(A.indptr), np.diff(P.indptr)
    free = (lb == -np.inf) & (ub == np.inf)
    if (in_row < 2).any() or ((in_P == 0) & ((in_column == 0) | (free & (in_column == 1)))).any():
        return False
    # Multiples of a row have equal sums of random weights, in units of its first entry.
    columns = np.repeat(np.arange(n), in_column)
    weights = np.random.default_rng(0).random(n) + 1.0
    first = np.zeros(m)
    first[A.indices[::-1]] = A.data[::-1]
    codes = np.bincount(A.indices, A.data * weights[columns], minlength=m) / first
    codes.sort()
    return not (np.diff(codes) <= 1e-9 * np.abs(codes[1:])).any()


def presolve(arrays: Arrays) -> Reduced | None:
    """Reduce a problem, or None where there is nothing to gain."""
    if _nothing_to_do(arrays):
        return None
    P, A, q, l, u, lb, ub = arrays  # noqa: E741
    n, m = q.size, l.size
    R = by_rows(A, m)
    vectors = q.copy(), l.copy(), u.copy(), lb.copy(), ub.copy()
    alive_row, alive = np.empty(m, bool), np.empty(n, bool)
    ints, floats = np.empty((3, n + m), np.int64), np.empty((3, n + m))
    count = reduce(P, A, R, *vectors, alive_row, alive, Steps(*ints, *floats))
    if count == 0:
        return None
    steps = Steps(*ints[:, :count].copy(), *floats[:, :count].copy())
    q, l, u, lb, ub = vectors  # noqa: E741
    smaller = Arrays(
        compress(P, alive, alive), compress(A, alive_row, alive), q[alive], l[alive_row],
        u[alive_row], lb[alive], ub[alive],
    )  # fmt: skip
    return Reduced(smaller, steps, alive_row, alive, np.stack((arrays.l, arrays.u)))


def postsolve(
    arrays: Arrays, reduced: Reduced, point: dict[str, Any], proof: bool = False
) -> dict[str, Any]:
    """A point of the whole problem from one of the reduced."""
    n, m = arrays.q.size, arrays.l.size
    x, z_lb, z_ub = np.zeros((3, n))
    y = np.zeros(m)
    x[reduced.columns], y[reduced.rows] = point["x"], point["y"]
    z_lb[reduced.columns], z_ub[reduced.columns] = point["z_lb"], point["z_ub"]
    R = by_rows(arrays.A, m)
    expand(arrays, R, reduced.steps, reduced.sides, x, y, z_lb, z_ub, proof)
    return {"x": x, "y": y, "z_lb": z_lb, "z_ub": z_ub}
