"""From where a hand is seen: across a desk, through the wearer's own eyes, from above, or from anywhere at all."""

from __future__ import annotations

import numpy as np

from handpose.kinematics import HandPose, forward_kinematics
from handpose.rotation import exp_so3, log_so3
from handpose.skeleton import M0, Skeleton

_KINDS = ("facing", "egocentric", "above", "anywhere")
_CHANCES = (0.46, 0.18, 0.16, 0.20)
_DISTANCES_MM = {
    "facing": (320.0, 900.0),
    "egocentric": (200.0, 550.0),
    "above": (250.0, 900.0),
    "anywhere": (220.0, 900.0),
}
_NEAREST_MM = 70.0  # no joint may come closer to the lens
_FOREARM_MM = 260.0


def sample_view(rng: np.random.Generator) -> tuple[np.ndarray, float]:
    """Draw camera_from_wrist (3, 3) of a left hand and its distance from the camera [mm]."""
    kind = _KINDS[rng.choice(4, p=_CHANCES)]
    palm = 1.0 if rng.random() < 0.52 else -1.0
    roll = rng.normal(0, np.deg2rad(32))
    if kind == "facing":
        towards = exp_so3(rng.normal(0, np.deg2rad(24), 3)) @ (0, 0, palm)
    elif kind == "egocentric":  # the forearm comes from the viewer
        lift, aside = np.deg2rad(rng.uniform((5, -40), (70, 40)))
        back = palm if rng.random() < 0.5 else -1.0
        towards = np.array([np.sin(aside), -np.sin(lift) * np.cos(aside), back * np.cos(lift) * np.cos(aside)])
    elif kind == "above":
        towards = exp_so3(rng.normal(0, np.deg2rad(25), 3)) @ ((-1, 0, 0) if rng.random() < 0.35 else (0, 0, palm))
        roll = rng.uniform(-np.pi, np.pi)
    else:
        towards = rng.normal(size=3)
        roll = rng.uniform(-np.pi, np.pi)
    low, high = _DISTANCES_MM[kind]
    # A forearm that comes towards the viewer needs room before the lens.
    low = max(low, 170 + _FOREARM_MM * max(0.0, -towards[1] / np.linalg.norm(towards)))
    return _roll(roll) @ look_from(towards), float(np.exp(rng.uniform(np.log(low), np.log(max(high, 1.2 * low)))))


def look_from(towards: np.ndarray) -> np.ndarray:
    """Give camera_from_wrist (3, 3) for a camera in direction `towards` (3,) of the wrist frame, the fingers up in the picture."""
    forward = -np.asarray(towards, float) / np.linalg.norm(towards)
    up = np.array([0.0, 1, 0]) if abs(forward[1]) < 0.99 else np.array([0.0, 0, 1])
    down = forward * (up @ forward) - up
    down /= np.linalg.norm(down)
    return np.stack([np.cross(down, forward), down, forward])


def place(skeleton: Skeleton, angles_rad: np.ndarray, camera_from_wrist: np.ndarray, at_mm: np.ndarray) -> HandPose:
    """Pose the hand with M0 at `at_mm` (3,) of the camera frame, moved away where it would touch the lens."""
    middle = camera_from_wrist @ skeleton.rest_joints_mm[M0]
    pose = HandPose(np.asarray(at_mm, float) - middle, log_so3(camera_from_wrist), np.asarray(angles_rad, float))
    missing = _NEAREST_MM - forward_kinematics(skeleton, pose.to_vector())[:, 2].min()
    if missing <= 0:
        return pose
    return HandPose(pose.wrist_translation_mm + (0, 0, missing), pose.wrist_rotation_rad, pose.angles_rad)


def turned(pose: HandPose, new_from_old: np.ndarray) -> HandPose:
    """Express a pose in the frame of a camera at the same place that looks another way: new_from_old (3, 3)."""
    rotation = log_so3(new_from_old @ exp_so3(pose.wrist_rotation_rad))
    return HandPose(new_from_old @ pose.wrist_translation_mm, rotation, pose.angles_rad)


def _roll(angle_rad: float) -> np.ndarray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0], [s, c, 0], [0, 0, 1.0]])
