"""What is behind the hand: photographs without people, environment maps, and invented rooms that need no data at all.

The folder is `backgrounds/` of the shared data: HANDPOSE_SHARED_DATA, or ../shared/data beside the repository. Photographs whose
number ends in 0 are reserved for measuring false hands and are never read here.
"""

from __future__ import annotations

import os
from pathlib import Path

import cv2
import numpy as np

from handpose.errors import HandposeError

_ENVIRONMENT = "HANDPOSE_SHARED_DATA"
_INVENTED_SHARE, _HDRI_SHARE = 0.25, 0.08
# The photographs of `clothing/` that show a hand all the same, holding what is for sale.
SHOW_HANDS = frozenset(("0212", "0215", "0336", "0712", "0736", "0747", "0758", "0775", "0822", "1159", "1213", "1217"))


def shared_data() -> Path | None:
    """Find the folder of shared data, or None. Raises HandposeError where HANDPOSE_SHARED_DATA names no folder."""
    named = os.environ.get(_ENVIRONMENT)
    if named:
        if not Path(named).is_dir():
            raise HandposeError(f"{_ENVIRONMENT}={named}: no such folder; unset it to go without")
        return Path(named)
    beside = Path(__file__).resolve().parents[3] / "shared" / "data"
    return beside if beside.is_dir() else None


def shared_backgrounds() -> Path | None:
    """Find the folder of backgrounds in the shared data, or None. Raises HandposeError as `shared_data` does."""
    data = shared_data()
    return data / "backgrounds" if data else None


