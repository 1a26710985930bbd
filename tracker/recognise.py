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
from handpose.skeleton import SIDES, Side
from tracker.aim import STILL_THERE, crop_around, found_score, hand_score
from tracker.detector import Detection
from tracker.side import SideVote

SURE = 0.5  # of a new hand, by detector and RegNet together (`found_score`)
_SPARE = 2  # so many more detections than hands wanted are looked at closely
_DOUBTFUL = 0.5  # a first look that is less sure is repeated with the hand turned
_TURNS_RAD = (-0.9, 0.9)
# In the side, of RegNet's: likeliest for hands held out, easy and hard, of which it takes .86 rightly where RegNet takes .98.
_DETECTORS_SAY = 0.4
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
    detections: Sequence[Detection],
    predictor: Predictor,
    most: int,
    side: Side | None = None,
    careful: Predictor | None = None,
    sure: float = SURE,
) -> list[Sight]:
    """Look closer at detections: the hands that RegNet sees in them, best first, at most `most`.

    `side`: where the user knows it. `careful`: takes further looks at each, for a picture that has no next frame.
    """
    size = predictor.input_size
    crops = [Crop.from_box(camera, one.centre_px, one.side_px * MARGIN, one.roll_rad, size) for one in detections]
    looks: list[_Look] = []
    for crop, ways, detection in zip(crops, both_ways(image, crops, predictor), detections, strict=True):
        vote = SideVote(side)
        vote.add(detection.left, _DETECTORS_SAY)
        ask_both_ways(ways, vote)
        looks.append(_Look(crop, ways, vote, detection.score))
    looks = sorted(looks, key=lambda look: -look.score)[: most + _SPARE]
    for look in looks:
        if hand_score(look.best) < _DOUBTFUL:
            _turn(image, look, predictor)
        for again in [predictor, careful] if careful else [predictor]:
            look.crop = crop_around(camera, look.best.joints_px, look.crop)
            (look.ways,) = both_ways(image, [look.crop], again)
            ask_both_ways(look.ways, look.vote)
        look.vote.temper()
    least = 0.0 if careful else STILL_THERE  # or the next frame would drop it
    found = [look for look in looks if hand_score(look.best) >= least and look.score >= sure]
    sights: list[Sight] = []
    for look in sorted(found, key=lambda look: -look.score):
        if not any(on_one_hand(look.best.joints_px, sight.joints_px, camera) for sight in sights):
            sights.append(Sight(look.ways, look.crop, look.vote, look.score))
    return sights[:most]


@dataclass(eq=False)
class _Look:
    """A detection being looked at: its crop so far, what RegNet sees taking it for either side, and the vote."""

    crop: Crop
    ways: dict[Side, Prediction]
    vote: SideVote
    detector_score: float

    @property
    def best(self) -> Prediction:
        return self.ways[self.vote.side]

    @property
    def score(self) -> float:
        return found_score(self.detector_score, self.best)


def ask_both_ways(ways: dict[Side, Prediction], vote: SideVote) -> None:
    """Count a crop fed as either side as one opinion: fed one way alone, a network tends to agree with it."""
    chances = [min(max(prediction.left, 1e-4), 1 - 1e-4) for prediction in ways.values()]
    odds = math.exp(sum(math.log(chance / (1 - chance)) for chance in chances) / len(chances))
    vote.add(odds / (1 + odds))


def both_ways(image: np.ndarray, crops: Sequence[Crop], predictor: Predictor) -> list[dict[Side, Prediction]]:
    """Have RegNet look at crops of a picture (H, W, 3), each taken for either side."""
    answers = iter(predictor(image, [crop for crop in crops for _ in SIDES], SIDES * len(crops)))
    return [{side: next(answers) for side in SIDES} for _ in crops]


def on_one_hand(a: np.ndarray, b: np.ndarray, camera: Camera) -> bool:
    """Say whether joints (21, 2) [px] of two tracks lie on one hand, as one sees them whose pixels are squares."""
    squares = camera.to_squares
    a, b = a * squares, b * squares
    size = max(float(np.ptp(a, axis=0).max()), float(np.ptp(b, axis=0).max()), 1.0)
    return bool(np.linalg.norm(a - b, axis=-1).mean() < _SAME_HAND * size)


def _turn(image: np.ndarray, look: _Look, predictor: Predictor) -> None:
    """Try the hand turned in the picture, and keep the best of all looks."""
    turned = [look.crop.jittered(np.zeros(2), 1.0, roll) for roll in _TURNS_RAD]
    looks = [(look.crop, look.ways), *zip(turned, both_ways(image, turned, predictor), strict=True)]
    look.crop, look.ways = max(looks, key=lambda one: hand_score(one[1][look.vote.side]))
