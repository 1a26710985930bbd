"""Pictures whose size the intrinsics of a dataset count on."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handpose.errors import HandposeError
from handpose.images import read_image


def read_sized(path: Path, size_px: tuple[int, int]) -> np.ndarray:
    """Read a picture of `size_px` (width, height): (H, W, 3) RGB uint8.

    Raises HandposeError naming the file where it is missing, broken or of another size.
    """
    image = read_image(path)
    height, width = image.shape[:2]
    if (width, height) != size_px:
        raise HandposeError(f"{path}: expected {size_px[0]}x{size_px[1]} pixels, found {width}x{height}")
    return image
