"""The GANerated Hands layout, read and written: 256x256 crops of left hands with joints in 2D and 3D.

`data/{noObject,withObject}/0001../0001_color_composed.png` with four label files each (Mueller et al. 2018, its dataset's README).
A frame is cut out of a 640x480 picture: crop pixel = (picture pixel - corner) * scale. Our own frames add an 8-bit `_mask.png`, and
may be smaller or larger; those of one folder are alike.
"""

from __future__ import annotations

import os
from functools import partial
from pathlib import Path

import numpy as np
from PIL import Image

from handpose.atomic import atomic_write
from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.files import beside, read_numbers, write_png
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.data.synth_hands import COLOUR_CAMERA
from handpose.errors import HandposeError
from handpose.skeleton import M0, N_JOINTS, WRIST

SIZE = 256  # of the release [px]
SIZES = (128, SIZE, 512)
PER_PARTITION = 1024

_COLOUR, _MASK = "_color_composed.png", "_mask.png"
_RELATIVE, _PIXELS, _GLOBAL, _CROP = "_joint_pos.txt", "_joint2D.txt", "_joint_pos_global.txt", "_crop_params.txt"
_REQUIRED = (_COLOUR, _RELATIVE, _PIXELS, _GLOBAL, _CROP)
_KINDS = ("noObject", "withObject")
_ROOTS = ("", "data", "GANeratedHands_Release/data")
# 2D and 3D labels further apart than this mean a wrong crop; rounding of the crop's corner stays well below.
_APART_PX = 8.0


class GaneratedHands:
    """All frames below a folder, in the order of their paths; one Sample each by index, in the frame of the 640x480 camera."""

    def __init__(self, folder: Path, frames: list[str]):
        self.name, self.folder, self.frames = "GANerated", folder, frames
        self.size = _size_of(beside(folder / frames[0], _COLOUR))

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read the labels of a frame. Raises HandposeError naming the file where they are broken."""
        frame = self.folder / self.frames[index]
        joints_mm = read_numbers(beside(frame, _GLOBAL), N_JOINTS, 3)
        if (joints_mm[:, 2] <= 0).any():
            raise HandposeError(f"{beside(frame, _GLOBAL)}: a joint lies behind the camera")
        left, top, scale = read_numbers(beside(frame, _CROP), 1, 3)[0].tolist()
        if scale <= 0:
            raise HandposeError(f"{beside(frame, _CROP)}: the scale is {scale:g}, expected a positive number")
        camera = crop_camera((left, top), scale, self.size)
        joints_px = read_numbers(beside(frame, _PIXELS), N_JOINTS, 2)
        apart = np.linalg.norm(camera.project(joints_mm) - joints_px, axis=-1).max()
        if apart > _APART_PX:
            raise HandposeError(f"{beside(frame, _PIXELS)}: {apart:.0f} px off the projected 3D joints of its frame")
        mask = beside(frame, _MASK)
        return Sample(
            name=self.frames[index],
            load_image=partial(read_sized, beside(frame, _COLOUR), camera.size_px),
            joints_px=joints_px,
            joints_mm=joints_mm,
            side="left",
            camera=camera,
            load_mask=partial(_read_mask, mask, camera.size_px) if mask.is_file() else None,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder is the release, a part of it, or written in its layout."""
    return bool(_kind_folders(Path(path)))


def read(path: Path) -> GaneratedHands:
    """Find all frames of the release, of its `data` folder or of one kind. Raises HandposeError where a frame lacks a file.

    Counts are taken from the tree: published ones disagree with each other, and some partitions are short.
    """
    path = Path(path)
    frames, broken = [], Broken()
    for kind in _kind_folders(path):
        for partition in sorted(folder for folder in kind.iterdir() if folder.is_dir()):
            prefix = partition.relative_to(path).as_posix()
            with broken:
                frames += [f"{prefix}/{stem}" for stem in _stems(partition)]
    broken.check()
    if not frames:
        raise HandposeError(f"{path}: no GANerated frames (noObject/0001/0001{_COLOUR}) in it")
    return GaneratedHands(path, frames)


