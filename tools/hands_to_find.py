"""Pictures in which `weigh_found_hands.py` wants hands found: photographs of people held out where a set has some, the same made hard, and renders of no training."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from handpose.crop import MARGIN
from handpose.data import photos
from handpose.synthesis import occluders
from handpose.synthesis.compose import Window, camera_effects, composite
from handpose.synthesis.foreground import Foreground
from handpose.synthesis.sampler import RenderSampler, default_backgrounds
from tracker.detector_paste import over

Labelled = tuple[np.ndarray, list[np.ndarray]]  # a picture (H, W, 3) uint8 and its hands' joints (21, 2) [px]
_LONGER_SIDE_PX = 224
_RENDER_SEED = 60_601  # of no training run
_CANVAS_PX = 384
_RENDER_PX = (160, 420)
_SCALES = (1.2, 4.0)  # sides of the picture, in sides of the hand's own crop
_SHIFT, _TURN_RAD = 0.5, 0.5
_MOST_OUTSIDE = 0.3  # of a hand's joints; of more of a hand nobody expects that it is found


def pictures(folders: list[Path], n: int) -> Iterator[Labelled]:
    """Give `n` photographs of each set, spoiled as other people's are; each again with a thing before a hand; about as many renders."""
    rng, backgrounds = np.random.default_rng(0), default_backgrounds()
    for folder in folders:
        for image, joints in _photographs(folder, n):
            spoiled, moved = _spoiled(rng, image, joints)
            yield spoiled, moved
            yield _covered(rng, spoiled, moved, backgrounds), moved
    yield from _renders(n * len(folders), backgrounds)


def _photographs(folder: Path, n: int) -> Iterator[Labelled]:
    """Read photographs of people held out, where the set has some."""
    held_out = [photo for photo in photos.read(folder, "held_out").photos if photo.hands]
    chosen = held_out or [photo for photo in photos.read(folder).photos if photo.hands]
    for index in np.linspace(0, len(chosen) - 1, min(n, len(chosen))).astype(int):
        yield chosen[index].read(), [hand.joints_px for hand in chosen[index].hands]


def _spoiled(rng: np.random.Generator, image: np.ndarray, joints: list[np.ndarray]) -> Labelled:
    """Shrink, squeeze, darken and blur a photograph."""
    height, width = image.shape[:2]
    target = _LONGER_SIDE_PX * rng.uniform(0.75, 1.3, 2) * (1.8 if rng.random() < 0.3 else 1.0)
    small = cv2.resize(image, (int(target[0]), int(target[1])), interpolation=cv2.INTER_AREA)
    small = (255 * (small / 255) ** rng.uniform(0.5, 2.2) * rng.uniform(0.6, 1)).astype(np.uint8)
    if rng.random() < 0.5:
        small = cv2.GaussianBlur(small, (0, 0), rng.uniform(0.4, 1.3))
    ratio = np.array([small.shape[1] / width, small.shape[0] / height])
    return small, [(one + 0.5) * ratio - 0.5 for one in joints]


def _covered(rng: np.random.Generator, image: np.ndarray, joints: list[np.ndarray], backgrounds) -> np.ndarray:
    """Lay a thing before one of the hands."""
    height, width = image.shape[:2]
    hand = joints[rng.integers(len(joints))]
    crop_px = MARGIN * np.ptp(hand, axis=0).max()
    thing = occluders.passing(rng, backgrounds, max(height, width), hand[rng.integers(21)], crop_px)
    return over(image, thing[:height, :width])


def _renders(n: int, backgrounds) -> Iterator[Labelled]:
    sampler = RenderSampler(_RENDER_SEED, backgrounds=backgrounds)
    for index in range(n):
        rng = np.random.default_rng((_RENDER_SEED, index))
        hand = sampler.foreground(index, _CANVAS_PX)
        size = int(rng.integers(*_RENDER_PX))
        window = _anywhere(rng, hand, size)
        joints = window.points(hand.joints_px)
        if ((joints < 0) | (joints >= size)).any(axis=-1).mean() <= _MOST_OUTSIDE:
            picture, _ = composite(rng, hand, window, backgrounds, size)
            yield camera_effects(rng, picture), [joints]


def _anywhere(rng: np.random.Generator, hand: Foreground, size: int) -> Window:
    scale = float(np.exp(rng.uniform(*np.log(_SCALES))))
    return Window.of(hand, size, rng.uniform(-_SHIFT, _SHIFT, 2), scale, rng.normal(0, _TURN_RAD))
