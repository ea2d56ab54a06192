"""What the machine code of a kernel depends on, as one string.

The walk starts at a kernel and its argument types and follows all that Numba will compile, or run
in order to compile: helpers, overloads, the methods of blocks, closures, constants, modules and
what is read from them. Where it cannot see, the kernel is `Uncacheable`: to compile once more
costs seconds, to run with yesterday's constant costs a result.
"""

from __future__ import annotations

import dis
import enum
import functools
import hashlib
import operator
import sys
import types as pytypes
import weakref
from collections.abc import Iterator
from typing import Any

import llvmlite
import numba
import numpy as np
from numba import types
from numba.core.dispatcher import Dispatcher
from numba.core.typing import templates

FORMAT = "2"

# Of what these packages define, the version stands for the contents.
_VERSIONED = ("numpy", "numba", "llvmlite", "math", "cmath", "builtins", "_operator")
# Settings of Numba that change what it makes of the same source.
_SETTINGS = ("OPT", "BOUNDSCHECK", "USING_SVML", "ENABLE_AVX", "LOOP_VECTORIZE", "SLP_VECTORIZE")

_SCALARS = (type(None), type(...), bool, int, float, complex, str, bytes, slice)
# Argument types that their text describes wholly; that of others may name an address.
_DESCRIBED = (
    *(types.Number, types.Boolean, types.NoneType, types.UnicodeType, types.Array),
    *(types.Literal, types.Omitted, types.SliceType, types.RangeType),
    *(types.NumberClass, types.DType),
)
_KNOWN = (
    *(*_SCALARS, tuple, frozenset, enum.Enum, type, np.generic, np.ndarray, np.dtype, np.ufunc),
    *(types.Type, Dispatcher, pytypes.FunctionType, pytypes.BuiltinFunctionType),
    *(pytypes.ModuleType, type(np.sum)),
)


class Uncacheable(Exception):
    """A kernel depends on something whose contents cannot be digested."""


def digest(dispatcher: Dispatcher, arguments: tuple[Any, ...]) -> tuple[str, list[type]]:
    """Name of the machine code of `dispatcher` for `arguments`, and the classes it mentions."""
    dispatcher.typingctx.refresh()
    walk = _Walk(dispatcher.typingctx)
    walk.text(FORMAT, sys.version, numba.__version__, llvmlite.__version__, np.__version__)
    walk.text(dispatcher.targetctx.codegen().magic_tuple(), str(arguments))
    walk.text([getattr(numba.config, name, None) for name in _SETTINGS])
    walk.value(dispatcher)
    for kind in arguments:
        walk.argument(kind)
    walk.looked_up()
    return walk.hash.hexdigest()[:40], walk.classes


# What each function read when it was first walked. Numba bakes globals in: bound anew, they leave
# machine code behind that later kernels link, and whose digest would be that of the new ones.
_first_read: weakref.WeakKeyDictionary[Any, dict[str, Any]] = weakref.WeakKeyDictionary()


