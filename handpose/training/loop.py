"""The loop that every training here runs in: step, evaluate, save, stop.

It resumes exactly: all that the next step depends on comes back. A run of so many --steps goes on as if it had never stopped; the rates
of one of so many --minutes follow the clock, which no two runs share, so it goes on at the rate due by the time that it has trained.
"""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handpose.atomic import atomic_write
from handpose.errors import HandposeError
from handpose.training import distribute
from handpose.training.interrupt import ctrl_c_waits
from handpose.training.options import RunConfig, done_share
from handpose.training.run_dir import CHECKPOINT_NAME, RunDir

BAD_BATCH_NAME = "bad_batch.npz"


class Learner(Protocol):
    """Networks with all that changes as they learn: weights, moving averages, optimisers, learning rate."""

    def step(self, number: int, batch: dict[str, np.ndarray], progress: float) -> dict[str, float]:
        """Learn from the batch that follows `number` steps, at the rate due when `progress`, 0 to 1, is done; give losses, one named "loss"."""

    def averaged(self) -> AbstractContextManager[Any]:
        """Give what is evaluated, with its averaged weights in place."""

    def keep(self, folder: Path, best: bool) -> None:
        """Write the weights that are in place as the last ones and, where they are the `best`, as those."""

    def values(self) -> dict[str, list[np.ndarray]]:
        """Give all that the next step depends on, in groups whose names do not end in a digit."""

    def assign(self, values: dict[str, list[np.ndarray]]) -> None:
        """Take it back; what was not there is an empty group. Raises ValueError where the networks differ."""


@dataclass(frozen=True)
class Task:
    """What a run does: a `learner`, its `batches(first_step)`, and `evaluate(averaged, step)`, which tells how good it is by now."""

    learner: Learner
    batches: Callable[[int], Generator[dict, None, None]]
    evaluate: Callable[[Any, int], float]


def run_loop(
    task: Task, config: RunConfig, folder: RunDir, resume: bool, command: str, log: Callable[[str], None]
) -> bool:
    """Train to the end, early where evaluations no longer improve, or to Ctrl-C, which saves; say whether the end was reached.

    Ctrl-C takes effect between steps; a second one raises KeyboardInterrupt at once, and saves nothing. Of several processes the first one's
    counts. Leaves in `folder` losses.csv, checkpoint.npz, and the averaged weights of the best evaluation and of the last. Raises HandposeError
    where a loss or a weight is not finite, naming the step and the file of its batch; the last good checkpoint stays.
    """
    from tqdm import tqdm

    from handpose.training import checkpoint

    learner = task.learner
    distribute.check_batch(config.batch_size)
    state: dict[str, Any] = {"step": 0, "evaluated": -1, "seconds": 0.0, "best": -1e9, "stale": 0}
    end = [config.steps, config.minutes]
    if resume:
        state |= checkpoint.restore(folder.path, learner.assign)
        if state.get("end") != end:  # whoever asks for another end asks a run that stopped early to go on
            state["stale"] = 0
        folder.rewind(state["step"])
    batches = task.batches(state["step"])
    batch: dict[str, np.ndarray] = {}
    bar = tqdm(
        total=config.steps or None, initial=state["step"], unit="step", mininterval=5, dynamic_ncols=True,
        disable=distribute.share().process > 0,
    )  # fmt: skip

    def check(values: dict[str, list[np.ndarray]]) -> None:
        if not all(np.isfinite(value).all() for group in values.values() for value in group):
            raise _not_finite("a weight is not finite", state["step"], folder, batch)

    def save() -> None:
        values = learner.values()
        check(values)
        state["seconds"], state["end"] = time.monotonic() - started, end
        checkpoint.save(folder.path, values, state)

    def evaluate() -> None:
        check(learner.values())
        with learner.averaged() as averaged:
            score = distribute.agreed(task.evaluate(averaged, state["step"]))
            best = score >= state["best"]
            learner.keep(folder.path, best)
        state["evaluated"] = state["step"]
        state["best"], state["stale"] = (score, 0) if best else (state["best"], state["stale"] + 1)

    try:
        # Before the clock runs, and before a folder is made: reading data is no training, and what cannot be read must not leave a
        # folder in the way of a better call.
        coming: Iterator[dict] = chain([next(batches)], batches)
        started = time.monotonic() - state["seconds"]
        if not resume:
            folder.begin()
        with ctrl_c_waits() as stop_asked:
            while (progress := distribute.agreed(done_share(config, state["step"], time.monotonic() - started))) < 1:
                if distribute.agreed(float(stop_asked())):
                    save()
                    log(f"stopped at step {state['step']}; go on with: {command} --resume --o {folder.path}")
                    return False
                if config.patience and state["stale"] >= config.patience:
                    log(f"no better for {state['stale']} evaluations: stopped early, after {state['step']} steps")
                    break
                batch = next(coming)
                losses = learner.step(state["step"], batch, progress)
                state["step"] += 1
                for name, value in losses.items():
                    if not math.isfinite(value):
                        raise _not_finite(f"{name} is {value}", state["step"], folder, batch)
                folder.log(state["step"], **losses)
                bar.update()
                bar.set_postfix(loss=f"{losses['loss']:.2f}", refresh=False)
                if state["step"] % config.evaluate_every == 0:
                    evaluate()
                if state["step"] % config.save_every == 0:
                    save()
    finally:
        batches.close()
        bar.close()
    if state["evaluated"] < state["step"]:
        save()
        evaluate()
    save()  # the score, too: a run that is made longer has to beat it
    log(f"done: {state['step']} steps, weights in {folder.path}")
    return True


def _not_finite(what: str, step: int, folder: RunDir, batch: dict[str, np.ndarray]) -> HandposeError:
    """Keep the batch that ended a run, without pickles; give the error that names it."""
    path = folder.path / BAD_BATCH_NAME
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **batch)
    atomic_write(path, buffer.getvalue())
    kept = "the last checkpoint is good" if (folder.path / CHECKPOINT_NAME).is_file() else "no checkpoint was due yet"
    return HandposeError(f"{what} at step {step}: stopped, {kept}, the batch is in {path}")
