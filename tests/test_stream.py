"""Rendered training items follow from (seed, index) alone; the stream's worker hands them over in order, fails loudly and ends."""

import multiprocessing
import os
import signal
import subprocess
import sys
import time
from collections import Counter, deque
from pathlib import Path

import numpy as np
import pytest
from tests_data import write_photo_set

from handpose.errors import HandposeError
from handpose.skeleton import M0, WRIST
from handpose.synthesis.backgrounds import Backgrounds
from handpose.synthesis.foreground import straight
from handpose.synthesis.sampler import RenderSampler
from handpose.training.stream import LANES, stream
from regnet.batches import BatchMaker, StreamConfig
from regnet.render_items import CACHE, REUSE, RenderItems


def sampler(seed=5, **options):
    """A small sampler that needs no data."""
    return RenderSampler(seed, 64, backgrounds=Backgrounds(), **options)


def same(a, b):
    return all(np.array_equal(value, vars(b)[key]) for key, value in vars(a).items())


def test_an_item_depends_on_seed_and_index_alone():
    first, second = sampler(), sampler()
    expected = [first.sample(index) for index in range(4)]
    for index in (3, 1, 3, 0, 2):
        assert same(second.sample(index), expected[index])
    assert not same(sampler(6).sample(0), expected[0])
    assert not same(expected[0], expected[1])


def test_the_cache_is_bounded_and_changes_no_byte():
    wide, narrow = sampler(reuse=3, cache=6), sampler(reuse=3, cache=6)
    for index in range(12):
        item = wide.sample(index)
        narrow._kept.clear()
        assert same(item, narrow.sample(index))
        assert len(wide._kept) <= 6


def test_a_hand_is_rendered_once_while_it_may_be_shown(monkeypatch):
    """Kept by age, half of the window's hands were rendered again and again."""
    rendered = Counter()
    monkeypatch.setattr(RenderSampler, "foreground", lambda self, number, size: rendered.update([number]) or number)
    source = sampler(reuse=5, cache=40)
    for index in range(2000):
        rng = np.random.default_rng(index)
        for number in (source._number(index, rng), source._number(index, rng)):
            assert source.rendered(number) == number
    assert len(rendered) > 400 and set(rendered.values()) == {1}


def test_foregrounds_are_reused_with_new_surroundings():
    source = sampler(reuse=4, cache=3)
    numbers = [source._number(index, np.random.default_rng((5, 2, index))) for index in range(40)]
    assert len(set(numbers)) < 16
    assert len({source.sample(index).image.tobytes() for index in range(8)}) == 8


def test_items_hold_what_they_promise():
    batch = sampler().batch(6, first=10)
    assert batch["image"].shape == (6, 64, 64, 3) and batch["image"].dtype == np.uint8
    assert batch["joints_px"].shape == (6, 21, 2)
    np.testing.assert_allclose(batch["joints_rel"][:, M0], 0, atol=1e-12)
    np.testing.assert_allclose(np.linalg.norm(batch["joints_rel"][:, WRIST], axis=-1), 1, atol=1e-9)
    assert (batch["presence"] == 1).all()
    assert ((batch["scale_mm"] > 60) & (batch["scale_mm"] < 130)).all()


def test_crops_hold_the_hand_about_as_a_tracker_would():
    joints = sampler().batch(24)["joints_px"]
    sides = np.ptp(joints, axis=1).max(-1)
    middles = (joints.min(1) + joints.max(1)) / 2
    assert 0.5 * 64 < np.median(sides) < 0.85 * 64
    assert np.abs(middles - 31.5).max() < 0.25 * 64
    up = joints[:, WRIST, 1] - joints[:, M0, 1]
    assert (up > 0).mean() > 0.7


def test_a_hand_to_paste_keeps_its_forearm_and_its_colour():
    hand = sampler().foreground(3, 96)
    rgba = straight(hand.rgba)
    assert rgba.shape == (96, 96, 4) and hand.side == "left"
    assert ((hand.joints_px > 0) & (hand.joints_px < 96)).all()
    assert (rgba[..., 3] > 0).sum() > 300
    edge = rgba[(rgba[..., 3] > 60) & (rgba[..., 3] < 200)][:, :3].mean()
    inner = rgba[rgba[..., 3] == 255][:, :3].mean()
    assert edge > 0.55 * inner  # not darkened by its alpha


