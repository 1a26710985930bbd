"""Render a posed hand: colour, alpha, depth and where its joints are."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.kinematics import HandPose, forward_kinematics
from handpose.rotation import exp_so3
from handpose.skeleton import BASES, N_JOINTS, Side, Skeleton
from handpose.synthesis.build_hand import build_hand
from handpose.synthesis.look import Look
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.rasterise import depth_from_light, rasterise
from handpose.synthesis.shading import PALM_LINES, noise_volume, shade

SHAPES = 16  # different hands in the pool
_SHADOW_SIZE = 96
_NO_PHOTOGRAPH = np.zeros((0, 3))
_SLEEVE_MM = 5.0  # cloth stands off the skin
_CLEFT_MM = 8.0  # this far behind what is beside it, skin sees no light

__all__ = ["Look", "RenderResult", "render_hand", "sample_shape", "shape"]


@dataclass(frozen=True, eq=False)
class RenderResult:
    """rgb (H, W, 3) uint8, not weighted by alpha; alpha (H, W) uint8; depth_mm (H, W) float32, 0 where nothing is.

    joints_mm (21, 3) in the camera frame, joints_px (21, 2), and the side.
    """

    rgb: np.ndarray
    alpha: np.ndarray
    depth_mm: np.ndarray
    joints_mm: np.ndarray
    joints_px: np.ndarray
    side: Side


def sample_shape(rng: np.random.Generator) -> tuple[HandMesh, Skeleton]:
    """Draw a left hand from the pool of shapes."""
    return shape(int(rng.integers(SHAPES)))


@lru_cache(maxsize=SHAPES)
def shape(number: int) -> tuple[HandMesh, Skeleton]:
    """Build hand number `number`: bones 0.9 to 1.1 times the usual, lean to plump; always the same for a number."""
    rng = np.random.default_rng((20, number))
    proportions = np.clip(rng.normal(1, 0.045, N_JOINTS), 0.9, 1.1)
    proportions[1:] *= np.repeat(np.clip(rng.normal(1, 0.03, 5), 0.94, 1.06), 4)
    skeleton = Skeleton.default("left", proportions=proportions / proportions[9])
    return build_hand(skeleton, rng.uniform(0.86, 1.14)), skeleton


def render_hand(
    mesh: HandMesh, skeleton: Skeleton, pose: HandPose, camera: Camera, look: Look, *, supersample: int = 2
) -> RenderResult:
    """Render a hand of either side through a square pinhole camera; `mesh` and `skeleton` must be of one side.

    Raises ValueError for a camera that is not square or has distortion.
    """
    width, height = camera.size_px
    if width != height or any(camera.distortion):
        raise ValueError(f"hands are rendered through square pinhole cameras, not {camera}")
    vector = pose.to_vector()
    bend = np.array([look.wrist_bend_rad[0], 0.0, look.wrist_bend_rad[1]])
    vertices, normals = mesh.posed(skeleton, vector, exp_so3(bend))
    rest = mesh.vertices_mm
    if np.isfinite(look.sleeve_mm):
        vertices = vertices + normals * (_SLEEVE_MM * _ramp(-rest[:, 1] - look.sleeve_mm, 3.0))[:, None]
    fine = camera.scaled_to((width * supersample, height * supersample))
    points = np.column_stack([fine.project(vertices), vertices[:, 2]])
    shown, depth, weights = rasterise(points, mesh.triangles, fine.size_px[0], False)
    linear = _shaded(mesh, skeleton, pose, vertices, normals, shown, depth, weights, look)

    covered = (shown >= 0).astype(np.float32)
    size = (width, height)
    alpha = cv2.resize(covered, size, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(linear, size, interpolation=cv2.INTER_AREA) / np.maximum(alpha, 1e-3)[..., None]
    rgb = (255 * np.clip(colour, 0, 1) ** (1 / 2.2)).astype(np.uint8)
    seen = np.where(np.isfinite(depth), depth, 0)
    depth_mm = cv2.resize(seen, size, interpolation=cv2.INTER_AREA) / np.maximum(alpha, 1e-3)
    joints_mm = forward_kinematics(skeleton, vector)
    return RenderResult(
        rgb, (255 * alpha).round().astype(np.uint8), np.where(alpha > 0, depth_mm, 0).astype(np.float32), joints_mm,
        camera.project(joints_mm), skeleton.side,
    )  # fmt: skip


def _shaded(mesh, skeleton, pose: HandPose, vertices, normals, shown, depth, weights, look: Look) -> np.ndarray:
    axes, low, scale = _light_view(vertices, look.key_from)
    shadow = depth_from_light(vertices, mesh.triangles, axes, low, scale, _SHADOW_SIZE)
    flip = np.array([-1 if skeleton.side == "right" else 1, 1, 1])
    return shade(
        shown, weights, *_occlusion(depth), mesh.triangles, vertices, normals,
        mesh.vertices_mm * flip, mesh.along, mesh.finger, mesh.back, mesh.across,
        _NO_PHOTOGRAPH if mesh.tint is None else mesh.tint,
        skeleton.scale_mm, np.stack([look.back, look.palm, look.nail, look.crease]), look.sleeve,
        np.array([look.mottle, look.shine, look.wrinkles, look.sleeve_mm, look.stripe_mm, look.ring[1]]), look.ring[0],
        look.ambient, look.key_from, look.key, look.phase, _volume(), PALM_LINES,
        skeleton.rest_joints_mm[BASES[1:], :2] * flip[:2], exp_so3(pose.wrist_rotation_rad)[:, 0] * flip[0], shadow, axes, low, scale,
    )  # fmt: skip


@lru_cache(maxsize=1)
def _volume() -> np.ndarray:
    return noise_volume()


def _light_view(vertices: np.ndarray, key_from: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Axes (3, 3) that look along the light, and the offset and scale that fit the hand into the shadow map."""
    forward = -key_from
    helper = np.array([1.0, 0, 0]) if abs(forward[0]) < 0.8 else np.array([0, 1.0, 0])
    right = np.cross(helper, forward)
    right /= np.linalg.norm(right)
    axes = np.stack([right, np.cross(forward, right), forward])
    placed = vertices @ axes.T
    low, high = placed.min(0), placed.max(0)
    return axes, low, (_SHADOW_SIZE - 1) / max((high - low)[:2].max(), 1.0)


