"""What every solver owes its users, on every kind of problem it takes: see `table.py`."""

import io
import os
import pickle
import subprocess
import sys
import textwrap
import warnings
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cloudpickle
import joblib
import numpy as np
import pytest
import scipy.sparse as sp

import numopt
from numopt import solvers
from numopt.core.engine import GROW, NEED_EVAL, RUNNING
from tests.helpers.load import busy_machine
from tests.solvers.table import ROWS

ROOT = Path(__file__).parents[2]


def cases(keep=lambda row, generator: True, first_only=False):
    return [
        pytest.param(row, generator, id=f"{row.name}-{generator}")
        for row in ROWS
        for generator in (row.generators[:1] if first_only else row.generators)
        if keep(row, generator)
    ]


every_case = pytest.mark.parametrize("row, generator", cases())
first_cases = pytest.mark.parametrize("row, generator", cases(first_only=True))
busy_rows = pytest.mark.parametrize(
    "row", [row for row in ROWS if row.hard], ids=lambda row: row.name
)
every_row = pytest.mark.parametrize("row", ROWS, ids=lambda row: row.name)
matrix_cases = pytest.mark.parametrize(
    "row, generator", cases(lambda row, generator: generator.matrix, first_only=True)
)


def solve(row, problem, **options):
    """Solve with the row's solver; not meeting a tolerance is not an error here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        return numopt.solve(problem, row.solver, **options)


def same_bits(a, b):
    return a.dtype == b.dtype and a.tobytes() == b.tobytes()


# ---- the verdict ---------------------------------------------------------------------------------


@every_case
def test_success_is_what_the_data_say(row, generator):
    arrays = generator.arrays()
    problem = generator.build(**arrays)
    result = numopt.solve(problem, row.solver)  # a warning would be an error
    assert result.success
    assert result.status == 0
    certificate = result.certificate
    assert all(entry.met for entry in certificate.gates.values())
    assert max(certificate.gates.values()) <= row.tol
    assert dict(result.verify(problem)) == dict(certificate)
    assert generator.residual(arrays, result) == pytest.approx(
        max(certificate.gates.values()), rel=1e-2, abs=1e-3 * row.tol
    )
    assert result.fun == pytest.approx(problem.objective(result.x, **problem.parts_of(result)))


@every_case
def test_history_is_consistent(row, generator):
    result = solve(row, generator.make())
    history = result.history
    assert {"nit", "time", "fun"} < set(history)
    assert {len(column) for column in history.values()} == {len(history["nit"])}
    assert history["nit"][0] == 0 or len(history["nit"]) == 1  # solved at once
    assert history["nit"][-1] == result.nit
    assert (np.diff(history["nit"]) >= 0).all()
    assert (np.diff(history["time"]) >= 0).all()
    assert 0 <= result.setup_time <= history["time"][0] <= history["time"][-1] <= result.time
    assert history["fun"][-1] == pytest.approx(result.fun, rel=1e-9)


@pytest.mark.parametrize("row, generator", cases(lambda row, generator: generator.float32))
def test_float32_stays_float32(row, generator):
    arrays = generator.arrays(dtype=np.float32)
    problem = generator.build(**arrays)
    result = numopt.solve(problem, row.solver)
    assert result.success
    assert result.certificate.tol == 1e-5
    assert result.x.dtype == np.float32
    assert generator.residual(arrays, result) <= 1.1e-5
    assert dict(result.verify(problem)) == dict(result.certificate)
    if generator.convex:
        exact = solve(row, generator.make())
        np.testing.assert_allclose(result.x, exact.x, atol=2e-3 * np.abs(exact.x).max())


# ---- starts --------------------------------------------------------------------------------------


@every_case
def test_from_the_answer_there_is_nothing_to_do(row, generator):
    problem = generator.make()
    first = solve(row, problem)
    second = solve(row, problem, warm_start=first)
    assert second.success
    assert second.nit <= row.restart
    assert len(second.history["nit"]) <= 3
    np.testing.assert_allclose(second.x, first.x, rtol=1e-6, atol=1e-6 * np.abs(first.x).max())
    assert solve(row, problem, warm_start=first.warm_start).nit == second.nit


@every_case
def test_any_start_leads_to_the_tolerance(row, generator):
    result = solve(row, generator.make(), x0=generator.x0(np.random.default_rng(5)))
    assert result.success


@every_case
def test_inputs_are_left_alone(row, generator):
    arrays = generator.arrays()
    x0 = generator.x0(np.random.default_rng(1))
    before = pickle.dumps((arrays, x0))
    solve(row, generator.build(**arrays), x0=x0)
    solve(row, generator.build(**arrays), x0=x0, max_iter=1)
    assert pickle.dumps((arrays, x0)) == before
    for value in (x0, *arrays.values()):
        assert not isinstance(value, np.ndarray) or value.flags.writeable


@every_case
def test_no_iterations_returns_the_start(row, generator):
    x0 = generator.x0(np.random.default_rng(2))
    with pytest.warns(numopt.ConvergenceWarning, match="after 0 iterations"):
        result = numopt.solve(generator.make(), row.solver, x0=x0, max_iter=0)
    assert result.status == 1
    assert result.nit == 0
    np.testing.assert_array_equal(result.x, x0)


# ---- bits ----------------------------------------------------------------------------------------


@every_case
def test_same_bits_again_and_under_load(row, generator):
    first = solve(row, generator.make())
    again = solve(row, generator.make())
    with busy_machine():
        loaded = solve(row, generator.make())
    for other in (again, loaded):
        assert same_bits(other.x, first.x)
        assert other.nit == first.nit
        assert other.history["fun"].tolist() == first.history["fun"].tolist()


@every_case
def test_eight_threads_give_the_bits_of_one(row, generator):
    problems = [generator.make(seed) for seed in range(16)]
    alone = [row.solver.solve(problem).x for problem in problems]
    fresh = [generator.make(seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda problem: row.solver.solve(problem).x, fresh))
    assert all(map(same_bits, alone, together))


@busy_rows
def test_iterations_may_be_done_in_pieces(row):
    problem = row.hard.make()
    points = [drive(row.solver, problem, pieces) for pieces in ((7,), (3, 4), (1,) * 7)]
    assert np.any(points[0])
    assert all(same_bits(point, points[0]) for point in points)


def drive(solver, problem, pieces):
    """The point after chunks of these many iterations."""
    state = solver.init(problem, None, {})
    for n in pieces:
        done = 0
        while done < n:
            k, code = solver.advance(problem, state, n - done)
            done += k
            if code == GROW:
                state = solver.grow(problem, state)
            elif code == NEED_EVAL:
                solver.evaluate(problem, state)
            else:
                assert code == RUNNING
        assert done == n
    return np.array(solver.finish(problem, state)["x"])


# ---- pickles -------------------------------------------------------------------------------------


def by_joblib(value):
    buffer = io.BytesIO()
    joblib.dump(value, buffer)
    buffer.seek(0)
    return joblib.load(buffer)


ROUND_TRIPS = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "cloudpickle": lambda value: cloudpickle.loads(cloudpickle.dumps(value)),
    "joblib": by_joblib,
}


@pytest.mark.parametrize("how", ROUND_TRIPS)
@every_case
def test_solver_problem_and_result_survive_pickling(row, generator, how):
    trip = ROUND_TRIPS[how]
    problem = generator.make()
    result = solve(row, problem)  # before pickling: caches must not travel
    solver, twin, copy = trip(row.solver), trip(problem), trip(result)
    assert solver == row.solver
    assert same_bits(copy.x, result.x)
    assert dict(copy.certificate) == dict(result.certificate)
    assert copy.status is result.status
    assert dict(copy.verify(twin)) == pytest.approx(dict(result.certificate), rel=1e-6, abs=1e-12)
    assert same_bits(solver.solve(twin).x, result.x)
    assert solver.solve(twin, warm_start=copy).nit <= row.restart


@every_row
def test_repr_makes_the_solver_again(row):
    changed = type(row.solver)(tol=1e-3, max_iter=7, time_limit=2.5)
    for solver in (row.solver, changed):
        assert eval(repr(solver), {type(solver).__name__: type(solver)}) == solver
    assert getattr(solvers, type(changed).__name__) is type(changed)
    assert solve(row, row.generators[0].make()).solver == repr(row.solver)


# ---- limits, callbacks, interrupts, progress -----------------------------------------------------


@busy_rows
def test_time_limit_is_kept(row):
    problem = row.hard.make()
    solve(row, problem, max_iter=3)  # compiled by now
    result = solve(row, problem, tol=1e-15, time_limit=0.05, max_iter=10**9)
    assert result.status == 5
    assert not result.success
    assert 0.05 <= result.time < 5.0  # generous: other people use the machine, too
    assert dict(result.verify(problem)) == dict(result.certificate)


@pytest.mark.parametrize("how", ["raise", "return"])
@busy_rows
def test_callback_stops_the_run(row, how):
    seen = []

    def callback(intermediate_result):
        seen.append(intermediate_result)
        if len(seen) == 2:
            if how == "return":
                return True
            raise StopIteration
        return None

    problem = row.hard.make()
    result = numopt.solve(problem, row.solver, tol=1e-15, callback=callback)
    assert result.status == 99
    assert not result.success
    assert len(seen) == 2
    assert seen[-1].nit == result.nit > seen[0].nit > 0
    for shown in seen:
        assert shown.x.shape == result.x.shape
        assert shown.fun == pytest.approx(problem.objective(shown.x), rel=1e-9)
        assert set(shown.certificate.gates) <= set(result.certificate)


@busy_rows
def test_callback_errors_propagate(row):
    with pytest.raises(ZeroDivisionError):
        numopt.solve(row.hard.make(), row.solver, callback=lambda shown: 1 / 0)


@pytest.mark.skipif(sys.platform == "win32", reason="POSIX signals")
@busy_rows
def test_interrupt_returns_or_raises(row):
    script = f"""
        import os, signal, threading
        import numopt
        from tests.solvers.table import ROWS

        row = ROWS[{ROWS.index(row)}]
        problem = row.hard.make()

        def interrupt_soon(shown):
            if not timers:
                timers.append(threading.Timer(0.02, os.kill, (os.getpid(), signal.SIGINT)))
                timers[0].start()

        options = dict(tol=1e-15, max_iter=10**9, time_limit=60, callback=interrupt_soon)
        timers = []
        result = numopt.solve(problem, row.solver, **options)
        assert result.status == 9, result.status
        assert not result.success
        assert result.nit > 0
        assert result.certificate.fun == problem.certificate(result.x).fun
        timers.clear()
        try:
            numopt.solve(problem, row.solver, on_interrupt="raise", **options)
        except KeyboardInterrupt:
            print("raised")
    """
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        capture_output=True, text=True, cwd=ROOT, env={**os.environ, "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout == "raised\n"


@every_row
def test_progress_is_shown(row, capsys):
    problem = row.generators[0].make()
    result = solve(row, problem, verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == type(row.solver).__name__
    assert lines[1].split()[:3] == ["nit", "seconds", "objective"]
    assert [int(line.split()[0]) for line in lines[2:]] == result.history["nit"].tolist()
    solve(row, problem, verbose=1)
    bar = capsys.readouterr()
    assert type(row.solver).__name__ in bar.err
    assert bar.out == ""
    solve(row, problem)
    assert capsys.readouterr() == ("", "")


@every_row
def test_options_belong_to_the_solver(row):
    problem = row.generators[0].make()
    result = numopt.solve(problem, row.solver, tol=1e-3)
    assert result.certificate.tol == 1e-3
    assert numopt.solve(problem, row.solver.name, tol=1e-3).success
    assert numopt.solve(problem, type(row.solver).__name__, tol=1e-3).success
    with pytest.raises(TypeError, match=r"has no option 'max_itr'; did you mean 'max_iter'\?"):
        numopt.solve(problem, row.solver, max_itr=10)
    with pytest.raises(TypeError, match=r"has no option 'max_itr'; did you mean 'max_iter'\?"):
        numopt.solve(problem, row.solver.name, max_itr=10)


# ---- storage of the matrix -----------------------------------------------------------------------


def read_only(A, folder):
    A = np.asfortranarray(A)
    A.setflags(write=False)
    return A


def strided(A, folder):
    wide = np.full((2 * A.shape[0], 3 * A.shape[1]), np.pi)
    wide[::2, ::3] = A
    return wide[::2, ::3]


def reversed_strides(A, folder):
    return np.ascontiguousarray(A[::-1, ::-1])[::-1, ::-1]


def memmap(A, folder):
    np.save(folder / "A.npy", A)
    return np.load(folder / "A.npy", mmap_mode="r")


DENSE_FORMS = {
    "C order": lambda A, folder: np.ascontiguousarray(A),
    "read-only": read_only,
    "strided": strided,
    "reversed": reversed_strides,
    "memmap": memmap,
    "list": lambda A, folder: A.tolist(),
    "swapped bytes": lambda A, folder: A.astype(A.dtype.newbyteorder()),
    "matrix": lambda A, folder: np.ma.MaskedArray(A, mask=False),
}


@pytest.mark.parametrize("form", DENSE_FORMS)
@matrix_cases
def test_dense_storage_makes_no_difference(row, generator, form, tmp_path):
    A = np.asfortranarray(generator.arrays()[generator.matrix])
    expected = solve(row, generator.make(**{generator.matrix: A}))
    other = DENSE_FORMS[form](A, tmp_path)
    before = pickle.dumps(other)
    result = solve(row, generator.make(**{generator.matrix: other}))
    assert result.success
    assert pickle.dumps(other) == before
    np.testing.assert_allclose(result.x, expected.x, atol=1e-6 * np.abs(expected.x).max())


@matrix_cases
def test_integers_and_booleans_are_numbers(row, generator):
    arrays = generator.arrays()
    for dtype in (np.int64, np.int8, np.float16, np.longdouble):
        A = np.rint(2 * arrays[generator.matrix]).astype(dtype)
        result = solve(row, generator.make(**{generator.matrix: A}))
        wide = solve(row, generator.make(**{generator.matrix: A.astype(np.float64)}))
        assert same_bits(result.x, wide.x)


def with_explicit_zeros(A):
    coo = sp.coo_array(A)
    row, col = np.append(coo.row, [0, 0]), np.append(coo.col, [0, A.shape[1] - 1])
    return sp.csc_array((np.append(coo.data, [0.0, 0.0]), (row, col)), shape=A.shape)


def with_duplicates(A):
    coo = sp.coo_array(A)
    return sp.coo_array(
        (np.concatenate([0.25 * coo.data, 0.75 * coo.data]),
         (np.tile(coo.row, 2), np.tile(coo.col, 2))), shape=A.shape,
    )  # fmt: skip


def duplicates_by_columns(A):
    csc = sp.csc_array(A)
    return sp.csc_array(
        (np.repeat(csc.data / 2, 2), np.repeat(csc.indices, 2), 2 * csc.indptr), shape=A.shape
    )


def with_long_indices(A):
    csc = sp.csc_array(A)
    csc.indices, csc.indptr = csc.indices.astype(np.int64), csc.indptr.astype(np.int64)
    return csc


def unsorted(A):
    csc = sp.csc_array(A)
    for j in range(A.shape[1]):
        part = slice(csc.indptr[j], csc.indptr[j + 1])
        csc.indices[part], csc.data[part] = csc.indices[part][::-1], csc.data[part][::-1]
    csc.has_sorted_indices = False
    return csc


def frozen(A):
    csc = sp.csc_array(A)
    for array in (csc.data, csc.indices, csc.indptr):
        array.setflags(write=False)
    return csc


SPARSE_FORMS = {
    "csc": sp.csc_array,
    "csr": sp.csr_array,
    "old csr": sp.csr_matrix,
    "coo": sp.coo_array,
    "lil": sp.lil_array,
    "explicit zeros": with_explicit_zeros,
    "duplicates": with_duplicates,
    "duplicates by columns": duplicates_by_columns,
    "int64 indices": with_long_indices,
    "unsorted": unsorted,
    "read-only": frozen,
}


@pytest.mark.parametrize("form", SPARSE_FORMS)
@matrix_cases
def test_sparse_storage_makes_no_difference(row, generator, form):
    A = thinned(generator)
    expected = solve(row, generator.make(**{generator.matrix: A}))
    other = SPARSE_FORMS[form](A)
    before = pickle.dumps(other.data), other.nnz
    problem = generator.make(**{generator.matrix: other})
    result = solve(row, problem)
    assert expected.success
    assert result.success
    assert (pickle.dumps(other.data), other.nnz) == before
    np.testing.assert_allclose(result.x, expected.x, atol=1e-6 * np.abs(expected.x).max())
    assert problem.objective(result.x) == pytest.approx(expected.fun, rel=1e-8)


def thinned(generator):
    """Two thirds of the matrix' entries set to 0, symmetrically if it is square."""
    A = generator.arrays()[generator.matrix].copy()
    keep = np.random.default_rng(0).random(A.shape) < 1 / 3
    if A.shape[0] == A.shape[1]:
        keep = np.triu(keep) | np.triu(keep).T | np.eye(len(A), dtype=bool)
    return A * keep


