"""Loading Keras weights without silence about what does not fit."""

from __future__ import annotations

import warnings
from pathlib import Path

import keras

from handpose.errors import HandposeError


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill a model from FILE.weights.h5. Raises HandposeError where the file is not that of the same architecture."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Skipping")  # Keras would go on with layers that no file filled
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HandposeError(f"{path}: not weights of the {model.name} network that was expected ({reason})") from error
