"""Rendered hands translated into the looks of photographs, as training items: laid before backgrounds, blurred and noisy as renders are."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from handpose.crop import CROP_SIZE
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS
from handpose.synthesis.translated import TranslatedSampler, Translator
from regnet.render_items import CACHE, REUSE, RenderItems

_APART = 7_919  # added to the seed: a mix with `render` is to show other hands


class GaneratedItems(RenderItems):
    """Makes training items from translated hands; item `index` depends on (seed, index), the generator given and the file alone.

    Raises HandposeError where the translator's file cannot be used.
    """

    def __init__(
        self, seed: int, generator: Path, size: int = CROP_SIZE, backgrounds: Backgrounds | None = None,
        effects: Collection[str] = EFFECTS,
    ):  # fmt: skip
        self.size = size
        self.sampler = TranslatedSampler(
            Translator.from_file(generator), seed + _APART, size, backgrounds=backgrounds, reuse=REUSE, cache=CACHE,
            effects=effects,
        )  # fmt: skip
