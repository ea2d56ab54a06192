"""Losses: smooth functions of a prediction, means over samples."""

from numopt.losses._base import Loss
from numopt.losses.counts import Gamma, Poisson
from numopt.losses.huber import Huber
from numopt.losses.least_squares import LeastSquares
from numopt.losses.logistic import Logistic
from numopt.losses.multinomial import Multinomial
from numopt.losses.squared_hinge import SquaredHinge

__all__ = [
    "Gamma",
    "Huber",
    "LeastSquares",
    "Logistic",
    "Loss",
    "Multinomial",
    "Poisson",
    "SquaredHinge",
]
