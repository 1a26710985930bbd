"""Averaging a picture down by halves before it is drawn smaller: a bilinear look-up alone would alias, an odd ratio would be slow."""

from __future__ import annotations

import cv2
import numpy as np

COARSEST = 1.8  # pixels to a drawn pixel that a bilinear look-up may skip


def halved(image: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Halve a picture (H, W, C) that is to be drawn `shrink` times smaller as often as that helps.

    Gives the picture and halved_from_image (3, 3), which carries pixels. An odd last row or column is left out.
    """
    ratio = 1.0
    while shrink * ratio >= COARSEST and min(image.shape[:2]) > 1:
        rows, columns = (extent // 2 for extent in image.shape[:2])
        image = cv2.resize(image[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)
        ratio /= 2
    offset = 0.5 * ratio - 0.5
    return image, np.array([[ratio, 0, offset], [0, ratio, offset], [0, 0, 1]])
