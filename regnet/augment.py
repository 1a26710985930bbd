"""Augmentation of crops: place in the window, light, lens, sensor and occlusion. Every function is driven by a NumPy generator."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from handpose.crop import CROP_SIZE
from handpose.rotation import plane_rotation
from handpose.synthesis.compose import motion_blurred

_WELL_AIMED_SHARE, _WELL_AIMED = 0.6, 0.3
_BADLY_AIMED_SHARE, _BADLY_AIMED = 0.05, 2.0
SQUEEZE = 0.58  # pictures of 16:9 are often stored as squares: a log ratio of so much either way


@dataclass(frozen=True)
class Placement:
    """A similarity, with an optional squeeze of the width, from a wide window to the network's crop: matrix (2, 3)."""

    matrix: np.ndarray
    roll_rad: float

    @property
    def squeezed(self) -> bool:
        """Whether it changes shapes."""
        least, most = sorted(np.linalg.svd(self.matrix[:, :2], compute_uv=False))
        return bool(most > 1.001 * least)

    def points(self, points_px: np.ndarray) -> np.ndarray:
        """Carry window pixels (..., 2) to crop pixels (..., 2)."""
        return points_px @ self.matrix[:, :2].T + self.matrix[:, 2]

    def warp(self, image: np.ndarray, size: int, border: int = cv2.BORDER_CONSTANT) -> np.ndarray:
        """Cut the crop (size, size, ...) out of the window."""
        return cv2.warpAffine(image, self.matrix, (size, size), flags=cv2.INTER_LINEAR, borderMode=border)


def random_spread(rng: np.random.Generator) -> float:
    """Draw by how much of the usual a crop misses: most are aimed by joints seen before (`regnet.second_look`), the others by a guess,
    and a few by a detector that has never seen such a hand.
    """
    chance = rng.random()
    if chance < _WELL_AIMED_SHARE:
        return _WELL_AIMED
    return 1.0 if chance < 1 - _BADLY_AIMED_SHARE else _BADLY_AIMED


def random_placement(
    rng: np.random.Generator, window: int, size: int, squeeze: float = SQUEEZE, spread: float = 1.0
) -> Placement:
    """Draw how far a detector's crop misses the ideal one, with less `spread` by less; one in twelve cuts the hand off."""
    usual = size / CROP_SIZE  # windows are made for small crops
    scale = usual * np.exp(np.clip(rng.normal(0.0, 0.14), -0.3, 0.3)) ** spread
    roll = rng.uniform(-np.pi, np.pi) if rng.random() < 0.12 else np.clip(rng.normal(0.0, 0.3), -0.9, 0.9)
    roll *= spread
    reach = 0.35 if rng.random() < 0.08 else 0.06 * spread
    shift = np.clip(rng.normal(0.0, reach, 2), -0.5, 0.5) * size
    width = np.exp(rng.uniform(-squeeze, squeeze)) if squeeze and rng.random() < 0.5 else 1.0
    # The squeeze acts along a fixed axis of the photograph, which the crop's roll has turned anywhere.
    tilt = rng.uniform(0, np.pi)
    linear = (
        scale * plane_rotation(roll) @ plane_rotation(tilt) @ np.diag([width**0.5, width**-0.5]) @ plane_rotation(-tilt)
    )
    middle = (window - 1) / 2
    offset = (size - 1) / 2 + shift - linear @ (middle, middle)
    return Placement(np.column_stack([linear, offset]), float(roll))


def random_look(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Change light, colour, sharpness and noise of an image (S, S, 3) uint8, as cameras and rooms do."""
    image = _resolution(image, rng)
    if rng.random() < 0.25:
        image = _blur(image, rng)
    x = _colour(image.astype(np.float32) / 255.0, rng)
    if rng.random() < 0.4:
        x = x + rng.normal(0.0, rng.uniform(0.005, 0.06), x.shape).astype(np.float32)
    image = (np.clip(x, 0, 1) * 255).astype(np.uint8)
    if rng.random() < 0.25:
        quality = int(rng.uniform(20, 90))
        coded = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(coded, cv2.IMREAD_COLOR))
    return image


def cut_out(image: np.ndarray, rng: np.random.Generator, filler: np.ndarray) -> np.ndarray:
    """Cover a random box or ellipse, at most 40% of the side, with a piece of `filler` (S, S, 3) or one colour."""
    size = image.shape[0]
    covered = np.zeros((size, size), np.uint8)
    centre = rng.uniform(0, size, 2).astype(int)
    half = (rng.uniform(0.05, 0.2, 2) * size).astype(int)
    if rng.random() < 0.5:
        cv2.ellipse(covered, centre.tolist(), half.tolist(), rng.uniform(0, 180), 0, 360, 1, -1)
    else:
        cv2.rectangle(covered, (centre - half).tolist(), (centre + half).tolist(), 1, -1)
    cover = filler if rng.random() < 0.6 else np.broadcast_to(rng.integers(0, 256, 3, dtype=np.uint8), image.shape)
    return np.where(covered[..., None] > 0, cover, image)


def _resolution(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() > 0.3:
        return image
    size = image.shape[0]
    small = int(size * rng.uniform(0.25, 0.8))
    shrunk = cv2.resize(image, (small, small), interpolation=cv2.INTER_AREA)
    return cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR if rng.random() < 0.7 else cv2.INTER_NEAREST)


def _blur(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    if rng.random() < 0.5:
        return cv2.GaussianBlur(image, (0, 0), rng.uniform(0.4, 2.0))
    return motion_blurred(rng, image, int(rng.integers(3, 12)))


def _colour(x: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Gamma, exposure, contrast, white balance, saturation of an image in 0..1; one in fifteen turns grey."""
    x = x ** np.float32(np.exp(rng.uniform(-0.7, 0.7)))
    x = x * np.exp(rng.normal(0, 0.12, 3)).astype(np.float32) * np.float32(np.exp(rng.normal(0, 0.25)))
    x = (x - 0.5) * np.float32(np.exp(rng.normal(0, 0.2))) + np.float32(0.5 + rng.normal(0, 0.06))
    grey = x.mean(-1, keepdims=True)
    saturation = 0.0 if rng.random() < 0.07 else np.exp(rng.normal(0, 0.3))
    return grey + (x - grey) * np.float32(saturation)
