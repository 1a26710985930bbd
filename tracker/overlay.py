"""The video with the skeletons drawn on it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.draw import draw_skeleton
from handpose.errors import HandposeError
from handpose.outputs import check_space
from tracker.hand import State, TrackedHand
from tracker.sources import opencv_name, quiet_opencv

_TEXT_COLOUR, _TEXT_SHADE = (255, 255, 255), (20, 20, 20)
_LONGEST_STILL_S = 60.0  # nobody watches a longer gap between two frames
_MOST_TICKS = 65_535  # a second of MPEG-4 video has no more; OpenCV wants thousandths of a frame where there are any


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
    """Writes an .mp4 of `size_px` (w, h) frames, each where its time belongs. Raises HandposeError where it cannot be written."""

    def __init__(self, path: str | Path, fps: float, size_px: tuple[int, int]):
        self._path, self._fps = Path(path), round(fps, 3 if 1000 * fps <= _MOST_TICKS else 1)
        self._even = (size_px[0] // 2 * 2, size_px[1] // 2 * 2)  # codecs take even sides only
        self._count, self._length_s, self._last_s = 0, 0.0, 0.0
        self._shown: np.ndarray = np.zeros(0, np.uint8)
        with quiet_opencv():
            self._writer = cv2.VideoWriter(
                opencv_name(self._path), cv2.VideoWriter.fourcc(*"mp4v"), self._fps, self._even
            )
        if not self._writer.isOpened():
            raise HandposeError(
                f"{path}: the overlay video cannot be written here (OpenCV has no encoder for it, or the disk is full)"
            )

    def write(self, image: np.ndarray, hands: Sequence[TrackedHand], time_s: float) -> None:
        """Add a frame (H, W, 3) RGB of `time_s` [s] with its hands; the one before it is shown until then.

        Raises HandposeError before the disk is full, while the file can still be finished.
        """
        check_space(self._path)
        if self._count:
            self._length_s += min(time_s - self._last_s, _LONGEST_STILL_S)
        self._last_s = time_s
        place = round(self._length_s * self._fps)
        with quiet_opencv():
            while self._count < place:
                self._append(self._shown)
            self._shown = cv2.cvtColor(draw_hands(image, hands)[: self._even[1], : self._even[0]], cv2.COLOR_RGB2BGR)
            if self._count == place:
                self._append(self._shown)

    def close(self) -> None:
        """Finish the file. Raises HandposeError where it is not whole, which OpenCV passes over in silence."""
        with quiet_opencv():
            self._writer.release()
            written = cv2.VideoCapture(opencv_name(self._path))
            whole = written.get(cv2.CAP_PROP_FRAME_COUNT) >= self._count and written.read()[0]
            written.release()
        if self._count and not whole:
            raise HandposeError(f"{self._path}: the overlay video is not whole and may not play; is the disk full?")

    def _append(self, picture: np.ndarray) -> None:
        self._writer.write(picture)
        self._count += 1
