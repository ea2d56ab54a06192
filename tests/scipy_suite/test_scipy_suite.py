"""SciPy's own `test_optimize.py` and `test_linprog.py`, run on `numopt.minimize` and `linprog`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scipy.optimize

HERE = Path(__file__).parent
TESTS = Path(scipy.optimize.__file__).with_name("tests")
LINEAR = [f"{TESTS / 'test_linprog.py'}::TestLinprogHiGHS{name}" for name in ("SimplexDual", "IPM")]


@pytest.mark.timeout(900)
@pytest.mark.skipif(not TESTS.exists(), reason="this SciPy was installed without its tests")
@pytest.mark.parametrize(
    "what, deselected, share, passed, calls",
    [
        pytest.param(
            [str(TESTS / "test_optimize.py")], "deselected.txt", 0.1, 500, 1000, id="minimize"
        ),
        pytest.param(LINEAR, "deselected_linprog.txt", 0.15, 140, 150, id="linprog"),
    ],
)
def test_scipys_tests_pass_on_ours(tmp_path, what, deselected, share, passed, calls):
    report = tmp_path / "summary.json"
    command = [sys.executable, "-m", "pytest", *what, "-q", "-p", "numopt_for_scipy"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
            "NUMOPT_SCIPY_SUMMARY": str(report),
            "NUMOPT_SCIPY_LIST": deselected,
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    summary = json.loads(report.read_text())
    print(summary)
    assert not summary["stale"], "listed, but no longer among SciPy's tests"
    assert summary["deselected"] <= share * summary["collected"]
    assert summary["failed"] == summary["error"] == 0
    assert summary["passed"] > passed and summary["calls"] > calls and summary["ours"] > 0
