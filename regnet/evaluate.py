"""`regnet test`: measure a network on labelled hands, in their labelled crops and so apart from any detector.

2D errors are those of `pck`: distance over the longer side of the labelled joints' box, over all joints. 3D errors are printed where the
source has 3D truth. Folders of pictures without labels, and videos (`--v`), go through the tracker, which draws and writes tracks.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np

from handpose import metrics
from handpose.errors import HandposeError
from handpose.skeleton import DEFAULT_SCALE_MM, Side
from regnet.labelled import RENDER, LabelledWindow, is_labelled, labelled_windows, rendered_windows
from regnet.predictor import DEFAULT_WEIGHTS, Predictor, WindowPrediction

PCK_LIMITS = (0.05, 0.10, 0.20)
RENDERED_HANDS = 2000
_BATCH = 32
_SHOWN = 48

Figures = dict[str, float]


def evaluate(predictor: Predictor, windows: Iterable[LabelledWindow]) -> tuple[Figures, list[np.ndarray]]:
    """Measure a predictor on labelled hands; return the figures and some pictures of predictions.

    A hand whose side is not labelled is looked at as a left one, and again as a right one where the network says so.
    """
    errors = _Errors()
    pictures: list[np.ndarray] = []
    for batch in _batches(iter(windows)):
        images = np.stack([window.image for window in batch])
        sides: list[Side] = [window.side or "left" for window in batch]
        seen = predictor.windows(images, sides)
        doubtful = [window.side is None and seen.left[i] < 0.5 for i, window in enumerate(batch)]
        if any(doubtful):
            sides = ["right" if turned else side for turned, side in zip(doubtful, sides, strict=True)]
            seen = predictor.windows(images, sides)
        other = predictor.windows(images, ["left" if side == "right" else "right" for side in sides])
        for i, window in enumerate(batch):
            errors.add(window, seen, i)
            errors.add_side(window, seen.left[i], other.left[i])
            if len(pictures) < _SHOWN:
                pictures.append(_draw(window, seen.joints_px[i]))
    return errors.figures(), pictures


class _Errors:
    """What is gathered hand by hand."""

    def __init__(self) -> None:
        self.of_box: list[np.ndarray] = []
        self.window_px: list[np.ndarray] = []
        self.side_right: list[bool] = []
        self.presence: list[float] = []
        self.predicted_mm: list[np.ndarray] = []
        self.truth_mm: list[np.ndarray] = []

    def add(self, window: LabelledWindow, seen: WindowPrediction, i: int) -> None:
        valid = window.valid
        distance = np.linalg.norm(window.crop.to_image(seen.joints_px[i]) - window.joints_px, axis=-1)[valid]
        self.of_box.append(distance / np.ptp(window.joints_px[valid], axis=0).max())
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
        if self.truth_mm:
            figures |= figures_3d(np.array(self.predicted_mm), np.array(self.truth_mm))
        return figures


def figures_3d(predicted_mm: np.ndarray, truth_mm: np.ndarray) -> Figures:
    """Compare 3D joints (N, 21, 3) [mm] of free scale to the truth."""
    scores = {
        "pa_mpjpe_mm": metrics.mpjpe(predicted_mm, truth_mm, "aligned by a similarity"),
        "root_scale_mpjpe_mm": metrics.mpjpe(predicted_mm, truth_mm, "M0 and |W-M0| aligned"),
        "auc_20_50": metrics.auc_score(predicted_mm, truth_mm, "M0 and |W-M0| aligned", 20, 50),
    }
    return {name: score.value for name, score in scores.items()}


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
    parser.add_argument("--split", choices=("train", "held_out"), help="only one side of a photo set's split by person")
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
        windows = rendered_windows(count, args.seed, predictor.input_size)
    else:
        windows, count = labelled_windows(Path(args.i), predictor.input_size, args.n, args.seed, args.split)
    figures, pictures = evaluate(predictor, _with_progress(windows, count))
    _report(args.i, figures)
    if args.json:
        Path(args.json).write_text(json.dumps({"source": args.i, **figures}) + "\n")
    if args.output:
        _write_sheet(pictures, Path(args.output))


def load_predictor(weights: str | None) -> Predictor:
    """Load exported weights by their runtime, and a training run by Keras."""
    path = Path(weights) if weights else DEFAULT_WEIGHTS
    return Predictor.from_file(path, runtime="auto" if path.suffix == ".onnx" else "keras")


def _report(source: str, figures: Figures) -> None:
    print(f"{source}: {figures['n']} hands, each in its labelled crop")
    print(
        "  2D, 21 joints, of the labelled box:  "
        + ", ".join(f"PCK@{p:.2f} {figures[f'pck@{p:.2f}']:.3f}" for p in PCK_LIMITS)
    )
    print(f"  2D error: {figures['epe_of_box']:.4f} of the box, {figures['epe_px']:.2f} px of the crop")
    if "pa_mpjpe_mm" in figures:
        print(f"  3D, 21 joints, aligned by a similarity:  PA-MPJPE {figures['pa_mpjpe_mm']:.2f} mm")
        print(
            f"  3D, 21 joints, M0 and |W-M0| aligned:    AUC 20-50 mm {figures['auc_20_50']:.3f}, "
            f"MPJPE {figures['root_scale_mpjpe_mm']:.2f} mm"
        )
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
