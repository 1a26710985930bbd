"""The detector at work: a picture in, hands with box, roll, side and score out. NumPy only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from handpose.letterbox import Letterbox
from tracker.detector_targets import STRIDE

DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "detector.onnx"
THRESHOLD = 0.2  # low: RegNet has the last word
_OVERLAP = 0.5  # two detections whose centres are nearer than this, in sides of the larger, are one hand


class Network(Protocol):
    """A loaded detector: squares (N, S, S, 3) uint8 to maps (N, G, G, ...) by name: centre and left as chances, box, offset, roll."""

    input_size: int

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class Detection:
    """A hand in a picture: centre (2,) and side of its square rolled box [px], roll [rad] clockwise from up, chance to be a left hand, score 0..1."""

    centre_px: np.ndarray
    side_px: float
    roll_rad: float
    left: float
    score: float


class Detector:
    """The detection network behind one call: `detector(image)` gives Detections, best first."""

    def __init__(self, network: Network, threshold: float = THRESHOLD):
        self.network, self.threshold = network, threshold

    @classmethod
    def from_file(cls, path: str | Path = DEFAULT_WEIGHTS, runtime: str = "auto", device: str = "auto") -> Detector:
        """Load an exported detector. Raises HandposeError where it cannot be used."""
        from handpose.runtime import load_network

        return cls(load_network(path, runtime, device, outputs=("centre", "box", "offset", "roll", "left")))

    def __call__(self, image: np.ndarray) -> list[Detection]:
        """Find the hands of a picture (H, W, 3) uint8."""
        size = self.network.input_size
        box = Letterbox.of(image.shape[1], image.shape[0], size)
        maps = self.network(box.warp(image)[None])
        found = decode_maps({name: np.asarray(value)[0] for name, value in maps.items()}, size, self.threshold)
        return [
            Detection(box.to_image(hand.centre_px), hand.side_px / box.scale, hand.roll_rad, hand.left, hand.score)
            for hand in found
        ]


def decode_maps(maps: dict[str, np.ndarray], size: int, threshold: float) -> list[Detection]:
    """Read the hands off the maps (G, G, ...) of one picture of `size` px: peaks above `threshold`, best first, one per hand."""
    centre = np.ascontiguousarray(maps["centre"][..., 0], dtype=np.float32)
    is_peak = (centre >= threshold) & (centre == cv2.dilate(centre, np.ones((3, 3), np.uint8)))
    rows, columns = np.nonzero(is_peak)
    found = []
    for row, column in zip(rows, columns, strict=True):
        sine, cosine = maps["roll"][row, column]
        found.append(
            Detection(
                (np.array([column, row]) + maps["offset"][row, column] + 0.5) * STRIDE - 0.5,
                float(np.exp(np.clip(maps["box"][row, column, 0], -6, 1)) * size),
                float(np.arctan2(sine, cosine)),
                float(maps["left"][row, column, 0]),
                float(centre[row, column]),
            )
        )
    return without_doubles(found)


def without_doubles(found: list[Detection]) -> list[Detection]:
    """Keep the best of detections that lie on one hand, best first."""
    kept: list[Detection] = []
    for one in sorted(found, key=lambda one: -one.score):
        if not any(same_hand(one, other) for other in kept):
            kept.append(one)
    return kept


def same_hand(a: Detection, b: Detection) -> bool:
    """Say whether two detections lie on one hand."""
    return bool(np.linalg.norm(a.centre_px - b.centre_px) < _OVERLAP * max(a.side_px, b.side_px))
