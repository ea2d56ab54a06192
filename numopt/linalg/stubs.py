"""Kernels under names that do not import Numba, for the methods of blocks.

A set's ``prox_into`` that projects by ``stubs.simplex_into(...)`` runs as plain Python and inside
kernels. Its class names the modules behind the stubs it calls, so that they are there in time::

    def _spec(self, dtype):
        from numopt.linalg import projections  # noqa: F401 - what prox_into calls
        return super()._spec(dtype)
"""

from __future__ import annotations


def simplex_into(v, weights, radius, out):
    """See `numopt.linalg.projections.simplex_into`."""
    from numopt.linalg import projections

    projections.simplex_into(v, weights, radius, out)


def l1_ball_into(v, weights, radius, out):
    """See `numopt.linalg.projections.l1_ball_into`."""
    from numopt.linalg import projections

    projections.l1_ball_into(v, weights, radius, out)


def knapsack_into(v, weights, lower, upper, total, out):
    """See `numopt.linalg.projections.knapsack_into`."""
    from numopt.linalg import projections

    projections.knapsack_into(v, weights, lower, upper, total, out)
