"""The paper's network begins with ResNet50's weights: its convolutions up to res4d are ResNet50's (Mueller et al. 2018, section 4).

ResNet50 of Keras sees BGR 0..255 less a mean and has biases, this network sees RGB -1..1 and has none: kernels are turned and scaled, and
what they would add goes into the batch norms' means. Features are then the same up to the first pool, away from the picture's border; that
pool, padded as the paper's network has it, lies a pixel beside Keras'.
"""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from handpose.errors import HandposeError
from regnet.paper import BLOCKS

IMAGENET = "imagenet"
_MEAN_BGR = np.array([103.939, 116.779, 123.68])  # that Keras subtracts for ResNet50 (mode "caffe")
_HALF_RANGE = 127.5  # of the Rescaling layer: x = colour / 127.5 - 1


def fill_backbone(model: keras.Model, weights: str) -> None:
    """Fill the paper's network's backbone with ResNet50's weights: "imagenet", fetched by Keras, or a .h5 without the top.

    Raises HandposeError in one line where they cannot be fetched or read.
    """
    if weights != IMAGENET and not Path(weights).is_file():
        raise HandposeError(
            f"{weights}: no weights for the backbone; give --backbone {IMAGENET} or a ResNet50 .h5 file"
        )
    try:
        resnet = keras.applications.ResNet50(include_top=False, weights=weights)
    except Exception as error:  # Keras raises a bare Exception where a fetch fails
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        if weights == IMAGENET:
            raise HandposeError(
                f"the ImageNet weights of ResNet50 cannot be fetched ({reason}): fetch them elsewhere and give --backbone FILE"
            ) from error
        raise HandposeError(f"{weights}: not the weights of Keras' ResNet50 without its top ({reason})") from error
    copy_resnet(resnet, model)


def copy_resnet(resnet: keras.Model, model: keras.Model) -> None:
    """Copy a Keras ResNet50 into the paper's network, exactly as batch norm with fixed statistics computes."""
    _copy(resnet, "conv1", model, "conv1", pixels=True)
    for stage, (name, blocks) in enumerate(BLOCKS.items(), start=2):
        for number, block in enumerate(blocks, start=1):
            theirs = f"conv{stage}_block{number}"
            if block == "a":
                _copy(resnet, f"{theirs}_0", model, f"{name}a_short")
            for part in (1, 2, 3):
                _copy(resnet, f"{theirs}_{part}", model, f"{name}{block}_{part}")


def _copy(resnet: keras.Model, theirs: str, model: keras.Model, ours: str, pixels: bool = False) -> None:
    kernel, bias = resnet.get_layer(f"{theirs}_conv").get_weights()
    if pixels:
        bias = bias + np.einsum("hwio,i->o", kernel, _HALF_RANGE - _MEAN_BGR)
        kernel = _HALF_RANGE * kernel[:, :, ::-1]
    their_norm, our_norm = resnet.get_layer(f"{theirs}_bn"), model.get_layer(f"{ours}_norm")
    gamma, beta, mean, variance = their_norm.get_weights()
    gamma = gamma * np.sqrt((variance + our_norm.epsilon) / (variance + their_norm.epsilon))
    model.get_layer(ours).set_weights([kernel])
    our_norm.set_weights([gamma, beta, mean - bias, variance])
