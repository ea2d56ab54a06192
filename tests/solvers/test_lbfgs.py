"""L-BFGS: its line search, its matrices, its bounds, and what it does when things go wrong."""

import itertools
import pickle
import time
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import scipy.optimize
from scipy.optimize import rosen, rosen_der

from numopt import ConvergenceWarning, Status, solve
from numopt.problems import Smooth
from numopt.solvers import LBFGS


class Recorder:
    """A problem's function with its gradient, and every point at which it was called."""

    def __init__(self, fun, jac):
        self.fun, self.jac, self.points = fun, jac, []

    def __call__(self, x):
        self.points.append(x.copy())
        return float(self.fun(x)), self.jac(x)


def start(n, odd=-1.2, even=1.0):
    x = np.full(n, even)
    x[::2] = odd
    return x


def quadratic(n, condition, seed=0):
    """x'Hx/2 - b'x with eigenvalues from 1 to `condition`, in random directions."""
    rng = np.random.default_rng(seed)
    Q = np.linalg.qr(rng.standard_normal((n, n)))[0]
    H = (Q * np.logspace(0, np.log10(condition), n)) @ Q.T
    H = 0.5 * (H + H.T)
    b = rng.standard_normal(n)
    return (lambda x: 0.5 * x @ H @ x - b @ x), (lambda x: H @ x - b), H, b


def iterates(solver, problem, x0):
    points = [problem.project(np.asarray(x0, float))]
    result = solver.solve(problem, x0, callback=lambda shown: points.append(shown.x))
    return np.array(points), result


# ---- test functions: value, gradient, starts -----------------------------------------------------


def extended_rosen(x):
    a, b = x[::2], x[1::2]
    return np.sum(100 * (b - a * a) ** 2 + (1 - a) ** 2)


def extended_rosen_der(x):
    a, b = x[::2], x[1::2]
    g = np.empty_like(x)
    g[::2], g[1::2] = -400 * a * (b - a * a) - 2 * (1 - a), 200 * (b - a * a)
    return g


def powell(x):
    a, b, c, d = x.reshape(-1, 4).T
    return np.sum((a + 10 * b) ** 2 + 5 * (c - d) ** 2 + (b - 2 * c) ** 4 + 10 * (a - d) ** 4)


def powell_der(x):
    a, b, c, d = x.reshape(-1, 4).T
    u, v, w, t = 2 * (a + 10 * b), 10 * (c - d), 4 * (b - 2 * c) ** 3, 40 * (a - d) ** 3
    return np.column_stack([u + t, 10 * u + w, v - 2 * w, -v - t]).ravel()


def beale(z):
    x, y = z
    return (1.5 - x + x * y) ** 2 + (2.25 - x + x * y**2) ** 2 + (2.625 - x + x * y**3) ** 2


def beale_der(z):
    x, y = z
    a, b, c = 1.5 - x + x * y, 2.25 - x + x * y**2, 2.625 - x + x * y**3
    dx = 2 * (a * (y - 1) + b * (y**2 - 1) + c * (y**3 - 1))
    return np.array([dx, 2 * x * (a + 2 * b * y + 3 * c * y**2)])


def himmelblau(z):
    return (z[0] ** 2 + z[1] - 11) ** 2 + (z[0] + z[1] ** 2 - 7) ** 2


def himmelblau_der(z):
    a, b = z[0] ** 2 + z[1] - 11, z[0] + z[1] ** 2 - 7
    return np.array([4 * z[0] * a + 2 * b, 2 * a + 4 * z[1] * b])


def booth(z):
    return (z[0] + 2 * z[1] - 7) ** 2 + (2 * z[0] + z[1] - 5) ** 2


def booth_der(z):
    a, b = z[0] + 2 * z[1] - 7, 2 * z[0] + z[1] - 5
    return np.array([2 * a + 4 * b, 4 * a + 2 * b])


