"""`Camera.project` and `Camera.rays` for code that is compiled itself; `handpose.camera` is the reference in NumPy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from handpose.camera import MOST_STEPS, SETTLED, Camera


@lru_cache(maxsize=64)
def lens_of(camera: Camera) -> np.ndarray:
    """Give a camera's numbers (9,): fx, fy, cx, cy [px], and the distortion k1, k2, p1, p2, k3."""
    lens = np.zeros(9)
    lens[:4] = camera.fx, camera.fy, camera.cx, camera.cy
    lens[4 : 4 + len(camera.distortion)] = camera.distortion
    return lens


@njit(cache=True, error_model="numpy")
def distorted(x, y, lens):
    """Distort a point of the plane z = 1."""
    k1, k2, p1, p2, k3 = lens[4], lens[5], lens[6], lens[7], lens[8]
    r2 = x * x + y * y
    radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
    return x * radial + 2 * p1 * x * y + p2 * (r2 + 2 * x * x), y * radial + p1 * (r2 + 2 * y * y) + 2 * p2 * x * y


@njit(cache=True, error_model="numpy")
def pixel_of(x, y, z, lens):
    """Project a point of the camera frame: its pixel."""
    if np.any(lens[4:]):
        u, v = distorted(x / z, y / z, lens)
    else:
        u, v = x / z, y / z
    return u * lens[0] + lens[2], v * lens[1] + lens[3]


@njit(cache=True, error_model="numpy")
def plane_of(pixels, lens):
    """Give the points (N, 2) of the plane z = 1 that pixels (N, 2) look at; NaN where the distortion leaves none."""
    plane, bent = np.empty(pixels.shape), np.any(lens[4:])
    for n in range(len(pixels)):
        plane[n, 0] = (pixels[n, 0] - lens[2]) / lens[0]
        plane[n, 1] = (pixels[n, 1] - lens[3]) / lens[1]
        if bent:
            plane[n, 0], plane[n, 1] = _straightened(plane[n, 0], plane[n, 1], lens)
    return plane


@njit(cache=True, error_model="numpy")
def _straightened(u, v, lens):
    """Undo `distorted` by Newton's method."""
    k1, k2, p1, p2, k3 = lens[4], lens[5], lens[6], lens[7], lens[8]
    x, y = u, v
    for _ in range(MOST_STEPS):
        r2 = x * x + y * y
        radial = 1 + r2 * (k1 + r2 * (k2 + r2 * k3))
        by_r2 = k1 + r2 * (2 * k2 + r2 * 3 * k3)
        u_by_x = radial + 2 * x * x * by_r2 + 2 * p1 * y + 6 * p2 * x
        u_by_y = 2 * x * y * by_r2 + 2 * p1 * x + 2 * p2 * y  # and v by x
        v_by_y = radial + 2 * y * y * by_r2 + 6 * p1 * y + 2 * p2 * x
        determinant = u_by_x * v_by_y - u_by_y * u_by_y
        if not determinant > 0:
            return np.nan, np.nan
        seen_u, seen_v = distorted(x, y, lens)
        across = (v_by_y * (u - seen_u) - u_by_y * (v - seen_v)) / determinant
        down = (u_by_x * (v - seen_v) - u_by_y * (u - seen_u)) / determinant
        x, y = x + across, y + down
        if max(abs(across), abs(down)) < SETTLED:
            break
    return x, y
