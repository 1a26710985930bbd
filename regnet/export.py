"""`regnet export`: a trained network as ONNX, OpenVINO, LiteRT or SavedModel, checked against Keras and timed beside it.

The file takes crops of left hands, uint8, and holds the normalisation; its outputs are those of the ONNX contract, 0..1 where chances.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np

from handpose.data.options import name_of
from handpose.data.photos import Split
from handpose.errors import HandposeError
from handpose.training.exported import test_pattern
from regnet.export_formats import FORMATS, load_openvino
from regnet.exporter import Exported, differences, export
from regnet.labelled import MADE, find_reader, labelled_windows
from regnet.quantise import CALIBRATION_HANDS

_CHECKED = 32  # hands
_WARM_UP, _TIMED = 10, 60  # runs of one hand
PRECISIONS = ("int8", "bf16")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet export`."""
    add = parser.add_argument
    add("--i", default="runs/regnet", metavar="RUN", help="run folder or FILE.weights.h5 (default: runs/regnet)")
    add(
        "--o",
        type=Path,
        metavar="FILE",
        help="what to write, with an ending or without (default: regnet in the run folder)",
    )
    add("--format", nargs="+", action="extend", choices=FORMATS, help="one or several of %(choices)s (default: onnx)")
    add(
        "--quantize", nargs="+", action="extend", choices=PRECISIONS, default=[],
        help="int8: write such files too, calibrated on the training side of --photos; bf16: time OpenVINO so",
    )  # fmt: skip
    add(
        "--photos", nargs="+", action="extend", type=Path, metavar="DIR",
        help="labelled datasets whose hands the files are compared on (default: those the run was trained on)",
    )  # fmt: skip


def run(args: argparse.Namespace) -> None:
    """Export, compare, time, and say what was written."""
    from regnet.networks import configuration

    formats = list(dict.fromkeys(args.format or ["onnx"]))
    source = Path(args.i)
    stem = _stem(args.o or (source if source.is_dir() else source.parent) / "regnet", formats)
    config = configuration(source)
    folders = args.photos or _trained_on(config)
    if "int8" in args.quantize and not (folders and any(FORMATS[name].can_quantise for name in formats)):
        able = " or ".join(name for name, kind in FORMATS.items() if kind.can_quantise)
        raise HandposeError(f"--quantize int8 needs --format {able}, and --photos DIR: the photographs of training")
    if "bf16" in args.quantize and "openvino" not in formats:
        raise HandposeError("--quantize bf16 is for --format openvino")
    read = tuple(config.get("read", ()))
    hands = _hands(folders, config["input_size"], _CHECKED, read)
    if args.photos and not hands:
        raise _no_hands(folders)
    images = np.stack(hands) if hands else test_pattern(config["input_size"])
    calibration = None
    if "int8" in args.quantize:
        seen = _hands(folders, config["input_size"], CALIBRATION_HANDS, read, "train")
        if not seen:
            raise _no_hands(folders)
        calibration = np.stack(seen)

    exported = export(source, stem, formats, images, calibration)
    keras = exported[0]
    if "bf16" in args.quantize:
        path = stem.parent / f"{stem.name}{FORMATS['openvino'].suffix}"
        halved = load_openvino(path, "bf16")
        exported.append(Exported("openvino bf16", path, halved, differences(halved(images), keras.run(images))))
    names = ", ".join(folder.name for folder in folders)
    print(f"checked on {len(images)} hands of {names}" if hands else "checked on a test pattern: no photographs given")
    print_table(exported, latencies(exported, images[:1]))


def latencies(exported: Sequence[Exported], image: np.ndarray) -> list[float]:
    """Time each on one picture (1, S, S, 3), in turns, so that what else the machine does falls on all alike: medians [ms]."""
    times = np.zeros((_TIMED, len(exported)))
    for turn in range(-_WARM_UP, _TIMED):
        for column, network in enumerate(exported):
            start = time.perf_counter()
            network.run(image)
            if turn >= 0:
                times[turn, column] = 1000 * (time.perf_counter() - start)
    return np.median(times, axis=0).tolist()


def print_table(exported: Sequence[Exported], times_ms: Sequence[float]) -> None:
    """Print a line for each file: its size, the largest difference from Keras and the time of one hand."""
    print(f"{'format':<14} {'size':>9} {'from Keras':>11} {'in':<10} {'one hand':>9}  file")
    for network, time_ms in zip(exported, times_ms, strict=True):
        size = sum(file.stat().st_size for file in network.files()) / 1e6
        worst = max(network.difference, key=network.difference.__getitem__, default="")
        apart = f"{network.difference[worst]:.1e}" if worst else ""
        print(f"{network.name:<14} {size:>6.1f} MB {apart:>11} {worst:<10} {time_ms:>6.1f} ms  {network.path}")


def _stem(path: Path, formats: Sequence[str]) -> Path:
    """Take the ending off a name. Raises HandposeError where it is that of another format."""
    endings = [FORMATS[name].suffix for name in formats]
    if path.suffix not in ("", *endings):
        raise HandposeError(f"{path}: the exported file must end in {' or '.join(endings)}, or in nothing")
    return path.with_suffix("")


def _trained_on(config: dict) -> list[Path]:
    """List the datasets of a run that are still where they were; shards keep no whole pictures."""
    folders = [Path(source) for source in config.get("sources", ()) if source not in MADE]
    readers = {folder: find_reader(folder) for folder in folders}
    return [folder for folder, reader in readers.items() if reader and name_of(reader) != "shards"]


def _hands(
    folders: Sequence[Path], size: int, count: int, read: Sequence[str], split: Split | None = None
) -> list[np.ndarray]:
    """Cut up to `count` labelled hands (S, S, 3) of some folders, right ones mirrored: the network knows left hands."""
    share = -(-count // max(len(folders), 1))
    windows = [
        window for folder in folders for window in labelled_windows(folder, size, share, split=split, read=read)[0]
    ]
    return [window.image[:, ::-1] if window.side == "right" else window.image for window in windows[:count]]


def _no_hands(folders: Sequence[Path]) -> HandposeError:
    return HandposeError(f"{', '.join(map(str, folders))}: no labelled hand in it to show to the network")
