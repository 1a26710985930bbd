"""What several readers of datasets do with a file: JSON labels, and silhouettes kept as ordinary pictures."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.images import read_image


def read_json(path: Path) -> Any:
    """Read a JSON file. Raises HandposeError naming it where it is missing or broken."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror or error}") from error
    except ValueError as error:
        raise HandposeError(f"{path}: not readable as JSON ({error})") from error


def read_silhouette(path: Path) -> np.ndarray:
    """Read a mask that is kept as a grey or lossy picture: (H, W) uint8, 255 where it is at least half bright, else 0."""
    return np.where(read_image(path)[..., 0] >= 128, 255, 0).astype(np.uint8)
