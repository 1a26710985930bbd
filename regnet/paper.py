"""RegNet as published: 10 residual blocks, intermediate 3D, projection, refinement (Mueller et al. 2018, section 4 and figure 4).

Sizes follow the authors' released network, where batch norm is folded into the convolutions. Added to it are the heads of
`regnet.heads` (confidence, presence, side), which read its features and change nothing in it.
"""

from __future__ import annotations

import keras
from keras import layers

from handpose.skeleton import N_JOINTS
from handpose.training.batch_norm import BatchNormalization
from regnet.heads import HeatmapPeaks, score_heads
from regnet.layers import BilinearUpsampling, ProjLayer, RenderingLayer

N_HEATMAPS = 22  # the joints', and one whose meaning the authors do not tell; no loss looks at it
BLOCKS = {"res2": "abc", "res3": "abc", "res4": "abcd"}
WIDTHS = {"res2": 64, "res3": 128, "res4": 256}


def build_paper(input_size: int = 128, training_branch: bool = True, rounding: bool = False) -> keras.Model:
    """Build the paper's RegNet.

    Input (N, S, S, 3) RGB 0..255 of a left hand's crop. Outputs, by name: joints_mid (N, 21, 3), heatmaps (N, 32, 32, 22), joints_rel
    (N, 21, 3), the logits confidence (N, 21), presence (N, 1), left (N, 1), and with `training_branch` heatmaps_mid (N, 32, 32, 22).
    A picture of 256 px is halved once more in conv4e, so that both sizes have the same weights. `rounding` takes the released,
    rounding kind of rendering. Raises ValueError for an input size other than 128 or 256.
    """
    if input_size not in (128, 256):
        raise ValueError(f"input size must be 128 or 256, not {input_size}")
    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = _convolution(x, 64, 7, 2, "conv1")
    x = layers.MaxPooling2D(3, 2, padding="same", name="pool1")(x)
    for stage, blocks in BLOCKS.items():
        for block in blocks:
            stride = 2 if block == "a" and stage != "res2" else 1
            x = _bottleneck(x, WIDTHS[stage], stride, stage + block)
    x = _convolution(x, 512, 3, input_size // 128, "conv4e")
    shared = _convolution(x, 256, 3, 1, "conv4f")

    outputs = {}
    if training_branch:
        outputs["heatmaps_mid"] = _heatmaps(shared, "heatmaps_mid")
    outputs["joints_mid"] = _joints(shared, "joints_mid")
    rendered = RenderingLayer(rounding=rounding, name="render")(ProjLayer(name="project")(outputs["joints_mid"]))
    rendered = _convolution(rendered, 64, 3, 2, "rendered2")
    rendered = _convolution(rendered, 128, 3, 2, "rendered3")
    refined = layers.Concatenate(name="with_rendered")([shared, rendered])
    refined = _convolution(refined, 256, 3, 1, "rendered4")

    outputs["heatmaps"] = _heatmaps(refined, "heatmaps")
    outputs["joints_rel"] = _joints(refined, "joints_rel")
    outputs |= score_heads(refined, HeatmapPeaks(name="peaks")(outputs["heatmaps"]))
    return keras.Model(image, outputs, name=f"regnet_paper_{input_size}")


def _convolution(x, filters: int, kernel: int, stride: int, name: str, activation: bool = True):
    """Convolve, normalise and rectify; strided windows are padded evenly, as in Caffe."""
    if stride > 1 and kernel > 1:
        x = layers.ZeroPadding2D(kernel // 2, name=f"{name}_pad")(x)
    padding = "same" if stride == 1 else "valid"
    x = layers.Conv2D(filters, kernel, stride, padding=padding, use_bias=False, name=name)(x)
    x = BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x) if activation else x


def _bottleneck(x, width: int, stride: int, name: str):
    """ResNet50's block: 1x1 with the stride, 3x3, 1x1 to four times the width; a block "a" adapts its shortcut."""
    short = x if not name.endswith("a") else _convolution(x, 4 * width, 1, stride, f"{name}_short", activation=False)
    x = _convolution(x, width, 1, stride, f"{name}_1")
    x = _convolution(x, width, 3, 1, f"{name}_2")
    x = _convolution(x, 4 * width, 1, 1, f"{name}_3", activation=False)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, short]))


def _heatmaps(x, name: str):
    """Features (N, 8, 8, C) to heatmaps (N, 32, 32, 22): a learned doubling, then a frozen bilinear one."""
    x = layers.Conv2D(64, 3, padding="same", use_bias=False, name=f"{name}_conv")(x)
    x = layers.Conv2DTranspose(
        N_HEATMAPS, 4, 2, padding="same", use_bias=False, dtype="float32", name=f"{name}_up16"
    )(x)  # fmt: skip
    return BilinearUpsampling(name=name)(x)


def _joints(x, name: str):
    """Features (N, 8, 8, 256) to joints (N, 21, 3) by two linear layers."""
    x = layers.Dense(200, name=f"{name}_hidden")(layers.Flatten(name=f"{name}_flat")(x))
    x = layers.Dense(3 * N_JOINTS, dtype="float32", name=f"{name}_vector")(x)
    return layers.Reshape((N_JOINTS, 3), dtype="float32", name=name)(x)
