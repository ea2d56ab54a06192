"""Losses: functions of a prediction, most of them smooth means over samples."""

from numopt.losses._base import Loss
from numopt.losses.counts import Gamma, Poisson
from numopt.losses.huber import Huber
from numopt.losses.least_absolute import LeastAbsolute
from numopt.losses.least_squares import LeastSquares
from numopt.losses.logistic import Logistic
from numopt.losses.multinomial import Multinomial
from numopt.losses.quadratic import Quadratic
from numopt.losses.square_root import SquareRoot
from numopt.losses.squared_hinge import SquaredHinge

__all__ = [
    "Gamma",
    "Huber",
    "LeastAbsolute",
    "LeastSquares",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "Quadratic",
    "SquareRoot",
    "SquaredHinge",
]
