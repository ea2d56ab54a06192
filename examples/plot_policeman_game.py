"""
A policeman and a burglar
=========================

A burglar chooses one of n houses in a street, a policeman where to wait. House j holds the worth
w_j, and the burglar gets away with it by a chance of 1 - exp(-0.8 d), d houses away from the
policeman. Both draw their choice: the equilibrium of a zero-sum game. Which houses are worth the
risk, and how far do first-order methods get on the way there?
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import numopt
from numopt.calculus import SeparableSum
from numopt.operators import Saddle
from numopt.problems import MatrixGame, MonotoneInclusion
from numopt.sets import Simplex
from numopt.solvers import AnchoredExtragradient, GamePDHG, VarianceReducedHalpern

n = 300
houses = np.arange(n)
worth = np.abs(np.random.RandomState(1).randn(n))
A = (1 - np.exp(-0.8 * np.abs(houses[:, None] - houses))) * worth

# %%
# The policeman plays rows and pays. The equilibrium is exact: what either side can gain by leaving
# it is rounding.

game = numopt.solve_game(A, payoff="cost")
print(f"the burglar takes {game.value:.4f} a night on average; the gap is {game.gap:.1e}")
print("houses robbed:", game.support_y.tolist())
print("the policeman waits at:", game.support_x.tolist())

# %%
# Only the most valuable houses are robbed, in inverse proportion to how much is at stake, and the
# policeman waits in front of these or between neighbours.

fig, (top, bottom) = plt.subplots(2, figsize=(7, 5), sharex=True)
top.vlines(houses, 0, worth, color="0.7")
top.set_ylabel("worth")
bottom.vlines(game.support_y, 0, game.y[game.support_y], color="C3", label="burglar")
bottom.vlines(game.support_x, 0, -game.x[game.support_x], color="C0", label="policeman")
bottom.set(xlabel="house", ylabel="chance")
bottom.legend()
fig.tight_layout()

# %%
# The same game as a variational inequality, for methods that know nothing of games: z stacks the
# policeman's chances, who minimises, and the burglar's. Residuals against passes over the matrix.

saddle = Saddle(A.T)
both = SeparableSum([Simplex(), Simplex()], [n, n])
problem = MonotoneInclusion(saddle, np.full(2 * n, 1 / n), both)
norm = np.linalg.norm(A)
runs = {
    "extragradient": (AnchoredExtragradient(scheme="eg", step=5 / norm), 2.0),
    "anchored, no restarts": (
        AnchoredExtragradient(scheme="eag", step=5 / norm, restart="none"), 2.0
    ),
    "anchored, as it comes": (AnchoredExtragradient(), 2.0),
    "stochastic, no restarts": (
        VarianceReducedHalpern(variant="single", step=5 / norm, restart="none"), None
    ),
}  # fmt: skip
fig, ax = plt.subplots(figsize=(7, 4))
for label, (solver, passes) in runs.items():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        result = numopt.solve(problem, solver, max_iter=1000 if passes else 7000, tol=1e-7)
    if passes is None:
        passes = result.full_passes / result.nit
    history = result.history
    ax.loglog(np.maximum(history["nit"] * passes, 1), history["natural"], label=label)
    print(f"{label:<26} residual {float(result.certificate['natural']):.1e}")
ax.set(xlabel="passes over the matrix", ylabel="natural residual, relative")
ax.legend()
fig.tight_layout()

# %%
# The method made for games needs far fewer still: its steps use the norm of the matrix without the
# means of rows and columns, which no strategy can influence.

special = GamePDHG(tol=1e-6).solve(MatrixGame(A, "cost"))
print(f"GamePDHG: gap {special.gap:.1e} after {2 * special.nit} passes")
centred = A - A.mean(0) - A.mean(1)[:, None] + A.mean()
print(f"norm {np.linalg.norm(A, 2):.1f}, centred {np.linalg.norm(centred, 2):.1f}")
plt.show()
