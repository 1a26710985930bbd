"""Training scenes of the detector: photographs shrunk, enlarged and turned, hands cut out and pasted, and scenes without any hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handpose.data import photos
from handpose.synthesis import LIBHAND, RENDER
from handpose.synthesis.backgrounds import shared_backgrounds
from handpose.synthesis.people import PeopledBackgrounds
from handpose.training.stream import lane_of
from regnet.augment import random_look
from tracker.detector_paste import Scene, clutter, cover, paste
from tracker.detector_pictures import PhotoPictures
from tracker.detector_targets import STRIDE, Picture, scene_targets

MADE = (RENDER, LIBHAND)  # the sources that are no folders
_SMALLEST = 0.05  # side of a hand that is sought, in sides of the scene
_COMPLETE_SHARE = 0.3  # of the photographs of a set that has some, those whose hands are all labelled
_PEOPLE_SHARE, _HEADS = 0.35, (0.07, 0.52)  # of the scenes, and heights of the heads, in sides of the scene
_COVERED_SHARE = 0.3  # of the scenes, those where a thing passes before a hand
_PHOTO_SHARE, _PASTED_SHARE = 0.5, 0.33  # the rest shows no hand


@dataclass(frozen=True)
class SceneConfig:
    """What scenes are made of: folders of photo sets, "render" or "libhand", with their shares in the same order."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    batch_size: int = 16
    size: int = 192
    seed: int = 0
    split: photos.Split = "train"


class SceneMaker:
    """Makes batches of scenes; a batch depends on (seed, step) alone."""

    def __init__(self, config: SceneConfig):
        from handpose.synthesis.libhand import hand_of
        from tracker.detector_renders import RenderedPictures

        self.config = config
        self.backgrounds = PeopledBackgrounds(shared_backgrounds(), _PEOPLE_SHARE, _HEADS)
        self.pictures = {
            source: PhotoPictures(Path(source), config.split) for source in config.sources if source not in MADE
        }
        made = [source for source in MADE if source in config.sources]
        self.renders = {source: RenderedPictures(config.seed, hand_of(source)) for source in made}

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make batch number `step`: "image" (N, S, S, 3) uint8 and the targets of `tracker.detector_loss`."""
        rng = np.random.default_rng((self.config.seed, step))
        lane, turn = lane_of(step)
        first = turn * self.config.batch_size
        scenes = [self.scene(lane, first + i, rng) for i in range(self.config.batch_size)]
        return {key: np.stack([scene[key] for scene in scenes]) for key in scenes[0]}

    def scene(self, lane: int, number: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        """Make scene `number` of a lane and its targets."""
        size = self.config.size
        scene = self._with_hands(Scene.empty(self.backgrounds.sample(rng, size)), lane, number, rng)
        if rng.random() < _COVERED_SHARE:
            scene = cover(scene, self.backgrounds, rng)
        for _ in range(rng.integers(0, 4) if rng.random() < 0.5 else 0):
            scene = clutter(scene, rng)
        if rng.random() < 0.5:
            scene = scene.mirrored()
        scene = scene.without([hand for hand in scene.hands if hand.side_px < _SMALLEST * size])
        cells = cv2.resize(scene.known, (size // STRIDE,) * 2, interpolation=cv2.INTER_AREA)
        return {
            "image": random_look(np.ascontiguousarray(scene.canvas), rng),
            **scene_targets(scene.hands, size),
            "known": (cells[..., None] > 200).astype(np.float32),
        }

    def _with_hands(self, scene: Scene, lane: int, number: int, rng: np.random.Generator) -> Scene:
        """Lay one picture over a scene, or one to three hands that are cut out, or none."""
        chance = rng.random()
        if chance < _PHOTO_SHARE:
            picture = self._draw(lane, number, rng)
            if picture.is_cut_out and rng.random() < 0.3:  # with its own ground, as a picture on the wall
                whole = np.dstack([picture.image[..., :3], np.full(picture.image.shape[:2], 255, np.uint8)])
                picture = Picture(whole, picture.hands, picture.known, False)
            frame = not picture.is_cut_out and rng.random() < 0.6
            if frame and rng.random() < 0.5:
                scene = Scene.empty(np.zeros_like(scene.canvas))  # the bars of a letterbox
            return paste(scene, picture, rng, frame=frame)
        if chance < _PHOTO_SHARE + _PASTED_SHARE:
            for _ in range(rng.integers(1, 4)):
                scene = paste(scene, self._draw(lane, number, rng, cut_out=True), rng, largest=0.5)
        return scene

    def _draw(self, lane: int, number: int, rng: np.random.Generator, cut_out: bool = False) -> Picture:
        shares = np.asarray(self.config.mix) / sum(self.config.mix)
        source = self.config.sources[rng.choice(len(shares), p=shares)]
        if source in self.renders:
            return self.renders[source].picture(lane, number, rng)
        photographs = self.pictures[source]
        alone = photographs.cut_out(rng) if cut_out else None
        if alone:
            return alone
        # Where a picture is complete, the faces are known to be no hands.
        complete = photographs.complete and rng.random() < _COMPLETE_SHARE
        pictures = photographs.complete if complete else photographs.whole
        return pictures[rng.integers(len(pictures))]
