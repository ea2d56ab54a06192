"""Sets: domains with a cheap projection or linear minimisation oracle."""

from numopt.sets._base import ConvexSet
from numopt.sets.box import Box
from numopt.sets.simplex import Simplex

__all__ = ["Box", "ConvexSet", "Simplex"]
