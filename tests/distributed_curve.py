"""Trains a small network on the devices that argv[1] names, by default one, and prints losses and what its weights answer; run by test_distribute.

With two CPU devices: argv "2" trains on one and on two of them, and prints both.
"""

import json
import os
import sys
from functools import partial

import numpy as np

STEPS, BATCH = 4, 6


def batches():
    rng = np.random.default_rng(0)
    for _ in range(STEPS):
        image = rng.integers(0, 256, (BATCH, 8, 8, 3), dtype=np.uint8)
        known = (rng.random((BATCH, 1)) < 0.5).astype(np.float32)
        yield image, {"wanted": rng.normal(0, 1, (BATCH, 1)).astype(np.float32), "known": known}


def losses(outputs, targets, unit):
    """A mean, and a ratio of sums over the batch, which no mean over devices gives."""
    import keras

    error = keras.ops.square(outputs["value"] - targets["wanted"])
    counted = unit * keras.ops.sum(error * targets["known"]) / (keras.ops.sum(targets["known"]) + 1.0)
    return {"loss": 10 * unit * keras.ops.mean(error) + 10 * counted, "counted": counted}


def curve(kind: str) -> dict:
    """Train with SGD, "exact" or in "half" precision, where losses are so small that gradients vanish if they are not scaled; or with
    "muon", whose bfloat16 part turns the last bits of a gradient into the third digit of a step.
    """
    import keras

    from handpose.training import backend, checkpoint, distribute
    from handpose.training.muon import Muon

    keras.config.set_dtype_policy("mixed_float16" if kind == "half" else "float32")
    unit = 1e-6 if kind == "half" else 1.0
    rate = 0.001 if kind == "muon" else 0.02 / unit
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(32, 3)(keras.layers.Rescaling(1 / 255)(image))
    x = keras.layers.ReLU()(keras.layers.BatchNormalization(momentum=0.5)(x))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(32, 3)(x))
    model = keras.Model(image, {"value": keras.layers.Dense(1, dtype="float32")(x)})
    # Gradients are far longer than 0.5, so both clip.
    sgd = keras.optimizers.SGD(rate, momentum=0.9, weight_decay=0.1 * unit, clipnorm=0.5 * unit)
    optimizer = backend.gradient_scaled(Muon(rate, weight_decay=0.1, clipnorm=0.5) if kind == "muon" else sgd)
    step = backend.make_train_step(model, partial(losses, unit=unit), optimizer)
    average = checkpoint.MovingAverage(model)
    rows = []
    for number, (images, targets) in enumerate(batches()):
        optimizer.learning_rate.assign(rate / (1 + number))
        rows.append(step(images, targets))
        average.update(number + 1)
    with average.in_place() as averaged:
        answer = keras.ops.convert_to_numpy(averaged(images, training=False)["value"])
    part = distribute.share()
    return {
        "rows": [[row["loss"] / unit, row["counted"] / unit] for row in rows],
        "answer": answer.tolist(),
        "devices": part.devices,
        "agreed": distribute.agreed(7.0 + part.process),
    }


def curves(devices: str) -> list[dict]:
    from handpose.training import distribute

    with distribute.over(devices):
        return [curve(kind) for kind in ("exact", "muon", "half")]


if __name__ == "__main__":
    if os.environ["KERAS_BACKEND"] == "tensorflow" and sys.argv[1] == "2":
        import tensorflow as tf

        cpu = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    alone_too = ["1"] if sys.argv[1] == "2" else []
    found = {devices: curves(devices) for devices in [*alone_too, sys.argv[1]]}
    print(json.dumps(found))
