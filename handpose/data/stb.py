"""The STB layout (Stereo Hand Pose Tracking Benchmark, Zhang et al. 2017): 12 sequences of one left hand before three cameras.

`labels/B1Counting_BB.mat` belongs to the stereo pair `BB_left_*.png`, `BB_right_*.png` and lies in the left camera's frame;
`labels/B1Counting_SK.mat` lies in the frame of the RealSense's *depth* camera, its pictures are `SK_color_*.png`. Calibration and order of
the joints are those of the release's README.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
from scipy.io import loadmat

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.photos import Split
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.palm import IN_PLACE, Palm
from handpose.rotation import exp_so3
from handpose.skeleton import BASES, JOINT_NAMES, N_JOINTS, WRIST, permutation

View = Literal["BB_left", "BB_right", "SK_color"]
Views = Literal["all", "stereo"] | View
Wrist = Literal["ring", "fingers", "palm"]

VIEWS: tuple[View, ...] = ("BB_left", "BB_right", "SK_color")
_CHOSEN: dict[Views, tuple[View, ...]] = {
    "all": VIEWS,
    "stereo": ("BB_left", "BB_right"),
    "BB_left": ("BB_left",),
    "BB_right": ("BB_right",),
    "SK_color": ("SK_color",),
}
SIZE_PX = (640, 480)
_STEREO = Camera(822.79041, 822.79041, 318.47345, 250.31296, SIZE_PX)
CAMERAS: dict[View, Camera] = {
    "BB_left": _STEREO,
    "BB_right": _STEREO,
    "SK_color": Camera(607.92271, 607.88192, 314.78337, 236.42484, SIZE_PX),
}
BASELINE_MM = 120.054
_DEPTH_FROM_COLOUR = exp_so3(np.array([0.00531, -0.01196, 0.00301]))
_DEPTH_FROM_COLOUR_MM = np.array([-24.0381, -0.4563, -1.2326])

_SEQUENCE = re.compile(r"(B[1-6](?:Counting|Random))(?:_(?:BB|SK)\.mat)?")
_HELD_OUT = ("B1Counting", "B1Random")  # the test sequences of Zimmermann and Brox 2017 and all after them
# The palm stands first in place of the wrist; fingers from the little one to the thumb, each from its base to its tip.
_CANONICAL = permutation(("W",) + tuple(f"{finger}{i}" for finger in "LRMIT" for i in range(4)))
PALMS: dict[Wrist, Palm] = {
    "ring": Palm((JOINT_NAMES.index("R0"),), 2.0, "the labels have the palm and no wrist: W is R0 + 2 (palm - R0)"),
    "fingers": Palm(
        tuple(BASES[1:].tolist()),
        2.25,
        "the labels have the palm and no wrist: W is the mean of I0, M0, R0, L0 + 2.25 (palm - each)",
    ),
    "palm": IN_PLACE,
}


@dataclass(frozen=True, eq=False)
class _Track:
    """One camera's pictures of a sequence, with joints_mm (N, 21, 3) in that camera's frame."""

    folder: Path
    view: View
    joints_mm: np.ndarray


class Stb:
    """All pictures, sequence by sequence and camera by camera; one Sample each by index. `palm` tells how W was found."""

    def __init__(self, tracks: list[_Track], palm: Palm):
        self.name, self.tracks, self.palm = "STB", tracks, palm

    def __len__(self) -> int:
        return sum(len(track.joints_mm) for track in self.tracks)

    def __getitem__(self, index: int) -> Sample:
        number = range(len(self))[index]
        for track in self.tracks:
            if number < len(track.joints_mm):
                return _sample(track, number)
            number -= len(track.joints_mm)
        raise IndexError(index)


def recognises(path: Path) -> bool:
    """Say whether a folder is the release: its `labels` folder holds label files of its sequences."""
    return bool(_sequences(Path(path)))


def read(path: Path, split: Split | None = None, views: Views = "all", wrist: Wrist = "ring") -> Stb:
    """Read the labels of all sequences that are there, or of B2 to B6 ("train"), or of B1 ("held_out").

    views: one camera, or those of "all" and of the "stereo" pair that have pictures. wrist: the labels have the centre of the palm and
    no wrist. "ring" goes from R0 through the palm, twice as far (the code of Zimmermann and Brox 2017, where it wants a wrist);
    "fingers" goes 2.25 times as far from each of I0, M0, R0, L0 and takes the mean (Yang et al. 2020); "palm" leaves the palm in the
    place of W. Raises HandposeError naming the file where labels are broken, or where they and the pictures disagree.
    """
    path = Path(path)
    wanted = _CHOSEN[views]
    tracks: list[_Track] = []
    broken = Broken()
    for sequence in _sequences(path):
        if split not in (None, "held_out" if sequence in _HELD_OUT else "train"):
            continue
        for view in wanted:
            with broken:
                if views == view or _has_pictures(path, sequence, view):
                    tracks.append(_read_track(path, sequence, view, PALMS[wrist]))
    broken.check()
    if not tracks:
        raise HandposeError(
            f"{path}: no STB pictures of {', '.join(wanted)} (images/B1Counting/{wanted[0]}_0.png) with labels for them; "
            "--read views=all takes every camera"
        )
    return Stb(tracks, PALMS[wrist])


def _sequences(path: Path) -> list[str]:
    """Name the sequences that have labels or pictures, where there are labels at all."""
    labels = path / "labels"
    if not any(map(_SEQUENCE.fullmatch, os.listdir(labels) if labels.is_dir() else ())):
        return []
    names = {name for folder in (labels, path / "images", path) if folder.is_dir() for name in os.listdir(folder)}
    return sorted({match[1] for match in map(_SEQUENCE.fullmatch, names) if match})


def _pictures_folder(path: Path, sequence: str) -> Path:
    """Give where a sequence's pictures are: under `images`, or beside `labels` as in some copies."""
    beside = path / sequence
    return beside if beside.is_dir() else path / "images" / sequence


