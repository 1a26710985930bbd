"""`tracker train-detector`: learn to find hands in whole pictures.

tracker train-detector --i photos/hands_subhih photos/hands_dguzk render --minutes 30 --o runs/detector
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path

from handpose.errors import HandposeError
from handpose.run_dir import RunDir, restored


@dataclass(frozen=True)
class DetectorConfig:
    """Everything that defines a run; it is kept as config.json beside the weights."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    input_size: int = 192
    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 16
    learning_rate: float = 2e-3
    precision: str = "float32"
    seed: int = 0
    evaluate_every: int = 500
    save_every: int = 500
    init: str = ""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracker train-detector`."""
    parser.add_argument("--i", nargs="+", metavar="SOURCE", help="folders of photo sets, or the word render")
    parser.add_argument("--mix", help="share of each source, as 0.6,0.4 (default: equal)")
    parser.add_argument("--o", default="runs/detector", metavar="RUN_DIR", help="folder of the run")
    parser.add_argument("--resume", action="store_true", help="continue the run in --o")
    parser.add_argument("--input", type=int, default=192, help="side of the square that the network sees [px]")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps")
    parser.add_argument(
        "--minutes", type=float, default=0.0, help="stop after so much time (default 30 without --steps)"
    )
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--lr", type=float, default=2e-3, help="highest learning rate (AdamW, cosine decay)")
    parser.add_argument("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), default="float32")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--evaluate-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--save-every", type=int, default=500, metavar="STEPS")
    parser.add_argument("--init", default="", metavar="WEIGHTS", help="start from these .weights.h5")


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe, and export what it learnt."""
    if args.resume:
        folder, stored = RunDir.resume(Path(args.o))
        config = restored(DetectorConfig, stored)
    else:
        config = _config(args)
        folder = RunDir.create(Path(args.o), asdict(config))
    if train(config, folder, resume=args.resume):
        from tracker.detector_export import export_detector

        export_detector(folder.path / "best.weights.h5", config.input_size, folder.path / "detector.onnx")
        print(f"exported {folder.path / 'detector.onnx'}")


def _config(args: argparse.Namespace) -> DetectorConfig:
    from regnet.train import parse_mix

    if not args.i:
        raise HandposeError("nothing to train on: give --i with folders of photo sets or the word render")
    if args.input < 32 or args.input % 32:
        raise HandposeError(f"--input must be a multiple of 32, not {args.input}")
    if args.batch < 1:
        raise HandposeError(f"--batch must be 1 or more, not {args.batch}")
    if args.init and not Path(args.init).is_file():
        raise HandposeError(f"{args.init}: no weights to start from; give --init a .weights.h5 file")
    minutes = args.minutes or (0.0 if args.steps else 30.0)
    return DetectorConfig(
        tuple(args.i), parse_mix(args.mix, args.i), args.input, args.steps, minutes, args.batch, args.lr,
        args.precision, args.seed, args.evaluate_every, args.save_every, args.init,
    )  # fmt: skip


def train(config: DetectorConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`regnet.loop.run_loop`)."""
    import keras

    from regnet.loop import LoopConfig, Task, run_loop
    from regnet.stream import stream
    from tracker.detector_data import SceneConfig, SceneMaker
    from tracker.detector_loss import detector_losses
    from tracker.detector_network import build_detector
    from tracker.detector_progress import HeldOutScenes

    keras.utils.set_random_seed(config.seed)
    keras.config.set_dtype_policy(config.precision)
    model = build_detector(config.input_size)
    if config.init:
        model.load_weights(config.init)
    scenes = SceneConfig(config.sources, config.mix, config.batch_size, config.input_size, config.seed)
    held_out = HeldOutScenes(scenes)
    task = Task(
        model,
        detector_losses,
        lambda first_step: stream(SceneMaker, scenes, first_step),
        lambda model, step: held_out.evaluate(model, folder, step, log),
    )
    loop = LoopConfig(config.steps, config.minutes, config.learning_rate, config.evaluate_every, config.save_every)
    return run_loop(task, loop, folder, resume, "tracker train-detector", log)