class _Walk:
    """Feeds a hash with a function, all it can reach and the constants it reads."""

    def __init__(self, typing_context: Any) -> None:
        self.hash = hashlib.sha256()
        self.classes: list[type] = []  # namedtuples and enumerations, in order of first sight
        self._typing_context = typing_context
        self._met: dict[Any, tuple[int, Any]] = {}
        self._names: set[str] = set()  # attributes and methods that the code met may look up

    def text(self, *parts: Any) -> None:
        for part in parts:
            self.hash.update(f"{part!r}\0".encode())

    def met(self, *objects: Any) -> bool:
        """Whether these were fed before; their number then stands for them."""
        key = tuple(map(id, objects))
        known = key in self._met
        number, _ = self._met.setdefault(key, (len(self._met), objects))
        self.text(number)
        return known

    def value(self, obj: Any, reader: Any = None) -> None:
        """Digest `obj`; of a module, what the function `reader` may look up in it."""
        if isinstance(obj, enum.Enum):
            self.type(type(obj))
            self.text(obj.name)
        elif type(obj) in _SCALARS or isinstance(obj, (np.generic, np.dtype)):
            self.text(type(obj).__name__, obj)
        elif _versioned(obj):
            self.text(obj.__module__, obj.__name__)
            self.overloads(obj)
        elif isinstance(obj, tuple):
            if type(obj) is not tuple:
                self.type(type(obj))
            self.text("tuple", len(obj))
            for member in obj:
                self.value(member)
        elif isinstance(obj, frozenset):
            self.text("frozenset", sorted(map(repr, obj)))
        elif type(obj) is np.ndarray and not obj.dtype.hasobject:
            self.text("array", obj.dtype, obj.shape, obj.strides, obj.tobytes())
        elif isinstance(obj, Dispatcher):
            self.text("kernel")
            self.value(_frozen({**obj.targetoptions, "locals": _frozen(obj.locals)}))
            self.function(obj.py_func)
        elif isinstance(obj, pytypes.FunctionType):
            self.function(obj)
        elif hasattr(obj, "_defn"):  # an intrinsic: what its definition does, the machine code does
            self.function(obj._defn)
        elif isinstance(obj, pytypes.ModuleType):
            self.module(obj, reader)
        elif isinstance(obj, types.Type):
            self.text(str(obj))
            self.argument(obj)
        elif isinstance(obj, type):
            self.type(obj)
        else:
            raise Uncacheable(repr(obj))

    def argument(self, kind: Any) -> None:
        """Digest what the text of an argument type leaves out."""
        if isinstance(kind, (types.BaseNamedTuple, types.EnumMember)):
            self.type(kind.instance_class)
        if isinstance(kind, types.BaseTuple):
            for member in kind:
                self.argument(member)
        elif isinstance(kind, types.Optional):
            self.argument(kind.type)
        elif not isinstance(kind, (*_DESCRIBED, types.EnumMember)):
            raise Uncacheable(str(kind))

    def type(self, cls: type) -> None:
        if self.met(cls):
            return
        self.text("type", cls.__module__, cls.__qualname__)
        if issubclass(cls, enum.Enum):
            self.classes.append(cls)
            for name, member in cls.__members__.items():
                self.text(name)
                self.value(member.value)
        elif issubclass(cls, tuple) and hasattr(cls, "_fields"):
            self.classes.append(cls)
            self.text(cls._fields)
            self.value(_frozen(getattr(cls, "_field_defaults", {})))
        elif not issubclass(cls, BaseException):
            raise Uncacheable(repr(cls))

    def module(self, module: Any, reader: Any) -> None:
        self.text("module", module.__name__)
        if reader is None or self.met(reader, module):
            return
        for name in _names_in(reader.__code__):
            obj = vars(module).get(name)
            if isinstance(obj, pytypes.ModuleType) or _package(module.__name__) not in _VERSIONED:
                if name in vars(module):
                    self.read(obj, f"{module.__name__}.{name}", reader)
            else:
                self.overloads(obj)

    def read(self, obj: Any, name: str, reader: Any) -> None:
        """Digest what the function `reader` finds under `name`."""
        if _first_read.setdefault(reader, {}).setdefault(name, obj) is not obj:
            raise Uncacheable(f"{name} was bound anew")
        self.text(name)
        self.value(obj, reader)

    def function(self, function: Any) -> None:
        if self.met(function):
            return
        if function.__globals__.get("__name__") not in sys.modules:  # Numba imports it on loading
            raise Uncacheable(f"{function.__qualname__} is of no module")
        self.value(function.__defaults__)
        self.value(_frozen(function.__kwdefaults__ or {}))
        cells = zip(function.__code__.co_freevars, function.__closure__ or (), strict=True)
        for name, cell in cells:
            try:
                self.read(cell.cell_contents, f"{name} of the closure", function)
            except ValueError:
                raise Uncacheable(f"{name} of a closure is empty") from None
        self.code(function.__code__, function)
        self.overloads(function)

    def code(self, code: Any, function: Any) -> None:
        documented = code is function.__code__ and function.__doc__ is not None
        self.text(_text_of(code, documented and code.co_consts[0] is function.__doc__))
        self._names.update(_mentions(code))
        for constant in code.co_consts:
            if isinstance(constant, pytypes.CodeType):
                self.code(constant, function)
        for name in code.co_names:
            if name in function.__globals__:
                obj = function.__globals__[name]
                # An attribute may share its name with some global that this code does not read.
                if isinstance(obj, _KNOWN) or name in _globals_read(code):
                    self.read(obj, name, function)

    def overloads(self, function: Any) -> None:
        """Digest what Numba was taught about `function`, here or by the user."""
        known = self._typing_context._lookup_global(function)
        for template in getattr(known, "templates", ()):
            self.template(template)

    def looked_up(self) -> None:
        """Digest what the attributes and methods that all this code looks up can be."""
        before = -1
        while len(self._met) > before:  # until that turns up no new code
            before = len(self._met)
            for cls in list(self.classes):
                methods = getattr(cls, "methods", {})  # of a block's Spec
                for name in sorted(self._names.intersection(methods)):
                    self.text(name)
                    self.function(getattr(methods[name], "__func__", methods[name]))
            for name, template in _method_overloads(len(templates.builtin_registry.attributes)):
                if name in self._names:
                    self.template(template)

    def template(self, template: Any) -> None:
        implementation = getattr(template, "_overload_func", None)
        if implementation is None:
            if not all(_package(cls.__module__) in _TEMPLATE_BASES for cls in template.__mro__):
                raise Uncacheable(repr(template))
        elif _package(implementation.__module__) != "numba":
            self.function(implementation)


