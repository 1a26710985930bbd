"""The light RegNet, the default: plain 3x3 residual stages, and the paper's heads and layers around them.

Intermediate 3D is projected (ProjLayer) and drawn (RenderingLayer), joins the features at 8x8 and is refined to the final heatmaps and
3D joints (Mueller et al. 2018, section 3). Depthwise convolutions and bilinear upsampling are absent because they train slowly on a CPU.
"""

from __future__ import annotations

import keras
from keras import layers

from handpose.skeleton import N_JOINTS
from regnet.heads import score_heads
from regnet.layers import ProjLayer, RenderingLayer

WIDTHS = (48, 96, 176, 256)  # channels at 32, 16, 8 and 4 px


def build_light(input_size: int = 128, widths: tuple[int, ...] = WIDTHS, projection: bool = True) -> keras.Model:
    """Build the light RegNet.

    Input (N, S, S, 3) RGB 0..255 of a left hand's crop. Outputs, by name: joints_mid (N, 21, 3), heatmaps (N, 32, 32, 21), joints_rel
    (N, 21, 3), and the logits confidence (N, 21), presence (N, 1), left (N, 1). `projection=False` leaves ProjLayer and
    RenderingLayer out, for the ablation. Raises ValueError for an input size other than 128 or 256.
    """
    if input_size not in (128, 256):
        raise ValueError(f"input size must be 128 or 256, not {input_size}")
    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = _convolution(x, widths[0], 7, 4, "stem")
    if input_size == 256:
        x = _convolution(x, widths[0], 3, 2, "stem_half")

    skips = []
    for i, width in enumerate(widths):
        x = _residual(x, width, 1 if i == 0 else 2, f"stage{i}a")
        x = _residual(x, width, 1, f"stage{i}b")
        skips.append(x)
    at32, at16, at8, at4 = skips

    joints_mid = _joints(at4, "joints_mid")
    x = _up(at4, widths[2], "up8")
    x = layers.Add(name="skip8")([x, at8])
    if projection:
        cells = ProjLayer(name="project")(joints_mid)
        rendered = RenderingLayer(name="render")(cells)
        rendered = _convolution(rendered, 32, 3, 2, "rendered16")
        rendered = _convolution(rendered, 64, 3, 2, "rendered8")
        x = layers.Concatenate(name="with_rendered")([x, rendered])
    refined = _convolution(x, widths[2], 3, 1, "refine")

    x = layers.Add(name="skip16")([_up(refined, widths[1], "up16"), at16])
    x = _convolution(x, widths[1], 3, 1, "merge16")
    x = layers.Add(name="skip32")([_up(x, 64, "up32"), layers.Conv2D(64, 1, name="lateral32")(at32)])
    x = _convolution(x, 64, 3, 1, "merge32")
    heatmaps = layers.Conv2D(N_JOINTS, 1, dtype="float32", name="heatmaps")(x)

    deep = layers.Concatenate(name="deep")([_convolution(refined, widths[2], 3, 2, "deep4"), at4])
    joints_rel = _joints(deep, "joints_rel")
    outputs = {"joints_mid": joints_mid, "heatmaps": heatmaps, "joints_rel": joints_rel, **score_heads(deep, heatmaps)}
    return keras.Model(image, outputs, name=f"regnet_light_{input_size}")


def _convolution(x, filters: int, kernel: int, stride: int, name: str):
    x = layers.Conv2D(filters, kernel, stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _residual(x, filters: int, stride: int, name: str):
    """Add two 3x3 convolutions to their input, which a 1x1 convolution adapts where the shape changes."""
    short = x
    if stride > 1 or x.shape[-1] != filters:
        short = layers.Conv2D(filters, 1, stride, use_bias=False, name=f"{name}_short")(x)
        short = layers.BatchNormalization(momentum=0.97, name=f"{name}_short_norm")(short)
    x = _convolution(x, filters, 3, stride, f"{name}_1")
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False, name=f"{name}_2")(x)
    x = layers.BatchNormalization(momentum=0.97, name=f"{name}_2_norm")(x)
    return layers.ReLU(name=f"{name}_relu")(layers.Add(name=f"{name}_add")([x, short]))


def _up(x, filters: int, name: str):
    return layers.UpSampling2D(interpolation="nearest", name=f"{name}_nearest")(_convolution(x, filters, 3, 1, name))


def _joints(x, name: str):
    """Two linear layers from a small map to joints (N, 21, 3), as in the paper."""
    x = layers.Flatten(name=f"{name}_flat")(_convolution(x, 128, 1, 1, f"{name}_squeeze"))
    x = layers.Dense(200, name=f"{name}_hidden")(x)
    x = layers.Dense(3 * N_JOINTS, dtype="float32", name=f"{name}_vector")(x)
    return layers.Reshape((N_JOINTS, 3), dtype="float32", name=name)(x)
