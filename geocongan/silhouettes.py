"""Silhouettes of photographed hands, by what is behind them, and the rules by which a frame is dropped.

Grounds: a green screen (chroma key with spill removal), light paper, a dark one, anything else (GrabCut seeded by labelled joints),
or masks that come with the pictures. RealHands' own masks have speckles, gaps and green rims, and training on them fails; the
cleaning follows what users of RealHands found to work (largest piece, closed, its rim taken off).
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from handpose.data.cutout import GREENER, before_green, largest_piece, on_paper
from handpose.data.grabcut import grabcut

Ground = Literal["green", "light", "dark", "cluttered"]
GROUNDS: tuple[Ground, ...] = get_args(Ground)
LEAST_COVER, MOST_COVER = 0.05, 0.6  # of the crop
MOST_PIECES = 60
_DARK = 30  # of 255: a dark ground is no brighter
_BRUSH = np.ones((3, 3), np.uint8)


def recognise_ground(image: np.ndarray) -> Ground:
    """Tell what is behind the hand of a picture (H, W, 3) from its border."""
    width = max(2, min(image.shape[:2]) // 25)
    border = np.concatenate(
        [image[:width].reshape(-1, 3), image[:, :width].reshape(-1, 3), image[:, -width:].reshape(-1, 3)]
    ).astype(np.int16)
    green = border[:, 1] - np.maximum(border[:, 0], border[:, 2]) > GREENER
    if green.mean() > 0.5:
        return "green"
    level = border.max(-1)
    if np.percentile(level, 80) < _DARK:
        return "dark"
    if np.median(level - border.min(-1)) < 30 and np.percentile(level, 20) > 100:
        return "light"
    return "cluttered"


def cut_out(image: np.ndarray, ground: Ground, joints_px: np.ndarray | None = None) -> np.ndarray:
    """Find the hand of a picture (H, W, 3): a rough mask (H, W) uint8, 0 or 255. A cluttered ground needs joints_px (21, 2)."""
    if ground == "green":
        return before_green(image)
    if ground == "light":
        return on_paper(image)
    if ground == "dark":
        return np.where(image.max(-1) > _DARK, 255, 0).astype(np.uint8)
    if joints_px is None:
        raise ValueError("a hand before a cluttered ground is found by its joints")
    return grabcut(image, joints_px)


def without_spill(image: np.ndarray) -> np.ndarray:
    """Take the green screen's light off the skin: green goes no further than the mean of red and blue allows."""
    red, green, blue = np.moveaxis(image.astype(np.int16), -1, 0)
    spilled = np.stack([red, np.minimum(green, np.maximum((red + blue) // 2, np.minimum(red, blue) + 4)), blue], -1)
    return np.clip(spilled, 0, 255).astype(np.uint8)


def cleaned(mask: np.ndarray, rim: bool) -> tuple[np.ndarray, str]:
    """Clean a rough mask (H, W), whose outermost pixel is of the ground with `rim`: the mask, 0 or 255, and why to drop the frame, or ""."""
    mask = cv2.medianBlur(mask, 3)
    mask = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    mask, count = largest_piece(mask)
    if not count:
        return mask, "no hand"
    if count > MOST_PIECES:
        return mask, "in pieces"
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _BRUSH)
    if rim:
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    cover = float((mask > 0).mean())
    if cover < LEAST_COVER:
        return mask, "too little"
    if cover > MOST_COVER:
        return mask, "too much"
    return mask, ""