def _has_pictures(path: Path, sequence: str, view: View) -> bool:
    folder = _pictures_folder(path, sequence)
    if not folder.is_dir():
        raise HandposeError(f"{folder}: missing, though there are labels of its sequence")
    return any(name.startswith(f"{view}_") for name in os.listdir(folder))


def _read_track(path: Path, sequence: str, view: View, palm: Palm) -> _Track:
    labels = path / "labels" / f"{sequence}_{view[:2]}.mat"
    joints_mm = _TO_VIEW[view](_read_labels(labels))
    joints_mm[:, WRIST] = palm.wrist(joints_mm)
    if (joints_mm[..., 2] <= 0).any():
        raise HandposeError(f"{labels}: a joint lies behind the camera")
    folder = _pictures_folder(path, sequence)
    present = set(os.listdir(folder)) if folder.is_dir() else set()
    broken = Broken()
    for number in range(len(joints_mm)):
        with broken:
            if f"{view}_{number}.png" not in present:
                raise HandposeError(f"{folder / f'{view}_{number}.png'}: missing, though there are labels for it")
    broken.check()
    return _Track(folder, view, joints_mm)


def _read_labels(path: Path) -> np.ndarray:
    """Read joints (N, 21, 3) [mm] in canonical order, the palm in the place of W, in the frame of the labels."""
    if not path.is_file():
        raise HandposeError(f"{path}: missing, though its sequence has pictures")
    try:
        hands = np.asarray(loadmat(path, variable_names=["handPara"])["handPara"], float)
    except Exception as error:  # SciPy's reader fails on a broken file in many ways
        reason = " ".join(str(error).split()) or type(error).__name__
        raise HandposeError(f"{path}: no MATLAB file with an array handPara ({reason})") from error
    if hands.ndim != 3 or hands.shape[:2] != (3, N_JOINTS) or not hands.shape[2]:
        raise HandposeError(f"{path}: handPara is {hands.shape}, expected (3, 21, frames)")
    if not np.isfinite(hands).all():
        frame = int(np.flatnonzero(~np.isfinite(hands).all((0, 1)))[0])
        raise HandposeError(f"{path}: not all numbers of frame {frame} are finite")
    return hands.transpose(2, 1, 0)[:, _CANONICAL]


def _colour_from_depth(joints_mm: np.ndarray) -> np.ndarray:
    """Undo the release's transform, which leads from the colour camera to the depth camera."""
    return (joints_mm - _DEPTH_FROM_COLOUR_MM) @ _DEPTH_FROM_COLOUR


_TO_VIEW: dict[View, Callable[[np.ndarray], np.ndarray]] = {
    "BB_left": lambda joints_mm: joints_mm,
    "BB_right": lambda joints_mm: joints_mm - (BASELINE_MM, 0.0, 0.0),
    "SK_color": _colour_from_depth,
}


def _sample(track: _Track, number: int) -> Sample:
    file = f"{track.view}_{number}.png"
    camera = CAMERAS[track.view]
    joints_mm = track.joints_mm[number]
    return Sample(
        name=f"{track.folder.name}/{file}",
        load_image=partial(read_sized, track.folder / file, SIZE_PX),
        joints_px=camera.project(joints_mm),
        joints_mm=joints_mm,
        side="left",
        camera=camera,
    )
