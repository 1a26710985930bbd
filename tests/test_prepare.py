"""Shards hold the very windows that training would cut, each once, whoever is killed on the way; and training draws from them."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import test_dexter
import test_inspect
import test_stb
from test_dataset_crops import write_freihand, write_synth_hands
from tests_data import made_a_pipe, wait_for, write_photo_set

from handpose.data import READERS
from handpose.errors import HandposeError
from handpose.images import read_image, write_image
from handpose.skeleton import M0, WRIST
from handpose.synthesis.backgrounds import Backgrounds
from regnet.batches import BatchMaker, StreamConfig
from regnet.dataset_crops import cut_window, windows_of
from regnet.labelled import cut_windows, open_split
from regnet.photo_crops import PhotoCrops
from regnet.progress import HeldOut
from regnet.shards import MANIFEST, Shards, decode, encode, read_manifest

pytest.importorskip("array_record", reason="no shards on this system")
ROOT = Path(__file__).resolve().parents[1]
for name in ("datasets", "tools"):  # scripts, not packages; workers are given this path too
    sys.path.append(str(ROOT / name))
import prepare
import throughput


@pytest.fixture(scope="module")
def sources(tmp_path_factory) -> list[Path]:
    """8 photographed hands, 4 on green and 3 right ones with 3D."""
    root = tmp_path_factory.mktemp("sources")
    return [write_photo_set(root / "p"), write_synth_hands(root / "s"), write_freihand(root / "f")]


@pytest.fixture(scope="module")
def mixed(sources, tmp_path_factory) -> Path:
    """All of them in shards of 4."""
    out = tmp_path_factory.mktemp("mixed") / "shards"
    assert prepared(sources, out, "--per-shard", "4", "--workers", "2") == 0
    return out


def prepared(folders, out, *options) -> int:
    return prepare.main(["--i", *map(str, folders), "--o", str(out), *options])


def origins(folder) -> list[tuple[int, int]]:
    shards = Shards(folder)
    return [shards.origin(index) for index in range(len(shards))]


def check_kept(kept, window):
    """A window that comes out of a shard is the one that went in, but for what JPEG does to its colours."""
    for key in ("joints_px", "valid", "joints_rel", "has_side", "on_green", "silhouette"):
        np.testing.assert_array_equal(getattr(kept, key), getattr(window, key), err_msg=key)
    np.testing.assert_array_equal(kept.image[..., 3], window.cut_out[..., 3])
    error = np.abs(kept.image[..., :3].astype(int) - window.image[..., :3])
    assert error.mean() < 3 and np.percentile(error, 99) < 12  # pure noise is the worst for JPEG


def test_records_are_the_windows_that_training_would_cut(sources, mixed):
    shards = windows_of(open_split(mixed, "train"))
    cut = [windows_of(open_split(folder, "train")) for folder in sources]
    assert sorted(origins(mixed)) == [(source, i) for source, windows in enumerate(cut) for i in range(len(windows))]
    assert len(shards) == len(list(shards)) == 15 and len(read_manifest(mixed)["shards"]) == 4
    for (source, index), kept in zip(origins(mixed), shards, strict=True):
        check_kept(kept, cut[source][index])
    assert {window.on_green for window in shards} == {False, True}
    assert {window.joints_rel is None for window in shards} == {False, True}


@pytest.mark.parametrize("kind", [*READERS, "ego_dexter"])
def test_every_dataset_goes_into_shards_and_comes_out_again(kind, tmp_path, monkeypatch):
    """Here and now: workers take a second each to start, and are tested elsewhere."""
    folder, out = tmp_path / "set", tmp_path / "o"
    folder.mkdir()
    (test_inspect.WRITERS | {"ego_dexter": test_dexter.write_ego})[kind](folder)
    monkeypatch.setattr(prepare, "_map_here", lambda work, jobs, workers: ((job, work(job)) for job in jobs))
    assert prepared([folder], out, "--split", "all") == 0
    samples, cut = open_split(folder).samples, windows_of(open_split(folder))
    assert sorted(origins(out)) == [(0, i) for i in range(len(samples))]
    for (_, index), kept in zip(origins(out), Shards(out), strict=True):
        sample = samples[index]
        check_kept(kept, cut[index])
        np.testing.assert_array_equal(kept.valid, sample.valid)
        assert kept.has_side == (sample.side is not None) and np.isfinite(kept.joints_px).all()
        in_3d = sample.joints_mm is not None and np.isfinite(sample.joints_mm[[WRIST, M0]]).all()
        assert (kept.joints_rel is not None) == in_3d and (kept.silhouette is None) == sample.valid.any()


def test_what_a_window_lacks_is_lacking_in_its_record(sources):
    window = cut_window(open_split(sources[1]).samples[0], "synth_hands")
    valid, joints_rel = np.arange(21) != 5, np.where(np.arange(21)[:, None] == 5, np.nan, window.joints_rel)
    odd = replace(window, valid=valid, joints_rel=joints_rel, has_side=False, image=window.image | [[[0, 0, 0, 255]]])
    kept = decode(encode(odd, 3, 2**40))
    np.testing.assert_array_equal(kept.valid, valid)
    np.testing.assert_array_equal(kept.joints_rel, joints_rel)
    assert not kept.has_side and (kept.image[..., 3] == 255).all()


def test_the_same_settings_give_the_same_records(sources, mixed, tmp_path):
    assert prepared(sources, tmp_path / "same", "--per-shard", "4", "--workers", "1") == 0
    assert prepared(sources, tmp_path / "other", "--per-shard", "4", "--seed", "1") == 0
    for name in read_manifest(mixed)["shards"]:
        assert (tmp_path / "same" / name).read_bytes() == (mixed / name).read_bytes()
    assert origins(tmp_path / "other") != origins(mixed)
    assert sorted(origins(tmp_path / "other")) == sorted(origins(mixed))


@pytest.mark.parametrize(
    ("options", "counts"),
    [
        ({}, [8, 4, 3]),
        ({"mix": "0.6,0.4,0"}, [6, 4, 0]),  # none twice
        ({"mix": "0.5,0.3,0.2", "n": 11}, [6, 3, 2]),
        ({"n": 5}, [3, 1, 1]),
        ({"mix": "1,1,2", "n": 16}, [4, 4, 8]),  # of three hands
    ],
)
def test_a_mix_is_kept_and_no_hand_drawn_twice_before_all_were_once(sources, tmp_path, options, counts):
    words = [word for key, value in options.items() for word in (f"--{key}", str(value))]
    assert prepared(sources, tmp_path / "o", *words, "--workers", "1") == 0
    drawn = origins(tmp_path / "o")
    assert [sum(source == i for source, _ in drawn) for i in range(3)] == counts
    for source, have in enumerate((8, 4, 3)):
        times = np.bincount([index for i, index in drawn if i == source], minlength=have)
        assert np.ptp(times) <= 1 and len(times) == have


@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="tells the workers by /proc")
@pytest.mark.parametrize("victim", ["worker", "command"])
def test_who_is_killed_loses_nothing_and_doubles_nothing(tmp_path, victim):
    """One picture is a pipe that nobody fills: its worker waits there, while the other one does the rest."""
    folder, out = write_synth_hands(tmp_path / "s", 6), tmp_path / "o"
    picture, kept = made_a_pipe(sorted(folder.rglob("*_color.png"))[2])
    command = [sys.executable, str(ROOT / "datasets" / "prepare.py"), "--i", str(folder), "--o", str(out)]
    command += ["--per-shard", "1", "--workers", "2"]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    wait_for(lambda: len(finished(out)) == 5, 60)
    done = finished(out)
    workers = wait_for(lambda: spawned_by(running.pid), 60)
    os.replace(kept, picture)
    if victim == "worker":
        os.kill(workers[0], signal.SIGKILL)
    else:
        running.kill()
    told = running.communicate(timeout=60)[1]
    if victim == "worker":
        assert running.returncode == 0 and told.count("a worker died") == 1
    else:
        wait_for(lambda: not any(map(is_running, workers)), 60)
        with pytest.raises(HandposeError, match="only 5 of 6 shards are done"):
            Shards(out)
        subprocess.run(command, check=True, capture_output=True, timeout=60)
    after = finished(out)
    assert {name: after[name] for name in done} == done, "what was done is not done again"
    assert sorted(origins(out)) == [(0, i) for i in range(6)]
    assert sorted(path.name for path in out.iterdir()) == sorted([*after, MANIFEST])
    np.testing.assert_array_equal(
        sorted(window.joints_px.sum() for window in Shards(out)),
        sorted(window.joints_px.sum() for window in windows_of(open_split(folder))),
    )


def test_those_under_way_are_given_whether_one_fails_or_the_user_stops_all():
    jobs = prepare._map_here(time.sleep, ["no number", 0.5], 2)
    assert next(jobs) == (0.5, None)
    with pytest.raises(TypeError):
        next(jobs)
    jobs = prepare._map_here(time.sleep, [0.0, 0.5], 2)
    assert next(jobs) == (0.0, None) and jobs.throw(KeyboardInterrupt) == (0.5, None)
    with pytest.raises(KeyboardInterrupt):
        next(jobs)


def finished(out: Path) -> dict[str, int]:
    """The shards that are noted as done, and when they were written."""
    names = json.loads((out / MANIFEST).read_text())["shards"] if (out / MANIFEST).exists() else ()
    return {name: (out / name).stat().st_mtime_ns for name in names}


def spawned_by(pid: int) -> list[int]:
    """The worker processes of a process."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"spawn_main" in Path(f"/proc/{child}/cmdline").read_bytes()]


