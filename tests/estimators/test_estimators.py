"""What estimators mean: against scikit-learn and the problems they stand for."""

import numpy as np
import pandas
import pytest
import scipy.sparse as sp
from sklearn import linear_model
from sklearn.datasets import load_breast_cancer, load_diabetes, load_iris
from sklearn.preprocessing import scale

from numopt.estimators import (
    Lasso,
    MCPRegressor,
    PenalizedClassifier,
    PenalizedClassifierCV,
    PenalizedRegressor,
    PenalizedRegressorCV,
    SparseLogisticRegression,
)
from numopt.penalties import L1, MCP, GroupLasso, Ridge, Zero


@pytest.fixture(scope="module")
def diabetes():
    return load_diabetes(return_X_y=True)


def test_lasso_equals_scikit_learn_with_weights_and_without(diabetes):
    X, y = diabetes
    weight = np.random.default_rng(0).integers(0, 4, y.size).astype(float)
    for sample_weight in (None, weight):
        ours = Lasso(alpha=0.3).fit(X, y, sample_weight)
        peer = linear_model.Lasso(alpha=0.3, tol=1e-14, max_iter=10**6).fit(X, y, sample_weight)
        np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5, atol=1e-5)
        assert ours.intercept_ == pytest.approx(peer.intercept_, rel=1e-7)
        assert ours.results_[0].success


def test_several_targets_are_fitted_one_by_one(diabetes):
    X, y = diabetes
    both = Lasso(alpha=0.3).fit(X, np.column_stack([y, -y]))
    assert both.coef_.shape == (2, X.shape[1])
    np.testing.assert_allclose(both.coef_[0], -both.coef_[1], atol=1e-6)
    assert both.predict(X).shape == (y.size, 2)


def test_sparse_input_and_data_frames(diabetes):
    X, y = diabetes
    frame = pandas.DataFrame(X, columns=[f"feature{j}" for j in range(X.shape[1])])
    dense, sparse = Lasso(alpha=0.3).fit(frame, y), Lasso(alpha=0.3).fit(sp.csr_array(X), y)
    np.testing.assert_allclose(dense.coef_, sparse.coef_, rtol=1e-5, atol=1e-5)
    table = dense.coefficients()
    assert "feature2" in table and "of 10 coefficients" in table


def test_float32_stays(diabetes):
    X, y = diabetes
    model = Lasso(alpha=0.3).fit(X.astype(np.float32), y.astype(np.float32))
    assert model.coef_.dtype == np.float32 and model.results_[0].success


def test_path_is_the_sequence_of_single_fits(diabetes):
    X, y = diabetes
    model = PenalizedRegressorCV(L1(1.0), n_alphas=15, cv=4).fit(X, y)
    path = model.path_
    assert path.alphas.size == 15 and not path.coefs[0].any()
    assert all(result.success for result in path.results)
    middle = PenalizedRegressor(L1(float(path.alphas[7]))).fit(X, y)
    np.testing.assert_allclose(path.coefs[7], middle.coef_, rtol=1e-5, atol=1e-5)
    peer = linear_model.LassoCV(alphas=path.alphas, cv=4, tol=1e-10, max_iter=10**6).fit(X, y)
    assert model.alpha_ == pytest.approx(peer.alpha_)
    np.testing.assert_allclose(2 * path.losses, peer.mse_path_, rtol=1e-6)


def test_selection_rules_order(diabetes):
    X, y = diabetes
    chosen = {
        rule: PenalizedRegressorCV(L1(1.0), n_alphas=30, selection=rule).fit(X, y).alpha_
        for rule in ("min", "1se", "ebic")
    }
    assert chosen["1se"] > chosen["min"]
    assert chosen["ebic"] > chosen["min"]


def test_ebic_finds_the_planted_support():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((100, 60))
    y = 3 * X[:, :4].sum(1) + rng.standard_normal(100)
    model = PenalizedRegressorCV(MCP(1.0), selection="ebic", n_alphas=40).fit(X, y)
    np.testing.assert_array_equal(np.flatnonzero(model.coef_), np.arange(4))


def test_threads_do_not_change_the_result(diabetes):
    X, y = diabetes
    one = PenalizedRegressorCV(n_alphas=10).fit(X, y)
    two = PenalizedRegressorCV(n_alphas=10, n_jobs=2).fit(X, y)
    np.testing.assert_array_equal(one.path_.losses, two.path_.losses)


def test_logistic_equals_liblinear_and_class_weights_are_sample_weights():
    X, y = load_breast_cancer(return_X_y=True)
    X = scale(X)
    ours = SparseLogisticRegression(alpha=0.02).fit(X, y)
    peer = linear_model.LogisticRegression(
        l1_ratio=1.0, C=1 / (0.02 * y.size), solver="saga", tol=1e-9, max_iter=10**5
    ).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-4)
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-4)
    weighted = SparseLogisticRegression(alpha=0.02, class_weight={0: 3, 1: 1}).fit(X, y)
    by_sample = SparseLogisticRegression(alpha=0.02).fit(X, y, np.where(y == 0, 3.0, 1.0))
    np.testing.assert_allclose(weighted.coef_, by_sample.coef_, atol=1e-6)


def test_classifier_path():
    X, y = load_breast_cancer(return_X_y=True)
    model = PenalizedClassifierCV(n_alphas=8, eps=0.02, cv=3).fit(scale(X), y)
    assert model.score(scale(X), y) > 0.95
    assert not model.path_.coefs[0].any() and model.path_.coefs[-1].any()


