"""A world of known hands: frames that carry only their number, a detector and a RegNet that answer with the truth."""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

import tracker.pipeline  # noqa: F401 - it takes the loaders for good, before tests replace them
from handpose.camera import Camera
from handpose.kinematics import forward_kinematics
from handpose.prediction import Prediction
from handpose.skeleton import M0, WRIST, Side, Skeleton
from tracker import load
from tracker.detector import Detection

CAMERA = Camera(600.0, 600.0, 319.5, 239.5, (640, 480))
FPS = 30.0


def moving_hand(index: int, x_mm: float = 0.0, speed_mm_s: float = 60.0) -> np.ndarray:
    """Pose vector (26,) of a hand that points up, moves to the right, and opens and closes."""
    time_s = index / FPS
    bend = 0.5 + 0.4 * np.sin(2 * time_s)
    angles = np.tile([0.0, bend, bend, 0.5 * bend], 5)
    return np.concatenate(
        [[x_mm + speed_mm_s * time_s, 60.0, 520.0], [np.pi - 0.2, 0.1 * np.sin(time_s), 0.15], angles]
    )


@dataclass
class Hand:
    """A hand of a side whose pose, by frame, is known; None where it is away. `seems_left`: what RegNet and detector say of it."""

    side: Side
    pose: Callable[[int], np.ndarray | None]
    seems_left: Callable[[int], float] | None = None

    def joints_mm(self, index: int) -> np.ndarray | None:
        vector = self.pose(index)
        return None if vector is None else forward_kinematics(Skeleton.default(self.side), vector)

    def left(self, index: int) -> float:
        if self.seems_left is not None:
            return self.seems_left(index)
        return 0.9 if self.side == "left" else 0.1


@dataclass
class World:
    """The hands, the frames of them, and how often the networks were asked. hidden: frames in which RegNet sees nothing."""

    hands: list[Hand]
    hidden: set[int] = field(default_factory=set)
    size_px: tuple[int, int] = (640, 480)
    input_size: int = 128
    detections: list[int] = field(default_factory=list)
    crops_fed: list[tuple[int, int]] = field(default_factory=list)

    def loaded(self, monkeypatch):
        """Be what the commands load in place of the networks."""
        monkeypatch.setattr(load, "load_predictor", lambda *options: self)
        monkeypatch.setattr(load, "load_detector", lambda *options: self.detector)
        return self

    def frame(self, index: int) -> np.ndarray:
        image = np.zeros((self.size_px[1], self.size_px[0], 3), np.uint8)
        image[:, :, 0], image[:, :, 1] = index % 256, index // 256
        return image

    def detector(self, image: np.ndarray) -> list[Detection]:
        index = _number(image)
        self.detections.append(index)
        if index in self.hidden:
            return []
        found = []
        for hand in self.hands:
            joints = self._joints_px(hand, index)
            if joints is not None:
                low, high = joints.min(0), joints.max(0)
                found.append(Detection((low + high) / 2, float((high - low).max()), 0.0, hand.left(index), 0.9))
        return found

    def __call__(self, image, crops, sides) -> list[Prediction]:
        index = _number(image)
        self.crops_fed.append((index, len(crops)))
        return [self._seen(index, crop) for crop in crops]

    def _joints_px(self, hand: Hand, index: int) -> np.ndarray | None:
        joints = hand.joints_mm(index)
        return None if joints is None else CAMERA.project(joints)

    def _seen(self, index: int, crop) -> Prediction:
        """Answer with the hand that is nearest to the middle of the crop, if most of it is inside."""
        best, nearest = None, 0.35 * crop.size
        for hand in self.hands:
            joints = self._joints_px(hand, index)
            if joints is None or index in self.hidden:
                continue
            inside = crop.to_crop(joints)
            away = float(np.linalg.norm((inside.min(0) + inside.max(0)) / 2 - (crop.size - 1) / 2))
            if away < nearest:
                best, nearest = hand, away
        if best is None:
            nothing = np.tile((crop.size - 1) / 2, (21, 2)) + np.arange(21)[:, None]
            return Prediction(
                crop.to_image(nothing), np.full(21, 30.0), np.zeros((21, 3)), np.full(21, 0.02), 0.02, 0.5
            )
        joints_mm = best.joints_mm(index)
        assert joints_mm is not None
        rel = (joints_mm - joints_mm[M0]) / np.linalg.norm(joints_mm[M0] - joints_mm[WRIST])
        sure = np.full(21, 0.95)
        return Prediction(
            CAMERA.project(joints_mm), np.full(21, 0.5), rel @ crop.camera_from_crop, sure, 0.98, best.left(index)
        )


def _number(image: np.ndarray) -> int:
    """The frame's number, which any pixel carries: mirrored, rescaled or not."""
    return int(image[0, 0, 0]) + 256 * int(image[0, 0, 1])
