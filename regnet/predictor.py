"""From windows of a picture to Predictions: right hands are mirrored in, everything is mirrored back out. No Keras."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np
from numba import njit
from numba.extending import register_jitable

from handpose.crop import Crop
from handpose.heatmap import HEATMAP_SIZE, peaks_of
from handpose.prediction import Prediction
from handpose.runtime import INT8, load_network
from handpose.skeleton import Side

DEFAULT_WEIGHTS = Path(__file__).parent / "weights" / "regnet_light.int8.onnx"

OUTPUTS = ("heatmaps", "joints_rel", "confidence", "presence", "left")

# Confidence learns exp(-(error / 1.5 cells)^2 / 2) (regnet.losses), so it tells the error that the network expects: that of the
# largest cell. The sub-pixel place is better by the variance of rounding a point to a cell.
CONFIDENT_CELLS = 1.5
ROUNDING_VARIANCE = 2 / 12  # [cells^2], of two axes
SMALLEST_ERROR_CELLS = 0.2  # of a joint that the network is sure of: labels and sampling are no better


class Network(Protocol):
    """A loaded RegNet: crops of left hands (N, S, S, 3) uint8 to the outputs of the ONNX contract, by name."""

    input_size: int

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class WindowPrediction:
    """RegNet's answer for N windows, as they were given.

    joints_px (N, 21, 2) [window px], sigma_px (N, 21), confidence (N, 21), presence (N,), left (N,); and joints_rel (N, 21, 3), origin M0,
    unit |W-M0|, in the axes of a camera that looks straight at the hand, turned as the window is: a window tells neither its focal
    length nor, therefore, how far off its axis it shows a hand.
    """

    joints_px: np.ndarray
    sigma_px: np.ndarray
    joints_rel: np.ndarray
    confidence: np.ndarray
    presence: np.ndarray
    left: np.ndarray


class Predictor:
    """RegNet behind one call: `predictor(image, crops, sides)`."""

    def __init__(self, network: Network):
        self.network = network
        self.input_size = network.input_size

    @classmethod
    def from_file(cls, path: str | Path, runtime: str = "auto", device: str = "auto") -> Predictor:
        """Load exported weights, or with `runtime` "keras" a training run or the Keras weights beside the exported ones.

        Raises HandposeError where they cannot be used.
        """
        path = Path(path)
        if runtime == "keras":
            from regnet.keras_predictor import KerasNetwork

            return cls(KerasNetwork(keras_beside(path) if path.suffix == ".onnx" else path, device))
        return cls(load_network(path, runtime, device, OUTPUTS))

    def __call__(self, image: np.ndarray, crops: Sequence[Crop], sides: Sequence[Side]) -> list[Prediction]:
        """Look at the hands of a picture (H, W, 3) uint8: one Prediction for each crop, `sides` the assumed ones."""
        if not crops:
            return []
        cut = {crop: crop.warp(image) for crop in set(crops)}  # one that is fed both ways is cut once
        seen = self.windows([cut[crop] for crop in crops], sides)
        return [
            Prediction(
                joints_px=crop.to_image(seen.joints_px[i]),
                sigma_px=seen.sigma_px[i] * (crop.side_px / crop.size),
                joints_rel=seen.joints_rel[i] @ crop.towards(seen.joints_px[i]).T,
                confidence=seen.confidence[i],
                presence=float(seen.presence[i]),
                left=float(seen.left[i]),
            )
            for i, crop in enumerate(crops)
        ]

    def windows(self, windows: Sequence[np.ndarray] | np.ndarray, sides: Sequence[Side]) -> WindowPrediction:
        """Look at windows (N, S, S, 3) uint8 that show hands of the given sides.

        A mirrored window with the other side gives exactly the mirrored answer.
        """
        mirrored = np.array([side == "right" for side in sides])
        fed = [cv2.flip(window, 1) if side == "right" else window for window, side in zip(windows, sides, strict=True)]
        seen = self.left_hands(np.stack(fed))
        if mirrored.any():
            seen.joints_px[mirrored, :, 0] = len(windows[0]) - 1 - seen.joints_px[mirrored, :, 0]
            seen.joints_rel[mirrored, :, 0] *= -1
            seen.left[mirrored] = 1 - seen.left[mirrored]
        return seen

    def left_hands(self, windows: np.ndarray) -> WindowPrediction:
        """Look at windows (N, S, S, 3) uint8 as the network does, to which all hands are left ones."""
        outputs = self.network(windows)
        joints_rel, confidence, presence, left = (np.array(outputs[name], float) for name in OUTPUTS[1:])
        joints_px, sigma_px = _read(outputs["heatmaps"], confidence, len(windows[0]))
        return WindowPrediction(joints_px, sigma_px, joints_rel, confidence, presence[:, 0], left[:, 0])


def keras_beside(exported: Path) -> Path:
    """Name the Keras weights that `regnet export` writes beside an ONNX file, float32 or int8."""
    return exported.with_name(exported.stem.removesuffix(INT8) + ".weights.h5")


@register_jitable
def expected_error_cells(confidence: np.ndarray) -> np.ndarray:
    """Turn confidences 0..1 (...) into expected errors [heatmap cells]."""
    variance = CONFIDENT_CELLS**2 * -2 * np.log(np.clip(confidence, 1e-3, 1.0)) - ROUNDING_VARIANCE
    return np.sqrt(np.maximum(variance, SMALLEST_ERROR_CELLS**2))


@njit(cache=True)
def _read(heatmaps, confidence, size):
    """Read joints (N, 21, 2) [window px] and the errors (N, 21) to be expected of them."""
    joints_px, sigma_px = np.empty(confidence.shape + (2,)), np.empty(confidence.shape)
    scale = size / HEATMAP_SIZE
    for n in range(len(confidence)):
        cells, _ = peaks_of(heatmaps[n])
        joints_px[n] = (cells + 0.5) * scale - 0.5
        sigma_px[n] = expected_error_cells(confidence[n]) * scale
    return joints_px, sigma_px
