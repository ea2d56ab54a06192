"""`solve_many`: order, shared work, threads, errors that say where."""

import warnings

import numpy as np
import pytest

import numopt
from numopt.losses import LeastSquares
from numopt.penalties import L1, MCP
from numopt.problems import Composite, LinearSystem
from numopt.solvers import ConjugateGradient

RNG = np.random.default_rng(0)
X, Y = RNG.standard_normal((40, 8)), RNG.standard_normal(40)
PATH = [Composite(LeastSquares(Y), X, L1(0.1))]
PATH += [PATH[0].replace(penalty=L1(alpha)) for alpha in (0.05, 0.02, 0.01)]


@pytest.mark.parametrize("n_threads", [1, 3])
def test_results_are_those_of_single_solves_in_order(n_threads):
    results = numopt.solve_many(iter(PATH), n_threads=n_threads)
    for problem, result in zip(PATH, results, strict=True):
        np.testing.assert_array_equal(result.x, numopt.solve(problem).x)
        assert result.verify(problem).met(1e-8)


def test_problems_of_several_classes_each_get_their_solver():
    system = LinearSystem(np.diag([1.0, 2.0]), [1.0, 2.0])
    first, second = numopt.solve_many([PATH[0], system], tol=1e-6)
    assert first.solver.startswith("WorkingSetCD(")
    assert second.solver.startswith("ConjugateGradient(")
    assert first.certificate.tol == second.certificate.tol == 1e-6
    np.testing.assert_allclose(second.x, 1)
    assert numopt.solve_many([]) == numopt.solve_many([], n_threads=2) == []


def test_a_chain_starts_from_the_result_before():
    cold = numopt.solve_many(PATH, "prox-grad")
    warm = numopt.solve_many(PATH, "prox-grad", chain=True)
    assert warm[0].nit == cold[0].nit
    by_hand = numopt.solve(PATH[1], "prox-grad", warm_start=warm[0])
    np.testing.assert_array_equal(warm[1].x, by_hand.x)
    first = numopt.solve_many(PATH, "prox-grad", chain=True, warm_start=warm[0])[0]
    assert first.nit == 0


def test_data_of_relatives_is_prepared_once():
    class Counted(Composite):
        times = 0

        def _lipschitz(self):
            type(self).times += 1
            return super()._lipschitz()

    first = Counted(LeastSquares(Y), X, L1(0.1))
    batch = [first.replace(penalty=L1(alpha)) for alpha in (0.1, 0.2)]
    numopt.solve_many(batch, "prox-grad")
    for problem in batch:
        problem.lipschitz()
    assert Counted.times == 1


@pytest.mark.parametrize(
    "arguments, error, part",
    [
        (dict(problems=PATH[0]), TypeError, "problems must be a sequence of problems, got Compos"),
        (dict(problems=[PATH[0], 3]), TypeError, r"problems\[1\]: problem must be one of"),
        (dict(problems=PATH, solver="cg"), TypeError, r"problems\[0\]: ConjugateGradient solves"),
        (dict(problems=PATH, solver="cq"), ValueError, r"problems\[0\]: solver 'cq'"),
        (dict(problems=PATH, zzz=1), TypeError, r"problems\[0\]: .* no option 'zzz'"),
        (dict(problems=PATH, tol=0.0), ValueError, r"problems\[0\]: tol must"),
        (dict(problems=PATH, n_threads=0), ValueError, "n_threads must be >= 1"),
        (dict(problems=PATH, n_threads=1.5), TypeError, "n_threads must be an integer"),
        (dict(problems=PATH, chain=1), TypeError, "chain must be True or False"),
        (dict(problems=PATH, chain=True, n_threads=2), ValueError, "chain=True solves one"),
    ],
)
def test_bad_input_is_named_with_its_index(arguments, error, part):
    with pytest.raises(error, match=part):
        numopt.solve_many(**arguments)


@pytest.mark.parametrize("n_threads", [1, 2])
def test_what_a_solve_raises_says_which(n_threads):
    def broken(x):
        raise OSError("disk on fire")

    batch = [LinearSystem(np.eye(2), [1.0, 1.0]), LinearSystem(broken, [1.0, 1.0])]
    with pytest.raises(OSError, match="disk on fire") as caught:
        numopt.solve_many(batch, ConjugateGradient(), n_threads=n_threads)
    assert caught.value.__notes__ == ["in problems[1]"]


def test_interrupt_ends_the_batch_with_the_results_so_far():
    calls = []

    def product(x):
        calls.append(1)
        if len(calls) == 12:
            raise KeyboardInterrupt
        return 2.01 * x - np.roll(x, 1) - np.roll(x, -1)

    easy, hard = (LinearSystem(A, np.arange(50.0)) for A in (np.eye(50), product))
    results = numopt.solve_many([easy, hard, easy], "cg")
    assert [result.status for result in results] == [0, 9]
    calls.clear()
    with pytest.raises(KeyboardInterrupt):
        numopt.solve_many([easy, hard], "cg", on_interrupt="raise")


def test_limits_hold_for_each_problem():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", numopt.ConvergenceWarning)
        results = numopt.solve_many([p.replace(penalty=MCP(0.01)) for p in PATH], max_iter=0)
    assert [result.nit for result in results] == [0] * 4
    assert not any(result.success for result in results)
