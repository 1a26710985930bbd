"""Whether a generated picture shows a hand that can exist: the kinematic hand is fitted to it, and what the fit leaves over is measured.

A frozen RegNet finds the joints, the hand of 26 degrees of freedom is fitted to them (Mueller et al. 2018, section 4) and then, with its
flesh and finger lengths, to the silhouette as well. A hand with a finger too many or too few, or with one too short, can be drawn by no
pose: its silhouette stays different, or its joints and angles pay for the likeness.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from geocongan.measures import mask_iou
from geocongan.outline_fit import OutlinedHand, OutlineFit
from handpose.camera import Camera
from handpose.crop import Crop
from handpose.fit.fitter import HandFitter
from handpose.heatmap import HEATMAP_SIZE, decode_heatmaps, px_from_cells
from handpose.prediction import Prediction
from handpose.runtime import Network
from handpose.skeleton import ANGLE_LIMITS_RAD
from handpose.synthesis.translated import on_white

OUTPUTS = ("heatmaps", "joints_rel", "confidence", "presence")
_FOV_DEG = 28.0  # across a hand's crop, as of photographs from an arm's length
# Crops of one hand whose joints are averaged: shift (2,) in sides, scale, roll [rad].
_LOOKS = (
    ((0.0, 0.0), 1.0, 0.0), ((0.03, 0.0), 1.06, 0.15), ((-0.03, 0.0), 0.96, -0.15), ((0.0, 0.03), 1.0, 0.3),
    ((0.0, -0.03), 1.03, -0.3),
)  # fmt: skip
_CONFIDENT_CELLS = 1.5  # RegNet's confidence is exp(-(error / 1.5 cells)^2 / 2)
_LEAST_ERROR_CELLS = 0.2
_BATCH = 64
_ACTIVE_RAD = 0.02  # an angle so near its limit, or beyond it, has it active

# Of the score's parts (1 - IoU, reach, residual, excess): what is too little to matter, and how much the logarithm counts.
_NEGLIGIBLE = np.array([0.001, 0.005, 0.005, 0.01])
_COUNTS = np.array([1.0, 1.0, 1.0, 0.5])


@dataclass(frozen=True)
class Plausibility:
    """What the fit of one picture left over.

    iou: of the fitted hand's silhouette with the picture's mask, both without forearm. reach: how far the one sticks out of the
    other at most; residual, worst_residual: distance of the fitted joints from those seen, mean and largest; all three in sides of the
    joints' box. limits: how many angles are at their limits or beyond; excess_rad: by how much in all.
    """

    iou: float
    reach: float
    residual: float
    worst_residual: float
    limits: int
    excess_rad: float

    @property
    def score(self) -> float:
        """Combine them: minus the logarithm of a product, so that each counts by its ratio and none needs a unit.

        The product is of what the silhouettes do not share, their reach, the worst joint's residual and the root of the excess over
        the limits. Higher is more plausible; only comparisons mean something.
        """
        parts = (1 - self.iou, self.reach, self.worst_residual, self.excess_rad)
        return -float(np.log(np.array(parts) + _NEGLIGIBLE) @ _COUNTS)


class Judge:
    """`judge(pictures)` fits hands to cut-out left hands; `network` is an exported RegNet."""

    def __init__(self, network: Network):
        self.network = network

    def __call__(self, pictures: Sequence[np.ndarray] | np.ndarray) -> list[Plausibility]:
        """Judge pictures (N, S, S, 4) uint8 as `geocongan.domains` gives them, or their translations."""
        size = pictures[0].shape[0]
        camera = Camera.from_fov((size, size), _FOV_DEG)
        outline = OutlineFit(camera)
        fitter = HandFitter(outline.skeleton, camera)
        found = []
        for picture, (prediction, crop) in zip(pictures, self._predictions(pictures, camera), strict=True):
            fitter.reset()
            problem, start = fitter.observe(prediction, crop), fitter.update(prediction, crop, 0.0).vector
            mask = picture[..., 3] >= 128
            if problem is None or not mask.any():
                found.append(Plausibility(0.0, 1.0, 1.0, 1.0, len(ANGLE_LIMITS_RAD), float(np.pi)))
                continue
            found.append(_compared(outline, outline(problem, start, mask), prediction.joints_px, mask))
        return found

    def _predictions(self, pictures, camera: Camera) -> list[tuple[Prediction, Crop]]:
        """Find the joints in the whole picture, then in crops around them."""
        shown = [on_white(picture) for picture in pictures]
        whole = Crop.from_box(camera, np.array([camera.cx, camera.cy]), camera.size_px[0], 0.0, self.network.input_size)
        joints_px = self._look([whole] * len(shown), shown)[0]
        crops = [Crop.from_joints(camera, joints, self.network.input_size) for joints in joints_px]
        looks = [self._look([crop.jittered(np.array(shift), scale, roll) for crop in crops], shown) for shift, scale, roll in _LOOKS]  # fmt: skip
        joints_px, joints_rel, confidence = (np.stack(parts) for parts in zip(*looks, strict=True))
        trust = confidence[..., None] + 1e-3
        joints_px, confidence = (trust * joints_px).sum(0) / trust.sum(0), confidence.mean(0)
        cells = _CONFIDENT_CELLS * np.sqrt(-2 * np.log(np.clip(confidence, 1e-3, 1)))
        cells = np.maximum(cells, _LEAST_ERROR_CELLS)
        return [
            (Prediction(px, error * crop.side_px / HEATMAP_SIZE, rel @ crop.camera_from_crop, sure, 1.0, 1.0), crop)
            for px, error, rel, sure, crop in zip(joints_px, cells, joints_rel.mean(0), confidence, crops, strict=True)
        ]

    def _look(self, crops: Sequence[Crop], shown: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Joints (N, 21, 2) [px of the pictures] and (N, 21, 3) in their camera's axes, and confidences (N, 21)."""
        windows = np.stack([crop.warp(picture) for crop, picture in zip(crops, shown, strict=True)])
        answers = [self.network(windows[i : i + _BATCH]) for i in range(0, len(windows), _BATCH)]
        maps, relative, confidence = (np.concatenate([answer[name] for answer in answers]) for name in OUTPUTS[:3])
        cells, _ = decode_heatmaps(maps)
        seen = px_from_cells(cells, self.network.input_size)
        return (
            np.stack([crop.to_image(joints) for crop, joints in zip(crops, seen, strict=True)]),
            np.stack([rel @ crop.camera_from_crop.T for crop, rel in zip(crops, relative.astype(float), strict=True)]),
            confidence.astype(float),
        )


