"""`tracker --demo`: a rendered clip that comes with the package, and how far the tracks are from its truth."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handpose import metrics
from handpose.camera import Camera
from handpose.errors import HandposeError
from tracker.sources import VideoSource
from tracker.track_file import Row

_FOLDER = Path(__file__).parent / "demo"
_CLIP, _TRUTH, _FPS = _FOLDER / "hand.mp4", _FOLDER / "truth.npz", 30.0


def demo_clip() -> VideoSource:
    """Open the clip. Raises HandposeError where the package was installed without it."""
    if not _CLIP.is_file() or not _TRUTH.is_file():
        raise HandposeError(f"the demo is not installed: {_CLIP} is missing; python tools/make_demo.py renders it anew")
    return VideoSource(_CLIP)


def demo_camera() -> Camera:
    """Give the camera that the clip was rendered with."""
    values = json.loads(str(_truth()["camera"]))
    return Camera(values["fx"], values["fy"], values["cx"], values["cy"], tuple(values["size_px"]))


def report(rows: Sequence[Row]) -> str:
    """Say in lines how far tracked hands are from the truth."""
    truth = _truth()
    side, count = str(truth["side"]), len(truth["joints_mm"])
    pairs = [(row["frame"], row["hands"][0]) for row in rows if row["hands"] and row["frame"] < count]
    if not pairs:
        return f"demo: no hand found in {len(rows)} frames; the clip shows a {side} one in all {count}"
    frames = np.array([frame for frame, _ in pairs])
    predicted = np.array([hand["joints_mm"] for _, hand in pairs])
    wanted = truth["joints_mm"][frames]
    pixels = metrics.distances(np.array([hand["joints_px"] for _, hand in pairs]), truth["joints_px"][frames])
    right_side = np.mean([hand["side"] == side for _, hand in pairs])
    lines = [f"demo: a {side} hand found in {len(pairs)} of {len(rows)} frames, its side right in {right_side:.0%}"]
    lines += [
        f"demo: {metrics.mpjpe(predicted, wanted, name)}"
        for name in ("absolute", "M0 aligned", "aligned by a similarity")
    ]
    track = np.full(truth["joints_mm"].shape, np.nan)
    track[frames] = predicted
    lines.append(f"demo: {metrics.acceleration_error(track, truth['joints_mm'], _FPS)}")
    return "\n".join([*lines, f"demo: 2D error {pixels.mean():.2f} px"])


def _truth() -> dict[str, np.ndarray]:
    with np.load(_TRUTH) as data:
        return dict(data)
