"""Threads of the BLAS library, held to one where calls are small."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

_lock = threading.Lock()
_held = 0  # by how many callers
_limit: Any = None


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: many small calls wait for threads longer than they work.

    On a busy machine a factorisation that takes a millisecond otherwise takes a second. The
    setting is the process'; it comes back when the last of several concurrent callers leaves.
    """
    global _held, _limit
    with _lock:
        _held += 1
        if _held == 1:
            _limit = _controller().limit(limits=1, user_api="blas")
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            if _held == 0:
                _limit.restore_original_limits()


@functools.cache
def _controller() -> Any:
    from threadpoolctl import ThreadpoolController

    return ThreadpoolController()
