"""One hand's fit through time: each prediction of RegNet moves the 26-DoF hand, and its motion carries it where nothing is seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit.energy import Problem
from handpose.fit.initialise import first_pose, palm_rotation, translation
from handpose.fit.observe import observe
from handpose.fit.solver import Solution, Status, energy_of, solution_at, solve
from handpose.kinematics import forward_kinematics
from handpose.lens import lens_of
from handpose.prediction import Prediction
from handpose.rotation import log_so3
from handpose.skeleton import Skeleton

FIRST_STEPS = 25  # a first frame is far from its start
# Standard deviation of what a hand does against its own motion within a second: wrist [mm], rotation and angles [rad].
_CHANGE = np.concatenate([[900.0, 900.0, 1500.0], np.full(3, 12.0), np.full(20, 14.0)])
_FIRST_CHANGE = np.concatenate([np.full(3, 400.0), np.full(3, 1.5), np.full(20, 0.9)])
_UNSEEN = np.concatenate([[0, 0, 450.0], np.zeros(23)])  # a flat hand before the camera, as in the paper
_VELOCITY_KEPT = 0.6  # a hand tends to stop
_LONGEST_GAP_S = 0.5
_COAST_S = 0.15  # then a hand that nobody saw has come to rest, or goes another way
_GROWTH_MM_S = 400.0  # of a joint's expected error while it is not seen
_DEPTHS_MM = (50.0, 20_000.0)
# Predictions whose errors are as expected leave an energy of 25, of 41 in one frame of a hundred.
_DOUBTFUL_ENERGY = 60.0
_DOUBTFUL_FRAMES = 3  # a fit that explains so many frames badly is compared with one begun anew
_CLEARLY_BETTER = 0.5


class HandFitter:
    """Fits one hand; `skeleton` and `camera` stay the same."""

    def __init__(self, skeleton: Skeleton, camera: Camera):
        self.skeleton, self.camera = skeleton, camera
        self._lens, self._lengths = lens_of(camera), skeleton.bone_lengths_mm
        self.reset()

    def reset(self) -> None:
        """Forget the past."""
        self._last: Solution | None = None
        self._velocity = np.zeros(26)
        self._time_s = 0.0
        self._doubtful = 0

    def update(self, prediction: Prediction, crop: Crop, time_s: float) -> Solution:
        """Fit the hand to what RegNet saw in a crop at `time_s` [s]; it never raises: values that make no sense count as unseen."""
        time_s = time_s if math.isfinite(time_s) else self._time_s
        frame = self.observe(prediction, crop)
        if frame is None:
            return self.predict(time_s)
        if self._last is None:
            return self._begin(frame, time_s)
        dt = min(max(time_s - self._time_s, 1e-3), _LONGEST_GAP_S)
        expected = self._last.vector + self._velocity * min(dt, _COAST_S)
        problem = replace(frame, expected=expected, weight_temporal=1 / (_CHANGE * dt))
        solution = solve(self.skeleton, problem, expected, start_below=_DOUBTFUL_ENERGY)
        if solution.status is Status.START_REFUSED:
            start = self._best_start(problem, expected)
            solution = solve(self.skeleton, replace(problem, expected=_same_turn(expected, start)), start)
        solution = self._sane(solution)
        if solution.status is Status.FAILED:
            return self.predict(time_s)
        self._doubtful = self._doubtful + 1 if solution.energy > _DOUBTFUL_ENERGY else 0
        if self._doubtful >= _DOUBTFUL_FRAMES:
            self._doubtful = 0
            anew = self._first(frame)
            if anew is not None and self._misfit(frame, anew) < _CLEARLY_BETTER * self._misfit(frame, solution):
                return self._keep(anew, np.zeros(26), time_s)
        moved = solution.vector - _same_turn(self._last.vector, solution.vector)
        return self._keep(solution, _VELOCITY_KEPT * moved / dt, time_s)

    def predict(self, time_s: float) -> Solution:
        """Carry the hand on by its motion alone; its expected errors grow. Before the first fit it is a flat hand before the camera."""
        if self._last is None:
            return solution_at(
                self.skeleton, _UNSEEN, np.inf, 0, Status.NOTHING_SEEN, np.diag((_CHANGE * _LONGEST_GAP_S) ** 2)
            )
        time_s = time_s if math.isfinite(time_s) else self._time_s
        gap = float(np.clip(time_s - self._time_s, 0, _LONGEST_GAP_S))
        vector = self._last.vector + self._velocity * min(gap, _COAST_S)
        vector[2] = np.clip(vector[2], *_DEPTHS_MM)
        grown = self._last.sigma_mm + _GROWTH_MM_S * gap
        joints = forward_kinematics(self.skeleton, vector)
        return Solution(vector, np.inf, 0, Status.NOTHING_SEEN, self._last.covariance, joints, grown)

    def observe(self, prediction: Prediction, crop: Crop) -> Problem | None:
        """Turn a prediction into the fit's terms, without a motion; None where it does not place a hand."""
        terms = observe(prediction, crop, self._lengths, self._lens)
        return None if terms is None else Problem(self._lens[:4], *terms, _UNSEEN, 1 / _FIRST_CHANGE)

    def _begin(self, frame: Problem, time_s: float) -> Solution:
        """Fit the first frame."""
        solution = self._first(frame)
        return self.predict(time_s) if solution is None else self._keep(solution, np.zeros(26), time_s)

    def _first(self, frame: Problem) -> Solution | None:
        """Fit a frame by itself, or None where that fails."""
        start = first_pose(self.skeleton, self._lens[:4], frame.relative_mm, frame.observed_px, frame.weight_2d)
        if start is None or not np.isfinite(start).all():
            return None
        solution = self._sane(solve(self.skeleton, replace(frame, expected=start), start, FIRST_STEPS))
        return None if solution.status is Status.FAILED else solution

    def _keep(self, solution: Solution, velocity: np.ndarray, time_s: float) -> Solution:
        self._last, self._velocity, self._time_s = solution, velocity, time_s
        return solution

    def _misfit(self, frame: Problem, solution: Solution) -> float:
        """Energy of what was seen and of the limits, leaving the motion out."""
        return energy_of(self.skeleton, replace(frame, weight_temporal=np.zeros(26)), solution.vector)[0]

    def _sane(self, solution: Solution) -> Solution:
        """Bring a hand that is nearer or farther than hands are back along its line of sight; behind the camera it is a failure."""
        depth = solution.vector[2]
        if _DEPTHS_MM[0] <= depth <= _DEPTHS_MM[1]:
            return solution
        if not depth > 1.0:
            return replace(solution, status=Status.FAILED)
        kept = np.clip(depth, *_DEPTHS_MM)
        place = np.append(solution.vector[:2] * kept / depth, kept)
        vector = np.concatenate([place, solution.vector[3:]])
        return solution_at(self.skeleton, vector, solution.energy, solution.steps, solution.status, solution.covariance)

    def _best_start(self, problem: Problem, expected: np.ndarray) -> np.ndarray:
        """Where the motion leads explains the frame badly: begin there, or from the palm that RegNet sees now if that is better."""
        renewed = expected.copy()
        renewed[3:6] = log_so3(palm_rotation(self.skeleton, problem.relative_mm))
        renewed = _same_turn(renewed, expected)
        renewed[:3] = 0
        place = translation(
            self._lens[:4], forward_kinematics(self.skeleton, renewed), problem.observed_px, problem.weight_2d
        )
        renewed[:3] = expected[:3] if place is None else place
        starts = [expected, renewed]
        return starts[int(np.argmin([energy_of(self.skeleton, problem, start)[0] for start in starts]))]


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
