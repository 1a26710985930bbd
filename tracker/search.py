"""Where the detector looks: the whole frame, and its parts, in which a small hand is large enough to be seen."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from tracker.detector import Detection, same_hand, without_doubles
from tracker.recognise import FindHands

Part = tuple[slice, slice]  # rows and columns of a frame

_PART, _PER_SIDE = 0.6, 2  # of the frame's sides: neighbouring parts overlap by a third
_FINE_PART, _FINE_PER_SIDE = 0.36, 4
_LEAST_PX, _FINE_LEAST_PX = 250, 900  # a smaller frame gains nothing from being looked at in parts, in fine ones
_LARGEST_IN_PART = 0.7  # of the part: a larger hand is seen whole in the frame


def look_everywhere(image: np.ndarray, detector: FindHands) -> list[Detection]:
    """Find hands in the whole frame (H, W, 3) and in all its parts, best first, and again in the mirror: two opinions are averaged."""
    mirrored = _look(np.ascontiguousarray(image[:, ::-1]), detector)
    back = [_mirrored(one, image.shape[1]) for one in mirrored]
    return _averaged(_look(image, detector), back)


def _look(image: np.ndarray, detector: FindHands) -> list[Detection]:
    found = list(detector(image))
    for part in [*parts_of(image), *fine_parts_of(image)]:
        found += look_in_part(image, detector, part)
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


def look_in_part(image: np.ndarray, detector: FindHands, part: Part) -> list[Detection]:
    """Find hands in a part of the frame; positions are those of the frame."""
    rows, columns = part
    window = image[part]
    small = [one for one in detector(window) if one.side_px < _LARGEST_IN_PART * min(window.shape[:2])]
    return [replace(one, centre_px=one.centre_px + (columns.start, rows.start)) for one in small]


def parts_of(image: np.ndarray) -> list[Part]:
    """Give the parts in which a frame is looked at: four, or none where it is small."""
    return _grid(image, _PART, _PER_SIDE) if max(image.shape[:2]) >= _LEAST_PX else []


def fine_parts_of(image: np.ndarray) -> list[Part]:
    """Give the parts in which hands of a thirtieth of a frame are looked for: sixteen, or none where such hands are too small to be known."""
    return _grid(image, _FINE_PART, _FINE_PER_SIDE) if max(image.shape[:2]) >= _FINE_LEAST_PX else []


def _grid(image: np.ndarray, share: float, per_side: int) -> list[Part]:
    """Give overlapping parts of `share` of a frame's sides, `per_side` a side, row by row."""
    rows, columns = (_spans(length, share, per_side) for length in image.shape[:2])
    return [(row, column) for row in rows for column in columns]


def _spans(length: int, share: float, count: int) -> list[slice]:
    span = max(int(length * share), 1)
    starts = [(length - span) * i // (count - 1) for i in range(count)]
    return [slice(start, start + span) for start in starts]
