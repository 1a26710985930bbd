"""Heatmaps of joints: Gaussians of peak 1, and their sub-pixel decoding."""

from __future__ import annotations

import numpy as np
from numba import njit

HEATMAP_SIZE = 32
HEATMAP_SIGMA = 1.2  # [cells]


def cells_from_px(points_px: np.ndarray, crop_size: int, size: int = HEATMAP_SIZE) -> np.ndarray:
    """Carry window pixels (..., 2) to heatmap cells (..., 2)."""
    return (np.asarray(points_px) + 0.5) * (size / crop_size) - 0.5


def px_from_cells(cells: np.ndarray, crop_size: int, size: int = HEATMAP_SIZE) -> np.ndarray:
    """Carry heatmap cells (..., 2) to window pixels (..., 2)."""
    return (np.asarray(cells) + 0.5) * (crop_size / size) - 0.5


def gaussian_heatmaps(cells: np.ndarray, size: int = HEATMAP_SIZE, sigma: float = HEATMAP_SIGMA) -> np.ndarray:
    """Draw joints (..., 2) [cells] as Gaussians of peak 1: (..., size, size) float32."""
    cells = np.asarray(cells, np.float32)
    profile = np.exp(-0.5 * ((np.arange(size, dtype=np.float32) - cells[..., None]) / sigma) ** 2)
    return profile[..., 1, :, None] * profile[..., 0, None, :]


def decode_heatmaps(heatmaps: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the peaks of heatmaps (..., size, size): cells (..., 2) as (x, y), and peak values (...).

    The sub-pixel part is the vertex of the parabola through the logarithms beside the maximum, exact for a Gaussian.
    """
    heatmaps = np.asarray(heatmaps)
    size, shape = heatmaps.shape[-1], heatmaps.shape[:-2]
    cells, peaks = peaks_of(np.ascontiguousarray(heatmaps.reshape(-1, size, size)))
    return cells.reshape(shape + (2,)), peaks.reshape(shape)


@njit(cache=True)
def peaks_of(maps):
    """`decode_heatmaps` of maps (N, size, size): cells (N, 2) and peak values (N,)."""
    count, size, _ = maps.shape
    cells, peaks = np.empty((count, 2)), np.empty(count, maps.dtype)
    for n in range(count):
        best = np.argmax(maps[n])
        row, column = best // size, best % size
        peaks[n] = maps[n, row, column]
        left, right = maps[n, row, max(column - 1, 0)], maps[n, row, min(column + 1, size - 1)]
        above, below = maps[n, max(row - 1, 0), column], maps[n, min(row + 1, size - 1), column]
        cells[n, 0] = column + _vertex(left, peaks[n], right)
        cells[n, 1] = row + _vertex(above, peaks[n], below)
    return cells, peaks


@njit(cache=True)
def _vertex(before, middle, after):
    """Offset in [-0.5, 0.5] of the maximum of a Gaussian from three samples of it."""
    a, b, c = np.log(max(before, 1e-6)), np.log(max(middle, 1e-6)), np.log(max(after, 1e-6))
    curvature = 2 * b - a - c
    return min(max(0.5 * (c - a) / curvature, -0.5), 0.5) if curvature > 1e-9 else 0.0
