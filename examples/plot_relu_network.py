"""
Training a neural network to a global optimum
=============================================

A network of two layers with ReLU units, trained with weight decay, is a convex problem in disguise
(Pilanci and Ergen, 2020): for every pattern of units switched on and off by the data there is one
group of coefficients, kept in the cone where the pattern holds, and weight decay becomes a sum of
norms. ADMM solves that to a certificate. Gradient descent on the network itself has none, and ends
where its start leads it.
"""

import matplotlib.pyplot as plt
import numpy as np

from numopt.penalties import GroupLasso, Nonnegative
from numopt.problems import Splitting
from numopt.solvers import ADMM
from numopt.terms import SquaredResidual, Stacked

rng = np.random.default_rng(0)
n, beta = 60, 0.02
t = np.sort(rng.uniform(-1, 1, n))
y = np.where(t < -0.3, 1 + t, np.where(t < 0.2, 0.4 - t, 3 * t - 0.4)) + 0.05 * rng.standard_normal(
    n
)
X = np.column_stack([t, np.ones(n)])

# %%
# In one dimension the patterns are the ways to cut the line between two samples: those left of the
# cut are on, or those right of it. We take every third cut. A unit with a positive and one with a
# negative output belong to each pattern.

cuts = np.arange(0, n, 3)
patterns = [np.arange(n) >= c for c in cuts] + [np.arange(n) < c for c in cuts if c > 0]
signs = np.repeat([1.0, -1.0], len(patterns))
active = np.array(patterns * 2)
count = len(active)
F = np.hstack([sign * on[:, None] * X for sign, on in zip(signs, active, strict=True)])

# %%
# Minimise :math:`\frac12 |F x - y|^2 + \beta \sum_g |x_g|` with :math:`(2 D_g - I) X x_g \ge 0`
# for each group g. As a splitting: f is the quadratic, z holds a copy of x for the norms and the
# products that must not be negative, and A stacks the identity on them.

cones = np.zeros((count * n, 2 * count))
for g, on in enumerate(active):
    cones[g * n : (g + 1) * n, 2 * g : 2 * g + 2] = np.where(on, 1.0, -1.0)[:, None] * X
norms = GroupLasso(beta, np.repeat(np.arange(count), 2), weights=np.ones(count))
problem = Splitting(
    SquaredResidual(F, y),
    Stacked([norms, Nonnegative()], [2 * count, count * n]),
    A=np.vstack([np.eye(2 * count), cones]),
)
# The multipliers are as small as beta: a rho in between suits the cones, too, and is kept.
result = ADMM(rho=0.1, adapt="fixed", tol=1e-6).solve(problem)
groups = result.z[: 2 * count].reshape(count, 2)
sizes = np.linalg.norm(groups, axis=1)
used = np.flatnonzero(sizes > 1e-4)
best = result.fun
print(f"{result.nit} iterations; residuals {max(result.certificate.gates.values()):.1e}")
print(f"objective {best:.5f}, {used.size} units in use")

# %%
# The groups in use are the units of the network: first-layer weights in the direction of the group,
# both layers of size sqrt(norm). For comparison, gradient descent from five random starts.


def network(first, second, X):
    """Output of the network."""
    return np.maximum(X @ first, 0) @ second


def descend(seed, units=20, rate=0.003, steps=30_000):
    """Objective of a network trained by gradient descent, after every hundred steps."""
    rng = np.random.default_rng(seed)
    first, second = rng.standard_normal((2, units)), rng.standard_normal(units)
    course = []
    for k in range(steps):
        hidden = np.maximum(X @ first, 0)
        r = hidden @ second - y
        if k % 100 == 0:
            course.append(r @ r / 2 + beta * (np.sum(first**2) + second @ second) / 2)
        back = np.outer(r, second) * (hidden > 0)
        first, second = (
            first - rate * (X.T @ back + beta * first),
            second - rate * (hidden.T @ r + beta * second),
        )
    return np.array(course)


scale = np.sqrt(sizes[used])
first, second = (groups[used] / scale[:, None]).T, signs[used] * scale
value = np.sum((network(first, second, X) - y) ** 2) / 2
value += beta * (np.sum(first**2) + np.sum(second**2)) / 2
print(f"objective of the network made of these units: {value:.5f}")
courses = [descend(seed) for seed in range(5)]
print("gradient descent ends at", ", ".join(f"{course[-1]:.5f}" for course in courses))

# %%
# The network's function, and the courses of the descents towards the optimum of the convex problem.
# A descent may end a hair below it, for it may cut between all samples and we only at every third.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.8), layout="constrained")
grid = np.linspace(-1, 1, 400)
left.plot(t, y, ".", color="0.6", label="data")
left.plot(grid, network(first, second, np.column_stack([grid, np.ones(400)])), label="network")
left.set(xlabel="input", ylabel="output", title=f"{used.size} units")
left.legend()
for k, course in enumerate(courses):
    label = "gradient descent" if k == 0 else None
    right.loglog(
        100 * np.arange(1, course.size + 1), course, color="C1", linewidth=0.8, label=label
    )
right.axhline(best, color="C0", linestyle="--", label="convex optimum")
right.set(xlabel="steps", ylabel="objective", title="Training")
right.legend()
plt.show()
