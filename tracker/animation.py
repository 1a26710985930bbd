"""Tracks as animated skeletons, for the files that animation programs open: each hand 21 joints that turn by time.

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
from handpose.skeleton import PARENTS, Side, Skeleton
from tracker.hand import skeleton_of
from tracker.late_writer import LateWriter

_Y_UP = np.diag([1.0, -1.0, -1.0])
_POSE = ("wrist_translation_mm", "wrist_rotation_rad", "angles_rad")


@dataclass(frozen=True, eq=False)
class Clip:
    """A hand through T frames of a track file, from the one before it came, number `first`, to the one after it had gone.

    Where it is not `there` (T,), it stays as it was last, or is to be first. root_mm (T, 3): the wrist; turns (T, 21, 3, 3): each
    joint's rotation, in its parent's frame, the wrist's in that of the file.
    """

    name: str
    skeleton: Skeleton
    first: int
    there: np.ndarray
    root_mm: np.ndarray
    turns: np.ndarray


Encode = Callable[[dict[str, Any], np.ndarray, Sequence[Clip]], bytes]


class AnimationWriter(LateWriter):
    """Keeps the poses of a track file's rows and at the end writes what `encode` makes of its header, the frames' times (T,) [s] and the
    clips: one for each id, two where the tracker changed its mind about the side.
    """

    def __init__(self, path: Path, head: dict[str, Any], encode: Encode):
        """Raises HandposeError where the header has no rate, for pictures do not move, and OSError where the file cannot be written."""
        if not head["fps"]:
            raise HandposeError(f"{path}: an animation needs the frames of a video")
        super().__init__(path, head)
        self._encode = encode
        self._times_s: list[float] = []
        self._hands: dict[tuple[int, Side], dict[int, tuple[np.ndarray, np.ndarray]]] = {}

    def write(self, row: dict[str, Any]) -> None:
        """Keep what a frame's row says of poses."""
        for hand in row["hands"]:
            pose = np.concatenate([hand[part] for part in _POSE])
            found = self._hands.setdefault((hand["id"], hand["side"]), {})
            found[len(self._times_s)] = (np.array(hand["joints_mm"]), pose)
        self._times_s.append(row["time_s"])

    def content(self) -> bytes:
        """Encode all frames."""
        frames = len(self._times_s)
        clips = [_clip(f"{side}-hand-{number}", side, found, frames) for (number, side), found in self._hands.items()]
        return self._encode(self._head, np.array(self._times_s, float), clips)


def _clip(name: str, side: Side, found: dict[int, tuple[np.ndarray, np.ndarray]], frames: int) -> Clip:
    joints, poses = (np.array(part) for part in zip(*found.values(), strict=True))
    skeleton = skeleton_of(side, joints)
    turned = np.array([joint_frames(skeleton, pose)[0] for pose in poses])
    turns = np.swapaxes(turned[:, PARENTS], -1, -2) @ turned
    turns[:, 0] = _Y_UP @ turned[:, 0]
    numbers = list(found)
    first = max(numbers[0] - 1, 0)
    span = np.arange(first, min(numbers[-1] + 2, frames))
    shown = np.maximum(np.searchsorted(numbers, span, side="right") - 1, 0)
    return Clip(name, skeleton, first, np.isin(span, numbers), poses[shown, :3] @ _Y_UP, turns[shown])
