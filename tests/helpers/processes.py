"""Scripts in fresh processes, at the price of a fork.

What a process has compiled, or found in the cache, can only be seen from a new one. Starting Python
and importing Numba takes a second, so a server does that once and forks for every script.
"""

import json
import os
import subprocess
import sys
import textwrap
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]

# Imported, nothing of it compiled.
PRELOADED = "numpy, scipy.sparse, numba, numopt.core.generic, numopt.penalties, numopt.losses"

RUN = """
import os, sys, traceback, types

def run(script, folder, env):
    os.environ.update(env)
    os.chdir(folder)
    sys.path.insert(0, folder)
    sys.dont_write_bytecode = True  # files are edited within the resolution of their times
    main = sys.modules["__main__"] = types.ModuleType("__main__")
    try:
        exec(compile(script, "script", "exec"), main.__dict__)
        return 0
    except BaseException:
        traceback.print_exc()
        return 1
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
"""

SERVER = f"""
import json
{RUN}
import {PRELOADED}
numba.njit(lambda: 0)()  # sets up Numba's registries

for line in sys.stdin:
    running = []
    for request in json.loads(line):
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            os.dup2(write, 1)
            os.dup2(write, 2)
            os._exit(run(**request))
        os.close(write)
        running.append((child, read))
    answers = []
    for child, read in running:
        with os.fdopen(read, errors="replace") as pipe:
            output = pipe.read()
        answers.append([os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), output])
    print(json.dumps(answers), flush=True)
"""


@dataclass
class Finished:
    """How a script ended."""

    code: int
    output: str

    @property
    def result(self) -> Any:
        """What the last line says, as JSON."""
        assert self.code == 0, self.output
        return json.loads(self.output.strip().splitlines()[-1])


class Processes:
    """Runs scripts in processes that have imported numopt and compiled nothing."""

    def __init__(self) -> None:
        self._server: subprocess.Popen[str] | None = None

    def run(self, script: str, folder: Any, **env: str) -> Finished:
        """One script in `folder`, which is also the first place of its imports."""
        return self.run_together([script], folder, **env)[0]

    def run_together(self, scripts: list[str], folder: Any, **env: str) -> list[Finished]:
        """Several scripts at once."""
        requests = [
            {"script": textwrap.dedent(script), "folder": str(folder), "env": env}
            for script in scripts
        ]
        if not hasattr(os, "fork"):
            return [self._fresh(**request) for request in requests]
        if self._server is None:
            self._server = subprocess.Popen(
                [sys.executable, "-W", "ignore", "-c", SERVER],
                **{"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True},
                cwd=ROOT,
                env={**os.environ, "OPENBLAS_NUM_THREADS": "1"},
            )
        self._server.stdin.write(json.dumps(requests) + "\n")
        self._server.stdin.flush()
        return [Finished(*answer) for answer in json.loads(self._server.stdout.readline())]

    @staticmethod
    def _fresh(script: str, folder: str, env: dict[str, str]) -> Finished:
        code = f"{RUN}\nsys.exit(run({script!r}, {folder!r}, {{}}))"
        return fresh(code, **env)

    def close(self) -> None:
        if self._server is not None:
            self._server.stdin.close()
            self._server.wait()
            self._server.stdout.close()


def fresh(code: str, **env: str) -> Finished:
    """Code in a new interpreter that has imported nothing."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        **{"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True},
        cwd=ROOT,
        env={**os.environ, **env},
    )
    return Finished(done.returncode, done.stdout)
