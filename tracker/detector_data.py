"""Training scenes of the detector: photographs shrunk, enlarged and turned, hands cut out and pasted, and scenes without any hand."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handpose.data import photos
from handpose.data.cutout import hand_alpha
from handpose.shrink import halved
from handpose.synthesis import LIBHAND, RENDER
from handpose.synthesis.backgrounds import Backgrounds, shared_data
from handpose.training.stream import lane_of
from regnet.augment import random_look
from tracker.detector_targets import STRIDE, Picture, SceneHand, scene_hand, scene_targets
from tracker.people import draw_person, skin_colour

MADE = (RENDER, LIBHAND)  # the sources that are no folders
_SMALLEST, _LARGEST = 0.05, 0.85  # side of a hand that counts or is sought, in sides of the scene
_COMPLETE_SHARE = 0.3  # of the photographs of a set that has some, those whose hands are all labelled
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
        data = shared_data()
        self.backgrounds = Backgrounds(data / "backgrounds" if data else None)
        self.pictures = {
            source: _pictures(Path(source), config.split) for source in config.sources if source not in MADE
        }
        self.cut_outs = [p for pictures in self.pictures.values() for p in pictures if p.is_cut_out]
        self.complete = {
            source: [p for p in pictures if len(p.hands) > 1] for source, pictures in self.pictures.items()
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
        canvas = self.backgrounds.sample(rng, size)
        known = np.full((size, size), 255, np.uint8)
        hands: list[SceneHand] = []
        if rng.random() < 0.35:
            draw_person(
                canvas, rng.uniform((0.1 * size, 0.1 * size), (0.9 * size, 0.7 * size)), _some(rng, 14, 100), rng
            )
        chance = rng.random()
        if chance < _PHOTO_SHARE:
            picture = self._draw(lane, number, rng)
            if picture.is_cut_out and rng.random() < 0.3:  # with its own ground, as a picture on the wall
                whole = np.dstack([picture.image[..., :3], np.full(picture.image.shape[:2], 255, np.uint8)])
                picture = Picture(whole, picture.hands, picture.known, False)
            frame = not picture.is_cut_out and rng.random() < 0.6
            if frame and rng.random() < 0.5:
                canvas = np.zeros_like(canvas)  # the bars of a letterbox
            canvas, known, hands = paste(canvas, known, hands, picture, rng, frame=frame)
        elif chance < _PHOTO_SHARE + _PASTED_SHARE:
            for _ in range(rng.integers(1, 4)):
                picture = self._draw(lane, number, rng, cut_out=True)
                canvas, known, hands = paste(canvas, known, hands, picture, rng, largest=0.5)
        for _ in range(rng.integers(0, 4) if rng.random() < 0.5 else 0):
            canvas = _clutter(canvas, hands, rng)
        if rng.random() < 0.5:
            canvas, known = canvas[:, ::-1], known[:, ::-1]
            hands = [_mirrored(hand, size) for hand in hands]
        sought = [hand for hand in hands if hand.side_px >= _SMALLEST * size]
        known = _doubt(known, [hand for hand in hands if hand not in sought])
        cells = cv2.resize(known, (size // STRIDE,) * 2, interpolation=cv2.INTER_AREA)
        return {
            "image": random_look(np.ascontiguousarray(canvas), rng),
            **scene_targets(sought, size),
            "known": (cells[..., None] > 200).astype(np.float32),
        }

    def _draw(self, lane: int, number: int, rng: np.random.Generator, cut_out: bool = False) -> Picture:
        shares = np.asarray(self.config.mix) / sum(self.config.mix)
        source = self.config.sources[rng.choice(len(shares), p=shares)]
        if source in self.renders:
            return self.renders[source].picture(lane, number, rng)
        pictures = self.cut_outs if cut_out and self.cut_outs else self.pictures[source]
        complete = [] if cut_out else self.complete[source]
        if complete and rng.random() < _COMPLETE_SHARE:  # there the faces are known to be no hands
            pictures = complete
        return pictures[rng.integers(len(pictures))]


def paste(
    canvas, known, hands, picture: Picture, rng: np.random.Generator, largest: float = _LARGEST, frame: bool = False
):
    """Lay a picture at a random place, size and turn over a scene; return the new canvas, known map and hands.

    A hand that is cut off or mostly covered is neither sought nor background: its place becomes unknown.
    """
    size = canvas.shape[0]
    scale, turn, matrix = _whole_frame(picture, size, rng) if frame else _anywhere(picture, size, largest, rng)
    linear = matrix[:, :2]
    image, small_from_image = halved(picture.image, 1 / scale)
    inner = np.vstack([matrix, (0, 0, 1)]) @ np.linalg.inv(small_from_image)
    moved = cv2.warpAffine(image, inner[:2], (size, size), flags=cv2.INTER_LINEAR)
    alpha = moved[..., 3:].astype(np.float32) / 255
    canvas = (moved[..., :3] * alpha + canvas * (1 - alpha)).astype(np.uint8)
    doubt = cv2.warpAffine(255 - picture.known, matrix, (size, size), flags=cv2.INTER_LINEAR)
    known = np.minimum(known, 255 - doubt)
    here = [
        SceneHand(linear @ hand.centre_px + matrix[:, 2], scale * hand.side_px, hand.roll_rad + turn, hand.left)
        for hand in picture.hands
    ]
    whole = [
        hand
        for hand in here
        if ((hand.centre_px > -0.1 * hand.side_px) & (hand.centre_px < size + 0.1 * hand.side_px)).all()
    ]
    in_sight = [hand for hand in hands if alpha[_cell(hand.centre_px, size)] < 0.5]
    lost = [hand for hand in here + hands if hand not in whole + in_sight]
    return canvas, _doubt(known, lost), in_sight + whole


def _doubt(known: np.ndarray, hands: list[SceneHand]) -> np.ndarray:
    """Mark the places of hands as unknown."""
    known = np.ascontiguousarray(known)
    for hand in hands:
        cv2.circle(known, np.round(hand.centre_px).astype(int).tolist(), round(0.5 * hand.side_px) + 1, 0, -1)
    return known


def _anywhere(picture: Picture, size: int, largest: float, rng: np.random.Generator):
    """Scale, turn and matrix (2, 3) that put one of the picture's hands anywhere, at any size."""
    target = picture.hands[rng.integers(len(picture.hands))]
    side = size * np.exp(rng.uniform(np.log(0.07), np.log(largest)))
    scale = min(side / target.side_px, 2.5)  # no more enlarged than that: real cameras are sharper
    side = scale * target.side_px
    turn = rng.uniform(-np.pi, np.pi) if rng.random() < 0.15 else np.clip(rng.normal(0, 0.35), -1.0, 1.0)
    linear = scale * _rotation(turn)
    place = rng.uniform(min(0.35 * side, size / 2), max(size - 0.35 * side, size / 2), 2)
    return scale, turn, np.column_stack([linear, place - linear @ target.centre_px])


