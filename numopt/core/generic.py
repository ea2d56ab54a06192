"""Generic functions that kernels call on blocks and matrices.

Each is a Python stub with a Numba overload. Inside a kernel ``prox_1d(penalty, x, step, j)``
resolves, by the namedtuple class of `penalty`, to that block's own method, compiled for it;
called from Python the stub (``core/stubs.py``) does the same by attribute.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    signature,
)
from numba.extending import lower_builtin, overload

from numopt.core.block import handed_on, specs
from numopt.core.gather import gather_dot
from numopt.core.jit import inner, kernel
from numopt.core.stubs import (
    at,
    conjugate_1d,
    conjugate_bound_1d,
    dual_terms,
    fixed_point_residual,
    gradient_1d,
    hessian_1d,
    prox_1d,
    prox_in_metric,
    prox_into,
    separable_dual_terms,
    stationarity,
    subdiff_distance_1d,
    value_1d,
    value_of,
)
from numopt.core.totals import (
    newton_prox,
    sample_prox,
    sum_conjugate,
    sum_gradient,
    sum_prox,
    sum_value,
    total_conjugate,
    total_gradient,
    total_prox,
    total_value,
)

# Overloads are entered from kernels alone: without the wrappers for Python they compile faster.
OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _spec_of(kind: Any) -> Any:
    """The block Spec behind a Numba type, or None."""
    cls = getattr(kind, "instance_class", None)
    return cls if hasattr(cls, "compiled_methods") else None


def method_of(kind: Any, name: str) -> Any:
    """The method `name` of the block behind a Numba type; None where it has none."""
    spec = _spec_of(kind)
    method = None if spec is None else spec.compiled_methods.get(name)
    # One that hands on to the blocks inside is there only where those have what it calls.
    if method is not None and (called := handed_on(method)):
        inside = [member for member in kind if _spec_of(member) is not None]
        if any(method_of(member, other) is None for member in inside for other in called):
            return None
    return method


@functools.cache
def _compiled(method: Any) -> Any:
    return inner(getattr(method, "__func__", method))


@infer_getattr
class _Methods(AttributeTemplate):  # type: ignore[misc]
    """``self.name(...)`` on a block, for every function of its class.

    Numba's `overload_method` would hold all blocks to one signature for each name.
    """

    key = types.BaseNamedTuple

    def generic_resolve(self, block: Any, name: str) -> Any:
        spec = _spec_of(block)
        method = None if spec is None or name in block.fields else spec.methods.get(name)
        if method is None:
            return None
        takes_self = not isinstance(method, staticmethod)
        function = types.Dispatcher(_compiled(method))

        class Method(AbstractTemplate):  # type: ignore[misc]
            key = (types.BaseNamedTuple, name)

            def generic(self, args: Any, kwargs: Any) -> Any:
                given = (block, *args) if takes_self else args
                found = function.get_call_type(self.context, given, kwargs)
                if found is None or takes_self:
                    return found and found.as_method()
                bound = signature(found.return_type, *found.args, recvr=block)
                return bound.replace(pysig=found.pysig)

        return types.BoundFunction(Method, block)


_allowed: set[str] = set()


def allow_methods(methods: dict[str, Callable[..., Any]]) -> None:
    """Let kernels call functions of these names on blocks."""
    for name in set(methods) - _allowed:
        _allowed.add(name)

        def call(context: Any, builder: Any, found: Any, values: Any, name: str = name) -> Any:
            method = _spec_of(found.args[0]).methods[name]
            skip = int(isinstance(method, staticmethod))
            function = types.Dispatcher(_compiled(method))
            exact = function.get_call_type(context.typing_context, found.args[skip:], {})
            run = context.get_function(function, exact)
            context.add_linking_libs(getattr(run, "libs", ()))
            return run(builder, values[skip:])

        lower_builtin((types.BaseNamedTuple, name), types.BaseNamedTuple, types.VarArg(types.Any))(
            call
        )


def generic(
    stub: Callable[..., Any], merged: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Attach an overload to a stub, where the cache's digest can find it too.

    `merged` as in `inner`: for those called once per column.
    """
    options = {**OPTIONS, "forceinline": merged}

    def attach(implementation: Callable[..., Any]) -> Callable[..., Any]:
        stub.overload = implementation  # type: ignore[attr-defined]
        overload(stub, strict=False, jit_options=options)(implementation)
        return implementation

    return attach