def auc(better: np.ndarray | Sequence[float], worse: np.ndarray | Sequence[float]) -> float:
    """Chance that one of `better` exceeds one of `worse`; ties count half."""
    difference = np.asarray(better)[:, None] - np.asarray(worse)[None]
    return float(((difference > 0) + 0.5 * (difference == 0)).mean())


def _compared(outline: OutlineFit, hand: OutlinedHand, joints_px: np.ndarray, mask: np.ndarray) -> Plausibility:
    """Compare a fitted hand with a mask (S, S) bool and the joints seen (21, 2)."""
    size = mask.shape[0]
    above = outline.above_wrist(hand, size)
    drawn = outline.silhouette(hand, size)
    fitted_px = outline.camera.project(outline.joints_mm(hand))
    side = float(np.ptp(fitted_px, axis=0).max()) + 1e-9
    apart = np.linalg.norm(fitted_px - joints_px, axis=-1) / side
    low, high = ANGLE_LIMITS_RAD.T
    beyond = np.maximum(hand.angles_rad - high, low - hand.angles_rad)
    return Plausibility(
        iou=float(mask_iou((drawn & above)[None], (mask & above)[None])[0]),
        reach=max(_reach(mask & above, drawn), _reach(drawn & above, mask)) / side,
        residual=float(apart.mean()),
        worst_residual=float(apart.max()),
        limits=int((beyond > -_ACTIVE_RAD).sum()),
        excess_rad=float(np.maximum(beyond, 0).sum()),
    )


def _reach(part: np.ndarray, of: np.ndarray) -> float:
    """How far a mask (S, S) sticks out of another at most [px]."""
    if not part.any():
        return 0.0
    if not of.any():
        return float(max(of.shape))
    return float(cv2.distanceTransform((~of).astype(np.uint8), cv2.DIST_L2, 3)[part].max())
