"""SparsePrecision against scikit-learn's graphical lasso and its own screening."""

import numpy as np
import pytest
from sklearn.covariance import GraphicalLasso

from numopt.estimators import SparsePrecision
from numopt.splittings import graphical_lasso


def samples(seed=0, n=80, p=9):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((n, p)) @ (np.eye(p) + 0.6 * np.eye(p, k=1)) + 3.0


@pytest.mark.parametrize("alpha", [0.05, 0.3])
def test_agrees_with_scikit_learn(alpha):
    X = samples()
    ours = SparsePrecision(alpha).fit(X)
    theirs = GraphicalLasso(alpha, tol=1e-6, enet_tol=1e-9, max_iter=1000).fit(X)
    np.testing.assert_allclose(ours.precision_, theirs.precision_, atol=1e-4)
    np.testing.assert_allclose(ours.location_, theirs.location_)
    assert ours.score(X) == pytest.approx(theirs.score(X), rel=1e-4)
    assert all(result.success for result in ours.results_)


def test_screening_changes_nothing():
    X = samples()
    X[:, 5:] = np.random.default_rng(1).standard_normal((80, 4))
    model = SparsePrecision(0.25).fit(X)
    assert len(model.groups_) > 1
    S = np.cov(X.T, bias=True)
    whole = graphical_lasso(S, 0.25)
    certificate = whole.certificate(model.precision_.ravel())
    assert certificate["gap"] <= 1e-6
    np.testing.assert_allclose(model.covariance_ @ model.precision_, np.eye(9), atol=1e-8)


def test_strong_penalty_is_diagonal():
    X = samples()
    model = SparsePrecision(100.0).fit(X)
    np.testing.assert_allclose(model.precision_, np.diag(1 / X.var(0)), rtol=1e-10)
    assert model.n_iter_ == 1


def test_constant_columns_are_named():
    X = samples()
    X[:, 4] = 1.0
    with pytest.raises(ValueError, match="constant in column 4"):
        SparsePrecision().fit(X)
