"""`make bench`, all on the CPU: milliseconds per stage and end to end on a clip, beside a ResNet50 in the same run; start-up,
memory, and the training streams' rates.

python tools/benchmark.py [--video FILE] [--frames N] [--json FILE] [--no-training]
"""

from __future__ import annotations

import argparse
import os
import platform
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np

from handpose.command import exit_code
from handpose.errors import HandposeError
from handpose.outputs import prepare_outputs, write_json
from handpose.synthesis.backgrounds import shared_data
from regnet.predictor import Network
from tracker.sources import VideoSource

Figures = dict[str, float]
_WARM_UP = 20
_TRACKING = """  # a process of its own: seconds from its start to the first tracked frame, and its peak memory [MB]
import sys, time
from tracker import HandTracker
from tracker.sources import VideoSource

video, frames, started = sys.argv[1], int(sys.argv[2]), float(sys.argv[3])
tracker, first = HandTracker(hands=1, device="cpu"), None
with VideoSource(video) as source:
    for frame, _ in zip(source, range(frames)):
        if tracker(frame.image, frame.time_s) and first is None:
            first = time.time()
try:
    import resource
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024**2 if sys.platform == "darwin" else 1024)
except ImportError:  # Windows has none
    peak = float("nan")
print((first or float("nan")) - started, peak)
"""


def main() -> int:
    """Measure, print a table, and write the figures as JSON where asked; give the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, help="default: counting.mp4 of the shared data, or the demo clip")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--no-training", action="store_true", help="leave out what needs Keras")
    args = parser.parse_args()
    return exit_code("benchmark", partial(benchmark, args))


def benchmark(args: argparse.Namespace) -> None:
    """Measure what the options ask for. Raises HandposeError where the clip cannot be used or the file not be written."""
    clip = args.video or _default_clip()
    prepare_outputs("benchmark", [args.json] if args.json else [])
    print(f"{_processor()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    with VideoSource(clip) as source:
        print(f"{source.label}, up to {args.frames} frames, one hand")
    figures = fresh_process(clip, args.frames)  # first: a process begins with the peak of the one that starts it
    figures |= tracking(clip, args.frames)
    figures |= networks(with_keras=not args.no_training)
    figures |= rendering()
    if not args.no_training:
        figures |= training()
    _summary(figures)
    if args.json:
        write_json(args.json, {name: round(value, 4) for name, value in figures.items()}, indent=1)


def tracking(clip: Path, frames: int) -> Figures:
    """Track a clip: decode, detector, RegNet and of that its network, fit with filters, and the whole frame [ms]."""
    from regnet.predictor import DEFAULT_WEIGHTS
    from regnet.second_look import SecondLookPredictor
    from tracker import HandTracker

    predictor = SecondLookPredictor.from_file(DEFAULT_WEIGHTS, device="cpu")  # as the tracker loads it
    predictor.network = watch = _Stopwatch(predictor.network)
    tracker, rows = HandTracker(hands=1, device="cpu", predictor=predictor), []
    with VideoSource(clip) as source:
        stream = iter(source)
        for _ in range(frames):
            start = time.perf_counter()
            frame = next(stream, None)
            if frame is None:
                break
            decoded, watch.spent_s = time.perf_counter(), 0.0
            tracker(frame.image, frame.time_s or 0.0)
            end = time.perf_counter()
            row = {"decode": decoded - start, "whole": end - start, "network": watch.spent_s}
            row["above"] = row["whole"] - row["decode"] - row["network"]
            rows.append(row | {stage: spent / 1000 for stage, spent in tracker.stage_ms.items()})
    if len(rows) <= _WARM_UP:
        raise HandposeError(f"{clip}: {len(rows)} frames are too few: the first {_WARM_UP} do not count")
    figures = {"frames": float(len(rows))}
    for stage in ("decode", "detect", "regnet", "network", "fit", "whole", "above"):
        values = np.array([row.get(stage, 0.0) for row in rows[_WARM_UP:]])
        values = values[values > 0] if stage == "detect" else values
        figures |= _percentiles(stage, values)
    return figures


def fresh_process(clip: Path, frames: int) -> Figures:
    """Start-up of a process that tracks [s], the second time, when all is compiled and cached; its peak memory [MB]."""
    for _ in range(2):
        command = [sys.executable, "-c", _TRACKING, str(clip), str(frames), str(time.time())]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    first_s, peak_mb = map(float, said.split())
    return {"first_tracked_frame_s": first_s, "peak_memory_mb": peak_mb}


def networks(with_keras: bool) -> Figures:
    """Forward passes alone [ms]: RegNet and the detector as shipped, and a ResNet50 at 128x128 as the yardstick."""
    from handpose.runtime import load_network
    from regnet.predictor import DEFAULT_WEIGHTS as REGNET
    from tracker.detector import DEFAULT_WEIGHTS as DETECTOR

    figures: Figures = {}
    for name, path in (("regnet_network", REGNET), ("detector_network", DETECTOR)):
        network = load_network(path, device="cpu")
        image = np.random.default_rng(0).integers(
            0, 256, (1, network.input_size, network.input_size, 3), dtype=np.uint8
        )
        figures |= _percentiles(name, _times(lambda network=network, image=image: network(image), 150))
    if with_keras:
        network = _resnet50()
        image = np.zeros((1, 128, 128, 3), np.uint8)
        figures |= _percentiles("resnet50_128", _times(lambda: network(image), 100))
    return figures


def rendering() -> Figures:
    """Images per second of one core at 128x128 with everything on: rendered each time, and from the training's cache."""
    import cv2

    from handpose.synthesis.sampler import RenderSampler
    from regnet.render_items import REUSE

    cv2.setNumThreads(1)
    fresh, cached = RenderSampler(0, reuse=1), RenderSampler(0, reuse=REUSE, cache=100)
    for index in range(60):
        fresh.sample(index)
    rate = 150 / sum(_times(lambda index=iter(range(60, 400)): fresh.sample(next(index)), 150))
    for index in range(600):
        cached.sample(index)
    steady = 600 / sum(_times(lambda index=iter(range(600, 2000)): cached.sample(next(index)), 600))
    return {"render_fresh_images_per_s": rate, "render_stream_images_per_s": steady}


