"""Levenberg-Marquardt over the 26 degrees of freedom, compiled; it never raises in the live loop, it says how it went."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np
from numba import njit

from handpose.fit.energy import MIN_DEPTH_MM, ROBUST, SIGMA_LIMIT_RAD, Problem
from handpose.kinematics import fk_and_jacobian
from handpose.skeleton import ANGLE_LIMITS_RAD, Skeleton

MAX_STEPS = 5
_DAMPING, _LESS, _MORE = 1e-3, 0.2, 6.0
_SETTLED = 1e-6  # relative fall of the energy


class Status(Enum):
    """How a fit ended, in a sentence."""

    CONVERGED = "the energy falls no more"
    STEPS_USED = "the steps allowed were used; the pose is the best so far"
    NOTHING_SEEN = "no joint was seen: the pose is where the motion leads"
    START_REFUSED = "the start explains too little to begin there: the pose is the start"
    FAILED = "the input was not finite or the matrix not positive: the pose is the start"


@dataclass(frozen=True, eq=False)
class Solution:
    """A pose vector (26,), its energy, steps taken, status, joints_mm (21, 3) and sigma_mm (21, 2): across and along the ray.

    covariance (26, 26) is of the pose that was last seen; sigma_mm grows where motion alone carries it on.
    """

    vector: np.ndarray
    energy: float
    steps: int
    status: Status
    covariance: np.ndarray
    joints_mm: np.ndarray
    sigma_mm: np.ndarray


_STATUS = (Status.STEPS_USED, Status.CONVERGED, Status.START_REFUSED, Status.FAILED, Status.NOTHING_SEEN)
_STEPS_USED, _CONVERGED, _START_REFUSED, _FAILED, _NOTHING_SEEN = range(5)


def solve(
    skeleton: Skeleton, problem: Problem, start: np.ndarray, max_steps: int = MAX_STEPS, start_below: float = np.inf
) -> Solution:
    """Minimise the energy from `start` (26,), unless it is not below `start_below` there."""
    if not np.isfinite(start).all():
        safe = np.nan_to_num(start, nan=0.0, posinf=0.0, neginf=0.0)
        return solution_at(skeleton, safe, np.inf, 0, Status.FAILED, np.eye(26) * 1e6)
    vector, energy, steps, code, *rest = _solve(  # type: ignore[call-arg]
        _arrays(skeleton, problem), np.array(start, float), max_steps, start_below
    )
    return Solution(vector, energy, steps, _STATUS[code], *rest)


def energy_of(skeleton: Skeleton, problem: Problem, vector: np.ndarray) -> tuple[float, np.ndarray, np.ndarray]:
    """Energy, gradient (26,) and matrix (26, 26), compiled; equal to `handpose.fit.energy.normal_equations`."""
    return _normal_equations(*_arrays(skeleton, problem), np.asarray(vector, float))  # type: ignore[call-arg]


@njit(cache=True)
def sigma_of_joints(joints, jacobian, covariance):
    """Standard deviation of joints (21, 2): across the line of sight (one direction of two) and along it [mm]."""
    sigma, columns, spread = np.empty((len(joints), 2)), np.arange(10), np.empty(3)
    for j in range(len(joints)):
        _columns_of(j, columns)
        ray = joints[j] / (np.sqrt(np.sum(joints[j] * joints[j])) + 1e-9)
        total = along = 0.0
        for a in columns:
            spread[:] = 0.0
            for b in columns:
                for k in range(3):
                    spread[k] += covariance[a, b] * jacobian[j, k, b]
            turned = ray[0] * spread[0] + ray[1] * spread[1] + ray[2] * spread[2]
            for k in range(3):
                total += jacobian[j, k, a] * spread[k]
                along += jacobian[j, k, a] * ray[k] * turned
        sigma[j, 0] = np.sqrt(max((total - along) / 2, 0.0))
        sigma[j, 1] = np.sqrt(max(along, 0.0))
    return sigma


def solution_at(
    skeleton: Skeleton, vector: np.ndarray, energy: float, steps: int, status: Status, covariance: np.ndarray
) -> Solution:
    """Make the solution of a pose vector (26,) whose covariance (26, 26) is known."""
    joints, jacobian = fk_and_jacobian(skeleton.offsets_mm, skeleton.axes, vector)
    return Solution(vector, energy, steps, status, covariance, joints, sigma_of_joints(joints, jacobian, covariance))


def _arrays(skeleton: Skeleton, problem: Problem) -> tuple[np.ndarray, ...]:
    given = (
        skeleton.offsets_mm, skeleton.axes, problem.pinhole, problem.observed_px, problem.weight_2d, problem.relative_mm,
        problem.weight_3d, problem.expected, problem.weight_temporal,
    )  # fmt: skip
    return tuple(np.ascontiguousarray(array, dtype=np.float64) for array in given)


@njit(cache=True)
def _columns_of(joint, columns):
    """A joint moves with the wrist and with its own finger: 10 of the 26 parameters, of which the last four are set."""
    for a in range(4):
        columns[6 + a] = 6 + 4 * (max(joint - 1, 0) // 4) + a


@njit(cache=True)
def _add(gradient, matrix, error, row, columns, scale):
    """Take one error with its derivative by `columns`, in rising order, into the normal equations' lower half."""
    for a in range(len(columns)):
        i = columns[a]
        share = scale * row[a]
        gradient[i] += share * error
        for b in range(a + 1):
            matrix[i, columns[b]] += share * row[b]


