"""The options and the configuration that every training run has, whatever it trains."""

from __future__ import annotations

import argparse
import atexit
import math
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from handpose.command import require
from handpose.errors import HandposeError
from handpose.training.board import Board
from handpose.training.distribute import share
from handpose.training.run_dir import CHECKPOINT_NAME, CONFIG_NAME, RunDir, restored
from handpose.training.stream import LANES


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """What every run's config.json holds; a run ends after `steps` or `minutes`, whichever is set and comes first.

    `workers` make its batches, 0: one for every two cores; the batches are the same.
    """

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    steps: int = 0
    minutes: float = 0.0
    batch_size: int = 32
    learning_rate: float = 5e-3
    precision: str = "float32"
    seed: int = 0
    evaluate_every: int = 1000
    save_every: int = 500
    init: str = ""
    tensorboard: bool = False
    patience: int = 0
    freeze: tuple[str, ...] = ()
    workers: int = 0


Config = TypeVar("Config", bound=RunConfig)

_OF_THE_CALL = ("o", "resume", "devices")  # options that are not the run's own


def add_run_arguments(
    parser: argparse.ArgumentParser, folder: str, batch: int, minutes: int, of: str = "datasets",
    words: str = "render or libhand",
) -> None:  # fmt: skip
    """Declare the options of a run that mixes sources, folders `of` something or `words`: `folder`, `batch` and `minutes` are its defaults."""
    parser.add_argument(
        "--i", nargs="+", action="extend", metavar="SOURCE", help=f"folders of {of}, or the word {words}"
    )
    parser.add_argument("--mix", help="share of each source, as 0.6,0.4 (default: equal)")
    parser.add_argument(
        "--freeze", nargs="+", action="extend", default=[], metavar="NAME",
        help="stages or layers that stay fixed, as stem stage0",
    )  # fmt: skip
    parser.add_argument(
        "--workers", type=int, default=0, metavar="N",
        help=f"processes that make batches, at most {LANES} (default: one for every two cores)",
    )  # fmt: skip
    add_loop_arguments(parser, folder, batch, minutes, 5e-3)


def add_loop_arguments(
    parser: argparse.ArgumentParser, folder: str, batch: int, minutes: int, lr: float, init: str = "these .weights.h5"
) -> None:
    """Declare how long, how fast and where to: the options of every run; `init` says what it can start from."""
    add = parser.add_argument
    add("--o", default=folder, metavar="RUN_DIR", help=f"folder of the run (default: {folder})")
    add("--resume", action="store_true", help="continue the run in --o, with --steps or --minutes to another end")
    add("--steps", type=int, default=0, help="stop after so many steps")
    add("--minutes", type=float, help=f"stop after so much time (default: {minutes} without --steps)")
    add("--batch", type=int, default=batch)
    add("--lr", type=float, default=lr, help="highest learning rate")
    add("--precision", choices=("float32", "mixed_bfloat16", "mixed_float16"), default="float32")
    add("--seed", type=int, default=0)
    add("--evaluate-every", type=int, default=1000, metavar="STEPS")
    add("--save-every", type=int, default=500, metavar="STEPS")
    add("--patience", type=int, default=0, metavar="N", help="stop early after N evaluations without improvement")
    add("--init", default="", metavar="WEIGHTS", help=f"start from {init}")
    add("--devices", default="1", metavar="N|all", help="GPUs of this host that share each batch; all: of every host")
    add("--tensorboard", action="store_true", help="write logs for TensorBoard into the run's folder, beside the CSV")
    parser.set_defaults(default_minutes=float(minutes), default_of=parser.get_default)


def run_fields(args: argparse.Namespace) -> dict[str, Any]:
    """Give the fields of RunConfig that the options ask for. Raises HandposeError where one makes no sense."""
    if not args.i:
        raise HandposeError("nothing to train on: give --i with folders of datasets or the word render")
    if not 0 <= args.workers <= LANES:
        raise HandposeError(
            f"--workers must be from 1 to {LANES}, or 0 for one for every two cores, not {args.workers}"
        )
    return {
        "sources": tuple(args.i), "mix": parse_mix(args.mix, args.i), "freeze": tuple(args.freeze),
        "workers": args.workers, **loop_fields(args),
    }  # fmt: skip


