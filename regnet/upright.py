"""A hand that lies or hangs in its window is turned upright and looked at again.

RegNet knows upright hands best, as crops are rolled by the joints last seen. A first crop is rolled by a guess: of rendered hands that
were turned by more than 60 degrees in theirs, PA-MPJPE fell from 21 mm to 10 with a second look (docs/LOG.md).
"""

from __future__ import annotations

import numpy as np

from handpose.crop import MARGIN
from handpose.rotation import plane_rotation
from handpose.skeleton import M0, WRIST
from regnet.altered import altered, carried_back
from regnet.predictor import Predictor, WindowPrediction

_FAR_RAD = np.deg2rad(45)  # trackers miss by less, and RegNet's training mostly by up to 30 degrees
_SMALLEST_PX = 12.0  # of the box of a hand's joints


class UprightPredictor(Predictor):
    """A Predictor that looks twice at windows whose hand it sees far from upright, and believes the second look."""

    def left_hands(self, windows: np.ndarray) -> WindowPrediction:
        """Look at windows (N, S, S, 3) as `Predictor.left_hands` does."""
        seen = super().left_hands(windows)
        leaning = _lean_rad(seen.joints_px)
        far = np.flatnonzero(np.abs(leaning) > _FAR_RAD)
        if len(far):
            copies = np.stack([_upright(seen.joints_px[i], leaning[i], windows.shape[1]) for i in far])
            again = carried_back(super().left_hands(altered(windows[far], copies)), copies)
            for name, values in vars(seen).items():
                values[far] = getattr(again, name)
        return seen


def _lean_rad(joints_px: np.ndarray) -> np.ndarray:
    """By how much hands (N, 21, 2) are turned clockwise from upright, W to M0."""
    arm = joints_px[:, M0] - joints_px[:, WRIST]
    return np.arctan2(arm[:, 0], -arm[:, 1])


def _upright(joints_px: np.ndarray, lean_rad: float, size: int) -> np.ndarray:
    """Aim at joints (21, 2) of a window as crops are aimed: (2, 3) copy_from_window, upright and with the usual margin around them."""
    turn = plane_rotation(-lean_rad)
    turned = joints_px @ turn.T
    low, high = turned.min(0), turned.max(0)
    zoom = size / (MARGIN * max(float((high - low).max()), _SMALLEST_PX))
    return np.column_stack([zoom * turn, (size - 1) / 2 - zoom * (low + high) / 2])
