"""Every rule of the loop, driven by tiny solvers that do nothing else."""

import os
import signal
import subprocess
import sys
import textwrap
import time
import warnings
from dataclasses import dataclass, field
from typing import ClassVar

import numpy as np
import pytest

import numopt
from numopt.core import clock, engine
from numopt.core.engine import (
    BREAKDOWN,
    DIVERGED,
    DONE,
    GROW,
    INDEFINITE,
    NEED_EVAL,
    RUNNING,
    Solver,
)
from numopt.core.result import Certificate, Entry, Status
from numopt.problems import Problem


@dataclass(frozen=True, eq=False)
class Toy(Problem):
    """Find 0; the residual of x is |x|, whatever a solver says."""

    default_solver: ClassVar[str] = "toy"

    def certificate(self, x):
        return certify(float(np.max(np.abs(x))))


def certify(residual, **more):
    entries = {"residual": Entry(residual, "|x|")}
    entries.update({name: Entry(value, name) for name, value in more.items()})
    return Certificate("global", entries, fun=residual**2)


@dataclass(frozen=True, kw_only=True)
class ToySolver(Solver):
    """Halves x in every iteration; `codes[k]` is answered once iteration k is done."""

    name: ClassVar[str] = "toy"
    accepts: ClassVar[tuple[str, ...]] = ("Toy",)

    rate: float = 0.5
    codes: dict = field(default_factory=dict)
    log: list = field(default_factory=list)

    def init(self, problem, x0, warm):
        start = warm.get("x", 1.0 if x0 is None else x0)
        return {"x": np.atleast_1d(np.asarray(start, float)).copy(), "k": 0}

    def advance(self, problem, state, n):
        self.log.append(n)
        for done in range(1, n + 1):
            self.iterate(problem, state)
            state["k"] += 1
            if state["k"] in self.codes:
                return done, self.codes[state["k"]]
        return n, RUNNING

    def iterate(self, problem, state):
        state["x"] *= self.rate

    def finish(self, problem, state):
        return {"x": state["x"], "warm_start": {"x": state["x"]}, "found_at": state["k"]}


def solve(solver, problem=None, **options):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return solver.solve(problem or Toy(), **options)


# ---- schedule ------------------------------------------------------------------------------------


def test_checks_fall_at_doubling_chunks_up_to_the_cap():
    class Small(ToySolver):
        check_every = 16

        def work(self, problem):
            return 1e4  # first chunk 2

    solver = Small(rate=0.99999, max_iter=100)
    result = solve(solver)
    assert solver.log == [2, 4, 8, 16, 16, 16, 16, 16, 6]
    assert result.history["nit"].tolist() == [0, 2, 6, 14, 30, 46, 62, 78, 94, 100]
    assert result.status == Status.ITERATION_LIMIT
    assert result.nit == 100


def test_schedule_does_not_depend_on_the_clock():
    class Slow(ToySolver):
        def iterate(self, problem, state):
            time.sleep(1e-4 * np.random.default_rng().random())
            super().iterate(problem, state)

    first, second = Slow(rate=0.9), Slow(rate=0.9)
    results = [solve(first), solve(second)]
    assert first.log == second.log
    assert results[0].x == results[1].x
    assert results[0].history["nit"].tolist() == results[1].history["nit"].tolist()


def test_chunk_is_small_where_an_iteration_is_dear():
    class Dear(ToySolver):
        def work(self, problem):
            return 1e12

    solver = Dear(max_iter=5, rate=0.999)
    solve(solver)
    assert solver.log == [1, 1, 1, 1, 1]


@pytest.mark.parametrize("tol, nit", [(0.3, 2), (1e-3, 10), (None, 27)])
def test_stops_at_the_first_check_that_meets_tol(tol, nit):
    class Checked(ToySolver):
        check_every = 1

    result = solve(Checked(tol=tol))
    assert result.success
    assert result.status == 0
    assert result.nit == nit
    assert result.certificate.tol == (tol or 1e-8)
    assert result.certificate.residual == 0.5**nit


def test_solution_given_as_start_costs_no_iteration():
    solver = ToySolver()
    result = solve(solver, x0=0.0)
    assert (result.success, result.nit, solver.log) == (True, 0, [])


# ---- codes ---------------------------------------------------------------------------------------


