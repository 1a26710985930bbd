"""Drawn people: heads with hair, eyes and mouth, necks and shoulders, so that a face is not the first skin taken for a hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.occluders import skin_colour


class PeopledBackgrounds(Backgrounds):
    """Backgrounds with a person in front of some, as hands in pictures seldom come alone."""

    def __init__(self, folder: Path | None, share: float, heights: tuple[float, float]):
        """`share` of the backgrounds show one; `heights` of the head, least and most, in sides of the picture."""
        super().__init__(folder)
        self.share, self.heights = share, heights

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        picture = super().sample(rng, size)
        if rng.random() < self.share:
            height = size * np.exp(rng.uniform(*np.log(self.heights)))
            draw_person(picture, size * rng.uniform((0.1, 0.1), (0.9, 0.7)), height, rng)
        return picture


def draw_person(canvas: np.ndarray, centre: np.ndarray, height: float, rng: np.random.Generator) -> None:
    """Draw a head of `height` px around `centre` (x, y), with neck and shoulders, into a picture (S, S, 3) in place."""
    skin, cloth = skin_colour(rng), rng.uniform(0, 255, 3)
    hair = rng.uniform(0, 1) * np.array([120, 95, 70]) * rng.uniform(0.5, 1.5, 3)
    width = height * rng.uniform(0.62, 0.8)
    layer, cover = canvas.copy(), np.zeros(canvas.shape[:2], np.uint8)

    def oval(x: float, y: float, half_x: float, half_y: float, colour, start: float = 0, end: float = 360) -> None:
        place = (int(centre[0] + x * width), int(centre[1] + y * height))
        axes = (max(1, int(half_x * width)), max(1, int(half_y * height)))
        for target, value in ((layer, tuple(float(v) for v in colour)), (cover, 255)):
            cv2.ellipse(target, place, axes, 0, start, end, value, -1, cv2.LINE_AA)

    if rng.random() < 0.85:  # shoulders and a body that leaves the picture
        oval(0, 1.55, rng.uniform(1.2, 1.7), 0.85, cloth)
        low = (int(centre[0] - 1.4 * width), int(centre[1] + 1.5 * height))
        cv2.rectangle(layer, low, (int(centre[0] + 1.4 * width), canvas.shape[0]), tuple(float(v) for v in cloth), -1)
        cv2.rectangle(cover, low, (int(centre[0] + 1.4 * width), canvas.shape[0]), 255, -1)
    oval(0, 0.55, 0.26, 0.35, skin * 0.85)
    if rng.random() < 0.85:
        oval(0, -0.12, 0.56, rng.uniform(0.48, 0.75), hair)
    oval(0, 0.0, 0.5, 0.5, skin)
    if rng.random() < 0.8:
        oval(0, -0.22, 0.5, 0.3, hair, 180, 360)
    for side in (-1, 1):
        oval(side * 0.2, -0.07, 0.09, 0.035, np.full(3, 235.0))
        oval(side * 0.2, -0.07, 0.04, 0.035, hair * 0.4)
        oval(side * 0.2, -0.16, 0.12, 0.02, hair * 0.7)
        oval(side * 0.51, 0.0, 0.07, 0.12, skin * 0.9)
    oval(0, 0.09, 0.06, 0.1, skin * 0.9)
    oval(0, 0.25, rng.uniform(0.12, 0.22), rng.uniform(0.02, 0.06), skin * np.array([0.85, 0.5, 0.5]))
    if rng.random() < 0.25:
        oval(0, 0.36, 0.33, 0.17, hair * 0.9)
    size = canvas.shape[0]
    shade = cv2.resize(rng.normal(1, 0.13, (5, 5)).astype(np.float32), (size, size), interpolation=cv2.INTER_CUBIC)
    blur = max(0.4, height / 60)
    soft = cv2.GaussianBlur(cover, (0, 0), blur)[..., None].astype(np.float32) / 255
    drawn = cv2.GaussianBlur(layer, (0, 0), blur).astype(np.float32) * shade[..., None]
    np.copyto(canvas, np.clip(drawn * soft + canvas * (1 - soft), 0, 255).astype(np.uint8))
