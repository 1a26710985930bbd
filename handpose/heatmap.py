"""Heatmaps of joints: Gaussians of peak 1, and their sub-pixel decoding."""

from __future__ import annotations

import numpy as np

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
    size = heatmaps.shape[-1]
    flat = heatmaps.reshape(-1, size * size)
    best = flat.argmax(-1)
    rows, columns = np.divmod(best, size)
    index = np.arange(len(flat))
    maps = flat.reshape(-1, size, size)
    x = columns + _vertex(*(maps[index, rows, np.clip(columns + d, 0, size - 1)] for d in (-1, 0, 1)))
    y = rows + _vertex(*(maps[index, np.clip(rows + d, 0, size - 1), columns] for d in (-1, 0, 1)))
    shape = heatmaps.shape[:-2]
    return np.stack([x, y], axis=-1).reshape(shape + (2,)), flat[index, best].reshape(shape)


def _vertex(before: np.ndarray, middle: np.ndarray, after: np.ndarray) -> np.ndarray:
    """Offset in [-0.5, 0.5] of the maximum of a Gaussian from three samples of it."""
    a, b, c = (np.log(np.maximum(value, 1e-6).astype(float)) for value in (before, middle, after))
    curvature = 2 * b - a - c
    return np.clip(np.where(curvature > 1e-9, 0.5 * (c - a) / np.maximum(curvature, 1e-9), 0.0), -0.5, 0.5)
