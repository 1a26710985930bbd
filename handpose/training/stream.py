"""Training batches made by spawned workers, ahead of the network.

Steps are dealt out to `LANES` lanes and lanes to workers. A maker that keeps what it has made keeps it by lane, so that workers share the
work and the memory, and batches are the same however many workers there are.
"""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Generator
from itertools import count
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.training.interrupt import without_ctrl_c

LANES = 8  # and at most so many workers
_AHEAD = 6  # batches kept ready, by all workers together


def lane_of(step: int) -> tuple[int, int]:
    """Give the lane of a step, and its number there."""
    return step % LANES, step // LANES


def lane_seed(seed: int, lane: int) -> int:
    """Give the seed of a lane, far from any that tests are drawn by."""
    return seed + (lane + 1 << 32)


def stream(
    maker: Callable[[Any], Any], config: Any, first_step: int = 0, workers: int = 1
) -> Generator[dict[str, np.ndarray], None, None]:
    """Yield `maker(config).batch(step)` for steps from `first_step` on, without end, from processes that stop with the iterator.

    `workers` are at most `LANES`; 0 is one for every two cores. Raises HandposeError with a worker's own words where it fails.
    """
    workers = min(workers or max((os.cpu_count() or 1) // 2, 1), LANES)
    team = [_Worker(maker, config, range(number, LANES, workers), first_step, workers) for number in range(workers)]
    try:
        for step in count(first_step):
            yield team[lane_of(step)[0] % workers].batch()
    finally:
        for worker in team:
            worker.stop()


class _Worker:
    """A process that makes the batches of its lanes, one after the other."""

    def __init__(self, maker: Callable[[Any], Any], config: Any, lanes: range, first_step: int, workers: int):
        context = multiprocessing.get_context("spawn")
        self._ready = context.Queue(max(_AHEAD // workers, 2))
        self._process = context.Process(target=_work, args=(maker, config, lanes, first_step, self._ready), daemon=True)
        with without_ctrl_c():  # it is the training's to handle
            self._process.start()
        # Its end alone stays open to write to: where it is killed halfway through a batch, that shows here.
        self._ready._writer.close()  # type: ignore[attr-defined]

    def batch(self) -> dict[str, np.ndarray]:
        """Wait for the next batch."""
        while True:
            try:
                batch = self._ready.get(timeout=5)
            except queue.Empty:
                if self._process.is_alive():
                    continue
                raise _died() from None
            except (EOFError, OSError):
                raise _died() from None
            if isinstance(batch, str):
                raise HandposeError(batch)
            return batch

    def stop(self) -> None:
        """End the process."""
        self._process.terminate()
        self._process.join()


def _died() -> HandposeError:
    return HandposeError("a data worker died; try a smaller --batch or look at the memory")


def _work(maker, config, lanes: range, first_step: int, ready) -> None:
    import signal

    import cv2

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # on Windows, and where it was pressed while the process started
    cv2.setNumThreads(1)
    parent = multiprocessing.parent_process()
    try:
        batches = maker(config)
        own = (step for step in count(first_step) if lane_of(step)[0] in lanes)
        while _put(ready, batches.batch(next(own)), parent):
            pass
    except HandposeError as error:
        _put(ready, str(error), parent)
    except Exception as error:  # its traceback is told here, where it came about; the training ends in a line
        _put(ready, f"a data worker failed ({type(error).__name__}: {error})", parent)
        raise


def _put(ready, content, parent) -> bool:
    """Hand over, or give up where the parent process is gone: a killed training must leave nobody behind."""
    while parent.is_alive():
        try:
            ready.put(content, timeout=5)
            return True
        except queue.Full:
            continue
    ready.cancel_join_thread()
    return False
