"""Track files: JSON Lines, one header and one row per frame, flushed; CSV, NPZ and animations of the same."""

from __future__ import annotations

import csv
import json
import math
from collections.abc import Callable, Iterable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from handpose.camera import Camera
from handpose.errors import HandposeError
from handpose.skeleton import ANGLE_NAMES, JOINT_NAMES, SIDES
from tracker.animation import AnimationWriter
from tracker.bvh import encode_bvh
from tracker.glb import encode_glb
from tracker.hand import SHAPES, State, TrackedHand, rounded
from tracker.npz import NpzWriter

FORMAT, VERSION = "hand-track", 1

Row = dict[str, Any]


class Writer(Protocol):
    """Something that takes rows, one per frame, and is closed. Both raise OSError or HandposeError where the file cannot be written."""

    def write(self, row: Row) -> None: ...

    def close(self) -> None: ...


def header(source: str, fps: float | None, size_px, camera: dict | None, hand_scale: str, weights: str) -> Row:
    """Make the first line of a track file; `camera` holds fx, fy, cx, cy and origin."""
    return {
        "format": FORMAT, "version": VERSION, "source": source, "fps": fps, "size_px": list(size_px) if size_px else None,
        "camera": camera, "hand_scale": hand_scale, "joint_names": list(JOINT_NAMES), "angle_names": list(ANGLE_NAMES),
        "weights": weights,
    }  # fmt: skip


def frame_row(frame: int, time_s: float | None, hands: Iterable[TrackedHand], **more: Any) -> Row:
    """Make the row of a frame; `more` are fields of the picture (image, size_px, camera)."""
    time_s = None if time_s is None else round(time_s, 6)
    return {"frame": frame, "time_s": time_s, **more, "hands": [_hand_row(hand) for hand in hands]}


def hands_of(row: Row) -> list[TrackedHand]:
    """Read the hands of a frame's row. Raises HandposeError where it is none."""
    try:
        return [_hand_of(hand) for hand in row["hands"]]
    except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
        raise HandposeError(
            f"no row of a track file ({type(error).__name__}: {error}): {json.dumps(row)[:60]}"
        ) from error


def open_writer(path: str | Path, head: Row) -> Writer:
    """Open a track file for writing, its kind by its extension. Raises HandposeError where that cannot be done."""
    path = Path(path)
    kinds: dict[str, Callable[[Path, Row], Writer]] = {
        ".jsonl": _JsonLines, ".csv": _Csv, ".npz": NpzWriter,
        ".bvh": partial(AnimationWriter, encode=encode_bvh), ".glb": partial(AnimationWriter, encode=encode_glb),
    }  # fmt: skip
    if path.suffix not in kinds:
        raise HandposeError(f"{path}: tracks are written as {', '.join(kinds)}")
    try:
        return kinds[path.suffix](path, head)
    except OSError as error:
        raise HandposeError(f"{path}: cannot be written ({error.strerror})") from error


def read_tracks(path: str | Path) -> tuple[Row, list[Row]]:
    """Read a .jsonl track file: its header and rows; a torn last line, which a killed run may leave, is dropped.

    Raises HandposeError where it is no track file.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise HandposeError(f"{path}: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise HandposeError(f"{path}: not a track file, it is no text") from error
    rows = []
    for number, line in enumerate(lines):
        try:
            rows.append(json.loads(line))
        except (RecursionError, ValueError) as error:
            if number < len(lines) - 1 or number == 0:
                raise HandposeError(f"{path}: line {number + 1} is not JSON ({error})") from error
    if not rows or not isinstance(rows[0], dict) or rows[0].get("format") != FORMAT:
        raise HandposeError(f'{path}: not a track file, the first line lacks "format": "{FORMAT}"')
    if missing := set(header("", None, None, None, "", "")) - set(rows[0]):
        raise HandposeError(f"{path}: not a track file, the header lacks {', '.join(sorted(missing))}")
    if rows[0]["version"] != VERSION:
        raise HandposeError(f"{path}: a track file of version {rows[0]['version']}, this reads version {VERSION}")
    return rows[0], rows[1:]


def camera_of(head: Row) -> Camera:
    """Give the camera of a video's tracks. Raises HandposeError where they are those of pictures."""
    if not head.get("fps") or not head.get("camera"):
        raise HandposeError("pictures do not move: this takes the tracks of a video")
    rate, size_px = head["fps"], head["size_px"]
    if not isinstance(rate, int | float) or not 0 < rate < math.inf or np.shape(size_px) != (2,):
        raise HandposeError(f"the header's fps ({rate}) or size_px ({size_px}) make no sense")
    return Camera.from_dict(head["camera"])


