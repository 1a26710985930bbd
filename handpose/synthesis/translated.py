"""Rendered hands in the looks of photographed ones, by a trained translator (Mueller et al. 2018, section 3.1).

A translator sees upright crops of left hands on white. Its silhouettes are those it was given, so labels and alpha stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import cv2
import numpy as np

from handpose.crop import MARGIN as CROP_MARGIN
from handpose.errors import HandposeError
from handpose.runtime import load_network
from handpose.synthesis.compose import Window
from handpose.synthesis.foreground import Foreground, straight
from handpose.synthesis.sampler import RenderSampler
from handpose.weights import shipped

MARGIN = 1.6  # side of a translator's crop in sides of the joints' box: the hand, its wrist and room to be shifted
OUTPUT = "translated"
_AT_ONCE = 16  # pictures that a network sees
_RIM = 0.1  # of the crop: where what was translated passes into what was not
_SEEN = 0.04  # of full cover: less of a hand tells no colour


class Translator:
    """`translator(pictures)` translates cut-out hands, RGBA (N, S, S, 4) uint8, colour not weighted; `size` is S [px]."""

    def __init__(self, run: Callable[[np.ndarray], np.ndarray], size: int):
        """`run` turns pictures on white (N, S, S, 3) uint8 into translated ones, 0..255."""
        self._run, self.size = run, size

    @classmethod
    def from_file(cls, path: Path | None = None) -> Translator:
        """Load a file of `geocongan export`, or the one that comes along. Raises HandposeError where it cannot be used."""
        network = load_network(generator_file(path), "auto", "cpu", (OUTPUT,))
        return cls(lambda pictures: network(pictures)[OUTPUT], network.input_size)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        painted = self.painted(np.stack([on_white(picture) for picture in pictures]))
        return np.stack([_off_white(one, picture[..., 3:]) for one, picture in zip(painted, pictures, strict=True)])

    def painted(self, pictures: np.ndarray) -> np.ndarray:
        """Translate pictures on white (N, S, S, 3) uint8, whatever their silhouettes become."""
        parts = [np.asarray(self._run(pictures[i : i + _AT_ONCE])) for i in range(0, len(pictures), _AT_ONCE)]
        return np.clip(np.round(np.concatenate(parts)), 0, 255).astype(np.uint8)


class TranslatedSampler(RenderSampler):
    """A sampler whose foregrounds are translated, each once, before they are kept."""

    def __init__(self, translator: Translator, *args, **options):
        super().__init__(*args, **options)
        self.translator = translator

    def foreground(self, number: int, size: int) -> Foreground:
        return translated(super().foreground(number, size), self.translator)


def generator_file(path: Path | str | None = None) -> Path:
    """Give the file of a translator, by default the one that comes along. Raises HandposeError where there is none."""
    path = Path(path) if path else shipped("geocongan", "synth2real.onnx")
    if not path.is_file():
        raise HandposeError(
            f"{path}: no translator there; make one with geocongan train and geocongan export, and give its file"
        )
    return path


def crop_window(hand: Foreground, size: int) -> Window:
    """Give the crop in which translators see a hand."""
    return Window.of(hand, size, scale=MARGIN / CROP_MARGIN)


def translated(hand: Foreground, translator: Translator) -> Foreground:
    """Translate a foreground's colours; alpha and joints stay."""
    window, canvas = crop_window(hand, translator.size), hand.rgba
    before = straight(window.warp(canvas, translator.size))
    canvas_from_crop = np.vstack([cv2.invertAffineTransform(window.crop_from_canvas), (0, 0, 1)])
    rgba = recoloured(canvas, before, translator(before[None])[0], canvas_from_crop)
    return replace(hand, part_rgba=rgba[hand.part])


def recoloured(canvas: np.ndarray, before: np.ndarray, after: np.ndarray, canvas_from_crop: np.ndarray) -> np.ndarray:
    """Give a premultiplied canvas (H, W, 4) the colours of a translation `after` of its crop `before`, (S, S, 4) each; its alpha stays.

    canvas_from_crop (3, 3) carries pixels. A translator does not see all of the forearm: beyond the crop its rendering stays, in the
    tones that the hand has taken on.
    """
    share = before[..., 3:].astype(np.float32) / 255
    colour_before, colour_after = (picture[..., :3] * share for picture in (before, after))
    size_px = canvas.shape[1::-1]
    known = np.dstack([colour_after, share])
    layer = cv2.warpPerspective(known, canvas_from_crop, size_px)
    weight = cv2.warpPerspective(_rim(len(before)), canvas_from_crop, size_px)[..., None]
    alpha = canvas[..., 3:].astype(np.float32)
    tones = colour_after.sum((0, 1)) / np.maximum(colour_before.sum((0, 1)), 1)
    colour = np.minimum(canvas[..., :3] * tones, alpha)
    seen = np.minimum(layer[..., :3] / np.maximum(layer[..., 3:], _SEEN), 255) * alpha / 255
    colour += np.where(layer[..., 3:] > _SEEN, weight, 0) * (seen - colour)
    return np.concatenate([np.round(colour), alpha], axis=-1).astype(np.uint8)


def on_white(picture: np.ndarray) -> np.ndarray:
    """Lay RGBA (H, W, 4) on white: the ground on which translators see both sides."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _off_white(painted: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo `on_white`: RGBA (S, S, 4) of a picture (S, S, 3) on white and its alpha (S, S, 1)."""
    weighted = np.clip(painted.astype(np.int16) - 255 + alpha, 0, alpha).astype(np.uint8)
    return straight(np.concatenate([weighted, alpha], axis=-1))


@cache
def _rim(size: int) -> np.ndarray:
    """How much of each pixel of a crop is its own (S, S), 1 but for its rim."""
    axis = np.minimum(np.arange(size) + 0.5, np.arange(size)[::-1] + 0.5) / (_RIM * size)
    return np.clip(np.minimum(axis[:, None], axis[None]), 0, 1).astype(np.float32)
