"""A rendered hand without its surroundings, seen by a virtual crop camera and kept small enough to be cached by the thousand."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handpose.camera import Camera
from handpose.crop import MARGIN, Crop
from handpose.kinematics import HandPose, forward_kinematics
from handpose.rotation import exp_so3
from handpose.skeleton import M0, Side, Skeleton
from handpose.synthesis import viewpoints
from handpose.synthesis.poses import Grip, PoseSampler
from handpose.synthesis.render_hand import Look
from handpose.synthesis.tight import render_tight

CANVAS = 1.95  # canvas side in crop sides: holds the crop of a usual spread at any roll
_HALF_BAR = 1.3  # [|W-M0|]
_NEAREST_HELD_MM = 50.0
RELIEF_ZERO = 128  # relief value of M0's own depth, 1 per mm; 0 where there is nothing
_SOURCE = Camera(1000.0, 1000.0, 0.0, 0.0, (1, 1))  # any camera will do: the crop camera alone sees the hand


@dataclass(frozen=True, eq=False)
class Held:
    """What the hand grasps, in the canvas: its ends (2, 2) [px], their radii (2,) [px] and depths (2,) [mm], M0's depth and its radius [mm]."""

    kind: str
    ends_px: np.ndarray
    radii_px: np.ndarray
    depths_mm: np.ndarray
    hand_depth_mm: float
    radius_mm: float


@dataclass(frozen=True, eq=False)
class Foreground:
    """A hand with its forearm on an empty square canvas of `size` px, of which only the part that shows it is kept.

    joints_px (21, 2) in the canvas, joints_mm (21, 3) in the frame of `camera`, which looks straight at the hand and sees it upright.
    """

    size: int
    part: tuple[slice, slice]
    part_rgba: np.ndarray
    part_relief: np.ndarray
    joints_px: np.ndarray
    joints_mm: np.ndarray
    camera: Camera
    side: Side
    held: Held | None

    @property
    def rgba(self) -> np.ndarray:
        """The canvas (S, S, 4) uint8, colour premultiplied by alpha."""
        canvas = np.zeros((self.size, self.size, 4), np.uint8)
        canvas[self.part] = self.part_rgba
        return canvas

    @property
    def relief(self) -> np.ndarray:
        """Depth behind M0 [mm] + RELIEF_ZERO, (S, S) uint8; 0 where there is nothing."""
        canvas = np.zeros((self.size, self.size), np.uint8)
        canvas[self.part] = self.part_relief
        return canvas

    @property
    def crop_side_px(self) -> float:
        """Side of the hand's unjittered crop in the canvas [px]."""
        return self.size / CANVAS


@dataclass(frozen=True, eq=False)
class PlacedHand:
    """A hand drawn but not rendered: its pose before `camera`, which sees it upright, its joints there (21, 2) [px], and what it grasps."""

    pose: HandPose
    camera: Camera
    joints_px: np.ndarray
    grip: Grip | None


def place_hand(rng: np.random.Generator, poses: PoseSampler, skeleton: Skeleton, size: int) -> PlacedHand:
    """Draw a pose and a view for a canvas of `size` px."""
    drawn = poses.sample(rng, skeleton)
    camera_from_wrist, distance = viewpoints.sample_view(rng)
    pose = viewpoints.place(skeleton, drawn.angles_rad, camera_from_wrist, np.array([0, 0, distance]))
    joints_px = _SOURCE.project(forward_kinematics(skeleton, pose.to_vector()))
    crop = Crop.from_joints(_SOURCE, joints_px, size=size, margin=MARGIN * CANVAS)
    pose = viewpoints.turned(pose, crop.camera_from_crop.T)
    return PlacedHand(pose, crop.camera, crop.to_crop(joints_px), drawn.grip)


def render_foreground(
    rng: np.random.Generator, poses: PoseSampler, mesh, skeleton: Skeleton, size: int, supersample: int = 2
) -> Foreground:
    """Draw a pose, a view and a look, and render them on a canvas of `size` px."""
    hand = place_hand(rng, poses, skeleton, size)
    result = render_tight(mesh, skeleton, hand.pose, hand.camera, Look.sample(rng), supersample=supersample)
    part = _shown(result.alpha)
    depth = result.depth_mm[part]
    relief = np.where(depth > 0, np.clip(depth - result.joints_mm[M0, 2] + RELIEF_ZERO, 1, 255), 0).astype(np.uint8)
    held = _held(hand.grip, skeleton, hand.pose, hand.camera) if hand.grip else None
    return Foreground(
        size, part, premultiplied(result.rgb[part], result.alpha[part]), relief, result.joints_px, result.joints_mm,
        hand.camera, result.side, held,
    )  # fmt: skip


def _shown(alpha: np.ndarray) -> tuple[slice, slice]:
    """The rows and columns of a picture that are not empty."""
    rows, columns = np.nonzero(alpha.any(1))[0], np.nonzero(alpha.any(0))[0]
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def premultiplied(rgb: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Join colour (H, W, 3) and alpha (H, W) into (H, W, 4) uint8, colour weighted by alpha."""
    weighted = (rgb.astype(np.uint16) * alpha[..., None] + 127) // 255
    return np.concatenate([weighted.astype(np.uint8), alpha[..., None]], axis=-1)


def straight(rgba: np.ndarray) -> np.ndarray:
    """Undo `premultiplied`: (H, W, 4) uint8, colour not weighted by alpha."""
    alpha = rgba[..., 3:].astype(np.uint16)
    colour = np.minimum(rgba[..., :3].astype(np.uint16) * 255 // np.maximum(alpha, 1), 255).astype(np.uint8)
    return np.concatenate([colour, rgba[..., 3:]], axis=-1)


def _held(grip: Grip, skeleton: Skeleton, pose: HandPose, camera: Camera) -> Held:
    """Carry a grip from the wrist frame into the canvas."""
    scale, radius = skeleton.scale_mm, grip.radius * skeleton.scale_mm
    camera_from_wrist = exp_so3(pose.wrist_rotation_rad)
    middle = camera_from_wrist @ grip.centre * scale + pose.wrist_translation_mm
    middle[2] = max(middle[2], _NEAREST_HELD_MM)
    half = camera_from_wrist @ grip.direction * (0.0 if grip.kind == "ball" else _HALF_BAR * scale)
    # A bar that reaches to the lens is shorter.
    half *= min(1.0, (middle[2] - _NEAREST_HELD_MM) / max(abs(half[2]), 1e-9))
    ends = np.stack([middle - half, middle + half])
    hand_depth = forward_kinematics(skeleton, pose.to_vector())[M0, 2]
    radii_px = radius * camera.fx / ends[:, 2]
    return Held(grip.kind, camera.project(ends), radii_px, ends[:, 2], float(hand_depth), float(radius))
