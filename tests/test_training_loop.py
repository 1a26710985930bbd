"""The loop that every training runs in: stopping early, layers that stay fixed, runs that go wrong, folders that begin late."""

import argparse
import json
import signal
import time
from dataclasses import replace

import keras
import numpy as np
import pytest

from handpose.errors import HandposeError
from handpose.training.checkpoint import MovingAverage
from handpose.training.freeze import freeze
from handpose.training.loop import BAD_BATCH_NAME, Task, run_loop
from handpose.training.options import RunConfig, add_run_arguments, open_run, run_fields
from handpose.training.run_dir import RunDir
from handpose.training.supervised import CLIP_NORM, WARM_UP_STEPS, Supervised, _schedule

CONFIG = {"sources": ("x",), "mix": (1.0,), "batch_size": 4, "evaluate_every": 2, "save_every": 2}


def network():
    keras.utils.set_random_seed(0)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="stage0_conv")(image)
    x = keras.layers.BatchNormalization(name="stage0_norm")(x)
    x = keras.layers.Conv2D(4, 3, name="stage1_conv")(x)
    return keras.Model(image, keras.layers.Dense(1, name="head")(keras.layers.GlobalAveragePooling2D()(x)))


def batches(first_step, bad_at=None):
    step = first_step
    while True:
        rng = np.random.default_rng(step)
        image = rng.normal(size=(4, 8, 8, 3)).astype(np.float32)
        if step == bad_at:
            image[0] = np.nan
        yield {"image": image, "wanted": image.mean((1, 2))[:, :1]}
        step += 1


def weights_in(path):
    model = network()
    model.load_weights(path)
    return model.get_weights()


def run(folder, config, scores=None, resume=False, make=batches, model=None, log=lambda line: None):
    """Train a small network whose evaluations give `scores`, one after the other."""
    told = iter(scores or [])
    learner = Supervised(
        model or network(),
        lambda found, targets: {"loss": keras.ops.mean(keras.ops.square(found - targets["wanted"]))},
        config,
    )
    task = Task(learner, make, lambda model, step: next(told, 0.0))
    return run_loop(task, config, folder, resume, "train", log)


def test_a_run_stops_where_it_no_longer_improves_and_stays_stopped(tmp_path):
    config = RunConfig(**CONFIG, steps=100, patience=2)
    folder, lines = RunDir.plan(tmp_path / "run", {}), []
    assert run(folder, config, scores=[1, 3, 2, 4, 4, 3, 1, 1], log=lines.append)
    assert "stopped early, after 14 steps" in lines[0]  # 4 at step 8, again at step 10, and then twice worse
    resumed = []
    assert run(folder, config, scores=[1], resume=True, log=resumed.append)
    assert "stopped early, after 14 steps" in resumed[0]
    longer = replace(config, steps=120)
    assert run(folder, longer, scores=[1, 9, 1, 1], resume=True, log=resumed.append)
    assert "stopped early, after 22 steps" in resumed[2], "with another end it was asked to go on"


def test_without_patience_it_goes_on(tmp_path):
    config, lines = RunConfig(**CONFIG, steps=8), []
    assert run(RunDir.plan(tmp_path / "run", {}), config, scores=[4, 3, 2, 1], log=lines.append)
    assert "8 steps" in lines[0]


@pytest.mark.parametrize(("steps", "evaluated_at"), [(6, [2, 4, 6]), (7, [2, 4, 6, 7])])
def test_the_last_weights_are_evaluated_once(tmp_path, steps, evaluated_at):
    config, folder = RunConfig(**CONFIG, steps=steps), RunDir.plan(tmp_path / "run", {})
    seen = []
    for resume in (False, True):
        learner = Supervised(network(), lambda found, targets: {"loss": keras.ops.mean(found**2)}, config)
        task = Task(learner, batches, lambda model, step: seen.append(step) or 0.0)
        assert run_loop(task, config, folder, resume, "train", lambda line: None)
        assert seen == evaluated_at


def test_what_is_kept_is_averaged_and_what_goes_on_is_not(tmp_path):
    model, folder = network(), RunDir.plan(tmp_path / "run", {})
    assert run(folder, RunConfig(**CONFIG, steps=6), scores=[1, 3, 2], model=model)
    with np.load(folder.path / "checkpoint.npz") as stored:
        average, own = ([stored[f"{group}{i}"] for i in range(len(model.weights))] for group in ("average", "weight"))
    np.testing.assert_equal(weights_in(folder.path / "model.weights.h5"), average)
    np.testing.assert_equal(model.get_weights(), own)
    best = weights_in(folder.path / "best.weights.h5")  # of step 4
    for values in (average, own):
        assert all((kept != value).any() for kept, value in zip(best, values, strict=True))


