"""Light on the hand, per pixel: skin with creases, knuckles and nails, sleeve and ring, room light, key light and its shadow."""

from __future__ import annotations

import numpy as np
from numba import njit

NOISE_SIZE = 64
_SLANT_MM = 25.0  # of skin across the shadow's soft border, at most
_SINEW_MM, _SINEW_SLOPE = 3.5, 0.45  # how wide, to where they are steepest, and how steep
_HALF_MM, _ARCH = 38.0, 0.4  # half the palm's width, and how far its back leans there
# Lines of the left palm, seen flat, in units of |W-M0|: heart, head and life line as (x, y) corners.
PALM_LINES = np.array(
    [
        [(0.40, 0.62), (0.18, 0.72), (-0.02, 0.84), (-0.10, 0.95)],
        [(0.30, 0.44), (0.08, 0.58), (-0.14, 0.72), (-0.28, 0.78)],
        [(-0.08, 0.06), (-0.02, 0.32), (-0.12, 0.58), (-0.30, 0.76)],
    ]
)


def noise_volume(seed: int = 7) -> np.ndarray:
    """A periodic volume (64, 64, 64) float32 of soft noise with unit spread, always the same."""
    rng = np.random.default_rng(seed)
    waves = np.fft.rfftn(rng.normal(size=(NOISE_SIZE,) * 3))
    k = np.sqrt(
        sum(f**2 for f in np.meshgrid(*(np.fft.fftfreq(NOISE_SIZE),) * 2, np.fft.rfftfreq(NOISE_SIZE), indexing="ij"))
    )
    volume = np.fft.irfftn(waves * np.exp(-((k * 7) ** 2)), s=(NOISE_SIZE,) * 3, axes=(0, 1, 2))
    return (volume / volume.std()).astype(np.float32)


@njit(cache=True, fastmath=True)
def _noise(volume, x, y, z):
    i, j, k = int(np.floor(x)), int(np.floor(y)), int(np.floor(z))
    fx, fy, fz = x - i, y - j, z - k
    total = 0.0
    for a in range(2):
        for b in range(2):
            for c in range(2):
                w = (fx if a else 1 - fx) * (fy if b else 1 - fy) * (fz if c else 1 - fz)
                total += w * volume[(i + a) & 63, (j + b) & 63, (k + c) & 63]
    return total


