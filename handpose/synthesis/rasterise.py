"""A z-buffer for small triangles, compiled by Numba: which triangle each pixel shows, and where in it."""

from __future__ import annotations

import numpy as np
from numba import njit


@njit(cache=True, fastmath=True)
def rasterise(points, triangles, size, backs):
    """Draw triangles (T, 3) of points (V, 3) as x, y [px] and depth into a square of `size` px.

    Gives the triangle seen at each pixel centre (S, S) int32, -1 where none is, its depth (S, S) float32 (inf where none), and the
    weights (S, S, 2) of its first two corners. Interpolation is affine: the triangles must be small against their distance.
    Triangles that turn away from the viewer are left out unless `backs`.
    """
    shown = np.full((size, size), -1, np.int32)
    depth = np.full((size, size), np.inf, np.float32)
    weights = np.zeros((size, size, 2), np.float32)
    for t in range(len(triangles)):
        ax, ay, az = points[triangles[t, 0]]
        bx, by, bz = points[triangles[t, 1]]
        cx, cy, cz = points[triangles[t, 2]]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if (area >= 0.0 and not backs) or abs(area) <= 1e-9 or min(az, bz, cz) <= 1.0:
            continue
        x0, x1 = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), size - 1)
        y0, y1 = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), size - 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                w = 1.0 - u - v
                if u < -1e-6 or v < -1e-6 or w < -1e-6:
                    continue
                z = u * az + v * bz + w * cz
                if z < depth[y, x]:
                    depth[y, x] = z
                    shown[y, x] = t
                    weights[y, x, 0] = u
                    weights[y, x, 1] = v
    return shown, depth, weights


@njit(cache=True, fastmath=True)
def depth_from_light(vertices, triangles, axes, low, scale, size):
    """Orthographic depth (S, S) along the third of `axes` (3, 3), seen from the light: the shadow map."""
    depth = np.full((size, size), np.inf, np.float32)
    placed = np.empty_like(vertices)
    for i in range(len(vertices)):
        for k in range(3):
            value = axes[k, 0] * vertices[i, 0] + axes[k, 1] * vertices[i, 1] + axes[k, 2] * vertices[i, 2]
            placed[i, k] = (value - low[k]) * scale if k < 2 else value
    for t in range(len(triangles)):
        ax, ay, az = placed[triangles[t, 0]]
        bx, by, bz = placed[triangles[t, 1]]
        cx, cy, cz = placed[triangles[t, 2]]
        area = (bx - ax) * (cy - ay) - (by - ay) * (cx - ax)
        if abs(area) < 1e-9:
            continue
        x0, x1 = max(int(np.ceil(min(ax, bx, cx))), 0), min(int(np.floor(max(ax, bx, cx))), size - 1)
        y0, y1 = max(int(np.ceil(min(ay, by, cy))), 0), min(int(np.floor(max(ay, by, cy))), size - 1)
        for y in range(y0, y1 + 1):
            for x in range(x0, x1 + 1):
                u = ((bx - x) * (cy - y) - (by - y) * (cx - x)) / area
                v = ((cx - x) * (ay - y) - (cy - y) * (ax - x)) / area
                if u < -1e-6 or v < -1e-6 or u + v > 1.0 + 1e-6:
                    continue
                z = u * az + v * bz + (1.0 - u - v) * cz
                if z < depth[y, x]:
                    depth[y, x] = z
    return depth