# ---- scalar forms --------------------------------------------------------------------------------


@generic(value_1d)
def _value_1d(block, x, j):
    return method_of(block, "value_1d")


@generic(prox_1d)
def _prox_1d(block, x, step, j):
    return method_of(block, "prox_1d")


@generic(subdiff_distance_1d)
def _subdiff_distance_1d(block, x, grad, j):
    return method_of(block, "subdiff_distance_1d")


@generic(gradient_1d)
def _gradient_1d(loss, z, i):
    return method_of(loss, "gradient_1d")


@generic(hessian_1d)
def _hessian_1d(loss, z, i):
    return method_of(loss, "hessian_1d")


@generic(conjugate_1d)
def _conjugate_1d(block, u, i):
    return method_of(block, "conjugate_1d")


@generic(conjugate_bound_1d)
def _conjugate_bound_1d(penalty, j):
    return method_of(penalty, "conjugate_bound_1d") or (lambda penalty, j: 0.0)


@generic(at)
def _at(value, j):
    if isinstance(value, types.Array):
        return lambda value, j: value[j]
    return lambda value, j: value


# ---- vector forms --------------------------------------------------------------------------------


@generic(value_of)
def _value_of(block, x):
    whole = method_of(block, "value_of") or method_of(block, "value")
    if whole is not None:
        return whole
    if method_of(block, "value_1d") is not None:

        def separable(block, x):
            total = 0.0
            for j in range(x.size):
                total += value_1d(block, x[j], j)
            return total

        return separable
    return None


@generic(prox_into)
def _prox_into(block, v, step, out):
    whole = method_of(block, "prox_into")
    if whole is not None:
        return whole
    if method_of(block, "prox_1d") is not None:

        def separable(block, v, step, out):
            for j in range(v.size):
                out[j] = prox_1d(block, v[j], step, j)

        return separable
    if prox_method := method_of(block, "prox"):
        prox = inner(prox_method)

        def allocating(block, v, step, out):
            out[:] = prox(block, v, step)

        return allocating
    if project_method := method_of(block, "project"):
        project = inner(project_method)

        def projecting(block, v, step, out):
            out[:] = project(block, v)

        return projecting
    return None


@generic(prox_in_metric)
def _prox_in_metric(block, v, step, metric, out):
    if method_of(block, "prox_1d") is not None:

        def separable(block, v, step, metric, out):
            for j in range(v.size):
                out[j] = prox_1d(block, v[j], step / metric[j], j)

        return separable
    return lambda block, v, step, metric, out: prox_into(block, v, step, out)


@generic(fixed_point_residual)
def _fixed_point_residual(block, x, grad, step, scratch):
    return fixed_point_residual


@generic(stationarity)
def _stationarity(block, x, grad, step, scratch):
    if whole_method := method_of(block, "subdiff_distance_of"):
        whole = inner(whole_method)
        return lambda block, x, grad, step, scratch: whole(block, x, grad)
    if method_of(block, "subdiff_distance_1d") is not None:

        def separable(block, x, grad, step, scratch):
            worst = 0.0
            for j in range(x.size):
                distance = subdiff_distance_1d(block, x[j], grad[j], j)
                if not distance <= worst:  # keeps NaN
                    worst = distance
            return worst

        return separable
    return lambda block, x, grad, step, scratch: fixed_point_residual(block, x, grad, step, scratch)


# ---- matrices ------------------------------------------------------------------------------------


class CSC(NamedTuple):
    """A sparse matrix by columns, as kernels see it."""

    data: np.ndarray
    indices: np.ndarray
    indptr: np.ndarray
    n_rows: int


@inner(reduction=True)
def _dense_dot(column, r):
    total = column[0] * r[0] * 0 if column.size else r.dtype.type(0)
    for i in range(column.size):
        total += column[i] * r[i]
    return total


