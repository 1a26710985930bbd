"""What the detector should answer: a Gaussian at each hand, and its box, roll and side around the centre. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handpose.camera import Camera
from handpose.crop import MARGIN, Crop

STRIDE = 8  # px of the scene per cell
_NEAR = 0.35  # centre value from which a cell also learns the hand's box, roll and side


@dataclass(frozen=True, eq=False)
class SceneHand:
    """A hand of a training scene: centre (2,) and side of its square rolled box [px], roll clockwise from up, left or not (None: unknown)."""

    centre_px: np.ndarray
    side_px: float
    roll_rad: float
    left: bool | None


@dataclass(frozen=True, eq=False)
class Picture:
    """A picture (H, W, 4), its last channel the hand's alpha (255 all over without a cut-out), its hands, and known (H, W), 0 where an unlabelled hand may be."""

    image: np.ndarray
    hands: list[SceneHand]
    known: np.ndarray
    is_cut_out: bool


def scene_hand(joints_px: np.ndarray, size_px: tuple[int, int], left: bool | None) -> SceneHand:
    """Describe a hand of a picture of `size_px` (width, height) by the box and roll that its crop has."""
    crop = Crop.from_joints(Camera.from_fov(size_px), joints_px)
    corners = crop.corners_px
    up = corners[0] + corners[1] - corners[2] - corners[3]
    side = np.linalg.norm(corners - np.roll(corners, 1, axis=0), axis=-1).mean() / MARGIN
    centre = crop.to_image(np.full(2, (crop.size - 1) / 2))
    return SceneHand(centre, float(side), float(np.arctan2(up[0], -up[1])), left)


def scene_targets(hands: list[SceneHand], size: int) -> dict[str, np.ndarray]:
    """Draw the targets of a scene, float32 maps (G, G, ...): centre, near, box, offset, roll, left, has_left."""
    grid = size // STRIDE
    rows, columns = np.mgrid[:grid, :grid].astype(np.float32)
    maps = {name: np.zeros((grid, grid, n), np.float32) for name, n in
            {"centre": 1, "near": 1, "box": 1, "offset": 2, "roll": 2, "left": 1, "has_left": 1}.items()}  # fmt: skip
    for hand in sorted(hands, key=lambda hand: -hand.side_px):  # where two overlap, the smaller one has the cell
        x, y = (hand.centre_px + 0.5) / STRIDE - 0.5
        sigma = np.clip(0.1 * hand.side_px / STRIDE, 0.7, 2.0)
        peak = np.exp(-0.5 * ((columns - x) ** 2 + (rows - y) ** 2) / sigma**2)
        nearest = (int(np.clip(round(y), 0, grid - 1)), int(np.clip(round(x), 0, grid - 1)))
        peak[nearest] = 1.0
        maps["centre"][..., 0] = np.maximum(maps["centre"][..., 0], peak)
        near = peak > _NEAR
        maps["near"][near] = peak[near, None]
        maps["box"][near] = np.log(hand.side_px / size)
        maps["offset"][near] = np.stack([x - columns, y - rows], axis=-1)[near]
        maps["roll"][near] = (np.sin(hand.roll_rad), np.cos(hand.roll_rad))
        maps["left"][near] = bool(hand.left)
        maps["has_left"][near] = hand.left is not None
    return maps
