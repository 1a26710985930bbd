"""Test-time augmentation: a network's mean answer for a window and for copies of it, turned and scaled a little.

A mirrored copy is none of them: of hands of the other side the network was taught fewer (`regnet.items`), and places them worse.
"""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from handpose.heatmap import HEATMAP_SIZE
from handpose.skeleton import Side
from regnet.predictor import CONFIDENT_CELLS, Network, Predictor, WindowPrediction

_COPIES = ((0.0, 1.0), (-0.15, 1.0), (0.15, 1.0), (0.0, 0.92), (0.0, 1.08))  # turned by [rad], scaled


class AveragingPredictor(Predictor):
    """Looks at each window as it is and at four copies, and gives the mean of the five answers."""

    def __init__(self, network: Network):
        super().__init__(network)
        middle = (self.input_size - 1) / 2
        linear = [scale * np.array([[np.cos(a), -np.sin(a)], [np.sin(a), np.cos(a)]]) for a, scale in _COPIES]
        self._copies = [np.column_stack([m, middle - m @ (middle, middle)]) for m in linear]

    def windows(self, windows: Sequence[np.ndarray] | np.ndarray, sides: Sequence[Side]) -> WindowPrediction:
        """Look at windows (N, S, S, 3) uint8 as `Predictor.windows` does."""
        return self._merged(*zip(*(self._of_copy(windows, sides, copy) for copy in self._copies), strict=True))

    def _merged(self, joints_px, sigma_px, joints_rel, confidence, presence, left) -> WindowPrediction:
        """Average the copies' answers, the surer ones counting more; where they disagree, a joint is less sure than they say."""
        places, sigma = np.array(joints_px), np.array(sigma_px)
        weights = np.maximum(sigma, 1e-6) ** -2
        weights /= weights.sum(0)
        place = (weights[..., None] * places).sum(0)
        scatter = (weights * ((places - place) ** 2).sum(-1)).sum(0)
        confident_px = CONFIDENT_CELLS * self.input_size / HEATMAP_SIZE
        return WindowPrediction(
            joints_px=place,
            sigma_px=np.sqrt((weights * sigma).sum(0) ** 2 + scatter),
            joints_rel=(weights[..., None] * np.array(joints_rel)).sum(0),
            confidence=np.mean(confidence, axis=0) * np.exp(-scatter / confident_px**2 / 2),
            presence=np.mean(presence, axis=0),
            left=np.mean(left, axis=0),
        )

    def _of_copy(
        self, windows: Sequence[np.ndarray] | np.ndarray, sides: Sequence[Side], copy_from_window: np.ndarray
    ) -> tuple[np.ndarray, ...]:
        """Answer for one copy, carried back to the windows: the parts of a WindowPrediction."""
        linear, offset = copy_from_window[:, :2], copy_from_window[:, 2]
        scale = np.sqrt(np.linalg.det(linear))
        size = (self.input_size, self.input_size)
        seen = super().windows([cv2.warpAffine(window, copy_from_window, size) for window in windows], sides)
        joints_rel = seen.joints_rel.copy()
        joints_rel[..., :2] = joints_rel[..., :2] @ linear / scale  # the inverse turn, of rows
        joints_px = (seen.joints_px - offset) @ np.linalg.inv(linear).T
        return joints_px, seen.sigma_px / scale, joints_rel, seen.confidence, seen.presence, seen.left
