"""Quadratic models on a working set: Gram matrices and their minimiser."""

from __future__ import annotations

from contextlib import nullcontext
from typing import Any, NamedTuple

import numpy as np
import scipy.sparse as sp
from scipy.linalg import get_lapack_funcs

from numopt.core.blas import one_blas_thread
from numopt.core.engine import time_left
from numopt.core.jit import kernel
from numopt.core.matrices import col_axpy
from numopt.solvers._parts.units import add_curvatures, reach, slopes_on, sweep, value_on

# Rows of the working set's columns that are multiplied at once: they stay in the cache.
CHUNK = 2**17
# Size of a factorisation, flops of a product, from which on BLAS uses threads, and should.
SMALL, LARGE = 64, 1e9


class Model(NamedTuple):
    """q'(v - w) + (v - w)' Q (v - w) / 2 + penalty(v), over the coordinates of some units."""

    units: np.ndarray  # of the working set
    starts: np.ndarray  # units + 1, where the coordinates of each begin
    members: np.ndarray  # their coordinates
    Q: np.ndarray  # Gram matrix over them
    bounds: np.ndarray  # units, bound on the largest eigenvalue of each unit's own part of Q
    q: np.ndarray  # gradient at w
    w: np.ndarray  # the point, moved in place
    x: np.ndarray  # p, scratch
    v: np.ndarray  # p, scratch


class Rows(NamedTuple):
    """Some columns of a sparse matrix, row by row."""

    starts: np.ndarray
    columns: np.ndarray
    data: np.ndarray


# ---- Gram matrices -------------------------------------------------------------------------------


@kernel
def take_rows(X, index, begin, stop, root, out):
    """Rows begin..stop of columns `index` of X, times `root`, in Fortran order."""
    for k in range(index.size):
        for i in range(begin, stop):
            out[i - begin, k] = root[i] * X[i, index[k]]


@kernel
def by_rows(X, index, starts, columns, data):
    """Write the columns `index` of sparse X by rows; `starts` comes as n + 2 zeros."""
    for k in range(index.size):
        for e in range(X.indptr[index[k]], X.indptr[index[k] + 1]):
            starts[X.indices[e] + 2] += 1
    for i in range(2, starts.size):
        starts[i] += starts[i - 1]
    for k in range(index.size):
        for e in range(X.indptr[index[k]], X.indptr[index[k] + 1]):
            at = starts[X.indices[e] + 1]
            columns[at], data[at] = k, X.data[e]
            starts[X.indices[e] + 1] += 1


@kernel
def gram_by_rows(rows, h, old, gram):
    """Upper part of columns `old` and on of sum_i h_i x_i x_i', x_i the rows; then mirrored."""
    m = gram.shape[0]
    for j in range(old, m):
        for i in range(m):
            gram[i, j] = 0
    for i in range(rows.starts.size - 1):
        start, stop = rows.starts[i], rows.starts[i + 1]
        for b in range(start, stop):
            j = rows.columns[b]
            if j >= old:
                scaled = h[i] * rows.data[b]
                for a in range(start, b + 1):  # columns come in order
                    gram[rows.columns[a], j] += scaled * rows.data[a]
    for j in range(old, m):
        for i in range(j):
            gram[j, i] = gram[i, j]


@kernel
def gather(X, index, out):
    """Columns `index` of X, dense, in Fortran order."""
    for k in range(index.size):
        for i in range(out.shape[0]):
            out[i, k] = 0
        col_axpy(X, index[k], 1.0, out[:, k])


@kernel
def unit_bounds(starts, Q, out):
    """Bound the largest eigenvalue of each unit's diagonal part of Q."""
    for k in range(out.size):
        largest, square = 0.0, 0.0
        for j in range(starts[k], starts[k + 1]):
            total = 0.0
            for i in range(starts[k], starts[k + 1]):
                total += abs(Q[i, j])
                square += Q[i, j] * Q[i, j]
            largest = max(largest, total)
        out[k] = min(largest, np.sqrt(square))


def rows_of(X: Any, index: np.ndarray) -> Rows:
    """The columns `index` of a CSC matrix by rows."""
    size = int((X.indptr[index + 1] - X.indptr[index]).sum())
    starts = np.zeros(X.n_rows + 2, np.int64)
    rows = Rows(starts, np.empty(size, np.int32), np.empty(size, X.data.dtype))
    by_rows(X, index, *rows)
    return rows._replace(starts=starts[:-1])


