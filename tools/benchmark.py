"""`make bench`: milliseconds per stage and end to end on a clip, beside a ResNet50 in the same run, and the training streams' rates.

python tools/benchmark.py [--video FILE] [--frames N] [--json FILE] [--no-training]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np

from handpose.synthesis.backgrounds import shared_data

Figures = dict[str, float]
_WARM_UP = 20


def main() -> None:
    """Measure, print a table, and write the figures as JSON where asked."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--video", type=Path, help="default: counting.mp4 of the shared data, or the demo clip")
    parser.add_argument("--frames", type=int, default=400)
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--no-training", action="store_true", help="leave out what needs Keras")
    args = parser.parse_args()
    clip = args.video or _default_clip()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{clip.name}, up to {args.frames} frames, one hand")
    figures = tracking(clip, args.frames)
    figures |= networks(with_keras=not args.no_training)
    figures |= rendering()
    if not args.no_training:
        figures |= training()
    _summary(figures)
    if args.json:
        args.json.write_text(json.dumps({name: round(value, 4) for name, value in figures.items()}, indent=1))


def tracking(clip: Path, frames: int) -> Figures:
    """Track a clip: decode, detector, RegNet, fit with filters, and the whole frame [ms]."""
    from tracker import HandTracker
    from tracker.sources import VideoSource

    tracker, rows = HandTracker(hands=1), []
    with VideoSource(clip) as source:
        stream = iter(source)
        for _ in range(frames):
            start = time.perf_counter()
            frame = next(stream, None)
            if frame is None:
                break
            decoded = time.perf_counter()
            tracker(frame.image, frame.time_s or 0.0)
            end = time.perf_counter()
            rows.append(
                {"decode": decoded - start, "whole": end - start} | {k: v / 1000 for k, v in tracker.stage_ms.items()}
            )
    figures = {"frames": float(len(rows))}
    for stage in ("decode", "detect", "regnet", "fit", "whole"):
        values = np.array([row.get(stage, 0.0) for row in rows[_WARM_UP:]])
        values = values[values > 0] if stage == "detect" else values
        figures |= _percentiles(stage, values)
    return figures


def networks(with_keras: bool) -> Figures:
    """Forward passes alone [ms]: RegNet and the detector as shipped, and a ResNet50 at 128x128 as the yardstick."""
    from handpose.runtime import load_network
    from regnet.predictor import DEFAULT_WEIGHTS as REGNET
    from tracker.detector import DEFAULT_WEIGHTS as DETECTOR

    figures: Figures = {}
    for name, path in (("regnet_network", REGNET), ("detector_network", DETECTOR)):
        network = load_network(path)
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

    cv2.setNumThreads(1)
    fresh, cached = RenderSampler(0, reuse=1), RenderSampler(0, reuse=10, cache=100)
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

    from handpose.training.backend import make_train_step
    from handpose.training.muon import Muon
    from handpose.training.stream import stream
    from handpose.training.supervised import CLIP_NORM, WEIGHT_DECAY
    from regnet.batches import BatchMaker, StreamConfig
    from regnet.light import build_light
    from regnet.losses import regnet_losses

    keras.config.set_dtype_policy("mixed_bfloat16")
    step = make_train_step(build_light(), regnet_losses, Muon(1e-3, WEIGHT_DECAY, CLIP_NORM))
    batches = stream(BatchMaker, StreamConfig(("render",), (1.0,)))
    waits, steps = [], []
    for number in range(140):
        start = time.perf_counter()
        batch = next(batches)
        got = time.perf_counter()
        step(batch.pop("image"), batch)
        if number >= 100:  # the cache fills first
            waits.append(got - start)
            steps.append(time.perf_counter() - start)
    batches.close()
    return {
        "train_images_per_s": 32 * len(steps) / sum(steps),
        "train_wait_share": sum(waits) / sum(steps),
    }


def _resnet50():
    import keras
    from keras import ops

    from handpose.runtime import load_network
    from handpose.training.exported import write_onnx

    model = keras.applications.ResNet50(include_top=False, weights=None, input_shape=(128, 128, 3), pooling="avg")
    path = Path(tempfile.mkdtemp()) / "resnet50.onnx"
    write_onnx(lambda image: {"out": model(ops.cast(image, "float32"), training=False)}, 128, path, {})
    return load_network(path)


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


def _default_clip() -> Path:
    data = shared_data()
    shared = data / "video" / "counting.mp4" if data else None
    return shared if shared and shared.exists() else Path(__file__).parents[1] / "tracker" / "demo" / "hand.mp4"


def _summary(figures: Figures) -> None:
    print(f"{'stage':<18}{'p50':>8}{'p95':>8}{'p99':>8}  ms")
    for name in ("decode", "detect", "regnet", "fit", "whole", "regnet_network", "detector_network", "resnet50_128"):
        if f"{name}_p50_ms" in figures:
            print(f"{name:<18}" + "".join(f"{figures[f'{name}_p{p}_ms']:8.2f}" for p in (50, 95, 99)))
    allowed = figures["regnet_network_p50_ms"] + figures["decode_p50_ms"]
    print(f"whole frame above network + decode: {figures['whole_p50_ms'] - allowed:.2f} ms")
    for name, value in figures.items():
        if name.endswith(("per_s", "share")):
            print(f"{name}: {value:.3g}")


if __name__ == "__main__":
    main()
