"""How kernels call operators: see the functions of the same names in `_base`."""

from __future__ import annotations

from numopt.core.dispatch import generic, method_of
from numopt.core.jit import kernel
from numopt.linalg.sparse import CSR, multiply
from numopt.operators import _base
from numopt.operators._base import add_change, apply_into


@generic(_base.apply_into)
def _apply_into(operator, z, out):
    return method_of(operator, "apply_into")


@generic(_base.add_change)
def _add_change(operator, i, z, w, scale, out):
    return method_of(operator, "add_change")


@generic(_base.multiply_rows)
def _multiply_rows(data, indices, indptr, x, out):
    return lambda data, indices, indptr, x, out: multiply(
        CSR(data, indices, indptr), x, out, 0, out.size
    )


@kernel
def apply_operator(operator, z, out):
    """out = F(z)."""
    apply_into(operator, z, out)


@kernel
def add_changes(operator, batch, z, w, scale, out):
    """Add scale * (F_i(z) - F_i(w)) for every i of a batch."""
    for k in range(batch.size):
        add_change(operator, batch[k], z, w, scale, out)
