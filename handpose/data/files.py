"""What several readers and writers of datasets do with files and folders: names, JSON and text labels, silhouettes as ordinary pictures, parts of frames."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handpose.atomic import atomic_write
from handpose.errors import HandposeError
from handpose.images import read_image


def named(folder: Path) -> Path:
    """Give a folder under its own name, by which parts of datasets and people held out are known: `.` and `..` have none."""
    return folder if folder.name.strip(".") else folder.resolve()


def files_below(folder: Path, ending: str) -> Iterator[Path]:
    """Find the files below a folder whose names end so, those behind links too: parts of large releases lie on other disks."""
    seen = set()
    for place, folders, files in os.walk(folder, followlinks=True):
        real = os.path.realpath(place)
        if real in seen:  # a link back
            folders.clear()
            continue
        seen.add(real)
        yield from (Path(place, name) for name in files if name.endswith(ending))


def read_json(path: Path, packed: Callable[[dict], Any] | None = None) -> Any:
    """Read a JSON file, each of its objects as `packed` gives it: large files fit into memory so. Raises HandposeError naming it where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"), object_hook=packed)
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror or error}") from error
    except (ValueError, RecursionError) as error:
        raise HandposeError(f"{path}: not readable as JSON ({error})") from error


def read_numbers(path: Path, rows: int, columns: int) -> np.ndarray:
    """Read a text of finite numbers, parted by commas or blanks: (rows, columns). Raises HandposeError naming the file where it is none."""
    try:
        values = np.array([float(word) for word in path.read_text().replace(",", " ").split()])
    except (OSError, ValueError) as error:
        raise HandposeError(f"{path}: not readable as numbers ({error})") from error
    if values.size != rows * columns:
        raise HandposeError(f"{path}: expected {rows * columns} numbers, found {values.size}")
    if not np.isfinite(values).all():
        raise HandposeError(f"{path}: not all of its numbers are finite")
    return values.reshape(rows, columns)


def read_silhouette(path: Path) -> np.ndarray:
    """Read a mask that is kept as a grey or lossy picture: (H, W) uint8, 255 where it is at least half bright, else 0."""
    return np.where(read_image(path)[..., 0] >= 128, 255, 0).astype(np.uint8)


def beside(frame: Path, ending: str) -> Path:
    """Give the file of a frame, a path without suffix, that has this ending."""
    return frame.with_name(frame.name + ending)


def write_png(path: Path, picture: np.ndarray) -> None:
    """Write a picture, (H, W, 3) RGB uint8 or (H, W) of 8 or 16 bits; a file that is there is whole. Raises OSError."""
    stored = picture[..., ::-1] if picture.ndim == 3 else picture
    atomic_write(path, cv2.imencode(".png", stored, [cv2.IMWRITE_PNG_COMPRESSION, 4])[1].tobytes())
