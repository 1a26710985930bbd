"""A frozen RegNet that labels cut-out hands without labels, as those of RealHands: where the joints are, and of which side the hand is."""

from __future__ import annotations

import numpy as np

from geocongan.eye import Eye
from handpose.crop import Crop
from handpose.heatmap import decode_heatmaps, px_from_cells
from handpose.skeleton import SIDES, Side

_TURNS_RAD = np.arange(4) * np.pi / 2  # before a green screen hands come from any side
_ROUNDS = 3
# Of 219 hands of people held out of sign_digits and hands_dguzk, half of them mirrored, 94% pass: 98% of them of the right side, all
# with joints that lie less than a tenth of the hand off.
_SURE = 0.6  # mean confidence
_TELLING = 0.2  # by so much the hand must look more like a left one in this way than in its mirror image


class JointFinder:
    """`finder(image, crop)` with the network by which pictures are compared, too; `size` is the side of its crops [px]."""

    def __init__(self) -> None:
        self.network = Eye().network
        self.size = self.network.input_size

    def __call__(self, image: np.ndarray, start: Crop) -> tuple[np.ndarray, Side] | None:
        """Find joints (21, 2) [px] and side of the hand that a crop of a picture (H, W, 3) uint8 shows; None where they are not sure.

        The hand is first looked at from four sides, then in the crop around the joints of the surest look, always in both ways.
        """
        crops = [start.jittered(np.zeros(2), 1.0, turn) for turn in _TURNS_RAD]
        for _ in range(_ROUNDS):
            joints_px, confidence, left = self._look(image, crops)
            way, best = np.unravel_index((confidence * left).argmax(), left.shape)
            crops = [Crop.from_joints(start.source, joints_px[way, best], self.size)]
        # Way 0 is the hand as it is, way 1 mirrored: RegNet sees left hands.
        sure = confidence[way, 0] >= _SURE and left[way, 0] - left[1 - way, 0] >= _TELLING
        return (joints_px[way, 0], SIDES[way]) if sure else None

    def _look(self, image: np.ndarray, crops: list[Crop]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Look at crops as they are and mirrored: joints (2, N, 21, 2) [px of the picture], mean confidences (2, N), and how left (2, N)."""
        windows = np.stack([crop.warp(image) for crop in crops])
        answer = self.network(np.concatenate([windows, windows[:, :, ::-1]]))
        cells, _ = decode_heatmaps(answer["heatmaps"])
        seen = px_from_cells(cells, self.size).reshape(2, len(crops), -1, 2)
        seen[1, ..., 0] = self.size - 1 - seen[1, ..., 0]
        joints_px = np.stack([crop.to_image(seen[:, number]) for number, crop in enumerate(crops)], axis=1)
        return joints_px, answer["confidence"].mean(1).reshape(2, -1), answer["left"].reshape(2, -1)
