"""How a run does on what it never sees: labelled crops of people held out and rendered hands, with a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.data import photos
from handpose.heatmap import decode_heatmaps, px_from_cells
from handpose.metrics import mpjpe
from handpose.training.run_dir import RunDir
from regnet.batches import RENDER

_BATCH = 32
_SHOWN = 32
_RENDERED, _SEED = 96, 999_983


class HeldOut:
    """What no training sees, kept in memory: ideal crops of the held-out hands of photo sets, and rendered hands of a seed of their own.

    images (N, S, S, 3) of left hands, joints_px (N, 21, 2); the last ones are rendered and have joints_rel (R, 21, 3) and scale_mm (R,).
    """

    def __init__(self, sources: Sequence[str], size: int):
        self.size = size
        folders = [Path(source) for source in sources if source != RENDER]
        crops = [_crop(sample, size) for folder in folders for sample in photos.read(folder, "held_out").samples()]
        self.n_photos = len(crops)
        self.joints_rel, self.scale_mm = np.zeros((0, 21, 3)), np.zeros(0)
        if RENDER in sources:
            from handpose.synthesis.sampler import RenderSampler

            batch = RenderSampler(_SEED, size).batch(_RENDERED)
            crops += list(zip(batch["image"], batch["joints_px"], strict=True))
            self.joints_rel, self.scale_mm = batch["joints_rel"], batch["scale_mm"]
        self.images = np.array([image for image, _ in crops])
        self.joints_px = np.array([joints for _, joints in crops])

    def evaluate(self, model, folder: RunDir, step: int, log: Callable[[str], None]) -> float:
        """Log the errors and draw predictions; return how good the network is: the mean PCK at 0.05 of photographs and renders."""
        if not len(self.images):
            return 0.0
        answers = [model(self.images[i : i + _BATCH], training=False) for i in range(0, len(self.images), _BATCH)]
        maps = np.concatenate([np.moveaxis(np.asarray(answer["heatmaps"]), -1, 1)[:, :21] for answer in answers])
        relative = np.concatenate([np.asarray(answer["joints_rel"]) for answer in answers])
        joints = px_from_cells(decode_heatmaps(maps)[0], self.size)
        box = np.ptp(self.joints_px, axis=1).max(-1)
        error = np.linalg.norm(joints - self.joints_px, axis=-1) / box[:, None]
        parts = {"held-out people": slice(None, self.n_photos), "rendered": slice(self.n_photos, None)}
        scores = []
        for name, part in parts.items():
            if not len(error[part]):
                continue
            pck = {f"pck@{limit:.2f}": float((error[part] <= limit).mean()) for limit in (0.05, 0.10, 0.20)}
            scores.append(pck["pck@0.05"])
            if name == "rendered":
                scale = self.scale_mm[:, None, None]
                similar = "aligned by a similarity"
                pck["pa_mpjpe_mm"] = mpjpe(relative[part] * scale, self.joints_rel * scale, similar).value
            figures = ", ".join(f"{key} {value:.3f}" for key, value in pck.items())
            log(f"step {step}, {name}: {figures} (n={len(error[part])})")
        self._draw(joints, folder.path / f"held_out_{step:06d}.jpg")
        return float(np.mean(scores))

    def _draw(self, joints: np.ndarray, path: Path) -> None:
        from handpose.draw import contact_sheet, draw_skeleton

        chosen = np.linspace(0, len(joints) - 1, min(_SHOWN, len(joints))).astype(int)
        sheet = contact_sheet([draw_skeleton(self.images[i], joints[i]) for i in chosen], columns=8)
        cv2.imwrite(str(path), sheet[..., ::-1])


def _crop(sample: photos.Sample, size: int) -> tuple[np.ndarray, np.ndarray]:
    image = sample.image
    crop = Crop.from_joints(Camera.from_fov((image.shape[1], image.shape[0])), sample.joints_px, size)
    cut, joints_px = crop.warp(image), crop.to_crop(sample.joints_px)
    if sample.side == "right":
        return cut[:, ::-1], joints_px * (-1, 1) + (size - 1, 0)
    return cut, joints_px
