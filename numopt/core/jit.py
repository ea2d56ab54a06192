"""Compiled kernels and the cache that serves them to the next process.

``@kernel`` is ``numba.njit(nogil=True, error_model="numpy")`` with a cache of its own. Numba's
``cache=True`` stamps an entry with the file that holds the kernel and nothing else, so an edited
penalty goes on running as old machine code, and its index names user classes by import path, so
one missing module spoils the entries of all the others. Here an entry is one file named by a
digest of *everything the machine code depends on*: the bytecode of the kernel and of every
function it can reach (helpers, generics, the methods of the blocks in its signature), the
constants those functions read, the argument types, the CPU and the versions of Python and Numba.
What cannot be digested is not cached.

This module alone uses private names of Numba (``CompileResult._reduce``/``_rebuild``,
``Dispatcher._cache``, ``codegen.magic_tuple``). Where they are gone, kernels still compile, in
every process anew.
"""

from __future__ import annotations

import contextlib
import enum
import hashlib
import io
import os
import pickle
import sys
import tempfile
import types as pytypes
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numba
import numpy as np
from numba.core import types
from numba.core.dispatcher import Dispatcher

try:
    from numba.core.compiler import CompileResult
    from numba.core.serialize import NumbaPickler

    CACHE_AVAILABLE = hasattr(CompileResult, "_reduce") and hasattr(CompileResult, "_rebuild")
except ImportError:  # the private names moved: run without a cache
    NumbaPickler = pickle.Pickler
    CACHE_AVAILABLE = False

FORMAT = "1"
MAX_ENTRIES = 4000
# Reductions may be reordered and multiply-adds contracted; NaN and inf keep their meaning.
REDUCTION = frozenset({"reassoc", "contract", "nsz", "arcp"})

# Of these, the version stands for the contents.
_VERSIONED = ("numpy", "numba", "llvmlite", "scipy", "math", "cmath", "builtins", "operator")

statistics = {"hits": 0, "misses": 0, "saved": 0}


def kernel(function: Callable[..., Any] | None = None, *, reduction: bool = False) -> Any:
    """Compile `function` on first call, from the cache where it has been compiled before.

    Parameters
    ----------
    reduction : bool, default False
        Allow sums to be reordered and fused (vectorised dot products). Meant for small helpers
        that reduce; NaN and infinities keep their meaning, last digits may differ between CPUs.
    """
    if function is None:
        return lambda function: kernel(function, reduction=reduction)
    fastmath = set(REDUCTION) if reduction else False
    jitted = numba.njit(nogil=True, error_model="numpy", fastmath=fastmath)(function)
    if CACHE_AVAILABLE and isinstance(jitted, Dispatcher) and hasattr(jitted, "_cache"):
        jitted._cache = _KernelCache(jitted)
    return jitted


