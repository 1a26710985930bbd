"""The one table of the hand: joints, bones, 20 joint angles with limits, colours; and `Skeleton`, a hand of given size.

Joint limits are those of the fluentHRC project (ubt-ai3/fluentHRC), with its flexion sign turned, but for the thumb's outer joint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

Side = Literal["left", "right"]
SIDES: tuple[Side, Side] = ("left", "right")

FINGERS = ("thumb", "index", "middle", "ring", "little")
JOINT_NAMES = ("W",) + tuple(f"{letter}{i}" for letter in "TIMRL" for i in range(4))
_PARTS = ("phalanx-proximal", "phalanx-intermediate", "phalanx-distal", "tip")
WEBXR_NAMES = (  # of the same joints; WebXR has the long fingers' metacarpals, too
    "wrist",
    *(f"thumb-{part}" for part in ("metacarpal", "phalanx-proximal", "phalanx-distal", "tip")),
    *(f"{finger}-finger-{part}" for finger in ("index", "middle", "ring", "pinky") for part in _PARTS),
)
N_JOINTS = len(JOINT_NAMES)
PARENTS = np.array([-1] + [0 if i == 0 else 4 * finger + i for finger in range(5) for i in range(4)])
BONES = tuple((int(parent), child) for child, parent in enumerate(PARENTS) if parent >= 0)
WRIST, M0 = JOINT_NAMES.index("W"), JOINT_NAMES.index("M0")
BASES = np.arange(1, N_JOINTS, 4)
TIPS = np.arange(4, N_JOINTS, 4)

ANGLE_NAMES = tuple(
    f"{finger}_{angle}" for finger in FINGERS for angle in ("abduction", "flexion_0", "flexion_1", "flexion_2")
)
# Degrees; per finger abduction, then the three flexions from base to tip. Outer joints of thumbs bend back: in one person of four,
# pushed, by 50 degrees and more (Glass and Kistler 1953).
_LIMITS_DEG = {
    "thumb": ((-50, 20), (-20, 40), (-20, 80), (-35, 80)),
    "index": ((-30, 30), (-20, 90), (0, 110), (0, 90)),
    "middle": ((-15, 15), (-20, 90), (0, 110), (0, 90)),
    "ring": ((-15, 15), (-20, 90), (0, 120), (0, 90)),
    "little": ((-10, 30), (-20, 90), (0, 135), (-5, 90)),
}
ANGLE_LIMITS_RAD = np.deg2rad(np.array([pair for finger in FINGERS for pair in _LIMITS_DEG[finger]], float))

FINGER_COLOURS = ((230, 75, 60), (240, 175, 50), (90, 190, 90), (70, 150, 230), (165, 100, 215))
JOINT_COLOURS = ((235, 235, 235),) + tuple(colour for colour in FINGER_COLOURS for _ in range(4))

DEFAULT_SCALE_MM = 94.7  # |W-M0| of the MANO left template, as used by minimal-hand

# |parent - joint| relative to |W-M0|, in joint order from T0 on: the fingers' phalanges are those of the WebXR hand (Amazon, 2019, MIT),
# thumb and knuckles lie where the open hands of the training photographs have them. A hand of the default scale measures 194 mm, as men's do.
_PROPORTIONS = np.array(
    [
        (0.430, 0.440, 0.355, 0.285),
        (1.030, 0.457, 0.265, 0.215),
        (1.000, 0.511, 0.300, 0.238),
        (0.955, 0.467, 0.290, 0.224),
        (0.905, 0.377, 0.222, 0.202),
    ]
)
# Direction of each finger in the palm plane, from +y (W to M0) towards the thumb.
_FAN_RAD = np.deg2rad(np.array([57.0, 14.5, 0.0, -13.0, -28.0]))
# A thumb does not fold straight onto the palm but across it: its flexion axes are rolled about the bone.
_THUMB_ROLL_RAD = np.deg2rad([30.0, 60.0, 60.0])


def permutation(source_names: list[str] | tuple[str, ...]) -> np.ndarray:
    """Give the indices that reorder joints from `source_names` into canonical order: `canonical = source[indices]`.

    Raises ValueError where a canonical name is missing.
    """
    return np.array([list(source_names).index(name) for name in JOINT_NAMES])


@dataclass(frozen=True, eq=False)
class Skeleton:
    """A hand's fixed geometry: rest offsets and hinge axes, in the wrist frame of its side.

    offsets_mm (21, 3): parent to joint in the flat open hand, W at the origin [mm].
    axes (20, 3): unit hinge axis of each angle in the rest pose, in the order of ANGLE_NAMES.
    """

    side: Side
    offsets_mm: np.ndarray
    axes: np.ndarray

    @classmethod
    def default(
        cls, side: Side = "left", scale_mm: float = DEFAULT_SCALE_MM, proportions: np.ndarray | None = None
    ) -> Skeleton:
        """Build a flat open hand whose |W-M0| is `scale_mm` [mm]; `proportions` (21,) multiplies each bone's length."""
        lengths = scale_mm * _PROPORTIONS
        if proportions is not None:
            lengths = lengths * np.asarray(proportions, float)[1:].reshape(5, 4)
        directions = np.stack([-np.sin(_FAN_RAD), np.cos(_FAN_RAD), np.zeros(5)], axis=-1)
        offsets = np.zeros((N_JOINTS, 3))
        offsets[1:] = (lengths[:, :, None] * directions[:, None]).reshape(-1, 3)
        left = cls("left", offsets, _hinge_axes(directions))
        return left if side == "left" else left.mirrored()

    @property
    def bone_lengths_mm(self) -> np.ndarray:
        """Length of the bone that ends in each joint, (21,) [mm]; 0 for the wrist."""
        return np.linalg.norm(self.offsets_mm, axis=-1)

    @property
    def finger_lengths_mm(self) -> np.ndarray:
        """Length of each finger from the wrist to its tip, (5,) [mm]."""
        return self.bone_lengths_mm[1:].reshape(5, 4).sum(axis=1)

    @property
    def scale_mm(self) -> float:
        """Distance |W-M0| [mm]."""
        return float(self.bone_lengths_mm[M0])

    @property
    def rest_joints_mm(self) -> np.ndarray:
        """Joints of the flat open hand in the wrist frame, (21, 3) [mm]."""
        joints = np.zeros((N_JOINTS, 3))
        for parent, child in BONES:
            joints[child] = joints[parent] + self.offsets_mm[child]
        return joints

    def with_bone_lengths(self, lengths_mm: np.ndarray) -> Skeleton:
        """Return the same hand with bones of `lengths_mm` (21,) [mm]; the wrist's entry is ignored."""
        ratio = np.ones(N_JOINTS)
        ratio[1:] = np.asarray(lengths_mm, float)[1:] / self.bone_lengths_mm[1:]
        return Skeleton(self.side, self.offsets_mm * ratio[:, None], self.axes)

    def mirrored(self) -> Skeleton:
        """Return the other hand of the same person: x negated, equal angles mean mirrored poses."""
        other: Side = "right" if self.side == "left" else "left"
        # A hinge axis is an axial vector: under x -> -x its y and z turn round.
        return Skeleton(other, self.offsets_mm * (-1, 1, 1), self.axes * (1, -1, -1))


def _hinge_axes(directions: np.ndarray) -> np.ndarray:
    """Axes (20, 3) of the left hand for finger directions (5, 3): turning about them goes to the thumb's side, then to the palm."""
    normal = np.array([0.0, 0.0, 1.0])
    axes = np.zeros((5, 4, 3))
    axes[:, 0] = normal
    axes[:, 1:] = np.cross(directions, normal)[:, None]
    roll = _THUMB_ROLL_RAD[:, None]
    axes[0, 1:] = np.cos(roll) * axes[0, 1:] - np.sin(roll) * normal
    return axes.reshape(20, 3)
