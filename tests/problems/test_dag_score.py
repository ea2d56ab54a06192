"""DagScore: objectives and certificates against plain formulas, input of all kinds."""

import tracemalloc

import numpy as np
import pandas as pd
import pytest

from numopt.problems import DagScore
from numopt.problems._dag_certificate import best_edge, gradient
from tests.helpers import dags

RNG = np.random.default_rng(0)
W = dags.random_dag(RNG, 6)
X = dags.draw(RNG, W, 200) + 5.0
B = (RNG.random((80, 6)) < 0.4).astype(float)


def test_least_squares_value():
    Z = X - X.mean(0)
    value = ((Z - Z @ W) ** 2).sum() / 400
    assert DagScore(X).objective(W) == pytest.approx(value)
    assert DagScore(X, alpha=0.3).objective(W) == pytest.approx(value + 0.3 * np.abs(W).sum())
    raw = ((X - X @ W) ** 2).sum() / 400
    assert DagScore(X, fit_intercept=False).objective(W) == pytest.approx(raw)


def test_bic_value():
    problem = DagScore(X, score="bic")
    assert problem.objective(np.zeros((6, 6))) == 0
    Z = X - X.mean(0)
    v = ((Z - Z @ W) ** 2).mean(0) / (Z**2).mean(0)
    expected = 100 * np.log(v).sum() + np.log(200) / 2 * (W != 0).sum()
    assert problem.objective(W) == pytest.approx(expected)
    extended = DagScore(X, score="bic", ebic_gamma=0.5).objective(W)
    assert extended == pytest.approx(expected + 0.5 * np.log(6) * (W != 0).sum())


@pytest.mark.parametrize("score", ["logistic", "poisson"])
def test_generalised_linear_values(score):
    V = 0.3 * W
    M = B @ V
    if score == "logistic":
        value = (np.log1p(np.exp(M)) - B * M).mean(0).sum()
    else:
        value = (np.exp(M) - B * M).mean(0).sum()
    assert DagScore(B, score=score, fit_intercept=False).objective(V) == pytest.approx(value)
    assert DagScore(B, score=score).objective(V) <= value


@pytest.mark.parametrize("score", ["ls", "logistic", "poisson"])
def test_gradient_is_the_derivative(score):
    problem, V, h = DagScore(B, score=score), 0.3 * W, 1e-5
    g = gradient(problem, V)
    for i, j in ((0, 1), (3, 2), (5, 0)):
        E = np.zeros((6, 6))
        E[i, j] = h
        slope = (problem.objective(V + E) - problem.objective(V - E)) / (2 * h)
        assert g[i, j] == pytest.approx(slope, abs=1e-7)


def test_certificate_of_cyclic_and_forbidden_graphs():
    V = np.zeros((6, 6))
    V[0, 1] = V[1, 2] = V[2, 0] = V[3, 4] = 0.1
    certificate = DagScore(X).certificate(V)
    assert certificate.acyclic == 3
    assert not certificate.met(1e-8)
    V[2, 0] = 0.0
    problem = DagScore(X, forbidden=[(0, 1)], required=[(4, 3)])
    assert problem.certificate(V).knowledge >= 2
    assert not problem.certificate(V).met(1e-8)
    limited = DagScore(X, max_parents=0, score="bic")
    assert limited.certificate(V).knowledge == 3


def test_kkt_sees_missing_edges():
    problem = DagScore(X)
    assert problem.certificate(np.zeros((6, 6))).kkt > 0.1
    G = np.cov(X.T, bias=True)
    scale = np.sqrt(np.outer(np.diag(G), np.diag(G)))
    off = np.abs(G / scale)[~np.eye(6, dtype=bool)]
    assert problem.certificate(np.zeros((6, 6))).kkt == pytest.approx(off.max())
    strong = DagScore(X, alpha=1e6)
    assert strong.certificate(np.zeros((6, 6))).kkt == 0


def test_best_edge_is_the_best_of_all():
    problem = DagScore(X, score="bic")
    rng = np.random.default_rng(3)
    A = dags.random_dag(rng, 6, 1.5) != 0
    order = np.argsort(np.linalg.matrix_power(np.eye(6) + A, 6).astype(bool).sum(0))
    base, best = dags.bic(X, A), 0.0
    for i in range(6):
        for j in range(6):
            for change in ("add", "drop", "turn"):
                C = A.copy()
                if change == "add":
                    C[i, j] = i != j
                elif A[i, j]:
                    C[i, j], C[j, i] = False, change == "turn"
                if not np.trace(np.linalg.matrix_power(np.eye(6) + C, 6)) > 6 + 1e-9:
                    best = max(best, base - dags.bic(X, C))
    assert best_edge(problem, A, order)[0] == pytest.approx(best, abs=1e-8)


