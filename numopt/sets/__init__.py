"""Sets: domains with a cheap projection or linear minimisation oracle."""

from numopt.sets._base import ConvexSet
from numopt.sets.balls import L1Ball, L2Ball, LInfBall
from numopt.sets.box import Box
from numopt.sets.k_sparse import KSparse
from numopt.sets.simplex import Simplex

__all__ = ["Box", "ConvexSet", "KSparse", "L1Ball", "L2Ball", "LInfBall", "Simplex"]
