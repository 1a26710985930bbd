"""A hand's surface bound to the skeleton: triangles, skinning weights, and coordinates that say where on the hand a point is."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numba import njit

from handpose.kinematics import joint_frames
from handpose.skeleton import BASES, FINGERS, Skeleton

N_BONES = 22  # the 21 joints' frames, and the forearm's
FOREARM = 21
_INFLUENCES = 4
_SPREAD_MM = 2.5  # how sharply a point belongs to the nearest ray of the hand
_THUMB = FINGERS.index("thumb")
_WEB_SPREAD_MM = 7.0  # the same between the thumb and the others: skin that stretches


@dataclass(frozen=True, eq=False)
class HandMesh:
    """A mesh in the rest wrist frame of its side.

    vertices_mm (V, 3), normals (V, 3), triangles (T, 3) outward; bones (V, 4) and weights (V, 4) for skinning.
    along (V,): how far along its finger, 0 at the wrist, 1 base, 2 and 3 joints, 4 tip; finger (V,) 0..4.
    back (V,): 1 on the back of the finger or hand, -1 on the palm's side; across (V,): -1..1 over the finger's width.
    tint (V, 3): a photographed skin's linear colours over their mean, or None where the skin is to be made up.
    """

    vertices_mm: np.ndarray
    normals: np.ndarray
    triangles: np.ndarray
    bones: np.ndarray
    weights: np.ndarray
    along: np.ndarray
    finger: np.ndarray
    back: np.ndarray
    across: np.ndarray
    rest_joints_mm: np.ndarray
    tint: np.ndarray | None = None

    @property
    def palmar(self) -> np.ndarray:
        """How much each vertex (V,) has the palm's skin, 0..1."""
        return np.clip(0.5 - 1.4 * (self.back + 0.1), 0, 1)

    @classmethod
    def skinned(cls, skeleton: Skeleton, vertices_mm: np.ndarray, triangles: np.ndarray, radii: np.ndarray) -> HandMesh:
        """Bind a surface (V, 3), (T, 3) to a left skeleton; `radii` (5, 4) are the fingers' at their joints [mm]."""
        joints = skeleton.rest_joints_mm
        distance, place = zip(*(_along_ray(vertices_mm, joints, finger) for finger in range(5)), strict=True)
        distance, place = np.stack(distance, 1), np.stack(place, 1)  # (V, 5)
        nearest = distance.argmin(1)
        spread = np.where((nearest[:, None] == _THUMB) | (np.arange(5) == _THUMB), _WEB_SPREAD_MM, _SPREAD_MM)
        share = np.exp(-(distance - distance.min(1, keepdims=True)) / spread)
        share /= share.sum(1, keepdims=True)
        full = np.zeros((len(vertices_mm), N_BONES))
        for finger in range(5):
            _add_ray(full, share[:, finger], place[:, finger], joints, radii[finger], finger)
        arm = forearm_share(vertices_mm)[:, None]
        full *= 1 - arm
        full[:, FOREARM] += arm[:, 0]
        bones = np.argsort(-full, axis=1)[:, :_INFLUENCES]
        weights = np.take_along_axis(full, bones, axis=1)
        weights /= weights.sum(1, keepdims=True)
        normals = vertex_normals(vertices_mm, triangles)
        back, across = _sides(skeleton, vertices_mm, normals, nearest, place, radii)
        along = np.take_along_axis(place, nearest[:, None], 1)[:, 0]
        return cls(
            vertices_mm, normals, triangles.astype(np.int32), bones.astype(np.int32), weights, along, nearest, back,
            across, joints,
        )  # fmt: skip

    def mirrored(self) -> HandMesh:
        """Return the other hand: x negated, triangles turned round so that they still face outwards."""
        flip = np.array([-1.0, 1, 1])
        return replace(
            self, vertices_mm=self.vertices_mm * flip, normals=self.normals * flip,
            triangles=np.ascontiguousarray(self.triangles[:, ::-1]), rest_joints_mm=self.rest_joints_mm * flip,
        )  # fmt: skip

    def posed(
        self, skeleton: Skeleton, vector: np.ndarray, forearm_from_wrist: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Pose the surface: vertices (V, 3) [mm] and normals (V, 3) in the camera frame.

        forearm_from_wrist (3, 3) turns the forearm about the wrist, in the wrist's frame.
        """
        frames, joints = joint_frames(skeleton, vector)
        frames = np.concatenate([frames, (frames[0] @ forearm_from_wrist)[None]])
        shifts = np.concatenate([joints, joints[:1]]) - np.einsum(
            "bij,bj->bi", frames, np.concatenate([self.rest_joints_mm, self.rest_joints_mm[:1]])
        )
        return _blend(self.vertices_mm, self.normals, self.bones, self.weights, frames, shifts)


def forearm_share(rest_mm: np.ndarray) -> np.ndarray:
    """How much each point (V, 3) of the rest wrist frame [mm] moves with the forearm (V,), 0..1."""
    return _smooth_step(-rest_mm[:, 1], -12.0, 22.0)


def vertex_normals(vertices: np.ndarray, triangles: np.ndarray) -> np.ndarray:
    """Area-weighted unit normals (V, 3)."""
    a, b, c = (vertices[triangles[:, i]] for i in range(3))
    faces = np.cross(b - a, c - a)
    normals = np.zeros_like(vertices)
    for i in range(3):
        np.add.at(normals, triangles[:, i], faces)
    return normals / (np.linalg.norm(normals, axis=-1, keepdims=True) + 1e-12)


@njit(cache=True)
def _blend(vertices, normals, bones, weights, frames, shifts):
    posed, turned = np.empty_like(vertices), np.empty_like(vertices)
    m = np.empty((3, 4))
    for v in range(len(vertices)):  # number by number: small arrays made in a compiled loop cost fifteen times as much
        m[:] = 0.0
        for k in range(bones.shape[1]):
            bone, weight = bones[v, k], weights[v, k]
            for i in range(3):
                for j in range(3):
                    m[i, j] += weight * frames[bone, i, j]
                m[i, 3] += weight * shifts[bone, i]
        length = 1e-12
        for i in range(3):
            posed[v, i] = m[i, 0] * vertices[v, 0] + m[i, 1] * vertices[v, 1] + m[i, 2] * vertices[v, 2] + m[i, 3]
            turned[v, i] = m[i, 0] * normals[v, 0] + m[i, 1] * normals[v, 1] + m[i, 2] * normals[v, 2]
            length += turned[v, i] ** 2
        turned[v] /= np.sqrt(length)
    return posed, turned


def _chain(joints: np.ndarray, finger: int) -> np.ndarray:
    """The ray of a finger: wrist, base, two joints, tip (5, 3)."""
    return joints[[0, *range(BASES[finger], BASES[finger] + 4)]]


def _along_ray(points: np.ndarray, joints: np.ndarray, finger: int) -> tuple[np.ndarray, np.ndarray]:
    """Distance (V,) [mm] of points from a finger's ray, and how far along (V,), 0 wrist to 4 tip and a little beyond."""
    chain = _chain(joints, finger)
    best, place = np.full(len(points), np.inf), np.zeros(len(points))
    for i in range(4):
        bone = chain[i + 1] - chain[i]
        raw = (points - chain[i]) @ bone / (bone @ bone)
        t = np.clip(raw, 0, 1)
        distance = np.linalg.norm(points - chain[i] - t[:, None] * bone, axis=-1)
        nearer = distance < best
        best = np.where(nearer, distance, best)
        place = np.where(nearer, i + (np.maximum(raw, 0) if i == 3 else t), place)
    return best, place


def _add_ray(full, share, place, joints, radii, finger: int) -> None:
    """Share a ray's weight out among its bones: each hands over to the next across the joint's width."""
    lengths = np.linalg.norm(np.diff(_chain(joints, finger), axis=0), axis=-1)
    rest = share
    for i in range(3, 0, -1):
        half = 0.75 * radii[i - 1]
        offset = (place - i) * np.where(place < i, lengths[i - 1], lengths[i])
        taken = _smooth_step(offset, -half, half)
        full[:, BASES[finger] + i - 1] += rest * taken
        rest = rest * (1 - taken)
    full[:, 0] += rest


def _sides(skeleton: Skeleton, vertices, normals, finger, place, radii):
    """How much each point faces the back of its finger (V,), and where it lies across it (V,)."""
    back, across = np.zeros(len(vertices)), np.zeros(len(vertices))
    for f in range(5):
        mine = finger == f
        chain, axis = _chain(skeleton.rest_joints_mm, f), skeleton.axes[4 * f + 3]
        direction = (chain[4] - chain[3]) / np.linalg.norm(chain[4] - chain[3])
        dorsal = -np.cross(axis, direction)
        # The palm's own back is flat: only beyond its base does the thumb's turn with the thumb.
        blend = np.clip(place[mine, f] - 0.6, 0, 1)[:, None]
        facing = blend * dorsal + (1 - blend) * np.array([0, 0, -1.0])
        back[mine] = np.einsum("vi,vi->v", normals[mine], facing / np.linalg.norm(facing, axis=-1, keepdims=True))
        across[mine] = (vertices[mine] - chain[4]) @ axis / radii[f, 3]
    return back, across


def _smooth_step(x, low: float, high: float):
    t = np.clip((x - low) / (high - low), 0, 1)
    return t * t * (3 - 2 * t)
