"""Blocks made from blocks."""

from numopt.calculus.conjugate import Conjugate, MoreauEnvelope
from numopt.calculus.separable import Boxed, PlusRidge, Translate, Weighted
from numopt.calculus.separable_sum import SeparableSum

__all__ = [
    "Boxed",
    "Conjugate",
    "MoreauEnvelope",
    "PlusRidge",
    "SeparableSum",
    "Translate",
    "Weighted",
]
