"""A trained synth2real as one call: cut-out rendered hands in, cut-out translated hands out."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from geocongan.domains import through, to_network, to_picture
from geocongan.prepare import on_white
from handpose.errors import HandposeError


class Translator:
    """`translator(pictures)` translates RGBA (N, S, S, 4); `size` is S. The alpha stays: the silhouette is what translation keeps.

    `path` is a run of `geocongan train` or a .weights.h5 file with its .json beside it. Raises HandposeError where it cannot be used.
    """

    def __init__(self, path: Path):
        from geocongan.networks import build_generator
        from handpose.training.weights import load_weights

        folder = path.is_dir()
        weights = path / "synth2real_best.weights.h5" if folder else path
        card = path / "config.json" if folder else path.with_name(path.name.removesuffix(".weights.h5") + ".json")
        try:
            config = json.loads(card.read_text())
            self.size = int(config["size"])
            model = build_generator(self.size, int(config["filters"]), int(config["blocks"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise HandposeError(f"{card}: tells no translator's size, filters and blocks ({error})") from error
        load_weights(model, weights)
        self._model = model

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Translate left hands, upright crops as `geocongan.prepare` cuts them, (N, S, S, 4) uint8."""
        shown = to_network(np.stack([on_white(picture) for picture in pictures]))
        return np.concatenate([to_picture(through(self._model, shown)), pictures[..., 3:]], axis=-1)
