"""
How stable is a graph?
======================

Noise of airfoils: 1503 measurements, six columns. The rows are drawn again two hundred times;
each time the best graph of all is found. Edges seldom found, or found in both directions alike,
are not to be relied on.
"""

from pathlib import Path

import matplotlib.pyplot as plt
import pandas as pd

from numopt.estimators import DAGLearner

folder = Path.cwd()
while not (folder / "tests" / "data" / "dags").is_dir():
    folder = folder.parent
X = pd.read_csv(folder / "tests" / "data" / "dags" / "airfoil.csv")
model = DAGLearner(criterion="bic").fit(X)
shares = model.bootstrap(X, n_resamples=200, n_threads=2)

image = plt.imshow(shares, vmin=0, vmax=1, cmap="Blues")
plt.xticks(range(6), X.columns, rotation=45, ha="right")
plt.yticks(range(6), X.columns)
for i, j in zip(*model.adjacency_.nonzero(), strict=True):
    plt.plot(j, i, "o", color="darkorange")
plt.colorbar(image, label="share of resamples with the edge row -> column")
plt.title("Dots: edges of the graph of all rows")
plt.tight_layout()
plt.show()
