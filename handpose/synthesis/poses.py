"""Sample the 20 joint angles of a hand: a mixture of gestures, finger spelling, pinches, grasps, hands at ease and free motion.

Tools in the hand are there for training; the default mixture, by which networks are compared, stays without them.

Whatever the kind, the result lies within the joint limits and no finger passes through another or the palm (`settle`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from handpose.kinematics import forward_kinematics
from handpose.skeleton import ANGLE_LIMITS_RAD, Skeleton
from handpose.synthesis.gestures import (
    GESTURES,
    LETTERS,
    SHAPES,
    STRAIGHT_THUMBS,
    contacts,
    shape_angles,
    spread_deg,
)
from handpose.synthesis.settle import TOLERANCE_MM, settle

_TRIES = 6
_DIP_FROM_PIP = 2 / 3  # one tendon bends both outer joints of a finger
_PINCH = 0.13  # distance of two tips that touch, relative to |W-M0|
# A straight thumb lies anywhere between beside the palm and far from it, and its outer joint bends back (root mean squares).
_THUMB_ASIDE_RAD, _THUMB_ARCH_RAD = np.deg2rad((8, 15))
_FLAT = np.zeros(20)
_HANDLE_RADII = (0.03, 0.16)  # [|W-M0|]


@dataclass(frozen=True, eq=False)
class Grip:
    """What a hand holds, relative to |W-M0|: a ball or a bar of this radius; centre (3,) and the bar's direction (3,), of length 1, in the wrist frame."""

    kind: str
    radius: float
    centre: np.ndarray
    direction: np.ndarray = field(default_factory=lambda: np.array([1.0, 0, 0]))  # across the palm


@dataclass(frozen=True, eq=False)
class SampledPose:
    """angles_rad (20,), the kind of pose it came from, and what it grasps, if anything."""

    angles_rad: np.ndarray
    kind: str
    grip: Grip | None = None


class PoseSampler:
    """Draws hand poses; all chance comes from the generator that is passed in."""

    def __init__(self, weights: dict[str, float] | None = None):
        """`weights` by kind replaces the default mixture. Raises KeyError for a kind that does not exist."""
        mixture = weights or DEFAULT_MIXTURE
        self._kinds = [_KINDS[kind] for kind in mixture]
        self._names = list(mixture)
        self._chances = np.array(list(mixture.values()), float) / sum(mixture.values())

    def sample(self, rng: np.random.Generator, skeleton: Skeleton) -> SampledPose:
        """Draw a pose of the hand that is possible for it."""
        for _ in range(_TRIES):
            kind = rng.choice(len(self._kinds), p=self._chances)
            angles, touches, hold = self._kinds[kind](rng, skeleton)
            angles, overlap = settle(skeleton, angles, touches)
            if overlap < TOLERANCE_MM:
                return SampledPose(angles, self._names[kind], hold and hold(angles))
        return SampledPose(_FLAT.copy(), "flat")


def _shape(rng, skeleton, names):
    """A named shape, carried out as carelessly as people do."""
    shape = SHAPES[names[rng.integers(len(names))]]
    angles = shape_angles(shape).reshape(5, 4)
    angles[:, 1:] *= rng.uniform(0.85, 1.08)
    angles[1:, 0] *= rng.uniform(0.5, 1.3)
    if shape.thumb in STRAIGHT_THUMBS:
        angles[0, 0] += rng.normal(0, _THUMB_ASIDE_RAD)
        angles[0, 3] -= abs(rng.normal(0, _THUMB_ARCH_RAD))
    return (
        _with_noise(rng, angles.ravel(), rng.uniform(2, 7)),
        contacts(shape, skeleton),
        None,
    )


def _gesture(rng, skeleton):
    return _shape(rng, skeleton, GESTURES)


def _letter(rng, skeleton):
    return _shape(rng, skeleton, LETTERS)


