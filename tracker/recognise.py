"""From a detection to a hand that RegNet confirms: looked at as both sides, and again after the crop is aimed better."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from handpose.camera import Camera
from handpose.crop import MARGIN, Crop
from handpose.prediction import Prediction
from handpose.skeleton import Side
from tracker.aim import crop_around, hand_score
from tracker.detector import Detection
from tracker.side import SideVote

SIDES: tuple[Side, Side] = ("left", "right")
PRESENT = 0.5  # a new hand has to be at least so sure
_DOUBTFUL = 0.75  # a first look that is less sure is repeated with the hand turned
_TURNS_RAD = (-0.9, 0.9)
_SAME_HAND = 0.35  # mean distance of joints, in hand sizes, below which two hands are one


class Predictor(Protocol):
    """RegNet, or a stand-in: one Prediction for each crop of `input_size` px, given the side it is taken for."""

    input_size: int

    def __call__(self, image: np.ndarray, crops: Sequence[Crop], sides: Sequence[Side]) -> list[Prediction]: ...


FindHands = Callable[[np.ndarray], list[Detection]]


@dataclass(frozen=True, eq=False)
class Sight:
    """A hand found anew: what RegNet saw in a crop taken for either side, the vote so far, how sure detector and RegNet are together."""

    ways: dict[Side, Prediction]
    crop: Crop
    vote: SideVote
    score: float

    @property
    def joints_px(self) -> np.ndarray:
        """Joints (21, 2) [px] of the side voted for."""
        return self.ways[self.vote.side].joints_px


def recognise(
    image: np.ndarray,
    camera: Camera,
    detection: Detection,
    predictor: Predictor,
    side: Side | None = None,
    passes: int = 2,
) -> Sight | None:
    """Look closer at a detection; None where RegNet sees no hand. `side` is given where the user knows it."""
    size = predictor.input_size
    crop = Crop.from_box(camera, detection.centre_px, detection.side_px * MARGIN, detection.roll_rad, size)
    vote = SideVote(side)
    vote.add(detection.left)
    ways = _both_ways(image, crop, predictor, vote)
    if hand_score(ways[vote.side]) < _DOUBTFUL:
        crop, ways = _turned(image, crop, ways, predictor, vote)
    for _ in range(passes - 1):
        crop = crop_around(camera, ways[vote.side].joints_px, crop)
        ways = _both_ways(image, crop, predictor, vote)
    vote.temper()
    score = hand_score(ways[vote.side])
    return Sight(ways, crop, vote, math.sqrt(detection.score * score)) if score >= PRESENT else None


def ask_both_ways(ways: dict[Side, Prediction], vote: SideVote) -> None:
    """Count a crop fed as either side as one opinion: fed one way alone, a network tends to agree with it."""
    chances = [min(max(prediction.left, 1e-4), 1 - 1e-4) for prediction in ways.values()]
    odds = math.exp(sum(math.log(chance / (1 - chance)) for chance in chances) / len(chances))
    vote.add(odds / (1 + odds))


def same_hand(a: np.ndarray, b: np.ndarray) -> bool:
    """Say whether joints (21, 2) [px] of two tracks lie on one hand."""
    size = max(float(np.ptp(a, axis=0).max()), float(np.ptp(b, axis=0).max()), 1.0)
    return bool(np.linalg.norm(a - b, axis=-1).mean() < _SAME_HAND * size)


def _both_ways(image: np.ndarray, crop: Crop, predictor: Predictor, vote: SideVote) -> dict[Side, Prediction]:
    ways = dict(zip(SIDES, predictor(image, [crop, crop], SIDES), strict=True))
    ask_both_ways(ways, vote)
    return ways


def _turned(image: np.ndarray, crop: Crop, ways: dict[Side, Prediction], predictor: Predictor, vote: SideVote):
    """Try the hand turned in the picture: the best of all looks."""
    turned = [crop.jittered(np.zeros(2), 1.0, roll) for roll in _TURNS_RAD]
    answers = iter(predictor(image, [one for one in turned for _ in SIDES], SIDES * len(turned)))
    looks = [(crop, ways), *((one, {side: next(answers) for side in SIDES}) for one in turned)]
    return max(looks, key=lambda look: hand_score(look[1][vote.side]))