def is_running(pid: int) -> bool:
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] not in "ZX"


def test_bad_input_is_told_in_one_line(sources, mixed, tmp_path, capfd):
    photos = sources[0]
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    broken = shutil.copytree(photos, tmp_path / "broken")
    (broken / "images" / "3.png").write_bytes(b"no picture")
    unlabelled = write_freihand(tmp_path / "u", evaluation_labels=False)
    new = tmp_path / "new"
    cases = {
        "no dataset of a known layout": ([tmp_path], new, ()),
        "--mix must give one": (sources, new, ("--mix", "1,2")),
        "--mix must give one positive": (sources, new, ("--mix", ",".join(["nan"] * len(sources)))),
        "--n must be 1 or more": (sources, new, ("--n", "0")),
        "synth_hands has no split": (sources[1:2], new, ("--split", "held_out")),
        "none of 2 samples": ([unlabelled], new, ("--split", "held_out")),
        "shards already": ([mixed], new, ()),
        "not empty, and no shards": ([photos], tmp_path / "full", ()),
        "--read wrist=palm: photos is read with no options; synth_hands is": (
            sources[:2],
            new,
            ("--read", "wrist=palm"),
        ),
        "other settings (counts, per_shard, seed)": (sources, mixed, ("--seed", "1", "--n", "2")),
        "full/letter.txt": ([photos], tmp_path / "full" / "letter.txt" / "x", ()),
        "--seed must be 0 or more": (sources, new, ("--seed", "-1")),
        "3.png: not a readable picture": ([broken], tmp_path / "begun", ("--per-shard", "1", "--workers", "1")),
    }
    for message, (folders, out, options) in cases.items():
        assert prepared(folders, out, *options) == 1
        told = [line for line in capfd.readouterr().err.split("\n") if "shard/s" not in line and line.strip()]
        assert len(told) == 1 and told[0].startswith("prepare: ") and message in told[0]
    assert not new.exists()
    written = {path.name for path in (tmp_path / "begun").glob("*.arrayrecord")}
    assert len(written) < 7, "the others are not begun any more"
    assert written == finished(tmp_path / "begun").keys(), "those that were under way are kept"
    shutil.copy(photos / "images" / "3.png", broken / "images" / "3.png")
    assert prepared([broken], tmp_path / "begun", "--per-shard", "1", "--workers", "1") == 0
    assert sorted(origins(tmp_path / "begun")) == [(0, i) for i in range(8)]


