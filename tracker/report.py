"""`tracker report`: how good a track is, told by itself, where no truth is known.

A fitted hand cannot follow what no hand does, so what it leaves over is told: how far beside it the joints were seen, how often it is
bent beyond the limits of its joints, and how much it trembles. A hand that is larger or smaller, and another focal length, leave nothing
over: the hand is put nearer or farther.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.metrics import distances
from handpose.outputs import prepare_outputs, write_json
from handpose.skeleton import ANGLE_LIMITS_RAD, ANGLE_NAMES, M0, PARENTS, SIDES
from tracker.aim import where_seen
from tracker.hand import State, TrackedHand, across_and_along
from tracker.track_file import Row, camera_of, hands_of, read_tracks, times_of

_SURE = 0.5  # a joint that is less sure was hardly seen: what the fit leaves over there says nothing
_YIELDED_RAD = np.deg2rad(1.0)  # a straight finger lies at its limit, and yields to noise by less
_CAMERAS = {
    "given": "the camera was given", "fov": "the field of view was given",
    "default": "the field of view was assumed, distances are a guess",
}  # fmt: skip
_HANDS = {
    "calibrated": "the hand was measured", "given": "the hand's size was given",
    "default": "the hand's size was assumed, distances are off as it is",
}  # fmt: skip

Figures = dict[str, Any]


def report_file(source: Path, output: Path | None = None) -> str:
    """Report on a video's track file (.jsonl) in lines, and as JSON to `output`.

    Raises HandposeError where the file is none or cannot be written.
    """
    head, rows = read_tracks(source)
    try:
        content = clip_figures(head, rows)
    except HandposeError as error:
        raise HandposeError(f"{source}: {error}") from error
    if output is not None:
        prepare_outputs("tracker", [output])
        write_json(output, content, indent=1)
    return in_words(content)


def clip_figures(head: Row, rows: Sequence[Row]) -> Figures:
    """Measure a video's rows and each of its hands. Raises HandposeError where the rows are no video's track file."""
    camera, times_s = camera_of(head), times_of(rows)
    by_frame = [hands_of(row) for row in rows]
    seen = [any(hand.state is State.TRACKED for hand in hands) for hands in by_frame]
    tracks: dict[int, dict[int, TrackedHand]] = {}
    for frame, hands in enumerate(by_frame):
        for hand in hands:
            tracks.setdefault(hand.id, {})[frame] = hand
    return {
        "source": head["source"], "smoothed": bool(head.get("smoothed")), "camera": head["camera"].get("origin"),
        "hand_scale": head["hand_scale"], "frames": len(rows), "frames_with_hand": sum(seen),
        "hands": [hand_figures(track, times_s, camera) for _, track in sorted(tracks.items())],
    }  # fmt: skip


def hand_figures(track: dict[int, TrackedHand], times_s: np.ndarray, camera: Camera) -> Figures:
    """Measure one hand, by frames in their order, in a video whose frames are taken at `times_s` (T,) [s].

    Residuals [px, mm across the line of sight] are those of joints that were sure, accelerations [m/s^2] those of M0, across and
    along the line of sight; what has no value, as with a hand that was never seen, is NaN.
    """
    frames, hands = np.array(list(track)), list(track.values())
    tracked = [hand for hand in hands if hand.state is State.TRACKED]
    joints_mm = np.array([hand.joints_mm for hand in hands])
    off_px, off_mm = _residuals(tracked, camera)
    across, along = _accelerations(joints_mm[:, M0], frames, times_s)
    angles = np.array([hand.angles_rad for hand in hands])
    low, high = ANGLE_LIMITS_RAD.T
    beyond = np.maximum(low - angles, angles - high) > _YIELDED_RAD
    bones_mm = distances(joints_mm[:, 1:], joints_mm[:, PARENTS[1:]])
    sigma_mm = np.array([hand.sigma_mm for hand in tracked]).reshape(-1, 2)
    sides = [hand.side for hand in hands]
    return {
        "id": hands[0].id,
        "side": max(SIDES, key=sides.count),
        "frames_of_other_side": min(map(sides.count, SIDES)),
        "first_frame": int(frames[0]),
        "last_frame": int(frames[-1]),
        "frames_tracked": len(tracked),
        "frames_predicted": len(hands) - len(tracked),
        "frames_missing": int(frames[-1] - frames[0]) + 1 - len(hands),
        "score": _median([hand.score for hand in tracked]),
        "joints_sure": float((np.array([hand.confidence for hand in tracked]) >= _SURE).mean())
        if tracked
        else math.nan,
        "residual_px": _median(off_px),
        "residual_px_95": float(np.percentile(off_px, 95)) if len(off_px) else math.nan,
        "residual_mm": _median(off_mm),
        "sigma_across_mm": _median(sigma_mm[:, 0]),
        "sigma_depth_mm": _median(sigma_mm[:, 1]),
        "frames_beyond_a_limit": float(beyond.any(1).mean()),
        "most_beyond": ANGLE_NAMES[int(beyond.mean(0).argmax())] if beyond.any() else None,
        "bone_length_spread_mm": float(bones_mm.std(0).max()),
        "acceleration_across": _median(across),
        "acceleration_depth": _median(along),
    }


def _residuals(hands: Sequence[TrackedHand], camera: Camera) -> tuple[np.ndarray, np.ndarray]:
    """Tell how far beside the fitted ones sure joints were seen [px], and what that is at their distance [mm]."""
    if not hands:
        return np.zeros(0), np.zeros(0)
    joints_mm = np.array([hand.joints_mm for hand in hands])
    off = np.array([hand.joints_px for hand in hands]) - where_seen(camera, joints_mm)
    off_px = np.linalg.norm(off, axis=-1)
    sure = (np.array([hand.confidence for hand in hands]) >= _SURE) & np.isfinite(off_px)
    return off_px[sure], (np.linalg.norm(off / (camera.fx, camera.fy), axis=-1) * joints_mm[..., 2])[sure]


def _accelerations(path_mm: np.ndarray, frames: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give a point's acceleration [m/s^2] across and along the line of sight, wherever three frames on end have it."""
    middle = np.flatnonzero((np.diff(frames)[:-1] == 1) & (np.diff(frames)[1:] == 1)) + 1
    before_s = (times_s[frames[middle]] - times_s[frames[middle - 1]])[:, None]
    after_s = (times_s[frames[middle + 1]] - times_s[frames[middle]])[:, None]
    speeds = (path_mm[middle] - path_mm[middle - 1]) / before_s, (path_mm[middle + 1] - path_mm[middle]) / after_s
    change = (speeds[1] - speeds[0]) / ((before_s + after_s) / 2) / 1000
    return across_and_along(change, path_mm[middle])


