"""`regnet train`: learn from rendered hands (2D, 3D, scores) and photographs (2D, scores) in one mix.

regnet train --i render photos/hands_dguzk --mix 0.6,0.4 --minutes 90 --o runs/light
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handpose.command import add_effects_argument
from handpose.data.options import add_read_argument, check_read
from handpose.errors import HandposeError
from handpose.synthesis import RENDER
from handpose.synthesis.compose import EFFECTS
from handpose.training import distribute
from handpose.training.arithmetic import set_arithmetic
from handpose.training.loop import Task, run_loop
from handpose.training.options import RunConfig, add_run_arguments, open_run, run_fields
from handpose.training.run_dir import RunDir
from regnet.labelled import GANERATE, MADE, reader_of


@dataclass(frozen=True, kw_only=True)
class TrainConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    network: str = "light"
    input_size: int = 128
    projection: bool = True
    backbone: str = ""
    without_hand: str = ""
    generator: str = ""
    effects: tuple[str, ...] = EFFECTS
    read: tuple[str, ...] = ()


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet train`."""
    add_run_arguments(parser, "runs/regnet", batch=32, minutes=60, words="render, libhand or ganerate")
    parser.add_argument("--network", choices=("light", "paper"), default="light")
    parser.add_argument("--input", type=int, choices=(128, 256), default=128, help="side of the crop [px]")
    parser.add_argument("--no-projection", action="store_true", help="leave out ProjLayer and RenderingLayer")
    parser.add_argument(
        "--backbone", default="", metavar="imagenet|FILE",
        help="begin the paper's network with ResNet50's weights: those of ImageNet, fetched by Keras, or a .h5 of them",
    )  # fmt: skip
    parser.add_argument(
        "--without-hand", default="", metavar="DIR", help="pictures without hands (tools/mine_false_hands.py)"
    )
    parser.add_argument(
        "--generator", metavar="FILE", help="translator for the source ganerate (default: the one that comes along)"
    )
    add_effects_argument(parser)
    add_read_argument(parser)


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    with distribute.over(args.devices):
        config, folder = open_run(args, TrainConfig, _config)
        train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> TrainConfig:
    from handpose.synthesis.libhand import hand_of
    from handpose.synthesis.translated import generator_file

    fields = run_fields(args)
    if args.backbone and args.network != "paper":
        raise HandposeError("--backbone is the paper's network's: give --network paper with it")
    if args.no_projection and args.network != "light":
        raise HandposeError("--no-projection is the light network's: give --network light with it")
    if args.backbone and args.init:
        raise HandposeError("--backbone and --init both tell what to begin with: give one of them")
    check_read(args.read, [reader_of(Path(source)) for source in args.i if source not in MADE])
    for source in fields["sources"]:
        hand_of(source)  # one that is missing or broken is told before anything begins
    if args.generator and GANERATE not in fields["sources"]:
        raise HandposeError(f"--generator is for the source {GANERATE}: give --i {GANERATE} with it")
    generator = str(generator_file(args.generator)) if GANERATE in fields["sources"] else ""
    return TrainConfig(
        network=args.network, input_size=args.input, projection=not args.no_projection, backbone=args.backbone,
        without_hand=args.without_hand, generator=generator, effects=tuple(args.effects),
        read=tuple(args.read), **fields,
    )  # fmt: skip


def train(config: TrainConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`handpose.training.loop.run_loop`)."""
    from handpose.training.stream import stream
    from handpose.training.supervised import Supervised
    from handpose.training.weights import load_weights
    from regnet import networks
    from regnet.batches import BatchMaker, StreamConfig
    from regnet.losses import regnet_losses
    from regnet.progress import HeldOut

    set_arithmetic(config, log)
    options = {"projection": config.projection} if config.network == "light" else {"training_branch": True}
    model = networks.build(config.network, config.input_size, **options)
    if config.backbone and not resume:
        from regnet.backbone import fill_backbone

        fill_backbone(model, config.backbone)
    if config.init and not resume:
        load_weights(model, Path(config.init))
    # Renders of all kinds are measured on plain ones: runs with and without the others are to be compared.
    held_out = HeldOut(
        [RENDER if source in MADE else source for source in config.sources], config.input_size, config.read
    )
    if config.patience and not held_out.judges:
        raise HandposeError(
            "--patience: nothing is held out to judge by; give a source with people held out, or render"
        )
    mixed = StreamConfig(
        config.sources, config.mix, config.batch_size, config.input_size, config.seed, config.without_hand,
        config.generator, tuple(config.effects), tuple(config.read),
    )  # fmt: skip
    task = Task(
        Supervised(model, regnet_losses, config),
        partial(stream, BatchMaker, mixed, workers=config.workers),
        lambda model, step: held_out.evaluate(model, folder, step, log),
    )
    return run_loop(task, config, folder, resume, "regnet train", log)
