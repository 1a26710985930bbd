"""The five networks of GeoConGAN as one thing that steps, saves, resumes and translates."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from geocongan.backend import make_step
from geocongan.image_pool import ImagePool
from geocongan.losses import Weights, judge_losses, translator_losses
from geocongan.networks import build_discriminator, build_generator, build_silnet
from handpose.errors import HandposeError
from handpose.training import checkpoint
from handpose.training.run_dir import RunDir
from handpose.training.weights import load_weights

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
        self.seed = seed
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

    def step(self, number: int, batch: dict[str, np.ndarray], learning_rate: float) -> dict[str, float]:
        """Train translators, then judges, by a batch of both sides; give the losses."""
        for optimizer in self.optimizers:
            optimizer.learning_rate.assign(learning_rate)
        losses, pictures = self._translate_step(batch)
        rng = np.random.default_rng((self.seed, 6, number))
        shown = {name: self.pools[name].exchange(rng, np.asarray(pictures[name], np.float32)) for name in self.pools}
        judged, _ = self._judge_step({"real": batch["real"], "synthetic": batch["synthetic"], **shown})
        for average in self.averages.values():
            average.update(number)
        return {**losses, "judges": judged["loss"]}

    def averaged(self, name: str) -> Averaged:
        """Use a translator with its averaged weights: `with gan.averaged("synth2real") as model`."""
        return Averaged(self.averages[name])

    def start_from(self, path: Path) -> None:
        """Begin with the translators of another run: `path` is its synth2real_*.weights.h5, real2synth lies beside it."""
        for name, average in self.averages.items():
            load_weights(self.networks[name], path.with_name(path.name.replace("synth2real", name)))
            average.values = [np.array(value) for value in self.networks[name].get_weights()]

    def save(self, folder: Path, state: dict[str, Any]) -> None:
        """Write everything that the next step depends on."""
        groups = {name: self.networks[name].get_weights() for name in TRANSLATORS + JUDGES}
        groups |= {f"{name}_average": average.values for name, average in self.averages.items()}
        groups |= {f"adam_{i}_": checkpoint.values_of(one.variables) for i, one in enumerate(self.optimizers)}
        groups |= {f"pool_{name}": [pool.pictures] for name, pool in self.pools.items() if pool.pictures is not None}
        checkpoint.save_groups(folder, groups, state)

    def restore(self, folder: Path) -> dict[str, Any]:
        """Read it back; give the state. Raises HandposeError where it is missing or torn, ValueError where the networks differ."""
        names = (*TRANSLATORS, *JUDGES, *(f"{name}_average" for name in TRANSLATORS))
        extra = (*(f"adam_{i}_" for i in range(2)), *(f"pool_{name}" for name in self.pools))
        groups, state = checkpoint.load_groups(folder, (*names, *extra))
        for name in TRANSLATORS + JUDGES:
            self.networks[name].set_weights(groups[name])
        for name, average in self.averages.items():
            average.values = groups[f"{name}_average"]
        for i, optimizer in enumerate(self.optimizers):
            checkpoint.assign(optimizer.variables, groups[f"adam_{i}_"])
        for name, pool in self.pools.items():
            pool.pictures = groups[f"pool_{name}"][0] if groups[f"pool_{name}"] else None
        return state


def _optimizer(learning_rate: float) -> keras.optimizers.Optimizer:
    """Make CycleGAN's Adam; gradients in half precision are scaled, or they would vanish."""
    adam = keras.optimizers.Adam(learning_rate, beta_1=_BETA_1)
    half = keras.config.dtype_policy().compute_dtype == "float16"
    return keras.optimizers.LossScaleOptimizer(adam) if half else adam


class Averaged:
    """A context in which a model has its averaged weights."""

    def __init__(self, average: checkpoint.MovingAverage):
        self.average = average

    def __enter__(self) -> keras.Model:
        self.average.swap()
        return self.average.model

    def __exit__(self, *_: object) -> None:
        self.average.swap()


def load_silnet(folder: Path, size: int) -> keras.Model:
    """Build the SilNet of a run of `geocongan train-silnet` and fill it. Raises HandposeError where that is none of this size."""
    _, config = RunDir.resume(folder)
    if config.get("size") != size or "filters" not in config:
        raise HandposeError(f"{folder}: no SilNet for pictures of {size} px")
    model = build_silnet(size, config["filters"])
    load_weights(model, folder / "best.weights.h5")
    return model
