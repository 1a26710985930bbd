"""The command `tracker` from its options to its files, with networks that know the truth."""

import json
import signal
import subprocess
import sys
import time

import cv2
import numpy as np
import pytest
from PIL import ExifTags, Image
from tracker_fakes import CAMERA, Hand, World, moving_hand

from handpose.images import read_image
from tracker import cli
from tracker.track_file import read_tracks

COUNT = 20


class VideoWorld(World):
    """A world whose frames' numbers are their order: a video does not keep exact pixels."""

    def __init__(self, hands, **options):
        super().__init__(hands, **options)
        self._numbers: dict[bytes, int] = {}

    def number(self, image) -> int:
        return self._numbers.setdefault(image[::16, ::16].tobytes(), len(self._numbers))

    def detector(self, image):
        return super().detector(self.frame(self.number(image)))

    def __call__(self, image, crops, sides):
        return super().__call__(self.frame(self.number(image)), crops, sides)


@pytest.fixture
def world(monkeypatch):
    return VideoWorld([Hand("right", moving_hand)]).loaded(monkeypatch)


@pytest.fixture
def video(tmp_path):
    path = tmp_path / "in.mp4"
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"mp4v"), 30, CAMERA.size_px)
    for i in range(COUNT):
        image = np.full((480, 640, 3), 40, np.uint8)
        cv2.rectangle(image, (30 * i, 100), (30 * i + 25, 300), (200, 160, 120), -1)
        writer.write(image)
    writer.release()
    return path


@pytest.fixture
def camera_file(tmp_path):
    (tmp_path / "camera.json").write_text(json.dumps(CAMERA.to_dict()))
    return tmp_path / "camera.json"


def run(*arguments):
    return cli.main([str(argument) for argument in arguments])


def test_a_video_becomes_tracks_of_all_kinds_and_an_overlay(world, video, camera_file, tmp_path, capsys):
    outputs = [tmp_path / name for name in ("t.jsonl", "t.csv", "t.npz", "t.glb", "t.bvh")]
    code = run(
        "--video", video, "--hands", 1, "--camera", camera_file, "--output", *outputs, "--overlay", tmp_path / "o.mp4"
    )
    assert code == 0
    head, rows = read_tracks(outputs[0])
    assert (head["source"], head["size_px"], head["camera"]["origin"], head["fps"]) == (
        "in.mp4",
        [640, 480],
        "given",
        30.0,
    )
    assert [row["frame"] for row in rows] == list(range(COUNT))
    assert [(h["id"], h["side"], h["state"]) for row in rows for h in row["hands"]] == [(1, "right", "tracked")] * COUNT
    errors = [np.linalg.norm(np.array(row["hands"][0]["joints_mm"]) - world.hands[0].joints_mm(i), axis=-1).mean()
              for i, row in enumerate(rows)]  # fmt: skip
    assert np.median(errors) < 8
    with np.load(outputs[2]) as data:
        assert data["joints_mm"].shape == (COUNT, 21, 3)
    assert len(outputs[1].read_text().splitlines()) == COUNT + 1
    assert b'"right-hand-1"' in outputs[3].read_bytes()
    assert f"Frames: {COUNT}\n" in outputs[4].read_text()
    overlay = cv2.VideoCapture(str(tmp_path / "o.mp4"))
    frames = [overlay.read()[1] for _ in range(COUNT)]
    assert not overlay.read()[0]
    joint = np.array(rows[5]["hands"][0]["joints_px"][6]).astype(int)
    around = frames[5][joint[1] - 3 : joint[1] + 4, joint[0] - 3 : joint[0] + 4]
    assert int(around.max()) - 40 > 60  # a joint is drawn there
    assert f"{COUNT} frames, {COUNT} with a hand" in capsys.readouterr().err


def test_a_file_that_exists_is_replaced_and_a_line_says_so(world, video, tmp_path, capsys):
    (tmp_path / "t.jsonl").write_text("old")
    assert run("--video", video, "--output", tmp_path / "t.jsonl") == 0
    assert f"{tmp_path / 't.jsonl'} exists and is replaced" in capsys.readouterr().err
    assert len(read_tracks(tmp_path / "t.jsonl")[1]) == COUNT


