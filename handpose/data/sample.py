"""One labelled hand in one picture, whatever dataset it comes from."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from handpose.camera import Camera
from handpose.skeleton import N_JOINTS, Side


@dataclass(frozen=True, eq=False)
class Sample:
    """A hand with its labels; what a dataset lacks is None.

    joints_px (21, 2), valid (21,) bool, joints_mm (21, 3) in the camera frame, mask (H, W) uint8; sides_shown: of all hands in the picture.
    `load_image` reads the picture, (H, W, 3) RGB uint8, when it is asked for.
    """

    name: str
    load_image: Callable[[], np.ndarray]
    joints_px: np.ndarray
    valid: np.ndarray = field(default_factory=lambda: np.ones(N_JOINTS, bool))
    joints_mm: np.ndarray | None = None
    side: Side | None = None
    camera: Camera | None = None
    load_mask: Callable[[], np.ndarray] | None = None
    sides_shown: tuple[Side, ...] | None = None

    @property
    def image(self) -> np.ndarray:
        """The picture, (H, W, 3) RGB uint8; raises HandposeError naming a file that cannot be read."""
        return self.load_image()

    @property
    def mask(self) -> np.ndarray | None:
        """The hand's silhouette (in SynthHands' object folders with what it holds), (H, W) uint8, 255 inside, or None."""
        return self.load_mask() if self.load_mask else None
