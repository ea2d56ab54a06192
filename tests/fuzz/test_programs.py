"""Planted quadratic programs: solutions are found, and nearly all proofs."""

import warnings

import numpy as np

import numopt
from tests.fuzz.programs import VERDICTS, draw


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
