"""`handpose inspect --i DIR`: count a dataset, list what is broken in it, and show hands with their joints on a contact sheet."""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError

_SHOWN, _COLUMNS, _TILE = 48, 8, 160
_LISTED = 20


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `handpose inspect`."""
    parser.add_argument("--i", required=True, type=Path, metavar="DIR", help="a dataset's folder, as downloaded")
    parser.add_argument("--o", type=Path, metavar="FILE.png", help="the contact sheet (default: NAME_inspect.png here)")
    parser.add_argument("--n", type=int, default=0, help="look at so many samples, spread evenly (default: all)")


def run(args: argparse.Namespace) -> None:
    """Print counts and problems, write the contact sheet. Raises HandposeError where no sample is usable."""
    from handpose.data import open_dataset
    from handpose.draw import contact_sheet
    from handpose.images import write_image

    dataset = open_dataset(args.i)
    total = len(dataset)
    looked_at = np.unique(np.linspace(0, total - 1, min(args.n or total, total)).astype(int)).tolist() if total else []
    sides: Counter[str] = Counter()
    problems: list[str] = []
    tiles: list[np.ndarray] = []
    shown = set(looked_at[:: max(1, len(looked_at) // _SHOWN)][:_SHOWN])
    for index in looked_at:
        try:
            sample = dataset[index]
            image = sample.image
        except HandposeError as error:
            problems.append(str(error))
            continue
        sides[sample.side or "unknown"] += 1
        problems += [f"{sample.name}: {problem}" for problem in _problems(sample, image)]
        if index in shown:
            tiles.append(_tile(sample, image))
    print(f"{dataset.name}: {total} hands, {len(looked_at)} looked at, {dict(sides)}")
    print(f"problems: {len(problems)}")
    for line in problems[:_LISTED]:
        print(f"  {line}")
    if len(problems) > _LISTED:
        print(f"  and {len(problems) - _LISTED} more")
    if not tiles:
        raise HandposeError(f"{args.i}: no hand in it can be shown")
    path = args.o or Path(f"{dataset.name}_inspect.png")
    write_image(path, contact_sheet(tiles, _COLUMNS))
    print(f"wrote {path}")


def _problems(sample, image: np.ndarray) -> list[str]:
    """Say in words what is odd about a sample."""
    found = []
    joints = sample.joints_px[sample.valid]
    if not np.isfinite(joints).all():
        found.append("a joint is not a finite number")
    elif len(joints) and not (np.abs(joints - (image.shape[1] / 2, image.shape[0] / 2)) < 2 * max(image.shape)).all():
        found.append("a joint is far outside the picture")
    if sample.joints_mm is not None:
        lengths = np.linalg.norm(sample.joints_mm[9] - sample.joints_mm[0])
        if not 40 < lengths < 200:
            found.append(f"|W-M0| is {lengths:.0f} mm, expected 40 to 200")
    return found


def _tile(sample, image: np.ndarray) -> np.ndarray:
    """A square view of the hand with its joints drawn."""
    from handpose.camera import Camera
    from handpose.crop import Crop
    from handpose.draw import draw_skeleton

    joints = np.where(sample.valid[:, None], sample.joints_px, sample.joints_px[sample.valid].mean(0))
    centre, side = (joints.min(0) + joints.max(0)) / 2, float(np.ptp(joints, axis=0).max())
    crop = Crop.from_box(Camera.from_fov((image.shape[1], image.shape[0])), centre, max(1.4 * side, 8.0), size=_TILE)
    return draw_skeleton(crop.warp(image), crop.to_crop(joints), sample.valid.astype(float))
