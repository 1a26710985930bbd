"""Checkpoints that resume exactly: weights, their moving average, optimiser and loop state in one file without pickles."""

from __future__ import annotations

import io
import json
from pathlib import Path
from zipfile import BadZipFile

import keras
import numpy as np

from handpose.atomic import atomic_write
from handpose.errors import HandposeError
from handpose.training.run_dir import CHECKPOINT_NAME

_EVERY, _AT_FIRST = 5, 500  # steps: taking in every step's weights costs a tenth of a small network's step


class MovingAverage:
    """The exponential moving average of a model's weights, which tests better than the last ones.

    It starts short and grows to `momentum`, so early checkpoints are no mixture with the random start.
    """

    def __init__(self, model: keras.Model, momentum: float = 0.998):
        self.model, self.momentum = model, momentum
        self.values = [np.array(value) for value in model.get_weights()]

    def update(self, step: int) -> None:
        """Take in the weights after `step` steps; later on every few steps, and as much as if it were every one."""
        every = _EVERY if step > _AT_FIRST else 1
        if step % every:
            return
        momentum = min(self.momentum, (1 + step) / (10 + step)) ** every
        for mean, value in zip(self.values, self.model.get_weights(), strict=True):
            mean += (1 - momentum) * (value - mean)

    def swap(self) -> None:
        """Exchange the model's weights and the averaged ones."""
        current = self.model.get_weights()
        self.model.set_weights(self.values)
        self.values = [np.array(value) for value in current]


def save(folder: Path, model: keras.Model, average: MovingAverage, optimizer, state: dict) -> None:
    """Write a checkpoint; one that exists stays whole until the new one is."""
    groups = {"weight": model.get_weights(), "average": average.values, "optimizer": values_of(optimizer.variables)}
    save_groups(folder, groups, state)


def restore(folder: Path, model: keras.Model, average: MovingAverage, optimizer) -> dict:
    """Read a checkpoint back into its model, average and built optimiser; return the loop state.

    Raises HandposeError where it is missing, torn or of another architecture.
    """
    groups, state = load_groups(folder, ("weight", "average", "optimizer"))
    try:
        model.set_weights(groups["weight"])
        average.values = groups["average"]
        assign(optimizer.variables, groups["optimizer"])
    except ValueError as error:
        raise HandposeError(f"{folder / CHECKPOINT_NAME}: not a checkpoint of this network ({error})") from error
    return state


def values_of(variables) -> list[np.ndarray]:
    """Give the values of Keras variables."""
    return [keras.ops.convert_to_numpy(variable.value) for variable in variables]


def assign(variables, values: list[np.ndarray]) -> None:
    """Set Keras variables. Raises ValueError where number or shapes differ."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)


def save_groups(folder: Path, groups: dict[str, list[np.ndarray]], state: dict) -> None:
    """Write groups of arrays and a state of plain values as the folder's checkpoint."""
    arrays = {f"{name}{i}": value for name, values in groups.items() for i, value in enumerate(values)}
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    atomic_write(folder / CHECKPOINT_NAME, buffer.getvalue())


def load_groups(folder: Path, names: tuple[str, ...]) -> tuple[dict[str, list[np.ndarray]], dict]:
    """Read the groups and the state back. Raises HandposeError where the checkpoint is missing or torn."""
    path = folder / CHECKPOINT_NAME
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in stored.files}
        return {name: _group(arrays, name) for name in names}, json.loads(arrays["state"].tobytes())
    except FileNotFoundError as error:
        raise HandposeError(f"{path}: no checkpoint to resume from") from error
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise HandposeError(f"{path}: not a checkpoint ({error})") from error


def _group(arrays: dict[str, np.ndarray], name: str) -> list[np.ndarray]:
    count = sum(key.rstrip("0123456789") == name for key in arrays)
    return [arrays[f"{name}{i}"] for i in range(count)]
