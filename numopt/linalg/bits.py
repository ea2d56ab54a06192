"""The hits of a block as the bits of one number: vector comparisons, then visits one by one.

How many hits a block has is guessed wrong by the processor as a rule, and with the guess it throws
away what it has read ahead. Therefore a group of blocks is compared before its hits are visited:
the first step waits for memory but guesses nothing, the second one guesses but works in cache.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from numopt.core.jit import inner

BLOCK = 64  # entries looked at together, one bit each
GROUP = 8  # blocks compared before their hits are visited
ONE = np.uint64(1)


def lowest(bits):
    """Place of the lowest bit of a 64-bit number other than 0."""
    return int(bits & (~bits + ONE)).bit_length() - 1


@intrinsic
def _lowest(typing_context: Any, bits: Any) -> Any:
    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.cttz(arguments[0], ir.IntType(1)(1))

    return types.uint64(types.uint64), generate


if not numba.config.DISABLE_JIT:  # where kernels run as plain Python, the function above will do
    lowest = _lowest  # type: ignore[assignment]


@inner(merged=True)
def bit(i, hit):
    """Bit i if there is a hit."""
    return np.uint64(hit) << np.uint64(i)
