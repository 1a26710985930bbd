"""A run of the tracker that ends otherwise than planned: slow cameras, Ctrl-C, files that cannot grow."""

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from tracker_fakes import CAMERA, Hand, World, moving_hand

from handpose.errors import HandposeError
from tracker import session
from tracker.pipeline import HandTracker
from tracker.session import Outputs, run_session
from tracker.sources import Frame
from tracker.track_file import read_tracks

TESTS = Path(__file__).parent


class Camera:
    """A source of frames at given times; it fails after them if it is told to."""

    label, fps, size_px, count, note = "camera", 30.0, CAMERA.size_px, 0, ""

    def __init__(self, world: World, times_s, fails: bool = False):
        self.world, self.times_s, self.fails = world, times_s, fails

    def __enter__(self):
        return self

    def __exit__(self, *details):
        pass

    def __iter__(self):
        for index, time_s in enumerate(self.times_s):
            yield Frame(self.world.frame(index), index, time_s)
        if self.fails:
            raise HandposeError("webcam 0 was unplugged")


@pytest.fixture
def world():
    return World([Hand("right", moving_hand)])


@pytest.fixture
def tracker(world):
    return HandTracker(CAMERA, 1, predictor=world, detector=world.detector)


@pytest.fixture
def bar(monkeypatch):
    """Stands for the progress bar, and tells whether it is closed."""

    class Bar:
        closed = False

        def __enter__(self):
            return self

        def __exit__(self, *details):
            self.closed = True

        def update(self):
            assert not self.closed

    bar = Bar()
    monkeypatch.setattr(session, "_progress", lambda source: bar)
    return bar


def test_the_overlay_of_a_slow_run_is_as_long_as_the_run(world, tracker, tmp_path):
    """Frames at 10 Hz of a webcam that says 30: each is there for three."""
    run_session(Camera(world, np.arange(8) / 10), tracker, Outputs(overlay=tmp_path / "o.mp4"))
    video = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    assert (video.get(cv2.CAP_PROP_FRAME_COUNT), video.get(cv2.CAP_PROP_FPS)) == (22, 30)


def test_control_c_while_files_are_opened_ends_in_peace(world, tracker, tmp_path, monkeypatch):
    def interrupted(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(session, "open_writer", interrupted)
    summary = run_session(Camera(world, [0.0]), tracker, Outputs([tmp_path / "t.jsonl"]))
    assert summary.stopped
    assert summary.frames == 0


def test_an_error_closes_bar_viewer_and_files(world, tracker, tmp_path, bar):
    class Window:
        closed = False

        def show(self, *_):
            return True

        def close(self):
            self.closed = True

    outputs = Outputs([tmp_path / "t.jsonl", tmp_path / "t.npz"], viewer=Window())
    with pytest.raises(HandposeError, match="unplugged; what was tracked is kept"):
        run_session(Camera(world, [0.0, 0.1], fails=True), tracker, outputs)
    assert bar.closed
    assert outputs.viewer.closed
    assert len(read_tracks(tmp_path / "t.jsonl")[1]) == 2
    with np.load(tmp_path / "t.npz") as data:
        assert data["n_frames"] == 2


def test_an_error_promises_nothing_where_nothing_is_written(world, tracker):
    with pytest.raises(HandposeError, match="unplugged$"):
        run_session(Camera(world, [0.0, 0.1], fails=True), tracker, Outputs())


@pytest.mark.skipif(sys.platform == "win32", reason="files have no size limit there")
@pytest.mark.parametrize("limit", [30_000, 2_000])
def test_a_full_disk_is_one_line_and_the_tracks_stay_readable(tmp_path, limit):
    """At 30 kB the video stops growing while the tracks go on; at 2 kB all stop."""
    program = f"""
import resource, sys
import cv2, numpy as np
sys.path.insert(0, {str(TESTS)!r})
from tracker_fakes import World
from tracker import cli, load
load.load_predictor = lambda *options: World([])
load.load_detector = lambda *options: lambda image: []
video = cv2.VideoWriter("in.mp4", cv2.VideoWriter.fourcc(*"mp4v"), 30, (640, 480))
for noise in np.random.default_rng(0).integers(0, 256, (40, 480, 640, 3), dtype=np.uint8):
    video.write(noise)
video.release()
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, {limit}))
sys.exit(cli.main(["--video", "in.mp4", "--output", "t.jsonl", "t.npz", "--overlay", "o.mp4"]))
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    if limit == 30_000:
        assert line == "tracker: o.mp4: the overlay video is not whole and may not play; is the disk full?"
        with np.load(tmp_path / "t.npz") as data:
            assert data["n_frames"] == 40
    rows = read_tracks(tmp_path / "t.jsonl")[1]
    assert [row["frame"] for row in rows] == list(range(len(rows)))
    assert len(rows) == 40 if limit == 30_000 else 10 < len(rows) < 40


def test_tracks_of_before_stay_where_the_overlay_cannot_be_opened(world, tracker, tmp_path, monkeypatch):
    def refuses(*_):
        raise HandposeError("no encoder")

    monkeypatch.setattr(session, "OverlayWriter", refuses)
    before = {name: (tmp_path / name).write_text("of another run") for name in ("t.jsonl", "t.csv", "t.npz")}
    with pytest.raises(HandposeError, match="no encoder"):
        run_session(Camera(world, [0.0]), tracker, Outputs([tmp_path / name for name in before], tmp_path / "o.mp4"))
    assert {(tmp_path / name).read_text() for name in before} == {"of another run"}