def training() -> Figures:
    """Images per second of training the light RegNet, with batches at hand and with the real stream, and how long a step waits for it."""
    import keras

    from handpose.training.options import RunConfig
    from handpose.training.stream import stream
    from handpose.training.supervised import Supervised
    from regnet.batches import BatchMaker, StreamConfig
    from regnet.light import build_light
    from regnet.losses import regnet_losses

    keras.config.set_dtype_policy("mixed_bfloat16")
    mixed = StreamConfig(("render",), (1.0,))
    learner = Supervised(build_light(), regnet_losses, RunConfig(sources=mixed.sources, mix=mixed.mix))
    batches = stream(BatchMaker, mixed, workers=0)  # as many as training takes
    waits, steps = [], []
    for number in range(140):
        start = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        learner.step(number, batch, 0.0)
        if number >= 100:  # the cache fills first
            waits.append(got - start)
            steps.append(time.perf_counter() - start)
    batches.close()
    return {
        "train_images_per_s": mixed.batch_size * len(steps) / sum(steps),
        "train_wait_share": sum(waits) / sum(steps),
    }


def _resnet50():
    import keras
    from keras import ops

    from handpose.runtime import load_network
    from handpose.training.exported import to_onnx, write_onnx

    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(128, 128, 3), pooling="avg")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "resnet50.onnx"
        write_onnx(to_onnx(lambda image: {"out": model(ops.cast(image, "float32"), training=False)}, 128), path, {})
        return load_network(path, device="cpu")


def _times(function: Callable, count: int) -> list[float]:
    for _ in range(min(10, count)):
        function()
    times = []
    for _ in range(count):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return times


def _percentiles(name: str, seconds) -> Figures:
    if not len(seconds):
        return {}
    return {f"{name}_p{p}_ms": 1000 * float(np.percentile(seconds, p)) for p in (50, 95, 99)}


class _Stopwatch:
    """A network, and how long it has run [s]."""

    def __init__(self, network: Network):
        self.network, self.spent_s = network, 0.0
        self.input_size = network.input_size

    def __call__(self, images: np.ndarray) -> dict[str, np.ndarray]:
        start = time.perf_counter()
        outputs = self.network(images)
        self.spent_s += time.perf_counter() - start
        return outputs


def _processor() -> str:
    """Name the processor's model, where the system tells it."""
    cpus = Path("/proc/cpuinfo")
    lines = cpus.read_text().splitlines() if cpus.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return (named or [platform.processor() or platform.machine()])[0]


def _default_clip() -> Path:
    data = shared_data()
    shared = data / "video" / "counting.mp4" if data else None
    return shared if shared and shared.exists() else Path(__file__).parents[1] / "tracker" / "demo" / "hand.mp4"


def _summary(figures: Figures) -> None:
    print(f"{'stage':<18}{'p50':>8}{'p95':>8}{'p99':>8}  ms")
    alone = ("regnet_network", "detector_network", "resnet50_128")
    for name in ("decode", "detect", "regnet", "network", "fit", "whole", "above", *alone):
        if f"{name}_p50_ms" in figures:
            print(f"{name:<18}" + "".join(f"{figures[f'{name}_p{p}_ms']:8.2f}" for p in (50, 95, 99)))
    cold = figures["network_p50_ms"] - figures["regnet_network_p50_ms"]
    print(
        f"above: the whole frame but decoding and the network, which takes {cold:.2f} ms more there than again and again alone"
    )
    for name, value in figures.items():
        if name.endswith(("per_s", "share", "frame_s", "_mb")):
            print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    sys.exit(main())
