"""Random problems: never a wrong success, no crash, no hang, and nearly all solved."""

import os
from collections import Counter
from functools import cache

import pytest

from tests.fuzz.generators import DEFAULT_FAMILIES
from tests.fuzz.run import CRASHED, HUNG, OPEN, SOLVED, UNSOLVED, WRONG, run_case, watched

# family -> cases of the default run, and share of the long one.
SLICE = {"composite": 24, "planted lasso": 12, "linear system": 14, "smooth": 10}
LONG = int(os.environ.get("NUMOPT_FUZZ_CASES", "10000"))


CASES = [(family, seed) for family, count in SLICE.items() for seed in range(count)]


@cache
def outcome_of(family, seed):
    return run_case(family, seed, DEFAULT_FAMILIES)[3:]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("family, seed", CASES)
def test_slice(family, seed):
    outcome, details = outcome_of(family, seed)
    assert outcome in (SOLVED, UNSOLVED, OPEN), details


def test_most_of_the_slice_is_solved():
    outcomes = Counter(outcome_of(*case)[0] for case in CASES)
    assert outcomes[SOLVED] >= 0.95 * (outcomes[SOLVED] + outcomes[UNSOLVED])
    assert outcomes[SOLVED] >= 0.75 * len(CASES)  # and most can be


@pytest.mark.slow
@pytest.mark.timeout(0)
def test_long_run(capsys):
    total = sum(SLICE.values())
    cases = [
        (f, s) for f, count in SLICE.items() for s in range(1000, 1000 + LONG * count // total)
    ]
    by_kind: dict[str, Counter[str]] = {}
    faults = []
    for family, seed, kind, outcome, details in watched(cases):
        by_kind.setdefault(kind, Counter())[outcome] += 1
        if outcome in (WRONG, CRASHED, HUNG):
            faults.append(f"{outcome}: {family} {seed} ({kind}): {details}")
    solved, solvable = report(by_kind, capsys)
    assert not faults, "\n".join(faults)
    assert solved >= 0.99 * solvable


def report(by_kind, capsys):
    """Print what became of each kind of case; solved and solvable ones in all."""
    totals: Counter[str] = Counter()
    with capsys.disabled():
        print(f"\n{'kind':40} {'solved':>7} {'of':>7} {'open':>6} {'wrong':>6} {'crash':>6}")
        for kind, outcomes in [*sorted(by_kind.items()), ("all", totals)]:
            solvable = outcomes[SOLVED] + outcomes[UNSOLVED]
            print(f"{kind:40} {outcomes[SOLVED]:7} {solvable:7} {outcomes[OPEN]:6} "
                  f"{outcomes[WRONG]:6} {outcomes[CRASHED] + outcomes[HUNG]:6}")  # fmt: skip
            totals.update(outcomes)
    return totals[SOLVED] // 2, (totals[SOLVED] + totals[UNSOLVED]) // 2
