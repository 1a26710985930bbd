"""Tracks in rerun: what its files hold of the rows, its window, and machines without one."""

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

import cv2
import numpy as np
import pytest
from test_bad_input import complaint
from test_sources import write_video
from tracker_fakes import CAMERA, Hand, World, moving_hand

from handpose.camera import Camera
from tracker import cli, rerun_viewer
from tracker.hand import State
from tracker.pipeline import HandTracker
from tracker.rerun_viewer import RerunRecorder, RerunViewer
from tracker.viewer import View

TESTS = Path(__file__).parent
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


@pytest.mark.skipif(sys.platform == "win32", reason="files have no size limit there")
def test_a_full_disk_is_one_line(tmp_path):
    program = f"""
import resource, sys
sys.path.insert(0, {str(TESTS)!r})
from test_rerun import views
from handpose.command import exit_code
from pathlib import Path
from tracker.rerun_viewer import RerunRecorder
def record():
    recorder = RerunRecorder(Path("c.rrd"), "clip.mp4")
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))
    for view in views(12):
        recorder.show(view)
    recorder.close()
sys.exit(exit_code("tracker", record))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert line.startswith("tracker: c.rrd: the recording is not whole")


@pytest.fixture
def port(monkeypatch):
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        number = asked.getsockname()[1]
    monkeypatch.setattr(rerun_viewer, "_PORT", number)
    return number


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no variable takes the display away")
def test_without_a_display_a_line_says_so_and_tracking_goes_on(port, monkeypatch, capfd):
    for name in ("DISPLAY", "WAYLAND_DISPLAY", "WAYLAND_SOCKET"):
        monkeypatch.delenv(name, raising=False)
    viewer = RerunViewer("clip.mp4")
    assert all(viewer.show(view) for view in views(2))
    viewer.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert "no display" in line


@pytest.fixture
def listener(port, tmp_path):
    """Rerun itself, told to write down what it is sent, for which it needs no display."""
    command = [
        sys.executable,
        "-m",
        "rerun_cli",
        f"--port={port}",
        "--bind=127.0.0.1",
        "--save",
        str(tmp_path / "c.rrd"),
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True)
    ends_s = time.monotonic() + 30
    while not rerun_viewer._listens() and time.monotonic() < ends_s:
        time.sleep(0.1)
    yield process
    end(process)


def end(process: subprocess.Popen) -> None:
    """End a process and those that it has started."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGTERM)
    process.wait(20)


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
@pytest.mark.filterwarnings("ignore:RRD file has no footer")  # it is being written
def test_a_viewer_that_is_open_is_fed(listener, tmp_path, capfd):
    viewer = RerunViewer("clip.mp4")
    assert all(viewer.show(view) for view in views(3))
    viewer.close()
    frames, ends_s = [], time.monotonic() + 30
    while len(frames) < 3 and time.monotonic() < ends_s:
        time.sleep(0.2)
        with contextlib.suppress(ValueError):  # nothing has been written down yet
            frames = sorted(logged(tmp_path / "c.rrd")["/space/right-hand-1/joints"])
    assert frames == [0, 1, 2]
    assert capfd.readouterr().err == ""


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups there")
def test_closing_the_window_that_was_opened_ends_the_run(listener, monkeypatch, capfd):
    monkeypatch.setattr(rerun_viewer, "_listens", lambda: False)
    monkeypatch.setattr(rerun_viewer, "_start_window", lambda: listener)
    viewer = RerunViewer("clip.mp4")
    first, second = views(2)
    assert viewer.show(first)
    end(listener)
    assert not viewer.show(second)
    viewer.close()
    assert capfd.readouterr().err == ""
