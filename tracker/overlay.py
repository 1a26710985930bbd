"""The video with the skeletons drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.draw import draw_skeleton
from handpose.errors import HandposeError
from tracker.hand import State, TrackedHand
from tracker.sources import quiet_opencv

_TEXT_COLOUR, _TEXT_SHADE = (255, 255, 255), (20, 20, 20)


def draw_hands(image: np.ndarray, hands: Sequence[TrackedHand]) -> np.ndarray:
    """Draw hands over a picture (H, W, 3) RGB; returns a new picture. Each has its id and side beside the wrist."""
    drawn = np.ascontiguousarray(image).copy()
    for hand in hands:
        drawn = draw_skeleton(drawn, hand.joints_px, hand.confidence)
        if np.isfinite(hand.joints_px).all():
            mark = "" if hand.state is State.TRACKED else " predicted"
            write_text(drawn, f"{hand.id} {hand.side}{mark}", hand.joints_px.min(0) - (0, 6))
    return drawn


def write_text(image: np.ndarray, text: str, place_px: np.ndarray) -> None:
    """Write a line into a picture, in place; it is kept inside."""
    scale = max(image.shape[0], 240) / 900
    (width, height), _ = cv2.getTextSize(text, cv2.FONT_HERSHEY_SIMPLEX, scale, 1)
    x = int(np.clip(place_px[0], 2, max(image.shape[1] - width - 2, 2)))
    y = int(np.clip(place_px[1], height + 2, max(image.shape[0] - 3, height + 2)))
    for colour, thick in ((_TEXT_SHADE, 3), (_TEXT_COLOUR, 1)):
        cv2.putText(image, text, (x, y), cv2.FONT_HERSHEY_SIMPLEX, scale, colour, thick, cv2.LINE_AA)


class OverlayWriter:
    """Writes an .mp4 of `size_px` (w, h) frames. Raises HandposeError where it cannot be written."""

    def __init__(self, path: str | Path, fps: float, size_px: tuple[int, int]):
        self._even = (size_px[0] // 2 * 2, size_px[1] // 2 * 2)  # codecs take even sides only
        with quiet_opencv():
            self._writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), fps, self._even)
        if not self._writer.isOpened():
            raise HandposeError(
                f"{path}: the overlay video cannot be written here (OpenCV has no encoder for it, or the disk is full)"
            )

    def write(self, image: np.ndarray, hands: Sequence[TrackedHand]) -> None:
        """Add a frame (H, W, 3) RGB with its hands."""
        drawn = draw_hands(image, hands)[: self._even[1], : self._even[0]]
        self._writer.write(cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Finish the file."""
        self._writer.release()
