"""Frames from videos, folders and webcams, whole or damaged."""

import struct
import sys
import threading
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from handpose.errors import HandposeError
from handpose.images import read_image
from tracker import webcam
from tracker.overlay import OverlayWriter
from tracker.sources import ImageSource, VideoSource
from tracker.webcam import WebcamSource

SIZE = (64, 48)


def write_video(path: Path, count: int = 12, fps: float = 25.0, codec: str = "mp4v") -> Path:
    """A video whose frames grow brighter one by one."""
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*codec), fps, SIZE)
    for i in range(count):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 15 * i % 256, np.uint8))
    writer.release()
    return path


def test_video_frames_come_in_order_with_their_times(tmp_path):
    with VideoSource(write_video(tmp_path / "v.mp4")) as source:
        frames = list(source)
    assert (source.size_px, source.count, source.label, source.note) == (SIZE, 12, "v.mp4", "")
    assert [frame.index for frame in frames] == list(range(12))
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(12) / 25, atol=1e-3)
    np.testing.assert_allclose([frame.image.mean() for frame in frames], 15 * np.arange(12), atol=6)


def test_video_colours_are_rgb(tmp_path):
    writer = cv2.VideoWriter(str(tmp_path / "v.mp4"), cv2.VideoWriter.fourcc(*"mp4v"), 25, SIZE)
    for _ in range(3):
        writer.write(np.full((SIZE[1], SIZE[0], 3), (0, 0, 255), np.uint8))
    writer.release()
    with VideoSource(tmp_path / "v.mp4") as source:
        red, green, blue = next(iter(source)).image.mean((0, 1))
    assert red > 200
    assert max(green, blue) < 60


def test_rotation_metadata_is_obeyed(tmp_path):
    """The display matrix of the track header asks for a quarter turn: the frames come out upright."""
    content = bytearray(write_video(tmp_path / "v.mp4").read_bytes())
    start = content.index(b"tkhd") + 4
    matrix = start + 4 + 20 + 16  # version 0: five times four bytes, then two reserved words, layer, group, volume
    quarter = [0, 0x10000, 0, -0x10000, 0, 0, SIZE[1] << 16, 0, 0x40000000]
    content[matrix : matrix + 36] = b"".join(value.to_bytes(4, "big", signed=True) for value in quarter)
    (tmp_path / "turned.mp4").write_bytes(content)
    with VideoSource(tmp_path / "turned.mp4") as source:
        frame = next(iter(source))
    assert source.size_px == (SIZE[1], SIZE[0])
    assert frame.image.shape == (SIZE[0], SIZE[1], 3)


def with_pixels(video: Path, wide: int, high: int) -> Path:
    """Tell in a video's sample description that its pixels are no squares: a `pasp` box, and longer boxes around it."""
    content = bytearray(video.read_bytes())
    end = content.index(b"mp4v") - 4
    end += int.from_bytes(content[end : end + 4], "big")
    for name in (b"moov", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"mp4v"):
        start = content.index(name) - 4
        content[start : start + 4] = (int.from_bytes(content[start : start + 4], "big") + 16).to_bytes(4, "big")
    content[end:end] = (16).to_bytes(4, "big") + b"pasp" + wide.to_bytes(4, "big") + high.to_bytes(4, "big")
    video.write_bytes(content)
    return video


@pytest.mark.parametrize(("wide", "high"), [(4, 3), (9, 16)])
def test_a_video_tells_the_shape_of_its_pixels(tmp_path, wide, high):
    """As HDV does, whose 1440 pixels are shown as 1920."""
    with VideoSource(with_pixels(write_video(tmp_path / "v.mp4"), wide, high)) as source:
        camera = source.squeezed_camera(50.0)
        assert source.squeezed_camera().fx != camera.fx
    assert camera.size_px == SIZE and camera.fx / camera.fy == pytest.approx(high / wide, rel=0.02)
    assert camera.fx == pytest.approx(SIZE[0] / 2 / np.tan(np.deg2rad(25)), rel=1e-6)


@pytest.mark.parametrize("pixels", [None, (1, 1), (1, 100), (0, 1)])
def test_pixels_are_squares_where_nothing_sensible_is_told(tmp_path, pixels):
    video = write_video(tmp_path / "v.mp4")
    with VideoSource(with_pixels(video, *pixels) if pixels else video) as source:
        assert source.squeezed_camera() is None


