"""What each side shows of its pictures: all of them, none more often than others, and none that measures."""

import json

import numpy as np
import pytest
from geocongan_data import write_prepared
from test_synth_hands import write as write_frame

from geocongan import domains, progress, train_silnet
from geocongan.domains import DomainBatches, DomainConfig, PhotographedSide
from geocongan.train import GanConfig
from handpose.errors import HandposeError
from handpose.synthesis.foreground import premultiplied


@pytest.mark.parametrize("count", [2, 5])
def test_each_photograph_has_its_pose_rendered_once_a_round(monkeypatch, tmp_path, count):
    """More photographs than renders are kept, or fewer: none is passed over, none preferred."""
    monkeypatch.setattr(domains, "_KEPT", 3)
    monkeypatch.setattr(domains, "_CANDIDATES", 20)
    real = write_prepared(tmp_path / "real")
    joints = np.random.default_rng(0).uniform(0, 64, (count, 21, 2))
    labels = {f"image_{number}": one.tolist() for number, one in enumerate(joints, 1)}
    (real / "user_made" / "joints.json").write_text(json.dumps(labels))
    assert shown(DomainConfig("render", str(real), 64), 2 * count) == [list(range(count))] * 2


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ('{"image_1": [[1, 2], ', "not readable as JSON"),
        ("[1, 2]", "not the joints that geocongan prepare writes"),
        ('{"image_1": [[1, 2], [3, 4]]}', "not the joints that geocongan prepare writes"),
        ('{"image_1": [[1, 2], [3]]}', "not the joints that geocongan prepare writes"),
        ('{"image_1": {"x": 1}}', "not the joints that geocongan prepare writes"),
    ],
)
def test_broken_joints_are_told_in_one_line_with_their_file(tmp_path, content, reason):
    path = write_prepared(tmp_path / "real") / "user_made" / "joints.json"
    path.write_text(content)
    with pytest.raises(HandposeError) as caught:
        PhotographedSide(tmp_path / "real", 64)
    assert str(caught.value).startswith(f"{path}: {reason}") and "\n" not in str(caught.value)


def test_photographs_without_joints_are_told_of(tmp_path, capsys):
    real = str(write_prepared(tmp_path / "real"))
    DomainBatches(DomainConfig("render", real, 64))
    assert f"{real}: no joints, so renders are not posed like its photographs" in capsys.readouterr().err


def test_all_frames_of_a_folder_are_shown_but_those_to_measure_on(tmp_path, monkeypatch):
    monkeypatch.setattr(domains, "_KEPT", 2)
    monkeypatch.setattr(domains, "_HELD_OUT_EVERY", 3)
    folder, real = tmp_path / "renders", str(write_prepared(tmp_path / "real"))
    for index in range(8):
        write_frame(folder, index)
    for split, wanted in (("train", [1, 2, 4, 5, 7]), ("held_out", [0, 3, 6]), (None, list(range(8)))):
        assert shown(DomainConfig(str(folder), real, 64, split=split), 2 * len(wanted)) == [wanted] * 2, split
    write_frame(tmp_path / "one")
    with pytest.raises(HandposeError, match="one frame is not enough"):
        DomainBatches(DomainConfig(str(tmp_path / "one"), real, 64))


def shown(config, count):
    """The numbers of `count` rendered hands in the order in which they are shown, half by half, each half sorted."""
    batches = DomainBatches(config)
    side, seen = batches.synthetic, []
    nothing = np.zeros((config.size, config.size, 4), np.uint8)
    side.picture = lambda index: (seen.append(index), (nothing, None))[1]
    for step in range(count):
        batches.batch(step)
    if config.synthetic != "render":
        seen = side.numbers[seen].tolist()
    return [sorted(seen[: count // 2]), sorted(seen[count // 2 :])]


def test_a_photograph_without_its_mask_is_named(tmp_path):
    real = write_prepared(tmp_path / "real")
    (real / "user_made" / "mask" / "image_2.png").unlink()
    with pytest.raises(HandposeError, match="image_2_color.png: its mask is missing"):
        PhotographedSide(real, 64)


def test_each_photograph_is_shown_once_a_round(tmp_path):
    batches, seen = DomainBatches(DomainConfig("render", str(write_prepared(tmp_path / "real", 5)), 64, 2)), []
    nothing = np.zeros((64, 64, 4), np.uint8)
    batches.synthetic.picture = lambda index: (nothing, None)
    batches.real.picture = lambda index: (seen.append(index), nothing)[1]
    for step in range(5):
        batches.batch(step)
    assert sorted(seen[:5]) == sorted(seen[5:]) == list(range(5)) and seen[:5] != seen[5:]


def test_nothing_is_measured_twice(tmp_path, monkeypatch):
    """Not where photographs are few, nor where two of them chose one drawn hand."""
    monkeypatch.setattr(domains, "_CANDIDATES", 20)
    config = DomainConfig("render", str(write_prepared(tmp_path / "real", 5)), 64, 12)
    batches = DomainBatches(config)
    batches.synthetic.numbers = np.array([4, 9, 4, 4, 6])
    batches.synthetic.picture = lambda index: (marked(batches.synthetic.numbers[index]), None)
    batches.real.picture = marked
    monkeypatch.setattr(domains, "moved", lambda rng, picture: picture)
    batch = {name: pictures.reshape(len(pictures), -1) for name, pictures in batches.measured().items()}
    tones = {side: sorted(np.round(127.5 * (batch[side].min(-1) + 1)).astype(int)) for side in ("synthetic", "real")}
    assert tones == {"synthetic": [4, 6, 9], "real": list(range(5))}
    assert [len(batch[name]) for name in ("synthetic_mask", "real_mask")] == [3, 5]
    batches.synthetic.numbers = np.array([4, 4])
    with pytest.raises(HandposeError, match="render: one hand to measure on"):
        batches.measured()


def marked(tone):
    """A picture (64, 64, 4) that is all hand, of one tone."""
    return np.dstack([np.full((64, 64, 3), tone, np.uint8), np.full((64, 64), 255, np.uint8)])


def test_no_step_shows_what_measures(monkeypatch):
    """The fixed sets of a folder of renders are of its held-out frames."""
    pytest.importorskip("keras")
    splits = []

    def stop(config, split=None):
        splits.append(split or config.split)
        raise InterruptedError

    monkeypatch.setattr(progress, "DomainBatches", stop)
    monkeypatch.setattr(train_silnet, "SilNetBatches", stop)
    options = {"sources": ("renders", "photographs"), "mix": (0.5, 0.5)}
    for work in (
        lambda: progress.Progress(GanConfig(**options), None, print),
        lambda: train_silnet.train(train_silnet.SilNetConfig(**options), None),
    ):
        with pytest.raises(InterruptedError):
            work()
    assert splits == ["held_out"] * 2


def test_so_many_photographs_are_kept_and_no_more(tmp_path, monkeypatch):
    monkeypatch.setattr(domains, "_KEPT", 2)
    side, read = PhotographedSide(write_prepared(tmp_path / "real", 3), 64), []
    monkeypatch.setattr(domains, "premultiplied", lambda *picture: read.append(1) or premultiplied(*picture))
    for index, reads in ((0, 1), (0, 1), (1, 2), (2, 3), (1, 3), (0, 4)):
        side.picture(index)
        assert len(read) == reads
