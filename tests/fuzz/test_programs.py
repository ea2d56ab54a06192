"""Planted quadratic and linear programs: solutions are found, and nearly all proofs."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.problems import LinearProgram
from tests.fuzz.programs import VERDICTS, draw, residual


def test_planted_verdicts_are_found():
    right, wrong = 0, []
    for seed in range(150):
        verdict, arrays = draw(np.random.default_rng(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.quadprog(**arrays, method="auto")
        right += result.status == VERDICTS[verdict]
        if result.status in (0, 2, 3, 6) and result.status != VERDICTS[verdict]:
            wrong.append((seed, verdict, result.status.name))
        if verdict == "solvable":
            assert result.success, (seed, result)
    assert not wrong
    assert right >= 145


@pytest.mark.parametrize("method, seeds, least", [("highs", 200, 200), ("halpern-pdhg", 100, 97)])
def test_planted_verdicts_of_linear_programs_are_found(method, seeds, least):
    right = 0
    for seed in range(seeds):
        verdict, arrays = draw(np.random.default_rng(seed), linear=True)
        c, bounds = arrays["q"], {"lb": arrays["lb"], "ub": arrays["ub"]}
        problem = LinearProgram(c, arrays["A"], arrays["l"], arrays["u"], **bounds)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.solve(problem, method, max_iter=100_000)
        right += result.status == VERDICTS[verdict]
        assert result.status not in (0, 2, 3) or result.status == VERDICTS[verdict], seed
        if result.success:
            assert residual(arrays, result) <= 1.1e-8
    assert right >= least


def test_planted_verdicts_are_found_by_splitting():
    right, wrong = 0, []
    for seed in range(100):
        verdict, arrays = draw(np.random.default_rng(seed))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", numopt.ConvergenceWarning)
            result = numopt.quadprog(**arrays, method="admm")
        right += result.status == VERDICTS[verdict]
        if result.status in (0, 2, 3, 6) and result.status != VERDICTS[verdict]:
            wrong.append((seed, verdict, result.status.name))
        assert not result.success or residual(arrays, result) <= 1e-6
    assert not wrong
    assert right >= 97