def test_chunks_give_the_same_moments():
    whole = DagScore(X)
    parts = DagScore.from_chunks(iter([X[:1], X[1:50], X[50:]]))
    np.testing.assert_allclose(parts.covariance, whole.covariance, rtol=1e-12, atol=1e-12)
    assert parts.n_samples == 200
    far = DagScore.from_chunks([X[:100] + 1e8, X[100:] + 1e8])
    np.testing.assert_allclose(far.covariance, whole.covariance, rtol=1e-6, atol=1e-6)


def test_one_pass_keeps_nothing():
    blocks = [RNG.standard_normal((5000, 6)) @ RNG.standard_normal((6, 6)) + k for k in range(3)]
    given = 0

    def stream():
        nonlocal given
        for k in range(300):
            given += 1
            yield blocks[k % 3].copy()

    tracemalloc.start()
    problem = DagScore.from_chunks(stream())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert given == 300
    assert problem.n_samples == 1_500_000
    assert peak < 6 * blocks[0].nbytes  # of 300 blocks
    whole = np.cov(np.concatenate(blocks).T, bias=True)
    np.testing.assert_allclose(problem.covariance, whole, rtol=1e-10, atol=1e-10)
    raw = DagScore.from_chunks(blocks, fit_intercept=False)
    plain = sum(block.T @ block for block in blocks) / 15_000
    np.testing.assert_allclose(raw.covariance, plain, rtol=1e-12)


def test_blocks_that_are_computed():
    class Later:
        def __init__(self, rows):
            self.rows = rows

        def compute(self):
            return self.rows

    class Table:
        def to_delayed(self):
            return [Later(pd.DataFrame(X[:77])), Later(X[77:].astype(np.float32))]

    whole = DagScore(X).covariance
    for chunks in (Table(), Table().to_delayed(), [X[:10].tolist(), X[10:]]):
        parts = DagScore.from_chunks(chunks, score="bic")
        assert parts.n_samples == 200
        np.testing.assert_allclose(parts.covariance, whole, rtol=1e-5)


def test_dask_arrays():
    dask = pytest.importorskip("dask.array")
    for chunks in ((30, 6), (200, 2)):
        parts = DagScore.from_chunks(dask.from_array(X, chunks=chunks), score="bic")
        assert parts.n_samples == 200
        np.testing.assert_allclose(parts.covariance, DagScore(X).covariance, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "chunks, words",
    [
        ([], "chunks holds no rows"),
        ([X, X[:, :4]], "chunk 1 has 4 columns, those before it 6"),
        ([X, np.where(X == X[3, 2], np.nan, X)], r"chunk 1 has nan at index \(3, 2\)"),
        ([X[:0]], "rows and columns"),
        ([X[0]], "2-D"),
    ],
)
def test_bad_chunks_are_named(chunks, words):
    with pytest.raises(ValueError, match=words):
        DagScore.from_chunks(chunks)


def test_frames_integers_and_float32():
    frame = pd.DataFrame(X, columns=list("abcdef"))
    problem = DagScore(frame, required=[("a", "b")])
    assert problem.names == list("abcdef")
    assert problem.knowledge.required[0, 1]
    assert DagScore(np.rint(X).astype(int)).covariance.dtype == np.float64
    assert DagScore(X.astype(np.float32)).objective(W) == pytest.approx(
        DagScore(X).objective(W), rel=1e-4
    )
    assert problem.replace(alpha=0.5).names == problem.names


def test_interventions_use_the_rows_they_leave_alone():
    marks = np.zeros(X.shape, bool)
    marks[:60, 2] = True
    problem = DagScore(X, score="bic", targets=marks)
    rows = X[60:] - X[60:].mean(0)
    assert problem.moments.counts[problem.moments.gram_of[2]] == 140
    G = problem.moments.grams[problem.moments.gram_of[2]]
    np.testing.assert_allclose(G, rows.T @ rows / 140, rtol=1e-12)
    from numopt.solvers import BOSS, ExactOrder

    exact = ExactOrder().solve(problem)
    assert exact.success
    assert BOSS(random_state=0).solve(problem).fun == pytest.approx(exact.fun, abs=1e-7)


