"""The five networks of GeoConGAN as one `Learner` of the training loop."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import keras
import numpy as np

from geocongan.backend import make_step
from geocongan.image_pool import ImagePool
from geocongan.losses import Weights, judge_losses, translator_losses
from geocongan.networks import build_discriminator, build_generator, build_silnet
from geocongan.train_silnet import silnet_file
from handpose.errors import HandposeError
from handpose.training import checkpoint
from handpose.training.backend import gradient_scaled
from handpose.training.run_dir import RunDir
from handpose.training.weights import load_weights, save_weights

TRANSLATORS, JUDGES = ("synth2real", "real2synth"), ("judge_real", "judge_synth")
_BETA_1 = 0.5
_AVERAGED_OVER = 0.995  # momentum of the translators' moving average


@dataclass(frozen=True)
class GanSize:
    """Side of the pictures [px], channels of the first layers, and residual blocks."""

    size: int = 256
    filters: int = 64
    blocks: int = 9


class Gan:
    """The networks by name, their optimisers, pools and averages. `silnet` is frozen; without one the geometric term must be 0."""

    def __init__(
        self, shape: GanSize, weights: Weights, silnet: keras.Model | None, learning_rate: float, seed: int = 0
    ):
        self.learning_rate, self.seed = learning_rate, seed
        self.networks = {name: build_generator(shape.size, shape.filters, shape.blocks, name) for name in TRANSLATORS}
        self.networks |= {name: build_discriminator(shape.size, shape.filters, name) for name in JUDGES}
        if silnet is not None:
            silnet.trainable = False
            self.networks["silnet"] = silnet
        self.optimizers = [_optimizer(learning_rate) for _ in range(2)]
        self._translate_step = make_step(
            self.networks, TRANSLATORS, lambda call, batch: translator_losses(call, batch, weights), self.optimizers[0]
        )
        self._judge_step = make_step(self.networks, JUDGES, judge_losses, self.optimizers[1])
        self.pools = {"as_real": ImagePool(), "as_synthetic": ImagePool()}
        self.averages = {name: checkpoint.MovingAverage(self.networks[name], _AVERAGED_OVER) for name in TRANSLATORS}

    def step(self, number: int, batch: dict[str, np.ndarray], progress: float) -> dict[str, float]:
        """Train translators, then judges, by a batch of both sides; give the losses.

        The learning rate is constant, and in the second half falls linearly to nothing, as CycleGAN's.
        """
        for optimizer in self.optimizers:
            optimizer.learning_rate.assign(self.learning_rate * min(1.0, 2 * (1 - progress)))
        losses, pictures = self._translate_step(batch)
        rng = np.random.default_rng((self.seed, 6, number))
        shown = {name: self.pools[name].exchange(rng, np.asarray(pictures[name], np.float32)) for name in self.pools}
        judged, _ = self._judge_step({"real": batch["real"], "synthetic": batch["synthetic"], **shown})
        for average in self.averages.values():
            average.update(number + 1)
        return {**losses, "judges": judged["loss"]}

    @contextmanager
    def averaged(self) -> Iterator[dict[str, keras.Model]]:
        """Give the translators by name with their averaged weights."""
        with ExitStack() as stack:
            yield {name: stack.enter_context(average.in_place()) for name, average in self.averages.items()}

    def keep(self, folder: Path, best: bool) -> None:
        """Write each translator's _last.weights.h5 and, where they are the `best`, its _best.weights.h5."""
        for name in TRANSLATORS:
            for kind in ["last"] + ["best"] * best:
                save_weights(self.networks[name], folder / f"{name}_{kind}.weights.h5")

    def start_from(self, path: Path) -> None:
        """Begin with the translators of another run: `path` is its synth2real_*.weights.h5, real2synth lies beside it.

        Raises HandposeError where it is named otherwise, or either file is not that of such a network.
        """
        if TRANSLATORS[0] not in path.name:
            raise HandposeError(
                f"{path}: --init takes {TRANSLATORS[0]}_*.weights.h5 of a run, {TRANSLATORS[1]} beside it"
            )
        for name, average in self.averages.items():
            load_weights(self.networks[name], path.with_name(path.name.replace(TRANSLATORS[0], name)))
            average.values = [np.array(value) for value in self.networks[name].get_weights()]

    def values(self) -> dict[str, list[np.ndarray]]:
        """Give everything that the next step depends on."""
        values = {name: self.networks[name].get_weights() for name in TRANSLATORS + JUDGES}
        values |= {f"{name}_average": average.values for name, average in self.averages.items()}
        values |= {f"adam_{i}_": checkpoint.values_of(one.variables) for i, one in enumerate(self.optimizers)}
        values |= {f"pool_{name}": [pool.pictures] for name, pool in self.pools.items() if pool.pictures is not None}
        return values

    def assign(self, values: dict[str, list[np.ndarray]]) -> None:
        """Take it back. Raises ValueError where the networks differ."""
        for name in TRANSLATORS + JUDGES:
            self.networks[name].set_weights(values[name])
        for name, average in self.averages.items():
            average.values = values[f"{name}_average"]
        for i, optimizer in enumerate(self.optimizers):
            checkpoint.assign_to(optimizer.variables, values[f"adam_{i}_"])
        for name, pool in self.pools.items():
            pool.pictures = next(iter(values[f"pool_{name}"]), None)


def _optimizer(learning_rate: float) -> keras.optimizers.Optimizer:
    """Make CycleGAN's Adam."""
    return gradient_scaled(keras.optimizers.Adam(learning_rate, beta_1=_BETA_1))


def load_silnet(folder: Path, size: int) -> keras.Model:
    """Build the SilNet of a run of `geocongan train-silnet` and fill it. Raises HandposeError where that is none of this size."""
    _, config = RunDir.resume(folder)
    if config.get("size") != size or "filters" not in config:
        raise HandposeError(f"{folder}: no SilNet for pictures of {size} px")
    model = build_silnet(size, config["filters"])
    load_weights(model, silnet_file(folder))
    return model
