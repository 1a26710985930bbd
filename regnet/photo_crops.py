"""Labelled hands as training items: their wide windows (`regnet.dataset_crops`) are placed and altered anew for every batch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

from handpose.crop import CROP_SIZE
from handpose.data.photos import Photo, PhotoSet, Split
from handpose.errors import HandposeError
from handpose.heatmap import cells_from_px
from handpose.synthesis.backgrounds import Backgrounds
from regnet.augment import cut_out, random_look, random_placement, random_spread
from regnet.dataset_crops import KEPT, WINDOW, Window, placed_joints, windows_of
from regnet.items import RIGHT_SHARE, Item, empty_item, training_item
from regnet.labelled import open_split

_EMPTY_SHARE = 0.05
_NEW_GROUND_SHARE = 0.7  # of the hands that are cut out
_TRIES = 1000  # draws in search of a hand, where some samples have nothing labelled


class PhotoCrops:
    """Labelled hands of datasets, and pieces of their pictures that surely show none, as training items.

    A small set is kept in memory, of a large one each hand is read when it is drawn. Raises HandposeError where a set cannot be read,
    or has no labelled hand on that side of its split.
    """

    def __init__(
        self,
        folders: Sequence[Path],
        split: Split | None,
        backgrounds: Backgrounds,
        size: int = CROP_SIZE,
        read: Sequence[str] = (),
    ):
        self.size = size
        self.backgrounds = backgrounds
        self.sets: list[Sequence[Window | None]] = []
        self.without_hand: list[np.ndarray] = []
        for folder in folders:
            opened = open_split(folder, split, read)
            self.sets.append(windows_of(opened))
            if isinstance(opened.samples, PhotoSet) and len(opened.samples) <= KEPT:
                for photo in opened.samples.photos:
                    self.without_hand += _pieces_without_hand(photo) if photo.complete else []
        self.n_hands = sum(map(len, self.sets))
        if not self.n_hands:
            raise HandposeError(f"{', '.join(map(str, folders))}: no labelled hand to train on")

    def item(self, rng: np.random.Generator) -> Item:
        """Draw one training item: image (S, S, 3) uint8 and the targets of `regnet.losses`."""
        if rng.random() < _EMPTY_SHARE:
            return self._empty(rng)
        window = self._drawn(rng)
        # Squeezed pictures tell a wrong shape, which 2D labels follow and 3D ones do not.
        squeeze = {} if window.joints_rel is None else {"squeeze": 0.0}
        placement = random_placement(rng, WINDOW, self.size, **squeeze, spread=random_spread(rng))
        cut = placement.warp(window.cut_out, self.size)
        image, alpha = cut[..., :3], cut[..., 3:].astype(np.float32) / 255
        if rng.random() < _NEW_GROUND_SHARE or window.on_green:
            ground = self.backgrounds.sample(rng, self.size)
            image = (image * alpha + ground * (1 - alpha)).astype(np.uint8)
        if rng.random() < 0.3:
            image = cut_out(image, rng, self.backgrounds.sample(rng, self.size))
        silhouette = None if window.silhouette is None else placement.warp(window.silhouette, self.size)
        return training_item(
            random_look(image, rng), cells_from_px(placement.points(window.joints_px), self.size),
            left=rng.random() > RIGHT_SHARE, valid=window.valid, has_side=window.has_side,
            joints_rel=placed_joints(window, placement), silhouette=silhouette, squeezed=placement.squeezed,
        )  # fmt: skip

    def _drawn(self, rng: np.random.Generator) -> Window:
        for _ in range(_TRIES):
            index = int(rng.integers(self.n_hands))
            for windows in self.sets:
                if index < len(windows):
                    window = windows[index]
                    break
                index -= len(windows)
            if window is not None:
                return window
        raise HandposeError(f"none of {_TRIES} samples drawn has a labelled joint or a mask")

    def _empty(self, rng: np.random.Generator) -> Item:
        image = self.backgrounds.sample(rng, self.size)
        if self.without_hand and rng.random() < 0.6:
            image = self.without_hand[rng.integers(len(self.without_hand))]
            image = random_placement(rng, image.shape[0], self.size).warp(image, self.size, cv2.BORDER_REFLECT_101)
        return empty_item(random_look(image, rng))


def _pieces_without_hand(photo: Photo) -> list[np.ndarray]:
    """Cut squares (128, 128, 3) that touch no labelled hand out of a picture whose hands are all labelled: faces, clothes, arms."""
    image = photo.read()
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
