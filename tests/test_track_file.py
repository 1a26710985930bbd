"""Track files: what is written comes back, in all three kinds; a killed run loses at most a line."""

import csv
import json
import os

import numpy as np
import pytest

from handpose.errors import HandposeError
from handpose.skeleton import ANGLE_NAMES, JOINT_NAMES
from tracker.hand import State, TrackedHand
from tracker.track_file import frame_row, header, open_writer, read_tracks


def some_hand(rng, number=1, side="left"):
    return TrackedHand(
        number, side, State.TRACKED, 0.97, rng.uniform(0, 640, (21, 2)), rng.normal(0, 100, (21, 3)), rng.random(21),
        rng.uniform(1, 20, (21, 2)), rng.normal(0, 100, 3), rng.normal(0, 1, 3), rng.normal(0, 1, 20),
    )  # fmt: skip


def head():
    camera = {"fx": 600.0, "fy": 600.0, "cx": 319.5, "cy": 239.5, "origin": "default"}
    return header("clip.mp4", 30.0, (640, 480), camera, "default", "regnet_light.onnx sha256:12")


def rows():
    rng = np.random.default_rng(0)
    hands = [[some_hand(rng)], [], [some_hand(rng), some_hand(rng, 2, "right")]]
    return [frame_row(i, i / 30, found) for i, found in enumerate(hands)], hands


def write(path):
    written, hands = rows()
    writer = open_writer(path, head())
    for row in written:
        writer.write(row)
    writer.close()
    return hands


def test_json_lines_come_back(tmp_path):
    hands = write(tmp_path / "t.jsonl")
    first, back = read_tracks(tmp_path / "t.jsonl")
    assert (first["format"], first["version"], first["size_px"], first["fps"]) == ("hand-track", 1, [640, 480], 30.0)
    assert first["joint_names"] == list(JOINT_NAMES)
    assert first["angle_names"] == list(ANGLE_NAMES)
    assert [row["frame"] for row in back] == [0, 1, 2]
    assert back[1]["hands"] == []
    assert (back[2]["hands"][1]["id"], back[2]["hands"][1]["side"], back[2]["hands"][1]["state"]) == (
        2,
        "right",
        "tracked",
    )
    for row, found in zip(back, hands, strict=True):
        for one, hand in zip(row["hands"], found, strict=True):
            for name, tolerance in (("joints_px", 0.006), ("joints_mm", 0.006), ("confidence", 6e-4), ("sigma_mm", 0.006),
                                    ("wrist_translation_mm", 6e-4), ("wrist_rotation_rad", 6e-6), ("angles_rad", 6e-6)):  # fmt: skip
                np.testing.assert_allclose(one[name], getattr(hand, name), atol=tolerance)


def test_every_row_is_on_disk_at_once_and_a_torn_line_is_dropped(tmp_path):
    written, _ = rows()
    path = tmp_path / "t.jsonl"
    writer = open_writer(path, head())
    for count, row in enumerate(written, 1):
        writer.write(row)
        assert len(read_tracks(path)[1]) == count
    whole = path.read_bytes()
    path.write_bytes(whole[:-40])
    assert len(read_tracks(path)[1]) == 2
    writer.close()


def test_a_broken_middle_is_told(tmp_path):
    path = tmp_path / "t.jsonl"
    write(path)
    lines = path.read_text().splitlines()
    lines[1] = lines[1][:50]
    path.write_text("\n".join(lines))
    with pytest.raises(HandposeError, match="line 2"):
        read_tracks(path)


@pytest.mark.parametrize("content", [None, "", "[1]\n", '{"format": "other"}\n', "hello\n"])
def test_what_is_no_track_file_is_told(tmp_path, content):
    path = tmp_path / "t.jsonl"
    if content is not None:
        path.write_text(content)
    with pytest.raises(HandposeError, match=r"t\.jsonl"):
        read_tracks(path)


