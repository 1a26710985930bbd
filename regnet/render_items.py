"""Rendered hands as training items, plain or translated: the sampler's, a few mirrored into right hands and a few pictures without any."""

from __future__ import annotations

from collections.abc import Collection
from functools import cache
from typing import Any

import numpy as np

from handpose.crop import CROP_SIZE
from handpose.heatmap import cells_from_px
from handpose.skeleton import Skeleton
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.poses import TRAINING_MIXTURE, PoseSampler
from handpose.synthesis.sampler import RenderSampler, default_backgrounds
from handpose.synthesis.translated import TranslatedSampler, Translator
from handpose.training.stream import LANES, lane_seed
from regnet.augment import random_look, random_spread
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item

REUSE = 5  # times that a foreground is shown, on average
CACHE = 2000  # foregrounds kept, by all lanes
_EMPTY_SHARE = 0.03
_APART = 7_919  # added to the seed of translated hands: a mix is to show other hands


class RenderItems:
    """Makes training items from rendered hands, translated ones with a `translator`, lane by lane; item `index` of a lane depends on the
    arguments and the generator given, on nothing else.
    """

    def __init__(
        self, seed: int, size: int = CROP_SIZE, backgrounds: Backgrounds | None = None, effects: Collection[str] = EFFECTS,
        translator: Translator | None = None, mesh: tuple[HandMesh, Skeleton] | None = None, share: float = 1.0,
    ):  # fmt: skip
        """`mesh` is to be used in place of our own hands; `share` of a lane's items are these, the others come from elsewhere."""
        self.seed, self.size, self.translator = seed, size, translator
        self.backgrounds = backgrounds or default_backgrounds()
        self._options: dict[str, Any] = {
            "backgrounds": self.backgrounds, "reuse": round(REUSE / max(share, 1e-3)), "cache": CACHE // LANES, "effects": effects,
            "poses": PoseSampler(TRAINING_MIXTURE), "mesh": mesh,
        }  # fmt: skip
        self.lane = cache(self._lane)

    def item(self, lane: int, index: int, rng: np.random.Generator) -> Item:
        """Make item `index` of a lane: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        if rng.random() < _EMPTY_SHARE:
            return empty_item(random_look(self.backgrounds.sample(rng, self.size), rng))
        rendered = self.lane(lane).sample(index, random_spread(rng))
        return training_item(
            rendered.image, cells_from_px(rendered.joints_px, self.size), left=rng.random() > RIGHT_SHARE,
            joints_rel=rendered.joints_rel,
        )  # fmt: skip

    def _lane(self, lane: int) -> RenderSampler:
        """Give the sampler of a lane, made when first wanted: it keeps what was rendered."""
        seed = lane_seed(self.seed, lane)
        if self.translator:
            return TranslatedSampler(self.translator, seed + _APART, self.size, **self._options)
        return RenderSampler(seed, self.size, **self._options)
