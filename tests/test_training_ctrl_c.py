"""Ctrl-C ends a training between two steps, and it goes on as if it had not; pressed twice it ends at once, with nothing saved."""

import csv
import os
import signal
import threading
from contextlib import nullcontext

import numpy as np
import pytest

from handpose.training.interrupt import ctrl_c_waits
from handpose.training.loop import Task, run_loop
from handpose.training.options import RunConfig
from handpose.training.run_dir import RunDir
from handpose.training.stream import stream

CONFIG = RunConfig(sources=("x",), mix=(1.0,), steps=8, save_every=3, evaluate_every=100)


class Walk:
    """Weights and their average: a step moves the ones, hears of Ctrl-C as often as `pressed` tells for its number, and moves the other."""

    def __init__(self, pressed=None):
        self.weights, self.average, self.pressed = np.zeros(3), np.zeros(3), pressed or {}

    def step(self, number, batch, progress):
        self.weights = self.weights + batch["way"] - progress * self.average
        for _ in range(self.pressed.get(number, 0)):
            signal.raise_signal(signal.SIGINT)
        self.average = 0.9 * self.average + 0.1 * self.weights
        return {"loss": float(np.abs(self.weights).sum())}

    def averaged(self):
        return nullcontext()

    def keep(self, folder, best):
        pass

    def values(self):
        return {"weight": [self.weights], "average": [self.average]}

    def assign(self, values):
        (self.weights,), (self.average,) = values["weight"], values["average"]


def batches(step):
    while True:
        yield {"way": np.random.default_rng(step).normal(size=3)}
        step += 1


def run(folder, learner, resume=False):
    return run_loop(Task(learner, batches, lambda averaged, step: 0.0), CONFIG, folder, resume, "train", lambda _: None)


def losses(folder):
    with (folder.path / "losses.csv").open() as file:
        return [(row["step"], row["loss"]) for row in csv.DictReader(file)]


@pytest.fixture
def whole(tmp_path):
    """The losses of a run that was never stopped."""
    folder = RunDir.plan(tmp_path / "whole", {})
    assert run(folder, Walk())
    return losses(folder)


def test_a_step_is_finished_before_the_run_stops(tmp_path, whole, capfd):
    folder, before = RunDir.plan(tmp_path / "run", {}), signal.getsignal(signal.SIGINT)
    assert not run(folder, Walk({4: 1}))
    assert "stopping as soon as this step is done" in capfd.readouterr().err
    assert losses(folder) == whole[:5]
    assert signal.getsignal(signal.SIGINT) is before
    assert run(folder, Walk(), resume=True)
    assert losses(folder) == whole


def test_pressed_twice_it_stops_at_once_and_the_checkpoint_stays(tmp_path, whole):
    folder = RunDir.plan(tmp_path / "run", {})
    with pytest.raises(KeyboardInterrupt):
        run(folder, Walk({4: 2}))
    with np.load(folder.path / "checkpoint.npz") as stored:
        assert b'"step": 3' in stored["state"].tobytes()
    assert run(folder, Walk(), resume=True)
    assert losses(folder) == whole


def test_another_thread_trains_too(tmp_path, whole):
    folder = RunDir.plan(tmp_path / "run", {})
    thread = threading.Thread(target=run, args=(folder, Walk()))
    thread.start()
    thread.join()
    assert losses(folder) == whole


def test_where_ctrl_c_was_ignored_it_still_is():
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with ctrl_c_waits() as asked:
            signal.raise_signal(signal.SIGINT)
            assert not asked()
    finally:
        signal.signal(signal.SIGINT, before)


class Numbered:
    """Makes batches that hold their own step."""

    def __init__(self, config):
        pass

    def batch(self, step):
        return {"step": np.array([step])}


def press():
    os.kill(os.getpid(), signal.SIGINT)


class PressedOnArrival:
    """Reads, in the process that it is sent to, as a Ctrl-C before anything else is done there."""

    def __reduce__(self):
        return press, ()


def test_a_worker_that_has_yet_to_start_does_not_hear_it():
    made = stream(Numbered, PressedOnArrival(), first_step=7)
    assert [int(next(made)["step"][0]) for _ in range(2)] == [7, 8]
    made.close()
