"""Penalties: functions of the variable with a cheap prox."""

from numopt.penalties._base import Penalty
from numopt.penalties.concave import MCP, SCAD
from numopt.penalties.l1 import L1, ElasticNet
from numopt.penalties.quadratic import Nonnegative, Ridge, Zero

__all__ = ["L1", "MCP", "SCAD", "ElasticNet", "Nonnegative", "Penalty", "Ridge", "Zero"]