def test_each_source_is_read_by_the_options_that_it_has(sources, tmp_path):
    test_stb.write(tmp_path / "stb")
    folders, out = [sources[0], tmp_path / "stb"], tmp_path / "o"
    assert prepared(folders, out, "--read", "views=BB_right", "wrist=fingers", "--split", "all", "--workers", "1") == 0
    drawn, kept = origins(out), Shards(out)
    assert sorted(drawn) == [(0, i) for i in range(8)] + [(1, i) for i in range(test_stb.N)]
    cut = windows_of(open_split(tmp_path / "stb", None, ("views=BB_right", "wrist=fingers")))
    for (source, index), window in zip(drawn, kept, strict=True):
        if source == 1:
            np.testing.assert_array_equal(window.joints_rel, cut[index].joints_rel)
    assert prepared(folders, out, "--read", "views=BB_right", "--split", "all") == 1, "begun with other labels"


def test_samples_without_labels_are_passed_over_and_counted(tmp_path, capsys):
    folder = write_freihand(tmp_path / "f", evaluation_labels=False)
    assert prepared([folder], tmp_path / "o", "--split", "all", "--workers", "1") == 0
    assert "2 of 5 samples have no joint or mask: passed over" in capsys.readouterr().out
    assert sorted(origins(tmp_path / "o")) == [(0, 0), (0, 1), (0, 2)]


def test_hands_of_which_only_a_mask_is_known_are_kept_with_it(tmp_path):
    folder = write_photo_set(tmp_path / "masks", 3)
    shown = np.zeros((3, *read_image(folder / "images" / "0.png").shape[:2]), np.uint8)
    shown[0, 20:60, 30:90] = shown[1, 40:90, 10:50] = 255
    lines = []
    for number, mask in enumerate(shown):
        write_image(folder / f"{number}_mask.png", np.repeat(mask[..., None], 3, -1))
        hand = {"side": ("right", "left", "left")[number], "joints_px": [None] * 21, "mask": f"{number}_mask.png"}
        lines.append(json.dumps({"image": f"images/{number}.png", "hands": [hand]}))
    (folder / "pseudo_labels.json").unlink()
    (folder / "labels.jsonl").write_text("\n".join(lines))
    assert prepared([folder], tmp_path / "o", "--workers", "1") == 0
    cut, kept = windows_of(open_split(folder, "train")), Shards(tmp_path / "o")
    assert sorted(origins(tmp_path / "o")) == [(0, 0), (0, 1)], "the third mask shows nothing"
    for (_, index), window in zip(origins(tmp_path / "o"), kept, strict=True):
        np.testing.assert_array_equal(window.silhouette, cut[index].silhouette)
        assert not window.valid.any() and 0.02 < (window.silhouette > 127).mean() < 0.6
    crops = PhotoCrops([tmp_path / "o"], "train", Backgrounds())
    assert any(crops.item(np.random.default_rng(seed))["masked"] for seed in range(20))


