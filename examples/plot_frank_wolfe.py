"""
Matching two point clouds
=========================

Two noisy copies of one set of points come in different orders and turned against each other. A
doubly stochastic matrix X that matches them minimises the disagreement of their distances,
:math:`\\|D_1 X - X D_2\\|_F^2`. Projecting on such matrices is a quadratic program; minimising a
linear function over them is an assignment, which is all that Frank-Wolfe methods ask for.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from numopt.losses import LeastSquares
from numopt.problems import SetConstrained
from numopt.sets import Birkhoff
from numopt.solvers import FrankWolfe

rng = np.random.default_rng(2)
n = 25
first = rng.standard_normal((n, 2)) * [2.0, 1.0]
order, angle = rng.permutation(n), 0.7
turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
second = (first + 0.02 * rng.standard_normal((n, 2)))[order] @ turn

D1, D2 = cdist(first, first), cdist(second, second)

# %%
# With X row by row, D1 X - X D2 is a product with a sum of Kronecker products, and the problem one
# of least squares. Each vertex is a permutation; the answer is a combination of some of them, and
# the gap a bound on what is left to gain.

A = np.kron(D1, np.eye(n)) - np.kron(np.eye(n), D2.T)
problem = SetConstrained(LeastSquares(np.zeros(n * n)), A, Birkhoff(n))
start = np.full(n * n, 1 / n)
results = {
    "corrective": FrankWolfe(tol=1e-6).solve(problem, start),
    "blended": FrankWolfe(variant="blended", tol=1e-3).solve(problem, start),
}
result = results["corrective"]
print(result.message)
print(f"{result.weights.size} permutations, {result.nlmo} assignments solved")

# %%
# The nearest permutation to X, again an assignment, finds the order.

rows, columns = linear_sum_assignment(-result.x.reshape(n, n))
found = np.argsort(columns)
print(f"{np.sum(order[columns] == rows)} of {n} points matched")

# %%
# Gaps over iterations: the corrective variant minimises over all permutations it knows, the other
# one moves weight between two of them, and stops at a tolerance a thousand times as large.

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 4))
for name, run in results.items():
    left.semilogy(run.history["nit"], run.history["fw_gap"], label=name)
left.set(xlabel="iterations", ylabel="gap / max(1, |f|)")
left.legend()
right.scatter(*first.T, label="first")
right.scatter(*(second @ turn.T).T, marker="x", label="second, turned back")
for i, j in zip(rows, columns, strict=True):
    right.plot(*np.stack([first[i], (second @ turn.T)[j]]).T, color="0.6", linewidth=1)
right.legend()
right.set_aspect("equal")
plt.tight_layout()
plt.show()
