"""Seeded random problems, each with its own judge.

A family is a function of a random generator that returns a `Case`: how to solve it, whether it
ought to be solved, and how to find out, from the arrays alone, that a claim of success is wrong.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import scipy.sparse as sp

import numopt
from numopt.losses import Huber, LeastSquares, Logistic
from numopt.penalties import L1, MCP, ElasticNet
from numopt.problems import Composite
from numopt.sets import Box, L1Ball, L2Ball, Simplex
from tests.fuzz.programs import program
from tests.helpers import naive

GAMMA, DELTA, RATIO = 3.0, 1.0, 0.5
# Seconds per solve: what takes longer is unsolved, what overruns it by far counts as hung.
LIMIT = 20.0


@dataclass
class Case:
    """One problem: `wrong` says what is wrong with a result that claims success, "" if nothing."""

    family: str
    solve: Callable[[], Any]
    wrong: Callable[[Any], str]
    solvable: bool = True
    traits: list[str] = field(default_factory=list)


def choose(rng: np.random.Generator, *options: Any) -> Any:
    return options[rng.integers(len(options))]


def size(rng: np.random.Generator, largest: int) -> int:
    return int(np.exp(rng.uniform(0, np.log(largest + 0.9))))


# ---- composite problems --------------------------------------------------------------------------

# (loss, penalty) that compile in the default run, and those of the long one.
FEW = [("squares", "l1"), ("logistic", "mcp"), ("squares", "simplex")]
MANY = [
    *FEW, ("logistic", "l1"), ("huber", "l1"), ("squares", "mcp"), ("squares", "elastic net"),
    ("squares", "box"), ("logistic", "box"), ("huber", "elastic net"),
]  # fmt: skip


def composite(rng: np.random.Generator, few: bool = False) -> Case:
    """A linear model with several odd traits at once; `few` limits what has to be compiled."""
    loss, penalty = choose(rng, *(FEW if few else MANY))
    plain = few and (loss, penalty) != FEW[0]
    traits: list[str] = []

    def has(trait: str, probability: float) -> bool:
        if rng.random() < probability:
            traits.append(trait)
        return trait in traits

    A = matrix(rng, has)
    n, p = A.shape
    largest = np.abs(A).max(0)
    signal = A @ (rng.standard_normal(p) * (rng.random(p) < 0.3) / np.where(largest, largest, 1.0))
    single = not (plain or {"units apart", "means apart"} & set(traits)) and has("float32", 0.15)
    if single:
        A = A.astype(np.float32)
    y = signal + rng.standard_normal(n) * choose(rng, 0.0, 0.1, 1.0, 10.0)
    if has("constant y", 0.06):
        y = np.full(n, choose(rng, 0.0, 1.0, -3.7))
    if loss == "logistic":
        y = np.where(y > np.median(y), 1.0, -1.0)
    elif not single and has("y far from 0", 0.1):
        y = y + choose(rng, 1e3, -1e5)
    elif has("units of y", 0.1):
        y = y * choose(rng, 1e-6, 1e6)
    intercept = penalty != "simplex" and loss != "huber" and has("intercept", 0.3)
    weight = rng.integers(0, 4, n) + (0 if rng.random() < 0.5 else rng.random(n))
    if not (has("sample weights", 0.15) and weight.sum() > 0):
        weight = None
    null = constant(loss, y, weight) if intercept else 0.0
    unit = np.max(np.abs(A.T.astype(float) @ slope(loss, y, np.full(n, null), weight)), initial=0.0)
    alpha = float(choose(rng, 0.0, 1.0, *10.0 ** rng.uniform(-4, 0.3, 18)) * unit)
    stored = A
    if not (plain or (few and single)) and has("sparse", 0.25):
        stored = choose(rng, sp.csc_array, sp.csr_array, sp.coo_array)(A)
    elif has("C order", 0.3):
        stored = np.ascontiguousarray(A)
    problem = Composite(
        {"squares": LeastSquares, "logistic": Logistic, "huber": Huber}[loss](
            y, sample_weight=weight, **({"delta": DELTA} if loss == "huber" else {})
        ),
        stored,
        {
            "l1": lambda: L1(alpha),
            "mcp": lambda: MCP(alpha, GAMMA),
            "elastic net": lambda: ElasticNet(alpha, RATIO),
            "box": lambda: Box(np.full(p, -0.5), np.linspace(0.0, 2.0, p)),
            "simplex": lambda: Simplex(),
        }[penalty](),
        fit_intercept=intercept,
    )
    solver = "prox-grad" if plain else choose(rng, *solvers_of(loss, penalty, single))
    tol = 1e-5 if single else 1e-8

    def wrong(result: Any) -> str:
        x, b = np.asarray(result.x, float), float(result.get("intercept", 0.0))
        r = slope(loss, y, A.astype(float) @ x + b, weight)
        g = A.T.astype(float) @ r
        distance = DISTANCES[penalty](x, g, alpha, A, weight, loss)
        distance = max(distance, abs(r.sum()) if intercept else 0.0)
        terms = np.abs(A).max(initial=0.0) * np.abs(slope(loss, y, np.zeros(n), weight)).sum()
        scale = unit if unit > 2e-12 * terms else max(terms, unit) or 1.0
        rounding = np.finfo(np.float64).eps * 10 * np.abs(A).max(initial=0.0) * np.abs(r).sum()
        if distance <= 1.01 * tol * scale + rounding:
            return ""
        return f"distance {distance:.2e} > {tol:.0e} * {scale:.2e}"

    # No minimiser: separable classes without a penalty that grows.
    unbounded = loss == "logistic" and (alpha == 0 or penalty == "mcp" or "constant y" in traits)
    # 0 is not on the simplex: its gradient may be far smaller than any there.
    hopeless = penalty == "simplex" and {"units apart", "units of y"} & set(traits)
    # Absolute values in all but name.
    hopeless = hopeless or (loss == "huber" and {"units of y", "y far from 0"} & set(traits))
    return Case(
        f"{solver}: {loss}-{penalty}",
        lambda: numopt.solve(problem, solver, time_limit=LIMIT), wrong,
        solvable=not (unbounded or hopeless), traits=[f"{n} x {p}", f"alpha={alpha:.1e}", *traits],
    )  # fmt: skip


def solvers_of(loss: str, penalty: str, single: bool) -> list[str]:
    names = ["prox-grad"]
    if penalty != "simplex":
        names.append("working-set-cd")
    if loss == "squares" and penalty in ("l1", "elastic net") and not single:
        names.append("admm")
    return names


def matrix(rng: np.random.Generator, has: Callable[[str, float], bool]) -> np.ndarray:
    n, p = size(rng, 60), size(rng, 60)
    A = rng.standard_normal((n, p))
    if has("correlated", 0.2):
        A = np.cumsum(A, axis=1)
    if has("low rank", 0.1):
        k = 1 + min(n, p) // 3
        A = A[:, :k] @ rng.standard_normal((k, p))
    if has("thin", 0.2):
        A *= rng.random((n, p)) < rng.random()
    if has("counts", 0.1):
        A = np.rint(A)
    if has("duplicate columns", 0.15):
        A = A[:, rng.integers(0, p, p)]
    if has("duplicate rows", 0.1):
        A = A[rng.integers(0, n, n)]
    if has("empty columns", 0.1):
        A[:, rng.random(p) < 0.3] = 0
    if has("empty rows", 0.1):
        A[rng.random(n) < 0.3] = 0
    if has("units apart", 0.15):
        A = A * 10.0 ** rng.uniform(-8, 8, p)
    elif has("means apart", 0.08):
        A = A + rng.uniform(-30, 30, p)
    return np.asfortranarray(A)


def slope(loss: str, y: np.ndarray, z: np.ndarray, weight: np.ndarray | None) -> np.ndarray:
    if loss == "huber":
        weight = np.ones(y.size) if weight is None else np.asarray(weight, float)
        return weight / weight.sum() * np.clip(z - y, -DELTA, DELTA)
    return naive.loss_gradient(loss, y, z, weight)


def constant(loss: str, y: np.ndarray, weight: np.ndarray | None) -> float:
    """Best constant prediction, large but finite for a single class."""
    mean = float(np.average(y, weights=weight))
    if loss == "squares":
        return mean
    share = np.clip((1 + mean) / 2, 1e-20, 1 - 1e-16)
    return float(np.log(share / (1 - share)))


def fixed_point(x: np.ndarray, g: np.ndarray, A: np.ndarray, weight: Any, loss: str) -> float:
    w = np.ones(len(A)) if weight is None else np.asarray(weight, float)
    norm = np.linalg.norm(np.sqrt(w / w.sum())[:, None] * A.astype(float), 2)
    step = 1 / (norm**2 * (0.25 if loss == "logistic" else 1.0) or 1.0)
    # The library's own 1/L comes from power iteration; twice covers the difference.
    return float(np.linalg.norm(x - naive.project_simplex(x - step * g)) / step / 2)


def distance_box(x: np.ndarray, g: np.ndarray) -> float:
    low, high = np.full(x.size, -0.5), np.linspace(0.0, 2.0, x.size)
    low32, high32 = (np.float64(np.float32(bound)) for bound in (low, high))
    at_low, at_high = (x == low) | (x == low32), (x == high) | (x == high32)
    inside = (x >= np.minimum(low, low32)) & (x <= np.maximum(high, high32))
    pull = np.where(at_low & at_high, 0.0, np.where(at_low, -g, np.where(at_high, g, np.abs(g))))
    return float(np.max(np.where(inside, np.maximum(pull, 0.0), np.inf), initial=0.0))


DISTANCES: dict[str, Callable[..., float]] = {
    "l1": lambda x, g, alpha, *_: naive.distance_l1(x, g, alpha),
    "mcp": lambda x, g, alpha, *_: naive.distance_mcp(x, g, alpha, GAMMA),
    "elastic net": lambda x, g, alpha, *_: naive.distance_l1(
        x, g + alpha * (1 - RATIO) * x, alpha * RATIO
    ),
    "box": lambda x, g, *_: distance_box(x, g),
    "simplex": lambda x, g, alpha, A, weight, loss: fixed_point(x, g, A, weight, loss),
}


def planted_lasso(rng: np.random.Generator) -> Case:
    """A lasso made around its solution: columns are fitted to the residual chosen first."""
    n, p = 2 + size(rng, 60), size(rng, 80)
    alpha = float(10.0 ** rng.uniform(-3, 2))
    A, r = rng.standard_normal((n, p)), rng.standard_normal(n)
    x = rng.standard_normal(p) * 10.0 ** rng.uniform(-1, 1) * (rng.random(p) < rng.random())
    traits = []
    if rng.random() < 0.3:
        traits.append("duplicate columns")
        source = rng.integers(0, p, p)
        A, x = A[:, source], np.abs(x[source]) * np.sign(x[source[source % p]])
    correlation = A.T @ r / n
    slack = np.abs(correlation) / rng.uniform(0.3, 1.0, p)
    A *= np.where(x != 0, alpha * np.sign(x) / correlation, alpha / np.maximum(slack, alpha))
    y = A @ x + r
    solver = choose(rng, "prox-grad", "working-set-cd", "admm")
    stored = sp.csc_array(A) if rng.random() < 0.2 and solver != "admm" else A
    problem = Composite(LeastSquares(y), stored, L1(alpha))
    best = naive.objective_l1(A, y, alpha, x)

    def wrong(result: Any) -> str:
        # F(x) - F* <= |subgradient|_inf |x - x*|_1 for a convex F.
        unit = np.abs(A.T @ y / n).max()
        allowed = 1e-8 * unit * (np.abs(result.x).sum() + np.abs(x).sum()) + 1e-13 * best
        excess = naive.objective_l1(A, y, alpha, result.x) - best
        if not -1e-12 * best <= excess <= allowed:
            return f"objective {excess:.2e} above the planted one, allowed {allowed:.2e}"
        return ""

    return Case(
        f"{solver}: planted lasso", lambda: numopt.solve(problem, solver, time_limit=LIMIT), wrong,
        traits=[f"{n} x {p}", f"alpha={alpha:.1e}", *traits],
    )  # fmt: skip


# ---- linear systems ------------------------------------------------------------------------------


def linear_system(rng: np.random.Generator) -> Case:
    """Definite, indefinite, singular and nearly singular systems with a planted solution."""
    n = size(rng, 60)
    kind = choose(rng, "definite", "definite", "ill-conditioned", "indefinite", "singular",
                  "nearly singular", "unsymmetric", "units apart")  # fmt: skip
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    spectrum = {
        "ill-conditioned": np.logspace(0, -rng.uniform(6, 12), n),
        "nearly singular": np.logspace(0, -18, n),
    }.get(kind, rng.uniform(0.1, 1.0, n))
    if kind == "indefinite":
        spectrum = spectrum * np.where(np.arange(n) % 2, 1.0, -1.0)
    if kind == "singular":
        spectrum[: 1 + n // 4] = 0
    A = (Q * spectrum) @ Q.T
    A = (A + A.T) / 2
    if kind == "units apart":
        d = 10.0 ** rng.uniform(-4, 4, n)
        A = A * d * d[:, None]
    if kind == "unsymmetric":
        A = rng.standard_normal((n, n)) + n * np.eye(n)
    x = rng.standard_normal(n)
    b = A @ x
    inconsistent = kind == "singular" and rng.random() < 0.5
    if inconsistent:
        b = b + Q[:, 0]
    method = choose(rng, "auto", "cg", "direct")
    stored = A if rng.random() < 0.7 else choose(rng, sp.csr_array, sp.csc_array, sp.coo_array)(A)

    def wrong(result: Any) -> str:
        residual = np.longdouble(b) - np.longdouble(A) @ np.longdouble(result.x)
        relative = float(np.linalg.norm(residual.astype(float)) / np.linalg.norm(b))
        if relative > 1.01e-8:
            return f"residual {relative:.2e}"
        if kind == "definite" and np.linalg.norm(result.x - x) > 1e-6 * np.linalg.norm(x):
            return "far from the planted solution"
        return ""

    direct = method in ("auto", "direct")
    solvable = kind in ("definite",) or (
        direct and kind in ("ill-conditioned", "indefinite", "unsymmetric", "units apart")
    )
    return Case(
        f"solve_linear: {method}",
        lambda: numopt.solve_linear(stored, b, method=method), wrong,
        solvable=solvable, traits=[f"n={n}", kind, *["inconsistent"] * inconsistent],
    )  # fmt: skip


# ---- smooth functions ----------------------------------------------------------------------------


def smooth_function(rng: np.random.Generator) -> Case:
    """Quadratics with a planted minimum, functions without any, with and without bounds."""
    n = size(rng, 20)
    kind = choose(rng, "quadratic", "quadratic", "quartic", "log-sum-exp", "linear", "concave")
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H = (Q * np.logspace(0, -rng.uniform(0, 4), n)) @ Q.T
    H, centre = (H + H.T) / 2, rng.standard_normal(n)
    c = rng.standard_normal(n)
    fun, grad = {
        "quadratic": (lambda x: (x - centre) @ H @ (x - centre) / 2, lambda x: H @ (x - centre)),
        "quartic": (
            lambda x: np.sum((x - centre) ** 4) + (x - centre) @ (x - centre),
            lambda x: 4 * (x - centre) ** 3 + 2 * (x - centre),
        ),
        "log-sum-exp": (
            lambda x: np.logaddexp(0, x).sum() + 0.05 * x @ x,
            lambda x: naive.sigmoid(x) + 0.1 * x,
        ),
        "linear": (lambda x: c @ x, lambda x: c),
        "concave": (lambda x: -(x @ x) / 2, lambda x: -x),
    }[kind]
    bounded = rng.random() < 0.4
    bounds = [(-0.5, 1.0 + 0.1 * i) for i in range(n)] if bounded else None
    x0 = rng.standard_normal(n)

    def wrong(result: Any) -> str:
        g = grad(result.x)
        step = -g
        if bounded:
            low, high = np.array(bounds).T
            if (result.x < low).any() or (result.x > high).any():
                return "outside the bounds"
            step = np.clip(-g, low - result.x, high - result.x)
        scale = max(1.0, abs(fun(result.x)) / max(1.0, np.abs(result.x).max()))
        worst = np.abs(step).max() / scale
        if worst > 1.01e-8:
            return f"stationarity {worst:.2e}"
        if (
            kind == "quadratic"
            and not bounded
            and not np.allclose(H @ result.x, H @ centre, atol=1e-6)
        ):
            return "far from the planted minimum"
        return ""

    curvature: dict[str, Callable[[np.ndarray], np.ndarray]] = {
        "quadratic": lambda x: H,
        "quartic": lambda x: np.diag(12 * (x - centre) ** 2 + 2),
        "log-sum-exp": lambda x: np.diag(naive.sigmoid(x) * naive.sigmoid(-x) + 0.1),
        "linear": lambda x: np.zeros((n, n)),
        "concave": lambda x: -np.eye(n),
    }
    hess = curvature[kind]
    second: dict[str, Any] = choose(
        rng, {}, {}, {"hess": hess}, {"hess": lambda x: sp.csr_array(hess(x))},
        {"hessp": lambda x, p: hess(x) @ p}, {"hess": "2-point"},
    )  # fmt: skip
    method = "newton" if second else "lbfgs"
    return Case(
        f"minimize: {method} {kind}",
        lambda: numopt.minimize(fun, x0, jac=grad, bounds=bounds, **second), wrong,
        solvable=bounded or kind not in ("linear", "concave"), traits=[f"n={n}"],
    )  # fmt: skip


def penalised_function(rng: np.random.Generator) -> Case:
    """Smooth functions with a penalty or on a set, as Python functions."""
    n = size(rng, 15)
    Q, _ = np.linalg.qr(rng.standard_normal((n, n)))
    H = (Q * np.logspace(0, -rng.uniform(0, 3), n)) @ Q.T * 10.0 ** rng.uniform(-2, 2)
    H, centre = (H + H.T) / 2, rng.standard_normal(n)
    quartic = float(rng.random() < 0.3)

    def fun(x: np.ndarray) -> float:
        return float((x - centre) @ H @ (x - centre) / 2 + quartic * np.sum((x - centre) ** 4))

    def grad(x: np.ndarray) -> np.ndarray:
        return H @ (x - centre) + 4 * quartic * (x - centre) ** 3

    kind = choose(rng, "l1", "l1 in a box", "mcp", "simplex", "l1 ball", "ball")
    alpha, radius = float(10.0 ** rng.uniform(-3, 1)), float(10.0 ** rng.uniform(-1, 1))
    block: dict[str, Any] = {
        "l1": {"penalty": L1(alpha)},
        "l1 in a box": {"penalty": L1(alpha), "bounds": [(-0.5, 0.7)] * n},
        "mcp": {"penalty": MCP(alpha, GAMMA)},
        "simplex": {"domain": Simplex(radius)},
        "l1 ball": {"domain": L1Ball(radius)},
        "ball": {"domain": L2Ball(radius)},
    }[kind]
    method = choose(rng, None, "nonconvex-ag")

    def wrong(result: Any) -> str:
        x, g = result.x, grad(result.x)
        if "domain" in block:
            lowest = {
                "simplex": radius * g.min(), "l1 ball": -radius * np.abs(g).max(),
                "ball": -radius * np.linalg.norm(g),
            }[kind]  # fmt: skip
            gap = (g @ x - lowest) / max(1.0, abs(fun(x)))
            return "" if abs(gap) <= 1.01e-8 else f"gap {gap:.2e}"
        value = fun(x) + block["penalty"].value(x)
        if kind == "l1":
            distance = naive.distance_l1(x, g, alpha)
        elif kind == "mcp":
            distance = naive.distance_mcp(x, g, alpha, GAMMA)
        else:
            soft = np.sign(x - g) * np.maximum(np.abs(x - g) - alpha, 0)
            distance = float(np.abs(x - np.clip(soft, -0.5, 0.7)).max()) / max(1.0, abs(value))
        worst = distance / max(1.0, abs(value) / max(1.0, np.abs(x).max()))
        return "" if worst <= 1.01e-8 else f"stationarity {worst:.2e}"

    # Steps shorter than 1 / concavity creep where f is far flatter than that.
    curvatures = np.linalg.eigvalsh(H)
    creeps = kind == "mcp" and method is not None and curvatures[0] < 1e-2 / GAMMA
    return Case(
        f"minimize: {method or 'prox-grad'} {kind}",
        lambda: numopt.minimize(fun, np.zeros(n), jac=grad, method=method, **block), wrong,
        solvable=not creeps,
        traits=[f"n={n}", f"alpha={alpha:.1e}", f"radius={radius:.1e}"],
    )  # fmt: skip


FAMILIES: dict[str, Callable[[np.random.Generator], Case]] = {
    "composite": composite,
    "planted lasso": planted_lasso,
    "linear system": linear_system,
    "smooth": smooth_function,
    "penalised": penalised_function,
}
FAMILIES["program"] = program
DEFAULT_FAMILIES = {**FAMILIES, "composite": lambda rng: composite(rng, few=True)}


def make(name: str, seed: int, families: dict[str, Any] = FAMILIES) -> Case:
    """Case number `seed` of a family."""
    return families[name](np.random.default_rng([seed, *name.encode()]))
