"""`regnet train`: learn from rendered hands (2D, 3D, scores) and photographs (2D, scores) in one mix.

regnet train --i render photos/hands_dguzk --mix 0.6,0.4 --minutes 90 --o runs/light
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from handpose.training.loop import Task, run_loop
from handpose.training.options import RunConfig, add_run_arguments, open_run, run_fields
from handpose.training.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    network: str = "light"
    input_size: int = 128
    projection: bool = True
    without_hand: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet train`."""
    add_run_arguments(parser, "runs/regnet", batch=32, minutes=60)
    parser.add_argument("--network", choices=("light", "paper"), default="light")
    parser.add_argument("--input", type=int, choices=(128, 256), default=128, help="side of the crop [px]")
    parser.add_argument("--no-projection", action="store_true", help="leave out ProjLayer and RenderingLayer")
    parser.add_argument(
        "--without-hand", default="", metavar="DIR", help="pictures without hands (tools/mine_false_hands.py)"
    )


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    config, folder = open_run(args, TrainConfig, _config)
    train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> TrainConfig:
    return TrainConfig(
        network=args.network, input_size=args.input, projection=not args.no_projection, without_hand=args.without_hand,
        **run_fields(args),
    )  # fmt: skip


def train(config: TrainConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`handpose.training.loop.run_loop`)."""
    import keras

    from handpose.training.stream import stream
    from handpose.training.weights import load_weights
    from regnet import networks
    from regnet.batches import BatchMaker, StreamConfig
    from regnet.losses import regnet_losses
    from regnet.progress import HeldOut

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    options = {"projection": config.projection} if config.network == "light" else {"training_branch": True}
    model = networks.build(config.network, config.input_size, **options)
    if config.init:
        load_weights(model, Path(config.init))
    held_out = HeldOut(config.sources, config.input_size)
    mixed = StreamConfig(
        config.sources, config.mix, config.batch_size, config.input_size, config.seed, config.without_hand
    )
    task = Task(
        model,
        regnet_losses,
        lambda first_step: stream(BatchMaker, mixed, first_step),
        lambda model, step: held_out.evaluate(model, folder, step, log),
    )
    return run_loop(task, config, folder, resume, "regnet train", log)
