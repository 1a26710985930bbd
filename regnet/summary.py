"""`regnet summary`: a network's layers, parameters and multiplications."""

from __future__ import annotations

import argparse
import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import keras

HEADS = ("scores_hidden", "confidence", "presence", "left")  # of regnet.heads: the paper lacks them


def folded_parameters(model: keras.Model, without: tuple[str, ...] = HEADS) -> int:
    """Count parameters as they are once each batch norm is folded into the convolution before it, frozen ones included.

    A folded norm leaves one bias per channel. Layers named in `without` do not count: by default the heads that the paper lacks.
    """
    return sum(_folded(layer) for layer in model.layers if layer.name not in without)


def multiplications(model: keras.Model) -> int:
    """Count the multiply-adds of the convolutions and dense layers for one picture."""
    return sum(_multiplications(layer) for layer in model.layers)


def _folded(layer: keras.Layer) -> int:
    import keras

    if isinstance(layer, keras.layers.BatchNormalization):
        return layer.moving_mean.shape[0]
    return layer.count_params()


def _multiplications(layer: keras.Layer) -> int:
    import keras

    kinds = (keras.layers.Conv2D, keras.layers.Conv2DTranspose, keras.layers.Dense)
    if not isinstance(layer, kinds):
        return 0
    kernel = 1
    for side in layer.kernel.shape:
        kernel *= side
    if isinstance(layer, keras.layers.Dense):
        return kernel * math.prod(layer.output.shape[1:-1])
    grid = layer.input.shape if isinstance(layer, keras.layers.Conv2DTranspose) else layer.output.shape
    return kernel * grid[1] * grid[2]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the options of `regnet summary`."""
    parser.add_argument("--network", choices=("light", "paper"), default="light", help="which network (default: light)")
    parser.add_argument(
        "--input", type=int, choices=(128, 256), default=128, help="side of the crop [px] (default: 128)"
    )


def run(args: argparse.Namespace) -> None:
    """Print the layers of a network and what it costs."""
    from regnet.networks import build

    model = build(args.network, args.input)
    model.summary(line_length=110)
    heads = sum(model.get_layer(name).count_params() for name in HEADS)
    print(
        f"parameters with batch norm folded, without the heads for confidence, presence and side: {folded_parameters(model):,}"
    )
    print(f"parameters of those heads: {heads:,}")
    print(f"multiply-adds for one picture: {multiplications(model) / 1e9:.3f} G")
