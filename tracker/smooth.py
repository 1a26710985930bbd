"""`tracker smooth`: a finished track smoothed once more, backwards in time.

The live filter trails fast hands, for it knows the past alone; the same filter run backwards over what it gave trails the other way.
Where a hand was hidden for a moment, its motion is laid between what was seen before and after.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.errors import HandposeError
from handpose.kinematics import forward_kinematics
from handpose.outputs import prepare_outputs
from handpose.rotation import exp_so3, log_so3
from tracker.filters import PixelFilter, PoseFilter
from tracker.hand import State, TrackedHand, skeleton_of
from tracker.track_file import Row, frame_row, hands_of, open_writer, read_tracks


def smooth_file(source: Path, outputs: Sequence[Path]) -> str:
    """Write a track file (.jsonl) anew, smoothed, as any of the kinds that `tracker --output` knows but recordings; says what it came to.

    Raises HandposeError where the file is none, or an output cannot be written.
    """
    head, rows = read_tracks(source)
    try:
        smoothed = smooth(head, rows)
    except HandposeError as error:
        raise HandposeError(f"{source}: {error}") from error
    prepare_outputs("tracker", outputs)
    with ExitStack() as stack:
        for path in outputs:
            writer = open_writer(path, head | {"smoothed": True})
            stack.callback(writer.close)
            for row in smoothed:
                writer.write(row)
    pairs = zip(rows, smoothed, strict=True)
    moved = [
        np.subtract(a["joints_mm"], b["joints_mm"])
        for old, new in pairs
        for a, b in zip(old["hands"], new["hands"], strict=True)
    ]
    by_mm = f", joints moved by {np.linalg.norm(moved, axis=-1).mean():.1f} mm in the mean" if moved else ""
    return f"{len(rows)} frames smoothed{by_mm}"


def smooth(head: Row, rows: Sequence[Row]) -> list[Row]:
    """Smooth the rows of a video's track file: joints and poses change, all else stays.

    Raises HandposeError where the rows are no track file's, or pictures', which do not move.
    """
    camera, times_s = _camera(head), _times_s(rows)
    hands = [hands_of(row) for row in rows]
    for stretch in _stretches(hands):
        frames = [frame for frame, _ in stretch]
        seen = [hands[frame][place] for frame, place in stretch]
        for (frame, place), hand in zip(stretch, _smoothed(seen, times_s[frames], camera), strict=True):
            hands[frame][place] = hand
    return [frame_row(row["frame"], row["time_s"], found) for row, found in zip(rows, hands, strict=True)]


def _camera(head: Row) -> Camera:
    if not head.get("fps") or not head.get("camera"):
        raise HandposeError("pictures do not move: only tracks of a video can be smoothed")
    return Camera.from_dict(head["camera"])


def _times_s(rows: Sequence[Row]) -> np.ndarray:
    try:
        times_s = np.array([row["time_s"] for row in rows], float)
    except (KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"a row has no time_s ({error})") from error
    if not (np.diff(times_s) > 0).all():
        raise HandposeError("the times of the rows do not grow from row to row")
    return times_s


def _stretches(hands: Sequence[Sequence[TrackedHand]]) -> Iterator[list[tuple[int, int]]]:
    """Give (frame, place in its row) of each hand for as long as it is there without a break and of one side."""
    going: dict[tuple[int, str], list[tuple[int, int]]] = {}
    for frame, found in enumerate(hands):
        places = {(hand.id, hand.side): place for place, hand in enumerate(found)}
        for key in set(going) - set(places):
            yield going.pop(key)
        for key, place in places.items():
            going.setdefault(key, []).append((frame, place))
    yield from going.values()


def _smoothed(hands: Sequence[TrackedHand], times_s: np.ndarray, camera: Camera) -> Iterator[TrackedHand]:
    """Smooth one hand through a stretch; gives its frames in their order."""
    seen = np.array([hand.state is State.TRACKED for hand in hands])
    poses = _bridged(np.array([hand.vector for hand in hands]), times_s, seen)
    skeleton = skeleton_of(hands[0].side, np.array([hand.joints_mm for hand in hands]))
    pose_filter, pixel_filter, changed = PoseFilter(), PixelFilter(), []
    for hand, pose, to_end_s in zip(hands[::-1], poses[::-1], (times_s[-1] - times_s)[::-1], strict=True):
        vector = pose_filter(pose, to_end_s)
        joints_mm = forward_kinematics(skeleton, vector)
        if hand.state is State.TRACKED:
            joints_px = pixel_filter(hand.joints_px, Crop.from_joints(camera, hand.joints_px).side_px, to_end_s)
        else:
            joints_px = camera.project(np.maximum(joints_mm, (-np.inf, -np.inf, 1.0)))
        pose_of: dict[str, Any] = {
            "wrist_translation_mm": vector[:3], "wrist_rotation_rad": vector[3:6], "angles_rad": vector[6:]
        }  # fmt: skip
        changed.append(replace(hand, joints_px=joints_px, joints_mm=joints_mm, **pose_of))
    return reversed(changed)


def _bridged(poses: np.ndarray, times_s: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Lay the poses (T, 26) of frames that do not show the hand between those before and after that do; at the ends they stay."""
    bridged, known = poses.copy(), np.flatnonzero(seen)
    for before, after in pairwise(known):
        turn = log_so3(exp_so3(poses[after, 3:6]) @ exp_so3(poses[before, 3:6]).T)
        for frame in range(before + 1, after):
            share = (times_s[frame] - times_s[before]) / (times_s[after] - times_s[before])
            bridged[frame] = (1 - share) * poses[before] + share * poses[after]
            bridged[frame, 3:6] = log_so3(exp_so3(share * turn) @ exp_so3(poses[before, 3:6]))
    return bridged
