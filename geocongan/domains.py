"""The two unpaired sides that the translators see: rendered hands and photographed ones, upright crops of left hands on white.

Poses and views of the rendered side follow those of the photographs where their joints are known: a judge that could tell the sides
by their poses would teach the translators to change them.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence, Sized
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from geocongan.prepare import JOINTS_NAME
from handpose.crop import MARGIN as CROP_MARGIN
from handpose.crop import Crop
from handpose.data import real_hands, synth_hands
from handpose.data.files import files_below, read_json
from handpose.data.photos import Split
from handpose.data.sample import Sample
from handpose.data.synth_hands import CHROMA, COLOUR_CAMERA
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS
from handpose.synthesis import RENDER
from handpose.synthesis.foreground import CANVAS, premultiplied, straight
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import MARGIN, as_seen, on_white, without_forearm

_CANDIDATES = 6000  # drawn hands among which each photograph's pose is looked for
_NEAREST = 6
_AT_ONCE = 16  # pictures that a network sees
_KEPT = 3000  # hands of each side kept in memory, and shown of a stream of renders that no photograph bounds
_HELD_OUT_EVERY = 50  # frames of a folder of renders: one is for measuring


@dataclass(frozen=True)
class DomainConfig:
    """What the sides are made of: `synthetic` is "render" or a folder with joints and masks, `real` a folder of RealHands' layout.

    `split` is the side of such a folder of renders that is shown, None for all of it; streams of renders differ by their seeds.
    """

    synthetic: str
    real: str
    size: int = 128
    batch_size: int = 1
    seed: int = 0
    split: Split | None = "train"


class RenderedSide:
    """Rendered hands by number, matched to `joints` (K, 21, 2) [crop sides, from its middle] of photographs where there are some."""

    def __init__(self, seed: int, size: int, joints: np.ndarray | None = None):
        self.size = size
        self.sampler = RenderSampler(seed, size, cache=_KEPT)
        self.numbers = _matching(self.sampler, joints) if joints is not None and len(joints) else None

    def __len__(self) -> int:
        return _KEPT if self.numbers is None else len(self.numbers)

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give hand `index`: RGBA (S, S, 4), colour not weighted, and its joints (21, 2) [px]."""
        number = index if self.numbers is None else int(self.numbers[index])
        return as_seen(self.sampler.rendered(number), self.size)


class PhotographedSide:
    """Cut-out hands of folders that `geocongan prepare` wrote. Raises HandposeError where there are none, or one lacks its mask."""

    def __init__(self, folder: Path, size: int):
        self.size = size
        if next(files_below(folder, JOINTS_NAME), None) is None:
            raise HandposeError(
                f"{folder}: no prepared hands in it; make them with geocongan prepare --i PHOTOS --o {folder}"
            )
        self.frames = real_hands.read(folder)
        if bare := [frame.colour for frame in self.frames.frames if frame.mask is None]:
            raise HandposeError(f"{bare[0]}: its mask is missing")
        self.joints = _joints_of(folder)
        self._kept = lru_cache(_KEPT)(self._read)

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, index: int) -> np.ndarray:
        """Give frame `index`: RGBA (S, S, 4)."""
        return self._kept(index)

    def _read(self, index: int) -> np.ndarray:
        sample = self.frames[index]
        mask = sample.mask
        assert mask is not None  # prepared frames have theirs
        picture = premultiplied(sample.image, mask)  # or its ground would be mixed into the rim
        return straight(cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA))


