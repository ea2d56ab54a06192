"""The table of blocks: a new penalty, loss or composed block joins every test here by one row."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import scipy.sparse as sp

from numopt import losses, penalties
from numopt.calculus import (
    Boxed,
    Conjugate,
    MoreauEnvelope,
    PlusRidge,
    SeparableSum,
    Translate,
    Weighted,
)
from numopt.sets import Box, Simplex

W = np.longdouble
ALPHA = 0.7
WRONG_ALPHA = ((-1.0, "alpha"), (np.nan, "alpha"), (np.inf, "alpha"), ("1", "alpha"))


@dataclass(frozen=True)
class Row:
    """A penalty or set.

    `make(p, alpha)` builds it for p coordinates; `formula` is its value by the textbook, of one
    number in any precision (scalar ones, at alpha = 0.7) or of a vector.
    """

    name: str
    make: Callable[..., Any]
    formula: Callable[[Any], Any]
    tags: frozenset[str] = frozenset()
    wrong: tuple[tuple[Callable[[], Any], str], ...] = ()

    def block(self, p: int = 7, alpha: float = ALPHA) -> Any:
        """The block for p coordinates."""
        return self.make(p, alpha)

    def value(self, x: np.ndarray) -> float:
        """Textbook value of a vector."""
        if "scalar" in self.tags:
            return float(np.sum(self.formula(x.astype(W))))
        return float(self.formula(x))

    def __repr__(self) -> str:
        return self.name


def refuses(build: Callable[[Any], Any], *cases: tuple[Any, str]) -> Any:
    """Wrong values of one argument with what the message has to say."""
    return tuple((lambda value=value: build(value), message) for value, message in cases)


def scalar(name: str, make: Any, formula: Any, *tags: str, wrong: Any = ()) -> Row:
    """A sum over coordinates with a strength: the formula is even and of |x|."""
    cls = getattr(penalties, name)
    given = (*refuses(cls, *WRONG_ALPHA), *wrong)
    return Row(
        name,
        lambda p, alpha: make(alpha),
        lambda x: formula(np.abs(x)),
        frozenset({"scalar", "even", "weights", *tags}),
        given,
    )


def labels(p: int) -> list[str]:
    """Group labels out of order, of groups of different sizes."""
    return list(("babcabdcabcddb" * (p // 14 + 1))[:p])


def group_weights(p: int) -> list[float]:
    return [1.0, 0.5, 2.0, 1.5][: len(set(labels(p)))]


def over_groups(phi: Callable[[np.ndarray], float]) -> Callable[[np.ndarray], float]:
    def formula(x: np.ndarray) -> float:
        names = np.array(labels(x.size))
        weights = group_weights(x.size)
        return sum(w * phi(x[names == g]) for w, g in zip(weights, np.unique(names), strict=True))

    return formula


def mcp(t: Any) -> Any:
    t = np.abs(t)
    gamma, alpha = W(3.0), W(ALPHA)
    return np.where(t < gamma * alpha, alpha * t - t * t / (2 * gamma), gamma * alpha**2 / 2)


def scad(t: Any) -> Any:
    t = np.abs(t)
    a, alpha = W(3.7), W(ALPHA)
    middle = alpha * t - (t - alpha) ** 2 / (2 * (a - 1))
    flat = (a + 1) * alpha**2 / 2
    return np.where(t <= alpha, alpha * t, np.where(t < a * alpha, middle, flat))


def huber(t: Any, strength: Any = W(ALPHA), delta: Any = W(1.3)) -> Any:  # noqa: B008
    t = np.abs(t)
    return strength * np.where(t <= delta, t * t / 2, delta * (t - delta / 2))


def slope_lambdas(p: int) -> np.ndarray:
    return np.linspace(2.0, 0.2, p)


def shape_of(p: int) -> tuple[int, int]:
    return (2, p // 2) if p % 2 == 0 else (1, p)


def singular_values(x: np.ndarray) -> np.ndarray:
    return np.linalg.svd(x.reshape(shape_of(x.size)), compute_uv=False)


def indicator(inside: Any) -> Any:
    return np.where(inside, 0.0, np.inf)


P = penalties
GROUP_ERRORS = refuses(
    lambda arguments: P.GroupLasso(1.0, *arguments),
    (([],), "empty"),
    (([[0, 1], [2]],), "one label per coordinate"),
    (([[0, 1], [1, 2]],), "overlap"),
    (([0.0, np.nan],), "index 1"),
    ((["a", None],), "index 1"),
    (([0, 1], [1.0]), "expected 2"),
    (([0, 1], [1.0, -1.0]), "negative"),
)

# Tags: convex; smooth (no corners, no zeros made); steep (distance 0 at 0, so there is none);
# flat (alpha_max is infinite); norm (positively homogeneous); indicator.
PENALTIES = [
    scalar("L1", P.L1, lambda t: W(ALPHA) * t, "convex", "norm"),
    scalar(
        "ElasticNet",
        lambda alpha: P.ElasticNet(alpha, 0.3),
        lambda t: W(ALPHA) * (W(0.3) * t + (1 - W(0.3)) * t * t / 2),
        "convex",
        wrong=refuses(lambda r: P.ElasticNet(1.0, r), (1.5, "l1_ratio"), (-0.1, "l1_ratio")),
    ),
    scalar("Ridge", P.Ridge, lambda t: W(ALPHA) * t * t / 2, "convex", "smooth", "flat"),
    scalar(
        "Huber",
        lambda alpha: P.Huber(alpha, delta=1.3),
        huber,
        "convex",
        "smooth",
        "flat",
        wrong=refuses(lambda d: P.Huber(1.0, d), (0.0, "delta"), (np.nan, "delta")),
    ),
    scalar("MCP", P.MCP, mcp, wrong=refuses(lambda g: P.MCP(1.0, g), (1.0, "gamma"), (0, "gamma"))),
    scalar(
        "SCAD", P.SCAD, scad, wrong=refuses(lambda a: P.SCAD(1.0, a), (2.0, "a must"), (1, "a"))
    ),
    scalar(
        "LogSum",
        lambda alpha: P.LogSum(alpha, eps=0.3),
        lambda t: W(ALPHA) * np.log1p(t / W(0.3)),
        wrong=refuses(lambda e: P.LogSum(1.0, e), (0.0, "eps"), (-1.0, "eps"), (np.inf, "eps")),
    ),
    scalar(
        "CappedL1",
        lambda alpha: P.CappedL1(alpha, theta=1.3),
        lambda t: W(ALPHA) * np.minimum(t, W(1.3)),
        wrong=refuses(lambda t: P.CappedL1(1.0, t), (0.0, "theta"), (-1.0, "theta")),
    ),
    scalar("L0", P.L0, lambda t: W(ALPHA) * (t > 0), "steep"),
    scalar("LHalf", P.LHalf, lambda t: W(ALPHA) * np.sqrt(t), "steep"),
    scalar("LTwoThirds", P.LTwoThirds, lambda t: W(ALPHA) * np.cbrt(t) ** 2, "steep"),
    Row("Zero", lambda p, alpha: P.Zero(), lambda x: 0 * x, frozenset({"scalar", "convex"})),
    Row(
        "Nonnegative",
        lambda p, alpha: P.Nonnegative(),
        lambda x: indicator(x >= 0),
        frozenset({"scalar", "convex", "indicator"}),
    ),
    Row(
        "Box",
        lambda p, alpha: Box(-0.5, 1.25),
        lambda x: indicator((x >= -0.5) & (x <= 1.25)),
        frozenset({"scalar", "convex", "indicator"}),
        refuses(lambda b: Box(*b), ((1.0, 0.0), "lower > upper"), ((np.nan, 1.0), "lower is NaN")),
    ),
    Row(
        "Simplex",
        lambda p, alpha: Simplex(1.5),
        lambda x: indicator(x.min() >= 0 and abs(x.sum() - 1.5) <= 1e-9),
        frozenset({"convex", "indicator"}),
        refuses(Simplex, (0.0, "radius"), (-1.0, "radius")),
    ),
    Row(
        "GroupLasso",
        lambda p, alpha: P.GroupLasso(alpha, labels(p), group_weights(p)),
        over_groups(lambda x: ALPHA * np.linalg.norm(x)),
        frozenset({"convex", "norm", "groups"}),
        GROUP_ERRORS,
    ),
    Row(
        "SparseGroupLasso",
        lambda p, alpha: P.SparseGroupLasso(alpha, labels(p), 0.3, group_weights(p)),
        over_groups(lambda x: ALPHA * (0.3 * np.abs(x).sum() + 0.7 * np.linalg.norm(x))),
        frozenset({"convex", "norm", "groups"}),
        refuses(lambda r: P.SparseGroupLasso(1.0, [0], r), (1.1, "l1_ratio")),
    ),
    Row(
        "GroupMCP",
        lambda p, alpha: P.GroupMCP(alpha, labels(p), weights=group_weights(p)),
        over_groups(lambda x: float(mcp(np.linalg.norm(x)))),
        frozenset({"groups"}),
        refuses(lambda g: P.GroupMCP(1.0, [0], g), (1.0, "gamma")),
    ),
    Row(
        "GroupSCAD",
        lambda p, alpha: P.GroupSCAD(alpha, labels(p), weights=group_weights(p)),
        over_groups(lambda x: float(scad(np.linalg.norm(x)))),
        frozenset({"groups"}),
        refuses(lambda a: P.GroupSCAD(1.0, [0], a), (2.0, "a must")),
    ),
    Row(
        "SLOPE",
        lambda p, alpha: P.SLOPE(alpha, slope_lambdas(p)),
        lambda x: ALPHA * slope_lambdas(x.size) @ np.sort(np.abs(x))[::-1],
        frozenset({"convex", "norm"}),
        refuses(
            lambda lambdas: P.SLOPE(1.0, lambdas),
            ([1.0, 2.0], r"lambdas\[1\] = 2"),
            ([1.0, -2.0], "index 1"),
            ([], "empty"),
        ),
    ),
    Row(
        "LInf",
        lambda p, alpha: P.LInf(alpha),
        lambda x: ALPHA * np.abs(x).max(),
        frozenset({"convex", "norm"}),
        refuses(P.LInf, *WRONG_ALPHA),
    ),
    Row(
        "TotalVariation1D",
        lambda p, alpha: P.TotalVariation1D(alpha),
        lambda x: ALPHA * np.abs(np.diff(x)).sum(),
        frozenset({"convex"}),
        refuses(P.TotalVariation1D, *WRONG_ALPHA),
    ),
    Row(
        "Nuclear",
        lambda p, alpha: P.Nuclear(alpha, shape_of(p)),
        lambda x: ALPHA * singular_values(x).sum(),
        frozenset({"convex", "norm"}),
        refuses(
            lambda shape: P.Nuclear(1.0, shape), ((2, 0), r"shape\[1\]"), ((2,), "rows, columns")
        ),
    ),
    # ---- made of others
    Row(
        "PlusRidge",
        lambda p, alpha: PlusRidge(P.L1(alpha), 2.0),
        lambda x: W(ALPHA) * np.abs(x) + x * x,
        frozenset({"scalar", "convex", "even", "composed"}),
        refuses(lambda mu: PlusRidge(P.L1(1.0), mu), (-1.0, "mu")),
    ),
    Row(
        "PlusRidge of MCP",
        lambda p, alpha: PlusRidge(P.MCP(alpha, gamma=3.0), 0.2),
        lambda x: mcp(x) + W(0.1) * x * x,
        frozenset({"scalar", "even", "composed"}),
    ),
    Row(
        "Boxed",
        lambda p, alpha: Boxed(P.L1(alpha), -1.0, 2.0),
        lambda x: np.where((x >= -1) & (x <= 2), W(ALPHA) * np.abs(x), np.inf),
        frozenset({"scalar", "convex", "composed"}),
        refuses(lambda b: Boxed(P.L1(1.0), *b), ((1.0, 0.0), "lower")),
    ),
    Row(
        "Translate",
        lambda p, alpha: Translate(P.L1(alpha), 1.5),
        lambda x: W(ALPHA) * np.abs(x - W(1.5)),
        frozenset({"scalar", "convex", "composed"}),
        refuses(lambda c: Translate(P.L1(1.0), c), (np.inf, "finite")),
    ),
    Row(
        "Weighted",
        lambda p, alpha: Weighted(P.L1(alpha), np.full(p, 2.0)),
        lambda x: 2 * W(ALPHA) * np.abs(x),
        frozenset({"scalar", "convex", "even", "norm", "composed"}),
        refuses(lambda w: Weighted(P.L1(1.0), w), ([1.0, -2.0], "negative"), ([[1.0]], "shape")),
    ),
    Row(
        "Conjugate",
        lambda p, alpha: Conjugate(P.ElasticNet(alpha, 0.3)),
        lambda x: np.maximum(np.abs(x) - W(ALPHA) * W(0.3), 0) ** 2 / (2 * W(ALPHA) * (1 - W(0.3))),
        frozenset({"scalar", "convex", "even", "composed"}),
    ),
    Row(
        "Conjugate of a norm",
        lambda p, alpha: Conjugate(P.SLOPE(alpha, slope_lambdas(p))),
        lambda x: indicator(
            np.max(
                np.cumsum(np.sort(np.abs(x))[::-1]) / np.cumsum(ALPHA * slope_lambdas(x.size)),
                initial=0,
            )
            <= 1 + 1e-9
        ),
        frozenset({"convex", "indicator", "composed"}),
    ),
    Row(
        "MoreauEnvelope",
        lambda p, alpha: MoreauEnvelope(P.L1(alpha), 0.5),
        lambda x: huber(x, 1 / W(0.5), W(ALPHA) * W(0.5)),
        frozenset({"scalar", "convex", "smooth", "even", "flat", "composed"}),
        refuses(lambda mu: MoreauEnvelope(P.L1(1.0), mu), (0.0, "mu"), (np.inf, "mu")),
    ),
    Row(
        "MoreauEnvelope of a norm",
        lambda p, alpha: MoreauEnvelope(P.LInf(alpha), 0.5),
        # the conjugate of ball indicator + mu |u|^2 / 2: the distance to the ball enters
        lambda x: envelope_of_largest(x, ALPHA, 0.5),
        frozenset({"convex", "smooth", "composed"}),
    ),
    Row(
        "SeparableSum",
        lambda p, alpha: (
            SeparableSum([P.L1(alpha), P.Ridge(alpha), P.L1(2 * alpha)], [1, 1, p - 2])
            if p > 2
            else P.L1(alpha)
        ),
        lambda x: sum_by_parts(x),
        frozenset({"convex", "composed"}),
        refuses(
            lambda sizes: SeparableSum([P.L1(1.0), P.Zero()], sizes),
            ([1], "expected 2"),
            ([1, 0], r"sizes\[1\]"),
        ),
    ),
    Row(
        "SeparableSum of groups",
        lambda p, alpha: (
            SeparableSum([P.MCP(alpha), P.GroupLasso(alpha, [0] * (p - 1))], [1, p - 1])
            if p > 1
            else P.MCP(alpha)
        ),
        lambda x: float(mcp(x[0])) + ALPHA * np.linalg.norm(x[1:]),
        frozenset({"composed"}),
    ),
]


def envelope_of_largest(x: np.ndarray, alpha: float, mu: float) -> float:
    """min_z alpha |z|_inf + |x - z|^2 / (2 mu), over the level at which z is clipped."""
    levels = np.concatenate([np.linspace(0, np.abs(x).max(), 20001), np.abs(x)])
    return min(
        alpha * t + np.sum(np.maximum(np.abs(x) - t, 0) ** 2) / (2 * mu) for t in levels.tolist()
    )


def sum_by_parts(x: np.ndarray) -> float:
    if x.size <= 2:
        return ALPHA * float(np.abs(x).sum())
    return ALPHA * float(np.abs(x[0]) + x[1] ** 2 / 2 + 2 * np.abs(x[2:]).sum())


BY_NAME = {row.name: row for row in PENALTIES}


def tagged(*tags: str, without: tuple[str, ...] = ()) -> list[str]:
    """Names of the rows that have all of these tags."""
    return [row.name for row in PENALTIES if set(tags) <= row.tags and not set(without) & row.tags]


# ---- losses --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class LossRow:
    """A loss: targets for n samples, how it is built of them, and its formula.

    `formula(z, y)` is the loss of one sample, or, with the tag "whole", `formula(z, y, weight)`
    that of all with weights that sum to 1.
    """

    name: str
    targets: Callable[[np.random.Generator, int], Any]
    formula: Callable[..., Any]
    tags: frozenset[str] = frozenset()
    wrong: tuple[tuple[Callable[[], Any], str], ...] = ()
    outputs: int = 1

    def make(self, y: Any, **options: Any) -> Any:
        """The loss of these targets."""
        return getattr(losses, self.name)(y, **options)

    def value(self, z: np.ndarray, y: Any, weight: Any) -> float:
        """Textbook value; `weight` as the user gives it."""
        weight = np.asarray(weight, float) / np.sum(weight)
        if "whole" in self.tags:
            return float(self.formula(z, y, weight))
        return float(np.sum(weight * self.formula(z, y)))

    def __repr__(self) -> str:
        return self.name


def signs(rng: np.random.Generator, n: int) -> np.ndarray:
    return np.where(rng.random(n) > 0.5, 1.0, -1.0)


def softmax_loss(z: np.ndarray, y: np.ndarray, weight: np.ndarray) -> float:
    top = z.max(1)
    return weight @ (np.log(np.exp(z - top[:, None]).sum(1)) + top - z[np.arange(len(y)), y])


def quadratic(rng: np.random.Generator, n: int) -> np.ndarray:
    B = rng.standard_normal((n, n))
    return B @ B.T


def both(name: str, *cases: tuple[Any, str]) -> Any:
    return refuses(lambda y: getattr(losses, name)(y), *cases)


DELTA = 1.35
NAN, INF = (([1.0, np.nan], "y is NaN"), ([1.0, np.inf], "y has inf at index 1"))
LOSSES = [
    LossRow(
        "LeastSquares",
        lambda rng, n: rng.standard_normal(n),
        lambda z, y: (z - y) ** 2 / 2,
        wrong=both("LeastSquares", NAN, INF, ([[1.0]], "1-D")),
    ),
    LossRow(
        "Huber",
        lambda rng, n: 2 * rng.standard_normal(n),
        lambda z, y: huber(z - y, 1.0, DELTA).astype(float),
        wrong=refuses(lambda d: losses.Huber([1.0], d), (0.0, "delta"), (np.nan, "delta")),
    ),
    LossRow(
        "Logistic",
        signs,
        lambda z, y: np.logaddexp(0, -y * z),
        wrong=both("Logistic", ([0, 1, 2], "y must hold"), ([1, 2], "found 1, 2")),
    ),
    LossRow(
        "SquaredHinge",
        signs,
        lambda z, y: np.maximum(0, 1 - y * z) ** 2,
        wrong=both("SquaredHinge", ([0, 1, 2], "SquaredHinge: y must hold")),
    ),
    LossRow(
        "Poisson",
        lambda rng, n: rng.poisson(2.0, n),
        lambda z, y: np.exp(z) - y * z,
        frozenset({"unbounded curvature"}),
        both("Poisson", ([1.0, -0.5], "-0.5 at index 1"), ([1.0, np.nan], "index")),
    ),
    LossRow(
        "Gamma",
        lambda rng, n: rng.gamma(2.0, 1.0, n),
        lambda z, y: y * np.exp(-z) + z,
        frozenset({"unbounded curvature"}),
        both("Gamma", ([1.0, 0.0], "0 at index 1")),
    ),
    LossRow(
        "LeastAbsolute",
        lambda rng, n: rng.standard_normal(n),
        lambda z, y: np.abs(z - y),
        frozenset({"corners"}),
        both("LeastAbsolute", NAN, INF),
    ),
    LossRow(
        "SquareRoot",
        lambda rng, n: rng.standard_normal(n),
        lambda z, y, weight: np.sqrt(weight @ (z - y) ** 2),
        frozenset({"corners", "whole"}),
        both("SquareRoot", NAN, INF),
    ),
    LossRow(
        "Multinomial",
        lambda rng, n: np.arange(n) % 3,
        softmax_loss,
        frozenset({"whole"}),
        (
            *both(
                "Multinomial",
                ([0, 1, 3], "no sample is of class 2"),
                ([0, -1], "-1 at index 1"),
                ([0.5, 1], "0.5 at index 0"),
                ([0, 0], "n_classes"),
                ([0, np.nan], "y is NaN"),
            ),
            *refuses(
                lambda K: losses.Multinomial([0, 1, 2], K),
                (2, "n_classes is 2"),
                (2.5, "n_classes"),
            ),
        ),
        outputs=3,
    ),
    LossRow(
        "Quadratic",
        quadratic,
        lambda z, P, weight: z @ P @ z / 2,
        frozenset({"whole", "no samples"}),
        refuses(
            lambda P: losses.Quadratic(P),
            (np.ones((2, 3)), "square"),
            (np.array([[1.0, 2.0], [0.0, 1.0]]), r"P\[0, 1\] = 2"),
            (np.full((2, 2), np.nan), "P has nan"),
            (np.zeros((0, 0)), "empty"),
            (sp.csc_array(np.array([[1.0, 2.0], [0.0, 1.0]])), "symmetric"),
        ),
    ),
]
LOSS_BY_NAME = {row.name: row for row in LOSSES}
