"""A parametric hand built in code: an implicit solid of round cones around the skeleton's bones, meshed once and skinned.

Thicknesses are typical adult ones for |W-M0| = 94.7 mm, scaled with the skeleton and by `thickness`.
"""

from __future__ import annotations

import math

import numpy as np
from numba import njit

from handpose.skeleton import BASES, DEFAULT_SCALE_MM, Skeleton
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.surface import surface_nets

CELL_MM = 4.2
FOREARM_STRETCH = 3.0  # cells of the forearm are longer: it has no detail
_FOREARM_FROM, _FOREARM_TO = -25.0, -125.0  # on the squeezed axis; the last is 325 mm from the wrist
# Radius [mm] at base, middle joint, outer joint and tip of each finger.
_RADII = np.array(
    [(13.5, 11.3, 10.2, 8.6), (11.0, 9.3, 8.2, 7.0), (11.2, 9.5, 8.4, 7.2), (10.4, 8.9, 7.9, 6.8), (9.2, 7.7, 6.9, 5.9)]
)
_WRIST_SPREAD_MM = np.array([17.0, 12.0, 3.0, -7.0, -16.0])  # of the metacarpals' roots, towards the thumb
_BLEND_MM = 6.0
_FAR_MM = 1e6  # from nothing yet; what is compiled fast knows no infinity
# The skin between thumb and index: spans from so far along the thumb's metacarpal to so far along the index's, and their radii [mm].
_WEB = ((0.41, 0.6, 9.0), (0.69, 0.8, 7.5))


def build_hand(skeleton: Skeleton, thickness: float = 1.0) -> HandMesh:
    """Build the mesh of a left hand with its forearm around `skeleton`; `thickness` multiplies the flesh."""
    if skeleton.side != "left":
        raise ValueError("meshes are built for left hands and mirrored")
    solid = _Solid(skeleton, thickness * skeleton.scale_mm / DEFAULT_SCALE_MM)
    joints = skeleton.rest_joints_mm
    low = np.array([joints[:, 0].min() - 22, _FOREARM_TO, -48.0])
    high = joints.max(0) + (22.0, 20.0, 48.0)
    vertices, triangles = surface_nets(lambda points: solid(_unsqueezed(points)), low, high, CELL_MM)
    return HandMesh.skinned(skeleton, _unsqueezed(vertices), triangles, solid.radii)


def _unsqueezed(points: np.ndarray) -> np.ndarray:
    """Stretch the forearm to its length."""
    below = np.minimum(points[..., 1] - _FOREARM_FROM, 0) * (FOREARM_STRETCH - 1)
    return points + np.stack([np.zeros_like(below), below, np.zeros_like(below)], axis=-1)


class _Solid:
    """The hand as a signed distance, nearly: fingers that merge into a palm, the palm into a forearm."""

    def __init__(self, skeleton: Skeleton, size: float):
        self.joints = skeleton.rest_joints_mm
        self.size = size
        self.radii = _RADII * size
        self._bones = np.array([self._metacarpal(finger) for finger in range(5)])
        self._flesh = np.array(self._ball_heel_and_web())
        self._fingers = np.array([bone for finger in range(5) for bone in self._finger(finger)])

    def __call__(self, points: np.ndarray) -> np.ndarray:
        """Give the distances (...) of points (..., 3) [mm] from the skin, negative inside."""
        flat = np.ascontiguousarray(points.reshape(-1, 3))
        return _distances(flat, self._bones, self._flesh, self._fingers, self.size).reshape(points.shape[:-1])

    def _metacarpal(self, finger: int) -> np.ndarray:
        root = np.array([-_WRIST_SPREAD_MM[finger] * self.size, 4.0, 0.0])
        base = self.joints[BASES[finger]]
        if finger == 0:
            root, base = root + (0, 4.0, 2.0), base + (0, 0, 1.0)
        return _cone(root, base, 13.0 * self.size, self.radii[finger][0] * 1.08)

    def _ball_heel_and_web(self) -> list[np.ndarray]:
        size = self.size
        thumb, index, little = (self.joints[BASES[finger]] for finger in (0, 1, 4))
        knuckle = self.joints[BASES[0] + 1]
        ball = _cone(
            0.75 * thumb + (4, 0, 7 * size), 0.55 * thumb + 0.45 * index + (5, 0, 4 * size), 14 * size, 8 * size
        )
        heel = _cone(np.array([14, 12, 5]) * size, 0.75 * little + (2, 0, 4 * size), 12.5 * size, 9 * size)
        web = [
            _cone(thumb + along * (knuckle - thumb), at * index, radius * size, radius * size)
            for along, at, radius in _WEB
        ]
        return [ball, heel, *web]

    def _finger(self, finger: int) -> list[np.ndarray]:
        chain, radii = self.joints[BASES[finger] : BASES[finger] + 4].copy(), self.radii[finger]
        direction = (chain[3] - chain[2]) / np.linalg.norm(chain[3] - chain[2])
        chain[3] = chain[3] - 0.6 * radii[3] * direction  # the tip joint lies under the nail's end, not at the skin
        return [_cone(chain[i], chain[i + 1], radii[i], radii[i + 1]) for i in range(3)]