def _occlusion(depth: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Shares (S, S) of light that reach each pixel, less where its surroundings are nearer to the camera.

    Across a hand, for the room's light; across the clefts between fingers, for any: narrow, dark and the clearest lines of a fist.
    """
    known = np.isfinite(depth)
    filled = np.where(known, depth, 0).astype(np.float32)
    size = depth.shape[0]
    share, mean = (_blurred(x, size / 14, 4) for x in (known.astype(np.float32), filled))
    behind = filled - _enlarged(mean / np.maximum(share, 1e-3), size)
    open_air = np.where(known, filled, filled.max())  # light comes in from beside the hand
    within = filled - _enlarged(_blurred(open_air, size / 60, 2), size)
    return np.clip(1.0 - behind / 45.0, 0.35, 1.1), np.clip(1.0 - within / _CLEFT_MM, 0.3, 1.0)


def _blurred(image: np.ndarray, width_px: float, shrunk: int) -> np.ndarray:
    """Blur a picture (S, S) by `width_px`, and leave it `shrunk` times smaller, which is as good and quicker."""
    size = image.shape[0] // shrunk
    return cv2.GaussianBlur(cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA), (0, 0), width_px / shrunk)


def _enlarged(image: np.ndarray, size: int) -> np.ndarray:
    return cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR)


def _ramp(x: np.ndarray, width: float) -> np.ndarray:
    return np.clip(x / width, 0, 1)