FUNCTIONS = [
    (rosen, rosen_der, [start(2), start(10), start(100)]),
    (extended_rosen, extended_rosen_der, [start(10), start(1000)]),
    (powell, powell_der, [np.tile([3.0, -1.0, 0.0, 1.0], k) for k in (1, 25, 250)]),
    (beale, beale_der, [np.ones(2), np.zeros(2)]),
    (himmelblau, himmelblau_der, [np.zeros(2), np.array([-4.0, 4.0]), np.array([1.0, -3.0])]),
    (booth, booth_der, [np.zeros(2), np.array([10.0, -10.0])]),
]
CASES = [(fun, jac, x0) for fun, jac, starts in FUNCTIONS for x0 in starts]


def evaluations_to(reached, values, lower=-np.inf, upper=np.inf):
    """Number of the first evaluation whose projected gradient is at most `reached`."""
    for number, (x, g) in enumerate(values, 1):
        if np.max(np.abs(x - np.clip(x - g, lower, upper))) <= reached:
            return number
    return None


def test_as_many_evaluations_as_scipy():
    ours = theirs = 0
    for fun, jac, x0 in CASES:
        mine, its = Recorder(fun, jac), Recorder(fun, jac)
        LBFGS(tol=1e-9, max_iter=20_000).solve(Smooth(mine, True), x0)
        options = {"gtol": 1e-9, "ftol": 0, "maxiter": 20_000, "maxfun": 20_000}
        scipy.optimize.minimize(its, x0, jac=True, method="L-BFGS-B", options=options)
        counts = [evaluations_to(1e-8, [(x, jac(x)) for x in r.points]) for r in (mine, its)]
        ours, theirs = ours + counts[0], theirs + counts[1]
    assert ours <= 1.1 * theirs


@pytest.mark.parametrize(("fun", "jac", "x0"), CASES)
def test_accepted_steps_meet_the_strong_wolfe_conditions(fun, jac, x0):
    points, result = iterates(LBFGS(), Smooth(fun, jac), x0)
    assert result.success
    for x, x_new in itertools.pairwise(points):
        f, f_new, s = fun(x), fun(x_new), x_new - x
        slope, slope_new = jac(x) @ s, jac(x_new) @ s
        if abs(slope) < 1e-10 * max(abs(f), 1e-8):
            break  # differences of f have no digits left
        assert slope < 0
        assert f_new <= f + 1e-3 * slope * (1 - 1e-6)
        assert abs(slope_new) <= 0.9 * abs(slope) * (1 + 1e-6)


def dense_inverse(S, Y, memory):
    """BFGS's inverse Hessian from its definition, as a matrix."""
    S, Y = S[-memory:], Y[-memory:]
    n = len(S[0])
    H = np.eye(n) * (S[-1] @ Y[-1]) / (Y[-1] @ Y[-1])
    for s, y in zip(S, Y, strict=True):
        V = np.eye(n) - np.outer(y, s) / (s @ y)
        H = V.T @ H @ V + np.outer(s, s) / (s @ y)
    return H


@pytest.mark.parametrize("memory", [1, 3, 10])
@pytest.mark.parametrize("fun", ["rosen", "quadratic"])
def test_directions_are_those_of_dense_matrices(memory, fun):
    n = 6
    value, gradient = (rosen, rosen_der) if fun == "rosen" else quadratic(n, 1e3)[:2]
    points, _ = iterates(LBFGS(memory=memory, tol=1e-6), Smooth(value, gradient), start(n))
    g = np.array([gradient(x) for x in points])
    S, Y = np.diff(points, axis=0), np.diff(g, axis=0)
    assert len(S) > 10
    for k in range(1, min(len(S), 30)):
        d = -dense_inverse(S[:k], Y[:k], memory) @ g[k]
        cosine = d @ S[k] / np.linalg.norm(d) / np.linalg.norm(S[k])
        assert cosine == pytest.approx(1.0, abs=1e-8)


