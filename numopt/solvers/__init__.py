"""Solvers: one file per method, found by its name.

``numopt.solvers.ProximalGradient`` lives in ``proximal_gradient.py``: the file is the class name
with underscores. There is no list to keep: a new file is a new solver.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from typing import Any

# Names that mean a solver with settings, as SciPy users know them.
_ALIASES = {"fista": "prox-grad"}
_PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "corrective-fw": ("frank-wolfe", {"variant": "corrective"}),
    "bpcg": ("frank-wolfe", {"variant": "blended"}),
    "pairwise-fw": ("frank-wolfe", {"variant": "pairwise"}),
    "away-fw": ("frank-wolfe", {"variant": "away"}),
}


def _modules() -> dict[str, str]:
    """Class name in lower case -> module."""
    found = (module.name for module in pkgutil.iter_modules(__path__))
    return {name.replace("_", ""): name for name in found if not name.startswith("_")}


def __getattr__(name: str) -> Any:
    if name == "Solver":
        from numopt.core.engine import Solver

        return Solver
    module = None if name.startswith("_") else _modules().get(name.lower())
    if module is not None:
        cls = getattr(importlib.import_module(f"{__name__}.{module}"), name, None)
        if cls is not None:
            globals()[name] = cls
            return cls
    raise AttributeError(f"module 'numopt.solvers' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(cls.__name__ for cls in all_solvers())


def all_solvers() -> list[Any]:
    """Every solver class."""
    classes = []
    for module in _modules().values():
        classes += _members(module)
    return classes


def _members(module: str) -> list[Any]:
    """Solver classes that a module defines."""
    from numopt.core.engine import Solver

    return [
        member
        for member in vars(importlib.import_module(f"{__name__}.{module}")).values()
        if isinstance(member, type)
        and issubclass(member, Solver)
        and member.__module__ == f"{__name__}.{module}"
        and not member.__name__.startswith("_")
    ]


_by_name: dict[str, Any] = {}


def by_name(name: str) -> Any:
    """The solver class with this `name`, or class name."""
    name = _PRESETS[name][0] if name in _PRESETS else _ALIASES.get(name, name)
    if name not in _by_name:
        module = name.replace("-", "_")
        named = module in _modules().values()  # then there is no need to import the others
        classes = _members(module) if named else all_solvers()
        _by_name.update({cls.name: cls for cls in classes})
        _by_name.update({cls.__name__: cls for cls in classes})
    if name not in _by_name:
        _by_name.update({cls.name: cls for cls in all_solvers()})
        near = difflib.get_close_matches(name, _by_name, n=1)
        known = ", ".join(sorted(key for key in _by_name if key == _by_name[key].name))
        hint = f"did you mean {near[0]!r}?" if near else f"known: {known}"
        raise ValueError(f"solver {name!r} is not known; {hint}")
    return _by_name[name]


def preset(name: str) -> dict[str, Any]:
    """The fields that a name sets, such as "away-fw" the variant of `FrankWolfe`."""
    return dict(_PRESETS[name][1]) if name in _PRESETS else {}


def accepting(kind: str, problem: Any = None) -> list[str]:
    """Names of the solvers that take a problem class, or this very problem."""
    from numopt.core.engine import missing

    able = [cls for cls in all_solvers() if kind in cls.accepts]
    return [cls.name for cls in able if problem is None or missing(cls, problem) is None]
