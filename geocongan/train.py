"""`geocongan train`: learn to translate rendered hands into photographed ones and back, silhouettes kept.

geocongan train --synthetic render --real data/real_hands --silnet runs/silnet --minutes 60 --o runs/geocongan
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from geocongan.train_silnet import add_domain_arguments, domain_fields
from handpose.errors import HandposeError
from handpose.training import distribute
from handpose.training.options import RunConfig, add_loop_arguments, done_share, loop_fields, open_run
from handpose.training.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class GanConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    size: int = 256
    filters: int = 64
    blocks: int = 9
    batch_size: int = 1
    silnet: str = ""
    held_out: str = ""
    adversarial: float = 1.0
    cycle: float = 10.0
    geometric: float = 1.0
    identity: float = 0.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `geocongan train`."""
    add_loop_arguments(parser, "runs/geocongan", batch=1, minutes=60, lr=2e-4)
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
    geometric = 0.0 if args.no_geometry else args.geometric
    if geometric and not args.silnet:
        raise HandposeError(
            "the geometric term needs --silnet with a run of geocongan train-silnet, or give --no-geometry"
        )
    return GanConfig(
        silnet=args.silnet, held_out=args.held_out, filters=args.filters, blocks=args.blocks, cycle=args.cycle,
        geometric=geometric, identity=args.identity, **domain_fields(args), **loop_fields(args),
    )  # fmt: skip


def train(config: GanConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes, or to Ctrl-C, which saves; say whether the end was reached.

    Leaves losses.csv, checkpoint.npz, grids of translations, and the averaged translators: the best by realism and overlap, and the
    last. Raises HandposeError where a loss is not finite; the last good checkpoint stays.
    """
    import keras
    from tqdm import tqdm

    from geocongan.domains import DomainBatches, DomainConfig
    from geocongan.gan import Gan, GanSize, load_silnet
    from geocongan.losses import Weights
    from geocongan.progress import Progress
    from handpose.training.stream import stream

    distribute.check_batch(config.batch_size)
    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    weights = Weights(config.adversarial, config.cycle, config.geometric, config.identity)
    silnet = load_silnet(Path(config.silnet), config.size) if config.silnet else None
    gan = Gan(GanSize(config.size, config.filters, config.blocks), weights, silnet, config.learning_rate, config.seed)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0, "best": -1e9}
    if resume:
        state = gan.restore(folder.path)
        folder.rewind(state["step"])
    elif config.init:
        gan.start_from(Path(config.init))
    progress = Progress(config, silnet, log)
    if not resume:
        folder.begin()
    sides = DomainConfig(config.sources[0], config.sources[1], config.size, config.batch_size, config.seed)
    batches = stream(DomainBatches, sides, state["step"])
    started = time.monotonic() - state["seconds"]
    bar = tqdm(total=config.steps or None, initial=state["step"], unit="step", mininterval=5, dynamic_ncols=True)

    def save() -> None:
        state["seconds"] = time.monotonic() - started
        gan.save(folder.path, state)

    def evaluate() -> None:
        score = distribute.agreed(progress.evaluate(gan, folder, state["step"]))
        names = ["last"] + ["best"] * (score >= state["best"])
        state["best"] = max(state["best"], score)
        for name in ("synth2real", "real2synth"):
            with gan.averaged(name) as model:
                for kind in names:
                    model.save_weights(folder.path / f"{name}_{kind}.weights.h5")

    try:
        while (done := distribute.agreed(done_share(config, state["step"], time.monotonic() - started))) < 1:
            rate = config.learning_rate * min(1.0, 2 * (1 - done))  # constant, and in the second half down to nothing
            losses = gan.step(state["step"], next(batches), rate)
            state["step"] += 1
            if not all(map(math.isfinite, losses.values())):
                raise HandposeError(
                    f"a loss is not finite at step {state['step']} ({losses}): the last checkpoint is good"
                )
            folder.log(state["step"], **losses)
            bar.update()
            bar.set_postfix(loss=f"{losses['loss']:.2f}", refresh=False)
            if state["step"] % config.evaluate_every == 0:
                evaluate()
            if state["step"] % config.save_every == 0:
                save()
    except KeyboardInterrupt:
        save()
        log(f"stopped at step {state['step']}; go on with: geocongan train --resume --o {folder.path}")
        return False
    finally:
        batches.close()
        bar.close()
    save()
    evaluate()
    log(f"done: {state['step']} steps, translators in {folder.path}")
    return True
