"""The options of the command `tracker` and of its subcommands `smooth`, `report` and `calibrate`."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from handpose.errors import HandposeError

if TYPE_CHECKING:
    from tracker.sources import Source

ANIMATED = (".bvh", ".glb")
RECORDING = ".rrd"
_TRACKS = (".jsonl", ".csv", ".npz", *ANIMATED)
_HAND_LENGTHS_MM = (80, 260)


def parse_track(arguments: list[str]) -> argparse.Namespace:
    """Read the options of `tracker`."""
    parser = argparse.ArgumentParser(
        "tracker",
        description="Track hands: 21 joints in pixels and millimetres and 26 joint parameters for each hand and frame.",
        epilog="`tracker smooth --help` tells how to smooth the tracks of a finished clip, `tracker report --help` how good they are, "
        "`tracker calibrate --help` how to measure your hand, `tracker train-detector --help` how to train the detector.",
    )
    source = add_sources(parser)
    source.add_argument("--demo", action="store_true", help="a rendered clip that comes along, whose truth is known")
    _add_outputs(parser, *_TRACKS, RECORDING, default=[])
    parser.add_argument(
        "--overlay",
        type=path_ending(".mp4", told="an overlay video is an"),
        metavar="FILE.mp4",
        help="the video with the skeletons drawn on it",
    )
    parser.add_argument("--hands", type=_count, default=2, metavar="N", help="at most so many hands (default 2)")
    parser.add_argument(
        "--hand", type=Path, metavar="hand.json", help="your hand, as `tracker calibrate` writes it, or its scale_mm"
    )
    _add_seeing(parser)
    args = parser.parse_args(arguments)
    if args.demo and (args.camera or args.fov or args.mirrored):
        parser.error("--demo has a camera of its own, which its truth needs: leave --camera, --fov and --mirrored away")
    return args


def parse_smooth(arguments: list[str]) -> argparse.Namespace:
    """Read the options of `tracker smooth`."""
    parser = _parser_of_tracks(
        "tracker smooth",
        "Smooth the tracks of a finished clip both ways in time: what the live filter trails is given back, and a hand hidden for "
        "a moment moves on from where it was to where it comes back.",
    )
    _add_outputs(parser, *_TRACKS, required=True)
    return parser.parse_args(arguments)


def parse_report(arguments: list[str]) -> argparse.Namespace:
    """Read the options of `tracker report`."""
    parser = _parser_of_tracks(
        "tracker report",
        "Tell how good the tracks of a clip are where no truth is known: how far beside the fitted hand its joints were seen, "
        "how often it is bent beyond the limits of its joints, how much it trembles, and where it was lost.",
    )
    parser.add_argument(
        "--output",
        type=path_ending(".json", told="figures are kept as a"),
        metavar="FILE.json",
        help="keeps the figures",
    )
    return parser.parse_args(arguments)


def parse_calibrate(arguments: list[str]) -> argparse.Namespace:
    """Read the options of `tracker calibrate`."""
    parser = argparse.ArgumentParser(
        "tracker calibrate",
        description="Measure your hand for --hand: lay it flat and take its length with a ruler, then show it, open and its palm or back "
        "to the camera, for some seconds, alone.",
    )
    add_sources(parser)
    parser.add_argument(
        "--hand-length", type=_hand_length, required=True, metavar="MM",
        help="from the crease of the wrist to the tip of the middle finger [mm]",
    )  # fmt: skip
    parser.add_argument(
        "--output",
        type=path_ending(".json", told="a hand is kept as a"),
        default=Path("hand.json"),
        metavar="FILE",
        help="default hand.json",
    )
    _add_seeing(parser)
    return parser.parse_args(arguments)


def add_sources(parser: argparse.ArgumentParser) -> argparse._MutuallyExclusiveGroup:
    """Declare what `open_source` opens, of which one has to be given; the group can be added to."""
    source = parser.add_mutually_exclusive_group(required=True)
    source.add_argument("--webcam", nargs="?", const=0, type=int, metavar="N", help="a webcam, by default number 0")
    source.add_argument("--video", type=Path, metavar="FILE", help="a video file")
    source.add_argument("--images", type=Path, metavar="DIR", help="a folder of pictures, each on its own")
    parser.set_defaults(demo=False)
    return source


def open_source(args: argparse.Namespace) -> Source:
    """Open the frames that the options name. Raises HandposeError where they cannot be read."""
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


def path_ending(*suffixes: str, told: str) -> Callable[[str], Path]:
    """Give an option's type: a path that ends in one of `suffixes`; `told` begins what is said of any other."""

    def path_of(text: str) -> Path:
        path = Path(text)
        if path.suffix not in suffixes:
            raise argparse.ArgumentTypeError(f"{text}: {told} {', '.join(suffixes)}")
        return path

    return path_of


def _parser_of_tracks(name: str, description: str) -> argparse.ArgumentParser:
    """Begin the options of a command that reads the tracks of a clip."""
    parser = argparse.ArgumentParser(name, description=description)
    parser.add_argument(
        "--i", type=path_ending(".jsonl", told="tracks are read from"), required=True, metavar="TRACKS.jsonl",
        help="what `tracker --output` wrote",
    )  # fmt: skip
    return parser


def _add_outputs(parser: argparse.ArgumentParser, *suffixes: str, **option: Any) -> None:
    """Add where tracks go."""
    parser.add_argument(
        "--output", type=path_ending(*suffixes, told="tracks are written as"), nargs="+", action="extend", metavar="FILE",
        help=f"where the tracks go, any number of files: {', '.join(suffixes)}", **option,
    )  # fmt: skip


def _add_seeing(parser: argparse.ArgumentParser) -> None:
    """Add how frames are seen and shown."""
    parser.add_argument(
        "--viewer", choices=("window", "rerun", "none"), help="default: window with --webcam, otherwise none"
    )
    parser.add_argument("--mirrored", action="store_true", help="the feed is a selfie mirror: it is turned back first")
    camera = parser.add_mutually_exclusive_group()
    camera.add_argument(
        "--camera", type=Path, metavar="camera.json", help="intrinsics: fx, fy, cx, cy, size_px, distortion"
    )
    camera.add_argument(
        "--fov", type=_degrees, metavar="DEG", help="horizontal field of view (default: 60 across the longer side)"
    )
    parser.add_argument("--runtime", choices=("auto", "openvino", "onnx", "keras"), default="auto")
    parser.add_argument("--device", choices=("auto", "cpu", "gpu"), default="auto")
    parser.add_argument(
        "--weights", type=Path, metavar="FILE.onnx", help="another RegNet than the one that comes along"
    )
    parser.add_argument("--detector-weights", type=Path, metavar="FILE.onnx", help="another detector")


def _count(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError("at least one hand has to be looked for")
    return number


def _degrees(text: str) -> float:
    from handpose.camera import check_fov  # with NumPy, which --help does not need

    value = float(text)
    try:
        check_fov(value)
    except HandposeError as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return value


def _hand_length(text: str) -> float:
    value, (least, most) = float(text), _HAND_LENGTHS_MM
    if not least <= value <= most:
        raise argparse.ArgumentTypeError(
            f"a hand is {least} to {most} mm long, from the wrist to the middle finger's tip"
        )
    return value
