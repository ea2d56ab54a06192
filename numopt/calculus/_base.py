"""What blocks made of one block share."""

from __future__ import annotations

from typing import Any

from numopt.core.block import handed_on, is_block
from numopt.penalties._base import Penalty


class Composed(Penalty):
    """A penalty made of the penalty `base`."""

    base: Penalty

    def offers(self, method: str) -> bool:  # type: ignore[override]
        """Whether kernels can call `method` on this block and, on its base what that calls."""
        own = type(self).Spec.compiled_methods.get(method)
        return own is not None and all(self.base.offers(called) for called in handed_on(own))


def require_base(owner: Any, base: Any) -> None:
    """Refuse a base that is not a penalty."""
    if not is_block(base) or not hasattr(base, "alpha_max"):
        raise TypeError(
            f"{type(owner).__name__}: base must be a penalty, got {type(base).__name__}"
        )


def require_convex(owner: Any, base: Any, why: str) -> None:
    """Refuse a base that is not convex."""
    if not base.convex:
        raise TypeError(f"{type(owner).__name__}: {type(base).__name__} is not convex; {why}")
