"""How a run does on training people held out: the error of labelled crops, and a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.crop import Crop
from handpose.data import photos
from handpose.heatmap import decode_heatmaps, px_from_cells
from handpose.run_dir import RunDir

_BATCH = 32
_SHOWN = 32


class HeldOut:
    """Ideal crops of the held-out hands of photo sets, kept in memory: images (N, S, S, 3), joints_px (N, 21, 2) of left hands."""

    def __init__(self, folders: Sequence[str], size: int):
        self.size = size
        crops = [
            _crop(sample, size) for folder in folders for sample in photos.read(Path(folder), "held_out").samples()
        ]
        self.images = np.array([image for image, _ in crops])
        self.joints_px = np.array([joints for _, joints in crops])

    def evaluate(self, model, folder: RunDir, step: int, log: Callable[[str], None]) -> float:
        """Log PCK at 0.05, 0.10 and 0.20 of the labelled box and draw predictions; return PCK at 0.10, or 0 without photographs."""
        if not len(self.images):
            return 0.0
        predicted = [model(self.images[i : i + _BATCH], training=False) for i in range(0, len(self.images), _BATCH)]
        maps = np.concatenate([np.moveaxis(np.asarray(p["heatmaps"]), -1, 1)[:, :21] for p in predicted])
        joints = px_from_cells(decode_heatmaps(maps)[0], self.size)
        box = np.ptp(self.joints_px, axis=1).max(-1)
        error = np.linalg.norm(joints - self.joints_px, axis=-1) / box[:, None]
        pck = {f"pck@{limit:.2f}": float((error <= limit).mean()) for limit in (0.05, 0.10, 0.20)}
        log(f"step {step}, held-out people: " + ", ".join(f"{k} {v:.3f}" for k, v in pck.items()) + f" (n={len(box)})")
        self._draw(joints, folder.path / f"held_out_{step:06d}.jpg")
        return pck["pck@0.10"]

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
