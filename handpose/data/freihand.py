"""The FreiHAND layout: 224x224 pictures of right hands, joints in metres before a camera per picture.

`training/rgb/%08d.jpg` holds every training sample up to four times (green screen, then three other backgrounds): picture i has
the labels of sample i modulo the number of samples. `evaluation/rgb/` has each picture once; its labels came later and may lack.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.files import read_json, read_silhouette
from handpose.data.photos import Split
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS

SIZE_PX = (224, 224)
_SETS: dict[str, tuple[Split, int]] = {
    "training": ("train", 4),
    "evaluation": ("held_out", 1),
}  # and pictures per sample


@dataclass(frozen=True, eq=False)
class _Part:
    """One of the two sets: intrinsics (N, 3, 3), joints_mm (N, 21, 3) or None, how many pictures there are of the N samples."""

    folder: Path
    intrinsics: np.ndarray
    joints_mm: np.ndarray | None
    pictures: int
    has_masks: bool


class FreiHand:
    """The training pictures, then those for evaluation, as far as they are there; one Sample each by index."""

    def __init__(self, folder: Path, parts: list[_Part]):
        self.name, self.folder, self.parts = "FreiHAND", folder, parts

    def __len__(self) -> int:
        return sum(part.pictures for part in self.parts)

    def __getitem__(self, index: int) -> Sample:
        """Give a picture with its labels; without labels no joint is valid. Raises HandposeError where the labels are broken."""
        number = range(len(self))[index]
        for part in self.parts:
            if number < part.pictures:
                return self._sample(part, number)
            number -= part.pictures
        raise IndexError(index)

    def _sample(self, part: _Part, number: int) -> Sample:
        unique = number % len(part.intrinsics)
        file = part.folder / "rgb" / f"{number:08d}.jpg"
        mask = part.folder / "mask" / f"{unique:08d}.jpg"  # the hand does not move when the background is exchanged
        (fx, _, cx), (_, fy, cy), _ = part.intrinsics[unique].tolist()
        camera = Camera(fx, fy, cx, cy, SIZE_PX)
        joints_px, joints_mm = np.zeros((N_JOINTS, 2)), None
        if part.joints_mm is not None:
            joints_mm = part.joints_mm[unique]
            joints_px = camera.project(joints_mm)
        return Sample(
            name=file.relative_to(self.folder).as_posix(),
            load_image=partial(read_sized, file, SIZE_PX),
            joints_px=joints_px,
            valid=np.full(N_JOINTS, joints_mm is not None),
            joints_mm=joints_mm,
            side="right",
            camera=camera,
            load_mask=partial(read_silhouette, mask) if part.has_masks else None,
        )


def read_vertices(path: Path) -> np.ndarray | None:
    """Read the vertices (N, V, 3) [mm] of the evaluation set's hands; None where `evaluation_verts.json` is not there.

    Raises HandposeError naming the file where it is broken.
    """
    file = Path(path) / "evaluation_verts.json"
    if not file.is_file():
        return None
    vertices = read_arrays(read_json(file), file)
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise HandposeError(f"{file}: expected N x V x 3 numbers, found {vertices.shape}")
    return vertices * 1000.0


def read_arrays(content: Any, path: Path) -> np.ndarray:
    """Turn a list of equal lists into one array of finite numbers. Raises HandposeError naming the file it is of."""
    try:
        values = np.array(content, float)
    except (TypeError, ValueError) as error:
        raise HandposeError(f"{path}: not a list of equal lists of numbers ({error})") from error
    if not np.isfinite(values).all():
        raise HandposeError(f"{path}: not all numbers are finite")
    return values


def recognises(path: Path) -> bool:
    """Say whether a folder is the release, or one of its two sets with its labels beside it."""
    return any(_is_there(Path(path), name) for name in _SETS)


def read(path: Path, split: Split | None = None) -> FreiHand:
    """Read the labels: all, or the training set only ("train"), or the evaluation set only ("held_out").

    Raises HandposeError naming the file where labels are broken, where they and the pictures disagree, or where there are none.
    """
    path = Path(path)
    parts: list[_Part] = []
    broken = Broken()
    for name, (side, times) in _SETS.items():
        if _is_there(path, name) and split in (side, None):
            with broken:
                parts.append(_read_part(path, name, times))
    broken.check()
    if not parts:
        raise HandposeError(f"{path}: no FreiHAND set (training_K.json with training/rgb, or evaluation_K.json) for it")
    return FreiHand(path, parts)


def _is_there(path: Path, name: str) -> bool:
    return (path / f"{name}_K.json").is_file() and (path / name / "rgb").is_dir()


def _read_part(path: Path, name: str, times: int) -> _Part:
    intrinsics = _read_array(path / f"{name}_K.json", (3, 3))
    if (intrinsics[:, (0, 1), (0, 1)] <= 0).any():
        raise HandposeError(f"{path / name}_K.json: a focal length is not positive")
    joints_file, joints_mm = path / f"{name}_xyz.json", None
    if joints_file.is_file() or name == "training":
        joints_mm = _read_array(joints_file, (N_JOINTS, 3)) * 1000.0
        if len(joints_mm) != len(intrinsics):
            raise HandposeError(
                f"{joints_file}: {len(joints_mm)} hands, but {len(intrinsics)} cameras in {name}_K.json"
            )
        if (joints_mm[..., 2] <= 0).any():
            sample = int(np.flatnonzero((joints_mm[..., 2] <= 0).any(-1))[0])
            raise HandposeError(f"{joints_file}: a joint of sample {sample} lies behind the camera")
    pictures = _count(path / name / "rgb", len(intrinsics), times)
    masks = path / name / "mask"
    if masks.is_dir():
        _count(masks, len(intrinsics), 1)
    return _Part(path / name, intrinsics, joints_mm, pictures, masks.is_dir())


def _read_array(path: Path, shape: tuple[int, int]) -> np.ndarray:
    """Read a list of arrays, (N, *shape)."""
    content = read_json(path)
    try:
        values = np.array(content, float)
    except (TypeError, ValueError) as error:
        raise HandposeError(f"{path}: not a list of {shape} numbers ({error})") from error
    if values.shape[1:] != shape or not len(values):
        raise HandposeError(f"{path}: expected N x {shape[0]} x {shape[1]} numbers, found {values.shape}")
    if not np.isfinite(values).all():
        sample = int(np.flatnonzero(~np.isfinite(values).all((1, 2)))[0])
        raise HandposeError(f"{path}: not all numbers of sample {sample} are finite")
    return values


def _count(folder: Path, samples: int, times: int) -> int:
    """Count the pictures of a folder: so many times the samples, numbered from 0 without a gap."""
    files = {name for name in os.listdir(folder) if name.endswith(".jpg")}
    rounds = max(1, -(-len(files) // samples))
    if rounds > times:
        raise HandposeError(
            f"{folder}: {len(files)} pictures, but labels of {samples} samples; expected {times} for each"
        )
    broken = Broken()
    for number in range(rounds * samples):
        with broken:
            if f"{number:08d}.jpg" not in files:
                raise HandposeError(f"{folder / f'{number:08d}.jpg'}: missing, though there are labels for it")
    broken.check()
    return rounds * samples
