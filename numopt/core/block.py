"""Blocks: the losses, penalties, sets and operators that problems are made of.

A block is a frozen dataclass. ``@block`` adds what compiled kernels need: a namedtuple class
``Spec`` with the block's numbers and arrays, and the methods Numba compiles for it the first time
a kernel asks. Importing or defining a block does not import Numba.
"""

from __future__ import annotations

import dataclasses
import dis
import functools
import hashlib
import math
import numbers
import sys
from collections import namedtuple
from collections.abc import Callable
from types import FunctionType
from typing import Any, ClassVar, TypeVar, cast, dataclass_transform, overload

import numpy as np

# Methods that kernels call on a block, with their arguments after self; a class body offers those
# that mean something for it.
SCALAR_METHODS = {
    "value_1d": "x, j",  # penalty of coordinate j at x, or loss of sample j at prediction x
    "prox_1d": "x, step, j",  # argmin_z (z - x)^2 / 2 + step * value_1d(z, j)
    "subdiff_distance_1d": "x, grad, j",  # dist(-grad, subdifferential of value_1d at x)
    "gradient_1d": "z, i",  # derivative of the loss of sample i
    "hessian_1d": "z, i",  # its second derivative
    "conjugate_1d": "u, i",  # convex conjugate
    "conjugate_bound_1d": "j",  # largest |u| at which the conjugate is finite
    "curvature_1d": "j",  # r of a quadratic penalty r x^2 / 2
}
VECTOR_METHODS = {
    "value_of": "x",  # value at a vector
    "prox_into": "v, step, out",  # prox without allocation
    "subdiff_distance_of": "x, grad",  # max over blocks of dist(-grad, subdifferential)
    "conjugate_of": "u",
}
# Losses that are no sum over samples; scale holds the weights of the samples in the mean.
TOTAL_METHODS = {
    "total": "scale, z",
    "total_gradient": "scale, z, out",  # returns the value
    "total_conjugate": "scale, u",
    "total_prox": "scale, v, step, out",
    "probabilities": "z, out",  # of the classes of each sample, where these are the outputs
}
# For penalties that are sums over groups: their part of group g, as the fields `order` and `starts`
# list its coordinates. Vectors are whole ones, of which only those coordinates are touched.
GROUP_METHODS = {
    "value_group": "x, g",
    "prox_group": "v, step, g, out",
    "subdiff_distance_group": "x, grad, g",
}
# Of operators, see `numopt.operators`.
OPERATOR_METHODS = {
    "apply_into": "z, out",
    "add_change": "i, z, w, scale, out",  # scale * (component i at z - the same at w), added to out
}
# User-facing vector forms; a user's class may write these instead, and they are compiled as well.
PUBLIC_METHODS = {
    "value": "x",
    "prox": "v, step",
    "subdiff_distance": "x, grad",
    "conjugate": "u",
    "project": "x",
}
COMPILED_METHODS = {
    **SCALAR_METHODS, **VECTOR_METHODS, **TOTAL_METHODS, **GROUP_METHODS, **OPERATOR_METHODS,
    **PUBLIC_METHODS,
}  # fmt: skip

# Fields that stay out of the Spec: the front of a block folds them into its data; weights do not
# where the methods of a class read them.
_HOST_FIELDS = ("weights", "sample_weight", "offset")

Class = TypeVar("Class", bound=type)


