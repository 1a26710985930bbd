"""Where Numba keeps what it compiled: it looks at a function's own file alone, and not at what that calls in other files.

So the cache lies in a folder of the user's, one for each copy of the package, and is emptied whenever a compiled file has changed. Where
no such folder can be written, one of the user's alone in the temporary folder serves: without any, Numba ends the import.
"""

from __future__ import annotations

import hashlib
import os
import stat
import sys
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

_ROOT = Path(__file__).resolve().parent.parent
COMPILED = (  # with those whose constants they may hold
    "handpose/camera.py", "handpose/crop.py", "handpose/heatmap.py", "handpose/kinematics.py", "handpose/lens.py", "handpose/runtime.py",
    "handpose/shrink.py", "handpose/skeleton.py", "handpose/fit/energy.py", "handpose/fit/initialise.py", "handpose/fit/observe.py",
    "handpose/fit/solver.py", "handpose/synthesis/build_hand.py", "handpose/synthesis/mesh.py", "handpose/synthesis/rasterise.py",
    "handpose/synthesis/settle.py", "handpose/synthesis/shading.py", "regnet/predictor.py", "tracker/aim.py", "tracker/filters.py",
)  # fmt: skip
_NAME, _STATE = "ganerated-hands", "sources.txt"


def use_own_cache() -> None:
    """Tell Numba its folder, and processes that this one starts; one that the user names in NUMBA_CACHE_DIR stays."""
    if "NUMBA_CACHE_DIR" in os.environ:
        return
    copy = hashlib.sha256(str(_ROOT).encode()).hexdigest()[:16]
    for place in _places():
        with suppress(OSError):
            folder = place / copy
            folder.mkdir(parents=True, exist_ok=True)
            _empty_where_stale(folder)
            os.environ["NUMBA_CACHE_DIR"] = str(folder)
            if "numba" in sys.modules:  # which read the variable when it was imported
                sys.modules["numba"].config.CACHE_DIR = str(folder)
            return


def _places() -> Iterator[Path]:
    folder = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    if not folder.startswith("~"):  # there is a home
        yield Path(folder) / _NAME
    temporary = Path(tempfile.gettempdir())
    if not hasattr(os, "getuid"):  # Windows, where each user has a temporary folder
        yield temporary / _NAME
    elif _is_private(mine := temporary / f"{_NAME}-{os.getuid()}"):
        yield mine


def _is_private(folder: Path) -> bool:
    """Make a folder, or find it, and say whether no other user can have put into it what Numba would run here."""
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        found = folder.lstat()
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o022


def _empty_where_stale(folder: Path) -> None:
    """Remove what was compiled of other sources; folders stay, for another process may be about to write there."""
    state, now = folder / _STATE, _sources()
    if state.is_file() and state.read_text() == now:
        return
    for file in folder.glob("*/*.nb[ic]"):
        file.unlink(missing_ok=True)
    state.write_text(now)


def _sources() -> str:
    stats = ((name, (_ROOT / name).stat()) for name in COMPILED)
    return "".join(f"{name} {stat.st_size} {stat.st_mtime_ns}\n" for name, stat in stats)
