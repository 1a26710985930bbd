"""The kinematic hand fitted to joints and to a silhouette together: pose, flesh and finger lengths that people's hands have.

The joints' part is the tracker's own energy (Mueller et al. 2018, section 4). The silhouette's part is the squared difference of two
blurred masks, coarse first; its derivatives are differences of renderings, which takes about half a second a picture.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import cv2
import numpy as np

from geocongan.broken_hands import hand_triangles
from handpose.camera import Camera
from handpose.fit.energy import Problem
from handpose.fit.solver import energy_of
from handpose.kinematics import forward_kinematics
from handpose.skeleton import BASES, M0, WRIST, Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.rasterise import rasterise

_FLESH = (0.88, 1.0, 1.12)  # lean, usual, plump
_LENGTH_SPREAD = 0.06  # standard deviation of people's finger lengths, as a share
_MASK_WEIGHT = 6.0  # 1 / standard deviation of a blurred mask's pixel
_SIZE_PX = 48  # of the masks compared
_STAGES = ((2.25, 4), (1.1, 6))  # blur [px] and steps
_STEPS = np.concatenate([np.full(3, 2.0), np.full(3, 0.03), np.full(20, 0.06), np.full(5, 0.04)])
_LENGTH_STEP = 0.02
_DAMPING, _LESS, _MORE, _TRIES = 1e-2, 0.3, 5.0, 4
_CONVERGED = 0.01  # relative fall of the energy
_BELOW_WRIST = 0.05  # of |W-M0|: silhouettes are cut off so far above the wrist


@dataclass(frozen=True, eq=False)
class OutlinedHand:
    """A fitted hand: values (31,) are its pose vector and the lengths of its fingers over the usual, minus 1; `flesh` its mesh's number."""

    values: np.ndarray
    flesh: int

    @property
    def angles_rad(self) -> np.ndarray:
        """The joint angles (20,)."""
        return self.values[6:26]


