"""Losses: smooth functions of a prediction, means over samples."""

from numopt.losses._base import Loss
from numopt.losses.huber import Huber
from numopt.losses.least_squares import LeastSquares
from numopt.losses.logistic import Logistic

__all__ = ["Huber", "LeastSquares", "Logistic", "Loss"]
