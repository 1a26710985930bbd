"""Training items from rendered hands: foregrounds are kept in a bounded cache and composited anew every time.

Everything about item `index` follows from (seed, index), whatever was drawn before, so the same seed gives the same bytes.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np

from handpose.crop import CROP_SIZE
from handpose.skeleton import M0, WRIST, Skeleton
from handpose.synthesis.backgrounds import Backgrounds, shared_backgrounds
from handpose.synthesis.compose import EFFECTS, Window, camera_effects, composite
from handpose.synthesis.foreground import CANVAS, Foreground, PlacedHand, place_hand, render_foreground
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.moving_cache import MovingCache
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.render_hand import sample_shape

_FOREGROUND, _ITEM = 1, 2  # keep the chance of foregrounds and of items apart
_DENSITY = 0.9  # canvas pixels to one of the item: crops are looser than the hand's own more often than tighter


@dataclass(frozen=True, eq=False)
class RenderedItem:
    """A crop of a rendered left hand, as RegNet sees it, and the truth about it.

    image (S, S, 3) uint8; joints_px (21, 2) in it, outside where the crop misses them; joints_rel (21, 3) in the axes of a camera that looks
    straight at the hand, turned as the crop is, origin M0, unit |W-M0|; scale_mm |W-M0|; presence 1.
    """

    image: np.ndarray
    joints_px: np.ndarray
    joints_rel: np.ndarray
    scale_mm: float
    presence: float = 1.0


class RenderSampler:
    """Makes training items by index. `reuse` times on average a foreground is shown; at most `cache` of them are kept."""

    def __init__(
        self, seed: int, size: int = CROP_SIZE, *, backgrounds: Backgrounds | None = None, reuse: int = 1, cache: int = 2000,
        mesh=None, poses: PoseSampler | None = None, effects: Collection[str] = EFFECTS,
    ):  # fmt: skip
        """`mesh` is a (HandMesh, Skeleton) to use in place of our own hands; without `backgrounds`, the shared data's if any.

        `effects` are the camera's.
        """
        self.seed, self.size, self.reuse, self.cache, self.mesh = seed, size, reuse, cache, mesh
        self.backgrounds = backgrounds or default_backgrounds()
        self.poses, self.effects = poses or PoseSampler(), effects
        self._kept: MovingCache[Foreground] = MovingCache(cache)

    def sample(self, index: int, spread: float = 1.0) -> RenderedItem:
        """Make item `index`; with less `spread` its crop misses the hand by less."""
        rng = np.random.default_rng((self.seed, _ITEM, index))
        hand = self.rendered(self._number(index, rng))
        other = self.rendered(self._number(index, rng)) if self.reuse > 1 else None
        window = Window.jittered(rng, hand, self.size, spread)
        picture, _ = composite(rng, hand, window, self.backgrounds, self.size, other)
        joints_px = window.points(hand.joints_px)
        offsets = hand.joints_mm - hand.joints_mm[M0]
        scale = float(np.linalg.norm(offsets[WRIST]))
        seen = camera_effects(rng, picture, self.effects)
        return RenderedItem(seen, joints_px, window.turn(offsets / scale), scale)

    def batch(self, n: int, first: int = 0) -> dict[str, np.ndarray]:
        """Stack items `first` to `first` + n: image, joints_px, joints_rel, scale_mm, presence."""
        items = [vars(self.sample(index)) for index in range(first, first + n)]
        return {key: np.stack([item[key] for item in items]) for key in items[0]}

    def placed(self, number: int, size: int) -> PlacedHand:
        """Draw the pose and view of foreground `number` without rendering it: a hundredth of the work."""
        rng, _, skeleton = self.hand(number)
        return place_hand(rng, self.poses, skeleton, size)

    def rendered(self, number: int) -> Foreground:
        """Render foreground `number`, or take it from the cache."""
        return self._kept.made(number, lambda: self.foreground(number, round(_DENSITY * CANVAS * self.size)))

    def _number(self, index: int, rng: np.random.Generator) -> int:
        """Choose a foreground from a window that moves on by one every `reuse` items."""
        return index if self.reuse == 1 else index // self.reuse + int(rng.integers(self.cache))

    def foreground(self, number: int, size: int) -> Foreground:
        """Render foreground `number` on a canvas of `size` px, whatever is in the cache."""
        rng, mesh, skeleton = self.hand(number)
        return render_foreground(rng, self.poses, mesh, skeleton, size)

    def hand(self, number: int) -> tuple[np.random.Generator, HandMesh, Skeleton]:
        """Draw the shape of foreground `number`: it, and the generator that draws its pose and look next."""
        rng = np.random.default_rng((self.seed, _FOREGROUND, number))
        return rng, *(self.mesh or sample_shape(rng))


def default_backgrounds() -> Backgrounds:
    """Give the backgrounds of the shared data, or the invented ones where there is none."""
    return Backgrounds(shared_backgrounds())
