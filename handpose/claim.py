"""Folders of output that are gone on with only by the settings they were begun with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from handpose.atomic import atomic_write, is_unfinished
from handpose.errors import HandposeError


def claim(folder: Path, name: str, settings: dict[str, Any]) -> None:
    """Take an empty folder, and keep the settings in it as the file `name`; or go on with one that was begun with the same.

    Raises HandposeError naming the settings that differ, where the folder holds something else, or where it cannot be used.
    """
    record = folder / name
    wanted = json.loads(json.dumps(settings))  # as they are read back
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if record.is_file():
            found = json.loads(record.read_text())
        elif any(not is_unfinished(path) for path in folder.iterdir()):  # of a process that was killed as it began
            raise HandposeError(f"{folder}: not empty, and no {name} tells how it was begun; choose another --o")
        else:
            atomic_write(record, json.dumps(wanted, indent=1).encode())
            return
    except OSError as error:
        raise HandposeError(f"{folder}: cannot be used ({error.strerror})") from error
    except ValueError as error:
        raise HandposeError(f"{record}: not readable ({error}); choose another --o") from error
    if found != wanted:
        there, nothing = found if isinstance(found, dict) else {}, object()
        other = [key for key in wanted | there if wanted.get(key, nothing) != there.get(key, nothing)]
        raise HandposeError(f"{folder}: begun with other settings ({', '.join(other)}); choose another --o")
