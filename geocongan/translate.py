"""`geocongan translate`: rendered hands become photographs in the GANerated layout, labels carried over exactly.

geocongan translate --i renders --o ganerated

Every hand is translated before white and composited afterwards: background behind a feathered alpha, textured things before it, and
then blur, colours, noise and JPEG, so that no seam tells the hand from its surroundings (Mueller et al. 2018, section 3.1). Translators
know no objects: the hands of SynthHands that hold one are left out.
"""

from __future__ import annotations

import argparse
from collections.abc import Collection
from functools import lru_cache, partial
from pathlib import Path

import cv2
import numpy as np

from geocongan.domains import before_chroma, cut
from geocongan.translator import open_translator, weights_file
from handpose import cluster
from handpose.atomic import clear_unfinished
from handpose.claim import claim
from handpose.command import add_effects_argument, require
from handpose.crop import MARGIN as CROP_MARGIN
from handpose.crop import Crop
from handpose.data import Dataset, ganerated, synth_hands
from handpose.data.synth_hands import COLOUR_CAMERA
from handpose.errors import HandposeError
from handpose.runtime import read_weights
from handpose.synthesis import occluders
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import EFFECTS, camera_effects
from handpose.synthesis.foreground import straight
from handpose.synthesis.sampler import default_backgrounds
from handpose.synthesis.translated import MARGIN, Translator, recoloured

