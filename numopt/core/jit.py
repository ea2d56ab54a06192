"""Compiled kernels and the cache that serves them to the next process.

``@kernel`` is ``numba.njit(nogil=True, error_model="numpy")`` with a cache of its own. Numba's
``cache=True`` stamps an entry with the file that holds the kernel and nothing else, so an edited
penalty goes on running as old machine code, and its index names user classes by import path, so
one missing module spoils the entries of all the others. Here an entry is one file named by a
digest of *everything the machine code depends on* (see `numopt.core.digest`): the bytecode of the
kernel and of every function it can reach (helpers, generics, the methods of the blocks in its
signature), the constants those functions read, the argument types, the CPU and the versions of
Python and Numba. What cannot be digested is not cached.

This module and ``digest.py`` alone use private names of Numba. Where they are gone, kernels still
compile, in every process anew.
"""

from __future__ import annotations

import contextlib
import hashlib
import io
import itertools
import os
import pickle
import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
from numba.core.dispatcher import Dispatcher
from numba.core.errors import NumbaError, UnsupportedBytecodeError

from numopt.core import clock
from numopt.core.cache_folder import (
    _folders,
    cache_directory,
)

try:
    from numba.core.bytecode import FunctionIdentity
    from numba.core.compiler import CompileResult
    from numba.core.serialize import NumbaPickler

    from numopt.core.digest import Uncacheable, digest

    CACHE_AVAILABLE = (
        hasattr(CompileResult, "_reduce")
        and hasattr(CompileResult, "_rebuild")
        and hasattr(FunctionIdentity, "_unique_ids")
    )
except ImportError:  # the private names moved: run without a cache
    NumbaPickler = pickle.Pickler
    CACHE_AVAILABLE = False

MAX_ENTRIES = 4000
CHECKSUM = 32  # bytes of sha256 ahead of each entry
# Reductions may be reordered and multiply-adds contracted; NaN and inf keep their meaning.
REDUCTION = frozenset({"reassoc", "contract", "nsz", "arcp"})
CONTRACTION = frozenset({"contract"})

statistics = {"hits": 0, "misses": 0, "saved": 0}


def kernel(
    function: Callable[..., Any] | None = None, *, reduction: bool = False, contract: bool = False
) -> Any:
    """Compile `function` on first call, from the cache where it has been compiled before.

    Parameters
    ----------
    reduction : bool, default False
        Allow sums to be reordered and fused (vectorised dot products). Meant for small helpers
        that reduce; NaN and infinities keep their meaning, last digits may differ between CPUs.
    contract : bool, default False
        Allow multiply-adds to be fused and nothing else. Meant for loops over sparse entries.
    """
    if function is None:
        return lambda function: kernel(function, reduction=reduction, contract=contract)
    fastmath = _fastmath(reduction, contract)
    jitted = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    if CACHE_AVAILABLE and isinstance(jitted, Dispatcher) and hasattr(jitted, "_cache"):
        jitted._cache = _KernelCache(jitted)
    if hasattr(jitted, "_compile_for_args"):
        jitted._compile_for_args = _in_a_sentence(jitted._compile_for_args)
    return jitted


def inner(
    function: Callable[..., Any] | None = None,
    *,
    reduction: bool = False,
    contract: bool = False,
    merged: bool = False,
) -> Any:
    """Compile a function that only kernels call: no entry from Python, no cache entry of its own.

    Saves the wrapper that unpacks Python arguments, which costs more to compile than most bodies.
    `reduction` and `contract` are those of `kernel`.

    Parameters
    ----------
    merged : bool, default False
        Always inline. For helpers called once per row or entry: a call that LLVM leaves in place
        counts references to every array it passes, which costs more than a short row.
    """
    if function is None:
        return lambda function: inner(
            function, reduction=reduction, contract=contract, merged=merged
        )
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True, "forceinline": merged}
    fastmath = _fastmath(reduction, contract)
    return numba.njit(error_model="numpy", fastmath=fastmath, **options)(function)


def _fastmath(reduction: bool, contract: bool) -> Any:
    return set(REDUCTION) if reduction else set(CONTRACTION) if contract else False


def _in_a_sentence(compile_for: Callable[..., Any]) -> Callable[..., Any]:
    """Compile by the clock; where a user's block is at fault say so in less than three pages."""

    def compile_for_args(*args: Any, **kwargs: Any) -> Any:
        clock.began()
        try:
            return compile_for(*args, **kwargs)
        except (NumbaError, UnsupportedBytecodeError) as error:
            foreign = list(dict.fromkeys(_foreign_blocks(args)))
            if not foreign:
                raise
            # The innermost cause comes first, right before the first lines of code shown.
            found = re.search(r'(\S[^\n]*)\n\s*\n\s*File "([^"]*)", line (\d+)', str(error))
            what, file, line = found.groups() if found else (str(error).split("\n")[0], "", "")
            where = f" ({os.path.basename(file)}, line {line})" if file else ""
            raise TypeError(
                f"{' and '.join(foreign)} cannot be compiled: {what}{where}; methods of a block "
                "may use its fields, numbers, NumPy and functions decorated with numba.njit"
            ) from error
        finally:
            clock.ended()

    return compile_for_args


