"""Directed acyclic graphs from data, one call."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from numopt.core.engine import solve
from numopt.core.result import Result
from numopt.core.validate import require_choice, require_nonnegative
from numopt.functions import _dag_report as report
from numopt.problems._dag_basis import edge_sizes
from numopt.problems._dag_graph import cpdag, hamming_distance, topological_order
from numopt.problems.dag_score import DagScore

METHODS = (
    "auto", "topo", "insertion", "boss", "exact", "notears", "dagma", "golem", "lingam",
)  # fmt: skip
# More columns than this share of the rows: residuals of full regressions mean little.
CROWDED = 0.1
# Up to this many columns the exact method is dynamic programming, by BIC beyond branch and bound.
TABLES = 22
# Beyond this many columns, the graph of standardised data is not looked for unasked.
LARGE = 200


def learn_dag(
    X: Any = None,
    *,
    gram: Any = None,
    n_samples: int | None = None,
    score: str = "ls",
    method: str = "auto",
    alpha: float = 0.0,
    required: Any = (),
    forbidden: Any = (),
    threshold: float = 0.3,
    x0: Any = None,
    random_state: int | None = None,
    splines: int | None = None,
    diagnose: bool = True,
    options: dict[str, Any] | None = None,
    **fields: Any,
) -> Result:
    r"""Find a directed acyclic graph that explains each column by its parents.

    .. math::
       \min_W Q(W) + \alpha \sum_{ij} |W_{ij}| \quad \text{subject to W being acyclic}

    What the graph means depends on the score: "ls" finds causal directions only if all noise
    variances are equal in the units given, and follows the columns' variances otherwise; "bic" does
    not depend on units and finds directions up to Markov equivalence (``result.cpdag``).

    Parameters
    ----------
    X : array or DataFrame of shape (n, d), optional
        Data.
    gram, n_samples : array of shape (d, d), int, optional
        Covariance matrix in place of X, and the rows behind it.
    score : {"ls", "bic", "logistic", "poisson"}
        See `DagScore`.
    method : str
        "insertion" (orders by least squares), "topo" (swaps; penalties, logistic, Poisson), "boss"
        and "exact" (BIC; beyond 22 columns by branch and bound, which ends if the graph is sparse:
        give a time_limit among the options), "notears", "dagma", "golem" (continuous relaxations),
        "lingam" (non-Gaussian noise). "auto" takes "exact" for BIC up to 20 columns, then "boss";
        "insertion" for plain least squares; "topo" for the rest.
    alpha : float, default 0
        Strength of the L1 penalty.
    required, forbidden : list of pairs (i, j)
        Edges by number or name. Tiers, roots, leaves and max_parents may be given as well.
    threshold : float, default 0.3
        Edges of less weight are left out of `graph` and `adjacency`, also where they have less when
        the remaining ones are fitted again; "bic" keeps all.
    x0 : array, optional
        Order, or weights (d, d) of another method's graph to start from.
    random_state : int, optional
        Seed.
    splines : int, optional
        With "ls" or "bic": explain a column by sums of functions of its parents, cubic splines
        with this many coefficients each; see `DagScore`.
    diagnose : bool, default True
        Warn if standardised data give another least-squares graph, up to 200 columns, and if there
        are few rows: see `diagnostics` of the result.
    options : dict, optional
        Options of the solver.
    **fields
        Other fields of `DagScore`.

    Returns
    -------
    Result
        ``x`` and ``W`` (weights, as certified), ``order``, ``score`` (its value), ``kkt`` (residual
        of the conditions K1 and K2), ``adjacency`` (thresholded weights, fitted again), ``loss``
        (Q of `adjacency`), ``graph`` (networkx.DiGraph of it, built when asked for), ``cpdag``
        (edges of its equivalence class; both directions if undirected), ``diagnostics``, and
        the ``problem`` for ``result.verify(result.problem)``. With splines ``W`` and ``adjacency``
        are sizes of functions, ``x`` and ``coefficients`` (fitted again) what they are made of:
        ``problem.basis.expand(X) @ coefficients`` predicts the columns, less their means.

    Raises
    ------
    ValueError, TypeError
        If data are not finite, constraints contradict each other, or the method does not take the
        score.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> rng = np.random.default_rng(0)
    >>> a = rng.standard_normal(500)
    >>> b = 2 * a + rng.standard_normal(500)
    >>> X = np.column_stack([b, a])
    >>> result = numopt.learn_dag(X, diagnose=False)
    >>> result.order.tolist(), list(result.graph.edges)
    ([1, 0], [(1, 0)])
    >>> numopt.learn_dag(X, score="bic").cpdag.astype(int).tolist()  # no direction
    [[0, 1], [1, 0]]
    """
    require_choice(method, METHODS, "method")
    require_nonnegative(threshold, "threshold")
    problem = DagScore(
        X, gram=gram, n_samples=n_samples, score=score, alpha=alpha, required=required,
        forbidden=forbidden, splines=splines, **fields,
    )  # fmt: skip
    settings = dict(options or {})
    if random_state is not None:
        settings["random_state"] = random_state
    result = solve(problem, _solver(problem, method), x0=x0, **settings)
    return finished(problem, result, threshold, diagnose)


def _solver(problem: DagScore, method: str) -> str:
    if method == "exact" and problem.score == "bic" and problem.size > TABLES:
        return "branch-and-bound"
    return problem.default_solver if method == "auto" else method


def finished(
    problem: DagScore, result: Result, threshold: float = 0.3, diagnose: bool = True
) -> Result:
    """Add what users of graphs look for to a result of `DagScore`."""
    W = result.x if problem.splines is None else edge_sizes(result.x)
    cut = 0.0 if problem.score == "bic" else threshold
    A = np.abs(W) > cut
    A |= problem.knowledge.required & (W != 0)
    order = topological_order(A | problem.knowledge.before, result.get("order"))
    if order is None:  # not acyclic: what the certificate says, too
        A[:] = problem.knowledge.required
        order = topological_order(A | problem.knowledge.before)
    while True:  # many predecessors: a weight may be large by chance, and small among few parents
        refitted = report.refit(problem, A)
        adjacency = refitted if problem.splines is None else edge_sizes(refitted)
        weak = A & (np.abs(adjacency) <= cut) & ~problem.knowledge.required
        if not weak.any():
            break
        A &= ~weak
    result.W = W
    result.order = order if result.get("order") is None else result.order
    result.score = result.fun
    result.kkt = float(result.certificate.get("kkt", np.nan))
    result.adjacency = adjacency
    result.loss = problem.objective(refitted)
    if problem.splines is not None:
        result.coefficients = refitted
    result.cpdag = cpdag(adjacency != 0, report.known_edges(problem))
    result.names = list(problem.names)
    result.problem = problem
    result.changed_by_standardising = None
    result = DagResult(result)
    if diagnose:
        _warn(problem, result, threshold)
    return result


class DagResult(Result):
    """Result with its graph and diagnostics, made when they are asked for."""

    @property
    def diagnostics(self) -> dict[str, Any]:
        """How far the order can be told from variances alone, and what was noticed."""
        found = report.diagnostics(self["problem"], self["order"])
        if self["changed_by_standardising"] is not None:
            found["changed_by_standardising"] = self["changed_by_standardising"]
        return found

    @property
    def graph(self) -> Any:
        """The thresholded graph as networkx.DiGraph, with weights, by column names."""
        return report.as_networkx(self["adjacency"], self["names"])


def _warn(problem: DagScore, result: Result, threshold: float) -> None:
    from numopt.core.report import _user_frame

    n, d = problem.n_samples, problem.size
    predictors = d * problem.per_parent
    if problem.orders_alone and n is not None and predictors > CROWDED * n:
        what = f"{d} columns" if problem.splines is None else f"{predictors} functions of columns"
        warnings.warn(
            f"{what} and {n} rows: regressions on all predecessors overfit, and a lower score "
            "does not mean a better graph; use alpha, max_parents or score 'bic'",
            stacklevel=_user_frame() - 1,
        )
    if not problem.orders_alone or d > LARGE or problem.splines is not None:
        return
    mine, variances = result.adjacency != 0, problem.covariance.diagonal()
    other = mine
    if np.ptp(variances) > 1e-9 * variances[0]:
        other = report.standardised_edges(problem, threshold)
    changed = hamming_distance(mine, other)
    result.changed_by_standardising = changed
    if changed > 0.2 * max(int(mine.sum()), 1):
        correlation = report.rank_correlation(result.order, np.log(variances))
        warnings.warn(
            f"standardised data give another graph ({changed} edges differ of {int(mine.sum())}): "
            "directions rest on the columns' units (rank correlation of order and variance "
            f"{correlation:.2f}); if these mean nothing, use score 'bic'",
            stacklevel=_user_frame() - 1,
        )
