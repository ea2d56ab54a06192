"""What all problem classes share."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from operator import is_
from typing import Any, ClassVar, Self, TypeVar

import numpy as np

from numopt.core.result import Certificate, Status

T = TypeVar("T")


def _same(a: tuple[Any, ...], b: tuple[Any, ...]) -> bool:
    """Whether two tuples hold the very same objects."""
    return a is b or (len(a) == len(b) and all(map(is_, a, b)))


class Problem:
    """Data and blocks of one problem; no algorithm.

    Subclasses are frozen dataclasses with ``objective(x)`` and ``certificate(x)``, both straight
    from the formulas in float64 and independent of every solver.
    """

    #: Name of the solver that ``solve(problem)`` picks.
    default_solver: ClassVar[str]
    #: Fields of a result, besides x, that the certificate needs.
    certificate_parts: ClassVar[tuple[str, ...]] = ()

    # Name -> (the data it was computed from, the value): of this problem, and the latest of all
    # that came of one another by `replace`, so that a sequence of siblings shares it too.
    _memo: dict[str, tuple[tuple[Any, ...], Any]]
    _family: dict[str, tuple[tuple[Any, ...], Any]]

    def objective(self, x: Any) -> float:
        """Objective at x."""
        raise TypeError(f"{type(self).__name__} has no objective")

    def certificate(self, x: Any) -> Certificate:
        """Residuals at x, recomputed from the data."""
        raise TypeError(f"{type(self).__name__} has no certificate")

    @property
    def dtype(self) -> Any:
        """Working precision."""
        return np.dtype(np.float64)

    @property
    def default_tol(self) -> float:
        """1e-8, or 1e-5 in float32."""
        return 1e-8 if self.dtype == np.float64 else 1e-5

    def replace(self, **changes: Any) -> Self:
        """A related problem; what was computed from unchanged data is kept."""
        fields = {f.name for f in dataclasses.fields(self)}  # type: ignore[arg-type]
        if unknown := set(changes) - fields:
            raise TypeError(
                f"{type(self).__name__} has no field {sorted(unknown)[0]!r}; "
                f"it has {', '.join(sorted(fields))}"
            )
        related = dataclasses.replace(self, **changes)  # type: ignore[type-var]
        memo, family = self._caches()
        object.__setattr__(related, "_memo", {**memo, **related.__dict__.get("_memo", {})})
        object.__setattr__(related, "_family", family)
        return related

    def cached(self, name: str, data: tuple[Any, ...], build: Callable[[], T]) -> T:
        """`build()`, or its last value if it was made from these very objects."""
        memo, family = self._caches()
        known = memo.get(name)
        if known is not None and _same(known[0], data):
            return known[1]
        known = family.get(name)
        if known is not None and _same(known[0], data):
            memo[name] = known
            return known[1]
        value = build()
        memo[name] = family[name] = (data, value)
        return value

    def _caches(self) -> tuple[dict[str, Any], dict[str, Any]]:
        own = self.__dict__
        if "_memo" not in own:
            own["_family"], own["_memo"] = {}, {}
        return own["_memo"], own["_family"]

    def confirms(self, status: Status, point: Any) -> bool:
        """Whether what a point holds proves that the problem is infeasible, or unbounded."""
        return False

    def parts_of(self, result: Any) -> dict[str, Any]:
        """What `certificate` takes besides x, from a result."""
        return {name: result[name] for name in self.certificate_parts if name in result}

    def __getstate__(self) -> dict[str, Any]:
        caches = ("_memo", "_family", "_fits")
        return {
            key: value
            for key, value in self.__dict__.items()
            if key not in caches
            and not isinstance(getattr(type(self), key, None), functools.cached_property)
        }

    def __setstate__(self, state: dict[str, Any]) -> None:
        for key, value in state.items():
            object.__setattr__(self, key, value)
