"""Images per second of the training's input alone, raw and from shards, beside what the network takes in the same run; and its memory.

python tools/throughput.py --i DIR --shards SHARDS [--samples 20000] [--batches 60] [--json FILE]
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

from handpose.command import exit_code
from handpose.outputs import prepare_outputs, write_json
from handpose.training.stream import stream
from regnet import dataset_crops, photo_crops
from regnet.batches import BatchMaker, StreamConfig
from regnet.labelled import open_split

_BATCH = 32
_WARM_UP = 10  # batches
_WANTED = 1.5  # times what the network takes


class ReadWhenDrawn(BatchMaker):
    """Makes batches as of a set too large to be kept: every hand is read and cut when it is drawn."""

    def __init__(self, config: StreamConfig):
        dataset_crops.KEPT = photo_crops.KEPT = 0
        dataset_crops._CACHED = 1
        super().__init__(config)


def main() -> int:
    """Measure, print, and write the figures as JSON where asked; return the exit code."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--i", type=Path, metavar="DIR", help="a raw dataset")
    parser.add_argument("--shards", type=Path, required=True, metavar="DIR", help="shards (datasets/prepare.py)")
    parser.add_argument("--samples", type=int, default=20_000, help="hands drawn to watch the memory")
    parser.add_argument("--batches", type=int, default=60, help="batches of 32 timed for each rate")
    parser.add_argument("--json", type=Path, metavar="FILE")
    args = parser.parse_args()
    return exit_code("throughput", partial(measure, args))


def measure(args: argparse.Namespace) -> None:
    """Measure memory, then the input's rates, then the network's. Raises HandposeError where the file cannot be written."""
    prepare_outputs("throughput", [args.json] if args.json else [])
    figures = memory(args.shards, args.samples)
    figures["shards_images_per_s"] = input_rate(BatchMaker, args.shards, args.batches)
    if args.i:
        if len(open_split(args.i, "train").samples) <= dataset_crops.KEPT:
            figures["raw_kept_in_memory_images_per_s"] = input_rate(BatchMaker, args.i, args.batches)
        figures["raw_read_when_drawn_images_per_s"] = input_rate(ReadWhenDrawn, args.i, args.batches)
    figures |= network_rates(args.shards, args.batches)
    print(f"{os.cpu_count()} cores; one worker makes the batches")
    taken = figures["network_float32_images_per_s"], figures["network_mixed_bfloat16_images_per_s"]
    for name, value in figures.items():
        line = f"{name}: {value:.4g}"
        if name.startswith(("shards", "raw")):
            ratios = [value / rate for rate in taken]
            verdict = "enough" if min(ratios) >= _WANTED else f"less than {_WANTED}"
            line += f" = {ratios[0]:.2f} times float32, {ratios[1]:.2f} times mixed_bfloat16: {verdict}"
        print(line)
    if args.json:
        write_json(args.json, figures, indent=1)


def memory(folder: Path, samples: int) -> dict[str, float]:
    """Watch this process draw `samples` hands [MB resident]: before, after a tenth, when the backgrounds are read, and at the end."""
    figures = {"memory_at_start_mb": _resident_mb()}
    maker = BatchMaker(_config(folder))
    marks = {samples // 10 // _BATCH: "tenth", samples // 2 // _BATCH: "half", samples // _BATCH: "end"}
    for step in range(max(marks)):
        maker.batch(step)
        if step + 1 in marks:
            figures[f"memory_at_{marks[step + 1]}_mb"] = _resident_mb()
    figures["memory_samples"] = float(max(marks) * _BATCH)
    return figures


def input_rate(maker: Callable[[Any], Any], folder: Path, batches: int) -> float:
    """Take batches from the training's own stream as fast as they come [images/s]."""
    source = stream(maker, _config(folder))
    try:
        return _rate(lambda: next(source), batches)
    finally:
        source.close()


def network_rates(folder: Path, batches: int) -> dict[str, float]:
    """Train the light network on one batch at hand, again and again [images/s], in both precisions."""
    import keras

    from handpose.training.backend import make_train_step
    from regnet.light import build_light
    from regnet.losses import regnet_losses

    targets = BatchMaker(_config(folder)).batch(0)
    images = targets.pop("image")
    rates = {}
    for precision in ("float32", "mixed_bfloat16"):
        keras.config.set_dtype_policy(precision)
        step = make_train_step(build_light(), regnet_losses, keras.optimizers.AdamW(1e-3, clipnorm=5.0))
        rates[f"network_{precision}_images_per_s"] = _rate(partial(step, images, targets), batches)
    return rates


def _config(folder: Path) -> StreamConfig:
    return StreamConfig((str(folder),), (1.0,), _BATCH)


def _rate(take: Callable[[], Any], batches: int) -> float:
    for _ in range(_WARM_UP):
        take()
    start = time.perf_counter()
    for _ in range(batches):
        take()
    return _BATCH * batches / (time.perf_counter() - start)


def _resident_mb() -> float:
    """Give what this process holds in memory [MB]; not a number where the system does not tell."""
    told = Path("/proc/self/statm")
    return int(told.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6 if told.is_file() else float("nan")


if __name__ == "__main__":
    sys.exit(main())
