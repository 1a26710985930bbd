"""The tracker: frames in, hands out. Detector, crop following, RegNet, fit and filters behind one call."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

import numpy as np

from handpose.camera import Camera
from handpose.crop import MARGIN, Crop
from handpose.prediction import Prediction
from handpose.skeleton import Side, Skeleton
from tracker.detector import Detection, Detector
from tracker.follow import PRESENT, Follower, hand_score
from tracker.hand import TrackedHand

SEARCH_EVERY = 6  # frames between two looks for a further hand while one is in sight
_REFINEMENTS_STILL = 2  # times that a picture's crop is aimed anew at what was found in it
_SAME_HAND = 0.5  # two hands whose centres are nearer than this, in sizes of the smaller, are one


class RegNet(Protocol):
    """What the tracker asks of a predictor: `regnet.predictor.Predictor`, or a stand-in."""

    input_size: int

    def __call__(self, image: np.ndarray, crops: list[Crop], sides: list[Side]) -> list[Prediction]: ...


class HandTracker:
    """Tracks hands: call it with RGB frames (H, W, 3) uint8 and their times [s].

    camera: the frames' Camera; a 60 degree one is guessed without it. hands: how many at most. mirrored: the feed is a selfie's, so sides
    are swapped. skeleton: the user's left hand, of default size without it. runtime, device: for the shipped networks, unless
    `predictor` and `detector` are given. `timings` holds the milliseconds of the last frame's stages.
    Raises HandposeError where the shipped weights cannot be used.
    """

    def __init__(
        self, camera: Camera | None = None, hands: int = 2, *, mirrored: bool = False, skeleton: Skeleton | None = None,
        runtime: str = "auto", device: str = "auto", predictor: RegNet | None = None,
        detector: Callable[[np.ndarray], list[Detection]] | None = None,
    ):  # fmt: skip
        self.camera, self.hands, self.mirrored = camera, hands, mirrored
        left = skeleton or Skeleton.default("left")
        self._skeletons: dict[Side, Skeleton] = {"left": left, "right": left.mirrored()}
        self._predictor = predictor or _shipped_predictor(runtime, device)
        self._detector = detector or Detector.from_file(runtime="auto" if runtime == "keras" else runtime, device=device)
        self.timings: dict[str, float] = {}
        self.reset()

    def reset(self) -> None:
        """Forget all hands; ids go on counting from 1."""
        self._followers: list[Follower] = []
        self._next_id, self._frame = 1, 0

    def __call__(self, frame: np.ndarray, time_s: float) -> list[TrackedHand]:
        """Track the hands of a video's next frame."""
        camera = self._camera_for(frame)
        self.timings = {"detector": 0.0, "regnet": 0.0, "fit": 0.0}
        hands = self._follow(frame, time_s)
        free = self.hands - len(self._followers)
        if free > 0 and (not self._followers or self._frame % SEARCH_EVERY == 0):
            for follower, prediction, crop in self._search(frame, camera, free, refinements=1):
                self._followers.append(follower)
                hands.append(self._timed("fit", follower.see, prediction, crop, time_s))
        self._frame += 1
        return [self._named(hand) for hand in hands if hand is not None]

    def still(self, image: np.ndarray) -> list[TrackedHand]:
        """Find the hands of a picture of its own: no motion, no filter, ids from 1."""
        self.reset()
        camera = self.camera if self.camera and _fits(self.camera, image) else Camera.from_fov(image.shape[1::-1])
        found = self._search(image, camera, self.hands, refinements=_REFINEMENTS_STILL)
        hands = [follower.see(prediction, crop, 0.0) for follower, prediction, crop in found]
        self.reset()
        return [self._named(hand) for hand in hands if hand is not None]

    def _camera_for(self, frame: np.ndarray) -> Camera:
        if self.camera is None:
            self.camera = Camera.from_fov((frame.shape[1], frame.shape[0]))
        elif not _fits(self.camera, frame):
            self.camera = self.camera.scaled_to((frame.shape[1], frame.shape[0]))
        return self.camera

    def _follow(self, frame: np.ndarray, time_s: float) -> list[TrackedHand | None]:
        """Look at each followed hand where it was, all in one call of the network."""
        if not self._followers:
            return []
        crops = [follower.crop(self._predictor.input_size) for follower in self._followers]
        sides = [follower.side for follower in self._followers]
        predictions = self._timed("regnet", self._predictor, frame, crops, sides)
        seen = list(zip(self._followers, predictions, crops, strict=True))
        kept: list[tuple[Follower, Prediction, Crop]] = []
        for follower, prediction, crop in seen:  # the older of two that slid onto one hand stays
            if hand_score(prediction) < PRESENT or not any(_same(prediction, other) for _, other, _ in kept):
                kept.append((follower, prediction, crop))
        hands = [self._timed("fit", follower.see, prediction, crop, time_s) for follower, prediction, crop in kept]
        self._followers = [follower for follower, _, _ in kept if not follower.lost]
        return hands

    def _search(self, frame: np.ndarray, camera: Camera, most: int, refinements: int):
        """Ask the detector for hands that nobody follows, and RegNet whether they are hands and which side."""
        detections = self._timed("detector", self._detector, frame)
        size = self._predictor.input_size
        found: list[tuple[Follower, Prediction, Crop]] = []
        for detection in detections:
            if len(found) == most:
                break
            if any(follower.joints_px is not None and _covers(follower.joints_px, detection) for follower in self._followers):
                continue
            crop = Crop.from_box(camera, detection.centre_px, MARGIN * detection.side_px, detection.roll_rad, size)
            prediction, crop, side, left = self._look(frame, camera, crop, detection.left, refinements)
            if hand_score(prediction) < PRESENT or any(_same(prediction, other) for _, other, _ in found):
                continue
            found.append((Follower(self._next_id, side, left, camera, self._skeletons), prediction, crop))
            self._next_id += 1
        return found

    def _look(self, frame, camera: Camera, crop: Crop, left: float, refinements: int):
        """Let RegNet look at a crop as either side, keep the likelier one, and aim anew at what it saw."""
        both: list[Side] = ["left", "right"]
        seen = self._timed("regnet", self._predictor, frame, [crop, crop], both)
        left = (left + seen[0].left + seen[1].left) / 3
        side: Side = "left" if left > 0.5 else "right"
        prediction = seen[both.index(side)]
        for _ in range(refinements):
            if hand_score(prediction) < 0.5 * PRESENT:
                break
            crop = Crop.from_joints(camera, prediction.joints_px, crop.size)
            prediction = self._timed("regnet", self._predictor, frame, [crop], [side])[0]
        return prediction, crop, side, left

    def _timed(self, stage: str, function: Callable, *arguments):
        start = time.perf_counter()
        result = function(*arguments)
        self.timings[stage] = self.timings.get(stage, 0.0) + 1000 * (time.perf_counter() - start)
        return result

    def _named(self, hand: TrackedHand) -> TrackedHand:
        """Give a hand the person's own side: a mirrored feed shows the other one."""
        if not self.mirrored:
            return hand
        return replace(hand, side="right" if hand.side == "left" else "left")


def _shipped_predictor(runtime: str, device: str) -> RegNet:
    from regnet.predictor import DEFAULT_WEIGHTS, Predictor

    return Predictor.from_file(DEFAULT_WEIGHTS, runtime, device)


def _fits(camera: Camera, image: np.ndarray) -> bool:
    return camera.size_px == (image.shape[1], image.shape[0])


def _same(a: Prediction, b: Prediction) -> bool:
    """Whether two predictions sit on one hand."""
    size = min(np.ptp(p.joints_px, axis=0).max() for p in (a, b))
    return bool(np.linalg.norm(a.joints_px.mean(0) - b.joints_px.mean(0)) < _SAME_HAND * size)


def _covers(joints_px: np.ndarray, detection: Detection) -> bool:
    size = max(np.ptp(joints_px, axis=0).max(), detection.side_px)
    return bool(np.linalg.norm((joints_px.min(0) + joints_px.max(0)) / 2 - detection.centre_px) < _SAME_HAND * size)
