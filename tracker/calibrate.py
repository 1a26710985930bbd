"""`tracker calibrate`: the user's hand, from its length by a ruler and its fingers' proportions as RegNet sees them.

A single picture does not tell a large hand far away from a small one nearby, so the length has to be measured. The proportions are
the median of many looks at the open hand, for a bent finger hides its length.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.outputs import write_json
from handpose.prediction import Prediction
from handpose.skeleton import BASES, FINGERS, PARENTS, TIPS, Skeleton
from tracker.hand import State, TrackedHand
from tracker.pipeline import HandTracker

_ENOUGH = 150  # looks at an open hand before a webcam: five seconds
_LEAST = 5
_SURE = 0.5  # mean confidence of a finger's joints
_STRAIGHT = 0.9  # from knuckle to tip, in lengths of the bones between; a thumb is never that straight
_USUAL = (0.75, 1.33)  # times the usual length of a finger beside the middle one: further off, it was not seen well
_MIDDLE = FINGERS.index("middle")


class FingerMeter(HandTracker):
    """A tracker of one hand that keeps what RegNet said of it wherever it was open."""

    def __init__(self, camera: Camera | None = None, **options):
        super().__init__(camera, hands=1, **options)
        self._looks: dict[int, list[Prediction]] = {}

    @property
    def looks(self) -> list[Prediction]:
        """The looks at the hand that was seen open most often: another's, who came before or after, are left out."""
        return max(self._looks.values(), key=len, default=[])

    @property
    def enough(self) -> bool:
        """Whether a webcam has seen the open hand long enough."""
        return len(self.looks) >= _ENOUGH

    def __call__(self, frame_rgb: np.ndarray, time_s: float) -> list[TrackedHand]:
        """Track through a frame, as HandTracker does, and keep the look at its hand."""
        hands = super().__call__(frame_rgb, time_s)
        self._keep_looks()
        return hands

    def picture(self, image_rgb: np.ndarray, fov_deg: float | None = None) -> list[TrackedHand]:
        """Find the hand of a picture, as HandTracker does, and keep the look at it."""
        hands = super().picture(image_rgb, fov_deg)
        self._keep_looks()
        return hands

    def _keep_looks(self) -> None:
        for track in self._tracks:
            if track.state is State.TRACKED and _is_open(track.seen):
                self._looks.setdefault(track.number, []).append(track.seen)


def write_hand(path: Path, meter: FingerMeter, length_mm: float) -> str:
    """Write the left hand of `length_mm` [mm] that the meter saw, for `--hand`; returns what it is like, in a line.

    Raises HandposeError where the hand was not seen well enough, or the file cannot be written.
    """
    hand = hand_of_length(proportions(meter.looks), length_mm)
    lengths = [round(float(length), 2) for length in hand.bone_lengths_mm]
    write_json(path, {"bone_lengths_mm": lengths, "hand_length_mm": length_mm, "looks": len(meter.looks)})
    fingers = zip(FINGERS, hand.finger_lengths_mm, strict=True)
    words = ", ".join(f"{finger} {length:.0f}" for finger, length in fingers)
    return f"tracker: {path}: from the wrist to the tips {words} mm, by {len(meter.looks)} looks"


def proportions(looks: Sequence[Prediction]) -> np.ndarray:
    """Tell each finger's length, from the wrist to its tip, beside the middle one's, (5,), from looks at the open hand.

    Raises HandposeError where these are too few, or their fingers no hand's.
    """
    if len(looks) < _LEAST:
        raise HandposeError(
            f"the open hand was seen in {len(looks)} pictures, {_LEAST} are needed: hold it, palm or back, to the camera"
        )
    lengths = np.array([_bones(look).sum(axis=1) for look in looks])
    found = np.median(lengths / lengths[:, _MIDDLE, None], axis=0)
    expected = Skeleton.default("left").finger_lengths_mm
    usual = found / (expected / expected[_MIDDLE])
    if not ((_USUAL[0] < usual) & (usual < _USUAL[1])).all():
        raise HandposeError("the fingers' lengths are no hand's: show it nearer, and its palm or back to the camera")
    return found


def hand_of_length(beside_middle: np.ndarray, length_mm: float) -> Skeleton:
    """Give the left hand whose fingers have these proportions (5,) and which measures `length_mm` from the wrist to the middle tip."""
    usual = Skeleton.default("left")
    times = beside_middle * length_mm / usual.finger_lengths_mm
    return usual.with_bone_lengths(usual.bone_lengths_mm * np.r_[1, np.repeat(times, 4)])


def _is_open(look: Prediction) -> bool:
    """Say whether all fingers are sure, and all but the thumb straight; what is not a number is not."""
    phalanges = _bones(look)[:, 1:].sum(axis=1)
    straight = np.linalg.norm(look.joints_rel[TIPS] - look.joints_rel[BASES], axis=-1) > _STRAIGHT * phalanges
    return bool(straight[1:].all() and (look.confidence[1:].reshape(5, 4).mean(-1) > _SURE).all())


def _bones(look: Prediction) -> np.ndarray:
    """Give the lengths of each finger's bones from the wrist on, (5, 4) [|W-M0|]."""
    ends = look.joints_rel[1:] - look.joints_rel[PARENTS[1:]]
    return np.linalg.norm(ends, axis=-1).reshape(5, 4)
