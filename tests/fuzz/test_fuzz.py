"""Random problems: never a wrong success, no crash, no hang, and nearly all solved."""

import os
from collections import Counter
from functools import cache

import pytest

from tests.fuzz.generators import DEFAULT_FAMILIES
from tests.fuzz.run import CRASHED, HUNG, OPEN, SOLVED, UNSOLVED, WRONG, run_case, watched

# family -> cases of the default run, and share of the long one.
SLICE = {
    "composite": 24,
    "planted lasso": 12,
    "linear system": 14,
    "smooth": 14,
    "penalised": 14,
    "program": 24,
}
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
    faults, unsolved = [], []
    for family, seed, kind, outcome, details in watched(cases):
        by_kind.setdefault(kind, Counter())[outcome] += 1
        line = f"{outcome}: {family} {seed} ({kind}): {details}"
        if outcome in (WRONG, CRASHED, HUNG):
            faults.append(line)
        elif outcome == UNSOLVED:
            unsolved.append(line)
    with capsys.disabled():
        solved, solvable = report(by_kind)
        print(*unsolved, sep="\n")
    assert not faults, "\n".join(faults)
    assert solved >= 0.99 * solvable


def report(by_kind):
    """Print what became of each kind of case; solved and solvable ones in all."""
    rows = {**dict(sorted(by_kind.items())), "all": sum(by_kind.values(), Counter())}
    print(f"\n{'kind':40} {'solved':>7} {'of':>7} {'open':>6} {'wrong':>6} {'crash':>6}")
    for kind, outcomes in rows.items():
        solved, solvable = outcomes[SOLVED], outcomes[SOLVED] + outcomes[UNSOLVED]
        crashed = outcomes[CRASHED] + outcomes[HUNG]
        print(
            f"{kind:40} {solved:7} {solvable:7} {outcomes[OPEN]:6} {outcomes[WRONG]:6} {crashed:6}"
        )
    return solved, solvable
