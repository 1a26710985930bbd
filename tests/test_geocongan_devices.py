"""A step of the GAN over two devices is that of one, on both backends; in half precision it learns, with norms computed in float32."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from test_distribute import TWO_DEVICES

ROOT = Path(__file__).resolve().parents[1]
SCRIPT = """
import json, sys
sys.path.insert(0, "tests")
import keras
if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    (cpu,) = tf.config.list_physical_devices("CPU")
    tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
    tf.config.optimizer.set_experimental_options({"disable_meta_optimizer": True})
from handpose.training import distribute
from test_geocongan_networks import batch, small_gan
rows = []
for devices in ("1", "2"):
    with distribute.over(devices):
        gan = small_gan()
        rows.append([gan.step(number, batch(number), 0.0) for number in range(2)])
print(json.dumps(rows))
"""


@pytest.mark.parametrize("backend", ["tensorflow", "jax"])
def test_two_devices_learn_as_one_does(backend):
    if backend == "jax":
        pytest.importorskip("jax")
    environment = os.environ | {
        "KERAS_BACKEND": backend, "TF_CPP_MIN_LOG_LEVEL": "2", "XLA_FLAGS": TWO_DEVICES,
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-2000:]
    one, two = json.loads(done.stdout.splitlines()[-1])
    for alone, shared in zip(one, two, strict=True):
        assert shared == pytest.approx(alone, rel=2e-3)
    assert one[0]["loss"] != pytest.approx(one[1]["loss"], rel=1e-2)


@pytest.mark.parametrize("precision", ["mixed_bfloat16", "mixed_float16"])
def test_norms_are_computed_in_float32(precision):
    """Of values with a large mean and a small spread, half precision would lose the spread."""
    keras = pytest.importorskip("keras")
    from geocongan.gan import _optimizer
    from geocongan.layers import instance_norm

    values = (100 + np.random.default_rng(0).choice([-0.5, 0.5], (1, 32, 32, 2))).astype(np.float32)
    keras.config.set_dtype_policy(precision)
    try:
        found = np.asarray(instance_norm("norm")(values)).astype(np.float32)
        scaled = isinstance(_optimizer(1e-3), keras.optimizers.LossScaleOptimizer)
    finally:
        keras.config.set_dtype_policy("float32")
    assert abs(found.std() - 1) < 0.02 and abs(found.mean()) < 0.05
    assert scaled == (precision == "mixed_float16")
