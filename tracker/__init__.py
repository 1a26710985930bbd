"""Track hands in videos, pictures and webcams: detector, crop following, RegNet, kinematic fit, filters and track files.

    from tracker import HandTracker

`HandTracker` and `TrackedHand` are imported on first use, so that `tracker --help` answers at once.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tracker.hand import State, TrackedHand
    from tracker.pipeline import HandTracker

__all__ = ["HandTracker", "State", "TrackedHand"]

_MODULES = {"HandTracker": "tracker.pipeline", "State": "tracker.hand", "TrackedHand": "tracker.hand"}


def __getattr__(name: str) -> Any:
    if name not in _MODULES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_MODULES[name]), name)
