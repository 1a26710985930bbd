"""A crop is a virtual camera that looks straight at the hand, rolled so that the hand points up.

The same crop serves training, detection and tracking: centre and box of the 21 joints after the roll that turns W to M0 upwards,
side `MARGIN` times the longer side of the rolled box.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numba import njit

from handpose.camera import Camera
from handpose.shrink import COARSEST, halved
from handpose.skeleton import M0, WRIST

CROP_SIZE = 128
MARGIN = 1.5
_SMALLEST_SIDE = 1e-3  # on the plane z = 1, so that coinciding joints still give a camera


@dataclass(frozen=True, eq=False)
class Crop:
    """A square window of `size` px: `source` is the picture's camera, camera_from_crop (3, 3) the way the window looks, focal_px its zoom."""

    source: Camera
    camera_from_crop: np.ndarray
    focal_px: float
    size: int = CROP_SIZE

    @classmethod
    def from_joints(cls, camera: Camera, joints_px: np.ndarray, size: int = CROP_SIZE, margin: float = MARGIN) -> Crop:
        """Aim at a hand whose joints (21, 2) [px] are known."""
        joints_px = np.asarray(joints_px, float)
        rays = camera.rays(joints_px)
        aim = camera.rays((joints_px.min(0) + joints_px.max(0)) / 2)
        rotation, extent = _aimed(rays, aim)
        side = max(extent * margin, _SMALLEST_SIDE)
        return cls(camera, rotation, size / side, size)

    @classmethod
    def from_box(
        cls, camera: Camera, centre_px: np.ndarray, side_px: float, roll_rad: float = 0.0, size: int = CROP_SIZE
    ) -> Crop:
        """Aim at a square window: `side_px` its side, `roll_rad` the hand's direction, clockwise from the picture's up."""
        centre_px = np.asarray(centre_px, float)
        rotation = look_at(camera.rays(centre_px))
        step = side_px / 2
        cross = centre_px + np.array([[-step, 0], [step, 0], [0, -step], [0, step]])
        left, right, top, bottom = _onto_plane(camera.rays(cross), rotation)
        across = float(np.linalg.norm(right - left) + np.linalg.norm(bottom - top)) / 2
        side = max(across, _SMALLEST_SIDE)
        return cls(camera, rotation @ _roll(roll_rad), size / side, size)

    @property
    def camera(self) -> Camera:
        """The virtual camera of the window, without distortion."""
        middle = (self.size - 1) / 2
        return Camera(self.focal_px, self.focal_px, middle, middle, (self.size, self.size))

    @property
    def corners_px(self) -> np.ndarray:
        """Corners (4, 2) of the window in the picture [px], clockwise from the hand's upper left."""
        low, high = -0.5, self.size - 0.5
        return self.to_image(np.array([[low, low], [high, low], [high, high], [low, high]]))

    def to_image(self, points_px: np.ndarray) -> np.ndarray:
        """Carry window pixels (..., 2) to picture pixels (..., 2)."""
        return self.source.project(self.camera.rays(points_px) @ self.camera_from_crop.T)

    def to_crop(self, points_px: np.ndarray) -> np.ndarray:
        """Carry picture pixels (..., 2) to window pixels (..., 2)."""
        return self.camera.project(self.source.rays(points_px) @ self.camera_from_crop)

    def jittered(self, shift: np.ndarray, scale: float, roll_rad: float) -> Crop:
        """Aim anew: `shift` (2,) in sides, the side times `scale`, turned clockwise by `roll_rad`."""
        aim = np.append(np.asarray(shift, float) * self.size / self.focal_px, 1.0)
        rotation = self.camera_from_crop @ look_at(aim) @ _roll(roll_rad)
        return Crop(self.source, rotation, self.focal_px / scale, self.size)

    @cached_property
    def side_px(self) -> float:
        """Length of the window's side in the picture [px]."""
        corners = self.corners_px
        return float(np.linalg.norm(corners - corners[[3, 0, 1, 2]], axis=-1).mean())

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Cut the window (size, size, 3) out of a picture (H, W, 3) uint8; what lies outside the picture is black."""
        part, part_from_image = self._halved(image)
        if any(self.source.distortion):
            grid = np.stack(np.meshgrid(np.arange(self.size), np.arange(self.size)), axis=-1)
            places = self.to_image(grid) * part_from_image[0, 0] + part_from_image[:2, 2]
            x, y = np.moveaxis(places.astype(np.float32), -1, 0)
            return cv2.remap(part, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
        middle = (self.size - 1) / 2
        ray_from_crop = np.array([[1, 0, -middle], [0, 1, -middle], [0, 0, self.focal_px]])
        part_from_crop = part_from_image @ self.source.matrix @ self.camera_from_crop @ ray_from_crop
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(part, part_from_crop, (self.size, self.size), flags=flags)

    def _halved(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average the part of a much larger picture down first: that part and part_from_image (3, 3)."""
        shrink = self.side_px / self.size
        if shrink < COARSEST:
            return image, np.eye(3)
        height, width = image.shape[:2]
        corners = self.corners_px
        low, high = corners.min(0) - 2 * shrink, corners.max(0) + 2 * shrink
        left, top = np.clip(low, 0, (width, height)).astype(int)
        right, bottom = np.clip(high, 0, (width, height)).astype(int)
        if min(right - left, bottom - top) < 2:
            return image, np.eye(3)
        part, part_from_cut = halved(image[top:bottom, left:right], shrink)
        cut_from_image = np.array([[1, 0, -left], [0, 1, -top], [0, 0, 1.0]])
        return part, part_from_cut @ cut_from_image


