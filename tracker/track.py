"""One hand followed through time: its crop, side, fit and filters, and whether it is seen."""

from __future__ import annotations

import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit.fitter import HandFitter
from handpose.fit.solver import Solution, Status
from handpose.kinematics import HandPose, forward_kinematics
from handpose.lens import lens_of
from handpose.prediction import Prediction
from handpose.skeleton import Side, Skeleton
from tracker.aim import box_of, crop_around, hand_score, steadied, where_seen
from tracker.belief import Belief
from tracker.filters import PixelFilter, PoseFilter
from tracker.hand import State, TrackedHand, apart_mm
from tracker.side import SideVote

HOLD_S = 0.5  # so long an unseen hand is carried on by its motion
_ASK_SIDE_EVERY = 6  # frames


class Track:
    """One hand from its first sight on; before it has been TRACKED it has no `hand()`.

    `skeletons` holds the user's left and right hand; `seen` is what RegNet last said of the hand.
    """

    def __init__(self, number: int, side: SideVote, camera: Camera, skeletons: dict[Side, Skeleton], crop: Crop):
        self.number, self.vote, self.camera = number, side, camera
        self.crop = crop
        self.state, self.first_seen_s, self.last_seen_s, self.n_seen = State.PREDICTED, 0.0, 0.0, 0
        self.joints_px = np.zeros((21, 2))
        self._skeletons = skeletons
        self._filter_pose, self._filter_px = PoseFilter(), PixelFilter(crop.side_px)
        self._fitter: HandFitter | None = None  # until it is seen
        self._belief = Belief()

    @property
    def side(self) -> Side:
        """Left or right, by the vote so far."""
        return self.vote.side

    @property
    def asks_side(self) -> bool:
        """Whether the next look should be fed both ways: often at first, then now and then."""
        return not self.vote.settled or self.n_seen % _ASK_SIDE_EVERY == 0

    def see(self, prediction: Prediction, crop: Crop, time_s: float) -> None:
        """Take what RegNet saw in this frame: fit, filter, and aim the next crop. What places no hand counts as unseen."""
        fitter = self._fitter
        if fitter is None or fitter.skeleton.side != self.side:
            fitter = HandFitter(self._skeletons[self.side], self.camera)
        prediction = self._belief(prediction, crop, self.side, time_s)
        solution = fitter.update(prediction, crop, time_s)
        if solution.status is Status.NOTHING_SEEN:
            self.miss(time_s)
            return
        if fitter is not self._fitter:
            self._fitter = fitter
            self._filter_pose.reset()
        self.seen = prediction
        self._place(solution, time_s)
        if time_s - self.last_seen_s > HOLD_S / 2:
            self._filter_px.reset()
        self._filter_px.crop_side_px = crop.side_px
        self.joints_px = self._filter_px(prediction.joints_px, time_s)
        self.state, self.last_seen_s = State.TRACKED, time_s
        if self.n_seen == 0:
            self.first_seen_s = time_s
        self.n_seen += 1
        aim = steadied(prediction.joints_px, prediction.confidence, solution.joints_mm, lens_of(self.camera))
        self.crop = crop_around(self.camera, aim, self.crop)

    def miss(self, time_s: float) -> None:
        """Carry the hand on through a frame that does not show it."""
        self.state = State.PREDICTED
        if self._fitter is not None:
            self._place(self._fitter.predict(time_s), time_s)
            self.joints_px = where_seen(self.camera, self._joints_mm)

    def leap(self) -> None:
        """Forget the way that the hand came: it is found in another place than that led to, where the filters would hold it back."""
        self._filter_pose.reset()
        self._filter_px.reset()

    def restart(self) -> None:
        """Forget how the hand moved, after it was lost; its number and side stay."""
        self.leap()
        self._fitter = None
        self._belief.forget()

    def outlived(self, time_s: float) -> bool:
        """Say whether the hand has been unseen for too long, or has left the picture."""
        return time_s - self.last_seen_s > HOLD_S or not self._in_picture()

    def hand(self) -> TrackedHand:
        """Give the hand as the user sees it, who may change its arrays."""
        assert self._fitter is not None
        fade = 1.0 if self.state is State.TRACKED else 0.5
        return TrackedHand(
            id=self.number,
            side=self._fitter.skeleton.side,
            state=self.state,
            score=fade * hand_score(self.seen),
            joints_px=self.joints_px.copy(),
            joints_mm=self._joints_mm,
            confidence=fade * self.seen.confidence,
            # What the fit leaves open, and how far the filter holds the hand back from it.
            sigma_mm=np.hypot(self._solution.sigma_mm, apart_mm(self._joints_mm, self._solution.joints_mm)),
            **vars(HandPose.from_vector(self._vector)),
        )

    def _place(self, solution: Solution, time_s: float) -> None:
        assert self._fitter is not None
        self._solution = solution
        self._vector = self._filter_pose(solution.vector, time_s)
        self._joints_mm = forward_kinematics(self._fitter.skeleton, self._vector)

    def _in_picture(self) -> bool:
        left, top, right, bottom = box_of(self.joints_px)
        return right > 0 and bottom > 0 and left < self.camera.size_px[0] and top < self.camera.size_px[1]
