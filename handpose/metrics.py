"""Errors of hands as the literature counts them. A number without its alignment says nothing, so a Score carries it.

Joints are (N, 21, 3) [mm] or (N, 21, 2) [px]; distances are (N, J) in the same unit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from handpose.skeleton import M0, TIPS, WRIST

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
    """Give the share of joints at most `limit` away, 0..1; NaN distances (no label) do not count."""
    known = np.asarray(distance)[np.isfinite(distance)]
    return float((known <= limit).mean())


def auc(distance: np.ndarray, low: float, high: float, steps: int = 100) -> float:
    """Give the area under the PCK curve from `low` to `high`, as a share of the range, 0..1 (trapezoids of `steps` thresholds)."""
    known = np.sort(np.asarray(distance)[np.isfinite(distance)])
    curve = np.searchsorted(known, np.linspace(low, high, steps), side="right") / len(known)
    return float(((curve[1:] + curve[:-1]) / 2).mean())


def absolute(predicted: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Align nothing."""
    return np.asarray(predicted, float)


def root_aligned(predicted: np.ndarray, truth: np.ndarray, root: int = M0) -> np.ndarray:
    """Move predicted joints (..., 21, 3) so that the `root` joints, M0 or W, coincide."""
    return predicted - predicted[..., root : root + 1, :] + truth[..., root : root + 1, :]


def root_and_scale_aligned(predicted: np.ndarray, truth: np.ndarray, root: int = M0) -> np.ndarray:
    """Scale predicted joints (..., 21, 3) to the true |W-M0|, then move the `root` joints together."""
    scale = _palm(truth) / np.maximum(_palm(predicted), 1e-9)
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
    "M0 aligned": root_aligned,
    "W aligned": lambda predicted, truth: root_aligned(predicted, truth, WRIST),
    "M0 and |W-M0| aligned": root_and_scale_aligned,
    "fingertip centroid and spread aligned": fingertips_and_scale_aligned,
    "aligned by a similarity": procrustes_aligned,
}


def mpjpe(predicted: np.ndarray, truth: np.ndarray, alignment: str) -> Score:
    """Give the mean joint error [mm] of hands (N, 21, 3) after one of `ALIGNMENTS`; PA-MPJPE after a similarity."""
    error = distances(ALIGNMENTS[alignment](predicted, truth), truth)
    name = "PA-MPJPE" if alignment == "aligned by a similarity" else "MPJPE"
    return Score(name, float(np.nanmean(error)), "mm", alignment, _joints(error), len(error))


def auc_score(predicted: np.ndarray, truth: np.ndarray, alignment: str, low_mm: float, high_mm: float) -> Score:
    """Give the AUC of hands (N, 21, 3) from `low_mm` to `high_mm` after one of `ALIGNMENTS`."""
    error = distances(ALIGNMENTS[alignment](predicted, truth), truth)
    return Score(
        f"AUC {low_mm:g}-{high_mm:g} mm", auc(error, low_mm, high_mm), "", alignment, _joints(error), len(error)
    )


def acceleration_error(predicted: np.ndarray, truth: np.ndarray, frames_per_s: float) -> float:
    """Give the mean error of joint accelerations [mm/s^2] of a track (frames, 21, 3), by second differences."""
    return float(distances(np.diff(predicted, 2, axis=0), np.diff(truth, 2, axis=0)).mean() * frames_per_s**2)


def _palm(joints: np.ndarray) -> np.ndarray:
    return np.linalg.norm(joints[..., M0, :] - joints[..., WRIST, :], axis=-1)[..., None, None]


def _joints(error: np.ndarray) -> str:
    return f"{int(np.isfinite(error).any(0).sum())} joints"
