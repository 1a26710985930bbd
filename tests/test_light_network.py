"""The light RegNet: shapes, size, a step that learns, and weights that come back."""

import numpy as np
import pytest

keras = pytest.importorskip("keras")

from handpose.training.backend import make_train_step
from regnet.blocks import residual
from regnet.light import build_light
from regnet.losses import regnet_losses

SHAPES = {
    "joints_mid": (2, 21, 3), "heatmaps": (2, 32, 32, 21), "joints_rel": (2, 21, 3), "confidence": (2, 21),
    "presence": (2, 1), "left": (2, 1),
}  # fmt: skip


@pytest.fixture(scope="module")
def light():
    keras.utils.set_random_seed(0)
    return build_light()


def images(size=128):
    return np.random.default_rng(0).integers(0, 256, (2, size, size, 3), dtype=np.uint8)


@pytest.mark.parametrize("size", [128, 256])
def test_outputs_have_their_shapes(light, size):
    model = light if size == 128 else build_light(256)
    outputs = model(images(size), training=False)
    assert {name: tuple(value.shape) for name, value in outputs.items()} == SHAPES


def test_other_sizes_are_refused():
    with pytest.raises(ValueError, match="100"):
        build_light(100)


def test_projection_can_be_left_out(light):
    without = build_light(projection=False)
    assert "render" in [layer.name for layer in light.layers]
    assert "render" not in [layer.name for layer in without.layers]
    assert {name: tuple(v.shape) for name, v in without(images(), training=False).items()} == SHAPES


def test_weights_come_back(light, tmp_path):
    light.save_weights(tmp_path / "w.weights.h5")
    other = build_light()
    other.load_weights(tmp_path / "w.weights.h5")
    for name, value in light(images(), training=False).items():
        np.testing.assert_array_equal(value, other(images(), training=False)[name])


def test_steps_lower_the_loss():
    keras.utils.set_random_seed(1)
    model = build_light()
    step = make_train_step(model, regnet_losses, keras.optimizers.AdamW(1e-3, clipnorm=5.0))
    rng = np.random.default_rng(2)
    targets = {
        "cells": rng.uniform(4, 28, (2, 21, 2)), "labelled": np.ones((2, 21)), "inside": np.ones((2, 21)),
        "joints_rel": rng.normal(0, 1, (2, 21, 3)), "known_3d": np.repeat([[1], [0]], 21, axis=1), "flat": np.array([0, 1]),
        "presence": np.ones((2, 1)), "left": np.array([[1], [0]]), "has_left": np.ones((2, 1)),
    }  # fmt: skip
    targets = {name: value.astype(np.float32) for name, value in targets.items()}
    losses = [step(images(), targets)["loss"] for _ in range(12)]
    assert losses[-1] < 0.4 * losses[0]


def test_an_unknown_backend_is_named(light, monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "abacus")
    with pytest.raises(ValueError, match="abacus"):
        make_train_step(light, regnet_losses, keras.optimizers.SGD())


def test_residual_blocks_add_nothing_at_first():
    picture = keras.Input((8, 8, 5))
    block = keras.Model(picture, residual(picture, 5, 1, "block"))
    x = np.random.default_rng(0).normal(size=(2, 8, 8, 5)).astype(np.float32)
    np.testing.assert_array_equal(block(x, training=False), np.maximum(x, 0))
