"""The blocks of the small networks: plain 3x3 convolutions, residual pairs, nearest upsampling."""

from __future__ import annotations

from keras import layers

from handpose.training.batch_norm import BatchNormalization


def convolution(x, filters: int, kernel: int, stride: int, name: str):
    """Convolve, normalise and rectify a map (N, H, W, C)."""
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)
    x = BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def residual(x, filters: int, stride: int, name: str):
    """Add two 3x3 convolutions to their input, which a 1x1 convolution adapts where the shape changes.

    At first they add nothing (Goyal et al. 2017).
    """
    short = x
    if stride > 1 or x.shape[-1] != filters:
        short = layers.Conv2D(filters, 1, stride, use_bias=False, name=f"{name}_short")(x)
        short = BatchNormalization(momentum=0.97, name=f"{name}_short_norm")(short)
    x = convolution(x, filters, 3, stride, f"{name}_1")
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_2")(x)
    x = BatchNormalization(momentum=0.97, gamma_initializer="zeros", name=f"{name}_2_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, short]))


def stage(x, filters: int, stride: int, further: int, name: str):
    """Chain residual blocks `name`a, `name`b and so on: the first takes the map to its new shape, at most five `further` ones keep it."""
    x = residual(x, filters, stride, f"{name}a")
    for block in "bcdef"[:further]:
        x = residual(x, filters, 1, f"{name}{block}")
    return x


def up(x, filters: int, name: str):
    """Convolve a map and double it by repeating its cells."""
    return layers.UpSampling2D(interpolation="nearest", name=f"{name}_nearest")(convolution(x, filters, 3, 1, name))
