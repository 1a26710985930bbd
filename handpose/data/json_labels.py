"""Any folder of pictures with `labels.jsonl`, our own labels: a line of JSON per picture, with the fields that track files have.

    {"image": "day 1/0001.jpg", "size_px": [640, 480], "camera": {"fx": 600, "fy": 600, "cx": 319.5, "cy": 239.5, "distortion": []},
     "held_out": false, "hands": [{"side": "left", "joints_px": [[u, v] x 21], "joints_mm": [[x, y, z] x 21], "valid": [true x 21],
     "mask": "day 1/0001_mask.png"}]}

`image` and `hands` must be there; of a hand `joints_px` [px], or `joints_mm` [mm, camera frame] with a camera, which projects them. A
camera comes with the size of its picture. Joints are in canonical order, one that is null is not labelled; without `valid` all others
count. `side` is the person's own hand, or null. `mask` is a picture of the hand's silhouette. Paths start at the folder. Further fields
are passed over. What `tracker --images DIR --output DIR/labels.jsonl` writes is such a file: its first line has "format", and "mirrored"
where pictures were turned back before they were looked at, as they are here then.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from handpose.camera import Camera
from handpose.data.broken import Broken
from handpose.data.files import read_silhouette
from handpose.data.photos import Split
from handpose.data.pictures import read_sized
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.skeleton import N_JOINTS, Side

LABELS = "labels.jsonl"
# What a line raises that is no row of labels, whatever is wrong with it.
_NO_LABELS = (HandposeError, ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError)


@dataclass(frozen=True, eq=False)
class _Hand:
    """A hand of a picture: joints_px (21, 2), valid (21,) bool, joints_mm (21, 3) or None; NaN where a joint is not labelled."""

    picture: Path
    camera: Camera | None
    side: Side | None
    joints_px: np.ndarray
    valid: np.ndarray
    joints_mm: np.ndarray | None
    mask: Path | None


class JsonLabels:
    """The labelled hands of a folder, named after it, in the order of their lines; one Sample each by index.

    Files that are `mirrored` are turned back when they are read.
    """

    def __init__(self, folder: Path, hands: list[_Hand], mirrored: bool):
        self.name, self.folder, self._hands, self._mirrored = folder.resolve().name, folder, hands, mirrored

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        hand = self._hands[index]
        camera, picture = hand.camera, hand.picture
        load_image = partial(read_sized, picture, camera.size_px) if camera else partial(read_image, picture)
        load_mask = partial(read_silhouette, hand.mask) if hand.mask else None
        return Sample(
            name=picture.relative_to(self.folder).as_posix() + (f" {hand.side}" if hand.side else ""),
            load_image=partial(_turned_back, load_image) if self._mirrored else load_image,
            joints_px=hand.joints_px,
            valid=hand.valid,
            joints_mm=hand.joints_mm,
            side=hand.side,
            camera=camera,
            load_mask=partial(_turned_back, load_mask) if self._mirrored and load_mask else load_mask,
        )


def recognises(path: Path) -> bool:
    """Say whether a folder has our own labels."""
    return (Path(path) / LABELS).is_file()


def read(path: Path, split: Split | None = None) -> JsonLabels:
    """Read the labels: all, or those of pictures without `held_out` ("train"), or of those with it ("held_out").

    Raises HandposeError naming each line that is broken, and each picture or mask that is missing.
    """
    path = Path(path)
    labels = path / LABELS
    try:
        lines = labels.read_text(encoding="utf-8-sig").splitlines()  # editors leave a mark at the start
    except (OSError, ValueError) as error:
        raise HandposeError(f"{labels}: not readable as text ({getattr(error, 'strerror', None) or error})") from error
    hands: list[_Hand] = []
    mirrored = False
    broken = Broken()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        with broken:
            try:
                row = json.loads(line)
                if number == 1 and "format" in row:
                    mirrored = row.get("mirrored") is True
                elif split in (None, "held_out" if row.get("held_out") else "train"):
                    hands += _read_row(path, row)
            except _NO_LABELS as error:
                reason = f"no {error}" if isinstance(error, KeyError) else error
                raise HandposeError(f"{labels}: line {number}: {reason}") from error
    broken.check()
    if not hands:
        raise HandposeError(f"{labels}: no hand is labelled in it{f' for {split}' if split else ''}")
    return JsonLabels(path, hands, mirrored)


def _turned_back(load: Callable[[], np.ndarray]) -> np.ndarray:
    return np.ascontiguousarray(load()[:, ::-1])


def _read_row(folder: Path, row: dict[str, Any]) -> list[_Hand]:
    picture, camera = _existing(folder, row["image"]), _camera(row)
    return [_read_hand(folder, picture, camera, hand) for hand in row["hands"]]


def _read_hand(folder: Path, picture: Path, camera: Camera | None, hand: dict[str, Any]) -> _Hand:
    valid = np.asarray(hand.get("valid") or [True] * N_JOINTS, bool)
    if valid.shape != (N_JOINTS,):
        raise HandposeError(f"valid has {valid.size} flags, expected {N_JOINTS}")
    joints_mm = _joints(hand, "joints_mm", 3) if hand.get("joints_mm") is not None else None
    if joints_mm is not None:
        joints_mm[~valid] = np.nan  # whatever stands there
        if (joints_mm[:, 2] <= 0).any():
            raise HandposeError("a joint lies behind the camera")
    if hand.get("joints_px") is not None:
        joints_px = _joints(hand, "joints_px", 2)
    elif camera and joints_mm is not None:
        joints_px = camera.project(joints_mm)
    else:
        raise HandposeError("a hand has neither joints_px nor joints_mm with a camera")
    valid = valid & np.isfinite(joints_px).all(-1)
    if joints_mm is not None and not np.isfinite(joints_mm[valid]).all():
        raise HandposeError("a joint that is valid has no joints_mm, though others have")
    side = hand.get("side")
    if side not in ("left", "right", None):
        raise HandposeError(f"side is {side!r}, expected left, right or null")
    mask = _existing(folder, hand["mask"]) if hand.get("mask") else None
    return _Hand(picture, camera, side, joints_px, valid, joints_mm, mask)


def _joints(hand: dict[str, Any], key: str, width: int) -> np.ndarray:
    """Take joints (21, width), NaN where one is null."""
    rows = [[np.nan] * width if row is None else row for row in hand[key]]
    if len(rows) != N_JOINTS or any(len(row) != width for row in rows):
        raise HandposeError(f"expected {N_JOINTS} {key} of {width} numbers each")
    return np.array(rows, float)


def _camera(row: dict[str, Any]) -> Camera | None:
    values = row.get("camera")
    return Camera.from_dict({**values, "size_px": values.get("size_px") or row.get("size_px")}) if values else None


def _existing(folder: Path, name: str) -> Path:
    if Path(name).anchor:
        raise HandposeError(f"{name}: paths start at the folder")
    file = folder / name
    if not file.is_file():
        raise HandposeError(f"{file}: missing")
    return file