class Steps:
    """Makes batches that hold their own step; fails at the step it is told."""

    def __init__(self, fails_at):
        self.fails_at = fails_at

    def batch(self, step):
        if step == self.fails_at:
            raise HandposeError(f"step {step}: no more")
        return {"step": np.array([step])}


def test_a_stream_goes_on_from_any_step_and_ends_with_its_worker():
    batches = stream(Steps, None, first_step=7)
    assert [int(next(batches)["step"][0]) for _ in range(20)] == list(range(7, 27))
    batches.close()
    deadline = time.time() + 10
    while multiprocessing.active_children() and time.time() < deadline:
        time.sleep(0.05)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("workers", [2, 3, 99])
def test_batches_are_the_same_however_many_workers_make_them(workers):
    batches = stream(Steps, None, first_step=5, workers=workers)
    assert [int(next(batches)["step"][0]) for _ in range(2 * LANES + 3)] == list(range(5, 2 * LANES + 8))
    assert len(multiprocessing.active_children()) == min(workers, LANES)
    batches.close()


def test_lanes_of_rendered_hands_are_kept_apart():
    """A worker keeps the hands of its own lanes only, and no two lanes show the same."""
    items = RenderItems(5, 64, Backgrounds())
    first, second = (items.lane(lane).placed(0, 64).joints_px for lane in (0, 1))
    assert not np.allclose(first, second) and items.lane(0) is items.lane(0)
    assert sum(items.lane(lane).cache for lane in range(LANES)) == CACHE


def test_a_hand_is_shown_as_often_however_few_of_a_batch_are_rendered(tmp_path):
    """Hands that came and went with the places of a whole batch were rendered for a few looks each."""
    config = StreamConfig(("render", str(write_photo_set(tmp_path / "set", 2))), (0.5, 1.5), batch_size=16)
    sampler = BatchMaker(config).made["render"].lane(0)
    places = range(100 * config.batch_size)
    newest = [sampler._number(place, np.random.default_rng(place)) for place in places]
    hands_that_came = max(newest[-400:]) - max(newest[:400])
    rendered_places = 0.25 * (len(places) - 400)
    assert rendered_places / hands_that_came == pytest.approx(REUSE, rel=0.1)


class Large:
    """Batches that no pipe holds whole."""

    def __init__(self, config):
        pass

    def batch(self, step):
        return {"step": np.full(4_000_000, step)}


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL here")
def test_a_worker_that_is_killed_is_missed_also_halfway_through_a_batch():
    batches = stream(Large, None)
    next(batches)
    (worker,) = multiprocessing.active_children()
    time.sleep(0.5)  # the pipe is full by now
    os.kill(worker.pid, signal.SIGKILL)
    with pytest.raises(HandposeError, match="a data worker died"):
        deque(batches, maxlen=0)


@pytest.mark.skipif(sys.platform != "linux", reason="processes are told by /proc")
def test_a_worker_whose_training_is_killed_at_once_goes_too(tmp_path):
    """While it still imports, it does not know its parent yet."""
    code = "from test_stream import Steps, stream; stream(Steps, None).__next__()"
    paths = os.pathsep.join([str(Path(__file__).parent), str(Path(__file__).parents[1])])
    with subprocess.Popen([sys.executable, "-c", code], env=os.environ | {"PYTHONPATH": paths}) as training:
        deadline = time.monotonic() + 60
        while not (workers := children_of(training.pid)) and time.monotonic() < deadline:
            time.sleep(0.01)
        training.kill()
    assert workers
    deadline = time.monotonic() + 60
    while any(map(alive, workers)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, workers))


def children_of(pid: int) -> list[int]:
    listed = Path(f"/proc/{pid}/task/{pid}/children")
    return [int(child) for child in listed.read_text().split()] if listed.exists() else []


def alive(pid: int) -> bool:
    status = Path(f"/proc/{pid}/stat")
    return status.exists() and status.read_text().rpartition(")")[2].split()[0] != "Z"


def test_a_failing_worker_is_heard():
    batches = stream(Steps, 2)
    assert [int(next(batches)["step"][0]) for _ in range(2)] == [0, 1]
    with pytest.raises(HandposeError, match="step 2: no more"):
        next(batches)
    assert not multiprocessing.active_children()
