"""Rendered hands in the looks of photographed ones, by a trained translator (Mueller et al. 2018, section 3.1).

A translator sees upright crops of left hands on white, cut off behind the wrist. Its silhouettes are those it was given, so labels and
alpha stay.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from handpose.crop import MARGIN as CROP_MARGIN
from handpose.errors import HandposeError
from handpose.runtime import load_network
from handpose.skeleton import M0, WRIST
from handpose.synthesis.compose import Window
from handpose.synthesis.foreground import Foreground, straight
from handpose.synthesis.sampler import RenderSampler
from handpose.weights import shipped

MARGIN = 1.6  # side of a translator's crop in sides of the joints' box: the hand, its wrist and room to be shifted
OUTPUT = "translated"
_AT_ONCE = 16  # pictures that a network sees
_STUMP = 0.12  # of the longer side of the joints' box: so much is kept behind the wrist
_SOFT = 0.03  # of the crop: where what was translated passes into what was not
_SEEN = 0.04  # of full cover: less of a hand tells no colour


class Translator:
    """`translator(pictures)` translates cut-out hands, RGBA (N, S, S, 4) uint8, colour not weighted; `size` is S [px].

    Skin keeps its tone: photographs of a few people would make all skins one.
    """

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
        cut_out = (_off_white(one, picture[..., 3:]) for one, picture in zip(painted, pictures, strict=True))
        return np.stack([_in_its_tone(one, picture) for one, picture in zip(cut_out, pictures, strict=True)])

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


def as_seen(hand: Foreground, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Give a hand as translators see it, RGBA (size, size, 4), colour not weighted, and its joints (21, 2) [px] there."""
    window = crop_window(hand, size)
    joints_px = window.points(hand.joints_px)
    return without_forearm(straight(window.warp(hand.rgba, size)), joints_px), joints_px


def without_forearm(picture: np.ndarray, joints_px: np.ndarray) -> np.ndarray:
    """Cut the forearm off RGBA (S, S, 4), straight across and behind all joints (21, 2) [px].

    Photographs end there or somewhere else: a judge that could tell the sides by their forearms would teach translators to shorten them.
    """
    backwards = joints_px[WRIST] - joints_px[M0]
    backwards /= max(float(np.linalg.norm(backwards)), 1e-9)
    end = (joints_px @ backwards).max() + _STUMP * np.ptp(joints_px, axis=0).max()
    y, x = np.mgrid[: picture.shape[0], : picture.shape[1]]
    kept = np.clip(end + 0.5 - x * backwards[0] - y * backwards[1], 0, 1)
    return np.dstack([picture[..., :3], np.round(picture[..., 3] * kept).astype(np.uint8)])


def translated(hand: Foreground, translator: Translator) -> Foreground:
    """Translate a foreground's colours; alpha and joints stay."""
    window, canvas = crop_window(hand, translator.size), hand.rgba
    after = translator(as_seen(hand, translator.size)[0][None])[0]
    canvas_from_crop = np.vstack([cv2.invertAffineTransform(window.crop_from_canvas), (0, 0, 1)])
    rgba = recoloured(canvas, after, canvas_from_crop)
    return replace(hand, part_rgba=rgba[hand.part])


def recoloured(canvas: np.ndarray, after: np.ndarray, canvas_from_crop: np.ndarray) -> np.ndarray:
    """Give a premultiplied canvas (H, W, 4) the colours of its crop's translation `after` (S, S, 4); its alpha stays.

    canvas_from_crop (3, 3) carries pixels. A translator does not see the forearm: its rendering stays.
    """
    share = after[..., 3:].astype(np.float32) / 255
    layer = cv2.warpPerspective(np.dstack([after[..., :3] * share, share]), canvas_from_crop, canvas.shape[1::-1])
    alpha, colour = canvas[..., 3:].astype(np.float32), canvas[..., :3].astype(np.float32)
    seen = np.minimum(layer[..., :3] / np.maximum(layer[..., 3:], _SEEN), 255) * alpha / 255
    zoom = np.sqrt(abs(np.linalg.det(canvas_from_crop[:2, :2]))) / canvas_from_crop[2, 2]
    weight = _share_seen(layer[..., 3], alpha[..., 0] / 255, _SOFT * zoom * len(after))
    colour += np.where(layer[..., 3] > _SEEN, weight, 0)[..., None] * (seen - colour)
    return np.concatenate([np.round(colour), alpha], axis=-1).astype(np.uint8)


def on_white(picture: np.ndarray) -> np.ndarray:
    """Lay RGBA (H, W, 4) on white: the ground on which translators see both sides."""
    alpha = picture[..., 3:].astype(np.float32) / 255
    return (picture[..., :3] * alpha + 255 * (1 - alpha)).astype(np.uint8)


def _off_white(painted: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Undo `on_white`: RGBA (S, S, 4) of a picture (S, S, 3) on white and its alpha (S, S, 1)."""
    weighted = np.clip(painted.astype(np.int16) - 255 + alpha, 0, alpha).astype(np.uint8)
    return straight(np.concatenate([weighted, alpha], axis=-1))


def _in_its_tone(picture: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Give a translation (S, S, 4) the mean colour that its hand had before, (S, S, 4)."""
    share = before[..., 3:].astype(np.float32) / 255
    gains = (before[..., :3] * share).sum((0, 1)) / np.maximum((picture[..., :3] * share).sum((0, 1)), 1)
    return np.dstack([np.clip(np.round(picture[..., :3] * gains), 0, 255).astype(np.uint8), picture[..., 3]])


def _share_seen(seen: np.ndarray, whole: np.ndarray, spread_px: float) -> np.ndarray:
    """Say from the cover (H, W) that a translator saw, and the whole of it, how far its colours hold: 0 at its cut and just inside,
    for translators draw that as an edge; then up to 1.
    """
    seen, whole = (cv2.GaussianBlur(cover, (0, 0), spread_px) for cover in (seen, whole))
    return np.clip(4 * seen / np.maximum(whole, 1e-3) - 3, 0, 1)
