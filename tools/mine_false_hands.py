"""Cut out what detector and RegNet take for hands where there are none: pictures that teach RegNet's presence (`regnet train --without-hand`).

usage: python tools/mine_false_hands.py --empty DIR [--photos SET...] --o DIR [--threshold 0.1]

DIR holds pictures without hands, of which those whose number ends in 1 to 5 are used: 0 is kept for measuring, 6 to 9 for
`weigh_found_hands.py`. SETs are photo sets; of their training people's pictures with every hand labelled, faces and clothes are used.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import numpy as np

from handpose.camera import Camera
from handpose.command import exit_code
from handpose.crop import CROP_SIZE, MARGIN, Crop
from handpose.data import photos
from handpose.errors import HandposeError
from handpose.images import read_image, write_image
from handpose.synthesis.backgrounds import without_hands
from regnet.photo_crops import WINDOW
from tracker.detector import Detection, Detector
from tracker.load import load_predictor
from tracker.recognise import Predictor, recognise
from tracker.search import look_everywhere

_MOST = 8  # of a picture


def main() -> None:
    """Look for hands in pictures without, and save what was found as windows wide enough to be placed anew."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--empty", type=Path, required=True, metavar="DIR")
    parser.add_argument("--photos", type=Path, nargs="*", default=[], metavar="SET")
    parser.add_argument("--o", type=Path, required=True, metavar="DIR", help="folder of the cut-outs")
    parser.add_argument("--threshold", type=float, default=0.1, help="of the detector (default: 0.1)")
    args = parser.parse_args()
    paths = without_hands(args.empty, "12345")
    if args.o.exists() and any(args.o.iterdir()):  # what older weights took for hands is not for newer ones
        raise HandposeError(f"{args.o}: not empty; give a new folder")
    detector, predictor = Detector.from_file(), load_predictor()
    detector.threshold = args.threshold
    args.o.mkdir(parents=True, exist_ok=True)
    count = 0
    for image, hands in chain(_empty(paths), _complete(args.photos)):
        camera = Camera.from_fov((image.shape[1], image.shape[0]))
        false = [one for one in look_everywhere(image, detector) if not _touches(one, hands)]
        for one in false[:_MOST]:
            for crop in _crops(image, camera, one, predictor):
                write_image(args.o / f"{count:05d}.jpg", crop.warp(image))
                count += 1
    print(f"{args.o}: {count} pictures that look like hands")


def _crops(image: np.ndarray, camera: Camera, found: Detection, predictor: Predictor) -> Iterator[Crop]:
    """Aim at what the detector found, and at the hand that RegNet, looking closer, makes of it: that is what has to be told from hands."""
    margin = MARGIN * WINDOW / CROP_SIZE
    yield Crop.from_box(camera, found.centre_px, found.side_px * margin, found.roll_rad, WINDOW)
    for sight in recognise(image, camera, [found], predictor, 1, sure=0.0):
        yield Crop.from_joints(camera, sight.joints_px, WINDOW, margin)


def _empty(paths: Iterable[Path]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    for path in paths:
        yield read_image(path), []


def _complete(folders: list[Path]) -> Iterator[tuple[np.ndarray, list[np.ndarray]]]:
    for folder in folders:
        for photo in photos.read(folder, "train").photos:
            if photo.complete:
                yield photo.read(), [hand.joints_px for hand in photo.hands]


def _touches(found: Detection, hands: list[np.ndarray]) -> bool:
    """Whether a detection reaches over the box of a labelled hand."""
    reach = 0.5 * found.side_px + 10
    return any(
        ((joints.min(0) - reach < found.centre_px) & (found.centre_px < joints.max(0) + reach)).all()
        for joints in hands
    )


if __name__ == "__main__":
    raise SystemExit(exit_code("mine_false_hands", main))
