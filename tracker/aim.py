"""Where to look for a hand next, and whether it is one."""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.lens import pixel_of
from handpose.prediction import Prediction

STILL_THERE = 0.45  # a tracked hand stays tracked while its score is at least this
SMALLEST_CROP_PX = 12.0
_LEAST_CONFIDENCE = 0.15  # a joint less sure than this is aimed at where the fit puts it
_FOUND_WEIGHTS, _FOUND_BIAS = np.array([0.99, 0.8, 0.0]), -3.45  # of detector, presence, confidence


def crop_around(camera: Camera, joints_px: np.ndarray, otherwise: Crop) -> Crop:
    """Aim at joints (21, 2) [px]; where they are no hand (not finite, tiny, far larger than the picture), keep `otherwise`.

    So too where the lens sees nothing of a joint beyond the picture's edge.
    """
    left, top, right, bottom = box_of(joints_px)
    sane = SMALLEST_CROP_PX / 2 < max(right - left, bottom - top) < 3 * max(camera.size_px)
    crop = Crop.from_joints(camera, joints_px, otherwise.size) if sane else otherwise
    return crop if math.isfinite(crop.focal_px) else otherwise


def where_seen(camera: Camera, joints_mm: np.ndarray) -> np.ndarray:
    """Project fitted joints (..., 21, 3) [mm]: where they would be seen [px]; one behind the camera as if it were just before it."""
    return camera.project(np.maximum(joints_mm, (-np.inf, -np.inf, 1.0)))


@njit(cache=True)
def box_of(joints_px):
    """Box of joints (21, 2): left, top, right, bottom [px]; not a number where one of them is none."""
    low, high = joints_px[0].copy(), joints_px[0].copy()
    for joint in joints_px:
        for k in range(2):
            if np.isnan(joint[k]):
                return np.nan, np.nan, np.nan, np.nan
            low[k], high[k] = min(low[k], joint[k]), max(high[k], joint[k])
    return low[0], low[1], high[0], high[1]


@njit(cache=True, error_model="numpy")
def steadied(joints_px, confidence, fitted_mm, lens):
    """Joints (21, 2) [px] as seen; unsure ones are taken from where the fit (21, 3) puts them."""
    joints = joints_px.copy()
    for j in range(len(joints)):
        if confidence[j] < _LEAST_CONFIDENCE:
            u, v = pixel_of(fitted_mm[j, 0], fitted_mm[j, 1], max(fitted_mm[j, 2], 1.0), lens)
            joints[j, 0] = u if np.isfinite(u) else joints[j, 0]
            joints[j, 1] = v if np.isfinite(v) else joints[j, 1]
    return joints


def hand_score(prediction: Prediction) -> float:
    """How sure it is that a crop shows a hand whose joints were found, 0..1: presence and the joints' confidence both have to be high."""
    return math.sqrt(prediction.presence * float(prediction.confidence.mean()))


def found_score(detector_score: float, prediction: Prediction) -> float:
    """How sure detector and RegNet are together that a hand was found anew, 0..1.

    A logistic regression on pictures of hands, easy and hard (tools/hands_to_find.py), against pictures of rooms and clothes, none of
    them an evaluation picture; at 0.5 it takes 1.5% of those without a hand for one (tools/weigh_found_hands.py --n 60 --false-share
    0.015).
    """
    opinions = np.array([detector_score, prediction.presence, float(prediction.confidence.mean())])
    chances = np.clip(opinions, 1e-3, 1 - 1e-3)
    odds = float(_FOUND_WEIGHTS @ np.log(chances / (1 - chances)) + _FOUND_BIAS)
    return 1 / (1 + math.exp(-odds))
