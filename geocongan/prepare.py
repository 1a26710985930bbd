"""`geocongan prepare`: photographs of hands become the real side of the translator's training: upright crops with clean silhouettes.

geocongan prepare --i photos/rps_greenscreen --o data/real_hands

DIR is a photo set, or RealHands as released; --masks names a folder of its hands' silhouettes where they are known. Joints and sides that
are not labelled are found by a frozen RegNet, where it is sure of them. Crops go to OUT/user_NAME/color and OUT/user_NAME/mask in RealHands'
own layout, so that the reader of RealHands reads both, and their joints to OUT/user_NAME/joints.json; frames that the rules drop are counted
by reason.
"""

from __future__ import annotations

import argparse
import glob
import json
from collections import Counter
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Literal

import numpy as np

from geocongan.joint_finder import JointFinder
from geocongan.silhouettes import (
    GROUNDS,
    Ground,
    cleaned,
    cut_out,
    recognise_ground,
    without_spill,
)
from handpose.atomic import atomic_write
from handpose.camera import Camera
from handpose.command import require
from handpose.crop import Crop
from handpose.data import Dataset, open_dataset, photos
from handpose.data.files import read_silhouette
from handpose.data.grabcut import holds_ground, holds_joints
from handpose.data.photos import Split
from handpose.data.sample import Sample
from handpose.draw import contact_sheet
from handpose.errors import HandposeError
from handpose.images import write_image
from handpose.skeleton import N_JOINTS, Side
from handpose.synthesis.translated import MARGIN, on_white, without_forearm

