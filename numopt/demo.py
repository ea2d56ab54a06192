"""The demo: one real problem per class, each with its certificate and a peer's answer beside it.

Data come with scikit-learn: diabetes (Efron et al. 2004), breast cancer (Wolberg et al. 1995),
handwritten digits (Alpaydin, Kaynak 1998) and wine (Aeberhard, Forina 1992).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from time import perf_counter
from typing import Any, NamedTuple

import numpy as np


class Case(NamedTuple):
    """One line of the demo."""

    title: str
    shape: tuple[int, int]
    ours: Callable[[], Any]  # -> Result
    peer: str
    theirs: Callable[[], Any]  # -> point
    objective: Callable[[Any], float]  # of the peer's point


def run_demo() -> int:
    """Solve and print all cases; 0 if every certificate met its tolerance."""
    print(f"{'problem':<34} {'n x p':>12} {'status':>8} {'objective':>16}  certificate")
    failures = 0
    start = perf_counter()
    for case in _cases():
        begin = perf_counter()
        result = case.ours()
        seconds = perf_counter() - begin
        begin = perf_counter()
        peer_objective = case.objective(case.theirs())
        peer_seconds = perf_counter() - begin
        failures += not result.success
        gates = ", ".join(
            f"{name} {float(entry):.1e} {'<=' if entry.met else '>'} {entry.tol:.0e}"
            for name, entry in result.certificate.gates.items()
        )
        shape = f"{case.shape[0]} x {case.shape[1]}"
        print(
            f"{case.title:<34} {shape:>12} {result.status.name.lower():>8} {result.fun:16.9e}  "
            f"{gates}, {result.certificate.kind}, {result.nit} iterations, {seconds:.3f} s"
        )
        print(
            f"{'':<34} {'':>12} {'':>8} {peer_objective:16.9e}  {case.peer}, {peer_seconds:.3f} s"
        )
    verdict = "all certificates met" if not failures else f"{failures} certificate(s) not met"
    print(
        f"{verdict}, {perf_counter() - start:.1f} s in all, compilation included where not cached"
    )
    return int(failures > 0)


def _cases() -> Iterator[Case]:
    from scipy.linalg import cho_factor, cho_solve
    from scipy.optimize import linprog, nnls
    from scipy.optimize import minimize as scipy_minimize
    from sklearn.datasets import load_breast_cancer, load_diabetes, load_digits, load_wine
    from sklearn.linear_model import Lasso, LogisticRegression
    from sklearn.preprocessing import StandardScaler

    import numopt
    from numopt.losses import LeastSquares, Logistic
    from numopt.penalties import L1, MCP
    from numopt.problems import Composite

    X, y = load_diabetes(return_X_y=True)
    X = StandardScaler().fit_transform(X)
    lasso = Composite(LeastSquares(y), X, L1(1.0), fit_intercept=True)
    peer_lasso = Lasso(alpha=1.0, tol=1e-12, max_iter=100_000)
    yield Case(
        "Lasso, diabetes",
        X.shape,
        lambda: numopt.solve(lasso),
        "scikit-learn Lasso",
        lambda: peer_lasso.fit(X, y),
        lambda model: lasso.objective(model.coef_, model.intercept_),
    )

    B, labels = load_breast_cancer(return_X_y=True)
    B = StandardScaler().fit_transform(B)
    alpha = 0.01
    sparse_logistic = Composite(Logistic(labels), B, L1(alpha))
    liblinear = LogisticRegression(
        l1_ratio=1.0, C=1 / (alpha * len(labels)), solver="liblinear", fit_intercept=False, tol=1e-8
    )
    yield Case(
        "sparse logistic, breast cancer",
        B.shape,
        lambda: numopt.solve(sparse_logistic, max_iter=50_000),
        "scikit-learn liblinear",
        lambda: liblinear.fit(B, labels),
        lambda model: sparse_logistic.objective(model.coef_[0]),
    )

    pairs = [X[:, i] * X[:, j] for i in range(X.shape[1]) for j in range(i + 1)]
    Q = StandardScaler().fit_transform(np.column_stack([X, *pairs]))
    mcp = Composite(LeastSquares(y), Q, MCP(3.0, gamma=3.0), fit_intercept=True)
    yield Case(
        "MCP, diabetes with interactions",
        Q.shape,
        lambda: numopt.solve(mcp),
        "from the scikit-learn Lasso point",
        lambda: Lasso(alpha=3.0, tol=1e-10, max_iter=100_000).fit(Q, y),
        lambda model: mcp.objective(model.coef_, model.intercept_),
    )

    centred = y - y.mean()
    bounds = [(0.0, None)] * X.shape[1]

    def squares(w: Any) -> Any:
        r = X @ w - centred
        return r @ r / (2 * len(r)), X.T @ r / len(r)

    yield Case(
        "nonnegative squares by minimize",
        X.shape,
        lambda: numopt.minimize(squares, np.zeros(X.shape[1]), jac=True, bounds=bounds),
        "SciPy L-BFGS-B",
        lambda: scipy_minimize(squares, np.zeros(X.shape[1]), jac=True, bounds=bounds),
        lambda peer: peer.fun,
    )

    P, q = X.T @ X / len(X), -X.T @ centred / len(X)
    yield Case(
        "the same by quadprog",
        X.shape,
        lambda: numopt.quadprog(P, q, lb=np.zeros(X.shape[1]), method="admm"),
        "SciPy nnls",
        lambda: nnls(X, centred)[0],
        lambda w: float(w @ P @ w / 2 + q @ w),
    )

    # Least absolute deviations: t is at least the magnitude of each residual.
    n, p = X.shape
    above = np.block([[X, -np.eye(n)], [-X, -np.eye(n)]])
    absolute = np.r_[np.zeros(p), np.ones(n)], above, np.r_[centred, -centred]
    free = [(None, None)] * p + [(0.0, None)] * n
    yield Case(
        "least absolute deviations by linprog",
        above.shape,
        lambda: numopt.linprog(*absolute, bounds=free),
        "SciPy linprog",
        lambda: linprog(*absolute, bounds=free),
        lambda peer: peer.fun,
    )

    signs = 2.0 * labels - 1.0

    def ridge_logistic(w: Any) -> Any:
        margin = signs * (B @ w)
        weight = -signs / (1.0 + np.exp(margin)) / len(signs)
        value = np.logaddexp(0.0, -margin).mean() + 0.5e-3 * w @ w
        return value, B.T @ weight + 1e-3 * w

    yield Case(
        "ridge logistic by minimize",
        B.shape,
        lambda: numopt.minimize(ridge_logistic, np.zeros(B.shape[1]), jac=True),
        "SciPy BFGS",
        lambda: scipy_minimize(ridge_logistic, np.zeros(B.shape[1]), jac=True, method="BFGS"),
        lambda peer: peer.fun,
    )

    # The vote of stumps (is feature j above its q-th decile?) with the largest least margin.
    cuts = np.quantile(B, np.arange(1, 10) / 10, axis=0)
    votes = np.where(B > cuts[:, None], signs[:, None], -signs[:, None])
    agree = votes.swapaxes(1, 2).reshape(-1, len(B))  # +1 where a stump is right, -1 where wrong
    margins = np.vstack([agree, -agree])
    rows = np.c_[-margins.T, np.ones(len(B))]
    yield Case(
        "voting game of stumps, breast cancer",
        margins.shape,
        lambda: numopt.solve_game(margins),
        "HiGHS on the linear program",
        lambda: linprog(
            np.r_[np.zeros(len(margins)), -1.0],
            A_ub=rows,
            b_ub=np.zeros(len(B)),
            A_eq=np.r_[np.ones(len(margins)), 0.0][None],
            b_eq=[1.0],
            bounds=[(0, None)] * len(margins) + [(None, None)],
        ),
        lambda peer: -peer.fun,
    )

    D, digits = load_digits(return_X_y=True)
    square = (D**2).sum(1)
    K = np.exp(-(square[:, None] + square - 2 * D @ D.T) / (2 * 20.0**2))
    K[np.diag_indices_from(K)] += 1.0
    yield Case(
        "kernel ridge system, digits",
        K.shape,
        lambda: numopt.solve_linear(K, digits.astype(float), method="cg", rtol=1e-10),
        "SciPy Cholesky",
        lambda: cho_solve(cho_factor(K), digits.astype(float)),
        lambda x: float(np.linalg.norm(digits - K @ x) / np.linalg.norm(digits)),
    )

    V = StandardScaler().fit_transform(load_wine().data)
    yield Case(
        "graph of least BIC, wine",
        V.shape,
        lambda: numopt.learn_dag(V, score="bic", method="exact", diagnose=False),
        "without edges",
        lambda: V.var(axis=0),
        lambda variances: float(len(V) / 2 * np.log(variances).sum()),
    )
