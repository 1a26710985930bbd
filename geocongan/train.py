"""`geocongan train`: learn to translate rendered hands into photographed ones and back, silhouettes kept.

geocongan train --synthetic render --real data/real_hands --silnet runs/silnet --minutes 60 --o runs/geocongan
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from geocongan.train_silnet import add_domain_arguments, domain_fields, silnet_sha256
from handpose.command import require
from handpose.errors import HandposeError
from handpose.training import distribute
from handpose.training.arithmetic import set_arithmetic
from handpose.training.loop import Task, run_loop
from handpose.training.options import RunConfig, add_loop_arguments, loop_fields, open_run
from handpose.training.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    size: int = 256
    filters: int = 64
    blocks: int = 9
    batch_size: int = 1
    silnet: str = ""
    silnet_sha256: str = ""
    held_out: str = ""
    adversarial: float = 1.0
    cycle: float = 10.0
    geometric: float = 1.0
    identity: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan train`."""
    init = "a run's synth2real_*.weights.h5 and the real2synth_*.weights.h5 beside it"
    add_loop_arguments(parser, "runs/geocongan", batch=1, minutes=60, lr=2e-4, init=init)
    add_domain_arguments(parser)
    add = parser.add_argument
    add("--silnet", default="", metavar="RUN", help="run of train-silnet; frozen here")
    add("--held-out", default="", metavar="DIR", help="prepared photographs that measure realism (default: --real)")
    add("--filters", type=int, default=64, help="channels of the first layers")
    add("--blocks", type=int, default=9, help="residual blocks of the translators")
    add("--no-geometry", action="store_true", help="leave the geometric term out: plain CycleGAN")
    add("--geometric", type=float, default=1.0, help="weight of the geometric term")
    add("--cycle", type=float, default=10.0, help="weight of the cycle term")
    add("--identity", type=float, default=0.0, help="weight of the identity term")


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    with distribute.over(args.devices):
        config, folder = open_run(args, GanConfig, _config)
        train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> GanConfig:
    require(args, filters=1, blocks=0, geometric=0, cycle=0, identity=0)
    geometric = 0.0 if args.no_geometry else args.geometric
    if geometric and not args.silnet:
        raise HandposeError(
            "the geometric term needs --silnet with a run of geocongan train-silnet, or give --no-geometry"
        )
    sha256 = silnet_sha256(Path(args.silnet)) if args.silnet else ""
    return GanConfig(
        silnet=args.silnet, silnet_sha256=sha256, held_out=args.held_out, filters=args.filters, blocks=args.blocks,
        cycle=args.cycle, geometric=geometric, identity=args.identity, **domain_fields(args), **loop_fields(args),
    )  # fmt: skip


def train(config: GanConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`handpose.training.loop.run_loop`).

    Leaves a grid of translations of every evaluation, too, and both translators as of the best one, by realism and overlap, and the last.
    """
    from geocongan.domains import DomainBatches, DomainConfig
    from geocongan.gan import Gan, GanSize, load_silnet
    from geocongan.losses import Weights
    from geocongan.progress import Progress
    from handpose.training.stream import stream

    set_arithmetic(config, log)
    weights = Weights(config.adversarial, config.cycle, config.geometric, config.identity)
    if config.silnet and silnet_sha256(Path(config.silnet)) != config.silnet_sha256:
        raise HandposeError(
            f"{config.silnet}: not the SilNet that this run began with (SHA-256 {config.silnet_sha256})"
        )
    silnet = load_silnet(Path(config.silnet), config.size) if config.silnet else None
    gan = Gan(GanSize(config.size, config.filters, config.blocks), weights, silnet, config.learning_rate, config.seed)
    if config.init and not resume:
        gan.start_from(Path(config.init))
    progress = Progress(config, silnet, log)
    sides = DomainConfig(config.sources[0], config.sources[1], config.size, config.batch_size, config.seed)
    task = Task(
        gan,
        partial(stream, DomainBatches, sides),
        lambda translators, step: progress.evaluate(translators, folder, step),
    )
    return run_loop(task, config, folder, resume, "geocongan train", log)
