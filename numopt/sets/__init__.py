"""Sets: domains with a cheap projection or linear minimisation oracle."""

from numopt.sets._base import ConvexSet
from numopt.sets.balls import L1Ball, L2Ball, LInfBall
from numopt.sets.box import Box
from numopt.sets.ellipsoid import Ellipsoid
from numopt.sets.hull import Hull
from numopt.sets.k_sparse import KSparse
from numopt.sets.matrices import Fantope, NuclearBall, SpectralBall, Spectraplex
from numopt.sets.norm_balls import GroupBall, KSupport, LpBall, OWLBall
from numopt.sets.permutations import Birkhoff, Permutahedron
from numopt.sets.polyhedron import Polyhedron
from numopt.sets.product import Product
from numopt.sets.simplex import Simplex

__all__ = [
    "Birkhoff",
    "Box",
    "ConvexSet",
    "Ellipsoid",
    "Fantope",
    "GroupBall",
    "Hull",
    "KSparse",
    "KSupport",
    "L1Ball",
    "L2Ball",
    "LInfBall",
    "LpBall",
    "NuclearBall",
    "OWLBall",
    "Permutahedron",
    "Polyhedron",
    "Product",
    "Simplex",
    "SpectralBall",
    "Spectraplex",
]
