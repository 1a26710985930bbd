"""How a run does on what it never sees: labelled crops of people held out and rendered hands, with a picture of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose import metrics
from handpose.data.options import name_of
from handpose.errors import HandposeError
from handpose.heatmap import decode_heatmaps, px_from_cells
from handpose.skeleton import N_JOINTS
from handpose.synthesis import RENDER
from handpose.training.run_dir import RunDir
from regnet.labelled import LabelledWindow, labelled_windows, reader_of

_BATCH = 32
_SHOWN = 32
_OF_A_SET = 1000  # held-out hands at most, drawn from all
_RENDERED, _SEED = 96, 999_983
# Sides by which a run may be judged. What others hold out are the test sets of papers: measured, and nothing is chosen by them.
_JUDGING = {"photos": "held_out", "json_labels": "held_out", "interhand": "val"}

_Crop = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]  # image, joints_px, labelled, joints_mm


class HeldOut:
    """What no training sees, kept in memory: ideal crops of the held-out hands of datasets, and rendered hands of a seed of their own.

    images (N, S, S, 3) of left hands, joints_px (N, 21, 2), labelled (N, 21) bool, joints_mm (N, 21, 3) in the crop's axes, NaN where
    unknown; the first `n_photos` are of datasets, `n_tests` of them, the last ones, of papers' test sets; the others are rendered, with
    joints_rel (R, 21, 3). A dataset without a split has nothing held out.
    """

    def __init__(self, sources: Sequence[str], size: int, read: Sequence[str] = ()):
        self.size = size
        folders = [Path(source) for source in sources if source != RENDER]
        sides = [(folder, _JUDGING.get(name_of(reader_of(folder)))) for folder in folders]
        crops = [crop for folder, side in sides if side for crop in _held_out(folder, size, side, read)]
        tests = [crop for folder, side in sides if not side for crop in _held_out(folder, size, "held_out", read)]
        crops += tests
        self.n_photos, self.n_tests = len(crops), len(tests)
        self.joints_rel = np.zeros((0, N_JOINTS, 3))
        if RENDER in sources:
            from handpose.synthesis.sampler import RenderSampler

            batch = RenderSampler(_SEED, size).batch(_RENDERED)
            self.joints_rel = batch["joints_rel"]
            joints_mm = self.joints_rel * batch["scale_mm"][:, None, None]
            labelled = np.ones(joints_mm.shape[:2], bool)
            crops += list(zip(batch["image"], batch["joints_px"], labelled, joints_mm, strict=True))
        self.images, self.joints_px, self.labelled, self.joints_mm = (
            np.array([crop[part] for crop in crops]) for part in range(4)
        )

    @property
    def judges(self) -> bool:
        """Whether there is anything by which one evaluation is better than another."""
        return len(self.images) > self.n_tests

    def evaluate(self, model, folder: RunDir, step: int, log: Callable[[str], None]) -> float:
        """Log the errors and draw predictions; return how good the network is: the mean PCK at 0.05 of photographs and renders.

        Test sets do not count; with nothing else held out all evaluations are equally good, and the last is kept.
        """
        if not len(self.images):
            return 0.0
        answers = [model(self.images[i : i + _BATCH], training=False) for i in range(0, len(self.images), _BATCH)]
        maps = np.concatenate([np.moveaxis(np.asarray(answer["heatmaps"]), -1, 1)[:, :21] for answer in answers])
        relative = np.concatenate([np.asarray(answer["joints_rel"]) for answer in answers])
        joints = px_from_cells(decode_heatmaps(maps)[0], self.size)
        box = np.ptp(self.joints_px, axis=1).max(-1)  # joints without a label are amid the others
        error = np.linalg.norm(joints - self.joints_px, axis=-1) / box[:, None]
        error[~self.labelled] = np.nan
        judging = self.n_photos - self.n_tests
        parts = {
            "held-out people": slice(None, judging), "rendered": slice(self.n_photos, None),
            "test sets, by which nothing is chosen": slice(judging, self.n_photos),
        }  # fmt: skip
        scores = []
        for name, part in parts.items():
            if not len(error[part]):
                continue
            pck = {f"pck@{limit:.2f}": metrics.pck(error[part], limit) for limit in (0.05, 0.10, 0.20)}
            scores += [pck["pck@0.05"]] if part != slice(judging, self.n_photos) else []
            whole = np.isfinite(self.joints_mm[part]).all((1, 2))
            if whole.any():
                similar = "aligned by a similarity"
                pck["pa_mpjpe_mm"] = metrics.mpjpe(relative[part][whole], self.joints_mm[part][whole], similar).value
            figures = ", ".join(f"{key} {value:.3f}" for key, value in pck.items())
            log(f"step {step}, {name}: {figures} (n={len(error[part])})")
        self._draw(joints, folder.path / f"held_out_{step:06d}.jpg")
        return float(np.mean(scores)) if scores else 0.0

    def _draw(self, joints: np.ndarray, path: Path) -> None:
        from handpose.draw import contact_sheet, draw_skeleton

        chosen = np.linspace(0, len(joints) - 1, min(_SHOWN, len(joints))).astype(int)
        sheet = contact_sheet([draw_skeleton(self.images[i], joints[i]) for i in chosen], columns=8)
        cv2.imwrite(str(path), sheet[..., ::-1])


def _held_out(folder: Path, size: int, side: str, read: Sequence[str]) -> list[_Crop]:
    """Cut the held-out hands of a dataset; none, and a line that says why, where it has no such side."""
    try:
        windows, _ = labelled_windows(folder, size, _OF_A_SET, _SEED, side, read)
    except HandposeError as error:
        print(f"no held-out hands: {error}")
        return []
    return [_as_left(window, size) for window in windows if window.picture is None]


def _as_left(window: LabelledWindow, size: int) -> _Crop:
    joints_px = window.crop.to_crop(window.joints_px)
    joints_mm = np.full((N_JOINTS, 3), np.nan) if window.joints_mm is None else window.joints_mm
    if window.side != "right":
        return window.image, joints_px, window.valid, joints_mm
    return window.image[:, ::-1], joints_px * (-1, 1) + (size - 1, 0), window.valid, joints_mm * (-1, 1, 1)
