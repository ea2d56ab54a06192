"""The tables of docs/migrating.md: every call in their right columns runs as it stands."""

import pytest

import numopt
from tests.test_readme import ROOT, run_page

PAGE = ROOT / "docs" / "migrating.md"


def calls():
    """What stands in the right columns."""
    for line in PAGE.read_text("utf-8").splitlines():
        cells = [cell.strip() for cell in line.split("|")]
        if len(cells) == 4 and cells[2].startswith("`"):
            yield cells[2].strip("`")


@pytest.fixture(scope="module")
def names():
    return run_page(PAGE)[0]


def test_tables_are_read():
    assert len(list(calls())) > 35


@pytest.mark.parametrize("call", list(calls()))
def test_call_runs(call, names):
    found = eval(call, names)
    if isinstance(found, numopt.Result) and "Nelder" not in call and "SLSQP" not in call:
        assert found.success and found.certificate.met(found.certificate.tol)
    elif isinstance(found, numopt.Result):
        assert found.certificate.kind == "heuristic"
    if hasattr(found, "predict"):
        assert found.coef_.size == 4
