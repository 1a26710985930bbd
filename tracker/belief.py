"""What is believed of a tracked hand that RegNet takes for the other hand for some frames: its fingers are then named in reverse.

Three fingers of a back whose thumb is hidden look like those of the other hand's palm. The track knows its side from all frames before; a
hand that leaps where RegNet doubts this side is carried on as it was last believed, along with its palm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handpose.crop import Crop
from handpose.prediction import Prediction
from handpose.skeleton import M0, WRIST, Side

_DOUBTS = 0.5  # RegNet's chance for the side of the track, below which joints have to agree with those before
_LEAP = 0.12  # mean change of joints about the palm, in hand sizes: of 99 frames in 100 it is less than half of that
_LONGEST_S = 0.5  # then the hand is believed to be as it looks
_PALM = [WRIST, M0]  # where the other hand has them, too
_FADE = 0.5  # of the confidence in joints that are carried on


class Belief:
    """The last answer of RegNet that was believed of one hand."""

    def __init__(self) -> None:
        self.forget()

    def forget(self) -> None:
        """Believe the next answer, whatever it is."""
        self._last: tuple[Prediction, Crop] | None = None
        self._side, self._time_s = "", 0.0

    def __call__(self, prediction: Prediction, crop: Crop, side: Side, time_s: float) -> Prediction:
        """Give the answer, or in place of one that is not believed the last that was, carried on."""
        chance = prediction.left if side == "left" else 1 - prediction.left
        lately = self._side == side and time_s - self._time_s < _LONGEST_S
        if self._last is not None and lately and chance < _DOUBTS:
            carried = _carried(*self._last, prediction, crop)
            leap = np.linalg.norm(prediction.joints_px - carried.joints_px, axis=-1).mean()
            if leap > _LEAP * np.ptp(carried.joints_px, axis=0).max():
                return carried
        self._last, self._side, self._time_s = (prediction, crop), side, time_s
        return prediction


def _carried(last: Prediction, last_crop: Crop, prediction: Prediction, crop: Crop) -> Prediction:
    """Move the last believed joints along with the palm."""
    shift = (prediction.joints_px[_PALM] - last.joints_px[_PALM]).mean(0)
    turned = last.joints_rel @ last_crop.camera_from_crop.T @ crop.camera_from_crop
    return replace(last, joints_px=last.joints_px + shift, joints_rel=turned, confidence=_FADE * last.confidence)
