"""Monotone operators that compiled solvers can call, and finite sums of Python functions.

A set or penalty is the other half of a monotone inclusion as it stands: its prox is the resolvent.
"""

from numopt.operators._base import Operator
from numopt.operators.affine import Affine
from numopt.operators.components import Components
from numopt.operators.forward_backward import ForwardBackward
from numopt.operators.matrices import DenseMatrix, NoMatrix, SparseMatrix, as_linear
from numopt.operators.saddle import Saddle

__all__ = [
    "Affine",
    "Components",
    "DenseMatrix",
    "ForwardBackward",
    "NoMatrix",
    "Operator",
    "Saddle",
    "SparseMatrix",
    "as_linear",
]
