"""Rendered hands as training items, plain or translated: the sampler's, a few mirrored into right hands and a few pictures without any."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import numpy as np

from handpose.crop import CROP_SIZE
from handpose.heatmap import cells_from_px
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.poses import PoseSampler
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import TranslatedSampler, Translator
from regnet.augment import random_look
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item

REUSE = 10  # times that a foreground is shown, on average
CACHE = 2000  # foregrounds kept
_EMPTY_SHARE = 0.06
_APART = 7_919  # added to the seed of translated hands: a mix is to show other hands
# Photographs that teach are gestures; hands that hold something, seen from all sides, only renders have.
_POSES = {
    "gesture": 0.20, "letter": 0.13, "free": 0.13, "ease": 0.08, "pinch": 0.14, "grasp": 0.19, "between": 0.13,
}  # fmt: skip


class RenderItems:
    """Makes training items from rendered hands, translated ones with a `translator`; item `index` depends on the arguments and the
    generator given, on nothing else.
    """

    def __init__(
        self, seed: int, size: int = CROP_SIZE, backgrounds: Backgrounds | None = None, effects: Collection[str] = EFFECTS,
        translator: Translator | None = None,
    ):  # fmt: skip
        self.size = size
        options: dict[str, Any] = {
            "backgrounds": backgrounds, "reuse": REUSE, "cache": CACHE, "effects": effects, "poses": PoseSampler(_POSES),
        }  # fmt: skip
        if translator:
            self.sampler: RenderSampler = TranslatedSampler(translator, seed + _APART, size, **options)
        else:
            self.sampler = RenderSampler(seed, size, **options)

    def item(self, index: int, rng: np.random.Generator) -> Item:
        """Make item `index`: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        if rng.random() < _EMPTY_SHARE:
            return empty_item(random_look(self.sampler.backgrounds.sample(rng, self.size), rng))
        rendered = self.sampler.sample(index)
        return training_item(
            rendered.image, cells_from_px(rendered.joints_px, self.size), left=rng.random() > RIGHT_SHARE,
            joints_rel=rendered.joints_rel,
        )  # fmt: skip