def test_a_truncated_video_is_read_as_far_as_it_goes(shared_data, tmp_path):
    whole = (shared_data / "video" / "counting.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(whole[: len(whole) // 10])
    with VideoSource(tmp_path / "cut.mp4") as source:
        count = sum(1 for _ in source)
    assert 5 < count < 200
    told = f"{count} of 493 stored frames could be read: it is cut short, or was trimmed"
    assert source.note == f"{tmp_path / 'cut.mp4'}: {told}"


def write_matroska_with_a_gap(path: Path) -> Path:
    """40 frames of 40 ms, the last 22 of which come 9 s late: the times of clusters and the length are rewritten."""
    content = write_video(path, 40, codec="MJPG").read_bytes()
    for cluster_ms in (720, 1440):
        own, late = (b"\xe7\x82" + ms.to_bytes(2, "big") for ms in (cluster_ms, cluster_ms + 9000))
        assert content.count(own) == 1
        content = content.replace(own, late)
    own, late = (b"\x44\x89\x88" + struct.pack(">d", ms) for ms in (1600, 10600))
    assert content.count(own) == 1
    path.write_bytes(content.replace(own, late))
    return path


def test_a_long_gap_is_kept_and_is_not_taken_for_an_early_end(tmp_path):
    """How many frames a .mkv or .webm holds is guessed from its length."""
    with VideoSource(write_matroska_with_a_gap(tmp_path / "v.mkv")) as source:
        frames = list(source)
    assert source.count > 200
    assert source.note == ""
    expected = np.arange(40) * 0.04 + 9 * (np.arange(40) >= 18)
    np.testing.assert_allclose([frame.time_s for frame in frames], expected, atol=1e-3)


@pytest.mark.parametrize(("codec", "name"), [("MJPG", "v.mkv"), ("VP80", "v.webm")])
def test_files_that_only_tell_their_length_are_whole_or_cut_short(tmp_path, codec, name):
    whole = write_video(tmp_path / name, 50, codec=codec)
    with VideoSource(whole) as source:
        assert len(list(source)) == 50
    assert source.note == ""
    content = whole.read_bytes()
    (tmp_path / f"cut_{name}").write_bytes(content[: len(content) // 2])
    with VideoSource(tmp_path / f"cut_{name}") as source:
        count = len(list(source))
    assert source.note.endswith(f"{count} of 50 stored frames could be read: it is cut short, or was trimmed")


def test_a_rate_that_only_counts_milliseconds_is_none(tmp_path):
    """Browsers record like that."""
    content = write_video(tmp_path / "v.mkv", 50, codec="MJPG").read_bytes()
    own, browser = (b"\x23\xe3\x83\x84" + ns.to_bytes(4, "big") for ns in (40_000_000, 1_000_000))
    assert content.count(own) == 1
    (tmp_path / "v.mkv").write_bytes(content.replace(own, browser))
    with VideoSource(tmp_path / "v.mkv") as source:
        frames = list(source)
    assert (source.fps, source.count, source.note) == (30, 60, "")
    np.testing.assert_allclose([frame.time_s for frame in frames], np.arange(50) / 25, atol=1e-3)


def test_the_whole_clip_has_no_note(tmp_path):
    with VideoSource(write_video(tmp_path / "v.mp4", 3)) as source:
        assert len(list(source)) == 3
    assert source.note == ""


def test_a_name_like_a_protocol_is_a_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "v.mp4", 3).rename("10:30.mp4")
    with VideoSource("10:30.mp4") as source:
        assert len(list(source)) == 3


@pytest.mark.skipif(sys.platform != "linux", reason="names are text here")
def test_a_name_that_is_no_text_is_told(tmp_path):
    path = write_video(tmp_path / "v.mp4", 3).rename(tmp_path / "cl\udcffip.mp4")
    with pytest.raises(HandposeError, match=r"cl\\udcffip.mp4': OpenCV takes names of UTF-8 only"):
        VideoSource(path)
    with pytest.raises(HandposeError, match="UTF-8"):
        OverlayWriter(path, 30, SIZE)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("no.mp4", None, "no such"),
        ("empty.mp4", b"", "empty"),
        ("text.mp4", b"hello" * 99, "not a video"),
        ("", None, "no such"),
    ],
)
def test_what_is_no_video_is_told(tmp_path, name, content, reason, capfd):
    path = tmp_path / name
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(HandposeError, match=reason) as raised:
        VideoSource(path)
    assert str(path) in str(raised.value)
    assert "\n" not in str(raised.value)
    assert capfd.readouterr().err == ""


def write_pictures(folder: Path) -> Path:
    rng = np.random.default_rng(0)
    folder.mkdir()
    base = rng.integers(0, 256, (48, 64, 3), dtype=np.uint8)
    Image.fromarray(base[:, :, 0]).save(folder / "a_grey.png")
    Image.fromarray(np.dstack([base, base[:, :, 0]])).save(folder / "b_rgba.png")
    cv2.imwrite(str(folder / "c_deep.png"), base[:, :, 0].astype(np.uint16) * 257)
    turned = Image.Exif()
    turned[0x0112] = 6
    Image.fromarray(base).save(folder / "d_turned.jpg", exif=turned)
    Image.fromarray(base[:32, :32]).save(folder / "e_small.webp")
    Image.new("P", (40, 30)).save(folder / "f_palette.png")
    (folder / "notes.txt").write_text("no picture")
    (folder / "g_broken.jpg").write_bytes(b"\xff\xd8\xff broken")
    (folder / "inner").mkdir()
    Image.fromarray(base).save(folder / "inner" / "h.png")
    return folder


