"""
What goes with the quality of wine
==================================

Twelve measurements of 1599 red wines, no graph is known. Quality is judged last, so it comes in a
tier of its own: nothing may depend on it.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from numopt.estimators import DAGLearner

folder = Path.cwd()
while not (folder / "tests" / "data" / "dags").is_dir():
    folder = folder.parent
X = pd.read_csv(folder / "tests" / "data" / "dags" / "wine_red.csv")
measured = [name for name in X.columns if name != "quality"]
model = DAGLearner(criterion="bic", tiers=[measured, ["quality"]]).fit(X)
print(model.result_.message)
low, high = model.confidence_intervals()
j = X.columns.get_loc("quality")
for i in model.adjacency_[:, j].nonzero()[0]:
    print(
        f"{X.columns[i]:22s} {model.adjacency_[i, j]: .4f}  [{low[i, j]: .4f}, {high[i, j]: .4f}]"
    )

# %%
# Undirected edges of the equivalence class are those no data can direct.
both = model.cpdag_ & model.cpdag_.T
print(f"{int(both.sum() / 2)} of {int((model.adjacency_ != 0).sum())} edges have no direction")
ax = model.plot(plt.subplots(figsize=(9, 6))[1])
plt.show()
