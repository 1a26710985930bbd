"""A tracked hand: what the tracker gives for each hand of a frame, with the fields of the track file."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from handpose.skeleton import Side


class State(StrEnum):
    """Whether a hand was seen in this frame, or is carried on by its motion alone."""

    TRACKED = "tracked"
    PREDICTED = "predicted"


@dataclass(frozen=True, eq=False)
class TrackedHand:
    """One hand in one frame.

    id: the same for a hand as long as it is tracked; side: the person's own hand; score 0..1.
    joints_px (21, 2): what was seen, filtered (the fit's projection where predicted). joints_mm (21, 3): the fitted hand in the
    camera frame. confidence (21,) 0..1; sigma_mm (21, 2): expected error across and along the line of sight [mm].
    wrist_translation_mm (3,), wrist_rotation_rad (3,), angles_rad (20,): the pose.
    """

    id: int
    side: Side
    state: State
    score: float
    joints_px: np.ndarray
    joints_mm: np.ndarray
    confidence: np.ndarray
    sigma_mm: np.ndarray
    wrist_translation_mm: np.ndarray
    wrist_rotation_rad: np.ndarray
    angles_rad: np.ndarray
