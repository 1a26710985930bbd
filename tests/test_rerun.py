"""Tracks in rerun: what its files hold of the rows, its window, and machines without one."""

import contextlib
import sys
import time
import types
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_bad_input import complaint
from test_sources import write_video
from tracker_fakes import CAMERA, Hand, World, moving_hand

from handpose import outputs
from handpose.camera import Camera
from tracker import cli, rerun_viewer
from tracker.hand import State
from tracker.pipeline import HandTracker
from tracker.rerun_viewer import RerunRecorder, RerunViewer
from tracker.viewer import View

LENS = Camera(600.0, 590.0, 320.25, 239.5, CAMERA.size_px, (0.1, 0.0, 0.0, 0.0))


def views(frames: int, gone: int | None = None):
    """Track a moving hand, which is away from frame `gone` on."""
    world = World([Hand("right", lambda index: None if gone is not None and index >= gone else moving_hand(index))])
    tracker = HandTracker(LENS, 1, predictor=world, detector=world.detector)
    for index in range(frames):
        image, time_s = world.frame(index), index / 30
        yield View(index, time_s, image, tracker(image, time_s), LENS, dict(tracker.stage_ms))


def logged(path: Path) -> dict[str, dict[int | None, dict]]:
    """Read what a recording says: by entity and frame (None: of all frames) the components that were logged."""
    from rerun.chunk import RrdReader

    found: dict[str, dict[int | None, dict]] = defaultdict(lambda: defaultdict(dict))
    for chunk in RrdReader(path).stream().to_chunks():
        batch = chunk.to_record_batch().drop_columns(["log_time"] if "log_time" in chunk.timeline_names else [])
        if "time" in chunk.timeline_names:
            nanoseconds = batch["time"].cast("int64")
            batch = batch.set_column(batch.schema.names.index("time"), "time", nanoseconds)
        columns = batch.to_pydict()
        for row in range(chunk.num_rows):
            frame = columns["frame"][row] if "frame" in columns else None
            values = {name: column[row] for name, column in columns.items() if column[row] is not None}
            found[chunk.entity_path][frame] |= values
    return found


def values(row: dict, component: str) -> np.ndarray:
    return np.array(row[component])


def test_a_recording_holds_pictures_joints_bones_and_stages(tmp_path):
    recorder = RerunRecorder(tmp_path / "c.rrd", "clip.mp4")
    shown = list(views(5))
    assert all(recorder.show(view) for view in shown)
    recorder.close()
    found = logged(tmp_path / "c.rrd")
    for view in shown:
        (hand,) = view.hands
        fitted, seen = found["/space/right-hand-1/joints"], found["/space/camera/right-hand-1/joints"]
        row = fitted[view.frame]
        np.testing.assert_allclose(values(row, "Points3D:positions") * 1000, hand.joints_mm, atol=1e-3)
        np.testing.assert_allclose(
            values(seen[view.frame], "Points2D:positions"), hand.joints_px + 0.5, atol=1e-3
        )  # whole numbers are corners of pixels
        assert row["time"] / 1e9 == pytest.approx(view.time_s, abs=1e-6)
        bones = values(found["/space/right-hand-1/bones"][view.frame], "LineStrips3D:strips") * 1000
        np.testing.assert_allclose(bones[:4, 0], hand.joints_mm[[0, 1, 2, 3]], atol=1e-3)
        np.testing.assert_allclose(bones[:4, 1], hand.joints_mm[[1, 2, 3, 4]], atol=1e-3)
        coded = np.array(found["/space/camera"][view.frame]["EncodedImage:blob"][0], np.uint8)
        picture = cv2.cvtColor(cv2.imdecode(coded, cv2.IMREAD_COLOR), cv2.COLOR_BGR2RGB)
        assert picture.shape == view.image.shape
        assert abs(picture.astype(int) - view.image).max() <= 4
        assert found["/stages/regnet"][view.frame]["Scalars:scalars"] == [view.stage_ms["regnet"]]


def test_points_in_space_are_seen_where_the_picture_has_them(tmp_path):
    """But for the lens's distortion, which rerun does not know."""
    recorder = RerunRecorder(tmp_path / "c.rrd", "clip.mp4")
    (view,) = views(1)
    recorder.show(view)
    recorder.close()
    found = logged(tmp_path / "c.rrd")
    matrix = values(found["/space/camera"][0], "Pinhole:image_from_camera").reshape(3, 3).T
    points = values(found["/space/right-hand-1/joints"][0], "Points3D:positions") @ matrix.T
    straight = Camera(LENS.fx, LENS.fy, LENS.cx, LENS.cy, LENS.size_px)
    np.testing.assert_allclose(
        points[:, :2] / points[:, 2:], straight.project(view.hands[0].joints_mm) + 0.5, atol=1e-2
    )


