"""Tracks shown by rerun (the extra `[viewer]`): live in its window, or later from an `.rrd` file."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

from handpose.errors import HandposeError
from handpose.outputs import check_space
from tracker.options import RECORDING
from tracker.rerun_scene import RerunScene
from tracker.viewer import View

_RERUN = (sys.executable, "-m", "rerun_cli")
_OPENS_S, _STAYS_S = 20.0, 1.0  # a viewer without a display listens for a moment before it ends


class RerunRecorder:
    """Writes an `.rrd` file, which `rerun FILE` opens; it grows as the frames come.

    Raises ImportError or HandposeError where rerun is missing, and HandposeError where the file cannot be written, or the disk is full.
    """

    def __init__(self, path: Path, source: str):
        self._path, self._scene = path, RerunScene(source)
        try:
            self._scene.stream.save(path)
        except RuntimeError as error:
            raise HandposeError(f"{path}: cannot be written ({error})") from error
        self._scene.begin()

    def show(self, view: View) -> bool:
        """Add a frame; nobody can close a file: True."""
        check_space(self._path)  # rerun's writer may never come back from a full disk
        self._scene.add(view)
        return True

    def close(self) -> None:
        """Finish the file."""
        try:
            self._scene.end()
        except RuntimeError as error:
            raise HandposeError(f"{self._path}: the recording is not whole ({error})") from error


class RerunViewer:
    """Shows frames in rerun's window, which stays when they end. Where none can be opened, a line says so and nothing is shown."""

    def __init__(self, source: str):
        """Raises ImportError or HandposeError where rerun is missing."""
        self._scene, port = RerunScene(source), _free_port()
        self._window = _start_window(port)
        if self._window is not None:
            self._scene.stream.connect_grpc(f"rerun+http://127.0.0.1:{port}/proxy")
            self._scene.begin()
        else:
            print(
                f"tracker: rerun cannot open a window (no display?): tracking goes on without one; --output clip{RECORDING} records",
                file=sys.stderr,
            )

    def show(self, view: View) -> bool:
        """Show a frame; False once the user has closed the window."""
        if self._window is None:
            return True
        if self._window.poll() is not None:
            self._window = None
            return False
        self._scene.add(view)
        return True

    def close(self) -> None:
        """Leave the window to the user, with all frames."""
        if self._window is None:
            return
        try:
            self._scene.end()
        except RuntimeError as error:
            print(f"tracker: rerun did not take all frames ({error})", file=sys.stderr)


def _start_window(port: int) -> subprocess.Popen | None:
    """Start rerun's window, for this machine alone and deaf to a Ctrl-C meant for the tracker; None where it does not stay."""
    window = subprocess.Popen(
        [*_RERUN, f"--port={port}", "--bind=127.0.0.1"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        start_new_session=True, creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
    )  # fmt: skip
    try:
        if _stays(window, port):
            return window
    except BaseException:
        _end(window)
        raise
    _end(window)
    return None


def _stays(window: subprocess.Popen, port: int) -> bool:
    """Wait until a window listens, and whether it still does a moment later."""
    started_s = time.monotonic()
    while window.poll() is None and time.monotonic() - started_s < _OPENS_S:
        if _listens(port):
            try:
                window.wait(_STAYS_S)
            except subprocess.TimeoutExpired:
                return True
        time.sleep(0.05)
    return False


def _end(window: subprocess.Popen) -> None:
    """End a window and the process that it has started."""
    with contextlib.suppress(ProcessLookupError):
        if hasattr(os, "killpg"):
            os.killpg(window.pid, signal.SIGTERM)
        else:
            window.terminate()
    window.wait()


def _free_port() -> int:
    with socket.socket() as asked:
        asked.bind(("127.0.0.1", 0))
        return asked.getsockname()[1]


def _listens(port: int) -> bool:
    with socket.socket() as asked:
        asked.settimeout(0.2)
        return asked.connect_ex(("127.0.0.1", port)) == 0
