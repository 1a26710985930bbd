"""A cache for what is drawn by number out of a window that moves up."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


class MovingCache(dict[int, T]):
    """Keeps at most `most` things by number. The lowest goes first, which has left a window of that width, so that each is made once.

    By age it would go too early: of two that came into the window together one is first drawn long after the other.
    """

    def __init__(self, most: int):
        super().__init__()
        self.most = most

    def made(self, number: int, make: Callable[[], T]) -> T:
        """Give what `make` made for a number, now or before."""
        if number in self:
            return self[number]
        thing = self[number] = make()
        if len(self) > self.most:
            del self[min(self)]
        return thing
