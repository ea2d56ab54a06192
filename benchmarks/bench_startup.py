"""What a fresh process pays before and for its first results, in CPU seconds."""

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path

REPEATS = 5

IMPORT = """
import json, time
import numpy, scipy.optimize
start = time.process_time()
import numopt
bare = time.process_time() - start
numopt.solve, numopt.losses.LeastSquares, numopt.penalties.L1, numopt.problems.Composite
print(json.dumps({"import": bare, "names": time.process_time() - start}))
"""

FITS = """
import json, sys, time
import numpy as np, scipy.optimize, numba
sys.path.insert(0, sys.argv[1])
import one_kernel
one_kernel.total(np.ones(3))

rng = np.random.default_rng(0)
X = np.asfortranarray(rng.standard_normal((60, 12)))
y = X[:, 0] - X[:, 1] + 0.1 * rng.standard_normal(60)
times, last = {}, time.process_time()

def lap(name):
    global last
    now = time.process_time()
    times[name], last = now - last, time.process_time()

import numopt
from numopt import penalties
from numopt.losses import LeastSquares
from numopt.problems import Composite

for name in ("L1", "MCP", "SCAD", "ElasticNet", "Ridge", "Nonnegative"):
    block = getattr(penalties, name)
    penalty = block() if name == "Nonnegative" else block(0.1)
    numopt.solve(Composite(LeastSquares(y), X, penalty))
    lap(name)

from numopt.core import jit
print(json.dumps({"times": times, "compiled": jit.statistics["misses"]}))
"""


def run(code, cache=None):
    """Last line of `code` run in a fresh process, decoded."""
    here = str(Path(__file__).parent)
    environment = dict(os.environ)
    if cache is not None:
        environment["NUMOPT_CACHE_DIR"] = cache
    done = subprocess.run(
        [sys.executable, "-c", code, here],
        env=environment,
        check=True,
        capture_output=True,
        text=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


class Import:
    """Beyond `import numpy, scipy.optimize`; best of several processes."""

    def setup_cache(self):
        runs = [run(IMPORT) for _ in range(REPEATS)]
        return {key: min(r[key] for r in runs) for key in runs[0]}

    def track_import(self, best):
        return best["import"]

    def track_import_and_first_names(self, best):
        return best["names"]

    track_import.unit = track_import_and_first_names.unit = "s"


class FirstFits:
    """Fits of a process beyond numpy, scipy.optimize, numba and one cached kernel.

    Compiled code comes from the disk cache, filled by a process before; best of several.
    """

    def setup_cache(self):
        with tempfile.TemporaryDirectory() as cache:
            run(FITS, cache)
            runs = [run(FITS, cache)["times"] for _ in range(REPEATS)]
        return {name: min(r[name] for r in runs) for name in runs[0]}

    def track_first_lasso(self, best):
        return best["L1"]

    def track_dearest_further_penalty(self, best):
        return max(seconds for name, seconds in best.items() if name != "L1")

    track_first_lasso.unit = track_dearest_further_penalty.unit = "s"


class Compilation:
    """The same fits with an empty cache: signatures compiled and what they cost."""

    timeout = 300

    def setup_cache(self):
        with tempfile.TemporaryDirectory() as cache:
            cold = run(FITS, cache)
            again = run(FITS, cache)
        return {"cold": cold, "again": again}

    def track_signatures(self, runs):
        return runs["cold"]["compiled"]

    def track_signatures_in_next_process(self, runs):
        return runs["again"]["compiled"]

    def track_first_lasso_cold(self, runs):
        return runs["cold"]["times"]["L1"]

    def track_dearest_further_penalty_cold(self, runs):
        return max(seconds for name, seconds in runs["cold"]["times"].items() if name != "L1")

    track_signatures.unit = track_signatures_in_next_process.unit = "signatures"
    track_first_lasso_cold.unit = track_dearest_further_penalty_cold.unit = "s"
