"""Graphs of columns, scikit-learn style."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state
from sklearn.utils.validation import check_is_fitted, validate_data

from numopt.functions import _dag_report as report
from numopt.functions.learn_dag import finished, learn_dag


class DAGLearner(BaseEstimator):
    r"""Learn a directed acyclic graph of the columns of X.

    .. math::
       \min_W Q(W) + \alpha \sum_{ij} |W_{ij}| \quad \text{subject to W being acyclic}

    See `numopt.learn_dag` and `numopt.problems.DagScore` for scores, methods and constraints, and
    the page "Learning DAGs" for what such graphs can and cannot show.

    Parameters
    ----------
    criterion : {"bic", "ls", "logistic", "poisson"}
        The score of `DagScore`. "bic" does not depend on units and gives directions up to
        Markov equivalence.
    method : str, default "auto"
        As in `numopt.learn_dag`.
    alpha : float, default 0
        Strength of the L1 penalty, not with "bic".
    threshold : float, default 0.3
        Edges of less weight are left out, except with "bic".
    required, forbidden : list of pairs
        Edges by number or column name.
    tiers : list of lists, default ()
        Nodes of a tier precede those of all later tiers.
    roots, leaves : list
        Nodes without parents, without children.
    max_parents : int, optional
        Parents of one node at most.
    ridge : float, default 0
        Relative increase of the variances.
    bic_weight : float, default 1
        Multiplies the cost of an edge in BIC.
    splines : int, optional
        With "ls" or "bic": additive models, functions of the parents with this many coefficients
        each; `adjacency_` and `weights_` hold the sizes of the functions.
    random_state : int, optional
        Seed.
    solver_options : dict, optional
        Options of the solver.

    Attributes
    ----------
    adjacency_ : array of shape (d, d)
        Weights of the edges i -> j, fitted to the graph without penalty.
    weights_ : array of shape (d, d)
        Weights as certified, before the threshold.
    cpdag_ : boolean array of shape (d, d)
        Edges of the equivalence class; both directions where it does not decide.
    order_ : array of shape (d,)
        Columns, each after its parents.
    diagnostics_ : dict
        How far variances alone tell the order.
    result_ : Result
        With certificate and history.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.estimators import DAGLearner
    >>> rng = np.random.default_rng(0)
    >>> a, b = rng.standard_normal((2, 300))
    >>> X = np.column_stack([a, b, a + b + rng.standard_normal(300)])
    >>> model = DAGLearner().fit(X)
    >>> (model.adjacency_ != 0).astype(int).tolist()
    [[0, 0, 1], [0, 0, 1], [0, 0, 0]]
    """

    def __init__(
        self,
        criterion: str = "bic",
        method: str = "auto",
        alpha: float = 0.0,
        threshold: float = 0.3,
        required: Any = (),
        forbidden: Any = (),
        tiers: Any = (),
        roots: Any = (),
        leaves: Any = (),
        max_parents: int | None = None,
        ridge: float = 0.0,
        bic_weight: float = 1.0,
        splines: int | None = None,
        random_state: Any = None,
        solver_options: dict[str, Any] | None = None,
    ):
        self.criterion = criterion
        self.method = method
        self.alpha = alpha
        self.threshold = threshold
        self.required = required
        self.forbidden = forbidden
        self.tiers = tiers
        self.roots = roots
        self.leaves = leaves
        self.max_parents = max_parents
        self.ridge = ridge
        self.bic_weight = bic_weight
        self.splines = splines
        self.random_state = random_state
        self.solver_options = solver_options

    def fit(self, X: Any, y: Any = None) -> DAGLearner:
        """Learn the graph.

        Parameters
        ----------
        X : array or DataFrame of shape (n_samples, d)
            Data.
        y : None
            Ignored.

        Returns
        -------
        self
            The fitted estimator.
        """
        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2)
        result = learn_dag(X, **self._arguments(), names=self._names(X.shape[1]))
        self._keep(result)
        return self

    def fit_gram(self, gram: Any, n_samples: int, names: Any = None) -> DAGLearner:
        """Learn the graph from a covariance matrix and the number of rows behind it."""
        gram = np.asarray(gram, np.float64)
        result = learn_dag(gram=gram, n_samples=n_samples, names=names, **self._arguments())
        self.n_features_in_ = len(gram)
        self._keep(result)
        return self

    def _arguments(self) -> dict[str, Any]:
        seed = self.random_state
        if seed is not None and not isinstance(seed, (int, np.integer)):
            seed = int(check_random_state(seed).randint(2**31 - 1))
        return {
            "score": self.criterion, "method": self.method, "alpha": self.alpha,
            "threshold": self.threshold, "required": self.required, "forbidden": self.forbidden,
            "tiers": self.tiers, "roots": self.roots, "leaves": self.leaves,
            "max_parents": self.max_parents, "ridge": self.ridge, "bic_weight": self.bic_weight,
            "splines": self.splines, "random_state": None if seed is None else int(seed),
            "options": self.solver_options,
        }  # fmt: skip

    def _names(self, d: int) -> list[Any]:
        names = getattr(self, "feature_names_in_", None)
        return list(range(d)) if names is None else list(names)

    def _keep(self, result: Any) -> None:
        self.result_ = result
        self.adjacency_, self.weights_, self.cpdag_ = result.adjacency, result.W, result.cpdag
        self.order_, self.diagnostics_ = result.order, result.diagnostics
        self.names_ = result.names
        self.n_iter_ = max(1, int(result.nit))

    def to_networkx(self) -> Any:
        """The graph as `networkx.DiGraph` with weights, nodes by column name."""
        check_is_fitted(self)
        return report.as_networkx(self.adjacency_, self.names_)

    def plot(self, ax: Any = None) -> Any:
        """Draw the graph in layers, parents above children, and return the axes."""
        import matplotlib.pyplot as plt
        import networkx as nx

        graph = self.to_networkx()
        ax = ax or plt.subplots()[1]
        for layer, nodes in enumerate(nx.topological_generations(graph)):
            nx.set_node_attributes(graph, dict.fromkeys(nodes, -layer), "layer")
        place = nx.multipartite_layout(graph, subset_key="layer", align="horizontal")
        nx.draw_networkx(graph, place, ax=ax, node_color="#dce6f2", node_size=900, font_size=8)
        ax.set_axis_off()
        return ax

    def bootstrap(
        self, X: Any, n_resamples: int = 100, n_threads: int = 1, random_state: Any = 0
    ) -> np.ndarray:
        """Share of resamples of the rows in which each edge i -> j is found.

        Each resample is a set of row weights and one Gram matrix; the same seed gives the same
        shares for any number of threads.

        Parameters
        ----------
        X : array of shape (n_samples, d)
            Data.
        n_resamples : int, default 100
            How often.
        n_threads : int, default 1
            Resamples at a time.
        random_state : int, default 0
            Seed.

        Returns
        -------
        array of shape (d, d)
            Shares in [0, 1].
        """
        import warnings

        from numopt.core.engine import solve
        from numopt.problems import DagScore

        X = validate_data(self, X, dtype=np.float64, ensure_min_samples=2, reset=False)
        if self.criterion not in ("ls", "bic") or self.splines is not None:
            raise ValueError(
                "bootstrap resamples Gram matrices: score 'ls' or 'bic' and no splines, got "
                f"{self.criterion!r} and splines={self.splines}"
            )
        n, given = len(X), self._arguments()
        threshold = given.pop("threshold")
        method, options = given.pop("method"), dict(given.pop("options") or {})
        seed = given.pop("random_state")
        if seed is not None:
            options["random_state"] = seed
        seeds = np.random.SeedSequence(random_state).spawn(n_resamples)

        def one(sequence: Any) -> np.ndarray:
            weight = np.random.default_rng(sequence).multinomial(n, np.full(n, 1 / n)) / n
            rows = X - weight @ X
            problem = DagScore(
                gram=(rows * weight[:, None]).T @ rows, n_samples=n, names=self._names(X.shape[1]),
                **given,
            )  # fmt: skip
            name = problem.default_solver if method == "auto" else method
            found = finished(problem, solve(problem, name, **options), threshold, False)
            return found.adjacency != 0

        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with ThreadPoolExecutor(n_threads) as pool:
                return np.mean(list(pool.map(one, seeds)), axis=0)

    def confidence_intervals(self, level: float = 0.95) -> np.ndarray:
        """Bounds (2, d, d) of the weights, given the graph: its selection is not accounted for.

        Needs score "ls" or "bic".
        """
        check_is_fitted(self)
        if self.criterion not in ("ls", "bic"):
            raise ValueError(
                f"confidence intervals need score 'ls' or 'bic', not {self.criterion!r}"
            )
        return report.confidence_intervals(self.result_.problem, self.adjacency_ != 0, level)
