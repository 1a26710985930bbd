"""Rendered hands with their forearms and what they hold, as pictures to paste into scenes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from handpose.synthesis import occluders
from handpose.synthesis.foreground import Foreground, straight
from handpose.synthesis.sampler import RenderSampler
from tracker.detector_targets import Picture, scene_hand

_SIZE = 192  # px of a rendered picture
_CACHE = 600
_UNMOVED = np.eye(2, 3)
_REUSE = 6  # times that a picture is shown, on average


class RenderedPictures:
    """Draws rendered hands; they depend on the seed and the generator given, on nothing else."""

    def __init__(self, seed: int):
        self._sampler = RenderSampler(seed, _SIZE)
        self._kept: OrderedDict[int, Picture] = OrderedDict()

    def picture(self, number: int, rng: np.random.Generator) -> Picture:
        """Give a picture out of a window of `_CACHE` that moves on by one every `_REUSE` numbers."""
        index = number // _REUSE + int(rng.integers(_CACHE))
        if index not in self._kept:
            hand = self._sampler.foreground(index, _SIZE)
            sought = scene_hand(hand.joints_px, (_SIZE, _SIZE), hand.side == "left")
            known = np.full((_SIZE, _SIZE), 255, np.uint8)
            self._kept[index] = Picture(self._holding(hand, rng), [sought], known, True)
            if len(self._kept) > _CACHE:
                self._kept.popitem(last=False)
        return self._kept[index]

    def _holding(self, hand: Foreground, rng: np.random.Generator) -> np.ndarray:
        """Give the picture of a hand (S, S, 4), colour not premultiplied, with what it grasps, if anything, in its fingers."""
        picture = straight(hand.rgba)
        if hand.held is None:
            return picture
        thing = occluders.held(rng, self._sampler.backgrounds, hand.held, hand.relief, _UNMOVED)
        share = thing[..., 3:].astype(np.float32) / 255
        colour = picture[..., :3] + (thing[..., :3] - picture[..., :3].astype(np.float32)) * share
        return np.dstack([colour.astype(np.uint8), np.maximum(picture[..., 3], thing[..., 3])])
