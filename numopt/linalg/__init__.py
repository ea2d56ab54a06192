"""Linear algebra and the inner routines of projections, as solvers use them.

Functions named here check their arguments and return new arrays. Compiled code calls the kernels
behind them, which stand in the same modules and write into arrays given to them.
"""

from __future__ import annotations

import importlib
from typing import Any

# Public name -> module; nothing is imported before it is used.
_WHERE = {
    "isotonic": "isotonic",
    "kth_largest": "selection",
    "top_k": "selection",
    "weighted_median": "selection",
}

__all__ = [*_WHERE]


def __getattr__(name: str) -> Any:
    if name not in _WHERE:
        raise AttributeError(f"module 'numopt.linalg' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
