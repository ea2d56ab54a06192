"""
Efficient frontier of a portfolio
=================================

Which mix of 80 assets has the least risk for a given return? A quadratic program for every point
of the frontier: factors carry most of the risk, no asset may be sold short, none may be more than a
tenth of the whole. Programs that differ in a vector only share one factorisation, and each starts
from the answer before.
"""

import matplotlib.pyplot as plt
import numpy as np

from numopt.problems import QuadraticProgram
from numopt.solvers import OperatorSplittingQP

rng = np.random.default_rng(0)
n, k = 80, 6
exposure = rng.standard_normal((n, k)) * (rng.random((n, k)) < 0.5)
own_risk = 0.2 + rng.random(n)
expected = exposure @ np.abs(rng.standard_normal(k)) * 0.1 + 0.3 * own_risk * rng.random(n)

# %%
# Variables are the shares x of the assets and the factors' positions f = exposure' x, so that the
# covariance stays sparse: x' diag(own_risk) x + f'f. The trade-off t weighs return against risk.

P = np.diag(np.r_[2 * own_risk, np.full(k, 2.0)])
A = np.block([[np.ones((1, n)), np.zeros((1, k))], [exposure.T, -np.eye(k)]])
sides = np.r_[1.0, np.zeros(k)]
lower, upper = np.r_[np.zeros(n), np.full(k, -np.inf)], np.r_[np.full(n, 0.1), np.full(k, np.inf)]
problem = QuadraticProgram(P, np.zeros(n + k), A, sides, sides, lower, upper)

solver = OperatorSplittingQP(tol=1e-9)
trades = np.r_[0.0, np.geomspace(1e-2, 10.0, 99)]
results = []
for t in trades:
    sibling = problem.replace(q=np.r_[-t * expected, np.zeros(k)])
    results.append(solver.solve(sibling, warm_start=results[-1] if results else None))
shares = np.array([result.x[:n] for result in results])
returns = shares @ expected
risks = np.sqrt((shares**2) @ own_risk + ((shares @ exposure) ** 2).sum(1))
print(f"{sum(result.success for result in results)} of {trades.size} points certified")
print(f"iterations: {results[0].nit} for the first, {results[1:][0].nit} for the second,")
print(f"{sum(result.nit for result in results[1:]) / 99:.1f} on average from then on")

# %%
# Along the frontier assets enter and leave. Equal shares are far from it: at the same risk the
# frontier returns more.

figure, (left, right) = plt.subplots(1, 2, figsize=(9, 4), layout="constrained")
left.plot(risks, returns, label="frontier")
equal = np.full(n, 1 / n)
equal_risk = np.sqrt(equal**2 @ own_risk + ((equal @ exposure) ** 2).sum())
left.plot(equal_risk, equal @ expected, "o", label="equal shares")
left.set(xlabel="risk (standard deviation)", ylabel="expected return", title="Efficient frontier")
left.legend()
order = np.argsort(-shares.sum(0))[:12]
right.stackplot(risks, shares[:, order].T)
right.plot(risks, shares[:, order].sum(1), color="0.3", linewidth=0.8)
right.set(xlabel="risk", ylabel="share", ylim=(0, 1), title="Shares of the twelve largest assets")
plt.show()
