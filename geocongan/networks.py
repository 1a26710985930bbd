"""The networks of GeoConGAN: translators, patch discriminators and the silhouette network (Mueller et al. 2018, section 3.1).

Translator and discriminator are CycleGAN's (Zhu et al. 2017, appendix 7.2). Pictures are (N, S, S, 3) in -1..1, silhouettes 0..1.
"""

from __future__ import annotations

import keras
from keras import layers

from geocongan.layers import ReflectionPadding, instance_norm


def _small() -> keras.initializers.Initializer:
    """Make an initialiser: one that is shared gives every layer of a shape the same weights, and is seeded before any run is."""
    return keras.initializers.RandomNormal(stddev=0.02)


def build_generator(size: int = 256, filters: int = 64, blocks: int = 9, name: str = "generator") -> keras.Model:
    """Build a translator: pictures (N, S, S, 3) to pictures (N, S, S, 3), both -1..1. Raises ValueError unless S is a multiple of 4."""
    if size % 4:
        raise ValueError(f"the size must be a multiple of 4, not {size}")
    image = keras.Input((size, size, 3), name="image")
    x = ReflectionPadding(3, name="pad_in")(image)
    x = _normalised(layers.Conv2D(filters, 7, kernel_initializer=_small(), name="in")(x), "in")
    for i in (1, 2):
        x = layers.Conv2D(2**i * filters, 3, 2, "same", kernel_initializer=_small(), name=f"down{i}")(x)
        x = _normalised(x, f"down{i}")
    for i in range(blocks):
        x = _block(x, 4 * filters, f"block{i}")
    for i in (1, 0):
        x = layers.Conv2DTranspose(2**i * filters, 3, 2, "same", kernel_initializer=_small(), name=f"up{i}")(x)
        x = _normalised(x, f"up{i}")
    x = layers.Conv2D(3, 7, kernel_initializer=_small(), name="out")(ReflectionPadding(3, name="pad_out")(x))
    return keras.Model(image, layers.Activation("tanh", dtype="float32", name="tanh")(x), name=name)


def build_discriminator(size: int = 256, filters: int = 64, name: str = "discriminator") -> keras.Model:
    """Build a judge of 70x70 patches: pictures (N, S, S, 3) to scores (N, S/8 - 2, S/8 - 2, 1), towards 1 where they look real.

    Raises ValueError for pictures too small for a patch.
    """
    if size < 64 or size % 8:
        raise ValueError(f"the size must be a multiple of 8 from 64 on, not {size}")
    image = keras.Input((size, size, 3), name="image")
    x = image
    for i, stride in enumerate((2, 2, 2, 1)):
        x = layers.ZeroPadding2D(1, name=f"pad{i}")(x)
        x = layers.Conv2D(2**i * filters, 4, stride, kernel_initializer=_small(), name=f"conv{i}")(x)
        x = instance_norm(f"norm{i}")(x) if i else x
        x = layers.LeakyReLU(0.2, name=f"relu{i}")(x)
    x = layers.ZeroPadding2D(1, name="pad_out")(x)
    score = layers.Conv2D(1, 4, kernel_initializer=_small(), dtype="float32", name="score")(x)
    return keras.Model(image, score, name=name)


def build_silnet(size: int = 256, filters: int = 32, name: str = "silnet") -> keras.Model:
    """Build SilNet: three strided convolutions, three deconvolutions and skips; pictures (N, S, S, 3) to logits (N, S, S, 1) of the hand.

    Logits, not a tanh: cross-entropy needs chances. Raises ValueError unless S is a multiple of 8.
    """
    if size % 8:
        raise ValueError(f"the size must be a multiple of 8, not {size}")
    image = keras.Input((size, size, 3), name="image")
    skips, x = [], image
    for i in range(3):
        x = layers.Conv2D(2**i * filters, 4, 2, "same", name=f"down{i}")(x)
        x = layers.LeakyReLU(0.2, name=f"down{i}_relu")(instance_norm(f"down{i}_norm")(x) if i else x)
        skips.append(x)
    for i in (1, 0):
        x = layers.Conv2DTranspose(2**i * filters, 4, 2, "same", name=f"up{i}")(x)
        x = _normalised(x, f"up{i}_own")
        x = layers.Concatenate(name=f"with_skip{i}")([x, skips[i]])
    logits = layers.Conv2DTranspose(1, 4, 2, "same", dtype="float32", name="silhouette")(x)
    return keras.Model(image, logits, name=name)


def _normalised(x, name: str):
    return layers.ReLU(name=f"{name}_relu")(instance_norm(f"{name}_norm")(x))


def _block(x, filters: int, name: str):
    """Add two 3x3 convolutions to their input."""
    y = ReflectionPadding(1, name=f"{name}_pad1")(x)
    y = _normalised(layers.Conv2D(filters, 3, kernel_initializer=_small(), name=f"{name}_1")(y), f"{name}_1")
    y = ReflectionPadding(1, name=f"{name}_pad2")(y)
    y = instance_norm(f"{name}_2_norm")(layers.Conv2D(filters, 3, kernel_initializer=_small(), name=f"{name}_2")(y))
    return layers.Add(name=f"{name}_add")([x, y])
