"""Labelled hands as the network sees them: each in its ideal crop, with the truth beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.data import READERS, open_dataset, photos
from handpose.data.sample import Sample
from handpose.skeleton import Side

RENDER = "render"  # the source that is no folder


@dataclass(frozen=True, eq=False)
class LabelledWindow:
    """A hand in its labelled crop.

    image (S, S, 3) uint8; joints_px (21, 2) in the picture; valid (21,) bool; joints_mm (21, 3) in the axes of the crop's camera, or
    None; `crop` leads from the window back to the picture.
    """

    name: str
    image: np.ndarray
    crop: Crop
    joints_px: np.ndarray
    valid: np.ndarray
    side: Side | None
    joints_mm: np.ndarray | None


def is_labelled(folder: Path) -> bool:
    """Say whether a folder is a dataset with labels."""
    readers = (import_module(f"handpose.data.{name}") for name in READERS)
    return folder.is_dir() and any(reader.recognises(folder) for reader in readers)


def labelled_windows(
    folder: Path, size: int, n: int | None = None, seed: int = 0, split: photos.Split | None = None
) -> tuple[Iterator[LabelledWindow], int]:
    """Cut the labelled hands of a dataset's folder, all of them or `n` drawn by `seed`, in the dataset's order; give their number too.

    `split` takes one side of a photo set's split by person. Raises HandposeError where the folder is of no known kind, and on the way
    where a picture cannot be read.
    """
    samples = photos.read(folder, split) if split else open_dataset(folder)
    chosen = np.arange(len(samples))
    if n is not None and n < len(samples):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(samples))[:n])
    return (cut(samples[int(index)], size) for index in chosen), len(chosen)


def cut(sample: Sample, size: int) -> LabelledWindow:
    """Cut the ideal crop of a labelled hand; a joint without a label is put amid the others."""
    image = sample.image
    camera = sample.camera or Camera.from_fov((image.shape[1], image.shape[0]))
    joints_px = np.where(sample.valid[:, None], sample.joints_px, sample.joints_px[sample.valid].mean(0))
    crop = Crop.from_joints(camera, joints_px, size)
    joints_mm = None if sample.joints_mm is None else sample.joints_mm @ crop.camera_from_crop
    return LabelledWindow(sample.name, crop.warp(image), crop, joints_px, sample.valid, sample.side, joints_mm)


def rendered_windows(n: int, seed: int, size: int) -> Iterator[LabelledWindow]:
    """Render `n` hands with the default sampler, things in the way and sensor noise on.

    The window is the picture itself, as jittered as in training; joints outside of it have no 2D truth.
    """
    from handpose.synthesis.sampler import RenderSampler

    sampler = RenderSampler(seed, size)
    middle = (size - 1) / 2
    focal = 4.0 * size  # any camera that looks straight ahead does: window and picture are one
    crop = Crop(Camera(focal, focal, middle, middle, (size, size)), np.eye(3), focal, size)
    for index in range(n):
        item = sampler.sample(index)
        inside = np.all((item.joints_px > -0.5) & (item.joints_px < size - 0.5), axis=-1)
        yield LabelledWindow(
            f"{RENDER}-{seed}-{index}",
            item.image,
            crop,
            item.joints_px,
            inside,
            "left",
            item.joints_rel * item.scale_mm,
        )
