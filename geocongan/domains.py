"""The two unpaired sides that the translators see: rendered hands and photographed ones, upright crops of left hands on white.

Poses and views of the rendered side follow those of the photographs where their joints are known: a judge that could tell the sides
by their poses would teach the translators to change them.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from geocongan.prepare import JOINTS_NAME
from handpose.crop import MARGIN as CROP_MARGIN
from handpose.crop import Crop
from handpose.data import open_dataset, real_hands
from handpose.data.sample import Sample
from handpose.data.synth_hands import CHROMA, COLOUR_CAMERA
from handpose.errors import HandposeError
from handpose.synthesis.foreground import CANVAS, premultiplied, straight
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.translated import MARGIN, as_seen, on_white, without_forearm

RENDER = "render"
_CANDIDATES = 6000  # drawn hands among which each photograph's pose is looked for
_NEAREST = 6
_AT_ONCE = 16  # pictures that a network sees
_KEPT = 3000  # rendered hands kept in memory


@dataclass(frozen=True)
class DomainConfig:
    """What the sides are made of: `synthetic` is "render" or a folder with joints and masks, `real` a folder of RealHands' layout."""

    synthetic: str
    real: str
    size: int = 128
    batch_size: int = 1
    seed: int = 0


class RenderedSide:
    """Rendered hands by number, matched to `joints` (K, 21, 2) [crop sides, from its middle] of photographs where there are some."""

    def __init__(self, seed: int, size: int, joints: np.ndarray | None = None):
        self.size = size
        self.sampler = RenderSampler(seed, size, cache=_KEPT)
        self.numbers = _matching(self.sampler, joints) if joints is not None and len(joints) else None

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give hand `index`: RGBA (S, S, 4), colour not weighted, and its joints (21, 2) [px]."""
        number = index if self.numbers is None else int(self.numbers[index % len(self.numbers)])
        return as_seen(self.sampler.rendered(number), self.size)


class PhotographedSide:
    """Cut-out hands of folders that `geocongan prepare` wrote. Raises HandposeError where there are none."""

    def __init__(self, folder: Path, size: int):
        self.size = size
        if next(folder.rglob(JOINTS_NAME), None) is None:
            raise HandposeError(
                f"{folder}: no prepared hands in it; make them with geocongan prepare --i PHOTOS --o {folder}"
            )
        self.frames = real_hands.read(folder)
        self.joints = _joints_of(folder)
        self._kept: dict[int, np.ndarray] = {}

    def __len__(self) -> int:
        return len(self.frames)

    def picture(self, index: int) -> np.ndarray:
        """Give frame `index`: RGBA (S, S, 4)."""
        if index not in self._kept:
            sample = self.frames[index]
            mask = sample.mask
            assert mask is not None  # prepared frames have theirs
            picture = premultiplied(sample.image, mask)  # or its ground would be mixed into the rim
            self._kept[index] = straight(cv2.resize(picture, (self.size, self.size), interpolation=cv2.INTER_AREA))
        return self._kept[index]


class LabelledSide:
    """Rendered hands of SynthHands, or of a folder of `handpose render`."""

    def __init__(self, folder: Path, size: int):
        self.size, self.dataset = size, open_dataset(folder)

    def picture(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Give hand `index`: RGBA (S, S, 4) and its joints (21, 2) [px]. Raises HandposeError for a hand that cannot be cut out."""
        sample = self.dataset[index % len(self.dataset)]
        crop = Crop.from_joints(COLOUR_CAMERA, sample.joints_px, self.size, MARGIN)
        joints_px = crop.to_crop(sample.joints_px)
        return cut(crop, before_chroma(sample), joints_px), joints_px


def before_chroma(sample: Sample) -> np.ndarray:
    """Take a hand of the SynthHands layout off its green: the picture (480, 640, 4), colour premultiplied by alpha.

    Raises HandposeError for another kind of sample.
    """
    mask = sample.mask
    if sample.joints_mm is None or mask is None or sample.side != "left" or sample.camera != COLOUR_CAMERA:
        raise HandposeError(
            f"{sample.name}: translation needs left hands with 3D joints and masks, as SynthHands and handpose render have"
        )
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
        else:
            self.synthetic = LabelledSide(Path(config.synthetic), config.size)

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make the batch of a step: synthetic and real (N, S, S, 3) float32 in -1..1, their masks (N, S, S, 1) 0 or 1."""
        rng = np.random.default_rng((self.config.seed, 3, step))
        numbers = range(step * self.config.batch_size, (step + 1) * self.config.batch_size)
        synthetic = [moved(rng, self.synthetic.picture(self._shown(number))[0]) for number in numbers]
        real = [moved(rng, self.real.picture(int(rng.integers(len(self.real))))) for _ in numbers]
        return {**_stacked("synthetic", synthetic), **_stacked("real", real)}

    def _shown(self, number: int) -> int:
        """Walk through the rendered hands in a shuffled order, so that a bounded number of them is rendered."""
        round_, place = divmod(number, _KEPT)
        return int(np.random.default_rng((self.config.seed, 4, round_)).permutation(_KEPT)[place])


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
    """Read the joints that `geocongan prepare` wrote below a folder: (K, 21, 2) [sides of the hand's box, from the crop's middle]."""
    found = []
    for path in sorted(folder.rglob(JOINTS_NAME)):
        for joints in json.loads(path.read_text()).values():
            joints_px = np.asarray(joints, float)
            found.append((joints_px - (joints_px.min(0) + joints_px.max(0)) / 2) / np.ptp(joints_px, axis=0).max())
    return np.array(found).reshape(-1, 21, 2)


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
