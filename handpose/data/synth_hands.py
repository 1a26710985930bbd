"""The SynthHands layout, read and written: 640x480 left hands on green, with depth and joints in the depth camera's frame.

The raw release nests `{female,male}_{noobject,object}/seq01..07/cam01..05/01..03/`; our own renders `seq01.../cam01..05/01..03/` and
add an 8-bit alpha `_mask.png`. Mueller et al. 2017 (SynthHands); intrinsics and offset are those of its calibration file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path

import numpy as np

from handpose.atomic import atomic_write
from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.files import beside, files_below, read_numbers, write_png
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS

SIZE_PX = (640, 480)
COLOUR_CAMERA = Camera(617.173, 617.173, 315.453, 242.259, SIZE_PX)
DEPTH_CAMERA = Camera(475.62, 475.62, 311.125, 245.965, SIZE_PX)
COLOUR_FROM_DEPTH_MM = np.array([24.7, -0.0471401, 3.72045])
CHROMA = (14, 255, 14)
INVALID_DEPTH = 32001

_JOINTS, _COLOUR, _ON_DEPTH, _DEPTH, _MASK = (
    "_joint_pos.txt", "_color.png", "_color_on_depth.png", "_depth.png", "_mask.png",
)  # fmt: skip
_WITH_OBJECT = {"female_object", "male_object"}  # folders of the release
_FRAMES_PER_FOLDER, _PARTS, _CAMS = 480, 3, 5  # the release's folders hold fewer than 500 frames


class SynthHands:
    """All frames below a folder, in the order of their paths; one Sample each by index, in the colour camera's frame.

    The mask of a frame of the release's object folders covers what the hand holds, too: the green tells no more.
    """

    def __init__(self, folder: Path, frames: list[Path]):
        self.name, self.folder, self.frames = "SynthHands", folder, frames

    def __len__(self) -> int:
        return len(self.frames)

    def __getitem__(self, index: int) -> Sample:
        """Read the labels of a frame. Raises HandposeError naming the file where they are broken."""
        frame = self.frames[index]
        joints_mm = read_joints(beside(frame, _JOINTS)) + COLOUR_FROM_DEPTH_MM
        mask, load_image = beside(frame, _MASK), cache(partial(read_sized, beside(frame, _COLOUR), SIZE_PX))
        load_mask = partial(_read_mask, mask) if mask.is_file() else partial(_mask_from_chroma, load_image)
        return Sample(
            name=frame.relative_to(self.folder).as_posix(),
            load_image=load_image,
            joints_px=COLOUR_CAMERA.project(joints_mm),
            joints_mm=joints_mm,
            side="left",
            camera=COLOUR_CAMERA,
            load_mask=load_mask,
        )

    def without_objects(self) -> SynthHands:
        """Leave out the frames whose masks are more than the hand. Raises HandposeError where none is left."""
        root = self.folder.resolve()
        bare = [f for f in self.frames if _WITH_OBJECT.isdisjoint((root / f.relative_to(self.folder)).parts)]
        if not bare:
            raise HandposeError(f"{self.folder}: only hands with objects; give the release, or its noobject folders")
        return SynthHands(self.folder, bare)


def recognises(path: Path) -> bool:
    """Say whether a folder holds frames of this layout: the first joints found have pictures beside them."""
    joints = next(files_below(Path(path), _JOINTS), None)
    return joints is not None and any(joints.parent.glob(f"*{_COLOUR}"))


def read(path: Path) -> SynthHands:
    """Find all frames below a folder. Raises HandposeError where there are none, or where a frame lacks its colour or its joints."""
    path = Path(path)
    colours = {_frame(file, _COLOUR) for file in files_below(path, _COLOUR)}
    labels = {_frame(file, _JOINTS) for file in files_below(path, _JOINTS)}
    if not colours | labels:
        raise HandposeError(f"{path}: no SynthHands frames (*{_COLOUR} with *{_JOINTS}) in it")
    broken = Broken()
    for frame in sorted(colours ^ labels):
        absent, there = (_JOINTS, "a picture") if frame in colours else (_COLOUR, "joints")
        with broken:
            raise HandposeError(f"{beside(frame, absent)}: missing, though its frame has {there}")
    broken.check()
    return SynthHands(path, sorted(colours))


def read_joints(path: Path) -> np.ndarray:
    """Read joints (21, 3) in the depth camera's frame [mm]. Raises HandposeError naming the file where they are broken."""
    joints = read_numbers(path, N_JOINTS, 3)
    if (joints[:, 2] + COLOUR_FROM_DEPTH_MM[2] <= 0).any():
        raise HandposeError(f"{path}: a joint lies behind the camera")
    return joints


def frame_path(root: Path, index: int) -> Path:
    """Give where frame `index` of our own renders lies, without its suffix."""
    folder, number = divmod(index, _FRAMES_PER_FOLDER)
    sequence, camera, part = folder // (_PARTS * _CAMS), folder // _PARTS % _CAMS, folder % _PARTS
    return root / f"seq{sequence + 1:02d}" / f"cam{camera + 1:02d}" / f"{part + 1:02d}" / f"{number:08d}"


def is_written(frame: Path) -> bool:
    """Say whether `write` has finished with a frame: its joints come last."""
    return beside(frame, _JOINTS).is_file()


def write(
    frame: Path,
    colour: np.ndarray,
    alpha: np.ndarray,
    on_depth: np.ndarray,
    depth_mm: np.ndarray,
    joints_mm: np.ndarray,
) -> None:
    """Write one frame: colour and on_depth (480, 640, 3) on chroma green, alpha (480, 640) uint8, depth_mm (480, 640), 0 where empty.

    joints_mm (21, 3) are in the depth camera's frame. Raises HandposeError where the disk does not take it.
    """
    depth = np.where(depth_mm > 0, np.clip(np.round(depth_mm), 1, INVALID_DEPTH - 1), INVALID_DEPTH).astype(np.uint16)
    try:
        frame.parent.mkdir(parents=True, exist_ok=True)
        write_png(beside(frame, _COLOUR), colour)
        write_png(beside(frame, _ON_DEPTH), on_depth)
        write_png(beside(frame, _DEPTH), depth)
        write_png(beside(frame, _MASK), alpha)
        joints = ", ".join(f"{value:.4f}" for value in joints_mm.ravel()) + "\n"
        atomic_write(beside(frame, _JOINTS), joints.encode())
    except OSError as error:
        raise HandposeError(f"{frame}: cannot be written ({error.strerror or error})") from error


def _frame(file: Path, ending: str) -> Path:
    return file.with_name(file.name.removesuffix(ending))


def _read_mask(path: Path) -> np.ndarray:
    return read_sized(path, SIZE_PX)[..., 0]


def _mask_from_chroma(load_image: Callable[[], np.ndarray]) -> np.ndarray:
    return np.where((load_image() == CHROMA).all(-1), 0, 255).astype(np.uint8)
