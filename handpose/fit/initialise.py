"""Where a fit starts: rotation from the palm, angles from bone directions, translation in closed form (Mueller et al. 2018, section 4)."""

from __future__ import annotations

import numpy as np
from numba import njit

from handpose.kinematics import forward_kinematics
from handpose.rotation import log_so3
from handpose.skeleton import ANGLE_LIMITS_RAD, BASES, N_JOINTS, PARENTS, Skeleton

_PALM = np.array([0, *BASES])  # joints that hardly move against one another
_START_DEPTHS_MM = (60.0, 20_000.0)


@njit(cache=True)
def with_bone_lengths(joints, lengths_mm):
    """Give joints (21, 3) bones of `lengths_mm` (21,), keeping each bone's direction: joints minus wrist (21, 3) [mm]."""
    relative = np.zeros((N_JOINTS, 3))
    for joint in range(1, N_JOINTS):
        bone = joints[joint] - joints[PARENTS[joint]]
        relative[joint] = relative[PARENTS[joint]] + bone * (lengths_mm[joint] / (np.sqrt(np.sum(bone * bone)) + 1e-9))
    return relative


def palm_rotation(skeleton: Skeleton, relative_mm: np.ndarray) -> np.ndarray:
    """Find camera_from_wrist (3, 3) that turns the rest palm best onto relative joints (21, 3)."""
    rest, seen = skeleton.offsets_mm[_PALM], relative_mm[_PALM]  # the bases start at the wrist: offsets are places
    u, _, vt = np.linalg.svd((seen - seen.mean(0)).T @ (rest - rest.mean(0)))
    return u @ np.diag([1, 1, np.sign(np.linalg.det(u @ vt))]) @ vt


def angles_from_directions(skeleton: Skeleton, rotation: np.ndarray, relative_mm: np.ndarray) -> np.ndarray:
    """Guess the angles (20,) [rad] from where the bones point, seen from the wrist turned by `rotation` (3, 3)."""
    local = relative_mm @ rotation
    angles = np.zeros((5, 4))
    for finger in range(5):
        chain = local[BASES[finger] : BASES[finger] + 4]
        bones = np.diff(chain, axis=0)
        bones /= np.linalg.norm(bones, axis=-1, keepdims=True) + 1e-9
        rest = skeleton.offsets_mm[BASES[finger] + 1]
        rest = rest / np.linalg.norm(rest)
        axes = skeleton.axes[4 * finger : 4 * finger + 4]
        angles[finger, 0] = np.arctan2(bones[0] @ np.cross(axes[0], rest), abs(bones[0] @ rest) + 0.3)
        angles[finger, 1] = np.arctan2(bones[0] @ np.cross(axes[1], rest), bones[0] @ rest)
        angles[finger, 2] = np.arccos(np.clip(bones[0] @ bones[1], -1, 1))
        angles[finger, 3] = np.arccos(np.clip(bones[1] @ bones[2], -1, 1))
    return np.clip(angles.ravel(), *ANGLE_LIMITS_RAD.T)


def translation(
    pinhole: np.ndarray, relative_mm: np.ndarray, observed_px: np.ndarray, weight: np.ndarray
) -> np.ndarray | None:
    """Place relative joints (21, 3) so that they project to observed pixels (21, 2): the wrist (3,) [mm], or None where nothing is seen.

    Least squares of the two linear equations that each joint gives; a depth that makes no sense is brought back into 60 mm..20 m.
    """
    if weight.sum() < 1e-6:
        return None
    plane = (observed_px - pinhole[2:]) / pinhole[:2]
    rows = np.zeros((N_JOINTS, 2, 3))
    rows[:, 0, 0] = rows[:, 1, 1] = 1
    rows[:, :, 2] = -plane
    wanted = plane * relative_mm[:, 2:] - relative_mm[:, :2]
    w = weight / weight.max()
    place = np.linalg.lstsq((rows * w[:, None, None]).reshape(-1, 3), (wanted * w[:, None]).ravel(), rcond=None)[0]
    depth = float(np.clip(place[2], *_START_DEPTHS_MM))
    if depth != place[2]:
        centre = (w[:, None] * plane).sum(0) / w.sum()
        place = np.append(centre * depth - relative_mm[:, :2].mean(0), depth)
    return place


def first_pose(
    skeleton: Skeleton, pinhole: np.ndarray, relative_mm: np.ndarray, observed_px: np.ndarray, weight: np.ndarray
) -> np.ndarray | None:
    """Make a pose vector (26,) from one frame alone, or None where nothing is seen."""
    rotation = palm_rotation(skeleton, relative_mm)
    angles = angles_from_directions(skeleton, rotation, relative_mm)
    vector = np.concatenate([np.zeros(3), log_so3(rotation), angles])
    place = translation(pinhole, forward_kinematics(skeleton, vector), observed_px, weight)
    if place is None:
        return None
    vector[:3] = place
    return vector
