"""What numopt runs on."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import sys
from typing import Any


def show_config() -> dict[str, Any]:
    """Print and return versions, the compile cache and thread settings.

    Returns
    -------
    dict
        What was printed, by name.

    Examples
    --------
    >>> import numopt
    >>> config = numopt.show_config()  # doctest: +ELLIPSIS
    numopt ...
    >>> sorted(config)[:2]
    ['cache', 'cached kernels']
    """
    from numopt import __version__
    from numopt.core.cache_folder import cache_directory

    folder = cache_directory()
    config: dict[str, Any] = {"numopt": __version__, "python": sys.version.split()[0]}
    for package in ("numpy", "scipy", "numba", "scikit-learn", "networkx", "highspy", "cvxpy"):
        try:
            config[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            config[package] = "not installed"
    config["machine"] = f"{platform.machine()} {platform.system()}, {os.cpu_count()} cores"
    config["cache"] = str(folder)
    config["cached kernels"] = len(list(folder.glob("*.nbc")))
    config["threads"] = {
        name: os.environ[name]
        for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS")
        if name in os.environ
    } or "library defaults"
    for name, value in config.items():
        print(f"{name:<15} {value}")
    return config
