"""Many problems, one call."""

from __future__ import annotations

from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import numpy as np

from numopt.core.engine import run
from numopt.core.result import Result, Status
from numopt.core.solver import Solver, check_pair, pick
from numopt.core.validate import require_count


def solve_many(
    problems: Iterable[Any],
    solver: Any = "auto",
    *,
    x0: Any = None,
    warm_start: Any = None,
    chain: bool = False,
    n_threads: int = 1,
    **options: Any,
) -> list[Result]:
    """Solve a batch of problems and return their results in the same order.

    Problems that come of one another by ``problem.replace(...)`` share what solvers keep across
    them: factors, Gram matrices, norms.

    Parameters
    ----------
    problems : iterable of problem objects
        From `numopt.problems`, of one class or several.
    solver : Solver or str, default "auto"
        As in `numopt.solve`; with "auto" each problem gets its own class' default.
    x0, warm_start : optional
        Start of every problem (with `chain`, of the first), as in `numopt.solve`.
    chain : bool, default False
        Start each problem from the result before it, as along a path of penalties.
    n_threads : int, default 1
        Problems solved at a time. Compiled kernels run in parallel, Python functions of the user
        take turns. The results are those of one thread, to the last bit.
    **options
        Hyper-parameters of the solver; `time_limit` and `max_iter` hold for each problem.

    Returns
    -------
    list of Result
        One for each problem. With ``on_interrupt="return"``, the default, Ctrl-C in a batch of one
        thread ends it with the results so far.

    Raises
    ------
    ValueError, TypeError
        For bad input. The message names the problem as ``problems[i]``; no problem is solved
        before all of them and the options have been looked at. What a solve raises later carries
        its index as a note.

    Examples
    --------
    >>> import numpy as np, numopt
    >>> from numopt import losses, penalties, problems
    >>> first = problems.Composite(losses.LeastSquares([1.0, 2.0]), np.eye(2), penalties.L1(0.5))
    >>> path = [first.replace(penalty=penalties.L1(alpha)) for alpha in (1.0, 0.5, 0.25)]
    >>> [result.x.round(6).tolist() for result in numopt.solve_many(path, chain=True)]
    [[0.0, 0.0], [0.0, 1.0], [0.5, 1.5]]
    """
    require_count(n_threads, "n_threads", 1)
    if not isinstance(chain, (bool, np.bool_)):
        raise TypeError(f"chain must be True or False, got {chain!r}")
    if chain and n_threads > 1:
        raise ValueError(
            "chain=True solves one problem after the other; leave n_threads out, or chain"
        )
    if not isinstance(problems, Iterable):
        raise TypeError(
            f"problems must be a sequence of problems, got {type(problems).__name__}; "
            "for a single one use numopt.solve"
        )
    batch = list(problems)
    pairs = [(_picked(solver, problem, options, i), problem) for i, problem in enumerate(batch)]

    def solve_at(i: int, start: Any) -> Result:
        try:
            return run(*pairs[i], x0, warm_start=start)
        except Exception as error:
            error.add_note(f"in problems[{i}]")
            raise

    if n_threads == 1:
        results: list[Result] = []
        for i in range(len(pairs)):
            results.append(solve_at(i, results[-1] if chain and results else warm_start))
            if results[-1].status is Status.INTERRUPTED:
                break
        return results
    with ThreadPoolExecutor(min(n_threads, max(len(pairs), 1))) as pool:
        # Each in the caller's context: an outer solve's deadline holds in its threads as well.
        tasks = [
            pool.submit(copy_context().run, solve_at, i, warm_start) for i in range(len(pairs))
        ]
        try:
            return [task.result() for task in tasks]
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _picked(solver: Any, problem: Any, options: dict[str, Any], i: int) -> Solver:
    try:
        picked = pick(solver, problem, options)
        check_pair(picked, problem)
    except (TypeError, ValueError) as error:
        raise type(error)(f"problems[{i}]: {error}") from None
    return picked
