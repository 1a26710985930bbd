"""HandPose, the 26 degrees of freedom, and forward kinematics with its analytic Jacobian (Mueller et al. 2018, section 4).

A pose vector is (26,): wrist translation [mm], wrist rotation vector of camera_from_wrist [rad], 20 joint angles [rad].
`fk_and_jacobian` is compiled by Numba; `fk_and_jacobian_reference` is the same in NumPy, kept as its oracle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from handpose.rotation import exp_so3, left_jacobian
from handpose.skeleton import Skeleton


@dataclass(frozen=True, eq=False)
class HandPose:
    """A hand's pose: wrist_translation_mm (3,), wrist_rotation_rad (3,) of camera_from_wrist, angles_rad (20,)."""

    wrist_translation_mm: np.ndarray
    wrist_rotation_rad: np.ndarray
    angles_rad: np.ndarray

    @classmethod
    def from_vector(cls, vector: np.ndarray) -> HandPose:
        """Split a pose vector (26,)."""
        vector = np.asarray(vector, float)
        return cls(vector[:3], vector[3:6], vector[6:])

    def to_vector(self) -> np.ndarray:
        """Join the parameters into a pose vector (26,)."""
        return np.concatenate([self.wrist_translation_mm, self.wrist_rotation_rad, self.angles_rad])


def forward_kinematics(skeleton: Skeleton, vector: np.ndarray) -> np.ndarray:
    """Place the joints of a pose vector (26,): (21, 3) in the camera frame [mm]."""
    return joint_frames(skeleton, vector)[1]


