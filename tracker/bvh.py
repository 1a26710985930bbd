"""Tracks as BVH, which motion capture programs read: lengths in centimetres, angles in degrees, a root for each hand.

A joint's channels are its turns about z, y and x, in this order, of axes that at rest are the wrist's. BVH has no way to say that a hand is
not there: it stays where it was, or is to be.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from handpose.skeleton import PARENTS, TIPS, WEBXR_NAMES, WRIST
from tracker.animation import Clip

_TURNING = np.setdiff1d(np.arange(len(WEBXR_NAMES)), TIPS)  # in the order in which the hierarchy names them
_TURNS = "Zrotation Yrotation Xrotation"
_AT_ONCE = 1000  # frames: hands of a long clip that were there for moments only are drawn out to all of them


def encode_bvh(head: dict[str, Any], times_s: np.ndarray, clips: Sequence[Clip]) -> bytes:
    """Write clips whose frames are at times_s (T,) [s] as a BVH file of evenly spaced frames, at the header's rate."""
    shown = _evenly(times_s, head["fps"])
    lines = ["HIERARCHY"]
    for clip in clips:
        lines += _joint(clip, WRIST, 0)
    lines += ["MOTION", f"Frames: {len(shown)}", f"Frame Time: {1 / head['fps']:.8f}"]
    moving = [np.column_stack([clip.root_mm / 10, _angles_deg(clip.turns[:, _TURNING])]) for clip in clips]
    for start in range(0, len(shown), _AT_ONCE):
        frames = shown[start : start + _AT_ONCE]
        columns = [
            rows[np.clip(frames - clip.first, 0, len(rows) - 1)] for clip, rows in zip(clips, moving, strict=True)
        ]
        for numbers in np.column_stack(columns) if columns else np.zeros((len(frames), 0)):
            lines.append(" ".join(f"{number:.4f}" for number in numbers))
    return ("\n".join(lines) + "\n").encode()


def _evenly(times_s: np.ndarray, fps: float) -> np.ndarray:
    """Give the frame that is nearest to each of evenly spaced moments."""
    count = round((times_s[-1] - times_s[0]) * fps) + 1 if len(times_s) else 0
    moments = times_s[:1] + np.arange(count) / fps
    return np.searchsorted((times_s[1:] + times_s[:-1]) / 2, moments)


def _joint(clip: Clip, joint: int, depth: int) -> list[str]:
    """Write a joint and what hangs on it."""
    outer, inner = "\t" * depth, "\t" * (depth + 1)
    offset = f"{inner}OFFSET " + " ".join(f"{value:.4f}" for value in clip.skeleton.offsets_mm[joint] / 10)
    if joint in TIPS:
        return [f"{outer}End Site", f"{outer}{{", offset, f"{outer}}}"]
    kind, channels = ("JOINT", f"3 {_TURNS}") if depth else ("ROOT", f"6 Xposition Yposition Zposition {_TURNS}")
    lines = [f"{outer}{kind} {clip.name}-{WEBXR_NAMES[joint]}", f"{outer}{{", offset, f"{inner}CHANNELS {channels}"]
    for child in np.flatnonzero(joint == PARENTS):
        lines += _joint(clip, int(child), depth + 1)
    return [*lines, f"{outer}}}"]


def _angles_deg(turns: np.ndarray) -> np.ndarray:
    """Take rotations (T, J, 3, 3) apart into turns about z, y, x, (T, 3 J) [deg].

    Of the two ways to do so the one nearer to the frame before is taken; with y near 90, z and x still swing against each other.
    """
    z = np.arctan2(turns[..., 1, 0], turns[..., 0, 0])
    y = np.arcsin(np.clip(-turns[..., 2, 0], -1, 1))
    x = np.arctan2(turns[..., 2, 1], turns[..., 2, 2])
    one = np.rad2deg(np.stack([z, y, x], axis=-1))
    other = one * (1, -1, 1) + 180  # the same rotation
    for i in range(1, len(one)):
        near = [way - 360 * np.round((way - one[i - 1]) / 360) for way in (one[i], other[i])]
        jumps = [np.abs(way - one[i - 1]).max(axis=-1, keepdims=True) for way in near]
        one[i] = np.where(jumps[0] <= jumps[1], *near)
    return one.reshape(len(one), -1)
