"""The Rendered Handpose Dataset (RHD) layout: 320x320 pictures of people, both hands in metres before a camera per picture.

`{training,evaluation}/` with `anno_*.pickle`, `color/`, `mask/` (Zimmermann and Brox 2017). The evaluation set holds other people and motions.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.photos import Split
from handpose.data.pictures import read_sized
from handpose.data.restricted_pickle import load_pickle
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.palm import IN_PLACE, MIDWAY, Palm
from handpose.skeleton import M0, N_JOINTS, WRIST, Side, permutation

Hands = Literal["dominant", "all"]

SIZE_PX = (320, 320)
_SETS: dict[str, Split] = {"training": "train", "evaluation": "held_out"}
_SIDES: tuple[Side, Side] = ("left", "right")  # the order of their rows in the labels
_MASK_IDS: dict[Side, tuple[int, int]] = {
    "left": (2, 17),
    "right": (18, 33),
}  # first and last; 0 is background, 1 the person
# Wrist first, then every finger from its tip to the palm.
_CANONICAL = permutation(("W",) + tuple(f"{finger}{i}" for finger in "TIMRL" for i in (3, 2, 1, 0)))
_SHAPES = {"xyz": (2 * N_JOINTS, 3), "uv_vis": (2 * N_JOINTS, 3), "K": (3, 3)}


@dataclass(frozen=True, eq=False)
class _Hand:
    """A hand of a picture: joints_mm (21, 3), joints_px (21, 2), visible (21,) bool, in canonical order."""

    folder: Path
    stem: str
    side: Side
    joints_mm: np.ndarray
    joints_px: np.ndarray
    visible: np.ndarray
    camera: Camera
    has_mask: bool

    @property
    def mask(self) -> Path:
        """The file of the picture's mask."""
        return self.folder / "mask" / f"{self.stem}.png"


