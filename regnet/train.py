"""`regnet train`: learn from rendered hands (2D, 3D, scores) and photographs (2D, scores) in one mix.

regnet train --i render photos/hands_dguzk --mix 0.6,0.4 --minutes 90 --o runs/light
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from handpose.errors import HandposeError
from handpose.run_dir import RunDir, restored
from regnet.loop import LoopConfig, Task, run_loop


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a run; it is kept as config.json beside the weights."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    network: str = "light"
    input_size: int = 128
    projection: bool = True
    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 32
    learning_rate: float = 2e-3
    precision: str = "float32"
    seed: int = 0
    evaluate_every: int = 1000
    save_every: int = 500
    init: str = ""
    without_hand: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet train`."""
    parser.add_argument("--i", nargs="+", metavar="SOURCE", help="folders of photo sets, or the word render")
    parser.add_argument("--mix", help="share of each source, as 0.6,0.4 (default: equal)")
    parser.add_argument("--o", default="runs/regnet", metavar="RUN_DIR", help="folder of the run (default runs/regnet)")
    parser.add_argument("--resume", action="store_true", help="continue the run in --o")
    parser.add_argument("--network", choices=("light", "paper"), default="light")
    parser.add_argument("--input", type=int, choices=(128, 256), default=128, help="side of the crop [px]")
    parser.add_argument("--no-projection", action="store_true", help="leave out ProjLayer and RenderingLayer")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after so much time (default 60 without --steps)"
    )
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate (AdamW, cosine decay)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=1000, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--init", default="", metavar="WEIGHTS", help="start from these .weights.h5")
    parser.add_argument(
        "--without-hand", default="", metavar="DIR", help="pictures without hands (tools/mine_false_hands.py)"
    )


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    if args.resume:
        folder, stored = RunDir.resume(Path(args.o))
        config = restored(TrainConfig, stored)
    else:
        config = _config(args)
        folder = RunDir.create(Path(args.o), asdict(config))
    train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> TrainConfig:
    if not args.i:
        raise HandposeError("nothing to train on: give --i with folders of photo sets or the word render")
    mix = parse_mix(args.mix, args.i)
    minutes = args.minutes or (0.0 if args.steps else 60.0)
    return TrainConfig(
        tuple(args.i), mix, args.network, args.input,
        not args.no_projection, args.steps, minutes, args.batch, args.lr, args.precision, args.seed,
        args.evaluate_every, args.save_every, args.init, args.without_hand,
    )  # fmt: skip


def parse_mix(text: str | None, sources: list[str]) -> tuple[float, ...]:
    """Read the shares of sources, as "0.6,0.4"; equal ones without a text. Raises HandposeError where they do not fit."""
    try:
        mix = tuple(float(share) for share in text.split(",")) if text else (1.0,) * len(sources)
    except ValueError:
        mix = ()
    if len(mix) != len(sources) or min(mix) < 0 or sum(mix) == 0:
        raise HandposeError(f"--mix must give one positive share for each of the {len(sources)} sources")
    return mix


def train(config: TrainConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`regnet.loop.run_loop`)."""
    import keras

    from regnet import networks
    from regnet.losses import regnet_losses
    from regnet.progress import HeldOut
    from regnet.stream import BatchMaker, StreamConfig, stream

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    options = {"projection": config.projection} if config.network == "light" else {"training_branch": True}
    model = networks.build(config.network, config.input_size, **options)
    if config.init:
        model.load_weights(config.init)
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
    loop = LoopConfig(config.steps, config.minutes, config.learning_rate, config.evaluate_every, config.save_every)
    return run_loop(task, loop, folder, resume, "regnet train", log)
