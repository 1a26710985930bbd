"""Training batches, made by one spawned worker ahead of the network. A batch depends on (seed, step) alone, so a run resumes exactly."""

from __future__ import annotations

import multiprocessing
import os
import queue
from collections.abc import Callable, Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from handpose.errors import HandposeError

RENDER = "render"
_AHEAD = 6  # batches kept ready
_WITHOUT_HAND_SHARE = 0.08  # of a batch, where such pictures are given


@dataclass(frozen=True)
class StreamConfig:
    """What to mix: `sources` are folders or "render", `mix` their shares, in the same order."""

    sources: tuple[str, ...]
    mix: tuple[float, ...]
    batch_size: int = 32
    size: int = 128
    seed: int = 0
    without_hand: str = ""  # folder of pictures that look like hands and show none


class BatchMaker:
    """Make the batch of a step: the one place where sources are mixed."""

    def __init__(self, config: StreamConfig):
        from handpose.synthesis.backgrounds import Backgrounds, shared_data
        from regnet.photo_crops import PhotoCrops
        from regnet.without_hand import WithoutHand

        self.config = config
        folders = [Path(source) for source in config.sources if source != RENDER]
        data = shared_data()
        backgrounds = Backgrounds(data / "backgrounds" if data else None)
        self.photos = {str(folder): PhotoCrops([folder], "train", backgrounds, config.size) for folder in folders}
        self.renders: Any = None
        if RENDER in config.sources:
            from regnet.render_items import RenderItems

            self.renders = RenderItems(config.seed, config.size, backgrounds)
        self.without_hand = WithoutHand(Path(config.without_hand), config.size) if config.without_hand else None

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """Make batch number `step`: arrays with the batch first."""
        rng = np.random.default_rng((self.config.seed, step))
        shares = np.asarray(self.config.mix) / sum(self.config.mix)
        chosen = rng.choice(len(shares), self.config.batch_size, p=shares)
        items = [self._item(self.config.sources[source], step, i, rng) for i, source in enumerate(chosen)]
        return {key: np.stack([item[key] for item in items]) for key in items[0]}

    def _item(self, source: str, step: int, place: int, rng: np.random.Generator) -> dict[str, np.ndarray]:
        if self.without_hand and rng.random() < _WITHOUT_HAND_SHARE:
            return self.without_hand.item(rng)
        if source == RENDER:
            return self.renders.item(step * self.config.batch_size + place, rng)
        return self.photos[source].item(rng)


def stream(
    maker: Callable[[Any], Any], config: Any, first_step: int = 0
) -> Generator[dict[str, np.ndarray], None, None]:
    """Yield `maker(config).batch(step)` for steps from `first_step` on, without end, from a process that stops with the iterator.

    Raises HandposeError with the worker's own words where it fails.
    """
    context = multiprocessing.get_context("spawn")
    ready = context.Queue(_AHEAD)
    worker = context.Process(target=_work, args=(maker, config, first_step, ready), daemon=True)
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

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the training's to handle
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
