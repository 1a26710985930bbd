"""A window with the picture, the skeletons and the time each stage takes. `m` mirrors the view, `q` or Esc closes it."""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Mapping, Sequence

import cv2
import numpy as np

from tracker.hand import TrackedHand
from tracker.overlay import draw_hands, write_text

_TITLE = "tracker"
_QUIT_KEYS = (ord("q"), 27)
_SMOOTHING = 0.9


class WindowViewer:
    """Shows frames; `show` says whether to go on. Where there is no display, a line says so and nothing is shown."""

    def __init__(self, mirror: bool = False):
        self.mirror = mirror
        self._fps, self._last_s = 0.0, time.perf_counter()
        self._stages: dict[str, float] = {}
        self._open = _has_display()
        if not self._open:
            _say("there is no display: tracking goes on without a window")

    def show(self, image: np.ndarray, hands: Sequence[TrackedHand], stage_ms: Mapping[str, float]) -> bool:
        """Show a frame (H, W, 3) RGB; False once the user has closed the window."""
        if not self._open:
            return True
        self._measure(stage_ms)
        drawn = draw_hands(image, hands)
        drawn = np.ascontiguousarray(drawn[:, ::-1]) if self.mirror else drawn
        write_text(drawn, self._status(), np.array([6.0, 0.0]))
        try:
            cv2.imshow(_TITLE, cv2.cvtColor(drawn, cv2.COLOR_RGB2BGR))
            key = cv2.waitKey(1) & 0xFF
            closed = cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1
        except cv2.error:
            self._open = False
            _say("OpenCV cannot open windows here (opencv-python-headless?): tracking goes on without one")
            return True
        if key == ord("m"):
            self.mirror = not self.mirror
        return not (closed or key in _QUIT_KEYS)

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


def _has_display() -> bool:
    """On Linux Qt aborts the whole process where there is none, so ask before it is touched."""
    if sys.platform.startswith("linux"):
        return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))
    return True


def _say(line: str) -> None:
    print(f"tracker: {line}", file=sys.stderr)