@njit(cache=True, fastmath=True)
def _line_distance(x, y, lines):
    best = 1e9
    for n in range(lines.shape[0]):
        for s in range(lines.shape[1] - 1):
            ax, ay = lines[n, s]
            bx, by = lines[n, s + 1]
            dx, dy = bx - ax, by - ay
            t = min(max(((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy), 0.0), 1.0)
            best = min(best, (x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2)
    return np.sqrt(best)


@njit(cache=True, fastmath=True)
def _bell(x, width):
    return np.exp(-0.5 * (x / width) ** 2)


@njit(cache=True, fastmath=True)
def _back_slope(x, y, knuckles, depth):
    """How steeply the back falls sideways at (x, y) [mm], beyond what the mesh has.

    It is arched, and sinews of `depth` 0..1 run from the wrist to the knuckles and rise towards these.
    """
    slope = _ARCH * min(max((x - 0.5 * (knuckles[1, 0] + knuckles[2, 0])) / _HALF_MM, -1.0), 1.0)
    for i in range(knuckles.shape[0]):
        t = y / knuckles[i, 1]
        across = (x - knuckles[i, 0] * (0.35 + 0.65 * t)) / _SINEW_MM
        if abs(across) < 4.0 and 0.1 < t < 1.08:
            risen = min((t - 0.1) / 0.4, 1.0) * min((1.08 - t) / 0.12, 1.0)
            slope += depth * _SINEW_SLOPE * risen * across * np.exp(-0.5 * across**2)
    return slope


@njit(cache=True, fastmath=True)
def _lit(shadow, x, y, z, slope_x, slope_y, size):
    """Share of the key light that reaches a point, softened over 5x5 cells of the shadow map.

    slope_x, slope_y: how much deeper the point's own surface lies one cell on [mm]; without them slanted skin shades itself.
    """
    if size == 0:
        return 1.0
    total, cx, cy = 0.0, int(x), int(y)
    for dy in range(-2, 3):
        for dx in range(-2, 3):
            px, py = min(max(cx + dx, 0), size - 1), min(max(cy + dy, 0), size - 1)
            own = z + min(max((px - x) * slope_x + (py - y) * slope_y, -_SLANT_MM), _SLANT_MM)
            total += min(max((shadow[py, px] + 6.0 - own) / 4.0, 0.0), 1.0)
    return total / 25.0


@njit(cache=True, fastmath=True)
def shade(
    shown, weights, occlusion, cleft, triangles, posed, turned, rest, along, finger, back, across, tint, scale_mm, skin, sleeve_colours, numbers,
    ring_finger, ambient, key_from, key, phase, volume, lines, knuckles, aside, shadow, light_axes, light_low, light_scale,
):  # fmt: skip
    """Colour every pixel that shows a triangle: linear RGB (S, S, 3) float32. Arguments are those of `render_hand`, flattened.

    tint (V, 3) multiplies the skin by a photographed one's, in the place of creases and nails; (0, 3): these are made up.
    knuckles (4, 2): where the sinews of the back end, flat [mm]; aside (3,): the palm's x in camera axes.
    skin (4, 3): back, palm, nail, crease; numbers: mottle, shine, wrinkles, sleeve_mm, stripe_mm, ring's place.
    """
    size = shown.shape[0]
    out = np.zeros((size, size, 3), np.float32)
    mottle, shine, wrinkles, sleeve_mm, stripe_mm, ring_along = numbers
    photographed = tint.shape[0] > 0
    p, n, r = np.empty(3), np.empty(3), np.empty(3)
    colour = np.empty(3)
    for row in range(size):
        for column in range(size):
            t = shown[row, column]
            if t < 0:
                continue
            a, b, c = triangles[t, 0], triangles[t, 1], triangles[t, 2]
            u, v = weights[row, column, 0], weights[row, column, 1]
            w = 1.0 - u - v
            for k in range(3):
                p[k] = u * posed[a, k] + v * posed[b, k] + w * posed[c, k]
                n[k] = u * turned[a, k] + v * turned[b, k] + w * turned[c, k]
                r[k] = u * rest[a, k] + v * rest[b, k] + w * rest[c, k]
            place = u * along[a] + v * along[b] + w * along[c]
            dorsal = u * back[a] + v * back[b] + w * back[c]
            side = u * across[a] + v * across[b] + w * across[c]
            f = finger[a]

            coarse = _noise(volume, r[0] * 0.11 + phase[0], r[1] * 0.11 + phase[1], r[2] * 0.11 + phase[2])
            fine = _noise(volume, r[0] * 0.55 + phase[1], r[1] * 0.55 + phase[2], r[2] * 0.55 + phase[0])
            gloss = shine
            rough = 0.08
            lean = 0.0
            if -r[1] > sleeve_mm:
                stripe = 1 if (r[1] / stripe_mm) % 1.0 < 0.5 else 0
                weave = 1.0 + 0.25 * fine + 0.1 * coarse
                for k in range(3):
                    colour[k] = sleeve_colours[stripe, k] * weave
                gloss, rough = 0.0, 0.25
            elif f == ring_finger and abs(place - ring_along) < 0.06:
                colour[0], colour[1], colour[2] = 0.8, 0.65, 0.35
                gloss = 3.0
            else:
                palmar = min(max(0.5 - 1.4 * (dorsal + 0.1), 0.0), 1.0) * min(max(1.0 + r[1] / 25.0, 0.15), 1.0)
                red = 0.0
                dark = 0.0
                if place > 0.8:
                    for joint in range(1, 4):
                        d = place - joint
                        if joint == 1 and f > 0:
                            dark += 0.8 * _bell(d - 0.42, 0.035) * palmar  # the crease at the web
                            red += 0.5 * _bell(d, 0.13) * (1 - palmar)
                        elif joint > 1:
                            dark += (0.9 * _bell(d, 0.035) + 0.5 * _bell(d - 0.09, 0.025)) * palmar
                            folds = 0.5 + 0.5 * np.cos(42.0 * d + 2.0 * coarse)
                            dark += 0.55 * _bell(d, 0.11) * folds * folds * (1 - palmar)
                            red += 0.55 * _bell(d, 0.14) * (1 - palmar)
                    red += 0.7 * min(max((place - 3.45) * 2.5, 0.0), 1.0) * palmar
                if palmar > 0.2 and place < 1.4 and r[1] > -5.0:
                    d = _line_distance(r[0] / scale_mm, r[1] / scale_mm, lines) + 0.006 * fine
                    dark += 0.85 * _bell(d, 0.014) * palmar
                if r[1] < 12.0:
                    dark += 0.6 * _bell(r[1] + 3.0 + 1.5 * coarse, 1.4) * palmar  # the wrist's crease
                dark = min(dark, 1.0) * wrinkles
                if photographed:
                    dark, red = 0.0, 0.0
                elif place < 1.1:
                    on_back = (1 - palmar) * min((1.1 - place) / 0.2, 1.0)
                    lean = on_back * _back_slope(r[0], r[1], knuckles, wrinkles)
                spots = 1.0 + mottle * (0.7 * coarse + 0.5 * fine)
                for k in range(3):
                    value = skin[0, k] + palmar * (skin[1, k] - skin[0, k])
                    value *= spots * (1.0 - dark * (1.0 - skin[3, k]))
                    if photographed:
                        value *= u * tint[a, k] + v * tint[b, k] + w * tint[c, k]
                    colour[k] = value * (1.0 + red * (0.10 if k == 0 else -0.14))
                nail = ((place - 3.74) / 0.20) ** 2 + (side / 0.74) ** 2
                if dorsal > 0.25 and nail < 1.15 and not photographed:
                    edge = min(max((1.15 - nail) / 0.15, 0.0), 1.0)
                    rim = 0.8 + 0.2 * min(max((1.0 - nail) / 0.2, 0.0), 1.0)
                    moon = 1.0 + 0.12 * _bell(place - 3.57, 0.03)
                    tip = 1.25 if place > 3.89 else 1.0
                    for k in range(3):
                        colour[k] += edge * (skin[2, k] * rim * moon * tip - colour[k])
                    gloss = shine + 0.5 * edge
                    rough = 0.02

            # The surface in the light's axes, before its relief.
            tx = light_axes[0, 0] * n[0] + light_axes[0, 1] * n[1] + light_axes[0, 2] * n[2]
            ty = light_axes[1, 0] * n[0] + light_axes[1, 1] * n[1] + light_axes[1, 2] * n[2]
            tz = min(light_axes[2, 0] * n[0] + light_axes[2, 1] * n[1] + light_axes[2, 2] * n[2], -0.05) * light_scale
            # Fine relief turns the normal a little.
            n[0] += rough * fine + 0.05 * mottle * coarse + lean * aside[0]
            n[1] += rough * coarse + lean * aside[1]
            n[2] += lean * aside[2]
            length = np.sqrt(n[0] ** 2 + n[1] ** 2 + n[2] ** 2) + 1e-9
            for k in range(3):
                n[k] /= length
            x, y, z = n[0], n[1], n[2]
            facing = x * key_from[0] + y * key_from[1] + z * key_from[2]
            lx = (
                light_axes[0, 0] * p[0] + light_axes[0, 1] * p[1] + light_axes[0, 2] * p[2] - light_low[0]
            ) * light_scale
            ly = (
                light_axes[1, 0] * p[0] + light_axes[1, 1] * p[1] + light_axes[1, 2] * p[2] - light_low[1]
            ) * light_scale
            lz = light_axes[2, 0] * p[0] + light_axes[2, 1] * p[1] + light_axes[2, 2] * p[2]
            lit = _lit(shadow, lx, ly, lz, -tx / tz, -ty / tz, shadow.shape[0])
            reach = np.sqrt(p[0] ** 2 + p[1] ** 2 + p[2] ** 2)
            hx, hy, hz = key_from[0] - p[0] / reach, key_from[1] - p[1] / reach, key_from[2] - p[2] / reach
            half = (hx * x + hy * y + hz * z) / (np.sqrt(hx * hx + hy * hy + hz * hz) + 1e-9)
            glint = 0.12 * gloss * max(half, 0.0) ** 24 * lit
            lit *= cleft[row, column]
            for k in range(3):
                room = ambient[0, k] + ambient[1, k] * y + ambient[2, k] * z + ambient[3, k] * x
                room += ambient[4, k] * x * y + ambient[5, k] * y * z + ambient[6, k] * (3 * z * z - 1) * 0.5
                room += ambient[7, k] * x * z + ambient[8, k] * (x * x - y * y)
                # Red light travels furthest under the skin, so shadows' borders are warm.
                wrap = 0.30 if k == 0 else 0.14
                direct = max((facing + wrap) / (1 + wrap), 0.0) * (lit if k else 0.85 * lit + 0.15)
                light = max(room, 0.03) * occlusion[row, column] * cleft[row, column] + key[k] * direct
                out[row, column, k] = colour[k] * light + glint * key[k]
    return out
