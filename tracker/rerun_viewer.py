"""Tracks shown by rerun (the extra `[viewer]`): live in its window, or later from an `.rrd` file."""

from __future__ import annotations

import socket
import subprocess
import sys
import time
from pathlib import Path

from handpose.errors import HandposeError
from tracker.options import RECORDING
from tracker.rerun_scene import RerunScene
from tracker.viewer import View

_PORT = 9876  # rerun's own: a viewer that is open already is used
_OPENS_S, _STAYS_S = 20.0, 1.0  # a viewer without a display listens for a moment before it ends


class RerunRecorder:
    """Writes an `.rrd` file, which `rerun FILE` opens; it grows frame by frame.

    Raises HandposeError where rerun is missing, the file cannot be written, or, at the end, is not whole.
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
        self._scene.add(view)
        return True

    def close(self) -> None:
        """Finish the file."""
        try:
            self._scene.end()
        except RuntimeError as error:
            raise HandposeError(f"{self._path}: the recording is not whole ({error}); is the disk full?") from error


class RerunViewer:
    """Shows frames in rerun's window, which stays when they end. Where none can be opened, a line says so and nothing is shown."""

    def __init__(self, source: str):
        """Raises HandposeError where rerun is missing."""
        self._scene, self._window = RerunScene(source), None
        self._open = _listens()
        if not self._open:
            self._window = _start_window()
            self._open = self._window is not None
        if self._open:
            self._scene.stream.connect_grpc(f"rerun+http://127.0.0.1:{_PORT}/proxy")
            self._scene.begin()
        else:
            print(
                f"tracker: rerun cannot open a window (no display?): tracking goes on without one; --output clip{RECORDING} records",
                file=sys.stderr,
            )

    def show(self, view: View) -> bool:
        """Show a frame; False once the user has closed the window that was opened for it."""
        if not self._open:
            return True
        if self._window is not None and self._window.poll() is not None:
            self._open = False
            return False
        self._scene.add(view)
        return True

    def close(self) -> None:
        """Leave the window to the user, with all frames."""
        if not self._open:
            return
        try:
            self._scene.end()
        except RuntimeError as error:
            print(f"tracker: rerun did not take all frames ({error})", file=sys.stderr)


def _start_window() -> subprocess.Popen | None:
    """Start rerun's window, deaf to a Ctrl-C meant for the tracker; None where it does not stay."""
    command = [sys.executable, "-m", "rerun_cli", f"--port={_PORT}"]
    window = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    started_s = time.monotonic()
    while window.poll() is None and time.monotonic() - started_s < _OPENS_S:
        if _listens():
            try:
                window.wait(_STAYS_S)
            except subprocess.TimeoutExpired:
                return window
        time.sleep(0.05)
    return None


def _listens() -> bool:
    with socket.socket() as asked:
        asked.settimeout(0.2)
        return asked.connect_ex(("127.0.0.1", _PORT)) == 0
