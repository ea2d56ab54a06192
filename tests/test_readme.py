"""README and documentation pages: the code in them runs, and the claims that can drift are held."""

import contextlib
import doctest
import io
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import numopt
from numopt import solvers
from numopt.core.result import Status

ROOT = Path(__file__).parents[1]
SETUP = "python3 -m venv .venv && .venv/bin/pip install -e"
DEMO_LINE = f"{SETUP} . && .venv/bin/python -m numopt demo"
TEST_LINE = f'{SETUP} ".[test]" && .venv/bin/python -m pytest -n auto'
FLAGS = doctest.NORMALIZE_WHITESPACE | doctest.ELLIPSIS
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
OWN_PENALTY = ROOT / "docs" / "own_penalty.md"


def fences(page, language=""):
    """Contents of the page's fenced blocks in one language."""
    pattern = rf"^```{language}[ ]*\n(.*?)^```[ ]*$"
    return re.findall(pattern, page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def run_page(page):
    """Run the page's Python blocks one after the other; what the plain ones printed."""
    namespace, printed = {"__name__": "page"}, io.StringIO()
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report = []
    for number, code in enumerate(fences(page, "python")):
        name = f"{page.name}[{number}]"
        if code.startswith(">>>"):
            test = doctest.DocTestParser().get_doctest(code, namespace, name, str(page), 0)
            runner.run(test, out=report.append, clear_globs=False)
            namespace = test.globs
        else:
            with contextlib.redirect_stdout(printed):
                exec(compile(code, name, "exec"), namespace)
    assert runner.failures == 0, "".join(report)
    return namespace, printed.getvalue()


@pytest.mark.parametrize(
    "page", [p for p in PAGES if fences(p, "python") and p != OWN_PENALTY], ids=lambda p: p.name
)
def test_code_runs_and_prints_what_the_page_says(page):
    _, printed = run_page(page)
    assert printed == "".join(fences(page, "text"))


def test_readme_example_is_short():
    [code] = fences(ROOT / "README.md", "python")
    assert len([line for line in code.splitlines() if line.strip()]) <= 10


def test_own_penalty_is_short_and_right():
    page = OWN_PENALTY
    definition = fences(page, "python")[0].strip()
    assert len([line for line in definition.splitlines() if line.strip()]) <= 20
    namespace, printed = run_page(page)
    assert printed == "".join(fences(page, "text"))
    Asymmetric = namespace["Asymmetric"]
    loss, X = namespace["LeastSquares"](namespace["y"]), namespace["X"]

    def answer(penalty):
        problem = numopt.problems.Composite(loss, X, penalty)
        return numopt.solve(problem, tol=1e-10).x

    # ratio 1 is the L1 norm; a huge ratio forbids negative coefficients.
    np.testing.assert_allclose(answer(Asymmetric(0.1)), answer(numopt.penalties.L1(0.1)), atol=1e-8)
    lasso = pytest.importorskip("sklearn.linear_model").Lasso(
        alpha=0.1, positive=True, fit_intercept=False, tol=1e-12
    )
    lasso.fit(X, namespace["y"])
    np.testing.assert_allclose(answer(Asymmetric(0.1, ratio=1e6)), lasso.coef_, atol=1e-8)
    with pytest.raises(AssertionError):  # negative coefficients do matter to the data
        np.testing.assert_allclose(answer(Asymmetric(0.1)), lasso.coef_, atol=1e-2)


def test_command_lines_of_readme_and_ci():
    commands = [block.strip() for block in fences(ROOT / "README.md")]
    assert DEMO_LINE in commands
    assert TEST_LINE in commands
    script = (ROOT / ".ci" / "run").read_text("utf-8")
    lines = [line.strip() for line in script.splitlines()]
    lint = [".venv/bin/ruff check .", ".venv/bin/ruff format --check ."]
    assert [line for line in lines if ".venv" in line] == [TEST_LINE, *lint, ".venv/bin/mypy"]
    assert "set -euo pipefail" in lines
    assert (ROOT / ".ci" / "run").stat().st_mode & 0o111


@pytest.mark.skipif(sys.platform == "win32", reason="bash")
@pytest.mark.parametrize("fails", ["python3", "pip", "python", "ruff", "mypy"])
def test_ci_fails_when_any_command_does(tmp_path, fails):
    script = tmp_path / ".ci" / "run"
    script.parent.mkdir()
    script.write_text((ROOT / ".ci" / "run").read_text("utf-8"))
    (tmp_path / ".venv" / "bin").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    commands = [tmp_path / "bin" / "python3"]
    commands += [tmp_path / ".venv" / "bin" / name for name in ("pip", "python", "ruff", "mypy")]
    for command in commands:
        command.write_text(f"#!/bin/sh\nexit {int(command.name == fails)}\n")
        command.chmod(0o755)

    def ci():
        path = f"{tmp_path / 'bin'}:/usr/bin:/bin"
        return subprocess.run(["bash", str(script)], env={"PATH": path}, check=False).returncode

    assert ci() != 0
    broken = next(command for command in commands if command.name == fails)
    broken.write_text("#!/bin/sh\nexit 0\n")
    assert ci() == 0


def test_one_version_everywhere():
    assert f"\nversion: {numopt.__version__}\n" in (ROOT / "CITATION.cff").read_text("utf-8")
    changelog = (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"## [{numopt.__version__}]" in changelog or "## [Unreleased]" in changelog


def test_status_table_is_the_enumeration():
    page = (ROOT / "docs" / "certificates.md").read_text("utf-8")
    rows = re.findall(r"^\| (\d+) \| `(\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert rows == [(str(int(s)), s.name, s.sentence) for s in Status]


@pytest.mark.parametrize("cls", solvers.all_solvers(), ids=lambda cls: cls.__name__)
def test_every_solver_has_a_row(cls):
    page = (ROOT / "docs" / "which_solver.md").read_text("utf-8")
    row = rf'^\| `{cls.__name__}` \| .*`"{cls.name}"`'
    assert re.search(row, page, re.MULTILINE), "add the solver to docs/which_solver.md"


def test_certificate_table_has_every_problem_and_formula():
    page = (ROOT / "docs" / "certificates.md").read_text("utf-8").replace("\\|", "|")
    for name in numopt.problems.__all__:
        assert name == "Problem" or f"| `{name}`" in page, f"add {name} to docs/certificates.md"
    loss, eye = numopt.losses.LeastSquares([1.0, 2.0]), np.eye(2)
    problems = numopt.problems
    for problem in (
        problems.Composite(loss, eye, numopt.penalties.L1(0.5)),
        problems.Composite(loss, eye, numopt.sets.Simplex()),
        problems.Smooth(lambda x: x @ x, lambda x: 2 * x),
        problems.Smooth(lambda x: x @ x, lambda x: 2 * x, hess=lambda x: 2 * eye),
        problems.SmoothComposite(lambda x: x @ x, numopt.penalties.L1(0.5), lambda x: 2 * x),
        problems.SmoothComposite(lambda x: x @ x, numopt.penalties.L0(0.5), lambda x: 2 * x),
        problems.SmoothComposite(lambda x: x @ x, numopt.penalties.LInf(0.5), lambda x: 2 * x),
        problems.SmoothComposite(lambda x: x @ x, numopt.sets.Simplex(), lambda x: 2 * x),
        problems.ConicProgram(eye, [1.0, 2.0], eye, [1.0, 2.0], {"soc": [2]}),
        problems.ConicProgram(-eye, [1.0, 2.0]),
        problems.FixedPoint(lambda x: x / 2, np.zeros(2)),
        problems.LinearSystem(eye, [1.0, 2.0]),
        problems.LinearSystem(eye, [0.0, 0.0]),
        problems.MatrixGame(eye),
        problems.MonotoneInclusion(lambda x: x, np.zeros(2)),
        numopt.splittings.lasso(eye, [1.0, 2.0], 0.5),
        problems.Splitting(numopt.penalties.L1(0.5), numopt.penalties.Ridge(1.0), c=np.zeros(2)),
    ):
        for name, entry in problem.certificate(np.array([0.5, 0.5])).items():
            row = rf"^\| `{type(problem).__name__}`.* `{name}` .*`{re.escape(entry.formula)}`"
            assert re.search(row, page, re.MULTILINE), (name, entry.formula)
