"""Scores of directed acyclic graphs."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from numopt.core.result import Certificate, Entry
from numopt.core.validate import (
    as_array,
    require_choice,
    require_count,
    require_nonnegative,
    require_positive,
)
from numopt.problems import _dag_basis as additive
from numopt.problems import _dag_certificate as proofs
from numopt.problems import _dag_data as data
from numopt.problems import _dag_knowledge as constraints
from numopt.problems._base import Problem
from numopt.problems._dag_graph import topological_order

SCORES = ("ls", "bic", "logistic", "poisson")


@dataclass(frozen=True, eq=False)
class DagScore(Problem):
    r"""Weights of a directed acyclic graph that explain each column by its parents.

    .. math::
       \min_W Q(W) + \alpha \sum_{ij} |W_{ij}| \quad \text{subject to W being acyclic}

    where :math:`W_{ij} \ne 0` is the edge i -> j, and with centred columns, :math:`G = X^T X / n`
    and :math:`v_j = ((I - W)^T G (I - W))_{jj}`:

    - "ls": :math:`Q = \tfrac12 \sum_j v_j`, for noise of equal variances; it depends on units;
    - "bic": :math:`Q = \sum_j \tfrac{n_j}{2} \log (v_j / G_{jj}) + \lambda k`, with k edges and
      :math:`\lambda = \tfrac{c}{2} \log n + \gamma \log d`; free of units, the same for all
      graphs of a Markov equivalence class; 0 without edges;
    - "logistic": :math:`Q = \sum_j \mathrm{mean}_i (\log(1 + e^{m_{ij}}) - x_{ij} m_{ij})` for
      columns of 0 and 1, and "poisson": :math:`e^{m_{ij}}` in place of the logarithm, for counts;
      :math:`m = X W + b` with the best b.

    With `splines` = q, "ls" and "bic" explain a column by a sum of functions of its parents,
    natural cubic splines :math:`f_{i1}, \ldots, f_{iq}` of each column i, of which :math:`f_{i1}`
    is the column itself:

    .. math:: x_j = \sum_i \sum_k C_{(i, k), j} \, f_{ik}(x_i) + e_j, \qquad
       |W_{ij}| = \Big( \sum_k C_{(i, k), j}^2 \Big)^{1/2}

    Solvers return C, of shape (d q, d), as x. All :math:`f_{ik}` have the variance of their column
    and are uncorrelated, so that :math:`|W_{ij}|` is the standard deviation of the function over
    that of :math:`x_i`. The penalty takes groups as a whole: no function, or one of all q parts.

    The certificate holds

    - ``acyclic`` (gate): nodes on cycles;
    - ``knowledge`` (gate): edges that violate the constraints, or required ones without a path;
    - ``kkt`` (gate): largest :math:`|\partial Q / \partial W_{ij}|`, less the penalty's
      subgradient, over the pairs i, j without a walk from j to i, relative to the columns' norms:
      conditions K1 and K2 of the reference. With "bic", or a limit on parents, over the edges of W;
    - ``moves`` (a gate if the result claims it): what the best other insertion or swap in the
      order, with "bic" the best edge added, deleted or turned, would gain, relative to Q;
    - ``gap`` (a gate of exact methods): difference to the bound of the exhaustive search.

    Parameters
    ----------
    X : array or DataFrame of shape (n, d), optional
        Data, a column for each node.
    gram : array of shape (d, d), optional
        Covariance matrix in place of X, for "ls" and "bic"; X is never needed then.
    n_samples : int, optional
        Rows behind `gram`; "bic" needs it.
    score : {"ls", "bic", "logistic", "poisson"}
        Q, see above.
    alpha : float, default 0
        Strength of the L1 penalty; required edges go free, and "bic" has none.
    mcp_gamma : float, optional
        With "ls", take the minimax concave penalty of this gamma in place of L1:
        :math:`\alpha |w| - w^2 / (2 \gamma)` up to :math:`|w| = \gamma \alpha`, constant beyond:
        strong edges are not shrunk.
    bic_weight, ebic_gamma : float, default 1 and 0
        c and gamma above.
    required, forbidden : list of pairs (i, j)
        Edges that are there or are not, by number or column name.
    tiers : list of lists of nodes
        Nodes of a tier precede those of all later tiers.
    roots, leaves : list of nodes
        Nodes without parents, without children.
    max_parents : int, optional
        Parents of one node at most.
    ridge : float, default 0
        Relative increase of the diagonal of G.
    splines : int, optional
        Functions q of each parent, with "ls" or "bic" and the data X; 1 is the linear model. "bic"
        counts them all: an edge costs q times :math:`\lambda`.
    targets : boolean array of shape (n, d), optional
        Marks the entries of X set by interventions: node j is explained by rows without mark at j.
    fit_intercept : bool, default True
        Whether columns have a constant: G is about the means.
    names : list of length d, optional
        Names of the nodes; those of the DataFrame's columns, or 0 to d - 1.

    Raises
    ------
    ValueError, TypeError
        If data are not finite or not numbers, or constraints contradict each other.

    Notes
    -----
    Constant columns are isolated nodes, counted with variance 1; columns that depend on others
    linearly get a ridge of 1e-9. Both are warned of. Everything but "logistic", "poisson" and the
    making of splines works on G alone, which `from_chunks` sums up in one pass over data of any
    length.

    References
    ----------
    X. Zheng, B. Aragam, P. Ravikumar, E. Xing, "DAGs with NO TEARS", NeurIPS 2018,
    arXiv 1803.01422.
    D. Wei, T. Gao, Y. Yu, "DAGs with No Fears", NeurIPS 2020, arXiv 2010.09133.
    C. Deng, K. Bello, B. Aragam, P. Ravikumar, "Optimizing NOTEARS objectives via topological
    swaps", ICML 2023, arXiv 2305.17277.

    Examples
    --------
    >>> import numpy as np
    >>> from numopt.problems import DagScore
    >>> problem = DagScore(gram=[[1.0, 2.0], [2.0, 5.0]], n_samples=100)
    >>> W = np.array([[0.0, 2.0], [0.0, 0.0]])
    >>> problem.objective(W)
    1.0
    >>> problem.certificate(W)["kkt"].value
    0.0
    """

    certificate_parts: ClassVar[tuple[str, ...]] = ("order", "bound", "claim")

    X: Any = None
    gram: Any = None
    n_samples: int | None = None
    score: str = "ls"
    alpha: float = 0.0
    mcp_gamma: float | None = None
    bic_weight: float = 1.0
    ebic_gamma: float = 0.0
    required: Any = ()
    forbidden: Any = ()
    tiers: Any = ()
    roots: Any = ()
    leaves: Any = ()
    max_parents: int | None = None
    ridge: float = 0.0
    splines: int | None = None
    targets: Any = None
    fit_intercept: bool = True
    names: Any = None

    def __post_init__(self) -> None:
        def put(name: str, value: Any) -> None:
            object.__setattr__(self, name, value)

        require_choice(self.score, SCORES, "score")
        for name in ("alpha", "bic_weight", "ebic_gamma", "ridge"):
            require_nonnegative(getattr(self, name), name)
            put(name, float(getattr(self, name)))
        if self.score == "bic" and self.alpha:
            raise ValueError(
                f"alpha is {self.alpha:g}, but score 'bic' counts edges; use bic_weight"
            )
        if self.mcp_gamma is not None:
            require_positive(self.mcp_gamma, "mcp_gamma")
            put("mcp_gamma", float(self.mcp_gamma))
            if self.score != "ls":
                raise ValueError(f"mcp_gamma goes with score 'ls', not {self.score!r}")
        if (self.X is None) == (self.gram is None):
            raise ValueError("give either X or gram")
        if self.splines is not None:
            require_count(self.splines, "splines", 1)
            additive.check(self)
        names = self.names if self.names is not None else data.column_names(self.X, self.gram)
        moments, squares = self._read(put)
        d = moments.grams.shape[1]
        put("names", list(range(d)) if names is None else list(names))
        if len(set(self.names)) != len(self.names) or len(self.names) != d:
            raise ValueError(f"names must be {d} different ones, got {self.names}")
        put("n_samples", int(moments.counts.max()) or None if self.X is None else len(self.X))
        args = (self.required, self.forbidden, self.tiers, self.roots, self.leaves)
        put("_knowledge", constraints.build(self.names, *args, self.max_parents))
        self._check_rows(moments)
        put("_moments", data.repaired(moments, squares, self.names, self.ridge))
        constant = list(self.moments.constant)
        if constant and self.score in ("logistic", "poisson"):  # elsewhere G keeps them apart
            allowed = self.knowledge.allowed.copy()
            allowed[constant] = allowed[:, constant] = False
            put("_knowledge", self.knowledge._replace(allowed=allowed, order_only=False))
        if self.splines is not None:
            put("_basis", additive.make_basis(self.X, self.splines))
            H = additive.expanded_gram(self.basis, self.X, self.covariance.diagonal())
            if not self.ridge:
                data.kept_apart(H[None], self.names, "functions")
            put("_gram_of_basis", H)

    def _read(self, put: Any) -> tuple[data.Moments, np.ndarray]:
        """Second moments and the mean squares that tell which columns are constant."""
        if self.X is None:
            if self.score in ("logistic", "poisson"):
                raise ValueError(f"score {self.score!r} needs the data X, not only gram")
            if self.targets is not None:
                raise ValueError("targets needs the data X, not only gram")
            G = data.as_gram(self.gram)
            put("gram", G)
            n = data.check_rows(self.n_samples, None)
            one = data.Moments(G[None], np.array([n]), np.zeros(len(G), np.int64), ())
            return one, np.full(len(G), np.diag(G).max(initial=0.0))
        X = data.as_rows(self.X)
        put("X", X)
        data.check_rows(self.n_samples, len(X))
        _check_values(X, self.score)
        if self.targets is not None:
            return data.by_regime(X, self.targets, self.fit_intercept)
        G, squares = data.moments_of_rows(X, self.fit_intercept)
        one = data.Moments(G[None], np.array([len(X)]), np.zeros(len(G), np.int64), ())
        return one, squares

    def _check_rows(self, moments: data.Moments) -> None:
        n, d = self.n_samples, moments.grams.shape[1]
        if self.score == "bic" and n is None:
            raise ValueError("score 'bic' needs n_samples beside gram")
        least = int(moments.counts.min())
        parents = min(self.knowledge.max_parents, d - 1) * (self.splines or 1)
        free = self.ridge or self.alpha or (self.score != "ls" and self.splines is None)
        if n is not None and parents >= least - 1 and d > 1 and not free:
            what, remedy = f"{d} columns", "max_parents, ridge or alpha, or use score 'bic'"
            if self.splines is not None:
                what, remedy = f"{parents} functions", "fewer splines, max_parents or ridge"
            raise ValueError(f"{least} rows fit {what} exactly; give {remedy}")

    @classmethod
    def from_chunks(cls, chunks: Iterable[Any], **fields: Any) -> DagScore:
        """Problem on the rows of all chunks together, in one pass, keeping none.

        Parameters
        ----------
        chunks : iterable of arrays (m_k, d)
            Blocks of rows; objects with ``compute()``, such as delayed Dask blocks, are computed.
            Or a Dask array or DataFrame, of which one block of rows is in memory at a time.
        **fields
            The other fields of `DagScore`.
        """
        centred = fields.get("fit_intercept", True)
        gram, n = data.moments_of_chunks(chunks, centred)
        return cls(gram=gram, n_samples=n, **fields)

    # ---- what solvers ask ----

    @property
    def moments(self) -> data.Moments:
        """Gram matrices as used, and the rows behind them."""
        return self._moments  # type: ignore[attr-defined]

    @property
    def knowledge(self) -> constraints.Knowledge:
        """Matrices of the constraints."""
        return self._knowledge  # type: ignore[attr-defined]

    @property
    def size(self) -> int:
        """Number of nodes."""
        return int(self.moments.grams.shape[1])

    @property
    def covariance(self) -> np.ndarray:
        """G as used: of all nodes' class, constant columns set apart."""
        return np.asarray(self.moments.grams[0])

    @property
    def basis(self) -> additive.Basis:
        """Splines of the columns: ``basis.expand(X) @ C`` is what C predicts, less the means."""
        if self.splines is None:
            raise AttributeError("this problem is linear: it has no splines")
        return self._basis  # type: ignore[attr-defined,no-any-return]

    @property
    def per_parent(self) -> int:
        """Coefficients of one edge."""
        return self.splines or 1

    @property
    def gram_of_basis(self) -> np.ndarray:
        """Second moments of all splines, (d q, d q); G if there are none."""
        return self.covariance if self.splines is None else self._gram_of_basis  # type: ignore[attr-defined]

    @property
    def orders_alone(self) -> bool:
        """Whether the score of an order is a sum of conditional variances, all parents allowed."""
        return (
            self.score == "ls"
            and self.alpha == 0
            and self.knowledge.order_only
            and len(self.moments.grams) == 1
        )

    @property
    def edge_cost(self) -> float:
        """What a coefficient costs in the score "bic"."""
        n = max(int(self.moments.counts.max()), 1)
        return float(self.bic_weight / 2 * np.log(n) + self.ebic_gamma * np.log(max(self.size, 2)))

    @property
    def edge_costs(self) -> np.ndarray:
        """What the edges from each node cost in the score "bic"."""
        if self.splines is None:
            return np.full(self.size, self.edge_cost)
        return self.edge_cost * self.basis.distinct

    @property
    def penalties(self) -> np.ndarray:
        """L1 strength of each edge: alpha, or 0 where it is required."""
        return self.alpha * ~self.knowledge.required

    @property
    def default_solver(self) -> str:  # type: ignore[override]
        """Name of the solver for "auto"."""
        if self.score == "bic":
            return "exact" if self.size <= 20 or self.splines is not None else "boss"
        if self.orders_alone:
            return "insertion"
        by_subsets = self.score == "ls" and not self.alpha and self.splines is None
        return "exact" if by_subsets and self.size <= 20 else "topo"

    # ---- objective and certificate ----

    def objective(self, x: Any, order: Any = None, bound: Any = None, claim: Any = None) -> float:
        """Score of the weights x = W, or C with splines."""
        return proofs.objective(self, self.weights(x))

    def certificate(
        self, x: Any, order: Any = None, bound: Any = None, claim: Any = None
    ) -> Certificate:
        """Acyclicity, constraints, KKT residual, best move and gap at x = W, or C with splines."""
        W = self.weights(x)
        A = additive.edge_sizes(W) != 0
        first = None if order is None else self.check_order(order)
        walks = A | self.knowledge.before
        found = topological_order(walks, first)
        cycles = 0 if found is not None else proofs.nodes_on_cycles(A)
        broken = proofs.violations(self, A)
        if found is None:
            broken += proofs.nodes_on_cycles(walks)
        entries = {
            "acyclic": Entry(cycles, "nodes on cycles of W"),
            "knowledge": Entry(broken, "edges against the constraints"),
        }
        g = proofs.gradient(self, W)
        fun = proofs.objective(self, W, g)
        if found is None:
            entries["kkt"] = Entry(np.nan, proofs.KKT)
            return Certificate("stationary", entries, fun)
        entries["kkt"] = Entry(proofs.kkt(self, W, found, g), proofs.KKT)
        kind = "stationary"
        closed = True
        if claim == "bound":
            gap = abs(fun - float(bound)) / max(1.0, abs(fun))
            closed = gap <= self.default_tol
            entries["gap"] = Entry(gap, "|Q - bound| / max(1, |Q|)")
            kind = "global" if closed else "local"
        if (claim in (None, "moves") or not closed) and proofs.has_moves(self):
            best = proofs.best_move(self, W, found, fun) / max(abs(fun), 1e-300)
            entries["moves"] = Entry(best, "best gain of one move / |Q|", gate=claim == "moves")
            kind = "local" if claim == "moves" else kind
        return Certificate(kind, entries, fun)

    def weights(self, x: Any) -> np.ndarray:
        """W as a finite matrix without loops; with splines C, of q rows for each parent."""
        W = as_array(x, "x", 2, np.float64)
        d, q = self.size, self.per_parent
        if W.shape != (d * q, d):
            raise ValueError(f"x must have shape {(d * q, d)}, got {W.shape}")
        for k in range(q):
            loops = W[k::q].diagonal()
            if loops.any():
                j = int(np.flatnonzero(loops)[0])
                raise ValueError(f"x has the loop {loops[j]:g} at ({j * q + k}, {j})")
        return W

    def check_order(self, order: Any) -> np.ndarray:
        """An order as an array of node numbers."""
        order = np.asarray(order)
        if order.dtype.kind not in "iu" or not np.array_equal(np.sort(order), np.arange(self.size)):
            raise ValueError(f"order must be a permutation of 0 to {self.size - 1}")
        return order.astype(np.int64)


def _check_values(X: np.ndarray, score: str) -> None:
    """Data that the score's model cannot produce are refused."""
    if score == "logistic":
        bad, wanted = (X != 0) & (X != 1), "0 and 1"
    elif score == "poisson":
        bad, wanted = X < 0, "counts >= 0"
    else:
        return
    if bad.any():
        i, j = map(int, np.argwhere(bad)[0])
        raise ValueError(f"X has {X[i, j]:g} at ({i}, {j}), but score {score!r} needs {wanted}")