def look_at(ray: np.ndarray) -> np.ndarray:
    """Give the smallest rotation (3, 3) that turns the optical axis into `ray` (3,)."""
    return _look_along(np.asarray(ray, float))


@njit(cache=True)
def _look_along(ray):
    """`look_at` of an array (3,)."""
    x, y, z = ray / np.sqrt(np.sum(ray * ray))
    k = 1 / (1 + z)
    return np.array([[1 - k * x * x, -k * x * y, x], [-k * x * y, 1 - k * y * y, y], [-x, -y, z]])


@njit(cache=True)
def _roll(angle_rad):
    """Turn about the optical axis so that what points `angle_rad` clockwise from up comes to point up."""
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s, 0.0], [s, c, 0.0], [0.0, 0.0, 1.0]])


@njit(cache=True)
def _aimed(rays, aim):
    """Turn a camera towards the middle of rays (21, 3), rolled so that W to M0 points up: rotation (3, 3), longer side of their box."""
    rotation, extent = np.empty((3, 3)), 0.0
    for _ in range(4):  # the box depends on the aim, and the aim on the box: settles at once
        upright = _look_along(aim)
        wrist, knuckle = rays[WRIST] @ upright, rays[M0] @ upright
        across = knuckle[0] / max(knuckle[2], 1e-6) - wrist[0] / max(wrist[2], 1e-6)
        up = wrist[1] / max(wrist[2], 1e-6) - knuckle[1] / max(knuckle[2], 1e-6)
        rotation = upright @ _roll(np.arctan2(across, up))
        turned = rays @ rotation
        columns = turned[:, 0] / np.maximum(turned[:, 2], 1e-6)
        rows = turned[:, 1] / np.maximum(turned[:, 2], 1e-6)
        left, right, top, bottom = columns.min(), columns.max(), rows.min(), rows.max()
        extent = max(right - left, bottom - top)
        aim = rotation @ np.array([(left + right) / 2, (top + bottom) / 2, 1.0])
    return rotation, extent


def _onto_plane(rays: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """See rays (..., 3) from a rotated camera: points (..., 2) of its plane z = 1."""
    turned = rays @ rotation
    return turned[..., :2] / np.maximum(turned[..., 2:], 1e-6)