def test_grow_is_answered_between_the_pieces_of_a_chunk():
    class Growing(ToySolver):
        check_every = 8

        def grow(self, problem, state):
            return {**state, "size": state.get("size", 1) * 2}

        def finish(self, problem, state):
            return {**super().finish(problem, state), "size": state.get("size", 1)}

    solver = Growing(codes={3: GROW, 5: GROW}, max_iter=8, rate=0.99)
    result = solve(solver)
    assert solver.log == [8, 5, 3]
    assert result.size == 4
    assert result.history["nit"].tolist() == [0, 8]


def test_need_eval_is_answered_by_the_problem():
    asked = []

    @dataclass(frozen=True, eq=False)
    class Asked(Toy):
        def evaluate(self, state):
            asked.append(state["k"])

    class Asking(ToySolver):
        accepts = ("Asked",)

    solver = Asking(codes={2: NEED_EVAL, 4: NEED_EVAL}, max_iter=6, rate=0.9)
    result = solve(solver, Asked())
    assert asked == [2, 4]
    assert result.nit == 6


def test_done_that_the_certificate_denies_is_tightened_until_it_gives_up():
    class Tightening(ToySolver):
        def tighten(self, problem, state):
            state["left"] = state.get("left", 3) - 1
            return state["left"] > 0

    result = solve(Tightening(codes=dict.fromkeys(range(1, 99), DONE), rate=0.999))
    assert result.nit == 3
    assert result.status == Status.STALLED
    assert not result.success


@pytest.mark.parametrize(
    "code, status",
    [
        (DONE, Status.STALLED),
        (BREAKDOWN, Status.STALLED),
        (INDEFINITE, Status.NON_CONVEX),
        (DIVERGED, Status.DIVERGED),
    ],
)
def test_codes_end_in_their_status(code, status):
    with pytest.warns(numopt.ConvergenceWarning):
        result = ToySolver(codes={3: code}).solve(Toy())
    assert result.status == status
    assert result.nit == 3
    assert not result.success
    assert int(status) in (6, 7, 10)


def test_a_failure_at_the_solution_is_a_success():
    class Checked(ToySolver):
        check_every = 1

    assert solve(Checked(codes={27: BREAKDOWN})).success


def test_explanation_of_a_failure_reaches_message_and_warning():
    class Explaining(ToySolver):
        def explain(self, problem, state):
            return f"Pivot {state['k']} is negative."

    with pytest.warns(numopt.ConvergenceWarning, match="Pivot 3 is negative"):
        result = Explaining(codes={3: INDEFINITE}).solve(Toy())
    assert result.message.endswith("Pivot 3 is negative.")


# ---- stalls and the best point -------------------------------------------------------------------


def test_best_point_is_the_one_with_the_least_residual():
    class Wandering(ToySolver):
        check_every = 1
        path = (5.0, 3.0, 0.5, 2.0, 8.0, 0.7)

        def iterate(self, problem, state):
            state["x"][:] = self.path[state["k"]]

    result = solve(Wandering(max_iter=6))
    assert result.x == 0.5
    assert result.found_at == 3
    assert result.nit == 6
    assert result.fun == 0.25
    assert result.certificate.residual == 0.5
    assert result.history["residual"].tolist() == [1.0, 5.0, 3.0, 0.5, 2.0, 8.0, 0.7]


def test_best_point_weighs_the_worst_entry():
    @dataclass(frozen=True, eq=False)
    class Two(Toy):
        def certificate(self, x):
            return certify(abs(x[0]), other=abs(x[1]))

    class Path(ToySolver):
        accepts = ("Two",)
        check_every = 1
        path = ((0.0, 9.0), (2.0, 2.0), (9.0, 0.0))

        def iterate(self, problem, state):
            state["x"] = np.array(self.path[state["k"]])

    result = solve(Path(max_iter=3), Two(), x0=[10.0, 10.0])
    assert result.x.tolist() == [2.0, 2.0]


def test_last_point_of_a_descent_method_is_its_best():
    class Descending(ToySolver):
        descent = True
        check_every = 1
        path = (0.9, 0.5, 0.7)  # residuals; the objective, see below, falls

        def iterate(self, problem, state):
            state["x"][:] = self.path[state["k"]]

        def measure(self, problem, state):
            certificate = super().measure(problem, state)
            return Certificate("global", dict(certificate), fun=-state["k"])

    result = solve(Descending(max_iter=3))
    assert result.x == 0.7
    assert result.found_at == 3
    assert result.certificate.residual == 0.7


def test_no_progress_is_a_stall():
    class Checked(ToySolver):
        check_every = 1

    result = solve(Checked(rate=1.0))
    assert result.status == Status.STALLED
    assert result.nit == engine.PATIENCE


