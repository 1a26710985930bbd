"""Labelled hands as the network sees them: each in its ideal crop, with the truth beside it. Any dataset with a reader will do."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from handpose import data
from handpose.camera import Camera
from handpose.crop import MARGIN, Crop
from handpose.data import Dataset
from handpose.data.files import named
from handpose.data.options import name_of, read_arguments, splits_of
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.skeleton import BASES, WRIST, Side, Skeleton
from handpose.synthesis import LIBHAND, RENDER

GANERATE = "ganerate"
MADE = (RENDER, LIBHAND, GANERATE)  # the sources that are no folders; the last one's hands are translated

_SHARDS = ("regnet.shards",)  # read as datasets are
_EXACT_UNSEEN = (
    "rhd",
)  # readers whose joints that are not valid are merely unseen, and labelled as exactly as the others
_ENOUGH = 6  # joints that tell where a hand is; five fingertips do not
_HAND_MM = 250.0  # what surely holds a hand around some of its joints


@dataclass(frozen=True, eq=False)
class LabelledWindow:
    """A hand in its labelled crop.

    image (S, S, 3) uint8; joints_px (21, 2) in the picture; valid (21,) bool; joints_mm (21, 3) in the axes of the crop's camera, NaN
    where unknown, or None; `crop` leads from the window back to the picture. `picture` is kept where the labels do not tell how to
    aim well: such a hand is aimed at anew once it has been seen. `sides_shown` are those of all hands in the picture, where that is told.
    """

    name: str
    image: np.ndarray
    crop: Crop
    joints_px: np.ndarray
    valid: np.ndarray
    side: Side | None
    joints_mm: np.ndarray | None
    picture: np.ndarray | None = None
    sides_shown: tuple[Side, ...] | None = None

    def aimed_at(self, seen_px: np.ndarray) -> LabelledWindow:
        """Cut a hand whose labels do not tell its place where its joints (21, 2) [window px] are seen; others stay as they are.

        So do those seen so far apart or so near together that no hand is: what is not there may be seen anywhere.
        """
        if self.picture is None:
            return self
        crop = Crop.from_joints(self.crop.source, self.crop.to_image(seen_px), self.crop.size)
        if not 1 / _ZOOM < crop.focal_px / self.crop.focal_px < _ZOOM:
            return self
        turn = self.crop.camera_from_crop.T @ crop.camera_from_crop
        joints_mm = None if self.joints_mm is None else self.joints_mm @ turn
        return replace(self, image=crop.warp(self.picture), crop=crop, joints_mm=joints_mm)


@dataclass(frozen=True, eq=False)
class Opened:
    """A dataset, and the name of the reader that knows it."""

    reader: str
    samples: Dataset


_ZOOM = 4.0  # the most by which an aim at what is seen changes the scale that labels tell

find_reader = partial(data.find_reader, further=_SHARDS)
reader_of = partial(data.reader_of, further=_SHARDS)


def is_labelled(folder: Path) -> bool:
    """Say whether a folder is a dataset with labels."""
    return find_reader(folder) is not None


def open_split(folder: Path, split: str | None = None, read: Sequence[str] = ()) -> Opened:
    """Read a dataset, whole or one side of its split, by those of the options of --read (`handpose.data.options`) that it has.

    A dataset without a split is all there to train on. Raises HandposeError where no reader knows the folder, where its labels are
    broken, or where that side of it is not there.
    """
    folder = named(Path(folder))
    reader = reader_of(folder)
    name, splits, arguments = name_of(reader), splits_of(reader), read_arguments(reader, read)
    if split in splits:
        return Opened(name, reader.read(folder, split=split, **arguments))
    if splits and split:
        raise HandposeError(f"{folder}: {name} has no split {split}; it has {', '.join(splits)}")
    if split not in (None, "train"):
        raise HandposeError(f"{folder}: {name} has no split, so nothing in it is held out")
    return Opened(name, reader.read(folder, **arguments))


def labelled_windows(
    folder: Path, size: int, n: int | None = None, seed: int = 0, split: str | None = None, read: Sequence[str] = ()
) -> tuple[Iterator[LabelledWindow], int]:
    """Cut the labelled hands of a dataset's folder, all of them or `n` drawn by `seed`, in the dataset's order; give their number too.

    Samples without any labelled joint are passed over, and counted on stderr at the end. Raises HandposeError as `open_split` does, and
    on the way where a picture cannot be read.
    """
    return cut_windows(open_split(folder, split, read), size, n, seed)


def cut_windows(opened: Opened, size: int, n: int | None = None, seed: int = 0) -> tuple[Iterator[LabelledWindow], int]:
    """Cut the labelled hands of a dataset that has been read, as `labelled_windows` does."""
    if opened.reader == "shards":
        raise HandposeError(f"{opened.samples.name}: shards are cut to train on; give the dataset they were made of")
    chosen = np.arange(len(opened.samples))
    if n is not None and n < len(chosen):
        chosen = np.sort(np.random.default_rng(seed).permutation(len(chosen))[:n])
    return _cut_all(opened, chosen, size), len(chosen)


def _cut_all(opened: Opened, chosen: np.ndarray, size: int) -> Iterator[LabelledWindow]:
    passed_over = 0
    for index in chosen.tolist():
        sample = opened.samples[index]
        if sample.valid.any():
            yield cut(sample, size, opened.reader)
        else:
            passed_over += 1
    if passed_over:
        print(f"{passed_over} of {len(chosen)} samples have no labelled joint and are passed over", file=sys.stderr)


def cut(sample: Sample, size: int, reader: str = "") -> LabelledWindow:
    """Cut the ideal crop of a labelled hand; a joint without a label is put amid the others."""
    image = sample.image
    joints_px, crop = aim(sample, (image.shape[1], image.shape[0]), size, reader=reader)
    joints_mm = known_mm(sample, reader)
    return LabelledWindow(
        sample.name,
        crop.warp(image),
        crop,
        joints_px,
        sample.valid,
        sample.side,
        None if joints_mm is None else joints_mm @ crop.camera_from_crop,
        image if _whole_hand(sample, reader) is None else None,
        sample.sides_shown,
    )


def aim(
    sample: Sample, size_px: tuple[int, int], size: int, margin: float = MARGIN, reader: str = ""
) -> tuple[np.ndarray, Crop]:
    """Aim at a hand in a picture of `size_px` (width, height): its joints (21, 2) [px], those without a label amid the others, and the crop.

    Where the labels do not tell which way the hand points the crop is upright and as wide as a hand may be at their depth, or at a guess.
    """
    camera = sample.camera or Camera.from_fov(size_px)
    labelled = sample.joints_px[sample.valid]
    joints_px = np.where(sample.valid[:, None], sample.joints_px, labelled.mean(0))
    whole_px = _whole_hand(sample, reader)
    if whole_px is not None:
        return joints_px, Crop.from_joints(camera, whole_px, size, margin)
    side_px = max(2.0 * float(np.ptp(labelled, axis=0).max()), min(size_px) / 8)
    if sample.joints_mm is not None:
        side_px = _HAND_MM * camera.fx / float(np.median(sample.joints_mm[sample.valid, 2]))
    centre_px = (labelled.min(0) + labelled.max(0)) / 2
    return joints_px, Crop.from_box(camera, centre_px, margin * side_px, size=size)


def _whole_hand(sample: Sample, reader: str) -> np.ndarray | None:
    """Give joints (21, 2) [px] to aim at, or None where too few are known to tell where the hand is and which way it points.

    A joint whose place is not known is put amid the others, but for W, which is put where the palm has it: amid them the hand would
    often stand on its head.
    """
    known = sample.valid | ((reader in _EXACT_UNSEEN) & np.isfinite(sample.joints_px).all(-1))
    if known.sum() < _ENOUGH:
        return None
    joints_px = np.where(known[:, None], sample.joints_px, sample.joints_px[known].mean(0))
    if not known[WRIST]:
        palm = BASES[known[BASES]]
        if not known[BASES[0]] or len(palm) < 3:  # the knuckles alone lie nearly on a line
            return None
        joints_px[WRIST] = _wrist_shares(palm) @ joints_px[palm]
    return joints_px


def _wrist_shares(palm: np.ndarray) -> np.ndarray:
    """Give the shares (K,) of fingers' bases whose sum is W in the flat palm, and so in each picture of it but for perspective."""
    flat = Skeleton.default("left").rest_joints_mm[palm, :2]
    return np.linalg.lstsq(np.column_stack([flat, np.ones(len(palm))]).T, np.array([0.0, 0.0, 1.0]), rcond=None)[0]


def known_mm(sample: Sample, reader: str) -> np.ndarray | None:
    """Give a sample's joints (21, 3) [mm], NaN where they are not labelled, or None where it has no 3D at all."""
    if sample.joints_mm is None:
        return None
    known = np.isfinite(sample.joints_mm).all(-1) & (sample.valid | (reader in _EXACT_UNSEEN))
    return np.where(known[:, None], sample.joints_mm, np.nan)


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
