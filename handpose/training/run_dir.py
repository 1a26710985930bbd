"""The folder of a training run: its configuration, and the CSV of its losses and measures."""

from __future__ import annotations

import csv
import json
from dataclasses import fields
from pathlib import Path
from typing import Any, TypeVar

from handpose.atomic import atomic_write, clear_unfinished
from handpose.errors import HandposeError
from handpose.training.board import Board

Config = TypeVar("Config")
CONFIG_NAME = "config.json"
LOSSES_NAME, MEASURES_NAME = "losses.csv", "measures.csv"
CHECKPOINT_NAME = "checkpoint.npz"


def restored(kind: type[Config], stored: dict[str, Any], run: str | Path) -> Config:
    """Make a configuration dataclass of what a run's config.json holds: its lists were tuples. Raises HandposeError where it is another's."""
    known = {field.name for field in fields(kind)}  # type: ignore[arg-type]
    if strange := known ^ set(stored):  # the keys of one command's may be among another's
        raise HandposeError(f"{run}: not a run of this command ({CONFIG_NAME}: {', '.join(sorted(strange))})")
    return kind(**{key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()})


class RunDir:
    """A run's folder at `path`; with a configuration it is one that `begin` has yet to make."""

    def __init__(self, path: Path, config: dict[str, Any] | None = None):
        self.path = path
        self.board: Board | None = None  # shows what is logged in TensorBoard too
        self._config = config

    @classmethod
    def plan(cls, path: str | Path, config: dict[str, Any]) -> RunDir:
        """Prepare a new folder without making it: what fails before it begins must not stand in the way of the next run.

        Raises HandposeError where it exists: a run is never overwritten.
        """
        if Path(path).exists():
            raise _exists(Path(path))
        return cls(Path(path), config)

    def begin(self) -> None:
        """Make the planned folder with its config.json. Raises HandposeError where it has come to exist, or cannot be made."""
        if self._config is None:
            return
        try:
            self.path.mkdir(parents=True)
        except FileExistsError as error:
            raise _exists(self.path) from error
        except OSError as error:
            raise HandposeError(f"{self.path}: cannot be created ({error.strerror})") from error
        self.set_config(self._config)
        self._config = None

    def set_config(self, config: dict[str, Any]) -> None:
        """Write config.json."""
        atomic_write(self.path / CONFIG_NAME, json.dumps(config, indent=1).encode())

    @classmethod
    def resume(cls, path: str | Path) -> tuple[RunDir, dict[str, Any]]:
        """Open a run and its configuration. Raises HandposeError where there is none."""
        path = Path(path)
        try:
            config = json.loads((path / CONFIG_NAME).read_text())
        except FileNotFoundError as error:
            raise HandposeError(f"{path}: no run to resume, there is no {CONFIG_NAME}") from error
        except (OSError, ValueError) as error:
            raise HandposeError(f"{path / CONFIG_NAME}: not a configuration ({error})") from error
        if not isinstance(config, dict):
            raise HandposeError(f"{path / CONFIG_NAME}: not a configuration")
        return cls(path), config

    def log(self, step: int, **values: float) -> None:
        """Append a row to losses.csv, flushed."""
        self._append(LOSSES_NAME, step, values)

    def measure(self, step: int, **values: float) -> None:
        """Append a row to measures.csv, flushed: what a fixed set tells, every now and then."""
        self._append(MEASURES_NAME, step, values)

    def _append(self, name: str, step: int, values: dict[str, float]) -> None:
        if self.board:
            self.board.scalars(step, name.removesuffix(".csv"), values)
        path = self.path / name
        new = not path.exists()
        with path.open("a", newline="") as file:
            writer = csv.writer(file)
            if new:
                writer.writerow(["step", *values])
            writer.writerow([step, *(repr(float(value)) for value in values.values())])

    def rewind(self, step: int) -> None:
        """Drop the rows after `step`, and what is torn: a run that was killed goes on from its checkpoint."""
        clear_unfinished(self.path)
        for path in (self.path / LOSSES_NAME, self.path / MEASURES_NAME):
            if path.exists():
                header, *rows = path.read_text().splitlines() or [""]
                columns = header.count(",")
                kept = [row for row in rows if row.count(",") == columns and int(row.split(",")[0]) <= step]
                atomic_write(path, "".join(f"{row}\n" for row in [header, *kept]).encode())


def _exists(path: Path) -> HandposeError:
    if (path / CONFIG_NAME).exists() and not (path / CHECKPOINT_NAME).exists():
        return HandposeError(
            f"{path}: exists already, and ended before its first checkpoint; remove it or give another --o"
        )
    return HandposeError(f"{path}: exists already; continue it with --resume or give another --o")
