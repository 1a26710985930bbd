"""`tracker calibrate`: the user's hand, from its length by a ruler and its fingers' proportions as RegNet sees them.

A single picture does not tell a large hand far away from a small one nearby, so the length has to be measured. The proportions come
from many looks: of each finger the straighter half of those in which it is sure, for a bent finger hides its length.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handpose.atomic import atomic_write
from handpose.camera import Camera
from handpose.crop import Crop
from handpose.errors import HandposeError
from handpose.prediction import Prediction
from handpose.skeleton import BONES, FINGERS, N_JOINTS, Side, Skeleton
from tracker.hand import State, TrackedHand
from tracker.pipeline import HandTracker
from tracker.recognise import Predictor

_ENOUGH = 150  # looks at a hand before a webcam: five seconds
_LEAST = 5  # looks in which a finger has to be sure
_SURE = 0.5  # mean confidence of its joints
_USUAL = (0.75, 1.33)  # times the usual length of a finger beside the middle one: further off, it was not seen well
_MIDDLE = FINGERS.index("middle")


class FingerMeter(HandTracker):
    """A tracker of one hand that keeps what RegNet saw of it: joints_rel (n, 21, 3) and confidence (n, 21) of `looks`."""

    def __init__(self, camera: Camera | None = None, **options):
        super().__init__(camera, hands=1, **options)
        self.predictor = self._said = _Remembering(self.predictor)
        self.looks: list[Prediction] = []

    @property
    def enough(self) -> bool:
        """Whether a webcam has seen the hand long enough."""
        return len(self.looks) >= _ENOUGH

    def __call__(self, frame_rgb: np.ndarray, time_s: float) -> list[TrackedHand]:
        """Track through a frame, as HandTracker does, and keep the look at its hand."""
        return self._kept(super().__call__(frame_rgb, time_s))

    def picture(self, image_rgb: np.ndarray) -> list[TrackedHand]:
        """Find the hand of a picture, as HandTracker does, and keep the look at it."""
        return self._kept(super().picture(image_rgb))

    def _kept(self, hands: list[TrackedHand]) -> list[TrackedHand]:
        for hand in hands:
            said = [one for one, side in self._said if side == hand.side and np.isfinite(one.joints_rel).all()]
            if said and hand.state is State.TRACKED:
                self.looks.append(min(said, key=lambda one: float(np.linalg.norm(one.joints_px - hand.joints_px))))
        self._said.clear()
        return hands


class _Remembering(list[tuple[Prediction, Side]]):
    """A RegNet whose answers, and for which side each was asked, are kept until cleared."""

    def __init__(self, predictor: Predictor):
        super().__init__()
        self._predictor, self.input_size = predictor, predictor.input_size

    def __call__(self, image: np.ndarray, crops: Sequence[Crop], sides: Sequence[Side]) -> list[Prediction]:
        answers = self._predictor(image, crops, sides)
        self += zip(answers, sides, strict=True)
        return answers


def write_hand(path: Path, meter: FingerMeter, length_mm: float) -> str:
    """Write the left hand of `length_mm` [mm] that the meter saw, for `--hand`; returns what it is like, in a line.

    Raises HandposeError where the hand was not seen well enough, or the file cannot be written.
    """
    hand = hand_of_length(proportions(meter.looks), length_mm)
    lengths = [round(float(length), 2) for length in hand.bone_lengths_mm]
    content = {"bone_lengths_mm": lengths, "hand_length_mm": length_mm, "looks": len(meter.looks)}
    try:
        atomic_write(path, (json.dumps(content) + "\n").encode())
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
    fingers = zip(FINGERS, _finger_lengths(hand.bone_lengths_mm), strict=True)
    words = ", ".join(f"{finger} {length:.0f}" for finger, length in fingers)
    return f"tracker: {path}: from the wrist to the tips {words} mm, by {len(meter.looks)} looks"


def proportions(looks: Sequence[Prediction]) -> np.ndarray:
    """Tell each finger's length, from the wrist to its tip, beside the middle one's, (5,).

    Raises HandposeError where fingers are seen surely in too few looks, or are no hand's.
    """
    if len(looks) < _LEAST:
        raise HandposeError(
            f"a hand was seen in {len(looks)} pictures, {_LEAST} are needed: hold it open to the camera"
        )
    joints = np.array([look.joints_rel for look in looks], float)
    sure = np.array([look.confidence for look in looks])[:, 1:].reshape(-1, 5, 4).mean(-1)
    bones = np.zeros(joints.shape[:2])
    for parent, child in BONES:
        bones[:, child] = np.linalg.norm(joints[:, child] - joints[:, parent], axis=-1)
    lengths = _finger_lengths(bones)
    beside_middle = lengths / np.maximum(lengths[:, _MIDDLE, None], 1e-6)
    knuckles, tips = joints[:, 1::4], joints[:, 4::4]
    straightness = np.linalg.norm(tips - knuckles, axis=-1) / np.maximum(lengths, 1e-6)
    found = np.ones(5)
    for number, finger in enumerate(FINGERS):
        seen = np.minimum(sure[:, number], sure[:, _MIDDLE]) > _SURE
        if seen.sum() < _LEAST:
            raise HandposeError(
                f"the {finger} finger was seen surely in {seen.sum()} pictures, {_LEAST} are needed: hold the hand open"
            )
        straight = straightness[seen, number] >= np.median(straightness[seen, number])
        found[number] = np.median(beside_middle[seen, number][straight])
    usual = _usual_proportions()
    if not ((_USUAL[0] < found / usual) & (found / usual < _USUAL[1])).all():
        raise HandposeError(
            "the fingers' lengths are no hand's: show it nearer, open, and its palm or back to the camera"
        )
    return found


def hand_of_length(beside_middle: np.ndarray, length_mm: float) -> Skeleton:
    """Give the left hand whose fingers have these proportions (5,) and which measures `length_mm` from the wrist to the middle tip."""
    usual = Skeleton.default("left").bone_lengths_mm
    times = beside_middle / _usual_proportions() * length_mm / _finger_lengths(usual)[_MIDDLE]
    lengths = usual.copy()
    lengths[1:] *= np.repeat(times, 4)
    return Skeleton.default("left").with_bone_lengths(lengths)


def _usual_proportions() -> np.ndarray:
    lengths = _finger_lengths(Skeleton.default("left").bone_lengths_mm)
    return lengths / lengths[_MIDDLE]


def _finger_lengths(bones: np.ndarray) -> np.ndarray:
    """Sum bones (..., 21) from the wrist to each tip, (..., 5)."""
    return bones[..., 1:N_JOINTS].reshape(*bones.shape[:-1], 5, 4).sum(-1)
