"""Tracks as NumPy arrays (.npz): one entry per hand and frame, and per frame its time and image.

Written at the end, for a zip cannot grow row by row.
"""

from __future__ import annotations

import io
import json
import math
import sys
from pathlib import Path
from typing import Any

import numpy as np

from tracker.hand import SHAPES, rounded
from tracker.late_writer import LateWriter


class NpzWriter(LateWriter):
    """Gathers the hands of rows, each as one array, a twelfth of its row: an hour of two hands takes 0.3 GB, while it is written some 0.9.

    Raises OSError where the file cannot be written.
    """

    def __init__(self, path: Path, head: dict[str, Any]):
        super().__init__(path, head)
        self._frames: list[tuple[int, float, str]] = []
        # Of each hand the place of its frame, id, side, state, score, and all its numbers.
        self._hands: list[tuple[int, int, str, str, float, np.ndarray]] = []

    def write(self, row: dict[str, Any]) -> None:
        place = len(self._frames)
        time_s = math.nan if row["time_s"] is None else row["time_s"]
        # Before its hands: wherever a run is stopped, each hand has its frame.
        self._frames.append((row["frame"], time_s, row.get("image", "")))
        for hand in row["hands"]:
            numbers = np.concatenate([np.ravel(hand[name]) for name in SHAPES], dtype=np.float32, casting="same_kind")
            start = place, hand["id"], sys.intern(hand["side"]), sys.intern(hand["state"])
            self._hands.append((*start, hand["score"], numbers))

    def content(self) -> bytes:
        frames, times_s, images = _columns(self._frames, 3)
        frame, time_s, image = np.array(frames, int), np.array(times_s, float), np.array(images, str)
        place, number, side, state, score, numbers = _columns(self._hands, 6)
        at = np.array(place, int)
        file = io.BytesIO()
        np.savez_compressed(
            file, header=json.dumps(self._head), n_frames=len(self._frames), frame_time_s=time_s, frame_image=image,
            frame=frame[at], time_s=time_s[at], image=image[at], id=np.array(number, int), side=np.array(side, str),
            state=np.array(state, str), score=np.array(score, float), **_by_name(numbers),
        )  # fmt: skip
        return file.getvalue()


def _columns(rows: list[tuple], width: int) -> tuple[tuple, ...]:
    """Turn rows of `width` values into columns, also where there is no row."""
    return tuple(zip(*rows, strict=True)) or ((),) * width


def _by_name(numbers: tuple[np.ndarray, ...]) -> dict[str, Any]:
    """Split the numbers of N hands into arrays (N, ...) by name, rounded as in the rows that they came from."""
    sizes = [math.prod(shape) for shape in SHAPES.values()]
    parts = np.split(np.array(numbers, np.float32).reshape(-1, sum(sizes)), np.cumsum(sizes)[:-1], axis=1)
    return {
        name: rounded(name, part.astype(float)).reshape(-1, *shape)
        for (name, shape), part in zip(SHAPES.items(), parts, strict=True)
    }
