"""solve_linear: its methods agree, its choice is the documented one, its tolerances are SciPy's."""

import numpy as np
import pytest
import scipy.sparse as sp
import scipy.sparse.linalg as spla

from numopt import ConvergenceWarning, Status, solve_linear

RNG = np.random.default_rng(0)
M = RNG.standard_normal((20, 20))
SPD = M @ M.T + np.eye(20)
B = RNG.standard_normal(20)


def poisson(n):
    line = sp.diags_array([-np.ones(n - 1), 2 * np.ones(n), -np.ones(n - 1)], offsets=[-1, 0, 1])
    return sp.csr_array(sp.kron(line, sp.eye_array(n)) + sp.kron(sp.eye_array(n), line))


LARGE = poisson(35)
RHS = RNG.standard_normal(35 * 35)


@pytest.mark.parametrize("method", ["auto", "cg", "direct"])
@pytest.mark.parametrize("form", [np.asarray, sp.csr_array, sp.csc_matrix, list])
def test_methods_agree(method, form):
    result = solve_linear(form(SPD), B, method=method, rtol=1e-12)
    assert result.success and result.status == 0
    assert np.linalg.norm(B - SPD @ result.x) <= 1e-12 * np.linalg.norm(B)
    np.testing.assert_allclose(result.x, np.linalg.solve(SPD, B), rtol=1e-6)
    for field in ("nit", "message", "certificate", "time", "history", "warm_start"):
        assert field in result


@pytest.mark.parametrize(
    "A, b, solver",
    [
        (SPD, B, "Direct"),  # dense
        (M, B, "Direct"),
        (sp.csr_array(SPD), B, "Direct"),  # small
        (LARGE, RHS, "ConjugateGradient"),
        (LARGE + sp.diags_array(np.ones(1224), offsets=1), RHS, "Direct"),  # not symmetric
        (LARGE - 5.3 * sp.eye_array(1225), RHS, "Direct"),  # negative diagonal
        (LARGE - 0.77 * sp.eye_array(1225), RHS, "Direct"),  # indefinite: found out by "cg"
        (lambda x: SPD @ x, B, "ConjugateGradient"),
        (spla.aslinearoperator(SPD), B, "ConjugateGradient"),
    ],
)
def test_automatic_choice(A, b, solver):
    result = solve_linear(A, b)
    assert result.success and result.solver.startswith(solver + "(")
    product = A(result.x) if callable(A) else A @ result.x
    assert np.linalg.norm(b - product) <= 1e-8 * np.linalg.norm(b)


def test_tolerance_is_the_larger_of_both():
    norm = np.linalg.norm(B)
    loose = solve_linear(SPD, B, method="cg", rtol=1e-12, atol=0.01 * norm)
    tight = solve_linear(SPD, B, method="cg", rtol=1e-12, atol=1e-14 * norm)
    assert loose.certificate.tol == pytest.approx(0.01)
    assert tight.certificate.tol == 1e-12
    assert loose.nit < tight.nit and loose.success
    assert 1e-12 * norm < np.linalg.norm(B - SPD @ loose.x) <= 0.01 * norm
    assert solve_linear(SPD, B, rtol=0.0, atol=1e-3).success


def test_float32_has_its_own_default_but_what_is_asked_for_stands():
    A, b = SPD.astype(np.float32), B.astype(np.float32)
    default = solve_linear(A, b)
    assert default.success and default.certificate.tol == 1e-5 and default.x.dtype == np.float32
    with pytest.warns(ConvergenceWarning):
        asked = solve_linear(A, b, rtol=float("1e-12"))
    assert asked.status == Status.STALLED and asked.certificate.tol == 1e-12


def test_start_and_limit():
    x = np.linalg.solve(SPD, B)
    assert solve_linear(SPD, B, method="cg", x0=x).nit == 0
    with pytest.warns(ConvergenceWarning, match="iteration limit"):
        result = solve_linear(SPD, B, method="cg", max_iter=2)
    assert result.nit == 2 and result.status == Status.ITERATION_LIMIT
    # "auto" has one more method to try.
    assert solve_linear(LARGE, RHS, max_iter=2).success


def test_zero_right_hand_side():
    result = solve_linear(SPD, np.zeros(20), x0=np.ones(20))
    assert result.success and not result.x.any() and result.nit == 0


def test_explicit_cg_reports_what_auto_works_around():
    with pytest.warns(ConvergenceWarning, match="not symmetric"):
        assert solve_linear(M, B, method="cg").status == Status.NON_CONVEX


WRONG = {
    "method": (dict(method="sor"), ValueError, "method must be one of 'auto', 'cg', 'direct'"),
    "omega": (dict(omega=1.5), ValueError, "omega was given, but method 'auto' has no relax"),
    "omega of cg": (dict(method="cg", omega=1.0), ValueError, "omega was given"),
    "no tolerance": (dict(rtol=0.0), ValueError, "rtol and atol are both 0"),
    "negative rtol": (dict(rtol=-1.0), ValueError, "rtol must be a finite number >= 0"),
    "NaN atol": (dict(atol=np.nan), ValueError, "atol must be a finite number >= 0"),
    "max_iter": (dict(max_iter=2.5), TypeError, "max_iter must be an integer"),
    "x0": (dict(x0=np.ones(3)), ValueError, "x0 has 3 entries, expected 20"),
    "NaN x0": (dict(x0=np.full(20, np.nan)), ValueError, "x0 has nan at index 0"),
}


@pytest.mark.parametrize("options, error, message", WRONG.values(), ids=WRONG)
def test_wrong_options_are_named(options, error, message):
    with pytest.raises(error, match=message):
        solve_linear(SPD, B, **options)


def test_operators_need_products_only():
    with pytest.raises(TypeError, match="needs the entries of A"):
        solve_linear(lambda x: x, B, method="direct")
