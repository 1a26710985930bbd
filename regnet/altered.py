"""Copies of windows, turned, scaled and shifted, and RegNet's answers for them carried back."""

from __future__ import annotations

import cv2
import numpy as np

from regnet.predictor import WindowPrediction


def altered(windows: np.ndarray, copies: np.ndarray) -> np.ndarray:
    """Make a copy of each window (N, S, S, 3) by its similarity, `copies` (N, 2, 3): copy_from_window [px]."""
    size = windows.shape[2], windows.shape[1]
    return np.stack([cv2.warpAffine(window, copy, size) for window, copy in zip(windows, copies, strict=True)])


def carried_back(seen: WindowPrediction, copies: np.ndarray) -> WindowPrediction:
    """Carry the answers for such copies back to the windows."""
    linear, offset = copies[..., :2], copies[..., 2]
    scale = np.sqrt(np.linalg.det(linear))
    joints_rel = seen.joints_rel.copy()
    joints_rel[..., :2] = joints_rel[..., :2] @ linear / scale[:, None, None]  # the inverse turn, of rows
    return WindowPrediction(
        joints_px=(seen.joints_px - offset[:, None]) @ np.linalg.inv(linear).swapaxes(-1, -2),
        sigma_px=seen.sigma_px / scale[:, None],
        joints_rel=joints_rel,
        confidence=seen.confidence,
        presence=seen.presence,
        left=seen.left,
    )
