"""Files that are never half written, whoever is stopped on the way and however many write the same one."""

from __future__ import annotations

import os
import socket
from pathlib import Path

_ENDING = ".unfinished"


def atomic_write(path: Path, content: bytes) -> None:
    """Write a file under a name of its own and rename it: whoever reads finds the old or the new one, whole."""
    draft = unfinished(path)
    try:
        with draft.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)


def unfinished(path: Path) -> Path:
    """Give the name under which this process writes a file: a worker given up for dead may be writing the same one still."""
    return path.with_name(f"{path.name}.{socket.gethostname()}-{os.getpid()}{_ENDING}")


def is_unfinished(path: Path) -> bool:
    """Say whether a name is one that `unfinished` gives."""
    return path.name.endswith(_ENDING)


def clear_unfinished(folder: Path) -> None:
    """Remove what processes that were killed left anywhere below a folder. Call it where nobody writes there any more."""
    for draft in folder.rglob(f"*{_ENDING}"):
        draft.unlink(missing_ok=True)
