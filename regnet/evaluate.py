"""`regnet test`: measure a network on labelled hands, in their labelled crops and so apart from any detector.

2D errors are those of `pck`: distance over the longer side of the labelled joints' box, over all labelled joints. Where the source has
3D truth, the 3D figures are those of its dataset's protocol (`regnet.protocols`), each with its alignment. Folders of pictures without
labels, and videos (`--v`), go through the tracker, which draws and writes tracks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError
from handpose.metrics import Score, auc
from handpose.skeleton import DEFAULT_SCALE_MM, Side
from regnet.labelled import RENDER, LabelledWindow, cut_windows, is_labelled, open_split, rendered_windows
from regnet.predictor import DEFAULT_WEIGHTS, Predictor, WindowPrediction
from regnet.protocols import GENERAL, PROTOCOLS, Protocol, scores_3d

PCK_LIMITS = (0.05, 0.10, 0.20)
RENDERED_HANDS = 2000
_BATCH = 32
_SHOWN = 48
_SECOND_LOOKS = 2  # at hands whose labels do not tell where to aim

Figures = dict[str, float]


@dataclass(frozen=True)
class Measured:
    """The figures by key, those of 3D with their alignment, and some pictures of predictions."""

    figures: Figures
    scores: dict[str, Score]
    pictures: list[np.ndarray]


def evaluate(predictor: Predictor, windows: Iterable[LabelledWindow], protocol: Protocol = GENERAL) -> Measured:
    """Measure a predictor on labelled hands by a protocol.

    A hand whose side is not labelled is looked at as a left one, and again as a right one where the network says so.
    """
    errors = _Errors()
    pictures: list[np.ndarray] = []
    for batch in _batches(iter(windows)):
        sides: list[Side] = [window.side or "left" for window in batch]
        seen = predictor.windows(_images(batch), sides)
        doubtful = [window.side is None and seen.left[i] < 0.5 for i, window in enumerate(batch)]
        if any(doubtful):
            sides = ["right" if turned else side for turned, side in zip(doubtful, sides, strict=True)]
            seen = predictor.windows(_images(batch), sides)
        for _ in range(_SECOND_LOOKS if any(window.picture is not None for window in batch) else 0):
            batch = [window.aimed_at(seen.joints_px[i]) for i, window in enumerate(batch)]
            seen = predictor.windows(_images(batch), sides)
        other = predictor.windows(_images(batch), ["left" if side == "right" else "right" for side in sides])
        for i, window in enumerate(batch):
            errors.add(window, seen, i)
            errors.add_side(window, seen.left[i], other.left[i])
            if len(pictures) < _SHOWN:
                pictures.append(_draw(window, seen.joints_px[i]))
    figures = errors.figures()
    if protocol.in_pixels:
        figures[f"auc_2d_0_{protocol.in_pixels:g}_px"] = auc(np.concatenate(errors.picture_px), 0, protocol.in_pixels)
    scores = errors.scores(protocol)
    return Measured(figures | {key: score.value for key, score in scores.items()}, scores, pictures)


class _Errors:
    """What is gathered hand by hand."""

    def __init__(self) -> None:
        self.of_box: list[np.ndarray] = []
        self.picture_px: list[np.ndarray] = []
        self.window_px: list[np.ndarray] = []
        self.side_right: list[bool] = []
        self.presence: list[float] = []
        self.predicted_mm: list[np.ndarray] = []
        self.truth_mm: list[np.ndarray] = []

    def add(self, window: LabelledWindow, seen: WindowPrediction, i: int) -> None:
        valid = window.valid
        distance = np.linalg.norm(window.crop.to_image(seen.joints_px[i]) - window.joints_px, axis=-1)[valid]
        box_px = np.ptp(window.joints_px[valid], axis=0).max(initial=0)
        self.of_box.append(distance / box_px if box_px > 0 else distance[:0])  # a single joint has no box
        self.picture_px.append(distance)
        truth_px = window.crop.to_crop(window.joints_px)
        self.window_px.append(np.linalg.norm(seen.joints_px[i] - truth_px, axis=-1)[valid])
        self.presence.append(float(seen.presence[i]))
        if window.joints_mm is not None:
            self.predicted_mm.append(seen.joints_rel[i] * DEFAULT_SCALE_MM)
            self.truth_mm.append(window.joints_mm)

    def add_side(self, window: LabelledWindow, *left: float) -> None:
        """Count the side as seen under both assumptions: a network that always agrees with the assumed one scores a half."""
        if window.side is not None:
            self.side_right += [(chance > 0.5) == (window.side == "left") for chance in left]

    def figures(self) -> Figures:
        if not self.of_box:
            raise HandposeError("the source holds no labelled hand")
        of_box = np.concatenate(self.of_box)
        figures: Figures = {"n": len(self.of_box)}
        figures |= {f"pck@{limit:.2f}": float((of_box <= limit).mean()) for limit in PCK_LIMITS}
        figures |= {"epe_of_box": float(of_box.mean()), "epe_px": float(np.concatenate(self.window_px).mean())}
        if self.side_right:
            figures["side_right"] = float(np.mean(self.side_right))
        figures["presence"] = float(np.mean(self.presence))
        return figures

    def scores(self, protocol: Protocol) -> dict[str, Score]:
        if not self.truth_mm:
            return {}
        return scores_3d(protocol, np.array(self.predicted_mm), np.array(self.truth_mm))


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet test`."""
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument("--i", metavar="SOURCE", help="folder of a dataset or of pictures, or the word render")
    what.add_argument("--v", metavar="VIDEO", help="a video, followed by the tracker")
    parser.add_argument(
        "--weights", metavar="RUN|FILE", help="run folder, FILE.weights.h5 or FILE.onnx (default: those that ship)"
    )
    parser.add_argument("--n", type=int, help=f"measure so many hands (default: all; of render {RENDERED_HANDS})")
    parser.add_argument("--seed", type=int, default=2026, help="which hands are drawn (default: 2026)")
    parser.add_argument("--split", choices=("train", "held_out"), help="only one side of a dataset's split")
    parser.add_argument("--output", metavar="FILE", help="picture of predictions; without labels: the track file")
    parser.add_argument("--json", metavar="FILE", help="write the figures for programs")


