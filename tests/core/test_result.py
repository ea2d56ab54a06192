"""Results, statuses and certificates as objects."""

import copy
import json
import math
import pickle

import cloudpickle
import numpy as np
import pytest
from scipy.optimize import OptimizeResult

import numopt
from numopt.core.result import CLAIMS, Certificate, Entry, Result, Status
from numopt.losses import LeastSquares
from numopt.penalties import L1
from numopt.problems import Composite


@pytest.fixture(scope="module")
def problem():
    rng = np.random.default_rng(0)
    A = rng.standard_normal((30, 12))
    return Composite(LeastSquares(A[:, 0] + 0.1 * rng.standard_normal(30)), A, L1(0.1))


@pytest.fixture(scope="module")
def result(problem):
    return numopt.solve(problem)


def certificate(**values):
    return Certificate("global", {k: Entry(v, f"formula of {k}") for k, v in values.items()}, 1.5)


# ---- statuses ------------------------------------------------------------------------------------


def test_statuses_keep_their_numbers():
    numbers = {
        "OPTIMAL": 0, "ITERATION_LIMIT": 1, "INFEASIBLE": 2, "UNBOUNDED": 3,
        "NUMERICAL_TROUBLE": 4, "TIME_LIMIT": 5, "NON_CONVEX": 6, "STALLED": 7,
        "LOCALLY_INFEASIBLE": 8, "INTERRUPTED": 9, "DIVERGED": 10, "UNDECIDED": 11,
        "CALLBACK_STOP": 99,
    }  # fmt: skip
    assert {status.name: int(status) for status in Status} == numbers
    assert all(status.sentence.endswith(".") for status in Status)
    assert Status(5) is Status.TIME_LIMIT
    assert pickle.loads(pickle.dumps(Status.STALLED)) is Status.STALLED
    assert Status.STALLED.sentence != Status.OPTIMAL.sentence


# ---- entries and certificates --------------------------------------------------------------------


def test_entry_is_a_float_that_knows_its_formula():
    entry = Entry(0.5, "|x|", tol=1.0)
    assert entry == 0.5
    assert entry + 1 == 1.5
    assert (entry.value, entry.formula, entry.gate, entry.tol) == (0.5, "|x|", True, 1.0)
    assert entry.met
    for twin in (copy.deepcopy(entry), pickle.loads(pickle.dumps(entry))):
        assert (twin, twin.formula, twin.gate, twin.tol) == (entry, "|x|", True, 1.0)


@pytest.mark.parametrize(
    "value, met",
    [(0.0, True), (1.0, True), (-1.0, True), (1.0 + 1e-15, False), (-1.5, False),
     (np.nan, False), (np.inf, False), (-np.inf, False)],
)  # fmt: skip
def test_an_entry_is_met_within_tol_of_zero(value, met):
    assert Entry(value, tol=1.0).met is met
    assert certificate(a=0.0, b=value).met(1.0) is met
    assert (certificate(a=0.5, b=value).worst(1.0) <= 1.0) is met


def test_an_entry_without_tolerance_is_not_met():
    assert not Entry(0.0).met


def test_worst_is_the_largest_ratio():
    c = certificate(a=1e-3, b=-4e-3)
    assert c.worst(1e-3) == pytest.approx(4.0)
    assert c.at(2e-3).worst() == pytest.approx(2.0)
    assert certificate(a=np.nan, b=0.0).worst(1.0) == math.inf
    assert certificate(a=0.0, b=np.nan).worst(1.0) == math.inf


def test_only_gates_decide():
    c = Certificate("global", {"a": Entry(0.0), "gap": Entry(9.0, gate=False)}, 0.0)
    assert c.met(1e-8)
    assert list(c.gates) == ["a"]
    assert not Certificate("global", {"gap": Entry(0.0, gate=False)}, 0.0).met(1.0)
    assert not Certificate("global", {}, 0.0).met(1.0)


def test_certificate_is_read_by_name_either_way():
    c = certificate(kkt=1e-9).at(1e-8)
    assert c.kkt is c["kkt"]
    assert dict(c) == {"kkt": 1e-9}
    assert "kkt=1.00e-09 <= 1e-08" in repr(c)
    assert "kkt=1.00e-09 > 1e-10" in repr(c.at(1e-10))
    with pytest.raises(AttributeError, match=r"no entry 'gap'; it has \['kkt'\]"):
        _ = c.gap


