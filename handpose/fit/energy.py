"""The fit's energy: E = E_2D + E_3D + E_limits + E_temporal (Mueller et al. 2018, section 4), each an error and a Jacobian.

Every error is divided by its standard deviation, so the terms need no further weights, and the inverse of the final normal matrix is the
pose's covariance. This is the reference in NumPy; `handpose.fit.solver` computes the same compiled.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handpose.kinematics import fk_and_jacobian_reference
from handpose.skeleton import ANGLE_LIMITS_RAD, Skeleton

ROBUST = 3.0  # a joint that misses by so many standard deviations counts half (Cauchy)
SIGMA_3D_MM = 12.0  # of RegNet's joints after they are given the user's bones
SIGMA_LIMIT_RAD = 0.05  # how far a joint may yield beyond its limit
MIN_DEPTH_MM = 20.0


@dataclass(frozen=True, eq=False)
class Problem:
    """What a frame says about a hand.

    observed_px (21, 2) in a pinhole camera of fx, fy, cx, cy; weight_2d (21,) 1 / standard deviation [1/px], 0 for an unseen joint.
    relative_mm (21, 3): joints minus wrist, in camera axes, with the user's bones; weight_3d (21,) [1/mm].
    expected (26,): where the motion leads; weight_temporal (26,): 1 / its standard deviation.
    """

    pinhole: np.ndarray
    observed_px: np.ndarray
    weight_2d: np.ndarray
    relative_mm: np.ndarray
    weight_3d: np.ndarray
    expected: np.ndarray
    weight_temporal: np.ndarray


def error_2d(problem: Problem, joints: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E_2D: projected joints against observed ones; errors (42,), Jacobian (42, 26)."""
    fx, fy, cx, cy = problem.pinhole
    x, y, z = joints.T
    z = np.maximum(z, MIN_DEPTH_MM)
    error = np.stack([fx * x / z + cx, fy * y / z + cy], -1) - problem.observed_px
    by_x = fx * (jacobian[:, 0] - (x / z)[:, None] * jacobian[:, 2]) / z[:, None]
    by_y = fy * (jacobian[:, 1] - (y / z)[:, None] * jacobian[:, 2]) / z[:, None]
    weight = problem.weight_2d[:, None]
    return (weight * error).ravel(), (weight[..., None] * np.stack([by_x, by_y], 1)).reshape(-1, 26)


def error_3d(problem: Problem, joints: np.ndarray, jacobian: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E_3D: joints relative to the wrist against RegNet's; errors (63,), Jacobian (63, 26)."""
    weight = problem.weight_3d[:, None]
    error = weight * (joints - joints[0] - problem.relative_mm)
    return error.ravel(), (weight[..., None] * (jacobian - jacobian[0])).reshape(-1, 26)


def error_limits(vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E_limits: how far angles are beyond their limits; errors (20,), Jacobian (20, 26)."""
    angles, (low, high) = vector[6:], ANGLE_LIMITS_RAD.T
    error = np.maximum(angles - high, 0) - np.maximum(low - angles, 0)
    derivative = np.zeros((20, 26))
    derivative[np.arange(20), 6 + np.arange(20)] = ((angles > high) | (angles < low)) / SIGMA_LIMIT_RAD
    return error / SIGMA_LIMIT_RAD, derivative


def error_temporal(problem: Problem, vector: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """E_temporal: the pose against where its own velocity leads; errors (26,), Jacobian (26, 26)."""
    return problem.weight_temporal * (vector - problem.expected), np.diag(problem.weight_temporal)


def robust(error: np.ndarray, jacobian: np.ndarray, group: int) -> tuple[float, np.ndarray, np.ndarray]:
    """Cauchy's energy of errors in groups of `group` coordinates, with the errors and Jacobian scaled for one step of least squares."""
    square = (error.reshape(-1, group) ** 2).sum(-1)
    energy = 0.5 * ROBUST**2 * np.log1p(square / ROBUST**2).sum()
    root = np.repeat(1 / np.sqrt(1 + square / ROBUST**2), group)
    return float(energy), root * error, root[:, None] * jacobian


def normal_equations(skeleton: Skeleton, problem: Problem, vector: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, gradient (26,) and Gauss-Newton matrix (26, 26) of a pose vector (26,)."""
    joints, jacobian = fk_and_jacobian_reference(skeleton.offsets_mm, skeleton.axes, vector)
    parts = [robust(*error_2d(problem, joints, jacobian), 2), robust(*error_3d(problem, joints, jacobian), 3)]
    for error, derivative in (error_limits(vector), error_temporal(problem, vector)):
        parts.append((0.5 * float(error @ error), error, derivative))
    gradient = sum(derivative.T @ error for _, error, derivative in parts)
    matrix = sum(derivative.T @ derivative for _, _, derivative in parts)
    return sum(energy for energy, _, _ in parts), np.asarray(gradient), np.asarray(matrix)
