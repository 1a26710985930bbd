"""How a rendered hand looks: skin, nails, sleeve, ring and light, drawn at random over what people and rooms offer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

# Linear reflectance of very light and very dark skin, on the back of the hand.
_LIGHT_SKIN, _DARK_SKIN = np.array([0.80, 0.56, 0.44]), np.array([0.075, 0.038, 0.024])


@dataclass(frozen=True, eq=False)
class Look:
    """One appearance; colours are linear RGB.

    back (3,), palm (3,), nail (3,), crease (3,) reflectances; mottle: strength of texture; shine; wrinkles: depth of creases 0..1.
    sleeve_mm: how far from the wrist the sleeve begins (inf: bare), sleeve (2, 3) its two colours, stripe_mm their period.
    ring: (finger, along) or (-1, 0). ambient (9, 3): spherical harmonics of the room's light; key_from (3,) unit, towards the key
    light, in camera axes, key (3,) its colour. phase (3,): shifts the texture. wrist_bend_rad (2,): of the forearm.
    """

    back: np.ndarray
    palm: np.ndarray
    nail: np.ndarray
    crease: np.ndarray
    mottle: float
    shine: float
    wrinkles: float
    sleeve_mm: float
    sleeve: np.ndarray
    stripe_mm: float
    ring: tuple[int, float]
    ambient: np.ndarray
    key_from: np.ndarray
    key: np.ndarray
    phase: np.ndarray
    wrist_bend_rad: np.ndarray

    @classmethod
    def sample(cls, rng: np.random.Generator) -> Look:
        """Draw a look."""
        melanin = rng.beta(1.1, 1.3)
        back = _LIGHT_SKIN ** (1 - melanin) * _DARK_SKIN**melanin * np.exp(rng.normal(0, (0.08, 0.06, 0.08)))
        # Palms hold little melanin: they are pinker, and in dark skin much lighter than the back.
        palm_melanin = melanin * rng.uniform(0.45, 0.8)
        palm = _LIGHT_SKIN ** (1 - palm_melanin) * _DARK_SKIN**palm_melanin * (1.02, 0.90, 0.88)
        nail = 0.55 * palm + 0.45 * np.array([0.75, 0.5, 0.45])
        if rng.random() < 0.12:
            nail = rng.uniform(0.02, 0.9, 3)
        bare = rng.random() < 0.45
        ring = (int(rng.integers(1, 5)), rng.uniform(1.25, 1.5)) if rng.random() < 0.12 else (-1, 0.0)
        sleeve = (
            rng.uniform(0.02, 0.8, (2, 3)) if rng.random() < 0.4 else np.repeat(rng.uniform(0.02, 0.8, (1, 3)), 2, 0)
        )
        if rng.random() < 0.5:
            sleeve = 0.75 * sleeve.mean(1, keepdims=True) + 0.25 * sleeve
        ambient, key_from, key = _light(rng)
        return cls(
            back=np.clip(back, 0.015, 0.95), palm=np.clip(palm, 0.02, 0.95), nail=nail,
            crease=np.array([0.75, 0.55, 0.5]) * rng.uniform(0.75, 1.15), mottle=rng.uniform(0.04, 0.22),
            shine=rng.uniform(0.0, 0.5), wrinkles=rng.uniform(0.35, 1.0),
            sleeve_mm=np.inf if bare else rng.uniform(2, 110), sleeve=sleeve, stripe_mm=rng.uniform(4, 30), ring=ring,
            ambient=ambient, key_from=key_from, key=key, phase=rng.uniform(0, 64, 3),
            wrist_bend_rad=rng.normal(0, (0.3, 0.18)).clip(-0.7, 0.7),
        )  # fmt: skip


def _light(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw the room's light as spherical harmonics, and a key light, mostly from above."""
    tint = np.exp(rng.normal(0, 0.12, 3))
    ambient = np.zeros((9, 3))
    ambient[0] = rng.uniform(0.3, 0.9) * tint
    direction = rng.normal(0, 1, 3) + (0, -1.2, -0.3)
    direction /= np.linalg.norm(direction)
    ambient[1:4] = ambient[0] * rng.uniform(0.15, 0.75) * direction[[1, 2, 0], None] * np.exp(rng.normal(0, 0.15, 3))
    ambient[4:] = ambient[0] * rng.normal(0, 0.07, (5, 3))
    key_from = rng.normal(0, 0.8, 3) + (0, -0.9, -0.8)
    strength = rng.uniform(0.1, 2.0) if rng.random() < 0.85 else 0.0
    return ambient, key_from / np.linalg.norm(key_from), strength * np.exp(rng.normal(0, 0.1, 3)) * tint