def _free(rng, skeleton):
    """Fingers bend each on their own, though neighbours take one another along."""
    curl = rng.beta(0.8, 0.9, size=4)
    together = rng.uniform(0, 0.8)
    curl = together * curl.mean() + (1 - together) * curl
    angles = np.zeros((5, 4))
    angles[1:, 0] = spread_deg(rng.uniform(-1, 1)) * (1 - 0.8 * curl) + rng.normal(0, 2, 4)
    angles[1:, 1] = np.clip(curl + rng.normal(0, 0.25, 4), 0, 1) * 98 - 14
    angles[1:, 2] = np.clip(curl + rng.normal(0, 0.25, 4), 0, 1) * 104
    angles[1:, 3] = _DIP_FROM_PIP * angles[1:, 2] + rng.normal(0, 7, 4)
    angles[0] = rng.uniform((-45, -18, -15, -20), (6, 40, 65, 65))
    return np.deg2rad(angles.ravel()), None, None


def _ease(rng, skeleton):
    """A hand that does nothing: bent a little more from index to little finger."""
    bend = rng.uniform(0.1, 1.1)
    angles = np.zeros((5, 4))
    angles[1:, 0] = spread_deg(rng.uniform(-0.8, 0.3))
    growth = 1 + np.arange(4) * rng.uniform(0, 0.25)
    angles[1:, 1] = 30 * bend * growth
    angles[1:, 2] = 38 * bend * growth
    angles[1:, 3] = _DIP_FROM_PIP * angles[1:, 2] * rng.uniform(0.7, 1)
    angles[0] = rng.uniform((-34, -4, 2, 2), (0, 26, 26, 30))
    return _with_noise(rng, np.deg2rad(angles.ravel()), rng.uniform(2, 5)), None, None


def _pinch(rng, skeleton):
    """The thumb meets one finger, or two, holding something small or nothing; the others do as they like."""
    angles, _, _ = (_ease if rng.random() < 0.6 else _free)(rng, skeleton)
    angles = angles.reshape(5, 4)
    finger = rng.choice(4, p=(0.5, 0.27, 0.13, 0.1)) + 1
    fingers = [finger, finger + 1] if finger < 4 and rng.random() < 0.35 else [finger]
    angles[0] = np.deg2rad(rng.uniform((-18, 24, 5, 5), (0, 40, 30, 35)))
    width = (_PINCH + (rng.random() < 0.4) * rng.uniform(0, 0.35)) * skeleton.scale_mm
    touches = []
    for f in fingers:
        bend = rng.uniform(0.6, 1.15)
        angles[f, 1:] = np.deg2rad([50 * bend, 48 * bend, 30 * bend])
        touches.append((4, 4 + 4 * f, width))
    return angles.ravel(), touches, None


def _grasp(rng, skeleton, handle: float = 0.0):
    """Fingers wrap round a ball or a bar, or round a `handle` of this radius: each bone lies tangent to it."""
    ball = not handle and rng.random() < 0.4
    radius = handle or (rng.uniform(0.28, 0.5) if ball else rng.uniform(0.1, 0.42))
    flesh = 0.085
    lengths = skeleton.bone_lengths_mm.reshape(-1)[1:].reshape(5, 4)[:, 1:] / skeleton.scale_mm
    half_angles = np.rad2deg(np.arctan(lengths / 2 / (radius + flesh)))
    angles = np.zeros((5, 4))
    tight = rng.uniform(0.75, 1.05)
    palm_half = np.rad2deg(np.arctan(0.16 / (radius + flesh)))
    angles[1:, 1] = (half_angles[1:, 0] + palm_half) * tight
    angles[1:, 2] = (half_angles[1:, 0] + half_angles[1:, 1]) * tight
    angles[1:, 3] = np.minimum((half_angles[1:, 1] + half_angles[1:, 2]) * tight, 0.8 * angles[1:, 2])
    angles[1:, 1:] += rng.normal(0, 3, (4, 3))
    angles[1:, 0] = spread_deg(rng.uniform(0.1, 0.7) if ball else rng.uniform(-0.7, 0))
    wrapped = rng.random() < 0.75
    low, high = ((-28, 22, 5, 10), (-5, 40, 35, 45)) if wrapped else ((-35, 0, 0, 0), (0, 12, 15, 15))
    angles[0] = rng.uniform(low, high)
    joints = skeleton.rest_joints_mm / skeleton.scale_mm
    centre = joints[5] * 0.35 + joints[13] * 0.55 + np.array([0, 0, flesh + 0.03 + radius])
    grip = Grip("ball" if ball else "bar", radius, centre)
    return np.deg2rad(angles.ravel()), None, lambda _: grip


