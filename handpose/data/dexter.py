"""Dexter+Object and EgoDexter: 640x480 pictures of left hands with the five fingertips labelled, in the frame of a depth camera.

`data/Grasp1/annotations/Grasp13D.txt` (Sridhar et al. 2016) and `data/Desk/annotation.txt_3D.txt` (Mueller et al. 2017): a line per
picture, `x, y, z;` [mm] per tip from the thumb to the little finger. Corrected labels are read where the user has put them beside, under
the names by which they are published: `my_Grasp13D.txt`, `my_annotation.txt_3D.txt`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS, TIPS

SIZE_PX = (640, 480)
MISSING_DEPTH = 32001
_N_TIPS = len(TIPS)
_CORRECTED = "my_"


@dataclass(frozen=True, eq=False)
class _Set:
    """What tells one of the two sets from the other.

    labels: a sequence's label file, from its folder. read_tips: a label file, raw or corrected, to tips (N, 5, 3) in the depth camera's
    frame [mm], NaN where there is none. colour_from_depth (3, 4) [mm]: the depth camera's frame to that of `camera`.
    """

    name: str
    labels: str
    read_tips: Callable[[Path], np.ndarray]
    camera: Camera
    colour_from_depth: np.ndarray
    numbered: bool  # whether row i belongs to picture number i; otherwise to the i-th picture


@dataclass(frozen=True, eq=False)
class _Frame:
    picture: Path
    name: str
    tips_mm: np.ndarray


class Fingertips:
    """The pictures that have at least one labelled tip; one Sample each by index.

    Joints without a label are not valid, and NaN in joints_px and joints_mm.
    """

    def __init__(self, name: str, camera: Camera, frames: list[_Frame]):
        self.name, self.camera, self._frames = name, camera, frames

    def __len__(self) -> int:
        return len(self._frames)

    def __getitem__(self, index: int) -> Sample:
        frame = self._frames[index]
        joints_mm = np.full((N_JOINTS, 3), np.nan)
        joints_mm[TIPS] = frame.tips_mm
        return Sample(
            name=frame.name,
            load_image=partial(read_sized, frame.picture, SIZE_PX),
            joints_px=self.camera.project(joints_mm),
            valid=np.isfinite(joints_mm).all(-1),
            joints_mm=joints_mm,
            side="left",
            camera=self.camera,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder is the release of one of the two sets, or its `data` folder."""
    return any(_sequences(Path(path), kind) for kind in _SETS)


def read(path: Path, corrected: bool | None = None) -> Fingertips:
    """Read the labels of all sequences that are there.

    corrected: True reads the user's corrected labels, False the raw ones; without it, the corrected ones where there are any. The
    dataset's name tells which. Raises HandposeError naming the file where labels are broken, or where they and the pictures disagree.
    """
    path = Path(path)
    for kind in _SETS:
        sequences = _sequences(path, kind)
        if sequences:
            break
    else:
        raise HandposeError(f"{path}: neither Dexter+Object nor EgoDexter (data/*/ with 3D labels) is in it")
    own = [(folder, labels.with_name(_CORRECTED + labels.name)) for folder, labels in sequences]
    if corrected is None:
        corrected = any(labels.is_file() for _, labels in own)
    frames: list[_Frame] = []
    broken = Broken()
    for folder, labels in own if corrected else sequences:
        with broken:
            frames += _read_sequence(kind, folder, labels)
    broken.check()
    if not frames:
        raise HandposeError(f"{path}: no fingertip is labelled in it")
    return Fingertips(f"{kind.name}-corrected" if corrected else kind.name, kind.camera, frames)


def _sequences(path: Path, kind: _Set) -> list[tuple[Path, Path]]:
    """Give the folder of each sequence with its raw label file. Raises HandposeError naming one that is missing beside others."""
    found: list[tuple[Path, Path]] = []
    for root in (path / "data", path):
        folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir()) if root.is_dir() else []
        labels = [(root / name, root / name / kind.labels.format(sequence=name)) for name in folders]
        labelled = [(folder, file) for folder, file in labels if file.is_file()]
        bare = [file for folder, file in labels if not file.is_file() and (folder / "color").is_dir()]
        if labelled and bare:
            raise HandposeError(f"{bare[0]}: missing, though its sequence has pictures")
        found += labelled
    return found


