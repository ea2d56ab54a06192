"""Threads of the BLAS library, held to one where calls are small."""

from __future__ import annotations

import functools
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any

# Order of dense matrices up to which one thread serves. Idle cores would help from some 500 on, by
# the share of them; cores that others use cost ten times the work up to 1000, a hundred below.
LARGEST = 1000
# ... and from which on BLAS may start threads at all.
LEAST = 24

_lock = threading.Lock()
_held = 0  # by how many callers
_before: list[tuple[Any, int]] = []  # libraries and their numbers of threads


@contextmanager
def one_blas_thread() -> Iterator[None]:
    """Hold BLAS to one thread: many small calls wait for threads longer than they work.

    On a busy machine a factorisation that takes a millisecond otherwise takes a second. The
    setting is the process'; it comes back when the last of several concurrent callers leaves.
    """
    global _held
    with _lock:
        _held += 1
        if _held == 1:
            for library in _libraries():
                _before.append((library, library.get_num_threads()))
                library.set_num_threads(1)
    try:
        yield
    finally:
        with _lock:
            _held -= 1
            while not _held and _before:
                library, threads = _before.pop()
                library.set_num_threads(threads)


def threads_for(order: float) -> AbstractContextManager[None]:
    """One thread while dense matrices of this order are factored and multiplied, or all if large.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.core.blas import threads_for
    >>> with threads_for(100):
    ...     np.linalg.cholesky(np.eye(100)).trace().item()
    100.0
    """
    return one_blas_thread() if LEAST <= order <= LARGEST else nullcontext()


@functools.cache
def _libraries() -> list[Any]:
    import scipy.linalg  # noqa: F401  # with a library of its own, which is to be found, too
    from threadpoolctl import ThreadpoolController

    controllers = ThreadpoolController().lib_controllers
    return [library for library in controllers if library.user_api == "blas"]
