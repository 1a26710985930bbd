"""A picture of any shape in a square: the detector's view of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np


@dataclass(frozen=True)
class Letterbox:
    """Square pixels are `scale` times picture pixels plus `offset` (x, y), counted from pixel centres."""

    scale: float
    offset: tuple[float, float]
    size: int

    @classmethod
    def of(cls, width: int, height: int, size: int) -> Letterbox:
        """Fit a picture of `width` x `height` px centred into `size` px."""
        scale = size / max(width, height)
        left, top = ((size - scale * extent) / 2 + 0.5 * scale - 0.5 for extent in (width, height))
        return cls(scale, (left, top), size)

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Draw the picture (H, W, 3) into the square (size, size, 3); the bars are black."""
        if self.scale < 0.75:  # average first: a bilinear look-up alone would alias
            width, height = (max(1, round(extent * self.scale)) for extent in image.shape[1::-1])
            shrunk = cv2.resize(image, (width, height), interpolation=cv2.INTER_AREA)
            square = np.zeros((self.size, self.size, 3), np.uint8)
            left, top = (self.size - width) // 2, (self.size - height) // 2
            square[top : top + height, left : left + width] = shrunk
            return square
        matrix = np.array([[self.scale, 0, self.offset[0]], [0, self.scale, self.offset[1]]])
        return cv2.warpAffine(image, matrix, (self.size, self.size), flags=cv2.INTER_LINEAR)

    def to_square(self, points_px: np.ndarray) -> np.ndarray:
        """Carry picture pixels (..., 2) to the square."""
        return np.asarray(points_px) * self.scale + self.offset

    def to_image(self, points_px: np.ndarray) -> np.ndarray:
        """Carry the square's pixels (..., 2) to the picture."""
        return (np.asarray(points_px) - self.offset) / self.scale