def _tool(rng, skeleton):
    """A handle in the fist, or between the thumb's tip and the fingers', as a screwdriver, a spoon or a pen is held."""
    radius = float(np.exp(rng.uniform(*np.log(_HANDLE_RADII))))
    if rng.random() < 0.5:
        angles, _, hold = _grasp(rng, skeleton, radius)
        lean = np.array([1.0, rng.normal(0, 0.4), rng.normal(0, 0.15)]) * _mirror(skeleton)
        return angles, None, lambda settled: replace(hold(settled), direction=lean / np.linalg.norm(lean))
    angles, _, _ = _ease(rng, skeleton)
    angles = angles.reshape(5, 4)
    angles[0] = np.deg2rad(rng.uniform((-18, 24, 5, 5), (0, 40, 30, 35)))
    fingers = range(1, 1 + rng.integers(1, 5))
    for finger in fingers:
        angles[finger, 1:] = np.deg2rad(np.array([50, 48, 30]) * rng.uniform(0.6, 1.15))
    touches = [(4, 4 + 4 * finger, (_PINCH + 2 * radius) * skeleton.scale_mm) for finger in fingers]
    return angles.ravel(), touches, partial(_between_tips, skeleton, radius, _mirror(skeleton) * rng.normal(0, 0.4, 3))


def _between_tips(skeleton, radius: float, lean: np.ndarray, angles_rad: np.ndarray) -> Grip:
    """Lay a bar between the tips of thumb and index finger, its other end over the web between the two or beside it."""
    joints = forward_kinematics(skeleton, np.concatenate([np.zeros(6), angles_rad])) / skeleton.scale_mm
    tips, web = (joints[4] + joints[8]) / 2, (joints[2] + joints[5]) / 2
    reach = np.linalg.norm(web - tips)
    direction = (web - tips) / reach + lean
    direction /= np.linalg.norm(direction)
    return Grip("bar", radius, tips + 0.4 * reach * direction, direction)


def _mirror(skeleton) -> np.ndarray:
    return np.array([1.0 if skeleton.side == "left" else -1.0, 1, 1])


def _between(rng, skeleton):
    """Somewhere on the way from one pose to another, as most frames of a video are."""
    kinds = [_gesture, _letter, _ease, _grasp, _pinch]
    first, last = (kinds[i](rng, skeleton)[0] for i in rng.integers(len(kinds), size=2))
    # Fingers do not all arrive at once.
    share = np.clip(rng.uniform(0, 1) + rng.normal(0, 0.1, 5), 0, 1)[:, None]
    mixed = (1 - share) * first.reshape(5, 4) + share * last.reshape(5, 4)
    return _with_noise(rng, mixed.ravel(), 3), None, None


def _with_noise(rng, angles: np.ndarray, sigma_deg: float) -> np.ndarray:
    """Vary a pose: every finger's flexions together, then each angle a little."""
    noise = rng.normal(0, np.deg2rad(sigma_deg), (5, 4)) * (0.6, 1, 1, 0.6)
    noise[:, 1:] += rng.normal(0, np.deg2rad(sigma_deg) / 2, (5, 1))
    return np.clip(angles + noise.ravel(), *ANGLE_LIMITS_RAD.T)


_KINDS = {
    "gesture": _gesture, "letter": _letter, "free": _free, "ease": _ease, "pinch": _pinch, "grasp": _grasp, "between": _between,
    "tool": _tool,
}  # fmt: skip
# Photographs that teach are gestures; hands that hold something, seen from all sides, only renders have.
TRAINING_MIXTURE = {
    "gesture": 0.19, "letter": 0.12, "free": 0.12, "ease": 0.08, "pinch": 0.11, "grasp": 0.14, "tool": 0.12, "between": 0.12,
}  # fmt: skip
DEFAULT_MIXTURE = {
    "gesture": 0.26, "letter": 0.16, "free": 0.12, "ease": 0.10, "pinch": 0.11, "grasp": 0.11, "between": 0.14,
}  # fmt: skip
