"""Errors of hands as the literature counts them. A number without its alignment says nothing, so a Score carries it.

Joints are (N, 21, 3) [mm] or (N, 21, 2) [px]; distances are (N, J) in the same unit.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handpose.skeleton import JOINT_NAMES, M0, TIPS, WRIST

_M1 = JOINT_NAMES.index("M1")

Alignment = Callable[[np.ndarray, np.ndarray], np.ndarray]


@dataclass(frozen=True)
class Score:
    """A figure with what it means: `alignment` of the 3D joints before comparing, over `joints`, on `n` hands."""

    name: str
    value: float
    unit: str
    alignment: str
    joints: str
    n: int

    def __str__(self) -> str:
        unit = f" {self.unit}" if self.unit else ""
        return f"{self.name} {self.value:.3f}{unit} ({self.alignment}; {self.joints}; n={self.n})"


def distances(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give the distance (..., J) of each joint (..., J, 2 or 3) to its truth: the endpoint error (EPE) of each."""
    return np.linalg.norm(np.asarray(predicted, float) - np.asarray(truth, float), axis=-1)


def pck(distance: np.ndarray, limit: float) -> float:
    """Give the share of joints at most `limit` away, 0..1; NaN distances (no label) do not count, and NaN is given where all are."""
    known = _known(distance)
    return float((known <= limit).mean()) if len(known) else math.nan


def auc(distance: np.ndarray, low: float, high: float, steps: int = 100) -> float:
    """Give the area under the PCK curve from `low` to `high`, as a share of the range, 0..1 (trapezoids of `steps` thresholds); NaN as `pck`."""
    known = np.sort(_known(distance))
    if not len(known):
        return math.nan
    curve = np.searchsorted(known, np.linspace(low, high, steps), side="right") / len(known)
    return float(((curve[1:] + curve[:-1]) / 2).mean())


