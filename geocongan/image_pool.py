"""The image pool of CycleGAN: a judge sees earlier translations too, so that it does not forget old faults (Shrivastava et al. 2017)."""

from __future__ import annotations

import numpy as np


class ImagePool:
    """At most `size` earlier pictures. `pictures` (K, S, S, 3) is its whole state."""

    def __init__(self, size: int = 50):
        self.size = size
        self.pictures: np.ndarray | None = None

    def exchange(self, rng: np.random.Generator, new: np.ndarray) -> np.ndarray:
        """Take in new pictures (N, S, S, 3) and give as many: each the new one, or, half of the time, an earlier one in its place."""
        given = new.copy()
        for i, picture in enumerate(new):
            if self.pictures is None or len(self.pictures) < self.size:
                held = [] if self.pictures is None else [self.pictures]
                self.pictures = np.concatenate([*held, picture[None]])
            elif rng.random() < 0.5:
                place = rng.integers(self.size)
                given[i] = self.pictures[place]
                self.pictures[place] = picture
        return given
