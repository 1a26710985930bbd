"""Files that a command is to write, looked at before its work."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable
from pathlib import Path

from handpose.atomic import atomic_write
from handpose.errors import HandposeError


def prepare_outputs(command: str, paths: Iterable[Path]) -> None:
    """Find out before the work whether the files can be written; say which will be replaced. Raises HandposeError where one cannot."""
    for path in paths:
        if not path.parent.is_dir():
            raise HandposeError(f"{path.parent}: no such folder")
        existed = path.exists()
        try:
            with path.open("ab"):
                pass
        except OSError as error:
            raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
        if existed:
            print(f"{command}: {path} exists and is replaced", file=sys.stderr)
        else:
            path.unlink()


def write_json(path: Path, content: dict) -> None:
    """Write a file that is whole or not there. Raises HandposeError where it cannot be written."""
    try:
        atomic_write(path, (json.dumps(content) + "\n").encode())
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
