"""Render only the part of a picture that holds the hand: most of a canvas is empty, and empty pixels cost time too."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from handpose.camera import Camera
from handpose.kinematics import HandPose
from handpose.rotation import exp_so3
from handpose.skeleton import Skeleton
from handpose.synthesis.look import Look
from handpose.synthesis.mesh import HandMesh
from handpose.synthesis.render_hand import RenderResult, render_hand

_CLOTH_MM = 8.0  # sleeves stand off the skin
_NEAR_MM = 40.0
_STEP_PX = 8


def render_tight(
    mesh: HandMesh, skeleton: Skeleton, pose: HandPose, camera: Camera, look: Look, *, supersample: int = 2
) -> RenderResult:
    """Render as `render_hand` does, through a camera of any picture size, (W, H); the result has that size."""
    low, side = _square_about(mesh, skeleton, pose, camera, look)
    tile = replace(camera, cx=camera.cx - low[0], cy=camera.cy - low[1], size_px=(side, side))
    seen = render_hand(mesh, skeleton, pose, tile, look, supersample=supersample)
    width, height = camera.size_px
    left, top = max(low[0], 0), max(low[1], 0)
    right, bottom = min(low[0] + side, width), min(low[1] + side, height)
    inside = slice(top, bottom), slice(left, right)
    part = slice(top - low[1], bottom - low[1]), slice(left - low[0], right - low[0])
    rgb = np.zeros((height, width, 3), np.uint8)
    alpha, depth_mm = np.zeros((height, width), np.uint8), np.zeros((height, width), np.float32)
    rgb[inside], alpha[inside], depth_mm[inside] = seen.rgb[part], seen.alpha[part], seen.depth_mm[part]
    return RenderResult(rgb, alpha, depth_mm, seen.joints_mm, camera.project(seen.joints_mm), seen.side)


def _square_about(mesh, skeleton, pose, camera: Camera, look: Look) -> tuple[tuple[int, int], int]:
    """Corner (x, y) and side of the smallest square that holds what the picture shows of the hand [px]."""
    size = np.array(camera.size_px)
    bend = np.array([look.wrist_bend_rad[0], 0.0, look.wrist_bend_rad[1]])
    vertices, _ = mesh.posed(skeleton, pose.to_vector(), exp_so3(bend))
    low, high = np.zeros(2), size.astype(float)
    if vertices[:, 2].min() > _NEAR_MM:
        points = camera.project(vertices)
        border = _CLOTH_MM * camera.fx / vertices[:, 2].min() + 2
        low, high = np.maximum(points.min(0) - border, 0), np.minimum(points.max(0) + border, size)
    low, high = np.floor(np.minimum(low, size - _STEP_PX)), np.ceil(high)
    side = int(-(-max((high - low).max(), _STEP_PX) // _STEP_PX) * _STEP_PX)
    return (int(low[0]), int(low[1])), side
