"""Training batches made by one spawned worker, ahead of the network."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Generator
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.training.interrupt import without_ctrl_c

_AHEAD = 6  # batches kept ready


def stream(
    maker: Callable[[Any], Any], config: Any, first_step: int = 0
) -> Generator[dict[str, np.ndarray], None, None]:
    """Yield `maker(config).batch(step)` for steps from `first_step` on, without end, from a process that stops with the iterator.

    Raises HandposeError with the worker's own words where it fails.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Queue(_AHEAD)
    worker = context.Process(target=_work, args=(maker, config, first_step, ready), daemon=True)
    with without_ctrl_c():  # it is the training's to handle
        worker.start()
    try:
        while True:
            try:
                batch = ready.get(timeout=5)
            except queue.Empty:
                if not worker.is_alive():
                    raise HandposeError("the data worker died; try a smaller --batch or look at the memory") from None
                continue
            if isinstance(batch, str):
                raise HandposeError(batch)
            yield batch
    finally:
        worker.terminate()
        worker.join()


def _work(maker, config, step: int, ready) -> None:
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows, and where it was pressed while the process started
    cv2.setNumThreads(1)
    parent = os.getppid()
    try:
        batches = maker(config)
        while _put(ready, batches.batch(step), parent):
            step += 1
    except HandposeError as error:
        _put(ready, str(error), parent)


def _put(ready, content, parent: int) -> bool:
    """Hand over, or give up where the parent process is gone: a killed training must leave nobody behind."""
    while os.getppid() == parent:
        try:
            ready.put(content, timeout=5)
            return True
        except queue.Full:
            continue
    ready.cancel_join_thread()
    return False