JOINTS_NAME = "joints.json"
_REACH = 0.06  # of the crop: a joint may lie so far off its silhouette
_SHOWN, _SHOWN_EVERY = 64, 5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan prepare`."""
    parser.add_argument("--i", type=Path, required=True, metavar="DIR", help="photo set, or RealHands")
    parser.add_argument("--o", type=Path, required=True, metavar="DIR", help="folder to write to")
    parser.add_argument("--size", type=int, default=256, help="side of the crops [px]")
    parser.add_argument("--ground", choices=("auto", *GROUNDS), default="auto", help="behind the hands")
    parser.add_argument("--masks", type=Path, metavar="DIR", help="silhouettes, named as their pictures, of any kind")
    parser.add_argument(
        "--split", choices=("train", "held_out", "all"),
        help="side of a photo set's split by person (default: train; other datasets are taken whole)",
    )  # fmt: skip
    parser.add_argument("--n", type=int, help="at most so many frames, spread over the set")


def run(args: argparse.Namespace) -> None:
    """Cut, clean and write every frame; print how many were dropped and why."""
    from tqdm import tqdm

    require(args, size=32, n=1)
    dataset = _opened(args.i, args.split)
    if not len(dataset):
        raise HandposeError(f"{args.i}: nobody of this set is on that side; --split all takes everybody")
    ground = None if args.ground == "auto" else args.ground
    chosen = np.linspace(0, len(dataset) - 1, min(args.n or len(dataset), len(dataset))).astype(int)
    folder, reasons = _Folder(args.o / f"user_{args.i.resolve().name}"), Counter[str]()
    try:
        for index in tqdm(chosen, unit="frame", disable=None):
            sample = with_mask(dataset[index], args.masks) if args.masks else dataset[index]
            picture, joints_px, reason = prepared(sample, args.size, ground)
            if reason:
                reasons[reason] += 1
            else:
                folder.add(picture, joints_px)
    finally:  # however far it came: what is kept can be trained on
        folder.finish()
        dropped = ", ".join(f"{reason} {count}" for reason, count in reasons.most_common()) or "none"
        print(f"{folder.path}: {folder.count} of {len(chosen)} frames kept; dropped: {dropped}")


def _opened(folder: Path, split: Split | Literal["all"] | None) -> Dataset:
    """Open a dataset; of photographs whose people are known the side that trains, where no other is asked for."""
    if split == "all" or (split is None and not photos.recognises(folder)):
        return open_dataset(folder)
    return photos.read(folder, split or "train")


def with_mask(sample: Sample, folder: Path) -> Sample:
    """Give a sample the silhouette that a folder holds under its picture's name. Raises HandposeError where there is none that fits."""
    found = sorted(folder.glob(f"{glob.escape(Path(sample.name).stem)}.*"))
    if not found:
        raise HandposeError(f"{folder}: no silhouette for {sample.name}; it must have the picture's name")
    mask = read_silhouette(found[0])
    if mask.shape != sample.image.shape[:2]:
        raise HandposeError(f"{found[0]}: {mask.shape[1]}x{mask.shape[0]} pixels, but its picture has another size")
    return replace(sample, load_mask=lambda: mask)


def prepared(sample: Sample, size: int, ground: Ground | None = None) -> tuple[np.ndarray, np.ndarray, str]:
    """Cut the hand of a sample out, as a left one: RGBA (S, S, 4) uint8, its joints (21, 2), and why it is dropped, or ""."""
    image, given = sample.image, sample.mask
    camera = Camera.from_fov((image.shape[1], image.shape[0]))
    ground = ground or recognise_ground(image)
    rim = ground in ("green", "light") or given is not None
    if given is None and ground != "cluttered":
        given = cut_out(image, ground)
    joints_px, side, reason = _labels(sample, image, camera, given)
    if reason:
        return np.zeros((size, size, 4), np.uint8), joints_px, reason
    crop = Crop.from_joints(camera, joints_px, size, MARGIN)
    in_crop = crop.to_crop(joints_px)
    colour = crop.warp(without_spill(image) if ground == "green" else image)
    rough = cut_out(colour, ground, in_crop) if given is None else crop.warp(np.repeat(given[..., None], 3, -1))[..., 0]
    mask, reason = cleaned(rough, rim)
    picture = without_forearm(np.dstack([colour, mask]), in_crop)
    if not reason and not holds_joints(mask, in_crop, _REACH * size):
        reason = "joints off the silhouette"
    if not reason and ground == "cluttered" and given is None and holds_ground(colour, picture[..., 3]):
        reason = "ground in the silhouette"
    if side == "right":
        picture = np.ascontiguousarray(picture[:, ::-1])
        in_crop = in_crop * (-1, 1) + (size - 1, 0)
    return picture, in_crop, reason


def _labels(
    sample: Sample, image: np.ndarray, camera: Camera, mask: np.ndarray | None
) -> tuple[np.ndarray, Side | None, str]:
    """Give joints (21, 2) [px] and side, labelled ones where there are; what is not, the network finds. Else a reason to drop the frame."""
    labelled = bool(sample.valid.all())
    if labelled and sample.side:
        return sample.joints_px, sample.side, ""
    unknown = np.zeros((N_JOINTS, 2)), None
    if not labelled and mask is None:
        return *unknown, "no ground to key and no joints"
    finder = _finder()
    start = Crop.from_joints(camera, sample.joints_px, finder.size) if labelled else _around(camera, mask, finder.size)
    if start is None:
        return *unknown, "no hand"
    found = finder(image, start)
    if found is None:
        return *unknown, "joints or side not sure"
    return sample.joints_px if labelled else found[0], sample.side or found[1], ""


@lru_cache(1)
def _finder() -> JointFinder:
    return JointFinder()


def _around(camera: Camera, mask: np.ndarray | None, size: int) -> Crop | None:
    """Aim at a silhouette whose joints are not known."""
    if mask is None or not mask.any():
        return None
    mask = cleaned(mask, rim=False)[0]  # speckles would widen the box
    if not mask.any():
        return None
    rows, columns = np.nonzero(mask)
    low, high = np.array([columns.min(), rows.min()]), np.array([columns.max(), rows.max()])
    return Crop.from_box(camera, (low + high) / 2, 1.2 * float((high - low).max()) + 1, 0.0, size)


class _Folder:
    """Writes frames in RealHands' layout."""

    def __init__(self, path: Path):
        self.path, self.count = path, 0
        self.joints: dict[str, list] = {}
        self.shown: list[np.ndarray] = []
        if path.exists():
            raise HandposeError(f"{path}: exists already; remove it or give another --o")
        try:
            for part in ("color", "mask"):
                (path / part).mkdir(parents=True)
        except OSError as error:
            raise HandposeError(f"{path}: cannot be created ({error.strerror})") from error

    def add(self, picture: np.ndarray, joints_px: np.ndarray) -> None:
        name = f"image_{self.count + 1}"
        mask, colour = self.path / "mask" / f"{name}.png", self.path / "color" / f"{name}_color.png"
        try:
            write_image(mask, picture[..., 3])
            write_image(colour, picture[..., :3])
        except BaseException:  # Ctrl-C too: half a frame makes a folder unreadable
            mask.unlink(missing_ok=True)
            colour.unlink(missing_ok=True)
            raise
        self.count += 1
        self.joints[name] = np.round(joints_px, 2).tolist()
        if self.count % _SHOWN_EVERY == 1 and len(self.shown) < _SHOWN:
            self.shown.append(on_white(picture))

    def finish(self) -> None:
        """Write the joints, and a contact sheet for the eye."""
        atomic_write(self.path / JOINTS_NAME, json.dumps(self.joints).encode())
        if self.shown:
            write_image(self.path / "contact_sheet.jpg", contact_sheet(self.shown, columns=8))
