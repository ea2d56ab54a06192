"""Products of sets."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from numopt.core.block import block
from numopt.core.validate import require_count
from numopt.sets._base import HostSet, is_set


class _ProductForms(HostSet):
    sets: tuple[Any, ...]
    sizes: tuple[int, ...]
    ends: np.ndarray

    @property
    def dear(self) -> bool:  # type: ignore[override]
        """Whether an oracle of the factors is."""
        return any(factor.dear for factor in self.sets)

    @property
    def has_projection(self) -> bool:
        """Whether all factors have one."""
        return all(factor.has_projection for factor in self.sets)

    @property
    def has_oracle(self) -> bool:
        """Whether all factors have one."""
        return all(factor.has_oracle for factor in self.sets)

    @property
    def bounded(self) -> bool:
        """Whether all factors are."""
        return all(factor.bounded for factor in self.sets)

    def lmo(self, c: Any) -> np.ndarray:
        """That of each factor for its part of c."""
        parts = self._parts(c, "c")
        return np.concatenate([factor.lmo(part) for factor, part in parts])

    def least(self, c: Any) -> float:
        """Sum over the factors."""
        return float(sum(factor.least(part) for factor, part in self._parts(c, "c")))

    def project(self, x: Any) -> np.ndarray:
        """That of each factor for its part of x."""
        return np.concatenate([factor.project(part) for factor, part in self._parts(x, "x")])

    def violation(self, x: Any) -> float:
        """The largest of the factors."""
        return max(factor.violation(part) for factor, part in self._parts(x, "x"))

    @property
    def diameter(self) -> float:
        """Root of the sum of squares."""
        sizes = zip(self.sets, self.sizes, strict=True)
        return float(np.linalg.norm([factor.diameter_in(n) for factor, n in sizes]))

    def _parts(self, x: Any, name: str) -> list[tuple[Any, np.ndarray]]:
        pieces = np.split(self._vector(x, name), self.ends[:-1])
        return list(zip(self.sets, pieces, strict=True))

    def _size(self) -> int:
        return int(self.ends[-1])


@block
class Product(_ProductForms):
    r"""Product of sets, :math:`C_1 \times \dots \times C_m`: each part of x in a set of its own.

    Parameters
    ----------
    sets : sequence of sets
        The factors, in the order of their parts of x.
    sizes : sequence of int, optional
        Length of each part; needed where a factor does not tell its own.

    Examples
    --------
    >>> from numopt.sets import L1Ball, Product, Simplex
    >>> both = Product((Simplex(), L1Ball(2.0)), (2, 2))
    >>> both.lmo([1.0, 0.5, -3.0, 1.0]).tolist()
    [0.0, 1.0, 2.0, 0.0]
    """

    sets: Any = dataclasses.field(metadata={"labels": True, "host": True})
    sizes: Any = dataclasses.field(default=None, metadata={"labels": True, "host": True})
    ends: Any = dataclasses.field(init=False, repr=False, metadata={"host": True})

    def __post_init__(self) -> None:
        factors = tuple(self.sets) if isinstance(self.sets, (list, tuple)) else (self.sets,)
        if not factors:
            raise ValueError("Product: sets is empty; give at least one set")
        for i, factor in enumerate(factors):
            if not is_set(factor):
                raise TypeError(
                    f"Product: sets[{i}] must be a set from numopt.sets, got "
                    f"{type(factor).__name__}"
                )
        sizes = [factor.size for factor in factors] if self.sizes is None else list(self.sizes)
        if len(sizes) != len(factors):
            raise ValueError(f"Product: {len(factors)} sets but {len(sizes)} sizes")
        for i, (factor, size) in enumerate(zip(factors, sizes, strict=True)):
            if size is None:
                raise ValueError(
                    f"Product: sizes is needed, as sets[{i}] ({type(factor).__name__}) may have "
                    "any length"
                )
            require_count(size, f"Product: sizes[{i}]", least=1)
            if factor.size not in (None, size):
                raise ValueError(
                    f"Product: sizes[{i}] is {size}, but {type(factor).__name__} was made for "
                    f"{factor.size} coordinates"
                )
        object.__setattr__(self, "sets", factors)
        object.__setattr__(self, "sizes", tuple(int(size) for size in sizes))
        object.__setattr__(self, "ends", np.cumsum(self.sizes))