class Block:
    """Base of all blocks: predicates, lowering to compiled form, equality by contents."""

    convex: ClassVar[bool] = False
    smooth: ClassVar[bool] = False
    strongly_convex: ClassVar[bool] = False
    cone: ClassVar[bool] = False
    affine: ClassVar[bool] = False
    separable: ClassVar[bool] = False
    #: Fields without which a class is none of this family.
    needed_fields: ClassVar[tuple[str, ...]] = ()

    Spec: ClassVar[Any]

    def spec(self, dtype: Any = np.float64) -> Any:
        """Lower to the namedtuple that kernels take: floats and float arrays in `dtype`."""
        return self.kept(("spec", dtype), lambda: self._spec(dtype))

    def _spec(self, dtype: Any) -> Any:
        self._require_decorated()
        plain = self.Spec(*(lower(getattr(self, name), dtype) for name in self.Spec._fields))
        weights = getattr(self, "weights", None)
        if weights is None or "weights" in self.Spec._fields:
            return plain
        from numopt.calculus import Weighted

        return Weighted.Spec(plain, lower(weights, dtype))

    def kept(self, key: Any, build: Callable[[], Any]) -> Any:
        """`build()`, remembered: blocks do not change."""
        memo = self.__dict__.get("_kept")
        if memo is None:
            memo = {}
            object.__setattr__(self, "_kept", memo)
        if key not in memo:
            memo[key] = build()
        return memo[key]

    def _require_decorated(self) -> None:
        """Refuse to run a subclass by the compiled methods of the block it inherits from."""
        for cls in type(self).__mro__:
            if "Spec" in vars(cls):
                return
            if changed := sorted(COMPILED_METHODS.keys() & vars(cls).keys()):
                raise TypeError(
                    f"{cls.__name__} defines {changed[0]} but is no block; decorate it with "
                    "@numopt.block"
                )

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_kept"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    @classmethod
    def offers(cls, method: str) -> bool:
        """Whether kernels can call `method` on this block."""
        return method in cls.Spec.compiled_methods

    def require(self, *choice: str) -> None:
        """Refuse to go on where kernels can call none of these methods."""
        if not any(self.offers(method) for method in choice):
            wanted = " or ".join(f"{m}(self, {COMPILED_METHODS[m]})" for m in choice)
            raise TypeError(f"{type(self).__name__} does not offer {wanted}")

    def __eq__(self, other: object) -> bool:
        if type(self) is not type(other):
            return NotImplemented
        return all(
            _same(getattr(self, f.name), getattr(other, f.name))
            for f in dataclasses.fields(self)  # type: ignore[arg-type]
            if f.compare
        )

    def __hash__(self) -> int:
        scalars = (getattr(self, f.name) for f in dataclasses.fields(self))  # type: ignore[arg-type]
        return hash((type(self), *(s for s in scalars if isinstance(s, (float, int, str)))))


@overload
def block(cls: Class) -> Class: ...
@overload
def block(
    *, base: type[Block] | None = None, convex: bool | None = None
) -> Callable[[Class], Class]: ...
@dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=(dataclasses.field,))
def block(cls: Any = None, *, base: type[Block] | None = None, convex: bool | None = None) -> Any:
    """Make a class a block: a frozen dataclass whose methods run inside compiled kernels.

    A penalty needs ``value_1d(self, x, j)`` and ``prox_1d(self, x, step, j)``; give it
    ``subdiff_distance_1d(self, x, grad, j)`` and its results carry a KKT certificate instead of a
    fixed-point residual. A loss needs ``value_1d(self, z, i)`` and ``gradient_1d(self, z, i)``.
    Whole-vector forms ``value(self, x)`` and ``prox(self, v, step)`` serve functions that do not
    separate. Bodies are plain Python that Numba can compile; ``self`` gives the fields, the other
    methods, and the constants and properties of the class; helpers from outside are functions
    decorated with ``numba.njit``. A loss has a field `y`. Arrays of a penalty hold an entry per
    coordinate, unless the class says ``size = None``.

    Parameters
    ----------
    cls : type
        Class with annotated fields: numbers and arrays.
    base : type, optional
        Family whose public methods the class gets, found from its methods if not given.
    convex : bool, optional
        Same as a class attribute ``convex = True``; unsaid means not known to be convex.

    Examples
    --------
    >>> import numopt
    >>> @numopt.block(convex=True)
    ... class HalfSquare:
    ...     alpha: float
    ...     def value_1d(self, x, j):
    ...         return self.alpha * x * x / 2
    ...     def prox_1d(self, x, step, j):
    ...         return x / (1 + step * self.alpha)
    >>> HalfSquare(1.0).value([3.0, 1.0])
    5.0
    """
    if cls is None:
        return lambda cls: block(cls, base=base, convex=convex)  # type: ignore[call-overload]
    own = _methods(cls)
    family = base or _family(own)
    _check_arguments(cls, own, family)
    _wrap_validation(cls, family)
    cls = dataclasses.dataclass(frozen=True, eq=False)(cls)
    if convex is not None:
        cls.convex = convex
    said = "separable" in vars(cls)  # by its author, not by the family it is given
    _graft(cls, family)
    cls.Spec = _spec_class(cls, own)
    if not said:
        cls.separable = "value_1d" in own or "prox_1d" in own
    return cls


