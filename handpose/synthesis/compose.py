"""Put a rendered hand into a picture: background, clutter, the hand with soft edges, what covers it, and then the camera's own faults.

Blur, noise, colour and JPEG come after everything is laid together, so that no seam tells the hand from its surroundings.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import cv2
import numpy as np

from handpose.rotation import plane_rotation
from handpose.synthesis import occluders
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.foreground import Foreground

EFFECTS = ("blur", "colour", "noise", "jpeg")
_HELD_SHARE, _PASSING_SHARE, _SECOND_HAND_SHARE, _ARM_SHARE, _EDGE_SHARE = 0.85, 0.22, 0.12, 0.25, 0.15


@dataclass(frozen=True, eq=False)
class Window:
    """Where the crop lies in a foreground's canvas: crop_from_canvas (2, 3), a similarity that turns clockwise by `roll_rad`."""

    crop_from_canvas: np.ndarray
    roll_rad: float

    @classmethod
    def of(cls, hand: Foreground, size: int, shift=(0.0, 0.0), scale: float = 1.0, roll_rad: float = 0.0) -> Window:
        """Take the hand's own crop, its middle moved by `shift` crop sides, its side times `scale`, the picture then turned."""
        zoom = size / (hand.crop_side_px * scale)
        linear = zoom * plane_rotation(roll_rad)
        middle = (hand.size - 1) / 2 + np.asarray(shift, float) * hand.crop_side_px
        return cls(np.column_stack([linear, (size - 1) / 2 - linear @ middle]), roll_rad)

    @classmethod
    def jittered(cls, rng: np.random.Generator, hand: Foreground, size: int, spread: float = 1.0) -> Window:
        """Miss the ideal crop as detectors do, 8% of its side, a scale of 0.85 to 1.25, mostly 30 degrees; with less `spread` by less."""
        roll = rng.uniform(-np.pi, np.pi) if rng.random() < 0.1 else rng.uniform(-1, 1) * np.deg2rad(30)
        shift, scale = rng.uniform(-0.08, 0.08, 2), rng.uniform(0.85, 1.25)
        return cls.of(hand, size, spread * shift, scale**spread, spread * roll)

    def points(self, canvas_px: np.ndarray) -> np.ndarray:
        """Carry canvas pixels (..., 2) to crop pixels (..., 2)."""
        return canvas_px @ self.crop_from_canvas[:, :2].T + self.crop_from_canvas[:, 2]

    def turn(self, vectors: np.ndarray) -> np.ndarray:
        """Turn vectors (..., 3) of the canvas's camera, which looks straight at the hand, as the crop is turned."""
        turned = np.array(vectors, float)
        turned[..., :2] = turned[..., :2] @ plane_rotation(self.roll_rad).T
        return turned

    def warp(self, layer: np.ndarray, size: int, method: int = cv2.INTER_LINEAR) -> np.ndarray:
        """Cut the crop (size, size, ...) out of a canvas layer."""
        return cv2.warpAffine(layer, self.crop_from_canvas, (size, size), flags=method)


