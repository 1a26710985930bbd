"""Silhouettes of photographed hands before anything at all: GrabCut (Rother et al. 2004) seeded by labelled joints, and what tells that it failed."""

from __future__ import annotations

import cv2
import numpy as np

from handpose.data.cutout import largest_piece
from handpose.skeleton import BASES, BONES, WRIST

_ROUNDS = 4
_PALE, _MOST_PALE = 0.4, 0.08  # of the skin's chroma, and of a silhouette: more of it is ground between the fingers
_FLESH = 0.03  # of the joints' box: at least so far from bones and palm there is probably hand
_ARM_WIDTH, _ARM_LENGTH = 0.9, 4.0  # of the way from the knuckles to the wrist: where a forearm may be
_REACH = 0.08  # of the joints' box: a joint may lie so far off its silhouette


def alpha_by_joints(image: np.ndarray, joints_px: np.ndarray) -> np.ndarray | None:
    """Give the alpha (H, W) uint8 of a hand and its forearm in a picture (H, W, 3), by its joints (21, 2); None where it cannot be told."""
    mask, _ = largest_piece(grabcut(image, joints_px, forearm=True))
    inner = cv2.erode(mask, np.ones((3, 3), np.uint8))  # at the rim of small hands colours are mixed
    if not holds_joints(mask, joints_px, _REACH * float(np.ptp(joints_px, axis=0).max())) or holds_ground(image, inner):
        return None
    return cv2.GaussianBlur(mask, (3, 3), 0)


def grabcut(image: np.ndarray, joints_px: np.ndarray, forearm: bool = False) -> np.ndarray:
    """Grow the hand of a picture (H, W, 3) from its bones, joints (21, 2): a mask (H, W), 0 or 255.

    What is far from them is background, and what is not near them probably is; a forearm is searched for behind the wrist.
    """
    size = float(np.ptp(joints_px, axis=0).max())
    bones = np.zeros(image.shape[:2], np.uint8)
    for parent, child in BONES:
        _draw_line(bones, joints_px[parent], joints_px[child], 0.05 * size)
    palm = cv2.convexHull(np.round(joints_px[[WRIST, *BASES]]).astype(np.int32))
    body = cv2.fillConvexPoly(bones.copy(), palm, 255)
    state = np.full(bones.shape, cv2.GC_BGD, np.uint8)
    if forearm:
        state[_behind_wrist(joints_px, bones.shape) > 0] = cv2.GC_PR_BGD
    state[_grown(bones, 0.14 * size) > 0] = cv2.GC_PR_BGD
    state[_grown(body, _FLESH * size) > 0] = cv2.GC_PR_FGD
    state[bones > 0] = cv2.GC_FGD
    seeds = (state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD)
    if seeds.any() and not seeds.all():  # or joints lie off the picture, or fill it: there is nothing to part
        models = np.zeros((1, 65)), np.zeros((1, 65))
        cv2.setRNGSeed(0)
        cv2.grabCut(image, state, (0, 0, 1, 1), *models, _ROUNDS, cv2.GC_INIT_WITH_MASK)
    return np.where((state == cv2.GC_FGD) | (state == cv2.GC_PR_FGD), 255, 0).astype(np.uint8)


def holds_joints(mask: np.ndarray, joints_px: np.ndarray, reach_px: float) -> bool:
    """Say whether nearly all joints (21, 2) lie on the mask (H, W), or within `reach_px` of it."""
    grown = _grown(mask, reach_px)
    size = np.array(mask.shape[::-1])
    inside = ((joints_px >= 0) & (joints_px <= size - 1)).all(-1)
    x, y = np.clip(np.round(joints_px), 0, size - 1).astype(int).T
    return bool((grown[y, x] > 0)[inside].mean() > 0.9) if inside.any() else False


def holds_ground(image: np.ndarray, mask: np.ndarray) -> bool:
    """Say whether part of a mask (H, W) is too grey to be the skin of its picture (H, W, 3), as walls and floors between fingers are.

    Of an empty mask nothing is skin.
    """
    if not mask.any():
        return True
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (0, 0), image.shape[1] / 128), cv2.COLOR_RGB2LAB)[mask > 0]
    chroma = lab[:, 1:].astype(float) - 128
    skin = np.median(chroma, 0)
    return bool((chroma @ skin < _PALE * (skin @ skin)).mean() > _MOST_PALE) if skin.any() else True


def _behind_wrist(joints_px: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    back = joints_px[WRIST] - joints_px[list(BASES)].mean(0)
    arm = np.zeros(shape, np.uint8)
    _draw_line(arm, joints_px[WRIST], joints_px[WRIST] + _ARM_LENGTH * back, _ARM_WIDTH * float(np.linalg.norm(back)))
    return arm


def _draw_line(mask: np.ndarray, start_px: np.ndarray, end_px: np.ndarray, width_px: float) -> None:
    start, end = np.round([start_px, end_px]).astype(int).tolist()
    cv2.line(mask, start, end, 255, max(1, round(width_px)))


def _grown(mask: np.ndarray, reach_px: float) -> np.ndarray:
    return cv2.dilate(mask, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * round(reach_px) + 1,) * 2))
