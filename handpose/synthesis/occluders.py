"""Things that cover a hand: what it holds, what passes before it, another hand. Shaded shapes with a colour, a texture or a photo patch."""

from __future__ import annotations

import cv2
import numpy as np

from handpose.synthesis.backgrounds import Backgrounds, colour, texture
from handpose.synthesis.foreground import RELIEF_ZERO, Held

_SKIN_DARK, _SKIN_LIGHT = np.array([70.0, 45, 35]), np.array([235.0, 190, 165])


def skin_colour(rng: np.random.Generator) -> np.ndarray:
    """Draw a skin tone (3,) RGB from very dark to very light."""
    share = rng.uniform()
    return np.clip(_SKIN_DARK + share * (_SKIN_LIGHT - _SKIN_DARK) + rng.normal(0, 9, 3), 0, 255)


def material(rng: np.random.Generator, backgrounds: Backgrounds, size: int) -> np.ndarray:
    """Draw a surface, (size, size, 3) uint8: a photo patch, a textured colour, a plain one, or skin."""
    chance = rng.random()
    if chance < 0.35:
        return backgrounds.photo(rng, size)
    tint = skin_colour(rng) if chance < 0.5 else colour(rng)
    surface = np.full((size, size, 3), tint, np.uint8)
    if chance < 0.85:
        texture(rng, surface)
    return surface


def passing(
    rng: np.random.Generator, backgrounds: Backgrounds, size: int, near_px: np.ndarray, crop_px: float | None = None
) -> np.ndarray:
    """Draw a thing before the hand, near the point (2,) [px]: (size, size, 4) uint8, colour not premultiplied.

    It is as large as suits a hand whose crop has sides of `crop_px`, `size` unless told.
    """
    mask = np.zeros((size, size), np.uint8)
    crop_px = crop_px or size
    reach = rng.uniform(0.05, 0.22) * crop_px
    at = near_px + rng.normal(0, 0.16 * crop_px, 2)
    kind = rng.integers(4)
    if kind == 0:
        shade = _bar(mask, at, at + _direction(rng) * crop_px * rng.uniform(0.2, 1.5), (0.55 * reach,) * 2)
    elif kind == 1:
        shade = _ball(mask, at, reach)
    elif kind == 2:
        shade = _slab(rng, mask, at, reach)
    else:
        shade = _blob(rng, mask, at, reach)
    return _shaded(rng, backgrounds, mask, shade)


def held(
    rng: np.random.Generator, backgrounds: Backgrounds, held_thing: Held, relief: np.ndarray, canvas_to_crop: np.ndarray
) -> np.ndarray:
    """Draw what the hand grasps, with the parts that fingers or palm hide left out: (size, size, 4) uint8, not premultiplied.

    relief (size, size) of the hand in the crop; canvas_to_crop (2, 3) is the similarity that was used for it.
    """
    size = relief.shape[0]
    zoom = float(np.hypot(*canvas_to_crop[:, 0]))
    start, end = held_thing.ends_px @ canvas_to_crop[:, :2].T + canvas_to_crop[:, 2]
    radii = np.maximum(held_thing.radii_px * zoom, 1.0)
    mask = np.zeros((size, size), np.uint8)
    along: np.ndarray | float = 0.0
    if held_thing.kind == "ball":
        shade = _ball(mask, start, radii[0])
    else:
        for at, radius in zip((start, end), radii, strict=True):  # all there is of a bar that points at the camera
            _ball(mask, at, radius)
        along = _fraction(size, start, end)
        shade = _bar(mask, start, end, radii, along)
    first, last = 1 / held_thing.depths_mm  # it is 1 / depth that changes evenly over a picture
    depth = 1 / (first + along * (last - first)) - held_thing.hand_depth_mm
    surface = depth - held_thing.radius_mm * shade
    hand_nearer = (relief > 0) & (relief.astype(np.float32) - RELIEF_ZERO < surface)
    mask[cv2.GaussianBlur(hand_nearer.astype(np.float32), (3, 3), 0) > 0.5] = 0
    return _shaded(rng, backgrounds, mask, shade)


def arm(rng: np.random.Generator, size: int) -> np.ndarray:
    """Draw a smooth skin-coloured limb or blob, as faces and arms are: (size, size, 4) uint8, not premultiplied."""
    mask = np.zeros((size, size), np.uint8)
    at = rng.uniform(-0.1, 1.1, 2) * size
    if rng.random() < 0.5:
        shade = _bar(
            mask, at, at + _direction(rng) * size * rng.uniform(0.5, 1.6), (rng.uniform(0.05, 0.18) * size,) * 2
        )
    else:
        shade = _blob(rng, mask, at, rng.uniform(0.08, 0.3) * size)
    surface = np.full((size, size, 3), skin_colour(rng), np.uint8)
    return _lit(rng, surface, mask, shade)


