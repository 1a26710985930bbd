"""The training loop of every network here: step, average, evaluate, save, stop. It resumes exactly."""

from __future__ import annotations

import io
import math
import time
from collections.abc import Callable, Generator
from dataclasses import dataclass
from typing import Any

import numpy as np

from handpose.atomic import atomic_write
from handpose.errors import HandposeError
from handpose.training import distribute
from handpose.training.options import RunConfig, done_share
from handpose.training.run_dir import CHECKPOINT_NAME, RunDir

WARM_UP_STEPS = 300
WEIGHT_DECAY = 0.02
CLIP_NORM = 5.0
BAD_BATCH_NAME = "bad_batch.npz"


@dataclass(frozen=True)
class Task:
    """What a run learns: a Keras `model`, its `losses(outputs, targets)`, `batches(first_step)` of arrays with the pictures under
    "image", and `evaluate(model, step)`, which tells how good the averaged weights are."""

    model: Any
    losses: Callable[[Any, Any], dict]
    batches: Callable[[int], Generator[dict, None, None]]
    evaluate: Callable[[Any, int], float]


def run_loop(
    task: Task, config: RunConfig, folder: RunDir, resume: bool, command: str, log: Callable[[str], None]
) -> bool:
    """Train to the end, early where evaluations no longer improve, or to Ctrl-C, which saves; say whether the end was reached.

    Leaves in `folder` losses.csv, checkpoint.npz, best.weights.h5 and, at the end, model.weights.h5 (both averaged). Raises
    HandposeError where loss or weights are not finite, naming the step and the file of its batch; the last good checkpoint stays.
    """
    from tqdm import tqdm

    from handpose.training import backend, checkpoint
    from handpose.training.freeze import freeze
    from handpose.training.muon import Muon

    model = task.model
    distribute.check_batch(config.batch_size)
    freeze(model, config.freeze)
    optimizer = Muon(config.learning_rate, weight_decay=WEIGHT_DECAY, clipnorm=CLIP_NORM)
    step_function = backend.make_train_step(model, task.losses, optimizer)
    average = checkpoint.MovingAverage(model)
    state: dict[str, Any] = {"step": 0, "seconds": 0.0, "best": -1e9, "stale": 0}
    if resume:
        state |= checkpoint.restore(folder.path, model, average, optimizer)
        folder.rewind(state["step"])
    else:
        folder.begin()
    started = time.monotonic() - state["seconds"]
    batches = task.batches(state["step"])
    batch: dict[str, np.ndarray] = {}
    bar = tqdm(
        total=config.steps or None, initial=state["step"], unit="step", mininterval=5, dynamic_ncols=True,
        disable=distribute.share().process > 0,
    )  # fmt: skip

    def save() -> None:
        if not all(np.isfinite(values).all() for values in model.get_weights()):
            raise _not_finite("a weight is not finite", state["step"], folder, batch)
        state["seconds"] = time.monotonic() - started
        checkpoint.save(folder.path, model, average, optimizer, state)

    def evaluate() -> None:
        score = distribute.agreed(task.evaluate(model, state["step"]))
        state["stale"] += 1
        if score >= state["best"]:
            state["best"], state["stale"] = score, 0
            model.save_weights(folder.path / "best.weights.h5")

    try:
        while (progress := distribute.agreed(done_share(config, state["step"], time.monotonic() - started))) < 1:
            if config.patience and state["stale"] >= config.patience:
                log(f"no better for {state['stale']} evaluations: stopped early, after {state['step']} steps")
                break
            optimizer.learning_rate.assign(config.learning_rate * _schedule(state["step"], progress))
            batch = next(batches)
            losses = step_function(batch["image"], {name: batch[name] for name in batch if name != "image"})
            state["step"] += 1
            if not math.isfinite(losses["loss"]):
                raise _not_finite(f"the loss is {losses['loss']}", state["step"], folder, batch)
            average.update(state["step"])
            folder.log(state["step"], **losses)
            bar.update()
            bar.set_postfix(loss=f"{losses['loss']:.2f}", refresh=False)
            if state["step"] % config.evaluate_every == 0:
                average.swap()
                evaluate()
                average.swap()
            if state["step"] % config.save_every == 0:
                save()
    except KeyboardInterrupt:
        save()
        log(f"stopped at step {state['step']}; go on with: {command} --resume --o {folder.path}")
        return False
    finally:
        batches.close()
        bar.close()
    save()
    average.swap()
    evaluate()
    model.save_weights(folder.path / "model.weights.h5")
    log(f"done: {state['step']} steps, weights in {folder.path / 'model.weights.h5'}")
    return True


def _not_finite(what: str, step: int, folder: RunDir, batch: dict[str, np.ndarray]) -> HandposeError:
    """Keep the batch that ended a run, without pickles; give the error that names it."""
    path = folder.path / BAD_BATCH_NAME
    buffer = io.BytesIO()
    np.savez(buffer, allow_pickle=False, **batch)
    atomic_write(path, buffer.getvalue())
    kept = "the last checkpoint is good" if (folder.path / CHECKPOINT_NAME).is_file() else "no checkpoint was due yet"
    return HandposeError(f"{what} at step {step}: stopped, {kept}, the batch is in {path}")


def _schedule(step: int, progress: float) -> float:
    """Linear warm-up, then cosine decay to nothing."""
    return min(1.0, (step + 1) / WARM_UP_STEPS) * 0.5 * (1 + math.cos(math.pi * min(progress, 1.0)))
