"""A trained network becomes files of several formats, each checked against Keras before it takes its place."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from handpose.errors import HandposeError
from handpose.outputs import same_file
from handpose.runtime import INT8
from handpose.skeleton import N_JOINTS
from handpose.training.exported import listed, round_weights, save_half, sha256_of, tensorflow, test_pattern, write_card
from regnet.export_formats import FORMATS, Arrays, Run, Served

TOLERANCE = 1e-3


@dataclass(frozen=True)
class Exported:
    """A file (or folder) that was written, as it runs; `difference`: the largest from Keras, by output."""

    name: str
    path: Path
    run: Run
    difference: dict[str, float]

    def files(self) -> list[Path]:
        """List what lies on the disk: a folder's files, or the file, and the weights that OpenVINO keeps beside it."""
        if self.path.is_dir():
            return sorted(file for file in self.path.rglob("*") if file.is_file())
        return [self.path, self.path.with_suffix(".bin")] if self.path.suffix == ".xml" else [self.path]


def serving_function(model) -> Callable[[Any], dict[str, Any]]:
    """Turn a RegNet model into a function of uint8 crops (N, S, S, 3) that gives the outputs of the ONNX contract.

    Beside them it gives features (N, C), what the scores are judged by: pictures of hands are compared by them.
    """
    import keras
    from keras import ops

    whole = keras.Model(model.input, {**model.output, "features": model.get_layer("pooled").output})

    def serve(images):
        outputs = whole(ops.cast(images, "float32"), training=False)
        return {
            "features": ops.cast(outputs["features"], "float32"),
            "heatmaps": ops.transpose(outputs["heatmaps"][..., :N_JOINTS], (0, 3, 1, 2)),
            "joints_rel": outputs["joints_rel"],
            **{name: ops.sigmoid(outputs[name]) for name in ("confidence", "presence", "left")},
        }

    return serve


def export(
    run: Path,
    stem: Path,
    formats: Sequence[str] = ("onnx",),
    images: np.ndarray | None = None,
    calibration: np.ndarray | None = None,
) -> list[Exported]:
    """Write a trained network as `stem` with the ending of each format, and beside that its Keras weights and a .json of what it is.

    Keras, which comes first in the answer, and each file must agree on `images` (N, S, S, 3) uint8, by default noise and gradients, to
    `TOLERANCE`. With `calibration`, pictures of left hands like `images`, a format that can is written once more to compute in int8 and
    differs as it may. Raises HandposeError where a file cannot be written or does not agree, or where the weights would take the place of
    those that are read. Files that the old card of that name tells of stay with the new one where the weights are the same, and are removed
    where they are others': a network left behind would run in the place of the new one.
    """
    import keras

    from regnet.networks import WEIGHTS_SUFFIX, find_weights, load

    if not stem.parent.is_dir():
        raise HandposeError(f"{stem.parent}: no such folder")
    weights = stem.with_name(stem.name + WEIGHTS_SUFFIX)
    if same_file(weights, find_weights(run)):
        raise HandposeError(f"{weights}: would be written over, but is what is exported; give another --o")
    model, config = load(run)
    round_weights(model)
    card, size = _card(config), config["input_size"]
    picture = keras.Input((size, size, 3), dtype="uint8", name="image")
    whole = keras.Model(picture, serving_function(model)(picture))
    images = test_pattern(size) if images is None else images
    reference = whole.predict_on_batch(images)

    beside: Any = {"prefix": f".{stem.name}.", "dir": stem.parent}
    exported = [Exported("keras", weights, whole.predict_on_batch, {})]
    with TemporaryDirectory(**beside) as scratch, TemporaryDirectory(**beside) as drafts:
        served = Served(whole, Path(scratch))
        for name, ending, pictures in _variants(formats, calibration):
            draft = Path(drafts) / f"{stem.name}{ending}"
            try:
                FORMATS[name].write(served, draft, card, pictures)
            except (
                OSError,
                RuntimeError,
                tensorflow().errors.OpError,
            ) as error:  # each converter has its own for a full disk
                words = getattr(error, "strerror", None) or str(error).strip().partition("\n")[0]
                raise HandposeError(f"{draft.name}: cannot be written ({words})") from error
            loaded = FORMATS[name].load(draft)
            difference = differences(loaded(images), reference)
            if pictures is None and max(difference.values()) > TOLERANCE:
                raise HandposeError(
                    f"{name} differs from Keras by {max(difference.values()):.2g}, allowed are {TOLERANCE:g}: {difference}"
                )
            label = name if pictures is None else f"{name} int8"
            exported.append(Exported(label, stem.parent / draft.name, loaded, difference))
        save_half(model, Path(drafts) / weights.name)
        files = sorted(file for file in Path(drafts).rglob("*") if file.is_file())
        card_file = stem.with_name(f"{stem.name}.json")
        before = listed(card_file)
        own = {file.relative_to(drafts).as_posix() for file in files}
        others = {name: sha256 for name, sha256 in before.items() if name not in own and name.startswith(stem.name)}
        same = before.get(weights.name) == sha256_of(Path(drafts) / weights.name)
        write_card(Path(drafts) / card_file.name, card, files, kept=others if same else {})
        for draft in sorted(
            Path(drafts).iterdir(), key=lambda draft: draft.name == card_file.name
        ):  # which vouches for all
            _put(draft, stem.parent / draft.name)
        for name in () if same else sorted(others):
            _remove(stem.parent / name)
    return exported


def differences(exported: Arrays, reference: Arrays) -> dict[str, float]:
    """Give the largest absolute difference of each output; of the features, which have no unit, in parts of the largest."""
    units = {name: np.abs(value).max() if name == "features" else 1.0 for name, value in reference.items()}
    return {name: float(np.abs(exported[name] - value).max() / units[name]) for name, value in reference.items()}


def _variants(formats: Sequence[str], calibration: np.ndarray | None) -> Iterator[tuple[str, str, np.ndarray | None]]:
    for name in formats:
        yield name, FORMATS[name].suffix, None
        if calibration is not None and FORMATS[name].can_quantise:
            yield name, f"{INT8}{FORMATS[name].suffix}", calibration


def _card(config: dict[str, Any]) -> dict[str, Any]:
    """Keep of a run's configuration what tells the weights apart; sources by name, for folders are the trainer's own affair."""
    kept = ("network", "input_size", "projection", "sources", "mix", "steps", "minutes", "batch_size")
    card = {key: config[key] for key in kept if key in config}
    if "sources" in card:
        card["sources"] = [Path(source).name for source in card["sources"]]
    return card


def _put(draft: Path, path: Path) -> None:
    """Move a draft to its place; a folder there gives way only where it is a SavedModel too."""
    try:
        there = path.exists()
        if (path / "saved_model.pb").is_file():
            shutil.rmtree(path)
        os.replace(draft, path)
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error
    if there:
        print(f"replaced {path}")


def _remove(path: Path) -> None:
    try:
        path.unlink()
    except FileNotFoundError:
        return
    except OSError as error:
        raise HandposeError(f"{path}: of the network before, and cannot be removed ({error.strerror})") from error
    print(f"removed {path}, of the network before")
