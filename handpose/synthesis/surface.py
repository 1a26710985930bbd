"""The surface of an implicit solid as triangles, by surface nets: one vertex per cell that the surface crosses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

Field = Callable[[np.ndarray], np.ndarray]


def surface_nets(field: Field, low: np.ndarray, high: np.ndarray, cell: float) -> tuple[np.ndarray, np.ndarray]:
    """Mesh the zero level of `field` ((..., 3) -> (...), negative inside) in a box: vertices (V, 3), triangles (T, 3), outward.

    Vertices are then drawn onto the level along the field's gradient.
    """
    axes = [np.arange(a, b + cell, cell) for a, b in zip(low, high, strict=True)]
    grid = np.stack(np.meshgrid(*axes, indexing="ij"), axis=-1)
    values = field(grid)
    inside = values < 0
    corners = [inside[_shift(d)] for d in np.ndindex(2, 2, 2)]
    crossed = np.logical_or.reduce(corners) & ~np.logical_and.reduce(corners)
    index = np.full(crossed.shape, -1)
    index[crossed] = np.arange(crossed.sum())
    vertices = _crossings(values, crossed) * cell + low
    triangles = np.concatenate([_faces(inside, index, axis) for axis in range(3)])
    for _ in range(3):
        distance = field(vertices)
        gradient = np.stack(
            [field(vertices + step) - field(vertices - step) for step in np.eye(3) * 0.05 * cell], axis=-1
        )
        gradient /= np.linalg.norm(gradient, axis=-1, keepdims=True) + 1e-12
        vertices = vertices - np.clip(distance, -cell, cell)[:, None] * gradient
    return vertices, triangles


def _shift(d: tuple[int, ...]) -> tuple[slice, ...]:
    """The corner `d` of every cell of a grid of points."""
    return tuple(slice(1, None) if step else slice(None, -1) for step in d)


def _crossings(values: np.ndarray, crossed: np.ndarray) -> np.ndarray:
    """Mean place, in cells, where the surface cuts the edges of each crossed cell: (V, 3)."""
    total, count = np.zeros((int(crossed.sum()), 3)), np.zeros(int(crossed.sum()))
    for axis in range(3):
        for d in np.ndindex(2, 2, 2):
            if d[axis]:
                continue
            far = tuple(1 if i == axis else step for i, step in enumerate(d))
            a, b = values[_shift(d)][crossed], values[_shift(far)][crossed]
            cut = (a < 0) != (b < 0)
            place = np.tile(np.array(d, float), (len(a), 1))
            place[:, axis] = np.where(cut, a / np.where(cut, a - b, 1.0), 0)
            total += place * cut[:, None]
            count += cut
    return np.argwhere(crossed) + total / count[:, None]


def _faces(inside: np.ndarray, index: np.ndarray, axis: int) -> np.ndarray:
    """Two triangles for each grid edge along `axis` that the surface cuts, joining the four cells around it."""
    near = [slice(1, -1)] * 3
    far = list(near)
    near[axis], far[axis] = slice(0, -1), slice(1, None)
    leaving = inside[tuple(near)] & ~inside[tuple(far)]
    entering = ~inside[tuple(near)] & inside[tuple(far)]
    u, v = (axis + 1) % 3, (axis + 2) % 3
    faces = []
    for cut, order in ((leaving, (0, 1, 2, 3)), (entering, (3, 2, 1, 0))):
        cells = np.argwhere(cut)
        cells[:, u] += 1
        cells[:, v] += 1
        around = []
        for du, dv in ((-1, -1), (0, -1), (0, 0), (-1, 0)):
            neighbour = cells.copy()
            neighbour[:, u] += du
            neighbour[:, v] += dv
            around.append(index[tuple(neighbour.T)])
        a, b, c, d = (around[i] for i in order)
        faces += [np.stack([a, b, c], axis=-1), np.stack([a, c, d], axis=-1)]
    return np.concatenate(faces)
