"""Readers of hand datasets: each module knows one layout and gives Samples in the one convention."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Protocol

from handpose.data.files import named
from handpose.data.options import check_read, read_arguments
from handpose.data.sample import Sample
from handpose.errors import HandposeError

# In the order in which they are asked: the last one looks through all folders for its files.
READERS = (
    "photos", "json_labels", "ganerated", "real_hands", "rhd", "stb", "dexter", "freihand", "interhand", "panoptic", "synth_hands",
)  # fmt: skip


class Dataset(Protocol):
    """A dataset on disk: labelled hands by index."""

    name: str

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Sample: ...


def find_reader(path: Path, further: Sequence[str] = ()) -> ModuleType | None:
    """Find the reader that recognises a folder, one of ours or of the `further` modules."""
    path = named(path)
    readers = map(import_module, (*(f"handpose.data.{name}" for name in READERS), *further))
    return next((reader for reader in readers if path.is_dir() and reader.recognises(path)), None)


def reader_of(path: Path, further: Sequence[str] = ()) -> ModuleType:
    """Find the reader that recognises a folder. Raises HandposeError where there is none."""
    reader = find_reader(path, further)
    if reader is None:
        known = f"{', '.join(READERS)}; a photo set has images/ and pseudo_labels.json or annotations.json, your own labels.jsonl"
        raise HandposeError(f"{path}: no dataset of a known layout ({known}); datasets/README.md draws them")
    return reader


def open_dataset(path: str | Path, read: Sequence[str] = ()) -> Dataset:
    """Recognise what dataset a folder holds and read it, by options as --read has them (`handpose.data.options`).

    Raises HandposeError where no reader knows it, where its reader has no such option, or as that does.
    """
    path = named(Path(path))
    if not path.is_dir():
        raise HandposeError(f"{path}: no such folder")
    reader = reader_of(path)
    check_read(read, [reader])
    return reader.read(path, **read_arguments(reader, read))