# ---- scale and odd shapes ------------------------------------------------------------------------


@pytest.mark.parametrize("factor", [1e-6, 1e6])
@pytest.mark.parametrize("row, generator", cases(lambda row, generator: generator.scaled))
def test_units_of_the_data_make_no_difference(row, generator, factor):
    expected = solve(row, generator.make())
    arrays, ratio = generator.scaled(generator.arrays(), factor)
    result = solve(row, generator.build(**arrays))
    assert result.success
    np.testing.assert_allclose(
        result.x / ratio, expected.x, rtol=1e-5, atol=1e-6 * np.abs(expected.x).max()
    )
    assert generator.residual(arrays, result) <= 1.1 * row.tol


ODD_DATA = {
    "zero rows": lambda A, y: (np.where(np.arange(len(A))[:, None] % 3, A, 0.0), y),
    "zero columns": lambda A, y: (np.where(np.arange(A.shape[1]) % 3, A, 0.0), y),
    "zero matrix": lambda A, y: (0.0 * A, y),
    "duplicate rows": lambda A, y: (np.repeat(A, 3, axis=0), np.repeat(y, 3)),
    "duplicate columns": lambda A, y: (np.repeat(A, 3, axis=1), y),
    "opposite columns": lambda A, y: (np.hstack([A, -A]), y),
    "one column": lambda A, y: (A[:, :1], y),
    "no column": lambda A, y: (A[:, :0], y),
    "one row": lambda A, y: (A[:1], y[:1]),
    "constant column": lambda A, y: (np.hstack([A, np.ones((len(A), 1))]), y),
    "units apart": lambda A, y: (A * np.logspace(-4, 4, A.shape[1]), y),
}


