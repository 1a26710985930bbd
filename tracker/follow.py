"""One hand followed through a video: where to look for it next, which side it is, its fit, its filters and its state."""

from __future__ import annotations

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.kinematics import HandPose, forward_kinematics
from handpose.prediction import Prediction
from handpose.skeleton import Side, Skeleton
from tracker.filters import OneEuro, PoseFilter
from tracker.fitter import HandFitter
from tracker.hand import State, TrackedHand
from tracker.solver import Solution

PRESENT = 0.5  # least score of a hand that is there
_LOST_AFTER_S = 0.4  # a hand unseen for so long is gone
_VOTE_KEPT = 0.93  # of the side's vote from frame to frame
_FLIP = 0.15  # a track changes its side only when the vote is this far on the other one


class Follower:
    """Follows one hand from its first prediction on."""

    def __init__(self, number: int, side: Side, left_chance: float, camera: Camera, skeletons: dict[Side, Skeleton]):
        self.id, self.camera, self._skeletons = number, camera, skeletons
        self._vote = left_chance
        self._last_seen_s = 0.0
        self.lost = False
        self._begin(side)

    def _begin(self, side: Side) -> None:
        self.side: Side = side
        self._fitter = HandFitter(self._skeletons[side], self.camera)
        self._pose_filter = PoseFilter()
        # Hz, and Hz per px/s: at 640 px wide a hand at rest shakes by a pixel, a fast one crosses 1000 px/s.
        self._joint_filter = OneEuro(2.5, 0.02)
        self.joints_px: np.ndarray | None = None

    def crop(self, size: int) -> Crop:
        """Aim at where the hand was last."""
        return Crop.from_joints(self.camera, self.joints_px, size)

    def see(self, prediction: Prediction, crop: Crop, time_s: float) -> TrackedHand | None:
        """Take in what RegNet saw in this follower's crop: the hand, `predicted` where it is hidden, None once it is lost."""
        score = hand_score(prediction)
        if score < PRESENT:
            return self._unseen(score, time_s)
        self._last_seen_s = time_s
        self._vote = _VOTE_KEPT * self._vote + (1 - _VOTE_KEPT) * prediction.left
        other: Side = "right" if self.side == "left" else "left"
        if (self._vote < 0.5 - _FLIP) if self.side == "left" else (self._vote > 0.5 + _FLIP):
            self._begin(other)
        solution = self._fitter.update(prediction, crop, time_s)
        vector = self._pose_filter(solution.vector, time_s)
        self.joints_px = self._joint_filter(prediction.joints_px, time_s)
        joints_mm = forward_kinematics(self._skeletons[self.side], vector)
        return self._hand(State.TRACKED, score, vector, joints_mm, self.joints_px, prediction.confidence, solution)

    def _unseen(self, score: float, time_s: float) -> TrackedHand | None:
        if time_s - self._last_seen_s > _LOST_AFTER_S or self.joints_px is None:
            self.lost = True
            return None
        solution = self._fitter.predict(time_s)
        # Where the motion leads, the hand is looked for; what is drawn is the fit's own projection.
        joints_px = self.camera.project(solution.joints_mm)
        return self._hand(State.PREDICTED, score, solution.vector, solution.joints_mm, joints_px, np.zeros(21), solution)

    def _hand(self, state, score, vector, joints_mm, joints_px, confidence, solution: Solution) -> TrackedHand:
        pose = HandPose.from_vector(vector)
        return TrackedHand(
            self.id, self.side, state, score, joints_px, joints_mm, confidence, solution.sigma_mm,
            pose.wrist_translation_mm, pose.wrist_rotation_rad, pose.angles_rad,
        )  # fmt: skip


def hand_score(prediction: Prediction) -> float:
    """How sure it is that a crop shows a hand whose joints were found, 0..1: presence, held down by doubtful joints."""
    return float(prediction.presence * min(1.0, 0.25 + 1.5 * float(np.mean(prediction.confidence))))
