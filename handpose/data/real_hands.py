"""The RealHands layout: hands of seven people before a green screen with rough silhouettes, and no joints at all.

`user01../color/image_<n>_color.png` (or .jpg) and `mask/` or `masks/` with `image_<n>.jpg` (or .png), the raw material of
Mueller et al. 2018. Masks are given as released: speckled, with gaps, lossy; whoever trains on them cleans them first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from handpose.data.broken import Broken
from handpose.data.files import read_silhouette
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.skeleton import N_JOINTS

_ROOTS = ("", "RealHands")
_MASK_FOLDERS = ("mask", "masks")
_COLOUR = re.compile(r"image_(\d+)_color\.(?:png|jpe?g)")
_RELEASED = re.compile(r"image_(\d+)\.(?:png|jpe?g)")
_CLEANED = re.compile(
    r"image_(\d+)_mask\.(?:png|jpe?g)"
)  # others' cleaned masks lie beside the released ones and win over them


@dataclass(frozen=True)
class Frame:
    """A picture and its mask, or None where the recording has none for it."""

    colour: Path
    mask: Path | None


class RealHands:
    """All frames of all recordings, each in the order of its numbers; Samples without joints, all `valid` flags off."""

    def __init__(self, folder: Path, frames: list[Frame]):
        self.name, self.folder, self.frames = "RealHands", folder, frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self.frames[index]
        return Sample(
            name=frame.colour.relative_to(self.folder).as_posix(),
            load_image=partial(read_image, frame.colour),
            joints_px=np.zeros((N_JOINTS, 2)),
            valid=np.zeros(N_JOINTS, bool),
            load_mask=partial(_read_mask, frame.mask, frame.colour) if frame.mask else None,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder holds recordings of this layout, or is one."""
    return any(not _lacks(user) for user in _users(Path(path)))


def read(path: Path) -> RealHands:
    """Find all frames. Raises HandposeError where there are none, or naming the picture of a mask, or the folder of a recording, that is missing."""
    path = Path(path)
    frames: list[Frame] = []
    broken = Broken()
    for recording in _users(path):
        with broken:
            frames += _frames(recording)
    broken.check()
    if not frames:
        raise HandposeError(f"{path}: no RealHands frames (user01/color/image_1_color.png) in it")
    return RealHands(path, frames)


def _users(path: Path) -> list[Path]:
    """List the folders of recordings, those that lack one of their two folders too."""
    found = [folder for root in _ROOTS for folder in sorted((path / root).glob("user*"))]
    if path.name.startswith("user"):
        found.append(path)
    return [folder for folder in found if (folder / "color").is_dir() or _mask_folder(folder)]


def _lacks(recording: Path) -> str:
    """Name the one of its two folders that a recording lacks, or nothing."""
    if not (recording / "color").is_dir():
        return "color"
    return "" if _mask_folder(recording) else " or ".join(_MASK_FOLDERS)


def _mask_folder(recording: Path) -> Path | None:
    return next((recording / name for name in _MASK_FOLDERS if (recording / name).is_dir()), None)


def _frames(recording: Path) -> list[Frame]:
    folder = _mask_folder(recording)
    if folder is None or _lacks(recording):
        raise HandposeError(f"{recording}: its folder {_lacks(recording)} is missing")
    colours = _numbered(recording / "color", _COLOUR)
    masks = _numbered(folder, _RELEASED) | _numbered(folder, _CLEANED)
    broken = Broken()
    for number in sorted(masks.keys() - colours.keys()):
        with broken:
            raise HandposeError(f"{masks[number]}: its picture color/image_{number}_color.png (or .jpg) is missing")
    broken.check()
    return [Frame(colours[number], masks.get(number)) for number in sorted(colours)]


def _numbered(folder: Path, pattern: re.Pattern[str]) -> dict[int, Path]:
    """Find files by the number in their name: without leading zeros names do not sort. A .png wins over its lossy twin."""
    matches = ((pattern.fullmatch(file.name), file) for file in sorted(folder.iterdir()))
    return {int(match[1]): file for match, file in matches if match}


def _read_mask(path: Path, colour: Path) -> np.ndarray:
    mask = read_silhouette(path)
    try:
        with Image.open(colour) as picture:  # the header tells the size without decoding the picture
            width, height = picture.size
    except OSError as error:
        raise HandposeError(f"{colour}: not a readable picture ({error})") from error
    if mask.shape != (height, width):
        raise HandposeError(f"{path}: {mask.shape[1]}x{mask.shape[0]} pixels, but its picture has {width}x{height}")
    return mask