def test_shards_that_are_not_whole_are_told(mixed, tmp_path):
    def spoilt(name):
        return shutil.copytree(mixed, tmp_path / name)

    first = "00001.arrayrecord"
    with (spoilt("cut") / first).open("r+b") as file:
        file.truncate(70_000)
    (spoilt("missing") / first).unlink()
    (spoilt("text") / MANIFEST).write_text("{}")
    (spoilt("new") / MANIFEST).write_text((mixed / MANIFEST).read_text().replace('"format": 3', '"format": 99'))
    for name, message in {"cut": "cut short", "missing": "missing", "text": "manifest", "new": "format 99"}.items():
        with pytest.raises(HandposeError, match=message):
            open_split(tmp_path / name, "train")
    whole = (mixed / first).read_bytes()
    (spoilt("flipped") / first).write_bytes(bytes(255 - byte for byte in whole))
    with pytest.raises(HandposeError, match="a shard in it is broken"):
        Shards(tmp_path / "flipped")
    middle = len(whole) // 4
    spoilt("bits")
    (tmp_path / "bits" / first).write_bytes(whole[:middle] + bytes(9) + whole[middle + 9 :])
    with pytest.raises(HandposeError, match=f"{first}: broken"):
        list(Shards(tmp_path / "bits"))


def test_shards_are_there_to_train_on(mixed, capsys):
    assert HeldOut([str(mixed)], 128).n_photos == 0
    assert "nothing in them is held out" in capsys.readouterr().out
    with pytest.raises(HandposeError, match="cut to train on"):
        cut_windows(open_split(mixed), 128)


def test_batches_are_a_function_of_seed_and_step(mixed):
    config = StreamConfig((str(mixed),), (1.0,), batch_size=6)
    first = BatchMaker(config)
    expected = [first.batch(step) for step in range(3)]
    second = BatchMaker(config)
    for step in (2, 0, 2):
        for key, value in second.batch(step).items():
            np.testing.assert_array_equal(value, expected[step][key])
    others = [expected[1], BatchMaker(replace(config, seed=1)).batch(0)]
    assert all(not np.array_equal(expected[0]["image"], other["image"]) for other in others)


def test_items_from_shards_are_those_of_the_raw_folder(sources, tmp_path, monkeypatch):
    """The hands lie in another order, so the draws are led to the same ones: all else is equal but for what JPEG does."""
    out = tmp_path / "o"
    assert prepared(sources[1:2], out, "--workers", "1") == 0
    raw, kept = (PhotoCrops([folder], "train", Backgrounds()) for folder in (sources[1], out))
    raw.sets = [[raw.sets[0][index] for _, index in origins(out)]]
    for seed in range(20):
        a, b = (crops.item(np.random.default_rng(seed)) for crops in (raw, kept))
        for key in a.keys() - {"image"}:
            np.testing.assert_array_equal(a[key], b[key], err_msg=key)
        assert np.abs(a["image"].astype(int) - b["image"]).mean() < 4


def test_keras_fits_shards_through_grain(mixed):
    keras = pytest.importorskip("keras")
    grain = pytest.importorskip("grain")
    pairs = grain.MapDataset.source(Shards(mixed)).seed(0).shuffle().map(
        lambda window: (window.image[..., :3].astype("float32"), window.joints_px.ravel().astype("float32"))
    )  # fmt: skip
    model = keras.Sequential(
        [keras.Input((192, 192, 3)), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(42)]
    )
    model.compile(optimizer="adam", loss="mse")
    seen = model.fit(pairs.repeat().batch(5), epochs=2, steps_per_epoch=3, shuffle=False, verbose=0).history["loss"]
    assert len(seen) == 2 and np.isfinite(seen).all() and seen[1] < seen[0]


def test_throughput_is_measured(mixed):
    figures = throughput.memory(mixed, 640)
    assert figures["memory_samples"] == 640 and {"memory_at_start_mb", "memory_at_end_mb"} < set(figures)
    assert throughput.input_rate(BatchMaker, mixed, 3) > 0
