"""Penalties: functions of the variable with a cheap prox."""

from numopt.penalties._base import Penalty
from numopt.penalties.concave import MCP, SCAD, CappedL1, LogSum
from numopt.penalties.groups import GroupLasso, GroupMCP, GroupSCAD, SparseGroupLasso
from numopt.penalties.huber import Huber
from numopt.penalties.l1 import L1, ElasticNet
from numopt.penalties.powers import L0, LHalf, LTwoThirds
from numopt.penalties.quadratic import Nonnegative, Ridge, Zero

__all__ = [
    "L0",
    "L1",
    "MCP",
    "SCAD",
    "CappedL1",
    "ElasticNet",
    "GroupLasso",
    "GroupMCP",
    "GroupSCAD",
    "Huber",
    "LHalf",
    "LTwoThirds",
    "LogSum",
    "Nonnegative",
    "Penalty",
    "Ridge",
    "SparseGroupLasso",
    "Zero",
]
