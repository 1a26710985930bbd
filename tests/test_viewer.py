"""The window: its keys, and machines where none can be opened."""

import sys
from dataclasses import replace

import cv2
import numpy as np
import pytest

from handpose.camera import Camera
from tracker import viewer
from tracker.hand import State, TrackedHand
from tracker.viewer import View, WindowViewer

IMAGE = np.zeros((120, 160, 3), np.uint8)
IMAGE[:, :20] = (200, 30, 30)
VIEW = View(0, 0.0, IMAGE, [], Camera.from_fov((160, 120)), {"regnet": 3.0})


def hand_at(joints_px):
    still = np.zeros(21), np.zeros((21, 2)), np.zeros(3), np.zeros(3), np.zeros(20)
    confidence, sigma_mm, translation, rotation, angles = still
    return TrackedHand(
        1, "left", State.TRACKED, 0.9, joints_px=joints_px, joints_mm=np.zeros((21, 3)), confidence=confidence + 1,
        sigma_mm=sigma_mm, wrist_translation_mm=translation, wrist_rotation_rad=rotation, angles_rad=angles,
    )  # fmt: skip


class Screen:
    """Stands for OpenCV's windows: the pictures shown, and the keys that will be pressed."""

    def __init__(self, monkeypatch, keys="", visible=1.0):
        self.shown, self.keys, self.destroyed = [], [ord(key) for key in keys], False
        monkeypatch.setattr(viewer, "_can_open_windows", lambda: True)
        monkeypatch.setattr(cv2, "imshow", lambda title, image: self.shown.append(image))
        monkeypatch.setattr(cv2, "waitKey", lambda ms: self.keys.pop(0) if self.keys else -1)
        monkeypatch.setattr(cv2, "getWindowProperty", lambda title, what: visible)
        monkeypatch.setattr(cv2, "destroyWindow", lambda title: setattr(self, "destroyed", True))


@pytest.mark.parametrize("key", ["q", "\x1b"])
def test_q_and_escape_close(monkeypatch, key):
    screen = Screen(monkeypatch, " " + key)
    window = WindowViewer()
    assert window.show(VIEW)
    assert not window.show(VIEW)
    window.close()
    assert screen.destroyed
    assert len(screen.shown) == 2


def test_closing_by_the_mouse_ends_too(monkeypatch):
    Screen(monkeypatch, visible=0.0)
    assert not WindowViewer().show(VIEW)


def test_a_window_that_cannot_be_asked_any_more_was_closed(monkeypatch):
    """Qt takes everything away with its last window, and OpenCV raises."""
    Screen(monkeypatch)

    def gone(*_):
        raise cv2.error("NULL guiReceiver")

    monkeypatch.setattr(cv2, "getWindowProperty", gone)
    assert not WindowViewer().show(VIEW)


def test_m_mirrors_the_picture_but_not_the_words(monkeypatch):
    screen = Screen(monkeypatch, "m")
    window = WindowViewer()
    for _ in range(2):
        window.show(VIEW)
    plain, mirrored = screen.shown
    np.testing.assert_array_equal(plain[100, 5], (30, 30, 200))  # OpenCV shows BGR
    np.testing.assert_array_equal(mirrored[100, -5], (30, 30, 200))
    np.testing.assert_array_equal(mirrored[100, 5], (0, 0, 0))
    assert plain[:25, 40:].any()
    assert mirrored[:25, 40:].any()


def test_what_is_written_beside_a_mirrored_hand_can_be_read(monkeypatch):
    """The hand is where the mirrored picture shows it, and its label as it is in a picture of a hand there."""
    joints = np.random.default_rng(0).uniform((90, 60), (120, 90), (21, 2))
    there = joints * (-1, 1) + (IMAGE.shape[1] - 1, 0)
    screen = Screen(monkeypatch)
    plain = np.zeros_like(IMAGE)
    WindowViewer(mirror=True).show(replace(VIEW, image=plain, hands=[hand_at(joints)]))
    WindowViewer(mirror=False).show(replace(VIEW, image=plain, hands=[hand_at(there)]))
    below_the_status = slice(30, None)
    np.testing.assert_array_equal(screen.shown[0][below_the_status], screen.shown[1][below_the_status])
    assert screen.shown[0][below_the_status].any()


def test_a_picture_of_its_own_waits_for_a_key(monkeypatch):
    screen = Screen(monkeypatch)
    pressed = iter([-1, -1, ord("m"), -1, ord(" ")])
    monkeypatch.setattr(cv2, "waitKey", lambda ms: next(pressed))
    assert WindowViewer().show(replace(VIEW, time_s=None))
    assert next(pressed, "all") == "all" and len(screen.shown) == 2
    np.testing.assert_array_equal(screen.shown[1][100, -5], (30, 30, 200))


def test_a_picture_of_its_own_waits_no_longer_than_the_window(monkeypatch):
    Screen(monkeypatch, visible=0.0)
    assert not WindowViewer().show(replace(VIEW, time_s=None))


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="elsewhere no variable takes the display away")
@pytest.mark.parametrize("display", [None, ":77"])
def test_a_display_that_is_missing_or_dead_is_told_in_a_line_and_tracking_goes_on(monkeypatch, capfd, display):
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    monkeypatch.delenv("DISPLAY", raising=False)
    if display:
        monkeypatch.setenv("DISPLAY", display)
    monkeypatch.setattr(cv2, "imshow", lambda *_: pytest.fail("a window was opened"))
    window = WindowViewer()
    assert window.show(VIEW)
    assert window.show(VIEW)
    window.close()
    (line,) = capfd.readouterr().err.splitlines()
    assert line.startswith("tracker: no window can be opened (no display, ")


def test_a_display_that_never_answers_is_none(monkeypatch):
    monkeypatch.setattr(viewer, "_PROBE", "import time; time.sleep(60)")
    monkeypatch.setattr(viewer, "_PROBE_S", 0.1)
    assert not viewer._can_open_windows()


def test_a_display_that_answers_is_used(monkeypatch):
    monkeypatch.setattr(viewer, "_PROBE", "")
    assert viewer._can_open_windows()