class LabelledSide:
    """Rendered hands of SynthHands without objects, or of a folder of `handpose render`: all, or those that train, or the others.

    Raises HandposeError where there are none.
    """

    def __init__(self, folder: Path, size: int, split: Split | None = None):
        self.size, self.frames = size, synth_hands.read(folder).without_objects()
        numbers = np.arange(len(self.frames))
        held_out = numbers % _HELD_OUT_EVERY == 0
        self.numbers = numbers if split is None else numbers[held_out == (split == "held_out")]
        if not len(self.numbers):
            raise HandposeError(f"{folder}: one frame is not enough; it is held out to measure on")

    def __len__(self) -> int:
        return len(self.numbers)

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give hand `index`: RGBA (S, S, 4) and its joints (21, 2) [px]."""
        sample = self.frames[int(self.numbers[index])]
        crop = Crop.from_joints(COLOUR_CAMERA, sample.joints_px, self.size, MARGIN)
        joints_px = crop.to_crop(sample.joints_px)
        return cut(crop, before_chroma(sample), joints_px), joints_px


def before_chroma(sample: Sample) -> np.ndarray:
    """Take a hand of the SynthHands layout off its green: the picture (480, 640, 4), colour premultiplied by alpha."""
    mask = sample.mask
    assert mask is not None  # that layout has them all
    if set(np.unique(mask)) <= {0, 255}:  # of the release, keyed: the outermost pixels are half green
        mask = cv2.erode(mask, np.ones((3, 3), np.uint8))
    share = mask[..., None].astype(np.float32) / 255
    weighted = np.clip(np.round(sample.image - (1 - share) * np.array(CHROMA, np.float32)), 0, 255 * share)
    return np.dstack([weighted.astype(np.uint8), mask])


def cut(crop: Crop, picture: np.ndarray, joints_px: np.ndarray) -> np.ndarray:
    """Cut a crop out of a premultiplied picture (H, W, 4) as translators see it: (S, S, 4), colour not weighted.

    joints_px (21, 2) lie in the crop.
    """
    cover = crop.warp(np.repeat(picture[..., 3:], 3, -1))[..., :1]
    colour = np.minimum(crop.warp(np.ascontiguousarray(picture[..., :3])), cover)
    return without_forearm(straight(np.concatenate([colour, cover], axis=-1)), joints_px)


class DomainBatches:
    """Batches of both sides; a batch depends on (seed, step) alone."""

    def __init__(self, config: DomainConfig):
        self.config = config
        self.real = PhotographedSide(Path(config.real), config.size)
        self.synthetic: RenderedSide | LabelledSide
        if config.synthetic == RENDER:
            self.synthetic = RenderedSide(config.seed, config.size, self.real.joints)
            if self.synthetic.numbers is None:
                told = "no joints, so renders are not posed like its photographs; prepare them anew"
                print(f"{config.real}: {told}", file=sys.stderr)
        else:
            self.synthetic = LabelledSide(Path(config.synthetic), config.size, config.split)
        self._render, self._photograph = _walk(config.seed, 4, self.synthetic), _walk(config.seed, 10, self.real)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make the batch of a step: synthetic and real (N, S, S, 3) float32 in -1..1, their masks (N, S, S, 1) 0 or 1."""
        numbers = range(step * self.config.batch_size, (step + 1) * self.config.batch_size)
        return self._made(step, [*map(self._render, numbers)], [*map(self._photograph, numbers)])

    def measured(self) -> dict[str, np.ndarray]:
        """Make batch 0 with no hand of either side twice in it, so maybe fewer: of copies a distance of two sets would be too large.

        Raises HandposeError where a side has one hand only.
        """
        count, chose = self.config.batch_size, self.synthetic.numbers
        renders = {index if chose is None else chose[index]: index for index in map(self._render, range(count))}
        photographs = [self._photograph(number) for number in range(min(count, len(self.real)))]
        for side, hands in ((self.config.synthetic, renders), (self.config.real, photographs)):
            if len(hands) < 2:
                raise HandposeError(f"{side}: one hand to measure on; a distance needs two of each side")
        return self._made(0, list(renders.values()), photographs)

    def _made(self, step: int, renders: Sequence[int], photographs: Sequence[int]) -> dict[str, np.ndarray]:
        rng = np.random.default_rng((self.config.seed, 3, step))
        synthetic = [moved(rng, self.synthetic.picture(index)[0]) for index in renders]
        real = [moved(rng, self.real.picture(index)) for index in photographs]
        return {**_stacked("synthetic", synthetic), **_stacked("real", real)}


