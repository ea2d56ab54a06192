"""
Support recovery: L1 and MCP
============================

The L1 norm shrinks large coefficients as much as small ones, and lets in wrong variables to make up
for it. The minimax concave penalty leaves large coefficients alone. Here both recover a planted
support from noisy data, at every strength of a grid.
"""

import matplotlib.pyplot as plt
import numpy as np

import numopt
from numopt.losses import LeastSquares
from numopt.penalties import L1, MCP
from numopt.problems import Composite

# %%
# 120 samples of 300 correlated variables, 10 of which matter.

rng = np.random.default_rng(7)
n, p, k = 120, 300, 10
X = rng.standard_normal((n, p))
for j in range(1, p):
    X[:, j] = 0.5 * X[:, j - 1] + np.sqrt(0.75) * X[:, j]
truth = np.zeros(p)
truth[rng.choice(p, k, replace=False)] = rng.choice([-1.0, 1.0], k) * rng.uniform(1.0, 3.0, k)
y = X @ truth + rng.standard_normal(n)

# %%
# One path per penalty, each solve started from the answer before. MCP is not convex: its
# certificate proves a stationary point, where L1's proves the global optimum, and the messages say
# which.


def path(penalty):
    results = []
    for alpha in alphas:
        problem = Composite(loss, X, penalty(alpha))
        results.append(numopt.solve(problem, warm_start=results[-1] if results else None))
    assert all(result.success for result in results)
    print(results[-1].message)
    return np.array([result.x for result in results])


def f1(coefficients):
    """Harmonic mean of precision and recall of the support."""
    found = coefficients != 0
    return 2 * (found & (truth != 0)).sum() / (found.sum() + k)


loss = LeastSquares(y)
alphas = np.abs(X.T @ loss.gradient(np.zeros(n))).max() * np.geomspace(1.0, 0.03, 40)
paths = {"L1": path(L1), "MCP": path(MCP)}

# %%
# F1 score of the support found and distance from the truth, along the path.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
for name, coefficients in paths.items():
    scores = [f1(x) for x in coefficients]
    errors = np.linalg.norm(coefficients - truth, axis=1) / np.linalg.norm(truth)
    left.semilogx(alphas / alphas[0], scores, label=name)
    right.semilogx(alphas / alphas[0], errors, label=name)
    print(f"{name:>3}: best F1 {max(scores):.2f}, least relative error {min(errors):.3f}")
left.set(xlabel="alpha / alpha_max", ylabel="F1 of the support")
right.set(xlabel="alpha / alpha_max", ylabel="relative error", ylim=(0, 1.05))
left.invert_xaxis()
right.invert_xaxis()
left.legend()

# %%
# Each penalty at its best strength: L1 pulls every coefficient towards 0, MCP does not.

figure, axes = plt.subplots(1, 2, figsize=(9, 3.2), sharey=True, layout="constrained")
for ax, (name, coefficients) in zip(axes, paths.items(), strict=True):
    best = coefficients[np.argmin(np.linalg.norm(coefficients - truth, axis=1))]
    ax.vlines(np.flatnonzero(truth), 0, truth[truth != 0], color="0.7", linewidth=4, label="truth")
    shown = np.flatnonzero(best)
    ax.plot(shown, best[shown], "o", markersize=4, label=f"{name}, {shown.size} found")
    ax.axhline(0, color="0.8", linewidth=0.8, zorder=0)
    ax.set(xlabel="coordinate", xlim=(-5, p + 5), title=name)
    ax.legend(fontsize="small")
axes[0].set_ylabel("coefficient")
plt.show()
