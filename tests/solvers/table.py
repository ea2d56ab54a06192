"""The table of solvers: a new solver joins every test of `test_table.py` by one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import scipy.optimize
import scipy.sparse

from numopt.losses import LeastSquares, Logistic
from numopt.penalties import L1, MCP, GroupLasso, Ridge
from numopt.problems import (
    Composite,
    ConicProgram,
    LinearSystem,
    QuadraticProgram,
    Smooth,
    SmoothComposite,
)
from numopt.sets import Box, Simplex
from numopt.solvers import (
    ADMM,
    LBFGS,
    ConicSplitting,
    ConjugateGradient,
    Direct,
    InteriorPointConic,
    InteriorPointQP,
    Newton,
    NonconvexAcceleratedGradient,
    OperatorSplittingQP,
    ProximalGradient,
    TruncatedNewton,
    WorkingSetCD,
)
from numopt.splittings import lasso
from tests.helpers import cones, naive

Arrays = dict[str, Any]


@dataclass(frozen=True)
class Generator:
    """A family of random problems.

    `draw` gives the arrays of a problem, `build` the problem made of them, and `residual` the gate
    of its certificate at a result by a formula of its own, straight from the arrays.
    """

    name: str
    draw: Callable[[np.random.Generator], Arrays]
    build: Callable[..., Any]
    residual: Callable[[Arrays, Any], float]
    x0: Callable[[np.random.Generator], np.ndarray]
    matrix: str | None = None  # which of the arrays is the matrix, for tests of its storage
    convex: bool = True  # whether there is but one solution to compare with
    excused: tuple[str, ...] = ()  # keys of ODD_DATA that need not be solved
    float32: bool = True
    # Factor -> arrays of the problem whose solution is that of `arrays` times the second value.
    scaled: Callable[[Arrays, float], tuple[Arrays, float]] | None = None

    def arrays(self, seed: int = 0, dtype: Any = np.float64) -> Arrays:
        """Arrays of problem number `seed`."""
        drawn = self.draw(np.random.default_rng(seed))
        return {
            key: value.astype(dtype) if isinstance(value, np.ndarray) else value
            for key, value in drawn.items()
        }

    def make(self, seed: int = 0, dtype: Any = np.float64, **changes: Any) -> Any:
        """Problem number `seed`, with some arrays exchanged."""
        return self.build(**{**self.arrays(seed, dtype), **changes})

    def __repr__(self) -> str:
        return self.name


@dataclass(frozen=True)
class Row:
    """A solver, what it is tested on and what it has to reach there."""

    solver: Any
    generators: tuple[Generator, ...]
    # Keeps the solver busy for a second if asked for the impossible; None: it is never busy.
    hard: Generator | None = None
    tol: float = 1e-8
    restart: int = 1  # iterations it may take from the answer

    @property
    def name(self) -> str:
        """Name of the row in test ids."""
        return str(self.solver.name)


# ---- composite problems --------------------------------------------------------------------------


def draw_regression(rng: np.random.Generator, n: int = 40, p: int = 60) -> Arrays:
    A = rng.standard_normal((n, p))
    y = A[:, :5] @ np.array([2.0, -1.5, 1.0, 1.0, -3.0]) + 0.3 * rng.standard_normal(n)
    return {"A": A, "y": y, "alpha": 0.1}


def draw_dense_truth(rng: np.random.Generator, n: int = 400, p: int = 1000) -> Arrays:
    """More nonzero coefficients than samples and next to no penalty: slow for every method."""
    A = rng.standard_normal((n, p))
    y = A @ (rng.standard_normal(p) * (rng.random(p) < 0.5)) + rng.standard_normal(n)
    return {"A": A, "y": y, "alpha": 1e-4 * np.abs(A.T @ y).max() / n}


def draw_classes(rng: np.random.Generator, n: int = 90, p: int = 20) -> Arrays:
    A = rng.standard_normal((n, p))
    y = np.where(A[:, :3].sum(1) + 0.5 + 1.5 * rng.standard_normal(n) > 0, 1.0, -1.0)
    return {"A": A, "y": y, "alpha": 0.05}


def bounded_strength(arrays: Arrays) -> Arrays:
    """For penalties that no strength makes 0: what `alpha` is to others."""
    return {"A": arrays["A"], "y": arrays["y"], "rho": arrays["alpha"]}


def draw_portfolio(rng: np.random.Generator, n: int = 30, p: int = 12) -> Arrays:
    A = rng.standard_normal((n, p))
    return {"A": A, "y": A @ rng.dirichlet(np.full(p, 0.3)) + 0.1 * rng.standard_normal(n)}


def dense(A: Any) -> np.ndarray:
    return np.asarray(A.toarray() if hasattr(A, "toarray") else A, np.float64)


def relative(distance: float, gradient_at_0: np.ndarray) -> float:
    scale = np.max(np.abs(gradient_at_0), initial=0.0)
    return float(distance / scale if scale > 0 else distance)


def lasso_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    g = A.T @ (A @ x - y) / y.size
    return relative(naive.distance_l1(x, g, arrays["alpha"]), A.T @ y / y.size)


def ridge_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    g = A.T @ (A @ x - y) / y.size + arrays["rho"] * x
    return relative(np.max(np.abs(g), initial=0.0), A.T @ y / y.size)


def smooth_classes_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    r = naive.loss_gradient("logistic", y, A @ x + np.float64(result.intercept))
    null = naive.loss_gradient("logistic", y, np.full(y.size, naive.intercept_alone("logistic", y)))
    distance = np.max(np.abs(A.T @ r + arrays["rho"] * x), initial=0.0)
    return relative(max(distance, abs(r.sum())), A.T @ null)


def triples(p: int) -> np.ndarray:
    return np.arange(p) // 3


def groups_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    g, g0, label = A.T @ (A @ x - y) / y.size, A.T @ y / y.size, triples(x.size)
    distance = alpha_max = 0.0
    for k in np.unique(label):
        own = label == k
        alpha_max = max(alpha_max, np.linalg.norm(g0[own]))
        if size := np.linalg.norm(x[own]):
            distance = max(distance, np.linalg.norm(g[own] + arrays["alpha"] * x[own] / size))
        else:
            distance = max(distance, np.linalg.norm(g[own]) - arrays["alpha"])
    scale = min(alpha_max, np.max(np.abs(g0)))
    return float(distance / scale if scale > 0 else distance)


def classes_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    r = naive.loss_gradient("logistic", y, A @ x + np.float64(result.intercept))
    null = naive.loss_gradient("logistic", y, np.full(y.size, naive.intercept_alone("logistic", y)))
    distance = naive.distance_mcp(x, A.T @ r, arrays["alpha"], 3.0)
    return relative(max(distance, abs(r.sum())), A.T @ null)


def portfolio_residual(arrays: Arrays, result: Any) -> float:
    A, y, x = dense(arrays["A"]), np.float64(arrays["y"]), np.float64(result.x)
    step = y.size / (np.linalg.norm(A, 2) ** 2 or y.size)
    g = A.T @ (A @ x - y) / y.size
    moved = x - naive.project_simplex(x - step * g)
    return relative(np.linalg.norm(moved) / step, A.T @ y / y.size)


def scale_lasso(arrays: Arrays, factor: float) -> tuple[Arrays, float]:
    return {**arrays, "A": arrays["A"] * factor, "alpha": arrays["alpha"] * factor}, 1 / factor


def scale_portfolio(arrays: Arrays, factor: float) -> tuple[Arrays, float]:
    return {**arrays, "A": arrays["A"] * factor, "y": arrays["y"] * factor}, 1.0


LASSO = Generator(
    "lasso",
    draw_regression,
    lambda A, y, alpha: Composite(LeastSquares(y), A, L1(alpha)),
    lasso_residual,
    lambda rng: rng.standard_normal(60),
    matrix="A",
    scaled=scale_lasso,
)
RIDGE = Generator(
    "ridge",
    lambda rng: bounded_strength(draw_regression(rng)),
    lambda A, y, rho: Composite(LeastSquares(y), A, Ridge(rho)),
    ridge_residual,
    lambda rng: rng.standard_normal(60),
    matrix="A",
    scaled=lambda arrays, factor: ({**arrays, "y": arrays["y"] * factor}, factor),
)
SMOOTH_CLASSES = Generator(
    "logistic-ridge",
    lambda rng: bounded_strength(draw_classes(rng)),
    lambda A, y, rho: Composite(Logistic(y), A, Ridge(rho), fit_intercept=True),
    smooth_classes_residual,
    lambda rng: rng.standard_normal(20),
    matrix="A",
)
GROUPS = Generator(
    "least-squares-groups",
    draw_regression,
    lambda A, y, alpha: Composite(LeastSquares(y), A, GroupLasso(alpha, triples(A.shape[1]))),
    groups_residual,
    lambda rng: rng.standard_normal(60),
    matrix="A",
    excused=("no column",),  # no group without coordinates
    scaled=scale_lasso,
)
CLASSES = Generator(
    "logistic-mcp",
    draw_classes,
    lambda A, y, alpha: Composite(Logistic(y), A, MCP(alpha), fit_intercept=True),
    classes_residual,
    lambda rng: rng.standard_normal(20),
    matrix="A",
    convex=False,
    excused=("one row",),  # a single label drives the intercept to infinity
)
PORTFOLIO = Generator(
    "least-squares-simplex",
    draw_portfolio,
    lambda A, y: Composite(LeastSquares(y), A, Simplex()),
    portfolio_residual,
    lambda rng: rng.dirichlet(np.ones(12)),
    matrix="A",
    float32=False,
    excused=("no column", "units apart"),  # no simplex without coordinates, one unit for all
    scaled=scale_portfolio,
)


HARD_LASSO = Generator(
    "lasso-dense-truth",
    draw_dense_truth,
    LASSO.build,
    lasso_residual,
    lambda rng: rng.standard_normal(1000),
    matrix="A",
)


# ---- linear systems ------------------------------------------------------------------------------


def draw_system(rng: np.random.Generator, n: int = 40) -> Arrays:
    A = rng.standard_normal((n, n))
    return {"A": A + A.T + 30 * np.eye(n), "b": rng.standard_normal(n)}


def draw_stiff_system(rng: np.random.Generator, n: int = 1200) -> Arrays:
    """Covariances of a slowly decaying process: condition 1e7."""
    A = 0.9999 ** np.abs(np.subtract.outer(np.arange(n), np.arange(n)))
    return {"A": A, "b": rng.standard_normal(n)}


def system_residual(arrays: Arrays, result: Any) -> float:
    A, b = dense(arrays["A"]), np.float64(arrays["b"])
    return float(np.linalg.norm(b - A @ result.x) / np.linalg.norm(b))


SYSTEM = Generator(
    "definite",
    draw_system,
    LinearSystem,
    system_residual,
    lambda rng: rng.standard_normal(40),
    matrix="A",
    scaled=lambda arrays, factor: ({**arrays, "A": arrays["A"] * factor}, 1 / factor),
)
STIFF_SYSTEM = Generator(
    "stiff", draw_stiff_system, LinearSystem, system_residual, lambda rng: rng.standard_normal(1200)
)


# ---- smooth functions ----------------------------------------------------------------------------


def valley(x: np.ndarray, centre: np.ndarray) -> float:
    """Rosenbrock's function, moved."""
    return float(scipy.optimize.rosen(x - centre))