@pytest.mark.parametrize("how", [pickle, cloudpickle], ids=["pickle", "cloudpickle"])
def test_certificate_round_trip(how):
    c = certificate(kkt=1e-9, other=2.0).at(1e-8)
    twin = how.loads(how.dumps(c))
    assert dict(twin) == dict(c)
    assert (twin.kind, twin.fun, twin.tol) == (c.kind, c.fun, c.tol)
    assert twin.kkt.met
    assert not twin.other.met
    assert dict(copy.deepcopy(c)) == dict(c)


def test_every_kind_has_its_claim(result):
    assert set(CLAIMS) == {"global", "stationary", "local", "feasible", "heuristic"}
    assert result.message == "The certificate meets the tolerance. The point is globally optimal."


# ---- results -------------------------------------------------------------------------------------


def test_result_is_scipy_s(result):
    assert isinstance(result, OptimizeResult)
    assert result["x"] is result.x
    for field in ("x", "fun", "success", "status", "message", "nit", "certificate", "history",
                  "time", "setup_time", "solver", "warm_start"):  # fmt: skip
        assert field in result, field
    assert type(result.success) is bool
    assert type(result.fun) is float


def test_verify_recomputes_from_data(problem, result):
    again = result.verify(problem)
    assert dict(again) == dict(result.certificate)
    assert again.tol == result.certificate.tol
    moved = Result(result)
    moved.x = result.x + 1e-3
    assert not moved.verify(problem).kkt.met
    other = problem.replace(penalty=L1(0.2))
    assert not result.verify(other).kkt.met


def test_verify_needs_a_problem(result):
    with pytest.raises(TypeError, match=r"problem must be one of numopt\.problems, got int"):
        result.verify(3)


def test_history_columns(result):
    history = result.history
    assert list(history)[:3] == ["nit", "time", "fun"]
    assert {len(column) for column in history.values()} == {len(history["nit"])}
    assert (np.diff(history["nit"]) >= 0).all()
    assert (np.diff(history["time"]) >= 0).all()
    assert history["nit"][0] == 0
    assert history["nit"][-1] == result.nit
    assert history["kkt"][-1] <= result.certificate.tol < history["kkt"][0]


def test_to_dict_is_json(result):
    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["x"] == result.x.tolist()
    assert plain["status"] == 0
    assert plain["certificate"]["kkt"]["value"] == result.certificate.kkt
    assert plain["certificate"]["kkt"]["gate"] is True
    assert plain["certificate"]["kind"] == "global"
    assert "warm_start" not in plain


def test_to_dict_of_odd_fields_is_json():
    odd = Result(x=np.float32(1), status=Status.STALLED, parts=[np.arange(2), (1, None)],
                 deep={"a": np.int64(3)}, thing=object, certificate=certificate(a=1.0))  # fmt: skip
    plain = json.loads(json.dumps(odd.to_dict()))
    assert plain["parts"] == [[0, 1], [1, None]]
    assert plain["deep"] == {"a": 3}
    assert plain["x"] == 1.0


def test_repr_shows_the_essentials(result):
    text = repr(result)
    for part in (result.message, "fun:", "nit:", result.solver, "kkt="):
        assert part in text


def test_html_marks_what_is_met(problem, result):
    page = result._repr_html_()
    assert "&#10003;" in page
    assert "max_j dist(-g_j, d phi_j(x)) / alpha_max" in page
    with pytest.warns(numopt.ConvergenceWarning):
        failed = numopt.solve(problem, max_iter=0)
    assert "&#10007;" in failed._repr_html_()
    failed.message = "<script>"
    assert "<script>" not in failed._repr_html_()


def test_plot_draws_each_residual(result):
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots()
    assert result.plot(ax) is ax
    labels = [text.get_text() for text in ax.get_legend().get_texts()]
    assert labels == ["kkt", "tolerance"]
    line = ax.get_lines()[0]
    np.testing.assert_array_equal(line.get_xdata(), result.history["time"])
    plt.close(figure)


@pytest.mark.parametrize("how", [pickle, cloudpickle, copy], ids=lambda how: how.__name__)
def test_result_round_trip(how, problem, result):
    twin = how.deepcopy(result) if how is copy else how.loads(how.dumps(result))
    assert type(twin) is Result
    np.testing.assert_array_equal(twin.x, result.x)
    assert dict(twin.verify(problem)) == dict(result.certificate)
    assert twin.status is Status.OPTIMAL
    assert twin.certificate.kkt.formula == result.certificate.kkt.formula
    assert numopt.solve(problem, warm_start=twin).nit == 0
