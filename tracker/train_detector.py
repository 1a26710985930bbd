"""`tracker train-detector`: learn to find hands in whole pictures.

tracker train-detector --i photos/hands_subhih photos/hands_dguzk render --minutes 30 --o runs/detector
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from handpose.errors import HandposeError
from handpose.training import distribute
from handpose.training.arithmetic import set_arithmetic
from handpose.training.options import RunConfig, add_run_arguments, open_run, run_fields
from handpose.training.run_dir import RunDir


@dataclass(frozen=True, kw_only=True)
class DetectorConfig(RunConfig):
    """Everything that defines a run; it is kept as config.json beside the weights."""

    input_size: int = 192
    batch_size: int = 16


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `tracker train-detector`."""
    add_run_arguments(parser, "runs/detector", batch=16, minutes=30, of="photo sets")
    parser.add_argument("--input", type=int, default=192, help="side of the square that the network sees [px]")


def run(args: argparse.Namespace) -> None:
    """Start or continue the run that the options describe, and export what it learnt."""
    with distribute.over(args.devices):
        config, folder = open_run(args, DetectorConfig, _config)
        finished = train(config, folder, resume=args.resume)
    if not finished:
        return
    import keras

    if keras.backend.backend() != "tensorflow":
        print(f"export needs TensorFlow: KERAS_BACKEND=tensorflow tracker train-detector --resume --o {args.o}")
    else:
        from tracker.detector_export import export_detector

        export_detector(folder.path / "best.weights.h5", config.input_size, folder.path / "detector.onnx")
        print(f"exported {folder.path / 'detector.onnx'}")


def _config(args: argparse.Namespace) -> DetectorConfig:
    from handpose.synthesis.libhand import hand_of

    if args.input < 32 or args.input % 32:
        raise HandposeError(f"--input must be a multiple of 32, not {args.input}")
    fields = run_fields(args)
    for source in fields["sources"]:
        hand_of(source)  # one that is missing or broken is told before anything begins
    return DetectorConfig(input_size=args.input, **fields)


def train(config: DetectorConfig, folder: RunDir, resume: bool = False, log: Callable[[str], None] = print) -> bool:
    """Train to the end of the configuration's steps or minutes; say whether the end was reached (`handpose.training.loop.run_loop`)."""
    from handpose.training.loop import Task, run_loop
    from handpose.training.stream import stream
    from handpose.training.supervised import Supervised
    from handpose.training.weights import load_weights
    from tracker.detector_data import SceneConfig, SceneMaker
    from tracker.detector_loss import detector_losses
    from tracker.detector_network import build_detector
    from tracker.detector_progress import HeldOutScenes

    set_arithmetic(config, log)
    model = build_detector(config.input_size)
    if config.init and not resume:
        load_weights(model, Path(config.init))
    scenes = SceneConfig(config.sources, config.mix, config.batch_size, config.input_size, config.seed)
    held_out = HeldOutScenes(scenes)
    if config.patience and not held_out.images:
        raise HandposeError("--patience: nothing is held out to judge by; give photographs with people held out")
    task = Task(
        Supervised(model, detector_losses, config),
        partial(stream, SceneMaker, scenes, workers=config.workers),
        lambda model, step: held_out.evaluate(model, folder, step, log),
    )
    return run_loop(task, config, folder, resume, "tracker train-detector", log)