def joint_frames(skeleton: Skeleton, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Give camera_from_joint rotations (21, 3, 3) and joints (21, 3) [mm].

    The frame of a joint turns with the bone that starts there; at rest all frames are the wrist's. A tip has its bone's frame.
    """
    frames, joints, _ = _walk(skeleton.offsets_mm, skeleton.axes, np.ascontiguousarray(vector, dtype=np.float64))
    return frames, joints


def jacobian(skeleton: Skeleton, vector: np.ndarray) -> np.ndarray:
    """Give the derivative (21, 3, 26) of the joints [mm] by the pose vector (rotation vector included, additive)."""
    vector = np.ascontiguousarray(vector, dtype=np.float64)
    return fk_and_jacobian(skeleton.offsets_mm, skeleton.axes, vector)[1]


@njit(cache=True)
def _wrist(rotation):
    """Rotation matrix of a rotation vector and its left Jacobian."""
    angle = np.sqrt(np.sum(rotation * rotation))
    if angle < 1e-4:
        a, b, c = 1.0 - angle**2 / 6, 0.5 - angle**2 / 24, 1 / 6 - angle**2 / 120
    else:
        a = np.sin(angle) / angle
        b = (1.0 - np.cos(angle)) / angle**2
        c = (angle - np.sin(angle)) / angle**3
    x, y, z = rotation
    k = np.array([[0.0, -z, y], [z, 0.0, -x], [-y, x, 0.0]])
    kk = k @ k
    return np.eye(3) + a * k + b * kk, np.eye(3) + b * k + c * kk


@njit(cache=True)
def _turn_by(frame, axis, angle, out):
    """out = frame turned by `angle` about its own unit `axis`, without allocating."""
    x, y, z = axis[0], axis[1], axis[2]
    c, s = np.cos(angle), np.sin(angle)
    t = 1.0 - c
    for i in range(3):
        a, b, d = frame[i, 0], frame[i, 1], frame[i, 2]
        along = t * (a * x + b * y + d * z)
        out[i, 0] = c * a + along * x + s * (b * z - d * y)
        out[i, 1] = c * b + along * y + s * (d * x - a * z)
        out[i, 2] = c * d + along * z + s * (a * y - b * x)


@njit(cache=True)
def _carry(frame, vector, out):
    """out = frame @ vector, without allocating."""
    for i in range(3):
        out[i] = frame[i, 0] * vector[0] + frame[i, 1] * vector[1] + frame[i, 2] * vector[2]


@njit(cache=True)
def _walk(offsets, axes, vector):
    """Frames (21, 3, 3), joints (21, 3) and hinge axes (20, 3) in the camera frame."""
    frames, joints, hinges = np.empty((21, 3, 3)), np.empty((21, 3)), np.empty((20, 3))
    spread, step = np.empty((3, 3)), np.empty(3)
    frames[0] = _wrist(vector[3:6])[0]
    joints[0] = vector[:3]
    for finger in range(5):
        for i in range(4):
            joint, angle = 1 + 4 * finger + i, 4 * finger + 1 + i
            parent = 0 if i == 0 else joint - 1
            _carry(frames[parent], offsets[joint], step)
            for k in range(3):
                joints[joint, k] = joints[parent, k] + step[k]
            if i == 0:
                _carry(frames[0], axes[4 * finger], hinges[4 * finger])
                _turn_by(frames[0], axes[4 * finger], vector[6 + 4 * finger], spread)
                _carry(spread, axes[angle], hinges[angle])
                _turn_by(spread, axes[angle], vector[6 + angle], frames[joint])
            elif i < 3:
                _carry(frames[parent], axes[angle], hinges[angle])
                _turn_by(frames[parent], axes[angle], vector[6 + angle], frames[joint])
            else:
                frames[joint] = frames[parent]
    return frames, joints, hinges


@njit(cache=True)
def fk_and_jacobian(offsets, axes, vector):
    """Joints (21, 3) [mm] and their derivative (21, 3, 26), for a skeleton's `offsets_mm`, `axes` and a pose vector (26,)."""
    _, joints, hinges = _walk(offsets, axes, vector)
    spin = _wrist(vector[3:6])[1]
    derivative = np.zeros((21, 3, 26))
    for joint in range(21):
        for k in range(3):
            derivative[joint, k, k] = 1.0
            _cross_into(spin[0, k], spin[1, k], spin[2, k], joints, joint, 0, derivative, 3 + k)
    for finger in range(5):
        for angle in range(4):
            pivot = 1 + 4 * finger + max(angle - 1, 0)
            x, y, z = hinges[4 * finger + angle]
            for joint in range(pivot + 1, 5 + 4 * finger):
                _cross_into(x, y, z, joints, joint, pivot, derivative, 6 + 4 * finger + angle)
    return joints, derivative


@njit(cache=True)
def _cross_into(x, y, z, joints, joint, pivot, derivative, column):
    """How a joint moves when it turns about (x, y, z) through the pivot."""
    a = joints[joint, 0] - joints[pivot, 0]
    b = joints[joint, 1] - joints[pivot, 1]
    c = joints[joint, 2] - joints[pivot, 2]
    derivative[joint, 0, column] = y * c - z * b
    derivative[joint, 1, column] = z * a - x * c
    derivative[joint, 2, column] = x * b - y * a


def fk_and_jacobian_reference(
    offsets: np.ndarray, axes: np.ndarray, vector: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Compute what `fk_and_jacobian` does, in NumPy, one finger at a time."""
    translation, rotation, angles = vector[:3], vector[3:6], vector[6:].reshape(5, 4)
    camera_from_wrist, spin = exp_so3(rotation), left_jacobian(rotation)
    joints, derivative = np.zeros((21, 3)), np.zeros((21, 3, 26))
    joints[0] = translation
    for finger in range(5):
        first = 1 + 4 * finger
        axis = axes[4 * finger : 4 * finger + 4]
        turns = exp_so3(axis * angles[finger][:, None])
        before = [camera_from_wrist]
        for turn in turns:
            before.append(before[-1] @ turn)
        bone_frames = [camera_from_wrist, before[2], before[3], before[4]]
        steps = [frame @ offset for frame, offset in zip(bone_frames, offsets[first : first + 4], strict=True)]
        joints[first : first + 4] = translation + np.cumsum(steps, axis=0)
        for k, pivot in enumerate((0, 0, 1, 2)):
            arms = joints[first + pivot + 1 : first + 4] - joints[first + pivot]
            derivative[first + pivot + 1 : first + 4, :, 6 + 4 * finger + k] = np.cross(before[k] @ axis[k], arms)
    derivative[:, :, :3] = np.eye(3)
    derivative[:, :, 3:6] = np.cross(spin.T[None], (joints - translation)[:, None]).transpose(0, 2, 1)
    return joints, derivative
