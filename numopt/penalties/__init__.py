"""Penalties: functions of the variable with a cheap prox."""

from numopt.penalties._base import Penalty
from numopt.penalties.concave import MCP, SCAD, CappedL1, LogSum
from numopt.penalties.groups import GroupLasso, GroupMCP, GroupSCAD, SparseGroupLasso
from numopt.penalties.huber import Huber
from numopt.penalties.l1 import L1, ElasticNet
from numopt.penalties.nuclear import Nuclear
from numopt.penalties.powers import L0, LHalf, LTwoThirds
from numopt.penalties.quadratic import Nonnegative, Ridge, Zero
from numopt.penalties.sorted_norms import SLOPE, LInf
from numopt.penalties.total_variation import TotalVariation1D

__all__ = [
    "L0",
    "L1",
    "MCP",
    "SCAD",
    "SLOPE",
    "CappedL1",
    "ElasticNet",
    "GroupLasso",
    "GroupMCP",
    "GroupSCAD",
    "Huber",
    "LHalf",
    "LInf",
    "LTwoThirds",
    "LogSum",
    "Nonnegative",
    "Nuclear",
    "Penalty",
    "Ridge",
    "SparseGroupLasso",
    "TotalVariation1D",
    "Zero",
]