def _read_sequence(kind: _Set, folder: Path, labels: Path) -> list[_Frame]:
    tips_mm = kind.read_tips(labels) @ kind.colour_from_depth[:, :3].T + kind.colour_from_depth[:, 3]
    pictures = _pictures(folder / "color", kind.numbered)
    if not kind.numbered and len(pictures) != len(tips_mm):
        raise HandposeError(f"{labels}: {len(tips_mm)} lines, but {len(pictures)} pictures in {folder / 'color'}")
    frames, broken = [], Broken()
    for row in np.flatnonzero(np.isfinite(tips_mm).all(-1).any(-1)).tolist():
        with broken:
            if row not in pictures:
                raise HandposeError(
                    f"{folder / 'color'}: no picture number {row}, but labels in line {row + 1} of {labels}"
                )
            frames.append(_Frame(pictures[row], f"{folder.name}/{pictures[row].name}", tips_mm[row]))
    broken.check()
    return frames


def _pictures(folder: Path, numbered: bool) -> dict[int, Path]:
    """Find the pictures of a sequence by the row of labels that belongs to each."""
    files = folder.iterdir() if folder.is_dir() else ()
    ordered = sorted((_numbers(file), file) for file in files if file.suffix in (".png", ".jpg"))
    if numbered:
        return {numbers[-1]: file for numbers, file in ordered if numbers}
    return dict(enumerate(file for _, file in ordered))


def _numbers(picture: Path) -> list[int]:
    """The numbers in a file's name, which order the pictures also where they are not padded with zeros."""
    return [int(digits) for digits in re.findall(r"\d+", picture.stem)]


def _read_table(path: Path, columns: int) -> np.ndarray:
    """Read the first five fields of each line, (N, 5, columns); NaN where a number is left out."""
    try:
        lines = path.read_text(encoding="utf-8").rstrip().splitlines()
    except (OSError, ValueError) as error:
        raise HandposeError(f"{path}: not readable as text ({getattr(error, 'strerror', None) or error})") from error
    rows = []
    for number, line in enumerate(lines, 1):
        fields = line.split(";")[:_N_TIPS]  # further fields of Dexter+Object are corners of the object
        try:
            row = [[float(word) if word.strip() else np.nan for word in field.split(",")] for field in fields]
        except ValueError as error:
            raise HandposeError(f"{path}: line {number}: not numbers ({error})") from error
        row = [[np.nan] * columns if len(tip) == 1 and np.isnan(tip[0]) else tip for tip in row]
        if len(row) != _N_TIPS or any(len(tip) != columns for tip in row):
            raise HandposeError(f"{path}: line {number}: expected five tips of {columns} numbers, each ended by ;")
        rows.append(row)
    return np.array(rows, float).reshape(-1, _N_TIPS, columns)


def _known(tips_mm: np.ndarray) -> np.ndarray:
    """Put NaN where a tip (N, 5, 3) is marked as missing: by the sensor's invalid depth, by zeros, or left out."""
    depth = tips_mm[..., 2]
    there = np.isfinite(tips_mm).all(-1) & (depth > 0) & (depth < MISSING_DEPTH)
    return np.where(there[..., None], tips_mm, np.nan)


def _dexter_object_tips(path: Path) -> np.ndarray:
    # The labels' x points left and y up: with the release's calibration they meet the pictures only when both are turned round.
    return _known(_read_table(path, 3)) * (-1, -1, 1)


def _ego_dexter_tips(path: Path) -> np.ndarray:
    tips_mm = _known(_read_table(path, 3))
    if path.name.startswith(_CORRECTED):
        return tips_mm
    pixels_file = path.with_name("annotation.txt")
    pixels = _read_table(pixels_file, 2)
    if len(pixels) != len(tips_mm):
        raise HandposeError(f"{pixels_file}: {len(pixels)} lines, but {len(tips_mm)} in {path.name}")
    seen = (pixels >= 0).all(-1, keepdims=True)  # -1: not seen, whatever the 3D file says
    return np.where(seen, tips_mm, np.nan)


_DEXTER_OBJECT = _Set(
    name="Dexter+Object",
    labels="annotations/{sequence}3D.txt",
    read_tips=_dexter_object_tips,
    camera=Camera(587.45209, 600.67456, 325.0, 249.0, SIZE_PX),
    colour_from_depth=np.array(
        [[0.9999, 0.0034, 0.0161, 19.0473], [-0.0033, 1.0, -0.0079, -1.8514], [-0.0162, 0.0079, 0.9998, -4.7501]]
    ),
    numbered=False,
)
_EGO_DEXTER = _Set(
    name="EgoDexter",
    labels="annotation.txt_3D.txt",
    read_tips=_ego_dexter_tips,
    camera=Camera(617.173, 617.173, 315.453, 242.259, SIZE_PX),
    colour_from_depth=np.array(
        [
            [1.0, 0.00090442, -0.0074, 20.2365],
            [-0.00071933, 0.9997, 0.0248, 1.2846],
            [0.0075, -0.0248, 0.9997, 5.736],
        ]
    ),
    numbered=True,
)
_SETS = (_DEXTER_OBJECT, _EGO_DEXTER)