@functools.cache
def _method_overloads(count: int) -> list[tuple[str, Any]]:
    """What users taught Numba about attributes and methods, by name; `count` is what there is."""
    foreign = [
        (template._attr, template)
        for template in templates.builtin_registry.attributes[:count]
        # Our own finds the methods of a Spec, which are digested as such.
        if hasattr(template, "_attr")
        and _package(template._overload_func.__module__) not in ("numba", "numopt")
    ]
    return sorted(foreign, key=operator.itemgetter(0))


_TEMPLATE_BASES = ("numba", "builtins", "abc")


def _package(module: str | None) -> str:
    return (module or "").partition(".")[0]


def _versioned(obj: Any) -> bool:
    """Whether `obj` is what a package of known version keeps under that name."""
    module, name = getattr(obj, "__module__", None), getattr(obj, "__name__", None)
    if not isinstance(module, str) or _package(module) not in _VERSIONED:
        return False
    return isinstance(name, str) and getattr(sys.modules.get(module), name, None) is obj


def _frozen(value: Any) -> Any:
    """Sets and dictionaries of options in a fixed order."""
    if isinstance(value, dict):
        return tuple((name, _frozen(value[name])) for name in sorted(value))
    return frozenset(value) if isinstance(value, set) else value


def _with_nested(code: Any) -> Iterator[Any]:
    yield code
    for constant in code.co_consts:
        if isinstance(constant, pytypes.CodeType):
            yield from _with_nested(constant)


@functools.cache
def _names_in(code: Any) -> tuple[str, ...]:
    """All names a function and the functions inside it look up."""
    return tuple(dict.fromkeys(name for part in _with_nested(code) for name in part.co_names))


@functools.cache
def _mentions(code: Any) -> frozenset[str]:
    """Names that code may look methods up by, as strings too: method_of(block, "prox_1d")."""
    return frozenset(code.co_names).union(c for c in code.co_consts if isinstance(c, str))


@functools.cache
def _text_of(code: Any, documented: bool) -> str:
    """Bytecode, names and constants; what is nested follows on its own, documentation not."""
    constants = [
        sorted(map(repr, constant)) if isinstance(constant, frozenset) else constant
        for constant in code.co_consts
        if not isinstance(constant, pytypes.CodeType)
    ]
    if documented:
        constants[0] = None
    names = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    counts = (code.co_flags, code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount)
    return repr((code.co_code, code.co_exceptiontable, counts, names, constants))


@functools.cache
def _globals_read(code: Any) -> frozenset[str]:
    instructions = dis.get_instructions(code)
    return frozenset(i.argval for i in instructions if i.opname == "LOAD_GLOBAL")
