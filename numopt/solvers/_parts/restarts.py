"""When anchored iterations begin again, and whether they do better without their anchor."""

from __future__ import annotations

import numpy as np

from numopt.core.jit import inner

# Restart where the residual fell that far since the last one; or less far but rises again; or in
# any case after this share of all iterations.
SUFFICIENT, NECESSARY, LONG = 0.2, 0.5, 0.36
# Iterations after which the last of these may come first.
SHORTEST = 8.0
# What was slower gains by this factor at every restart, to be tried again some time.
FORGIVEN = 1.25


@inner
def is_due(residual, first, last, k, total):
    """Whether to move the anchor: residuals now, right after it was set, and one iteration ago."""
    return (
        residual <= SUFFICIENT * first
        or (residual <= NECESSARY * first and residual > last)
        or k >= max(SHORTEST, LONG * total)
    )


@inner
def rate_of(first, residual, k):
    """How fast the residual fell in a phase, in logs per iteration."""
    rate = np.log(first / residual) / k
    return rate if rate == rate else -np.inf


@inner
def choose(rate, other):
    """Whether the next phase goes the other way, and how fast that counts as from now on."""
    if other > rate:
        return True, other
    return False, FORGIVEN * other if other > 0 else 0.5 * rate
