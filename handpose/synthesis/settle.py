"""Make a pose possible: fingers that pass through one another or the palm are pushed apart, and wanted contacts are closed.

Flesh is a set of capsules about the bones. Penetrations and open contacts are residuals in mm; a few damped Gauss-Newton steps
on the 20 joint angles, inside their limits, bring both towards zero and move what is already fine as little as possible.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from handpose.kinematics import fk_and_jacobian
from handpose.skeleton import ANGLE_LIMITS_RAD, BASES, WRIST, Skeleton

TOLERANCE_MM = 3.0  # flesh gives way by about this much
_STEPS = 14
_DAMPING_MM = 18.0  # per rad: large against the lever of a far finger joint (50 mm) would be slow, small would jump

# Capsule radii relative to |W-M0|: thumb, then index to little; base to tip. An adult's index finger: 18 mm thick at its base, 14 at its tip.
_RADII = np.array(
    [
        (0.115, 0.100, 0.085),
        (0.095, 0.083, 0.072),
        (0.097, 0.085, 0.073),
        (0.092, 0.081, 0.070),
        (0.080, 0.070, 0.062),
    ]
)
_PALM_RADIUS = 0.105


def _capsules() -> tuple[np.ndarray, np.ndarray]:
    """Bones as (parent, child) joints, (19, 2), and relative radii (19,): 15 phalanges, then 4 metacarpals of the palm."""
    bones = [(base + i, base + i + 1) for base in BASES for i in range(3)] + [(WRIST, base) for base in BASES[1:]]
    return np.array(bones), np.append(_RADII.ravel(), np.full(4, _PALM_RADIUS))


def _pairs() -> np.ndarray:
    """Capsules that may meet, (P, 2): phalanges of different fingers, and the outer two phalanges with the palm."""
    between = [(a, b) for a in range(15) for b in range(a + 1, 15) if a // 3 != b // 3]
    palm = [(a, 15 + b) for a in range(15) for b in range(4) if a % 3 > 0]
    return np.array(between + palm)


CAPSULES, RELATIVE_RADII = _capsules()
PAIRS = _pairs()
_NO_CONTACTS = np.zeros((0, 3))


def settle(
    skeleton: Skeleton,
    angles_rad: np.ndarray,
    contacts: list[tuple[int, int, float]] | None = None,
) -> tuple[np.ndarray, float]:
    """Push angles (20,) [rad] to the nearest pose without self-penetration; return it and what is left of it [mm].

    contacts: (joint, joint, distance in mm) that are to be brought about, such as the tips of a pinch.
    """
    angles = np.clip(np.asarray(angles_rad, float), *ANGLE_LIMITS_RAD.T)
    wanted = np.array(contacts, float) if contacts else _NO_CONTACTS
    radii = RELATIVE_RADII * skeleton.scale_mm
    return _settle(
        skeleton.offsets_mm,
        skeleton.axes,
        angles,
        ANGLE_LIMITS_RAD,
        CAPSULES,
        radii,
        PAIRS,
        wanted,
        _STEPS,
        _DAMPING_MM,
    )


@njit(cache=True)
def _closest(a, b, c, d):
    """Where two segments come closest: fractions along a-b and c-d."""
    u, v, w = b - a, d - c, a - c
    uu, uv, vv, uw, vw = (
        np.dot(u, u),
        np.dot(u, v),
        np.dot(v, v),
        np.dot(u, w),
        np.dot(v, w),
    )
    det = uu * vv - uv * uv
    s = 0.5 if det < 1e-9 * uu * vv else min(max((uv * vw - vv * uw) / det, 0.0), 1.0)
    t = min(max((uv * s + vw) / vv, 0.0), 1.0)
    s = min(max((uv * t - uw) / uu, 0.0), 1.0)
    return s, t


@njit(cache=True)
def _deepest(joints, capsules, radii, pairs):
    worst = 0.0
    for k in range(len(pairs)):
        i, j = pairs[k]
        a, b, c, d = (
            joints[capsules[i, 0]],
            joints[capsules[i, 1]],
            joints[capsules[j, 0]],
            joints[capsules[j, 1]],
        )
        s, t = _closest(a, b, c, d)
        gap = a + s * (b - a) - c - t * (d - c)
        worst = max(worst, radii[i] + radii[j] - np.sqrt(np.dot(gap, gap)))
    return worst


@njit(cache=True)
def _settle(offsets, axes, start, limits, capsules, radii, pairs, contacts, steps, damping):
    angles = start.copy()
    vector = np.zeros(26)
    worst = 0.0
    for step in range(steps + 1):
        vector[6:] = angles
        joints, jacobian = fk_and_jacobian(offsets, axes, vector)
        worst = _deepest(joints, capsules, radii, pairs)
        if step == steps or (worst < 0.5 and len(contacts) == 0):
            break
        hessian, gradient = np.eye(20) * damping**2, np.zeros(20)
        for k in range(len(pairs)):
            i, j = pairs[k]
            p, q, m, n = capsules[i, 0], capsules[i, 1], capsules[j, 0], capsules[j, 1]
            s, t = _closest(joints[p], joints[q], joints[m], joints[n])
            gap = joints[p] + s * (joints[q] - joints[p]) - joints[m] - t * (joints[n] - joints[m])
            distance = np.sqrt(np.dot(gap, gap)) + 1e-9
            depth = radii[i] + radii[j] - distance
            if depth <= 0:
                continue
            lever = np.zeros(20)
            for axis in range(3):
                first = (1 - s) * jacobian[p, axis, 6:] + s * jacobian[q, axis, 6:]
                second = (1 - t) * jacobian[m, axis, 6:] + t * jacobian[n, axis, 6:]
                lever += gap[axis] / distance * (first - second)
            hessian += np.outer(lever, lever)
            gradient += lever * depth
        for k in range(len(contacts)):
            a, b = int(contacts[k, 0]), int(contacts[k, 1])
            gap = joints[a] - joints[b]
            distance = np.sqrt(np.dot(gap, gap)) + 1e-9
            lever = np.zeros(20)
            for axis in range(3):
                lever += gap[axis] / distance * (jacobian[a, axis, 6:] - jacobian[b, axis, 6:])
            hessian += np.outer(lever, lever)
            gradient += lever * (contacts[k, 2] - distance)
        angles += np.linalg.solve(hessian, gradient)
        angles = np.minimum(np.maximum(angles, limits[:, 0]), limits[:, 1])
    return angles, worst