@njit(cache=True)
def _normal_equations(
    offsets, axes, pinhole, observed, weight_2d, relative, weight_3d, expected, weight_temporal, vector
):
    joints, jacobian = fk_and_jacobian(offsets, axes, vector)
    energy, gradient, matrix = 0.0, np.zeros(26), np.zeros((26, 26))
    rows, errors, columns = np.zeros((3, 10)), np.zeros(3), np.arange(10)
    for j in range(21):
        _columns_of(j, columns)
        if weight_2d[j] > 0:
            x, y, z = joints[j, 0], joints[j, 1], max(joints[j, 2], MIN_DEPTH_MM)
            for k in range(2):
                ratio = (x if k == 0 else y) / z
                errors[k] = weight_2d[j] * (pinhole[k] * ratio + pinhole[2 + k] - observed[j, k])
                for a in range(10):
                    i = columns[a]
                    rows[k, a] = weight_2d[j] * pinhole[k] * (jacobian[j, k, i] - ratio * jacobian[j, 2, i]) / z
            square = errors[0] ** 2 + errors[1] ** 2
            energy += 0.5 * ROBUST**2 * np.log1p(square / ROBUST**2)
            for k in range(2):
                _add(gradient, matrix, errors[k], rows[k], columns, 1 / (1 + square / ROBUST**2))
        if weight_3d[j] > 0:
            square = 0.0
            for k in range(3):
                errors[k] = weight_3d[j] * (joints[j, k] - joints[0, k] - relative[j, k])
                square += errors[k] ** 2
                for a in range(10):
                    i = columns[a]
                    rows[k, a] = weight_3d[j] * (jacobian[j, k, i] - jacobian[0, k, i])
            energy += 0.5 * ROBUST**2 * np.log1p(square / ROBUST**2)
            for k in range(3):
                _add(gradient, matrix, errors[k], rows[k], columns, 1 / (1 + square / ROBUST**2))
    for i in range(26):
        error = weight_temporal[i] * (vector[i] - expected[i])
        energy += 0.5 * error**2
        gradient[i] += weight_temporal[i] * error
        matrix[i, i] += weight_temporal[i] ** 2
        if i >= 6:
            low, high = ANGLE_LIMITS_RAD[i - 6]
            beyond = max(vector[i] - high, 0.0) - max(low - vector[i], 0.0)
            if beyond != 0.0:
                energy += 0.5 * (beyond / SIGMA_LIMIT_RAD) ** 2
                gradient[i] += beyond / SIGMA_LIMIT_RAD**2
                matrix[i, i] += 1 / SIGMA_LIMIT_RAD**2
    for i in range(26):
        for k in range(i):
            matrix[k, i] = matrix[i, k]
    return energy, gradient, matrix


