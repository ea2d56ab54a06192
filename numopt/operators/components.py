"""Finite sums of operators given in Python."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from numopt.core.validate import require_count, require_positive


class Components:
    r"""An operator as the mean of its components, :math:`F = \frac1n \sum_i F_i`.

    Parameters
    ----------
    n : int
        Number of components.
    partial : callable
        ``partial(z, batch)`` returns the mean of F_i(z) over the indices i in `batch`, an integer
        array in which an index may occur twice. One call for a batch lets NumPy do the work.
    lipschitz : float, optional
        L with mean of |F_i(z) - F_i(w)|^2 at most L^2 |z - w|^2; estimated if not given.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.operators import Components
    >>> X, y = np.eye(2), np.array([1.0, 3.0])
    >>> F = Components(2, lambda z, batch: X[batch].T @ (X[batch] @ z - y[batch]) / len(batch))
    >>> F([1.0, 1.0]).tolist()
    [0.0, -1.0]
    """

    def __init__(
        self, n: int, partial: Callable[[np.ndarray, np.ndarray], Any], lipschitz: Any = None
    ):
        require_count(n, "n", 1)
        if not callable(partial):
            raise TypeError(
                f"partial must be callable as partial(z, batch), got {type(partial).__name__}"
            )
        if lipschitz is not None:
            require_positive(lipschitz, "lipschitz")
        self.n, self.partial, self.lipschitz = int(n), partial, lipschitz

    @property
    def n_components(self) -> int:
        """Number of components."""
        return self.n

    @property
    def average_lipschitz(self) -> float | None:
        """L, None if it is not known."""
        return None if self.lipschitz is None else float(self.lipschitz)

    def __call__(self, z: Any) -> np.ndarray:
        """F(z), the mean of all components."""
        return np.asarray(self.partial(np.asarray(z), np.arange(self.n)), np.float64)

    def __repr__(self) -> str:
        return f"Components({self.n}, {self.partial!r}, lipschitz={self.lipschitz!r})"


class _OneByOne:
    """Mean over a batch of functions that are called one by one."""

    def __init__(self, functions: Sequence[Callable[[np.ndarray], Any]]):
        self.functions = tuple(functions)

    def __call__(self, z: np.ndarray, batch: np.ndarray) -> np.ndarray:
        return np.mean([np.asarray(self.functions[i](z.copy()), float) for i in batch], axis=0)


def as_components(value: Any) -> Components:
    """Components from an instance, from a pair (n, partial), or from a sequence of functions."""
    if isinstance(value, Components):
        return value
    if isinstance(value, tuple) and len(value) == 2 and not callable(value[0]):
        return Components(*value)
    if isinstance(value, (list, tuple)) and value and all(callable(f) for f in value):
        return Components(len(value), _OneByOne(value))
    raise TypeError(
        "components must be numopt.operators.Components, a pair (n, partial) or a sequence of "
        f"callables F_i(z), got {value!r}"
    )