def composite(
    rng: np.random.Generator,
    hand: Foreground,
    window: Window,
    backgrounds: Backgrounds,
    size: int,
    other: Foreground | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """Lay everything together: the picture (size, size, 3) uint8 and the share of each pixel that something hides of the hand.

    `other` may appear as a second hand, behind the first or before it.
    """
    picture = backgrounds.sample(rng, size).astype(np.float32)
    covered = np.zeros((size, size), np.float32)
    for _ in range(rng.integers(1, 3) if rng.random() < _ARM_SHARE else 0):
        _lay(rng, picture, occluders.arm(rng, size))
    second = _second_hand(rng, other, size) if other is not None and rng.random() < _SECOND_HAND_SHARE else None
    in_front = rng.random() < 0.35
    if second is not None and not in_front:
        _lay_premultiplied(picture, second)
    layer = _exposed(rng, _feathered(rng, window.warp(hand.rgba, size)), picture)
    _lay_premultiplied(picture, layer)
    if hand.held is not None and rng.random() < _HELD_SHARE:
        relief = window.warp(hand.relief, size, cv2.INTER_NEAREST)
        thing = occluders.held(rng, backgrounds, hand.held, relief, window.crop_from_canvas)
        np.maximum(covered, _lay(rng, picture, thing), out=covered)
    if second is not None and in_front:
        np.maximum(covered, _lay_premultiplied(picture, second), out=covered)
    if rng.random() < _PASSING_SHARE:
        near = window.points(hand.joints_px[rng.integers(21)])
        np.maximum(covered, _lay(rng, picture, occluders.passing(rng, backgrounds, size, near)), out=covered)
    if rng.random() < _EDGE_SHARE:
        _cut_by_picture_edge(rng, picture, covered)
    return np.clip(picture, 0, 255).astype(np.uint8), covered


def camera_effects(rng: np.random.Generator, picture: np.ndarray, effects: Collection[str] = EFFECTS) -> np.ndarray:
    """Take the picture (S, S, 3) uint8 with a real camera: focus, motion, few pixels, white balance, gamma, noise, JPEG.

    `effects` are those of EFFECTS that are wanted.
    """
    if "blur" in effects:
        picture = _sharpness(rng, picture)
    if "colour" in effects:
        picture = _colour(rng, picture)
    if "noise" in effects and rng.random() < 0.6:
        sigma = 255 * np.exp(rng.uniform(np.log(0.004), np.log(0.04)))
        noise = rng.standard_normal(picture.shape, dtype=np.float32) * np.float32(sigma)
        picture = np.clip(picture + noise * (0.5 + picture / np.float32(255)), 0, 255).astype(np.uint8)
    if "jpeg" in effects and rng.random() < 0.5:
        quality = [cv2.IMWRITE_JPEG_QUALITY, int(rng.integers(25, 96))]
        picture = np.asarray(cv2.imdecode(cv2.imencode(".jpg", picture, quality)[1], cv2.IMREAD_COLOR))
    return picture


def _colour(rng, picture: np.ndarray) -> np.ndarray:
    curve = np.arange(256, dtype=np.float32) / 255
    gains = np.exp(rng.normal(0, 0.2) + rng.normal(0, 0.07, 3))
    tables = (curve[:, None] * gains) ** np.exp(rng.uniform(-0.4, 0.4))
    tables = (tables - 0.5) * np.exp(rng.normal(0, 0.15)) + 0.5 + rng.normal(0, 0.04)
    picture = cv2.LUT(picture, np.ascontiguousarray((255 * np.clip(tables, 0, 1)).astype(np.uint8)[None]))
    if rng.random() < 0.06:
        picture = np.repeat(cv2.cvtColor(picture, cv2.COLOR_RGB2GRAY)[..., None], 3, axis=-1)
    return picture


def _sharpness(rng, picture: np.ndarray) -> np.ndarray:
    size = picture.shape[0]
    if rng.random() < 0.3:
        small = int(size * rng.uniform(0.3, 0.85))
        shrunk = cv2.resize(picture, (small, small), interpolation=cv2.INTER_AREA)
        picture = cv2.resize(shrunk, (size, size), interpolation=cv2.INTER_LINEAR)
    chance = rng.random()
    if chance < 0.2:
        return cv2.GaussianBlur(picture, (0, 0), size / 128 * rng.uniform(0.4, 1.8))
    if chance < 0.32:
        return motion_blurred(rng, picture, int(size / 128 * rng.integers(3, 12)))
    return picture


def motion_blurred(rng: np.random.Generator, picture: np.ndarray, length_px: int) -> np.ndarray:
    """Smear a picture along a chance direction, as a hand that moves, over `length_px` or one more: an even kernel has no middle."""
    length_px |= 1
    kernel, turn, middle = np.zeros((length_px, length_px), np.float32), rng.uniform(0, np.pi), (length_px - 1) / 2
    reach = middle * np.array([np.cos(turn), np.sin(turn)])
    start, end = np.round(middle + np.stack([-reach, reach])).astype(int).tolist()
    cv2.line(kernel, start, end, 1.0)
    return cv2.filter2D(picture, -1, kernel / kernel.sum())


def _feathered(rng, rgba: np.ndarray) -> np.ndarray:
    """Soften the outline of a premultiplied layer, without the hand growing."""
    return cv2.GaussianBlur(rgba, (3, 3), rng.uniform(0.3, 0.8)) if rng.random() < 0.6 else rgba


def _exposed(rng, rgba: np.ndarray, picture: np.ndarray) -> np.ndarray:
    """Bring the hand's brightness and tint part of the way to those of its surroundings, and then a little anywhere."""
    room = np.array(cv2.mean(picture)[:3]) + 8
    means = np.array(cv2.mean(rgba))
    skin = means[:3] / max(means[3] / 255, 1e-3) + 8
    level = np.clip((room.mean() / skin.mean()) ** rng.uniform(0, 0.35), 0.6, 1.6) * np.exp(rng.normal(0, 0.12))
    tint = (room / room.mean()) ** rng.uniform(0, 0.3)
    layer = rgba.astype(np.float32)
    layer[..., :3] = np.minimum(layer[..., :3] * (level * tint).astype(np.float32), layer[..., 3:])
    return layer


def _second_hand(rng, other: Foreground, size: int) -> np.ndarray:
    """See another hand beside the first, of either side and any turn: a premultiplied layer (size, size, 4)."""
    shift = rng.uniform(0.4, 0.75) * np.array([np.cos(a := rng.uniform(0, 2 * np.pi)), np.sin(a)])
    layer = Window.of(other, size, shift, rng.uniform(0.8, 1.5), rng.uniform(-np.pi, np.pi)).warp(other.rgba, size)
    return layer if rng.random() < 0.3 else np.ascontiguousarray(layer[:, ::-1])


def _lay(rng, picture: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Lay (S, S, 4) with plain colour over the picture, in place; return its alpha, 0..1."""
    alpha: np.ndarray = layer[..., 3].astype(np.float32) / 255
    if rng.random() < 0.5:
        alpha = cv2.GaussianBlur(alpha, (3, 3), 0.6)
    picture += (layer[..., :3] - picture) * alpha[..., None]
    return alpha


def _lay_premultiplied(picture: np.ndarray, layer: np.ndarray) -> np.ndarray:
    """Lay a premultiplied (S, S, 4) over the picture, in place; return its alpha, 0..1."""
    alpha = layer[..., 3].astype(np.float32) / 255
    picture *= 1 - alpha[..., None]
    picture += layer[..., :3]
    return alpha


def _cut_by_picture_edge(rng, picture: np.ndarray, covered: np.ndarray) -> None:
    """Black out what lies beyond a straight line, as where a rolled crop reaches over the edge of its picture."""
    size = picture.shape[0]
    turn = rng.uniform(0, 2 * np.pi)
    axis = np.arange(size, dtype=np.float32) - (size - 1) / 2
    beyond = (axis * np.cos(turn))[None] + (axis * np.sin(turn))[:, None] > rng.uniform(0.12, 0.55) * size
    picture[beyond] = 0
    covered[beyond] = 1
