"""Rendered hands as training items: foregrounds kept in a bounded cache, composited anew for every batch.

Item `index` depends on (seed, index) alone, whatever was drawn before, so a run resumes exactly.
"""

from __future__ import annotations

from collections import OrderedDict

import cv2
import numpy as np

from handpose.crop import CROP_SIZE
from handpose.heatmap import cells_from_px
from handpose.skeleton import M0, WRIST
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.foreground import CANVAS, RELIEF_ZERO, Foreground, Held, render_foreground
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import sample_shape
from regnet.augment import Placement, cut_out, random_look, random_placement
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item

REUSE = 10  # times that a foreground is shown, on average
WINDOW = 2000  # foregrounds kept
_EMPTY_SHARE, _COVER_SHARE = 0.06, 0.35


class RenderItems:
    """Makes training items from rendered hands."""

    def __init__(self, seed: int, size: int = CROP_SIZE, backgrounds: Backgrounds | None = None):
        self.seed, self.size = seed, size
        self.backgrounds = backgrounds or Backgrounds()
        self.poses = PoseSampler()
        self._kept: OrderedDict[int, Foreground] = OrderedDict()

    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Make item `index` with the chance of `rng`: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        ground = self.backgrounds.sample(rng, self.size)
        if rng.random() < _EMPTY_SHARE:
            return empty_item(random_look(ground, rng))
        number = index // REUSE + int(rng.integers(WINDOW))
        hand = self.foreground(number)
        placement = random_placement(rng, hand.rgba.shape[0], self.size, squeeze=0.0)
        image = self._composed(hand, placement, ground, rng)
        rel = (hand.joints_mm - hand.joints_mm[M0]) / np.linalg.norm(hand.joints_mm[WRIST] - hand.joints_mm[M0])
        c, s = np.cos(placement.roll_rad), np.sin(placement.roll_rad)
        rel = rel @ np.array([[c, -s, 0], [s, c, 0], [0, 0, 1]]).T
        return training_item(
            random_look(image, rng), cells_from_px(placement.points(hand.joints_px), self.size),
            left=rng.random() > RIGHT_SHARE, joints_rel=rel,
        )  # fmt: skip

    def foreground(self, number: int) -> Foreground:
        """Render foreground `number`, or take it from the cache."""
        if number not in self._kept:
            rng = np.random.default_rng((self.seed, 77, number))
            mesh, skeleton = sample_shape(rng)
            self._kept[number] = render_foreground(rng, self.poses, mesh, skeleton, round(CANVAS * self.size))
            if len(self._kept) > WINDOW:
                self._kept.popitem(last=False)
        return self._kept[number]

    def _composed(self, hand: Foreground, placement: Placement, ground: np.ndarray, rng: np.random.Generator) -> np.ndarray:
        layer = hand.rgba
        if hand.held is not None and rng.random() < 0.85:
            layer = with_held(hand, self.backgrounds.sample(rng, layer.shape[0]), rng)
        moved = placement.warp(layer, self.size)
        alpha = cv2.GaussianBlur(moved[..., 3], (0, 0), rng.uniform(0.3, 0.8)).astype(np.float32)[..., None] / 255
        alpha = np.minimum(alpha, moved[..., 3:].astype(np.float32) / 255)
        exposure = np.float32(np.exp(rng.normal(0, 0.25)))
        image = np.clip(moved[..., :3] * exposure + ground * (1 - alpha), 0, 255).astype(np.uint8)
        if rng.random() < _COVER_SHARE:
            image = cut_out(image, rng, self.backgrounds.sample(rng, self.size))
        return image


def with_held(hand: Foreground, texture: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Put what the hand grasps into its foreground (S, S, 4): a ball or a bar, before the palm and behind the fingers."""
    held: Held = hand.held
    size = hand.rgba.shape[0]
    rows, columns = np.mgrid[:size, :size].astype(np.float32)
    a, b = held.ends_px
    bone = b - a
    along = np.clip(((columns - a[0]) * bone[0] + (rows - a[1]) * bone[1]) / max(bone @ bone, 1e-6), 0, 1)
    off = np.hypot(columns - a[0] - along * bone[0], rows - a[1] - along * bone[1]) / max(held.radius_px, 1e-6)
    bulge = np.sqrt(np.clip(1 - off**2, 0, 1))
    depth = held.ends_depth_mm[0] + along * (held.ends_depth_mm[1] - held.ends_depth_mm[0]) - held.radius_mm * bulge
    skin_depth = np.where(hand.relief > 0, hand.relief.astype(np.float32) - RELIEF_ZERO, np.inf)
    shown = (off < 1) & (depth < skin_depth)
    tint = rng.integers(0, 256, 3) if rng.random() < 0.5 else texture
    shade = (0.45 + 0.55 * bulge)[..., None]
    out = hand.rgba.copy()
    out[..., :3] = np.where(shown[..., None], (tint * shade).astype(np.uint8), out[..., :3])
    out[..., 3] = np.where(shown, 255, out[..., 3])
    return out
