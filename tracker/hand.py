"""A tracked hand: what the tracker gives for each hand of a frame, with the fields of the track file."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from handpose.kinematics import HandPose
from handpose.skeleton import PARENTS, Side, Skeleton

# The numbers of a hand, in the order of a track file, and the decimals that it keeps of them, of all others five.
SHAPES = {
    "joints_px": (21, 2), "joints_mm": (21, 3), "confidence": (21,), "sigma_mm": (21, 2), "wrist_translation_mm": (3,),
    "wrist_rotation_rad": (3,), "angles_rad": (20,),
}  # fmt: skip
_DECIMALS = {"joints_px": 2, "joints_mm": 2, "confidence": 3, "sigma_mm": 2, "wrist_translation_mm": 3}


class State(StrEnum):
    """Whether a hand was seen in this frame, or is carried on by its motion alone."""

    TRACKED = "tracked"
    PREDICTED = "predicted"


@dataclass(frozen=True, eq=False)
class TrackedHand:
    """One hand in one frame.

    id: the same for a hand as long as it is tracked; side: the person's own hand; score 0..1.
    joints_px (21, 2): what was seen, filtered (the fit's projection where predicted). joints_mm (21, 3): the fitted hand in the
    camera frame. confidence (21,) 0..1; sigma_mm (21, 2): expected error along each axis across the line of sight, and along it [mm],
    if camera and hand size are right.
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

    @property
    def vector(self) -> np.ndarray:
        """The pose as kinematics takes it, (26,): wrist [mm, rad] and angles [rad]."""
        return HandPose(self.wrist_translation_mm, self.wrist_rotation_rad, self.angles_rad).to_vector()


def across_and_along(vectors: np.ndarray, places_mm: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Split vectors (..., 3) by the line of sight to their places (..., 3): lengths (...) across and along it."""
    rays = places_mm / np.linalg.norm(places_mm, axis=-1, keepdims=True)
    along = (vectors * rays).sum(-1)
    return np.linalg.norm(vectors - along[..., None] * rays, axis=-1), np.abs(along)


def apart_mm(joints_mm: np.ndarray, others_mm: np.ndarray) -> np.ndarray:
    """Tell how far joints (21, 3) are from others, (21, 2) as sigma_mm: along each axis across the line of sight, on average, and along it."""
    across, along = across_and_along(joints_mm - others_mm, others_mm)
    return np.stack([across / math.sqrt(2), along], axis=-1)


def rounded(name: str, values: np.ndarray) -> np.ndarray:
    """Round what `SHAPES` calls by `name` as track files do."""
    return np.round(values, _DECIMALS.get(name, 5))


def skeleton_of(side: Side, joints_mm: np.ndarray) -> Skeleton:
    """Give the hand that a track was fitted with, by its joints in all frames (T, 21, 3) [mm]: a track file rounds each."""
    lengths = np.median(np.linalg.norm(joints_mm - joints_mm[:, PARENTS], axis=-1), axis=0)
    return Skeleton.default(side).with_bone_lengths(lengths)
