"""Where to look for a hand next, and whether it is one."""

from __future__ import annotations

import math

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.prediction import Prediction

STILL_THERE = 0.45  # a tracked hand stays tracked while its score is at least this
_SMALLEST_CROP_PX = 12.0
_FOUND_WEIGHTS, _FOUND_BIAS = np.array([0.86, 1.23, 1.0]), -6.48  # of detector, presence, confidence


def crop_around(camera: Camera, joints_px: np.ndarray, otherwise: Crop) -> Crop:
    """Aim at joints (21, 2) [px]; where they are no hand (not finite, tiny, far larger than the picture), keep `otherwise`."""
    extent = float(np.ptp(joints_px, axis=0).max())
    sane = np.isfinite(joints_px).all() and _SMALLEST_CROP_PX / 2 < extent < 3 * max(camera.size_px)
    return Crop.from_joints(camera, joints_px, otherwise.size) if sane else otherwise


def hand_score(prediction: Prediction) -> float:
    """How sure it is that a crop shows a hand whose joints were found, 0..1: presence and the joints' confidence both have to be high."""
    return float(np.sqrt(prediction.presence * prediction.confidence.mean()))


def found_score(detector_score: float, prediction: Prediction) -> float:
    """How sure detector and RegNet are together that a hand was found anew, 0..1.

    A logistic regression on photographs of hands (shrunk, squeezed, darkened and blurred as others take them) against pictures of
    rooms and clothes, none of them an evaluation picture; at 0.5 it takes 3% of those without a hand for one (tools/weigh_found_hands.py
    --n 60 --false-share 0.03).
    """
    opinions = np.array([detector_score, prediction.presence, float(prediction.confidence.mean())])
    chances = np.clip(opinions, 1e-3, 1 - 1e-3)
    odds = float(_FOUND_WEIGHTS @ np.log(chances / (1 - chances)) + _FOUND_BIAS)
    return 1 / (1 + math.exp(-odds))
