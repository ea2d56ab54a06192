"""
Model predictive control
========================

A cart is to carry a pendulum to another place and hold it upright there. Twenty times a second a
quadratic program plans the next second and a half, with limits on force and track; the first force
is applied, the state is measured anew, and the next program starts from the plan before.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.linalg
import scipy.sparse as sp

from numopt.problems import QuadraticProgram
from numopt.solvers import OperatorSplittingQP

# %%
# The pendulum linearised around its upper rest: position, angle and their velocities.

gravity, cart, mass, length, step = 9.81, 1.0, 0.2, 0.5, 0.05
continuous = np.zeros((5, 5))
continuous[0, 2] = continuous[1, 3] = 1.0
continuous[2, 1], continuous[2, 4] = -mass * gravity / cart, 1 / cart
continuous[3, 1], continuous[3, 4] = (cart + mass) * gravity / (cart * length), -1 / (cart * length)
discrete = scipy.linalg.expm(step * continuous)
F, G = discrete[:4, :4], discrete[:4, 4:]

# %%
# Variables: the states after 0, 1, ..., T steps and the forces between them. Equations tie each
# state to the one before; only the first right-hand side, the measured state, and the goal change.

T, goal = 30, 1.0
weight = np.array([10.0, 10.0, 1.0, 1.0])
P = np.diag(np.r_[np.tile(weight, T), 10 * weight, np.full(T, 0.1)])
dynamics = sp.kron(sp.eye_array(T + 1), -np.eye(4)) + sp.kron(sp.eye_array(T + 1, k=-1), F)
forces = sp.kron(sp.vstack([sp.csr_array((1, T)), sp.eye_array(T)]), G)
A = sp.hstack([dynamics, forces], format="csc")
track = np.r_[1.2, 0.25, np.inf, np.inf]
upper = np.r_[np.full(4, np.inf), np.tile(track, T), np.full(T, 4.0)]
sides = np.zeros(4 * (T + 1))
problem = QuadraticProgram(P, np.zeros(A.shape[1]), A, sides, sides, -upper, upper)

solver, rng = OperatorSplittingQP(tol=1e-6), np.random.default_rng(0)
state, result, path, applied, counts = np.zeros(4), None, [], [], []
for k in range(120):
    target = np.array([goal if k >= 10 else 0.0, 0.0, 0.0, 0.0])
    q = np.r_[np.tile(-weight * target, T), -10 * weight * target, np.zeros(T)]
    sides = np.r_[-state, np.zeros(4 * T)]
    result = solver.solve(problem.replace(q=q, l=sides, u=sides), warm_start=result)
    assert result.success
    force = result.x[4 * (T + 1)]
    path.append(state)
    applied.append(force)
    counts.append(result.rounds)
    kick = 0.6 if k == 70 else 0.0  # somebody pushes the pendulum
    state = F @ state + G[:, 0] * force + np.array([0.0, 0.0, 0.0, kick])
    state += 1e-3 * rng.standard_normal(4)
path = np.array(path)
print(f"{len(counts)} programs of {problem.size} variables, all certified;")
print(f"systems solved for each: {np.mean(counts):.1f} on average, at most {max(counts)}")

# %%
# The cart first moves the wrong way, to lean the pendulum forward; the force touches its limit at
# the start and after the push.

seconds = step * np.arange(len(path))
figure, axes = plt.subplots(3, 1, sharex=True, figsize=(7, 6), layout="constrained")
axes[0].plot(seconds, path[:, 0], label="position")
axes[0].plot(seconds, np.where(seconds >= 10 * step, goal, 0.0), "--", color="0.6", label="goal")
axes[0].set(ylabel="metres", title="A cart and its pendulum")
axes[0].legend()
axes[1].plot(seconds, np.degrees(path[:, 1]))
axes[1].set(ylabel="angle, degrees")
axes[2].step(seconds, applied, where="post")
axes[2].axhline(4.0, color="0.6", linestyle="--")
axes[2].axhline(-4.0, color="0.6", linestyle="--")
axes[2].set(ylabel="force, newtons", xlabel="seconds")
plt.show()
