"""Keras weights in files: written whole or not at all, and read without silence about what does not fit."""

from __future__ import annotations

import warnings
from pathlib import Path
from tempfile import TemporaryDirectory

import keras

from handpose.atomic import atomic_write
from handpose.errors import HandposeError


def save_weights(model: keras.Model, path: Path) -> None:
    """Write FILE.weights.h5; one that exists stays whole until the new one is."""
    with TemporaryDirectory() as folder:
        draft = Path(folder) / path.name  # Keras wants this ending, and a draft of `atomic_write` has its own
        model.save_weights(draft)
        atomic_write(path, draft.read_bytes())


def load_weights(model: keras.Model, path: Path) -> None:
    """Fill a model from FILE.weights.h5. Raises HandposeError where the file is not that of the same architecture."""
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("error", message="Skipping")  # Keras would go on with layers that no file filled
            model.load_weights(path)
    except (OSError, ValueError, KeyError, UserWarning) as error:
        reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
        raise HandposeError(f"{path}: not weights of the {model.name} network that was expected ({reason})") from error