def test_a_hand_that_is_carried_on_fades_and_one_that_is_gone_is_cleared(tmp_path):
    recorder = RerunRecorder(tmp_path / "c.rrd", "clip.mp4")
    shown = list(views(60, gone=5))
    for view in shown:
        recorder.show(view)
    recorder.close()
    found = logged(tmp_path / "c.rrd")
    joints = found["/space/right-hand-1/joints"]
    carried = [view.frame for view in shown if view.hands and view.hands[0].state is State.PREDICTED]
    assert carried[0] == 5
    assert max(joints) == carried[-1] < 59
    thumb = [joints[frame]["Points3D:colors"][1] >> 24 for frame in (4, 5)]
    assert thumb[1] < 0.6 * thumb[0]
    for path in ("/space/right-hand-1", "/space/camera/right-hand-1"):
        assert list(found[path]) == [carried[-1] + 1]
        assert found[path][carried[-1] + 1]["Clear:is_recursive"] == [True]


def test_the_command_records_a_video_and_pictures(tmp_path, monkeypatch):
    World([Hand("right", moving_hand)]).loaded(monkeypatch)
    write_video(tmp_path / "in.mp4", 4)
    (tmp_path / "photos").mkdir()
    for number, size in enumerate([(90, 120), (100, 60)]):
        cv2.imwrite(str(tmp_path / "photos" / f"{number}.png"), np.zeros((*size, 3), np.uint8))
    assert cli.main(["--video", str(tmp_path / "in.mp4"), "--output", str(tmp_path / "v.rrd")]) == 0
    assert sorted(logged(tmp_path / "v.rrd")["/stages/fit"]) == [0, 1, 2, 3]
    assert cli.main(["--images", str(tmp_path / "photos"), "--output", str(tmp_path / "p.rrd")]) == 0
    pictures = logged(tmp_path / "p.rrd")["/space/camera"]
    assert [values(pictures[number], "Pinhole:resolution").ravel().tolist() for number in (0, 1)] == [[120, 90], [60, 100]]  # fmt: skip
    assert not any("time" in row for row in pictures.values())


def test_without_rerun_one_line_says_what_to_install_and_files_stay(tmp_path, monkeypatch, capsys):
    World([]).loaded(monkeypatch)
    write_video(tmp_path / "in.mp4", 2)
    (tmp_path / "old.jsonl").write_text("kept")
    monkeypatch.setitem(sys.modules, "rerun", None)
    video = ("--video", tmp_path / "in.mp4", "--output", tmp_path / "old.jsonl")
    for options in ((tmp_path / "c.rrd",), ("--viewer", "rerun")):
        assert "[viewer]" in complaint(capsys, *video, *options)
    assert (tmp_path / "old.jsonl").read_text() == "kept"
    assert not (tmp_path / "c.rrd").exists()


def test_a_disk_that_fills_ends_the_recording_in_one_line_while_it_can_be_finished(tmp_path, monkeypatch, capsys):
    World([Hand("right", moving_hand)]).loaded(monkeypatch)
    write_video(tmp_path / "in.mp4", 6)
    left = iter([1 << 30] * 4 + [1 << 20] * 9)
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda folder: types.SimpleNamespace(free=next(left)))
    line = complaint(capsys, "--video", tmp_path / "in.mp4", "--output", tmp_path / "c.rrd")
    assert line.endswith("c.rrd: the disk is nearly full; what was written is kept")
    assert sorted(logged(tmp_path / "c.rrd")["/stages/fit"]) == [0, 1, 2, 3]


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no variable takes the display away")
def test_without_a_display_a_line_says_so_and_tracking_goes_on(monkeypatch, capfd):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    viewer = RerunViewer("clip.mp4")
    assert all(viewer.show(view) for view in views(2))
    viewer.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "no display" in line


@pytest.fixture
def viewer(tmp_path, monkeypatch):
    """A viewer whose window is rerun told to write down what it is sent, for which it needs no display."""
    monkeypatch.setattr(rerun_viewer, "_RERUN", (*rerun_viewer._RERUN, "--save", str(tmp_path / "c.rrd")))
    viewer = RerunViewer("clip.mp4")
    window = viewer._window
    assert window is not None
    yield viewer
    rerun_viewer._end(window)


@pytest.mark.filterwarnings("ignore:RRD file has no footer")  # it is being written
def test_the_window_is_fed_and_stays_when_the_frames_end(viewer, tmp_path, capfd):
    assert all(viewer.show(view) for view in views(3))
    viewer.close()
    frames, ends_s = [], time.monotonic() + 30
    while len(frames) < 3 and time.monotonic() < ends_s:
        time.sleep(0.2)
        with contextlib.suppress(ValueError):  # nothing has been written down yet
            frames = sorted(logged(tmp_path / "c.rrd")["/space/right-hand-1/joints"])
    assert frames == [0, 1, 2]
    assert viewer._window.poll() is None
    assert "--bind=127.0.0.1" in viewer._window.args  # nobody else is shown the pictures
    assert capfd.readouterr().err == ""


def test_closing_the_window_ends_the_run(viewer, capfd):
    first, second = views(2)
    assert viewer.show(first)
    rerun_viewer._end(viewer._window)
    assert not viewer.show(second)
    viewer.close()
    assert capfd.readouterr().err == ""


def test_another_package_named_rerun_is_told_in_one_line(tmp_path, monkeypatch, capsys):
    World([]).loaded(monkeypatch)
    write_video(tmp_path / "in.mp4", 2)
    monkeypatch.setitem(sys.modules, "rerun", types.ModuleType("rerun"))
    assert "rerun-sdk" in complaint(capsys, "--video", tmp_path / "in.mp4", "--output", tmp_path / "c.rrd")
