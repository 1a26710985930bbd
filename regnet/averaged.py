"""Test-time augmentation: a network's mean answer for a window and for copies of it, turned and scaled a little.

A mirrored copy is none of them: of hands of the other side the network was taught fewer (`regnet.items`), and places them worse.
"""

from __future__ import annotations

import numpy as np

from handpose.heatmap import HEATMAP_SIZE
from handpose.rotation import plane_rotation
from regnet.altered import altered, carried_back
from regnet.predictor import CONFIDENT_CELLS, Network, WindowPrediction
from regnet.second_look import SecondLookPredictor

_COPIES = ((0.0, 1.0), (-0.15, 1.0), (0.15, 1.0), (0.0, 0.92), (0.0, 1.08))  # turned by [rad], scaled


class AveragingPredictor(SecondLookPredictor):
    """Looks at each window as it is and at four copies, and gives the mean of the five answers."""

    def __init__(self, network: Network):
        super().__init__(network)
        middle = (self.input_size - 1) / 2
        linear = [scale * plane_rotation(turn) for turn, scale in _COPIES]
        self._copies = [np.column_stack([m, middle - m @ (middle, middle)]) for m in linear]

    def left_hands(self, windows: np.ndarray) -> WindowPrediction:
        """Look at windows (N, S, S, 3) uint8 as `Predictor.left_hands` does."""
        answers = []
        for copy in self._copies:
            copies = np.broadcast_to(copy, (len(windows), *copy.shape))
            answers.append(carried_back(super().left_hands(altered(windows, copies)), copies))
        return merged(answers, self.input_size)


def merged(answers: list[WindowPrediction], size: int) -> WindowPrediction:
    """Average answers for the same windows of side `size`, the surer ones counting more.

    Where they disagree, a joint is less sure than they say.
    """
    places, sigma = (np.array([getattr(answer, name) for answer in answers]) for name in ("joints_px", "sigma_px"))
    weights = np.maximum(sigma, 1e-6) ** -2
    weights /= weights.sum(0)
    place = (weights[..., None] * places).sum(0)
    scatter = (weights * ((places - place) ** 2).sum(-1)).sum(0)
    confident_px = CONFIDENT_CELLS * size / HEATMAP_SIZE
    return WindowPrediction(
        joints_px=place,
        sigma_px=np.sqrt((weights * sigma).sum(0) ** 2 + scatter),
        joints_rel=(weights[..., None] * [answer.joints_rel for answer in answers]).sum(0),
        confidence=np.mean([answer.confidence for answer in answers], axis=0) * np.exp(-scatter / confident_px**2 / 2),
        presence=np.mean([answer.presence for answer in answers], axis=0),
        left=np.mean([answer.left for answer in answers], axis=0),
    )