def valley_gradient(x: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return scipy.optimize.rosen_der(x - centre)


def bowl(x: np.ndarray, H: np.ndarray, centre: np.ndarray) -> float:
    return float((x - centre) @ H @ (x - centre) / 2)


def bowl_gradient(x: np.ndarray, H: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return H @ (x - centre)


def valley_hessian(x: np.ndarray, centre: np.ndarray) -> Any:
    """Tridiagonal, stored sparse."""
    z = x - centre
    diagonal = 202.0 * np.ones(z.size)
    diagonal[0] = 2.0
    diagonal[-1] = 200.0
    diagonal[:-1] += 1200 * z[:-1] ** 2 - 400 * z[1:]
    return scipy.sparse.diags_array([-400 * z[:-1], diagonal, -400 * z[:-1]], offsets=[-1, 0, 1])


def bowl_hessian(x: np.ndarray, H: np.ndarray, centre: np.ndarray) -> np.ndarray:
    return H


def draw_bowl(rng: np.random.Generator, n: int = 12) -> Arrays:
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    return {"H": (Q * np.logspace(0, 2, n)) @ Q.T, "centre": 2 * rng.standard_normal(n)}


def projected_gradient(x: np.ndarray, f: float, g: np.ndarray, low: float, high: float) -> float:
    step = np.clip(-g, low - x, high - x)
    return float(np.abs(step).max() / max(1.0, abs(f) / max(1.0, np.abs(x).max())))


def valley_residual(arrays: Arrays, result: Any) -> float:
    x, centre = result.x, arrays["centre"]
    return projected_gradient(x, valley(x, centre), valley_gradient(x, centre), -30, 30)


def bowl_residual(arrays: Arrays, result: Any) -> float:
    x, H, centre = result.x, arrays["H"], arrays["centre"]
    return projected_gradient(x, bowl(x, H, centre), bowl_gradient(x, H, centre), -1, 1)


def valleys(n: int) -> Generator:
    """Rosenbrock's valley in n dimensions; its bounds do not matter but tell n."""
    return Generator(
        f"valley-{n}",
        lambda rng: {"centre": rng.standard_normal(n)},
        lambda centre: Smooth(valley, valley_gradient, [(-30, 30)] * n, (centre,)),
        valley_residual,
        lambda rng: rng.standard_normal(n),
        convex=False,
        float32=False,
    )


BOWL = Generator(
    "bowl-in-a-box",
    draw_bowl,
    lambda H, centre: Smooth(bowl, bowl_gradient, [(-1, 1)] * 12, (H, centre)),
    bowl_residual,
    lambda rng: rng.uniform(-1, 1, 12),
    float32=False,
)


# ---- splittings and quadratic programs -----------------------------------------------------------


def draw_split(rng: np.random.Generator, m: int = 40, n: int = 25) -> Arrays:
    M = rng.standard_normal((m, n))
    b = M[:, :5] @ np.array([2.0, -1.5, 1.0, 1.0, -3.0]) + 0.3 * rng.standard_normal(m)
    return {"M": M, "b": b, "lam": 5.0}


def split_residual(arrays: Arrays, result: Any) -> float:
    """The larger of the gap at x and the distance of both copies."""
    M, b, lam, x = dense(arrays["M"]), arrays["b"], arrays["lam"], result.x
    r = b - M @ x
    theta = r * min(1.0, lam / np.abs(M.T @ r).max())
    gap = r @ r / 2 + lam * np.abs(x).sum() - (b @ b - (b - theta) @ (b - theta)) / 2
    apart = np.abs(x - result.z).max() / (1 + max(np.abs(x).max(), np.abs(result.z).max()))
    return float(max(abs(gap) / (b @ b / 2), apart))


def draw_program(rng: np.random.Generator, n: int = 14, m: int = 9) -> Arrays:
    F, A = rng.standard_normal((n, n)), rng.standard_normal((m, n))
    room = np.where(np.arange(m) < 3, 0.0, 0.3)
    return {
        "P": 0.1 * F @ F.T, "q": rng.standard_normal(n), "A": A, "l": -room, "u": room,
        "lb": np.full(n, -0.5), "ub": np.full(n, 0.5),
    }  # fmt: skip


def program_residual(arrays: Arrays, result: Any) -> float:
    """The largest of the residuals, each over 1 + its largest term."""
    P, q, A = dense(arrays["P"]), arrays["q"], dense(arrays["A"])
    low, high, lb, ub = (arrays[key] for key in ("l", "u", "lb", "ub"))
    x, y, z_lb, z_ub = result.x, result.y, result.z_lb, result.z_ub
    Ax = A @ x
    off = []
    for v, a, b in ((Ax, low, high), (x, lb, ub)):
        near = np.clip(v, a, b)
        off.append(np.abs(v - near).max() / (1 + max(np.abs(v).max(), np.abs(near).max())))
    terms = (P @ x, q, A.T @ y, z_ub - z_lb)
    dual = np.abs(sum(terms)).max() / (1 + max(np.abs(term).max() for term in terms))
    support = high @ np.maximum(y, 0) + low @ np.minimum(y, 0) + ub @ z_ub - lb @ z_lb
    gap = abs(x @ P @ x + q @ x + support) / (1 + max(abs(x @ P @ x), abs(q @ x), abs(support)))
    return float(max(*off, dual, gap))


def draw_cones(rng: np.random.Generator, n: int = 12) -> Arrays:
    """0 is feasible, strictly so inside the cones, whatever A is."""
    F, A = rng.standard_normal((n, n)), rng.standard_normal((20, n))
    b = np.zeros(20)
    b[[2, 3, 4, 5, 6, 10, 18]] = 0.3
    sizes = {"zero": 2, "nonneg": 4, "soc": [4, 8, 1, 1]}
    return {"P": 0.1 * F @ F.T, "q": rng.standard_normal(n), "A": A, "b": b, "cones": sizes}


def cones_residual(arrays: Arrays, result: Any) -> float:
    return cones.residual(arrays, result.x, result.y)


SPLIT = Generator(
    "split-lasso",
    draw_split,
    lambda M, b, lam: lasso(M, b, lam),
    split_residual,
    lambda rng: rng.standard_normal(25),
    matrix="M",
    float32=False,
)
PROGRAM = Generator(
    "program",
    draw_program,
    QuadraticProgram,
    program_residual,
    lambda rng: rng.standard_normal(14),
    matrix="A",
    float32=False,
)


CONES = Generator(
    "cones",
    draw_cones,
    ConicProgram,
    cones_residual,
    lambda rng: rng.standard_normal(12),
    matrix="A",
    float32=False,
)


def with_hessian(generator: Generator, hess: Any, name: str) -> Generator:
    """The same functions, with second derivatives."""
    return replace(
        generator,
        name=name,
        build=lambda **arrays: generator.build(**arrays).replace(hess=hess),
    )


# ---- smooth functions with penalties and on sets -------------------------------------------------


def penalised_residual(arrays: Arrays, result: Any) -> float:
    x, H, centre, strength = result.x, arrays["H"], arrays["centre"], arrays["strength"]
    g, objective = H @ (x - centre), bowl(x, H, centre) + strength * np.abs(x).sum()
    scale = max(1.0, objective / max(1.0, np.abs(x).max()))
    return naive.distance_l1(x, g, strength) / scale


def gap_in_a_box(arrays: Arrays, result: Any) -> float:
    x, H, centre = result.x, arrays["H"], arrays["centre"]
    g = H @ (x - centre)
    return float(g @ x + np.abs(g).sum()) / max(1.0, bowl(x, H, centre))


BOWL_L1 = Generator(
    "bowl-l1",
    lambda rng: {**draw_bowl(rng), "strength": 5.0},
    lambda H, centre, strength: SmoothComposite(
        bowl, L1(strength, np.ones(12)), bowl_gradient, (H, centre)
    ),
    penalised_residual,
    lambda rng: rng.uniform(-1, 1, 12),
    float32=False,
)
BOWL_ON_BOX = Generator(
    "bowl-on-a-box",
    draw_bowl,
    lambda H, centre: SmoothComposite(bowl, Box(-np.ones(12), 1.0), bowl_gradient, (H, centre)),
    gap_in_a_box,
    lambda rng: rng.uniform(-1, 1, 12),
    float32=False,
)

NEWTON_VALLEY, NEWTON_HARD = (
    with_hessian(valleys(n), valley_hessian, f"valley-{n}-hessian") for n in (10, 2000)
)
NEWTON_BOWL = with_hessian(BOWL, bowl_hessian, "bowl-in-a-box-hessian")


ROWS = [
    Row(ProximalGradient(), (LASSO, CLASSES, PORTFOLIO, BOWL_L1, BOWL_ON_BOX), hard=HARD_LASSO),
    Row(NonconvexAcceleratedGradient(), (LASSO, CLASSES, BOWL_L1), hard=HARD_LASSO),
    Row(WorkingSetCD(), (LASSO, CLASSES, GROUPS), hard=HARD_LASSO),
    Row(TruncatedNewton(), (RIDGE, SMOOTH_CLASSES)),
    Row(ADMM(), (LASSO, SPLIT), hard=HARD_LASSO),
    Row(OperatorSplittingQP(), (PROGRAM,)),
    Row(InteriorPointQP(), (PROGRAM,)),
    Row(ConicSplitting(), (CONES,)),
    Row(InteriorPointConic(), (CONES,)),
    Row(LBFGS(), (valleys(10), BOWL), hard=valleys(2000)),
    Row(Newton(), (NEWTON_VALLEY, NEWTON_BOWL), hard=NEWTON_HARD),
    Row(ConjugateGradient(), (SYSTEM,), hard=STIFF_SYSTEM),
    Row(Direct(), (SYSTEM,)),
]


from tests.solvers.table_graphs import ROWS as GRAPHS  # noqa: E402  # which needs the classes above
from tests.solvers.table_linear import ROWS as LINEAR  # noqa: E402
from tests.solvers.table_maps import ROWS as MAPS  # noqa: E402
from tests.solvers.table_sets import ROWS as SETS  # noqa: E402

ROWS += GRAPHS + LINEAR + MAPS + SETS
