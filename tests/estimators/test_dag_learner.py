"""DAGLearner: scikit-learn's checks, bootstrap, plots."""

import matplotlib
import networkx as nx
import numpy as np
import pandas as pd
import pytest
from sklearn.utils.estimator_checks import parametrize_with_checks

from numopt.estimators import DAGLearner
from tests.helpers import dags

matplotlib.use("Agg")


@pytest.mark.filterwarnings("ignore:columns")
@pytest.mark.filterwarnings("ignore::numopt.ConvergenceWarning")
@parametrize_with_checks([DAGLearner(), DAGLearner(criterion="bic", method="boss")])
def test_sklearn_checks(estimator, check):
    check(estimator)


def drawn(seed=0, d=6, n=300):
    rng = np.random.default_rng(seed)
    W = dags.random_dag(rng, d)
    return dags.draw(rng, W, n), W


def test_graph_of_a_frame():
    X, W = drawn()
    names = list("abcdef")
    model = DAGLearner().fit(pd.DataFrame(X, columns=names))
    graph = model.to_networkx()
    assert nx.is_directed_acyclic_graph(graph)
    assert {frozenset(e) for e in graph.edges} <= {
        frozenset((names[i], names[j])) for i, j in np.argwhere(W)
    }
    assert graph.number_of_edges() >= 0.8 * (W != 0).sum()
    assert model.plot().get_children()
    low, high = model.confidence_intervals(0.99)
    assert (low <= model.adjacency_ + 1e-12).all()
    assert (model.adjacency_ <= high + 1e-12).all()
    gram = DAGLearner().fit_gram(np.cov(X.T, bias=True), len(X))
    np.testing.assert_allclose(gram.adjacency_, model.adjacency_, atol=1e-9)


def test_bootstrap_is_the_same_for_any_number_of_threads():
    X, W = drawn(1)
    model = DAGLearner().fit(X)
    shares = model.bootstrap(X, 20)
    np.testing.assert_array_equal(model.bootstrap(X, 20, n_threads=3), shares)
    assert (shares >= 0).all() and (shares <= 1).all()
    both = shares + shares.T
    assert both[W != 0].min() > 0.5
    assert both[(W == 0) & (W.T == 0)].mean() < 0.3
    with pytest.warns(UserWarning, match="standardised"):
        fitted = DAGLearner(criterion="ls").fit(X)
    assert fitted.bootstrap(X, 10)[W != 0].min() > 0.5
