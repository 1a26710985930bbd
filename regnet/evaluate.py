"""`regnet test`: measure a network on labelled hands, in their labelled crops and so apart from any detector.

What the figures are is told in `regnet.measure` and `regnet.protocols`; `--report` writes them out with tables, PCK curves beside the
published ones, and the worst hands. Folders of pictures without labels, and videos (`--v`), go through the tracker, which draws and
writes tracks.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path

import numpy as np

from handpose.command import require
from handpose.data.options import add_read_argument, check_read, name_of
from handpose.errors import HandposeError
from handpose.outputs import check_picture, prepare_outputs, write_json
from handpose.synthesis import RENDER
from regnet.averaged import AveragingPredictor
from regnet.labelled import (
    MADE,
    LabelledWindow,
    Opened,
    cut_windows,
    is_labelled,
    open_split,
    reader_of,
    rendered_windows,
)
from regnet.measure import AS_OTHER_SIDE, OTHER_SIDE_LIMIT, PCK_LIMITS, measure
from regnet.predictor import DEFAULT_WEIGHTS, Predictor
from regnet.protocols import GENERAL, PROTOCOLS, Protocol
from regnet.report import FILES, Report, alignments_of
from regnet.report_plot import require_matplotlib
from regnet.second_look import SecondLookPredictor

RENDERED_HANDS = 2000
ALL = "all"
_LEARNT_FROM = "the side on which papers test is not there: these are pictures that networks learn from"
SPLITS = ("train", "held_out", "val", "test", ALL)


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
    parser.add_argument(
        "--split", choices=SPLITS,
        help="side of a dataset's split (val, test: of InterHand2.6M; default: the one on which papers test, or people held out, where there are such)",
    )  # fmt: skip
    add_read_argument(parser)
    parser.add_argument(
        "--augment",
        action="store_true",
        help="mean over each crop and copies turned and scaled a little: 5 times the work",
    )
    parser.add_argument("--output", metavar="FILE", help="picture of predictions; without labels: the track file")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures for programs")
    parser.add_argument(
        "--report", metavar="DIR", type=Path, help="write figures, tables, PCK curves and the worst hands"
    )
    parser.add_argument(
        "--predictions",
        metavar="FILE.json",
        type=Path,
        help="score these joints and meshes of FreiHAND's evaluation set",
    )


def run(args: argparse.Namespace) -> None:
    """Measure, or hand unlabelled pictures and videos to the tracker."""
    require(args, n=1, seed=0)
    if args.i in MADE and args.i != RENDER and not Path(args.i).exists():
        raise HandposeError(f"--i {args.i}: hands to train on; those to test on are --i {RENDER}")
    if args.i and Path(args.i).is_file():
        raise HandposeError(f"{args.i}: a file; --i takes a folder, and --v a video")
    if args.v or (args.i != RENDER and not is_labelled(Path(args.i))):
        _track(args)
        return
    check_read(args.read, [] if args.i == RENDER else [reader_of(Path(args.i))])
    if args.report:
        require_matplotlib()
    prepare_outputs("regnet", _outputs(args))
    if args.predictions:
        _score_predictions(args)
        return
    predictor = load_predictor(args.weights)
    if args.augment:
        predictor = AveragingPredictor(predictor.network)
    if args.i == RENDER:
        count = args.n or RENDERED_HANDS
        windows, dataset = rendered_windows(count, args.seed, predictor.input_size), RENDER
        split, protocol = None, GENERAL
    else:
        opened, split, protocol = _opened(args)
        dataset = opened.samples.name
        windows, count = cut_windows(opened, predictor.input_size, args.n, args.seed)
    measured = measure(predictor, _with_progress(windows, count), protocol)
    weights = (args.weights or DEFAULT_WEIGHTS.name) + (", mean of 5 altered copies" if args.augment else "")
    report = Report(args.i, dataset, split, weights, protocol, measured)
    _print(report)
    if args.json:
        write_json(args.json, report.content())
    if args.report:
        report.write(args.report)
    if args.output:
        _write_sheet(measured.pictures, Path(args.output))


def load_predictor(weights: str | None) -> Predictor:
    """Load exported weights by their runtime, and a training run by Keras."""
    path = Path(weights) if weights else DEFAULT_WEIGHTS
    return SecondLookPredictor.from_file(path, runtime="auto" if path.suffix == ".onnx" else "keras")


def _outputs(args: argparse.Namespace) -> list[Path]:
    """Give the files that will be written; of a report that is not there yet its folder."""
    if args.output:
        check_picture(Path(args.output))
    files = [Path(path) for path in (args.output, args.json) if path]
    if not args.report:
        return files
    if args.report.exists() and not args.report.is_dir():
        raise HandposeError(f"{args.report}: not a folder; --report writes several files into one")
    return files + ([args.report / name for name in FILES] if args.report.is_dir() else [args.report])


def _opened(args: argparse.Namespace) -> tuple[Opened, str | None, Protocol]:
    """Open a dataset as its papers read it, where the options say nothing else; say which side it is, and fit the protocol to it.

    Where the side on which papers test is not there, or without labels, what is held out in its place is taken, and else all that is there.
    """
    folder = Path(args.i)
    protocol = PROTOCOLS.get(name_of(reader_of(folder)), GENERAL)
    read = (*protocol.read, *args.read)
    split, opened = protocol.split, None
    if split and args.split is None:
        sides = ((side, _tested_side(folder, side, read)) for side in dict.fromkeys((split, "held_out")))
        split, opened = next(((side, opened) for side, opened in sides if opened), (None, None))
        if opened is None and protocol != GENERAL:
            protocol = replace(protocol, notes=(*protocol.notes, _LEARNT_FROM))
    if opened is None:
        split = None if args.split == ALL else args.split
        opened = open_split(folder, split, read)
    return opened, split, protocol.on(getattr(opened.samples, "palm", None))


def _tested_side(folder: Path, split: str, read: tuple[str, ...]) -> Opened | None:
    """Open a side of a dataset where it is there and has a labelled hand."""
    try:
        opened = open_split(folder, split, read)
    except HandposeError:
        return None
    labelled = (opened.samples[index].valid.any() for index in range(len(opened.samples)))
    return opened if any(labelled) else None


def _print(report: Report) -> None:
    measured, protocol, figures = report.measured, report.protocol, report.measured.figures
    print(f"{report.source}: {report.counted()}, {report.side()}, each in its labelled crop")
    print(
        "  2D, labelled joints, of their box:  "
        + ", ".join(f"PCK@{p:.2f} {figures[f'pck@{p:.2f}']:.3f}" for p in PCK_LIMITS)
    )
    print(f"  2D error: {figures['epe_of_box']:.4f} of the box, {figures['epe_px']:.2f} px of the crop")
    if protocol.in_pixels:
        limit = f"{protocol.in_pixels:g}"
        print(f"  2D, px of the picture: AUC 0-{limit} px {figures[f'auc_2d_0_{limit}_px']:.3f}")
    print(f"  {'3D ' if measured.scores else ''}protocol of {report.dataset}: {report.protocol_name()}")
    for score in measured.scores.values():
        print(f"    {score}")
    if "side_right" in figures:
        print(f"  side right: {figures['side_right']:.3f}")
        print(f"  2D of hands taken for the other side: PCK@{OTHER_SIDE_LIMIT:.2f} {figures[AS_OTHER_SIDE]:.3f}")
    if "handedness_accuracy" in figures:
        accuracy, pictures = figures["handedness_accuracy"], figures["handedness_pictures"]
        print(f"  handedness: {accuracy:.3f} (both hands' presence told right; n={pictures} pictures)")
    print(f"  presence: {figures['presence']:.3f}")
    for note in protocol.notes:
        print(f"  note: {note}")


def _track(args: argparse.Namespace) -> None:
    from regnet.unlabelled import track_pictures, track_video

    source = Path(args.v or args.i)
    if not source.exists():
        raise HandposeError(f"{source}: no such file or folder")
    if args.n or args.json or args.split or args.read or args.augment or args.report or args.predictions:
        raise HandposeError(
            f"{source}: holds no labels, so --n, --split, --read, --augment, --json, --report and --predictions have no meaning"
        )
    output = Path(args.output) if args.output else Path(f"{source.resolve().stem}.jsonl")
    weights = Path(args.weights) if args.weights else None
    (track_video if args.v else track_pictures)(source, output, weights)


def _score_predictions(args: argparse.Namespace) -> None:
    from regnet.predictions import score_predictions

    if args.weights or args.n or args.split or args.read or args.augment or args.report or args.output:
        raise HandposeError(
            "--predictions scores a file of FreiHAND's whole evaluation set: of the others only --json goes with it"
        )
    scores, notes = score_predictions(Path(args.i), args.predictions)
    print(f"{args.predictions}: {next(iter(scores.values())).n} hands of FreiHAND's evaluation set")
    for line in (*scores.values(), *notes):
        print(f"  {line}")
    if args.json:
        content = {"source": args.i, "predictions": str(args.predictions), "notes": "; ".join(notes)}
        content |= {key: score.value for key, score in scores.items()}
        write_json(args.json, content | alignments_of(scores))


def _with_progress(windows: Iterable[LabelledWindow], count: int) -> Iterable[LabelledWindow]:
    from tqdm import tqdm

    return tqdm(windows, total=count, unit="hand", leave=False, disable=None)


def _write_sheet(pictures: list[np.ndarray], path: Path) -> None:
    import cv2

    from handpose.draw import contact_sheet

    if not cv2.imwrite(str(path), contact_sheet(pictures, columns=8)[..., ::-1]):
        raise HandposeError(f"{path}: cannot be written")
    print(f"wrote {path}")
