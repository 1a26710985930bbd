"""Data parallel training over the devices of one host or of several, by the frameworks' own means.

Inside `over`, networks and optimisers are kept equal on every device, and a step of `handpose.training.backend` gives each device its part
of the batch. On several hosts the same command runs on each, with --devices all, and finds the others where its framework looks for them:
TensorFlow in TF_CONFIG, JAX in KERAS_DISTRIBUTION_JOB_ADDRESSES, _NUM_PROCESSES and _PROCESS_ID. Each process makes the whole batch, which
depends on seed and step alone, and takes its part of it; only the first writes the run folder, which the others have to see to resume.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from typing import Any

from handpose.errors import HandposeError


@dataclass(frozen=True)
class Share:
    """Which of `processes` this one is, and the number of `devices` of all of them."""

    process: int = 0
    processes: int = 1
    devices: int = 1


_share = Share()


def share() -> Share:
    """Say what part of the training this process has."""
    return _share


@contextmanager
def over(devices: str) -> Iterator[None]:
    """Train what is made inside on that many devices of each host: "1", or "2" and so on, or "all".

    Devices are GPUs where there are any, otherwise what the framework takes a CPU for. Raises HandposeError where there are not so many.
    """
    global _share
    if devices == "1":
        yield
        return
    import keras

    starters = {"tensorflow": _strategy, "jax": _data_parallel}
    if keras.backend.backend() not in starters:
        raise HandposeError(
            f"--devices needs the tensorflow or jax backend, this is {keras.backend.backend()}: set KERAS_BACKEND"
        )
    whole, _share = _share, Share()
    try:
        distribution, _share = starters[keras.backend.backend()](devices)
        with ExitStack() as stack:
            if _share.process:  # the first one speaks for all
                stack.enter_context(redirect_stdout(stack.enter_context(open(os.devnull, "w"))))
            stack.enter_context(distribution.scope())
            yield
    finally:
        _share = whole


def check_batch(size: int) -> None:
    """Raise HandposeError where a batch cannot be divided evenly."""
    if size % _share.devices:
        raise HandposeError(f"--batch {size} cannot be shared evenly by {_share.devices} devices")


def agreed(value: float) -> float:
    """Give the first process' value to all of them, so that clocks and roundings cannot part them."""
    if _share.processes == 1:
        return value
    import keras

    if keras.backend.backend() == "jax":
        import numpy as np
        from jax.experimental import multihost_utils

        return float(multihost_utils.broadcast_one_to_all(np.float32(value)))
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    values = strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(value if context.replica_id_in_sync_group == 0 else 0.0, tf.float64)
    )
    return float(strategy.reduce("SUM", values, axis=None))


def _strategy(devices: str) -> tuple[Any, Share]:
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    process, processes = _place_in_cluster(os.environ.get("TF_CONFIG", "{}"))
    if processes > 1:
        tf.config.set_visible_devices(_first(gpus, devices), "GPU")
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
        return strategy, Share(process, processes, strategy.num_replicas_in_sync)
    names = [device.name for device in tf.config.list_logical_devices("GPU" if gpus else "CPU")]
    strategy = tf.distribute.MirroredStrategy(_first(names, devices))
    return strategy, Share(devices=strategy.num_replicas_in_sync)


def _place_in_cluster(tf_config: str) -> tuple[int, int]:
    """Say which process this is and of how many, by the text of TF_CONFIG: where there is a chief, it comes before worker 0."""
    config = json.loads(tf_config)
    cluster, task = config.get("cluster", {}), config.get("task", {})
    chiefs, workers = len(cluster.get("chief", [])), len(cluster.get("worker", []))
    before = chiefs if task.get("type") == "worker" else 0
    return before + int(task.get("index", 0)), chiefs + workers


def _data_parallel(devices: str) -> tuple[Any, Share]:
    import jax
    import keras

    if "KERAS_DISTRIBUTION_JOB_ADDRESSES" in os.environ and not jax.distributed.is_initialized():
        keras.distribution.initialize()
    names = []
    for process in range(jax.process_count()):
        own = [f"{device.platform}:{device.id}" for device in jax.devices() if device.process_index == process]
        names += _first(own, devices)
    distribution = keras.distribution.DataParallel(devices=names)
    return distribution, Share(jax.process_index(), jax.process_count(), len(names))


def _first(found: list, devices: str) -> list:
    """Take as many of the devices found as are asked for."""
    if devices == "all":
        return found
    if not devices.isdecimal() or int(devices) < 1:
        raise HandposeError(f"--devices must be a number or all, not {devices!r}")
    if int(devices) > len(found):
        raise HandposeError(f"--devices {devices}: there are only {len(found)} here ({', '.join(map(str, found))})")
    return found[: int(devices)]