def test_patience_of_a_solver_is_heard():
    class Patient(ToySolver):
        check_every = 1
        patience = 200

    result = solve(Patient(rate=1.0))
    assert result.status == Status.STALLED
    assert result.nit == 201


def test_sublinear_progress_is_not_a_stall():
    class Sublinear(ToySolver):
        check_every = 1

        def iterate(self, problem, state):
            state["x"][:] = 1 / np.sqrt(1 + state["k"])

    # One check gains 0.02 % at the end, yet half of all iterations gain 30 %.
    result = solve(Sublinear(tol=0.02))
    assert result.success
    assert result.nit == 2500


def test_a_falling_objective_is_not_a_stall():
    class Lucky(ToySolver):
        """Comes near the tolerance by chance, long before it does for good."""

        check_every = 1

        def iterate(self, problem, state):
            k = state["k"]
            state["x"][:] = 0.2 if k == 3 else 0.5 if k < 100 else 0.0

        def measure(self, problem, state):
            certificate = super().measure(problem, state)
            return Certificate("global", dict(certificate), fun=10.0 - 0.01 * state["k"])

    result = solve(Lucky())
    assert result.success
    assert result.nit == 101


# ---- the verdict ---------------------------------------------------------------------------------


def test_success_is_the_problem_s_word_not_the_solver_s():
    class Lying(ToySolver):
        def measure(self, problem, state):
            return certify(0.0)

    with pytest.warns(numopt.ConvergenceWarning, match=r"residual = 1\.00e\+00 > tol = 1e-08"):
        result = Lying().solve(Toy())
    assert not result.success
    assert result.status == Status.STALLED
    assert result.certificate.residual == 1.0
    assert not result.certificate.residual.met


def test_success_is_granted_where_the_solver_was_too_strict():
    class Shy(ToySolver):
        def measure(self, problem, state):
            return certify(1.0 + super().measure(problem, state).residual)

    result = Shy(max_iter=60).solve(Toy())  # would warn otherwise
    assert result.success
    assert result.status == Status.OPTIMAL


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, -1.0])
def test_what_is_not_a_small_number_never_succeeds(value):
    @dataclass(frozen=True, eq=False)
    class Odd(Toy):
        def certificate(self, x):
            return certify(value, fine=0.0)

    class Any_(ToySolver):
        accepts = ("Odd",)

    result = solve(Any_(max_iter=50), Odd())
    assert not result.success
    assert result.status != 0


def test_a_certificate_without_gates_proves_nothing():
    @dataclass(frozen=True, eq=False)
    class Empty(Toy):
        def certificate(self, x):
            return Certificate("heuristic", {"hint": Entry(0.0, "nothing", gate=False)}, 0.0)

    class Any_(ToySolver):
        accepts = ("Empty",)

    assert not solve(Any_(max_iter=5), Empty()).success


def test_nan_in_one_entry_is_named_by_the_warning():
    @dataclass(frozen=True, eq=False)
    class Half(Toy):
        def certificate(self, x):
            return certify(5.0, broken=np.nan, worse=7.0)

    class Any_(ToySolver):
        accepts = ("Half",)

    with pytest.warns(numopt.ConvergenceWarning, match="broken = nan"):
        Any_(max_iter=1).solve(Half())


# ---- warnings ------------------------------------------------------------------------------------


def test_warning_names_residual_tolerance_iterations_and_remedy():
    with pytest.warns(numopt.ConvergenceWarning) as caught:
        ToySolver(max_iter=3, rate=0.9).solve(Toy())
    text = str(caught[0].message)
    for part in ("ToySolver", "3 iterations", "residual = 7.29e-01", "tol = 1e-08", "|x|",
                 "raise max_iter"):  # fmt: skip
        assert part in text
    assert len(caught) == 1
    assert caught[0].filename == __file__


