"""The CMU Panoptic hand sets (Simon et al. 2017): joints in pixels only, drawn by people, rendered, or triangulated in the dome.

`hand_labels/manual_{train,test}` (MPII and NZSL pictures) and `hand_labels_synth/synth1..4` keep a .json beside each .jpg;
`hand143_panopticdb` has one `hands_v143_14817.json` and `imgs/`. Each picture labels one hand, though others may be in sight.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handpose.data.broken import Broken
from handpose.data.files import read_json
from handpose.data.photos import LabelledHand, Split
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.skeleton import N_JOINTS

_DOME = "hands_v*.json"
_ROOTS = ("", "hand_labels", "hand_labels_synth", "hand143_panopticdb")


class Panoptic:
    """One Sample per labelled hand: manual, then synthetic, then dome. `left_out` names the pictures without a usable joint."""

    def __init__(self, folder: Path, hands: list[tuple[Path, LabelledHand]], left_out: tuple[Path, ...]):
        self.name, self.folder, self._hands, self.left_out = "CMU Panoptic hands", folder, hands, left_out

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        file, hand = self._hands[index]
        name = file.relative_to(self.folder).as_posix()
        return Sample(name, partial(read_image, file), hand.joints_px, hand.valid, side=hand.side)


def recognises(path: Path) -> bool:
    """Say whether a folder holds one of the three sets, or is one."""
    path = Path(path)
    return any(_find(path, name) for name in _SETS) or _dome_file(path) is not None


def read(path: Path, split: Split | None = None) -> Panoptic:
    """Read all that is there; or without manual_test ("train"), or that alone ("held_out").

    Raises HandposeError naming the file where labels are broken or their picture is missing.
    """
    path = Path(path)
    found: list[tuple[Path, LabelledHand | None]] = []
    broken = Broken()
    for name, (side, read_labels) in _SETS.items():
        for file in _label_files(path, name) if split in (side, None) else ():
            with broken:
                found.append((_picture(file), read_labels(file)))
    dome = _dome_file(path)
    if dome and split in ("train", None):
        with broken:
            found += _dome(dome)
    broken.check()
    hands = [(picture, hand) for picture, hand in found if hand and hand.valid.any()]
    if not hands:
        raise HandposeError(f"{path}: no CMU hands (hand_labels, hand_labels_synth or hand143_panopticdb) for it")
    return Panoptic(path, hands, tuple(picture for picture, hand in found if not (hand and hand.valid.any())))


def _find(path: Path, name: str) -> Path | None:
    return next((path / root / name for root in _ROOTS if next((path / root / name).glob("*.json"), None)), None)


def _label_files(path: Path, name: str) -> list[Path]:
    """List the label files of a set, those that are missing beside their pictures too."""
    folder = _find(path, name)
    files = [*folder.glob("*.json"), *folder.glob("*.jpg")] if folder else []
    return sorted({file.with_suffix(".json") for file in files})


def _dome_file(path: Path) -> Path | None:
    return next((file for root in _ROOTS for file in sorted((path / root).glob(_DOME))), None)


def _picture(labels: Path) -> Path:
    picture = labels.with_suffix(".jpg")
    if not picture.is_file():
        raise HandposeError(f"{picture}: labelled, but the picture is missing")
    return picture


def _manual(file: Path) -> LabelledHand:
    content = read_json(file)
    try:
        return _hand(content["hand_pts"], bool(content["is_left"]))
    except (HandposeError, KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"{file}: not the labels of a hand ({error})") from error


def _synthetic(file: Path) -> LabelledHand | None:
    """Read a rendered hand; None where its points are no list or too few. Of more than 21 the hand's are the first."""
    content = read_json(file)
    try:
        points = content["hand_pts"]
        if not isinstance(points, list) or len(points) < N_JOINTS:
            return None
        return _hand(points[:N_JOINTS], bool(content["is_left"]))
    except (HandposeError, KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"{file}: not the labels of a hand ({error})") from error


def _dome(file: Path) -> list[tuple[Path, LabelledHand | None]]:
    """Read the dome's hands. Nothing in the file tells their side; users of the set agree that all are right ones."""
    content = read_json(file)
    hands: list[tuple[Path, LabelledHand | None]] = []
    broken = Broken()
    try:
        for number, entry in enumerate(content["root"]):
            picture = file.parent / entry["img_paths"]
            with broken:
                try:
                    hands.append((picture, _hand(entry["joint_self"], is_left=False)))
                except HandposeError as error:
                    raise HandposeError(f"{file}: hand {number}: {error}") from error
                if not picture.is_file():
                    raise HandposeError(f"{picture}: labelled, but the picture is missing")
    except (KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"{file}: not the labels of the dome's hands ({error!r})") from error
    broken.check()
    return hands


def _hand(points: Any, is_left: bool) -> LabelledHand:
    """Take 21 rows of x, y [px] and 1 where the joint is labelled."""
    joints = np.array(points, float)
    if joints.shape != (N_JOINTS, 3):
        raise HandposeError(f"expected 21 joints of three numbers, found {joints.shape}")
    valid = joints[:, 2] == 1
    if not np.isfinite(joints[valid]).all():
        raise HandposeError("a labelled joint is not a finite number")
    joints_px = np.where(np.isfinite(joints[:, :2]), joints[:, :2], 0.0)
    return LabelledHand(joints_px, valid, "left" if is_left else "right")


_SETS: dict[str, tuple[Split, Callable[[Path], LabelledHand | None]]] = {
    "manual_train": ("train", _manual),
    "manual_test": ("held_out", _manual),
    **{f"synth{number}": ("train", _synthetic) for number in (1, 2, 3, 4)},
}