def test_pictures_are_rows_with_their_own_camera(world, tmp_path):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, size in (("a.png", (640, 480)), ("b.png", (320, 240))):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), len(name) + size[0] % 251, np.uint8))
    (folder / "c.txt").write_text("no picture")
    assert run("--images", folder, "--output", tmp_path / "t.jsonl") == 0
    head, rows = read_tracks(tmp_path / "t.jsonl")
    assert (head["fps"], head["size_px"], head["camera"]) == (None, None, None)
    assert [(row["image"], row["size_px"], row["time_s"]) for row in rows] == [
        ("a.png", [640, 480], None), ("b.png", [320, 240], None)
    ]  # fmt: skip
    assert rows[1]["camera"]["cx"] == pytest.approx(159.5)
    assert rows[0]["hands"][0]["id"] == 1


def test_a_picture_that_the_camera_does_not_fit_is_named(world, tmp_path, camera_file, capsys):
    folder = tmp_path / "set"
    folder.mkdir()
    for name, size in (("a.png", (640, 480)), ("tall.png", (480, 640))):
        cv2.imwrite(str(folder / name), np.full((size[1], size[0], 3), 90, np.uint8))
    assert run("--images", folder, "--camera", camera_file, "--output", tmp_path / "t.jsonl") == 1
    said = capsys.readouterr().err
    assert "tall.png: the camera is for frames of 640x480 px" in said and "what was tracked is kept" in said
    assert [row["image"] for row in read_tracks(tmp_path / "t.jsonl")[1]] == ["a.png"]


@pytest.mark.parametrize(("options", "origin", "focal_px"), [([], "exif", 480.7), (["--fov", "90"], "fov", 320.0)])
def test_a_pictures_own_focal_length_counts_where_nothing_is_given(world, tmp_path, options, origin, focal_px):
    folder = tmp_path / "set"
    folder.mkdir()
    exif = Image.Exif()
    exif.get_ifd(ExifTags.IFD.Exif)[ExifTags.Base.FocalLengthIn35mmFilm] = 26
    Image.new("RGB", (640, 480), (90, 90, 90)).save(folder / "a.jpg", exif=exif)
    Image.new("RGB", (640, 480), (90, 90, 90)).save(folder / "b.jpg")
    assert run("--images", folder, *options, "--output", tmp_path / "t.jsonl") == 0
    own, plain = (row["camera"] for row in read_tracks(tmp_path / "t.jsonl")[1])
    assert own["origin"] == origin and own["fx"] == pytest.approx(focal_px, abs=0.1)
    assert plain["origin"] == ("fov" if options else "default")


def test_output_may_be_said_more_than_once(world, video, tmp_path):
    assert run("--video", video, "--output", tmp_path / "a.jsonl", "--output", tmp_path / "b.csv") == 0
    assert (tmp_path / "a.jsonl").is_file() and (tmp_path / "b.csv").is_file()


def test_fov_is_in_the_header(world, video, tmp_path):
    assert run("--video", video, "--fov", 90, "--output", tmp_path / "t.jsonl") == 0
    camera = read_tracks(tmp_path / "t.jsonl")[0]["camera"]
    assert (camera["fx"], camera["origin"]) == (pytest.approx(320), "fov")


