"""`Camera.project` and `Camera.rays` for code that is compiled itself; `handpose.camera` is the reference in NumPy."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numba import njit

from handpose.camera import Camera

_SETTLED = 1e-11  # on the plane z = 1


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
    """Give the points (N, 2) of the plane z = 1 that pixels (N, 2) look at."""
    observed = np.empty(pixels.shape)
    for n in range(len(pixels)):
        observed[n, 0] = (pixels[n, 0] - lens[2]) / lens[0]
        observed[n, 1] = (pixels[n, 1] - lens[3]) / lens[1]
    if not np.any(lens[4:]):
        return observed
    plane = observed.copy()
    for _ in range(50):
        settled = True
        for n in range(len(pixels)):
            u, v = distorted(plane[n, 0], plane[n, 1], lens)
            across, down = observed[n, 0] - u, observed[n, 1] - v
            plane[n, 0] += across
            plane[n, 1] += down
            settled = settled and abs(across) < _SETTLED and abs(down) < _SETTLED
        if settled:
            break
    return plane