def _shaded(rng, backgrounds, mask, shade) -> np.ndarray:
    return _lit(rng, material(rng, backgrounds, mask.shape[0]), mask, shade)


def _lit(rng, surface: np.ndarray, mask: np.ndarray, shade: np.ndarray) -> np.ndarray:
    """Light a surface by how squarely each pixel of a round body faces the viewer (`shade`, 0..1)."""
    ambient = rng.uniform(0.35, 1.0)
    light = ambient + (1 - ambient) * shade
    lit = np.clip(surface * light[..., None] * rng.uniform(0.6, 1.2), 0, 255).astype(np.uint8)
    return np.concatenate([lit, mask[..., None]], axis=-1)


def _direction(rng) -> np.ndarray:
    angle = rng.uniform(0, 2 * np.pi)
    return np.array([np.cos(angle), np.sin(angle)])


def _fixed(points: np.ndarray) -> np.ndarray:
    """Points in OpenCV's fixed-point pixels, 4 fractional bits; far ones are brought near, so that they fit."""
    return np.round(np.clip(points, -2000, 2000) * 16).astype(np.int32)


def _fraction(size: int, start: np.ndarray, end: np.ndarray) -> np.ndarray:
    """How far along start-end each pixel lies, 0..1."""
    step = end - start
    length = max(float(step @ step), 1e-6)
    axis = np.arange(size, dtype=np.float32)
    return np.clip(((axis - start[0]) * step[0] / length)[None] + ((axis - start[1]) * step[1] / length)[:, None], 0, 1)


def _bar(mask, start, end, radii, along=0.0) -> np.ndarray:
    """Fill a straight bar into the mask, of two `radii` where `along` tells how near its end a pixel is; its shade is that of a cylinder."""
    first, last = radii
    step = (end - start) / max(np.linalg.norm(end - start), 1e-6)
    side = np.array([-step[1], step[0]])
    corners = np.stack([start + side * first, end + side * last, end - side * last, start - side * first])
    cv2.fillConvexPoly(mask, _fixed(corners), 255, cv2.LINE_AA, 4)
    axis = np.arange(mask.shape[0], dtype=np.float32)
    off = ((axis - start[0]) * side[0])[None] + ((axis - start[1]) * side[1])[:, None]
    return np.sqrt(np.clip(1 - (off / (first + along * (last - first))) ** 2, 0, 1)).astype(np.float32)


def _ball(mask, centre, radius) -> np.ndarray:
    x, y = (int(v) for v in _fixed(centre))
    cv2.circle(mask, (x, y), int(radius * 16), 255, -1, cv2.LINE_AA, 4)
    axis = np.arange(mask.shape[0], dtype=np.float32)
    squared = ((axis - centre[0]) ** 2)[None] + ((axis - centre[1]) ** 2)[:, None]
    return np.sqrt(np.clip(1 - squared / radius**2, 0, 1)).astype(np.float32)


def _slab(rng, mask, centre, radius) -> np.ndarray:
    """A flat box, a card or a book: a quadrilateral with even shade."""
    along = _direction(rng)
    across = np.array([-along[1], along[0]]) * rng.uniform(0.3, 1.0)
    corners = np.array([(-1, -1), (1, -1), (1, 1), (-1, 1)]) @ (
        np.stack([along, across]) * radius * rng.uniform(0.8, 2.2)
    )
    cv2.fillConvexPoly(mask, _fixed(centre + corners * rng.uniform(0.8, 1.2, (4, 1))), 255, cv2.LINE_AA, 4)
    return np.full(mask.shape, rng.uniform(0.3, 1), np.float32)


def _blob(rng, mask, centre, radius) -> np.ndarray:
    """A round thing of no particular outline."""
    turn = np.linspace(0, 2 * np.pi, 24, endpoint=False)
    wobble = sum(rng.uniform(0, 0.3 / k) * np.cos(k * turn + rng.uniform(0, 2 * np.pi)) for k in range(1, 4))
    outline = (radius * (1 + wobble))[:, None] * np.stack([np.cos(turn), np.sin(turn) * rng.uniform(0.5, 1)], axis=-1)
    cv2.fillPoly(mask, [_fixed(centre + outline)], 255, cv2.LINE_AA, 4)
    return _ball(np.zeros_like(mask), centre, 1.4 * radius)
