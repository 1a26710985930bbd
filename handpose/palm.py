"""Some datasets label the middle of the palm and no wrist, and some tests compare palms: how the one follows from the other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from handpose.skeleton import M0, WRIST


@dataclass(frozen=True)
class Palm:
    """Where the middle of the palm lies: the way from a base joint to W is `times` as long as to it, on average over `bases`.

    `note` says so to whoever reads figures of such a palm.
    """

    bases: tuple[int, ...]
    times: float
    note: str

    def wrist(self, joints: np.ndarray) -> np.ndarray:
        """Give W (..., 3) of joints (..., 21, 3) that have the palm in its place."""
        bases = joints[..., list(self.bases), :]
        return (bases + self.times * (joints[..., [WRIST], :] - bases)).mean(-2)

    def instead_of_wrist(self, joints: np.ndarray) -> np.ndarray:
        """Put the palm in the place of W: what `wrist` undoes, on joints (..., 21, 3)."""
        changed = np.array(joints, float)
        base = changed[..., list(self.bases), :].mean(-2)
        changed[..., WRIST, :] = base + (changed[..., WRIST, :] - base) / self.times
        return changed


MIDWAY = Palm((M0,), 2.0, "the palm of the labels lies halfway from W to M0, as in Zimmermann and Brox 2017")
IN_PLACE = Palm(
    (M0,),
    1.0,
    "W is the palm in these labels, and what the network calls W is compared with it: train it on such labels",
)
