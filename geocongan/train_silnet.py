"""`geocongan train-silnet`: learn silhouettes on both sides before the translators train; SilNet is frozen then.

geocongan train-silnet --synthetic render --real data/real_hands --minutes 8 --o runs/silnet
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np

from handpose.command import require
from handpose.data.photos import Split
from handpose.errors import HandposeError
from handpose.runtime import read_weights
from handpose.training import distribute
from handpose.training.arithmetic import set_arithmetic
from handpose.training.loop import Task, run_loop
from handpose.training.options import RunConfig, add_loop_arguments, loop_fields, open_run
from handpose.training.run_dir import RunDir

_FIXED_SEED = 999_983  # of rendered hands that no training sees
_FIXED = 16


@dataclass(frozen=True, kw_only=True)
class SilNetConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    size: int = 256
    filters: int = 32
    batch_size: int = 8


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan train-silnet`."""
    add_loop_arguments(parser, "runs/silnet", batch=8, minutes=10, lr=1e-3)
    add_domain_arguments(parser)
    parser.add_argument("--filters", type=int, default=32, help="channels of the first layer")


def add_domain_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare where both sides come from, and their size."""
    parser.add_argument(
        "--synthetic", default="render", metavar="SOURCE", help="folder of the SynthHands layout, or the word render"
    )
    parser.add_argument("--real", metavar="DIR", help="folder written by geocongan prepare")
    parser.add_argument("--size", type=int, default=256, help="side of the pictures [px]")


def domain_fields(args: argparse.Namespace) -> dict:
    """Give the fields of both sides. Raises HandposeError where one makes no sense."""
    if not args.real:
        raise HandposeError("no photographs to learn from: give --real with a folder written by geocongan prepare")
    if args.size < 64 or args.size % 8:
        raise HandposeError(f"--size must be a multiple of 8 from 64 on, not {args.size}")
    return {"sources": (args.synthetic, args.real), "mix": (0.5, 0.5), "size": args.size}


def silnet_file(run: Path) -> Path:
    """Give the file with the weights of a run's SilNet, of its best step."""
    return run / "best.weights.h5"


def silnet_sha256(run: Path) -> str:
    """Compute the SHA-256 of `silnet_file`. Raises HandposeError where it cannot be read."""
    return read_weights(silnet_file(run))[1]


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    with distribute.over(args.devices):
        config, folder = open_run(args, SilNetConfig, _config)
        train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> SilNetConfig:
    require(args, filters=1)
    if args.batch % 2:
        raise HandposeError(f"--batch must be even, half from each side, not {args.batch}")
    return SilNetConfig(filters=args.filters, **domain_fields(args), **loop_fields(args))


class SilNetBatches:
    """Batches of one kind of picture, half from each side: "image" (N, S, S, 3) float32 -1..1 and "mask" (N, S, S, 1).

    `split` is the side of a folder of renders that is shown.
    """

    def __init__(self, config: SilNetConfig, split: Split = "train"):
        from geocongan.domains import DomainBatches, DomainConfig

        synthetic, real = config.sources
        half = max(1, config.batch_size // 2)
        self.seed = config.seed
        self.sides = DomainBatches(DomainConfig(synthetic, real, config.size, half, config.seed, split))

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make the batch of a step; colours, sharpness and noise vary, because translations will look like neither side at first."""
        from geocongan.domains import to_network, to_picture
        from handpose.synthesis.compose import camera_effects

        rng = np.random.default_rng((self.seed, 5, step))
        sides = self.sides.batch(step)
        images = np.concatenate([sides["synthetic"], sides["real"]])
        altered = [to_network(camera_effects(rng, to_picture(image))) for image in images]
        return {"image": np.stack(altered), "mask": np.concatenate([sides["synthetic_mask"], sides["real_mask"]])}


def train(config: SilNetConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached."""
    from geocongan.losses import silhouette_loss
    from geocongan.networks import build_silnet
    from handpose.training.stream import stream
    from handpose.training.supervised import Supervised
    from handpose.training.weights import load_weights

    set_arithmetic(config, log)
    fixed = SilNetBatches(replace(config, seed=_FIXED_SEED, batch_size=_FIXED), "held_out").batch(0)
    model = build_silnet(config.size, config.filters)
    if config.init and not resume:
        load_weights(model, Path(config.init))
    task = Task(
        Supervised(model, lambda logits, targets: {"loss": silhouette_loss(logits, targets["mask"])}, config),
        partial(stream, SilNetBatches, config),
        lambda model, step: _evaluate(model, fixed, folder, step, log),
    )
    return run_loop(task, config, folder, resume, "geocongan train-silnet", log)


def _evaluate(model, fixed: dict[str, np.ndarray], folder: RunDir, step: int, log: Callable[[str], None]) -> float:
    from geocongan.measures import mask_iou

    found = np.asarray(model(fixed["image"], training=False)) > 0
    overlap = float(mask_iou(found, fixed["mask"] > 0.5).mean())
    folder.measure(step, mask_iou=overlap)
    log(f"step {step}: mask IoU {overlap:.3f} (n={len(found)})")
    return overlap
