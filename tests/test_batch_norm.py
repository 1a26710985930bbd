"""Batch normalisation by one kernel: as Keras computes it, forwards, backwards and in what it remembers."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from handpose.training.batch_norm import BatchNormalization

SHAPE = (4, 6, 8, 5)


def learnt(layer_class, precision):
    """Output, gradients and moving statistics of one training step of a layer whose scale and offset are not the first ones."""
    layer = layer_class(momentum=0.7, dtype=precision)
    layer.build(SHAPE)
    layer.gamma.assign(np.linspace(0.5, 2, SHAPE[-1]))
    layer.beta.assign(np.linspace(-1, 1, SHAPE[-1]))
    maps = tf.constant(np.random.default_rng(0).normal(2, 3, SHAPE).astype("float32"))
    with tf.GradientTape() as tape:
        tape.watch(maps)
        outputs = layer(maps, training=True)
        total = tf.reduce_sum(tf.sin(tf.cast(outputs, "float32")))
    values = [outputs, *tape.gradient(total, [maps, *layer.trainable_variables])]
    values += [layer.moving_mean.value, layer.moving_variance.value]
    return outputs.dtype, [tf.cast(value, "float32").numpy() for value in values]


@pytest.mark.parametrize("precision", ["float32", "mixed_bfloat16", "mixed_float16"])
def test_learns_as_the_layer_of_keras_does(precision):
    kind, ours = learnt(BatchNormalization, precision)
    expected_kind, theirs = learnt(keras.layers.BatchNormalization, precision)
    assert kind == expected_kind
    for one, other in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)


def test_a_frozen_one_normalises_by_what_it_has_seen():
    layer = BatchNormalization()
    layer.trainable = False
    maps = np.random.default_rng(1).normal(2, 3, SHAPE).astype("float32")
    np.testing.assert_allclose(layer(maps, training=True), maps / np.sqrt(1 + layer.epsilon), rtol=1e-5)
    assert not layer.moving_mean.numpy().any()
