"""How a detector does on people held out: hands found and missed, sides, boxes, false alarms, and a picture of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np

from handpose.data import photos
from handpose.letterbox import Letterbox
from handpose.rotation import plane_rotation
from handpose.training.run_dir import RunDir
from tracker.detector import THRESHOLD, Detection, decode_maps
from tracker.detector_data import MADE, SceneConfig, SceneMaker
from tracker.detector_pictures import is_left
from tracker.detector_targets import STRIDE, SceneHand, scene_hand

_SCENES = 12  # batches of made scenes
_SEED = 999_983


class HeldOutScenes:
    """Photographs of held-out people as they are, and scenes made from them.

    images (N, S, S, 3); of each its `hands`, and where others may be without a label, `doubt` (G, G) bool.
    """

    def __init__(self, config: SceneConfig):
        self.size = config.size
        folders = [Path(source) for source in config.sources if source not in MADE]
        self.images: list[np.ndarray] = []
        self.hands: list[list[SceneHand]] = []
        self.doubt: list[np.ndarray] = []
        for folder in folders:
            self._add_photos(folder)
        usable = tuple(str(folder) for folder in folders if len(photos.read(folder, "held_out")))
        if usable:
            self._add_scenes(replace(config, sources=usable, mix=(1.0,) * len(usable), seed=_SEED, split="held_out"))

    def _add_photos(self, folder: Path) -> None:
        for photo in photos.read(folder, "held_out").photos:
            hands = [hand for hand in photo.hands if hand.valid.all()]  # of the others the box is not known
            if not hands:
                continue
            image = photo.read()
            box = Letterbox.of(image.shape[1], image.shape[0], self.size)
            self.images.append(box.warp(image))
            self.hands.append(
                [scene_hand(box.to_square(hand.joints_px), (self.size, self.size), is_left(hand)) for hand in hands]
            )
            self.doubt.append(np.ones((self.size // STRIDE,) * 2, bool))  # other hands may be there: no false alarms

    def _add_scenes(self, config: SceneConfig) -> None:
        maker = SceneMaker(config)
        for step in range(_SCENES):
            batch = maker.batch(step)
            for i, image in enumerate(batch["image"]):
                maps = {name: batch[name][i] for name in ("centre", "box", "offset", "roll", "left")}
                self.images.append(image)
                self.hands.append(
                    [
                        SceneHand(d.centre_px, d.side_px, d.roll_rad, d.left > 0.5)
                        for d in decode_maps(maps, self.size, 0.999)
                    ]
                )
                self.doubt.append(batch["known"][i, ..., 0] == 0)

    def evaluate(self, model, folder: RunDir, step: int, log: Callable[[str], None]) -> float:
        """Log recall, false alarms per picture, side and box errors, and draw some.

        Returns recall and half the share of right sides, less the false alarms per picture.
        """
        if not self.images:
            return 0.0
        found = self._detect(model)
        recall, sides, sizes, rolls, false = [], [], [], [], 0
        for hands, detections, doubt in zip(self.hands, found, self.doubt, strict=True):
            for hand in hands:
                match = [d for d in detections if _matches(d, hand)]
                recall.append(bool(match))
                if match:
                    if hand.left is not None:
                        sides.append((match[0].left > 0.5) == hand.left)
                    sizes.append(abs(np.log(match[0].side_px / hand.side_px)))
                    turn = match[0].roll_rad - hand.roll_rad
                    rolls.append(abs(np.arctan2(np.sin(turn), np.cos(turn))))
            false += sum(not any(_matches(d, hand) for hand in hands) and not _doubtful(d, doubt) for d in detections)
        mean = {
            "recall": np.mean(recall), "side right": np.mean(sides or [False]), "log size error": np.mean(sizes or [9]),
            "roll error rad": np.median(rolls or [9]), "false per picture": false / len(self.images),
        }  # fmt: skip
        log(
            f"step {step}, held-out people: "
            + ", ".join(f"{k} {v:.3f}" for k, v in mean.items())
            + f" (n={len(recall)})"
        )
        self._draw(found, folder.path / f"held_out_{step:06d}.jpg")
        return float(mean["recall"] + 0.5 * mean["side right"] - mean["false per picture"])

    def _detect(self, model) -> list[list[Detection]]:
        found = []
        for start in range(0, len(self.images), 32):
            outputs = model(np.stack(self.images[start : start + 32]), training=False)
            maps = {name: np.array(value) for name, value in outputs.items()}
            for name in ("centre", "left"):
                maps[name] = 1 / (1 + np.exp(-maps[name]))
            for i in range(len(maps["centre"])):
                found.append(decode_maps({name: value[i] for name, value in maps.items()}, self.size, THRESHOLD))
        return found

    def _draw(self, found: list[list[Detection]], path: Path) -> None:
        from handpose.draw import contact_sheet

        chosen = np.linspace(0, len(found) - 1, min(40, len(found))).astype(int)
        sheet = contact_sheet([draw_detections(self.images[i], found[i]) for i in chosen], columns=8)
        cv2.imwrite(str(path), sheet[..., ::-1])


def draw_detections(image: np.ndarray, detections: list[Detection]) -> np.ndarray:
    """Draw boxes on a picture (H, W, 3): left hands red, right ones blue, a green line up."""
    image = image.copy()
    for hand in detections:
        turn = plane_rotation(hand.roll_rad)
        corners = np.array([[-1, -1], [1, -1], [1, 1], [-1, 1]]) * hand.side_px / 2 @ turn.T + hand.centre_px
        top = turn @ (0, -hand.side_px / 2) + hand.centre_px
        cv2.polylines(image, [corners.astype(int)], True, (230, 60, 60) if hand.left > 0.5 else (60, 60, 230), 1)
        cv2.line(image, hand.centre_px.astype(int).tolist(), top.astype(int).tolist(), (60, 220, 60), 1)
    return image


def _matches(detection: Detection, hand: SceneHand) -> bool:
    return bool(np.linalg.norm(detection.centre_px - hand.centre_px) < 0.35 * hand.side_px)


def _doubtful(detection: Detection, doubt: np.ndarray) -> bool:
    column, row = np.clip(detection.centre_px / STRIDE, 0, len(doubt) - 1).astype(int)
    return bool(doubt[row, column])