def loop_fields(args: argparse.Namespace) -> dict[str, Any]:
    """Give the fields that `add_loop_arguments` declares. Raises HandposeError where one makes no sense."""
    require(args, batch=1, evaluate_every=1, save_every=1, patience=0, steps=0, minutes=0, seed=0)
    if not 0 < args.lr < math.inf:
        raise HandposeError(f"--lr must be more than 0 and finite, not {args.lr}")
    if args.seed >= 2**32:
        raise HandposeError(f"--seed must be below 2**32, not {args.seed}")
    if args.init and not Path(args.init).is_file():
        raise HandposeError(f"{args.init}: no weights to start from; give --init a .weights.h5 file")
    minutes = args.minutes
    if minutes is None:
        minutes = 0.0 if args.steps else args.default_minutes
    elif not (minutes or args.steps):
        raise HandposeError("--minutes 0 is no end: give --steps, or more minutes")
    return {
        "steps": args.steps, "minutes": minutes, "batch_size": args.batch, "learning_rate": args.lr,
        "precision": args.precision, "seed": args.seed, "evaluate_every": args.evaluate_every,
        "save_every": args.save_every, "patience": args.patience, "init": args.init, "tensorboard": args.tensorboard,
    }  # fmt: skip


def open_run(
    args: argparse.Namespace, kind: type[Config], make: Callable[[argparse.Namespace], Config]
) -> tuple[Config, RunDir]:
    """Plan the run folder that the options name, with the configuration that `make` gives, or open the one to resume.

    It is made when the run begins. Where several processes train, all but the first get a folder that is thrown away. Raises HandposeError
    where the options make no sense, the new folder exists, or the one to resume is no run of this kind.
    """
    if args.resume:
        folder, stored = RunDir.resume(_own(Path(args.o), resume=True))
        config = _to_another_end(restored(kind, stored, args.o), args)
        folder.set_config(asdict(config))
    else:
        config = make(args)
        folder = RunDir.plan(_own(Path(args.o), resume=False), asdict(config))
    if config.tensorboard:
        folder.board = Board(folder.path)
    return config, folder


def _to_another_end(config: Config, args: argparse.Namespace) -> Config:
    """Have a run end where the options say, if they do; tell in a line what else they say, for a run keeps all the rest."""
    given = [name for name, value in vars(args).items() if value != args.default_of(name) and name not in _OF_THE_CALL]
    if ignored := [f"--{name.replace('_', '-')}" for name in given if name not in ("steps", "minutes")]:
        print(
            f"{args.o} goes on as {CONFIG_NAME} says, without {' '.join(ignored)}: only its --steps or --minutes can change"
        )
    require(args, steps=0, minutes=0)
    if not (args.steps or args.minutes):
        return config
    return replace(config, steps=args.steps, minutes=args.minutes or 0.0)


def _own(folder: Path, resume: bool) -> Path:
    if share().process == 0:
        return folder
    scratch = Path(tempfile.mkdtemp(prefix="run-"))
    atexit.register(shutil.rmtree, scratch, ignore_errors=True)
    for path in folder.iterdir() if resume and folder.is_dir() else ():
        if path.name in (CONFIG_NAME, CHECKPOINT_NAME):
            shutil.copy(path, scratch)
    return scratch if resume else scratch / folder.name


def done_share(config: RunConfig, step: int, seconds: float) -> float:
    """Say how much of a run is done, by steps or by time: 1 at its end."""
    by_steps = step / config.steps if config.steps else 0.0
    by_time = seconds / (60 * config.minutes) if config.minutes else 0.0
    return max(by_steps, by_time)


def parse_mix(text: str | None, sources: list[str]) -> tuple[float, ...]:
    """Read the shares of sources, as "0.6,0.4"; equal ones without a text. Raises HandposeError where they do not fit."""
    try:
        mix = tuple(float(share) for share in text.split(",")) if text else (1.0,) * len(sources)
    except ValueError:
        mix = ()
    if len(mix) != len(sources) or not all(0 <= share < math.inf for share in mix) or sum(mix) == 0:
        raise HandposeError(f"--mix must give one positive share for each of the {len(sources)} sources")
    return mix
