"""From what RegNet says of one crop to the fit's terms, compiled."""

from __future__ import annotations

import numpy as np
from numba import njit

from handpose.crop import Crop
from handpose.fit.energy import SIGMA_3D_MM
from handpose.fit.initialise import with_bone_lengths
from handpose.lens import plane_of
from handpose.prediction import Prediction

Terms = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

_LEAST_CONFIDENCE = 0.05
_LEAST_SIGMA = 0.004  # of the hand's size in the picture: labels are no better
_LEAST_JOINTS = 3  # fewer do not place a hand
_FARTHEST_RAY = 5.0  # on the plane z = 1, 79 degrees off the axis: beyond it no lens model holds
_FARTHEST_JOINT = 10.0  # in |W-M0|: no hand is so large


def observe(prediction: Prediction, crop: Crop, lengths_mm: np.ndarray, lens: np.ndarray) -> Terms | None:
    """Give observed_px, weight_2d, relative_mm and weight_3d of a `Problem`; None where the prediction places no hand."""
    given = (prediction.joints_px, prediction.sigma_px, prediction.joints_rel, prediction.confidence)
    arrays = (np.ascontiguousarray(array, dtype=np.float64) for array in (*given, crop.camera_from_crop, lengths_mm))
    placed, *terms = _terms(*arrays, lens)  # type: ignore[call-arg]
    return tuple(terms) if placed else None  # type: ignore[return-value]


@njit(cache=True, error_model="numpy")
def _terms(joints_px, sigma_px, joints_rel, confidence, camera_from_crop, lengths_mm, lens):
    """Whether the joints place a hand, and the terms; a joint whose numbers make no sense counts as unseen."""
    count = len(joints_px)
    observed, relative = np.zeros((count, 2)), np.zeros((count, 3))
    weight_2d, weight_3d = np.zeros(count), np.zeros(count)
    for j in range(count):
        for k in range(3):
            if not abs(joints_rel[j, k]) < _FARTHEST_JOINT:  # also where it is not a number
                return False, observed, weight_2d, relative, weight_3d
            relative[j, k] = np.sum(camera_from_crop[k] * joints_rel[j])
    rays, seen = plane_of(joints_px, lens), np.zeros(count, np.bool_)
    low, high = np.full(2, np.inf), np.full(2, -np.inf)
    for j in range(count):
        inside = abs(rays[j, 0]) < _FARTHEST_RAY and abs(rays[j, 1]) < _FARTHEST_RAY
        seen[j] = inside and sigma_px[j] < np.inf and _LEAST_CONFIDENCE <= confidence[j] <= 1
        for k in range(2):
            observed[j, k] = lens[2 + k] + (rays[j, k] * lens[k] if seen[j] else 0.0)
            if seen[j]:
                low[k], high[k] = min(low[k], observed[j, k]), max(high[k], observed[j, k])
    if np.sum(seen) < _LEAST_JOINTS:
        return False, observed, weight_2d, relative, weight_3d
    least = max(_LEAST_SIGMA * max(high[0] - low[0], high[1] - low[1]), 0.3)
    for j in range(count):
        if seen[j]:
            weight_2d[j] = confidence[j] / max(sigma_px[j], least)
        weight_3d[j] = (np.sqrt(max(confidence[j], 0.1)) if seen[j] else 0.3) / SIGMA_3D_MM
    return True, observed, weight_2d, with_bone_lengths(relative, lengths_mm), weight_3d
