"""Going on past broken files, so that all of them can be named at once."""

from __future__ import annotations

from collections.abc import Iterable
from types import TracebackType

from handpose.errors import HandposeError


class BrokenFiles(HandposeError):
    """Files of a dataset are missing or broken: `lines` says for each what is wrong, the message tells the first in one line."""

    def __init__(self, lines: Iterable[str]):
        self.lines = tuple(lines)
        others = len(self.lines) - 1
        super().__init__(self.lines[0] + (f" (and {others} more; `handpose inspect` lists all)" if others else ""))

    def __reduce__(self) -> tuple[type[BrokenFiles], tuple[tuple[str, ...]]]:
        return type(self), (self.lines,)  # workers raise it too, and pickle would hand on the message alone


class Broken:
    """Notes every HandposeError that a `with` block of it raises, and goes on; `check` raises them together."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> bool:
        if isinstance(error, HandposeError):
            self.lines += error.lines if isinstance(error, BrokenFiles) else [str(error)]
            return True
        return False

    def check(self) -> None:
        """Raise BrokenFiles where anything was noted."""
        if self.lines:
            raise BrokenFiles(self.lines)
