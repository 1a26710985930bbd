"""Readers of hand datasets: each module knows one layout and gives Samples in the one convention."""

from __future__ import annotations

from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
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


def open_dataset(path: str | Path, read: Sequence[str] = ()) -> Dataset:
    """Recognise what dataset a folder holds and read it, by options as --read has them (`handpose.data.options`).

    Raises HandposeError where no reader knows it, where its reader has no such option, or as that does.
    """
    path = named(Path(path))
    if not path.is_dir():
        raise HandposeError(f"{path}: no such folder")
    for name in READERS:
        reader = import_module(f"handpose.data.{name}")
        if reader.recognises(path):
            check_read(read, [reader])
            return reader.read(path, **read_arguments(reader, read))
    raise HandposeError(f"{path}: no dataset of a known layout ({', '.join(READERS)}); datasets/README.md draws them")
