"""A webcam as a one-slot mailbox: the tracker always gets the newest frame and never lags behind."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator

import cv2
import numpy as np

from handpose.errors import HandposeError
from tracker.sources import Frame, quiet_opencv

_FAILURES = 20  # so many reads in a row that give nothing, and the webcam is gone
_PAUSE_S = 0.02
_SILENT_S = 3.0  # nor does it come back after so long without a frame
_LEAVE_S = 2.0
_LOOK_FOR = 4  # webcams 0 to 3 are named where the one asked for is missing


class WebcamSource:
    """The newest unseen frame of webcam `number`, with the time it was taken; a thread keeps one slot filled.

    `open_capture(number)` is cv2.VideoCapture, or a stand-in. Raises HandposeError where the webcam cannot be opened, and in the
    iteration where it is unplugged, naming those that are there.
    """

    def __init__(self, number: int = 0, open_capture: Callable = cv2.VideoCapture, silent_s: float = _SILENT_S):
        self._number, self._open, self._silent_s = number, open_capture, silent_s
        with quiet_opencv():
            self._capture = open_capture(number)
            good, first = self._capture.read() if self._capture.isOpened() else (False, None)
            if not good or first is None:
                self._capture.release()
                raise HandposeError(f"webcam {number} cannot be opened or is busy; {self._present()}")
        self.size_px: tuple[int, int] | None = (first.shape[1], first.shape[0])
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = float(rate) if 1 <= rate <= 1000 else 30.0
        self.count, self.label, self.note = 0, f"webcam {number}", ""
        self._slot: tuple[np.ndarray, float] | None = None
        self._changed, self._closing, self._gone = threading.Condition(), False, ""
        self._thread = threading.Thread(target=self._keep_newest, name=self.label, daemon=True)

    def __enter__(self) -> WebcamSource:
        self._started = time.perf_counter()
        self._thread.start()
        return self

    def __exit__(self, *details) -> None:
        self._closing = True
        self._thread.join(timeout=_LEAVE_S)
        if not self._thread.is_alive():  # a driver that is still waiting for a frame must not lose its device
            self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._slot is not None or bool(self._gone), timeout=self._silent_s)
                if self._slot is None:
                    reason = self._gone or "gives no frames any more"
                    raise HandposeError(f"{self.label} {reason}; {self._present()}")
                picture, captured_s = self._slot
                self._slot = None
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, captured_s - self._started)
            index += 1

    def _keep_newest(self) -> None:
        failures, reason = 0, "was unplugged or fell silent"
        while not self._closing and failures < _FAILURES:
            try:
                good, picture = self._capture.read()
            except Exception as error:  # told to the user by the tracking thread
                good, picture, reason = False, None, f"failed ({str(error).splitlines()[0]})"
            if not good:
                failures += 1
                time.sleep(_PAUSE_S)
                continue
            failures = 0
            with self._changed:
                self._slot = (picture, time.perf_counter())
                self._changed.notify()
        with self._changed:
            self._gone = reason
            self._changed.notify()

    def _present(self) -> str:
        """Say in words which webcams there are."""
        found = []
        with quiet_opencv():
            for number in range(_LOOK_FOR):
                if number == self._number:
                    continue
                capture = self._open(number)
                if capture.isOpened():
                    found.append(str(number))
                capture.release()
        return f"other webcams here: {', '.join(found)}" if found else "there is no other webcam here"
