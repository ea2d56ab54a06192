"""Kernels and their cache, seen from fresh processes: the traps of compiled code, one by one."""

import json
import os
import threading

import numpy as np
import pytest

import numopt
from numopt.core import cache_folder, jit
from numopt.losses import LeastSquares
from numopt.penalties import L1, MCP
from numopt.problems import Composite
from tests.helpers.processes import fresh

USER = """
    import numba, numopt
    from helper import bent, POWER

    @numopt.block(convex=True)
    class Bent:
        alpha: float
        def value_1d(self, x, j):
            return self.alpha * bent(x) * POWER
        def prox_1d(self, x, step, j):
            return x / (1 + step * self.alpha)
"""
HELPER = "import numba\nFACTOR = 1.0\nPOWER = 1.0\n@numba.njit\ndef bent(x): return FACTOR * x\n"

# Prints the value and the prox of the penalty P, and what the cache did.
USE = """
    import json, numpy as np
    from numopt.core import jit
    from numopt.core.generic import penalty_prox, penalty_value
    x = np.array([3.0])
    block = P(1.0).spec()
    answer = [penalty_value(block, x), penalty_prox(block, x, 1.0)[0]]
    print(json.dumps([answer, jit.statistics]))
"""
USER_SCRIPT = "from user import Bent as P\n" + "\n".join(line[4:] for line in USE.splitlines())
L1_SCRIPT = USER_SCRIPT.replace("user import Bent", "numopt.penalties import L1")


def write(folder, **sources):
    for name, source in sources.items():
        lines = source.splitlines()
        indent = 4 if lines and not lines[0] else 0
        (folder / f"{name}.py").write_text("\n".join(line[indent:] for line in lines))


@pytest.fixture
def run(processes, tmp_path):
    """Run a script with a cache of its own; gives (answer, statistics)."""

    def run(script, **env):
        env = {"NUMOPT_CACHE_DIR": str(tmp_path / "cache")} | env
        return processes.run(script, tmp_path, **env).result

    return run


def hits(statistics):
    return statistics["misses"] == 0 and statistics["hits"] > 0


def entries(folder):
    return sorted(folder.glob("*.nbc"))


# ---- no stale code, no poisoned index ------------------------------------------------------------


def test_edits_count_in_the_next_process_and_can_be_taken_back(run, tmp_path):
    write(tmp_path, user=USER, helper=HELPER)
    first, statistics = run(USER_SCRIPT)
    assert first == [3.0, 1.5]
    assert statistics["misses"] == statistics["saved"] == 2
    assert hits(run(USER_SCRIPT)[1])

    write(tmp_path, user=USER.replace("* POWER", "* POWER + 1"))
    answer, statistics = run(USER_SCRIPT)
    assert answer == [4.0, 1.5]
    assert statistics["misses"] == 2  # another class by name: its prox compiles anew as well
    write(tmp_path, user="\n# a comment\n" + USER.replace("return x /", "return x /  # two\\\n"))
    write(
        tmp_path,
        user="\n    # a comment" + USER.replace("    def", "    # and another\n        def"),
    )
    answer, statistics = run(USER_SCRIPT)
    assert answer == first
    assert hits(statistics)

    write(tmp_path, helper=HELPER.replace("* x", "* x * x"))
    assert run(USER_SCRIPT)[0] == [9.0, 1.5]
    write(tmp_path, helper=HELPER.replace("FACTOR = 1.0", "FACTOR = 2.0"))
    assert run(USER_SCRIPT)[0] == [6.0, 1.5]
    write(tmp_path, helper=HELPER.replace("POWER = 1.0", "POWER = 5.0"))
    assert run(USER_SCRIPT)[0] == [15.0, 1.5]
    write(tmp_path, helper=HELPER)
    answer, statistics = run(USER_SCRIPT)
    assert answer == first
    assert hits(statistics)


def test_a_missing_user_module_does_no_harm(run, tmp_path):
    write(tmp_path, user=USER, helper=HELPER)
    run(USER_SCRIPT)
    run(L1_SCRIPT)
    (tmp_path / "user.py").unlink()
    answer, statistics = run(L1_SCRIPT)
    assert answer == [3.0, 2.0]
    assert hits(statistics)


