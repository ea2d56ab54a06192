"""SciPy's own `test_optimize.py`, run on `numopt.minimize`."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import scipy.optimize

HERE = Path(__file__).parent
TESTS = Path(scipy.optimize.__file__).with_name("tests") / "test_optimize.py"


@pytest.mark.timeout(900)
@pytest.mark.skipif(not TESTS.exists(), reason="this SciPy was installed without its tests")
def test_scipys_tests_pass_on_ours(tmp_path):
    report = tmp_path / "summary.json"
    command = [sys.executable, "-m", "pytest", str(TESTS), "-q", "-p", "numopt_for_scipy"]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist", "-c", os.devnull]
    done = subprocess.run(
        [*command, f"--rootdir={tmp_path}"],
        cwd=tmp_path,
        env={
            **{k: v for k, v in os.environ.items() if not k.startswith("PYTEST_")},
            "PYTHONPATH": os.pathsep.join([str(HERE), str(HERE.parents[1])]),
            "NUMOPT_SCIPY_SUMMARY": str(report),
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout[-5000:] + done.stderr[-1000:]
    summary = json.loads(report.read_text())
    print(summary)
    assert not summary["stale"], "listed, but no longer among SciPy's tests"
    assert summary["deselected"] <= 0.1 * summary["collected"]
    assert summary["failed"] == summary["error"] == 0
    assert summary["passed"] > 500 and summary["calls"] > 1000 and summary["ours"] > 0
