"""
PageRank as a linear program
============================

The rank of a page is what the visits of a random surfer come to, who follows a link with
probability 0.99 and else jumps anywhere. As a linear program it has a row per page and only a few
entries in each, but its factors fill in: the simplex and the interior point method take long,
products with the matrix are all that `HalpernPDHG` needs.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

from numopt.problems import LinearProgram
from numopt.solvers import HalpernPDHG

# %%
# Every page links to nine others, the more likely the more famous they are.

rng = np.random.default_rng(0)
n, links, damping = 3000, 9, 0.99
fame = np.arange(1.0, n + 1) ** -0.8
target = rng.choice(n, n * links, p=fame / fame.sum())
source = np.repeat(np.arange(n), links)
G = sp.csr_array((np.ones(n * links), (target, source)), shape=(n, n))
S = G @ sp.diags_array(1 / G.sum(axis=0))

# %%
# Ranks x >= 0 with x = damping S x + (1 - damping) / n and sum 1. There is no cost: the one
# feasible point is the solution.

A = sp.vstack([sp.eye_array(n) - damping * S, np.ones((1, n))], format="csc")
b = np.r_[np.full(n, (1 - damping) / n), 1.0]
program = LinearProgram(np.zeros(n), A, b, b, lb=0)
result = HalpernPDHG(tol=1e-8).solve(program)
print(result)

# %%
# The power method agrees.

x = np.full(n, 1 / n)
for _ in range(3000):
    x = damping * (S @ x) + (1 - damping) / n
print("largest difference", np.abs(x - result.x).max())

fig, (left, right) = plt.subplots(1, 2, figsize=(9, 3.5))
result.plot(ax=left)
right.loglog(np.arange(1, n + 1), np.sort(result.x)[::-1])
right.set(xlabel="page", ylabel="rank")
fig.tight_layout()