def _cone(a: np.ndarray, b: np.ndarray, radius_a: float, radius_b: float) -> np.ndarray:
    """Describe a ball that rolls from a to b and changes its radius on the way: (9,) a, b - a, its radius at a, what that gains, 1 / |b - a|^2."""
    bone = b - a
    return np.array([*a, *bone, radius_a, radius_b - radius_a, 1 / (bone @ bone)])


@njit(cache=True, fastmath=True)
def _distances(points, bones, flesh, fingers, size):
    """Unite the cones of a hand: distances (N,) of points (N, 3)."""
    found = np.empty(len(points))
    for i in range(len(points)):
        x, y, z = points[i, 0], points[i, 1], points[i, 2]
        palm = _FAR_MM
        for k in range(len(bones)):
            palm = _smooth_union(palm, _from_cone(x, y, 1.12 * z, bones, k), 7.0 * size)  # a little wider than thick
        for k in range(len(flesh)):
            palm = _smooth_union(palm, _from_cone(x, y, z, flesh, k), 9.0 * size)
        palm = _smooth_union(palm, _from_forearm(x, y, z, size), 14.0 * size)
        hand = _FAR_MM
        for finger in range(5):
            distance = _FAR_MM
            for k in range(3 * finger, 3 * finger + 3):
                distance = _smooth_union(distance, _from_cone(x, y, z, fingers, k), 1.5)
            hand = _smooth_union(hand, _smooth_union(distance, palm, 0.8 * _BLEND_MM * size), 1.5 * size)
        found[i] = hand
    return found


@njit(fastmath=True)
def _from_cone(x, y, z, cones, k):
    x, y, z = x - cones[k, 0], y - cones[k, 1], z - cones[k, 2]
    across, up, ahead = cones[k, 3], cones[k, 4], cones[k, 5]
    along = min(max((x * across + y * up + z * ahead) * cones[k, 8], 0.0), 1.0)
    x, y, z = x - along * across, y - along * up, z - along * ahead
    return math.sqrt(x * x + y * y + z * z) - (cones[k, 6] + along * cones[k, 7])


@njit(fastmath=True)
def _from_forearm(x, y, z, size):
    """A cone of elliptic section, wider than thick at the wrist and rounder towards the elbow."""
    along = min(max(-y / 260.0, 0.0), 1.0)
    wide, thick = (25 + 17 * along) * size, (17.5 + 19 * along) * size
    return max((math.hypot(x / wide, z / thick) - 1) * thick, y - 6.0)


@njit(fastmath=True)
def _smooth_union(a, b, blend):
    """Unite two solids with a fillet of about `blend`."""
    near = blend - abs(a - b)
    return min(a, b) - 0.25 * near * near / blend if near > 0 else min(a, b)