_BATCH = 16
_SETTINGS = "translate.json"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan translate`."""
    add = parser.add_argument
    add("--i", type=Path, required=True, metavar="SYNTH_DIR", help="SynthHands, or a folder of handpose render")
    add("--o", type=Path, required=True, metavar="DIR", help="folder to write to; one begun alike is continued")
    add(
        "--weights", type=Path, metavar="FILE|RUN",
        help=".onnx of geocongan export, run of geocongan train, or .weights.h5 (default: the one that comes along)",
    )  # fmt: skip
    add("--size", type=int, choices=ganerated.SIZES, default=ganerated.SIZE, help="side of the pictures [px]")
    add("--n", type=int, help="at most so many frames")
    add("--seed", type=int, default=0, help="of backgrounds and things before the hand")
    add("--objects", type=float, default=0.5, metavar="SHARE", help="of the frames with a thing before the hand")
    add_effects_argument(parser)
    cluster.add_arguments(parser)


def run(args: argparse.Namespace) -> None:
    """Translate every frame that is not written yet, here or on a cluster."""
    from tqdm import tqdm

    require(args, n=1, seed=0)
    if not 0 <= args.objects <= 1:
        raise HandposeError(f"--objects is a share from 0 to 1, not {args.objects}")
    weights = args.weights.resolve() if args.weights else None
    settings = args.i.resolve(), weights, args.seed, args.objects, tuple(args.effects)
    dataset, translator, composer = _opened(*settings)
    sha256 = read_weights(weights_file(weights))[1]
    kept = {name: getattr(args, name) for name in ("size", "seed", "objects", "effects")}
    claim(args.o, _SETTINGS, {"i": str(args.i.resolve()), "weights": sha256, **kept})
    count = min(args.n or len(dataset), len(dataset))
    frames = [i for i in range(count) if not _is_written(composer, args.o, i)]
    resized = "" if translator.size == args.size else f", resized from the translator's {translator.size}"
    print(f"{len(frames)} of {count} frames to translate: pictures of {args.size} px{resized}")
    jobs = [frames[i : i + _BATCH] for i in range(0, len(frames), _BATCH)]
    work = partial(_translate, settings, args.o.resolve(), args.size)
    with tqdm(total=len(frames), unit="frame", disable=None) as bar:
        for numbers, _ in cluster.map_jobs(work, jobs, args.address, args.workers):
            bar.update(len(numbers))
    clear_unfinished(args.o)
    print(f"{count} frames in {args.o}")


def _translate(settings: tuple, folder: Path, size: int, numbers: list[int]) -> None:
    dataset, translator, composer = _opened(*settings)
    translate(dataset, numbers, translator, composer, folder, size)


@lru_cache(1)
def _opened(
    folder: Path, weights: Path | None, seed: int, objects: float, effects: tuple[str, ...]
) -> tuple[Dataset, Translator, Composer]:
    return synth_hands.read(folder).without_objects(), open_translator(weights), Composer(seed, objects, effects)


def translate(
    dataset: Dataset, numbers: list[int], translator: Translator, composer: Composer, folder: Path,
    size: int = ganerated.SIZE,
) -> None:  # fmt: skip
    """Translate and write some frames of a dataset of the SynthHands layout, `size` px wide."""
    samples = [dataset[number] for number in numbers]
    pictures = [before_chroma(sample) for sample in samples]
    crops = [Crop.from_joints(COLOUR_CAMERA, sample.joints_px, translator.size, MARGIN) for sample in samples]
    seen = zip(crops, pictures, samples, strict=True)
    cuts = np.stack([cut(crop, picture, crop.to_crop(sample.joints_px)) for crop, picture, sample in seen])
    painted = translator(cuts)
    for i, (number, sample) in enumerate(zip(numbers, samples, strict=True)):
        assert sample.joints_mm is not None  # or it could not have been cut
        corner, scale = crop_of(sample.joints_px, size)
        whole = laid_out(pictures[i], crops[i], painted[i], corner, scale, size)
        joints_px = ganerated.crop_camera(corner, scale, size).project(sample.joints_mm)
        colour, with_object = composer(number, whole, joints_px)
        frame = ganerated.frame_path(folder, number, with_object)
        ganerated.write(frame, colour, whole[..., 3], sample.joints_mm, corner, scale)


def crop_of(joints_px: np.ndarray, size: int = ganerated.SIZE) -> tuple[tuple[float, float], float]:
    """Give corner (u, v) [px] and scale of the upright square that the layout cuts around joints (21, 2) of the 640x480 picture."""
    low, high = joints_px.min(0), joints_px.max(0)
    side = CROP_MARGIN * float((high - low).max())
    corner = (low + high) / 2 - side / 2
    return (float(corner[0]), float(corner[1])), size / side


def laid_out(
    picture: np.ndarray, crop: Crop, after: np.ndarray, corner: tuple[float, float], scale: float, size: int
) -> np.ndarray:  # fmt: skip
    """Give the layout's crop (size, size, 4), colour not weighted, of a premultiplied picture (480, 640, 4).

    Its colours are those of `after` (S, S, 4), the translation of what `crop` cut out of it.
    """
    there_from_picture = np.array([[scale, 0, -corner[0] * scale], [0, scale, -corner[1] * scale]])
    there = ganerated.crop_camera(corner, scale, size)
    there_from_crop = there.matrix @ crop.camera_from_crop @ np.linalg.inv(crop.camera.matrix)
    canvas = cv2.warpAffine(picture, there_from_picture, (size, size), flags=cv2.INTER_LINEAR)
    return straight(recoloured(canvas, after, there_from_crop))


class Composer:
    """Puts cut-out hands before backgrounds; frame `number` depends on (seed, number) alone. `effects` are the camera's."""

    def __init__(
        self, seed: int = 0, objects: float = 0.5, effects: Collection[str] = EFFECTS,
        backgrounds: Backgrounds | None = None,
    ):  # fmt: skip
        self.seed, self.objects, self.effects = seed, objects, effects
        self.backgrounds = backgrounds or default_backgrounds()

    def has_object(self, number: int) -> bool:
        """Say whether a thing passes before the hand of a frame."""
        return bool(np.random.default_rng((self.seed, 7, number)).random() < self.objects)

    def __call__(self, number: int, picture: np.ndarray, joints_px: np.ndarray) -> tuple[np.ndarray, bool]:
        """Compose RGBA (S, S, 4): the picture (S, S, 3), and whether there is a thing before the hand."""
        rng = np.random.default_rng((self.seed, 8, number))
        size, with_object = picture.shape[0], self.has_object(number)
        result = self.backgrounds.sample(rng, size).astype(np.float32)
        whole = picture[..., 3]
        feathered = np.minimum(whole, cv2.GaussianBlur(whole, (0, 0), size / 256))  # the hand does not grow
        for layer, alpha in ((picture, feathered), *([self._thing(rng, size, joints_px)] if with_object else [])):
            result += (layer[..., :3] - result) * (alpha[..., None].astype(np.float32) / 255)
        return camera_effects(rng, np.clip(result, 0, 255).astype(np.uint8), self.effects), with_object

    def _thing(self, rng: np.random.Generator, size: int, joints_px: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        thing = occluders.passing(rng, self.backgrounds, size, joints_px[rng.integers(len(joints_px))])
        return thing, thing[..., 3]


def _is_written(composer: Composer, folder: Path, number: int) -> bool:
    return ganerated.is_written(ganerated.frame_path(folder, number, composer.has_object(number)))
