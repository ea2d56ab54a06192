"""
Coefficient path of the Lasso
=============================

How the coefficients of a Lasso grow as its penalty weakens, on the diabetes data of Efron et al.
(2004): ten measurements of 442 patients, and the progress of the disease a year later. Every point
of the path is proven optimal by its certificate.
"""

import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import numopt
from numopt.losses import LeastSquares
from numopt.penalties import L1
from numopt.problems import Composite

data = load_diabetes()
X, y = data.data / data.data.std(axis=0), data.target

# %%
# The path starts at the least strength for which all coefficients are 0: the largest absolute entry
# of the gradient at the model with an intercept alone.

loss = LeastSquares(y)
alpha_max = np.abs(X.T @ loss.gradient(np.full(y.size, y.mean()))).max()
alphas = alpha_max * np.geomspace(1.0, 1e-3, 60)

# %%
# Each solve starts from the answer before. ``replace`` keeps all that was computed from the data.

problem = Composite(loss, X, L1(alphas[0]), fit_intercept=True)
results = []
for alpha in alphas:
    problem = problem.replace(penalty=L1(alpha))
    results.append(numopt.solve(problem, warm_start=results[-1] if results else None))
path = np.array([result.x for result in results])
kkt = np.array([float(result.certificate["kkt"]) for result in results])
print(f"{sum(result.success for result in results)} of {alphas.size} points certified")
print(f"iterations: {sum(result.nit for result in results)}, largest KKT residual: {kkt.max():.1e}")

# %%
# Coefficients enter one after the other. When s2 does, s1 takes off against it, for the two are
# strongly correlated, and s3 goes back to 0 and returns with the other sign. Below, the certificate
# at every point: the KKT residual relative to alpha_max, under its tolerance throughout, and the
# duality gap relative to the objective at 0.

figure, (top, bottom) = plt.subplots(
    2, 1, sharex=True, figsize=(7, 6), height_ratios=(3, 1), layout="constrained"
)
for name, coefficients in zip(data.feature_names, path.T, strict=True):
    top.semilogx(alphas / alpha_max, coefficients, label=name)
top.axhline(0, color="0.8", linewidth=0.8, zorder=0)
top.set(ylabel="coefficient", title="Lasso path, diabetes data")
top.legend(ncols=2, fontsize="small")
bottom.loglog(alphas / alpha_max, np.maximum(kkt, 1e-17), ".", label="KKT residual")
gaps = np.array([float(result.certificate["gap"]) for result in results])
bottom.loglog(alphas / alpha_max, np.maximum(gaps, 1e-17), ".", label="duality gap")
bottom.axhline(1e-8, color="0.6", linestyle="--", label="tolerance of KKT")
bottom.set(xlabel="alpha / alpha_max", ylabel="certificate")
bottom.legend(fontsize="small")
top.invert_xaxis()
plt.show()
