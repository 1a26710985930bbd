"""Averaging a picture down by halves before it is drawn smaller: a bilinear look-up alone would alias, an odd ratio would be slow."""

from __future__ import annotations

import cv2
import numpy as np
from numba import njit

COARSEST = 1.8  # pixels to a drawn pixel that a bilinear look-up may skip


def halved(image: np.ndarray, shrink: float) -> tuple[np.ndarray, np.ndarray]:
    """Halve a picture (H, W, C) that is to be drawn `shrink` times smaller as often as that helps.

    Gives the picture and halved_from_image (3, 3), which carries pixels. An odd last row or column is left out.
    """
    ratio = 1.0
    while shrink * ratio >= COARSEST and min(image.shape[:2]) > 1:
        image = _half(image)
        ratio /= 2
    offset = 0.5 * ratio - 0.5
    return image, np.array([[ratio, 0, offset], [0, ratio, offset], [0, 0, 1]])


def _half(image: np.ndarray) -> np.ndarray:
    """Average squares of four pixels. OpenCV has no vector code for three bytes a pixel: compiled, that takes half the time."""
    rows, columns = (extent // 2 for extent in image.shape[:2])
    if image.dtype == np.uint8 and image.shape[2:] == (3,):
        return _half_rgb(image.reshape(len(image), -1)).reshape(rows, columns, 3)
    return cv2.resize(image[: 2 * rows, : 2 * columns], (columns, rows), interpolation=cv2.INTER_AREA)


@njit(cache=True)
def _half_rgb(rows):
    """Averages (H // 2, W // 2 * 3), halves rounded up, of a picture's bytes (H, W * 3)."""
    height, width = rows.shape[0] // 2, rows.shape[1] // 6
    small, pairs = np.empty((height, 3 * width), np.uint8), np.empty(6 * width, np.uint16)
    for y in range(height):
        above, below, out = rows[2 * y], rows[2 * y + 1], small[y]
        for i in range(6 * width):
            pairs[i] = np.uint16(above[i]) + np.uint16(below[i])
        for x in range(width):
            for c in range(3):
                out[3 * x + c] = (pairs[6 * x + c] + pairs[6 * x + 3 + c] + np.uint16(2)) >> np.uint16(2)
    return small
