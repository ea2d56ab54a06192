"""Pytest plug-in: SciPy's own tests call `numopt.minimize` and `numopt.linprog` where they say its.

The test module's name ``optimize`` is rebound to a copy of `scipy.optimize` with that one function
replaced, and ``linprog`` to ours; the real module stays as it is, since numopt calls it. Tests in
the list named by NUMOPT_SCIPY_LIST are left out. A summary is written to the file named by
NUMOPT_SCIPY_SUMMARY.
"""

import functools
import json
import os
import types
from pathlib import Path

import scipy.optimize

import numopt

LIST = Path(__file__).with_name(os.environ.get("NUMOPT_SCIPY_LIST", "deselected.txt"))
summary = {"calls": 0, "ours": 0}


def listed():
    """Name of each deselected test -> reason."""
    reasons = {}
    for line in LIST.read_text().splitlines():
        name, _, reason = line.partition(" # ")
        if name and not name.startswith("#"):
            assert reason, f"no reason is given for {name}"
            reasons[name] = reason
    return reasons


@functools.wraps(numopt.minimize)
def minimize(*args, **kwargs):
    summary["calls"] += 1
    result = numopt.minimize(*args, **kwargs)
    assert isinstance(result, numopt.Result)
    assert result.certificate.kind in ("stationary", "heuristic")
    summary["ours"] += "scipy" not in result.solver
    return result


@functools.wraps(numopt.linprog)
def linprog(*args, **kwargs):
    result = numopt.linprog(*args, **kwargs)
    summary["calls"] += 1
    assert isinstance(result, numopt.Result)
    assert result.certificate.kind == "global"
    summary["ours"] += 1
    return result


def pytest_collection_modifyitems(config, items):
    optimize = types.ModuleType("scipy.optimize")
    optimize.__dict__.update(vars(scipy.optimize), minimize=minimize)
    for module in {item.module for item in items}:
        module.optimize, module.linprog = optimize, linprog
    names = {item: item.nodeid.partition("::")[2] for item in items}
    reasons = listed()
    left_out = [item for item in items if names[item] in reasons]
    summary.update(
        collected=len(items),
        deselected=len(left_out),
        stale=sorted(set(reasons) - set(names.values())),
    )
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if names[item] not in reasons]


def pytest_terminal_summary(terminalreporter):
    for outcome in ("passed", "failed", "error", "skipped", "xfailed"):
        summary[outcome] = len(terminalreporter.stats.get(outcome, ()))
    if path := os.environ.get("NUMOPT_SCIPY_SUMMARY"):
        Path(path).write_text(json.dumps(summary))
