"""Photographs as training crops: wide windows cut once and kept in memory, placed and altered anew for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.crop import CROP_SIZE, MARGIN, Crop
from handpose.data import photos
from handpose.data.cutout import hand_alpha
from handpose.data.photos import LabelledHand, Photo, Split
from handpose.heatmap import cells_from_px
from handpose.synthesis.backgrounds import Backgrounds
from regnet.augment import cut_out, random_look, random_placement
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item

WINDOW = 192  # px, at the same scale as the network's 128 px crop


@dataclass(frozen=True, eq=False)
class Window:
    """A left hand (a right one is mirrored) in a wide window: image (192, 192, 4), and its alpha."""

    image: np.ndarray
    joints_px: np.ndarray
    valid: np.ndarray
    has_side: bool


class PhotoCrops:
    """Labelled hands of photo sets, and pieces of pictures that surely show none, as training items.

    Raises HandposeError where a set cannot be read.
    """

    def __init__(self, folders: Sequence[Path], split: Split | None, backgrounds: Backgrounds, size: int = CROP_SIZE):
        self.size = size
        self.backgrounds = backgrounds
        self.windows: list[Window] = []
        self.without_hand: list[np.ndarray] = []
        for folder in folders:
            for photo in photos.read(folder, split).photos:
                if not photo.hands:
                    continue
                image = photo.read()
                alpha = hand_alpha(image, folder.name)
                self.windows += [_window(image, hand, alpha) for hand in photo.hands]
                if photo.complete:
                    self.without_hand += _pieces_without_hand(image, photo)

    def item(self, rng: np.random.Generator) -> Item:
        """Draw one training item: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        if rng.random() < 0.08:
            return self._empty(rng)
        window = self.windows[rng.integers(len(self.windows))]
        placement = random_placement(rng, WINDOW, self.size)
        cut = placement.warp(window.image, self.size)
        image, alpha = cut[..., :3], cut[..., 3:].astype(np.float32) / 255
        if rng.random() < 0.8:
            ground = self.backgrounds.sample(rng, self.size)
            image = (image * alpha + ground * (1 - alpha)).astype(np.uint8)
        if rng.random() < 0.3:
            image = cut_out(image, rng, self.backgrounds.sample(rng, self.size))
        return training_item(
            random_look(image, rng), cells_from_px(placement.points(window.joints_px), self.size),
            left=rng.random() > RIGHT_SHARE, valid=window.valid, has_side=window.has_side,
        )  # fmt: skip

    def _empty(self, rng: np.random.Generator) -> Item:
        image = self.backgrounds.sample(rng, self.size)
        if self.without_hand and rng.random() < 0.6:
            image = self.without_hand[rng.integers(len(self.without_hand))]
            image = random_placement(rng, image.shape[0], self.size).warp(image, self.size, cv2.BORDER_REFLECT_101)
        return empty_item(random_look(image, rng))


def _window(image: np.ndarray, hand: LabelledHand, alpha: np.ndarray | None) -> Window:
    camera = Camera.from_fov((image.shape[1], image.shape[0]))
    joints = np.where(hand.valid[:, None], hand.joints_px, hand.joints_px[hand.valid].mean(0))
    crop = Crop.from_joints(camera, joints, WINDOW, MARGIN * WINDOW / CROP_SIZE)
    kept = np.full(image.shape[:2], 255, np.uint8) if alpha is None else alpha
    cut = np.dstack([crop.warp(image), crop.warp(np.repeat(kept[..., None], 3, -1))[..., :1]])
    joints_px = crop.to_crop(joints)
    if hand.side == "right":
        cut, joints_px = cut[:, ::-1], joints_px * (-1, 1) + (WINDOW - 1, 0)
    return Window(np.ascontiguousarray(cut), joints_px, hand.valid, hand.side is not None)


def _pieces_without_hand(image: np.ndarray, photo: Photo) -> list[np.ndarray]:
    """Cut squares (128, 128, 3) that touch no labelled hand out of a picture whose hands are all labelled: faces, clothes, arms."""
    boxes = [(hand.joints_px.min(0) - 15, hand.joints_px.max(0) + 15) for hand in photo.hands]
    height, width = image.shape[:2]
    pieces = []
    for side in (height // 3, height // 2):
        for y in range(0, height - side + 1, side // 2):
            for x in range(0, width - side + 1, side // 2):
                if all(x + side < low[0] or y + side < low[1] or x > high[0] or y > high[1] for low, high in boxes):
                    piece = image[y : y + side, x : x + side]
                    pieces.append(cv2.resize(piece, (128, 128), interpolation=cv2.INTER_AREA))
    return pieces