@inner(contract=True, merged=True)
def _sparse_dot(X, j, r):
    start, stop = np.uint64(X.indptr[j]), np.uint64(X.indptr[j + 1])
    return gather_dot(X.data, X.indices, start, stop, r, X.data.size >= 8 * X.indptr.size)


@inner(contract=True, merged=True)
def _sparse_axpy(X, j, a, r):
    # Unsigned positions spare the test for negative ones.
    for k in range(np.uint64(X.indptr[j]), np.uint64(X.indptr[j + 1])):
        r[np.uint64(X.indices[k])] += a * X.data[k]


def col_dot(X, j, r):
    """x_j' r."""
    return _sparse_dot(X, j, r) if isinstance(X, CSC) else _dense_dot(X[:, j], r)


@generic(col_dot, merged=True)
def _col_dot(X, j, r):
    if isinstance(X, types.Array):
        return lambda X, j, r: _dense_dot(X[:, j], r)
    return lambda X, j, r: _sparse_dot(X, j, r)


def col_axpy(X, j, a, r):
    """r += a x_j."""
    if isinstance(X, CSC):
        _sparse_axpy(X, j, a, r)
    else:
        r += a * X[:, j]


@generic(col_axpy, merged=True)
def _col_axpy(X, j, a, r):
    if isinstance(X, types.Array):

        def dense(X, j, a, r):
            for i in range(r.size):
                r[i] += a * X[i, j]

        return dense

    return lambda X, j, a, r: _sparse_axpy(X, j, a, r)


def n_columns(X):
    """Number of columns of a dense or sparse matrix: coefficients, with several outputs."""
    if isinstance(X, Outputs):
        return n_columns(X.X) * X.outputs
    return X.indptr.size - 1 if isinstance(X, CSC) else X.shape[1]


@generic(n_columns)
def _n_columns(X):
    if isinstance(X, types.Array):
        return lambda X: X.shape[1]
    if _is_outputs(X):
        return lambda X: n_columns(X.X) * X.outputs
    return lambda X: X.indptr.size - 1


class Outputs(NamedTuple):
    """A matrix that acts on several columns at once; w and out hold theirs row by row."""

    X: Any
    outputs: int


def _predict_one(X, w, out):
    out[:] = 0
    for j in range(n_columns(X)):
        if w[j] != 0:
            col_axpy(X, j, w[j], out)


def _correlate_one(X, r, out):
    for j in range(n_columns(X)):
        out[j] = col_dot(X, j, r)


def predict(X, w, out):
    """out = X w, reading only the columns where w is not 0."""
    if isinstance(X, Outputs):
        for k in range(X.outputs):
            _predict_one(X.X, w[k :: X.outputs], out[k :: X.outputs])
    else:
        _predict_one(X, w, out)


def correlate(X, r, out):
    """out = X' r."""
    if isinstance(X, Outputs):
        for k in range(X.outputs):
            _correlate_one(X.X, r[k :: X.outputs], out[k :: X.outputs])
    else:
        _correlate_one(X, r, out)


def _is_outputs(X):
    return getattr(X, "instance_class", None) is Outputs


@generic(predict)
def _predict(X, w, out):
    if not _is_outputs(X):
        return _predict_one
    if isinstance(X[0], types.Array):

        def dense(X, w, out):
            n, p = X.X.shape
            np.dot(X.X, w.reshape((p, X.outputs)), out.reshape((n, X.outputs)))

        return dense

    def sparse(X, w, out):
        K, A = X.outputs, X.X
        out[:] = 0
        for j in range(A.indptr.size - 1):
            for e in range(A.indptr[j], A.indptr[j + 1]):
                i = A.indices[e]
                for k in range(K):
                    out[i * K + k] += A.data[e] * w[j * K + k]

    return sparse


@generic(correlate)
def _correlate(X, r, out):
    if not _is_outputs(X):
        return _correlate_one
    if isinstance(X[0], types.Array):

        def dense(X, r, out):
            n, p = X.X.shape
            np.dot(X.X.T, r.reshape((n, X.outputs)), out.reshape((p, X.outputs)))

        return dense

    def sparse(X, r, out):
        K, A = X.outputs, X.X
        out[:] = 0
        for j in range(A.indptr.size - 1):
            for e in range(A.indptr[j], A.indptr[j + 1]):
                i = A.indices[e]
                for k in range(K):
                    out[j * K + k] += A.data[e] * r[i * K + k]

    return sparse


