"""RegNet run by Keras itself, for `--runtime keras`: slower, but it takes any training run and any Keras backend."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from handpose.errors import HandposeError
from handpose.runtime import read_weights


class KerasNetwork:
    """A trained network with the outputs of the ONNX contract. input_size: S [px]. name, sha256: of the weights file.

    `device` is "cpu", "gpu" or "auto" (Keras' own choice); where there is no GPU, a line on stderr says so and the CPU serves. Raises
    HandposeError where Keras is missing or the weights cannot be used.
    """

    def __init__(self, path: str | Path, device: str = "auto"):
        try:
            import keras
        except ImportError as error:
            raise HandposeError(
                '--runtime keras needs Keras and TensorFlow: pip install "ganerated-hands[train]"'
            ) from error
        from regnet.exporter import serving_function
        from regnet.networks import find_weights, load

        if device == "gpu" and not keras.distribution.list_devices("gpu"):
            print(f"no GPU that Keras on {keras.backend.backend()} can use: running on the CPU", file=sys.stderr)
            device = "cpu"
        self._scope = keras.device if device != "auto" else None
        self._device = f"{device}:0"
        self._to_numpy = keras.ops.convert_to_numpy
        weights = find_weights(Path(path))
        model, config = load(weights)
        self.input_size: int = config["input_size"]
        self.name, (_, self.sha256) = weights.name, read_weights(weights)
        self._function = _compiled(serving_function(model), keras.backend.backend())

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        if self._scope is None:
            return self._run(images)
        with self._scope(self._device):
            return self._run(images)

    def _run(self, images: np.ndarray) -> dict[str, np.ndarray]:
        return {name: self._to_numpy(value) for name, value in self._function(images).items()}


def _compiled(function, backend: str):
    """Compile a function of an array on the backends that can; Torch runs it as it is."""
    if backend == "tensorflow":
        import tensorflow as tf

        return tf.function(function, reduce_retracing=True, autograph=False)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function