def test_ctrl_c_while_it_is_evaluated_saves_the_weights_that_go_on(tmp_path):
    def pressed():
        signal.raise_signal(signal.SIGINT)
        yield 1.0

    model, folder, lines = network(), RunDir.plan(tmp_path / "run", {}), []
    assert not run(folder, RunConfig(**CONFIG, steps=6), scores=pressed(), model=model, log=lines.append)
    assert lines == [f"stopped at step 2; go on with: train --resume --o {folder.path}"]
    with np.load(folder.path / "checkpoint.npz") as stored:
        np.testing.assert_equal(model.get_weights(), [stored[f"weight{i}"] for i in range(len(model.weights))])
        assert any((stored[f"weight{i}"] != stored[f"average{i}"]).any() for i in range(len(model.weights)))


def test_a_run_that_is_made_longer_has_to_beat_its_last_score(tmp_path):
    config, folder = RunConfig(**CONFIG, steps=4), RunDir.plan(tmp_path / "run", {})
    assert run(folder, config, scores=[1, 9])
    best = weights_in(folder.path / "best.weights.h5")
    assert run(folder, replace(config, steps=8), scores=[5, 5], resume=True)
    np.testing.assert_equal(weights_in(folder.path / "best.weights.h5"), best)
    assert (weights_in(folder.path / "model.weights.h5")[0] != best[0]).any()


def test_weights_that_are_half_written_leave_the_old_ones_whole(tmp_path, monkeypatch):
    learner = Supervised(network(), lambda found, targets: {"loss": keras.ops.mean(found)}, RunConfig(**CONFIG))
    learner.keep(tmp_path, best=True)

    def killed(model, path):
        path.write_bytes(b"half of it")
        raise KeyboardInterrupt

    monkeypatch.setattr(keras.Model, "save_weights", killed)
    with pytest.raises(KeyboardInterrupt):
        learner.keep(tmp_path, best=True)
    for name in ("model", "best"):
        np.testing.assert_equal(weights_in(tmp_path / f"{name}.weights.h5"), learner.model.get_weights())
    assert len(list(tmp_path.iterdir())) == 2


def test_a_checkpoint_of_other_networks_is_refused(tmp_path):
    folder = RunDir.plan(tmp_path / "run", {})
    run(folder, RunConfig(**CONFIG, steps=2))
    other = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(1, name="head")])
    with pytest.raises(HandposeError, match="checkpoint.npz: not a checkpoint of these networks"):
        run(folder, RunConfig(**CONFIG, steps=4), model=other, resume=True)


def test_what_is_frozen_stays_as_it_is(tmp_path):
    model = network()
    before = {layer.name: layer.get_weights() for layer in model.layers}
    run(RunDir.plan(tmp_path / "run", {}), RunConfig(**CONFIG, steps=4, freeze=("stage0",)), model=model)
    for name in ("stage0_conv", "stage0_norm", "stage1_conv", "head"):
        same = [np.array_equal(a, b) for a, b in zip(before[name], model.get_layer(name).get_weights(), strict=True)]
        assert all(same) if name.startswith("stage0") else not any(same), name


def test_freezing_nothing_or_everything_is_refused():
    with pytest.raises(HandposeError, match="--freeze stage7: no layer .* there are stage0, stage1, head"):
        freeze(network(), ("stage7",))
    with pytest.raises(HandposeError, match="nothing is left to train"):
        freeze(network(), ("stage", "head"))


def test_a_loss_that_is_not_finite_keeps_its_batch_and_the_checkpoint(tmp_path):
    folder = RunDir.plan(tmp_path / "run", {})
    with pytest.raises(HandposeError, match=rf"nan at step 6: stopped, the last checkpoint is good.*{BAD_BATCH_NAME}"):
        run(folder, RunConfig(**CONFIG, steps=20), make=lambda first: batches(first, bad_at=5))
    with np.load(folder.path / BAD_BATCH_NAME, allow_pickle=False) as stored:
        assert sorted(stored.files) == ["image", "wanted"]
        np.testing.assert_array_equal(stored["image"], next(batches(5, bad_at=5))["image"])
    with np.load(folder.path / "checkpoint.npz") as stored:
        assert all(np.isfinite(stored[name]).all() for name in stored.files)


def test_weights_that_are_not_finite_are_never_saved(tmp_path):
    """The update after a finite loss may spoil the weights, just before a checkpoint is due."""
    model, folder = network(), RunDir.plan(tmp_path / "run", {})

    def make(first_step):
        source = batches(first_step)
        yield next(source)
        model.get_layer("stage0_norm").moving_mean.assign(np.full(4, np.nan))  # unused while it trains
        yield from source

    with pytest.raises(HandposeError, match="weight is not finite at step 2: stopped, no checkpoint was due yet"):
        run(folder, RunConfig(**CONFIG, steps=20), make=make, model=model)
    assert (folder.path / BAD_BATCH_NAME).is_file()
    assert not (folder.path / "checkpoint.npz").exists()
    assert not list(folder.path.glob("*.weights.h5")), "an evaluation comes before the checkpoint"