def absolute(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Align nothing."""
    return np.asarray(predicted, float)


def depth_aligned(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Give predicted joints (..., J, 3) of the camera's frame their true depth: what is left is the error across the view."""
    return np.concatenate([predicted[..., :2], truth[..., 2:]], axis=-1)


def root_aligned(predicted: np.ndarray, truth: np.ndarray, root: int = M0) -> np.ndarray:
    """Move predicted joints (..., 21, 3) so that the `root` joints, M0 or W, coincide."""
    return predicted - predicted[..., root : root + 1, :] + truth[..., root : root + 1, :]


def root_and_scale_aligned(
    predicted: np.ndarray, truth: np.ndarray, root: int = M0, bone: tuple[int, int] = (WRIST, M0)
) -> np.ndarray:
    """Scale predicted joints (..., 21, 3) to the true length of `bone`, then move the `root` joints together."""
    scale = _length(truth, bone) / np.maximum(_length(predicted, bone), 1e-9)
    return root_aligned(predicted * scale, truth, root)


def fingertips_and_scale_aligned(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Move the centroids of the labelled fingertips together and scale to their mean distance from it.

    For datasets that label tips alone: joints (..., 21, 3), those without a label NaN in the truth.
    """
    tips = list(TIPS)
    wanted = truth[..., tips, :]
    seen = np.where(np.isnan(wanted), np.nan, predicted[..., tips, :])
    centre_wanted, centre_seen = np.nanmean(wanted, -2, keepdims=True), np.nanmean(seen, -2, keepdims=True)
    spread_wanted = np.nanmean(np.linalg.norm(wanted - centre_wanted, axis=-1), -1)
    spread_seen = np.nanmean(np.linalg.norm(seen - centre_seen, axis=-1), -1)
    scale = (spread_wanted / np.maximum(spread_seen, 1e-9))[..., None, None]
    return (predicted - centre_seen) * scale + centre_wanted


def procrustes_aligned(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Apply the similarity (rotation, scale, shift; no mirror) that brings joints (..., J, 3) nearest to the truth."""
    mean_predicted, mean_truth = predicted.mean(-2, keepdims=True), truth.mean(-2, keepdims=True)
    a, b = predicted - mean_predicted, truth - mean_truth
    u, singular, vt = np.linalg.svd(np.swapaxes(a, -1, -2) @ b)
    signs = np.ones(singular.shape)
    signs[..., -1] = np.sign(np.linalg.det(u @ vt))
    rotation = (u * signs[..., None, :]) @ vt
    scale = (singular * signs).sum(-1) / np.maximum((a**2).sum((-1, -2)), 1e-12)
    return scale[..., None, None] * (a @ rotation) + mean_truth


ALIGNMENTS: dict[str, Alignment] = {
    "absolute": absolute,
    "absolute, error of depth left out": depth_aligned,
    "M0 aligned": root_aligned,
    "W aligned": lambda predicted, truth: root_aligned(predicted, truth, WRIST),
    "M0 and |W-M0| aligned": root_and_scale_aligned,
    "W and |W-M0| aligned": lambda predicted, truth: root_and_scale_aligned(predicted, truth, WRIST),
    "W and |M0-M1| aligned": lambda predicted, truth: root_and_scale_aligned(predicted, truth, WRIST, (M0, _M1)),
    "fingertip centroid and spread aligned": fingertips_and_scale_aligned,
    "aligned by a similarity": procrustes_aligned,
}


def mpjpe(predicted: np.ndarray, truth: np.ndarray, alignment: str) -> Score:
    """Give the mean joint error [mm] of hands (N, 21, 3) after one of `ALIGNMENTS`; PA-MPJPE after a similarity."""
    return mpjpe_of(aligned_distances(predicted, truth, alignment), alignment)


def aligned_distances(predicted: np.ndarray, truth: np.ndarray, alignment: str) -> np.ndarray:
    """Give the distances (N, 21) [mm] of hands (N, 21, 3) after one of `ALIGNMENTS`; NaN where the truth is."""
    return distances(ALIGNMENTS[alignment](predicted, truth), truth)


def mpjpe_of(distance: np.ndarray, alignment: str) -> Score:
    """Give the mean of distances (N, 21) [mm] that are left after `alignment`."""
    name = "PA-MPJPE" if alignment == "aligned by a similarity" else "MPJPE"
    known = _known(distance)
    value = float(known.mean()) if len(known) else math.nan
    return Score(name, value, "mm", alignment, _joints(distance), len(distance))


def auc_of(distance: np.ndarray, alignment: str, low_mm: float, high_mm: float) -> Score:
    """Give the AUC from `low_mm` to `high_mm` of distances (N, 21) [mm] that are left after `alignment`."""
    value = auc(distance, low_mm, high_mm)
    return Score(f"AUC {low_mm:g}-{high_mm:g} mm", value, "", alignment, _joints(distance), len(distance))


def f_score(predicted: np.ndarray, truth: np.ndarray, limit: float) -> float:
    """Give the F-score of vertices (V, 3) against true ones (U, 3): harmonic mean of precision and recall at `limit` (Knapitsch et al. 2017).

    A vertex is right where the nearest one of the other mesh is less than `limit` away; the meshes need not have the same vertices.
    """
    from scipy.spatial import cKDTree  # slow to import, and tracking needs none of it

    precision = float((cKDTree(truth).query(predicted)[0] < limit).mean())
    recall = float((cKDTree(predicted).query(truth)[0] < limit).mean())
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def acceleration_error(predicted: np.ndarray, truth: np.ndarray, frames_per_s: float) -> Score:
    """Give the mean error of joint accelerations [mm/s^2] of a track (frames, 21, 3), by second differences.

    A frame without the hand is NaN; `n` counts the frames that have it and so do both neighbours. NaN where there is none.
    """
    error = distances(np.diff(predicted, 2, axis=0), np.diff(truth, 2, axis=0)) * frames_per_s**2
    error = error[np.isfinite(error).all(-1)]
    value = float(error.mean()) if len(error) else np.nan
    return Score("acceleration error", value, "mm/s^2", "absolute", f"{error.shape[-1]} joints", len(error))


def _length(joints: np.ndarray, bone: tuple[int, int]) -> np.ndarray:
    start, end = bone
    return np.linalg.norm(joints[..., end, :] - joints[..., start, :], axis=-1)[..., None, None]


def _known(distance: np.ndarray) -> np.ndarray:
    """Take the distances (K,) of labelled joints."""
    return np.asarray(distance)[np.isfinite(distance)]


def _joints(error: np.ndarray) -> str:
    return f"{int(np.isfinite(error).any(0).sum())} joints"
