"""`regnet train`: learn from rendered hands (2D, 3D, scores) and photographs (2D, scores) in one mix.

    regnet train --i render photos/hands_dguzk --mix 0.6,0.4 --minutes 90 --o runs/light
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from handpose.errors import HandposeError
from handpose.run_dir import RunDir

WARM_UP_STEPS = 300


@dataclass(frozen=True)
class TrainConfig:
    """Everything that defines a run; it is kept as config.json beside the weights."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    held_out: tuple[str, ...] = ()
    network: str = "light"
    input_size: int = 128
    projection: bool = True
    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 32
    learning_rate: float = 2e-3
    weight_decay: float = 0.02
    precision: str = "float32"
    seed: int = 0
    evaluate_every: int = 1000
    save_every: int = 500
    init: str = ""


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
    parser.add_argument("--minutes", type=float, default=0.0, help="stop after so much time (default 60 without --steps)")
    parser.add_argument("--batch", type=int, default=32)
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate (AdamW, cosine decay)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=1000, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--init", default="", metavar="WEIGHTS", help="start from these .weights.h5")


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe."""
    if args.resume:
        folder, stored = RunDir.resume(Path(args.o))
        config = TrainConfig(**{key: tuple(v) if isinstance(v, list) else v for key, v in stored.items()})
    else:
        config = _config(args)
        folder = RunDir.create(Path(args.o), asdict(config))
    train(config, folder, resume=args.resume)


def _config(args: argparse.Namespace) -> TrainConfig:
    if not args.i:
        raise HandposeError("nothing to train on: give --i with folders of photo sets or the word render")
    mix = tuple(float(share) for share in args.mix.split(",")) if args.mix else (1.0,) * len(args.i)
    if len(mix) != len(args.i) or min(mix) < 0 or sum(mix) == 0:
        raise HandposeError(f"--mix must give one positive share for each of the {len(args.i)} sources")
    minutes = args.minutes or (0.0 if args.steps else 60.0)
    return TrainConfig(
        tuple(args.i), mix, tuple(source for source in args.i if source != "render"), args.network, args.input,
        not args.no_projection, args.steps, minutes, args.batch, args.lr, 0.02, args.precision, args.seed,
        args.evaluate_every, args.save_every, args.init,
    )  # fmt: skip


def train(config: TrainConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> None:
    """Train to the end of the configuration's steps or minutes; leave weights, checkpoint, CSV and pictures in `folder`.

    Raises HandposeError where the loss is not finite, naming the step; the last good checkpoint stays.
    """
    import keras
    from tqdm import tqdm

    from regnet import checkpoint, networks
    from regnet.backend import make_train_step
    from regnet.losses import regnet_losses
    from regnet.progress import HeldOut
    from regnet.stream import StreamConfig, stream

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    options = {"projection": config.projection} if config.network == "light" else {"training_branch": True}
    model = networks.build(config.network, config.input_size, **options)
    if config.init:
        model.load_weights(config.init)
    optimizer = keras.optimizers.AdamW(config.learning_rate, weight_decay=config.weight_decay, clipnorm=5.0)
    step_function = make_train_step(model, regnet_losses, optimizer)
    average = checkpoint.MovingAverage(model)
    state = {"step": 0, "seconds": 0.0, "best": -1.0}
    if resume:
        state = checkpoint.restore(folder.path, model, average, optimizer)
        folder.rewind(state["step"])
    held_out = HeldOut(config.held_out, config.input_size)
    batches = stream(StreamConfig(config.sources, config.mix, config.batch_size, config.input_size, config.seed), state["step"])
    started = time.monotonic() - state["seconds"]
    bar = tqdm(total=config.steps or None, initial=state["step"], unit="step", mininterval=10, dynamic_ncols=True)

    def save() -> None:
        state["seconds"] = time.monotonic() - started
        checkpoint.save(folder.path, model, average, optimizer, state)

    try:
        while (progress := _progress(config, state["step"], time.monotonic() - started)) < 1:
            optimizer.learning_rate.assign(config.learning_rate * _schedule(state["step"], progress))
            batch = next(batches)
            losses = step_function(batch.pop("image"), batch)
            state["step"] += 1
            if not math.isfinite(losses["loss"]):
                raise HandposeError(f"the loss is {losses['loss']} at step {state['step']}: stopped, the last checkpoint is good")
            average.update(state["step"])
            folder.log(state["step"], **losses)
            bar.update()
            bar.set_postfix(loss=f"{losses['loss']:.1f}", cells=f"{losses['error_cells']:.2f}", refresh=False)
            if state["step"] % config.evaluate_every == 0:
                average.swap()
                score = held_out.evaluate(model, folder, state["step"], log)
                if score >= state["best"]:
                    state["best"] = score
                    model.save_weights(folder.path / "best.weights.h5")
                average.swap()
            if state["step"] % config.save_every == 0:
                save()
    except KeyboardInterrupt:
        save()
        log(f"stopped at step {state['step']}; go on with: regnet train --resume --o {folder.path}")
        return
    finally:
        batches.close()
        bar.close()
    save()
    average.swap()
    held_out.evaluate(model, folder, state["step"], log)
    model.save_weights(folder.path / "model.weights.h5")
    log(f"done: {state['step']} steps, weights in {folder.path / 'model.weights.h5'}")


def _progress(config: TrainConfig, step: int, seconds: float) -> float:
    by_steps = step / config.steps if config.steps else 0.0
    by_time = seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(by_steps, by_time)


def _schedule(step: int, progress: float) -> float:
    """Linear warm-up, then cosine decay to nothing."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
