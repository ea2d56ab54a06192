"""Seconds that went into compiling: no solve is charged for them."""

from __future__ import annotations

from time import perf_counter

_total = 0.0
_depth, _since = 0, 0.0


def compile_seconds() -> float:
    """Seconds that this process has spent on compiling kernels so far."""
    return _total


def began() -> None:
    """A compilation begins, maybe within another; one thread at a time."""
    global _depth, _since
    if _depth == 0:
        _since = perf_counter()
    _depth += 1


def ended() -> None:
    """A compilation ends."""
    global _depth, _total
    _depth -= 1
    if _depth == 0:
        _total += perf_counter() - _since
