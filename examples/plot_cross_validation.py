"""
Choosing the strength: cross-validation and one standard error
==============================================================

A path of models from a strong penalty to a weak one, and three ways to choose among them, on the
diabetes data of Efron et al. (2004) with the squares and products of its ten measurements: least
held-out loss, the simplest model within one standard error of that, and the extended BIC.
"""

import matplotlib.pyplot as plt
import pandas
from sklearn.datasets import load_diabetes
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from numopt.estimators import PenalizedRegressorCV
from numopt.penalties import L1, MCP

# %%
# 442 patients, 10 measurements, 65 columns with squares and products. They come as a DataFrame,
# whose names the tables below keep.

frame, y = load_diabetes(return_X_y=True, as_frame=True)
expansion = PolynomialFeatures(2, include_bias=False).set_output(transform="pandas")
columns = expansion.fit_transform(frame)
X = pandas.DataFrame(StandardScaler().fit_transform(columns), columns=columns.columns)

# %%
# One search per rule. All fits of a path start from their neighbours, folds run in threads, and
# every model on the path carries its certificate.

models = {
    rule: PenalizedRegressorCV(L1(1.0), cv=10, selection=rule, n_jobs=2).fit(X, y)
    for rule in ("min", "1se", "ebic")
}
for rule, model in models.items():
    path = model.path_
    proven = sum(result.success for result in path.results)
    print(
        f"{rule:>4}: alpha {model.alpha_:6.3f}, {(model.coef_ != 0).sum():2d} coefficients, "
        f"{proven} of {path.alphas.size} models certified"
    )
print(models["1se"].coefficients())

# %%
# The held-out loss is flat around its least value: the model of the second rule predicts as well,
# up to what ten folds can tell, and needs far fewer columns.

figure, (top, bottom) = plt.subplots(2, 1, figsize=(7, 7), sharex=True, layout="constrained")
path = models["min"].path_
path.plot_criterion(top)
least = path.chosen
bound = path.criterion[least] + path.standard_errors[least]
top.axhline(bound, color="C1", linewidth=0.8, label="one standard error")
top.axvline(models["1se"].alpha_, color="C1", linestyle=":", label="chosen within it")
top.set(title="held-out loss, ten folds", xlabel="")
top.legend(fontsize="small")
path.plot(bottom)
bottom.axvline(models["1se"].alpha_, color="C1", linestyle=":")
bottom.axhline(0, color="0.8", linewidth=0.8, zorder=0)

# %%
# The minimax concave penalty does not shrink what it keeps. Its path is not convex, and each model
# is proven stationary rather than optimal.

concave = PenalizedRegressorCV(MCP(1.0), cv=10, selection="1se", n_jobs=2).fit(X, y)
print(concave.results_[0].message)
print(concave.coefficients())
concave.path_.plot()
plt.show()