def test_directions_at_bounds_are_those_of_the_restricted_matrices():
    n = 8
    value, gradient = quadratic(n, 100.0, seed=3)[:2]
    lower = np.where(np.arange(n) % 2 == 0, 0.0, -np.inf)
    problem = Smooth(value, gradient, list(zip(lower, np.full(n, np.inf), strict=True)))
    points, result = iterates(LBFGS(tol=1e-10), problem, np.zeros(n))
    assert result.success and 0 < np.sum(result.x == lower) < n
    g = np.array([gradient(x) for x in points])
    S, Y = np.diff(points, axis=0), np.diff(g, axis=0)
    seen = 0
    for k in range(1, len(S)):
        free = ~((points[k] <= lower) & (g[k] > 0))
        inside = points[k + 1] > lower  # no bend of the path: the step is along the direction
        near = (points[k] > lower) & (points[k] <= lower + 1e-5)
        if free.all() or not inside[free].all() or near.any():
            continue
        pairs = [(s[free], y[free]) for s, y in zip(S[:k], Y[:k], strict=True)]
        pairs = [(s, y) for s, y in pairs[-10:] if s @ y > 1e-14 * (y @ y)]
        d = -dense_inverse(*zip(*pairs, strict=True), 10) @ g[k][free]
        cosine = d @ S[k][free] / np.linalg.norm(d) / np.linalg.norm(S[k][free])
        assert cosine == pytest.approx(1.0, abs=1e-7)
        assert not S[k][~free].any()
        seen += 1
    assert seen >= 5


@pytest.mark.parametrize(("n", "condition"), [(1, 1.0), (2, 1e6), (30, 1e2), (100, 1e4)])
def test_quadratics_are_solved_to_their_closed_form(n, condition):
    value, gradient, H, b = quadratic(n, condition)
    result = LBFGS(tol=1e-10).solve(Smooth(value, gradient), np.zeros(n))
    assert result.success and result.nfev == result.njev
    np.testing.assert_allclose(result.x, np.linalg.solve(H, b), atol=1e-9)
    np.testing.assert_array_equal(result.jac, gradient(result.x))
    rise = np.diff(result.history["fun"])
    assert np.all(rise <= 1e-12 * abs(result.fun))


def boxed_optimum(H, b, lower, upper):
    """Minimum of x'Hx/2 - b'x in a box, by trying every set of active bounds."""
    n, best = len(b), (np.inf, None)
    for pattern in itertools.product((-1, 0, 1), repeat=n):
        pattern = np.array(pattern)
        x = np.where(pattern < 0, lower, np.where(pattern > 0, upper, 0.0))
        if not np.isfinite(x).all():
            continue
        free = pattern == 0
        rhs = b[free] - H[np.ix_(free, ~free)] @ x[~free]
        x[free] = np.linalg.solve(H[np.ix_(free, free)], rhs)
        if np.all(x >= lower - 1e-12) and np.all(x <= upper + 1e-12):
            best = min(best, (0.5 * x @ H @ x - b @ x, tuple(x)))
    return np.array(best[1])


@pytest.mark.parametrize("seed", range(20))
def test_boxed_quadratics_against_all_active_sets(seed):
    rng = np.random.default_rng(seed)
    n = 5
    value, gradient, H, b = quadratic(n, 10.0 ** rng.uniform(0, 4), seed)
    centre = rng.standard_normal(n)
    lower = centre - rng.choice([0.0, 0.1, 1.0, np.inf], n)
    upper = centre + rng.choice([0.0, 0.1, 1.0, np.inf], n)
    record = Recorder(value, gradient)
    problem = Smooth(record, True, list(zip(lower, upper, strict=True)))
    result = LBFGS(tol=1e-10).solve(problem, 10 * rng.standard_normal(n))
    assert result.success
    np.testing.assert_allclose(result.x, boxed_optimum(H, b, lower, upper), atol=1e-8)
    points = np.array(record.points)
    assert np.all(points >= lower) and np.all(points <= upper)
    g = gradient(result.x)  # multipliers have their sign, exactly at the bounds
    np.testing.assert_allclose(g[(result.x > lower) & (result.x < upper)], 0, atol=1e-9)
    assert np.all(g[(result.x == lower) & (lower < upper)] > -1e-9)
    assert np.all(g[(result.x == upper) & (lower < upper)] < 1e-9)


