"""Where the detector looks: the whole frame, and its parts, in which a small hand is large enough to be seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tracker.detector import Detection, same_hand, without_doubles
from tracker.recognise import FindHands

_PART = 0.6  # of the frame's sides: neighbouring parts overlap by a third
_LEAST_PX = 250  # a smaller frame gains nothing from being looked at in parts
_LARGEST_IN_PART = 0.7  # of the part: a larger hand is seen whole in the frame


def look_everywhere(image: np.ndarray, detector: FindHands) -> list[Detection]:
    """Find hands in the whole frame (H, W, 3) and in all its parts, best first, and again in the mirror: two opinions are averaged."""
    mirrored = _look(np.ascontiguousarray(image[:, ::-1]), detector)
    back = [_mirrored(one, image.shape[1]) for one in mirrored]
    return _averaged(_look(image, detector), back)


def _look(image: np.ndarray, detector: FindHands) -> list[Detection]:
    found = list(detector(image))
    for number in range(n_parts(image)):
        found += look_in_part(image, detector, number)
    return without_doubles(found)


def _mirrored(one: Detection, width: int) -> Detection:
    centre = np.array([width - 1 - one.centre_px[0], one.centre_px[1]])
    return Detection(centre, one.side_px, -one.roll_rad, 1 - one.left, one.score)


def _averaged(first: list[Detection], second: list[Detection]) -> list[Detection]:
    """Join two lists: what both saw is averaged, what one saw counts half."""
    joined, rest = [], list(second)
    for one in first:
        other = next((other for other in rest if same_hand(one, other)), None)
        if other is None:
            joined.append(replace(one, score=one.score / 2))
            continue
        rest = [kept for kept in rest if kept is not other]
        joined.append(_mean(one, other))
    joined += [replace(other, score=other.score / 2) for other in rest]
    return sorted(joined, key=lambda one: -one.score)


def _mean(a: Detection, b: Detection) -> Detection:
    turn = math.atan2(math.sin(a.roll_rad) + math.sin(b.roll_rad), math.cos(a.roll_rad) + math.cos(b.roll_rad))
    side = math.sqrt(a.side_px * b.side_px)
    return Detection((a.centre_px + b.centre_px) / 2, side, turn, (a.left + b.left) / 2, (a.score + b.score) / 2)


def look_in_part(image: np.ndarray, detector: FindHands, number: int) -> list[Detection]:
    """Find hands in part `number` of the frame; positions are those of the frame."""
    height, width = image.shape[:2]
    part = max(int(width * _PART), 1), max(int(height * _PART), 1)
    row, column = divmod(number, 2)
    corner = np.array([column * (width - part[0]), row * (height - part[1])])
    found = detector(image[corner[1] : corner[1] + part[1], corner[0] : corner[0] + part[0]])
    small = [one for one in found if one.side_px < _LARGEST_IN_PART * min(part)]
    return [replace(one, centre_px=one.centre_px + corner) for one in small]


def n_parts(image: np.ndarray) -> int:
    """Give how many parts a frame is looked at in: four, or none where it is small."""
    return 4 if max(image.shape[:2]) >= _LEAST_PX else 0
