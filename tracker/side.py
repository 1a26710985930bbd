"""Left or right: a vote over the whole track, since a single frame is often wrong, and so are its neighbours."""

from __future__ import annotations

import math

from handpose.skeleton import Side

_PER_FRAME = 2.5  # log-odds: no frame decides alone
_MOST = 30.0  # however long a hand was seen, the vote can still turn
_EARLY = 10  # opinions, after which a few frames' distance between two keeps them from being the same one twice
_TURNS_AT = 1.5  # the other side has to lead by so much before the side of a tracked hand changes


class SideVote:
    """Sum of log-odds that the hand is a left one. Once opinions are tempered, `side` changes only when the vote is clear. A given side stays."""

    def __init__(self, given: Side | None = None):
        self._given = given
        self._log_odds, self._opinions = 0.0, 0
        self._side: Side | None = given
        self._turns_at = 0.0  # while the first picture is looked at

    def add(self, left: float, weight: float = 1.0) -> None:
        """Count one opinion, the chance 0..1 that the hand is a left one."""
        chance = min(max(left, 1e-4), 1 - 1e-4)
        opinion = _clipped(weight * math.log(chance / (1 - chance)), _PER_FRAME)
        self._log_odds = _clipped(self._log_odds + opinion, _MOST)
        self._opinions += 1
        leading: Side = "left" if self._log_odds > 0 else "right"
        if self._given is None and (self._side is None or abs(self._log_odds) >= self._turns_at):
            self._side = leading

    def temper(self) -> None:
        """Let all opinions so far count as one: they are of the same picture."""
        self._log_odds, self._opinions = _clipped(self._log_odds, _PER_FRAME), 1
        self._turns_at = _TURNS_AT

    @property
    def side(self) -> Side:
        """The side so far; right before any opinion, as most people lead with it."""
        return self._side or "right"

    @property
    def settled(self) -> bool:
        """Whether enough opinions are in to ask for more only now and then."""
        return self._given is not None or self._opinions >= _EARLY


def _clipped(value: float, most: float) -> float:
    return min(max(value, -most), most)