def logistic(n=20, seed=0):
    rng = np.random.default_rng(seed)
    A, sign = rng.standard_normal((60, n)), np.sign(rng.standard_normal(60))

    def fun(w):
        return np.logaddexp(0, -sign * (A @ w)).mean() + 5e-3 * w @ w

    def jac(w):
        return -A.T @ (sign / (1 + np.exp(sign * (A @ w)))) / 60 + 1e-2 * w

    return fun, jac


@pytest.mark.parametrize("method", ["L-BFGS-B", "trust-constr"])
def test_bounded_logistic_regression_as_scipy_solves_it(method):
    fun, jac = logistic()
    bounds = [(0, 0.2)] * 10 + [(None, 0.1)] * 5 + [(-0.3, None)] * 5
    ours = LBFGS(tol=1e-10).solve(Smooth(fun, jac, bounds), np.zeros(20))
    options = {"L-BFGS-B": {"ftol": 0, "gtol": 1e-9}, "trust-constr": {"gtol": 1e-9, "xtol": 1e-12}}
    theirs = scipy.optimize.minimize(
        fun, np.zeros(20), jac=jac, bounds=bounds, method=method, options=options[method]
    )
    assert ours.success and ours.fun <= theirs.fun + 1e-12
    np.testing.assert_allclose(ours.x, theirs.x, atol=1e-6)
    assert 5 < np.sum((ours.x == 0) | (ours.x == 0.2) | (ours.x == 0.1) | (ours.x == -0.3)) < 20


@pytest.mark.parametrize(("fun", "jac", "x0"), CASES)
def test_nonconvex_functions_in_boxes(fun, jac, x0):
    rng = np.random.default_rng(7)
    lower, upper = x0 - rng.uniform(0.1, 2, x0.size), x0 + rng.uniform(0.1, 2, x0.size)
    result = LBFGS().solve(Smooth(fun, jac, list(zip(lower, upper, strict=True))), x0)
    assert result.success and np.all(result.x >= lower) and np.all(result.x <= upper)
    size = max(1.0, abs(fun(result.x)) / max(1.0, np.abs(result.x).max()))
    pull = result.x - np.clip(result.x - jac(result.x) / size, lower, upper)
    assert np.max(np.abs(pull)) <= 1e-8


# ---- accuracy ------------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1.0, -1e3, 1e4])
def test_slopes_decide_where_values_have_no_digits_left(offset):
    value, gradient, H, b = quadratic(20, 100.0)
    # The gate is relative to the offset; asked for that much less, it wants the same point.
    tol = 1e-11 / max(1.0, abs(offset))
    result = LBFGS(tol=tol).solve(Smooth(lambda x: value(x) + offset, gradient), np.zeros(20))
    assert result.success
    np.testing.assert_allclose(result.x, np.linalg.solve(H, b), atol=1e-10)


@pytest.mark.parametrize(("jac", "reach"), [("2-point", 1e-4), ("3-point", 1e-6), ("cs", 1e-7)])
def test_differences_reach_their_tolerance(jac, reach):
    for x0 in (start(2), start(6)):
        problem = Smooth(rosen, jac)
        result = LBFGS().solve(problem, x0)
        assert result.success and result.certificate.tol == problem.default_tol
        np.testing.assert_allclose(result.x, 1.0, atol=10 * reach)
        per_gradient = {"2-point": 1, "3-point": 2, "cs": 1}[jac] * x0.size + 1
        assert result.nfev == per_gradient * result.njev


