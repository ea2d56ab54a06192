"""Maps of R^n given in Python: guarded calls, their count, and the last value."""

from __future__ import annotations

from typing import Any

import numpy as np

from numopt.core.validate import as_vector, require_length
from numopt.problems._base import Problem
from numopt.problems._oracle import Calls


class Mapped(Problem):
    """Base of problems about one map of R^n; subclasses have the fields `z0` and `_calls`."""

    z0: Any
    _calls: Calls

    @property
    def size(self) -> int:
        """Number of variables."""
        return int(self.z0.size)

    @property
    def evaluations(self) -> tuple[int, int, int]:
        """Evaluations of the map in this thread, and two zeros."""
        return self._calls.nfev, 0, 0

    def count(self, calls: int) -> None:
        """Add evaluations that compiled code has made."""
        self._calls.nfev += int(calls)

    def point(self, x: Any, name: str = "x") -> np.ndarray:
        """A vector of the right length in float64."""
        return require_length(as_vector(x, name, np.float64), self.size, name)

    def _call(self, function: Any, z: np.ndarray, name: str, *more: Any) -> np.ndarray:
        """What a map returns, checked; `z` is a copy that it may change."""
        return as_image(function(z.copy(), *more), z.size, name)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in super().__getstate__().items() if key != "_calls"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__({**state, "_calls": Calls()})


def as_image(value: Any, size: int, name: str) -> np.ndarray:
    """A copy of what a user's function returned, which may be a buffer of theirs.

    NaN passes, wrong lengths do not.
    """
    image = np.asarray(value)
    if image.dtype.kind not in "fiub":
        raise TypeError(f"{name} must return real numbers, got {image.dtype}")
    if image.size != size or image.ndim > 2:
        raise ValueError(f"{name} must return {size} numbers, got shape {image.shape}")
    return np.array(image.reshape(-1), np.float64)


def norm(v: np.ndarray) -> float:
    """|v|_2 without overflow; NaN and infinity stay what they are."""
    largest = float(np.abs(v).max(initial=0.0))
    if not 0 < largest < np.inf:
        return largest
    return largest * float(np.linalg.norm(v / largest))
