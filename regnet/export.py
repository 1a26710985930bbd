"""`regnet export`: a trained network as one ONNX file, checked against Keras.

The file takes crops of left hands, uint8, and holds the normalisation; its outputs are those of the ONNX contract, 0..1 where chances.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import logging
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.run_dir import atomic_write
from handpose.skeleton import N_JOINTS

OPSET = 17
TOLERANCE = 1e-3

Arrays = dict[str, np.ndarray]


def serving_function(model) -> Callable[[Any], dict[str, Any]]:
    """Turn a RegNet model into a function of uint8 crops (N, S, S, 3) that gives the outputs of the ONNX contract."""
    from keras import ops

    def serve(images):
        outputs = model(ops.cast(images, "float32"), training=False)
        return {
            "heatmaps": ops.transpose(outputs["heatmaps"][..., :N_JOINTS], (0, 3, 1, 2)),
            "joints_rel": outputs["joints_rel"],
            **{name: ops.sigmoid(outputs[name]) for name in ("confidence", "presence", "left")},
        }

    return serve


def write_onnx(
    function: Callable[[Any], dict[str, Any]], input_size: int, path: Path, metadata: dict[str, Any]
) -> None:
    """Write a function of uint8 pictures (N, S, S, 3) to an ONNX file with the input `image` and its outputs by name.

    `metadata` goes into the file. Raises HandposeError on a Keras backend other than TensorFlow.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        raise HandposeError("export needs the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    import onnx
    import tensorflow as tf
    import tf2onnx

    signature = [tf.TensorSpec((None, input_size, input_size, 3), tf.uint8, name="image")]

    @tf.function(input_signature=signature)
    def named(image):
        return {name: tf.identity(value, name=name) for name, value in function(image).items()}

    graph, _ = tf2onnx.convert.from_function(named, input_signature=signature, opset=OPSET)
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(graph)
    _write(path, graph.SerializeToString())


def run_onnx(path: Path, images: np.ndarray) -> Arrays:
    """Run pictures (N, S, S, 3) through an ONNX file on the CPU."""
    import onnxruntime

    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(None, {"image": images}), strict=True))


def differences(exported: Arrays, reference: dict[str, Any]) -> dict[str, float]:
    """Give the largest absolute difference of each output."""
    return {name: float(np.abs(exported[name] - np.asarray(value)).max()) for name, value in reference.items()}


def export(run: Path, path: Path, images: np.ndarray | None = None) -> dict[str, float]:
    """Export a trained network: `path` (.onnx), and beside it its Keras weights and a .json of what it is.

    Keras and ONNX Runtime must agree on `images` (N, S, S, 3) uint8, by default noise and gradients, to `TOLERANCE`; the largest
    differences are returned. Raises HandposeError where they do not agree, and then leaves no file.
    """
    from regnet.networks import WEIGHTS_SUFFIX, load

    if path.suffix != ".onnx":
        raise HandposeError(f"{path}: the exported file must end in .onnx")
    if not path.parent.is_dir():
        raise HandposeError(f"{path.parent}: no such folder")
    model, config = load(run)
    card = _card(config)
    serve = serving_function(model)
    if images is None:
        images = test_pattern(config["input_size"])

    draft = path.with_name(f".{path.name}.part")
    try:
        write_onnx(serve, config["input_size"], draft, card)
        found = differences(run_onnx(draft, images), serve(images))
        if max(found.values()) > TOLERANCE:
            raise HandposeError(
                f"the export differs from Keras by {max(found.values()):.2g}, allowed are {TOLERANCE:g}: {found}"
            )
        os.replace(draft, path)
    finally:
        draft.unlink(missing_ok=True)

    weights = path.with_name(path.stem + WEIGHTS_SUFFIX)
    model.save_weights(weights)
    card["sha256"] = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in (path, weights)}
    _write(path.with_suffix(".json"), json.dumps(card, indent=1).encode())
    return found


def _card(config: dict[str, Any]) -> dict[str, Any]:
    """Keep of a run's configuration what tells the weights apart; sources by name, for folders are the trainer's own affair."""
    kept = ("network", "input_size", "projection", "sources", "mix", "steps", "minutes", "batch_size")
    card = {key: config[key] for key in kept if key in config}
    if "sources" in card:
        card["sources"] = [Path(source).name for source in card["sources"]]
    return card


def test_pattern(size: int) -> np.ndarray:
    """Make pictures (4, S, S, 3) uint8 of noise and gradients, always the same."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size)
    smooth = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=-1)
    noise = rng.integers(0, 256, (2, size, size, 3))
    return np.concatenate([smooth[None], smooth[None, ::-1], noise]).astype(np.uint8)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet export`."""
    parser.add_argument(
        "--i", default="runs/regnet", metavar="RUN", help="run folder or FILE.weights.h5 (default: runs/regnet)"
    )
    parser.add_argument("--o", metavar="FILE.onnx", help="what to write (default: regnet.onnx in the run folder)")
    parser.add_argument("--photos", metavar="DIR", help="labelled photo set whose hands the two are compared on")


def run(args: argparse.Namespace) -> None:
    """Export, compare and say what was written."""
    source = Path(args.i)
    folder = source if source.is_dir() else source.parent
    path = Path(args.o) if args.o else folder / "regnet.onnx"
    images = _photo_crops(Path(args.photos), source) if args.photos else None
    found = export(source, path, images)
    shown = "a test pattern" if images is None else f"{len(images)} hands of {args.photos}"
    print(
        f"largest difference from Keras on {shown}: "
        + ", ".join(f"{name} {value:.1e}" for name, value in found.items())
    )
    print(f"wrote {path} ({path.stat().st_size / 1e6:.1f} MB), its Keras weights and {path.with_suffix('.json').name}")


def _photo_crops(folder: Path, source: Path, count: int = 32) -> np.ndarray:
    from regnet.labelled import labelled_windows
    from regnet.networks import configuration

    size = configuration(source)["input_size"]
    windows, _ = labelled_windows(folder, size, count)
    return np.stack([window.image for window in windows])


def _write(path: Path, content: bytes) -> None:
    try:
        atomic_write(path, content)
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