def test_what_cannot_be_made_leaves_no_folder(tmp_path):
    def broken(first_step):
        raise HandposeError("typo: no such folder")
        yield

    folder = RunDir.plan(tmp_path / "run", {})
    with pytest.raises(HandposeError, match="typo"):
        run(folder, RunConfig(sources=("x",), mix=(1.0,), steps=2), make=broken)
    assert not folder.path.exists()


def test_a_run_folder_begins_with_the_run(tmp_path):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser, "runs/x", batch=4, minutes=1)
    options = f"--i x --steps 2 --patience 3 --freeze stage0 head --o {tmp_path / 'run'}"

    def opened():
        return open_run(parser.parse_args(options.split()), RunConfig, lambda args: RunConfig(**run_fields(args)))

    config, folder = opened()
    assert (config.patience, config.freeze) == (3, ("stage0", "head"))
    assert not folder.path.exists()
    opened()[1].begin()
    with pytest.raises(HandposeError, match="exists already, and ended before its first checkpoint; remove it"):
        folder.begin()
    (folder.path / "checkpoint.npz").touch()
    with pytest.raises(HandposeError, match="exists already; continue it with --resume"):
        opened()
    with pytest.raises(HandposeError, match="--patience must be 0 or more, not -1"):
        run_fields(parser.parse_args(["--i", "x", "--patience", "-1"]))
    with pytest.raises(HandposeError, match="--minutes 0 is no end"):
        run_fields(parser.parse_args(["--i", "x", "--minutes", "0"]))
    assert run_fields(parser.parse_args(["--i", "x", "--minutes", "0", "--steps", "5"]))["minutes"] == 0
    for option in ("--steps", "--minutes", "--seed"):
        with pytest.raises(HandposeError, match=f"{option} must be 0 or more, not -1"):
            run_fields(parser.parse_args(["--i", "x", option, "-1"]))
    for option, value, reason in (
        ("--minutes", "nan", "must be a finite number"),
        ("--lr", "nan", "must be more than 0 and finite, not nan"),
        ("--lr", "inf", "must be more than 0 and finite, not inf"),
        ("--lr", "0", "must be more than 0 and finite, not 0.0"),
        ("--seed", str(2**32), r"must be below 2\*\*32"),
    ):
        with pytest.raises(HandposeError, match=f"{option} {reason}"):
            run_fields(parser.parse_args(["--i", "x", option, value]))
    assert run_fields(parser.parse_args(["--i", "x", "--i", "y", "z", "--freeze", "a", "--freeze", "b"]))[
        "sources"
    ] == ("x", "y", "z")
    with pytest.raises(HandposeError, match="--workers must be from 1 to 8"):
        run_fields(parser.parse_args(["--i", "x", "--workers", "9"]))


@pytest.mark.parametrize("end", [{"steps": 50, "minutes": 0.0}, {"steps": 0, "minutes": 2.5}])
def test_a_resumed_run_takes_another_end_and_tells_what_it_does_not_take(tmp_path, capsys, end):
    parser = argparse.ArgumentParser()
    add_run_arguments(parser, "runs/x", batch=4, minutes=1)
    folder = str(tmp_path / "run")

    def opened(*options):
        args = parser.parse_args([*options, "--o", folder])
        return open_run(args, RunConfig, lambda args: RunConfig(**run_fields(args)))

    config, made = opened("--i", "x", "--steps", "2", "--lr", "0.1")
    made.begin()
    assert opened("--resume")[0] == config
    assert not capsys.readouterr().out
    option, value = ("--steps", "50") if end["steps"] else ("--minutes", "2.5")
    longer = opened("--resume", option, value, "--lr", "0.3", "--freeze", "stem", "--save-every", "9")[0]
    assert longer == replace(config, **end)
    told = capsys.readouterr().out
    assert told.count("\n") == 1 and "without --freeze --lr --save-every: only its --steps or --minutes" in told
    assert json.loads((tmp_path / "run" / "config.json").read_text())[option[2:]] == end[option[2:]]
    assert opened("--resume")[0] == longer, "the end is kept"
    for option, value in (("--steps", "-5"), ("--minutes", "-3"), ("--minutes", "nan"), ("--minutes", "inf")):
        with pytest.raises(HandposeError, match=f"{option} must be"):
            opened("--resume", option, value)
    assert opened("--resume")[0] == longer


