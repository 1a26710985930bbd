"""Batch normalisation for training on a CPU."""

from __future__ import annotations

import keras


class BatchNormalization(keras.layers.BatchNormalization):
    """Keras' layer, for maps (N, H, W, C), as TensorFlow's one kernel computes it where it learns.

    Keras passes ten times over maps cast to float32, a fifth of a training step of the light RegNet on a CPU (docs/LOG.md). It has Keras'
    name, because weights are filed by the names of classes.
    """

    def call(self, inputs, training=None, mask=None):
        """Normalise a map by the batch where the layer learns, else by what it has seen."""
        learns = training and self.trainable
        if not learns or mask is not None or self.synchronized or keras.backend.backend() != "tensorflow":
            return super().call(inputs, training=training, mask=mask)
        import tensorflow as tf

        outputs, mean, unbiased = tf.compat.v1.nn.fused_batch_norm(
            inputs, self.gamma.value, self.beta.value, epsilon=self.epsilon, is_training=True
        )
        count = tf.cast(tf.size(inputs) // tf.shape(inputs)[-1], unbiased.dtype)
        for seen, new in ((self.moving_mean, mean), (self.moving_variance, unbiased * (count - 1) / count)):
            seen.assign(seen * self.momentum + new * (1 - self.momentum))
        return outputs