@pytest.mark.parametrize("name", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_control_c_and_its_like_keep_what_was_written(world, video, tmp_path, capsys, monkeypatch, name):
    from tracker import pipeline

    if not hasattr(signal, name):
        pytest.skip(f"no {name} here")
    if name != "SIGINT":  # Ray, where a test has started it, hears of SIGTERM for good
        signal.signal(getattr(signal, name), signal.SIG_DFL)
    before = signal.getsignal(signal.SIGTERM)

    whole = pipeline.HandTracker.__call__

    def interrupted(self, frame, time_s):
        if time_s > 0.25:
            signal.raise_signal(getattr(signal, name))
        return whole(self, frame, time_s)

    monkeypatch.setattr(pipeline.HandTracker, "__call__", interrupted)
    outputs = [tmp_path / name for name in ("t.jsonl", "t.npz")]
    assert run("--video", video, "--output", *outputs, "--overlay", tmp_path / "o.mp4") == 0
    assert 7 <= len(read_tracks(outputs[0])[1]) <= 9
    with np.load(outputs[1]) as data:
        assert len(data["frame"]) == len(read_tracks(outputs[0])[1])
    assert cv2.VideoCapture(str(tmp_path / "o.mp4")).get(cv2.CAP_PROP_FRAME_COUNT) >= 7
    assert "stopped" in capsys.readouterr().err
    assert signal.getsignal(signal.SIGTERM) is before


def test_a_mirrored_feed_is_written_turned_back(world, video, tmp_path):
    run("--video", video, "--output", tmp_path / "t.jsonl")
    assert "mirrored" not in read_tracks(tmp_path / "t.jsonl")[0]
    run("--video", video, "--mirrored", "--output", tmp_path / "t.jsonl", "--overlay", tmp_path / "o.mp4")
    assert read_tracks(tmp_path / "t.jsonl")[0]["mirrored"] is True
    overlay, original = (cv2.VideoCapture(str(path)) for path in (tmp_path / "o.mp4", video))
    for _ in range(COUNT):
        drawn, seen = overlay.read()[1].astype(float), original.read()[1].astype(float)
        lit = seen[:, ::-1].max(-1) > 150
        np.testing.assert_allclose(np.median(drawn[lit], 0), np.median(seen[:, ::-1][lit], 0), atol=8)
        np.testing.assert_allclose(np.median(drawn[~lit], 0), 40, atol=8)


@pytest.mark.parametrize(
    ("hand", "scale"),
    [(None, "default"), ({"scale_mm": 90}, "given"), ({"bone_lengths_mm": [0] + [30] * 20}, "calibrated")],
)
def test_the_header_says_where_the_size_of_the_hand_comes_from(world, video, tmp_path, hand, scale):
    (tmp_path / "hand.json").write_text(json.dumps(hand))
    option = ["--hand", tmp_path / "hand.json"] if hand else []
    assert run("--video", video, "--output", tmp_path / "t.jsonl", *option) == 0
    assert read_tracks(tmp_path / "t.jsonl")[0]["hand_scale"] == scale


@pytest.mark.parametrize(
    "arguments",
    [
        (), ("--video",), ("--video", "a", "--webcam"), ("--demo", "--hands", "0"), ("--demo", "--hands", "two"),
        ("--demo", "--output", "t.xml"), ("--demo", "--overlay", "o.avi"), ("--demo", "--fov", "0"), ("--demo", "--nonsense"),
        ("--webcam", "--camera", "c.json", "--fov", "60"), ("--webcam", "x"), ("--demo", "--fov", "90"), ("--demo", "--mirrored"), ("--demo", "--camera", "c.json"),
    ],
)  # fmt: skip
def test_wrong_usage_is_exit_code_two(arguments, capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(list(arguments))
    assert raised.value.code == 2
    assert "usage: tracker" in capsys.readouterr().err


def test_help_answers_at_once_without_heavy_imports():
    heavy = ["numpy", "cv2", "numba", "tensorflow", "keras", "openvino", "onnxruntime", "scipy"]
    program = f"""
import sys
from tracker.cli import main
try: main(["--help"])
except SystemExit as stop: assert stop.code == 0
print("loaded:", [name for name in {heavy} if name in sys.modules])
"""
    started = time.perf_counter()
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert "--webcam" in done.stdout
    assert "loaded: []" in done.stdout
    assert time.perf_counter() - started < 5


def test_train_detector_is_forwarded(capsys):
    with pytest.raises(SystemExit) as raised:
        cli.main(["train-detector", "--help"])
    assert raised.value.code == 0
    assert "--mix" in capsys.readouterr().out


def test_the_overlay_draws_over_a_copy(tmp_path):
    from tracker.overlay import draw_hands

    cv2.imwrite(str(tmp_path / "a.png"), np.zeros((9, 9, 3), np.uint8))
    image = read_image(tmp_path / "a.png")
    assert draw_hands(image, []) is not image