def test_reading_data_is_no_training(tmp_path):
    """Of a run of minutes the clock begins with the first batch."""

    def slow(first):
        time.sleep(0.5)
        yield from batches(first)

    rates = []
    config = replace(RunConfig(**CONFIG, steps=0), minutes=1 / 60)
    learner = Supervised(network(), lambda found, targets: {"loss": keras.ops.mean(found**2)}, config)
    step = learner.step
    learner.step = lambda number, batch, progress: rates.append(progress) or step(number, batch, progress)
    task = Task(learner, slow, lambda model, step: 0.0)
    assert run_loop(task, config, RunDir.plan(tmp_path / "run", {}), False, "train", lambda line: None)
    assert rates[0] < 0.2


@pytest.mark.parametrize(
    ("config", "reason"),
    [
        ({"sources": ["x"], "mix": [1.0], "size": 64}, "run: not a run of this command .* size[,)]"),
        ({"steps": 5}, "run: not a run of this command .* sources[,)]"),
        (["x"], "run/config.json: not a configuration"),
    ],
)
def test_the_folder_of_something_else_is_not_resumed(tmp_path, config, reason):
    parser, folder = argparse.ArgumentParser(), tmp_path / "run"
    add_run_arguments(parser, "runs/x", batch=4, minutes=1)
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(HandposeError, match=reason):
        open_run(parser.parse_args(["--resume", "--o", str(folder)]), RunConfig, lambda args: RunConfig())
    assert json.loads((folder / "config.json").read_text()) == config


def test_foreign_weights_are_found_out_before_the_folder_exists(tmp_path):
    from regnet import train

    parser = argparse.ArgumentParser()
    train.add_arguments(parser)
    foreign = tmp_path / "foreign.weights.h5"
    network().save_weights(foreign)
    options = ["--i", "render", "--steps", "1", "--init", str(foreign), "--o", str(tmp_path / "run")]
    with pytest.raises(HandposeError, match="not weights of the regnet_light_128 network"):
        train.run(parser.parse_args(options))
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("steps", [50, 400, 20_000])
def test_the_rate_rises_slowly_and_falls_to_nothing_however_short_the_run(steps):
    rates = np.array([_schedule(step, step / steps) for step in range(steps)])
    top = rates.argmax()
    assert rates[0] < 0.05 and rates.max() > 0.95 and rates[-1] < 0.01
    assert top <= max(0.1 * steps, 1) and (np.diff(rates[: top + 1]) > 0).all() and (np.diff(rates[top:]) < 0).all()


def weights_after(*lengths):
    """Give the weights after steps along one direction whose gradients, before they are clipped, have these lengths."""
    model = keras.Sequential([keras.Input((4,)), keras.layers.Dense(1, use_bias=False, kernel_initializer="zeros")])
    learner = Supervised(
        model,
        lambda found, targets: {"loss": keras.ops.sum(found * targets["length"])},
        RunConfig(**CONFIG, learning_rate=0.1),
    )
    for number, length in enumerate(lengths, WARM_UP_STEPS):
        learner.step(number, {"image": np.full((1, 4), 0.5, np.float32), "length": np.float32([[length]])}, 0.0)
    return model.get_weights()[0]


def test_a_batch_of_enormous_loss_counts_no_more_than_one_of_the_clipped_norm():
    """The step after it tells: the optimiser's moments remember how long its gradient was."""
    clipped = weights_after(CLIP_NORM, -1)
    np.testing.assert_allclose(weights_after(1e6, -1), clipped, rtol=1e-5)
    assert (np.abs(weights_after(CLIP_NORM / 2, -1) - clipped) > 0.01).all(), "shorter ones count less"


@pytest.mark.parametrize("momentum", [0.6, 0.998])
def test_the_moving_average_is_the_sum_of_all_weights_by_their_shares(momentum):
    """Against the sum written out: every step's weights up to 500, every fifth's from there on, each faded by what came after."""
    values = np.random.default_rng(0).normal(size=(531, 3, 1))
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(1, use_bias=False)])
    model.set_weights([values[0]])
    average = MovingAverage(model, momentum)
    taken = np.array([*range(1, 501), *range(505, 531, 5)])
    faded = np.minimum(momentum, (1 + taken) / (10 + taken)) ** np.where(taken > 500, 5, 1)
    for step in range(1, 531):
        model.set_weights([values[step]])
        average.update(step)
        if step in (1, 7, 500, 504, 530):
            fading, steps = faded[taken <= step], [0, *taken[taken <= step]]
            shares = np.r_[1, 1 - fading] * np.r_[np.cumprod(fading[::-1])[::-1], 1]
            np.testing.assert_allclose(average.values[0], np.tensordot(shares, values[steps], 1), rtol=1e-4, atol=1e-6)
    with average.in_place():
        np.testing.assert_equal(model.get_weights(), average.values)
    np.testing.assert_allclose(model.get_weights()[0], values[530], rtol=1e-6)
