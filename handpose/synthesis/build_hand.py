"""A parametric hand built in code: an implicit solid of round cones around the skeleton's bones, meshed once and skinned.

Thicknesses are typical adult ones for |W-M0| = 94.7 mm, scaled with the skeleton and by `thickness`.
"""

from __future__ import annotations

from functools import reduce

import numpy as np

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

    def __call__(self, points: np.ndarray) -> np.ndarray:
        palm = self._palm(points)
        fingers = [
            _smooth_union(self._finger(points, finger), palm, 0.8 * _BLEND_MM * self.size) for finger in range(5)
        ]
        return reduce(lambda a, b: _smooth_union(a, b, 1.5 * self.size), fingers)

    def _finger(self, points: np.ndarray, finger: int) -> np.ndarray:
        chain, radii = self.joints[BASES[finger] : BASES[finger] + 4].copy(), self.radii[finger]
        direction = (chain[3] - chain[2]) / np.linalg.norm(chain[3] - chain[2])
        chain[3] = chain[3] - 0.6 * radii[3] * direction  # the tip joint lies under the nail's end, not at the skin
        bones = [_round_cone(points, chain[i], chain[i + 1], radii[i], radii[i + 1]) for i in range(3)]
        return reduce(lambda a, b: _smooth_union(a, b, 1.5), bones)

    def _palm(self, points: np.ndarray) -> np.ndarray:
        size = self.size
        flat = points * (1.0, 1.0, 1.12)  # a palm is a little wider than thick
        bones = []
        for finger in range(5):
            root = np.array([-_WRIST_SPREAD_MM[finger] * size, 4.0, 0.0])
            base = self.joints[BASES[finger]]
            if finger == 0:
                root, base = root + (0, 4.0, 2.0), base + (0, 0, 1.0)
            bones.append(_round_cone(flat, root, base, 13.0 * size, self.radii[finger][0] * 1.08))
        distance = reduce(lambda a, b: _smooth_union(a, b, 7.0 * size), bones)
        thumb, index, little = (self.joints[BASES[finger]] for finger in (0, 1, 4))
        ball = _round_cone(
            points, 0.75 * thumb + (4, 0, 7 * size), 0.55 * thumb + 0.45 * index + (5, 0, 4 * size), 14 * size, 8 * size
        )
        heel = _round_cone(
            points, np.array([14, 12, 5]) * size, 0.75 * little + (2, 0, 4 * size), 12.5 * size, 9 * size
        )
        knuckle = self.joints[BASES[0] + 1]
        web = [
            _round_cone(points, thumb + along * (knuckle - thumb), at * index, radius * size, radius * size)
            for along, at, radius in _WEB
        ]
        for part in (ball, heel, *web):
            distance = _smooth_union(distance, part, 9.0 * size)
        return _smooth_union(distance, self._forearm(points), 14.0 * size)

    def _forearm(self, points: np.ndarray) -> np.ndarray:
        """A cone of elliptic section, wider than thick at the wrist and rounder towards the elbow."""
        size = self.size
        along = np.clip(-points[..., 1] / 260.0, 0, 1)
        wide, thick = (25 + 17 * along) * size, (17.5 + 19 * along) * size
        ring = np.hypot(points[..., 0] / wide, points[..., 2] / thick)
        return np.maximum((ring - 1) * thick, points[..., 1] - 6.0)


def _round_cone(points: np.ndarray, a: np.ndarray, b: np.ndarray, radius_a: float, radius_b: float) -> np.ndarray:
    """Distance to a ball that rolls from a to b and changes its radius on the way."""
    bone = b - a
    along = np.clip((points - a) @ bone / (bone @ bone), 0, 1)
    return np.linalg.norm(points - a - along[..., None] * bone, axis=-1) - (radius_a + along * (radius_b - radius_a))


def _smooth_union(a: np.ndarray, b: np.ndarray, blend: float) -> np.ndarray:
    """Unite two solids with a fillet of about `blend`."""
    h = np.maximum(blend - np.abs(a - b), 0) / blend
    return np.minimum(a, b) - 0.25 * blend * h * h
