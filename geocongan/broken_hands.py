"""Rendered hands with one thing wrong, which no person's hand has: what a measure of plausible hands must tell from whole ones.

A broken hand is a whole one's equal in pose, view, light and skin; a finger of it is missing, too short or there twice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Literal

import numpy as np

from handpose.camera import Camera
from handpose.crop import MARGIN as CROP_MARGIN
from handpose.errors import HandposeError
from handpose.kinematics import HandPose, forward_kinematics, joint_frames
from handpose.rotation import exp_so3
from handpose.skeleton import BASES, Skeleton
from handpose.synthesis.foreground import CANVAS, place_hand
from handpose.synthesis.look import Look
from handpose.synthesis.mesh import FOREARM, HandMesh
from handpose.synthesis.rasterise import rasterise
from handpose.synthesis.sampler import RenderSampler
from handpose.synthesis.tight import render_tight
from handpose.synthesis.translated import MARGIN, without_forearm

Break = Literal["missing", "extra", "shortened"]
BREAKS: tuple[Break, ...] = ("missing", "extra", "shortened")

_STUMP = 0.1  # of its length is left of a missing finger
_SHORTENED = (0.4, 0.6)  # share of its length that a finger loses
_TURNED_RAD = np.deg2rad((22.0, 38.0))  # how far an extra finger stands off the one that it repeats
_BESIDE = {0: 1, 1: 1, 4: -1}  # where there is room for one more: the finger, and its side, + towards the thumb's
_LEAST_CHANGE = 0.07  # of the hand's area: a break that the view hides is none
_SEEN_PX = 96
_MOST_TRIES = 10


@dataclass(frozen=True, eq=False)
class DrawnHand:
    """A hand ready to be rendered: its surface, bones, pose, camera (S, S) and look."""

    mesh: HandMesh
    skeleton: Skeleton
    pose: HandPose
    camera: Camera
    look: Look

    def picture(self) -> np.ndarray:
        """Render it: RGBA (S, S, 4) uint8, colour not weighted."""
        seen = render_tight(self.mesh, self.skeleton, self.pose, self.camera, self.look)
        return np.dstack([seen.rgb, seen.alpha])

    @property
    def joints_px(self) -> np.ndarray:
        """Its joints (21, 2)."""
        return self.camera.project(forward_kinematics(self.skeleton, self.pose.to_vector()))

    def silhouette(self, forearm: bool = True) -> np.ndarray:
        """Draw its outline small: (96, 96) bool."""
        camera, bend = self.camera.scaled_to((_SEEN_PX, _SEEN_PX)), self.look.wrist_bend_rad
        turn = exp_so3(np.array([bend[0], 0.0, bend[1]]))
        vertices, _ = self.mesh.posed(self.skeleton, self.pose.to_vector(), turn)
        points = np.column_stack([camera.project(vertices), vertices[:, 2]])
        triangles = self.mesh.triangles if forearm else hand_triangles(self.mesh)
        return rasterise(points, triangles, _SEEN_PX, True)[0] >= 0


def drawn_hand(sampler: RenderSampler, number: int, size: int) -> DrawnHand:
    """Draw hand `number` of a sampler as it renders it, in an upright crop of `size` px as the translators see it, but with its forearm."""
    rng, mesh, skeleton = sampler.hand(number)
    placed = place_hand(rng, sampler.poses, skeleton, size)
    focal = placed.camera.fx * CROP_MARGIN * CANVAS / MARGIN
    return DrawnHand(mesh, skeleton, placed.pose, replace(placed.camera, fx=focal, fy=focal), Look.sample(rng))


def hand_triangles(mesh: HandMesh) -> np.ndarray:
    """Leave the forearm out: triangles (T, 3)."""
    arm = (mesh.weights * (mesh.bones == FOREARM)).sum(-1) > 0.5
    return mesh.triangles[~arm[mesh.triangles].any(1)]


def broken(rng: np.random.Generator, hand: DrawnHand) -> tuple[DrawnHand, Break] | None:
    """Break a hand so that it shows: the broken hand and what is wrong with it, or None where the view hides any such thing."""
    whole, area = hand.silhouette(), hand.silhouette(forearm=False).sum()
    for kind in rng.permutation(len(BREAKS)):
        for finger in rng.permutation(list(_BESIDE) if BREAKS[kind] == "extra" else 5):
            made = break_finger(rng, hand, BREAKS[kind], int(finger))
            if (made.silhouette() != whole).sum() >= _LEAST_CHANGE * area > 0:
                return made, BREAKS[int(kind)]
    return None


def pairs(
    sampler: RenderSampler, numbers: Sequence[int], size: int, count: int
) -> tuple[np.ndarray, np.ndarray, list[Break]]:
    """Render whole hands and the same ones broken, (N, S, S, 4) each, and say how; hands whose break would not show are passed over.

    They are those of `numbers` in a sampler, from the start again with other breaks where these are too few. Raises HandposeError where
    hardly any break shows.
    """
    whole, bad, kinds = [], [], []
    for turn in range(_MOST_TRIES * count):
        hand = drawn_hand(sampler, int(numbers[turn % len(numbers)]), size)
        made = broken(np.random.default_rng((sampler.seed, 9, turn)), hand)
        if made is not None:
            whole.append(without_forearm(hand.picture(), hand.joints_px))
            bad.append(without_forearm(made[0].picture(), hand.joints_px))
            kinds.append(made[1])
        if len(whole) == count:
            return np.stack(whole), np.stack(bad), kinds
    raise HandposeError(f"only {len(whole)} of {_MOST_TRIES * count} hands can be broken so that it shows")


def break_finger(rng: np.random.Generator, hand: DrawnHand, kind: Break, finger: int) -> DrawnHand:
    """Break a finger (0 the thumb, 4 the little one) whether it shows or not. Raises KeyError for an extra finger without room."""
    if kind == "missing":
        return replace(hand, mesh=_without(hand.mesh, hand.skeleton, finger))
    if kind == "extra":
        return replace(hand, mesh=_Doubled.of(hand.mesh, finger, _BESIDE[finger] * rng.uniform(*_TURNED_RAD)))
    mesh, skeleton = _shorter(hand.mesh, hand.skeleton, finger, 1 - rng.uniform(*_SHORTENED))
    return replace(hand, mesh=mesh, skeleton=skeleton)


def _shrunk(mesh: HandMesh, skeleton: Skeleton, finger: int, kept: float) -> np.ndarray:
    """Draw a finger's points towards its base along its straight rest direction: vertices (V, 3)."""
    base = mesh.rest_joints_mm[BASES[finger]]
    direction = skeleton.offsets_mm[BASES[finger] + 1] / np.linalg.norm(skeleton.offsets_mm[BASES[finger] + 1])
    beyond = np.maximum((mesh.vertices_mm - base) @ direction, 0) * ((mesh.finger == finger) & (mesh.along > 1))
    return mesh.vertices_mm - (1 - kept) * beyond[:, None] * direction