@njit(cache=True)
def _cholesky(matrix, damping, ridge):
    """Lower factor of matrix + damping diag(matrix) + ridge; False where that is not positive."""
    n = len(matrix)
    lower = np.zeros((n, n))
    for i in range(n):
        for k in range(i + 1):
            total = matrix[i, k]
            if i == k:
                total += damping * matrix[i, i] + ridge
            for m in range(k):
                total -= lower[i, m] * lower[k, m]
            if i == k:
                if not total > 0:
                    return lower, False
                lower[i, i] = np.sqrt(total)
            else:
                lower[i, k] = total / lower[k, k]
    return lower, True


@njit(cache=True)
def _descend(matrix, gradient, damping):
    """Solve (matrix + damping diag(matrix)) step = -gradient; False where the matrix is not positive."""
    lower, good = _cholesky(matrix, damping, 1e-12)
    n, step = len(gradient), np.empty(len(gradient))
    if not good:
        return step, False
    for i in range(n):
        total = -gradient[i]
        for m in range(i):
            total -= lower[i, m] * step[m]
        step[i] = total / lower[i, i]
    for i in range(n - 1, -1, -1):
        total = step[i]
        for m in range(i + 1, n):
            total -= lower[m, i] * step[m]
        step[i] = total / lower[i, i]
    return step, True


@njit(cache=True)
def covariance_of(matrix):
    """Inverse of a positive matrix; a very wide covariance where it is not positive."""
    lower, good = _cholesky(matrix, 0.0, 0.0)
    n = len(matrix)
    if not good:
        return np.eye(n) * 1e6
    root, inverse = np.zeros((n, n)), np.zeros((n, n))  # root: the inverse of the factor
    for i in range(n):
        root[i, i] = 1 / lower[i, i]
        for m in range(i):
            for k in range(m + 1):
                root[i, k] -= lower[i, m] * root[m, k] / lower[i, i]
    for m in range(n):
        for i in range(m + 1):
            for k in range(m + 1):
                inverse[i, k] += root[m, i] * root[m, k]
    return inverse


@njit(cache=True)
def _minimise(arrays, vector, max_steps, start_below):
    """Levenberg-Marquardt: pose, energy, steps, how it ended, matrix."""
    damping = _DAMPING
    energy, gradient, matrix = _normal_equations(*arrays, vector)
    if start_below < np.inf and not energy < start_below:
        return vector, energy, 0, _START_REFUSED, matrix
    if not np.isfinite(energy):
        return vector, energy, 0, _FAILED, np.zeros((26, 26))
    for step_number in range(max_steps):
        step, good = _descend(matrix, gradient, damping)
        if not good:
            return vector, energy, step_number, _FAILED, matrix
        trial = vector + step
        trial_energy, trial_gradient, trial_matrix = _normal_equations(*arrays, trial)
        if trial_energy < energy:
            fall = energy - trial_energy
            vector, energy, gradient, matrix = trial, trial_energy, trial_gradient, trial_matrix
            damping *= _LESS
            if fall <= _SETTLED * energy:
                return vector, energy, step_number + 1, _CONVERGED, matrix
        else:
            damping *= _MORE
            if damping > 1e8 or np.max(np.abs(step)) < 1e-9:
                return vector, energy, step_number + 1, _CONVERGED, matrix
    return vector, energy, max_steps, _STEPS_USED, matrix


@njit(cache=True)
def _solve(arrays, vector, max_steps, start_below):
    """Minimise, and say what the pose found and its covariance mean: the numbers of a `Solution`."""
    vector, energy, steps, code, matrix = _minimise(arrays, vector, max_steps, start_below)
    offsets, axes, weight_2d, weight_3d = arrays[0], arrays[1], arrays[4], arrays[6]
    if not (np.any(weight_2d != 0) or np.any(weight_3d != 0)):
        code = _NOTHING_SEEN
    covariance = covariance_of(matrix)
    joints, jacobian = fk_and_jacobian(offsets, axes, vector)
    return vector, energy, steps, code, covariance, joints, sigma_of_joints(joints, jacobian, covariance)
