"""Rendered hands as training items: the sampler's, a few mirrored into right hands and a few pictures without any."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np

from handpose.crop import CROP_SIZE
from handpose.heatmap import cells_from_px
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.sampler import RenderSampler
from regnet.augment import random_look
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item

REUSE = 10  # times that a foreground is shown, on average
CACHE = 2000  # foregrounds kept
_EMPTY_SHARE = 0.06


class RenderItems:
    """Makes training items from rendered hands; item `index` depends on (seed, index) and the generator given, on nothing else."""

    def __init__(
        self,
        seed: int,
        size: int = CROP_SIZE,
        backgrounds: Backgrounds | None = None,
        effects: Collection[str] = EFFECTS,
    ):
        self.size = size
        self.sampler = RenderSampler(seed, size, backgrounds=backgrounds, reuse=REUSE, cache=CACHE, effects=effects)

    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Make item `index`: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        if rng.random() < _EMPTY_SHARE:
            return empty_item(random_look(self.sampler.backgrounds.sample(rng, self.size), rng))
        rendered = self.sampler.sample(index)
        return training_item(
            rendered.image, cells_from_px(rendered.joints_px, self.size), left=rng.random() > RIGHT_SHARE,
            joints_rel=rendered.joints_rel,
        )  # fmt: skip
