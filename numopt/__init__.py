"""numopt: classical numerical optimisation with certificates.

Three ways in, one core: functions shaped like SciPy's (`minimize`, `solve_linear`),
scikit-learn estimators, and problem objects handed to solver objects (`solve`).
"""

from __future__ import annotations

import importlib
from typing import Any

__version__ = "0.1.0"

# Public name -> module; nothing is imported before it is used.
_WHERE = {
    "ConvergenceWarning": "core.engine",
    "Result": "core.result",
    "Status": "core.result",
    "block": "core.block",
    "check_gradient": "functions.check_gradient",
    "clear_cache": "core.cache_folder",
    "fixed_point": "functions.fixed_point",
    "learn_dag": "functions.learn_dag",
    "linprog": "functions.linprog",
    "minimize": "functions.minimize",
    "quadprog": "functions.quadprog",
    "show_config": "core.config",
    "solve": "core.engine",
    "solve_game": "functions.solve_game",
    "solve_linear": "functions.solve_linear",
    "solve_many": "core.batch",
    "solve_vi": "functions.solve_vi",
    "warm_cache": "core.warm",
}
_MODULES = (
    "calculus",
    "estimators",
    "losses",
    "operators",
    "penalties",
    "problems",
    "sets",
    "solvers",
    "splittings",
    "terms",
)

__all__ = ["__version__", *_WHERE, *_MODULES]


def __getattr__(name: str) -> Any:
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    elif name in _MODULES:
        value = importlib.import_module(f"{__name__}.{name}")
    else:
        raise AttributeError(f"module 'numopt' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
