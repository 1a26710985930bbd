"""`geocongan export`: a trained synth2real as one ONNX file, checked against Keras; RegNet's training and `translate` take it.

geocongan export --weights runs/geocongan --o synth2real.onnx

The file takes crops of left hands on white, uint8, and gives them translated, 0..255. It computes in float32; weights of a network
above 25 MB are stored in half precision.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np

from geocongan.translator import WEIGHTS_SUFFIX, load_generator, serving_function
from handpose.errors import HandposeError
from handpose.runtime import load_network
from handpose.synthesis.translated import OUTPUT

_TOLERANCE = 0.5  # of 255: no pixel may change by a whole step
_LARGEST_MB = 25


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan export`."""
    add = parser.add_argument
    add("--weights", type=Path, required=True, metavar="RUN|FILE", help="run of geocongan train, or .weights.h5")
    add("--o", type=Path, required=True, metavar="FILE.onnx", help="what to write, with a .json card beside it")


def run(args: argparse.Namespace) -> None:
    """Export, compare and say what was written."""
    difference = export(args.weights, args.o)
    print(f"largest difference from Keras on a test pattern: {difference:.1e} of 255")
    print(f"wrote {args.o} ({args.o.stat().st_size / 1e6:.1f} MB) and {args.o.with_suffix('.json').name}")


def export(weights: Path, path: Path) -> float:
    """Write a translator to `path` (.onnx) and its card beside it; give the largest difference from Keras.

    Raises HandposeError where it cannot be written or differs too much, and then leaves no file.
    """
    from handpose.training.exported import round_weights, to_onnx, write_card, write_onnx

    if path.suffix != ".onnx" or weights.suffix == ".onnx":
        raise HandposeError(f"{weights} to {path}: export takes a run or a {WEIGHTS_SUFFIX} file and writes .onnx")
    if not path.parent.is_dir():
        raise HandposeError(f"{path.parent}: no such folder")
    model, config = load_generator(weights)
    halved = 4 * model.count_params() > 1e6 * _LARGEST_MB
    if halved:  # Keras is to hold the very numbers of the file
        round_weights(model)
    names = ("size", "filters", "blocks", "steps", "minutes", "geometric", "silnet_sha256")
    card = {"network": "synth2real", **{name: config[name] for name in names if name in config}, "halved": halved}
    draft = path.with_name(f".{path.stem}.part.onnx")
    try:
        graph = to_onnx(serving_function(model), config["size"])
        write_onnx(graph, draft, card, weights=model.get_weights(), halved=halved)
        difference = _difference(model, config["size"], draft)
        if difference > _TOLERANCE:
            raise HandposeError(f"the export differs from Keras by {difference:.2g} of 255, allowed is {_TOLERANCE}")
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)
    write_card(path.with_suffix(".json"), card, (path,))
    return difference


def _difference(model, size: int, path: Path) -> float:
    """Compare Keras with the file on gradients and noise."""
    from handpose.training.exported import test_pattern

    pictures = test_pattern(size)
    found = load_network(path, "onnx", "cpu", (OUTPUT,))(pictures)[OUTPUT]
    return float(np.abs(found - np.asarray(serving_function(model)(pictures)[OUTPUT])).max())
