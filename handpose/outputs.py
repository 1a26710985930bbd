"""Files that a command is to write, looked at before its work."""

from __future__ import annotations

import errno
import json
import math
import shutil
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from handpose.atomic import atomic_write
from handpose.errors import HandposeError

_NO_DRAFT = (errno.EACCES, errno.EPERM, errno.EBUSY, errno.ENAMETOOLONG)
_RESERVE_BYTES = 8 << 20  # what the index at a file's end may take, and the tracks beside it


def prepare_outputs(command: str, paths: Iterable[Path]) -> None:
    """Find out before the work whether the files can be written; say which will be replaced. Raises HandposeError where one cannot."""
    for path in paths:
        try:
            if not path.parent.is_dir():
                raise HandposeError(f"{path.parent}: no such folder")
            existed = path.exists()
            if existed and not path.is_file() and not path.is_dir():
                continue  # a pipe, whose reader would take the opening for the end, or a device
            check_writable(path)
        except OSError as error:
            raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
        if existed:
            print(f"{command}: {path} exists and is replaced", file=sys.stderr)
        else:
            path.resolve().unlink()  # not a link that leads to it


def same_file(first: Path, second: Path) -> bool:
    """Say whether two names are one file, by hard link or other letter case too."""
    return first.resolve() == second.resolve() or (first.exists() and second.exists() and first.samefile(second))


def check_writable(path: Path) -> None:
    """Raise OSError where a file cannot be written; one that is not there is begun."""
    with path.open("ab"):
        pass


def check_picture(path: Path) -> None:
    """Raise HandposeError where a name's ending is no picture's."""
    import cv2  # not needed by most commands

    if not cv2.haveImageWriter(str(path)):
        raise HandposeError(f"{path}: cannot be written as a picture; end it in .jpg or .png")


def check_space(path: Path) -> None:
    """Raise HandposeError before the disk is full, while a file that grows can still be finished."""
    if shutil.disk_usage(path.parent).free < _RESERVE_BYTES:
        raise HandposeError(f"{path}: the disk is nearly full; what was written is kept")


def write_json(path: Path, content: dict, indent: int | None = None) -> None:
    """Write figures for programs as `write_whole` does; what is no finite number is null, as JSON has it."""
    write_whole(path, (json.dumps(_finite(content), indent=indent) + "\n").encode())


def _finite(content: Any) -> Any:
    if isinstance(content, dict):
        return {key: _finite(value) for key, value in content.items()}
    if isinstance(content, list | tuple):
        return [_finite(value) for value in content]
    return None if isinstance(content, float) and not math.isfinite(content) else content


def write_whole(path: Path, content: bytes) -> None:
    """Write a file that is whole or not there, where links lead to, or to a device. Raises HandposeError where it cannot be written."""
    try:
        if path.exists() and not path.is_file():
            path.write_bytes(content)  # a pipe or a device is no place to rename a file to
        else:
            _replace(path.resolve(), content)
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error


def _replace(path: Path, content: bytes) -> None:
    """Write a file beside the old one and rename it; where its folder takes no other file, it is written over."""
    try:
        atomic_write(path, content)
    except OSError as error:
        if error.errno not in _NO_DRAFT:
            raise
        path.write_bytes(content)