def test_csv_has_a_line_per_hand_and_frame(tmp_path):
    hands = write(tmp_path / "t.csv")
    with (tmp_path / "t.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["frame"] for line in lines] == ["0", "1", "2", "2"]
    assert lines[1]["id"] == lines[1]["W_x_mm"] == lines[1]["little_flexion_2_rad"] == ""
    assert float(lines[0]["I3_v_px"]) == pytest.approx(hands[0][0].joints_px[8, 1], abs=0.01)
    assert float(lines[3]["wrist_z_mm"]) == pytest.approx(hands[2][1].wrist_translation_mm[2], abs=0.01)
    assert float(lines[3]["thumb_flexion_1_rad"]) == pytest.approx(hands[2][1].angles_rad[2], abs=1e-4)
    assert float(lines[2]["M0_depth_sigma_mm"]) == pytest.approx(hands[2][0].sigma_mm[9, 1], abs=0.01)


@pytest.mark.parametrize("suffix", [".jsonl", ".csv", ".npz"])
def test_a_picture_may_have_a_name_that_is_no_text(tmp_path, suffix):
    writer = open_writer(tmp_path / f"t{suffix}", header("set", None, None, None, "default", "w"))
    writer.write(frame_row(0, None, [], image="caf\udce9.jpg", size_px=[4, 4], camera=None))
    writer.close()
    assert b"caf" in (tmp_path / f"t{suffix}").read_bytes() or suffix == ".npz"


def test_npz_has_an_entry_per_hand_and_frame(tmp_path):
    hands = write(tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as data:  # no pickle
        assert json.loads(str(data["header"]))["source"] == "clip.mp4"
        assert int(data["n_frames"]) == 3
        np.testing.assert_array_equal(data["frame"], [0, 2, 2])
        np.testing.assert_allclose(data["time_s"], [0, 2 / 30, 2 / 30], atol=1e-6)
        np.testing.assert_allclose(data["frame_time_s"], [0, 1 / 30, 2 / 30], atol=1e-6)
        np.testing.assert_array_equal(data["side"], ["left", "left", "right"])
        np.testing.assert_allclose(data["joints_mm"][2], hands[2][1].joints_mm, atol=0.006)
        assert data["sigma_mm"].shape == (3, 21, 2)


def test_npz_of_a_run_stopped_within_a_frame_is_whole(tmp_path):
    writer, (made, _) = open_writer(tmp_path / "t.npz", head()), rows()
    writer.write(made[0])
    del made[2]["hands"][1]["score"]  # stops it where Ctrl-C may
    with pytest.raises(KeyError):
        writer.write(made[2])
    writer.close()
    with np.load(tmp_path / "t.npz") as data:
        np.testing.assert_array_equal(data["frame"], [0, 2])
        np.testing.assert_allclose(data["time_s"], [0, 2 / 30], atol=1e-6)


def test_npz_without_a_hand_keeps_its_shapes(tmp_path):
    writer = open_writer(tmp_path / "t.npz", head())
    writer.write(frame_row(0, 0.0, []))
    writer.close()
    with np.load(tmp_path / "t.npz") as data:
        assert data["joints_px"].shape == (0, 21, 2)
        assert int(data["n_frames"]) == 1


def test_rows_of_pictures(tmp_path):
    row = frame_row(3, None, [], image="a.jpg", size_px=[10, 20], camera={"fx": 1.0})
    assert (row["time_s"], row["image"], row["size_px"], row["hands"]) == (None, "a.jpg", [10, 20], [])
    for suffix in (".jsonl", ".csv", ".npz"):
        writer = open_writer(tmp_path / f"t{suffix}", head())
        writer.write(row)
        writer.close()
    assert read_tracks(tmp_path / "t.jsonl")[1][0]["image"] == "a.jpg"
    assert "a.jpg" in (tmp_path / "t.csv").read_text()
    with np.load(tmp_path / "t.npz") as data:
        assert data["frame_image"].tolist() == ["a.jpg"]
        assert np.isnan(data["frame_time_s"]).all()


def test_paths_that_cannot_be_written_are_told(tmp_path):
    with pytest.raises(HandposeError, match=r"\.jsonl, \.csv, \.npz"):
        open_writer(tmp_path / "t.xml", head())
    with pytest.raises(HandposeError, match="cannot be written"):
        open_writer(tmp_path / "none" / "t.jsonl", head())


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk_raises_instead_of_going_on_in_silence():
    from pathlib import Path

    from tracker import track_file

    with pytest.raises(OSError):
        track_file._JsonLines(Path("/dev/full"), head())
