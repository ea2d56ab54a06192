"""
Protein signalling: the best graph is not the true one
======================================================

Eleven proteins measured in 7466 cells (Sachs et al., 2005). The best graph by BIC is found and
proven to be the best; compared to the biologists' consensus it shows what such a score can do:
many right neighbours, few reliable directions. The cells come from different experiments, signals
feed back, and the model is linear: a better score is no better truth.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from numopt.estimators import DAGLearner

folder = Path.cwd()
while not (folder / "tests" / "data" / "dags").is_dir():
    folder = folder.parent
folder = folder / "tests" / "data" / "dags"

cells = pd.read_csv(folder / "sachs_continuous.csv.gz").iloc[:, :11]
X = np.log(np.maximum(cells, 0.001))
model = DAGLearner(criterion="bic").fit(X)
print(model.result_.message)
print(f"BIC {model.result_.score:.4f}, {model.to_networkx().number_of_edges()} edges")

# %%
# Against the consensus
# ---------------------
# Neighbours are compared without directions, then with them.
truth = {tuple(edge) for edge in pd.read_csv(folder / "sachs_edges.csv").to_numpy()}
found = set(model.to_networkx().edges)
pairs = {frozenset(edge) for edge in found}
true_pairs = {frozenset(edge) for edge in truth}
print(f"of {len(true_pairs)} neighbours {len(pairs & true_pairs)} found, {len(pairs)} claimed")
print(f"with the right direction: {len(found & truth)}")

# %%
# The graph
# ---------
ax = model.plot(plt.subplots(figsize=(9, 6))[1])
ax.set_title("Best graph by BIC: most of it is not the consensus")
plt.show()