def _without(mesh: HandMesh, skeleton: Skeleton, finger: int) -> HandMesh:
    """Leave a stump, which moves with the palm."""
    gone = (mesh.finger == finger) & (mesh.along > 1)
    bones, weights = mesh.bones.copy(), mesh.weights.copy()
    bones[gone], weights[gone] = 0, (1, 0, 0, 0)
    return replace(mesh, vertices_mm=_shrunk(mesh, skeleton, finger, _STUMP), bones=bones, weights=weights)


def _shorter(mesh: HandMesh, skeleton: Skeleton, finger: int, kept: float) -> tuple[HandMesh, Skeleton]:
    """Shorten the three bones of a finger."""
    lengths = skeleton.bone_lengths_mm.copy()
    lengths[BASES[finger] + 1 : BASES[finger] + 4] *= kept
    short = skeleton.with_bone_lengths(lengths)
    vertices = _shrunk(mesh, skeleton, finger, kept)
    return replace(mesh, vertices_mm=vertices, rest_joints_mm=short.rest_joints_mm), short


@dataclass(frozen=True, eq=False)
class _Doubled(HandMesh):
    """A mesh whose points from `first` on repeat a finger, and stand off it by an angle in the palm's plane [rad]."""

    first: int = 0
    base: int = 0
    turn_rad: float = 0.0

    @classmethod
    def of(cls, mesh: HandMesh, finger: int, turn_rad: float) -> _Doubled:
        mine = (mesh.finger == finger) & (mesh.along > 0.9)
        numbers = np.full(len(mine), -1)
        numbers[mine] = len(mine) + np.arange(mine.sum())
        copied = numbers[mesh.triangles[mine[mesh.triangles].all(1)]]
        values = {field.name: getattr(mesh, field.name) for field in fields(HandMesh)}
        for name in ("vertices_mm", "normals", "bones", "weights", "along", "finger", "back", "across", "tint"):
            if values[name] is not None:
                values[name] = np.concatenate([values[name], values[name][mine]])
        values["triangles"] = np.concatenate([mesh.triangles, copied]).astype(mesh.triangles.dtype)
        return cls(**values, first=len(mine), base=int(BASES[finger]), turn_rad=turn_rad)

    def posed(self, skeleton, vector, forearm_from_wrist):
        vertices, normals = super().posed(skeleton, vector, forearm_from_wrist)
        frames, joints = joint_frames(skeleton, vector)
        turn = exp_so3(frames[0] @ np.array([0.0, 0.0, self.turn_rad]))
        vertices[self.first :] = (vertices[self.first :] - joints[self.base]) @ turn.T + joints[self.base]
        normals[self.first :] = normals[self.first :] @ turn.T
        return vertices, normals
