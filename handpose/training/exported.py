"""What every exported network shares: an ONNX file, Keras weights beside it, both with large weights in few bytes, and a card."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from handpose.atomic import atomic_write
from handpose.errors import HandposeError
from handpose.outputs import write_json
from handpose.training.rounding import LARGE, as_bytes, rounded

OPSET = 17
_SAME = 1e-5  # the converter's own rounding, in parts of the largest weight
_TINY = 1e-12
# Level 9 packs 2% better and takes nine times as long: 24 s for the light network.
_PACKED: dict[str, Any] = {"dtype": "f2", "compression": "gzip", "compression_opts": 6, "shuffle": True}


def to_onnx(function: Callable[[Any], dict[str, Any]], input_size: int):
    """Convert a function of uint8 pictures (N, S, S, 3) to an ONNX model with the input `image` and its outputs by name.

    That takes nearly all of the time of writing a file. Raises HandposeError on a Keras backend other than TensorFlow.
    """
    tf = tensorflow()
    logging.getLogger("tf2onnx").setLevel(logging.ERROR)
    import tf2onnx

    signature = [tf.TensorSpec((None, input_size, input_size, 3), tf.uint8, name="image")]

    @tf.function(input_signature=signature, autograph=False)
    def named(image):
        return {name: tf.identity(value, name=name) for name, value in function(image).items()}

    return tf2onnx.convert.from_function(named, input_signature=signature, opset=OPSET)[0]


def write_onnx(
    graph, path: Path, metadata: dict[str, Any], *, weights: Sequence[np.ndarray] = (), halved: bool = True
) -> None:
    """Write an ONNX model to a file; `graph` becomes what is in the file.

    `metadata` goes into it; `halved` stores large weights in half precision, kernels among the network's own `weights`, once rounded, as
    bytes. Raises HandposeError where the disk does not take the file.
    """
    import onnx

    if halved:
        halve(graph, [weight for weight in weights if weight.ndim == 4])
    onnx.helper.set_model_props(graph, {key: str(value) for key, value in metadata.items()})
    onnx.checker.check_model(graph)
    try:
        atomic_write(path, graph.SerializeToString())
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error


def halve(graph, kernels: Sequence[np.ndarray] = ()) -> None:
    """Store large weights in half precision, or kernels as bytes, and widen them when the file is loaded to compute in float32.

    The converter has multiplied convolutions' `kernels` (H, W, I, O), which hold rounded numbers, by batch norm's scales, and what it
    made of them does not. So kernels and scales are stored apart, or each weight would be rounded a second time.
    """
    from onnx import TensorProto, helper, numpy_helper

    nodes = []
    for tensor in list(graph.graph.initializer):
        values, name = numpy_helper.to_array(tensor), tensor.name
        if values.dtype != np.float32 or values.size < LARGE:
            continue
        narrow, scales = _narrowed(values, kernels)
        tensor.CopyFrom(numpy_helper.from_array(narrow, f"{name}_narrow"))
        wide = name if scales is None else f"{name}_wide"
        nodes.append(helper.make_node("Cast", [f"{name}_narrow"], [wide], to=TensorProto.FLOAT))
        if scales is not None:
            graph.graph.initializer.append(numpy_helper.from_array(scales, f"{name}_scales"))
            nodes.append(helper.make_node("Mul", [wide, f"{name}_scales"], [name]))
    for node in reversed(nodes):
        graph.graph.node.insert(0, node)


def _narrowed(values: np.ndarray, kernels: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray | None]:
    """Find of which kernel weights (O, I, H, W) are multiples, by a scale for each output (O, 1, 1, 1); without one, half them as they are."""
    for kernel in kernels:
        if kernel.shape != values.shape[2:] + values.shape[1::-1]:
            continue
        wide = np.transpose(kernel, (3, 2, 0, 1))
        square = (wide**2).sum((1, 2, 3), keepdims=True)
        scales = (values * wide).sum((1, 2, 3), keepdims=True) / np.maximum(square, _TINY)
        if np.abs(values - scales * wide).max() > _SAME * np.abs(values).max():
            continue
        narrow, steps = as_bytes(kernel) or (kernel.astype(np.float16), np.float32(1))
        return np.transpose(narrow, (3, 2, 0, 1)), (scales * np.reshape(steps, (-1, 1, 1, 1))).astype(np.float32)
    return values.astype(np.float16), None


def round_weights(model) -> None:
    """Round a model's large weights, so that its exported and Keras files hold the very same numbers."""
    model.set_weights([rounded(weight) for weight in model.get_weights()])


def save_half(model, path: Path) -> None:
    """Save Keras weights, the large ones packed and in half precision, which loading widens again; a file there stays whole until then."""
    import h5py

    with TemporaryDirectory() as folder:
        wide_file, narrow_file = Path(folder) / path.name, Path(folder) / "narrow.h5"
        model.save_weights(wide_file)
        with h5py.File(wide_file, "r") as wide, h5py.File(narrow_file, "w") as narrow:
            names: list[str] = []
            wide.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
            wide.visititems(lambda name, item: _copy_group(narrow, name, item))
            for name in names:
                values = np.asarray(wide[name][()])
                large = values.dtype == np.float32 and values.size >= LARGE
                packed = {**_PACKED, "chunks": values.shape} if large else {}  # small chunks pack a ninth worse
                narrow.create_dataset(name, data=values, **packed)
            narrow.attrs.update(wide.attrs)
        atomic_write(path, narrow_file.read_bytes())


def _copy_group(target, name: str, item) -> None:
    if not hasattr(item, "shape"):
        target.require_group(name).attrs.update(item.attrs)


def write_card(path: Path, card: dict[str, Any], files: Iterable[Path], kept: Mapping[str, str] | None = None) -> None:
    """Write the card of exported weights: what they are, and the SHA-256 of each file, named from the card's folder, `kept` ones too."""
    sums = {file.relative_to(path.parent).as_posix(): sha256_of(file) for file in files}
    write_json(path, {**card, "sha256": {**(kept or {}), **sums}}, indent=1)


def listed(path: Path) -> dict[str, str]:
    """Give the files that a card tells of with their SHA-256; none where there is no card, or none that can be read."""
    try:
        return dict(json.loads(path.read_text())["sha256"])
    except (OSError, ValueError, KeyError, TypeError):
        return {}


def sha256_of(path: Path) -> str:
    """Compute the SHA-256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def tensorflow():
    """Import TensorFlow. Raises HandposeError where Keras runs on something else: the converters read its graphs."""
    import keras

    if keras.backend.backend() != "tensorflow":
        raise HandposeError("export needs the TensorFlow backend: set KERAS_BACKEND=tensorflow")
    import tensorflow as tf

    return tf


def test_pattern(size: int) -> np.ndarray:
    """Make pictures (4, S, S, 3) uint8 of noise and gradients, always the same."""
    rng = np.random.default_rng(0)
    ramp = np.linspace(0, 255, size)
    smooth = np.stack(np.broadcast_arrays(ramp[:, None], ramp[None], ramp[::-1, None]), axis=-1)
    noise = rng.integers(0, 256, (2, size, size, 3))
    return np.concatenate([smooth[None], smooth[None, ::-1], noise]).astype(np.uint8)
