"""A hint to the memory system, for loops that stream through more data than the caches hold."""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.extending import intrinsic


def prefetch(array, i):
    """Ask for the cache line of ``array[i]``; i may lie past the end. Computes nothing."""


@intrinsic
def _prefetch_line(typing_context: Any, array: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind, integer = signature.args[0], ir.IntType(32)
        data = context.make_array(kind)(context, builder, arguments[0]).data
        pointer = ir.IntType(8).as_pointer()
        call = builder.module.declare_intrinsic(
            "llvm.prefetch", [pointer], ir.FunctionType(ir.VoidType(), [pointer, *[integer] * 3])
        )
        address = builder.bitcast(builder.gep(data, [arguments[1]]), pointer)
        # For reading (0), hardly worth keeping (1), data rather than code (1).
        builder.call(call, [address, integer(0), integer(1), integer(1)])
        return context.get_dummy_value()

    return types.void(array, i), generate


if not numba.config.DISABLE_JIT:  # where kernels run as plain Python, the function above will do
    prefetch = _prefetch_line  # type: ignore[assignment]