@pytest.mark.parametrize("place", ["main", "locals"])
def test_classes_of_scripts_and_functions_are_cached(run, tmp_path, place):
    write(tmp_path, helper=HELPER)
    body = "\n".join(line[4:] for line in USER.splitlines()).replace("class Bent", "class P")
    if place == "locals":
        body = "def make():\n" + "\n".join("    " + line for line in body.splitlines())
        body += "\n    return P\nP = make()\n"
    script = body + "\n".join(USER_SCRIPT.splitlines()[1:])
    assert run(script)[0] == [3.0, 1.5]
    answer, statistics = run(script)
    assert answer == [3.0, 1.5]
    assert hits(statistics)


def test_classes_of_no_module_run_uncached(run, tmp_path):
    write(tmp_path, helper=HELPER)
    body = "\n".join(line[4:] for line in USER.splitlines()).replace("class Bent", "class P")
    script = f"space = {{}}\nexec({body!r}, space)\nP = space['P']\n"
    script += "\n".join(USER_SCRIPT.splitlines()[1:])
    for _ in range(2):
        answer, statistics = run(script)
        assert answer == [3.0, 1.5]
        assert statistics["saved"] == 0


CLOSURES = """
import json, sys
import numpy as np
from numopt.core.jit import inner, kernel, statistics

def make(factor):
    @inner
    def scaled(x):  # long enough not to be inlined
        s = np.zeros(5)
        for i in range(5):
            for k in range(int(x) + 3):
                s[i] += np.sin(x * factor * i) ** k
        s.sort()
        return 0 * s.sum() + factor
    return scaled

two, three = make(2.0), make(3.0)

@kernel
def with_two(x):
    return two(x) * two(2 * x) * two(3 * x)

@kernel
def with_three(x):
    return three(x) * three(2 * x) * three(3 * x)
"""


def test_entries_of_several_processes_keep_their_own_helpers(run):
    """Numba numbers functions of one name by process; the linker takes the first of a symbol."""
    show = "print(json.dumps([with_{}(1.0), statistics]))"
    assert run(CLOSURES + show.format("two"))[0] == 8.0
    assert run(CLOSURES + show.format("three"))[0] == 27.0
    both = "print(json.dumps([[with_two(1.0), with_three(1.0)], statistics]))"
    answer, statistics = run(CLOSURES + both)
    assert answer == [8.0, 27.0]
    assert hits(statistics)


def test_classes_of_one_name_never_share_code(run):
    script = """
        import sys, types
        penalties = []
        for factor in (2.0, 3.0, 5.0):
            module = types.ModuleType("twin")
            sys.modules["twin"] = module
            module.FACTOR = factor
            exec('''
        import numopt
        @numopt.block
        class P:
            alpha: float
            def value_1d(self, x, j): return self.alpha * x * FACTOR
            def prox_1d(self, x, step, j): return x * FACTOR
        '''.replace("        ", "", 1).replace("\\n        ", "\\n"), vars(module))
            penalties.append(module.P(1.0))
        import json
        from numopt.core.jit import statistics
        order = penalties[::-1] if REVERSED else penalties
        answer = [[p.value([1.0]), p.prox([1.0])[0]] for p in order]
        print(json.dumps([answer, statistics]))
    """
    expected = [[2.0, 2.0], [3.0, 3.0], [5.0, 5.0]]
    assert run(script.replace("REVERSED", "False"))[0] == expected
    answer, statistics = run(script.replace("REVERSED", "True"))
    assert answer == expected[::-1]
    assert hits(statistics)


# ---- damaged, locked and missing folders ---------------------------------------------------------


@pytest.mark.parametrize("damage", ["truncated", "empty", "flipped", "text", "older numopt"])
def test_damaged_entries_are_compiled_anew(run, tmp_path, damage):
    first = run(L1_SCRIPT)[0]
    for entry in entries(tmp_path / "cache"):
        content = entry.read_bytes()
        middle = len(content) // 2
        entry.write_bytes(
            {
                "truncated": content[:middle],
                "empty": b"",
                "flipped": content[:middle] + bytes(8) + content[middle + 8 :],
                "text": b"not a pickle",
                "older numopt": content[jit.CHECKSUM :],
            }[damage]
        )
    answer, statistics = run(L1_SCRIPT)
    assert answer == first
    assert statistics["saved"] == 2
    assert hits(run(L1_SCRIPT)[1])