def _foreign_blocks(value: Any) -> Iterator[str]:
    """Names of the blocks in kernel arguments whose classes are not of this package."""
    if isinstance(value, tuple):
        name = type(value).__qualname__.removesuffix(".Spec").rpartition(".")[2]
        if hasattr(value, "compiled_methods") and not type(value).__module__.startswith("numopt."):
            yield name
        for member in value:
            yield from _foreign_blocks(member)


# ---- the cache -----------------------------------------------------------------------------------


class _Pickler(NumbaPickler):  # type: ignore[misc,valid-type]
    """Writes the classes that a kernel mentions as numbers: loading imports no user's module."""

    def __init__(self, buffer: io.BytesIO, classes: list[type]):
        super().__init__(buffer, protocol=4)
        self._numbers = {id(cls): number for number, cls in enumerate(classes)}

    def persistent_id(self, obj: Any) -> int | None:
        return self._numbers.get(id(obj)) if isinstance(obj, type) else None


class _Unpickler(pickle.Unpickler):
    def __init__(self, buffer: io.BytesIO, classes: list[type]):
        super().__init__(buffer)
        self._classes = classes

    def persistent_load(self, number: int) -> type:
        return self._classes[number]


class _KernelCache:
    """Stands in for a dispatcher's `_cache`: one file an entry, named by the digest."""

    def __init__(self, dispatcher: Dispatcher):
        self._dispatcher = dispatcher

    @property
    def cache_path(self) -> str:
        return str(cache_directory())

    def enable(self) -> None: ...
    def disable(self) -> None: ...
    def flush(self) -> None: ...

    def _entry(self, signature: Any) -> tuple[str, list[type]]:
        """File name of an entry and the classes it refers to by number."""
        # Some dispatchers hand over a signature, some the tuple of its arguments.
        key, classes = digest(self._dispatcher, tuple(getattr(signature, "args", signature)))
        return f"{self._dispatcher.py_func.__name__}-{key}.nbc", classes

    def load_overload(self, signature: Any, context: Any) -> Any:
        context.refresh()
        try:
            name, classes = self._entry(signature)
        except Uncacheable:
            return None
        for folder in _folders():
            with contextlib.suppress(FileNotFoundError):
                result = _load(folder / name, classes, context)
                if result is not None:
                    statistics["hits"] += 1
                    return result
        statistics["misses"] += 1
        return None

    def save_overload(self, signature: Any, result: Any) -> None:
        if result.lifted or result.library.has_dynamic_globals:
            return
        try:
            name, classes = self._entry(signature)
        except Uncacheable:
            return
        buffer = io.BytesIO()
        try:
            _Pickler(buffer, classes).dump(result._reduce())
        except Exception:  # whatever the code of others raises when pickled
            return
        data = buffer.getvalue()
        for folder in _folders()[-1:]:
            draft = folder / f"{name}.{uuid.uuid4().hex[:12]}.tmp"
            with contextlib.suppress(OSError):  # a full disk must not stop a solve
                draft.write_bytes(hashlib.sha256(data).digest() + data)
                os.replace(draft, folder / name)
                statistics["saved"] += 1
                _trim(folder)
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)


def _load(entry: Path, classes: list[type], context: Any) -> Any:
    """What an entry holds, or None after removing it where it is damaged."""
    content = entry.read_bytes()
    try:
        if hashlib.sha256(content[CHECKSUM:]).digest() != content[:CHECKSUM]:
            raise EOFError
        parts = _Unpickler(io.BytesIO(content[CHECKSUM:]), classes).load()
        return CompileResult._rebuild(context, *parts)
    except Exception:
        with contextlib.suppress(OSError):
            entry.unlink()
        return None


def _trim(folder: Path) -> None:
    """Keep the folder bounded: beyond MAX_ENTRIES the oldest quarter goes."""
    if statistics["saved"] % 50 != 1:
        return
    entries = list(folder.glob("*.nbc"))
    if len(entries) > MAX_ENTRIES:
        for entry in sorted(entries, key=lambda e: e.stat().st_mtime)[: MAX_ENTRIES // 4]:
            entry.unlink(missing_ok=True)


def _number_from_anywhere() -> None:
    """Number the functions of this process from a random start.

    Numba tells apart functions of one name by a count, also in the symbols of their machine code.
    An entry brings the counts of the process that wrote it, and of two equal symbols the linker
    takes the first: closures over other values, or helpers defined anew, would run each other's
    code.
    """
    FunctionIdentity._unique_ids = itertools.count(secrets.randbits(62))


if CACHE_AVAILABLE:
    _number_from_anywhere()
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=_number_from_anywhere)