def test_ridge_matches_scikit_learn(diabetes):
    X, y = diabetes
    ours = PenalizedRegressor(Ridge(0.01)).fit(X, y)
    peer = linear_model.Ridge(alpha=0.01 * y.size, tol=1e-12).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, rtol=1e-5)


def test_multinomial_probabilities_are_scikit_learns():
    X, y = load_iris(return_X_y=True)
    X, names = scale(X), np.array(["setosa", "versicolor", "virginica"])[y]
    ours = PenalizedClassifier(L1(0.02), multi_class="multinomial").fit(X, names)
    peer = linear_model.LogisticRegression(
        l1_ratio=1.0, C=1 / (0.02 * y.size), solver="saga", tol=1e-9, max_iter=10**5
    ).fit(X, names)
    assert ours.coef_.shape == (3, 4) and len(ours.results_) == 1
    np.testing.assert_allclose(ours.predict_proba(X), peer.predict_proba(X), atol=1e-5)
    np.testing.assert_allclose(np.exp(ours.predict_log_proba(X)), ours.predict_proba(X))
    np.testing.assert_array_equal(ours.predict(X), peer.predict(X))
    assert "class virginica: " in ours.coefficients()


def test_groups_of_features_hold_all_classes():
    X, y = load_iris(return_X_y=True)
    X = np.hstack([scale(X), np.random.default_rng(0).standard_normal((150, 4))])
    penalty = GroupLasso(0.05, groups=np.arange(8))
    model = PenalizedClassifier(penalty, multi_class="multinomial").fit(X, y)
    used = (model.coef_ != 0).sum(axis=0)
    assert set(used) == {0, 3} and not used[4:].any()
    weighted = L1(0.02, weights=np.r_[np.ones(7), np.inf])
    model = PenalizedClassifier(weighted, multi_class="multinomial").fit(X, y)
    assert not model.coef_[:, 7].any()


@pytest.mark.parametrize("multi_class", ["ovr", "multinomial"])
def test_paths_of_several_classes(multi_class):
    X, y = load_iris(return_X_y=True)
    X = scale(X)
    model = PenalizedClassifierCV(n_alphas=5, eps=0.05, cv=3, multi_class=multi_class).fit(X, y)
    path = model.path_
    assert path.coefs.shape == (5, 3, 4) and path.losses.shape == (5, 3)
    assert not path.coefs[0].any() and model.score(X, y) > 0.9
    alone = PenalizedClassifier(L1(model.alpha_), multi_class=multi_class).fit(X, y)
    np.testing.assert_allclose(alone.predict_proba(X), model.predict_proba(X), atol=1e-6)


def test_several_targets_share_the_strength(diabetes):
    X, y = diabetes
    both = np.column_stack([y, -y])
    model = PenalizedRegressorCV(n_alphas=10, cv=3).fit(X, both)
    single = PenalizedRegressorCV(n_alphas=10, cv=3).fit(X, y)
    assert model.coef_.shape == (2, X.shape[1]) and model.intercept_.shape == (2,)
    assert model.alpha_ == pytest.approx(single.alpha_)
    np.testing.assert_allclose(model.coef_, [single.coef_, -single.coef_], atol=1e-6)


def test_one_standard_error_rule_by_hand(diabetes):
    X, y = diabetes
    path = PenalizedRegressorCV(n_alphas=30, selection="1se").fit(X, y).path_
    means, folds = path.losses.mean(axis=1), path.losses.shape[1]
    best = means.argmin()
    error = np.sqrt(((path.losses[best] - means[best]) ** 2).sum() / (folds - 1) / folds)
    assert path.standard_errors[best] == pytest.approx(error)
    assert path.chosen == min(i for i in range(30) if means[i] <= means[best] + error)


def test_counts_have_a_logarithmic_link():
    rng = np.random.default_rng(0)
    X = rng.standard_normal((300, 4))
    y = rng.poisson(np.exp(X @ [0.5, -0.3, 0.0, 0.2] + 1.0))
    ours = PenalizedRegressor(Ridge(0.01), loss="poisson").fit(X, y)
    peer = linear_model.PoissonRegressor(alpha=0.01, tol=1e-10, max_iter=1000).fit(X, y)
    np.testing.assert_allclose(ours.coef_, peer.coef_, atol=1e-6)
    np.testing.assert_allclose(ours.predict(X), peer.predict(X), rtol=1e-6)


def test_paths_are_drawn(diabetes):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    X, y = diabetes
    path = PenalizedRegressorCV(n_alphas=5, cv=3).fit(X, y).path_
    figure = path.plot().figure
    assert len(figure.axes[0].lines) > 1
    assert path.plot_criterion().get_ylabel() == "held-out loss"
    matplotlib.pyplot.close("all")


def test_wrong_parameters_say_what_is_wrong(diabetes):
    X, y = diabetes
    with pytest.raises(ValueError, match=r"loss 'sqared'.*squared"):
        PenalizedRegressor(L1(1.0), loss="sqared").fit(X, y)
    with pytest.raises(ValueError, match="gamma must be > 1"):
        MCPRegressor(gamma=0.5).fit(X, y)
    with pytest.raises(TypeError, match="no field `alpha`"):
        PenalizedRegressorCV(Zero()).fit(X, y)
    with pytest.raises(ValueError, match="multi_class must be one of"):
        PenalizedClassifier(multi_class="both").fit(X, y > 100)
    with pytest.raises(ValueError, match="needs 'ovr'"):
        PenalizedClassifier(loss="squared_hinge", multi_class="multinomial").fit(X, y // 100)
    with pytest.raises(ValueError, match="selection must be one of"):
        PenalizedRegressorCV(selection="best").fit(X, y)
