"""What RegNet says of one crop, with the mirror of right hands already undone."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Prediction:
    """One hand as seen in one crop.

    joints_px (21, 2): joints in the whole picture [px].
    sigma_px (21,): their expected error in the picture [px].
    joints_rel (21, 3): joints in the axes of the crop's virtual camera, origin M0, unit |W-M0|.
    confidence (21,): how sure each joint is, 0..1.
    presence: how sure it is that the crop shows a hand, 0..1.
    left: how sure it is that the hand is a left one, 0..1.
    """

    joints_px: np.ndarray
    sigma_px: np.ndarray
    joints_rel: np.ndarray
    confidence: np.ndarray
    presence: float
    left: float
