"""The light RegNet, the default: plain 3x3 residual stages, and the paper's heads and layers around them.

Intermediate 3D is projected (ProjLayer) and drawn (RenderingLayer), joins the features at 8x8 and is refined to the final heatmaps and
3D joints (Mueller et al. 2018, section 3). Depthwise convolutions and bilinear upsampling are absent because they train slowly on a CPU.
"""

from __future__ import annotations

import keras
from keras import layers

from handpose.skeleton import N_JOINTS
from regnet.blocks import convolution, residual, stage, up
from regnet.heads import HeatmapPeaks, score_heads
from regnet.layers import ProjLayer, RenderingLayer
from regnet.lift import lifted

# By stage, at 32, 16, 8 and 4 px: channels, and residual blocks after the first. Blocks on fine maps cost time, those on coarse
# ones weights, of which 25 MB hold few more.
WIDTHS = (48, 96, 176, 256)
BLOCKS = (4, 5, 4, 3)


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
    x = convolution(x, widths[0], 7, 4, "stem")
    if input_size == 256:
        x = convolution(x, widths[0], 3, 2, "stem_half")

    skips = []
    for i, width in enumerate(widths):
        x = stage(x, width, 1 if i == 0 else 2, BLOCKS[i], f"stage{i}")
        skips.append(x)
    at32, at16, at8, at4 = skips

    joints_mid = _joints(at4, "joints_mid")
    x = up(at4, widths[2], "up8")
    x = layers.Add(name="skip8")([x, at8])
    if projection:
        cells = ProjLayer(name="project")(joints_mid)
        rendered = RenderingLayer(name="render")(cells)
        rendered = convolution(rendered, 32, 3, 2, "rendered16")
        rendered = convolution(rendered, 64, 3, 2, "rendered8")
        x = layers.Concatenate(name="with_rendered")([x, rendered])
    refined = convolution(x, widths[2], 3, 1, "refine")

    x = layers.Add(name="skip16")([up(refined, widths[1], "up16"), at16])
    x = convolution(x, widths[1], 3, 1, "merge16")
    x = layers.Add(name="skip32")([up(x, 64, "up32"), layers.Conv2D(64, 1, name="lateral32")(at32)])
    x = residual(convolution(x, 64, 3, 1, "merge32"), 64, 1, "fine32")
    heatmaps = layers.Conv2D(N_JOINTS, 1, dtype="float32", name="heatmaps")(x)

    deep = layers.Concatenate(name="deep")([convolution(refined, widths[2], 3, 2, "deep4"), at4])
    peaks = HeatmapPeaks(name="peaks")(heatmaps)
    joints_rel = lifted(_joints(deep, "joints_rel"), joints_mid, heatmaps, peaks, x)
    outputs = {"joints_mid": joints_mid, "heatmaps": heatmaps, "joints_rel": joints_rel, **score_heads(deep, peaks)}
    return keras.Model(image, outputs, name=f"regnet_light_{input_size}")


def _joints(x, name: str):
    """One linear layer from a small map to joints (N, 21, 3); the paper has two, with nothing between them."""
    x = layers.Flatten(name=f"{name}_flat")(convolution(x, 128, 1, 1, f"{name}_squeeze"))
    x = layers.Dense(3 * N_JOINTS, dtype="float32", name=f"{name}_vector")(x)
    return layers.Reshape((N_JOINTS, 3), dtype="float32", name=name)(x)
