"""What is laid over a training scene: pictures of hands, things before them, skin-coloured clutter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from handpose.crop import MARGIN
from handpose.rotation import plane_rotation
from handpose.shrink import halved
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.occluders import passing, skin_colour
from tracker.detector_targets import Picture, SceneHand

_LARGEST = 0.85  # side of a pasted hand, in sides of the scene
_LOST_SHARE = 0.6  # hidden by a thing, of the middle of a hand, from which the hand is lost


@dataclass(frozen=True, eq=False)
class Scene:
    """A scene in the making: canvas (S, S, 3), known (S, S), 0 where a hand may be that is not sought, and the hands in sight."""

    canvas: np.ndarray
    known: np.ndarray
    hands: list[SceneHand]

    @classmethod
    def empty(cls, canvas: np.ndarray) -> Scene:
        """Begin with a background (S, S, 3)."""
        return cls(canvas, np.full(canvas.shape[:2], 255, np.uint8), [])

    def without(self, lost: list[SceneHand]) -> Scene:
        """Stop seeking hands: their places become unknown."""
        known = self.known.copy()
        for hand in lost:
            cv2.circle(known, _pixel(hand.centre_px), round(0.5 * hand.side_px) + 1, 0, -1)
        return replace(self, known=known, hands=[hand for hand in self.hands if hand not in lost])

    def mirrored(self) -> Scene:
        """Give what a mirror shows."""
        return Scene(
            self.canvas[:, ::-1], self.known[:, ::-1], [_mirrored(h, self.canvas.shape[1]) for h in self.hands]
        )


def paste(
    scene: Scene, picture: Picture, rng: np.random.Generator, largest: float = _LARGEST, frame: bool = False
) -> Scene:
    """Lay a picture at a random place, size and turn over a scene.

    A hand that is cut off or mostly covered is neither sought nor background: its place becomes unknown.
    """
    size = scene.canvas.shape[0]
    scale, turn, matrix = _whole_frame(picture, size, rng) if frame else _anywhere(picture, size, largest, rng)
    linear = matrix[:, :2]
    image, small_from_image = halved(picture.image, 1 / scale)
    inner = np.vstack([matrix, (0, 0, 1)]) @ np.linalg.inv(small_from_image)
    moved = cv2.warpAffine(image, inner[:2], (size, size), flags=cv2.INTER_LINEAR)
    doubt = cv2.warpAffine(255 - picture.known, matrix, (size, size), flags=cv2.INTER_LINEAR)
    here = [
        SceneHand(linear @ hand.centre_px + matrix[:, 2], scale * hand.side_px, hand.roll_rad + turn, hand.left)
        for hand in picture.hands
    ]
    whole = [
        hand
        for hand in here
        if ((hand.centre_px > -0.1 * hand.side_px) & (hand.centre_px < size + 0.1 * hand.side_px)).all()
    ]
    in_sight = [hand for hand in scene.hands if moved[_cell(hand.centre_px, size)][3] < 0.5 * 255]
    laid = Scene(over(scene.canvas, moved), np.minimum(scene.known, 255 - doubt), in_sight + whole)
    return laid.without([hand for hand in here + scene.hands if hand not in laid.hands])


def cover(scene: Scene, backgrounds: Backgrounds, rng: np.random.Generator) -> Scene:
    """Lay a thing before a hand, or anywhere if there is none; a hand that is mostly behind it is neither sought nor background."""
    size = scene.canvas.shape[0]
    hand = scene.hands[rng.integers(len(scene.hands))] if scene.hands else None
    place = hand.centre_px if hand else rng.uniform(0, size, 2)
    thing = passing(rng, backgrounds, size, place, MARGIN * (hand.side_px if hand else _some(rng, 14, 100)))
    lost = [one for one in scene.hands if _hidden_share(one, thing[..., 3]) > _LOST_SHARE]
    return replace(scene, canvas=over(scene.canvas, thing)).without(lost)


def clutter(scene: Scene, rng: np.random.Generator) -> Scene:
    """Draw a skin-coloured blob, a face's or an arm's, where it covers no hand's centre."""
    size = scene.canvas.shape[0]
    centre, half = rng.uniform(0, size, 2), np.array([_some(rng, 4, size / 4) for _ in range(2)])
    if any(np.linalg.norm(hand.centre_px - centre) < half.max() + 0.5 * hand.side_px for hand in scene.hands):
        return scene
    skin = skin_colour(rng)
    blob = np.zeros((size, size), np.float32)
    cv2.ellipse(blob, centre.astype(int).tolist(), half.astype(int).tolist(), rng.uniform(0, 180), 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(blob, (0, 0), rng.uniform(0.5, 3))[..., None]
    shade = cv2.resize(rng.normal(0, 14, (6, 6)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    canvas = np.clip(scene.canvas * (1 - soft) + (skin + shade[..., None]) * soft, 0, 255).astype(np.uint8)
    return replace(scene, canvas=canvas)


def _some(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a size so that every doubling is equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def over(canvas: np.ndarray, top: np.ndarray) -> np.ndarray:
    """Lay a picture (S, S, 4), colour not premultiplied, over a canvas (S, S, 3)."""
    alpha = top[..., 3:].astype(np.float32) / 255
    return (top[..., :3] * alpha + canvas * (1 - alpha)).astype(np.uint8)


def _hidden_share(hand: SceneHand, alpha: np.ndarray) -> float:
    """Give how much of the middle of a hand's box something of this alpha (S, S) hides."""
    middle = np.zeros(alpha.shape, np.uint8)
    cv2.circle(middle, _pixel(hand.centre_px), max(1, round(0.3 * hand.side_px)), 1, -1)
    return float(alpha[middle > 0].mean()) / 255 if middle.any() else 0.0


def _anywhere(picture: Picture, size: int, largest: float, rng: np.random.Generator):
    """Scale, turn and matrix (2, 3) that put one of the picture's hands anywhere, at any size."""
    target = picture.hands[rng.integers(len(picture.hands))]
    side = size * _some(rng, 0.07, largest)
    scale = min(side / target.side_px, 2.5)  # no more enlarged than that: real cameras are sharper
    side = scale * target.side_px
    any_way = rng.random() < (0.45 if picture.is_cut_out else 0.15)
    turn = rng.uniform(-np.pi, np.pi) if any_way else np.clip(rng.normal(0, 0.35), -1.0, 1.0)
    linear = scale * plane_rotation(turn)
    place = rng.uniform(min(0.35 * side, size / 2), max(size - 0.35 * side, size / 2), 2)
    return scale, turn, np.column_stack([linear, place - linear @ target.centre_px])


def _whole_frame(picture: Picture, size: int, rng: np.random.Generator):
    """Scale, turn and matrix (2, 3) that show the picture much as a camera would."""
    extent = np.array(picture.image.shape[1::-1])
    scale = size / extent.max() * np.exp(rng.uniform(-0.05, 0.45))
    turn = np.clip(rng.normal(0, 0.12), -0.4, 0.4)
    linear = scale * plane_rotation(turn)
    middle = size / 2 + rng.normal(0, 0.08 * size, 2)
    return scale, turn, np.column_stack([linear, middle - linear @ (extent / 2)])


def _pixel(point_px: np.ndarray) -> list[int]:
    return np.round(point_px).astype(int).tolist()


def _cell(centre_px: np.ndarray, size: int) -> tuple[int, int]:
    x, y = np.clip(np.round(centre_px), 0, size - 1).astype(int)
    return int(y), int(x)


def _mirrored(hand: SceneHand, width: int) -> SceneHand:
    centre = np.array([width - 1 - hand.centre_px[0], hand.centre_px[1]])
    return SceneHand(centre, hand.side_px, -hand.roll_rad, None if hand.left is None else not hand.left)
