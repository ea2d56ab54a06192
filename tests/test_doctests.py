"""Every example in a docstring runs and gives what it says; every public object has one."""

import doctest
import importlib
import operator
import pkgutil

import pytest

import numopt
from numopt import solvers

MODULES = [
    info.name
    for info in pkgutil.walk_packages(numopt.__path__, "numopt.")
    if not info.name.endswith("__main__")
]
FLAGS = doctest.NORMALIZE_WHITESPACE


def examples_of(module):
    return [test for test in doctest.DocTestFinder().find(module) if test.examples]


@pytest.mark.parametrize("name", MODULES)
def test_examples_in_docstrings(name):
    if name == "numopt.cvxpy_interface":
        pytest.importorskip("cvxpy")
    module = importlib.import_module(name)
    runner = doctest.DocTestRunner(optionflags=FLAGS)
    report = []
    for test in examples_of(module):
        runner.run(test, out=report.append)
    assert runner.failures == 0, "".join(report)


def public_names():
    for package in ("losses", "penalties", "sets", "calculus", "operators", "problems"):
        for name in getattr(numopt, package).__all__:
            if name not in ("Loss", "Penalty", "ConvexSet", "Problem", "Operator"):  # bases
                yield f"{package}.{name}"
    for cls in solvers.all_solvers():
        yield f"solvers.{cls.__name__}"
    yield from ("solve", "block", "learn_dag", "linprog", "minimize", "quadprog", "solve_linear")
    yield from ("fixed_point", "solve_game", "solve_vi")


@pytest.mark.parametrize("name", list(public_names()))
def test_public_objects_have_examples(name):
    member = operator.attrgetter(name)(numopt)
    assert ">>>" in (member.__doc__ or ""), f"numopt.{name} has no example in its docstring"
