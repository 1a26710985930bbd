"""Tracks as animated skeletons, for the files that animation programs open: each hand 21 joints, named as in WebXR, that turn by time.

Their frame is the tracks' camera frame turned half about x, as a camera sees it that looks along -z with y up. At rest a hand is flat and
open: fingers along y, the palm along z.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.kinematics import joint_frames
from handpose.skeleton import FINGERS, PARENTS, Side, Skeleton

_PARTS = ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")
WEBXR_NAMES = (
    "wrist",
    *(f"thumb-{part}" for part in ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")),
    *(f"{'pinky' if finger == 'little' else finger}-finger-{part}" for finger in FINGERS[1:] for part in _PARTS),
)
_Y_UP = np.diag([1.0, -1.0, -1.0])

Rows = Sequence[dict[str, Any]]


@dataclass(frozen=True, eq=False)
class Clip:
    """A hand through all frames T of a track file; where it was not `seen` (T,), it stays as it was last, or is to be first.

    root_mm (T, 3): the wrist; turns (T, 21, 3, 3): each joint's rotation, in its parent's frame, the wrist's in that of the file.
    """

    name: str
    skeleton: Skeleton
    seen: np.ndarray
    root_mm: np.ndarray
    turns: np.ndarray


def clips_of(rows: Rows) -> list[Clip]:
    """Gather the clips of a track file's rows: one for each id, two where the tracker changed its mind about the side."""
    hands: dict[tuple[int, Side], dict[int, dict]] = {}
    for place, row in enumerate(rows):
        for hand in row["hands"]:
            hands.setdefault((hand["id"], hand["side"]), {})[place] = hand
    return [_clip(f"{side}-hand-{number}", side, found, len(rows)) for (number, side), found in hands.items()]


def _clip(name: str, side: Side, found: dict[int, dict], frames: int) -> Clip:
    joints = np.array([hand["joints_mm"] for hand in found.values()])
    lengths = np.median(np.linalg.norm(joints - joints[:, PARENTS], axis=-1), axis=0)  # they are rounded in each row
    skeleton = Skeleton.default(side).with_bone_lengths(lengths)
    parts = ("wrist_translation_mm", "wrist_rotation_rad", "angles_rad")
    vectors = np.array([np.concatenate([hand[part] for part in parts]) for hand in found.values()])
    turned = np.array([joint_frames(skeleton, vector)[0] for vector in vectors])
    turns = np.swapaxes(turned[:, PARENTS], -1, -2) @ turned
    turns[:, 0] = _Y_UP @ turned[:, 0]
    shown = np.maximum(np.searchsorted(list(found), np.arange(frames), side="right") - 1, 0)
    return Clip(name, skeleton, np.isin(np.arange(frames), list(found)), vectors[shown, :3] @ _Y_UP, turns[shown])


class AnimationWriter:
    """Keeps the rows of a track file and at the end writes what `encode` makes of its header and them: clips have to be known whole."""

    def __init__(self, path: Path, head: dict[str, Any], encode: Callable[[dict[str, Any], Rows], bytes]):
        """Raises HandposeError where the header has no rate: pictures do not move."""
        if not head["fps"]:
            raise HandposeError(f"{path}: an animation needs the frames of a video")
        self._file, self._head, self._encode = path.open("wb"), head, encode
        self._rows: list[dict[str, Any]] = []

    def write(self, row: dict[str, Any]) -> None:
        """Keep the row of a frame."""
        self._rows.append(row)

    def close(self) -> None:
        """Write the file."""
        with self._file:
            self._file.write(self._encode(self._head, self._rows))