def _walk(seed: int, stream: int, side: Sized) -> Callable[[int], int]:
    """Walk through the hands of a side in a shuffled order, so that each is shown once before any comes again."""
    order = lru_cache(2)(lambda round_: np.random.default_rng((seed, stream, round_)).permutation(len(side)))
    return lambda number: int(order(number // len(side))[number % len(side)])


def moved(rng: np.random.Generator, picture: np.ndarray) -> np.ndarray:
    """Shift, turn and scale RGBA (S, S, 4) a little."""
    size = picture.shape[0]
    matrix = cv2.getRotationMatrix2D(((size - 1) / 2,) * 2, rng.uniform(-20, 20), np.exp(rng.uniform(-0.12, 0.12)))
    matrix[:, 2] += rng.uniform(-0.05, 0.05, 2) * size
    weighted = premultiplied(picture[..., :3], picture[..., 3])
    return straight(cv2.warpAffine(weighted, matrix, (size, size), flags=cv2.INTER_LINEAR))


def to_network(pictures: np.ndarray) -> np.ndarray:
    """Turn pictures (..., 3) uint8 into float32 -1..1."""
    return pictures.astype(np.float32) / 127.5 - 1


def through(model, pictures: np.ndarray) -> np.ndarray:
    """Run pictures (N, ...) through a Keras model, some at a time."""
    parts = [np.asarray(model(pictures[i : i + _AT_ONCE], training=False)) for i in range(0, len(pictures), _AT_ONCE)]
    return np.concatenate(parts)


def to_picture(values: np.ndarray) -> np.ndarray:
    """Turn values (..., 3) in -1..1 into uint8."""
    return np.clip(np.round((np.asarray(values, np.float32) + 1) * 127.5), 0, 255).astype(np.uint8)


def _stacked(name: str, pictures: Sequence[np.ndarray]) -> dict[str, np.ndarray]:
    masks = np.stack([picture[..., 3:] for picture in pictures]) >= 128
    return {
        name: to_network(np.stack([on_white(picture) for picture in pictures])),
        f"{name}_mask": masks.astype(np.float32),
    }


def _joints_of(folder: Path) -> np.ndarray:
    """Read the joints that `geocongan prepare` wrote below a folder: (K, 21, 2) [sides of the hand's box, from the crop's middle].

    Raises HandposeError naming the file where they are broken.
    """
    found = [np.empty((0, N_JOINTS, 2))]
    for path in sorted(files_below(folder, JOINTS_NAME)):
        try:
            joints_px = np.array([*read_json(path).values()], float).reshape(-1, N_JOINTS, 2)
        except (AttributeError, TypeError, ValueError) as error:
            raise HandposeError(f"{path}: not the joints that geocongan prepare writes ({error})") from error
        low, high = joints_px.min(1, keepdims=True), joints_px.max(1, keepdims=True)
        found.append((joints_px - (low + high) / 2) / (high - low).max(-1, keepdims=True))
    return np.concatenate(found)


def _matching(sampler: RenderSampler, joints: np.ndarray) -> np.ndarray:
    """Find for every photograph a drawn hand, one of those whose joints lie nearest; the numbers (K,) of those hands."""
    size = 256
    drawn = np.array([sampler.placed(number, size).joints_px for number in range(_CANDIDATES)])
    drawn = (drawn - (size - 1) / 2) * CANVAS * CROP_MARGIN / size
    rng = np.random.default_rng(sampler.seed)
    found = []
    for one in joints:
        nearest = np.argsort(np.linalg.norm(drawn - one, axis=-1).mean(-1))[:_NEAREST]
        found.append(
            rng.choice(nearest)
        )  # not always the very nearest: photographs of one pose should not all get one hand
    return np.array(found)
