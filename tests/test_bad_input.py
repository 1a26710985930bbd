"""Bad input of every kind is exit code 1 and one clear line that names it; what was written before stays readable."""

import errno
import json
import os
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_sources import FakeCapture, write_video
from tracker_fakes import World

from handpose.errors import HandposeError
from handpose.skeleton import Skeleton
from tracker import cli, load, webcam
from tracker.detector import Detection
from tracker.track_file import read_tracks


@pytest.fixture
def no_hands(monkeypatch):
    return World([]).loaded(monkeypatch)


def complaint(capsys, *arguments) -> str:
    """Run, expect exit code 1 and a single line of error; give it."""
    assert cli.main([str(argument) for argument in arguments]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    errors = [line for line in lines if "is replaced" not in line]
    assert len(errors) == 1, errors
    assert errors[0].startswith("tracker: ")
    return errors[0]


def test_videos_that_cannot_be_read(no_hands, tmp_path, capsys):
    (tmp_path / "empty.mp4").touch()
    (tmp_path / "text.mp4").write_text("this is no video")
    for name in ("missing.mp4", "empty.mp4", "text.mp4"):
        assert name in complaint(capsys, "--video", tmp_path / name)


def test_a_truncated_video_is_done_and_the_last_line_says_so(no_hands, shared_data, tmp_path, capsys):
    whole = (shared_data / "video" / "counting.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 20])
    assert cli.main(["--video", str(tmp_path / "cut.mp4"), "--output", str(tmp_path / "t.jsonl")]) == 0
    rows = read_tracks(tmp_path / "t.jsonl")[1]
    assert (
        f"{len(rows)} of 493 stored frames could be read: it is cut short"
        in capsys.readouterr().err.strip().splitlines()[-1]
    )
    assert all(row["hands"] == [] for row in rows)


def test_folders_without_pictures(no_hands, tmp_path, capsys):
    assert "no such folder" in complaint(capsys, "--images", tmp_path / "none")
    assert "no pictures" in complaint(capsys, "--images", tmp_path)


def test_no_webcam(no_hands, monkeypatch, capsys):
    monkeypatch.setattr(webcam.WebcamSource.__init__, "__defaults__", (0, lambda n: FakeCapture(0, present=False), 1.0))
    assert "webcam 3" in complaint(capsys, "--webcam", "3")


def test_an_unplugged_webcam_keeps_what_was_tracked(no_hands, monkeypatch, tmp_path, capsys):
    cameras = {0: FakeCapture(12, pause_s=0.002)}
    monkeypatch.setattr(
        webcam.WebcamSource.__init__, "__defaults__", (0, lambda n: cameras.get(n, FakeCapture(0, present=n == 1)), 1.0)
    )
    line = complaint(capsys, "--webcam", "--viewer", "none", "--output", tmp_path / "t.jsonl")
    assert "unplugged" in line
    assert "what was tracked is kept" in line
    assert "webcams here: 1" in line
    rows = read_tracks(tmp_path / "t.jsonl")[1]
    assert 1 <= len(rows) <= 12
    assert [row["frame"] for row in rows] == list(range(len(rows)))


def test_outputs_that_cannot_be_written_are_told_before_the_work(no_hands, tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4")
    assert "no such folder" in complaint(capsys, "--video", video, "--output", tmp_path / "none" / "t.jsonl")
    (tmp_path / "t.jsonl").mkdir()
    assert "cannot be written" in complaint(capsys, "--video", video, "--output", tmp_path / "t.jsonl")
    assert "at once" in complaint(capsys, "--video", video, "--overlay", video)
    (linked := video.with_name("linked.mp4")).hardlink_to(video)
    assert "at once" in complaint(capsys, "--video", video, "--overlay", linked)
    assert video.stat().st_size > 0
    assert not no_hands.detections


def test_a_read_only_folder(no_hands, tmp_path, monkeypatch, capsys):
    video = write_video(tmp_path / "v.mp4")
    whole = Path.open

    def refused(path, mode="r", *options, **more):
        if path.name == "t.jsonl":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return whole(path, mode, *options, **more)

    monkeypatch.setattr(Path, "open", refused)
    assert "cannot be written (Permission denied)" in complaint(
        capsys, "--video", video, "--output", tmp_path / "t.jsonl"
    )
    assert not no_hands.detections


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no /dev/full here")
def test_a_full_disk(no_hands, tmp_path, capsys):
    (tmp_path / "t.jsonl").symlink_to("/dev/full")
    video = write_video(tmp_path / "v.mp4")
    assert "No space left" in complaint(capsys, "--video", video, "--output", tmp_path / "t.jsonl")


def test_overlay_of_pictures_is_refused(no_hands, tmp_path, capsys):
    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((32, 32, 3), np.uint8))
    assert "--overlay" in complaint(capsys, "--images", tmp_path, "--overlay", tmp_path / "o.mp4")


@pytest.mark.parametrize("size", [(32, 32), (33, 31), (7680, 4320), (300, 1), (1, 300), (1, 1)])
def test_pictures_of_any_size(tmp_path, size, monkeypatch):
    """The networks that come along look at noise, and at a hand said to be in its middle."""
    detector = load.load_detector(device="cpu")

    def find(image):
        middle = np.array(image.shape[1::-1]) / 2
        return [*detector(image), Detection(middle, max(image.shape) / 3, 0.3, 0.5, 0.9)]

    monkeypatch.setattr(load, "load_detector", lambda *options: find)
    folder = tmp_path / "set"
    folder.mkdir()
    noise = np.random.default_rng(0).integers(0, 256, 9973, dtype=np.uint8)
    cv2.imwrite(str(folder / "a.png"), np.resize(noise, (size[1], size[0])))
    assert cli.main(["--images", str(folder), "--output", str(tmp_path / "t.jsonl")]) == 0
    (row,) = read_tracks(tmp_path / "t.jsonl")[1]
    assert row["size_px"] == list(size)


def test_cameras_that_are_none(no_hands, tmp_path, capsys):
    video, camera = write_video(tmp_path / "v.mp4"), tmp_path / "camera.json"
    assert "camera.json" in complaint(capsys, "--video", video, "--camera", camera)
    focal = '{"fx": 60, "fy": 60, "cx": 31.5, "cy": 23.5, "size_px": '
    sizes = ('["a", "b"]', "[NaN, 2]", "[Infinity, 2]", "[0, 0]", "[64, -48]", "[64]", "64", "null")
    no_focal = '{"fx": -1, "fy": 1, "cx": 0, "cy": 0, "size_px": [64, 48]}'
    folded, absurd = (f'{focal}[64, 48], "distortion": [{k1}, 0, 0, 0]}}' for k1 in ("-2", "1e300"))
    for content in ("", "[]", '{"fx": 1}', no_focal, folded, absurd, *(f"{focal}{size}}}" for size in sizes)):
        camera.write_text(content)
        assert "camera.json" in complaint(capsys, "--video", video, "--camera", camera)
    camera.write_text('{"fx": 60, "fy": 60, "cx": 31.5, "cy": 63.5, "size_px": [64, 128]}')
    assert "64x128" in complaint(capsys, "--video", video, "--camera", camera, "--output", tmp_path / "t.jsonl")


def test_hands_that_are_none(no_hands, tmp_path, capsys):
    video, hand = write_video(tmp_path / "v.mp4"), tmp_path / "hand.json"
    assert "hand.json" in complaint(capsys, "--video", video, "--hand", hand)
    for content in ("", "[]", "{}", '{"scale_mm": "wide"}', '{"scale_mm": 9}', '{"bone_lengths_mm": [1, 2]}'):
        hand.write_text(content)
        assert "hand.json" in complaint(capsys, "--video", video, "--hand", hand)
    hand.write_text(json.dumps({"bone_lengths_mm": (Skeleton.default("left").bone_lengths_mm / 10).tolist()}))
    assert "all positive, in mm" in complaint(capsys, "--video", video, "--hand", hand), "not in cm"
    hand.write_text('{"scale_mm": 100}')
    assert load.load_hand(hand)[0].bone_lengths_mm[9] == pytest.approx(100)
    lengths = (1.1 * load.load_hand(hand)[0].bone_lengths_mm).tolist()
    hand.write_text(json.dumps({"bone_lengths_mm": lengths}))
    np.testing.assert_allclose(load.load_hand(hand)[0].bone_lengths_mm, lengths)


def test_weights_that_are_missing_or_no_network(tmp_path, capsys):
    video = write_video(tmp_path / "v.mp4")
    assert "none.onnx" in complaint(capsys, "--video", video, "--weights", tmp_path / "none.onnx")
    (tmp_path / "text.onnx").write_text("no network")
    assert "text.onnx" in complaint(capsys, "--video", video, "--weights", tmp_path / "text.onnx")


def test_weights_of_another_architecture_say_what_was_expected(tmp_path):
    pytest.importorskip("onnx")
    from test_runtime import small_network

    path = small_network(tmp_path / "other.onnx")
    with pytest.raises(HandposeError, match=r"expected the outputs .*heatmaps.* found \['maps', 'means'\]"):
        load.load_predictor(path, "onnx", "cpu")
    with pytest.raises(HandposeError, match=r"expected the outputs .*centre.* found"):
        load.load_detector(path, "onnx", "cpu")


def test_a_missing_libgl_is_told_in_a_line(monkeypatch, capsys):
    def fail(args):
        raise ImportError("libGL.so.1: cannot open shared object file: No such file or directory")

    monkeypatch.setattr(cli, "_track", fail)
    assert "opencv-python-headless" in complaint(capsys, "--demo")
