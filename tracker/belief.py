"""What is believed of a tracked hand that RegNet takes for the other hand for some frames: its fingers are then named in reverse.

Three fingers of a back whose thumb is hidden look like those of the other hand's palm. The track knows its side from all frames before:
while RegNet doubts this side, a joint that leaps is carried on as it was last believed, along with the palm.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handpose.crop import Crop
from handpose.prediction import Prediction
from handpose.skeleton import M0, WRIST, Side

_DOUBTS = 0.7  # RegNet's chance for the side of the track, below which joints have to agree with those before
_LEAP = 0.11  # from where the palm has carried a joint, in hand sizes: 0.6 m/s at 30 frames a second
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
        """Give the answer, in which joints that are not believed are as they last were, carried on."""
        chance = prediction.left if side == "left" else 1 - prediction.left
        lately = self._side == side and time_s - self._time_s < _LONGEST_S
        if self._last is not None and lately and chance < _DOUBTS:
            carried = _carried(*self._last, prediction, crop)
            leaps = np.linalg.norm(prediction.joints_px - carried.joints_px, axis=-1)
            held = leaps > _LEAP * np.ptp(carried.joints_px, axis=0).max()
            if held.any():
                self._last = _mixed(held, carried, prediction), crop
                return _mixed(held, replace(carried, confidence=_FADE * carried.confidence), prediction)
        self._last, self._side, self._time_s = (prediction, crop), side, time_s
        return prediction


def _carried(last: Prediction, last_crop: Crop, prediction: Prediction, crop: Crop) -> Prediction:
    """Move the last believed joints along with the palm."""
    shift = (prediction.joints_px[_PALM] - last.joints_px[_PALM]).mean(0)
    turned = last.joints_rel @ last_crop.camera_from_crop.T @ crop.camera_from_crop
    return replace(last, joints_px=last.joints_px + shift, joints_rel=turned)


def _mixed(held: np.ndarray, carried: Prediction, prediction: Prediction) -> Prediction:
    """Take the joints that are `held` (21,) from what was carried on."""
    return replace(
        prediction,
        joints_px=np.where(held[:, None], carried.joints_px, prediction.joints_px),
        sigma_px=np.where(held, carried.sigma_px, prediction.sigma_px),
        joints_rel=np.where(held[:, None], carried.joints_rel, prediction.joints_rel),
        confidence=np.where(held, carried.confidence, prediction.confidence),
    )
