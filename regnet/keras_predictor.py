"""RegNet run by Keras itself, for `--runtime keras`: slower, but it takes any training run and any Keras backend."""

from __future__ import annotations

from pathlib import Path

import numpy as np


class KerasNetwork:
    """A trained network with the outputs of the ONNX contract.

    `device` is "cpu", "gpu" or "auto" (Keras' own choice). Raises HandposeError where the weights cannot be used.
    """

    def __init__(self, path: str | Path, device: str = "auto"):
        import keras

        from regnet.export import serving_function
        from regnet.networks import load

        self._scope = keras.device if device != "auto" else None
        self._device = f"{device}:0"
        self._to_numpy = keras.ops.convert_to_numpy
        model, config = load(path)
        self.input_size: int = config["input_size"]
        self.name = f"{model.name} {path}"
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

        return tf.function(function, reduce_retracing=True)
    if backend == "jax":
        import jax

        return jax.jit(function)
    return function