@pytest.mark.parametrize("imports", ["", "import sklearn.exceptions"])
def test_warning_is_scikit_learn_s_as_well_where_that_is_loaded(imports):
    script = f"""
        import sys, warnings
        {imports}
        import numopt
        from numopt.core import report
        kind = report._warning_class()
        assert issubclass(kind, numopt.ConvergenceWarning)
        loaded = "sklearn.exceptions" in sys.modules
        assert loaded == {bool(imports)}
        if loaded:
            assert issubclass(kind, sklearn.exceptions.ConvergenceWarning)
            assert report._warning_class() is kind
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_inner_solves_can_be_silent():
    assert not engine.run(ToySolver(max_iter=1), Toy(), warn=False).success


# ---- limits, nesting, interrupts -----------------------------------------------------------------


class Napping(ToySolver):
    def iterate(self, problem, state):
        time.sleep(0.002)

    def work(self, problem):
        return 2e7


def test_time_limit_returns_the_best_point():
    result = solve(Napping(time_limit=0.02, max_iter=10_000, rate=1 - 1e-9))
    assert result.status == Status.TIME_LIMIT
    assert result.time < 2.0
    assert 1 <= result.nit < 1000


def test_time_limit_holds_while_evaluations_are_pending():
    class Asking(Napping):
        def advance(self, problem, state, n):
            return 0, NEED_EVAL

        def evaluate(self, problem, state):
            time.sleep(0.002)

    result = solve(Asking(time_limit=0.02))
    assert result.status == Status.TIME_LIMIT
    assert result.time < 2.0


def test_inner_solve_ends_at_the_outer_deadline():
    inner_results, left = [], []

    class Outer(ToySolver):
        def iterate(self, problem, state):
            left.append(engine.time_left())
            inner_results.append(solve(Napping(rate=1 - 1e-9)))

    result = solve(Outer(time_limit=0.03))
    assert inner_results[0].status == Status.TIME_LIMIT
    assert inner_results[0].nit < 1000
    assert result.status == Status.TIME_LIMIT
    assert result.time < 2.0
    assert 0 < left[0] <= 0.03
    assert engine.time_left() == np.inf


def test_explicit_deadline_and_own_limit_both_hold():
    for options in ({"time_limit": 0.02}, {}):
        deadline = time.perf_counter() + (9.0 if options else 0.02)
        result = engine.run(Napping(rate=1 - 1e-9, **options), Toy(), deadline=deadline, warn=False)
        assert result.status == Status.TIME_LIMIT
        assert result.time < 2.0


@pytest.mark.parametrize("compiles", [False, True])
def test_compiling_is_not_charged(monkeypatch, compiles):
    class Compiling(ToySolver):
        check_every = 1

        def iterate(self, problem, state):
            time.sleep(0.002)
            if compiles:
                monkeypatch.setattr(clock, "_total", clock.compile_seconds() + 0.1)
            super().iterate(problem, state)

    result = engine.run(Compiling(time_limit=0.004), Toy(), warn=False)
    assert result.status == (Status.OPTIMAL if compiles else Status.TIME_LIMIT)


def test_clock_counts_nested_compilations_once(monkeypatch):
    ticks = iter([1.0, 4.0])
    monkeypatch.setattr(clock, "perf_counter", lambda: next(ticks))
    before = clock.compile_seconds()
    clock.began()
    clock.began()
    clock.ended()
    assert clock.compile_seconds() == before
    clock.ended()
    assert clock.compile_seconds() - before == 3.0


def test_kernels_are_compiled_by_the_clock():
    from numopt.core.jit import kernel

    @kernel
    def fresh(x):
        return x + 1

    before = clock.compile_seconds()
    assert fresh(1.0) == 2.0
    after = clock.compile_seconds()
    assert after > before
    assert fresh(2.0) == 3.0
    assert clock.compile_seconds() == after


class Interrupted(ToySolver):
    check_every = 1

    def iterate(self, problem, state):
        if state["k"] == 3:
            raise KeyboardInterrupt
        super().iterate(problem, state)


def test_interrupt_returns_the_best_point():
    result = Interrupted().solve(Toy())  # no warning: the user knows
    assert result.status == Status.INTERRUPTED
    assert not result.success
    assert result.x == 0.125
    assert result.certificate.residual == 0.125


def test_interrupt_is_raised_on_request():
    with pytest.raises(KeyboardInterrupt):
        Interrupted(on_interrupt="raise").solve(Toy())


def test_interrupt_before_there_is_a_point_is_raised():
    class Early(ToySolver):
        def init(self, problem, x0, warm):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Early().solve(Toy())


def test_interrupt_in_the_callback_counts_as_one():
    def callback(intermediate_result):
        raise KeyboardInterrupt

    assert solve(ToySolver(), callback=callback).status == Status.INTERRUPTED


def test_interrupt_of_an_inner_solve_ends_the_outer_one():
    class Outer(ToySolver):
        check_every = 1

        def iterate(self, problem, state):
            super().iterate(problem, state)
            if state["k"] == 4:
                Interrupted().solve(Toy())

    result = Outer().solve(Toy())
    assert result.status == Status.INTERRUPTED
    assert result.x == 0.5**4


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
def test_interrupt_by_signal():
    def callback(intermediate_result):
        if intermediate_result.nit >= 5:
            os.kill(os.getpid(), signal.SIGINT)

    class Checked(ToySolver):
        check_every = 1

    result = solve(Checked(), callback=callback)
    assert result.status == Status.INTERRUPTED
    assert 5 <= result.nit < 27


# ---- callback ------------------------------------------------------------------------------------


def test_callback_sees_the_current_point():
    seen = []
    result = solve(ToySolver(max_iter=7, rate=0.9), callback=lambda r: seen.append(r) or False)
    assert [r.nit for r in seen] == result.history["nit"][1:].tolist()
    assert seen[-1].x == pytest.approx(0.9**7)
    assert seen[-1].fun == pytest.approx(0.81**7)
    assert seen[-1].certificate.residual == seen[-1].x
    assert seen[-1].certificate.tol == 1e-8


def test_callback_cannot_disturb_the_run():
    def vandal(intermediate_result):
        intermediate_result.x[:] = np.nan

    assert solve(ToySolver(), callback=vandal).success


@pytest.mark.parametrize("how", ["StopIteration", "True"])
def test_callback_stops(how):
    def callback(intermediate_result):
        if how == "True":
            return True
        raise StopIteration

    class Checked(ToySolver):
        check_every = 4

    result = Checked(rate=0.9).solve(Toy(), callback=callback)  # no warning: the user knows
    assert result.status == Status.CALLBACK_STOP == 99
    assert not result.success
    assert result.nit == 4


@pytest.mark.parametrize("answer", [1, "yes", np.ones(2), np.False_], ids=repr)
def test_other_answers_of_a_callback_mean_nothing(answer):
    assert ToySolver().solve(Toy(), callback=lambda shown: answer).success


def test_callback_errors_propagate():
    with pytest.raises(ZeroDivisionError):
        solve(ToySolver(), callback=lambda r: 1 / 0)


# ---- front door ----------------------------------------------------------------------------------


def test_options_replace_fields_of_an_instance():
    base = ToySolver(rate=0.9)
    result = numopt.solve(Toy(), base, x0=4.0, tol=0.5, max_iter=500)
    assert base.tol is None
    assert result.certificate.tol == 0.5
    assert "tol=0.5" in result.solver
    assert "rate=0.9" in result.solver


def test_unknown_option_names_the_nearest():
    with pytest.raises(
        TypeError, match=r"ToySolver has no option 'max_itr'; did you mean 'max_iter'"
    ):
        numopt.solve(Toy(), ToySolver(), max_itr=3)
    with pytest.raises(TypeError, match=r"has no option 'zzz'; it has max_iter, tol"):
        numopt.solve(Toy(), ToySolver(), zzz=3)


def test_wrong_problem_is_refused_with_who_can():
    with pytest.raises(
        TypeError, match="ProximalGradient solves Composite, SmoothComposite, not Toy"
    ):
        numopt.solve(Toy(), "prox-grad")
    with pytest.raises(TypeError, match=r"problem must be one of numopt\.problems, got int"):
        numopt.solve(3)


def test_subclass_of_an_accepted_problem_is_accepted():
    class Special(Toy):
        pass

    assert solve(ToySolver(), Special()).success


def test_warm_start_takes_a_result_or_its_field():
    first = solve(ToySolver(max_iter=20))
    for warm in (first, first.warm_start):
        second = solve(ToySolver(), warm_start=warm, x0=123.0)
        assert second.success
        assert second.history["residual"][0] == first.x


def test_repr_shows_what_was_set():
    assert repr(ToySolver(tol=1e-3, log=[])).startswith("ToySolver(tol=0.001")
    assert eval(repr(ToySolver(tol=1e-3, log=[]))) == ToySolver(tol=1e-3)


def test_lines_and_bar_show_every_check(capsys):
    result = solve(ToySolver(verbose=2, max_iter=30, rate=0.9))
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ToySolver"
    assert lines[1].split() == ["nit", "seconds", "objective", "residual"]
    assert [int(line.split()[0]) for line in lines[2:]] == result.history["nit"].tolist()
    solve(ToySolver(verbose=1, max_iter=30, rate=0.9))
    bar = capsys.readouterr().err
    assert "ToySolver" in bar
    assert "residual 4.2e-02 -> 1e-08" in bar


def test_setup_is_charged_to_the_clock():
    class Heavy(ToySolver):
        def init(self, problem, x0, warm):
            time.sleep(0.03)
            return super().init(problem, x0, warm)

    result = solve(Heavy(time_limit=0.01, rate=0.99))
    assert result.status == Status.TIME_LIMIT
    assert result.nit == 0
    assert 0.03 <= result.setup_time <= result.time
