"""Silhouettes of photographed hands, by what is behind them, and the rules by which a frame is dropped.

Grounds: a green screen (chroma key with spill removal), light paper, a dark one, anything else (GrabCut seeded by labelled joints),
or masks that come with the pictures. RealHands' own masks have speckles, gaps and green rims, and training on them fails; the
cleaning follows what users of RealHands found to work (largest piece, closed, its rim taken off).
"""

from __future__ import annotations

from typing import Literal, get_args

import cv2
import numpy as np

from handpose.data.cutout import GREENER, before_green, on_paper
from handpose.skeleton import BASES, BONES, WRIST

Ground = Literal["green", "light", "dark", "cluttered"]
GROUNDS: tuple[Ground, ...] = get_args(Ground)
LEAST_COVER, MOST_COVER = 0.05, 0.6  # of the crop
MOST_PIECES = 60
_DARK = 30  # of 255: a dark ground is no brighter
_BRUSH = np.ones((3, 3), np.uint8)
_GRABCUT_ROUNDS = 4
_PALE, _MOST_PALE = 0.4, 0.08  # of the skin's chroma, and of a silhouette: more of it is ground between the fingers
_FLESH = 0.03  # of the joints' box: at least so far from bones and palm there is probably hand


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
    return _grabcut(image, joints_px)


def without_spill(image: np.ndarray) -> np.ndarray:
    """Take the green screen's light off the skin: green goes no further than the mean of red and blue allows."""
    red, green, blue = np.moveaxis(image.astype(np.int16), -1, 0)
    spilled = np.stack([red, np.minimum(green, np.maximum((red + blue) // 2, np.minimum(red, blue) + 4)), blue], -1)
    return np.clip(spilled, 0, 255).astype(np.uint8)


def cleaned(mask: np.ndarray, rim: bool) -> tuple[np.ndarray, str]:
    """Clean a rough mask (H, W), whose outermost pixel is of the ground with `rim`: the mask, 0 or 255, and why to drop the frame, or ""."""
    mask = cv2.medianBlur(mask, 3)
    mask = cv2.threshold(mask, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)[1]
    count, pieces, statistics, _ = cv2.connectedComponentsWithStats(mask)
    if count <= 1:
        return mask, "no hand"
    if count - 1 > MOST_PIECES:
        return mask, "in pieces"
    mask = np.where(pieces == 1 + statistics[1:, cv2.CC_STAT_AREA].argmax(), 255, 0).astype(np.uint8)
    mask = cv2.morphologyEx(mask, cv2.MORPH_CLOSE, _BRUSH)
    if rim:
        mask = cv2.erode(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3)))
    cover = float((mask > 0).mean())
    if cover < LEAST_COVER:
        return mask, "too little"
    if cover > MOST_COVER:
        return mask, "too much"
    return mask, ""


def holds_joints(mask: np.ndarray, joints_px: np.ndarray, reach_px: float) -> bool:
    """Say whether nearly all joints (21, 2) lie on the mask (H, W), or within `reach_px` of it."""
    grown = _grown(mask, reach_px)
    size = np.array(mask.shape[::-1])
    inside = ((joints_px >= 0) & (joints_px <= size - 1)).all(-1)
    x, y = np.clip(np.round(joints_px), 0, size - 1).astype(int).T
    return bool((grown[y, x] > 0)[inside].mean() > 0.9) if inside.any() else False


def holds_ground(image: np.ndarray, mask: np.ndarray) -> bool:
    """Say whether part of a mask (H, W) is too grey to be the skin of its picture (H, W, 3), as walls and floors between fingers are."""
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), image.shape[1] / 128), cv2.COLOR_RGB2LAB)[mask > 0]
    chroma = lab[:, 1:].astype(float) - 128
    skin = np.median(chroma, 0)
    return bool((chroma @ skin < _PALE * (skin @ skin)).mean() > _MOST_PALE) if skin.any() else True


def _grabcut(image: np.ndarray, joints_px: np.ndarray) -> np.ndarray:
    """Grow the hand from its bones; what is far from them is background, and what is not near them probably is."""
    size = float(np.ptp(joints_px, axis=0).max())
    bones = np.zeros(image.shape[:2], np.uint8)
    for parent, child in BONES:
        ends = np.round(joints_px[[parent, child]]).astype(int).tolist()
        cv2.line(bones, ends[0], ends[1], 255, max(1, round(0.05 * size)))
    palm = cv2.convexHull(np.round(joints_px[[WRIST, *BASES]]).astype(np.int32))
    body = cv2.fillConvexPoly(bones.copy(), palm, 255)
    state = np.full(bones.shape, cv2.GC_BGD, np.uint8)
    state[_grown(bones, 0.14 * size) > 0] = cv2.GC_PR_BGD
    state[_grown(body, _FLESH * size) > 0] = cv2.GC_PR_FGD
    state[bones > 0] = cv2.GC_FGD
    models = np.zeros((1, 65)), np.zeros((1, 65))
    cv2.setRNGSeed(0)
    cv2.grabCut(image, state, (0, 0, 1, 1), *models, _GRABCUT_ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.where((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)


def _grown(mask: np.ndarray, reach_px: float) -> np.ndarray:
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(reach_px) + 1,) * 2))