def inner(function: Callable[..., Any] | None = None, *, reduction: bool = False) -> Any:
    """Compile a function that only kernels call: no entry from Python, no cache entry of its own.

    Saves the wrapper that unpacks Python arguments, which costs more to compile than most bodies.
    """
    if function is None:
        return lambda function: inner(function, reduction=reduction)
    fastmath = set(REDUCTION) if reduction else False
    options = {"no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return numba.njit(error_model="numpy", fastmath=fastmath, **options)(function)


# ---- where entries live --------------------------------------------------------------------------


def cache_directory() -> Path:
    """Folder of compiled kernels: NUMOPT_CACHE_DIR, NUMBA_CACHE_DIR/numopt or the user's cache."""
    if chosen := os.environ.get("NUMOPT_CACHE_DIR"):
        return Path(chosen)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "numopt"
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "numopt"


def _writable_directory() -> Path | None:
    """The cache folder, or one of our own under the temporary folder, or None."""
    user = getattr(os, "getuid", lambda: 0)()
    for folder in (cache_directory(), Path(tempfile.gettempdir()) / f"numopt-{user}"):
        with contextlib.suppress(OSError, RuntimeError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            # Entries are pickles: read none from a folder that somebody else could have filled.
            owned = not hasattr(os, "getuid") or folder.stat().st_uid == os.getuid()
            if owned and os.access(folder, os.W_OK):
                return folder
    return None


def clear_cache() -> int:
    """Delete all compiled kernels of this user from disk and return how many there were."""
    folder = _writable_directory()
    entries = list(folder.glob("*.nbc")) if folder else []
    for entry in entries:
        entry.unlink(missing_ok=True)
    return len(entries)


# ---- the cache -----------------------------------------------------------------------------------


class _Pickler(NumbaPickler):  # type: ignore[misc,valid-type]
    """Writes the block classes of a signature as numbers: loading never imports a user's module."""

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

    def _entry(self, arguments: Any, context: Any) -> Path | None:
        folder = _writable_directory()
        if folder is None:
            return None
        try:
            key = digest(self._dispatcher, arguments, context.codegen())
        except Uncacheable:
            return None
        return folder / f"{self._dispatcher.py_func.__name__}-{key}.nbc"

    def load_overload(self, signature: Any, context: Any) -> Any:
        context.refresh()
        entry = self._entry(_arguments(signature), context)
        if entry is None:
            return None
        try:
            data = entry.read_bytes()
        except OSError:
            statistics["misses"] += 1
            return None
        try:
            parts = _Unpickler(io.BytesIO(data), _classes_in(_arguments(signature))).load()
            result = CompileResult._rebuild(context, *parts)
        except Exception:  # truncated or foreign entry: compile anew and overwrite it
            entry.unlink(missing_ok=True)
            statistics["misses"] += 1
            return None
        statistics["hits"] += 1
        return result

    def save_overload(self, signature: Any, result: Any) -> None:
        entry = self._entry(_arguments(signature), result.target_context)
        if entry is None or result.lifted or result.library.has_dynamic_globals:
            return
        buffer = io.BytesIO()
        try:
            _Pickler(buffer, _classes_in(_arguments(signature))).dump(result._reduce())
        except (pickle.PicklingError, TypeError, AttributeError):
            return
        draft = entry.with_suffix(f".{uuid.uuid4().hex[:12]}.tmp")
        with contextlib.suppress(OSError):  # a full disk must not stop a solve
            draft.write_bytes(buffer.getvalue())
            os.replace(draft, entry)
            statistics["saved"] += 1
            _trim(entry.parent)
        draft.unlink(missing_ok=True)


def _trim(folder: Path) -> None:
    """Keep the folder bounded: beyond MAX_ENTRIES the oldest quarter goes."""
    if statistics["saved"] % 50 != 1:
        return
    entries = list(folder.glob("*.nbc"))
    if len(entries) > MAX_ENTRIES:
        for entry in sorted(entries, key=lambda e: e.stat().st_mtime)[: MAX_ENTRIES // 4]:
            entry.unlink(missing_ok=True)


# ---- the digest ----------------------------------------------------------------------------------


class Uncacheable(Exception):
    """A kernel reads something whose contents cannot be digested."""


def digest(dispatcher: Dispatcher, arguments: Any, codegen: Any) -> str:
    """Name of the machine code of `dispatcher` for `arguments` on this machine."""
    walk = _Walk()
    walk.text(FORMAT, sys.version, numba.__version__, np.__version__, codegen.magic_tuple())
    walk.text(str(arguments))
    walk.value(dispatcher, ())
    for cls in _classes_in(arguments):
        walk.value(cls, ())
    return walk.hash.hexdigest()[:40]


def _arguments(signature: Any) -> tuple[Any, ...]:
    """Argument types of what a dispatcher calls a signature: sometimes just their tuple."""
    return tuple(getattr(signature, "args", signature))


def _classes_in(numba_types: Any) -> list[type]:
    """Namedtuple classes in argument types, nested ones included, in order of first sight."""

    def visit(kind: Any) -> Iterator[type]:
        if isinstance(kind, types.BaseNamedTuple):
            yield kind.instance_class
        if isinstance(kind, types.BaseTuple):
            for member in kind:
                yield from visit(member)

    return list(dict.fromkeys(cls for kind in numba_types for cls in visit(kind)))


class _Walk:
    """Feeds a hash with a function, all it can reach and the constants it reads."""

    def __init__(self) -> None:
        self.hash = hashlib.sha256()
        self._seen: set[int] = set()

    def text(self, *parts: Any) -> None:
        for part in parts:
            self.hash.update(f"{part!r}\0".encode())

    def value(self, obj: Any, names: tuple[str, ...]) -> None:
        """Digest `obj`; `names` are those its reader may look up on it, if it is a module."""
        if isinstance(obj, enum.Enum):
            self.text(type(obj).__qualname__, obj.name)
            self.value(obj.value, ())
        elif obj is None or isinstance(obj, (bool, int, float, complex, str, bytes, np.generic)):
            self.text(type(obj).__name__, obj)
        elif isinstance(obj, tuple):
            self.text("tuple", len(obj))
            for member in obj:
                self.value(member, names)
        elif isinstance(obj, frozenset):
            self.text("frozenset", sorted(map(repr, obj)))
        elif isinstance(obj, (np.ndarray, np.dtype)):
            array = isinstance(obj, np.ndarray)
            self.text(str(obj.dtype), obj.shape, obj.tobytes()) if array else self.text(str(obj))
        elif isinstance(obj, Dispatcher):
            options = obj.targetoptions.items()
            self.text(
                "kernel",
                sorted((k, sorted(map(str, v)) if isinstance(v, set) else str(v)) for k, v in options),
            )
            self.function(obj.py_func)
        elif isinstance(obj, pytypes.FunctionType):
            self.function(obj)
        elif isinstance(obj, pytypes.CodeType):
            self.code(obj)
        elif isinstance(obj, pytypes.ModuleType):
            self.module(obj, names)
        elif isinstance(obj, type):
            self.type(obj)
        elif _package(obj) in _VERSIONED or isinstance(obj, types.Type):
            self.text(getattr(obj, "__name__", str(obj)))
        else:
            raise Uncacheable(repr(obj))

    def module(self, module: Any, names: tuple[str, ...]) -> None:
        self.text("module", module.__name__)
        if id(module) in self._seen or module.__name__.partition(".")[0] in _VERSIONED:
            return
        self._seen.add(id(module))
        for name in names:
            if name in vars(module):
                self.value(vars(module)[name], names)
        self._seen.discard(id(module))  # another reader looks up other names

    def type(self, cls: type) -> None:
        self.text("type", cls.__module__, cls.__qualname__, getattr(cls, "_fields", ()))
        methods = getattr(cls, "methods", None)  # a block's Spec
        if methods is None or id(cls) in self._seen:
            return
        self._seen.add(id(cls))
        reached, names = set(), set(cls.compiled_methods)  # type: ignore[attr-defined]
        while waiting := sorted(names - reached):
            for name in waiting:
                self.text(name)
                self.function(methods[name])
                names |= set(methods).intersection(methods[name].__code__.co_names)
            reached |= set(waiting)

    def function(self, function: Any) -> None:
        if id(function) in self._seen:
            return
        self._seen.add(id(function))
        if _package(function) in _VERSIONED:
            self.text(function.__module__, function.__qualname__)
            return
        self.text("function", function.__defaults__)
        self.code(function.__code__, function.__globals__)
        for cell in function.__closure__ or ():
            self.value(cell.cell_contents, function.__code__.co_names)
        # A generic stub's own body never compiles: what runs is its overload.
        if overload := getattr(function, "overload", None):
            self.function(overload)

    def code(self, code: Any, namespace: dict[str, Any] | None = None) -> None:
        self.text(code.co_code, code.co_names, code.co_varnames)
        for constant in code.co_consts:
            if isinstance(constant, pytypes.CodeType):
                self.code(constant, namespace)
            else:
                self.value(constant, ())
        for name in code.co_names if namespace is not None else ():
            if name in namespace:
                self.text(name)
                self.value(namespace[name], code.co_names)


def _package(obj: Any) -> str:
    if isinstance(obj, np.ufunc):
        return "numpy"
    return str(getattr(obj, "__module__", None) or "").partition(".")[0]
