"""`handpose inspect --i DIR`: count a dataset, list everything that is broken in it, and show hands with their joints on a contact sheet."""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from handpose.command import require
from handpose.data.broken import Broken, BrokenFiles
from handpose.data.options import add_read_argument
from handpose.data.published import compared
from handpose.data.sample import Sample
from handpose.errors import HandposeError
from handpose.outputs import check_picture, prepare_outputs
from handpose.skeleton import BONES, JOINT_NAMES, M0, WRIST

if TYPE_CHECKING:
    from handpose.data import Dataset

_SHOWN, _COLUMNS, _TILE = 48, 8, 160
_APART, _LEAST_BOX_PX = 0.15, 20.0  # of the box of a hand: 2D and 3D labels that lie farther apart are not of one hand
_PALM_MM = (40.0, 200.0)  # |W-M0| of a small child and beyond that of any adult
_LEAST_VIEW = 0.12  # of the picture's longer side: a tile that shows a single fingertip shows its surroundings too
_OUTLINE = (0, 255, 0)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `handpose inspect`."""
    parser.add_argument("--i", required=True, type=Path, metavar="DIR", help="a dataset's folder, as downloaded")
    parser.add_argument("--o", type=Path, metavar="FILE.png", help="the contact sheet (default: NAME_inspect.png here)")
    parser.add_argument("--n", type=int, help="look at so many samples, spread evenly (default: all)")
    add_read_argument(parser)


class _Span:
    """Lowest, highest and mean of rows of numbers (N, width) that are added bit by bit; NaN counts as nothing."""

    def __init__(self, width: int):
        self.low, self.high = np.full(width, np.inf), np.full(width, -np.inf)
        self._total, self.count = np.zeros(width), np.zeros(width, int)

    def add(self, rows: np.ndarray) -> None:
        self.low = np.fmin(self.low, np.fmin.reduce(rows, axis=0, initial=np.inf))
        self.high = np.fmax(self.high, np.fmax.reduce(rows, axis=0, initial=-np.inf))
        self._total += np.nansum(rows, axis=0)
        self.count += np.isfinite(rows).sum(0)

    @property
    def mean(self) -> np.ndarray:
        return self._total / np.maximum(self.count, 1)


@dataclass
class _Found:
    """What looking at a dataset gathers."""

    pictures: set[str] = field(default_factory=set)
    sides: Counter[str] = field(default_factory=Counter)
    joints_px: _Span = field(default_factory=lambda: _Span(2))
    joints_mm: _Span = field(default_factory=lambda: _Span(3))
    bones_mm: _Span = field(default_factory=lambda: _Span(len(BONES)))
    without_joints: int = 0
    odd: list[str] = field(default_factory=list)
    broken: Broken = field(default_factory=Broken)
    tiles: list[np.ndarray] = field(default_factory=list)


def run(args: argparse.Namespace) -> None:
    """Print counts, ranges and problems, write the contact sheet. Raises HandposeError after that where any file is broken."""
    from handpose.data import open_dataset
    from handpose.draw import contact_sheet
    from handpose.images import write_image

    require(args, n=1)
    try:
        dataset = open_dataset(args.i, args.read)
    except BrokenFiles as error:
        _print_list("broken files", error.lines)
        raise HandposeError(f"{args.i}: {len(error.lines)} broken files, listed above; mend or remove them") from error
    path = args.o or Path(f"{dataset.name.replace(' ', '_')}_inspect.png")
    check_picture(path)
    prepare_outputs("handpose", [path])
    found = _look(dataset, args.n)
    print(f"{dataset.name}: {len(dataset):,} hands, {found.sides.total():,} of them read, {dict(found.sides)}")
    for line in () if args.n else compared(dataset.name, args.i, found.pictures):
        print(f"  {line}")
    _print_ranges(found)
    if left_out := getattr(dataset, "left_out", ()):
        _print_list("left out, no usable joint", left_out)
    _print_list("odd labels", found.odd)
    _print_list("broken files", found.broken.lines)
    if found.tiles:
        write_image(path, contact_sheet(found.tiles, _COLUMNS))
        print(f"wrote {path}")
    if found.broken.lines:
        raise HandposeError(f"{args.i}: {len(found.broken.lines)} broken files, listed above; mend or remove them")
    if not found.tiles:
        raise HandposeError(f"{args.i}: no hand in it can be shown")


def _look(dataset: Dataset, at_most: int | None) -> _Found:
    """Read samples, all or `at_most` spread evenly, with their pictures and masks; note what cannot be read and go on."""
    from tqdm import tqdm

    total = len(dataset)
    indices = np.unique(np.linspace(0, total - 1, min(at_most or total, total)).astype(int)).tolist() if total else []
    shown = {indices[i] for i in np.linspace(0, len(indices) - 1, min(_SHOWN, len(indices))).astype(int)}
    found = _Found()
    for index in tqdm(indices, unit="hand", desc="looking", disable=None):
        with found.broken:
            sample = dataset[index]
            found.pictures.add(sample.name.removesuffix(" left").removesuffix(" right"))
            image, mask = sample.image, sample.mask
            found.sides[sample.side or "unknown side"] += 1
            found.odd += [f"{sample.name}: {problem}" for problem in _oddities(sample, image, mask)]
            _measure(sample, found)
            if index in shown:
                found.tiles.append(_tile(sample, image, mask))
    return found


def _known(sample: Sample, joints: np.ndarray) -> np.ndarray:
    """Say which joints (21,) are valid and finite."""
    return sample.valid & np.isfinite(joints).all(-1)


def _measure(sample: Sample, found: _Found) -> None:
    """Note where the joints lie, and how long the bones are whose both ends are known."""
    known = _known(sample, sample.joints_px)
    found.without_joints += not known.any()
    found.joints_px.add(sample.joints_px[known])
    if sample.joints_mm is not None:
        known = _known(sample, sample.joints_mm)
        found.joints_mm.add(sample.joints_mm[known])
        joints_mm = np.where(known[:, None], sample.joints_mm, np.nan)
        parents, children = np.array(BONES).T
        found.bones_mm.add(np.linalg.norm(joints_mm[children] - joints_mm[parents], axis=-1)[None])


def _oddities(sample: Sample, image: np.ndarray, mask: np.ndarray | None) -> list[str]:
    """Say in words what is odd about a sample."""
    odd = []
    for joints, unit in ((sample.joints_px, "px"), (sample.joints_mm, "mm")):
        if joints is not None and (broken := sample.valid & ~np.isfinite(joints).all(-1)).any():
            names = ", ".join(JOINT_NAMES[joint] for joint in np.flatnonzero(broken))
            odd.append(f"valid, but no finite number of {unit}: {names}")
    height, width = image.shape[:2]
    joints_px = sample.joints_px[_known(sample, sample.joints_px)]
    if (np.abs(joints_px - (width / 2, height / 2)) > 2 * max(width, height)).any():
        odd.append("a joint is far outside the picture")
    if sample.joints_mm is not None:
        known = _known(sample, sample.joints_mm)
        palm = float(np.linalg.norm(sample.joints_mm[M0] - sample.joints_mm[WRIST]))
        if known[WRIST] and known[M0] and not _PALM_MM[0] < palm < _PALM_MM[1]:
            odd.append(f"|W-M0| is {palm:.0f} mm, expected {_PALM_MM[0]:.0f} to {_PALM_MM[1]:.0f}")
        if (sample.joints_mm[known, 2] <= 0).any():
            odd.append("a joint lies behind the camera")
        known &= _known(sample, sample.joints_px)
        if sample.camera and known.any():
            seen, where = sample.joints_px[known], sample.camera.project(sample.joints_mm[known])
            off = float(np.linalg.norm(where - seen, axis=-1).mean())
            if off > _APART * max(float(np.ptp(seen, axis=0).max()), _LEAST_BOX_PX):
                odd.append(f"joints in mm lie {off:.0f} px from those in px on average")
    if mask is not None and mask.shape != (height, width):
        odd.append(f"its mask has {mask.shape[1]}x{mask.shape[0]} pixels, its picture {width}x{height}")
    elif mask is not None and not mask.any():
        odd.append("its mask is empty")
    return odd


def _print_ranges(found: _Found) -> None:
    for title, span, unit in (("joints in the picture", found.joints_px, "px"), ("joints", found.joints_mm, "mm")):
        if span.count.all():
            axes = "xyz"[: len(span.count)]
            spans = (
                f"{axis} {low:.0f} to {high:.0f}" for axis, low, high in zip(axes, span.low, span.high, strict=True)
            )
            print(f"{title} [{unit}]: {', '.join(spans)}")
    bones = found.bones_mm
    if bones.count.any():
        print("bones, least to most (mean) [mm]:")
    for place in np.flatnonzero(bones.count):
        name = "-".join(JOINT_NAMES[joint] for joint in BONES[place])
        print(f"  {name}: {bones.low[place]:.1f} to {bones.high[place]:.1f} ({bones.mean[place]:.1f})")
    if found.without_joints:
        print(f"{found.without_joints:,} samples have no valid joint: picture and mask only")


def _print_list(title: str, lines: Iterable[object]) -> None:
    lines = list(lines)
    print(f"{title}: {len(lines)}")
    for line in lines:
        print(f"  {line}")


def _tile(sample: Sample, image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    """A square view of the hand with its valid joints drawn; without any, the whole picture and the mask's outline."""
    from handpose.camera import Camera
    from handpose.crop import Crop
    from handpose.draw import draw_skeleton

    joints = np.where(_known(sample, sample.joints_px)[:, None], sample.joints_px, np.nan)
    if np.isnan(joints).all():
        return _whole(image, mask)
    low, high = np.nanmin(joints, axis=0), np.nanmax(joints, axis=0)
    side = max(1.4 * float((high - low).max()), _LEAST_VIEW * max(image.shape[:2]))
    crop = Crop.from_box(Camera.from_fov((image.shape[1], image.shape[0])), (low + high) / 2, side, size=_TILE)
    return draw_skeleton(crop.warp(image), crop.to_crop(joints))


def _whole(image: np.ndarray, mask: np.ndarray | None) -> np.ndarray:
    import cv2

    scale = _TILE / max(image.shape[:2])
    size = max(1, round(image.shape[1] * scale)), max(1, round(image.shape[0] * scale))
    small = cv2.resize(image, size, interpolation=cv2.INTER_AREA)
    if mask is not None:
        inside = cv2.resize(mask, size, interpolation=cv2.INTER_AREA) > 127
        outlines, _ = cv2.findContours(inside.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        cv2.drawContours(small, outlines, -1, _OUTLINE, 1)
    tile = np.zeros((_TILE, _TILE, 3), np.uint8)
    top, left = (_TILE - size[1]) // 2, (_TILE - size[0]) // 2
    tile[top : top + size[1], left : left + size[0]] = small
    return tile
