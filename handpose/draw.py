"""Drawing: skeletons on pictures, and contact sheets."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from handpose.skeleton import BONES, JOINT_COLOURS

_SUBPIXEL_BITS = 4  # OpenCV draws at sixteenths of a pixel


def draw_skeleton(image: np.ndarray, joints_px: np.ndarray, confidence: np.ndarray | None = None) -> np.ndarray:
    """Draw joints (21, 2) [px] and bones over a picture (H, W, 3) RGB; returns a new picture.

    Fingers have their colours; a joint of `confidence` (21,) near 0 fades away, one that is no finite number is left out.
    """
    image = np.ascontiguousarray(image).copy()
    joints_px = np.asarray(joints_px, float)
    known = np.isfinite(joints_px).all(-1)
    if not known.any():
        return image
    thick = max(1, round(float(np.ptp(joints_px[known], axis=0).max()) / 70))
    points = np.clip(np.nan_to_num(np.round(joints_px * (1 << _SUBPIXEL_BITS))), -(2**24), 2**24).astype(int).tolist()
    opacity = np.ones(len(points)) if confidence is None else 0.25 + 0.75 * np.clip(confidence, 0, 1)
    for parent, child in BONES:
        if not (known[parent] and known[child]):
            continue
        colour = _faded(JOINT_COLOURS[child], min(opacity[parent], opacity[child]))
        cv2.line(image, points[parent], points[child], colour, thick, cv2.LINE_AA, _SUBPIXEL_BITS)
    for point, colour, strength, drawn in zip(points, JOINT_COLOURS, opacity, known, strict=True):
        if not drawn:
            continue
        radius = round((thick + 0.5) * (1 << _SUBPIXEL_BITS))
        cv2.circle(image, point, radius, _faded(colour, strength), -1, cv2.LINE_AA, _SUBPIXEL_BITS)
    return image


def contact_sheet(images: Sequence[np.ndarray], columns: int, captions: Sequence[str] | None = None) -> np.ndarray:
    """Lay pictures of one size out in rows of `columns`, with a caption on each."""
    height, width = images[0].shape[:2]
    rows = -(-len(images) // columns)
    sheet = np.zeros((rows * height, columns * width, 3), np.uint8)
    for i, image in enumerate(images):
        tile = np.ascontiguousarray(image).copy()
        if captions is not None:
            tile[height - 14 :] //= 3  # pictures may be light or dark
            at, font = (3, height - 5), cv2.FONT_HERSHEY_SIMPLEX
            cv2.putText(tile, captions[i], at, font, 0.35, (255, 255, 0), 1, cv2.LINE_AA)
        row, column = divmod(i, columns)
        sheet[row * height : (row + 1) * height, column * width : (column + 1) * width] = tile
    return sheet


def _faded(colour: tuple[int, int, int], strength: float) -> tuple[int, ...]:
    return tuple(int(channel * strength + 90 * (1 - strength)) for channel in colour)
