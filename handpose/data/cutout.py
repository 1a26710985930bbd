"""Silhouettes of photographed hands where the ground makes them easy: a green screen, white paper."""

from __future__ import annotations

import cv2
import numpy as np

GREENER = 18  # by so much green outdoes red and blue on a green screen
_BRUSH = np.ones((3, 3), np.uint8)


def hand_alpha(image: np.ndarray, set_name: str) -> np.ndarray | None:
    """Give the hand's alpha (H, W) uint8 in a picture (H, W, 3) of a photo set whose ground is known, None for other sets."""
    if set_name == "rps_greenscreen":
        return before_green(image)
    if set_name == "sign_digits":
        return on_paper(image)
    return None


def before_green(image: np.ndarray) -> np.ndarray:
    """Give the alpha (H, W) of what is not green in a picture (H, W, 3)."""
    red, green, blue = np.moveaxis(image.astype(np.int16), -1, 0)
    mask = np.where(green - np.maximum(red, blue) > GREENER, 0, 255).astype(np.uint8)
    return cv2.GaussianBlur(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _BRUSH), (3, 3), 0)


def on_paper(image: np.ndarray) -> np.ndarray:
    """Tell skin from white paper, lit however, by saturation: its histogram has two hills; the largest piece is the hand."""
    x = image.astype(np.float32)
    saturation = (x.max(-1) - x.min(-1)) / (x.max(-1) + 8)
    grey = (np.clip(cv2.GaussianBlur(saturation, (0, 0), 0.8), 0, 1) * 255).astype(np.uint8)
    mask = cv2.threshold(grey, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    mask = cv2.morphologyEx(cv2.morphologyEx(mask, cv2.MORPH_OPEN, _BRUSH), cv2.MORPH_CLOSE, _BRUSH)
    mask, _ = largest_piece(mask)
    return cv2.GaussianBlur(cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))), (3, 3), 0)


def largest_piece(mask: np.ndarray) -> tuple[np.ndarray, int]:
    """Keep the largest piece of a mask (H, W) uint8: it, 0 or 255, and how many pieces there were."""
    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask)
    if count == 1:
        return mask, 0
    return np.where(pieces == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax(), 255, 0).astype(np.uint8), count - 1
