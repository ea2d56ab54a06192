"""How kernels find the methods of blocks: by the namedtuple class behind a Numba type."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core.typing.templates import (
    AbstractTemplate,
    AttributeTemplate,
    infer_getattr,
    signature,
)
from numba.extending import lower_builtin, overload

from numopt.core.block import handed_on, specs
from numopt.core.jit import inner

# Overloads are entered from kernels alone: without the wrappers for Python they compile faster.
OPTIONS = {"error_model": "numpy", "no_cpython_wrapper": True, "no_cfunc_wrapper": True}


def _spec_of(kind: Any) -> Any:
    """The block Spec behind a Numba type, or None."""
    cls = getattr(kind, "instance_class", None)
    return cls if hasattr(cls, "compiled_methods") else None


def method_of(kind: Any, name: str) -> Any:
    """The method `name` of the block behind a Numba type; None where it has none."""
    spec = _spec_of(kind)
    method = None if spec is None else spec.compiled_methods.get(name)
    # One that hands on to the blocks inside is there only where those have what it calls.
    if method is not None and (called := handed_on(method)):
        inside = [member for member in kind if _spec_of(member) is not None]
        if any(method_of(member, other) is None for member in inside for other in called):
            return None
    return method


@functools.cache
def _compiled(method: Any) -> Any:
    return inner(getattr(method, "__func__", method))


@infer_getattr
class _Methods(AttributeTemplate):  # type: ignore[misc]
    """``self.name(...)`` on a block, for every function of its class.

    Numba's `overload_method` would hold all blocks to one signature for each name.
    """

    key = types.BaseNamedTuple

    def generic_resolve(self, block: Any, name: str) -> Any:
        spec = _spec_of(block)
        method = None if spec is None or name in block.fields else spec.methods.get(name)
        if method is None:
            return None
        takes_self = not isinstance(method, staticmethod)
        function = types.Dispatcher(_compiled(method))

        class Method(AbstractTemplate):  # type: ignore[misc]
            key = (types.BaseNamedTuple, name)

            def generic(self, args: Any, kwargs: Any) -> Any:
                given = (block, *args) if takes_self else args
                found = function.get_call_type(self.context, given, kwargs)
                if found is None or takes_self:
                    return found and found.as_method()
                bound = signature(found.return_type, *found.args, recvr=block)
                return bound.replace(pysig=found.pysig)

        return types.BoundFunction(Method, block)


_allowed: set[str] = set()


def allow_methods(methods: dict[str, Callable[..., Any]]) -> None:
    """Let kernels call functions of these names on blocks."""
    for name in set(methods) - _allowed:
        _allowed.add(name)

        def call(context: Any, builder: Any, found: Any, values: Any, name: str = name) -> Any:
            method = _spec_of(found.args[0]).methods[name]
            skip = int(isinstance(method, staticmethod))
            function = types.Dispatcher(_compiled(method))
            exact = function.get_call_type(context.typing_context, found.args[skip:], {})
            run = context.get_function(function, exact)
            context.add_linking_libs(getattr(run, "libs", ()))
            return run(builder, values[skip:])

        lower_builtin((types.BaseNamedTuple, name), types.BaseNamedTuple, types.VarArg(types.Any))(
            call
        )


def generic(
    stub: Callable[..., Any], merged: bool = False
) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """Attach an overload to a stub, where the cache's digest can find it too.

    `merged` as in `inner`: for those called once per column.
    """
    options = {**OPTIONS, "forceinline": merged}

    def attach(implementation: Callable[..., Any]) -> Callable[..., Any]:
        stub.overload = implementation  # type: ignore[attr-defined]
        overload(stub, strict=False, jit_options=options)(implementation)
        return implementation

    return attach


for _spec in specs:
    allow_methods(_spec.methods)