def test_differences_beyond_their_accuracy_end_as_stalled():
    with pytest.warns(ConvergenceWarning, match="stationarity"):
        result = LBFGS(tol=1e-14).solve(Smooth(powell), np.array([3.0, -1.0, 0.0, 1.0]))
    assert result.status == Status.STALLED and not result.success
    assert result.fun < 1e-10


# ---- trouble -------------------------------------------------------------------------------------


def test_steps_out_of_the_domain_are_shortened():
    def barrier(x):
        with np.errstate(invalid="ignore", divide="ignore"):
            return np.sum(x - 1e-3 * np.log(x))

    record = Recorder(barrier, lambda x: 1 - 1e-3 / x)
    result = LBFGS().solve(Smooth(record, True), np.array([5.0, 1e-4, 0.5]))
    assert result.success and result.nfev < 200
    np.testing.assert_allclose(result.x, 1e-3, rtol=1e-4)
    assert min(point.min() for point in record.points) < 0  # it did get there


@pytest.mark.parametrize("outside", [np.nan, np.inf])
@pytest.mark.parametrize("bounds", [None, [(-1, 1)]])
def test_nothing_but_the_start_in_the_domain(outside, bounds):
    fun = lambda x: 0.0 if x[0] == 0 else outside  # noqa: E731
    with pytest.warns(ConvergenceWarning):
        result = LBFGS().solve(Smooth(fun, lambda x: np.ones(1), bounds), [0.0])
    assert result.status == Status.STALLED and result.x == 0 and result.nfev < 100


@pytest.mark.parametrize(
    ("fun", "jac"),
    [
        (lambda x: np.nan, lambda x: x),
        (lambda x: np.inf, lambda x: x),
        (lambda x: 0.0, lambda x: x * np.nan),
    ],
)
def test_not_finite_at_the_start(fun, jac):
    with pytest.warns(ConvergenceWarning, match="not finite at x0"):
        result = LBFGS().solve(Smooth(fun, jac), [1.0, 2.0])
    assert result.status == Status.NUMERICAL_TROUBLE and result.nit == 0
    assert not result.success and result.x.tolist() == [1.0, 2.0]


@pytest.mark.parametrize(
    ("fun", "jac"),
    [
        (lambda x: -x[0], lambda x: np.array([-1.0, 0.0])),
        (lambda x: -(x @ x), lambda x: -2 * x),
        (lambda x: -(x[0] ** 3), lambda x: np.array([-3 * x[0] ** 2, 0.0])),
        (lambda x: -np.exp(x[0]), lambda x: np.array([-np.exp(x[0]), 0.0])),
    ],
)
@pytest.mark.parametrize("bounds", [None, [(None, None), (0, 5)]])
def test_unbounded_functions_diverge(fun, jac, bounds):
    with np.errstate(over="ignore"), pytest.warns(ConvergenceWarning, match="bounded below|-1e"):
        result = LBFGS().solve(Smooth(fun, jac, bounds), [1.0, 2.0])
    assert result.status == Status.DIVERGED and not result.success
    assert result.fun < -1e30 and result.nfev < 100


def test_minus_infinity_is_diverged():
    def fun(x):
        with np.errstate(divide="ignore"):
            return np.log(x[0])

    with pytest.warns(ConvergenceWarning, match="falls below"):
        result = LBFGS().solve(Smooth(fun, lambda x: 1 / x, [(0, None)]), [1.0])
    assert result.status == Status.DIVERGED and result.fun == -np.inf


def test_a_wrong_gradient_is_suspected():
    with pytest.warns(ConvergenceWarning, match="check_gradient"):
        result = LBFGS().solve(Smooth(lambda x: x @ x, lambda x: -2 * x), [1.0, 2.0])
    assert result.status == Status.STALLED and "check_gradient" in result.message


