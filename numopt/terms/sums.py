"""Sums of terms, and terms of sums."""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

import numpy as np

from numopt.core.validate import require_count
from numopt.terms._base import Term, distance, scale


@dataclass(frozen=True, eq=False)
class Stacked(Term):
    r"""Terms of the parts of one vector, :math:`\sum_i f_i(x_i)`.

    Parameters
    ----------
    terms : sequence of terms or penalties
    lengths : sequence of int
        Length of each part.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.penalties import L1
    >>> from numopt.terms import Stacked
    >>> Stacked([L1(1.0), L1(2.0)], [1, 1]).prox(np.array([3.0, 3.0]), 1.0).tolist()
    [2.0, 1.0]
    """

    terms: Any
    lengths: Any
    _parts: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        terms, lengths = tuple(self.terms), tuple(int(k) for k in self.lengths)
        if len(terms) != len(lengths):
            raise ValueError(f"there are {len(terms)} terms but {len(lengths)} lengths")
        for i, (term, k) in enumerate(zip(terms, lengths, strict=True)):
            require_count(k, f"lengths[{i}]")
            if term.size not in (None, k):
                raise ValueError(f"terms[{i}] takes {term.size} entries, lengths[{i}] is {k}")
        stops = np.cumsum((0, *lengths))
        parts = tuple(slice(int(a), int(b)) for a, b in pairwise(stops))
        for name, value in (("terms", terms), ("lengths", lengths), ("_parts", parts)):
            object.__setattr__(self, name, value)
        object.__setattr__(self, "size", int(stops[-1]))
        object.__setattr__(self, "convex", all(term.convex for term in terms))

    def value(self, x: np.ndarray) -> float:
        return float(sum(f.value(x[k]) for f, k in zip(self.terms, self._parts, strict=True)))

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        return np.concatenate(
            [f.prox(v[k], step) for f, k in zip(self.terms, self._parts, strict=True)]
            or [np.zeros(0)]
        )

    def distance(self, x: np.ndarray, s: np.ndarray) -> float:
        pairs = zip(self.terms, self._parts, strict=True)
        return max((distance(f, x[k], s[k]) for f, k in pairs), default=0.0)

    def scale(self, x: np.ndarray) -> float:
        pairs = zip(self.terms, self._parts, strict=True)
        return max((scale(f, x[k]) for f, k in pairs), default=0.0)


@dataclass(frozen=True, eq=False)
class OfSum(Term):
    r"""A term of the sum of parts, :math:`g(x_1 + \dots + x_N)`.

    Parameters
    ----------
    term : term or penalty
        g, convex.
    parts : int
        N; the variable is x_1, ..., x_N one after the other.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.penalties import L1
    >>> from numopt.terms import OfSum
    >>> OfSum(L1(1.0), 2).prox(np.array([3.0, 3.0]), 1.0).tolist()
    [2.0, 2.0]
    """

    term: Any
    parts: int

    def __post_init__(self) -> None:
        require_count(self.parts, "parts", 1)
        k = self.term.size
        object.__setattr__(self, "size", None if k is None else k * self.parts)

    def total(self, x: np.ndarray) -> np.ndarray:
        """x_1 + ... + x_N."""
        return x.reshape(self.parts, -1).sum(0)

    def value(self, x: np.ndarray) -> float:
        return float(self.term.value(self.total(x)))

    def prox(self, v: np.ndarray, step: float) -> np.ndarray:
        # The sum's map S has S S' = N I, for which the prox of g(S x) has this closed form.
        total = self.total(v)
        moved = (self.term.prox(total, step * self.parts) - total) / self.parts
        return (v.reshape(self.parts, -1) + moved).reshape(-1)