def run(args: argparse.Namespace) -> None:
    """Measure, or hand unlabelled pictures and videos to the tracker."""
    if args.n is not None and args.n < 1:
        raise HandposeError("--n must be at least 1")
    if args.v or (args.i != RENDER and not is_labelled(Path(args.i))):
        _track(args)
        return
    for path in (args.output, args.json):
        if path and not Path(path).parent.is_dir():
            raise HandposeError(f"{Path(path).parent}: no such folder")
    predictor = load_predictor(args.weights)
    if args.i == RENDER:
        count = args.n or RENDERED_HANDS
        windows, dataset, protocol = rendered_windows(count, args.seed, predictor.input_size), RENDER, GENERAL
    else:
        opened = open_split(Path(args.i), args.split)
        dataset, protocol = opened.samples.name, PROTOCOLS.get(opened.reader, GENERAL)
        windows, count = cut_windows(opened, predictor.input_size, args.n, args.seed)
    measured = evaluate(predictor, _with_progress(windows, count), protocol)
    _report(args.i, dataset, measured, protocol)
    if args.json:
        content = {"source": args.i, **measured.figures}
        if measured.scores:
            alignments = {key: score.alignment for key, score in measured.scores.items()}
            content |= {"dataset": dataset, "protocol": protocol.name, "alignments": alignments}
        Path(args.json).write_text(json.dumps(content) + "\n")
    if args.output:
        _write_sheet(measured.pictures, Path(args.output))


def load_predictor(weights: str | None) -> Predictor:
    """Load exported weights by their runtime, and a training run by Keras."""
    path = Path(weights) if weights else DEFAULT_WEIGHTS
    return Predictor.from_file(path, runtime="auto" if path.suffix == ".onnx" else "keras")


def _report(source: str, dataset: str, measured: Measured, protocol: Protocol) -> None:
    figures = measured.figures
    print(f"{source}: {figures['n']} hands, each in its labelled crop")
    print(
        "  2D, labelled joints, of their box:  "
        + ", ".join(f"PCK@{p:.2f} {figures[f'pck@{p:.2f}']:.3f}" for p in PCK_LIMITS)
    )
    print(f"  2D error: {figures['epe_of_box']:.4f} of the box, {figures['epe_px']:.2f} px of the crop")
    if protocol.in_pixels:
        limit = f"{protocol.in_pixels:g}"
        print(f"  2D, px of the picture: AUC 0-{limit} px {figures[f'auc_2d_0_{limit}_px']:.3f}")
    if measured.scores:
        print(f"  3D protocol of {dataset}: {protocol.name}")
        for score in measured.scores.values():
            print(f"    {score}")
    if "side_right" in figures:
        print(f"  side right: {figures['side_right']:.3f}")
    print(f"  presence: {figures['presence']:.3f}")


def _track(args: argparse.Namespace) -> None:
    from regnet.unlabelled import track_pictures, track_video

    source = Path(args.v or args.i)
    if not source.exists():
        raise HandposeError(f"{source}: no such file or folder")
    if args.n or args.json or args.split:
        raise HandposeError(f"{source}: holds no labels, so --n, --split and --json have no meaning")
    output = Path(args.output) if args.output else Path(f"{source.stem}.jsonl")
    weights = Path(args.weights) if args.weights else None
    (track_video if args.v else track_pictures)(source, output, weights)


def _images(batch: list[LabelledWindow]) -> np.ndarray:
    return np.stack([window.image for window in batch])


def _batches(windows: Iterator[LabelledWindow]) -> Iterator[list[LabelledWindow]]:
    while batch := list(islice(windows, _BATCH)):
        yield batch


def _with_progress(windows: Iterable[LabelledWindow], count: int) -> Iterable[LabelledWindow]:
    from tqdm import tqdm

    return tqdm(windows, total=count, unit="hand", leave=False, disable=None)


def _draw(window: LabelledWindow, joints_px: np.ndarray) -> np.ndarray:
    from handpose.draw import draw_skeleton

    return draw_skeleton(window.image, joints_px)


def _write_sheet(pictures: list[np.ndarray], path: Path) -> None:
    import cv2

    from handpose.draw import contact_sheet

    try:
        written = cv2.imwrite(str(path), contact_sheet(pictures, columns=8)[..., ::-1])
    except cv2.error:
        written = False
    if not written:
        raise HandposeError(f"{path}: cannot be written as a picture; end it in .jpg or .png")
    print(f"wrote {path}")