class Rhd:
    """The hands of the training pictures, then of the evaluation pictures, as far as they are there; one Sample each by index.

    A joint is valid where the release calls it visible; the others keep their labels, which are as exact, but may lie off the picture.
    Of hands given together the dominant one is the Sample. `palm` tells where the palm lies.
    """

    def __init__(self, hands: list[tuple[_Hand, ...]], palm: Palm):
        self.name, self._hands, self.palm = "RHD", hands, palm

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        hand = _dominant(self._hands[index])
        file = f"{hand.stem}.png"
        return Sample(
            name=f"{hand.folder.name}/{hand.stem} {hand.side}",
            load_image=partial(read_sized, hand.folder / "color" / file, SIZE_PX),
            joints_px=hand.joints_px,
            valid=hand.visible,
            joints_mm=hand.joints_mm,
            side=hand.side,
            camera=hand.camera,
            load_mask=partial(_read_mask, hand.mask, hand.side) if hand.has_mask else None,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder is the release or one of its two sets."""
    return bool(_set_folders(Path(path)))


def read(path: Path, split: Split | None = None, hands: Hands = "dominant", palm: bool = False) -> Rhd:
    """Read the labels: all, or the training set only ("train"), or the evaluation set only ("held_out").

    Hands with fewer than two visible joints are left out. hands: "dominant" gives of each picture the hand that covers more pixels of
    the mask (one per picture, as Zimmermann and Brox do), or without masks that with more visible joints; "all" gives both. palm: put
    the palm, halfway from the wrist to M0, in the place of W, as they do without `use_wrist_coord`. Raises HandposeError naming the
    file where labels are broken or a picture is missing.
    """
    path = Path(path)
    folders = [folder for folder in _set_folders(path) if split in (None, _SETS[folder.name])]
    if not folders:
        raise HandposeError(f"{path}: no RHD set (training/anno_training.pickle or evaluation/anno_evaluation.pickle)")
    found: list[tuple[_Hand, ...]] = []
    broken = Broken()
    for folder in folders:
        with broken:
            found += _read_set(folder, hands, palm)
    broken.check()
    return Rhd(found, IN_PLACE if palm else MIDWAY)


def _set_folders(path: Path) -> list[Path]:
    candidates = [path / name for name in _SETS] + [path]
    return [folder for folder in candidates if folder.name in _SETS and _labels(folder).is_file()]


def _labels(folder: Path) -> Path:
    return folder / f"anno_{folder.name}.pickle"


def _read_set(folder: Path, wanted: Hands, palm: bool) -> list[tuple[_Hand, ...]]:
    content = load_pickle(_labels(folder))
    if not (isinstance(content, dict) and content):
        raise HandposeError(f"{_labels(folder)}: expected a dict of picture numbers, found {type(content).__name__}")
    pictures = _files(folder / "color")
    masks = _files(folder / "mask")
    found: list[tuple[_Hand, ...]] = []
    broken = Broken()
    for number, labels in content.items():
        with broken:
            both = _both_hands(folder, number, labels, palm, bool(masks))
            seen = tuple(hand for hand in both if hand.visible.sum() >= 2)
            found += [(hand,) for hand in seen] if wanted == "all" else [seen] if seen else []
            for kind, files in (("color", pictures), ("mask", masks)):
                file = f"{both[0].stem}.png"
                if file not in files and (files or kind == "color"):
                    raise HandposeError(f"{folder / kind / file}: missing, though there are labels for it")
    broken.check()
    return found


def _both_hands(folder: Path, number: Any, labels: Any, palm: bool, has_mask: bool) -> list[_Hand]:
    try:
        return _hands(folder, f"{int(number):05d}", labels, palm, has_mask)
    except HandposeError as error:
        raise HandposeError(f"{_labels(folder)}: picture {number}: {error}") from error
    except (TypeError, ValueError) as error:
        raise HandposeError(f"{_labels(folder)}: picture {number}: not as expected ({error})") from error


def _files(folder: Path) -> set[str]:
    return set(os.listdir(folder)) if folder.is_dir() else set()


def _dominant(hands: tuple[_Hand, ...]) -> _Hand:
    """Choose the hand of a picture that its mask shows more of, when it is asked for: reading all masks at once takes a minute."""
    if len(hands) == 1:
        return hands[0]
    left, right = hands
    if left.has_mask:
        parts = _read_parts(left.mask)
        return left if _shows(parts, "left").sum() > _shows(parts, "right").sum() else right
    return left if left.visible.sum() > right.visible.sum() else right


def _hands(folder: Path, stem: str, labels: Any, palm: bool, has_mask: bool) -> list[_Hand]:
    """Take a picture's labels apart: the left hand and the right one."""
    arrays = {}
    for key, shape in _SHAPES.items():
        if not (isinstance(labels, dict) and key in labels):
            raise HandposeError(f"no {key}")
        arrays[key] = np.asarray(labels[key], float)
        if arrays[key].shape != shape:
            raise HandposeError(f"{key} is {arrays[key].shape}, expected {shape}")
        if not np.isfinite(arrays[key]).all():
            raise HandposeError(f"not all numbers of {key} are finite")
    matrix = arrays["K"]
    if min(matrix[0, 0], matrix[1, 1]) <= 0:
        raise HandposeError("a focal length is not positive")
    camera = Camera(matrix[0, 0], matrix[1, 1], matrix[0, 2], matrix[1, 2], SIZE_PX)
    hands = []
    for side, joints, pixels in zip(_SIDES, np.split(arrays["xyz"], 2), np.split(arrays["uv_vis"], 2), strict=True):
        joints_mm, joints_px, visible = 1000.0 * joints[_CANONICAL], pixels[_CANONICAL, :2], pixels[_CANONICAL, 2] == 1
        if palm:
            joints_mm = MIDWAY.instead_of_wrist(joints_mm)
            joints_px[WRIST] = camera.project(joints_mm[WRIST])
            visible[WRIST] |= visible[M0]
        if (joints_mm[visible, 2] <= 0).any():
            raise HandposeError(f"a visible joint of the {side} hand lies behind the camera")
        hands.append(_Hand(folder, stem, side, joints_mm, joints_px, visible, camera, has_mask))
    return hands


def _read_mask(path: Path, side: Side) -> np.ndarray:
    return np.where(_shows(_read_parts(path), side), 255, 0).astype(np.uint8)


def _read_parts(path: Path) -> np.ndarray:
    return read_sized(path, SIZE_PX)[..., 0]


def _shows(parts: np.ndarray, side: Side) -> np.ndarray:
    first, last = _MASK_IDS[side]
    return (parts >= first) & (parts <= last)
