"""Left or right: a vote over the whole track, since a single frame is often wrong."""

from __future__ import annotations

import math

from handpose.skeleton import Side

_MOST = 12.0  # log-odds: however long a hand was seen, the vote can still turn
_PER_FRAME = 2.5  # nor does any one frame decide
_SURE = 5.0
_TURNS_AT = 1.5  # the other side has to lead by so much before the side changes


class SideVote:
    """Sum of log-odds that the hand is a left one; `side` changes only when the vote is clear."""

    def __init__(self, side: Side | None = None):
        self._given = side
        self._log_odds = 0.0
        self._side: Side | None = side

    def add(self, left: float, weight: float = 1.0) -> None:
        """Count one opinion, the chance 0..1 that the hand is a left one."""
        chance = min(max(left, 1e-4), 1 - 1e-4)
        opinion = weight * math.log(chance / (1 - chance))
        opinion = min(max(opinion, -_PER_FRAME), _PER_FRAME)
        self._log_odds = min(max(self._log_odds + opinion, -_MOST), _MOST)
        if self._given is not None:
            return
        leading: Side = "left" if self._log_odds > 0 else "right"
        if self._side is None or (leading != self._side and abs(self._log_odds) >= _TURNS_AT):
            self._side = leading

    @property
    def side(self) -> Side:
        """The side so far; right before any opinion, as most people lead with it."""
        return self._side or "right"

    @property
    def sure(self) -> bool:
        """Whether the vote is clear enough to be asked for more rarely."""
        return self._given is not None or abs(self._log_odds) >= _SURE
