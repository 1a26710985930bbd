"""A frozen RegNet as the eye that compares pictures of hands: features for FID and KID, joints for drift.

It is older than every translator and never replaced, so that figures of one year may be set beside those of another.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handpose.heatmap import decode_heatmaps
from handpose.runtime import load_network
from handpose.weights import shipped

_BATCH = 32


class Eye:
    """An exported RegNet, by default the one that comes along for this; `name` and `sha256` tell which. Raises HandposeError where it cannot be used."""

    def __init__(self, path: Path | None = None):
        self.network = load_network(path or shipped("geocongan", "eye.onnx"), "auto", "cpu", ("features", "heatmaps"))
        self.name, self.sha256 = self.network.name, self.network.sha256

    def __call__(self, pictures: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Look at pictures (N, S, S, 3) uint8: features (N, C), and joints (N, 21, 2) [of the picture's side]."""
        size = self.network.input_size
        fed = np.stack([cv2.resize(picture, (size, size), interpolation=cv2.INTER_AREA) for picture in pictures])
        answers = [self.network(fed[i : i + _BATCH]) for i in range(0, len(fed), _BATCH)]
        maps = np.concatenate([answer["heatmaps"] for answer in answers])
        cells, _ = decode_heatmaps(maps)
        return np.concatenate([answer["features"] for answer in answers]).astype(float), (cells + 0.5) / maps.shape[-1]
