"""A crop is a virtual camera that looks straight at the hand, rolled so that the hand points up.

The same crop serves training, detection and tracking: centre and box of the 21 joints after the roll that turns W to M0 upwards,
side `MARGIN` times the longer side of the rolled box.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numba import njit

from handpose.camera import Camera
from handpose.lens import lens_of, pixel_of, plane_of
from handpose.shrink import COARSEST, halved
from handpose.skeleton import M0, WRIST

CROP_SIZE = 128
MARGIN = 1.5
_LEAST_STEP_PX = 0.5
_SMALLEST_SIDE = 1e-3  # on the plane z = 1, so that coinciding joints still give a camera
_CORNERS = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
_CROSS = np.array([[-0.5, 0.0], [0.5, 0.0], [0.0, -0.5], [0.0, 0.5]])


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
        rotation, extent = _aimed(np.ascontiguousarray(joints_px, float), lens_of(camera))
        side = max(extent * margin, _SMALLEST_SIDE)
        return cls(camera, rotation, size / side, size)

    @classmethod
    def from_box(
        cls, camera: Camera, centre_px: np.ndarray, side_px: float, roll_rad: float = 0.0, size: int = CROP_SIZE
    ) -> Crop:
        """Aim at a square window: `side_px` its side, `roll_rad` the hand's direction, clockwise from the picture's up."""
        centre_px = np.asarray(centre_px, float)
        rotation, step = look_at(camera.rays(centre_px)), side_px / 2
        across = _across(camera, centre_px, rotation, step)
        while not math.isfinite(across) and step > _LEAST_STEP_PX:  # beyond a picture's edge a lens may see nothing
            step /= 2
            across = _across(camera, centre_px, rotation, step)
        side = max(across * side_px / (2 * step), _SMALLEST_SIDE)
        return cls(camera, rotation @ _roll(roll_rad), size / side, size)

    @property
    def camera(self) -> Camera:
        """The virtual camera of the window, without distortion."""
        middle = (self.size - 1) / 2
        return Camera(self.focal_px, self.focal_px, middle, middle, (self.size, self.size))

    @cached_property
    def corners_px(self) -> np.ndarray:
        """Corners (4, 2) of the window in the picture [px], clockwise from the hand's upper left."""
        return self.to_image(_CORNERS * self.size - 0.5)

    def to_image(self, points_px: np.ndarray) -> np.ndarray:
        """Carry window pixels (..., 2) to picture pixels (..., 2)."""
        points_px = np.ascontiguousarray(points_px, float)
        flat = points_px.reshape(-1, 2)
        return _to_image(flat, self.camera_from_crop, self.focal_px, self.size, lens_of(self.source)).reshape(
            points_px.shape
        )

    def to_crop(self, points_px: np.ndarray) -> np.ndarray:
        """Carry picture pixels (..., 2) to window pixels (..., 2)."""
        return self.camera.project(self.source.rays(points_px) @ self.camera_from_crop)

    def towards(self, joints_px: np.ndarray) -> np.ndarray:
        """Give the rotation (3, 3) to the window's axes from those of a camera that looks straight at joints (21, 2) [window px] in it."""
        return _towards(np.ascontiguousarray(joints_px, float), self.focal_px, self.size)

    def jittered(self, shift: np.ndarray, scale: float, roll_rad: float) -> Crop:
        """Aim anew: `shift` (2,) in sides, the side times `scale`, turned clockwise by `roll_rad`."""
        aim = np.append(np.asarray(shift, float) * self.size / self.focal_px, 1.0)
        rotation = self.camera_from_crop @ look_at(aim) @ _roll(roll_rad)
        return Crop(self.source, rotation, self.focal_px / scale, self.size)

    @cached_property
    def side_px(self) -> float:
        """Length of the window's side in the picture [px], by its middle: beyond a picture's edge a lens may be anything."""
        (a, b), (c, d), (e, f), (g, h) = self.to_image(_CROSS + (self.size - 1) / 2).tolist()
        return self.size * (math.hypot(c - a, d - b) + math.hypot(g - e, h - f)) / 2

    def warp(self, image: np.ndarray) -> np.ndarray:
        """Cut the window (size, size, 3) out of a picture (H, W, 3) uint8; what lies outside the picture is black."""
        part, part_from_image = self._halved(image)
        if any(self.source.distortion):
            grid = np.stack(np.meshgrid(np.arange(self.size), np.arange(self.size)), axis=-1)
            places = self.to_image(grid) * part_from_image[0, 0] + part_from_image[:2, 2]
            x, y = np.moveaxis(places.astype(np.float32), -1, 0)
            return cv2.remap(part, np.ascontiguousarray(x), np.ascontiguousarray(y), cv2.INTER_LINEAR)
        part_from_crop = _part_from_crop(
            part_from_image, self.camera_from_crop, self.focal_px, self.size, lens_of(self.source)
        )
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        return cv2.warpPerspective(part, part_from_crop, (self.size, self.size), flags=flags)

    def _halved(self, image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Average the part of a much larger picture down first: that part and part_from_image (3, 3)."""
        shrink = self.side_px / self.size
        if shrink < COARSEST:
            return image, np.eye(3)
        left, top, right, bottom = _bounds(self.corners_px, 2 * shrink, image.shape[1], image.shape[0])
        if min(right - left, bottom - top) < 2:
            return image, np.eye(3)
        part, part_from_image = halved(image[top:bottom, left:right], shrink)
        part_from_image[:2, 2] -= part_from_image[0, 0] * np.array([left, top])
        return part, part_from_image


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
def _aimed(joints_px, lens):
    """Turn a camera towards the middle of joints (21, 2), rolled so that W to M0 points up: rotation (3, 3), longer side of their box."""
    pixels = np.empty((len(joints_px) + 1, 2))
    pixels[:-1] = joints_px
    for k in range(2):
        pixels[-1, k] = (joints_px[:, k].min() + joints_px[:, k].max()) / 2
    rays = np.ones((len(pixels), 3))
    rays[:, :2] = plane_of(pixels, lens)
    aim, rays = rays[-1], rays[:-1]
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


@njit(cache=True)
def _towards(joints_px, focal_px, size):
    """Look along the ray to the middle of joints (21, 2) of a window: of their box where W to M0 points up, as crops are aimed."""
    up = joints_px[M0] - joints_px[WRIST]
    angle = np.arctan2(up[0], -up[1])
    c, s = np.cos(angle), np.sin(angle)
    columns, rows = joints_px[:, 0] * c + joints_px[:, 1] * s, joints_px[:, 1] * c - joints_px[:, 0] * s
    column, row = (columns.min() + columns.max()) / 2, (rows.min() + rows.max()) / 2
    middle = (size - 1) / 2
    return _look_along(
        np.array([(column * c - row * s - middle) / focal_px, (column * s + row * c - middle) / focal_px, 1.0])
    )


@njit(cache=True, error_model="numpy")
def _to_image(points, camera_from_crop, focal_px, size, lens):
    """Carry window pixels (N, 2) to picture pixels (N, 2)."""
    middle, places = (size - 1) / 2, np.empty(points.shape)
    for n in range(len(points)):
        x, y = (points[n, 0] - middle) / focal_px, (points[n, 1] - middle) / focal_px
        along = camera_from_crop[:, 0] * x + camera_from_crop[:, 1] * y + camera_from_crop[:, 2]
        places[n] = pixel_of(along[0], along[1], along[2], lens)
    return places


@njit(cache=True)
def _part_from_crop(part_from_image, camera_from_crop, focal_px, size, lens):
    """Carry window pixels to those of the halved part: the homography (3, 3) of a lens without distortion."""
    image_from_ray = np.array([[lens[0], 0.0, lens[2]], [0.0, lens[1], lens[3]], [0.0, 0.0, 1.0]])
    middle = (size - 1) / 2
    ray_from_crop = np.array([[1.0, 0.0, -middle], [0.0, 1.0, -middle], [0.0, 0.0, focal_px]])
    return part_from_image @ image_from_ray @ camera_from_crop @ ray_from_crop


@njit(cache=True)
def _bounds(corners, margin, width, height):
    """Whole pixels around corners (4, 2), inside the picture: left, top, right, bottom."""
    return (
        int(min(max(corners[:, 0].min() - margin, 0), width)), int(min(max(corners[:, 1].min() - margin, 0), height)),
        int(min(max(corners[:, 0].max() + margin, 0), width)), int(min(max(corners[:, 1].max() + margin, 0), height)),
    )  # fmt: skip


def _across(camera: Camera, centre_px: np.ndarray, rotation: np.ndarray, step_px: float) -> float:
    """Measure a window that reaches `step_px` from its middle: its side on the plane z = 1 of a camera that looks there."""
    cross = centre_px + 2 * step_px * _CROSS
    left, right, top, bottom = _onto_plane(camera.rays(cross), rotation)
    return float(np.linalg.norm(right - left) + np.linalg.norm(bottom - top)) / 2


def _onto_plane(rays: np.ndarray, rotation: np.ndarray) -> np.ndarray:
    """See rays (..., 3) from a rotated camera: points (..., 2) of its plane z = 1."""
    turned = rays @ rotation
    return turned[..., :2] / np.maximum(turned[..., 2:], 1e-6)