def lower(value: Any, dtype: Any) -> Any:
    """One field of a block in compiled form."""
    if is_block(value):
        return value.spec(dtype)
    if isinstance(value, tuple):
        return tuple(lower(member, dtype) for member in value)
    if isinstance(value, float):
        return np.dtype(dtype).type(value)
    if isinstance(value, (bool, int)):
        return value
    if isinstance(value, np.ndarray):
        kind = dtype if value.dtype.kind == "f" else value.dtype
        # Kernels are compiled for aligned, writeable, contiguous arrays: one compilation, not six.
        array = np.require(value, kind, ["C", "A"])
        return array if array.flags.writeable else array.copy()
    raise TypeError(
        f"kernels take numbers, arrays, blocks and tuples of these, not {value!r}; "
        "for bounds that are absent use infinities"
    )


# The bound has a default: blocks need not offer it. Frozen, for the digest of kernels reads it.
_HANDED_ON = frozenset({**SCALAR_METHODS, **VECTOR_METHODS}) - {"conjugate_bound_1d"}


def handed_on(method: Any) -> list[str]:
    """Generic functions that a method calls, on the blocks inside if there are any."""
    return [name for name in method.__code__.co_names if name in _HANDED_ON]


def is_block(value: Any) -> bool:
    """Whether a value is a block, of the library's or of a user's class."""
    return hasattr(type(value), "Spec")


def _methods(cls: Any) -> dict[str, Any]:
    """Functions of a class body and of what it inherits from blocks and from plain classes."""
    found: dict[str, Any] = {}
    for parent in cls.__mro__[:-1]:
        members = vars(parent)
        if "Spec" in members:
            methods = members["Spec"].methods
        elif parent is cls or not issubclass(parent, Block):
            methods = {n: f for n, f in members.items() if isinstance(f, _FUNCTIONS)}
        else:  # a family, whose public methods run on the host
            methods = {
                n: f for n, f in members.items() if n in {**SCALAR_METHODS, **VECTOR_METHODS}
            }
        if _DEFINING & found.keys() & methods.keys():
            # Another function now: what was said about the old one does not hold.
            methods = {n: f for n, f in methods.items() if n not in COMPILED_METHODS}
        found = {**methods, **found}
    return found


_FUNCTIONS = (FunctionType, staticmethod)
# Redefined in a subclass they make it another function; `prox_1d` may just be a faster one.
_DEFINING = {"value_1d", "value_of", "value", "gradient_1d", "total"}


def _read_on_self(methods: dict[str, Any]) -> set[str]:
    """Attributes that the compiled methods, and those they call, look up on the block."""
    reads: set[str] = set()
    pending = [name for name in methods if name in COMPILED_METHODS]
    seen = set(pending)
    while pending:
        method = methods[pending.pop()]
        if isinstance(method, staticmethod):
            continue
        itself = method.__code__.co_varnames[:1]
        before: tuple[Any, ...] = ()
        for instruction in dis.get_instructions(method):
            if before == itself and instruction.opname in ("LOAD_ATTR", "LOAD_METHOD"):
                reads.add(instruction.argval)
            local = instruction.opname.startswith("LOAD_FAST")
            # Some versions load two locals by one instruction.
            names = instruction.argval if local else ()
            before = names[-1:] if isinstance(names, tuple) else (names,)
        called = {name for name in reads & methods.keys() if name not in seen}
        pending += called
        seen |= called
    return reads


