"""How the translators do on a fixed set: a grid for the eye, realism (KID), overlap of silhouettes and drift of joints."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np

from geocongan.domains import DomainBatches, DomainConfig, through, to_picture
from geocongan.eye import Eye
from geocongan.measures import kid, mask_iou
from geocongan.train import GanConfig
from handpose.draw import contact_sheet
from handpose.images import write_image

_SEED = 999_983
_FIXED, _SHOWN = 160, 8


class Progress:
    """Pictures that no step sees (`synthetic`), photographs (`real`), and what RegNet sees in both."""

    def __init__(self, config: GanConfig, silnet, log: Callable[[str], None]):
        self.silnet, self.log = silnet, log
        sides = DomainConfig(config.sources[0], config.held_out or config.sources[1], config.size, _FIXED, _SEED)
        self.fixed = DomainBatches(sides).batch(0)
        self.eye = Eye()
        self.real_features, _ = self.eye(to_picture(self.fixed["real"]))
        features, self.joints = self.eye(to_picture(self.fixed["synthetic"]))
        self.own_kid = kid(features, self.real_features)

    def evaluate(self, gan, folder: Path, step: int) -> float:
        """Log the measures, write a grid; return how good the translation is: overlap of silhouettes less KID over the renders' own."""
        synthetic = self.fixed["synthetic"]
        with gan.averaged("synth2real") as model:
            translated = through(model, synthetic)
        with gan.averaged("real2synth") as model:
            back = through(model, translated[:_SHOWN])
        features, joints = self.eye(to_picture(translated))
        distance = kid(features, self.real_features)
        drift = float(np.linalg.norm(joints - self.joints, axis=-1).mean() * synthetic.shape[1])
        figures, masks = f"KID {distance:.4f} (renders {self.own_kid:.4f})", None
        overlap = 1.0
        if self.silnet is not None:
            masks = through(self.silnet, translated) > 0
            overlap = float(mask_iou(masks, self.fixed["synthetic_mask"] > 0.5).mean())
            figures += f", mask IoU {overlap:.3f}"
        self.log(f"step {step}: {figures}, joints moved {drift:.2f} px (n={len(synthetic)})")
        self._draw(translated, back, masks, folder / f"grid_{step:06d}.jpg")
        return overlap - distance / max(self.own_kid, 1e-6)

    def _draw(self, translated, back, masks, path: Path) -> None:
        rows = [to_picture(self.fixed["synthetic"][:_SHOWN]), to_picture(translated[:_SHOWN]), to_picture(back)]
        if masks is not None:
            over = np.concatenate([masks[:_SHOWN], self.fixed["synthetic_mask"][:_SHOWN] > 0.5], -1)
            rows.append(np.concatenate([over, np.zeros_like(over[..., :1])], -1).astype(np.uint8) * 255)
        write_image(path, contact_sheet([picture for row in rows for picture in row], columns=_SHOWN))