def _median(values) -> float:
    return float(np.median(values)) if len(values) else math.nan


def in_words(content: Figures) -> str:
    """Say in lines what was measured."""
    lines = [
        f"{content['source']}: a hand tracked in {content['frames_with_hand']} of {content['frames']} frames"
        + (", smoothed" if content["smoothed"] else ""),
        f"  {_CAMERAS.get(str(content['camera']), 'of the camera nothing is said')}; "
        f"{_HANDS.get(str(content['hand_scale']), 'of the hand nothing is said')}",
    ]
    return "\n".join(lines + [line for hand in content["hands"] for line in _hand_in_words(hand)])


def _hand_in_words(hand: Figures) -> list[str]:
    other = f", the other side in {hand['frames_of_other_side']}" if hand["frames_of_other_side"] else ""
    most = f", most often {hand['most_beyond']}" if hand["most_beyond"] else ""
    lines = [
        f"hand {hand['id']}, {hand['side']}{other}: frames {hand['first_frame']} to {hand['last_frame']}, tracked in "
        f"{hand['frames_tracked']}, predicted in {hand['frames_predicted']}, missing in {hand['frames_missing']}",
        f"  sure: score {hand['score']:.2f}, {hand['joints_sure']:.0%} of the joints",
        f"  seen beside the fit: {hand['residual_px']:.1f} px in the median ({hand['residual_mm']:.1f} mm), "
        f"{hand['residual_px_95']:.1f} px at the 95th percentile",
        f"  expected error: {hand['sigma_across_mm']:.0f} mm across, {hand['sigma_depth_mm']:.0f} mm in depth, if camera and hand size are right",
        f"  an angle is a degree and more beyond its limit in {hand['frames_beyond_a_limit']:.0%} of the frames{most}; "
        f"bones vary by {hand['bone_length_spread_mm']:.2f} mm",
        f"  acceleration of the middle knuckle: {hand['acceleration_across']:.1f} m/s^2 across, "
        f"{hand['acceleration_depth']:.1f} in depth (medians)",
    ]
    return [line for line in lines if " nan" not in line]  # what has no value is not told