def _check_arguments(cls: Any, methods: dict[str, Any], family: type[Block]) -> None:
    """Refuse compiled methods with other arguments than kernels give them."""
    for name in COMPILED_METHODS.keys() & methods.keys():
        if name in TOTAL_METHODS and "y" not in family.needed_fields:
            continue  # of losses alone
        expected = ["self", *COMPILED_METHODS[name].split(", ")]
        if isinstance(methods[name], staticmethod):
            raise TypeError(f"{cls.__name__}.{name} is a staticmethod; give it self")
        code = methods[name].__code__
        optional = len(methods[name].__defaults__ or ())
        if not code.co_argcount - optional <= len(expected) <= code.co_argcount:
            found = code.co_varnames[: code.co_argcount]
            raise TypeError(
                f"{cls.__name__}.{name} must take ({', '.join(expected)}), "
                f"found ({', '.join(found)})"
            )


def _spec_class(cls: Any, methods: dict[str, Any]) -> Any:
    reads = _read_on_self(methods)
    host = [n for n in _HOST_FIELDS if n != "weights" or n not in reads]
    fields = [f for f in dataclasses.fields(cls) if "host" not in f.metadata]
    names = [f.name for f in fields if f.name not in host]
    # Constants and properties of the class that methods read are fields as well.
    names += sorted(n for n in reads.difference(names, methods) if _is_constant(cls, n))
    # Numba cannot unbox an empty namedtuple: a block without fields gets one.
    spec = cast(Any, namedtuple("Spec", names or ["empty"]))  # type: ignore[misc]
    spec.__module__ = cls.__module__
    spec.__qualname__ = f"{cls.__qualname__}.Spec"
    # Numba knows a namedtuple by its name and fields: two classes of one name would be one.
    spec.__name__ = _unique_name(cls, methods)
    spec.__doc__ = f"Compiled form of {cls.__name__}."
    # All functions of the class body can be called on `self` in kernels, as in plain Python.
    spec.methods = {n: f for n, f in methods.items() if not n.startswith("__") and n not in names}
    spec.compiled_methods = {n: f for n, f in spec.methods.items() if n in COMPILED_METHODS}
    for name, method in spec.methods.items():
        if not hasattr(tuple, name):
            setattr(spec, name, method)
    if dispatch := sys.modules.get("numopt.core.dispatch"):
        dispatch.allow_methods(spec.methods)
    specs.append(spec)
    if not names:
        cls.empty = 0.0
    return spec


def _is_constant(cls: Any, name: str) -> bool:
    value = getattr(cls, name, None)
    kinds = (property, functools.cached_property, numbers.Real, np.ndarray, tuple)
    return not name.startswith("__") and (isinstance(value, kinds) or is_block(value))


specs: list[Any] = []
_names: dict[str, int] = {}


def _unique_name(cls: Any, methods: dict[str, Any]) -> str:
    """Class name with a digest of its methods, the same in every process."""
    parts: list[Any] = [cls.__module__, cls.__qualname__]
    for name in sorted(COMPILED_METHODS.keys() & methods.keys()):
        code = methods[name].__code__
        constants = [c for c in code.co_consts if isinstance(c, (float, int, str))]
        parts += [name, code.co_code, code.co_names, constants]
    mark = hashlib.sha256(repr(parts).encode()).hexdigest()[:10]
    unique = f"{cls.__name__}_{mark}"
    _names[unique] = _names.get(unique, 0) + 1  # defined again in this process, as in a notebook
    return unique if _names[unique] == 1 else f"{unique}_{_names[unique]}"


