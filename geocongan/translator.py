"""Opening a trained translator: an exported file, which needs no Keras, or the weights of a run."""

from __future__ import annotations

import json
from pathlib import Path

from handpose.errors import HandposeError
from handpose.synthesis.translated import OUTPUT, Translator, generator_file

WEIGHTS_SUFFIX = ".weights.h5"


def open_translator(path: Path | None = None) -> Translator:
    """Open a .onnx file, a run of `geocongan train` or a .weights.h5 file of one or with its .json beside it; by default what comes along.

    Raises HandposeError where it cannot be used.
    """
    if path is None or path.suffix == ".onnx":
        return Translator.from_file(path)
    model, config = load_generator(path)
    serve = serving_function(model)
    return Translator(lambda pictures: serve(pictures)[OUTPUT], config["size"])


def weights_file(path: Path | None = None) -> Path:
    """Give the file that holds the weights of what `open_translator` takes. Raises HandposeError where there is no exported one."""
    if path is None or path.suffix == ".onnx":
        return generator_file(path)
    return path / f"synth2real_best{WEIGHTS_SUFFIX}" if path.is_dir() else path


def trained_with(path: Path | None = None) -> str | None:
    """Give the SHA-256 of the SilNet that a translator was trained with, "" where there was none; None where its card does not tell."""
    try:
        return json.loads(_card(path).read_text()).get("silnet_sha256")
    except FileNotFoundError:
        return None
    except (OSError, ValueError, AttributeError) as error:
        raise HandposeError(f"{_card(path)}: not a card of weights ({error})") from error


def load_generator(path: Path):
    """Build synth2real of a run or a .weights.h5 file and fill it: the Keras model and its configuration. Raises HandposeError."""
    from geocongan.networks import build_generator
    from handpose.training.weights import load_weights

    card = _card(path)
    try:
        config = json.loads(card.read_text())
        config |= {name: int(config[name]) for name in ("size", "filters", "blocks")}
        model = build_generator(config["size"], config["filters"], config["blocks"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise HandposeError(f"{card}: tells no translator's size, filters and blocks ({error})") from error
    load_weights(model, weights_file(path))
    return model, config


def serving_function(model):
    """Turn a Keras translator into a function of pictures on white (N, S, S, 3) uint8 that gives them translated, 0..255."""
    from keras import ops

    def serve(pictures):
        values = model(ops.cast(pictures, "float32") / 127.5 - 1, training=False)
        return {OUTPUT: (values + 1) * 127.5}

    return serve


def _card(path: Path | None) -> Path:
    """Give the file that tells about a translator: config.json of its run, or the .json beside the weights."""
    if path is not None and path.is_dir():
        return path / "config.json"
    weights = weights_file(path)
    if weights.name.endswith(WEIGHTS_SUFFIX) and (weights.parent / "config.json").is_file():
        return weights.parent / "config.json"
    return weights.with_name(weights.name.removesuffix(WEIGHTS_SUFFIX).removesuffix(".onnx") + ".json")