def crop_camera(corner_px: tuple[float, float], scale: float, size: int = SIZE) -> Camera:
    """Give the camera of a crop of `size` px: the 640x480 colour camera, moved to the crop's corner (u, v) [px] and scaled."""
    full = COLOUR_CAMERA
    centre = (full.cx - corner_px[0]) * scale, (full.cy - corner_px[1]) * scale
    return Camera(full.fx * scale, full.fy * scale, *centre, (size, size))


def frame_path(root: Path, index: int, with_object: bool = False) -> Path:
    """Give where frame `index` of a kind lies, without its suffix: partitions and frames count from 1."""
    partition, number = divmod(index, PER_PARTITION)
    return root / "data" / _KINDS[with_object] / f"{partition + 1:04d}" / f"{number + 1:04d}"


def is_written(frame: Path) -> bool:
    """Say whether `write` has finished with a frame: its global joints come last."""
    return beside(frame, _GLOBAL).is_file()


def write(
    frame: Path,
    colour: np.ndarray,
    mask: np.ndarray,
    joints_mm: np.ndarray,
    corner_px: tuple[float, float],
    scale: float,
) -> None:
    """Write one frame: colour (S, S, 3) RGB and mask (S, S) uint8 of the crop, joints_mm (21, 3) before the 640x480 camera.

    S is one of SIZES, that of the release is 256. corner_px (u, v) [px] and scale say how the crop was cut. Raises HandposeError for
    other pictures, or where the disk does not take it.
    """
    size = mask.shape[0]
    if size not in SIZES or mask.shape != (size, size) or colour.shape != (size, size, 3):
        raise HandposeError(
            f"{frame}: expected square pictures of {', '.join(map(str, SIZES))} px, found {colour.shape} and {mask.shape}"
        )
    relative = (joints_mm - joints_mm[M0]) / np.linalg.norm(joints_mm[WRIST] - joints_mm[M0])
    try:
        frame.parent.mkdir(parents=True, exist_ok=True)
        write_png(beside(frame, _COLOUR), colour)
        write_png(beside(frame, _MASK), mask)
        _write_numbers(beside(frame, _RELATIVE), relative)
        _write_numbers(beside(frame, _PIXELS), crop_camera(corner_px, scale, size).project(joints_mm))
        _write_numbers(beside(frame, _CROP), np.array([*corner_px, scale]))
        _write_numbers(beside(frame, _GLOBAL), joints_mm)
    except OSError as error:
        raise HandposeError(f"{frame}: cannot be written ({error.strerror or error})") from error


def _kind_folders(path: Path) -> list[Path]:
    if path.name in _KINDS and path.is_dir():
        return [path]
    for root in _ROOTS:
        found = [path / root / kind for kind in _KINDS if (path / root / kind).is_dir()]
        if found:
            return found
    return []


def _stems(partition: Path) -> list[str]:
    """Name the frames of a partition, all of whose files are there."""
    found: dict[str, set[str]] = {ending: set() for ending in _REQUIRED}
    for name in os.listdir(partition):
        stem, _, rest = name.partition("_")
        if f"_{rest}" in found:
            found[f"_{rest}"].add(stem)
    stems = sorted(set.union(*found.values()))
    broken = Broken()
    for ending, present in found.items():
        for stem in stems:
            with broken:
                if stem not in present:
                    raise HandposeError(f"{partition / stem}{ending}: missing, but other files of its frame are there")
    broken.check()
    return stems


def _write_numbers(path: Path, values: np.ndarray) -> None:
    atomic_write(path, (",".join(f"{value:.9g}" for value in values.ravel()) + "\n").encode())


def _read_mask(path: Path, size_px: tuple[int, int]) -> np.ndarray:
    return read_sized(path, size_px)[..., 0]


def _size_of(path: Path) -> int:
    """Tell the size of a folder's pictures from one of them, without decoding it; a picture that is none of SIZES is told when it is read."""
    try:
        with Image.open(path) as picture:
            return picture.width if picture.width == picture.height and picture.width in SIZES else SIZE
    except OSError:
        return SIZE
