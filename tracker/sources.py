"""Where frames come from: a video file or a folder of pictures. Each is a context manager that is iterated once."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.images import fov_deg, read_image

os.environ.setdefault("OPENCV_FFMPEG_LOGLEVEL", "-8")  # silent; FFmpeg reads it once, before the first file

PICTURES = (".bmp", ".jpeg", ".jpg", ".png", ".ppm", ".tif", ".tiff", ".webp")
_USUAL_FPS = 30.0
_LEAST_S = 1e-4  # between two frames: the times of a track file are rounded
_WIDEST = 4.0  # pixels, or highest: what a file tells beyond that is an error
_SHORT_S = 0.5  # so much earlier the last frame may come than a file ends: sound goes on for longer


@dataclass(frozen=True, eq=False)
class Frame:
    """A picture (H, W, 3) RGB uint8, its number, its time [s] (None for a picture of its own), its file name if it has one.

    fov_deg: its horizontal field of view, where its file tells it.
    """

    image: np.ndarray
    index: int
    time_s: float | None
    name: str | None = None
    fov_deg: float | None = None


class Source(Protocol):
    """Frames in order. label: what the track file calls it; fps and size_px (w, h): None for separate pictures; count: 0 if unknown.

    note: after the last frame, what the user should know of it, or "".
    """

    label: str
    fps: float | None
    size_px: tuple[int, int] | None
    count: int

    @property
    def note(self) -> str: ...

    def __enter__(self) -> Source: ...

    def __exit__(self, *details) -> None: ...

    def __iter__(self) -> Iterator[Frame]: ...


class VideoSource:
    """The frames of a video file, in order and upright. `note` tells at the end where the file holds more than can be read.

    Raises HandposeError naming the file where it is missing, empty or no video.
    """

    def __init__(self, path: str | Path):
        self.path = Path(path)
        try:
            if not self.path.is_file():
                raise HandposeError(f"{path}: no such video file")
            with self.path.open("rb") as file:
                if not file.read(1):
                    raise HandposeError(f"{path}: the file is empty")
        except OSError as error:
            raise HandposeError(f"{path}: cannot be read ({error.strerror})") from error
        with quiet_opencv():
            self._capture = cv2.VideoCapture(opencv_name(self.path))
            good, self._first = self._capture.read()
        if not good:
            self._capture.release()
            raise HandposeError(f"{path}: not a video that can be read (unknown codec, or damaged from the start)")
        rate = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps: float | None = float(rate) if 1 <= rate < 1000 else _USUAL_FPS  # 1000: a browser's, which is none
        self._length_s = max(self._capture.get(cv2.CAP_PROP_FRAME_COUNT), 0) / max(rate, 1)
        self.count = round(self._length_s * self.fps)
        self.size_px: tuple[int, int] | None = (self._first.shape[1], self._first.shape[0])
        self.label = self.path.name
        self.note = ""

    def squeezed_camera(self, fov_deg: float | None = None) -> Camera | None:
        """Give the camera to assume where the file tells that its pixels are no squares, as HDV and DV have them, else None."""
        wide, high = (self._capture.get(key) for key in (cv2.CAP_PROP_SAR_NUM, cv2.CAP_PROP_SAR_DEN))
        if high <= 0 or wide == high or not 1 / _WIDEST < wide / high < _WIDEST:  # unknown, or squares
            return None
        if self._capture.get(cv2.CAP_PROP_ORIENTATION_META) % 180:  # frames come turned, the shape of pixels does not
            wide, high = high, wide
        assert self.size_px is not None
        width, height = self.size_px
        return Camera.from_fov((round(width * wide / high), height), fov_deg).scaled_to(self.size_px)

    def __enter__(self) -> VideoSource:
        return self

    def __exit__(self, *details) -> None:
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        assert self.fps is not None
        index, time_s, picture = 0, 0.0, self._first
        with quiet_opencv():
            while picture is not None:
                yield Frame(cv2.cvtColor(picture, cv2.COLOR_BGR2RGB), index, time_s)
                good, picture = self._capture.read()
                if not good:
                    break
                index += 1
                time_s = self._time_after(time_s)
        if index + 1 < self.count and time_s < self._length_s - _SHORT_S:
            self.note = (
                f"{self.path}: {index + 1} of {self.count} stored frames could be read: it is cut short, or was trimmed"
            )

    def _time_after(self, time_s: float) -> float:
        """Trust the file's own time of a frame, since rates vary within a file, unless it does not advance."""
        assert self.fps is not None
        own = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return own if own > time_s + _LEAST_S else time_s + 1 / self.fps


class ImageSource:
    """The pictures of a folder by name, each on its own; other files and pictures that cannot be read are skipped and counted.

    Raises HandposeError where the folder is missing or holds no picture.
    """

    def __init__(self, folder: str | Path):
        self.folder = Path(folder)
        try:
            if not self.folder.is_dir():
                raise HandposeError(f"{folder}: no such folder of pictures")
            files = sorted(path for path in self.folder.iterdir() if path.is_file())
        except OSError as error:
            raise HandposeError(f"{folder}: cannot be read ({error.strerror})") from error
        self._paths = [path for path in files if path.suffix.lower() in PICTURES]
        if not self._paths:
            raise HandposeError(f"{folder}: holds no pictures ({', '.join(PICTURES)})")
        self._skipped = len(files) - len(self._paths)
        self.fps: float | None = None
        self.size_px: tuple[int, int] | None = None
        self.count, self.label = len(self._paths), self.folder.name or str(folder)

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
            yield Frame(image, index, None, path.name, fov_deg=fov_deg(path))
            index += 1
        if index == 0:
            raise HandposeError(f"{self.folder}: none of the {len(self._paths)} pictures could be read")

    @property
    def note(self) -> str:
        """How many files were skipped, in words, or nothing."""
        return f"{self.folder}: skipped {self._skipped} files that are no readable pictures" if self._skipped else ""


def opencv_name(path: Path) -> str:
    """Name a file to OpenCV: in full, or FFmpeg takes 10:30.mp4 for a protocol. Raises HandposeError for a name that would crash it."""
    try:
        str(path).encode()
    except UnicodeEncodeError as error:
        raise HandposeError(f"{str(path)!a}: OpenCV takes names of UTF-8 only: rename the file") from error
    return str(path.absolute())


class quiet_opencv:
    """OpenCV's own warnings about a file or device are silenced: ours says it in one line."""

    def __enter__(self) -> None:
        self._level = cv2.utils.logging.getLogLevel()
        cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)

    def __exit__(self, *details) -> None:
        cv2.utils.logging.setLogLevel(self._level)
