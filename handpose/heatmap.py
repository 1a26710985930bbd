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

    The sub-pixel part is the vertex of the parabola through the logarithms beside the maximum, exact for a Gaussian; in the cells of the
    border HEATMAP_SIGMA stands in for the neighbour that is not there.
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
        cells[n, 0] = column + _vertex(maps[n, row], column)
        cells[n, 1] = row + _vertex(maps[n, :, column], row)
    return cells, peaks


@njit(cache=True)
def _vertex(line, at):
    """Offset in [-0.5, 0.5] of the maximum of a Gaussian from its greatest sample, line[at], and both beside it, or one and its width."""
    first, last = at == 0, at == len(line) - 1
    b = np.log(max(line[at], 1e-6))
    a = b if first else np.log(max(line[at - 1], 1e-6))
    c = b if last else np.log(max(line[at + 1], 1e-6))
    if first or last:
        offset = (0.5 if first else -0.5) + HEATMAP_SIGMA**2 * (c - a)
    else:
        curvature = 2 * b - a - c
        offset = 0.5 * (c - a) / curvature if curvature > 1e-9 else 0.0
    return min(max(offset, -0.5), 0.5)