class Backgrounds:
    """Draws square pictures to put behind hands; photographs are read once, at half size, when first needed."""

    def __init__(self, folder: Path | None = None):
        """`folder` holds `clothing/` and `hdri/`; None, or a folder without them, leaves the invented ones."""
        self.photos = _training_photos(folder) if folder else []
        self.maps = sorted((folder / "hdri").glob("*.hdr")) if folder else []
        self._read: dict[Path, np.ndarray] = {}

    def sample(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw a background, (size, size, 3) uint8 RGB."""
        chance = rng.random()
        if self.maps and chance < _HDRI_SHARE:
            picture = self._picture(self.maps[rng.integers(len(self.maps))], _tone_mapped)
            return _window(rng, picture[picture.shape[0] // 5 : -picture.shape[0] // 5], size, (90, 300))
        if self.photos and chance < 1 - _INVENTED_SHARE:
            return self.photo(rng, size)
        return invented(rng, size)

    def photo(self, rng: np.random.Generator, size: int) -> np.ndarray:
        """Draw a part of a photograph, or an invented one where there are none, (size, size, 3) uint8 RGB."""
        if not self.photos:
            return invented(rng, size)
        picture = self._picture(self.photos[rng.integers(len(self.photos))], _half_size)
        return _window(rng, picture, size, (60, 256))

    def _picture(self, path: Path, reader) -> np.ndarray:
        if path not in self._read:
            self._read[path] = reader(path)
        return self._read[path]


def without_hands(folder: Path, endings: str) -> list[Path]:
    """Give the .jpg photographs of a folder as `clothing/` whose number ends in one of the digits `endings` and that show no hand.

    Raises HandposeError where there are none.
    """
    photos = sorted(folder.glob("*.jpg"))
    found = [path for path in photos if path.stem[-1] in endings and path.stem not in SHOW_HANDS]
    if not found:
        raise HandposeError(f"{folder}: no .jpg pictures in it whose number ends in one of {endings}")
    return found


def _training_photos(folder: Path) -> list[Path]:
    photos = sorted((folder / "clothing").glob("*.jpg"))
    photos = [path for path in photos if not path.stem.endswith("0")]
    # The one before stands in for a photograph with a hand: fewer of them would give every rendered hand another background.
    return [photos[i - 1] if path.stem in SHOW_HANDS else path for i, path in enumerate(photos)]


def _half_size(path: Path) -> np.ndarray:
    picture = cv2.imread(str(path), cv2.IMREAD_REDUCED_COLOR_2)
    if picture is None:
        raise HandposeError(f"{path}: not a readable picture; remove it or download it again")
    return np.ascontiguousarray(picture[..., ::-1])


def _tone_mapped(path: Path) -> np.ndarray:
    radiance = cv2.imread(str(path), cv2.IMREAD_ANYDEPTH | cv2.IMREAD_COLOR)
    if radiance is None:
        raise HandposeError(f"{path}: not a readable environment map; remove it or download it again")
    exposed = radiance[..., ::-1] * (0.35 / np.median(radiance))
    return (255 * (exposed / (1 + exposed)) ** (1 / 2.2)).astype(np.uint8)


def _window(rng, picture: np.ndarray, size: int, sides: tuple[int, int]) -> np.ndarray:
    """Cut out a square of chance place and size, mirrored or turned now and then."""
    height, width = picture.shape[:2]
    side = min(int(rng.uniform(*sides)), height, width)
    top, left = rng.integers(height - side + 1), rng.integers(width - side + 1)
    part = picture[top : top + side, left : left + side]
    turn = rng.integers(8)
    if turn < 4:
        part = part[:, ::-1]
    if turn % 4 == 1:
        part = np.rot90(part, rng.integers(1, 4))
    method = cv2.INTER_AREA if side > size else cv2.INTER_LINEAR
    return cv2.resize(np.ascontiguousarray(part), (size, size), interpolation=method)


def invented(rng: np.random.Generator, size: int) -> np.ndarray:
    """Invent a background of gradients, soft noise and clutter, (size, size, 3) uint8."""
    picture = _gradient(rng, size)
    for _ in range(rng.integers(0, 4)):
        texture(rng, picture)
    for _ in range(rng.integers(0, 14) if rng.random() < 0.7 else 0):
        _clutter(rng, picture)
    return picture


def colour(rng: np.random.Generator) -> tuple[int, int, int]:
    """Draw a colour as rooms have them: mostly greyish, at times strong."""
    grey = rng.uniform(10, 250)
    strength = rng.exponential(22) if rng.random() < 0.8 else rng.uniform(40, 120)
    r, g, b = np.clip(grey + rng.normal(0, strength, 3), 0, 255)
    return int(r), int(g), int(b)


def texture(rng: np.random.Generator, picture: np.ndarray) -> None:
    """Lay soft noise, coarse or fine, over a picture in place."""
    size = picture.shape[0]
    cells = int(np.exp(rng.uniform(np.log(2), np.log(64))))
    noise = rng.normal(0, 1, (cells, cells, 3 if rng.random() < 0.12 else 1)).astype(np.float32)
    if noise.shape[2] == 1:
        noise = np.repeat(noise, 3, axis=2)
    noise = cv2.resize(noise, (size, size), interpolation=cv2.INTER_CUBIC) * np.float32(rng.exponential(14))
    np.copyto(picture, np.clip(picture + noise, 0, 255).astype(np.uint8))


def _gradient(rng, size: int) -> np.ndarray:
    """Two to four colours run into one another."""
    corners = np.array([colour(rng) for _ in range(4)], np.float32).reshape(2, 2, 3)
    if rng.random() < 0.5:
        corners = corners.mean((0, 1)) + 0.25 * (corners - corners.mean((0, 1)))
    return np.clip(cv2.resize(corners, (size, size), interpolation=cv2.INTER_LINEAR), 0, 255).astype(np.uint8)


def _clutter(rng, picture: np.ndarray) -> None:
    """Draw one thing with hard edges: a line, a slab, a disc, a polygon or a row of bars."""
    size = picture.shape[0]
    kind, tint = rng.choice(5, p=(0.28, 0.26, 0.18, 0.23, 0.05)), colour(rng)
    points = (rng.uniform(-0.2, 1.2, (5, 2)) * size).astype(np.int32)
    a, b = (int(v) for v in points[0]), (int(v) for v in points[1])
    start, end = tuple(a), tuple(b)
    if kind == 0:
        cv2.line(picture, start, end, tint, int(rng.integers(1, max(size // 6, 2))), cv2.LINE_AA)
    elif kind == 1:
        cv2.rectangle(picture, start, end, tint, -1)
    elif kind == 2:
        cv2.circle(picture, start, int(rng.uniform(0.02, 0.3) * size), tint, -1, cv2.LINE_AA)
    elif kind == 3:
        cv2.fillPoly(picture, [points[: rng.integers(3, 6)]], tint, cv2.LINE_AA)
    else:
        step, width = int(rng.integers(4, max(size // 5, 6))), int(rng.integers(1, max(size // 16, 2)))
        for x in range(start[0] % step, size, step):
            cv2.line(picture, (x, 0), (x + end[1] // 4, size), tint, width, cv2.LINE_AA)
