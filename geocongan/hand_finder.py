"""Our detector as a judge of generated pictures: how sure it is of a hand, and the crop in which it finds one. Read from its file alone."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.letterbox import Letterbox
from handpose.runtime import load_network
from handpose.weights import shipped

_MAPS = ("centre", "box", "offset", "roll")
_LEAST = 0.2  # of confidence: the tracker's own
_BATCH = 16


class HandFinder:
    """The detector's exported file, by default the one that comes along; `name` tells which. Raises HandposeError where it cannot be used."""

    def __init__(self, path: Path | None = None):
        self.network = load_network(path or shipped("tracker", "detector.onnx"), "auto", "cpu", _MAPS)
        self.name = self.network.name

    def __call__(self, pictures: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
        """Look for the one hand of each picture (N, S, S, 3) uint8: confidences (N,), and upright crops (M, size, size, 3) of those found."""
        side = pictures.shape[1]
        box, camera = Letterbox.of(side, side, self.network.input_size), Camera.from_fov((side, side))
        fed = np.stack([box.warp(picture) for picture in pictures])
        answers = [self.network(fed[i : i + _BATCH]) for i in range(0, len(fed), _BATCH)]
        maps = {name: np.concatenate([answer[name] for answer in answers]) for name in _MAPS}
        confidence, crops = maps["centre"].max((1, 2, 3)).astype(float), []
        for number in np.nonzero(confidence >= _LEAST)[0]:
            centre_px, side_px, roll_rad = _best({name: maps[name][number] for name in _MAPS}, self.network.input_size)
            crop = Crop.from_box(camera, box.to_image(centre_px), side_px / box.scale, roll_rad, size)
            crops.append(crop.warp(pictures[number]))
        return confidence, np.array(crops, np.uint8).reshape(-1, size, size, 3)


def _best(maps: dict[str, np.ndarray], size: int) -> tuple[np.ndarray, float, float]:
    """Read the surest hand off maps (G, G, ...) of a square of `size` px: centre (2,) and side [px], roll [rad]."""
    grid = maps["centre"].shape[0]
    row, column = np.unravel_index(maps["centre"][..., 0].argmax(), (grid, grid))
    offset, box, (sine, cosine) = (maps[name][row, column] for name in ("offset", "box", "roll"))
    centre_px = (np.array([column, row]) + offset + 0.5) * size / grid - 0.5
    return centre_px, float(np.exp(box[0]) * size), float(np.arctan2(sine, cosine))
