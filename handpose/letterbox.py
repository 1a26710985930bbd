"""A picture of any shape in a square: the detector's view of it."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handpose.shrink import halved


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
        small, small_from_image = halved(image, 1 / self.scale)
        square_from_image = np.array([[self.scale, 0, self.offset[0]], [0, self.scale, self.offset[1]], [0, 0, 1]])
        square_from_small = square_from_image @ np.linalg.inv(small_from_image)
        return cv2.warpAffine(small, square_from_small[:2], (self.size, self.size), flags=cv2.INTER_LINEAR)

    def to_square(self, points_px: np.ndarray) -> np.ndarray:
        """Carry picture pixels (..., 2) to the square."""
        return np.asarray(points_px) * self.scale + self.offset

    def to_image(self, points_px: np.ndarray) -> np.ndarray:
        """Carry the square's pixels (..., 2) to the picture."""
        return (np.asarray(points_px) - self.offset) / self.scale