def times_of(rows: Sequence[Row]) -> np.ndarray:
    """Give the times (T,) [s] of a video's rows. Raises HandposeError where one has none, or they do not grow."""
    try:
        times_s = np.array([(row["time_s"], int(row["frame"])) for row in rows], float).reshape(-1, 2)[:, 0]
    except (KeyError, OverflowError, TypeError, ValueError) as error:
        raise HandposeError(f"a row has no frame or no time_s ({error})") from error
    if not np.isfinite(times_s).all() or not (np.diff(times_s) > 0).all():
        raise HandposeError("the times of the rows do not grow from row to row")
    return times_s


def _hand_row(hand: TrackedHand) -> Row:
    row: Row = {"id": hand.id, "side": hand.side, "state": str(hand.state), "score": round(float(hand.score), 4)}
    return row | {name: rounded(name, getattr(hand, name)).tolist() for name in SHAPES}


def _hand_of(row: Row) -> TrackedHand:
    state = State(row["state"])
    arrays = {name: np.array(row[name], float).reshape(shape) for name, shape in SHAPES.items()}
    # A lens may have no place for joints that are not seen.
    needed = [name for name in SHAPES if state is State.TRACKED or name != "joints_px"]
    if row["side"] not in SIDES or not all(np.isfinite(arrays[name]).all() for name in needed):
        raise ValueError("a side that is none, or a number that is not finite")
    return TrackedHand(int(row["id"]), row["side"], state, float(row["score"]), **arrays)


class _JsonLines:
    def __init__(self, path: Path, head: Row):
        self._file = path.open("w", encoding="utf-8")
        self.write(head)

    def write(self, row: Row) -> None:
        self._file.write(json.dumps(row) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class _Csv:
    """One line per hand and frame; a frame without hands has one line with empty cells."""

    def __init__(self, path: Path, head: Row):
        # A picture's name may hold bytes that are no text.
        self._file = path.open("w", newline="", encoding="utf-8", errors="backslashreplace")
        self._writer = csv.writer(self._file)
        joints = head["joint_names"]
        self._width = 4 + 8 * len(joints) + 6 + len(head["angle_names"])
        self._writer.writerow(
            ["frame", "image", "time_s", "id", "side", "state", "score"]
            + [f"{j}_{c}_px" for j in joints for c in "uv"]
            + [f"{j}_{c}_mm" for j in joints for c in "xyz"]
            + [f"{j}_confidence" for j in joints]
            + [f"{j}_{c}_sigma_mm" for j in joints for c in ("lateral", "depth")]
            + [f"wrist_{c}_mm" for c in "xyz"]
            + [f"wrist_r{c}_rad" for c in "xyz"]
            + [f"{a}_rad" for a in head["angle_names"]]
        )

    def write(self, row: Row) -> None:
        start = [row["frame"], row.get("image", ""), "" if row["time_s"] is None else row["time_s"]]
        for hand in row["hands"]:
            flat = [*np.ravel(hand["joints_px"]), *np.ravel(hand["joints_mm"]), *hand["confidence"], *np.ravel(hand["sigma_mm"]),
                    *hand["wrist_translation_mm"], *hand["wrist_rotation_rad"], *hand["angles_rad"]]  # fmt: skip
            self._writer.writerow([*start, hand["id"], hand["side"], hand["state"], hand["score"], *flat])
        if not row["hands"]:
            self._writer.writerow(start + [""] * self._width)
        self._file.flush()

    def close(self) -> None:
        self._file.close()
