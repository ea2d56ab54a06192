"""Fixed points of nonexpansive maps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

import numpy as np

from numopt.core.block import is_block
from numopt.core.result import Certificate, Entry
from numopt.core.validate import as_vector, require_in, require_length
from numopt.problems._calls import Mapped, norm
from numopt.problems._oracle import Calls

FORMULA = "|z - T(z)|_2 / (1 + |z0 - T(z0)|_2)"


@dataclass(frozen=True, eq=False)
class FixedPoint(Mapped):
    r"""Fixed point of a nonexpansive map.

    .. math:: z = T(z), \qquad \|T(z) - T(w)\|_2 \le c \|z - w\|_2, \quad c \le 1

    The certificate holds ``residual`` (gate), :math:`\|z - T(z)\|_2 / (1 + \|z_0 - T(z_0)\|_2)`,
    which is also the objective.

    Parameters
    ----------
    T : callable or operator
        ``T(z)`` returns a vector as long as z, which is a fresh float64 array at every call; or an
        operator from `numopt.operators`, with which solvers run compiled.
    z0 : array of shape (n,)
        Start, and what the residual is relative to.
    contraction : float, default 1.0
        The constant c, in (0, 1].
    averaged : float, default 1.0
        The a in (0, 1] with :math:`T = (1 - a) I + a N` for a nonexpansive N, whose fixed points
        are those of T: 1/2 for resolvents, proxes and projections. Solvers iterate with N, which
        is faster the smaller a is.

    Raises
    ------
    TypeError
        If T is neither callable nor an operator, or returns what is not real.
    ValueError
        If T returns another number of entries, or z0 is empty.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import FixedPoint
    >>> problem = FixedPoint(np.cos, [0.0])
    >>> round(float(problem.certificate([0.739085])["residual"]), 7)
    1e-07
    """

    default_solver: ClassVar[str] = "halpern"

    T: Any
    z0: Any
    contraction: float = 1.0
    averaged: float = 1.0
    _calls: Calls = field(init=False, repr=False, default_factory=Calls)

    def __post_init__(self) -> None:
        check_map(self.T, "T")
        object.__setattr__(self, "z0", as_start(self.z0, self.T))
        for name in ("contraction", "averaged"):
            value = getattr(self, name)
            require_in(value, 0.0, 1.0, name)
            if value == 0:
                raise ValueError(f"{name} must be > 0; with 0 there is nothing to iterate")
            object.__setattr__(self, name, float(value))

    @property
    def compiled(self) -> bool:
        """Whether kernels can call T."""
        return is_block(self.T)

    def apply(self, z: np.ndarray) -> np.ndarray:
        """T(z); the last value is remembered."""
        calls, key = self._calls, z.tobytes()
        if calls.last[0] == key:
            return np.frombuffer(calls.last[2] or b"")
        calls.nfev += 1
        image = self._call(self.T, z, "T")
        calls.last = key, 0.0, image.tobytes()
        return image

    @property
    def scale(self) -> float:
        """1 + |z0 - T(z0)|; 1 if that is not finite."""
        return self.cached("scale", (self.T, self.z0), self._scale)

    def _scale(self) -> float:
        first = norm(self.z0 - self.apply(self.z0))
        return 1.0 + first if np.isfinite(first) else 1.0

    def residual(self, x: Any) -> float:
        """|x - T(x)|."""
        z = self.point(x)
        return norm(z - self.apply(z))

    def objective(self, x: Any) -> float:
        """The residual, as in the certificate."""
        return self.residual(x) / self.scale

    def certificate(self, x: Any) -> Certificate:
        """Relative residual at x."""
        return self.certified(self.residual(x))

    def certified(self, residual: float) -> Certificate:
        """The certificate where |z - T(z)| is known."""
        value = residual / self.scale
        return Certificate("global", {"residual": Entry(value, FORMULA)}, value)


def check_map(T: Any, name: str) -> None:
    """Refuse what is neither a function nor an operator."""
    if isinstance(T, type):
        raise TypeError(f"{name} is the class {T.__name__}, not an instance of it")
    if not callable(T) or (is_block(T) and not T.offers("apply_into")):
        raise TypeError(
            f"{name} must be callable or one of numopt.operators, got {type(T).__name__}"
        )


def as_start(z0: Any, T: Any) -> np.ndarray:
    """The start as a vector that is nobody else's, as long as the operator wants it."""
    start = np.array(as_vector(z0, "z0", np.float64))
    if start.size == 0:
        raise ValueError("z0 is empty; give a start with at least one entry")
    size = getattr(T, "size", None) if is_block(T) else None
    return start if size is None else require_length(start, size, "z0")
