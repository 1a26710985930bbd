"""Rendered hands with their forearms, as pictures to paste into scenes."""

from __future__ import annotations

from collections import OrderedDict

import numpy as np

from handpose.synthesis.sampler import RenderSampler
from tracker.detector_targets import Picture, scene_hand

_SIZE = 192  # px of a rendered picture
_CACHE = 600
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
            rgba, joints_px, side = self._sampler.foreground(index, _SIZE)
            hand = scene_hand(joints_px, (_SIZE, _SIZE), side == "left")
            self._kept[index] = Picture(rgba, [hand], np.full((_SIZE, _SIZE), 255, np.uint8), True)
            if len(self._kept) > _CACHE:
                self._kept.popitem(last=False)
        return self._kept[index]
