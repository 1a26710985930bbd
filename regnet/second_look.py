"""A hand that lies badly in its window is aimed at anew and looked at again.

RegNet knows hands best that lie as crops are aimed, upright and in the middle, by the joints last seen. A first crop is aimed by a guess:
a second look takes half a millimetre off the PA-MPJPE of rendered test hands, and more than ten of hands that hang (docs/LOG.md).
"""

from __future__ import annotations

import numpy as np

from handpose.crop import MARGIN
from handpose.rotation import plane_rotation
from handpose.skeleton import M0, WRIST
from regnet.altered import altered, carried_back
from regnet.predictor import Predictor, WindowPrediction

# By how much an aim may miss: of tracked crops 98 in 100 miss by less.
_TURN_RAD = np.deg2rad(15)
_LOG_ZOOM = 0.15
_SHIFT = 0.08  # in sides of the window
_SMALLEST_PX = 12.0  # of the box of a hand's joints


class SecondLookPredictor(Predictor):
    """A Predictor that looks twice at windows in which it sees a hand badly placed, and believes the second look."""

    def left_hands(self, windows: np.ndarray) -> WindowPrediction:
        """Look at windows (N, S, S, 3) as `Predictor.left_hands` does."""
        seen = super().left_hands(windows)
        copies = _aims(seen.joints_px, windows.shape[1])
        bad = np.flatnonzero(_bad(copies, windows.shape[1]))
        if len(bad):
            again = carried_back(super().left_hands(altered(windows[bad], copies[bad])), copies[bad])
            for name, values in vars(seen).items():
                values[bad] = getattr(again, name)
        return seen


def _aims(joints_px: np.ndarray, size: int) -> np.ndarray:
    """Aim at hands (N, 21, 2) of windows as crops are aimed: (N, 2, 3) copy_from_window, W below M0 and the usual margin around the hand."""
    up = joints_px[:, M0] - joints_px[:, WRIST]
    turn = plane_rotation(-np.arctan2(up[:, 0], -up[:, 1]))
    turned = joints_px @ turn.swapaxes(-1, -2)
    low, high = turned.min(1), turned.max(1)
    zoom = size / (MARGIN * np.maximum((high - low).max(-1), _SMALLEST_PX))[:, None, None]
    return np.concatenate([zoom * turn, (size - 1) / 2 - zoom * (low + high)[..., None] / 2], axis=2)


def _bad(copies: np.ndarray, size: int) -> np.ndarray:
    """Say which windows (N,) are far from such aims (N, 2, 3) at their hands."""
    linear, middle = copies[..., :2], np.full(2, (size - 1) / 2)
    turn = np.arctan2(linear[:, 1, 0], linear[:, 0, 0])
    log_zoom = np.log(np.linalg.det(linear)) / 2
    shift = np.linalg.norm(linear @ middle + copies[..., 2] - middle, axis=-1) / size
    return (np.abs(turn) > _TURN_RAD) | (np.abs(log_zoom) > _LOG_ZOOM) | (shift > _SHIFT)
