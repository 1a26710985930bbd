"""The photographs of a set as pictures for the detector's scenes: whole, and their hands cut out."""

from __future__ import annotations

from functools import cached_property
from itertools import combinations
from pathlib import Path

import cv2
import numpy as np

from handpose.data import photos
from handpose.data.cutout import hand_alpha
from handpose.data.grabcut import alpha_by_joints
from handpose.errors import HandposeError
from tracker.detector_targets import Picture, SceneHand, scene_hand

_ROUND_A_HAND = 2.25  # sides of a hand's box: the part of a picture in which the hand is cut out
_CUT_OUT_PX = 192  # largest side of that part


class PhotoPictures:
    """A photo set: `whole` pictures, of those the `complete` ones, whose hands are all labelled, and hands that are `cut_out`."""

    def __init__(self, folder: Path, split: photos.Split):
        self.whole: list[Picture] = []
        self.complete: list[Picture] = []
        self._hands: list[_CutOut] = []  # where the ground is not known; where it is, whole pictures are cut out
        labelled = photos.read(folder, split)
        for photo in labelled.photos:
            if photo.hands:  # nothing found is not nothing there
                self._add(photo, photo.read(), labelled.name)
        if not self.whole:
            raise HandposeError(f"{folder}: no hand in it has all its joints labelled, as the detector needs")

    def cut_out(self, rng: np.random.Generator) -> Picture | None:
        """Draw a hand without its ground; None where there is no telling them apart."""
        if self._hands:
            return self._hands[rng.integers(len(self._hands))].picture
        return self.whole[rng.integers(len(self.whole))]

    def _add(self, photo: photos.Photo, image: np.ndarray, set_name: str) -> None:
        alpha = hand_alpha(image, set_name)
        labelled = [hand for hand in photo.hands if hand.valid.all()]
        size_px = (image.shape[1], image.shape[0])
        hands = [scene_hand(hand.joints_px, size_px, is_left(hand)) for hand in labelled]
        if not hands or _doubled(hands):
            return
        opaque = np.full(image.shape[:2], 255, np.uint8)
        all_aimed_at = len(labelled) == len(photo.hands)
        known = opaque if all_aimed_at and (photo.complete or alpha is not None) else _surely_no_hand(image, hands)
        kept = opaque if alpha is None else alpha
        self.whole.append(Picture(np.dstack([image, kept]), hands, known, alpha is not None))
        if all_aimed_at and photo.complete:
            self.complete.append(self.whole[-1])
        if alpha is None:
            self._hands += [_CutOut(self.whole[-1].image[..., :3], hand) for hand in labelled]


class _CutOut:
    """A hand of a picture, cut out when it is first drawn, as that takes 40 ms."""

    def __init__(self, image: np.ndarray, hand: photos.LabelledHand):
        self._image, self._hand = image, hand

    @cached_property
    def picture(self) -> Picture | None:
        image, joints_px = _round(self._image, self._hand.joints_px)
        alpha = alpha_by_joints(image, joints_px)
        if alpha is None:
            return None
        size_px = (image.shape[1], image.shape[0])
        hand = scene_hand(joints_px, size_px, is_left(self._hand))
        return Picture(np.dstack([image, alpha]), [hand], np.full(image.shape[:2], 255, np.uint8), True)


def _round(image: np.ndarray, joints_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Take the part of a picture (H, W, 3) around joints (21, 2): it, at most `_CUT_OUT_PX` on a side, and the joints in it."""
    low, high = joints_px.min(0), joints_px.max(0)
    half = _ROUND_A_HAND / 2 * (high - low).max()
    size_px = np.array(image.shape[1::-1])
    left, top = np.clip((low + high) / 2 - half, 0, size_px - 2).astype(int)
    right, bottom = np.clip((low + high) / 2 + half + 1, (left + 2, top + 2), size_px).astype(int)
    part = image[top:bottom, left:right]
    scale = min(1.0, _CUT_OUT_PX / max(part.shape[:2]))
    small = cv2.resize(part, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    shrunk = np.array(small.shape[1::-1]) / part.shape[1::-1]
    return np.ascontiguousarray(small), (joints_px - (left, top) + 0.5) * shrunk - 0.5


def is_left(hand: photos.LabelledHand) -> bool | None:
    """Say whether a hand is a left one; None where that is not told."""
    return None if hand.side is None else hand.side == "left"


def _doubled(hands: list[SceneHand]) -> bool:
    """Whether two labels sit on one hand, which pseudo-labels do now and then."""
    pairs = combinations(hands, 2)
    return any(np.linalg.norm(a.centre_px - b.centre_px) < 0.5 * max(a.side_px, b.side_px) for a, b in pairs)


def _surely_no_hand(image: np.ndarray, hands: list[SceneHand]) -> np.ndarray:
    """Mask (H, W): 0 on skin colours away from the labelled hands, where a hand without a label may be."""
    luma, red, blue = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.int16), -1, 0)
    skin = ((red > 135) & (red < 180) & (blue > 85) & (blue < 130) & (luma > 40)).astype(np.uint8) * 255
    skin = cv2.dilate(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.ones((9, 9), np.uint8))
    for hand in hands:
        cv2.circle(skin, hand.centre_px.astype(int).tolist(), int(0.75 * hand.side_px), 0, -1)
    return 255 - skin
