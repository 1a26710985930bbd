"""Shards: wide windows of labelled hands, cut once by `datasets/prepare.py` and kept in ArrayRecord files that are read at random.

A folder of shards holds shards.json (settings, and of each finished shard its records and bytes) and 00000.arrayrecord, 00001...
A record is its labels in a fixed layout, the colours as JPEG, the alpha as PNG where the window is not opaque all over, and for a hand
without labelled joints its silhouette as PNG.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from handpose.data.photos import Split
from handpose.errors import HandposeError
from handpose.skeleton import N_JOINTS
from regnet.dataset_crops import WINDOW, Window

MANIFEST = "shards.json"
FORMAT = 3  # of the records; another number is not read
QUALITY = 95
_JPEG = (cv2.IMWRITE_JPEG_QUALITY, QUALITY, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444)
_LABELS = np.dtype(
    [
        ("source", "<i4"),  # and index: which sample this is, of the sources that the manifest names
        ("index", "<i8"),
        ("joints_px", "<f8", (N_JOINTS, 2)),
        ("valid", "?", (N_JOINTS,)),
        ("joints_rel", "<f8", (N_JOINTS, 3)),
        ("has_3d", "?"),
        ("has_side", "?"),
        ("on_green", "?"),
        ("jpeg_bytes", "<i4"),
        ("alpha_bytes", "<i4"),
    ]
)


def encode(window: Window, source: int, index: int) -> bytes:
    """Make the record of a window that was cut of sample `index` of a source."""
    jpeg = cv2.imencode(".jpg", np.ascontiguousarray(window.image[..., 2::-1]), _JPEG)[1].tobytes()
    alpha = window.cut_out[..., 3]
    alpha_png = b"" if (alpha == 255).all() else _png(alpha)
    silhouette_png = b"" if window.silhouette is None else _png(window.silhouette)
    labels = np.zeros((), _LABELS)
    labels["source"], labels["index"] = source, index
    labels["jpeg_bytes"], labels["alpha_bytes"] = len(jpeg), len(alpha_png)
    for key in ("joints_px", "valid", "has_side", "on_green"):
        labels[key] = getattr(window, key)
    if window.joints_rel is not None:
        labels["has_3d"], labels["joints_rel"] = True, window.joints_rel
    return labels.tobytes() + jpeg + alpha_png + silhouette_png


def decode(record: bytes) -> Window:
    """Read a record's window. Raises ValueError where it is broken."""
    labels = np.frombuffer(record, _LABELS, 1)[0]
    coded = np.frombuffer(record, np.uint8, offset=_LABELS.itemsize)
    jpeg, alpha, silhouette = np.split(coded, np.cumsum([labels["jpeg_bytes"], labels["alpha_bytes"]]))
    image = np.full((WINDOW, WINDOW, 4), 255, np.uint8)
    image[..., :3] = _picture(jpeg, cv2.IMREAD_COLOR)[..., ::-1]
    if len(alpha):
        image[..., 3] = _picture(alpha, cv2.IMREAD_GRAYSCALE)
    return Window(
        image, labels["joints_px"], labels["valid"], bool(labels["has_side"]),
        labels["joints_rel"] if labels["has_3d"] else None, bool(labels["on_green"]),
        _picture(silhouette, cv2.IMREAD_GRAYSCALE) if len(silhouette) else None,
    )  # fmt: skip


def origin(record: bytes) -> tuple[int, int]:
    """Say which sample a record was made of: the number of its source, and its index there."""
    labels = np.frombuffer(record, _LABELS, 1)[0]
    return int(labels["source"]), int(labels["index"])


class Shards(Sequence):
    """The windows of a folder of shards, each read when it is asked for; also a source for `grain.MapDataset`, which Keras fits.

    Raises HandposeError where the folder is not finished, where a shard is missing or cut short, and at indexing where a record is broken.
    """

    def __init__(self, folder: Path):
        self.name = folder.name
        manifest = read_manifest(folder)
        shards = sorted(manifest["shards"].items())
        if len(shards) < manifest["count"]:
            done = f"only {len(shards)} of {manifest['count']} shards are done"
            raise HandposeError(f"{folder}: {done}; call datasets/prepare.py once more as before to finish")
        self._files = [folder / name for name, _ in shards]
        self._ends = np.cumsum([entry["records"] for _, entry in shards])
        for path, (_, entry) in zip(self._files, shards, strict=True):
            if not path.is_file() or path.stat().st_size != entry["bytes"]:
                raise HandposeError(f"{path}: missing or cut short; delete {folder} and prepare it again")
        try:
            self._records = array_record().ArrayRecordDataSource([str(path) for path in self._files])
        except (ValueError, RuntimeError) as error:
            raise HandposeError(
                f"{folder}: a shard in it is broken; delete it and prepare it again ({error})"
            ) from error

    def __len__(self) -> int:
        return int(self._ends[-1])

    def __getitem__(self, index):
        return self._read(index, decode)

    def origin(self, index: int) -> tuple[int, int]:
        """Say which sample a window was made of: the number of its source in the manifest, and its index there."""
        return self._read(index, origin)

    def _read(self, index: int, reader) -> Any:
        index = range(len(self))[index]
        try:
            return reader(self._records[index])
        except (ValueError, RuntimeError, IndexError) as error:
            path = self._files[int(np.searchsorted(self._ends, index, "right"))]
            raise HandposeError(f"{path}: broken; delete {path.parent} and prepare it again ({error})") from error


def recognises(path: Path) -> bool:
    """Say whether a folder holds shards, finished or not."""
    return (path / MANIFEST).is_file()


def read(path: Path, split: Split | None = None) -> Shards:
    """Open a folder of shards. Raises HandposeError as `Shards` does, and for a held-out side: shards are there to train on."""
    if split == "held_out":
        raise HandposeError(f"{path}: shards are made to train on, so nothing in them is held out")
    return Shards(Path(path))


def read_manifest(folder: Path) -> dict[str, Any]:
    """Read shards.json: `settings`, `count` of shards in the end, and of those done `shards` by file. Raises HandposeError where broken."""
    path = folder / MANIFEST
    try:
        manifest = json.loads(path.read_text())
        if manifest["format"] != FORMAT:
            raise HandposeError(f"{path}: format {manifest['format']} is not known here; prepare the shards again")
        shards = {name: {key: int(value) for key, value in entry.items()} for name, entry in manifest["shards"].items()}
        return {"format": FORMAT, "settings": manifest["settings"], "count": int(manifest["count"]), "shards": shards}
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HandposeError(f"{path}: not the manifest of shards ({error}); prepare them again") from error


def array_record() -> Any:
    """Import the modules that read and write ArrayRecord files. Raises HandposeError where they are not installed."""
    try:
        from array_record.python import array_record_data_source
    except ImportError as error:
        raise HandposeError(f"shards need array_record: pip install 'ganerated-hands[train]' ({error})") from error
    return array_record_data_source


def _png(image: np.ndarray) -> bytes:
    return cv2.imencode(".png", image)[1].tobytes()


def _picture(coded: np.ndarray, flags: int) -> np.ndarray:
    picture = cv2.imdecode(coded, flags) if len(coded) else None
    if picture is None:
        raise ValueError("a picture in it cannot be read")
    return picture
