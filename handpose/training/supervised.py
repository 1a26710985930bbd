"""A network that learns from targets: Muon, a warm-up and cosine decay, and the moving average, which is what counts in the end."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager
from pathlib import Path

import keras
import numpy as np

from handpose.training import backend, checkpoint
from handpose.training.freeze import freeze
from handpose.training.muon import Muon
from handpose.training.options import RunConfig
from handpose.training.weights import save_weights

WARM_UP_STEPS, _WARM_UP_SHARE = 300, 0.1  # whichever is shorter
WEIGHT_DECAY = 0.02
CLIP_NORM = 5.0


class Supervised:
    """The `Learner` of a `model` and its `losses(outputs, targets)`; a batch holds the pictures under "image", beside the targets."""

    def __init__(self, model: keras.Model, losses: backend.LossFunction, config: RunConfig):
        freeze(model, config.freeze)
        self.model, self.learning_rate = model, config.learning_rate
        self.optimizer = backend.gradient_scaled(
            Muon(config.learning_rate, weight_decay=WEIGHT_DECAY, clipnorm=CLIP_NORM)
        )
        self.average = checkpoint.MovingAverage(model)
        self._step = backend.make_train_step(model, losses, self.optimizer)

    def step(self, number: int, batch: dict[str, np.ndarray], progress: float) -> dict[str, float]:
        """Learn from a batch; give the losses."""
        self.optimizer.learning_rate.assign(self.learning_rate * _schedule(number, progress))
        losses = self._step(batch["image"], {name: batch[name] for name in batch if name != "image"})
        self.average.update(number + 1)
        return losses

    def averaged(self) -> AbstractContextManager[keras.Model]:
        """Give the model with its averaged weights."""
        return self.average.in_place()

    def keep(self, folder: Path, best: bool) -> None:
        """Write model.weights.h5 and, where it is the `best`, best.weights.h5."""
        for name in ["model"] + ["best"] * best:
            save_weights(self.model, folder / f"{name}.weights.h5")

    def values(self) -> dict[str, list[np.ndarray]]:
        """Give weights, their average and the optimiser's state."""
        return {
            "weight": self.model.get_weights(), "average": self.average.values,
            "optimizer": checkpoint.values_of(self.optimizer.variables),
        }  # fmt: skip

    def assign(self, values: dict[str, list[np.ndarray]]) -> None:
        """Take them back. Raises ValueError where the networks differ."""
        self.model.set_weights(values["weight"])
        self.average.values = values["average"]
        checkpoint.assign_to(self.optimizer.variables, values["optimizer"])


def _schedule(step: int, progress: float) -> float:
    """Linear warm-up, over the first tenth of a run that is short; then cosine decay to nothing."""
    warm = max((step + 1) / WARM_UP_STEPS, progress / _WARM_UP_SHARE)
    return min(1.0, warm) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
