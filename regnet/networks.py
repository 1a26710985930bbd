"""The networks by name, and their trained weights on disk."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from handpose.errors import HandposeError
from handpose.runtime import read_weights
from handpose.training.weights import load_weights

WEIGHTS_SUFFIX = ".weights.h5"
_IN_RUN_FOLDER = (f"best{WEIGHTS_SUFFIX}", f"model{WEIGHTS_SUFFIX}")  # the first that is there


def build(network: str, input_size: int = 128, **options: Any) -> keras.Model:
    """Build "light" or "paper" for crops of 128 or 256 px; `options` go to its builder. Raises ValueError for others."""
    if network == "light":
        from regnet.light import build_light

        return build_light(input_size, **options)
    if network == "paper":
        from regnet.paper import build_paper

        return build_paper(input_size, **options)
    raise ValueError(f"the network is light or paper, not {network!r}")


def load(path: str | Path) -> tuple[keras.Model, dict[str, Any]]:
    """Load a trained network and its configuration from a training run's folder or from FILE.weights.h5.

    The configuration is FILE.json beside the weights, or the folder's config.json. Raises HandposeError where something is missing
    or does not fit together, or where the weights are not those of the checksum in FILE.json.
    """
    weights = find_weights(Path(path))
    config = configuration(weights)
    read_weights(weights)
    try:
        options = (
            {"projection": config["projection"]} if config["network"] == "light" and "projection" in config else {}
        )
        model = build(config["network"], config["input_size"], **options)
    except (KeyError, TypeError, ValueError) as error:
        raise HandposeError(f"{weights}: its configuration names no known network ({error})") from error
    load_weights(model, weights)
    return model, config


def find_weights(path: Path) -> Path:
    """Find the weights file that a run's folder or a file name means. Raises HandposeError where there is none."""
    if path.is_dir():
        for name in _IN_RUN_FOLDER:
            if (path / name).is_file():
                return path / name
        raise HandposeError(f"{path}: holds neither {' nor '.join(_IN_RUN_FOLDER)}; train first or give a weights file")
    if not path.is_file():
        raise HandposeError(f"{path}: no such weights file or run folder")
    if not path.name.endswith(WEIGHTS_SUFFIX):
        raise HandposeError(f"{path}: expected a run folder or a file ending in {WEIGHTS_SUFFIX}")
    return path


def configuration(path: Path) -> dict[str, Any]:
    """Read what network a run's folder or weights file holds. Raises HandposeError where that cannot be read."""
    weights = find_weights(path)
    beside = weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX) + ".json")
    path = beside if beside.is_file() else weights.with_name("config.json")
    try:
        config = json.loads(path.read_text())
    except (OSError, ValueError) as error:
        raise HandposeError(f"{path}: the configuration of {weights.name} cannot be read ({error})") from error
    if not isinstance(config, dict):
        raise HandposeError(f"{path}: no configuration of a network")
    return config
