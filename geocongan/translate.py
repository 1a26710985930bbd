"""`geocongan translate`: rendered hands become photographs in the GANerated layout, labels carried over exactly.

geocongan translate --i renders --o ganerated --weights runs/geocongan

Every hand is translated before white and composited afterwards: background behind a feathered alpha, textured things before it, and
then blur, noise and JPEG, so that no seam tells the hand from its surroundings (Mueller et al. 2018, section 3.1).
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from itertools import islice
from pathlib import Path

import cv2
import numpy as np

from geocongan.prepare import MARGIN, prepared
from geocongan.translator import Translator
from handpose.crop import MARGIN as CROP_MARGIN
from handpose.crop import Crop
from handpose.data import Dataset, ganerated, open_dataset
from handpose.data.ganerated import COLOUR_CAMERA, SIZE
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.synthesis import occluders
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.compose import camera_effects
from handpose.synthesis.sampler import default_backgrounds

_BATCH = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan translate`."""
    add = parser.add_argument
    add("--i", type=Path, required=True, metavar="SYNTH_DIR", help="SynthHands, or a folder of handpose render")
    add("--o", type=Path, required=True, metavar="DIR", help="folder to write to; an unfinished one is continued")
    add("--weights", type=Path, required=True, metavar="RUN|FILE", help="run of geocongan train, or .weights.h5")
    add("--n", type=int, help="at most so many frames")
    add("--seed", type=int, default=0, help="of backgrounds and things before the hand")
    add("--objects", type=float, default=0.5, metavar="SHARE", help="of the frames with a thing before the hand")
    add("--no-camera", action="store_true", help="leave out blur, noise, colour changes and JPEG")


def run(args: argparse.Namespace) -> None:
    """Translate every frame that is not written yet."""
    from tqdm import tqdm

    if not 0 <= args.objects <= 1:
        raise HandposeError(f"--objects is a share from 0 to 1, not {args.objects}")
    dataset, translator = open_dataset(args.i), Translator(args.weights)
    composer = Composer(args.seed, args.objects, not args.no_camera)
    count = min(args.n or len(dataset), len(dataset))
    frames = [i for i in range(count) if not _is_written(composer, args.o, i)]
    enlarged = f", enlarged from {translator.size}" if translator.size != SIZE else ""
    print(f"{len(frames)} of {count} frames to translate: pictures of {SIZE} px{enlarged}")
    with tqdm(total=len(frames), unit="frame", disable=None) as bar:
        for numbers in _batches(iter(frames)):
            translate(dataset, numbers, translator, composer, args.o)
            bar.update(len(numbers))
    print(f"{count} frames in {args.o}")


def translate(dataset: Dataset, numbers: list[int], translator: Translator, composer: Composer, folder: Path) -> None:
    """Translate and write some frames of a dataset of left hands with joints and masks before the 640x480 colour camera."""
    samples = [_checked(dataset[number]) for number in numbers]
    cuts = [prepared(sample, translator.size)[0] for sample in samples]
    for number, sample, picture in zip(numbers, samples, translator(np.stack(cuts)), strict=True):
        assert sample.joints_mm is not None
        upright = Crop.from_joints(COLOUR_CAMERA, sample.joints_px, translator.size, MARGIN)
        corner, scale = crop_of(sample.joints_px)
        whole = laid_out(picture, upright, corner, scale)
        joints_px = ganerated.crop_camera(corner, scale).project(sample.joints_mm)
        colour, with_object = composer(number, whole, joints_px)
        frame = ganerated.frame_path(folder, number, with_object)
        ganerated.write(frame, colour, whole[..., 3], sample.joints_mm, corner, scale)


def crop_of(joints_px: np.ndarray) -> tuple[tuple[float, float], float]:
    """Give corner (u, v) [px] and scale of the upright square that the layout cuts around joints (21, 2) of the 640x480 picture."""
    low, high = joints_px.min(0), joints_px.max(0)
    side = CROP_MARGIN * float((high - low).max())
    corner = (low + high) / 2 - side / 2
    return (float(corner[0]), float(corner[1])), SIZE / side


def laid_out(picture: np.ndarray, crop: Crop, corner: tuple[float, float], scale: float) -> np.ndarray:
    """Turn RGBA of an upright, rolled crop into the layout's crop (256, 256, 4)."""
    there = ganerated.crop_camera(corner, scale)
    crop_from_there = crop.camera.matrix @ crop.camera_from_crop.T @ np.linalg.inv(there.matrix)
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpPerspective(picture, crop_from_there, (SIZE, SIZE), flags=flags)


class Composer:
    """Puts cut-out hands before backgrounds; frame `number` depends on (seed, number) alone."""

    def __init__(
        self, seed: int = 0, objects: float = 0.5, camera: bool = True, backgrounds: Backgrounds | None = None
    ):
        self.seed, self.objects, self.camera = seed, objects, camera
        self.backgrounds = backgrounds or default_backgrounds()

    def has_object(self, number: int) -> bool:
        """Say whether a thing passes before the hand of a frame."""
        return bool(np.random.default_rng((self.seed, 7, number)).random() < self.objects)

    def __call__(self, number: int, picture: np.ndarray, joints_px: np.ndarray) -> tuple[np.ndarray, bool]:
        """Compose RGBA (S, S, 4): the picture (S, S, 3), and whether there is a thing before the hand."""
        rng = np.random.default_rng((self.seed, 8, number))
        size, with_object = picture.shape[0], self.has_object(number)
        ground = self.backgrounds.sample(rng, size).astype(np.float32)
        alpha = cv2.GaussianBlur(picture[..., 3], (0, 0), 0.6).astype(np.float32)[..., None] / 255
        alpha = np.minimum(alpha, picture[..., 3:].astype(np.float32) / 255 + 0.5)
        result = picture[..., :3] * alpha + ground * (1 - alpha)
        if with_object:
            thing = occluders.passing(rng, self.backgrounds, size, joints_px[rng.integers(21)])
            cover = thing[..., 3:].astype(np.float32) / 255
            result = thing[..., :3] * cover + result * (1 - cover)
        composed = np.clip(result, 0, 255).astype(np.uint8)
        return (camera_effects(rng, composed) if self.camera else composed), with_object


def _is_written(composer: Composer, folder: Path, number: int) -> bool:
    return ganerated.is_written(ganerated.frame_path(folder, number, composer.has_object(number)))


def _checked(sample: Sample) -> Sample:
    if sample.joints_mm is None or sample.load_mask is None or sample.side != "left" or sample.camera != COLOUR_CAMERA:
        raise HandposeError(
            f"{sample.name}: translation needs left hands with 3D joints and masks, as SynthHands and handpose render have"
        )
    return sample


def _batches(numbers: Iterator[int]) -> Iterator[list[int]]:
    while batch := list(islice(numbers, _BATCH)):
        yield batch
