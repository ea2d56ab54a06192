"""
Route choice where links disturb each other
===========================================

Drivers choose among routes, and nobody gains by changing: that is a variational inequality. Were
the delay on a link a function of its own flow, the equilibrium would minimise a convex function.
Here traffic that turns left delays oncoming traffic more than the other way round, so the Jacobian
of the costs is not symmetric and there is nothing to minimise; the operator is monotone all the
same.
"""

import matplotlib.pyplot as plt
import numpy as np

import numopt
from numopt.calculus import SeparableSum
from numopt.sets import Simplex

# %%
# Braess' network: 4 nodes, links a: 0-1, b: 0-2, c: 1-2 (the new road), d: 1-3, e: 2-3. From 0 to 3
# there are three routes, from 1 to 3 two. `incidence` says which links a route uses.

links = ["0-1", "0-2", "1-2", "1-3", "2-3"]
routes = ["0-1-3", "0-2-3", "0-1-2-3", "1-3", "1-2-3"]
incidence = np.array(
    [[1, 0, 0, 1, 0], [0, 1, 0, 0, 1], [1, 0, 1, 0, 1], [0, 0, 0, 1, 0], [0, 0, 1, 0, 1]], float
)
free = np.array([1.0, 50.0, 10.0, 50.0, 1.0])  # minutes on the empty link
slope = np.diag([8.0, 1.0, 1.0, 1.0, 8.0])  # minutes more per unit of flow
slope[4, 3], slope[3, 4] = 2.0, 0.5  # of each other
lowest = np.linalg.eigvalsh(slope + slope.T)[0]
print(f"symmetric: {np.allclose(slope, slope.T)}; lowest eigenvalue {lowest:.2f} > 0")


def equilibrium(demand):
    """Flows on the routes, where those from 0 share demand[0] and those from 1 demand[1]."""

    def minutes(flow):
        return incidence @ (free + slope @ (incidence.T @ flow))

    both = SeparableSum([Simplex(demand[0]), Simplex(demand[1])], [3, 2])
    start = np.repeat(np.asarray(demand) / [3, 2], [3, 2])
    result = numopt.solve_vi(minutes, start, project=both, tol=1e-9)
    return result, minutes(result.x)


# %%
# Routes in use take equally long, the others longer.

result, times = equilibrium((4.0, 2.0))
for route, flow, time in zip(routes, result.x, times, strict=True):
    print(f"{route:<8} {flow:6.3f} drivers, {time:7.3f} minutes")
residual = float(result.certificate["natural"])
print(f"{result.nfev} evaluations of the costs, residual {residual:.1e}")

# %%
# The more drivers, the fewer take the new road, until it is empty.

demands = np.linspace(1.0, 12.0, 12)
flows = np.array([equilibrium((d, 2.0))[0].x for d in demands])
fig, ax = plt.subplots(figsize=(6, 3.5))
for k in range(3):
    ax.plot(demands, flows[:, k], marker=".", label=routes[k])
ax.set(xlabel="drivers from 0 to 3", ylabel="flow on the route")
ax.legend()
fig.tight_layout()
plt.show()
