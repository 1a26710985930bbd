"""What a network's errors on labelled hands are, in their labelled crops and so apart from any detector.

2D errors are those of `pck`: distance over the longer side of the labelled joints' box, over all labelled joints. Where the source has
3D truth, the 3D figures are those of its dataset's protocol (`regnet.protocols`), each with its alignment.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

import numpy as np

from handpose.draw import draw_skeleton
from handpose.errors import HandposeError
from handpose.fit.initialise import translation
from handpose.metrics import Score, auc, pck
from handpose.skeleton import DEFAULT_SCALE_MM, Side
from regnet.labelled import LabelledWindow
from regnet.predictor import Predictor, WindowPrediction
from regnet.protocols import GENERAL, Protocol, errors_3d, scores_3d
from regnet.two_hands import HandInPicture, handedness, two_hand_scores

PCK_LIMITS = (0.05, 0.10, 0.20)
OTHER_SIDE_LIMIT = 0.10
AS_OTHER_SIDE = f"pck@{OTHER_SIDE_LIMIT:.2f}_as_other_side"  # the figure of hands taken for the side they are not
WORST = 25
_BATCH = 32
_SHOWN = 48
_SECOND_LOOKS = 2  # at hands whose labels do not tell where to aim

Figures = dict[str, float]


@dataclass(frozen=True, eq=False)
class SeenHand:
    """A hand as it was measured: its window, joints_px (21, 2) as the network sees them, and the mean 2D error there [window px]."""

    window: LabelledWindow
    joints_px: np.ndarray
    error_px: float


@dataclass(frozen=True, eq=False)
class Measured:
    """The figures by key, those of 3D with their alignment, and what they were made of.

    of_box (N, 21): 2D errors over the box; picture_px (N, 21): the same in px of the picture; aligned_mm: by alignment errors (K, 21) [mm];
    NaN where a joint has no label. `names` are those of the hands, `pictures` shows some as seen, `worst` those with the largest 2D
    errors, worst first.
    """

    figures: Figures
    scores: dict[str, Score]
    of_box: np.ndarray
    picture_px: np.ndarray
    aligned_mm: dict[str, np.ndarray]
    names: list[str]
    pictures: list[np.ndarray]
    worst: list[SeenHand]


def measure(predictor: Predictor, windows: Iterable[LabelledWindow], protocol: Protocol = GENERAL) -> Measured:
    """Measure a predictor on labelled hands by a protocol.

    A hand whose side is not labelled is looked at as a left one, and again as a right one where the network says so. Raises HandposeError
    where there is no labelled hand.
    """
    gathered = _Gathered()
    for batch in _batches(iter(windows)):
        sides: list[Side] = [window.side or "left" for window in batch]
        seen = predictor.windows(_images(batch), sides)
        doubtful = [window.side is None and seen.left[i] < 0.5 for i, window in enumerate(batch)]
        if any(doubtful):
            sides = ["right" if turned else side for turned, side in zip(doubtful, sides, strict=True)]
            seen = predictor.windows(_images(batch), sides)
        for _ in range(_SECOND_LOOKS if any(window.picture is not None for window in batch) else 0):
            batch = [window.aimed_at(seen.joints_px[i]) for i, window in enumerate(batch)]
            seen = predictor.windows(_images(batch), sides)
        other = predictor.windows(_images(batch), ["left" if side == "right" else "right" for side in sides])
        for i, window in enumerate(batch):
            gathered.add(window, seen, other, i)
    return gathered.measured(protocol)


class _Gathered:
    """What is gathered hand by hand."""

    def __init__(self) -> None:
        self.names: list[str] = []
        self.of_box: list[np.ndarray] = []
        self.of_box_as_other: list[np.ndarray] = []
        self.picture_px: list[np.ndarray] = []
        self.window_px: list[np.ndarray] = []
        self.side_right: list[bool] = []
        self.presence: list[float] = []
        self.predicted_mm: list[np.ndarray] = []
        self.truth_mm: list[np.ndarray] = []
        self.visible: list[np.ndarray] = []
        self.hands: list[HandInPicture] = []
        self.pictures: list[np.ndarray] = []
        self.worst: list[SeenHand] = []

    def add(self, window: LabelledWindow, seen: WindowPrediction, other: WindowPrediction, i: int) -> None:
        """Count window `i` of a batch, `seen` as a hand of its side, and as one of the `other`."""
        valid, joints_px = window.valid, seen.joints_px[i]
        self.names.append(window.name)
        self.picture_px.append(_off_px(window, joints_px))
        box_px = np.ptp(window.joints_px[valid], axis=0).max(initial=0) or np.nan  # one joint: no box
        self.of_box.append(self.picture_px[-1] / box_px)
        distance = np.linalg.norm(joints_px - window.crop.to_crop(window.joints_px), axis=-1)
        self.window_px.append(np.where(valid, distance, np.nan))
        self.presence.append(float(seen.presence[i]))
        if window.side:
            # A network that always agrees with the assumed side scores a half.
            self.side_right += [(chance > 0.5) == (window.side == "left") for chance in (seen.left[i], other.left[i])]
            self.of_box_as_other.append(_off_px(window, other.joints_px[i]) / box_px)
        if window.joints_mm is not None:
            picture_from_crop = window.crop.camera_from_crop.T  # of rows
            predicted_mm, truth_mm = _placed(window, seen, i) @ picture_from_crop, window.joints_mm @ picture_from_crop
            self.predicted_mm.append(predicted_mm)
            self.truth_mm.append(truth_mm)
            self.visible.append(valid)
            if window.side:
                picture, told = window.name.removesuffix(f" {window.side}"), _told(seen, other, i)
                self.hands.append(HandInPicture(picture, window.side, window.sides_shown, told, predicted_mm, truth_mm))
        if len(self.pictures) < _SHOWN:
            self.pictures.append(draw_skeleton(window.image, joints_px))
        hand = SeenHand(window, joints_px, float(distance[valid].mean()))
        self.worst = sorted([*self.worst, hand], key=lambda hand: -hand.error_px)[:WORST]

    def measured(self, protocol: Protocol) -> Measured:
        if not self.of_box:
            raise HandposeError("the source holds no labelled hand")
        of_box, picture_px = np.array(self.of_box), np.array(self.picture_px)
        figures: Figures = {"n": len(of_box)}
        figures |= {f"pck@{limit:.2f}": pck(of_box, limit) for limit in PCK_LIMITS}
        of_known_box = of_box[np.isfinite(of_box)]  # none where every hand has one labelled joint
        figures |= {
            "epe_of_box": float(of_known_box.mean()) if len(of_known_box) else math.nan,
            "epe_px": float(np.nanmean(self.window_px)),
        }
        if self.side_right:
            figures["side_right"] = float(np.mean(self.side_right))
            figures[AS_OTHER_SIDE] = pck(np.array(self.of_box_as_other), OTHER_SIDE_LIMIT)
        figures["presence"] = float(np.mean(self.presence))
        if protocol.in_pixels:
            figures[f"auc_2d_0_{protocol.in_pixels:g}_px"] = auc(picture_px, 0, protocol.in_pixels)
        aligned_mm, scores = {}, {}
        if self.truth_mm:
            of_hands = (np.array(part) for part in (self.predicted_mm, self.truth_mm, self.visible))
            aligned_mm = errors_3d(protocol, *of_hands)
            scores = scores_3d(protocol, aligned_mm)
        if protocol.two_hands and self.hands:
            scores = two_hand_scores(self.hands) | scores
            right, pictures = handedness(self.hands)
            if pictures:
                figures |= {"handedness_accuracy": right / pictures, "handedness_pictures": pictures}
        figures |= {key: score.value for key, score in scores.items()}
        return Measured(figures, scores, of_box, picture_px, aligned_mm, self.names, self.pictures, self.worst)


def _off_px(window: LabelledWindow, joints_px: np.ndarray) -> np.ndarray:
    """Distances (21,) [px of the picture] of joints (21, 2) [window px] from the labels, NaN where there is none."""
    distance = np.linalg.norm(window.crop.to_image(joints_px) - window.joints_px, axis=-1)
    return np.where(window.valid, distance, np.nan)


def _told(seen: WindowPrediction, other: WindowPrediction, i: int) -> Side | None:
    """Tell a hand's side from how it looks both ways round, which favours none; None where no hand is seen."""
    if seen.presence[i] + other.presence[i] <= 1:
        return None
    return "left" if seen.left[i] + other.left[i] > 1 else "right"


def _placed(window: LabelledWindow, seen: WindowPrediction, i: int) -> np.ndarray:
    """Put a hand of default size where it projects onto its 2D joints: (21, 3) [mm] in the axes of the crop's camera."""
    camera, relative_mm = window.crop.camera, seen.joints_rel[i] * DEFAULT_SCALE_MM
    pinhole = np.array([camera.fx, camera.fy, camera.cx, camera.cy])
    place = translation(pinhole, relative_mm, seen.joints_px[i], np.maximum(seen.confidence[i], 1e-3))
    return relative_mm if place is None else relative_mm + place


def _images(batch: list[LabelledWindow]) -> np.ndarray:
    return np.stack([window.image for window in batch])


def _batches(windows: Iterator[LabelledWindow]) -> Iterator[list[LabelledWindow]]:
    while batch := list(islice(windows, _BATCH)):
        yield batch
