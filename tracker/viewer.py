"""What is shown of a tracked frame, and the window that shows it: `m` mirrors the view, `q` or Esc closes it.

A frame is shown until the next one comes, a picture of its own until a key is pressed.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import cv2
import numpy as np

from handpose.camera import Camera
from tracker.hand import TrackedHand
from tracker.overlay import draw_hands, write_text

_TITLE = "tracker"
_QUIT_KEYS, _NO_KEY, _POLL_MS = (ord("q"), 27), 0xFF, 50
_SMOOTHING = 0.9
_PROBE = "import cv2; cv2.namedWindow('tracker'); cv2.destroyAllWindows()"
_PROBE_S = 20.0  # a display over a dead network may never answer


@dataclass(frozen=True, eq=False)
class View:
    """A tracked frame: its number, its time [s] (None for a picture of its own), the picture (H, W, 3) RGB uint8, a selfie mirror's turned
    back, its hands, its camera, and the time that each stage took [ms].
    """

    frame: int
    time_s: float | None
    image: np.ndarray
    hands: Sequence[TrackedHand]
    camera: Camera
    stage_ms: Mapping[str, float]


class Viewer(Protocol):
    """Something that shows frames until it is closed, by the user too: then `show` gives False."""

    def show(self, view: View) -> bool: ...

    def close(self) -> None: ...


class WindowViewer:
    """Shows frames; `show` says whether to go on. Where no window can be opened, a line says so and nothing is shown."""

    def __init__(self, mirror: bool = False):
        self.mirror = mirror
        self._fps, self._last_s = 0.0, time.perf_counter()
        self._stages: dict[str, float] = {}
        self._open = _can_open_windows()
        if not self._open:
            print(
                "tracker: no window can be opened (no display, or opencv-python-headless): tracking goes on without one",
                file=sys.stderr,
            )

    def show(self, view: View) -> bool:
        """Show a frame; False once the user has closed the window."""
        if not self._open:
            return True
        self._measure(view.stage_ms)
        still = view.time_s is None
        self._draw(view)
        while (key := _key_pressed(still)) == ord("m"):
            self.mirror = not self.mirror
            if not still:
                break
            self._draw(view)
        return not (key in _QUIT_KEYS or _closed_by_mouse())

    def _draw(self, view: View) -> None:
        image, hands = (view.image[:, ::-1], _mirrored(view)) if self.mirror else (view.image, view.hands)
        drawn = draw_hands(image, hands)
        write_text(drawn, self._status(), np.array([6.0, 0.0]))
        cv2.imshow(_TITLE, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        """Close the window, if it was opened."""
        if self._open:
            with contextlib.suppress(cv2.error):  # the user closed it already
                cv2.destroyWindow(_TITLE)

    def _measure(self, stage_ms: Mapping[str, float]) -> None:
        now = time.perf_counter()
        rate = 1 / max(now - self._last_s, 1e-6)
        self._fps = rate if self._fps == 0 else _SMOOTHING * self._fps + (1 - _SMOOTHING) * rate
        self._last_s = now
        for stage, ms in stage_ms.items():
            self._stages[stage] = _SMOOTHING * self._stages.get(stage, ms) + (1 - _SMOOTHING) * ms

    def _status(self) -> str:
        stages = "  ".join(f"{stage} {ms:.1f}" for stage, ms in self._stages.items())
        return f"{self._fps:.0f} fps  {stages} ms"


def _can_open_windows() -> bool:
    """Try it in another process: where a display is named but does not answer, Qt aborts the one that asks."""
    try:
        tried = subprocess.run([sys.executable, "-c", _PROBE], capture_output=True, check=False, timeout=_PROBE_S)
    except subprocess.TimeoutExpired:
        return False
    return tried.returncode == 0


def _mirrored(view: View) -> list[TrackedHand]:
    """Give the hands where a mirrored picture shows them: what is written beside them is to be read."""
    last_column = view.image.shape[1] - 1
    return [replace(hand, joints_px=hand.joints_px * (-1, 1) + (last_column, 0)) for hand in view.hands]


def _key_pressed(still: bool) -> int:
    """Give the key pressed, _NO_KEY for none; a `still` picture, after which no frame comes, waits for one, or for the mouse."""
    key = cv2.waitKey(_POLL_MS if still else 1) & 0xFF
    while still and key == _NO_KEY and not _closed_by_mouse():
        key = cv2.waitKey(_POLL_MS) & 0xFF
    return key


def _closed_by_mouse() -> bool:
    try:
        return cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
    except cv2.error:  # Qt has nothing left to ask once its last window is gone
        return True
