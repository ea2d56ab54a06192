"""
Sparse logistic regression on text-like data
============================================

Documents as counts of words: most entries are 0, there are more words than documents, and a word's
frequency falls with its rank. A few words tell the two topics apart. The matrix stays sparse, with
an intercept as without.
"""

import matplotlib.pyplot as plt
import numpy as np
import scipy.sparse as sp

import numopt
from numopt.losses import Logistic
from numopt.penalties import L1
from numopt.problems import Composite

# %%
# 3000 documents of 100 words each from a vocabulary of 20000, drawn by Zipf's law. In documents of
# the second topic, 30 words of middling frequency are four times as frequent.

rng = np.random.default_rng(0)
n, p, length, k = 3000, 20_000, 100, 30
frequency = 1.0 / (np.arange(p) + 10.0)
telling = np.arange(100, 100 + 10 * k, 10)
shifted = frequency.copy()
shifted[telling] *= 4.0
topic = rng.integers(0, 2, n)
words = np.empty((n, length), np.int64)
for t, weights in enumerate((frequency, shifted)):
    edges = np.cumsum(weights / weights.sum())
    words[topic == t] = np.searchsorted(edges, rng.random(((topic == t).sum(), length)))
words = np.minimum(words, p - 1)
ones = np.ones(words.size)
A = sp.csc_array((ones, (np.repeat(np.arange(n), length), words.ravel())), shape=(n, p))
A.sum_duplicates()
A.data = np.log1p(A.data)
train = np.arange(n) < 2000
print(f"{A.shape[0]} x {A.shape[1]}, {A.nnz / np.prod(A.shape):.2%} of the entries are stored")

# %%
# A path over the strength, each solve started from the one before. Words that stay out are left
# out of most passes over the data; in the end all are looked at, and the certificate proves it.

labels = np.where(topic == 1, 1.0, -1.0)
problem = Composite(Logistic(labels[train]), A[train], L1(1.0), fit_intercept=True)
alphas = problem.alpha_max() * np.geomspace(1.0, 0.03, 25)
results = []
for alpha in alphas:
    problem = problem.replace(penalty=L1(alpha))
    results.append(numopt.solve(problem, warm_start=results[-1] if results else None))
assert all(result.success for result in results)
print(f"{sum(result.nit for result in results)} iterations for {alphas.size} models")
print(f"largest relative gap {max(float(r.certificate['gap']) for r in results):.1e}")

# %%
# How well they tell documents apart that they have not seen, and how many of the words they use
# are telling ones.

right, found, size = [], [], []
for result in results:
    scores = A[~train] @ result.x + result.intercept
    right.append(np.mean((scores > 0) == (topic[~train] == 1)))
    used = np.flatnonzero(result.x)
    found.append(np.isin(used, telling).sum())
    size.append(used.size)
best = int(np.argmax(right))
print(f"best: {right[best]:.1%} right with {size[best]} words, {found[best]} of {k} telling ones")

figure, (left, middle) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
left.semilogx(alphas / alphas[0], right, ".-")
left.set(xlabel="alpha / alpha_max", ylabel="right on unseen documents")
middle.loglog(alphas / alphas[0], np.maximum(size, 0.5), ".-", label="words used")
middle.loglog(alphas / alphas[0], np.maximum(found, 0.5), ".-", label="telling ones among them")
middle.axhline(k, color="0.6", linestyle="--", linewidth=0.8, label="telling ones")
middle.set(xlabel="alpha / alpha_max", ylabel="words")
middle.legend(fontsize="small")
for ax in (left, middle):
    ax.axvline(alphas[best] / alphas[0], color="0.4", linestyle=":")
    ax.xaxis.set_inverted(True)

# %%
# The weights of the best model by rank of the word: telling words stand out.

weights = results[best].x
used = np.flatnonzero(weights)
figure, ax = plt.subplots(figsize=(8, 3.2), layout="constrained")
ax.vlines(telling + 1, 0, weights.max(), color="0.9", zorder=0, label="telling words")
ax.semilogx(used + 1, weights[used], "o", markersize=3)
ax.axhline(0, color="0.8", linewidth=0.8)
ax.set(xlabel="rank of the word", ylabel="coefficient")
ax.legend(fontsize="small")
plt.show()
