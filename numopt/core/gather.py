"""Inner products of stored entries with what their indices pick, and hints to the memory system.

Two things that Numba cannot be told. Left to the compiler a sum over entries is either a chain of
additions, each waiting for the one before, or made of gather instructions, several times slower
still on many CPUs. `gather_dot` sums four or eight entries at a time in vectors that it fills by
scalar loads, and keeps short rows in a plain loop that is not unrolled. The order of additions
depends on the lengths alone, so threads and blocks of rows do not change a bit.
"""

from __future__ import annotations

from typing import Any

import numba
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

WIDTH = 256  # bits of a vector
LEAST = 8  # entries from which a row is summed by vectors
# How far ahead to prefetch, in entries: 8 kB of data, 8 kB of indices.
AHEAD, AHEAD_INDEX = 1024, 2048


def prefetch(array: Any, i: Any) -> None:
    """Ask for the cache line of ``array[i]``; i may lie past the end. Computes nothing."""


def gather_dot(data: Any, indices: Any, start: Any, stop: Any, x: Any, long: Any) -> Any:
    """Sum of data[k] * x[indices[k]] over start <= k < stop.

    Positions are unsigned. `long` tells whether rows are, by and large, long enough for vectors:
    an answer that is the same for every row of a matrix costs no mispredicted branch.
    """
    total = x.dtype.type(0) * data.dtype.type(0)
    for k in range(start, stop):
        total += data[k] * x[indices[k]]
    return total


@intrinsic  # type: ignore[untyped-decorator]
def _prefetch_line(typing_context: Any, array: Any, i: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        _prefetch(builder, builder.gep(data, [arguments[1]]))
        return context.get_dummy_value()

    return types.void(array, i), generate


def _prefetch(builder: Any, address: Any) -> None:
    pointer, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
    function = ir.FunctionType(ir.VoidType(), [pointer, *[integer] * 3])
    call = builder.module.declare_intrinsic("llvm.prefetch", [pointer], function)
    # For reading (0), hardly worth keeping (1), data rather than code (1).
    builder.call(call, [builder.bitcast(address, pointer), integer(0), integer(1), integer(1)])


@intrinsic  # type: ignore[untyped-decorator]
def _gather_dot(
    typing_context: Any, data: Any, indices: Any, start: Any, stop: Any, x: Any, long: Any
) -> Any:
    floats = all(isinstance(kind.dtype, types.Float) for kind in (data, x))
    if not floats or "A" in (data.layout, indices.layout):
        return None
    result = max(data.dtype, x.dtype, key=lambda kind: kind.bitwidth)

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        b, (_, _, start, stop, _, long) = builder, arguments
        size, place = ir.IntType(64), ir.IntType(32)
        kinds = [signature.args[k] for k in (0, 1, 4)]
        arrays = [
            context.make_array(kind)(context, b, arguments[k])
            for kind, k in zip(kinds, (0, 1, 4), strict=True)
        ]
        scalar = context.get_data_type(result)
        lanes = WIDTH // result.bitwidth
        vector = ir.VectorType(scalar, lanes)

        def address(which: int, k: Any) -> Any:
            return cgutils.get_item_pointer(context, b, kinds[which], arrays[which], [k])

        def wide(value: Any, kind: Any) -> Any:
            return value if value.type == kind else b.fpext(value, kind)

        def picked(k: Any) -> Any:
            i = b.load(address(1, k))
            i = i if i.type == size else b.zext(i, size)
            return wide(b.load(address(2, i)), scalar)

        def add_product(total: Any, p: Any, q: Any) -> Any:
            return b.fadd(total, b.fmul(p, q, flags=("contract",)), flags=("contract",))

        entry, zero = b.basic_block, ir.Constant(vector, None)
        blocks, sums, rows, rest, end = (
            b.append_basic_block(name) for name in ("blocks", "sums", "rows", "rest", "end")
        )
        count = b.sub(stop, start)
        last = b.sub(stop, b.and_(count, size(lanes - 1)))
        b.cbranch(b.and_(long, b.icmp_unsigned(">=", count, size(LEAST))), blocks, rows)

        b.position_at_end(blocks)
        k, sum_ = b.phi(size), b.phi(vector)
        _prefetch(b, address(0, b.add(k, size(AHEAD))))
        _prefetch(b, address(1, b.add(k, size(AHEAD_INDEX))))
        narrow = ir.VectorType(context.get_data_type(kinds[0].dtype), lanes)
        entries = b.load(b.bitcast(address(0, k), narrow.as_pointer()))
        entries.align = narrow.element.get_abi_size(context.target_data)
        others = ir.Constant(vector, ir.Undefined)
        for lane in range(lanes):
            others = b.insert_element(others, picked(b.add(k, size(lane))), place(lane))
        more, following = add_product(sum_, wide(entries, vector), others), b.add(k, size(lanes))
        b.cbranch(b.icmp_unsigned("<", following, last), blocks, sums)
        for phi, first, next_ in ((k, start, following), (sum_, zero, more)):
            phi.add_incoming(first, entry)
            phi.add_incoming(next_, blocks)

        b.position_at_end(sums)
        parts = [b.extract_element(more, place(lane)) for lane in range(lanes)]
        while len(parts) > 1:
            half = len(parts) // 2
            parts = [b.fadd(parts[lane], parts[lane + half]) for lane in range(half)]
        b.branch(rows)

        b.position_at_end(rows)
        head, so_far = b.phi(size), b.phi(scalar)
        b.cbranch(b.icmp_unsigned("<", head, stop), rest, end)
        for phi, short, summed in ((head, start, last), (so_far, scalar(0.0), parts[0])):
            phi.add_incoming(short, entry)
            phi.add_incoming(summed, sums)

        b.position_at_end(rest)
        k, sum_ = b.phi(size), b.phi(scalar)
        more = add_product(sum_, wide(b.load(address(0, k)), scalar), picked(k))
        following = b.add(k, size(1))
        for phi, first, next_ in ((k, head, following), (sum_, so_far, more)):
            phi.add_incoming(first, rows)
            phi.add_incoming(next_, rest)
        again = b.cbranch(b.icmp_unsigned("<", following, stop), rest, end)
        again.set_metadata("llvm.loop", _kept_small(b.module))

        b.position_at_end(end)
        total = b.phi(scalar)
        total.add_incoming(so_far, rows)
        total.add_incoming(more, rest)
        return total

    return result(data, indices, start, stop, x, long), generate


def _kept_small(module: Any) -> Any:
    """Properties of a loop over a few entries: not unrolled, within one line of code."""
    unroll = module.add_metadata([ir.MetaDataString(module, "llvm.loop.unroll.disable")])
    align = module.add_metadata([ir.MetaDataString(module, "llvm.loop.align"), ir.IntType(32)(64)])
    properties = module.add_metadata([unroll, align, unroll])
    properties.operands = (properties, unroll, align)  # LLVM has the first one name itself
    return properties


if not numba.config.DISABLE_JIT:  # where kernels run as plain Python, the functions above will do
    prefetch = _prefetch_line  # type: ignore[assignment]
    gather_dot = _gather_dot  # type: ignore[assignment]
