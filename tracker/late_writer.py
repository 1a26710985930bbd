"""Files of tracks that cannot grow row by row: what the rows say is kept, and the file written whole at the end."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from handpose.errors import HandposeError
from handpose.outputs import check_writable, write_whole


class LateWriter:
    """A file that its `write(row)` gathers and its `content()` makes. Raises OSError where the file cannot be written."""

    def __init__(self, path: Path, head: dict[str, Any]):
        check_writable(path)
        self._path, self._head = path, head

    def write(self, row: dict[str, Any]) -> None:
        """Keep what is wanted of a frame's row."""
        raise NotImplementedError

    def content(self) -> bytes:
        """Make the file of what was kept."""
        raise NotImplementedError

    def close(self) -> None:
        """Write the file whole. Raises HandposeError where that cannot be done, or is interrupted: then what was there before stays."""
        try:
            write_whole(self._path, self.content())
        except KeyboardInterrupt as stop:
            raise HandposeError(f"{self._path}: was interrupted and is not written") from stop
