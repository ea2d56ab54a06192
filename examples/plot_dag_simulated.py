"""
Two hundred nodes, and the units of the columns
===============================================

A simulated graph with equal noise variances is found by least squares in well under a second,
raw. The same data with columns of unit variance give another graph: directions came from the
variances.
"""

import warnings

import matplotlib.pyplot as plt
import numpy as np

import numopt
from numopt.problems._dag_graph import hamming_distance

rng = np.random.default_rng(0)
d, n = 200, 5000
W = np.triu(rng.random((d, d)) < 4 / (d - 1), 1) * rng.uniform(0.5, 2, (d, d))
X = rng.standard_normal((n, d)) @ np.linalg.inv(np.eye(d) - W)

warnings.simplefilter("ignore")
for name, data in (("raw", X), ("standardised", X / X.std(0))):
    result = numopt.learn_dag(data)
    wrong = hamming_distance(result.adjacency, W)
    print(f"{name:13s} {result.time:.2f} s, {wrong} wrong edges of {int((W != 0).sum())}")
    print({key: value for key, value in result.diagnostics.items() if "rank" in key})

# %%
# The score over the batches of moves
# -----------------------------------
result = numopt.learn_dag(X, options={"start": "random"}, random_state=0, diagnose=False)
history = result.history
plt.plot(history["nit"], history["fun"], marker=".")
plt.xlabel("batches of moves")
plt.ylabel("least-squares score")
plt.title("From a random order")
plt.show()
