"""The command `tracker`: a webcam, a video or pictures in, hands out. Nothing heavy is imported before the options are read."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from handpose.command import what_to_install
from handpose.errors import HandposeError

_SUFFIXES = (".jsonl", ".csv", ".npz")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; return the exit code: 0 done or closed by the user, 1 an error told in one line, 2 wrong usage."""
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    try:
        if arguments[:1] == ["train-detector"]:
            return _train_detector(arguments[1:])
        return _track(_options(arguments))
    except HandposeError as error:
        print(f"tracker: {error}", file=sys.stderr)
    except ImportError as error:
        print(f"tracker: {what_to_install(error)}", file=sys.stderr)
    except KeyboardInterrupt:
        print("tracker: stopped", file=sys.stderr)
        return 0
    return 1


def _options(arguments: Sequence[str]) -> argparse.Namespace:
    parser = _parser()
    args = parser.parse_args(arguments)
    if args.demo and (args.camera or args.fov):
        parser.error("--demo has a camera of its own, which its truth needs: leave --camera and --fov away")
    return args


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        "tracker",
        description="Track hands: 21 joints in pixels and millimetres and 26 joint parameters for each hand and frame.",
        epilog="`tracker train-detector --help` tells how to train the detector.",
    )
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--webcam", nargs="?", const=0, type=int, metavar="N", help="a webcam, by default number 0")
    source.add_argument("--video", type=Path, metavar="FILE", help="a video file")
    source.add_argument("--images", type=Path, metavar="DIR", help="a folder of pictures, each on its own")
    source.add_argument("--demo", action="store_true", help="a rendered clip that comes along, whose truth is known")
    parser.add_argument(
        "--output", type=_track_path, nargs="+", default=[], metavar="FILE",
        help=f"where the tracks go, any number of files: {', '.join(_SUFFIXES)}",
    )  # fmt: skip
    parser.add_argument(
        "--overlay", type=_video_path, metavar="FILE.mp4", help="the video with the skeletons drawn on it"
    )
    parser.add_argument("--viewer", choices=("window", "none"), help="default: window with --webcam, otherwise none")
    parser.add_argument("--hands", type=_count, default=2, metavar="N", help="at most so many hands (default 2)")
    parser.add_argument("--mirrored", action="store_true", help="the feed is a selfie mirror: it is turned back first")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera", type=Path, metavar="camera.json", help="intrinsics: fx, fy, cx, cy, size_px, distortion"
    )
    camera.add_argument(
        "--fov", type=_degrees, metavar="DEG", help="horizontal field of view (default: 60 across the longer side)"
    )
    parser.add_argument(
        "--hand", type=Path, metavar="hand.json", help="the size of your hand: scale_mm or bone_lengths_mm"
    )
    parser.add_argument("--runtime", choices=("auto", "openvino", "onnx", "keras"), default="auto")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.onnx", help="another RegNet than the one that comes along"
    )
    parser.add_argument("--detector-weights", type=Path, metavar="FILE.onnx", help="another detector")
    return parser


def _track(args: argparse.Namespace) -> int:
    from handpose.outputs import prepare_outputs
    from tracker.session import run_session

    source = _source(args)
    tracked = args.video if args.video is not None else None
    written = [*args.output, *([args.overlay] if args.overlay else [])]
    if args.overlay and args.images:
        raise HandposeError("--overlay makes a video of a video: it goes with --video, --webcam or --demo")
    if tracked is not None and any(path.resolve() == tracked.resolve() for path in written):
        raise HandposeError(f"{tracked}: cannot be tracked and written at once")
    prepare_outputs("tracker", written)
    tracker, outputs = _tracker(args, source)
    summary = run_session(source, tracker, outputs, keep_rows=args.demo)
    if args.demo:
        from tracker.demonstration import report

        print(report(summary.rows))
    if not args.output and not args.overlay and not args.demo and outputs.window is None:
        print(
            "tracker: nothing was asked for: --output FILE keeps the tracks, --viewer window shows them",
            file=sys.stderr,
        )
    print(f"tracker: {'stopped: ' if summary.stopped else ''}{summary}", file=sys.stderr)
    if source.note:
        print(f"tracker: {source.note}", file=sys.stderr)
    return 0


def _source(args: argparse.Namespace):
    if args.webcam is not None:
        from tracker.webcam import WebcamSource

        return WebcamSource(args.webcam)
    if args.images is not None:
        from tracker.sources import ImageSource

        return ImageSource(args.images)
    if args.demo:
        from tracker.demonstration import demo_clip

        return demo_clip()
    from tracker.sources import VideoSource

    return VideoSource(args.video)


def _tracker(args: argparse.Namespace, source):
    from handpose.camera import Camera
    from tracker.load import load_detector, load_hand, load_predictor
    from tracker.pipeline import HandTracker
    from tracker.session import Outputs
    from tracker.viewer import WindowViewer

    camera, origin = None, "fov" if args.fov else "default"
    if args.camera is not None:
        camera, origin = Camera.from_file(args.camera), "given"
    elif args.demo:
        from tracker.demonstration import demo_camera

        camera, origin = demo_camera(), "given"
    hand, hand_scale = load_hand(args.hand) if args.hand else (None, "default")
    tracker = HandTracker(
        camera,
        args.hands,
        mirrored=args.mirrored,
        hand=hand,
        predictor=load_predictor(args.weights, args.runtime, args.device),
        detector=load_detector(args.detector_weights, args.runtime, args.device),
        fov_deg=args.fov,
    )
    viewer = args.viewer or ("window" if args.webcam is not None else "none")
    window = WindowViewer(mirror=args.webcam is not None) if viewer == "window" else None
    return tracker, Outputs(args.output, args.overlay, window, origin, hand_scale)


def _train_detector(arguments: list[str]) -> int:
    from tracker import train_detector

    parser = argparse.ArgumentParser("tracker train-detector", description=train_detector.__doc__)
    train_detector.add_arguments(parser)
    train_detector.run(parser.parse_args(arguments))
    return 0


def _track_path(text: str) -> Path:
    path = Path(text)
    if path.suffix not in _SUFFIXES:
        raise argparse.ArgumentTypeError(f"{text}: tracks are written as {', '.join(_SUFFIXES)}")
    return path


def _video_path(text: str) -> Path:
    path = Path(text)
    if path.suffix != ".mp4":
        raise argparse.ArgumentTypeError(f"{text}: an overlay video is an .mp4")
    return path


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one hand has to be looked for")
    return number


def _degrees(text: str) -> float:
    value = float(text)
    if not 1 <= value <= 175:
        raise argparse.ArgumentTypeError("a field of view is between 1 and 175 degrees")
    return value
