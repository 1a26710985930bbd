"""`tracker smooth`: a finished track smoothed once more, backwards in time.

The live filter trails fast hands, for it knows the past alone; the same filter run backwards over what it gave trails the other way.
Where a hand was hidden for a moment, its motion is laid between what was seen before and after.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.errors import HandposeError
from handpose.kinematics import HandPose, forward_kinematics
from handpose.outputs import prepare_outputs
from handpose.rotation import exp_so3, log_so3
from tracker.aim import where_seen
from tracker.filters import PixelFilter, PoseFilter
from tracker.hand import State, TrackedHand, apart_mm, skeleton_of
from tracker.track_file import Row, camera_of, frame_row, hands_of, open_writer, read_tracks, times_of

_LAG_S = 0.06  # what the live filter trails by: 0.03 where a hand is fast, 0.1 where it is slow
_LEAD_S = 0.5
_SURER = 0.5  # at most by so much: of an expected error smoothing leaves no less

Filter = Callable[[np.ndarray, float], np.ndarray]
Along = Callable[[np.ndarray, np.ndarray, float], np.ndarray]


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
    try:
        with ExitStack() as stack:
            for path in outputs:
                writer = open_writer(path, head | {"smoothed": True})
                stack.callback(writer.close)
                for row in smoothed:
                    writer.write(row)
    except OSError as error:
        raise HandposeError(f"writing stopped ({error.strerror or error}); {source} is as it was") from error
    pairs = zip(rows, smoothed, strict=True)
    moved = [
        np.subtract(a["joints_mm"], b["joints_mm"])
        for old, new in pairs
        for a, b in zip(old["hands"], new["hands"], strict=True)
    ]
    by_mm = f", joints moved by {np.linalg.norm(moved, axis=-1).mean():.1f} mm in the mean" if moved else ""
    return f"{len(rows)} frames smoothed{by_mm}"


def smooth(head: Row, rows: Sequence[Row]) -> list[Row]:
    """Smooth the rows of a video's track file: joints and poses change, and errors are expected without what the live filter trailed.

    Raises HandposeError where the rows are no track file's, are smoothed already, or are pictures', which do not move.
    """
    if head.get("smoothed"):
        raise HandposeError("smoothed already, and twice is worse than once: take what `tracker --output` wrote")
    camera, times_s = camera_of(head), times_of(rows)
    hands = [hands_of(row) for row in rows]
    for stretch in _stretches(hands):
        frames = [frame for frame, _ in stretch]
        seen = [hands[frame][place] for frame, place in stretch]
        for (frame, place), hand in zip(stretch, _smoothed(seen, times_s[frames], camera), strict=True):
            hands[frame][place] = hand
    return [row | frame_row(row["frame"], row["time_s"], found) for row, found in zip(rows, hands, strict=True)]


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
    vectors = _backwards(PoseFilter(), poses, times_s, _between)
    skeleton = skeleton_of(hands[0].side, np.array([hand.joints_mm for hand in hands]))
    joints_mm = np.array([forward_kinematics(skeleton, vector) for vector in vectors])
    joints_px = where_seen(camera, joints_mm)
    if seen.any():
        seen_px = np.array([hand.joints_px for hand in hands])[seen]
        side_px = float(np.median([Crop.from_joints(camera, joints).side_px for joints in seen_px]))
        joints_px[seen] = _backwards(PixelFilter(side_px), seen_px, times_s[seen], _along)
    for hand, vector, seen_at, fitted in zip(hands, vectors, joints_px, joints_mm, strict=True):
        left = np.square(hand.sigma_mm) - np.square(apart_mm(hand.joints_mm, fitted))
        sigma_mm = np.sqrt(np.maximum(left, np.square(_SURER * hand.sigma_mm)))
        pose = vars(HandPose.from_vector(vector))
        yield replace(hand, joints_px=seen_at, joints_mm=fitted, sigma_mm=sigma_mm, **pose)


def _backwards(run: Filter, values: np.ndarray, times_s: np.ndarray, along: Along) -> np.ndarray:
    """Filter values (T, ...) from the last to the first.

    Before the last frame the filter sees what came before it mirrored, to be in its stride there; after the first the live filter came
    into its own only by and by, and so does this.
    """
    to_end_s = times_s[-1] - times_s
    for frame in range(len(values) - 1):
        if to_end_s[frame] <= _LEAD_S:
            run(along(values[frame], values[-1], 2.0), -to_end_s[frame])
    filtered = [run(value, time_s) for value, time_s in zip(values[::-1], to_end_s[::-1], strict=True)][::-1]
    shares = 1 - np.exp(-(times_s - times_s[0]) / _LAG_S)
    return np.array([along(*three) for three in zip(values, filtered, shares, strict=True)])


def _bridged(poses: np.ndarray, times_s: np.ndarray, seen: np.ndarray) -> np.ndarray:
    """Lay the poses (T, 26) of frames that do not show the hand, or where the live filter still comes from one that did not, between those
    before and after; at the ends they stay.
    """
    hidden_s = np.where(seen, -np.inf, times_s)
    known = np.flatnonzero(times_s - np.maximum.accumulate(hidden_s) > _LAG_S)
    bridged = poses.copy()
    for before, after in pairwise(known):
        for frame in range(before + 1, after):
            share = (times_s[frame] - times_s[before]) / (times_s[after] - times_s[before])
            bridged[frame] = _between(poses[before], poses[after], share)
    return bridged


def _between(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    """Give the pose (26,) that lies `share` of the way from one to another; 2 is as far beyond the second."""
    turn = log_so3(exp_so3(second[3:6]) @ exp_so3(first[3:6]).T)
    pose = _along(first, second, share)
    pose[3:6] = log_so3(exp_so3(share * turn) @ exp_so3(first[3:6]))
    return pose


def _along(first: np.ndarray, second: np.ndarray, share: float) -> np.ndarray:
    return first + share * (second - first)
