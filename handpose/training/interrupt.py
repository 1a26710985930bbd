"""Ctrl-C that waits: what a step changes is changed as a whole, or what a checkpoint then holds is no state that training ever has."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_STDERR = 2
_HINT = b"\nCtrl-C: stopping as soon as this step is done; once more stops at once and saves nothing\n"


@contextmanager
def ctrl_c_waits() -> Iterator[Callable[[], bool]]:
    """Give a function that says whether Ctrl-C was pressed; pressed once more, it raises KeyboardInterrupt at once.

    Only the main thread hears of Ctrl-C, so in another one, and where it was ignored before, nothing is changed.
    """
    asked = threading.Event()
    before = signal.getsignal(signal.SIGINT)
    if threading.current_thread() is not threading.main_thread() or not callable(before):
        yield asked.is_set
        return

    def on_ctrl_c(number, frame) -> None:
        if asked.is_set():
            raise KeyboardInterrupt
        asked.set()
        os.write(_STDERR, _HINT)  # print is not to be called from a handler: it may have come amid another print

    signal.signal(signal.SIGINT, on_ctrl_c)
    try:
        yield asked.is_set
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def without_ctrl_c() -> Iterator[None]:
    """Start processes inside that Ctrl-C at the terminal does not reach, not even before their first line of Python."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
