"""One hand's fit through time: each prediction of RegNet moves the 26-DoF hand, and its motion carries it where nothing is seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.kinematics import forward_kinematics
from handpose.prediction import Prediction
from handpose.rotation import log_so3
from handpose.skeleton import Skeleton
from tracker.energy import SIGMA_3D_MM, Problem
from tracker.initialise import first_pose, palm_rotation, translation, with_own_bones
from tracker.solver import Solution, Status, energy_of, solve

FIRST_STEPS = 25  # a first frame is far from its start
# Standard deviation of what a hand does against its own motion within a second: wrist [mm], rotation and angles [rad].
_CHANGE = np.concatenate([[900.0, 900.0, 1500.0], np.full(3, 12.0), np.full(20, 14.0)])
_FIRST_CHANGE = np.concatenate([np.full(3, 400.0), np.full(3, 1.5), np.full(20, 0.9)])
_VELOCITY_KEPT = 0.6  # a hand tends to stop
_LONGEST_GAP_S = 0.5
_LEAST_CONFIDENCE = 0.05
_LEAST_SIGMA = 0.004  # of the hand's size in the picture: labels are no better


class HandFitter:
    """Fits one hand; `skeleton` and `camera` stay the same."""

    def __init__(self, skeleton: Skeleton, camera: Camera):
        self.skeleton, self.camera = skeleton, camera
        self._pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._last: Solution | None = None
        self._velocity = np.zeros(26)
        self._time_s = 0.0

    def update(self, prediction: Prediction, crop: Crop, time_s: float) -> Solution:
        """Fit the hand to what RegNet saw in a crop at `time_s` [s]; joints that are not finite count as unseen."""
        prediction = _finite(prediction)
        relative = with_own_bones(self.skeleton, prediction.joints_rel @ crop.camera_from_crop.T)
        observed = self.camera.rays(prediction.joints_px)[:, :2] * self._pinhole[:2] + self._pinhole[2:]
        weight = self._weight_2d(prediction)
        if self._last is None:
            return self._first(observed, weight, relative, prediction.confidence, time_s)
        dt = float(np.clip(time_s - self._time_s, 1e-3, _LONGEST_GAP_S))
        expected = self._expected(dt)
        problem = self._problem(observed, weight, relative, prediction.confidence, expected, 1 / (_CHANGE * dt))
        start = self._best_start(problem, expected, relative)
        problem = replace(problem, expected=_same_turn(problem.expected, start))
        solution = solve(self.skeleton, problem, start)
        if solution.status is Status.FAILED:
            return self.predict(time_s)
        moved = solution.vector - _same_turn(self._last.vector, solution.vector)
        self._velocity = _VELOCITY_KEPT * moved / dt
        self._last, self._time_s = solution, time_s
        return solution

    def predict(self, time_s: float) -> Solution:
        """Carry the hand on by its motion alone; its covariance grows. Raises RuntimeError before the first fit."""
        if self._last is None:
            raise RuntimeError("nothing was fitted yet: there is no motion to carry on")
        gap = float(np.clip(time_s - self._time_s, 0, _LONGEST_GAP_S))
        vector = self._last.vector + self._velocity * min(gap, 0.15)
        covariance = self._last.covariance + np.diag((_CHANGE * gap) ** 2)
        grown = self._last.sigma_mm + 400.0 * gap
        joints = forward_kinematics(self.skeleton, vector)
        return Solution(vector, np.inf, 0, Status.NOTHING_SEEN, covariance, joints, grown)

    def _first(self, observed, weight, relative, confidence, time_s: float) -> Solution:
        start = first_pose(self.skeleton, self._pinhole, relative, observed, weight)
        if start is None or not np.isfinite(start).all():
            start = np.concatenate([[0, 0, 450.0], np.zeros(23)])  # a flat hand before the camera, as in the paper
        problem = self._problem(observed, weight, relative, confidence, start, 1 / _FIRST_CHANGE)
        solution = solve(self.skeleton, problem, start, FIRST_STEPS)
        if solution.status is not Status.FAILED:
            self._last, self._time_s = solution, time_s
        return solution

    def _expected(self, dt: float) -> np.ndarray:
        assert self._last is not None
        return self._last.vector + self._velocity * dt

    def _problem(self, observed, weight, relative, confidence, expected, weight_temporal) -> Problem:
        trust = np.where(confidence < _LEAST_CONFIDENCE, 0.3, np.sqrt(np.clip(confidence, 0.1, 1)))
        return Problem(self._pinhole, observed, weight, relative, trust / SIGMA_3D_MM, expected, weight_temporal)

    def _weight_2d(self, prediction: Prediction) -> np.ndarray:
        size = float(np.ptp(prediction.joints_px, axis=0).max())
        sigma = np.maximum(prediction.sigma_px, max(_LEAST_SIGMA * size, 0.3))
        return np.where(prediction.confidence < _LEAST_CONFIDENCE, 0.0, prediction.confidence / sigma)

    def _best_start(self, problem: Problem, expected: np.ndarray, relative: np.ndarray) -> np.ndarray:
        """Begin from the palm that RegNet sees now, or from where the motion leads: whichever explains the frame better."""
        renewed = expected.copy()
        renewed[3:6] = log_so3(palm_rotation(self.skeleton, relative))
        renewed = _same_turn(renewed, expected)
        renewed[:3] = 0
        place = translation(
            self._pinhole, forward_kinematics(self.skeleton, renewed), problem.observed_px, problem.weight_2d
        )
        renewed[:3] = expected[:3] if place is None else place
        starts = [expected, renewed]
        return starts[int(np.argmin([energy_of(self.skeleton, problem, start)[0] for start in starts]))]


def _finite(prediction: Prediction) -> Prediction:
    good = np.isfinite(prediction.joints_px).all(-1) & np.isfinite(prediction.joints_rel).all(-1)
    if good.all():
        return prediction
    return replace(
        prediction, joints_px=np.nan_to_num(prediction.joints_px), joints_rel=np.nan_to_num(prediction.joints_rel),
        confidence=np.where(good, prediction.confidence, 0.0),
    )  # fmt: skip


def _same_turn(vector: np.ndarray, reference: np.ndarray) -> np.ndarray:
    """Write the same rotation by the rotation vector nearest to the reference's: they differ by full turns."""
    rotation = vector[3:6]
    angle = math.sqrt(float(rotation @ rotation))
    if angle < 1e-6:
        return vector
    # All ways to write it lie on one line, a full turn apart: the nearest is where the reference projects onto it.
    along = float(rotation @ reference[3:6]) / angle
    turns = min(max(round((along - angle) / (2 * math.pi)), -1), 1)
    if turns == 0:
        return vector
    return np.concatenate([vector[:3], rotation * (1 + 2 * math.pi * turns / angle), vector[6:]])