def test_kinks_end_without_a_claim():
    with pytest.warns(ConvergenceWarning):
        result = LBFGS().solve(Smooth(lambda x: np.abs(x).sum(), np.sign), [1.3, -2.7])
    assert not result.success and result.fun < 1e-6


def test_a_box_hides_no_gradient():
    # Large values and a narrow box: relative to f any projected step is tiny.
    weights = np.arange(1.0, 101)

    def fun(x):
        s = weights @ (x - 1)
        return np.sum((x - 1) ** 2) + s**2 + s**4

    def jac(x):
        s = weights @ (x - 1)
        return 2 * (x - 1) + weights * (2 * s + 4 * s**3)

    x0 = 1 - weights / 100
    bounds = [(x - 0.5, x + 1.0) for x in x0]
    result = LBFGS().solve(Smooth(fun, jac, bounds), x0)
    theirs = scipy.optimize.minimize(fun, x0, jac=jac, bounds=bounds, method="SLSQP")
    assert result.success and result.fun <= theirs.fun + 1e-6


# ---- limits and the rest -------------------------------------------------------------------------


def test_no_and_fixed_variables():
    empty = LBFGS().solve(Smooth(lambda x: 2.0, lambda x: x), [])
    assert empty.success and empty.x.size == 0 and empty.fun == 2 and empty.nfev == 1
    value, gradient, _, _ = quadratic(3, 10.0)
    fixed = LBFGS().solve(Smooth(value, "2-point", [(1, 1), (2, 2), (-3, -3)]), np.zeros(3))
    assert fixed.success and fixed.x.tolist() == [1, 2, -3] and fixed.nfev == 1
    one = LBFGS(tol=1e-10).solve(Smooth(value, gradient, [(1, 1), (None, None), (-3, -3)]), [0] * 3)
    assert one.success and one.x[[0, 2]].tolist() == [1, -3]
    assert abs(gradient(one.x)[1]) < 1e-9


def test_start_is_projected_and_left_alone():
    record = Recorder(booth, booth_der)
    x0 = np.array([50, -50])
    x0.flags.writeable = False
    result = LBFGS().solve(Smooth(record, True, [(0, 0.5), (-1, 1)]), x0)
    assert record.points[0].tolist() == [0.5, -1.0] and x0.tolist() == [50, -50]
    assert result.success and result.x.tolist() == [0.5, 1.0]
    single = LBFGS().solve(Smooth(booth, booth_der), np.float32([1.5, 2.5])[::-1])
    assert single.success and single.x.dtype == np.float64
    np.testing.assert_allclose(single.x, [1, 3], atol=1e-7)


def test_start_is_needed_unless_bounds_tell_the_size():
    with pytest.raises(ValueError, match="x0 is needed"):
        LBFGS().solve(Smooth(booth, booth_der))
    assert solve(Smooth(booth, booth_der, [(0, 5), (2, 5)])).success
    with pytest.raises(ValueError, match="not compatible"):
        LBFGS().solve(Smooth(booth, booth_der, [(0, 5)]), [0.0, 1.0])
    with pytest.raises(ValueError, match="x0 has nan at index 1"):
        LBFGS().solve(Smooth(booth, booth_der), [0.0, np.nan])


@pytest.mark.parametrize("limit", [1, 7, 30])
def test_limit_on_evaluations(limit):
    with pytest.warns(ConvergenceWarning, match="max_evals"):
        result = LBFGS(max_evals=limit).solve(Smooth(rosen, rosen_der), start(2))
    assert result.status == Status.ITERATION_LIMIT and result.nfev == limit
    with pytest.warns(ConvergenceWarning, match="max_evals"):
        result = LBFGS(max_evals=limit).solve(Smooth(rosen, "3-point"), start(2))
    assert limit <= result.nfev < limit + 2 * 5


