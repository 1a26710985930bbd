"""The overlay video: frames stand at their times, and a disk that fills up is told while the file can still be played."""

from collections import namedtuple
from pathlib import Path

import cv2
import numpy as np
import pytest

from handpose import outputs
from handpose.errors import HandposeError
from tracker import overlay
from tracker.overlay import OverlayWriter

SIZE = (64, 48)


def brightness(path: Path) -> list[float]:
    """Mean of each frame of a video."""
    video, means = cv2.VideoCapture(str(path)), []
    while (read := video.read())[0]:
        means.append(float(read[1].mean()))
    return means


def write(path: Path, times_s, fps: float = 10.0) -> list[float]:
    """Write frames that grow brighter by 20; the brightness of what is in the file."""
    writer = OverlayWriter(path, fps, SIZE)
    for number, time_s in enumerate(times_s):
        writer.write(np.full((SIZE[1], SIZE[0], 3), 20 * number, np.uint8), [], time_s)
    writer.close()
    return brightness(path)


def test_a_frame_is_shown_until_the_next_ones_time(tmp_path):
    seen = write(tmp_path / "o.mp4", [0.0, 0.1, 0.4, 0.5, 0.7])
    np.testing.assert_allclose(seen, [0, 20, 20, 20, 40, 60, 60, 80], atol=4)


def test_frames_that_come_too_fast_are_left_out(tmp_path):
    seen = write(tmp_path / "o.mp4", [5.0, 5.04, 5.1, 5.12, 5.14, 5.2])
    np.testing.assert_allclose(seen, [0, 40, 100], atol=4)


def test_a_gap_of_hours_is_no_endless_still(tmp_path, monkeypatch):
    monkeypatch.setattr(overlay, "_LONGEST_STILL_S", 0.3)
    seen = write(tmp_path / "o.mp4", [0.0, 9000.0, 9000.1])
    np.testing.assert_allclose(seen, [0, 0, 0, 20, 40], atol=4)


def test_a_disk_that_is_nearly_full_ends_the_video_while_it_can_be_finished(tmp_path, monkeypatch):
    usage, free = namedtuple("usage", "total used free"), iter([1 << 40] * 3 + [1 << 20])
    monkeypatch.setattr(outputs.shutil, "disk_usage", lambda path: usage(0, 0, next(free)))
    writer = OverlayWriter(tmp_path / "o.mp4", 10.0, SIZE)
    for number in range(3):
        writer.write(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), [], number / 10)
    with pytest.raises(HandposeError, match=r"o\.mp4: the disk is nearly full"):
        writer.write(np.zeros((SIZE[1], SIZE[0], 3), np.uint8), [], 0.3)
    writer.close()
    assert len(brightness(tmp_path / "o.mp4")) == 3


def test_a_video_without_frames_closes_in_peace(tmp_path):
    OverlayWriter(tmp_path / "o.mp4", 10.0, SIZE).close()


def test_a_folder_that_is_missing_is_told(tmp_path):
    with pytest.raises(HandposeError, match="cannot be written here"):
        OverlayWriter(tmp_path / "none" / "o.mp4", 10.0, SIZE)


@pytest.mark.parametrize("fps", [29.97, 59.9412, 119.877, 238.7341, 999.5])
def test_every_rate_that_phones_write_can_be_written(tmp_path, fps):
    """A second of MPEG-4 video has at most 65,535 ticks, which a rate of three decimals would need more of."""
    seen = write(tmp_path / "o.mp4", [number / fps for number in range(5)], fps)
    np.testing.assert_allclose(seen, [0, 20, 40, 60, 80], atol=4)
