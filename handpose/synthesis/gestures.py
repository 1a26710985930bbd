"""Named hand shapes: counting, everyday gestures and approximations of the American finger alphabet, as data.

A shape names one thumb form, one form per finger (index to little), how far the fingers are spread (-1 pressed together, 0 at ease,
1 as wide as they go) and which joints touch. Angles are rounded from looking at hands; the sampler adds what varies.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from handpose.skeleton import JOINT_NAMES, Skeleton


class Shape(NamedTuple):
    """One named hand shape."""

    thumb: str
    fingers: str
    spread: float = 0.0
    touches: tuple[str, ...] = ()


# Degrees: abduction, then flexions from base to tip.
_THUMBS = {
    "out": (-16, 6, 6, -6),
    "up": (-4, -4, -2, -6),
    "along": (-37, 2, 4, 2),
    "across": (-36, 30, 44, 24),
    "over": (-32, 34, 40, 36),
    "oppose": (-8, 36, 14, 18),
    "ease": (-14, 8, 12, 12),
}
STRAIGHT_THUMBS = ("out", "up", "along")
# Degrees: the three flexions from base to tip.
_FINGERS = {
    "e": (2, 4, 3),  # extended
    "h": (24, 34, 22),  # half bent, at ease
    "c": (85, 104, 70),  # closed into the palm
    "k": (6, 88, 56),  # hooked
    "b": (80, 10, 5),  # bent at the knuckle only
    "o": (50, 52, 34),  # rounded towards the thumb
    "r": (32, 46, 30),  # round, open
    "p": (40, 8, 5),  # straight, leaning forward
    "m": (78, 60, 28),  # folded over the thumb
}
# Degrees of abduction, index to little, where the fingers are pressed together, at ease, spread.
_SPREAD = np.array([(-12, 0, 8, 20), (-5, 0, 2, 8), (9, 2, -10, -9)], float)

SHAPES = {
    "fist": Shape("over", "cccc", -0.5),
    "one": Shape("over", "eccc", -0.3),
    "two": Shape("across", "eecc", 0.5),
    "three": Shape("out", "eecc", 0.6),
    "three_fingers": Shape("across", "eeec", 0.4),
    "four": Shape("across", "eeee", 0.4),
    "five": Shape("out", "eeee", 0.6),
    "flat": Shape("along", "eeee", -0.9),
    "spread": Shape("up", "eeee", 1.0),
    "thumb_up": Shape("up", "cccc", -0.5),
    "ok": Shape("oppose", "oeee", 0.5, ("T3 I3",)),
    "victory": Shape("over", "eecc", 1.0),
    "rock": Shape("over", "ecce", 0.4),
    "love": Shape("out", "ecce", 0.5),
    "call": Shape("up", "ccce", 0.5),
    "point": Shape("along", "eccc"),
    "point_ahead": Shape("over", "pccc"),
    "gun": Shape("up", "eecc", -0.8),
    "crossed": Shape("over", "eecc", -1.0, ("I3 M3",)),
    "claw": Shape("out", "kkkk", 0.7),
    "stop": Shape("along", "eeee", -0.2),
    "table": Shape("along", "bbbb", -0.7),
    "ring_off": Shape("oppose", "eeoe", 0.5, ("T3 R3",)),
    "scissors": Shape("across", "eecc", 0.8),
    "duck": Shape("oppose", "rrrr", -0.8, ("T3 I3", "T3 M3", "T3 R3")),
    "snap": Shape("oppose", "roch", -0.3, ("T3 M3",)),
    "A": Shape("along", "cccc", -0.6),
    "B": Shape("across", "eeee", -0.9),
    "C": Shape("oppose", "rrrr", -0.6),
    "D": Shape("oppose", "eooo", -0.3, ("T3 M3",)),
    "E": Shape("across", "kkkk", -0.6),
    "F": Shape("oppose", "oeee", 0.7, ("T3 I3",)),
    "G": Shape("along", "eccc", -0.3),
    "H": Shape("over", "eecc", -0.8),
    "I": Shape("over", "ccce", 0.0),
    "K": Shape("along", "epcc", 0.4, ("T3 M1",)),
    "L": Shape("up", "eccc", 0.2),
    "M": Shape("across", "mmmc", -0.6),
    "N": Shape("across", "mmcc", -0.6),
    "O": Shape("oppose", "oooo", -0.7, ("T3 I3", "T3 M3")),
    "R": Shape("over", "eecc", -1.0, ("I3 M3",)),
    "T": Shape("along", "mccc", -0.5),
    "U": Shape("over", "eecc", -1.0),
    "V": Shape("over", "eecc", 0.7),
    "W": Shape("across", "eeec", 0.8),
    "X": Shape("over", "kccc", -0.3),
    "Y": Shape("up", "ccce", 0.8),
}
LETTERS = tuple(name for name in SHAPES if len(name) == 1)
GESTURES = tuple(name for name in SHAPES if len(name) > 1)

_TOUCH = 0.13  # between the tips of two fingers whose pulps touch, relative to |W-M0|


def shape_angles(shape: Shape) -> np.ndarray:
    """Give the angles (20,) [rad] of a shape, before contacts are closed."""
    angles = np.zeros((5, 4))
    angles[0] = _THUMBS[shape.thumb]
    for finger, form in enumerate(shape.fingers, start=1):
        angles[finger, 1:] = _FINGERS[form]
        # A bent knuckle has hardly any play sideways.
        angles[finger, 0] = spread_deg(shape.spread)[finger - 1] * (1 - min(_FINGERS[form][0], 80) / 100)
    if shape.touches == ("I3 M3",):  # crossed: the middle finger lies over the index
        angles[1, 0], angles[2, 0] = -16, 12
        angles[1, 1:], angles[2, 1:] = (10, 4, 3), (-4, 14, 8)
    return np.deg2rad(angles.ravel())


def spread_deg(spread: float) -> np.ndarray:
    """Give abductions (4,) [degrees], index to little, of a spread in -1..1."""
    low, high = (_SPREAD[0], _SPREAD[1]) if spread < 0 else (_SPREAD[1], _SPREAD[2])
    return low + (high - low) * (spread + 1 if spread < 0 else spread)


def contacts(shape: Shape, skeleton: Skeleton) -> list[tuple[int, int, float]]:
    """Give the contacts of a shape as (joint, joint, distance in mm)."""
    pairs = [touch.split() for touch in shape.touches]
    apart = _TOUCH * (1 + 0.25 * max(len(pairs) - 1, 0)) * skeleton.scale_mm  # three tips do not fit into one place
    return [(JOINT_NAMES.index(a), JOINT_NAMES.index(b), apart) for a, b in pairs]
