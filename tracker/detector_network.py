"""The detector: hands in a whole picture as peaks of a map, with size, in-plane rotation and side at each peak."""

from __future__ import annotations

import keras
from keras import layers

from regnet.blocks import convolution, stage, up

OUTPUTS = {"centre": 1, "box": 1, "offset": 2, "roll": 2, "left": 1}
_WIDTHS = (24, 48, 96, 144, 192)  # channels at strides 2, 4, 8, 16 and 32
# Residual blocks after the first, by stage, at strides 4, 8, 16 and 32: those on coarse maps cost little time.
_BLOCKS = (0, 2, 3, 3)


def build_detector(input_size: int = 192) -> keras.Model:
    """Build the detector.

    Input (N, S, S, 3) RGB 0..255. Outputs on the grid of S/8 cells, by name: logits centre (N, G, G, 1) and left (N, G, G, 1), box
    (N, G, G, 1) as log of side over S, offset (N, G, G, 2) [cells], roll (N, G, G, 2) as sine and cosine, not normalised.
    Raises ValueError for a size that is no multiple of 32.
    """
    if input_size % 32:
        raise ValueError(f"input size must be a multiple of 32, not {input_size}")
    image = keras.Input((input_size, input_size, 3), name="image")
    x = layers.Rescaling(1 / 127.5, offset=-1.0, name="scale")(image)
    x = convolution(x, _WIDTHS[0], 5, 2, "stem")
    levels = []
    for i, width in enumerate(_WIDTHS[1:]):
        x = stage(x, width, 2, _BLOCKS[i], f"stage{i}")
        levels.append(x)
    _, at8, at16, at32 = levels
    x = layers.Add(name="skip16")([up(at32, _WIDTHS[3], "up16"), at16])
    x = convolution(x, _WIDTHS[3], 3, 1, "merge16")
    x = layers.Add(name="skip8")([up(x, _WIDTHS[2], "up8"), at8])
    x = convolution(x, _WIDTHS[2], 3, 1, "merge8")
    x = convolution(x, 64, 3, 1, "neck")
    rare = keras.initializers.Constant(-4.0)  # hardly any cell holds a hand
    outputs = {
        name: layers.Conv2D(
            channels, 1, dtype="float32", name=name, bias_initializer=rare if name == "centre" else "zeros"
        )(x)
        for name, channels in OUTPUTS.items()
    }
    return keras.Model(image, outputs, name=f"hand_detector_{input_size}")
