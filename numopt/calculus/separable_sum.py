"""Different penalties on different parts of the variable."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np

from numopt.calculus._base import require_base
from numopt.core.block import block, handed_on
from numopt.core.stubs import (
    conjugate_1d,
    conjugate_bound_1d,
    curvature_1d,
    prox_1d,
    subdiff_distance_1d,
    value_1d,
)

# Under other names: a method that names a generic function is there only if all parts offer it,
# and these two find the scalar forms of parts that have no others.
from numopt.core.stubs import prox_into as prox_part
from numopt.core.stubs import value_of as value_part
from numopt.core.validate import require_count
from numopt.penalties._base import Penalty
from numopt.penalties.quadratic import Zero


class _SumForms(Penalty):
    """Forms of `SeparableSum` that are not for kernels, where a method of that name would be."""

    blocks: Any
    sizes: Any

    def subdiff_distance(self, x: Any, grad: Any) -> float:
        """Largest of the distances of the parts."""
        x, grad = self._pair(x, grad)
        return max(part.subdiff_distance(a, b) for part, a, b in self._parts(x, grad))

    @property
    def has_conjugate(self) -> bool:
        """Whether all parts have one."""
        return all(part.has_conjugate for part in self.blocks)

    def conjugate(self, u: Any) -> float:
        """Sum of the conjugates."""
        return sum(part.conjugate(a) for part, a in self._parts(self._vector(u, "u")))

    def dual_scale(self, u: Any) -> float:
        """Least of those of the parts."""
        return min(part.dual_scale(a) for part, a in self._parts(self._vector(u, "u")))

    def _parts(self, *vectors: np.ndarray) -> Iterator[tuple[Any, ...]]:
        ends = np.cumsum(self.sizes)
        for part, size, end in zip(self.blocks, self.sizes, ends, strict=True):
            yield part, *(vector[end - size : end] for vector in vectors)


@block
class SeparableSum(_SumForms):
    r"""Penalties on consecutive slices, :math:`\sum_k \phi_k(x_{[k]})`.

    The first `sizes[0]` coordinates belong to the first penalty, the next `sizes[1]` to the second,
    and so on. Where all of them separate, so does the sum, and coordinate descent can take it.

    Parameters
    ----------
    blocks : sequence of penalties or sets
        The :math:`\phi_k`.
    sizes : sequence of int
        Length of each slice, >= 1.

    Examples
    --------
    >>> from numopt.calculus import SeparableSum
    >>> from numopt.penalties import L1, GroupLasso, Zero
    >>> parts = SeparableSum([L1(1.0), Zero(), GroupLasso(1.0, [0, 0])], sizes=[2, 1, 2])
    >>> parts.prox([3.0, 0.5, 7.0, 3.0, 4.0]).round(6).tolist()
    [2.0, 0.0, 7.0, 2.4, 3.2]
    """

    blocks: Any = dataclasses.field(metadata={"labels": True, "host": True})
    sizes: Any = dataclasses.field(metadata={"labels": True, "host": True})
    # Kernels see the first part and all the others, which may be a sum again.
    first: Any = dataclasses.field(init=False, repr=False)
    others: Any = dataclasses.field(init=False, repr=False)
    cut: int = dataclasses.field(init=False, repr=False)

    def __post_init__(self) -> None:
        blocks, sizes = tuple(self.blocks), tuple(self.sizes)
        if not blocks:
            raise ValueError("SeparableSum: blocks is empty; give at least one penalty")
        if len(sizes) != len(blocks):
            raise ValueError(
                f"SeparableSum: sizes has {len(sizes)} entries, expected {len(blocks)}: one a block"
            )
        for k, (part, size) in enumerate(zip(blocks, sizes, strict=True)):
            require_base(self, part)
            require_count(size, f"SeparableSum: sizes[{k}]", 1)
            if part.size not in (None, size):
                raise ValueError(
                    f"SeparableSum: sizes[{k}] = {size} but the penalty {type(part).__name__} was "
                    f"made for {part.size} coordinates"
                )
        others: Any = Zero()
        if len(blocks) == 2:
            others = blocks[1]
        elif len(blocks) > 2:
            others = SeparableSum(blocks[1:], sizes[1:])
        for name, value in (
            ("blocks", blocks),
            ("sizes", tuple(int(size) for size in sizes)),
            ("first", blocks[0]),
            ("others", others),
            ("cut", int(sizes[0])),
        ):
            object.__setattr__(self, name, value)
        for predicate in ("convex", "smooth", "strongly_convex", "cone", "affine", "separable"):
            object.__setattr__(self, predicate, all(getattr(part, predicate) for part in blocks))

    def offers(self, method: str) -> bool:  # type: ignore[override]
        """Whether kernels can call `method` on this block and, on its parts what that calls."""
        own = type(self).Spec.compiled_methods.get(method)
        return own is not None and all(
            part.offers(called) for part in self.blocks for called in handed_on(own)
        )

    def value_1d(self, x, j):
        if j < self.cut:
            return value_1d(self.first, x, j)
        return value_1d(self.others, x, j - self.cut)

    def prox_1d(self, x, step, j):
        if j < self.cut:
            return prox_1d(self.first, x, step, j)
        return prox_1d(self.others, x, step, j - self.cut)

    def subdiff_distance_1d(self, x, grad, j):
        if j < self.cut:
            return subdiff_distance_1d(self.first, x, grad, j)
        return subdiff_distance_1d(self.others, x, grad, j - self.cut)

    def conjugate_1d(self, u, j):
        if j < self.cut:
            return conjugate_1d(self.first, u, j)
        return conjugate_1d(self.others, u, j - self.cut)

    def conjugate_bound_1d(self, j):
        if j < self.cut:
            return conjugate_bound_1d(self.first, j)
        return conjugate_bound_1d(self.others, j - self.cut)

    def curvature_1d(self, j):
        if j < self.cut:
            return curvature_1d(self.first, j)
        return curvature_1d(self.others, j - self.cut)

    def value_of(self, x):
        return value_part(self.first, x[: self.cut]) + value_part(self.others, x[self.cut :])

    def prox_into(self, v, step, out):
        prox_part(self.first, v[: self.cut], step, out[: self.cut])
        prox_part(self.others, v[self.cut :], step, out[self.cut :])

    @property
    def concavity(self) -> float:
        """Largest of the parts."""
        return max(part.concavity for part in self.blocks)

    @property
    def coordinate_weights(self) -> np.ndarray | None:
        """Those of the parts, 1 where a part has none and 0 where there is no penalty."""
        return self.kept("coordinate_weights", self._weights)

    def _weights(self) -> np.ndarray:
        found = []
        for part, size in zip(self.blocks, self.sizes, strict=True):
            weights = part.coordinate_weights
            default = np.zeros if isinstance(part, Zero) else np.ones
            found.append(default(size) if weights is None else weights)
        return np.concatenate(found)

    def alpha_max(self, grad0: Any) -> float:
        """Largest of the parts that penalise."""
        grad0 = self._vector(grad0, "grad0")
        return max(
            (part.alpha_max(a) for part, a in self._parts(grad0) if not isinstance(part, Zero)),
            default=0.0,
        )

    def _size(self) -> int:
        return sum(self.sizes)
