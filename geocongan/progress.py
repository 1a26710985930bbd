"""How the translators do on a fixed set: a grid for the eye, realism (KID), overlap of silhouettes and drift of joints."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from geocongan.domains import DomainBatches, DomainConfig, through, to_picture
from geocongan.eye import Eye
from geocongan.measures import kid, mask_iou
from geocongan.train import GanConfig
from handpose.draw import contact_sheet
from handpose.images import write_image
from handpose.training.run_dir import RunDir

_SEED = 999_983
_FIXED, _SHOWN = 160, 8
_DRIFT_COUNTS = 20.0


class Progress:
    """Rendered hands that no step sees, photographs (of other people where the run has such), and what RegNet sees in both."""

    def __init__(self, config: GanConfig, silnet, log: Callable[[str], None]):
        self.silnet, self.log = silnet, log
        photographs = config.held_out or config.sources[1]
        sides = DomainConfig(config.sources[0], photographs, config.size, _FIXED, _SEED, split="held_out")
        self.fixed = DomainBatches(sides).measured()
        self.eye = Eye()
        self.real_features, _ = self.eye(to_picture(self.fixed["real"]))
        features, self.joints = self.eye(to_picture(self.fixed["synthetic"]))
        self.own_kid = kid(features, self.real_features)

    def evaluate(self, translators: Mapping[str, Any], folder: RunDir, step: int) -> float:
        """Log the measures, write a grid; return how good the translation is, by the networks synth2real and real2synth.

        That is the overlap of silhouettes, less KID over the renders' own and the joints' drift in twentieths of a picture's side.
        """
        synthetic = self.fixed["synthetic"]
        translated = through(translators["synth2real"], synthetic)
        back = through(translators["real2synth"], translated[:_SHOWN])
        features, joints = self.eye(to_picture(translated))
        distance = kid(features, self.real_features)
        drift = float(np.linalg.norm(joints - self.joints, axis=-1).mean())
        figures = {"kid": distance, "kid_renders": self.own_kid, "drift_px": drift * synthetic.shape[1]}
        masks = None
        if self.silnet is not None:
            masks = through(self.silnet, translated) > 0
            figures["mask_iou"] = float(mask_iou(masks, self.fixed["synthetic_mask"] > 0.5).mean())
        folder.measure(step, **figures)
        told = ", ".join(f"{name} {value:.4f}" for name, value in figures.items())
        self.log(f"step {step}: {told} (n={len(synthetic)})")
        sheet = self._sheet(translated, back, masks)
        write_image(folder.path / f"grid_{step:06d}.jpg", sheet)
        if folder.board:
            folder.board.picture(step, "grid", sheet)
        return figures.get("mask_iou", 1.0) - distance / max(self.own_kid, 1e-6) - _DRIFT_COUNTS * drift

    def _sheet(self, translated, back, masks) -> np.ndarray:
        """Lay input, translation, reconstruction, and what SilNet finds (red) over the input's mask (green) below each other."""
        rows = [to_picture(self.fixed["synthetic"][:_SHOWN]), to_picture(translated[:_SHOWN]), to_picture(back)]
        if masks is not None:
            over = np.concatenate([masks[:_SHOWN], self.fixed["synthetic_mask"][:_SHOWN] > 0.5], -1)
            rows.append(np.concatenate([over, np.zeros_like(over[..., :1])], -1).astype(np.uint8) * 255)
        return contact_sheet([picture for row in rows for picture in row], columns=len(translated[:_SHOWN]))
