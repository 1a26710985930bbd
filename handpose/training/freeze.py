"""Layers that stay as they are while the others learn."""

from __future__ import annotations

import keras

from handpose.errors import HandposeError


def freeze(model: keras.Model, names: tuple[str, ...]) -> None:
    """Fix the layers whose names begin with any of `names`, a layer's or a stage's; batch norm in them keeps its statistics too.

    Raises HandposeError for a name that fits no layer with weights, and where nothing is left to train.
    """
    weighted = [layer for layer in model.layers if layer.weights]
    for name in names:
        chosen = [layer for layer in weighted if layer.name.startswith(name)]
        if not chosen:
            stages = ", ".join(dict.fromkeys(layer.name.split("_")[0] for layer in weighted))
            raise HandposeError(f"--freeze {name}: no layer of {model.name} is named so; there are {stages}")
        for layer in chosen:
            layer.trainable = False
    if not model.trainable_variables:
        raise HandposeError(f"--freeze {' '.join(names)}: nothing is left to train")
