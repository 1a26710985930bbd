"""Checkpoints that resume exactly: all that the next step depends on, in one file without pickles; and the moving average of weights."""

from __future__ import annotations

import io
import json
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
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

    @contextmanager
    def in_place(self) -> Iterator[keras.Model]:
        """Give the model with its averaged weights, and its own ones back in the end."""
        own = [np.array(value) for value in self.model.get_weights()]
        self.model.set_weights(self.values)
        try:
            yield self.model
        finally:
            self.model.set_weights(own)


def save(folder: Path, values: dict[str, list[np.ndarray]], state: dict[str, Any]) -> None:
    """Write groups of arrays and a state of plain values as the folder's checkpoint; one that exists stays whole until the new one is."""
    arrays = {f"{name}{i}": value for name, group in values.items() for i, value in enumerate(group)}
    arrays["state"] = np.frombuffer(json.dumps(state).encode(), np.uint8)
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **arrays)
    atomic_write(folder / CHECKPOINT_NAME, buffer.getvalue())


def restore(folder: Path, assign: Callable[[dict[str, list[np.ndarray]]], None]) -> dict[str, Any]:
    """Have a checkpoint's groups assigned, a missing one as an empty one; return the state.

    Raises HandposeError where it is missing, torn or of other networks.
    """
    path = folder / CHECKPOINT_NAME
    values: dict[str, list[np.ndarray]] = defaultdict(list)
    try:
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:  # in the order they were written in
                values[name.rstrip("0123456789")].append(stored[name])
        state = json.loads(values.pop("state")[0].tobytes())
    except FileNotFoundError as error:
        raise HandposeError(f"{path}: no checkpoint to resume from") from error
    except (OSError, ValueError, KeyError, BadZipFile) as error:
        raise HandposeError(f"{path}: not a checkpoint ({error})") from error
    try:
        assign(values)
    except ValueError as error:
        raise HandposeError(f"{path}: not a checkpoint of these networks ({error})") from error
    return state


def values_of(variables) -> list[np.ndarray]:
    """Give the values of Keras variables."""
    return [variable.numpy() for variable in variables]  # one that lies on several devices is no array by itself


def assign_to(variables, values: list[np.ndarray]) -> None:
    """Set Keras variables. Raises ValueError where number or shapes differ."""
    if [tuple(variable.shape) for variable in variables] != [value.shape for value in values]:
        raise ValueError("other networks, or of an older version: --init begins anew from weights")
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