# Numba compiles anew for matrices of one row or column: one generator is enough.
NARROW = ("one column", "one row")


@pytest.mark.parametrize(
    "row, generator, odd",
    [
        pytest.param(row, generator, odd, id=f"{row.name}-{generator}-{odd}")
        for row in ROWS
        for generator in row.generators
        for odd in ODD_DATA
        if {"A", "y"} <= set(generator.arrays())
        and (odd not in NARROW or generator is row.generators[0])
    ],
)
def test_odd_data(row, generator, odd):
    arrays = generator.arrays()
    arrays["A"], arrays["y"] = ODD_DATA[odd](arrays["A"], arrays["y"])
    if odd == "no column" and odd in generator.excused:
        with pytest.raises(ValueError, match=r"A has no columns|groups is empty"):
            generator.build(**arrays)
        return
    problem = generator.build(**arrays)
    result = solve(row, problem)
    assert np.isfinite(result.x).all()
    assert dict(result.verify(problem)) == dict(result.certificate)
    if odd not in generator.excused:
        assert result.success
        assert generator.residual(arrays, result) <= 1.1 * row.tol


@pytest.mark.parametrize(
    "row, generator", cases(lambda row, generator: "alpha" in generator.arrays())
)
def test_strength_zero_and_beyond_the_largest(row, generator):
    arrays = generator.arrays()
    largest = generator.build(**arrays).alpha_max()
    for alpha in (1.01 * largest, 1e6 * largest):
        result = solve(row, generator.build(**{**arrays, "alpha": alpha}))
        assert result.success
        assert not result.x.any()
        assert result.nit == 0
    tall = {**arrays, "A": arrays["A"][:, :10], "alpha": 0.0}
    result = solve(row, generator.build(**tall))
    assert result.success
    assert generator.residual(tall, result) <= 1.1 * row.tol