def test_two_processes_may_fill_a_cold_cache_at_once(processes, tmp_path):
    cache = {"NUMOPT_CACHE_DIR": str(tmp_path / "cache")}
    together = processes.run_together([L1_SCRIPT] * 2, tmp_path, **cache)
    assert [finished.result[0] for finished in together] == [[3.0, 2.0]] * 2
    assert hits(processes.run(L1_SCRIPT, tmp_path, **cache).result[1])
    assert len(entries(tmp_path / "cache")) == 2
    assert not list((tmp_path / "cache").glob("*.tmp"))


def test_a_locked_cache_falls_back_to_the_temporary_folder(run, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    locked = {"NUMOPT_CACHE_DIR": str(tmp_path / "file" / "cache")}
    script = "import tempfile\ntempfile.tempdir = 'temporary'\n" + L1_SCRIPT
    assert run(script, **locked)[0] == [3.0, 2.0]
    assert len(list((tmp_path / "temporary").glob("numopt-*/*.nbc"))) == 2
    assert hits(run(script, **locked)[1])
    nowhere = script.replace("'temporary'", "'file'")
    answer, statistics = run(nowhere, **locked)
    assert answer == [3.0, 2.0]
    assert statistics["saved"] == 0


def test_home_that_cannot_be_written(run, tmp_path):
    (tmp_path / "file").write_text("")
    (tmp_path / "temporary").mkdir()
    script = "import tempfile\ntempfile.tempdir = 'temporary'\n" + L1_SCRIPT
    home = {"HOME": str(tmp_path / "file"), "XDG_CACHE_HOME": ""}
    assert run(script, NUMOPT_CACHE_DIR="", NUMBA_CACHE_DIR="", **home)[0] == [3.0, 2.0]
    assert len(list((tmp_path / "temporary").glob("numopt-*/*.nbc"))) == 2


def test_user_without_a_home(monkeypatch):
    def homeless():
        raise RuntimeError("Could not determine home directory.")

    for name in ("NUMOPT_CACHE_DIR", "NUMBA_CACHE_DIR"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(jit.Path, "home", homeless)
    assert jit.cache_directory() == cache_folder._temporary_directory()


def test_a_read_only_cache_is_read(run, tmp_path, monkeypatch):
    """As in a container image: filled when built, served to users who cannot write there."""
    run(L1_SCRIPT)
    (tmp_path / "temporary").mkdir()
    script = (
        "import os, tempfile\ntempfile.tempdir = 'temporary'\nwritable = os.access\n"
        "os.access = lambda path, mode: 'cache' not in str(path) and writable(path, mode)\n"
    )
    answer, statistics = run(script + L1_SCRIPT)
    assert answer == [3.0, 2.0]
    assert hits(statistics)
    run(script + L1_SCRIPT.replace("L1", "Ridge"))
    assert len(list((tmp_path / "temporary").glob("numopt-*/*.nbc"))) == 2
    assert len(entries(tmp_path / "cache")) == 2


@pytest.mark.skipif(not hasattr(os, "getuid"), reason="folders have no owners")
def test_folders_that_others_can_fill_are_not_trusted(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMOPT_CACHE_DIR", str(tmp_path))
    assert jit._folders()[0] == tmp_path
    tmp_path.chmod(0o777)
    assert tmp_path not in jit._folders()


def test_full_cache_loses_its_oldest_entries(tmp_path, monkeypatch):
    monkeypatch.setattr(jit, "MAX_ENTRIES", 8)
    monkeypatch.setitem(jit.statistics, "saved", 1)
    for age in range(9):
        entry = tmp_path / f"k-{age}.nbc"
        entry.write_bytes(b"")
        os.utime(entry, (1e9 - age, 1e9 - age))
    jit._trim(tmp_path)
    assert [entry.name for entry in entries(tmp_path)] == [f"k-{age}.nbc" for age in range(7)]


def test_clear_cache_removes_entries_and_drafts(tmp_path, monkeypatch):
    monkeypatch.setenv("NUMOPT_CACHE_DIR", str(tmp_path))
    for name in ("a.nbc", "b.nbc", "c.nbc.1.tmp", "other"):
        (tmp_path / name).write_bytes(b"")
    assert numopt.clear_cache() == 2
    assert os.listdir(tmp_path) == ["other"]


# ---- without the cache, without Numba's compiler -------------------------------------------------


def test_kernels_compile_where_numba_s_private_names_are_gone(tmp_path):
    script = """
        import numba.core.compiler as compiler
        del compiler.CompileResult._rebuild
        from numopt.penalties import L1
        from numopt.core import jit
        print([L1(1.0).prox([3.0])[0], jit.CACHE_AVAILABLE])
    """.replace("print(", "import json; print(json.dumps(").replace("BLE])", "BLE]))")
    assert fresh(script, NUMOPT_CACHE_DIR=str(tmp_path)).result == [2.0, False]
    assert not os.listdir(tmp_path)


def test_kernels_run_as_plain_python(tmp_path):
    script = """
        import json
        import numpy as np, numopt
        from numopt.losses import Huber, LeastSquares
        from numopt.penalties import L1, MCP
        from numopt.problems import Composite
        from numopt.sets import Simplex
        import scipy.sparse as sp

        X, y = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]), np.array([1.0, 2.0, 0.0])
        answers = []
        for loss, A, penalty in (
            (LeastSquares(y), X, L1(0.1)),
            (LeastSquares(y), sp.csc_array(X), L1(0.1, weights=[1.0, 2.0])),
            (Huber(y), X, MCP(0.1)),
            (LeastSquares(y), X, Simplex()),
        ):
            result = numopt.solve(Composite(loss, A, penalty), "prox-grad")
            answers.append([result.success, result.fun])
        from numopt.core.generic import loss_value
        print(json.dumps([answers, hasattr(loss_value, "py_func")]))
    """
    answers, compiled = fresh(script, NUMBA_DISABLE_JIT="1", NUMOPT_CACHE_DIR=str(tmp_path)).result
    assert not compiled
    assert all(success for success, _ in answers)
    assert not os.listdir(tmp_path)
    X, y = np.array([[1.0, 0.5], [0.0, 2.0], [1.0, -1.0]]), np.array([1.0, 2.0, 0.0])
    expected = numopt.solve(Composite(LeastSquares(y), X, L1(0.1)), "prox-grad").fun
    assert answers[0][1] == pytest.approx(expected, rel=1e-9)


def test_import_loads_nothing_heavy():
    heavy = "numba sklearn cvxpy dask matplotlib networkx highspy tqdm pandas".split()
    script = f"""
        import json, sys
        import numopt
        first = [name for name in {heavy} if name in sys.modules]
        import numopt.penalties, numopt.losses, numopt.sets, numopt.problems, numopt.calculus
        numopt.penalties.L1(1.0), numopt.losses.LeastSquares([1.0]), numopt.sets.Simplex()
        numopt.problems.Composite, numopt.solve, numopt.solve_many
        dir(numopt), dir(numopt.problems), dir(numopt.estimators)
        numopt.clear_cache, numopt.solve_linear, numopt.minimize, numopt.check_gradient
        print(json.dumps([first, [name for name in {heavy} if name in sys.modules]]))
    """
    assert fresh(script).result == [[], []]


# ---- what is compiled, and how often -------------------------------------------------------------

# Kernels that a first Lasso asks for: compiled once, found in the cache ever after.
FIRST_LASSO = 11


def test_a_first_lasso_needs_few_kernels(processes, tmp_path):
    script = """
        import json
        import numpy as np, numopt
        from numopt.core.jit import statistics
        X, y = np.eye(4), np.ones(4)
        problem = numopt.problems.Composite(
            numopt.losses.LeastSquares(y), X, numopt.penalties.L1(0.1)
        )
        assert numopt.solve(problem).success
        print(json.dumps(statistics))
    """
    used = processes.run(script, tmp_path).result
    assert used["hits"] + used["misses"] <= FIRST_LASSO
    again = processes.run(script, tmp_path).result
    assert again["misses"] == 0


def signatures():
    """How many signatures of all kernels this process has."""
    from numopt.core import generic
    from numopt.solvers import proximal_gradient

    kernels = {**vars(generic), **vars(proximal_gradient)}.values()
    return sum(len(k.overloads) for k in kernels if hasattr(k, "overloads"))


def test_numbers_and_layouts_of_all_kinds_share_their_kernels():
    rng = np.random.default_rng(0)
    X, y = np.asfortranarray(rng.standard_normal((6, 3))), rng.standard_normal(6)

    def solve(X, y, alpha):
        return numopt.solve(Composite(LeastSquares(y), X, L1(alpha)), "prox-grad").x

    expected, known = solve(X, y, 1.0), signatures()
    locked = X.copy(order="F")
    locked.flags.writeable = False
    wide = np.empty((12, 6), order="F")
    wide[::2, ::2] = X
    swapped = X.astype(">f8")
    for other in (X.copy(order="C"), locked, wide[::2, ::2], swapped, X.tolist()):
        np.testing.assert_array_equal(solve(other, y, 1.0), expected)
    frozen = y.copy()
    frozen.flags.writeable = False
    spread = np.repeat(y, 2)[::2]
    for other in (frozen, spread, y.tolist()):
        np.testing.assert_array_equal(solve(X, other, 1.0), expected)
    for alpha in (1, True + 0, np.float32(1), np.int64(1), np.array(1.0)):
        np.testing.assert_array_equal(solve(X, y, alpha), expected)
    integers = np.array([[1, 0], [0, 2]])
    solve(integers, [1, 2], 0.1)
    assert signatures() == known


def test_float32_stays_float32():
    from numopt.core.generic import penalty_prox

    for penalty in (L1(0.1), L1(0.1, weights=[1.0, 2.0]), MCP(0.1)):
        spec = penalty.spec(np.float32)
        numbers = [v for field in spec for v in (field if isinstance(field, tuple) else (field,))]
        assert {np.asarray(number).dtype for number in numbers} == {np.dtype(np.float32)}
        moved = penalty_prox(spec, np.ones(2, np.float32), np.float32(0.5))
        assert moved.dtype == np.float32
        assert type(spec.prox_1d(np.float32(3.0), np.float32(0.5), 0)) is np.float32


def test_no_none_in_specs():
    assert L1(1.0).spec() == (1.0,)
    assert L1(1.0, weights=[1.0]).spec()[0] == (1.0,)

    @numopt.block
    class Optional:
        bound: float | None = None

        def prox_1d(self, x, step, j):
            return x

    with pytest.raises(TypeError, match="infinities"):
        Optional().spec()


def test_nan_survives_kernels():
    from numopt.core.generic import penalty_value
    from numopt.core.matrices import _dense_dot

    x = np.array([1.0, np.nan])
    for penalty in (L1(1.0), MCP(1.0)):
        assert np.isnan(penalty_value(penalty.spec(), x))

    @jit.kernel
    def reduced(x):
        total = _dense_dot(x, x)
        return total, np.isnan(total), np.isfinite(total)

    total, is_nan, is_finite = reduced(x)
    assert np.isnan(total)
    assert is_nan
    assert not is_finite
    assert reduced(np.array([1.0, np.inf]))[0] == np.inf


def test_threads_may_call_a_kernel_first(run):
    script = """
        import json, threading
        import numpy as np
        from numopt.penalties import L1
        from numopt.core.jit import statistics
        barrier, answers = threading.Barrier(8), [None] * 8

        def work(i):
            barrier.wait()
            answers[i] = L1(1.0).prox([3.0 + i])[0]

        threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
        [t.start() for t in threads]
        [t.join() for t in threads]
        print(json.dumps([answers, statistics]))
    """
    answer, statistics = run(script)
    assert answer == [2.0 + i for i in range(8)]
    assert statistics["misses"] == 1


def test_threads_share_kernels():
    rng = np.random.default_rng(0)
    X, y = rng.standard_normal((20, 5)), rng.standard_normal(20)
    problems = [Composite(LeastSquares(y + i), X, L1(0.1)) for i in range(8)]
    expected = [numopt.solve(problem, "prox-grad").x for problem in problems]
    answers = [None] * 8

    def work(i):
        answers[i] = numopt.solve(problems[i], "prox-grad").x

    threads = [threading.Thread(target=work, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    np.testing.assert_array_equal(answers, expected)


# ---- sentences instead of typing errors ----------------------------------------------------------


def test_what_a_block_does_not_offer_is_said_in_a_sentence():
    @numopt.block
    class Nothing:
        alpha: float

    @numopt.block
    class Slope:
        y: np.ndarray

        def value_1d(self, z, i):
            return z

        def gradient_1d(self, z, i):
            return z * 0 + 1

    for call, wanted in (
        (lambda: Nothing(1.0).value([1.0]), "value_1d"),
        (lambda: Nothing(1.0).prox([1.0]), "prox_1d"),
        (lambda: Nothing(1.0).subdiff_distance([1.0], [1.0]), "subdifferential"),
        (lambda: Nothing(1.0).conjugate([1.0]), "conjugate"),
        (lambda: Slope([1.0]).hessian_diag([1.0]), "hessian_1d"),
        (lambda: Slope([1.0]).conjugate([1.0]), "conjugate_1d"),
        (lambda: numopt.solve(Composite(LeastSquares([1.0]), [[1.0]], Nothing(1.0))), "prox"),
    ):
        with pytest.raises(TypeError, match=wanted) as caught:
            call()
        message = str(caught.value)
        assert message.startswith(("Nothing", "Slope", "ProximalGradient", "WorkingSetCD"))
        assert len(message) < 200
        assert "\n" not in message


def test_methods_with_other_arguments_are_refused_where_they_are_written():
    with pytest.raises(TypeError, match=r"Short\.prox_1d must take \(self, x, step, j\), found"):

        @numopt.block
        class Short:
            def prox_1d(self, x, step):
                return x


# ---- the promise to users ------------------------------------------------------------------------

PENALTIES = {
    "separable": """
        import numopt

        @numopt.block(convex=True)
        class Mine:
            alpha: float
            def value_1d(self, x, j):
                return self.alpha * abs(x)
            def prox_1d(self, x, step, j):
                t = abs(x) - step * self.alpha
                return (t if x > 0 else -t) if t > 0 else x * 0
    """,
    "with distance": """
        import numopt

        @numopt.block(convex=True)
        class Mine:
            alpha: float
            def value_1d(self, x, j):
                return self.alpha * abs(x)
            def prox_1d(self, x, step, j):
                t = abs(x) - step * self.alpha
                return (t if x > 0 else -t) if t > 0 else x * 0
            def subdiff_distance_1d(self, x, grad, j):
                if x == 0:
                    return max(abs(grad) - self.alpha, grad * 0)
                return abs(grad + self.alpha) if x > 0 else abs(grad - self.alpha)
    """,
    "whole vectors": """
        import numpy as np
        import numopt

        @numopt.block(convex=True)
        class Mine:
            alpha: float
            def value(self, x):
                return self.alpha * np.sum(np.abs(x))
            def prox(self, v, step):
                return np.sign(v) * np.maximum(np.abs(v) - step * self.alpha, 0)
    """,
}


@pytest.mark.parametrize("kind", PENALTIES)
def test_a_penalty_of_the_user_solves_and_is_cached(processes, tmp_path, kind):
    """Twenty lines outside the package; the cache serves them to the next process."""
    lines = [line[8:] for line in PENALTIES[kind].strip("\n").splitlines()]
    assert len(lines) <= 20
    (tmp_path / "mine.py").write_text("\n".join(lines))
    script = """
        import json
        import numpy as np, numopt
        from numopt.core.jit import statistics
        from mine import Mine
        rng = np.random.default_rng(0)
        X = rng.standard_normal((20, 5))
        y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(20)
        problem = numopt.problems.Composite(numopt.losses.LeastSquares(y), X, Mine(0.2))
        result = numopt.solve(problem)
        print(json.dumps([[result.success, result.fun, result.x.tolist()], statistics]))
    """
    # In the cache of all sessions, so that this costs its seconds only once.
    (success, fun, x), _ = processes.run(script, tmp_path).result
    assert processes.run(script, tmp_path).result[1]["misses"] == 0
    assert success
    rng = np.random.default_rng(0)
    X = rng.standard_normal((20, 5))
    y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(20)
    expected = numopt.solve(Composite(LeastSquares(y), X, L1(0.2)), tol=1e-10)
    assert fun == pytest.approx(expected.fun, rel=1e-9)
    np.testing.assert_allclose(x, expected.x, atol=1e-6)


def test_weights_that_methods_read_stay_with_the_block():
    @numopt.block(convex=True)
    class Own:
        weights: np.ndarray

        def value_1d(self, x, j):
            return self.weights[j] * abs(x)

        def prox_1d(self, x, step, j):
            return x * 0

    assert Own([1.0, 2.0]).value([1.0, -1.0]) == 3.0


def test_blocks_of_users_nest():
    from numopt.calculus import Weighted

    @numopt.block(convex=True)
    class Half:
        alpha: float

        def value_1d(self, x, j):
            return self.slope(x, j) * x / 2

        def prox_1d(self, x, step, j):
            return x / (1 + step * self.alpha)

        def slope(self, x, j):
            return self.alpha * x

    assert Weighted(Half(2.0), [1.0, 3.0]).value([1.0, 1.0]) == 4.0
    assert json.loads(json.dumps(Weighted(Half(2.0), [1.0, 3.0]).prox([3.0, 7.0]).tolist())) == [
        1,
        1,
    ]