class OutlineFit:
    """Fits left hands seen by `camera`, which is square."""

    def __init__(self, camera: Camera):
        self.camera, self.skeleton = camera, Skeleton.default("left")
        self._meshes = [build_hand(self.skeleton, thickness) for thickness in _FLESH]
        self._triangles = [hand_triangles(mesh) for mesh in self._meshes]
        self._stretch = [_stretch(mesh, self.skeleton) for mesh in self._meshes]

    def __call__(self, problem: Problem, start: np.ndarray, mask: np.ndarray) -> OutlinedHand:
        """Improve a pose `start` (26,) that fits the joints of `problem` by a mask (S, S) bool of the hand, its forearm included."""
        problem = replace(problem, expected=start)
        hand = OutlinedHand(np.concatenate([start, np.zeros(5)]), 1)
        seen = cv2.resize(mask.astype(np.float32), (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_AREA)
        for blur, steps in _STAGES:
            target = cv2.GaussianBlur(seen, (0, 0), blur)
            variants = [replace(hand, flesh=flesh) for flesh in range(len(_FLESH))]
            hand = min(variants, key=lambda variant: float((self._misfit(variant, target, blur) ** 2).sum()))
            hand = self._descend(hand, problem, target, blur, steps)
        return hand

    def silhouette(self, hand: OutlinedHand, size: int) -> np.ndarray:
        """Draw a hand without its forearm: (size, size) bool."""
        mesh, skeleton = self._shape(hand)
        vertices, _ = mesh.posed(skeleton, hand.values[:26], np.eye(3))
        points = np.column_stack([self.camera.scaled_to((size, size)).project(vertices), vertices[:, 2]])
        return rasterise(points, self._triangles[hand.flesh], size, True)[0] >= 0

    def above_wrist(self, hand: OutlinedHand, size: int) -> np.ndarray:
        """Say which pixels (size, size) lie on the fingers' side of the wrist: the rest of a silhouette may be forearm."""
        joints = self.camera.scaled_to((size, size)).project(self.joints_mm(hand))
        towards = joints[M0] - joints[WRIST]
        grid = np.stack(np.meshgrid(np.arange(size), np.arange(size)), axis=-1)
        return (grid - joints[WRIST]) @ towards >= _BELOW_WRIST * (towards @ towards)

    def joints_mm(self, hand: OutlinedHand) -> np.ndarray:
        """Place the joints (21, 3) in the camera frame."""
        return forward_kinematics(self._bones(hand.values[26:]), hand.values[:26])

    def _descend(self, hand: OutlinedHand, problem: Problem, target: np.ndarray, blur: float, steps: int):
        """Levenberg-Marquardt."""
        damping = _DAMPING
        for _ in range(steps):
            energy, gradient, matrix = self._normal_equations(hand, problem, target, blur)
            for _ in range(_TRIES):
                step = np.linalg.solve(matrix + damping * np.diag(np.diag(matrix)), -gradient)
                trial = replace(hand, values=hand.values + step)
                misfit = self._misfit(trial, target, blur)
                reached = self._joint_energy(problem, trial.values) + 0.5 * float((misfit**2).sum())
                if reached < energy:
                    break
                damping *= _MORE
            else:
                return hand
            hand, damping = trial, damping * _LESS
            if energy - reached < _CONVERGED * energy:
                return hand
        return hand

    def _normal_equations(self, hand: OutlinedHand, problem: Problem, target: np.ndarray, blur: float):
        """Energy, gradient (31,) and Gauss-Newton matrix (31, 31)."""
        values = hand.values
        gradient, matrix = np.zeros(31), np.zeros((31, 31))
        _, gradient[:26], matrix[:26, :26] = energy_of(self._bones(values[26:]), problem, values[:26])
        energy = self._joint_energy(problem, values)
        for i in range(26, 31):
            step = _LENGTH_STEP * (np.arange(31) == i)
            more, less = self._joint_energy(problem, values + step), self._joint_energy(problem, values - step)
            gradient[i] = (more - less) / (2 * _LENGTH_STEP)
            matrix[i, i] = max((more + less - 2 * energy) / _LENGTH_STEP**2, 1 / _LENGTH_SPREAD**2)
        misfit, derivative = self._misfit(hand, target, blur), np.empty((31, _SIZE_PX**2))
        for i in range(31):
            moved = replace(hand, values=values + _STEPS * (np.arange(31) == i))
            derivative[i] = (self._misfit(moved, target, blur, hand) - misfit) / _STEPS[i]
        energy += 0.5 * float((misfit**2).sum())
        return energy, gradient + derivative @ misfit, matrix + derivative @ derivative.T

    def _misfit(self, hand: OutlinedHand, target: np.ndarray, blur: float, wrist: OutlinedHand | None = None):
        """Weighted difference (S * S,) of blurred silhouettes on the fingers' side of the wrist, that of `wrist` if given."""
        fine = self.silhouette(hand, 2 * _SIZE_PX).astype(np.float32)
        drawn = cv2.resize(fine, (_SIZE_PX, _SIZE_PX), interpolation=cv2.INTER_AREA)
        difference = cv2.GaussianBlur(drawn, (0, 0), blur) - target
        return _MASK_WEIGHT * (difference * self.above_wrist(wrist or hand, _SIZE_PX)).ravel().astype(float)

    def _joint_energy(self, problem: Problem, values: np.ndarray) -> float:
        """Energy of the joints, the limits and the lengths."""
        energy = energy_of(self._bones(values[26:]), problem, values[:26])[0]
        return energy + 0.5 * float((values[26:] ** 2).sum()) / _LENGTH_SPREAD**2

    def _bones(self, lengths: np.ndarray) -> Skeleton:
        """Give the skeleton with its fingers longer by shares (5,)."""
        bones_mm = self.skeleton.bone_lengths_mm.copy()
        for finger in range(5):
            bones_mm[BASES[finger] + 1 : BASES[finger] + 4] *= 1 + lengths[finger]
        return self.skeleton.with_bone_lengths(bones_mm)

    def _shape(self, hand: OutlinedHand) -> tuple[HandMesh, Skeleton]:
        """Give the mesh and skeleton with the hand's flesh and lengths."""
        mesh, lengths = self._meshes[hand.flesh], hand.values[26:]
        skeleton = self._bones(lengths)
        vertices = mesh.vertices_mm + self._stretch[hand.flesh] * lengths[mesh.finger][:, None]
        return replace(mesh, vertices_mm=vertices, rest_joints_mm=skeleton.rest_joints_mm), skeleton


def _stretch(mesh: HandMesh, skeleton: Skeleton) -> np.ndarray:
    """How each point (V, 3) moves when its finger doubles its length, flat and open."""
    directions = skeleton.offsets_mm[BASES + 1]
    directions = (directions / np.linalg.norm(directions, axis=-1, keepdims=True))[mesh.finger]
    beyond = ((mesh.vertices_mm - mesh.rest_joints_mm[BASES[mesh.finger]]) * directions).sum(-1)
    return (np.maximum(beyond, 0) * (mesh.along > 1))[:, None] * directions
