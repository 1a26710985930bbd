"""The command `tracker`: a webcam, a video or pictures in, hands out. Nothing heavy is imported before the options are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handpose.command import exit_code
from handpose.errors import HandposeError
from tracker.options import ANIMATED, RECORDING, open_source, parse_calibrate, parse_report, parse_smooth, parse_track

if TYPE_CHECKING:
    from tracker.sources import Source
    from tracker.viewer import Viewer


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if arguments[:1] == ["train-detector"]:
        return exit_code("tracker", partial(_train_detector, arguments[1:]))
    if arguments[:1] == ["smooth"]:
        return exit_code("tracker", partial(_smooth, parse_smooth(arguments[1:])))
    if arguments[:1] == ["report"]:
        return exit_code("tracker", partial(_report, parse_report(arguments[1:])))
    if arguments[:1] == ["calibrate"]:
        return exit_code("tracker", partial(_calibrate, parse_calibrate(arguments[1:])))
    return exit_code("tracker", partial(_track, parse_track(arguments)))


def _track(args: argparse.Namespace) -> None:
    from handpose.outputs import prepare_outputs, same_file
    from tracker.load import load_hand
    from tracker.pipeline import HandTracker
    from tracker.session import Outputs, run_session

    source = open_source(args)
    written = [*args.output, *([args.overlay] if args.overlay else [])]
    if args.overlay and args.images:
        raise HandposeError("--overlay makes a video of a video: it goes with --video, --webcam or --demo")
    if args.images and (animated := [path for path in args.output if path.suffix in ANIMATED]):
        raise HandposeError(f"{animated[0]}: pictures do not move: it goes with --video, --webcam or --demo")
    if args.video is not None and any(same_file(path, args.video) for path in written):
        raise HandposeError(f"{args.video}: cannot be tracked and written at once")
    _check_viewer(args, written)
    hand, hand_scale = load_hand(args.hand) if args.hand else (None, "default")
    camera, origin = _camera(args, source)
    tracker = HandTracker(camera, args.hands, hand=hand, **_seeing(args))
    prepare_outputs("tracker", written)
    outputs = Outputs(args.output, args.overlay, _viewer(args, source), origin, hand_scale)
    if not written and not args.demo and outputs.viewer is None:
        print(
            "tracker: nothing was asked for: --output FILE keeps the tracks, --viewer window shows them",
            file=sys.stderr,
        )
    summary = run_session(source, tracker, outputs, keep_rows=args.demo)
    if args.demo:
        from tracker.demonstration import report

        print(report(summary.rows))
    _close(source, summary)


def _smooth(args: argparse.Namespace) -> None:
    from handpose.outputs import same_file
    from tracker.smooth import smooth_file

    if any(same_file(path, args.i) for path in args.output):
        raise HandposeError(f"{args.i}: cannot be smoothed and written at once")
    print(f"tracker: {smooth_file(args.i, args.output)}", file=sys.stderr)


def _report(args: argparse.Namespace) -> None:
    from tracker.report import report_file

    print(report_file(args.i, args.output))


def _calibrate(args: argparse.Namespace) -> None:
    from handpose.outputs import prepare_outputs, same_file
    from tracker.calibrate import FingerMeter, write_hand
    from tracker.session import Outputs, run_session

    if args.camera is not None and same_file(args.camera, args.output):
        raise HandposeError(f"{args.output}: cannot be the camera and be written at once")
    source = open_source(args)
    _check_viewer(args, [])
    camera, _ = _camera(args, source)
    meter = FingerMeter(camera, **_seeing(args))
    prepare_outputs("tracker", [args.output])
    enough = (lambda: meter.enough) if args.webcam is not None else None
    summary = run_session(source, meter, Outputs(viewer=_viewer(args, source)), enough=enough)
    _close(source, summary)
    if summary.stopped:
        print(f"tracker: {args.output} was not written", file=sys.stderr)
    else:
        print(write_hand(args.output, meter, args.hand_length))


def _camera(args: argparse.Namespace, source: Source):
    """Give the camera, None where all of it is assumed, and where it comes from."""
    from handpose.camera import Camera
    from tracker.sources import VideoSource

    if args.camera is not None:
        return Camera.from_file(args.camera), "given"
    if args.demo:
        from tracker.demonstration import demo_camera

        return demo_camera(), "given"
    camera = source.squeezed_camera(args.fov) if isinstance(source, VideoSource) else None
    return camera, "fov" if args.fov else "default"


def _seeing(args: argparse.Namespace) -> dict[str, Any]:
    """Load the networks: options of a HandTracker."""
    from tracker.load import load_detector, load_predictor

    return {
        "mirrored": args.mirrored,
        "fov_deg": args.fov,
        "predictor": load_predictor(args.weights, args.runtime, args.device),
        "detector": load_detector(args.detector_weights, args.runtime, args.device),
    }


def _check_viewer(args: argparse.Namespace, written: Sequence[Path]) -> None:
    """Raise, before any file is touched, where rerun is wanted and is missing."""
    if args.viewer == "rerun" or any(path.suffix == RECORDING for path in written):
        from tracker.rerun_scene import load_rerun

        load_rerun()


def _viewer(args: argparse.Namespace, source: Source) -> Viewer | None:
    kind = args.viewer or ("window" if args.webcam is not None else "none")
    if kind == "rerun":
        from tracker.rerun_viewer import RerunViewer

        return RerunViewer(source.label)
    if kind == "window":
        from tracker.viewer import WindowViewer

        return WindowViewer(mirror=args.webcam is not None)
    return None


def _close(source, summary) -> None:
    print(f"tracker: {'stopped: ' if summary.stopped else ''}{summary}", file=sys.stderr)
    if source.note:
        print(f"tracker: {source.note}", file=sys.stderr)


def _train_detector(arguments: list[str]) -> None:
    from tracker import train_detector

    parser = argparse.ArgumentParser("tracker train-detector", description=train_detector.__doc__)
    train_detector.add_arguments(parser)
    train_detector.run(parser.parse_args(arguments))
