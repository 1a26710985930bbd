"""Reader of photo sets: a folder with `images/` and `pseudo_labels.json` (file -> hands) or `annotations.json` (items).

`pseudo_labels.json` names per hand side, joints_px (21, 2) and more; `annotations.json` gives joints (21, 3) as u, v, valid.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np

from handpose.data.broken import Broken
from handpose.data.files import named, read_json
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.images import read_image
from handpose.skeleton import N_JOINTS, Side

Split = Literal["train", "held_out"]

# Photographs of people who never train a network: checkpoints and thresholds are chosen on them. By set, what their file names hold, or
# the camera's running numbers, in which each person shows the digits from 0 to 9.
_HELD_OUT_NAMES = {"hands_dguzk": ("5-", "IMG2022", "S__")}
_HELD_OUT_NUMBERS = {"sign_digits": (range(4506, 4594), range(5507, 5592))}


@dataclass(frozen=True, eq=False)
class LabelledHand:
    """joints_px (21, 2), valid (21,) bool and the person's own side, where it is known."""

    joints_px: np.ndarray
    valid: np.ndarray
    side: Side | None


@dataclass(frozen=True, eq=False)
class Photo:
    """A picture file and the hands labelled in it; an empty list means that nothing is known, not that there is no hand."""

    path: Path
    hands: tuple[LabelledHand, ...]

    @property
    def complete(self) -> bool:
        """Whether every hand of the picture is labelled: a left and a right one are one person's. Two of one side are labels of one hand,
        or of a few among several people's.
        """
        return sorted(str(hand.side) for hand in self.hands) == ["left", "right"]

    def read(self) -> np.ndarray:
        """Read the picture, (H, W, 3) RGB uint8."""
        return read_image(self.path)


class PhotoSet:
    """A labelled photo set: `photos`, and one Sample per labelled hand by index."""

    def __init__(self, name: str, photos: list[Photo]):
        self.name, self.photos = name, photos
        self._hands = [(photo, hand) for photo in photos for hand in photo.hands]

    def __len__(self) -> int:
        return len(self._hands)

    def __getitem__(self, index: int) -> Sample:
        photo, hand = self._hands[index]
        return Sample(photo.path.name, partial(read_image, photo.path), hand.joints_px, hand.valid, side=hand.side)


def recognises(path: Path) -> bool:
    """Say whether a folder is a photo set."""
    return (path / "images").is_dir() and any((path / name).is_file() for name in _READERS)


def read(path: Path, split: Split | None = None) -> PhotoSet:
    """Read a photo set, whole or one side of the split by person.

    Raises HandposeError naming the file where labels are broken or a labelled picture is missing.
    """
    path = named(Path(path))
    for file_name, reader in _READERS.items():
        if (path / file_name).is_file():
            labels = _load(path / file_name, reader)
            break
    else:
        raise HandposeError(f"{path}: no pseudo_labels.json or annotations.json")
    photos = [Photo(path / "images" / name, hands) for name, hands in labels.items()]
    broken = Broken()
    for photo in photos:
        with broken:
            if photo.hands and not photo.path.is_file():
                raise HandposeError(f"{photo.path}: labelled, but the picture is missing")
    broken.check()
    if split:
        photos = [photo for photo in photos if (split == "held_out") == _is_held_out(path.name, photo.path.name)]
    return PhotoSet(path.name, photos)


def _is_held_out(set_name: str, file_name: str) -> bool:
    if any(part in file_name for part in _HELD_OUT_NAMES.get(set_name, ())):
        return True
    number = re.search(r"IMG_(\d+)", file_name)
    return number is not None and any(int(number[1]) in those for those in _HELD_OUT_NUMBERS.get(set_name, ()))


def _load(path: Path, reader) -> dict[str, tuple[LabelledHand, ...]]:
    content = read_json(path)
    try:
        return reader(content)
    except HandposeError as error:
        raise HandposeError(f"{path}: {error}") from error
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise HandposeError(f"{path}: not the labels of a photo set ({error})") from error


def _pseudo_labels(content: dict) -> dict[str, tuple[LabelledHand, ...]]:
    return {
        name: tuple(_hand(name, hand["joints_px"], np.ones(N_JOINTS, bool), hand["side"]) for hand in hands)
        for name, hands in content.items()
    }


def _annotations(content: dict) -> dict[str, tuple[LabelledHand, ...]]:
    labels: dict[str, tuple[LabelledHand, ...]] = {}
    for item in content["items"]:
        joints = np.asarray(item["joints"], float)
        hand = _hand(item["file"], joints[:, :2], joints[:, 2] > 0, item.get("hand"))
        labels[item["file"]] = labels.get(item["file"], ()) + (hand,)
    return labels


def _hand(name: str, joints: list | np.ndarray, valid: np.ndarray, side: str | None) -> LabelledHand:
    joints_px = np.asarray(joints, float)
    if joints_px.shape != (N_JOINTS, 2):
        raise HandposeError(f"{name}: expected 21 joints of two numbers, found {joints_px.shape}")
    if not np.isfinite(joints_px[valid]).all():
        raise HandposeError(f"{name}: a joint is not a finite number")
    if side not in ("left", "right", None):
        raise HandposeError(f"{name}: side is {side!r}, expected left or right")
    return LabelledHand(joints_px, valid, side)  # type: ignore[arg-type]


_READERS = {"pseudo_labels.json": _pseudo_labels, "annotations.json": _annotations}