def test_limit_on_iterations_returns_the_last_point():
    points, _ = iterates(LBFGS(), Smooth(rosen, rosen_der), start(2))
    with pytest.warns(ConvergenceWarning, match="max_iter"):
        cut = LBFGS(max_iter=9).solve(Smooth(rosen, rosen_der), start(2))
    assert cut.status == Status.ITERATION_LIMIT and cut.nit == 9
    # ... though points before it have smaller gradients.
    np.testing.assert_array_equal(cut.x, points[9])
    assert cut.fun == rosen(points[9])
    with pytest.warns(ConvergenceWarning):
        none = LBFGS(max_iter=0).solve(Smooth(rosen, rosen_der), start(2))
    assert none.nit == 0 and none.x.tolist() == [-1.2, 1.0] and none.nfev == 1


def test_warm_starts_go_on_where_they_stopped():
    problem = Smooth(rosen, rosen_der)
    full = LBFGS().solve(problem, start(20))
    with pytest.warns(ConvergenceWarning):
        half = LBFGS(max_iter=full.nit // 2).solve(problem, start(20))
    rest = LBFGS().solve(problem, warm_start=half)
    cold = LBFGS().solve(problem, half.x)
    assert rest.success and rest.nit <= full.nit // 2 + 5 and rest.nit < cold.nit
    again = LBFGS().solve(problem, warm_start=full)
    assert again.nit == 0 and again.nfev <= 1
    other = LBFGS(memory=3).solve(problem, warm_start=half)  # fewer pairs than there are
    assert other.success
    shorter = LBFGS().solve(problem, warm_start={**half.warm_start, "x": start(4)})
    assert shorter.success and shorter.x.size == 4


def test_same_bits_again_and_in_threads():
    problem = Smooth(rosen, rosen_der)
    first = LBFGS().solve(problem, start(30))
    with ThreadPoolExecutor(8) as pool:
        for other in pool.map(lambda _: LBFGS().solve(problem, start(30)), range(16)):
            np.testing.assert_array_equal(first.x, other.x)
            assert (first.nit, first.nfev) == (other.nit, other.nfev)


def test_results_and_solvers_pickle():
    problem = Smooth(rosen, rosen_der)
    solver = pickle.loads(pickle.dumps(LBFGS(memory=4, max_evals=1000)))
    assert solver == LBFGS(memory=4, max_evals=1000)
    assert repr(solver) == "LBFGS(memory=4, max_evals=1000)"
    result = solver.solve(problem, start(2))
    again = pickle.loads(pickle.dumps(result))
    np.testing.assert_array_equal(again.x, result.x)
    assert again.verify(problem).met(1e-8)
    assert again.certificate["stationarity"] == result.certificate["stationarity"]


def test_time_limit_and_interrupt():
    def slow(x):
        time.sleep(0.01)
        return rosen(x)

    with pytest.warns(ConvergenceWarning, match="time"):
        result = LBFGS(time_limit=0.05).solve(Smooth(slow, rosen_der), start(2))
    assert result.status == Status.TIME_LIMIT and result.fun < rosen(start(2))

    calls = []

    def interrupted(x):
        calls.append(x)
        if len(calls) == 20:
            raise KeyboardInterrupt
        return rosen(x)

    result = LBFGS().solve(Smooth(interrupted, rosen_der), start(2))
    assert result.status == Status.INTERRUPTED and result.fun < rosen(start(2))
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        LBFGS(on_interrupt="raise").solve(Smooth(interrupted, rosen_der), start(2))


def test_what_the_function_raises_gets_through():
    with pytest.raises(ZeroDivisionError):
        LBFGS().solve(Smooth(lambda x: 1 / 0, rosen_der), start(2))


@pytest.mark.parametrize("wrong", [dict(memory=0), dict(memory=2.5), dict(max_evals=0)])
def test_wrong_parameters(wrong):
    with pytest.raises((ValueError, TypeError), match=next(iter(wrong))):
        LBFGS(**wrong)