def _whole_frame(picture: Picture, size: int, rng: np.random.Generator):
    """Scale, turn and matrix (2, 3) that show the picture much as a camera would."""
    extent = np.array(picture.image.shape[1::-1])
    scale = size / extent.max() * np.exp(rng.uniform(-0.05, 0.45))
    turn = np.clip(rng.normal(0, 0.12), -0.4, 0.4)
    linear = scale * _rotation(turn)
    middle = size / 2 + rng.normal(0, 0.08 * size, 2)
    return scale, turn, np.column_stack([linear, middle - linear @ (extent / 2)])


def _rotation(angle_rad: float) -> np.ndarray:
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.array([[c, -s], [s, c]])


def _cell(centre_px: np.ndarray, size: int) -> tuple[int, int]:
    x, y = np.clip(np.round(centre_px), 0, size - 1).astype(int)
    return int(y), int(x)


def _mirrored(hand: SceneHand, size: int) -> SceneHand:
    centre = np.array([size - 1 - hand.centre_px[0], hand.centre_px[1]])
    return SceneHand(centre, hand.side_px, -hand.roll_rad, None if hand.left is None else not hand.left)


def _some(rng: np.random.Generator, low: float, high: float) -> float:
    """Draw a size so that every doubling is equally likely."""
    return float(np.exp(rng.uniform(np.log(low), np.log(high))))


def _clutter(canvas: np.ndarray, hands: list[SceneHand], rng: np.random.Generator) -> np.ndarray:
    """Draw a skin-coloured blob, a face's or an arm's, where it covers no hand's centre."""
    size = canvas.shape[0]
    centre, half = rng.uniform(0, size, 2), np.array([_some(rng, 4, size / 4) for _ in range(2)])
    if any(np.linalg.norm(hand.centre_px - centre) < half.max() + 0.5 * hand.side_px for hand in hands):
        return canvas
    skin = skin_colour(rng)
    blob = np.zeros((size, size), np.float32)
    cv2.ellipse(blob, centre.astype(int).tolist(), half.astype(int).tolist(), rng.uniform(0, 180), 0, 360, 1.0, -1)
    soft = cv2.GaussianBlur(blob, (0, 0), rng.uniform(0.5, 3))[..., None]
    shade = cv2.resize(rng.normal(0, 14, (6, 6)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    return np.clip(canvas * (1 - soft) + (skin + shade[..., None]) * soft, 0, 255).astype(np.uint8)


def _pictures(folder: Path, split: photos.Split) -> list[Picture]:
    made = []
    for photo in photos.read(folder, split).photos:
        if not photo.hands:
            continue  # nothing found is not nothing there
        image = photo.read()
        alpha = hand_alpha(image, folder.name)
        size_px = (image.shape[1], image.shape[0])
        hands = [
            scene_hand(hand.joints_px, size_px, None if hand.side is None else hand.side == "left")
            for hand in photo.hands
            if hand.valid.all()
        ]
        known = np.full(image.shape[:2], 255, np.uint8)
        if alpha is None and not photo.complete:
            known = _surely_no_hand(image, hands)
        kept = np.full(image.shape[:2], 255, np.uint8) if alpha is None else alpha
        if hands and not _doubled(hands):
            made.append(Picture(np.dstack([image, kept]), hands, known, alpha is not None))
    return made


def _doubled(hands: list[SceneHand]) -> bool:
    """Whether two labels sit on one hand, which pseudo-labels do now and then."""
    a = hands[0]
    return any(np.linalg.norm(a.centre_px - b.centre_px) < 0.5 * max(a.side_px, b.side_px) for b in hands[1:])


def _surely_no_hand(image: np.ndarray, hands: list[SceneHand]) -> np.ndarray:
    """Mask (H, W): 0 on skin colours away from the labelled hands, where a hand without a label may be."""
    luma, red, blue = np.moveaxis(cv2.cvtColor(image, cv2.COLOR_RGB2YCrCb).astype(np.int16), -1, 0)
    skin = ((red > 135) & (red < 180) & (blue > 85) & (blue < 130) & (luma > 40)).astype(np.uint8) * 255
    skin = cv2.dilate(cv2.morphologyEx(skin, cv2.MORPH_OPEN, np.ones((5, 5), np.uint8)), np.ones((9, 9), np.uint8))
    for hand in hands:
        cv2.circle(skin, hand.centre_px.astype(int).tolist(), int(0.75 * hand.side_px), 0, -1)
    return 255 - skin
