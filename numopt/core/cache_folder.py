"""Where compiled kernels are kept, without importing the compiler."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from pathlib import Path


def cache_directory() -> Path:
    """Folder of compiled kernels: NUMOPT_CACHE_DIR, NUMBA_CACHE_DIR/numopt or the user's cache."""
    if chosen := os.environ.get("NUMOPT_CACHE_DIR"):
        return Path(chosen)
    if chosen := os.environ.get("NUMBA_CACHE_DIR"):
        return Path(chosen) / "numopt"
    try:
        home = Path.home()
    except RuntimeError:  # a user id without an entry, as in containers
        return _temporary_directory()
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", home / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = home / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache")
    return base / "numopt"


def _temporary_directory() -> Path:
    user = getattr(os, "getuid", lambda: 0)()
    return Path(tempfile.gettempdir()) / f"numopt-{user}"


def _folders() -> list[Path]:
    """The cache folder and, where that cannot be written, one under the temporary folder."""
    found = []
    for folder in (cache_directory(), _temporary_directory()):
        with contextlib.suppress(OSError):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with contextlib.suppress(OSError):
            if _trusted(folder):
                found.append(folder)
                if os.access(folder, os.W_OK):
                    break
    return found


def _trusted(folder: Path) -> bool:
    """Entries are pickles: none is read from a folder that somebody else could have filled."""
    stat = folder.stat()
    if not hasattr(os, "getuid"):
        return True
    return stat.st_uid in (os.getuid(), 0) and not stat.st_mode & 0o002


def clear_cache() -> int:
    """Delete all compiled kernels of this user from disk and return how many there were."""
    count = 0
    for folder in _folders():
        with contextlib.suppress(OSError):
            for entry in [*folder.glob("*.nbc"), *folder.glob("*.tmp")]:
                entry.unlink(missing_ok=True)
                count += entry.suffix == ".nbc"
    return count