BAD = [
    ({"X": np.where(X == X[3, 2], np.nan, X)}, ValueError, r"X has nan at index \(3, 2\)"),
    ({"X": X[:, 0]}, ValueError, "X must be 2-D"),
    ({"X": X + 1j}, TypeError, "real numbers"),
    ({"X": pd.DataFrame({"a": [1.0, 2.0], "b": ["x", "y"]})}, TypeError, "column 'b' of dtype"),
    ({}, ValueError, "give either X or gram"),
    ({"X": X, "gram": np.eye(6)}, ValueError, "give either X or gram"),
    ({"gram": np.ones((2, 3))}, ValueError, "square"),
    ({"gram": [[1.0, 2.0], [0.0, 1.0]]}, ValueError, "symmetric"),
    ({"gram": [[1.0, 2.0], [2.0, 1.0]]}, ValueError, "semidefinite"),
    ({"gram": [[-1.0, 0.0], [0.0, 1.0]]}, ValueError, "negative variance -1 at"),
    ({"gram": np.eye(3), "score": "bic"}, ValueError, "needs n_samples"),
    ({"gram": np.eye(3), "score": "logistic"}, ValueError, "needs the data X"),
    ({"X": X, "n_samples": 7}, ValueError, "n_samples is 7, but X has 200 rows"),
    ({"X": X, "score": "bik"}, ValueError, "score must be one of"),
    ({"X": X, "score": "logistic"}, ValueError, "needs 0 and 1"),
    ({"X": -X, "score": "poisson"}, ValueError, "needs counts >= 0"),
    ({"X": X, "alpha": -1.0}, ValueError, "alpha must be a finite number >= 0"),
    ({"X": X, "alpha": 1.0, "score": "bic"}, ValueError, "use bic_weight"),
    ({"X": X, "mcp_gamma": 0.0}, ValueError, "mcp_gamma must be a finite number > 0"),
    ({"X": X, "mcp_gamma": 2.0, "score": "bic"}, ValueError, "goes with score 'ls'"),
    ({"X": X, "required": [(0, 1), (1, 0)]}, ValueError, "0 -> 1 -> 0"),
    ({"X": X, "required": [(0, 1), (1, 2), (2, 0)]}, ValueError, "contradict"),
    ({"X": X, "required": [(0, 1)], "forbidden": [(0, 1)]}, ValueError, "0 -> 1 is both"),
    ({"X": X, "required": [(0, 1)], "tiers": [[1], [0]]}, ValueError, "earlier tier"),
    ({"X": X, "required": [(0, 1)], "roots": [1]}, ValueError, "0 -> 1 is required, but"),
    ({"X": X, "required": [(0, 1)], "leaves": [0]}, ValueError, "0 -> 1 is required, but"),
    ({"X": X, "required": [(0, 2), (1, 2)], "max_parents": 1}, ValueError, "2 required parents"),
    ({"X": X, "required": [(0, 9)]}, ValueError, "names node 9, but nodes are 0 to 5"),
    ({"X": X, "required": [("a", 1)]}, ValueError, "'a', which is not among"),
    ({"X": X, "required": [(1, 1)]}, ValueError, "loop"),
    ({"X": X, "required": [0, 1]}, ValueError, "pairs"),
    ({"X": X, "forbidden": "ab"}, TypeError, "list of edges"),
    ({"X": X, "tiers": [[0], [0]]}, ValueError, "has a tier already"),
    ({"X": X, "max_parents": -1}, ValueError, "max_parents must be >= 0"),
    ({"X": X, "names": ["a"]}, ValueError, "names must be 6 different ones"),
    ({"X": X[:5]}, ValueError, "5 rows fit 6 columns exactly"),
    ({"X": X, "targets": np.ones(X.shape)}, ValueError, "boolean array"),
    ({"X": X, "targets": np.ones(X.shape, bool)}, ValueError, "marks all rows"),
]  # fmt: skip


@pytest.mark.parametrize("fields, error, words", BAD, ids=[case[2][:30] for case in BAD])
def test_bad_input_is_named(fields, error, words):
    with pytest.raises(error, match=words):
        DagScore(**fields)


@pytest.mark.parametrize(
    "V, words", [(np.zeros((3, 3)), "shape"), (np.eye(6), "loop"), (np.full((6, 6), np.nan), "nan")]
)
def test_bad_weights_are_named(V, words):
    with pytest.raises(ValueError, match=words):
        DagScore(X).objective(V)


def test_bad_order_is_named():
    with pytest.raises(ValueError, match="permutation of 0 to 5"):
        DagScore(X).certificate(W, order=[0, 1, 2, 3, 4, 4])
