"""What the translators need beside Keras' own layers: padding by reflection, and instance norm with CycleGAN's settings."""

from __future__ import annotations

from typing import Any

import keras
from keras import layers, ops

PACKAGE = "geocongan"


@keras.saving.register_keras_serializable(PACKAGE)
class ReflectionPadding(layers.Layer):
    """Continue maps (N, H, W, C) by their mirror image, `width` cells on every side: a border of zeros would show in the picture."""

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width

    def call(self, maps):
        return ops.pad(maps, ((0, 0), (self.width, self.width), (self.width, self.width), (0, 0)), mode="reflect")

    def compute_output_shape(self, input_shape):
        batch, height, width, channels = input_shape
        return (batch, height and height + 2 * self.width, width and width + 2 * self.width, channels)

    def get_config(self) -> dict:
        return {**super().get_config(), "width": self.width}


def instance_norm(name: str) -> layers.Layer:
    """Give a layer that normalises each channel of each picture by itself."""
    return layers.GroupNormalization(groups=-1, epsilon=1e-5, name=name)
