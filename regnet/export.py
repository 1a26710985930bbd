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
from handpose.skeleton import N_JOINTS
from handpose.training.run_dir import atomic_write

OPSET = 17
TOLERANCE = 1e-3
_WORTH_HALVING = 1024  # values

Arrays = dict[str, np.ndarray]


def serving_function(model) -> Callable[[Any], dict[str, Any]]:
    """Turn a RegNet model into a function of uint8 crops (N, S, S, 3) that gives the outputs of the ONNX contract.

    Beside them it gives features (N, C), what the scores are judged by: pictures of hands are compared by them.
    """
    import keras
    from keras import ops

    whole = keras.Model(model.input, {**model.output, "features": model.get_layer("pooled").output})

    def serve(images):
        outputs = whole(ops.cast(images, "float32"), training=False)
        return {
            "features": ops.cast(outputs["features"], "float32"),
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
    _halve(graph)
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(graph)
    _write(path, graph.SerializeToString())


def _halve(graph) -> None:
    """Store large weights in half precision and cast them back when the file is loaded: half the size, float32 arithmetic."""
    from onnx import TensorProto, helper, numpy_helper

    casts = []
    for tensor in graph.graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or values.size < _WORTH_HALVING:
            continue
        name = tensor.name
        tensor.CopyFrom(numpy_helper.from_array(values.astype(np.float16), f"{name}_half"))
        casts.append(helper.make_node("Cast", [f"{name}_half"], [name], to=TensorProto.FLOAT))
    for cast in reversed(casts):
        graph.graph.node.insert(0, cast)


def round_weights(model) -> None:
    """Round a model's large weights to half precision, so that its ONNX and Keras files hold the very same numbers."""
    model.set_weights(
        [w.astype(np.float16).astype(np.float32) if w.size >= _WORTH_HALVING else w for w in model.get_weights()]
    )


def save_half(model, path: Path) -> None:
    """Save Keras weights, the large ones in half precision; loading widens them again."""
    import h5py

    model.save_weights(path)
    with h5py.File(path, "r") as wide:
        names: list[str] = []
        wide.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        draft = path.with_name(f".{path.name}.part")
        with h5py.File(draft, "w") as narrow:
            wide.visititems(lambda name, item: _copy_group(narrow, name, item))
            for name in names:
                values = np.asarray(wide[name][()])
                large = values.dtype == np.float32 and values.size >= _WORTH_HALVING
                narrow.create_dataset(name, data=values.astype(np.float16) if large else values)
            narrow.attrs.update(wide.attrs)
    os.replace(draft, path)


def _copy_group(target, name: str, item) -> None:
    if not hasattr(item, "shape"):
        target.require_group(name).attrs.update(item.attrs)


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
    round_weights(model)
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
    save_half(model, weights)
    write_card(path.with_suffix(".json"), card, (path, weights))
    return found


def _card(config: dict[str, Any]) -> dict[str, Any]:
    """Keep of a run's configuration what tells the weights apart; sources by name, for folders are the trainer's own affair."""
    kept = ("network", "input_size", "projection", "sources", "mix", "steps", "minutes", "batch_size")
    card = {key: config[key] for key in kept if key in config}
    if "sources" in card:
        card["sources"] = [Path(source).name for source in card["sources"]]
    return card


def write_card(path: Path, card: dict[str, Any], files: tuple[Path, ...]) -> None:
    """Write the card of exported weights: what they are, and the SHA-256 of each file."""
    sums = {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in files}
    _write(path, json.dumps({**card, "sha256": sums}, indent=1).encode())


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