def test_pictures_of_all_kinds(tmp_path, capsys):
    with ImageSource(write_pictures(tmp_path / "set")) as source:
        frames = list(source)
    assert [frame.name for frame in frames] == [
        "a_grey.png", "b_rgba.png", "c_deep.png", "d_turned.jpg", "e_small.webp", "f_palette.png"
    ]  # fmt: skip
    assert all(frame.image.dtype == np.uint8 and frame.image.shape[2] == 3 for frame in frames)
    assert frames[3].image.shape[:2] == (64, 48)
    np.testing.assert_array_equal(frames[0].image, frames[2].image)
    assert all(frame.time_s is None for frame in frames)
    assert "skipped 2 files" in source.note
    assert "g_broken.jpg" in capsys.readouterr().err


def test_a_picture_of_any_size_is_read_and_one_without_white_is_not(tmp_path):
    Image.new("1", (9_500, 9_500), 1).save(tmp_path / "large.png")
    assert read_image(tmp_path / "large.png")[::99, ::99].min() == 255
    Image.fromarray(np.full((8, 8), 0.5, np.float32)).save(tmp_path / "real.tif")
    with pytest.raises(HandposeError, match=r"real.tif: not a readable picture \(floating-point"):
        read_image(tmp_path / "real.tif")


def test_folders_without_pictures_are_told(tmp_path):
    with pytest.raises(HandposeError, match="no such folder"):
        ImageSource(tmp_path / "none")
    with pytest.raises(HandposeError, match="holds no pictures"):
        ImageSource(tmp_path)
    (tmp_path / "a.png").write_bytes(b"nothing")
    with pytest.raises(HandposeError, match="none of the 1 pictures"):
        list(ImageSource(tmp_path))


class FakeCapture:
    """A webcam with as many frames as given, each brighter than the one before; `gate` lets it go on."""

    def __init__(self, count: int, present: bool = True, pause_s: float = 0.0):
        self.left, self.present, self.pause_s = count, present, pause_s
        self.given, self.released = 0, False
        self.idle = threading.Event()

    def isOpened(self):
        return self.present

    def get(self, _):
        return 30.0

    def read(self):
        if self.left == 0:
            self.idle.set()
            return False, None
        time.sleep(self.pause_s)
        self.left -= 1
        self.given += 1
        return True, np.full((SIZE[1], SIZE[0], 3), self.given, np.uint8)

    def release(self):
        self.released = True


def test_a_webcam_gives_the_newest_frame_and_says_when_it_is_gone():
    camera = FakeCapture(200, pause_s=0.001)
    source = WebcamSource(0, lambda n: camera if n == 0 else FakeCapture(0, present=n == 2))
    seen = []

    def track():
        for frame in source:
            seen.append((int(frame.image[0, 0, 0]), frame.time_s))
            camera.idle.wait(0.05)  # a slow tracker

    with pytest.raises(HandposeError, match=r"webcam 0 was unplugged.*other webcams here: 2"), source:
        track()
    numbers, times = np.array(seen).T
    assert (np.diff(numbers) > 0).all()
    assert (np.diff(times) > 0).all()
    assert numbers[0] > 1  # the first was taken when the webcam was opened, before anything was loaded
    assert numbers[-1] == 200
    assert len(numbers) < 40  # no queue
    assert camera.released


def test_no_webcam_names_those_that_are_there():
    with pytest.raises(HandposeError, match=r"webcam 5 cannot be opened.*other webcams here: 1, 3"):
        WebcamSource(5, lambda n: FakeCapture(1, present=n in (1, 3)))
    with pytest.raises(HandposeError, match="there is no other webcam here"):
        WebcamSource(0, lambda n: FakeCapture(0, present=False))


def test_a_webcam_that_raises_is_told_in_the_tracking_thread():
    class Failing(FakeCapture):
        def read(self):
            if self.given:
                raise RuntimeError("USB error\nmore")
            return super().read()

    source = WebcamSource(0, lambda n: Failing(3, present=n == 0))
    with pytest.raises(HandposeError, match=r"failed \(USB error\)"), source:
        list(source)


def test_a_webcam_whose_driver_does_not_answer_keeps_its_device(monkeypatch):
    """What a thread is reading from must not be taken away under it."""
    answers = threading.Event()

    class Waiting(FakeCapture):
        def read(self):
            return super().read() if not self.given else (answers.wait(10), None)

    camera = Waiting(3)
    monkeypatch.setattr(webcam, "_LEAVE_S", 0.05)
    source = WebcamSource(0, lambda n: camera if n == 0 else FakeCapture(0, present=False), silent_s=0.05)
    with pytest.raises(HandposeError, match="gives no frames any more"), source:
        list(source)
    assert not camera.released
    answers.set()


def test_files_that_may_not_be_read_are_told_so(tmp_path, monkeypatch):
    (tmp_path / "v.mp4").write_bytes(b"1")
    closed = PermissionError(13, "Permission denied")

    def refuse(*_, **__):
        raise closed

    for name, source in (("open", VideoSource), ("iterdir", ImageSource)):
        path = tmp_path / "v.mp4" if source is VideoSource else tmp_path
        with monkeypatch.context() as patched:
            patched.setattr(Path, name, refuse)
            with pytest.raises(HandposeError, match=r"cannot be read \(Permission denied\)"):
                source(path)
