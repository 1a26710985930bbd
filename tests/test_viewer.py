"""The window: its keys, and machines without a display or without windows in OpenCV."""

import cv2
import numpy as np
import pytest

from tracker import viewer
from tracker.viewer import WindowViewer

IMAGE = np.zeros((120, 160, 3), np.uint8)
IMAGE[:, :20] = (200, 30, 30)


class Screen:
    """Stands for OpenCV's windows: the pictures shown, and the keys that will be pressed."""

    def __init__(self, monkeypatch, keys="", visible=1.0):
        self.shown, self.keys, self.destroyed = [], [ord(key) for key in keys], False
        monkeypatch.setattr(viewer, "_has_display", lambda: True)
        monkeypatch.setattr(cv2, "imshow", lambda title, image: self.shown.append(image))
        monkeypatch.setattr(cv2, "waitKey", lambda ms: self.keys.pop(0) if self.keys else -1)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda title, what: visible)
        monkeypatch.setattr(cv2, "destroyWindow", lambda title: setattr(self, "destroyed", True))


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_close(monkeypatch, key):
    screen = Screen(monkeypatch, " " + key)
    window = WindowViewer()
    assert window.show(IMAGE, [], {"regnet": 3.0})
    assert not window.show(IMAGE, [], {"regnet": 3.0})
    window.close()
    assert screen.destroyed
    assert len(screen.shown) == 2


def test_closing_by_the_mouse_ends_too(monkeypatch):
    Screen(monkeypatch, visible=0.0)
    assert not WindowViewer().show(IMAGE, [], {})


def test_m_mirrors_the_picture_but_not_the_words(monkeypatch):
    screen = Screen(monkeypatch, "m")
    window = WindowViewer()
    for _ in range(2):
        window.show(IMAGE, [], {})
    plain, mirrored = screen.shown
    np.testing.assert_array_equal(plain[100, 5], (30, 30, 200))  # OpenCV shows BGR
    np.testing.assert_array_equal(mirrored[100, -5], (30, 30, 200))
    np.testing.assert_array_equal(mirrored[100, 5], (0, 0, 0))
    assert plain[:25, 40:].any()
    assert mirrored[:25, 40:].any()


def test_without_a_display_a_line_says_so_and_tracking_goes_on(monkeypatch, capsys):
    monkeypatch.setattr(viewer.sys, "platform", "linux")
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.setattr(cv2, "imshow", lambda *_: pytest.fail("a window was opened"))
    window = WindowViewer()
    assert window.show(IMAGE, [], {})
    assert window.show(IMAGE, [], {})
    window.close()
    assert capsys.readouterr().err.strip().splitlines() == [
        "tracker: there is no display: tracking goes on without a window"
    ]


def test_opencv_without_windows_is_told_once(monkeypatch, capsys):
    Screen(monkeypatch)

    def missing(*_):
        raise cv2.error("The function is not implemented")

    monkeypatch.setattr(cv2, "imshow", missing)
    window = WindowViewer()
    assert window.show(IMAGE, [], {})
    assert window.show(IMAGE, [], {})
    window.close()
    assert capsys.readouterr().err.count("cannot open windows") == 1
