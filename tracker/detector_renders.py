"""Rendered hands with their forearms and what they hold, as pictures to paste into scenes."""

from __future__ import annotations

from typing import Any

import numpy as np

from handpose.skeleton import Skeleton
from handpose.synthesis import occluders
from handpose.synthesis.foreground import Foreground, straight
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.moving_cache import MovingCache
from handpose.synthesis.poses import TRAINING_MIXTURE, PoseSampler
from handpose.synthesis.sampler import RenderSampler, default_backgrounds
from handpose.training.stream import LANES, lane_seed
from tracker.detector_targets import Picture, scene_hand

_SIZE = 192  # px of a rendered picture
_CACHE = 600  # by all lanes
_UNMOVED = np.eye(2, 3)
_REUSE = 6  # times that a picture is shown, on average


class RenderedPictures:
    """Draws rendered hands, lane by lane; they depend on the seed and the generator given, on nothing else."""

    def __init__(self, seed: int, mesh: tuple[HandMesh, Skeleton] | None = None):
        """`mesh` is to be used in place of our own hands."""
        self._seed, self._backgrounds = seed, default_backgrounds()
        self._options: dict[str, Any] = {
            "backgrounds": self._backgrounds, "mesh": mesh, "poses": PoseSampler(TRAINING_MIXTURE),
        }  # fmt: skip
        self._kept: dict[int, MovingCache[Picture]] = {lane: MovingCache(_CACHE // LANES) for lane in range(LANES)}

    def picture(self, lane: int, number: int, rng: np.random.Generator) -> Picture:
        """Give a picture out of a lane's window, which moves on by one every `_REUSE` numbers."""
        index = number // _REUSE + int(rng.integers(_CACHE // LANES))
        return self._kept[lane].made(index, lambda: self._drawn(lane, index))

    def _drawn(self, lane: int, index: int) -> Picture:
        seed = lane_seed(self._seed, lane)
        hand = RenderSampler(seed, _SIZE, **self._options).foreground(index, _SIZE)
        sought = scene_hand(hand.joints_px, (_SIZE, _SIZE), hand.side == "left")
        known = np.full((_SIZE, _SIZE), 255, np.uint8)
        return Picture(self._holding(hand, np.random.default_rng((seed, index))), [sought], known, True)

    def _holding(self, hand: Foreground, rng: np.random.Generator) -> np.ndarray:
        """Give the picture of a hand (S, S, 4), colour not premultiplied, with what it grasps, if anything, in its fingers."""
        picture = straight(hand.rgba)
        if hand.held is None:
            return picture
        thing = occluders.held(rng, self._backgrounds, hand.held, hand.relief, _UNMOVED)
        share = thing[..., 3:].astype(np.float32) / 255
        colour = picture[..., :3] + (thing[..., :3] - picture[..., :3].astype(np.float32)) * share
        return np.dstack([colour.astype(np.uint8), np.maximum(picture[..., 3], thing[..., 3])])