# ---- losses over all samples ---------------------------------------------------------------------
# f(z) = sum_i scale_i loss_i(z_i), unless the block has a `total` of its own.


@generic(total_value)
def _total_value(loss, scale, z):
    return method_of(loss, "total") or sum_value


@generic(total_gradient)
def _total_gradient(loss, scale, z, out):
    return method_of(loss, "total_gradient") or sum_gradient


@generic(total_conjugate)
def _total_conjugate(loss, scale, u):
    return method_of(loss, "total_conjugate") or sum_conjugate


@generic(total_prox)
def _total_prox(loss, scale, v, step, out):
    return method_of(loss, "total_prox") or sum_prox


@generic(sample_prox)
def _sample_prox(loss, v, step, i):
    return method_of(loss, "prox_1d") or newton_prox


@kernel
def loss_value(loss, scale, z):
    """f(z)."""
    return total_value(loss, scale, z)


@kernel
def loss_gradient(loss, scale, z, out):
    """Write the gradient of f at z into out and return f(z)."""
    return total_gradient(loss, scale, z, out)


@kernel
def loss_hessian(loss, scale, z):
    """Diagonal of the Hessian of f at z."""
    out = np.empty_like(z)
    for i in range(z.size):
        out[i] = scale[i] * hessian_1d(loss, z[i], i)
    return out


@kernel
def loss_conjugate(loss, scale, u):
    """f*(u)."""
    return total_conjugate(loss, scale, u)


@kernel
def loss_prox(loss, scale, v, step):
    """Prox of f at v, in a new array."""
    out = np.empty_like(v)
    total_prox(loss, scale, v, step, out)
    return out


# ---- certificates --------------------------------------------------------------------------------


@generic(dual_terms)
def _dual_terms(loss, scale, shift, penalty, r, g):
    if method_of(loss, "conjugate_1d") is None or method_of(penalty, "conjugate_1d") is None:
        return lambda loss, scale, shift, penalty, r, g: np.nan
    return separable_dual_terms


@kernel
def judge(loss, scale, shift, penalty, x, g, step, r_dual, g_dual):
    """Penalty at x, its residual with the gradient g, and `dual_terms` at (r_dual, g_dual)."""
    residual = stationarity(penalty, x, g, step, np.empty_like(x))
    dual = dual_terms(loss, scale, shift, penalty, r_dual, g_dual)
    return value_of(penalty, x), residual, dual


# ---- the public methods of penalties, over generic scalar forms ----------------------------------


@kernel
def penalty_value(penalty, x):
    """Value of a penalty at x."""
    return value_of(penalty, x)


@kernel
def penalty_prox(penalty, v, step):
    """Prox of a penalty at v, in a new array."""
    out = np.empty_like(v)
    prox_into(penalty, v, step, out)
    return out


@kernel
def penalty_distances(penalty, x, grad):
    """Per coordinate, the distance of -grad to the subdifferential at x."""
    out = np.empty_like(x)
    for j in range(x.size):
        out[j] = subdiff_distance_1d(penalty, x[j], grad[j], j)
    return out


@kernel
def penalty_distance(penalty, x, grad):
    """Largest distance of -grad to the subdifferential at x."""
    return stationarity(penalty, x, grad, 1.0, x)


@kernel
def penalty_conjugate(penalty, u):
    """Conjugate of a separable penalty at u."""
    total = 0.0
    for j in range(u.size):
        total += conjugate_1d(penalty, u[j], j)
    return total


@kernel
def penalty_dual_scale(penalty, u):
    """Largest s <= 1 such that the conjugate is finite at s u, for separable penalties."""
    s = 1.0
    for j in range(u.size):
        if not np.isfinite(conjugate_1d(penalty, u[j], j)):
            s = min(s, conjugate_bound_1d(penalty, j) / abs(u[j]))
    return s


for _spec in specs:
    allow_methods(_spec.methods)