def _family(methods: dict[str, Any]) -> type[Block]:
    from numopt.losses._base import Loss
    from numopt.penalties._base import Penalty

    if "apply_into" in methods:
        from numopt.operators import Operator

        return Operator
    return Loss if {"gradient_1d", "total_gradient"} & methods.keys() else Penalty


def _graft(cls: Any, family: type[Block]) -> None:
    """Give a class that does not inherit from its family the family's methods it lacks."""
    if issubclass(cls, family):
        return
    fields = {field.name for field in dataclasses.fields(cls)}
    for name in family.needed_fields:
        if name not in fields:
            raise TypeError(
                f"{cls.__name__}: every {family.__name__.lower()} needs a field {name!r}"
            )
    for parent in family.__mro__[:-1]:
        for name, member in vars(parent).items():
            if name in ("__dict__", "__weakref__", "__doc__", "__module__", "__init__"):
                continue
            if name in fields:
                raise TypeError(
                    f"{cls.__name__}: every {family.__name__.lower()} has its own {name!r}; "
                    "call the field otherwise"
                )
            # Python sets __hash__ to None where a class says what equals it.
            own = getattr(cls, name, _ABSENT)
            unsaid = own is None and name == "__hash__"
            if name == "__call__":  # of a class that is how it is made
                unsaid = not any(name in vars(base) for base in cls.__mro__)
            if unsaid or own is getattr(object, name, _ABSENT):
                setattr(cls, name, member)
    cls.__numopt_family__ = family


_ABSENT = object()


def _wrap_validation(cls: Any, family: type[Block]) -> None:
    """Coerce fields before ``__post_init__``, the family's and the class' own, look at them."""
    checks = [getattr(cls, "__post_init__", None)]
    if not issubclass(cls, family):
        checks.insert(0, getattr(family, "__post_init__", None))

    def __post_init__(self: Any) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name, None)  # one that __post_init__ fills in has none
            coerced = _coerce(value, field, cls.__name__)
            if coerced is not value:
                object.__setattr__(self, field.name, coerced)
        for check in checks:
            if check is not None:
                check(self)

    cls.__post_init__ = __post_init__


def _coerce(value: Any, field: dataclasses.Field[Any], owner: str) -> Any:
    """Numbers to float (an int would be another compiled type), lists to arrays; NaN refused."""
    if "labels" in field.metadata:  # of any kind; the class numbers them
        return value
    annotation = field.type if isinstance(field.type, str) else getattr(field.type, "__name__", "")
    if isinstance(value, (bool, np.bool_, str)) or value is None or is_block(value):
        if annotation == "float":
            raise TypeError(f"{owner}: {field.name} must be a number, got {value!r}")
        return value
    if isinstance(value, numbers.Real):
        if isinstance(value, numbers.Integral) and annotation in ("int", "int | None"):
            return int(value)
        if math.isnan(number := float(value)):
            raise ValueError(f"{owner}: {field.name} is NaN; give a number")
        return number
    if hasattr(value, "__array__") or isinstance(value, list):
        if isinstance(value, np.ma.MaskedArray) and value.mask.any():
            raise ValueError(f"{owner}: {field.name} has masked entries; fill or drop them first")
        array = np.asarray(value)
        if annotation == "float":
            if array.ndim == 0:
                return _coerce(array.item(), field, owner)
            raise TypeError(f"{owner}: {field.name} must be a number, got an array {array.shape}")
        if array.dtype.kind in "OcUSmM":
            raise TypeError(f"{owner}: {field.name} must hold real numbers, got {array.dtype}")
        if array.dtype.kind == "f" and np.isnan(array).any():
            where = tuple(int(i) for i in np.argwhere(np.isnan(array))[0])
            raise ValueError(f"{owner}: {field.name} is NaN at index {where}; drop or fill it")
        return array
    return value


def _same(a: Any, b: Any) -> bool:
    if isinstance(a, np.ndarray) or isinstance(b, np.ndarray):
        return np.array_equal(a, b)
    return bool(a == b)