@np.errstate(over="ignore", invalid="ignore")
def gram_of(source: Any, index: np.ndarray, h: np.ndarray, old: np.ndarray) -> np.ndarray:
    """A_W' diag(h) A_W, given that of the first columns, from a dense matrix or `Rows`."""
    m, k = index.size, len(old)
    gram = np.empty((m, m), h.dtype, "F")
    gram[:k, :k] = old
    if isinstance(source, Rows):
        gram_by_rows(source, h, k, gram)
        return gram
    n, root = h.size, np.sqrt(h)
    step = min(n, max(256, CHUNK // max(m, 1)))
    block = np.empty((step, m), h.dtype, "F")
    threads_pay = m < SMALL or n * m * (m - k) > LARGE
    with nullcontext() if threads_pay else one_blas_thread():
        for begin in range(0, n, step):
            stop = min(n, begin + step)
            part = block[: stop - begin]
            take_rows(source, index, begin, stop, root, block)
            product = part.T @ part[:, k:]  # for k = 0 BLAS computes one half of it
            if begin == 0:
                gram[:, k:] = product
            else:
                gram[:, k:] += product
    gram[k:, :k] = gram[:k, k:].T
    return gram


# What became of a Newton step.
NO_STEP, CUT, FULL_STEP = range(3)

# ---- their minimiser -----------------------------------------------------------------------------


@kernel
def descend(penalty, model, tol, sweeps, floor):
    """Cyclic proximal steps over the units of a model, in place.

    Curvatures below `floor` are raised to it: above a penalty's concavity its prox is continuous,
    so that coordinates slide to the next stationary point instead of jumping past it. Returns the
    largest violation of the last sweep and whether the support stood still in the last two.
    """
    worst, size, stable = 0.0, -1, False
    for _ in range(sweeps):
        worst = sweep(penalty, model, floor)
        nonzero = 0
        for k in range(model.w.size):
            if model.w[k] != 0:
                nonzero += k + 1  # tells most supports apart
        stable = nonzero == size
        size = nonzero
        if worst <= tol:
            break
    return worst, stable


@kernel
def smooth_support(penalty, model, slopes, place):
    """Slopes of the penalty where it is smooth on the support, and their numbering; how many."""
    slopes_on(penalty, model, slopes)
    size = 0
    for k in range(model.w.size):
        place[k] = -1
        if np.isfinite(slopes[k]):
            place[k] = size
            size += 1
    return size


@kernel
def newton_system(penalty, model, slopes, place, H, down):
    """Hessian and negative gradient on the smooth part of the support."""
    for k in range(model.w.size):
        if place[k] >= 0:
            down[place[k]] = -(model.q[k] + slopes[k])
            for t in range(model.w.size):
                if place[t] >= 0:
                    H[place[t], place[k]] = model.Q[t, k]
    add_curvatures(penalty, model, slopes, place, H)


@kernel
def newton_step(penalty, model, place, d, noise):
    """Go along d, each coordinate to its kink or bound at most, if that lowers the model.

    If it does not, all go the share of the way to the first kink or bound.
    """
    t, first = 1.0, -1
    trial, ends = model.w.copy(), model.w.copy()
    for k in range(place.size):
        if place[k] >= 0 and d[place[k]] != 0:
            trial[k] = ends[k] = reach(penalty, model, k, d[place[k]])
            share = (ends[k] - model.w[k]) / d[place[k]]
            if ends[k] != model.w[k] + d[place[k]] and share < t:
                t, first = max(share, 0.0), k
    before, Qd = value_on(penalty, model, model.w), np.empty_like(model.q)
    for _ in range(2):
        slope, bend = 0.0, 0.0
        for i in range(Qd.size):
            Qd[i] = 0
        for k in range(place.size):
            change = trial[k] - model.w[k]
            if change != 0:
                slope += model.q[k] * change
                for i in range(Qd.size):
                    Qd[i] += model.Q[i, k] * change
        for k in range(place.size):
            bend += Qd[k] * (trial[k] - model.w[k])
        rise = slope + 0.5 * bend + value_on(penalty, model, trial) - before
        if rise <= noise * (abs(slope) + abs(bend) + abs(before)):
            for k in range(place.size):
                model.w[k] = trial[k]
                model.q[k] += Qd[k]
            return CUT if first >= 0 else FULL_STEP
        if first < 0:
            break
        for k in range(place.size):
            if place[k] >= 0:
                trial[k] = model.w[k] + t * d[place[k]]
        trial[first] = ends[first]
    return NO_STEP


def minimise(penalty: Any, model: Model, tol: float, newton: bool, concavity: float) -> None:
    """Sweeps with Newton steps on the support, until the violation is at most tol."""
    m = model.w.size
    # Few sweeps before each Newton step, but more where a sweep costs less than the call.
    sweeps = max(4, int(1e5 / max(m, 1) ** 2))
    slopes, place = np.empty_like(model.w), np.empty(m, np.int64)
    for _ in range(100):
        worst, stable = descend(penalty, model, tol, sweeps, 1.05 * concavity)
        if worst <= tol or time_left() < 0:
            return
        if newton and stable:
            with one_blas_thread() if m >= SMALL else nullcontext():
                _newton_steps(penalty, model, slopes, place)


def _newton_steps(penalty: Any, model: Model, slopes: np.ndarray, place: np.ndarray) -> None:
    """Newton steps on the support until one needs no cut: each cut takes a coordinate out."""
    wide = model.w.dtype == np.float64
    noise = 50 * float(np.finfo(model.w.dtype).eps)
    potrf, potrs = get_lapack_funcs(("potrf", "potrs"), (model.Q,))
    left = 3e7  # operations: long chains pay where the support is small
    while (size := smooth_support(penalty, model, slopes, place)) and left > 0:
        left -= size**3
        H, down = np.empty((size, size), slopes.dtype, "F"), np.empty(size, slopes.dtype)
        newton_system(penalty, model, slopes, place, H, down)
        ridge = (1e-9 if wide else 1e-4) * np.abs(H.diagonal()).max()
        factor, info = potrf(H, lower=True, clean=False)
        if info != 0:  # more columns than rank: move along the flat directions too, to a cut
            H[np.diag_indices(size)] += ridge
            factor, info = potrf(H, lower=True, overwrite_a=True, clean=False)
        if info != 0:
            return
        d = potrs(factor, down, lower=True)[0]
        if newton_step(penalty, model, place, d, noise) != CUT:
            return


def source_of(problem: Any, X: Any, index: np.ndarray) -> tuple[Any, np.ndarray]:
    """What `gram_of` reads the columns `index` of X from, and where they are there."""
    if not sp.issparse(problem.A):
        return X, index
    rows = rows_of(X, index)
    if rows.data.size <= 0.4 * X.n_rows * index.size:
        return rows, index
    columns = np.empty((X.n_rows, index.size), X.data.dtype, "F")
    gather(X, index, columns)
    return columns, np.arange(index.size)
