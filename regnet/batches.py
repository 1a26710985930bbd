"""What a training batch of RegNet is mixed from. A batch depends on (seed, step) alone, so a run resumes exactly."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from handpose.synthesis.compose import EFFECTS
from handpose.training.stream import lane_of
from regnet.labelled import GANERATE, MADE

_WITHOUT_HAND_SHARE = 0.04  # of a batch, where such pictures are given
_PEOPLE_SHARE, _HEADS = 0.2, (0.4, 1.8)  # of the crops, and heights of the heads behind hands, in sides of the crop


@dataclass(frozen=True)
class StreamConfig:
    """What to mix: `sources` are folders of datasets, "render", "libhand" or "ganerate", `mix` their shares, in the same order."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    batch_size: int = 32
    size: int = 128
    seed: int = 0
    without_hand: str = ""  # folder of pictures that look like hands and show none
    generator: str = ""  # file of the translator, for "ganerate"
    effects: tuple[str, ...] = EFFECTS  # of the camera, on rendered hands
    read: tuple[str, ...] = ()  # options of the datasets' readers, as views=BB_left

    @property
    def shares(self) -> tuple[float, ...]:
        """The mix, as shares of one."""
        return tuple(part / sum(self.mix) for part in self.mix)


class BatchMaker:
    """Make the batch of a step: the one place where sources are mixed."""

    def __init__(self, config: StreamConfig):
        from handpose.synthesis.backgrounds import shared_backgrounds
        from handpose.synthesis.libhand import hand_of
        from handpose.synthesis.people import PeopledBackgrounds
        from handpose.synthesis.translated import Translator
        from regnet.photo_crops import PhotoCrops
        from regnet.render_items import RenderItems
        from regnet.without_hand import WithoutHand

        self.config = config
        folders = [Path(source) for source in config.sources if source not in MADE]
        backgrounds = PeopledBackgrounds(shared_backgrounds(), _PEOPLE_SHARE, _HEADS)
        self.datasets = {
            str(folder): PhotoCrops([folder], "train", backgrounds, config.size, config.read) for folder in folders
        }
        translator = Translator.from_file(Path(config.generator)) if GANERATE in config.sources else None
        shares = dict(zip(config.sources, config.shares, strict=True))
        self.made = {
            source: RenderItems(
                config.seed, config.size, backgrounds, config.effects,
                translator=translator if source == GANERATE else None, mesh=hand_of(source), share=shares[source],
            )
            for source in MADE
            if source in config.sources
        }  # fmt: skip
        self.without_hand = WithoutHand(Path(config.without_hand), config.size) if config.without_hand else None

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make batch number `step`: arrays with the batch first."""
        rng = np.random.default_rng((self.config.seed, step))
        chosen = rng.choice(len(self.config.sources), self.config.batch_size, p=self.config.shares)
        items = [self._item(self.config.sources[source], step, i, rng) for i, source in enumerate(chosen)]
        return {key: np.stack([item[key] for item in items]) for key in items[0]}

    def _item(self, source: str, step: int, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        if self.without_hand and rng.random() < _WITHOUT_HAND_SHARE:
            return self.without_hand.item(rng)
        if source in self.made:
            lane, turn = lane_of(step)
            return self.made[source].item(lane, turn * self.config.batch_size + place, rng)
        return self.datasets[source].item(rng)
