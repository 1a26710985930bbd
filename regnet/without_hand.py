"""Pictures that look like hands and show none (`tools/mine_false_hands.py`), as training items: they teach presence what a hand is not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handpose.errors import HandposeError
from regnet.augment import random_look, random_placement
from regnet.items import Item, empty_item


class WithoutHand:
    """The .jpg pictures of a folder, square windows half as wide again as the crop. Raises HandposeError where they cannot be read."""

    def __init__(self, folder: Path, size: int):
        self.size = size
        paths = sorted(folder.glob("*.jpg"))
        if not paths:
            raise HandposeError(f"{folder}: no folder of .jpg pictures without hands")
        self.coded = [np.frombuffer(path.read_bytes(), np.uint8) for path in paths]
        for path, coded in zip(paths, self.coded, strict=True):
            if cv2.imdecode(coded, cv2.IMREAD_REDUCED_COLOR_8) is None:
                raise HandposeError(f"{path}: not a readable picture")

    def item(self, rng: np.random.Generator) -> Item:
        """Draw one training item, placed and altered as hands are."""
        window = np.asarray(cv2.imdecode(self.coded[rng.integers(len(self.coded))], cv2.IMREAD_COLOR))[..., ::-1]
        if rng.random() < 0.5:
            window = window[:, ::-1]
        placed = random_placement(rng, window.shape[0], self.size).warp(window, self.size, cv2.BORDER_REFLECT_101)
        return empty_item(random_look(np.ascontiguousarray(placed), rng))
