"""Where frames come from: a video file, a folder of pictures, a webcam. Each is a context manager that is iterated once."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from handpose.errors import HandposeError
from handpose.images import read_image

_PICTURES = {".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".ppm"}
_SILENT_S = 3.0  # a webcam that gives nothing for so long is gone


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture (H, W, 3) RGB uint8, its number, its time [s] (None for a picture of its own) and its file name, if it has one."""

    image: np.ndarray
    index: int
    time_s: float | None
    name: str | None = None


class VideoSource:
    """The frames of a video file, in order and upright. `note` tells at the end where the file was cut short.

    Raises HandposeError naming the file where it is missing, empty or no video.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        if not self.path.is_file():
            raise HandposeError(f"{path}: no such video file")
        if self.path.stat().st_size == 0:
            raise HandposeError(f"{path}: the file is empty")
        with _quiet_opencv():
            self._capture = cv2.VideoCapture(str(self.path))
            good, self._first = self._capture.read()
        if not good:
            self._capture.release()
            raise HandposeError(f"{path}: not a video that can be read (unknown codec, or damaged from the start)")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = float(rate) if 1 <= rate <= 1000 else 30.0
        self.count = max(int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT)), 0)
        self.size_px = (self._first.shape[1], self._first.shape[0])
        self.label = self.path.name
        self.note = ""

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *details) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        index, picture = 0, self._first
        while picture is not None:
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, index / self.fps)
            index += 1
            good, picture = self._capture.read()
            if not good:
                break
        if index < self.count:
            self.note = f"{self.path}: cut short: {index} of {self.count} frames could be read"


class ImageSource:
    """The pictures of a folder by name, each on its own; other files and pictures that cannot be read are skipped and counted.

    Raises HandposeError where the folder is missing or holds no picture.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        if not self.folder.is_dir():
            raise HandposeError(f"{folder}: no such folder of pictures")
        files = sorted(path for path in self.folder.iterdir() if path.is_file())
        self._paths = [path for path in files if path.suffix.lower() in _PICTURES]
        if not self._paths:
            raise HandposeError(f"{folder}: holds no pictures ({', '.join(sorted(_PICTURES))})")
        self._skipped = len(files) - len(self._paths)
        self.fps, self.size_px, self.count = None, None, len(self._paths)
        self.label = str(folder)

    def __enter__(self) -> ImageSource:
        return self

    def __exit__(self, *details) -> None:
        pass

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        for path in self._paths:
            try:
                image = read_image(path)
            except HandposeError as error:
                print(error, file=sys.stderr)
                self._skipped += 1
                continue
            yield Frame(image, index, None, path.name)
            index += 1

    @property
    def note(self) -> str:
        """How many files were skipped, in words, or nothing."""
        return f"{self.folder}: skipped {self._skipped} files that are no readable pictures" if self._skipped else ""


class WebcamSource:
    """The newest frame of a webcam: a thread keeps one slot filled, so a slow tracker never lags behind.

    `open_capture(number)` is cv2.VideoCapture, or a stand-in. Raises HandposeError where the webcam cannot be opened, naming those that
    can; a webcam that goes silent ends the frames, and `note` says so.
    """

    def __init__(self, number: int = 0, open_capture: Callable = cv2.VideoCapture):
        with _quiet_opencv():
            self._capture = open_capture(number)
            good, first = self._capture.read() if self._capture.isOpened() else (False, None)
            if not good:
                self._capture.release()
                raise HandposeError(f"webcam {number} cannot be opened or is busy; {_present(open_capture)}")
        self.size_px = (first.shape[1], first.shape[0])
        self.fps, self.count, self.label, self.note = 30.0, 0, f"webcam {number}", ""
        self._started = time.perf_counter()
        self._slot: tuple[np.ndarray, float] | None = (first, 0.0)
        self._fresh, self._closing = threading.Condition(), False
        self._thread = threading.Thread(target=self._keep_newest, daemon=True)

    def __enter__(self) -> WebcamSource:
        self._thread.start()
        return self

    def __exit__(self, *details) -> None:
        self._closing = True
        self._thread.join(timeout=2)
        self._capture.release()

    def _keep_newest(self) -> None:
        failures = 0
        while not self._closing and failures < 20:
            good, picture = self._capture.read()
            failures = 0 if good else failures + 1
            if not good:
                time.sleep(0.02)
                continue
            with self._fresh:
                self._slot = (picture, time.perf_counter() - self._started)
                self._fresh.notify()

    def __iter__(self) -> Iterator[Frame]:
        index = 0
        while True:
            with self._fresh:
                if not self._fresh.wait_for(lambda: self._slot is not None, timeout=_SILENT_S):
                    self.note = f"{self.label} was unplugged or fell silent: what was tracked is kept"
                    return
                picture, time_s = self._slot
                self._slot = None
            yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, time_s)
            index += 1


def _present(open_capture: Callable) -> str:
    """Say in words which webcams there are."""
    found = []
    for number in range(4):
        capture = open_capture(number)
        if capture.isOpened():
            found.append(str(number))
        capture.release()
    return f"webcams here: {', '.join(found)}" if found else "there is no webcam here"


class _quiet_opencv:
    """OpenCV's own warnings about a file or device are silenced: ours says it in one line."""

    def __enter__(self):
        self._level = cv2.getLogLevel() if hasattr(cv2, "getLogLevel") else None
        if self._level is not None:
            cv2.setLogLevel(0)

    def __exit__(self, *details):
        if self._level is not None:
            cv2.setLogLevel(self._level)
