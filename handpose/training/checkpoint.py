"""Checkpoints that resume exactly: weights, their moving average, optimiser and loop state in one file without pickles."""

from __future__ import annotations

import io
import json
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from handpose.errors import HandposeError
from handpose.training.run_dir import atomic_write

FILE_NAME = "checkpoint.npz"


class MovingAverage:
    """The exponential moving average of a model's weights, which tests better than the last ones.

    It starts short and grows to `momentum`, so early checkpoints are no mixture with the random start.
    """

    def __init__(self, model: keras.Model, momentum: float = 0.998):
        self.model, self.momentum = model, momentum
        self.values = [np.array(value) for value in model.get_weights()]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps."""
        momentum = min(self.momentum, (1 + step) / (10 + step))
        for mean, value in zip(self.values, self.model.get_weights(), strict=True):
            mean += (1 - momentum) * (value - mean)

    def swap(self) -> None:
        """Exchange the model's weights and the averaged ones."""
        current = self.model.get_weights()
        self.model.set_weights(self.values)
        self.values = [np.array(value) for value in current]


def save(folder: Path, model: keras.Model, average: MovingAverage, optimizer, state: dict) -> None:
    """Write a checkpoint; one that exists stays whole until the new one is."""
    arrays = {f"weight{i}": value for i, value in enumerate(model.get_weights())}
    arrays |= {f"average{i}": value for i, value in enumerate(average.values)}
    arrays |= {f"optimizer{i}": keras.ops.convert_to_numpy(v.value) for i, v in enumerate(optimizer.variables)}
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    atomic_write(folder / FILE_NAME, buffer.getvalue())


def restore(folder: Path, model: keras.Model, average: MovingAverage, optimizer) -> dict:
    """Read a checkpoint back into its model, average and built optimiser; return the loop state.

    Raises HandposeError where it is missing, torn or of another architecture.
    """
    path = folder / FILE_NAME
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        model.set_weights(_group(arrays, "weight"))
        average.values = _group(arrays, "average")
        for variable, value in zip(optimizer.variables, _group(arrays, "optimizer"), strict=True):
            variable.assign(value)
        return json.loads(arrays["state"].tobytes())
    except FileNotFoundError as error:
        raise HandposeError(f"{path}: no checkpoint to resume from") from error
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise HandposeError(f"{path}: not a checkpoint of this network ({error})") from error


def _group(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.startswith(name) for key in arrays)
    return [arrays[f"{name}{i}"] for i in range(count)]
